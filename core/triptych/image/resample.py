"""Pictures at other sizes, also as the super-resolution papers have it: MATLAB's `imresize`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32

REACH = 4  # px of the smaller picture: what a pixel of either is made from, and beyond


def shrink(picture: Floats, factor: int) -> Floats:
    """The picture H x W x C made `factor` times smaller; H and W divide by it.

    Pillow's kernel (Keys 1981, a = -0.5, widened by the factor) is MATLAB's, only at the edge it
    is cut off where MATLAB's sees the picture mirrored; here the picture is mirrored for it.
    """
    height, width = picture.shape[:2]
    if height % factor or width % factor:
        raise ValueError(f"{height} x {width} px do not divide by {factor}")
    padded = _mirrored(picture, REACH * factor)
    size = height // factor + 2 * REACH, width // factor + 2 * REACH
    made = resampled(padded, size, "BICUBIC")
    return made[REACH:-REACH, REACH:-REACH]


def enlarge(picture: Floats, factor: int) -> Floats:
    """The picture H x W x C made `factor` times larger."""
    height, width = picture.shape[:2]
    size = factor * (height + 2 * REACH), factor * (width + 2 * REACH)
    made = resampled(_mirrored(picture, REACH), size, "BICUBIC")
    edge = REACH * factor
    return made[edge:-edge, edge:-edge]


def resized(picture: Floats, size: Sequence[int], filter: str = "LANCZOS") -> Floats:
    """`picture` at `size` (height, width), clipped to 0..1."""
    made = resampled(picture, size, filter)
    return np.clip(made, 0, 1, out=made)


def resampled(values: Floats, size: Sequence[int], filter: str = "LANCZOS") -> Floats:
    """H x W x C at `size` (height, width) by a filter of Pillow's; values may be any, and pass
    their bounds."""
    from PIL import Image

    height, width = (max(1, int(s)) for s in size)
    made = np.empty((height, width, values.shape[2]), np.float32)
    for channel in range(values.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(values[..., channel], np.float32))
        made[..., channel] = np.asarray(plane.resize((width, height), Image.Resampling[filter]))
    return made


def _mirrored(picture: Floats, edge: int) -> Floats:
    return np.pad(picture, ((edge, edge), (edge, edge), (0, 0)), "symmetric")
