"""The groove network at run time: drums of any length, told in part and completed by draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triptych.bundle import Bundle
from triptych.engine import Engine, Job
from triptych.music.kit import LEVELS, PLACES, STYLES, WINDOW, Floats, Grid, Known, features

_HOP = WINDOW // 2
_AT_ONCE = 64  # windows in one run of the graph
_FEEL_PASSES = 6
_HIT_PASSES = 8
_SHARES = ((0.4, 0.45, 0.0), (0.15, 0.2, 0.4))
"""Of chance in velocity and in timing, how much is alike for all hits of a piece of the kit, for
those at one place of every bar, and for those on one step; the rest is a hit's own. Chosen so that
differences between neighbours and between bars are as large as on the validation split."""


@dataclass(frozen=True)
class Said:
    """What the network says of each step and piece: the hit's logit (T x 9), and the quantiles
    (T x 9 x LEVELS) of velocity, 0..1, and of offset, in steps."""

    hits: Floats
    velocity: Floats
    offset: Floats


class GrooveModel:
    """A bundle of the task `groove` on an engine."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine
        self.threshold = float(bundle.card.extra["threshold"])
        self.ahead = float(bundle.card.extra["ahead"])

    def windows(self, grid: Grid, known: Known, job: Job) -> Said:
        """What it says of N windows, N x WINDOW x 9 [x LEVELS], each by itself."""
        made: list[dict[str, np.ndarray]] = []
        count = len(grid.hits)
        for first in range(0, count, _AT_ONCE):
            job.progress(first / count)
            rows = slice(first, first + _AT_ONCE)
            inputs = {"features": features(grid.part(rows), known.part(rows))}
            made.append(self.engine.run(self.bundle.graph("groove"), inputs, job))
        whole = {name: np.concatenate([one[name] for one in made]) for name in made[0]}
        steps = whole["offset"] * grid.tempo[..., None, None] / 15  # from seconds
        return Said(whole["hits"], whole["velocity"], steps.clip(-0.5, 0.5))

    def say(self, grid: Grid, known: Known, job: Job) -> Said:
        """What it says of a grid of any length (T x 9): windows that overlap by half, blended."""
        count = len(grid)
        whole = max(WINDOW, -(-count // _HOP) * _HOP)
        starts = np.arange(0, whole - WINDOW + 1, _HOP)
        places = starts[:, None] + np.arange(WINDOW)
        said = self.windows(*_cut(grid, known, whole, places), job)
        ramp = np.minimum(np.arange(WINDOW) + 1, WINDOW - np.arange(WINDOW)).astype(np.float32)
        weight = np.bincount(places.ravel(), np.tile(ramp, len(starts)))

        def blended(values: Floats) -> Floats:
            tail = (1,) * (values.ndim - 2)
            total = np.zeros((whole, *values.shape[2:]), np.float32)
            shares = ramp.reshape(-1, *tail) / weight[places].reshape(*places.shape, *tail)
            np.add.at(total, places, values * shares)
            return total[:count]

        return Said(blended(said.hits), blended(said.velocity), blended(said.offset))

    def feel(
        self, grid: Grid, known: Known, variation: float, rng: np.random.Generator, job: Job
    ) -> Grid:
        """The grid with velocity and offset for every hit whose feel is not known.

        With `variation` 0 each is the median; else they are drawn a part at a time, each given
        those before it, so that hits that belong together lean the same way. `variation` 1 is as
        varied as drummers are.
        """
        passes = _FEEL_PASSES if variation > 0 else 1
        rank = rng.random(grid.hits.shape)
        levels = [0.5 + variation * (_chance(grid.place, shares, rng) - 0.5) for shares in _SHARES]
        felt, velocity, offset = known.feel * grid.hits, grid.velocity, grid.offset
        for number in range(passes):
            now = dataclasses.replace(grid, velocity=velocity, offset=offset)
            said = self.say(
                now,
                dataclasses.replace(known, feel=felt),
                job.part(number / passes, (number + 1) / passes, "feeling the groove"),
            )
            share = ((number + 1) / passes) ** 2
            fresh = (grid.hits > 0) & (felt == 0) & (rank <= share)
            velocity = np.where(fresh, at_level(said.velocity, levels[0]), velocity)
            offset = np.where(fresh, at_level(said.offset, levels[1]), offset)
            felt = np.where(fresh, 1, felt).astype(np.float32)
        return dataclasses.replace(
            grid,
            velocity=velocity.clip(1 / 127, 1).astype(np.float32),
            offset=offset.clip(-0.5, 0.5).astype(np.float32),
        )

    def on_the_beat(self, grid: Grid) -> Grid:
        """The grid without what the training set's drummers are ahead of its metronome on the
        whole, which other instruments would not be."""
        later = self.ahead * grid.tempo[:, None] / 15
        return dataclasses.replace(grid, offset=(grid.offset + later).astype(np.float32))

    def hits(
        self,
        grid: Grid,
        known: Known,
        allowed: NDArray[np.bool_],
        density: float,
        creativity: float,
        rng: np.random.Generator,
        job: Job,
    ) -> Grid:
        """The grid with hits drawn where they are `allowed` (T x 9) and not known.

        With `creativity` 0 the likeliest of each; else they are drawn a part at a time, each given
        those before it. `density` -1..1 makes them fewer or more.
        """
        passes = _HIT_PASSES if creativity > 0 else 2
        rank = rng.random(grid.hits.shape)
        sure, hits = known.hits.copy(), grid.hits * known.hits
        usual = np.log(self.threshold / (1 - self.threshold))
        for number in range(passes):
            said = self.say(
                dataclasses.replace(grid, hits=hits),
                dataclasses.replace(known, hits=sure),
                job.part(number / passes, (number + 1) / passes, "choosing drums"),
            )
            lean = said.hits - usual * (1 - creativity) + 3 * density
            likely = 1 / (1 + np.exp(-(lean / max(creativity, 0.02)).clip(-60, 60)))
            fresh = allowed & (sure == 0) & (rank <= (number + 1) / passes)
            hits = np.where(fresh, rng.random(hits.shape) < likely, hits).astype(np.float32)
            sure = np.where(fresh, 1, sure).astype(np.float32)
        return dataclasses.replace(grid, hits=hits)


def at_level(quantiles: Floats, level: NDArray[np.float64]) -> Floats:
    """The values (...) of which `quantiles` (... x LEVELS) say that so much lies below them."""
    levels = np.array(LEVELS)
    level = level.clip(levels[0], levels[-1])
    above = np.searchsorted(levels, level, "left").clip(1, len(levels) - 1)
    low, high = (
        np.take_along_axis(quantiles, place[..., None], -1)[..., 0] for place in (above - 1, above)
    )
    share = (level - levels[above - 1]) / (levels[above] - levels[above - 1])
    return np.asarray(low + share * (high - low), np.float32)


def _chance(
    place: NDArray[np.int64], shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Chance for each step and piece, 0..1 (T x 9), of which shares are alike; see _SHARES.

    A drummer repeats a bar, and hits together: drawn for every hit alone, accents would wander.
    """
    piece = rng.standard_normal((1, 9))
    bar = rng.standard_normal((PLACES, 9))[place % PLACES]
    step = rng.standard_normal((len(place), 1))
    own = rng.standard_normal((len(place), 9))
    weights = np.sqrt([*shares, 1 - sum(shares)])
    mixed = sum(w * part for w, part in zip(weights, (piece, bar, step, own), strict=True))
    return np.asarray(1 / (1 + np.exp(-1.702 * mixed)))  # near the normal distribution's


def style_index(style: str) -> int:
    """The network's number of a style; -1 for any."""
    return STYLES.index(style) if style in STYLES else -1


def _cut(grid: Grid, known: Known, whole: int, places: NDArray[np.int64]) -> tuple[Grid, Known]:
    """The windows at `places` (N x WINDOW) of a grid that is lengthened to `whole` steps."""

    def cut(values: np.ndarray, mode: str = "constant") -> np.ndarray:
        more = [(0, whole - len(values)), *[(0, 0)] * (values.ndim - 1)]
        return np.asarray(np.pad(values, more, mode))[places]  # type: ignore[call-overload]

    last = grid.place[-1]
    place = np.concatenate([grid.place, last + 1 + np.arange(whole - len(grid))])[places]
    windows = Grid(
        cut(grid.hits), cut(grid.velocity), cut(grid.offset), place, cut(grid.tempo, "edge"),
        cut(grid.written),
    )  # fmt: skip
    told = Known(
        cut(known.hits),
        cut(known.feel),
        cut(known.tap),
        cut(known.tapped, "edge"),
        cut(known.like),
        np.repeat(known.style, len(places)),
    )
    return windows, told
