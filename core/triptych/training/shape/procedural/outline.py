"""Plane curves: closed polygons, splines, and the signed distance to a polygon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator, make_interp_spline

_CELLS = 160  # of a table's longer side


def ring(count: int) -> np.ndarray:
    """`count` points on the unit circle."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], -1)


def curve(points: Sequence[Sequence[float]] | np.ndarray, count: int = 16) -> np.ndarray:
    """A smooth curve through `points` (K x D): `count` points of a cubic spline."""
    given = np.asarray(points, np.float64)
    steps = np.linalg.norm(np.diff(given, axis=0), axis=1) ** 0.5  # centripetal
    place = np.concatenate([[0], np.cumsum(np.maximum(steps, 1e-6))])
    spline = make_interp_spline(place, given, k=min(3, len(given) - 1))
    return np.asarray(spline(np.linspace(0, place[-1], count)))


def profile(keys: Sequence[Sequence[float]], count: int = 28) -> np.ndarray:
    """(radius, height) through keys of rising (height, radius), without overshoot."""
    heights, radii = np.asarray(keys, np.float64).T
    at = np.linspace(heights[0], heights[-1], count)
    return np.stack([PchipInterpolator(heights, radii)(at), at], -1)


def solid_profile(keys: Sequence[Sequence[float]], count: int = 28) -> np.ndarray:
    """The closed polygon of a solid turned from keys of (height, radius)."""
    outer = profile(keys, count)
    return np.concatenate([[[0, outer[0, 1]]], outer, [[0, outer[-1, 1]]]])


def hollow_profile(
    keys: Sequence[Sequence[float]], wall: float, base: float, count: int = 26
) -> np.ndarray:
    """The closed polygon of a vessel with an outside of such keys, a `wall` and a `base`."""
    outer = profile(keys, count)
    low = outer[0, 1] + base
    inner = outer[outer[:, 1] > low]
    along = np.gradient(outer, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    inwards = np.stack([-along[:, 1], along[:, 0]], -1)
    moved = outer + wall * inwards
    moved[:, 0] = np.maximum(moved[:, 0], 0.15 * wall)
    inner = moved[moved[:, 1] > low]
    inner = inner[np.concatenate([[True], np.diff(inner[:, 1]) > 1e-5])]
    rim = [[(outer[-1, 0] + inner[-1, 0]) / 2, outer[-1, 1] + 0.25 * wall]]
    inner[-1, 1] = outer[-1, 1]
    floor = [[0, low], [0, outer[0, 1]]]
    floor[0:0] = [[float(inner[0, 0]), low]] if inner[0, 1] > low + 1e-4 else []
    return np.concatenate([outer, rim, inner[::-1], floor])


def ribbon(points: np.ndarray, thick: float | np.ndarray) -> np.ndarray:
    """The closed polygon of a plane curve K x 2 drawn with a pen of width `thick`."""
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], -1)
    across = across * np.broadcast_to(np.asarray(thick) / 2, len(points))[:, None]
    return np.concatenate([points + across, (points - across)[::-1]])


def rectangle(width: float, height: float, corner: float = 0.0, each: int = 5) -> np.ndarray:
    """A rectangle around the origin with rounded corners."""
    corner = min(corner, 0.499 * min(width, height))
    if corner <= 1e-4:
        return np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [width / 2, height / 2]
    parts = []
    for index, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        turn = np.pi / 2 * (index + np.linspace(0, 1, each))
        middle = [sx * (width / 2 - corner), sy * (height / 2 - corner)]
        parts.append(middle + corner * np.stack([np.cos(turn), np.sin(turn)], -1))
    return np.concatenate(parts)


def oval(width: float, height: float, power: float = 2.0, count: int = 40) -> np.ndarray:
    """A superellipse around the origin: 2 is an ellipse, more is squarer."""
    unit = ring(count)
    return np.sign(unit) * np.abs(unit) ** (2 / power) * [width / 2, height / 2]


def polygon_distance(u: np.ndarray, v: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """The signed distance of points of the plane to a closed polygon, negative inside."""
    best = np.full(u.shape, np.inf, np.float32)
    inside = np.zeros(u.shape, bool)
    for start, end in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        au, av = float(start[0]), float(start[1])
        eu, ev = float(end[0] - start[0]), float(end[1] - start[1])
        square = eu * eu + ev * ev
        if square < 1e-14:
            continue
        pu, pv = u - au, v - av
        t = np.clip((pu * eu + pv * ev) / square, 0, 1)
        du, dv = pu - eu * t, pv - ev * t
        np.minimum(best, du * du + dv * dv, out=best)
        if ev:
            # compared as they are: a vertex must be above for both of its edges or for neither
            crosses = (v >= np.float32(av)) != (v >= np.float32(end[1]))
            crosses &= pu < pv * (eu / ev)
            inside ^= crosses
    far = np.sqrt(best)
    return np.where(inside, -far, far)


class Table:
    """The distance to a polygon of many vertices, on a grid and bilinear in between."""

    def __init__(self, polygon: np.ndarray) -> None:
        low, high = polygon.min(0), polygon.max(0)
        step = float((high - low).max()) / _CELLS
        low, high = low - 4 * step, high + 4 * step
        count = np.ceil((high - low) / step).astype(int) + 1
        self.low, self.step = [float(v) for v in low], step
        self.last = [float(c) - 1.001 for c in count]
        grid = np.meshgrid(*(low[i] + step * np.arange(count[i]) for i in (0, 1)), indexing="ij")
        u, v = (g.ravel().astype(np.float32) for g in grid)
        self.values, self.row = polygon_distance(u, v, polygon), int(count[1])

    def __call__(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        u, v = (u - self.low[0]) / self.step, (v - self.low[1]) / self.step
        cu, cv = np.clip(u, 0, self.last[0]), np.clip(v, 0, self.last[1])
        iu, iv = cu.astype(np.int32), cv.astype(np.int32)
        fu, fv = cu - iu, cv - iv
        at = iu * self.row + iv
        take = self.values.take
        first = take(at) * (1 - fv) + take(at + 1) * fv
        at += self.row
        second = take(at) * (1 - fv) + take(at + 1) * fv
        u -= cu
        v -= cv
        beyond = np.sqrt(u * u + v * v) * self.step
        return first + fu * (second - first) + beyond
