"""Holes to learn and to measure inpainting with: strokes, patches, scratches."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw


def strokes(height: int, width: int, rng: np.random.Generator, count: int = 1) -> np.ndarray:
    """Brush strokes as a person erases, H x W booleans (Yu et al. 2019, "Free-form", algorithm 1).

    Their width and length grow with the picture.
    """
    side = min(height, width)
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        brush = rng.uniform(0.03, 0.12) * side
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        angle = rng.uniform(0, 2 * math.pi)
        for _ in range(int(rng.integers(2, 10))):
            angle += rng.uniform(-1.2, 1.2)
            length = rng.uniform(0.05, 0.25) * side
            to_x, to_y = x + length * math.cos(angle), y + length * math.sin(angle)
            draw.line((x, y, to_x, to_y), 1, round(brush))
            for at_x, at_y in ((x, y), (to_x, to_y)):
                draw.circle((at_x, at_y), brush / 2, 1)
            x, y = float(np.clip(to_x, 0, width)), float(np.clip(to_y, 0, height))
    return np.array(canvas)


def scratches(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Thin lines and specks, as on old photographs, H x W booleans."""
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    side = min(height, width)
    for _ in range(int(rng.integers(2, 10))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        angle, length = rng.uniform(0, math.pi), rng.uniform(0.2, 1.2) * side
        points = [(x, y)]
        for _ in range(6):
            angle += rng.normal(0, 0.1)
            x, y = x + length / 6 * math.cos(angle), y + length / 6 * math.sin(angle)
            points.append((x, y))
        draw.line(points, 1, int(rng.integers(1, 5)), "curve")
    for _ in range(int(rng.integers(0, 30))):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.5, 4)
        draw.ellipse((x - r, y - r, x + r, y + r), 1)
    return np.array(canvas)


def patches(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """One to three boxes or ellipses, or what extends a picture, H x W booleans."""
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    if rng.random() < 0.3:
        return edges(height, width, rng)
    for _ in range(int(rng.integers(1, 4))):
        w, h = rng.uniform(0.08, 0.4, 2) * (width, height)
        x, y = rng.uniform(-0.2 * w, width - 0.8 * w), rng.uniform(-0.2 * h, height - 0.8 * h)
        shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
        shape((x, y, x + w, y + h), 1)
    return np.array(canvas)


def edges(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """What extends a picture: a strip at one side, or at two that meet, H x W booleans."""
    made = np.zeros((height, width), bool)
    for side in rng.permutation(4)[: 1 + int(rng.random() < 0.3)]:
        part = rng.uniform(0.08, 0.3)
        if side < 2:
            strip = made if side else made[:, ::-1]
            strip[:, : max(1, round(part * width))] = True
        else:
            strip = made if side == 2 else made[::-1]
            strip[: max(1, round(part * height))] = True
    return made


def any_hole(height: int, width: int, rng: np.random.Generator, most: float = 0.5) -> np.ndarray:
    """A hole of any kind that takes a part of the picture, at most `most` of it."""
    while True:
        kind = rng.random()
        if kind < 0.55:
            made = strokes(height, width, rng, int(rng.integers(1, 6)))
        elif kind < 0.75:
            made = scratches(height, width, rng)
        else:
            made = patches(height, width, rng)
        if 0 < made.mean() <= most:
            return made


def hole_of(height: int, width: int, low: float, high: float, seed: int) -> np.ndarray:
    """Strokes that take from `low` to `high` of a picture: always the same for a seed."""
    rng = np.random.default_rng(seed)
    made = np.zeros((height, width), bool)
    while not low <= made.mean() < high:
        if made.mean() >= high:
            made[:] = False
        made |= strokes(height, width, rng)
    return made
