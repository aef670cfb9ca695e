"""The one thing in a picture: found before a plain ground and cut out, as an encoder takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError

Array = NDArray[Any]

SIDE = 64  # pixels of the cut-out
FILLED = 0.875  # of the cut-out's side: the longer side of the thing
_LONGEST = 192  # pixels of the picture that is searched; a larger one is made smaller
_LEAST_APART = 0.07  # from the ground, of the range of a channel: what stands out
_PLAIN = 0.12  # what two of three pixels of the border may be away from the ground at most
_LEAST, _MOST = 0.002, 0.97  # of the picture, that the thing covers


def cut_out(pixels: Array, alpha: Array | None = None) -> Array:
    """The thing in a picture (H x W x 3, 0..1), as 3 x 64 x 64, float32.

    The channels are: what it covers, holes that the ground shows through filled (0..1); how much a
    pixel stands out from the ground (0..1); how much lighter it is than the ground (-1..1). The
    thing is what `alpha` (H x W, 0..1) shows, if it hides anything; else what differs from the
    ground, a colour that may change evenly across the picture, as its border has it.

    Raises:
        UserError: nothing stands out, or the ground is not plain.
    """
    pixels, alpha = _smaller(pixels, alpha)
    if alpha is not None and alpha.min() < 0.5:
        apart, lighter = alpha.astype(np.float32), (pixels.mean(2) - 0.5) * alpha
        stands = alpha > 0.5
    else:
        from_ground = pixels - _ground(pixels)
        apart = np.abs(from_ground).max(2)
        rim = _border(apart)
        if np.percentile(rim, 65) > _PLAIN:
            raise UserError(
                "the ground of the picture is not plain: use a picture of one thing on a ground of "
                "one colour, or a transparent one."
            )
        least = max(_LEAST_APART, 3 * float(np.percentile(rim, 60)))
        stands = _mean(apart) > least
        apart, lighter = (apart / (3 * least)).clip(0, 1), from_ground.mean(2)
    covered = stands.mean()
    if not _LEAST < covered < _MOST:
        raise UserError(
            "nothing stands out from the ground of the picture: use a picture of one thing on a "
            "ground of another colour."
        )
    rows, columns = np.flatnonzero(stands.any(1)), np.flatnonzero(stands.any(0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    filled = ~_reached(~stands)
    planes = [_cropped(plane, box) for plane in (filled.astype(np.float32), apart, lighter)]
    return np.stack(planes)


def _smaller(pixels: Array, alpha: Array | None) -> tuple[Array, Array | None]:
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest <= _LONGEST:
        return pixels, alpha
    size = tuple(max(1, round(side * _LONGEST / longest)) for side in (width, height))

    def made(plane: Array) -> Array:
        return _resampled(plane, (0, 0, width, height), size)

    planes = np.stack([made(pixels[..., channel]) for channel in range(3)], -1)
    return planes, None if alpha is None else made(alpha)


def _border(plane: Array) -> Array:
    """The outermost pixels of a picture, one after the other."""
    sides = (plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1])
    return np.concatenate(sides)


def _ground(pixels: Array) -> Array:
    """The ground's colour everywhere: linear in the place, as most of the border has it."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    terms = np.stack([np.ones_like(x), x / max(width - 1, 1), y / max(height - 1, 1)], -1)
    rim, colours = _border(terms), _border(pixels)
    constant = np.median(colours, 0)
    near = np.abs(colours - constant).max(1)
    chosen = near <= max(float(np.median(near)) * 2, 0.02)
    for _ in range(2):
        square = rim[chosen].T @ rim[chosen] + 0.05 * chosen.sum() * np.diag((0, 1, 1))
        own = colours[chosen] - constant
        slopes = np.linalg.solve(square + 1e-6 * np.eye(3), rim[chosen].T @ own)
        left = np.abs(colours - constant - rim @ slopes).max(1)
        chosen = left <= max(float(np.median(left)) * 2, 0.02)
    made: Array = (constant + terms @ slopes).astype(np.float32)
    return made


def _mean(plane: Array) -> Array:
    """The mean of each pixel and its neighbours, so that grains of noise stand out less."""
    wide = np.pad(plane, 1, mode="edge")
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    made: Array = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return made


def _reached(ways: Array) -> Array:
    """What of the `ways` (H x W, bool) can be reached from the border, from side to side."""
    found = np.zeros_like(ways)
    found[0], found[-1], found[:, 0], found[:, -1] = ways[0], ways[-1], ways[:, 0], ways[:, -1]
    sides = [(a, b) for x, y in ((found, ways), (found.T, ways.T)) for a, b in _both(x, y)]
    before = -1
    while (count := int(found.sum())) != before:
        before = count
        for turned, open_ in sides:  # views: what is written into them is found
            place = np.arange(len(open_), dtype=np.int32)[:, None]
            blocked = np.maximum.accumulate(np.where(open_, -1, place), 0)
            turned |= np.maximum.accumulate(np.where(turned, place, -1), 0) > blocked
    return found


def _both(one: Array, other: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return (one, other), (one[::-1], other[::-1])


def _cropped(plane: Array, box: tuple[int, int, int, int]) -> Array:
    """The square around the box at the cut-out's size."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) / FILLED
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    edge = int(np.ceil(side / 2)) + 1
    wide = np.pad(plane, edge)
    place = (x + edge, y + edge, x + edge + side, y + edge + side)
    return _resampled(wide, place, (SIDE, SIDE))


def _resampled(
    plane: Array, box: tuple[float, float, float, float], size: tuple[int, ...]
) -> Array:
    """What is in the box (left, top, right, bottom), at the size (wide, high), as Pillow does it,
    which Blender has not: each pixel the mean of those it covers, or between them."""
    left, top, right, bottom = box
    across = _shares(plane.shape[1], left, right, size[0])
    down = _shares(plane.shape[0], top, bottom, size[1])
    made: Array = (down @ plane.astype(np.float64) @ across.T).astype(np.float32)
    return made


def _shares(count: int, start: float, stop: float, size: int) -> Array:
    """How much of each of `count` pixels is in each of `size` between start and stop."""
    first, last = np.float32(start), np.float32(stop)  # rounded as Pillow does: ties are common
    scale = float(last - first) / size
    middle = float(first) + (np.arange(size) + 0.5) * scale
    apart = (np.arange(count) - middle[:, None] + 0.5) * (1 / max(scale, 1.0))
    if scale > 1:
        shares = ((apart > -0.5) & (apart <= 0.5)).astype(np.float64)
    else:
        shares = (1 - np.abs(apart)).clip(0)
    made: Array = shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)
    return made
