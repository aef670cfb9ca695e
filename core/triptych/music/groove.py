"""The tasks `groove`, `drumify` and `add_drums`: feel, a kit for a rhythm, what a kit lacks.

A network says how the pieces of a kit are played on a grid of sixteenths; see `groove_model`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.models import model_parameter
from triptych.music import kit
from triptych.music.groove_model import GrooveModel, style_index
from triptych.music.kit import PIECES, PITCHES, STEPS, STYLES, Floats, Grid, Known
from triptych.music.score import NOTE, Score, Track
from triptych.task import Choice, Parameter, Result, Task

_LOWEST, _HIGHEST = 35, 59  # MIDI pitches of a drum kit, without what hands play
_GAP = 1 / 96  # quarter notes that stay between two notes of one pitch
_MOST_STEPS = 200_000  # of sixteenths: about 7 hours at 120 a minute


def groove(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    """The score with its drums played as a drummer would; see GROOVE for the parameters.

    No note is added or lost and no pitch changes; notes of one pitch keep their order, and one is
    shortened only where the next of its pitch now comes before its end.
    """
    model = _model(values, engine)
    drums = _drum_places(given)
    if values["amount"] == 0 or not (values["velocity"] or values["timing"]):
        return Result(given, [model.bundle.used])
    notes = np.concatenate([given.tracks[place].notes for place in drums])
    grid = kit.grid_of(given, notes, _steps(notes))
    known = _known(grid, 1, 0, values)
    if values["like"] is not None:
        known = dataclasses.replace(known, like=_pattern(values["like"])[grid.place % kit.PLACES])
    rng = np.random.default_rng(values["seed"])
    played = model.feel(grid, known, values["variation"], rng, job)
    if values["like"] is None:
        played = model.on_the_beat(played)
    tracks = list(given.tracks)
    for place in drums:
        changed = _played(tracks[place].notes, played, values)
        tracks[place] = dataclasses.replace(tracks[place], notes=changed)
    return _result(given, tracks, model)


def drumify(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    """The score with a kit that plays its rhythm; see DRUMIFY for the parameters.

    The rhythm is that of one track, or of all. Drum tracks that gave it are replaced by the kit;
    other tracks stay.
    """
    model = _model(values, engine)
    number = values["track"]
    if number > len(given.tracks):
        raise UserError(f"there is no track {number}: the score has {len(given.tracks)}.")
    chosen = given.tracks[number - 1 : number] if number else given.tracks
    notes = np.concatenate([track.notes for track in chosen] or [np.zeros(0, NOTE)])
    if not len(notes):
        raise UserError("there is no rhythm to play: give a score or a track that has notes.")
    heard = kit.grid_of(given, notes, _steps(notes))
    tap = kit.tapped(heard)
    flat = len(set(notes["velocity"].tolist())) == 1 and np.allclose(
        heard.offset, heard.written, atol=0.02
    )
    if flat:  # as the network knows it
        tap *= np.array([1, 0, 0], np.float32)
        tap[:, 1] = tap[:, 0] * kit.FLAT
    may_add = values["density"] > 0
    known = dataclasses.replace(
        _known(heard, 0, 0, values),
        tap=tap,
        tapped=np.full(len(heard), 0.5 if may_add else 1, np.float32),
    )
    empty = dataclasses.replace(heard, hits=np.zeros_like(heard.hits))
    allowed = np.ones(heard.hits.shape, bool) if may_add else np.repeat(tap[:, :1] > 0, 9, 1)
    rng = np.random.default_rng(values["seed"])
    made = model.hits(
        empty, known, allowed, values["density"], values["creativity"], rng, job.part(0, 0.7)
    )
    made = _answered(made, tap, heard)
    known = dataclasses.replace(known, hits=np.ones_like(known.hits))
    made = model.feel(made, known, values["creativity"] / 2, rng, job.part(0.7, 1))
    if flat:
        made = model.on_the_beat(made)
    kept = [t for t in given.tracks if not (t.drums and any(t is one for one in chosen))]
    return _result(given, [*kept, Track(_notes(made), "Drums", drums=True)], model)


def add_drums(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    """The score with the drums that are missing; see ADD_DRUMS for the parameters.

    Every note that is there stays; what is added goes into a track of its own.
    """
    model = _model(values, engine)
    drums = _drum_places(given)
    notes = np.concatenate([given.tracks[place].notes for place in drums])
    grid = kit.grid_of(given, notes, _steps(notes))
    there = grid.hits.any(0)
    wanted = ~there if values["add"] == "missing" else np.isin(PIECES, _GROUPS[values["add"]])
    if not wanted.any():
        raise UserError("no piece of the kit is missing: say with add which one to play more.")
    allowed = (grid.hits == 0) & wanted
    known = _known(grid, 1, 1, values)
    known = dataclasses.replace(known, hits=np.where(allowed, 0, 1).astype(np.float32))
    rng = np.random.default_rng(values["seed"])
    more = model.hits(
        grid, known, allowed, values["density"], values["creativity"], rng, job.part(0, 0.7)
    )
    told = dataclasses.replace(known, hits=np.ones_like(known.hits), feel=grid.hits)
    made = model.feel(more, told, values["creativity"] / 2, rng, job.part(0.7, 1))
    added = dataclasses.replace(made, hits=made.hits * allowed)
    if not added.hits.any():
        raise UserError(
            "a drummer would add nothing to these drums: say with add which piece to play more, or "
            "raise density."
        )
    tracks = [*given.tracks, Track(_notes(added), "More drums", drums=True)]
    return _result(given, tracks, model)


def _result(given: Score, tracks: list[Track], model: GrooveModel) -> Result:
    """The score with these tracks; a late last drum makes it no longer."""
    made = []
    for track in tracks:
        if track.drums:
            notes = track.notes.copy()
            room = given.length - notes["start"]
            late = (room > 0) & (notes["duration"] > room + 1e-9)
            notes["duration"][late] = room[late]
            track = dataclasses.replace(track, notes=notes)
        made.append(track)
    return Result(given.with_tracks(made), [model.bundle.used])


def _model(values: dict[str, Any], engine: Engine) -> GrooveModel:
    return GrooveModel(bundle.get_bundle(values["model"], "groove"), engine)


def _drum_places(score: Score) -> list[int]:
    """Which tracks are drums: those that say so, or the only one if all of it could be.

    Clips of a DAW do not say; its drum racks lie in these two octaves, as in General MIDI.
    """
    places = [i for i, track in enumerate(score.tracks) if track.drums]
    if not places and len(score.tracks) == 1:
        pitches = score.tracks[0].notes["pitch"]
        places = [0] if ((pitches >= _LOWEST) & (pitches <= _HIGHEST)).all() else []
    if not any(len(score.tracks[place].notes) for place in places):
        raise UserError("the score has no drums: give one with a drum track (MIDI channel 10).")
    return places


def _steps(notes: np.ndarray) -> int:
    """How many steps hold these notes."""
    count = int(kit.cells(notes)[0].max()) + 1
    if count > _MOST_STEPS:
        raise UserError("the score is too long for a groove: give a part of it.")
    return count


def _known(grid: Grid, hits: float, feel: float, values: dict[str, Any]) -> Known:
    return Known.of(grid, hits, feel, style_index(values["style"]))


def _pattern(like: Score | Path) -> Floats:
    """How the drums of a clip are played at each place of the bar; see kit.pattern."""
    if isinstance(like, Path):
        from triptych.music import midi

        like = midi.load(like)
    notes = np.concatenate([like.tracks[place].notes for place in _drum_places(like)])
    return kit.pattern(kit.grid_of(like, notes, _steps(notes)))


def _played(notes: np.ndarray, played: Grid, values: dict[str, Any]) -> np.ndarray:
    """NOTEs with velocity and timing from the grid, as far as `amount` says."""
    steps, pieces = kit.cells(notes)
    amount = values["amount"]
    toward = min(amount, 1.0)  # what the notes themselves had makes way up to 1
    made = notes.copy()
    if values["timing"]:
        written = kit.triplets(notes["start"])
        base = np.where(written != 0, steps + written, steps) / STEPS
        halves = np.rint(notes["start"] * STEPS * 2) / STEPS / 2  # thirty-seconds stay such
        base = np.where(np.abs(notes["start"] - halves) < 0.005, halves, base)
        away = (played.offset - played.written)[steps, pieces] / STEPS
        start = notes["start"] + toward * (base - notes["start"]) + amount * away
        made["start"] = _in_order(notes, start.clip(0))
        _no_overlap(notes, made)
    if values["velocity"]:
        loudest = np.zeros(played.hits.shape)
        np.maximum.at(loudest, (steps, pieces), notes["velocity"])
        share = notes["velocity"] / loudest[steps, pieces]
        said = 127 * played.velocity[steps, pieces]
        usual = np.zeros(9)
        for piece in set(pieces.tolist()):
            usual[piece] = said[pieces == piece].mean()
        more = max(amount - 1, 0) * (said - usual[pieces])
        velocity = (1 - toward) * notes["velocity"] + toward * share * said + more
        made["velocity"] = np.rint(velocity).clip(1, 127)
    return made


def _in_order(notes: np.ndarray, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """New starts at which notes of one pitch come in the order in which they came."""
    made = start.copy()
    for pitch in set(notes["pitch"].tolist()):
        these = np.flatnonzero(notes["pitch"] == pitch)
        these = these[np.argsort(notes["start"][these], kind="stable")]
        gaps = np.minimum(np.diff(notes["start"][these], prepend=0.0), _GAP)
        room = np.cumsum(gaps)
        made[these] = np.maximum.accumulate(start[these] - room) + room
    return made


def _no_overlap(before: np.ndarray, after: np.ndarray) -> None:
    """Shorten, in place, what now sounds into the next note of its pitch and did not before."""
    for pitch in set(before["pitch"].tolist()):
        these = np.flatnonzero(before["pitch"] == pitch)
        these = these[np.argsort(before["start"][these], kind="stable")]
        one, following = these[:-1], these[1:]
        clear = before["start"][one] + before["duration"][one] <= before["start"][following] + 1e-9
        room = (after["start"][following] - after["start"][one])[clear]
        after["duration"][one[clear]] = np.minimum(after["duration"][one[clear]], room)


def _answered(made: Grid, tap: Floats, heard: Grid) -> Grid:
    """The kit with a hit wherever the rhythm has a note: a closed hat where it had none."""
    hits = made.hits.copy()
    silent = (tap[:, 0] > 0) & ~hits.any(-1)
    hits[silent, PIECES.index("closed hat")] = 1
    written = heard.written.max(-1, keepdims=True) + heard.written.min(-1, keepdims=True)
    return dataclasses.replace(made, hits=hits, written=(written * hits).astype(np.float32))


def _notes(grid: Grid) -> np.ndarray:
    """The hits of a grid as NOTEs of a sixteenth each."""
    steps, pieces = np.nonzero(grid.hits)
    plain = np.zeros(len(steps), NOTE)
    plain["start"], plain["duration"] = steps / STEPS, 1 / STEPS
    plain["pitch"] = np.array(PITCHES)[pieces]
    made = plain.copy()
    made["start"] = ((steps + grid.offset[steps, pieces]) / STEPS).clip(0)
    made["velocity"] = np.rint(grid.velocity[steps, pieces] * 127).clip(1, 127)
    _no_overlap(plain, made)
    return made


_GROUPS = {
    "kick": PIECES[:1],
    "snare": PIECES[1:2],
    "hats": PIECES[2:4],
    "toms": PIECES[4:7],
    "cymbals": PIECES[7:],
}

_SHARED = (
    Parameter(
        "style",
        "Style",
        "choice",
        "any",
        "How the drummer plays; any: what the drums themselves suggest.",
        choices=(Choice("any", "Any"), *(Choice(name, name.capitalize()) for name in STYLES)),
        noun="style",
    ),
    Parameter("seed", "Seed", "seed", 0, "Another seed plays it otherwise."),
    model_parameter("groove"),
)

_CREATIVITY = Parameter(
    "creativity",
    "Creativity",
    "float",
    0.5,
    "0 plays the likeliest drums, 1 as variously as drummers do.",
    minimum=0.0,
    maximum=1.0,
    step=0.05,
)

_DENSITY = Parameter(
    "density",
    "Density",
    "float",
    0.0,
    "Fewer hits (below 0) or more (above) than a drummer would play.",
    minimum=-1.0,
    maximum=1.0,
    step=0.1,
)

GROOVE = Task(
    name="groove",
    label="Groove",
    help="Play drums that lie on the grid as a drummer would: loud and soft, early and late.",
    function=groove,
    parameters=(
        Parameter(
            "amount",
            "Amount",
            "float",
            1.0,
            "0 leaves the drums as they are, 1 plays as a drummer does, 2 exaggerates.",
            minimum=0.0,
            maximum=2.0,
            step=0.05,
        ),
        Parameter("timing", "Timing", "bool", True, "Change when the drums sound."),
        Parameter("velocity", "Velocity", "bool", True, "Change how loud the drums are."),
        Parameter(
            "variation",
            "Variation",
            "float",
            0.5,
            "0 plays every bar as such bars are played on the whole, 1 as unevenly as drummers do.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        Parameter(
            "like",
            "Like",
            "score",
            None,
            "Another drum clip, whose feel is taken over.",
            optional=True,
        ),
        *_SHARED,
    ),
    input="score",
    output="score",
    model="groove",
)

DRUMIFY = Task(
    name="drumify",
    label="Drumify",
    help="Play any rhythm on a drum kit.",
    function=drumify,
    parameters=(
        Parameter(
            "track",
            "Track",
            "int",
            0,
            "The track that gives the rhythm; 0: all of them.",
            minimum=0,
            maximum=10_000,
        ),
        _DENSITY,
        _CREATIVITY,
        *_SHARED,
    ),
    input="score",
    output="score",
    model="groove",
)

ADD_DRUMS = Task(
    name="add_drums",
    label="Add drums",
    help="Add what is missing to drums: a kick and a snare to hats, hats to a beat.",
    function=add_drums,
    parameters=(
        Parameter(
            "add",
            "Add",
            "choice",
            "missing",
            "What to play.",
            choices=(
                Choice("missing", "What is missing", "The pieces that the drums have not."),
                *(Choice(name, name.capitalize()) for name in _GROUPS),
            ),
            noun="piece",
        ),
        _DENSITY,
        _CREATIVITY,
        *_SHARED,
    ),
    input="score",
    output="score",
    model="groove",
)

TASKS = (GROOVE, DRUMIFY, ADD_DRUMS)
