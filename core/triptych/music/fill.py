"""The tasks `infill`, `harmonise` and `accompany`: what is missing, given what is there."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.models import model_parameter
from triptych.music import events
from triptych.music.event_model import Sampling, generate, thinned
from triptych.music.events import COLLECTIONS, DRUMS, EVENT, TICKS, Bars
from triptych.music.gap_model import GapModel
from triptych.music.groove import DRUMIFY
from triptych.music.melody import SHARED, told, wishes
from triptych.music.score import Score, Track
from triptych.music.theory import Key, parse_key
from triptych.task import Choice, Parameter, Result, Task

log = logging.getLogger("triptych")

_SPAN = 4  # bars that are written at a time where all is to be written
_FOUR = {"chorale": 52, "hymn": 0}  # programs: choir and, as hymnals are played, piano
_VOICES = ("Soprano", "Alto", "Tenor", "Bass")
# The lower voices' usual compass (Piston, Harmony, ch. 2), in MIDI pitches.
_COMPASS = ((53, 74), (47, 69), (38, 62))
_BANDS: dict[str, tuple[str, dict[int, tuple[str, int, int, int]]]] = {
    "piano": ("art song", {0: ("Piano", 0, 31, 127)}),
    "strings": (
        "string quartet",
        {
            21: ("Violin 2", 40, 55, 88),
            22: ("Viola", 41, 48, 79),
            23: ("Cello", 42, 36, 62),
        },
    ),
    "band": (
        "rock and electronic",
        {12: ("Guitar", 27, 40, 76), 16: ("Bass", 33, 28, 50), DRUMS: ("Drums", 0, 0, 127)},
    ),
}
"""What may accompany: the kind of music, and each part's name, program and compass."""
_ATTEMPTS, _STRIDE = 4, 1_000_003  # at a gap in which no part falls silent, and their seeds
_LEADS = {"piano": events.part_of(52, 0), "strings": events.part_of(40, 0), "band": 40}


