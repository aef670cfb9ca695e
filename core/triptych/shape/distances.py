"""Signed distances from a mesh to the nodes of a grid. The mesh need not be closed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SAMPLES, _SETS = 16384, 4  # points on the mesh; sets, of each of which the nearest is looked at
_ROWS = 512  # nodes at once: bounds the memory
_BESIDE = 12  # neighbours of a vertex, and triangles at it, that are looked at
_PAIRS = 1 << 20  # of a triangle and a line at once
_ASIDE = (1.37e-4, 2.11e-4)  # of a step: lines pass beside the edges of regular meshes


def signed_distances(vertices: Array, faces: Array, axes: tuple[Array, Array, Array]) -> Array:
    """Distances, negative inside, at the nodes of a grid, x slowest (float32, flat).

    `axes` are the coordinates of its nodes along x, y and z, ascending. What is inside is told by
    the winding number along the six directions of the grid; where these differ (the mesh has
    holes), by their mean.
    """
    vertices = vertices.astype(np.float64)
    winding = np.mean([_winding(vertices, faces, axes, axis) for axis in range(3)], 0)
    if (winding < -0.5).sum() > (winding > 0.5).sum():  # the normals point inwards
        winding = -winding
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    far = _distances(vertices, faces, grid)
    made: Array = np.where(winding.reshape(-1) >= 0.5, -far, far).astype(np.float32)
    return made


def _winding(vertices: Array, faces: Array, axes: tuple[Array, ...], axis: int) -> Array:
    """The mean of the winding numbers along one axis, forwards and back, at all nodes."""
    b, c = (axis + 1) % 3, (axis + 2) % 3
    lines = [axes[o] + (axes[o][1] - axes[o][0]) * s for o, s in zip((b, c), _ASIDE, strict=True)]
    height, counts = axes[axis], [len(line) for line in lines]
    crossed = np.zeros((counts[0] * counts[1], len(height) + 1))
    corners = vertices[faces][:, :, [b, c, axis]]
    low, high = corners.min(1), corners.max(1)
    first = [np.searchsorted(line, low[:, i]) for i, line in enumerate(lines)]
    many = [np.searchsorted(line, high[:, i]) - first[i] for i, line in enumerate(lines)]
    pairs = many[0] * many[1]
    found = np.flatnonzero(pairs)
    ends = np.cumsum(pairs[found])
    start = 0
    while start < len(found):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS, "right")))
        some = found[start:stop]
        owner = np.repeat(some, pairs[some])
        within = np.arange(len(owner)) - np.repeat(
            np.cumsum(pairs[some]) - pairs[some], pairs[some]
        )
        at_b = first[0][owner] + within // many[1][owner]
        at_c = first[1][owner] + within % many[1][owner]
        line = at_b * counts[1] + at_c
        _cross(crossed, corners[owner], lines[0][at_b], lines[1][at_c], line, height)
        start = stop
    # A line that leaves the solid above a node began inside, and so did one that enters below it.
    above = np.cumsum(crossed[:, ::-1], 1)[:, ::-1][:, 1:]
    below = -np.cumsum(crossed, 1)[:, :-1]
    mean = ((above + below) / 2).reshape(*counts, len(height))
    return np.moveaxis(mean, (0, 1, 2), (b, c, axis))


def _cross(crossed: Array, corners: Array, u: Array, v: Array, line: Array, height: Array) -> None:
    """Add to `crossed` (lines x gaps between nodes) where lines pass through triangles.

    1 where a line comes out of the front of the triangle, -1 where it goes in.
    """
    apart = corners[:, :, :2] - np.stack([u, v], 1)[:, None]
    share = np.stack(
        [
            apart[:, (k + 1) % 3, 0] * apart[:, (k + 2) % 3, 1]
            - apart[:, (k + 1) % 3, 1] * apart[:, (k + 2) % 3, 0]
            for k in range(3)
        ],
        1,
    )
    total = share.sum(1)
    hit = ((share > 0).all(1) | (share < 0).all(1)) & (total != 0)
    share, total = share[hit], total[hit]
    place = (share * corners[hit][:, :, 2]).sum(1) / total
    gap = np.searchsorted(height, place)
    np.add.at(crossed, (line[hit], gap), np.sign(total))


def _distances(vertices: Array, faces: Array, places: Array) -> Array:
    """The distance from each place (N x 3) to the mesh.

    The triangles at the nearest of some points all over the mesh are looked at, and those around
    the vertex to which a walk from there leads, from a vertex to the one beside it that is nearest
    to the place: where triangles are small, there are more of them than points.
    """
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(across, axis=1)
    share = np.cumsum(area if area.sum() > 0 else np.ones(len(faces)))
    # Evenly over the faces, and within one by the sequence R2 (Roberts 2018).
    order = np.arange(_SAMPLES).reshape(-1, _SETS).T.ravel()
    face = np.searchsorted(share, (order + 0.5) / _SAMPLES * share[-1]).clip(max=len(faces) - 1)
    u, v = (order * 0.7548776662466927) % 1, (order * 0.5698402909980532) % 1
    over = u + v > 1
    u, v = np.where(over, 1 - u, u)[:, None], np.where(over, 1 - v, v)[:, None]
    a, b, c = (corners[face, k] for k in range(3))
    points = (a + u * (b - a) + v * (c - a)).astype(np.float32)
    square = (points**2).sum(1)
    beside, around = _neighbours(vertices, faces)
    far = np.full(len(places), np.inf)
    size = _SAMPLES // _SETS
    for start in range(0, len(places), _ROWS):
        rows = slice(start, start + _ROWS)
        some = places[rows]
        apart = square - 2 * some.astype(np.float32) @ points.T
        found = []
        for one in range(_SETS):
            nearest = face[apart[:, one * size : (one + 1) * size].argmin(1) + one * size]
            far[rows] = np.minimum(far[rows], _to_triangles(some, corners[nearest]))
            corner = ((corners[nearest] - some[:, None]) ** 2).sum(2).argmin(1)
            found.append(_walked(vertices, beside, some, faces[nearest, corner]))
        to = np.stack([((vertices[one] - some) ** 2).sum(1) for one in found]).argmin(0)
        vertex = np.stack(found)[to, np.arange(len(some))]
        for k in range(_BESIDE):
            told = _to_triangles(some, corners[around[vertex, k]])
            far[rows] = np.minimum(far[rows], told)
    return far


def _neighbours(vertices: Array, faces: Array) -> tuple[Array, Array]:
    """Of each vertex, vertices beside it and triangles at it (each V x _BESIDE).

    Vertices at one place are one, whatever else differs; of what is fewer, the first is repeated.
    """
    scale = max(float(np.ptp(vertices, axis=0).max()), 1e-30)
    steps = np.rint((vertices - vertices.min(0)) * (1e5 / scale)).astype(np.int64)
    _, first, same = np.unique(
        steps @ np.array([1 << 40, 1 << 20, 1]), return_index=True, return_inverse=True
    )
    welded = first[same.reshape(-1)][faces]
    count = len(vertices)
    pairs = np.concatenate([welded[:, [a, b]] for a in range(3) for b in range(3) if a != b])
    pairs = np.unique(pairs @ np.array([count, 1]))
    owners = np.repeat(np.arange(len(faces)), 3)
    order = np.argsort(welded.reshape(-1), kind="stable")
    beside = _table(pairs // count, pairs % count, count)
    around = _table(welded.reshape(-1)[order], owners[order], count)
    one = first[same.reshape(-1)]
    return beside[one], around[one]


def _table(keys: Array, values: Array, count: int) -> Array:
    """The values that belong to each key 0..count - 1, ascending as given (count x _BESIDE)."""
    first = np.searchsorted(keys, np.arange(count))
    many = np.searchsorted(keys, np.arange(count), "right") - first
    place = np.arange(_BESIDE) % np.maximum(many, 1)[:, None]
    made: Array = values[np.minimum(first[:, None] + place, len(values) - 1)]
    return made


def _walked(vertices: Array, beside: Array, places: Array, start: Array) -> Array:
    """Where ways from vertices (N) end on which each step leads nearer to a place (N x 3)."""
    at = start.copy()
    far = ((vertices[at] - places) ** 2).sum(1)
    moving = np.arange(len(at))
    while len(moving):
        there = beside[at[moving]]
        apart = ((vertices[there] - places[moving, None]) ** 2).sum(2)
        best = apart.argmin(1)[:, None]
        told = np.take_along_axis(apart, best, 1)[:, 0]
        nearer = told < far[moving]
        moving = moving[nearer]
        at[moving] = np.take_along_axis(there, best, 1)[nearer, 0]
        far[moving] = told[nearer]
    return at


def _to_triangles(places: Array, corners: Array) -> Array:
    """The distance from each place (N x 3) to its triangle (N x 3 x 3)."""
    far = np.full(len(places), np.inf)
    inside = np.ones(len(places), bool)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    normal = normal / np.maximum(length, 1e-30)[:, None]
    for k in range(3):
        side = corners[:, (k + 1) % 3] - corners[:, k]
        apart = places - corners[:, k]
        along = (apart * side).sum(1) / np.maximum((side**2).sum(1), 1e-30)
        off = apart - along.clip(0, 1)[:, None] * side
        far = np.minimum(far, np.sqrt((off**2).sum(1)))
        inside &= (np.cross(side, apart) * normal).sum(1) >= 0
    above = np.abs(((places - corners[:, 0]) * normal).sum(1))
    made: Array = np.where(inside & (length > 0), above, far)
    return made
