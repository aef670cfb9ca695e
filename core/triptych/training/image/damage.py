"""Damage to learn restoring from: cracks, scratches, stains, aged colours, noise, JPEG blocks.

Pictures are float32 H x W x 3, sRGB 0..1; opacities are float32 H x W, 0..1.
"""

from __future__ import annotations

import io
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from triptych.image.restore import VARNISH, Tone
from triptych.training.image.holes import scratches

Floats = NDArray[Any]  # float32

KINDS = ("scratches", "stains", "cracks")
"""What lies over a picture, in the order of `Overlay.shares`."""


@dataclass
class Overlay:
    """A damaged picture, and of each of KINDS how much it hides: H x W x 3."""

    picture: Floats
    shares: Floats


def overlaid(picture: Floats, rng: np.random.Generator) -> Overlay:
    """The picture under cracks, stains and scratches; each is left out of some pictures."""
    height, width = picture.shape[:2]
    shares = np.zeros((height, width, len(KINDS)), np.float32)
    made = picture.copy()
    if rng.random() < 0.5:
        shares[..., 2] = share = cracks(height, width, rng)
        dark = rng.random() < 0.8
        ink = made * rng.uniform(0.1, 0.5) if dark else made + (1 - made) * rng.uniform(0.4, 0.8)
        made += share[..., None] * (ink - made)
    if rng.random() < 0.4:
        shares[..., 1], made = _stained(made, rng)
    if rng.random() < 0.5:
        hidden = Image.fromarray(scratches(height, width, rng)).convert("L")
        soft = hidden.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9)))
        shares[..., 0] = share = np.asarray(soft, np.float32) / 255 * rng.uniform(0.6, 1)
        level = rng.uniform(0.75, 1) if rng.random() < 0.7 else rng.uniform(0, 0.2)
        ink = (level * (1 - rng.uniform(0, 0.15, 3))).astype(np.float32)
        made += share[..., None] * (ink + 0.06 * field(height, width, 30, rng)[..., None] - made)
    return Overlay(made.clip(0, 1), shares)


def cracks(height: int, width: int, rng: np.random.Generator) -> Floats:
    """Craquelure or, at times, long cracks as wood and canvas get, H x W: the bent borders of small
    or of large Voronoi cells, wide here and gone there."""
    cell = rng.uniform(60, 250) if rng.random() < 0.3 else rng.uniform(10, 45)
    stretch = np.exp(rng.uniform(-0.5, 0.5))
    turn = rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for bend, span in ((cell * rng.uniform(0.1, 0.4), 2 * cell), (rng.uniform(0, 3), 10)):
        x = x + bend * field(height, width, span, rng)
        y = y + bend * field(height, width, span, rng)
    u = (x * np.cos(turn) + y * np.sin(turn)) / (cell * stretch)
    v = (y * np.cos(turn) - x * np.sin(turn)) / (cell / stretch)
    at_u, at_v = np.floor(u).astype(int), np.floor(v).astype(int)
    low_u, low_v = at_u.min() - 1, at_v.min() - 1
    grid = rng.random((at_u.max() - low_u + 2, at_v.max() - low_v + 2, 2), np.float32)
    nearest = np.full((2, height, width), np.inf, np.float32)
    for du in (-1, 0, 1):
        for dv in (-1, 0, 1):
            place = grid[at_u + du - low_u, at_v + dv - low_v]
            away = np.hypot(at_u + du + place[..., 0] - u, at_v + dv + place[..., 1] - v)
            nearest[1] = np.minimum(nearest[1], np.maximum(nearest[0], away))
            nearest[0] = np.minimum(nearest[0], away)
    border = (nearest[1] - nearest[0]) * cell / 2  # px from the border, about
    half = rng.uniform(0.1, 0.9) * (1 + 0.5 * field(height, width, 20, rng))
    where = np.clip(4 * (field(height, width, 80, rng) + rng.uniform(-0.3, 1)), 0, 1)
    where = where * np.clip(3 * (field(height, width, 15, rng) + 0.7), 0, 1)
    made: Floats = np.clip(half + 0.5 - border, 0, 1) * where * rng.uniform(0.5, 1)
    return made.astype(np.float32)


def _stained(picture: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """How much stains hide of the picture, and the picture with them: foxing, drops, with rims."""
    height, width = picture.shape[:2]
    size = rng.uniform(12, 70)
    level = field(height, width, size, rng) + 0.25 * field(height, width, size / 4, rng)
    above = level - rng.uniform(0.45, 0.9)
    share = np.clip(above * size / rng.uniform(2, 12), 0, 1)
    rim = np.exp(-((above * size / 2) ** 2)) * rng.uniform(0, 0.5)
    strength = np.clip(share * rng.uniform(0.2, 0.7) + rim * (share > 0), 0, 0.85)[..., None]
    colour = np.array([0.55, 0.4, 0.2], np.float32) * rng.uniform(0.4, 1.4)
    colour = colour + rng.uniform(-0.08, 0.08, 3)
    ink: Floats = picture * colour * 1.3 if rng.random() < 0.5 else colour
    made = picture + strength * (ink - picture)
    return strength[..., 0].astype(np.float32), made.clip(0, 1).astype(np.float32)


def field(height: int, width: int, cell: float, rng: np.random.Generator) -> Floats:
    """Smooth noise H x W, about within -1..1, that changes every `cell` px."""
    size = max(2, round(width / cell) + 1), max(2, round(height / cell) + 1)
    coarse = Image.fromarray(rng.uniform(-1, 1, size[::-1]).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def any_tone(rng: np.random.Generator) -> Tone:
    """How a picture may have faded and yellowed; half of the pictures have not."""
    faded, yellowed = rng.random(2) < 0.65
    black, white, colour = (rng.random(3) * (0.25, 0.3, 0.6)) * faded
    return Tone(float(black), float(1 - white), float(1 - colour), float(yellowed * rng.random()))


def aged(picture: Floats, tone: Tone) -> Floats:
    """The picture as it looks after that."""
    black, white, colour, varnish = astuple(tone)
    grey = picture.mean(2, keepdims=True)
    made = black + (white - black) * (grey + colour * (picture - grey))
    return (made * np.exp(-varnish * VARNISH)).astype(np.float32)


def noisy(picture: Floats, rng: np.random.Generator) -> Floats:
    """Noise or film grain added; some pictures are left as they are. It is not clipped."""
    if rng.random() < 0.25:
        return picture
    height, width = picture.shape[:2]
    deviation = rng.uniform(0, 25) / 255
    channels = 3 if rng.random() < 0.6 else 1
    grain: Floats = rng.standard_normal((height, width, channels), np.float32)
    if rng.random() < 0.5:  # grain of a film is larger than a pixel
        wide = np.pad(grain, ((1, 1), (1, 1), (0, 0)), mode="wrap")
        near = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        grain = (2 * grain + near) / 2**1.5 / 2**0.5
    return picture + np.float32(deviation) * grain


def saved(picture: Floats, rng: np.random.Generator) -> Floats:
    """The picture after a JPEG; some are left as they are, in 8 bits."""
    coded = Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    if rng.random() < 0.7:
        file = io.BytesIO()
        quality = round(100 * rng.uniform(0.1, 0.9))
        coded.save(file, "jpeg", quality=quality, subsampling=int(rng.choice((0, 2))))
        coded = Image.open(file)
    return np.asarray(coded, np.float32) / 255