def infill(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    """The score with some bars of some tracks written anew; see INFILL for the parameters."""
    model = bundle.get_bundle(values["model"], "infill")
    chosen = chosen_tracks(given, values["tracks"])
    starts = given.bar_starts()
    first, count = values["first_bar"] - 1, values["bars"]
    if first >= len(starts) - 1:
        raise UserError(f"the score has {len(starts) - 1} bars: first_bar must be one of them.")
    if first + count > len(starts) - 1:
        count = len(starts) - 1 - first
        log.warning(f"the score ends with bar {len(starts) - 1}: bars after it are not written")
    parts = events.parts_of(given.tracks)
    low, high = float(starts[first]), float(starts[first + count])
    kept = [
        _without(track, low, high) if place in chosen else track
        for place, track in enumerate(given.tracks)
    ]
    writer = _Writer(given, kept, parts, model, engine, values)
    asked = {parts[place]: _reach(given.tracks[place]) for place in chosen}
    played = {parts[place] for place in chosen if len(given.tracks[place].between(low, high))}
    for attempt in range(_ATTEMPTS):
        share = job.part(1 - 0.5**attempt, 1 - 0.5 ** (attempt + 1))
        made = writer.write(first, count, asked, share, values["seed"] + attempt * _STRIDE)
        if played <= set(made["part"].tolist()):
            break  # what played there plays again
    tracks = []
    for place, (track, part) in enumerate(zip(kept, parts, strict=True)):
        if place in chosen and not any(parts[p] == part for p in chosen if p < place):
            new = writer.notes(made, part, _velocity(given.tracks[place]), _voices(given, place))
            track = _with(track, new)
        tracks.append(track)
    return Result(given.with_tracks(tracks), [model.used])


def harmonise(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    """The melody of a score with three voices below; see HARMONISE for the parameters."""
    model = bundle.get_bundle(values["model"], "infill")
    melody = melody_of(given, values["track"])
    lowest = int(melody.notes["pitch"].min())
    lead = Track(melody.notes, _VOICES[0], melody.program, other=melody.other)
    four = [events.part_of(_FOUR[values["collection"]], voice) for voice in range(4)]
    writer = _Writer(given, [lead], four[:1], model, engine, values, four)
    compass = {}
    for part, (low, high) in zip(four[1:], _COMPASS, strict=True):  # below a melody that lies low
        down = 12 * max(0, math.ceil((high - 7 - lowest) / 12))
        compass[part] = (max(low - down, 0), high - down)
    tracks = [lead]
    made = writer.write_all(compass, job, values["seed"], alone=True)
    for part, name in zip(four[1:], _VOICES[1:], strict=True):
        notes = _sung(writer.notes(made, part, _velocity(melody), 1), melody)
        tracks.append(Track(notes, name, melody.program))
    return Result(given.with_tracks(tracks), [model.used])


def accompany(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    """The score with an accompaniment added; see ACCOMPANY for the parameters."""
    model = bundle.get_bundle(values["model"], "infill")
    melody = melody_of(given, values["track"])
    collection, band = _BANDS[values["band"]]
    others = [t for t in given.tracks if t is not melody]
    free = [p for p in range(60, 64) if p not in band]  # a family that no band has
    parts = [_LEADS[values["band"]], *(free[min(i, 3)] for i in range(len(others)))]
    writer = _Writer(
        given, [melody, *others], parts, model, engine, values | {"collection": collection}
    )
    middle = max(int(np.median(melody.notes["pitch"])) - 4, 55)  # what accompanies keeps below
    asked = {
        part: (low, max(min(high, middle), low + 12))
        for part, (_, _, low, high) in band.items()
        if part != DRUMS
    }
    made = writer.write_all(asked, job.part(0.0, 0.9), values["seed"])
    tracks, used = list(given.tracks), [model.used]
    for part in asked:
        name, program, *_ = band[part]
        many = 1 if name in ("Bass", "Violin 2", "Viola", "Cello") else 6
        notes = writer.notes(made, part, max(_velocity(melody) - 12, 1), many)
        tracks.append(Track(notes, name, program))
    if DRUMS in band:
        rhythm = given.with_tracks(tracks[len(given.tracks) :])
        if not rhythm.count:
            rhythm = given.with_tracks([melody])
        drummed = DRUMIFY.run(rhythm, job.part(0.9, 1.0), engine, seed=values["seed"])
        tracks.append(dataclasses.replace(drummed.made.tracks[-1], name=band[DRUMS][0]))
        used += drummed.used
    return Result(given.with_tracks(tracks), used)


class _Writer:
    """Fills gaps of a score, whose `tracks` (the model's `parts`) are what stands around them."""

    def __init__(
        self,
        whole: Score,
        tracks: Sequence[Track],
        parts: Sequence[int],
        model: bundle.Bundle,
        engine: Engine,
        values: Mapping[str, Any],
        voices: Sequence[int] = (),
    ) -> None:
        self.voices = tuple(voices)
        self.whole, self.model, self.engine, self.values = whole, model, engine, values
        self.key: Key = parse_key(values["key"]) if values["key"] else events.key_of(whole)
        self.shift = events.shift_to_c(self.key)
        self.bars = Bars.of(whole)
        arrays = [events.of_track(t, p, self.shift) for t, p in zip(tracks, parts, strict=True)]
        self.around = events.ordered(np.concatenate([*arrays, np.zeros(0, EVENT)]))

    def write(
        self,
        first: int,
        count: int,
        asked: Mapping[int, tuple[int, int]],
        job: Job,
        seed: int,
        alone: bool = False,
    ) -> np.ndarray:
        """EVENTs of the parts `asked` (each with its lowest and highest MIDI pitch) in the bars."""
        values, parts = dict(self.values), frozenset(asked)
        starts = self.bars.starts[first : first + count + 1]
        stream = GapModel(
            self.model,
            self.engine,
            Bars(starts, self.bars.metres[first : first + count]),
            told(COLLECTIONS.index(values["collection"]), self.key, self.whole.tempi[0][1]),
            self.shift,
            dynamics=False,
            whole=self.bars,
            first=first,
            notes=self.around,
            parts=parts,
            voices=self.voices,
        )
        low, high = starts[0] / TICKS, starts[-1] / TICKS
        origin = low if "first_bar" in values else 0.0  # what a gap's chords are meant for
        limits = wishes(self.whole, low, high, parts, self.key, values, asked, alone, origin)
        sampling = Sampling(values["temperature"], values["top_p"], values["density"])
        return generate(stream, limits, sampling, seed, job)

    def write_all(
        self, asked: Mapping[int, tuple[int, int]], job: Job, seed: int, alone: bool = False
    ) -> np.ndarray:
        """EVENTs of the parts `asked` from the first bar to the last, a few bars at a time."""
        count = self.bars.count
        made = np.zeros(0, EVENT)
        for first in range(0, count, _SPAN):
            share = job.part(first / count, min(first + _SPAN, count) / count)
            new = self.write(first, min(_SPAN, count - first), asked, share, seed + first, alone)
            made = np.concatenate([made, new])
            self.around = events.ordered(np.concatenate([self.around, new]))
        return made

    def notes(self, made: np.ndarray, part: int, velocity: int, voices: int) -> np.ndarray:
        """An array of NOTE: what was written for a part, at the velocity of what it goes with."""
        found = events.notes_of(made[made["part"] == part], 0 if part == DRUMS else self.shift)
        found["velocity"] = velocity
        return found if part == DRUMS else thinned(found, voices)


def _sung(notes: np.ndarray, melody: Track) -> np.ndarray:
    """A voice that holds its notes to its next one while the melody sounds."""
    notes = notes.copy()
    ends = melody.notes["start"] + melody.notes["duration"]
    for index, note in enumerate(notes):
        until = notes["start"][index + 1] if index + 1 < len(notes) else melody.end
        end = float(note["start"] + note["duration"])
        for start, stop in zip(melody.notes["start"], ends, strict=True):
            if start <= end + 1e-6 and stop > end:
                end = float(stop)
        notes["duration"][index] = max(min(end, until) - note["start"], note["duration"])
    return notes


def melody_of(score: Score, number: int) -> Track:
    """The track of this number, from 1; of 0 the one that lies highest. UserError if none."""
    pitched = [t for t in score.tracks if not t.drums and len(t.notes)]
    if not pitched:
        raise UserError("the score has no melody: give one with a track that is not drums.")
    if number == 0:
        return max(pitched, key=lambda t: float(t.notes["pitch"].mean()))
    if number > len(score.tracks):
        raise UserError(f"the score has {len(score.tracks)} tracks: there is no track {number}.")
    track = score.tracks[number - 1]
    if track not in pitched:
        raise UserError(f"track {number} has no melody: choose one with notes, not drums.")
    return track


def chosen_tracks(score: Score, text: str) -> list[int]:
    """The places of the tracks that "1, 3" or "Bass, Drums" names; all of them of ""."""
    if not score.count:
        raise UserError("the score has no notes: give one that has some.")
    if not text.strip():
        return list(range(len(score.tracks)))
    found = []
    for word in (w.strip() for w in text.split(",")):
        places = [i for i, t in enumerate(score.tracks) if t.name.casefold() == word.casefold()]
        if word.isdigit() and 1 <= int(word) <= len(score.tracks):
            places = [int(word) - 1]
        if not places:
            names = ", ".join(f"{i} {t.name}".strip() for i, t in enumerate(score.tracks, 1))
            raise UserError(f"there is no track {word[:40]!r}: the score has {names[:200]}.")
        found += places
    return sorted(set(found))


def _without(track: Track, low: float, high: float) -> Track:
    """The track without the notes that begin from `low` to `high`; what sounds into it is cut."""
    n = track.notes[(track.notes["start"] < low - 1e-6) | (track.notes["start"] >= high - 1e-6)]
    n = n.copy()
    into = (n["start"] < low) & (n["start"] + n["duration"] > low)
    n["duration"][into] = low - n["start"][into]
    return Track(n, track.name, track.program, track.drums, track.other)


def _with(track: Track, new: np.ndarray) -> Track:
    notes = np.concatenate([track.notes, new])
    return Track(notes, track.name, track.program, track.drums, track.other)


def _reach(track: Track) -> tuple[int, int]:
    """The pitches of a track, a fifth wider."""
    pitches = track.notes["pitch"]
    if track.drums or not len(pitches):
        return 0, 127
    return max(int(pitches.min()) - 7, 0), min(int(pitches.max()) + 7, 127)


def _velocity(track: Track) -> int:
    return int(np.median(track.notes["velocity"])) if len(track.notes) else 80


def _voices(score: Score, place: int) -> int:
    """How many notes a track lets sound at once."""
    notes = score.tracks[place].notes
    ends = notes["start"] + notes["duration"]
    sample = notes["start"][:: max(1, len(notes) // 200)]
    most = [np.sum((notes["start"] <= s + 1e-6) & (ends > s + 1e-6)) for s in sample]
    return int(max(most, default=1))


_MODEL = model_parameter("infill")
_KEY = Parameter("key", "Key", "text", "", "Such as C or F#m; empty: the piece's own.", maximum=40)
_TRACK = Parameter(
    "track",
    "Melody's track",
    "int",
    0,
    "The track with the melody; 0 takes the highest.",
    minimum=0,
    maximum=999,
)


def _drawn(**defaults: float) -> tuple[Parameter, ...]:
    """The parameters of all that is drawn, some with defaults of their own."""
    kept = (p for p in SHARED if p.name not in ("swing", "model", "collection"))
    return (
        *(dataclasses.replace(p, default=defaults.get(p.name, p.default)) for p in kept),
        _MODEL,
    )


_CAREFUL = _drawn(temperature=0.8, top_p=0.9)  # what is added must fit, more than surprise
_FREER = _drawn(temperature=0.9)  # long parts: more careful ones fall into figures by heart
_COLLECTION = next(p for p in SHARED if p.name == "collection")

INFILL = Task(
    name="infill",
    label="Fill in bars",
    help="Write some bars of some tracks anew, to fit what stands before, after and beside them.",
    function=infill,
    parameters=(
        Parameter("first_bar", "First bar", "int", 1, "From this bar on.", minimum=1, maximum=9999),
        Parameter(
            "bars", "Bars", "int", 2, "How many bars to write.", minimum=1, maximum=16, unit="bars"
        ),
        Parameter(
            "tracks",
            "Tracks",
            "text",
            "",
            'The tracks to write, by number or name, such as "1, Bass"; empty: all.',
            maximum=500,
        ),
        _KEY,
        _COLLECTION,
        *_CAREFUL,
    ),
    input="score",
    output="score",
    model="infill",
)

HARMONISE = Task(
    name="harmonise",
    label="Harmonise",
    help="Set a melody for four voices.",
    function=harmonise,
    parameters=(
        _TRACK,
        _KEY,
        Parameter(
            "collection",
            "Kind of music",
            "choice",
            "chorale",
            "What it shall sound like.",
            choices=(Choice("chorale", "Chorale"), Choice("hymn", "Hymn")),
            noun="kind of music",
        ),
        *_CAREFUL,
    ),
    input="score",
    output="score",
    model="infill",
)

ACCOMPANY = Task(
    name="accompany",
    label="Accompany",
    help="Add an accompaniment to a melody or a piece.",
    function=accompany,
    parameters=(
        Parameter(
            "band",
            "Played by",
            "choice",
            "piano",
            "What accompanies.",
            choices=(
                Choice("piano", "Piano"),
                Choice("strings", "Strings", "Second violin, viola and cello."),
                Choice("band", "Band", "Guitar, bass and drums."),
            ),
            noun="band",
        ),
        _TRACK,
        _KEY,
        *_FREER,
    ),
    input="score",
    output="score",
    model="infill",
)

TASKS = (INFILL, HARMONISE, ACCOMPANY)
