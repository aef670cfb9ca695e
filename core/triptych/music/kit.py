"""Drums on a grid: nine pieces of a kit, sixteenth steps, and what the groove network is given.

The representation is that of Gillick et al. 2019 ("Learning to Groove with Inverse Sequence
Transformations", ICML, section 3): hits, velocities and offsets, each steps x 9. An offset is how
far a hit lies from its step, in steps, -0.5..0.5; a triplet's feel shows there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from triptych.music.score import Score

Floats = NDArray[np.float32]

STEPS = 4  # a quarter note
FLAT = 0.8  # velocity of a rhythm that has neither dynamics nor feel
WINDOW = 32  # steps that the network sees at once: two bars of 4/4
PLACES = 16  # in a bar that the network tells apart

PIECES = (
    *("kick", "snare", "closed hat", "open hat", "low tom", "mid tom", "high tom"),
    *("crash", "ride"),
)
"""The nine pieces of a kit."""

PITCHES = (36, 38, 42, 46, 43, 47, 50, 49, 51)
"""The General MIDI pitch of each piece."""

_SOUNDS = (
    (35, 36, 64, 66, 86, 87),
    (27, 28, 31, 32, 33, 34, 37, 38, 39, 40, 60, 61, 65, 75, 76, 77, 85),
    (22, 42, 44, 54, 56, 69, 70, 71, 73, 78, 80, 82),
    (26, 46, 67, 68, 72, 74, 79, 81),
    (29, 41, 43, 58, 84),
    (30, 45, 47, 63, 83),
    (48, 50, 62),
    (49, 52, 55, 57),
    (51, 53, 59),
)


def _piece_table() -> NDArray[np.int64]:
    table = np.full(128, 1, np.int64)  # what no kit has sounds like a snare's hand
    for piece, pitches in enumerate(_SOUNDS):
        table[list(pitches)] = piece
    return table


PIECE_OF = _piece_table()
"""The piece, 0..8, that stands for each pitch: the Groove MIDI Dataset's own reduction (Roland
TD-11), and the nearest piece for General MIDI's other percussion."""

STYLES = (
    *("rock", "funk", "jazz", "latin", "hiphop", "afrocuban", "neworleans", "punk", "soul"),
    *("country", "pop", "reggae", "gospel", "afrobeat"),
)
"""The styles of the Groove MIDI Dataset that have enough of it to be learned."""


@dataclass
class Grid:
    """Drums on steps, or several windows of them: every array is [N x] T x 9 or [N x] T.

    `hits` is 0 or 1, `velocity` 0..1 (of 127), `offset` in steps. `written` is the offset that the
    notation itself has (a triplet: -1/3 or 1/3 on odd steps). `place` is the step in its bar and
    `tempo` quarter notes a minute.
    """

    hits: Floats
    velocity: Floats
    offset: Floats
    place: NDArray[np.int64]
    tempo: Floats
    written: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        if not self.written.size:
            self.written = np.zeros_like(self.hits)

    def __len__(self) -> int:
        return int(self.hits.shape[-2])

    def part(self, rows: slice) -> Grid:
        """These steps of it (or, of several windows, these windows)."""
        return Grid(**{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})


@dataclass
class Known:
    """What of a grid the network is told; the rest is its to say. Shapes as in Grid.

    `hits` and `feel` are 1 where the hit, or its velocity and offset, are given. `tap` (... x 3:
    hit, velocity, offset) is a rhythm of which the kit's piece is not known, `tapped` (...) says
    1 where there may be no hit beside it, 0.5 where there may, 0 without one. `like` (... x 27:
    velocity, offset and whether they are there, by piece) is how another performance plays at this
    place of the bar. `style` (N) is an index of STYLES, or -1.
    """

    hits: Floats
    feel: Floats
    tap: Floats
    tapped: Floats
    like: Floats
    style: NDArray[np.int64]

    @classmethod
    def of(cls, grid: Grid, hits: float, feel: float, style: int = -1) -> Known:
        """All hits, all feel, or none of them known; no rhythm and no other performance."""
        shape = grid.hits.shape
        return cls(
            np.full(shape, hits, np.float32),
            np.full(shape, feel, np.float32),
            np.zeros((*shape[:-1], 3), np.float32),
            np.zeros(shape[:-1], np.float32),
            np.zeros((*shape[:-1], 27), np.float32),
            np.full(shape[:-2] or 1, style, np.int64),
        )

    def part(self, rows: slice) -> Known:
        """What is told of these windows."""
        return Known(**{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})


