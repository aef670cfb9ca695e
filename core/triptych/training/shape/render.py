"""Small pictures of distance fields, by sphere tracing (Hart 1996): to look at, not to ship."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from triptych.training.shape.samples import slope

Distance = Callable[[np.ndarray], np.ndarray]
"""Signed distances (N) of points N x 3 in the normalised cube."""

_GROUND = np.array([236, 236, 238], np.float32)
_CLAY = np.array([214, 188, 160], np.float32)
_STEPS = 90


def picture(
    distance: Distance, side: int = 112, turn: float = 35.0, lift: float = 22.0
) -> np.ndarray:
    """A shape seen from `turn` degrees to the right and `lift` degrees above (side x side x 3)."""
    a, b = np.radians(turn), np.radians(lift)
    towards = np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    right = np.array([np.cos(a), 0, -np.sin(a)])
    up = np.cross(towards, right)
    span = (np.arange(side) + 0.5) / side * 2 - 1
    u, v = np.meshgrid(1.42 * span, -1.42 * span)
    start = u.ravel()[:, None] * right + v.ravel()[:, None] * up + 1.75 * towards
    points, hit = _trace(distance, start.astype(np.float32), -towards.astype(np.float32), 3.5)
    out = np.tile(_GROUND, (side * side, 1))
    if hit.any():
        out[hit] = _shaded(distance, points[hit], right, up, towards)
    return out.reshape(side, side, 3).clip(0, 255).astype(np.uint8)


def sheet(rows: Sequence[Sequence[Distance]], side: int = 112) -> Image.Image:
    """The pictures of shapes in rows."""
    wide = max(len(row) for row in rows)
    made = Image.new("RGB", (wide * side, len(rows) * side), "white")
    for y, row in enumerate(rows):
        for x, distance in enumerate(row):
            made.paste(Image.fromarray(picture(distance, side)), (x * side, y * side))
    return made


def _trace(
    distance: Distance, points: np.ndarray, along: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points on the surface, and which of them are on it."""
    gone = np.zeros(len(points), np.float32)
    hit = np.zeros(len(points), bool)
    active = np.arange(len(points))
    for _ in range(_STEPS):
        far = distance(points[active])
        on = far < 0.002
        hit[active[on]] = True
        active, far = active[~on], far[~on]
        step = np.clip(0.85 * far, 0.002, 0.5)
        points[active] += step[:, None] * along
        gone[active] += step
        active = active[gone[active] < reach]
        if not len(active):
            break
    return points, hit


def _shaded(
    distance: Distance, points: np.ndarray, right: np.ndarray, up: np.ndarray, towards: np.ndarray
) -> np.ndarray:
    normals, _ = slope(distance, points, 0.004)
    key = 0.5 * right * -1 + 0.75 * up + 0.6 * towards
    key /= np.linalg.norm(key)
    light = np.maximum(normals @ key.astype(np.float32), 0)
    fill = 0.5 + 0.5 * normals @ up.astype(np.float32)
    near = distance(points + 0.06 * normals) / 0.06  # ambient occlusion, two steps
    wide = distance(points + 0.16 * normals) / 0.1
    open_ = np.clip(0.5 * near + 0.5 * np.minimum(wide, 1), 0.15, 1)
    shade = (0.25 + 0.35 * fill) * open_ + 0.5 * light * (0.4 + 0.6 * open_)
    return _CLAY * shade[:, None]
