"""The tasks `melody` and `continue`: new music, note by note, by the recurrent score model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.models import model_parameter
from triptych.music import events
from triptych.music.constraints import Constraints
from triptych.music.event_model import EventModel, Sampling, generate, thinned
from triptych.music.events import COLLECTIONS, DRUMS, TICKS, Bars
from triptych.music.score import Score, Track
from triptych.music.theory import Key, parse_chords, parse_key
from triptych.task import Choice, Parameter, Result, Task

_HEARD = 400  # events before the place to continue that the model is told


def melody(given: None, job: Job, engine: Engine, **values: Any) -> Result:
    """A new piece; see MELODY for the parameters."""
    model = bundle.get_bundle(values["model"], "score")
    top, bottom = parse_metre(values["metre"])
    bar = top * 4 / bottom
    key = parse_key(values["key"])
    length = values["bars"] * bar
    frame = Score(
        tempi=((0.0, values["tempo"]),),
        metres=((0.0, top, bottom),),
        keys=((0.0, midi_key(key)),),
        length=length,
    )
    program = values["program"] - 1
    collection = COLLECTIONS.index(values["collection"])
    voices = frozenset({events.part_of(program, 0)})
    stream = EventModel(
        model,
        engine,
        Bars.of(frame),
        told(collection, key, values["tempo"]),
        events.shift_to_c(key),
    )
    made = generate(
        stream,
        wishes(frame, 0.0, length, voices, key, values),
        _sampling(values),
        values["seed"],
        job,
    )
    if not len(made):
        raise UserError("no note came of it: try another seed, or a wider range.")
    tracks = tracks_of(made, stream.shift, dict.fromkeys(voices, program), values["polyphony"])
    named = [Track(t.notes, "Melody", t.program) for t in tracks]
    return Result(swung(frame.with_tracks(named), values["swing"]), [model.used])


def continue_(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    """The score with `bars` more after its last; see CONTINUE for the parameters."""
    model = bundle.get_bundle(values["model"], "score")
    if not given.count:
        raise UserError("the score has no notes: give one that has, or use melody.")
    key = parse_key(values["key"]) if values["key"] else events.key_of(given)
    starts = given.bar_starts()
    begin = float(starts[-1])
    top, bottom = given.metre_at(begin - 1e-6 if len(starts) > 1 else 0.0)
    whole = given.with_tracks(given.tracks, begin + values["bars"] * top * 4 / bottom)
    parts = events.parts_of(given.tracks)
    tempo = given.tempi[-1][1]
    stream = EventModel(
        model,
        engine,
        Bars.of(whole),
        told(COLLECTIONS.index(values["collection"]), key, tempo),
        events.shift_to_c(key),
    )
    heard = events.events(given, stream.shift)[-_HEARD:]
    stream.dynamics = len(np.unique(heard["velocity"])) > 2
    for number, event in enumerate(heard):
        job.part(0.0, 0.3).progress(number / len(heard), "listening")
        stream.feed(event)
    near = dict.fromkeys(parts, _range(given))
    limits = wishes(whole, begin, whole.length, frozenset(parts), key, values, near, origin=begin)
    made = generate(stream, limits, _sampling(values), values["seed"], job.part(0.3, 1.0))
    fresh = {}
    for part in set(made["part"].tolist()):
        fresh[part] = events.notes_of(
            made[made["part"] == part], 0 if part == DRUMS else stream.shift
        )
    tracks = []
    for track, part in zip(given.tracks, parts, strict=True):
        new = fresh.pop(part, np.zeros(0, track.notes.dtype))
        if not stream.dynamics and len(track.notes):
            new["velocity"] = int(np.median(track.notes["velocity"]))
        new = thinned(new, _voices_of(track))
        new = (
            swung(Score((Track(new),), whole.tempi, whole.metres), values["swing"]).tracks[0].notes
        )
        both = np.concatenate([track.notes, new])
        tracks.append(Track(both, track.name, track.program, track.drums, track.other))
    return Result(whole.with_tracks(tracks), [model.used])


def told(collection: int, key: Key, tempo: float) -> dict[str, int]:
    """What the model is told of the whole piece."""
    pace = events.pace_class(tempo)
    return {"collection": collection, "minor": int(key.minor), "pace": pace}


def parse_metre(text: str) -> tuple[int, int]:
    """Numerator and denominator of a metre such as "6/8"; UserError if it is none."""
    top, _, bottom = text.partition("/")
    if not (top.strip().isdigit() and bottom.strip() in ("1", "2", "4", "8", "16")):
        raise UserError(f"{text[:20]!r} is no metre: write 3/4 or 6/8, for example.")
    if not 1 <= int(top) <= 32:
        raise UserError(f"a bar of {text[:20]} is too long or too short: use 1 to 32 beats.")
    return int(top), int(bottom)


def midi_key(key: Key) -> str:
    """The key signature, as MIDI names it, that has this key's notes."""
    names = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    minors = ("Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm")
    return (minors if key.minor else names)[key.tonic]


