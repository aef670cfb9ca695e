"""Bicubic resampling as the super-resolution papers have it: MATLAB's `imresize`, antialiased."""

from __future__ import annotations

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
    made = resized(padded, height // factor + 2 * REACH, width // factor + 2 * REACH)
    return made[REACH:-REACH, REACH:-REACH]


def enlarge(picture: Floats, factor: int) -> Floats:
    """The picture H x W x C made `factor` times larger."""
    height, width = picture.shape[:2]
    made = resized(
        _mirrored(picture, REACH), factor * (height + 2 * REACH), factor * (width + 2 * REACH)
    )
    edge = REACH * factor
    return made[edge:-edge, edge:-edge]


def resized(picture: Floats, height: int, width: int) -> Floats:
    """`picture` H x W x C at another size by Pillow's bicubic filter; values may overshoot."""
    from PIL import Image

    planes = [
        Image.fromarray(np.ascontiguousarray(picture[..., channel], np.float32)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for channel in range(picture.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], 2)


def _mirrored(picture: Floats, edge: int) -> Floats:
    return np.pad(picture, ((edge, edge), (edge, edge), (0, 0)), "symmetric")
