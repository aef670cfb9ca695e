"""The surface of a field as triangles: dual contouring (Ju et al. 2002) on a well-composed grid.

One vertex lies in each cell that the surface passes through, where the planes that touch the
surface around it meet: edges and corners stay sharp. A quad stands for each edge of the grid that
the surface crosses. Closed, manifold and turned outwards by construction (see `grid`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.engine import Job
from triptych.shape.grid import CORNERS, Grid, Sampler

Array = NDArray[Any]

_FLAT = 0.04  # of a cell: how far its corners' distances may be from those to a plane
_PULL = 0.03  # weight of the mean of the crossings, where the planes leave a direction open
_MARGIN = 0.02  # of a cell, that a vertex keeps from the cell's faces
_BENT = 0.95  # cosine between the halves of a quad whose diagonal is chosen by the field

_PAIRS = [(a, a | bit) for bit in (4, 2, 1) for a in range(8) if not a & bit]
_EDGES = np.array(_PAIRS)  # pairs of a cell's corners
_AXES = np.repeat(np.arange(3), 4)  # along which they lie
_AROUND = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)  # a place, for its gradient


def extract(
    field: Sampler, resolution: int, truncation: float, job: Job, dense: bool = False
) -> tuple[Array, Array]:
    """The surface of `field` in [-1, 1]^3: vertices N x 3 (float32), triangles M x 3 (int32).

    `resolution` is in cells along a side of the cube. Without a surface both are empty. `dense`
    computes the field on the whole grid, for comparison.
    """
    grid = Grid(field, resolution, truncation, job.part(0.0, 0.7), dense)
    job.progress(0.7)
    vertices = _vertices(grid, field)
    job.progress(0.9)
    return vertices, _triangles(_quads(grid), vertices, field)


def _vertices(grid: Grid, field: Sampler) -> Array:
    """A vertex for each of the grid's cells, in their order."""
    values = grid.corners(grid.cells) / np.float32(grid.cell)  # in cells
    inside = values < 0
    total, count = np.zeros((len(values), 3), np.float32), np.zeros(len(values), np.float32)
    for (a, b), axis in zip(_EDGES, _AXES, strict=True):
        crossed = inside[:, a] != inside[:, b]
        place = np.repeat(CORNERS[a][None].astype(np.float32), len(values), 0)
        place[:, axis] = _crossing(values[:, a], values[:, b])
        total += np.where(crossed[:, None], place, 0)
        count += crossed
    mean = total / count[:, None]

    # In most cells the surface is flat: the plane is known from the corners.
    arms = CORNERS.astype(np.float32) - 0.5
    slope = values @ arms / 2
    middle = values.mean(1)
    bent = values - middle[:, None] - slope @ arms.T
    flat = np.abs(bent).max(1) < _FLAT
    steep = np.maximum((slope**2).sum(1), 0.1)
    above = middle + ((mean - 0.5) * slope).sum(1)
    local = mean - (above / steep)[:, None] * slope
    rest = np.flatnonzero(~flat)
    if len(rest):
        local[rest] = _meeting(grid, field, rest, values[rest])
    local = local.clip(_MARGIN, 1 - _MARGIN)
    made: Array = grid.places(grid.cells) + local * np.float32(grid.cell)
    return made


def _crossing(start: Array, stop: Array) -> Array:
    """Where between 0 and 1 the distance is zero, if it grows evenly."""
    apart = start - stop
    return (start / np.where(apart == 0, 1, apart)).clip(0, 1)


def _meeting(grid: Grid, field: Sampler, rows: Array, values: Array) -> Array:
    """Where in each of these cells the planes that touch its surface meet (0..1, K x 3).

    Minimises the sum of (n . (x - p))^2 over the cell's crossings p with their normals n, and a
    small part of the distance to the mean of p.
    """
    cells = grid.cells[rows]
    crossed = (values[:, _EDGES[:, 0]] < 0) != (values[:, _EDGES[:, 1]] < 0)
    names = (cells[:, None] + grid.offsets[_EDGES[:, 0]]) * 3 + _AXES
    edges, which = np.unique(names[crossed], return_inverse=True)
    low, axis = edges // 3, edges % 3
    places = grid.places(low)
    share = _crossing(grid.values[low], grid.values[low + grid.steps[axis]])
    places[np.arange(len(low)), axis] += share * np.float32(grid.cell)
    places, normals = _touching(field, places, 0.15 * grid.cell, grid.cell)

    local = np.zeros((*crossed.shape, 3))
    planes = np.zeros((*crossed.shape, 3))
    owner = np.nonzero(crossed)[0]
    local[crossed] = (places[which] - grid.places(cells)[owner]) / grid.cell
    planes[crossed] = normals[which]
    mean = local.sum(1) / crossed.sum(1)[:, None]
    heights = (planes * (local - mean[:, None])).sum(2) * crossed
    sides = np.einsum("kei,kej->kij", planes, planes) + _PULL * np.eye(3)
    made: Array = (
        mean + np.linalg.solve(sides, np.einsum("kei,ke->ki", planes, heights)[..., None])[..., 0]
    )
    return made


def _touching(field: Sampler, places: Array, reach: float, cell: float) -> tuple[Array, Array]:
    """Places moved onto the surface, by half a cell at most, and its unit normals there.

    Where the field has no slope the place stays, and the normal is zero.
    """
    around = (places[:, None] + np.float32(reach) * _AROUND).reshape(-1, 3)
    distance = field(around.clip(-1, 1)).reshape(-1, 6)
    slope = distance @ _AROUND / np.float32(2 * reach)
    length = np.sqrt((slope**2).sum(1))
    normals = np.where(length[:, None] > 0.1, slope / np.maximum(length, 1e-6)[:, None], 0)
    height = (distance.mean(1) / np.maximum(length, 0.1)).clip(-0.5 * cell, 0.5 * cell)
    return places - height[:, None] * normals, normals


def _quads(grid: Grid) -> Array:
    """Four vertices around each edge of the grid that is crossed, outer side up: Q x 4."""
    number = np.full(grid.side**3, -1, np.int32)
    number[grid.cells] = np.arange(len(grid.cells), dtype=np.int32)
    start = grid.values[grid.cells] < 0
    made = []
    for axis in range(3):
        # The lowest corner of an edge is also that of one of the four cells around it.
        stop = grid.values[grid.cells + grid.steps[axis]] < 0
        second, third = grid.steps[(axis + 1) % 3], grid.steps[(axis + 2) % 3]
        around = np.array((0, -second, -second - third, -third))
        for out, turned in ((start & ~stop, around), (~start & stop, around[::-1])):
            made.append(number[grid.cells[out][:, None] + turned])
    return np.concatenate(made)


def _triangles(quads: Array, vertices: Array, field: Sampler) -> Array:
    """Two triangles for each quad; of a bent one, so that their common side lies on the surface."""
    if not len(quads):
        return np.zeros((0, 3), np.int32)
    a, b, c, d = (vertices[quads[:, i]] for i in range(4))
    other = ((b - d) ** 2).sum(1) < ((a - c) ** 2).sum(1)
    one, two = np.cross(b - a, c - a), np.cross(c - a, d - a)
    size = np.sqrt((one**2).sum(1) * (two**2).sum(1))
    bent = np.flatnonzero((one * two).sum(1) < _BENT * size)
    if len(bent):
        middles = np.concatenate([(a + c)[bent], (b + d)[bent]]) / 2
        first, second = np.abs(field(middles)).reshape(2, -1)
        other[bent] = second < first
    turned = np.where(other[:, None], np.roll(quads, -1, 1), quads)
    return np.concatenate([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]]).astype(np.int32)
