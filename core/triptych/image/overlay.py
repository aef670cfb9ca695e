"""What the tasks on pictures share: masks, what is seen of the new over the old."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError
from triptych.image.resample import resized
from triptych.task import Parameter

Floats = NDArray[Any]  # float32

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_STRIP = 512  # rows that are blended at a time


def load_pixels(path: Path) -> Floats:
    """The pixels H x W x 3 of a picture file."""
    from triptych.image.picture import load

    return load(path).pixels


def mask_weights(
    mask: Path | Floats | None, feather: float, size: tuple[int, int]
) -> Floats | None:
    """The mask H x W with its edge softened by `feather` px; None where there is none."""
    if mask is None:
        return None
    weights = load_pixels(mask) @ LUMA if isinstance(mask, Path) else mask
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


def lay_over(
    picture: Floats,
    made: Floats,
    weights: Floats | None,
    strength: float = 1.0,
    colour: Callable[[Floats, Floats], Floats] = lambda _before, after: after,
) -> None:
    """Turn `made` into what is seen of it over `picture`, in place and strip by strip.

    `colour` says, of (before, after), in which colours it is seen.
    """
    for top in range(0, len(made), _STRIP):
        rows = slice(top, top + _STRIP)
        before, after = picture[rows], colour(picture[rows], made[rows])
        amount: Any = strength if weights is None else strength * weights[rows, :, None]
        made[rows] = np.clip((1 - amount) * before + amount * after, 0, 1)
        if weights is not None:  # untouched means untouched, to the last bit
            outside = weights[rows] == 0
            made[rows][outside] = before[outside]


def mask_parameters(help: str) -> tuple[Parameter, Parameter]:
    """Where a task works, and how soft the edge is."""
    return (
        Parameter("mask", "Mask", "mask", None, help, optional=True),
        Parameter(
            "feather",
            "Feather",
            "float",
            0.0,
            "Softness of the mask's edge.",
            minimum=0.0,
            maximum=500.0,
            step=1.0,
            unit="px",
            needs="mask",
        ),
    )


def to_network(picture: Floats) -> Floats:
    """H x W x C as 1 x C x H x W."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
