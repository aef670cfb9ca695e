"""Fewer triangles: edges are collapsed where that moves the surface least.

Quadric error metrics (Garland and Heckbert 1997), many edges at a time: those that are cheapest in
their neighbourhood and do not touch each other. The link condition (Dey et al. 1999) keeps the
surface closed and manifold, and no triangle is turned over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.engine import Job
from triptych.shape.mesh import areas, compact, directed

Array = NDArray[Any]

_LEAST = 32  # triangles that are always left
_PULL = 1e-3  # of a quadric's own size: keeps a vertex near the edge's middle on flat parts
_SHARE = 0.5  # of the edges, the cheapest, that a round may take
_TURN = 0.2  # cosine that a triangle's normal must keep to its old one


def decimated(vertices: Array, faces: Array, count: int, job: Job) -> tuple[Array, Array]:
    """A closed surface with at most `count` triangles (at least 32), where that is possible.

    It may stay above where nothing more can be collapsed without a hole or a fold.
    """
    goal, begun = max(count, _LEAST), len(faces)
    places = vertices.astype(np.float64)
    quadrics = _quadrics(places, faces)
    failed = np.zeros(0, np.int64)
    rng = np.random.default_rng(0)
    idle = 0
    while len(faces) > goal and idle < 4:
        job.progress((begun - len(faces)) / (begun - goal))
        starts, stops = directed(faces)
        own = starts < stops  # a closed surface has each edge in both directions
        edges = np.stack([starts[own], stops[own]], 1)
        edges = edges[~np.isin(edges @ (len(places), 1), failed)]
        if not len(edges):
            failed, idle = failed[:0], idle + 1
            continue
        cost = _cost(places, quadrics, edges, rng)
        chosen = _apart(edges, cost, starts, stops, len(places))
        most = (len(faces) - goal + 1) // 2
        chosen = chosen[np.argsort(cost[chosen], kind="stable")[:most]]
        targets = _best(places, quadrics, edges[chosen])
        sound = _allowed(places, faces, edges[chosen], targets, starts, stops)
        failed = np.concatenate([failed, edges[chosen[~sound]] @ (len(places), 1)])
        chosen = chosen[sound]
        if not len(chosen):
            idle += 1
            failed = failed if idle < 3 else failed[:0]
            continue
        idle = 0
        kept, gone = edges[chosen].T
        places[kept] = targets[sound]
        quadrics[kept] += quadrics[gone]
        into = np.arange(len(places))
        into[gone] = kept
        faces = into[faces]
        a, b, c = faces.T
        faces = faces[(a != b) & (b != c) & (c != a)].astype(np.int32)
    return compact(places.astype(np.float32), faces)


def _quadrics(places: Array, faces: Array) -> Array:
    """For each vertex, the squared distance to its faces' planes by area, as a polynomial.

    N x 10: of xx, xy, xz, yy, yz, zz, x, y, z and 1.
    """
    size, normals = areas(places, faces)
    height = -(normals * places[faces[:, 0]]).sum(1)
    p, q, r = normals.T
    terms = [p * p, 2 * p * q, 2 * p * r, q * q, 2 * q * r, r * r]
    terms += [2 * height * p, 2 * height * q, 2 * height * r, height * height]
    corners = faces.ravel()
    return np.stack([np.bincount(corners, np.repeat(size * t, 3), len(places)) for t in terms], 1)


def _cost(places: Array, quadrics: Array, edges: Array, rng: np.random.Generator) -> Array:
    """What it costs to draw each edge's vertices together, at one of them or in their middle."""
    quadric = quadrics[edges[:, 0]] + quadrics[edges[:, 1]]
    a, b = places[edges[:, 0]], places[edges[:, 1]]
    least = np.full(len(edges), np.inf)
    for place in (a, b, (a + b) / 2):
        x, y, z = place.T
        terms = np.stack([x * x, x * y, x * z, y * y, y * z, z * z, x, y, z, np.ones(len(x))], 1)
        least = np.minimum(least, (quadric * terms).sum(1))
    # Where all is flat short edges go first, for triangles of good shape, and in no order: so that
    # many are the cheapest of those around them.
    length = ((a - b) ** 2).sum(1)
    made: Array = np.maximum(least, 0) + 1e-6 * length**2 * rng.uniform(0.5, 2, len(edges))
    return made


def _best(places: Array, quadrics: Array, edges: Array) -> Array:
    """Where each edge's two vertices are best drawn together: E x 3."""
    a, b = edges.T
    quadric = quadrics[a] + quadrics[b]
    middle = (places[a] + places[b]) / 2
    # The terms hold xy, xz and yz once, and so twice what stands in the matrix.
    sides = quadric[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    sides = sides * np.where(np.eye(3) > 0, 1, 0.5)
    pull = _PULL * np.trace(sides, axis1=1, axis2=2)[:, None, None] + 1e-20
    slope = np.einsum("eij,ej->ei", sides, middle) + quadric[:, 6:9] / 2
    step = np.linalg.solve(sides + pull * np.eye(3), -slope[..., None])[..., 0]
    length = np.sqrt(((places[a] - places[b]) ** 2).sum(1))
    far = np.sqrt((step**2).sum(1)) > 2 * length
    made: Array = np.where(far[:, None], middle, middle + step)
    return made


def _apart(edges: Array, cost: Array, starts: Array, stops: Array, count: int) -> Array:
    """Edges that are the cheapest of all around them: no two of them have a neighbour in common
    that is an end of one."""
    order = np.argsort(cost, kind="stable")[: max(1, int(_SHARE * len(cost)))]
    rank = np.full(len(edges), len(edges))
    rank[order] = np.arange(len(order))
    lowest = np.full(count, len(edges))
    for end in edges[order[::-1]].T:
        before = lowest.copy()
        lowest[end] = rank[order[::-1]]  # of several, the last and lowest stays
        lowest = np.minimum(lowest, before)
    by = np.argsort(starts, kind="stable")
    ends, first = np.unique(starts[by], return_index=True)
    around = lowest.copy()
    around[ends] = np.minimum(around[ends], np.minimum.reduceat(lowest[stops[by]], first))
    a, b = edges[order].T
    found: Array = order[(rank[order] == around[a]) & (rank[order] == around[b])]
    return found


def _allowed(
    places: Array, faces: Array, edges: Array, targets: Array, starts: Array, stops: Array
) -> Array:
    """Which of the edges can be collapsed: two neighbours in common, and no face turned over."""
    count = len(places)
    known = np.sort(starts * count + stops)
    by = np.argsort(starts, kind="stable")
    degree = np.bincount(starts, minlength=count)
    first = np.cumsum(degree) - degree
    a, b = edges.T
    common = np.zeros(len(edges), int)
    for turn in range(int(degree[a].max())):
        there = turn < degree[a]
        other = stops[by[np.minimum(first[a] + turn, len(by) - 1)]]
        key = b * count + other
        found = known[np.minimum(np.searchsorted(known, key), len(known) - 1)] == key
        common += there & found
    owner = np.full(count, -1)
    owner[a] = owner[b] = np.arange(len(edges))
    moved = places.copy()
    moved[a] = moved[b] = targets
    of = owner[faces]
    touched = (of >= 0).sum(1) == 1  # the two faces at the edge itself go
    rows = faces[touched]
    _, before = areas(places, rows)
    size, after = areas(moved, rows)
    turned = ((before * after).sum(1) < _TURN) | (size <= 0)
    bad = np.zeros(len(edges), bool)
    bad[of[touched].max(1)[turned]] = True
    allowed: Array = (common == 2) & ~bad
    return allowed