def tracks_of(
    made: np.ndarray, shift: int, programs: dict[int, int], polyphony: int
) -> list[Track]:
    """EVENTs as one track for each part."""
    tracks = []
    for part in sorted(set(made["part"].tolist())):
        drums = part == DRUMS
        notes = events.notes_of(made[made["part"] == part], 0 if drums else shift)
        notes = notes if drums else thinned(notes, polyphony)
        tracks.append(Track(notes, "", programs.get(part, events.program_of(part)), drums))
    return tracks


def swung(score: Score, amount: float) -> Score:
    """The score with off-beat eighths late: by none at 0, up to a third of a beat's half at 1.

    Within a beat, time runs slower in its first half and faster in its second, so that order stays;
    at 1 two eighths become a triplet's quarter and eighth.
    """
    if not amount:
        return score
    middle = 0.5 + amount / 6

    def moved(beats: np.ndarray) -> np.ndarray:
        whole = np.floor(beats)
        rest = beats - whole
        first = rest <= 0.5
        late = np.where(first, rest * middle * 2, middle + (rest - 0.5) * (1 - middle) * 2)
        return np.asarray(whole + late)

    tracks = []
    for track in score.tracks:
        notes = track.notes.copy()
        ends = moved(notes["start"] + notes["duration"])
        notes["start"] = moved(notes["start"])
        notes["duration"] = ends - notes["start"]
        tracks.append(Track(notes, track.name, track.program, track.drums, track.other))
    return score.with_tracks(tracks)


def _sampling(values: dict[str, Any]) -> Sampling:
    return Sampling(values["temperature"], values["top_p"], values["density"])


def wishes(
    whole: Score,
    begin: float,
    end: float,
    parts: frozenset[int],
    key: Key,
    values: Mapping[str, Any],
    ranges: Mapping[int, tuple[int, int]] | None = None,
    alone: bool = False,
    origin: float = 0.0,
) -> Constraints:
    """The constraints that the parameters name, from the beat `begin` to `end` of `whole`.

    `ranges` narrows the pitches of parts; with `alone` each has one note at a time;
    the chord track begins at the beat `origin`.
    """
    low, high = values["lowest"], values["highest"]
    if low > high:
        raise UserError(f"lowest ({low}) lies above highest ({high}): exchange them.")
    top, bottom = whole.metre_at(end - 1e-6)
    bar = top * 4 / bottom
    chords = []
    if values["chords"]:
        track = parse_chords(values["chords"], bar)
        period = track[-1][0] + track[-1][1]
        for turn in range(math.ceil((end - origin) / period)):
            since = origin + turn * period
            chords += [(_tick(since + at), _tick(since + at + long), c) for at, long, c in track]
    beat = 1.5 if bottom == 8 and top % 3 == 0 and top > 3 else 4 / bottom
    straight = range(0, TICKS, 3)
    return Constraints(
        _tick(begin),
        _tick(end),
        parts,
        key.classes if values["lock"] else None,
        chords,
        low,
        high,
        ranges or {},
        polyphony=values.get("polyphony", 16),
        alone=alone or values.get("polyphony") == 1,
        grid=frozenset([*straight, *range(0, TICKS, 4)] if values["triplets"] else straight),
        beats=frozenset(_tick(b) for b in np.arange(begin, end, beat)),
        longest_rest=max(TICKS, round(bar * TICKS)),
    )


def _tick(beat: float) -> int:
    return round(beat * TICKS)


