"""Smaller and softer copies of a picture of which a part is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.image.torus import blurred

Floats = NDArray[Any]  # float32

_LEAST = 0.01  # of the weights, that known pixels must have


def smaller(picture: Floats, hole: Floats, factor: int) -> tuple[Floats, Floats]:
    """A copy `factor` times smaller, of known pixels only, and where it knows less than half."""
    if factor == 1:
        return picture, hole
    known = (~hole).astype(np.float32)
    share = pooled(known, factor)
    planes = (np.where(hole, np.float32(0), picture[..., c]) for c in range(3))  # whatever it holds
    total = np.stack([pooled(plane, factor) for plane in planes], 2)
    return total / np.maximum(share, 1e-6)[..., None], share < 0.5


def softer(picture: Floats, hole: Floats, deviation: float) -> Floats:
    """Means of the known pixels about each one, weighted by a Gaussian of this deviation in px:
    normalised convolution (Knutsson & Westin 1993). What knows nothing near stays as it is."""
    known = ~hole[..., None]
    both = np.concatenate([np.where(known, picture, np.float32(0)), known], 2, dtype=np.float32)
    both = blurred(both, deviation, (False, False))
    share = both[..., 3:]
    return np.where(share > _LEAST, both[..., :3] / np.maximum(share, _LEAST), picture)


def pooled(values: Floats, factor: int) -> Floats:
    """Means of `factor` x `factor` px, those at the end with the last px repeated."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % factor), (0, -width % factor)), mode="edge")
    made: Floats = padded.reshape(
        padded.shape[0] // factor, factor, padded.shape[1] // factor, factor
    ).mean((1, 3))
    return made
