"""Masks: read, made to fit a picture, softened; and pictures made smaller and larger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError

Floats = NDArray[Any]  # float32

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def fitted(mask: Path | Floats, feather: float, size: tuple[int, int]) -> Floats:
    """The mask H x W, 0..1, at `size` (height, width), its edge softened by `feather` px.

    UserError for a mask of another shape than the picture.
    """
    weights = _load(mask) @ LUMA if isinstance(mask, Path) else mask
    weights = np.clip(weights, 0, 1)
    if weights.shape != size:
        if not math.isclose(weights.shape[0] / weights.shape[1], size[0] / size[1], rel_tol=0.02):
            raise UserError(
                f"the mask has {weights.shape[1]} x {weights.shape[0]} pixels and the picture "
                f"{size[1]} x {size[0]}: give a mask of the picture's shape"
            )
        weights = resized(weights[..., None], size)[..., 0]
    if feather > 0:
        from PIL import Image, ImageFilter

        coded = Image.fromarray((weights * 255 + 0.5).astype(np.uint8))
        soft = coded.filter(ImageFilter.GaussianBlur(feather / 2))
        weights = np.asarray(soft, np.float32) / 255
    return weights


def resized(picture: Floats, size: Sequence[int], filter: str = "LANCZOS") -> Floats:
    """`picture` H x W x C at `size` (height, width), clipped to 0..1."""
    from PIL import Image

    height, width = (max(1, int(s)) for s in size)
    made = np.empty((height, width, picture.shape[2]), np.float32)
    for channel in range(picture.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(picture[..., channel]))
        made[..., channel] = np.asarray(plane.resize((width, height), Image.Resampling[filter]))
    return np.clip(made, 0, 1, out=made)


def _load(path: Path) -> Floats:
    from triptych.image.picture import load

    return load(path).pixels