def _range(score: Score) -> tuple[int, int]:
    """The pitches of a score's parts, a fifth wider: what continues it stays near."""
    pitches = [t.notes["pitch"] for t in score.tracks if not t.drums and len(t.notes)]
    if not pitches:
        return 0, 127
    every = np.concatenate(pitches)
    return max(int(every.min()) - 7, 0), min(int(every.max()) + 7, 127)


def _voices_of(track: Track) -> int:
    """How many notes a track lets sound at once."""
    notes = track.notes
    if track.drums or not len(notes):
        return 16
    ends = notes["start"] + notes["duration"]
    sounding = [
        int(np.sum((notes["start"] <= s + 1e-6) & (ends > s + 1e-6))) for s in notes["start"][-200:]
    ]
    return max(sounding)


def _collections() -> Sequence[Choice]:
    return [Choice(name, name.capitalize()) for name in COLLECTIONS]


SHARED = (
    Parameter(
        "collection",
        "Kind of music",
        "choice",
        "folk tune",
        "What it shall sound like.",
        choices=_collections(),
        noun="kind of music",
    ),
    Parameter("lock", "Stay in key", "bool", True, "Use no note outside the key and the chords."),
    Parameter(
        "chords",
        "Chords",
        "text",
        "",
        'Chords to play over, bar by bar, such as "Am7 | D7 | Gmaj7"; they begin again at the end.',
        maximum=2000,
    ),
    Parameter("lowest", "Lowest note", "int", 36, "The lowest MIDI pitch.", minimum=0, maximum=127),
    Parameter(
        "highest", "Highest note", "int", 96, "The highest MIDI pitch.", minimum=0, maximum=127
    ),
    Parameter(
        "density",
        "Density",
        "float",
        0.0,
        "Fewer notes (below 0) or more (above) than the model would play.",
        minimum=-1.0,
        maximum=1.0,
        step=0.1,
    ),
    Parameter("triplets", "Triplets", "bool", False, "Let notes fall on triplets too."),
    Parameter(
        "swing",
        "Swing",
        "float",
        0.0,
        "How late the off-beat eighths are: 1 is a triplet's feel.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    ),
    Parameter(
        "temperature",
        "Boldness",
        "float",
        0.95,
        "How far from the likeliest note it may go.",
        minimum=0.1,
        maximum=2.0,
        step=0.05,
    ),
    Parameter("seed", "Seed", "seed", 0, "Another seed makes other music."),
    Parameter(
        "top_p",
        "Top-p",
        "float",
        0.95,
        "Of the likeliest notes, those that make up this share are drawn from.",
        minimum=0.05,
        maximum=1.0,
        advanced=True,
    ),
    model_parameter("score"),
)

MELODY = Task(
    name="melody",
    label="Melody",
    help="Make a new melody in a key, a metre and a kind of music.",
    function=melody,
    parameters=(
        Parameter("bars", "Bars", "int", 8, "How long it is.", minimum=1, maximum=128, unit="bars"),
        Parameter("key", "Key", "text", "C", "Such as C, F#m or Bb dorian.", maximum=40),
        Parameter("metre", "Metre", "text", "4/4", "Such as 3/4 or 6/8.", maximum=8),
        Parameter(
            "tempo",
            "Tempo",
            "float",
            120.0,
            "Quarter notes a minute.",
            minimum=20.0,
            maximum=400.0,
            unit="bpm",
        ),
        Parameter(
            "polyphony",
            "Voices",
            "int",
            1,
            "How many notes may sound at once.",
            minimum=1,
            maximum=8,
        ),
        Parameter(
            "program",
            "Instrument",
            "int",
            1,
            "The General MIDI instrument, 1 (piano) to 128.",
            minimum=1,
            maximum=128,
        ),
        *SHARED,
    ),
    input="none",
    output="score",
    model="score",
)

CONTINUE = Task(
    name="continue",
    label="Continue",
    help="Go on where a piece ends, in all its parts.",
    function=continue_,
    parameters=(
        Parameter(
            "bars", "Bars", "int", 4, "How many bars to add.", minimum=1, maximum=128, unit="bars"
        ),
        Parameter(
            "key", "Key", "text", "", "Such as C or F#m; empty: the piece's own.", maximum=40
        ),
        *SHARED,
    ),
    input="score",
    output="score",
    model="score",
)

TASKS = (MELODY, CONTINUE)
