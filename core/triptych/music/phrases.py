"""The tasks `interpolate` and `vary`: ways between two clips, and variations of one.

Both code phrases of 2 and 4 bars with the bundle `phrases`, walk in its latent space and write what
they pass. The walk only proposes; which of the phrases on it are taken is decided by measuring
them, so that distances and attributes move one way only, whatever the network thinks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.music import phrase_grid as grid
from triptych.music.events import key_of
from triptych.music.score import NOTE, Score, Track
from triptych.task import Parameter, Result, Task

Floats = NDArray[Any]  # float32
Ints = NDArray[Any]

_WALK = 33  # phrases that are looked at on a way
_REACH = 3.0  # how far beyond its mark a move may look for its attribute
_DRAWN = 8  # new phrases, of which the one with the fewest leaps above an octave is taken
_ASIDE = 0.2  # what a change of an attribute that was not to move costs, beside one that was
_AT_ONCE = 256  # phrases in one run of a graph
_SHORTEST = 0.02  # quarter notes
_BASSES = range(32, 40)  # General MIDI programs
_BASS_BELOW = 50  # mean pitch of a line that is a bass without saying so


@dataclass(frozen=True)
class Cell:
    """One phrase of a clip: where it is on the clip's grid and how the network sees it.

    The network reads `length` steps; of these the clip has `real`, which are repeated to fill.
    """

    start: int
    real: int
    length: int
    metre: int


@dataclass(frozen=True)
class Part:
    """One track of a clip: its kind ("lines" or "drums"), its line's notes, its steps."""

    track: Track
    kind: str
    bass: bool
    line: Ints  # indices of the notes that make the line (drums: that have a class)
    steps: Ints  # tokens T or bits T x 9 of the whole clip

    def condition(self, cell: Cell) -> int:
        """What the network is told of a cell: part * 3 + metre."""
        return int(self.bass) * len(grid.METRES) + cell.metre


