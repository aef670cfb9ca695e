"""What a hole in a picture is like: how far it reaches, which parts of it are compact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.image.pyramid import pooled

Floats = NDArray[Any]  # float32

_SMALL = 256  # longest side in px of the copy on which a hole is measured
_COMPACT = 1 / 3  # of a part's area, that a disc as wide as its reach has at least


def reach(hole: Floats) -> float:
    """How far the middle of a hole (H x W booleans) is from its edge, in px, about.

    The picture's border is no edge: nothing is known behind it.
    """
    factor = max(1, -(-max(hole.shape) // _SMALL))
    return float(factor * _reach(pooled(hole.astype(np.float32), factor) > 0.5))


def _reach(mask: Floats) -> int:
    """How often a mask can lose its rim, at least one px of it being known."""
    steps = 0
    while mask.any() and not mask.all():
        wide = np.pad(mask, 1, mode="edge")
        mask = mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
        steps += 1
    return steps


def _wider(mask: Floats) -> Floats:
    """The mask with the px beside it."""
    wide = np.pad(mask, 1)
    made: Floats = mask | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return made


def grown(mask: Floats, by: int) -> Floats:
    """The mask H x W, 0..1, spread by `by` px on every side."""
    if by == 0:
        return mask
    from PIL import Image, ImageFilter

    made = Image.fromarray((mask * 255 + 0.5).astype(np.uint8))
    for _ in range(by):  # many small steps are faster than one large filter
        made = made.filter(ImageFilter.MaxFilter(3))
    return np.asarray(made, np.float32) / 255


def narrow(hole: Floats, most: int) -> Floats:
    """The parts of a hole (H x W booleans) in which no square of 2 * most + 1 px has room."""
    inner = 1 - grown(1 - hole.astype(np.float32), most)
    made: Floats = hole & (grown(inner, most) < 0.5)
    return made


def compact(hole: Floats, least: float) -> Floats:
    """The parts of a hole (H x W booleans) that reach farther than `least` px and are about as long
    as wide, as what is to be removed is, and strokes and scratches are not."""
    factor = max(1, -(-max(hole.shape) // _SMALL))
    small = pooled(hole.astype(np.float32), factor) > 0.5
    found = np.zeros_like(small)
    if factor * _reach(small) <= least:
        return np.zeros_like(hole)
    parts = _parts(small)
    numbers, areas = np.unique(parts[small], return_counts=True)
    for number in numbers[factor * areas > least]:  # a smaller one reaches no farther
        part = parts == number
        steps = _reach(part)
        if factor * steps > least and np.pi * steps**2 > _COMPACT * part.sum():
            found |= part
    if factor > 1:  # the rim of a part lies in cells that are not mostly of the hole
        found = _wider(found)
    large = found.repeat(factor, 0).repeat(factor, 1)[: hole.shape[0], : hole.shape[1]]
    return large & hole


def _parts(mask: Floats) -> NDArray[np.int64]:
    """A number for each connected part of the mask, 0 outside."""
    parts = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        wide = np.pad(parts, 1)
        near = [wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]]
        spread = np.where(mask, np.maximum.reduce([parts, *near]), 0)
        if np.array_equal(spread, parts):
            return parts
        parts = spread
