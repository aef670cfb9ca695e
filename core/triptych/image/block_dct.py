"""Tiles in little space: the transform of JPEG (T.81, section A.3) with uniform steps, in numpy.

What comes of it is mostly zeros, which the compression of an .npz makes small. An image library
would do as well, but Blender's Python has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32

_SIDE = 8  # px of a block
_MEAN_STEP = 8.0  # of a block's mean: whole codes of 255
_COLOUR = np.array(
    [[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32
)


def _waves() -> Floats:
    """The orthonormal cosine transform: frequencies x px."""
    n = np.arange(_SIDE)
    made = np.cos(np.pi * (2 * n + 1) * n[:, None] / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
    made[0] /= np.sqrt(2)
    return np.asarray(made, np.float32)


def _steps() -> Floats:
    """How coarse each frequency is kept, 3 x 8 x 8: fine ones and colours coarser."""
    down, right = np.indices((_SIDE, _SIDE))
    light = 4 + np.hypot(down, right)
    made = np.stack([light, 2 * light, 2 * light])
    made[:, 0, 0] = _MEAN_STEP
    return made.astype(np.float32)


def packed(tiles: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Tiles N x H x W x 3 (sides multiples of 8) as N x 3 x 8 x 8 x H/8 x W/8, by frequency."""
    count, height, width, _ = tiles.shape
    planes = (tiles.astype(np.float32) - 128) @ _COLOUR.T
    blocks = planes.reshape(count, height // _SIDE, _SIDE, width // _SIDE, _SIDE, 3)
    found = np.einsum("uy,nbycxk,vx->nkuvbc", _waves(), blocks, _waves(), optimize=True)
    kept = (found / _steps()[:, :, :, None, None]).round().clip(-127, 127)
    return np.asarray(kept, np.int8)


def unpacked(stored: NDArray[np.int8]) -> Floats:
    """The tiles N x H x W x 3 of what `packed` made, 0..1."""
    count, _, _, _, down, right = stored.shape
    found = stored * _steps()[:, :, :, None, None]
    planes = np.einsum("uy,nkuvbc,vx->nbycxk", _waves(), found, _waves(), optimize=True)
    planes = planes.reshape(count, down * _SIDE, right * _SIDE, 3)
    made: Floats = (planes @ np.linalg.inv(_COLOUR).T + 128) / 255
    return made.clip(0, 1).astype(np.float32)
