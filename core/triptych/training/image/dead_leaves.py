"""Pictures made by the dead leaves model, to learn on where there are no photographs.

Opaque shapes of scale-free sizes cover one another, which gives the edges, gradients and power
spectrum of natural pictures (Lee, Mumford & Huang 2001; for learning: Baradad et al. 2021).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter


def dead_leaves(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture `size` x `size` x 3 of shaded, textured shapes over a gradient ground."""
    palette = rng.uniform(0, 1, (8, 3)) * rng.uniform(0.5, 1) + rng.uniform(-0.1, 0.3)
    canvas = Image.fromarray(_shaded(size, (0, 0, size, size), palette, rng))
    for _ in range(int(rng.integers(60, 260))):
        # radii with density r^-3 between 2 % and 40 % of the side
        radius = size * 0.02 / np.sqrt(1 - rng.uniform() * (1 - (0.02 / 0.4) ** 2))
        x, y = rng.uniform(-0.1, 1.1, 2) * size
        corners = int(rng.integers(3, 8))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        blur = rng.uniform(1, 6) if rng.random() < 0.3 else 0.0  # out of focus
        reach = radius + 3 * blur + 1  # only the part that the shape covers is made
        left, top = (int(max(0, v - reach)) for v in (x, y))
        right, bottom = (int(min(size, v + reach + 1)) for v in (x, y))
        if left >= right or top >= bottom:
            continue
        mask = Image.new("L", (right - left, bottom - top))
        draw = ImageDraw.Draw(mask)
        x, y = x - left, y - top
        if rng.random() < 0.5:
            tall = radius * rng.uniform(0.4, 1)
            draw.ellipse((x - radius, y - tall, x + radius, y + tall), fill=255)
        else:
            points = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
            draw.polygon(points, fill=255)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur))
        leaf = Image.fromarray(_shaded(size, (left, top, right, bottom), palette, rng))
        canvas.paste(leaf, (left, top), mask)
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.6)))


def _shaded(
    size: int,
    box: tuple[int, int, int, int],
    palette: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """The part `box` (left, top, right, bottom) of a colour with a gradient across the picture and
    sometimes a grain."""
    left, top, right, bottom = box
    colour, other = palette[rng.integers(len(palette))], palette[rng.integers(len(palette))]
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    across, down = ramp[left:right] * np.cos(angle), ramp[top:bottom, None] * np.sin(angle)
    t = np.clip(0.5 + across + down, 0, 1)[..., None]
    values = colour + (other - colour) * t * rng.uniform(0, 0.6)
    if rng.random() < 0.4:
        cell = int(rng.choice([1, 2, 4, 8, 16]))
        height, width = bottom - top, right - left
        grain = rng.standard_normal((-(-height // cell), -(-width // cell)))
        pixels = np.kron(grain * rng.uniform(0.02, 0.15), np.ones((cell, cell)))
        values = values + pixels[:height, :width, None]
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)