class Model:
    """The bundle's graphs for one kind of part, batched."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self.owner = bundle.get_bundle("phrases", "phrases")
        self.engine, self.job = engine, job
        stored = self.owner.arrays("latents.npz")
        self.tables = {key: values.astype(np.float32) for key, values in stored.items()}

    def new(
        self, kind: str, condition: int, length: int, rng: np.random.Generator
    ) -> tuple[Ints, Floats]:
        """A new phrase of `length` steps and its latent; a line is in C major or A minor.

        Drawn from the Gaussian that was fitted to the latents of training phrases.
        """
        key = f"{kind}-{condition // len(grid.METRES)}-{length}"
        axes = self.tables[f"{key}-axes"]
        count = 1 if kind == "drums" else _DRAWN
        chance = rng.standard_normal((count, len(axes))).astype(np.float32)
        z = self.tables[f"{key}-mean"] + chance @ axes
        drawn = self.decode(kind, z, [condition] * count, length)
        best = min(range(count), key=lambda k: _leaps(drawn[k])) if count > 1 else 0
        return drawn[best], z[best]

    def encode(self, kind: str, phrases: Ints, conditions: Sequence[int] | Ints) -> Floats:
        """The latent means N x L of equally long phrases."""
        typed = phrases.astype(np.float32 if kind == "drums" else np.int64)
        condition = np.asarray(conditions, np.int64)
        path, made = self.owner.graph(f"{kind}-encoder"), []
        for at in range(0, len(typed), _AT_ONCE):
            rows = slice(at, at + _AT_ONCE)
            given = {"phrase": typed[rows], "condition": condition[rows]}
            made.append(self.engine.run(path, given, self.job)["mean"])
        return np.concatenate(made)

    def decode(self, kind: str, z: Floats, conditions: Sequence[int] | Ints, length: int) -> Ints:
        """The most likely phrase (tokens or bits, `length` steps) of each latent in z, N x L."""
        condition = np.asarray(conditions, np.int64)
        where = np.zeros(length // grid.STEPS, np.float32)
        path, made = self.owner.graph(f"{kind}-decoder"), []
        for at in range(0, len(z), _AT_ONCE):
            rows = slice(at, at + _AT_ONCE)
            given: dict[str, Ints] = {
                "z": z[rows].astype(np.float32),
                "condition": condition[rows],
                "where": where,
            }
            logits = self.engine.run(path, given, self.job)["logits"]
            made.append(logits > 0 if kind == "drums" else logits.argmax(-1))
        return np.concatenate(made).astype(np.uint8)


def interpolate(score: Score, job: Job, engine: Engine, other: Path | Score, steps: int) -> Result:
    """`steps` clips from `score` to `other`, one after another; see TASKS.

    The first is `score` itself, the last `other`. From each to the next the distance (the share of
    grid steps that differ) to the first does not shrink and that to the last does not grow.

    Raises:
        UserError: the clips have no kind of part in common, are in different metres, or are empty.
    """
    end = _load(other) if isinstance(other, Path) else other
    model = Model(engine, job.part(0.0, 0.9, "between the clips"))
    ends = [_Clip(score, "the first clip"), _Clip(end, "the second clip")]
    short, long = sorted(clip.bar for clip in ends)
    if ends[0].metre != ends[1].metre or long % short:
        names = ["{}/{}".format(*clip.score.metre_at(0.0)) for clip in ends]
        raise UserError(
            f"the first clip is in {names[0]} and the second in {names[1]}: "
            "choose two clips in one metre."
        )
    pairs = _pairs(ends[0].parts, ends[1].parts)
    longest = max(ends, key=lambda clip: clip.total)
    rows: list[list[Ints]] = []
    for a, b in pairs:
        filled = [_filled(part.steps, longest.total) for part in (a, b)]
        rows.append(_between(model, longest.cells, (a, b), filled, steps))
    made = _in_a_row(ends, pairs, rows, longest.total, steps)
    job.progress(1.0, "done")
    return Result(made, [model.owner.used])


def vary(
    score: Score,
    job: Job,
    engine: Engine,
    amount: float,
    density: float,
    range: float,
    syncopation: float,
    keep_key: bool,
    seed: int,
) -> Result:
    """A variation of every part of `score`, of the same length; see TASKS.

    Of chords the top note (of a bass the lowest) is varied and the others stay. Where a note stays
    in its place it keeps its velocity and timing. The same seed gives the same variation.

    Raises:
        UserError: the clip has no notes.
    """
    clip = _Clip(score, "the clip")
    moves = np.array([density, range, syncopation])
    model = Model(engine, job)
    tracks = {id(part.track): part.track for part in clip.parts}
    for place, part in enumerate(clip.parts):
        model.job = job.part(place / len(clip.parts), (place + 1) / len(clip.parts), "varying")
        scale = None if part.kind == "drums" or not keep_key else scale_of(score)
        found = _varied(model, clip.cells, part, amount, moves, scale, (seed, place))
        within = math.ceil(score.length * grid.STEPS - 1e-6)  # the last bar may not be whole
        found[within:] = part.steps[within:]
        if not np.array_equal(found, part.steps):
            tracks[id(part.track)] = _written(part, found, score.length)
    job.progress(1.0, "done")
    made = score.with_tracks([tracks.get(id(t), t) for t in score.tracks])
    return Result(made, [model.owner.used])


def scale_of(score: Score) -> Ints:
    """Which of the 12 pitch classes a clip may use: its own and those of its most likely key."""
    found = np.zeros(12, bool)
    found[list(key_of(score).classes)] = True
    for track in score.tracks:
        if not track.drums:
            found[track.notes["pitch"] % 12] = True
    return found


class _Clip:
    """A score as the network sees it: its grid of steps, cut into cells, and its parts."""

    def __init__(self, score: Score, name: str) -> None:
        if not score.count:
            raise UserError(f"{name} has no notes: choose one with a melody, a bass or drums.")
        self.score = score
        top, bottom = score.metre_at(0.0)
        self.metre, self.bar = _metre(top, bottom), top * 4 / bottom
        self.cells = list(_cells(score))
        self.total = self.cells[-1].start + self.cells[-1].real
        self.parts = [_part(track, self.total) for track in score.tracks if len(track.notes)]


def _metre(top: int, bottom: int) -> int:
    """The nearest metre that the network knows."""
    if bottom >= 8 and top % 3 == 0:
        return 2
    return int(top == 3)


def _cells(score: Score) -> Iterator[Cell]:
    """A clip cut into phrases of 4 and 2 bars, stretch by stretch of one metre."""
    begins = [round(m[0] * grid.STEPS) for m in score.metres]
    length = math.ceil(score.length * grid.STEPS - 1e-6)
    total = max(length, 1)
    for place, (_, top, bottom) in enumerate(score.metres):
        start = begins[place]
        stop = min(begins[place + 1], total) if place + 1 < len(begins) else total
        if place + 1 == len(begins) or stop == total:  # the last bar is a whole one
            bar = max(1, round(top * 4 / bottom * grid.STEPS))
            stop = start + -(-(stop - start) // bar) * bar
        metre = _metre(top, bottom)
        unit = grid.BARS[metre]
        while start < stop:
            bars = 4 if stop - start >= 4 * unit else 2
            real = min(bars * unit, stop - start)
            yield Cell(start, real, bars * unit, metre)
            start += real
        if stop >= total:
            return


def _part(track: Track, total: int) -> Part:
    notes = track.notes
    if track.drums:
        classed = np.array([int(p) in grid.CLASS_OF for p in notes["pitch"]])
        bits = grid.drum_bits(notes, total)
        return Part(track, "drums", False, np.flatnonzero(classed), bits)
    mean = float(notes["pitch"].mean())
    bass = track.program in _BASSES or mean < _BASS_BELOW
    line = grid.top_line(notes, lowest=bass)
    return Part(track, "lines", bass, line, grid.line_tokens(notes[line], total))


def _filled(steps: Ints, total: int) -> Ints:
    """`steps` repeated to `total`."""
    return np.concatenate([steps] * -(-total // len(steps)))[:total]


def _pairs(first: Sequence[Part], second: Sequence[Part]) -> list[tuple[Part, Part]]:
    """The parts of two clips that go together: drums with drums, melody with melody, ..."""
    pairs: list[tuple[Part, Part]] = []
    left = list(second)
    for same in (lambda a, b: a.bass == b.bass, lambda a, b: True):
        for a in first:
            if any(a is taken for taken, _ in pairs):
                continue
            b = next((b for b in left if a.kind == b.kind and same(a, b)), None)
            if b is not None:
                pairs.append((a, b))
                left = [part for part in left if part is not b]
    if not pairs:
        raise UserError(
            "one clip has drums only and the other has none: choose two lines or two drum parts."
        )
    return sorted(pairs, key=lambda pair: next(i for i, p in enumerate(first) if p is pair[0]))


def _groups(cells: Sequence[Cell]) -> Iterator[tuple[int, list[int]]]:
    """The cells by their length: (length, their places)."""
    for length in sorted({cell.length for cell in cells}):
        yield length, [i for i, cell in enumerate(cells) if cell.length == length]


def _seen(steps: Ints, cell: Cell) -> Ints:
    return _filled(steps[cell.start : cell.start + cell.real], cell.length)


def _slerp(a: Floats, b: Floats, at: Floats) -> Floats:
    """K x L points on the great circle from a to b (Shoemake 1985), lengths linearly."""
    long_a, long_b = np.linalg.norm(a) + 1e-9, np.linalg.norm(b) + 1e-9
    angle = math.acos(float(np.clip(a @ b / (long_a * long_b), -1, 1)))
    at = at[:, None]
    if angle < 1e-3 or angle > math.pi - 1e-3:
        return np.asarray(a + at * (b - a))
    way = (np.sin((1 - at) * angle) * a / long_a + np.sin(at * angle) * b / long_b) / math.sin(
        angle
    )
    return np.asarray(way * (long_a + at * (long_b - long_a)))


def _apart(phrases: Ints, one: Ints) -> Ints:
    """In how many steps (drums: hits) each phrase differs from the one."""
    return np.asarray((phrases != one).reshape(len(phrases), -1).sum(1))


def _mended(tokens: Ints) -> Ints:
    """Tokens in their normal form: nothing ends twice."""
    made, sounding = tokens.copy(), True
    for step, token in enumerate(tokens):
        if token == grid.OFF and not sounding:
            made[step] = grid.HOLD
        sounding = token < grid.OFF or (sounding and token == grid.HOLD)
    return made


def _between(
    model: Model,
    cells: Sequence[Cell],
    pair: tuple[Part, Part],
    filled: Sequence[Ints],
    steps: int,
) -> list[Ints]:
    """The steps between two parts, without the two themselves: `steps` - 2 arrays."""
    kind = pair[0].kind
    made = [np.array(filled[0]) for _ in range(steps - 2)]
    at = np.linspace(0, 1, _WALK)
    for length, places in _groups(cells):
        ends = [np.stack([_seen(steps_, cells[i]) for i in places]) for steps_ in filled]
        told = [[part.condition(cells[i]) for i in places] for part in pair]
        codes = [model.encode(kind, e, c) for e, c in zip(ends, told, strict=True)]
        copies = [model.decode(kind, z, c, length) for z, c in zip(codes, told, strict=True)]
        for row, i in enumerate(places):
            way = _slerp(codes[0][row], codes[1][row], at)
            half = [told[int(t > 0.5)][row] for t in at]
            walk = model.decode(kind, way, half, length)
            # what the network would only copy is copied from the clips, which are exact
            for k, t in enumerate(at):
                for side in (0, 1) if t > 0.5 else (1, 0):
                    same = walk[k] == copies[side][row]
                    walk[k] = np.where(same, ends[side][row], walk[k])
            walk[0], walk[-1] = ends[0][row], ends[1][row]
            if kind == "lines":
                walk[1:-1] = [_mended(phrase) for phrase in walk[1:-1]]
            real = cells[i].real
            walk = walk[:, :real]
            chosen = _one_way(_apart(walk, walk[0]), _apart(walk, walk[-1]), steps)
            for step, k in enumerate(chosen):
                made[step][cells[i].start : cells[i].start + real] = walk[k]
    return made


def _one_way(from_first: Ints, from_last: Ints, steps: int) -> list[int]:
    """Which points of a walk to take as the `steps` - 2 between its ends.

    Their distance to the first end never shrinks, that to the last never grows; among such choices
    the one whose distances are nearest to equal strides (dynamic programming).
    """
    count, inner = len(from_first), steps - 2
    follows = (from_first[:, None] <= from_first) & (from_last[:, None] >= from_last)
    follows &= np.arange(count)[:, None] <= np.arange(count)
    # only what can still reach the end
    within = (from_first <= from_first[-1]) & (from_last <= from_last[0])
    total = max(int(from_first[-1]), 1)
    cost = np.full(count, np.inf)
    cost[0] = 0.0
    back: list[Ints] = []
    for step in range(1, inner + 1):
        share = step / (steps - 1)
        here = np.abs(from_first - share * total) + np.abs(from_last - (1 - share) * total)
        reached = np.where(follows, cost[:, None], np.inf)
        back.append(reached.argmin(0))
        cost = np.where(within, reached.min(0) + here, np.inf)
    chosen: list[int] = []
    k = int(cost.argmin())
    for before in reversed(back):
        chosen.append(k)
        k = int(before[k])
    return chosen[::-1]


def _varied(
    model: Model,
    cells: Sequence[Cell],
    part: Part,
    amount: float,
    moves: Floats,
    scale: Ints | None,
    seed: tuple[int, int],
) -> Ints:
    """The part's steps, varied."""
    made = part.steps.copy()
    for length, places in _groups(cells):
        given = np.stack([_seen(part.steps, cells[i]) for i in places])
        told = [part.condition(cells[i]) for i in places]
        codes = model.encode(part.kind, given, told)
        known: dict[bytes, Ints] = {}  # a phrase that comes again is varied alike
        for row, i in enumerate(places):
            key = given[row].tobytes() + bytes([cells[i].metre])
            if key not in known:
                rng = np.random.default_rng((*seed, length, len(known)))
                known[key] = _one_varied(
                    model, part, given[row], codes[row], told[row], amount, moves, scale, rng
                )
            real = cells[i].real
            made[cells[i].start : cells[i].start + real] = known[key][:real]
            model.job.progress((row + 1) / len(places) if length else 0.0)
    return made


