"""Reductions as pictures meet them: out of focus, resampled anyhow, noisy, saved as JPEG.

One round of the classical degradations (Wang et al. 2021, "Real-ESRGAN", first order), in the
order in which they happen; each is left out of some pictures, so that clean ones stay known.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Bytes = NDArray[np.uint8]

_FILTERS = ("BICUBIC", "BILINEAR", "BOX", "LANCZOS")
_BLUR = 0.8  # sigma in px of the small picture, at most
_NOISE = 12.0  # standard deviation in 8-bit codes, at most
_QUALITY = (40, 95)  # of the JPEG


def degrade(large: Bytes, scale: int, rng: np.random.Generator, strength: float = 1.0) -> Bytes:
    """A large picture s*h x s*w x 3 as a small one h x w x 3; `strength` 0..1 scales the damage."""
    image = Image.fromarray(np.ascontiguousarray(large))
    if rng.random() < 0.7:
        sigma = rng.uniform(0, _BLUR) * scale * strength
        image = image.filter(ImageFilter.GaussianBlur(sigma))
    size = (image.width // scale, image.height // scale)
    image = image.resize(size, Image.Resampling[str(rng.choice(_FILTERS))])
    if rng.random() < 0.5:
        image = _noisy(image, rng, strength)
    if rng.random() < 0.5:
        low, high = _QUALITY
        quality = round(high - (high - low) * strength * rng.random())
        file = io.BytesIO()
        image.save(file, "jpeg", quality=quality, subsampling=int(rng.choice((0, 2))))
        image = Image.open(file)
    return np.asarray(image)


def _noisy(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Noise of each colour, or the same of all three."""
    codes: NDArray[Any] = np.asarray(image).astype(np.float32)
    channels = 3 if rng.random() < 0.6 else 1
    deviation = rng.uniform(0, _NOISE) * strength
    codes += deviation * rng.standard_normal((*codes.shape[:2], channels), np.float32)
    return Image.fromarray((codes.clip(0, 255) + 0.5).astype(np.uint8))