def features(grid: Grid, known: Known) -> Floats:
    """What the network takes of N windows: N x T x FEATURES."""
    heard = grid.hits * known.hits
    felt = heard * known.feel
    step = 15 / grid.tempo[..., None]  # seconds
    pace = np.concatenate([np.log2(grid.tempo[..., None] / 120), step * 5], -1)
    style = np.eye(len(STYLES) + 1, dtype=np.float32)[known.style][:, None]
    parts = [
        *(heard, felt * grid.velocity, felt * grid.offset * 4),
        *(known.hits, felt, heard * grid.written * 4),
        known.tap * np.array([1, 1, 4], np.float32),
        known.tapped[..., None],
        known.like * np.repeat(np.array([1, 4, 1], np.float32), 9),
        np.eye(PLACES, dtype=np.float32)[grid.place % PLACES],
        pace,
        np.broadcast_to(style, (*heard.shape[:2], style.shape[-1])),
    ]
    return np.concatenate(parts, -1).astype(np.float32)


FEATURES = 6 * 9 + 3 + 1 + 27 + PLACES + 2 + len(STYLES) + 1
"""The size of a step in `features`."""

LEVELS = (0.05, 0.15, 0.25, 0.375, 0.5, 0.625, 0.75, 0.85, 0.95)
"""The quantiles that the network says of a velocity or an offset; the middle one is the median."""


def tapped(grid: Grid) -> Floats:
    """The grid as one channel, [N x] T x 3: whether anything is hit, the loudest's velocity and
    offset."""
    loudest = np.argmax(grid.velocity * grid.hits + grid.hits, -1)[..., None]
    hit = grid.hits.max(-1, keepdims=True)
    chosen = [hit * np.take_along_axis(a, loudest, -1) for a in (grid.velocity, grid.offset)]
    return np.concatenate([hit, *chosen], -1)


def pattern(grid: Grid) -> Floats:
    """How a performance (T x 9) plays at each place of the bar, by piece: PLACES x 27.

    Mean velocity, mean offset, and 1 where there is any, as `Known.like` has them for each step.
    """
    made = np.zeros((PLACES, 27), np.float32)
    place = grid.place % PLACES
    count = np.zeros((PLACES, 9), np.float32)
    np.add.at(count, place, grid.hits)
    for part, values in enumerate((grid.velocity, grid.offset)):
        total = np.zeros((PLACES, 9), np.float32)
        np.add.at(total, place, grid.hits * values)
        made[:, part * 9 : part * 9 + 9] = total / np.maximum(count, 1)
    made[:, 18:] = count > 0
    return made


def places(score: Score, count: int) -> NDArray[np.int64]:
    """The step in its bar of each of the first `count` steps of a score."""
    starts = np.rint(score.bar_starts(count / STEPS) * STEPS).astype(np.int64)
    steps = np.arange(count)
    return np.asarray(steps - starts[np.searchsorted(starts, steps, "right") - 1])


def tempi(score: Score, count: int) -> Floats:
    """The tempo at each of the first `count` steps, within what the network knows."""
    at = np.array([t[0] for t in score.tempi]) * STEPS
    pace = np.array([t[1] for t in score.tempi])
    found = pace[np.searchsorted(at, np.arange(count), "right").clip(1) - 1]
    return np.asarray(found.clip(40, 300), np.float32)


def cells(notes: np.ndarray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The step and the piece of each of these NOTEs."""
    steps = np.floor(notes["start"] * STEPS + 0.5).astype(np.int64)
    return steps, PIECE_OF[notes["pitch"]]


def grid_of(score: Score, notes: np.ndarray, count: int) -> Grid:
    """NOTEs of a score on its first `count` steps; of two in one place the louder is kept."""
    hits, velocity, offset = (np.zeros((count, 9), np.float32) for _ in range(3))
    made = Grid(hits, velocity, offset, places(score, count), tempi(score, count))
    order = np.argsort(notes["velocity"], kind="stable")
    chosen = notes[order]
    steps, pieces = cells(chosen)
    made.hits[steps, pieces] = 1
    made.velocity[steps, pieces] = chosen["velocity"] / 127
    made.offset[steps, pieces] = chosen["start"] * STEPS - steps
    made.written[steps, pieces] = triplets(chosen["start"])
    return made


def triplets(starts: NDArray[np.float64]) -> Floats:
    """The written offset in steps, -1/3 or 1/3, of what lies on a triplet, 0 elsewhere."""
    thirds = starts * 6  # triplets of eighths and of sixteenths
    exact = np.abs(thirds - np.rint(thirds)) < 6 * 0.005
    offset = np.rint(thirds) / 6 * STEPS
    offset = offset - np.floor(offset + 0.5)
    return np.where(exact & (np.abs(offset) > 0.2), offset, 0).astype(np.float32)
