"""Quick pictures of shapes from their stored surface points, as the layers of a rendering.

They are coarse, but there is one of any shape from anywhere at once: a network sees each shape only
a few times. Blender's renderings (`pictures`) then show it how things really look.
"""

from __future__ import annotations

import numpy as np

from triptych.training.shape.pictures import CELL, View, framed, lines, seen, turned

_REACH = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)])


def splatted(surface: np.ndarray, view: View, rng: np.random.Generator) -> np.ndarray:
    """The layers (7 x 72 x 72, float32, 0..1) of surface points and normals N x 6 in the cube."""
    places, scale, middle = framed(seen(surface[:, :3], view))
    normals = surface[:, 3:] @ turned(view)
    hit = _nearest(places)
    on = hit >= 0
    normal = np.where(on[..., None], normals[hit], 0)
    depth = np.where(on, 20 - places[hit, 2], np.inf)
    for _ in range(2):
        normal = _smooth(normal)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
    contour, crease = lines(normal, depth, on.astype(np.float32), 0.4)

    light = _light(rng)
    lit = rng.uniform(0.15, 0.6) * (0.7 + 0.3 * normal[..., 1])
    lit = lit + rng.uniform(0.3, 0.9) * (normal @ light).clip(0)
    colour = rng.uniform(0.05, 0.95) * (0.4 + 0.6 * rng.random(3))
    mask = _smooth(on.astype(np.float32)[..., None])[..., 0] * 0.5 + 0.5 * on
    shaded = colour[:, None, None] * lit * mask
    made = [*np.sqrt(shaded.clip(0, 1)), mask, np.zeros_like(mask), contour, crease]
    if view.elevation > 12 and rng.random() < 0.7:
        made[4] = _shadow(surface[:, :3], view, light, scale, middle)
    return np.stack(made).astype(np.float32)


def _light(rng: np.random.Generator) -> np.ndarray:
    """The way to the lamp, in the camera's frame."""
    slant, way = np.radians((rng.uniform(15, 58), rng.uniform(25, 155)))
    return np.array([np.cos(way) * np.sin(slant), np.sin(way) * np.sin(slant), np.cos(slant)])


def _nearest(places: np.ndarray) -> np.ndarray:
    """For each pixel the number of the nearest point there, -1 where there is none.

    A point covers three by three pixels; what this adds around the shape is taken off again.
    """
    order = np.argsort(places[:, 2])  # the last to be written is the nearest
    pixel = np.floor((places[order, :2] * (1, -1) + 1) * (CELL / 2)).astype(int)[:, ::-1]
    around = (pixel[:, None] + _REACH).clip(0, CELL - 1)
    flat = np.full(CELL * CELL, -1)
    flat[(around[..., 0] * CELL + around[..., 1]).ravel()] = np.repeat(order, len(_REACH))
    made = flat.reshape(CELL, CELL)
    on = np.pad(made >= 0, 1)
    inner = np.ones((CELL, CELL), bool)
    for y, x in _REACH + 1:
        inner &= on[y : y + CELL, x : x + CELL]
    return np.where(inner, made, -1)


def _shadow(
    points: np.ndarray, view: View, light: np.ndarray, scale: float, middle: np.ndarray
) -> np.ndarray:
    """How dark each pixel of the ground is, from 0 to 1."""
    way = turned(view) @ light  # in the cube
    if way[1] < 0.2:
        return np.zeros((CELL, CELL))
    low = points[:, 1].min()
    fallen = points - ((points[:, 1] - low) / way[1])[:, None] * way
    places = (seen(fallen, view) - middle) * scale
    within = (np.abs(places[:, :2]) < 0.98).all(1)
    dark = (_nearest(places[within]) >= 0).astype(np.float32)[..., None]
    for _ in range(3):
        dark = _smooth(dark)
    return dark[..., 0]


def _smooth(planes: np.ndarray) -> np.ndarray:
    """The mean over three by three pixels (H x W x C)."""
    wide = np.pad(planes, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
