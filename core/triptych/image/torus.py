"""Filters on pictures that have no edges: what leaves on one side comes in on the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32

_REACH = 3  # deviations of a Gaussian that are looked at


def blurred(values: Floats, deviation: float, around: tuple[bool, bool] = (True, True)) -> Floats:
    """H x W or H x W x C under a Gaussian of this deviation in px, float32.

    `around` says of rows and of columns whether they go on at the other end; else the last ones are
    repeated.
    """
    made: Floats = values.astype(np.float32, copy=False)
    for axis in (0, 1):
        size = values.shape[axis]
        edge = 0 if around[axis] else min(int(np.ceil(_REACH * deviation)), size)
        padding = [(0, 0)] * made.ndim
        padding[axis] = (edge, edge)
        wide: NDArray[Any] = np.pad(made, padding, "edge")
        pitch = np.fft.rfftfreq(size + 2 * edge)
        kept = np.exp(-2 * (np.pi * deviation * pitch) ** 2)
        kept = kept.reshape([-1 if place == axis else 1 for place in range(made.ndim)])
        wide = np.fft.irfft(np.fft.rfft(wide, axis=axis) * kept, size + 2 * edge, axis=axis)
        made = np.asarray(np.take(wide, range(edge, edge + size), axis), np.float32)
    return made


def slopes(height: Floats) -> tuple[Floats, Floats]:
    """The change of H x W per px to the right and downwards, by central differences."""
    right = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / 2
    down = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) / 2
    return right, down


def padded(values: Floats, edge: int) -> Floats:
    """H x W x C with `edge` px more on each side, of what lies there around the edges."""
    return np.pad(values, [(edge, edge), (edge, edge), (0, 0)], "wrap")