def _one_varied(
    model: Model,
    part: Part,
    given: Ints,
    code: Floats,
    condition: int,
    amount: float,
    moves: Floats,
    scale: Ints | None,
    rng: np.random.Generator,
) -> Ints:
    """One phrase, first towards a random one by `amount`, then along its attributes by `moves`."""
    kind, length = part.kind, len(given)
    phrase, z = given, code
    if amount > 0 and _sounds(given):
        target = _random_phrase(model, kind, given, condition, scale, rng)
        way = _slerp(code, target, np.linspace(0, 1, _WALK))
        walk = _walk(model, kind, given, way, condition, scale)
        apart = _apart(walk, given)
        k = int(np.abs(apart - amount * apart[-1]).argmin())
        phrase, z = walk[k], way[k]
    if np.any(moves) and _sounds(phrase):
        metre = condition % len(grid.METRES)
        directions = model.tables[f"{kind}-directions"]  # attributes x L, one unit of each
        units = model.tables[f"{kind}-units"]
        share = np.linspace(0, _REACH, _WALK)
        way = z + share[:, None] * (moves / np.abs(moves).max() @ directions)
        # only a move of the range takes a line out of its own
        own = None if moves[1] or kind == "drums" else _reach(phrase)
        walk = _walk(model, kind, phrase, way, condition, scale, own)
        found = np.stack([grid.attributes(p, metre) for p in walk])
        wanted = found[0] + moves * units
        moved = moves != 0
        miss = np.abs((found - wanted) / units)
        # a nearer mark is not worth as much change of what was not to move
        phrase = walk[int((miss[:, moved].sum(1) + _ASIDE * miss[:, ~moved].sum(1)).argmin())]
    return np.asarray(phrase[:length])


