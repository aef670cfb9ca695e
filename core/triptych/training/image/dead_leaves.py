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
    canvas = Image.fromarray(_shaded(size, palette, rng))
    for _ in range(int(rng.integers(60, 260))):
        # radii with density r^-3 between 2 % and 40 % of the side
        radius = size * 0.02 / np.sqrt(1 - rng.uniform() * (1 - (0.02 / 0.4) ** 2))
        x, y = rng.uniform(-0.1, 1.1, 2) * size
        corners = int(rng.integers(3, 8))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        mask = Image.new("L", (size, size))
        draw = ImageDraw.Draw(mask)
        if rng.random() < 0.5:
            tall = radius * rng.uniform(0.4, 1)
            draw.ellipse((x - radius, y - tall, x + radius, y + tall), fill=255)
        else:
            points = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
            draw.polygon(points, fill=255)
        if rng.random() < 0.3:  # out of focus
            mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(1, 6)))
        canvas.paste(Image.fromarray(_shaded(size, palette, rng)), (0, 0), mask)
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.6)))


def _shaded(size: int, palette: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A colour with a gradient across it and sometimes a grain."""
    colour, other = palette[rng.integers(len(palette))], palette[rng.integers(len(palette))]
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    t = np.clip(
        0.5 + (ramp[None] - 0.5) * np.cos(angle) + (ramp[:, None] - 0.5) * np.sin(angle), 0, 1
    )[..., None]
    values = colour + (other - colour) * t * rng.uniform(0, 0.6)
    if rng.random() < 0.4:
        cell = int(rng.choice([1, 2, 4, 8, 16]))
        side = -(-size // cell)
        grain = rng.standard_normal((side, side)) * rng.uniform(0.02, 0.15)
        pixels = np.kron(grain, np.ones((cell, cell)))[:size, :size]
        values = values + pixels[..., None]
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)
