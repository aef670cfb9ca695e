"""A picture made tileable: its period found, its ends laid over each other along the least cut.

The cut is that of image quilting (Efros & Freeman 2001), closed around the other axis; what is
coarser than the overlap is faded instead, so that light that changes over a photograph leaves no
edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError
from triptych.image.resample import resized
from triptych.image.torus import blurred

Floats = NDArray[Any]  # float32

LEAST = 64  # px of a picture's shorter side
_LOOKED_AT = 160  # px of the side of the copy in which the period is found
_OVERLAP = 0.2  # of the tile's side
_PERIODS = (0.6, 0.8)  # of the picture's side: what a tile's side may be
_FEATHER = 0.004  # of the tile's side: how soft the cut is


def tileable(picture: Floats, size: int, seed: int = 0) -> Floats:
    """A tile size x size x 3 of the picture H x W x 3; `seed` says which square of it is taken.

    Raises:
        UserError: a picture under 64 px.
    """
    short = min(picture.shape[:2])
    if short < LEAST:
        raise UserError(f"the picture is only {short} px wide or high: give one of {LEAST} px.")
    rng = np.random.default_rng(seed)
    top, left = (int(rng.integers(side - short + 1)) for side in picture.shape[:2])
    square = picture[top : top + short, left : left + short]
    small = resized(square, (_LOOKED_AT, _LOOKED_AT))
    periods = [_period(small.swapaxes(0, axis)) for axis in (0, 1)]
    overlaps = [round(_OVERLAP * size)] * 2
    sides = [round(size * _LOOKED_AT / period) for period in periods]
    whole = resized(square, [max(s, size + o) for s, o in zip(sides, overlaps, strict=True)])
    made = _closed(whole[: size + overlaps[0], : size + overlaps[1]], size, False)
    return _closed(made.swapaxes(0, 1), size, True).swapaxes(0, 1).clip(0, 1)


def _period(picture: Floats) -> int:
    """How many rows on a square picture is most like itself, of those that a tile may have."""
    side = len(picture)
    least, most = (round(share * side) for share in _PERIODS)
    apart = []
    for period in range(least, most + 1):
        overlap = round(_OVERLAP * period)
        ends = picture[period : period + overlap], picture[:overlap]
        apart.append(float(((ends[0] - ends[1]) ** 2).mean()))
    return least + int(np.argmin(apart))


def _closed(picture: Floats, size: int, around: bool) -> Floats:
    """The first `size` rows of the picture, over which those beyond are laid so that the last row
    goes on in the first. `around` says whether the columns go on at their other end already."""
    overlap = len(picture) - size
    near = (False, around)
    low = blurred(picture, overlap / 4, near)
    high = picture - low
    fade = np.linspace(0, 1, overlap, dtype=np.float32)[:, None, None]
    fade = fade * fade * (3 - 2 * fade)
    rows = _cut(((picture[size:] - picture[:overlap]) ** 2).sum(2), around)
    below = (np.arange(overlap)[:, None] >= rows).astype(np.float32)
    below = blurred(below, max(0.5, _FEATHER * size), near)[..., None]
    made = picture[:size].copy()
    made[:overlap] = low[size:] * (1 - fade) + low[:overlap] * fade
    made[:overlap] += high[size:] * (1 - below) + high[:overlap] * below
    return made


def _cut(cost: Floats, around: bool) -> NDArray[np.intp]:
    """The row of each column on the cheapest path through cost (rows x columns) that moves by at
    most a row per column; with `around` it ends in the row in which it began."""
    path = _path(cost, None)
    if not around:
        return path
    twice = _path(np.concatenate([cost, cost], 1), None)
    return _path(cost, int(twice[cost.shape[1]]))


def _path(cost: Floats, fixed: int | None) -> NDArray[np.intp]:
    rows, columns = cost.shape
    lines = np.ascontiguousarray(cost.T, np.float64)
    totals = np.full((columns, rows + 2), np.inf)  # of the cheapest path to there, with a border
    totals[0, 1:-1] = lines[0]
    if fixed is not None:
        totals[0, 1:-1] = np.where(np.arange(rows) == fixed, 0.0, np.inf)
    for before, now, line in zip(totals, totals[1:], lines[1:], strict=False):
        cheapest = now[1:-1]
        np.minimum(before[:-2], before[1:-1], out=cheapest)
        np.minimum(cheapest, before[2:], out=cheapest)
        cheapest += line
    row = int(totals[-1, 1:-1].argmin())
    if fixed is not None:  # the last column is beside the first
        beside = [r for r in (fixed - 1, fixed, fixed + 1) if 0 <= r < rows]
        row = min(beside, key=lambda r: totals[-1, r + 1])
    path = [row]
    for before in totals[-2::-1]:
        above, here, below = before[row : row + 3].tolist()
        if above <= here and above <= below:
            row -= 1
        elif below < here:
            row += 1
        path.append(row)
    return np.array(path[::-1], np.intp)


def relaid(tile: Floats, seed: int) -> Floats:
    """Another tile N x N x 3 of the same material: a band across it, then one down it, is replaced
    by the tile itself moved to where it fits along both edges of the band."""
    rng = np.random.default_rng(seed)
    side = len(tile)
    near = np.minimum(np.arange(side), side - np.arange(side)) < side // 8
    for axis in (0, 1):
        lines = np.roll(tile.swapaxes(0, axis), int(rng.integers(side)), 0)
        high = int(rng.integers(side // 3, side // 2))
        made = _banded(lines, high, max(2, side // 8), near[:, None] & near, rng)
        tile = made.swapaxes(0, axis)
    return tile


def mended(tile: Floats, border: int) -> Floats:
    """A tile N x N x 3 whose `border` px at each end are faulty with others in their place."""
    side, high = len(tile), 4 * border + 2
    rng = np.random.default_rng(0)
    rows = np.minimum(np.arange(side), side - np.arange(side)) < high - border
    for axis in (0, 1):
        taboo = np.broadcast_to(rows[:, None], (side, side)).copy()
        if axis == 0:
            taboo[:, 1:] = True  # the faulty columns stay where they are until their turn
        lines = np.roll(tile.swapaxes(0, axis), high // 2, 0)
        made = _banded(lines, high, border + 1, taboo, rng, 1)
        tile = np.roll(made, -(high // 2), 0).swapaxes(0, axis)
    return tile


def _banded(
    tile: Floats,
    high: int,
    wide: int,
    taboo: NDArray[np.bool_],
    rng: np.random.Generator,
    choices: int = 4,
) -> Floats:
    """The tile with its first `high` rows from the tile itself, moved (down, right) by one of the
    `choices` that fit best, none of them `taboo` (N x N); the cuts lie in the first and the last
    `wide` of these rows."""
    side = len(tile)
    strips = [slice(0, wide), slice(high - wide, high)]
    looked_at = np.zeros((side, side, 1), np.float32)
    for strip in strips:
        looked_at[strip] = 1
    spectrum = np.fft.rfft2(tile, axes=(0, 1))
    alike = np.fft.rfft2(looked_at * tile, axes=(0, 1)) * spectrum.conj()
    power = np.fft.rfft2((tile**2).sum(2)).conj() * np.fft.rfft2(looked_at[..., 0])
    apart = np.fft.irfft2(power - 2 * alike.sum(2), (side, side))
    apart[taboo] = np.inf
    best = np.argsort(apart, axis=None)[: 8 * choices : 8]
    down, right = divmod(int(rng.choice(best)), side)
    moved = np.roll(tile, (down, right), (0, 1))
    cost = ((moved - tile) ** 2).sum(2)
    first, last = (_cut(cost[strip], True) for strip in strips)
    rows = np.arange(side)[:, None]
    share = ((rows > first) & (rows < high - wide + last)).astype(np.float32)
    share = blurred(share, max(0.5, _FEATHER * side))[..., None]
    made: Floats = tile + share * (moved - tile)
    return made