def _sounds(phrase: Ints) -> bool:
    return bool(phrase.any() if phrase.ndim == 2 else (phrase < grid.OFF).any())


def _reach(tokens: Ints) -> tuple[int, int]:
    """The lowest and the highest pitch of a line, and a third more on either side."""
    pitches = tokens[tokens < grid.OFF].astype(int)
    return int(pitches.min()) - 4, int(pitches.max()) + 4


def _walk(
    model: Model,
    kind: str,
    given: Ints,
    way: Floats,
    condition: int,
    scale: Ints | None,
    reach: tuple[int, int] | None = None,
) -> Ints:
    """The phrases at the points `way`, of which the first stands for `given` and is that.

    What the network writes alike at a point and at the first is taken from `given`: it changes
    what the walk changes and not what it cannot copy.
    """
    walk = model.decode(kind, way, [condition] * len(way), len(given))
    walk = np.where(walk == walk[0], given, walk)
    if kind == "lines":
        for k in range(1, len(walk)):
            walk[k] = _mended(_placed(walk[k], given, scale, reach))
    return np.asarray(walk)


def _placed(tokens: Ints, given: Ints, scale: Ints | None, reach: tuple[int, int] | None) -> Ints:
    """Tokens whose new pitches are moved by octaves into `reach` and to the nearest of a scale."""
    made = tokens.copy()
    for step in np.flatnonzero((tokens < grid.OFF) & (tokens != given)):
        pitch = int(tokens[step])
        if reach is not None:
            pitch -= 12 * max(0, -(-(pitch - reach[1]) // 12))
            pitch += 12 * max(0, -(-(reach[0] - pitch) // 12))
        pitch = min(max(pitch, 0), 127)
        near = [p for d in range(7) for p in (pitch - d, pitch + d) if 0 <= p < 128]
        fits = (p for p in near if scale is None or scale[p % 12])
        made[step] = next(fits, near[0])
    return made


def _random_phrase(
    model: Model,
    kind: str,
    given: Ints,
    condition: int,
    scale: Ints | None,
    rng: np.random.Generator,
) -> Floats:
    """The code of a new phrase, transposed to the given one's place and scale."""
    drawn, z = model.new(kind, condition, len(given), rng)
    if kind == "drums":
        return z
    phrase = drawn.astype(int)
    pitched, own = phrase < grid.OFF, given[given < grid.OFF].astype(int)
    if not pitched.any():
        return z
    centre = round(float(own.mean()) - float(phrase[pitched].mean()))
    if scale is None:
        by = centre
    else:
        outside = [(~scale[(phrase[pitched] + centre + d) % 12]).sum() for d in range(-6, 6)]
        by = centre + min(range(-6, 6), key=lambda d: (outside[d + 6], abs(d)))
    phrase[pitched] = (phrase[pitched] + by).clip(0, 127)
    return np.asarray(model.encode(kind, phrase[None], [condition])[0])


def _leaps(tokens: Ints) -> int:
    """How many leaps of a line are above an octave."""
    pitches = tokens[tokens < grid.OFF].astype(int)
    return int((np.abs(np.diff(pitches)) > 12).sum())


def _written(part: Part, steps: Ints, length: float) -> Track:
    """The part's track with other steps; notes that keep their place keep how they were played."""
    notes = part.track.notes
    beside = np.delete(notes, part.line)  # lower notes of chords, drums without a class
    rows = _rows(part, notes[part.line], steps, length)
    return Track(
        np.concatenate([beside, rows]),
        part.track.name,
        part.track.program,
        part.track.drums,
        part.track.other,
    )


def _rows(part: Part, notes: np.ndarray, steps: Ints, length: float) -> np.ndarray:
    """NOTE of steps in a clip of `length`; `notes` is the line as it was played."""
    write = _written_drums if part.kind == "drums" else _written_line
    return np.array(write(notes, steps, length), NOTE)


def _repeated(part: Part, total: int) -> np.ndarray:
    """The line's notes, again and again up to the step `total`."""
    line, turn = part.track.notes[part.line], len(part.steps)
    turns = range(-(-total // turn))
    return np.concatenate([_later(line, k * turn / grid.STEPS) for k in turns])


def _feel(notes: np.ndarray) -> Floats:
    """How late (in quarter notes) notes come on each sixteenth of a quarter, on average."""
    at = grid.steps_of(notes["start"])
    late = notes["start"] - at / grid.STEPS
    place = at % grid.STEPS
    count = np.bincount(place, minlength=grid.STEPS)
    return np.asarray(np.bincount(place, late, grid.STEPS) / np.maximum(count, 1))


def _written_line(notes: np.ndarray, tokens: Ints, length: float) -> list[tuple[Any, ...]]:
    """NOTE rows of a line's tokens; `notes` is the line as it was played."""
    before = {
        int(step): note for step, note in zip(grid.steps_of(notes["start"]), notes, strict=True)
    }
    was = {step: long for step, long, _ in grid.line_notes(grid.line_tokens(notes, len(tokens)))}
    at, feel = np.array(list(before)), _feel(notes)
    # how much of its place a note sounds: legato or not
    shares = [
        min(1.0, float(before[step]["duration"]) * grid.STEPS / long)
        for step, long in was.items()
        if step in before
    ]
    share = float(np.median(shares)) if shares else 1.0
    rows: list[tuple[Any, ...]] = []
    for step, long, pitch in grid.line_notes(tokens):
        played = before.get(step)
        start = step / grid.STEPS + feel[step % grid.STEPS] if played is None else played["start"]
        start = max(0.0, float(start))
        if played is None and start > length - _SHORTEST:
            continue
        if played is not None and was.get(step) == long:
            duration = float(played["duration"])
        else:
            duration = min(long / grid.STEPS * share, length - start)
        near = played if played is not None else before[int(at[np.abs(at - step).argmin()])]
        duration = max(duration, min(_SHORTEST, length - start))
        rows.append((start, duration, pitch, int(near["velocity"])))
    return rows


def _written_drums(notes: np.ndarray, bits: Ints, length: float) -> list[tuple[Any, ...]]:
    """NOTE rows of drum bits; `notes` are those that have a class, as they were played."""
    at = grid.steps_of(notes["start"])
    classes = np.array([grid.CLASS_OF[int(p)] for p in notes["pitch"]], np.int64)
    feel = _feel(notes) if len(notes) else np.zeros(grid.STEPS)
    usual = max(_SHORTEST, float(np.median(notes["duration"]))) if len(notes) else 0.25
    rows: list[tuple[Any, ...]] = []
    for step, row in np.argwhere(bits):
        played = notes[(at == step) & (classes == row)]
        if len(played):
            rows += [tuple(note) for note in played]
            continue
        own = notes[classes == row]
        pitch = int(np.bincount(own["pitch"]).argmax()) if len(own) else grid.KIT[row]
        loud = own if len(own) else notes
        velocity = round(float(loud["velocity"].mean())) if len(loud) else 90
        start = max(0.0, step / grid.STEPS + float(feel[step % grid.STEPS]))
        if start <= length - _SHORTEST:
            rows.append((start, min(usual, length - start), pitch, velocity))
    return rows


def _in_a_row(
    ends: Sequence[_Clip],
    pairs: Sequence[tuple[Part, Part]],
    rows: Sequence[Sequence[Ints]],
    total: int,
    steps: int,
) -> Score:
    """One score: the first clip, the steps between, the second clip."""
    first, last = ends
    begin = first.total / grid.STEPS
    each = total / grid.STEPS
    final = begin + (steps - 2) * each
    tracks = []
    paired = {id(part.track) for pair in pairs for part in pair}
    for (a, b), middle in zip(pairs, rows, strict=True):
        notes = [a.track.notes]
        for step, found in enumerate(middle):
            near = a if step + 1 < steps / 2 else b
            written = _rows(near, _repeated(near, total), found, each)
            notes.append(_later(written, begin + step * each))
        notes.append(_later(b.track.notes, final))
        other = (*a.track.other, *((at + final, message) for at, message in b.track.other))
        tracks.append(
            Track(np.concatenate(notes), a.track.name, a.track.program, a.track.drums, other)
        )
    for clip, at in ((first, 0.0), (last, final)):
        for track in clip.score.tracks:
            if id(track) not in paired:
                other = tuple((beat + at, message) for beat, message in track.other)
                moved = _later(track.notes, at)
                tracks.append(Track(moved, track.name, track.program, track.drums, other))
    score = first.score
    return Score(
        tuple(tracks), score.tempi, score.metres, score.keys, final + last.total / grid.STEPS
    )


def _later(notes: np.ndarray, by: float) -> np.ndarray:
    moved = notes.copy()
    moved["start"] += by
    return moved


def _load(path: Path) -> Score:
    from triptych.music import midi

    return midi.load(path)


_SEED = Parameter("seed", "Seed", "seed", 0, "Another seed gives another variation.")

INTERPOLATE = Task(
    name="interpolate",
    label="Interpolate",
    help=(
        "Go from one clip to another in steps, each a clip of its own, one after another. Of "
        "chords the top note (of a bass the lowest) is followed."
    ),
    function=interpolate,
    input="score",
    output="score",
    model="phrases",
    parameters=(
        Parameter("other", "To", "score", None, "The clip at which to arrive."),
        Parameter(
            "steps",
            "Steps",
            "int",
            5,
            "How many clips there are in the end, both ends with them.",
            minimum=3,
            maximum=33,
            step=1,
        ),
    ),
)


def _move(name: str, help: str) -> Parameter:
    return Parameter(
        name, name.capitalize(), "float", 0.0, help, minimum=-1.0, maximum=1.0, step=0.1
    )


VARY = Task(
    name="vary",
    label="Vary",
    help=(
        "Vary a clip of melody, bass or drums: a little or a lot, denser or sparser, wider or "
        "narrower, more or less syncopated. Of chords the top note (of a bass the lowest) is "
        "varied and the others stay."
    ),
    function=vary,
    input="score",
    output="score",
    model="phrases",
    parameters=(
        Parameter(
            "amount",
            "Amount",
            "float",
            0.3,
            "0 changes nothing, 1 makes a new phrase.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        _move("density", "Fewer (-1) or more (1) notes."),
        _move("range", "A narrower (-1) or wider (1) range; of drums, fewer or more of the kit."),
        _move("syncopation", "Less (-1) or more (1) off the beat."),
        Parameter("keep_key", "Keep key", "bool", True, "New notes are in the key of the clip."),
        _SEED,
    ),
)

TASKS = (INTERPOLATE, VARY)
