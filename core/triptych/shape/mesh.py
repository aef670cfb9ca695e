"""A mesh of triangles: what it is, whether it is sound, and what is done to it as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError

if TYPE_CHECKING:
    from triptych.image.material import Material

Array = NDArray[Any]

_LEAST = 0.01  # of the volume: a smaller part is a crumb


@dataclass(frozen=True)
class Mesh:
    """Triangles in metres, Y up, counter-clockwise seen from outside.

    `vertices` N x 3 float32, `faces` M x 3 int32, `uv` M x 3 x 2 float32: for each corner of each
    face a place on the texture, in metres. `record` is what a shape was made from (see
    `ShapeModel.record`), so that it can be varied; None of a foreign mesh. A mesh may be its record
    alone, without triangles, where it is to be varied or crossed. `material` is what it is made of,
    None for a plain one.
    """

    vertices: Array
    faces: Array
    uv: Array | None = None
    record: Mapping[str, Any] | None = None
    material: Material | None = None

    @property
    def size(self) -> Array:
        """Width, height and depth of its bounding box in metres."""
        made: Array = np.ptp(self.vertices, 0)
        return made

    @property
    def volume(self) -> float:
        """In cubic metres; negative when it is turned inside out."""
        return float(volumes(self.vertices, self.faces).sum())

    def faults(self) -> list[str]:
        """What is wrong with it as a solid, a few words each; empty for a sound one."""
        found = []
        if not len(self.faces):
            return ["it is empty"]
        if not np.isfinite(self.vertices).all():
            found.append("a vertex is not finite")
        starts, stops = directed(self.faces)
        count = len(self.vertices)
        forth, back = np.sort(starts * count + stops), np.sort(stops * count + starts)
        if (starts == stops).any() or (np.diff(forth) == 0).any():
            found.append("an edge has more than two faces, or two that face apart")
        if not np.array_equal(forth, back):
            found.append("it is not closed")
        if not found and self.volume <= 0:
            found.append("it is turned inside out")
        return found


def check_mesh(value: Any, name: str = "the mesh") -> Mesh:
    """`value` as a Mesh with sane arrays, or UserError: a wrong type, empty, not finite, ..."""
    if not isinstance(value, Mesh):
        raise UserError(f"{name} must be a mesh, not a {type(value).__name__}.")
    if value.record is not None and not value.faces.size:
        return value
    if not value.faces.size or not value.vertices.size:
        raise UserError(f"{name} is empty: give one with at least one triangle.")
    if value.vertices.shape[1:] != (3,) or value.faces.shape[1:] != (3,):
        raise UserError(f"{name} must have vertices N x 3 and faces M x 3.")
    if value.faces.min() < 0 or value.faces.max() >= len(value.vertices):
        raise UserError(f"{name} has faces whose vertices do not exist: repair it.")
    if not np.isfinite(value.vertices).all():
        raise UserError(f"{name} has vertices that are not finite (NaN or infinite): repair it.")
    if not value.size.max() > 0:
        raise UserError(f"{name} has no size: all its vertices are in one place.")
    return value


def directed(faces: Array) -> tuple[Array, Array]:
    """The edges of all faces, in the faces' direction: starts and stops, each 3 M (int64)."""
    wide = faces.astype(np.int64)
    return wide.T.reshape(-1), wide[:, [1, 2, 0]].T.reshape(-1)


def areas(vertices: Array, faces: Array) -> tuple[Array, Array]:
    """The area of each face (M) and its unit normal (M x 3), zero where it has none."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    length = np.sqrt((cross**2).sum(1))
    return length / 2, cross / np.maximum(length, 1e-30)[:, None]


def volumes(vertices: Array, faces: Array) -> Array:
    """The signed volume between each face and the origin (M, float64)."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    made: Array = (a * np.cross(b, c)).sum(1) / 6
    return made


def components(count: int, starts: Array, stops: Array) -> Array:
    """For each of `count` vertices the lowest one that edges connect it with."""
    parent = np.arange(count)
    while len(starts):
        one, two = parent[starts], parent[stops]
        apart = one != two
        starts, stops, one, two = starts[apart], stops[apart], one[apart], two[apart]
        parent[np.maximum(one, two)] = np.minimum(one, two)
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
    return parent


def solid(vertices: Array, faces: Array) -> tuple[Array, Array]:
    """The parts of a closed surface that count: no crumbs, no hollows inside, nothing in those.

    A crumb has less than 1 % of the volume of all parts. The largest part always stays.
    """
    if not len(faces):
        return vertices, faces
    starts, stops = directed(faces)
    label = components(len(vertices), starts, stops)
    roots, part = np.unique(label, return_inverse=True)
    if len(roots) == 1:
        return vertices, faces
    share = np.bincount(part[faces[:, 0]], volumes(vertices, faces), len(roots))
    hollow = share < 0
    kept = share >= _LEAST * share[~hollow].sum()
    for index in np.flatnonzero(hollow):
        room = vertices[part == index]
        low, high = room.min(0), room.max(0)
        for other in np.flatnonzero(kept):
            within = vertices[part == other]
            if (within.min(0) > low).all() and (within.max(0) < high).all():
                kept[other] = False
    kept[share.argmax()] = True
    return compact(vertices, faces[kept[part[faces[:, 0]]]])


def compact(vertices: Array, faces: Array) -> tuple[Array, Array]:
    """The same faces with only the vertices that they use."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return vertices[used], number[faces].astype(np.int32)


def fitted(vertices: Array, size: Array) -> Array:
    """Vertices scaled so that their box is `size` (metres), on y = 0, centred in x and z."""
    low, high = vertices.min(0), vertices.max(0)
    middle = (low + high) / 2
    middle[1] = low[1]
    made: Array = (vertices - middle) * (np.asarray(size) / np.maximum(high - low, 1e-9))
    return made.astype(np.float32)


def rounded(vertices: Array, faces: Array, steps: int) -> Array:
    """Vertices of a closed surface smoothed in so many steps, its volume kept.

    Each step is one of Taubin's (1995), which hardly shrinks what is thin; what volume is lost all
    the same comes back by moving the surface outwards.
    """
    if steps == 0:
        return vertices
    starts, stops = directed(faces)
    order = np.argsort(starts, kind="stable")
    beside = stops[order]
    count = np.bincount(starts, minlength=len(vertices))
    first = np.cumsum(count) - count
    share = (1 / count)[:, None].astype(np.float32)
    moved = vertices
    for _ in range(steps):
        for pull in (np.float32(0.5), np.float32(-0.53)):
            mean = np.add.reduceat(moved[beside], first) * share
            moved = moved + pull * (mean - moved)
    wanted = volumes(vertices, faces).sum()
    for _ in range(3):
        size, normals = areas(moved, faces)
        lost = wanted - volumes(moved, faces).sum()
        weighted = np.repeat((size[:, None] * normals)[None], 3, 0).reshape(-1, 3)
        outward = np.add.reduceat(weighted[order], first)
        outward /= np.maximum(np.sqrt((outward**2).sum(1)), 1e-30)[:, None]
        moved = moved + np.float32(lost / size.sum()) * outward
    made: Array = moved.astype(np.float32)
    return made


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """The mean of the normals around each vertex, by area: N x 3, unit length or zero."""
    size, normals = areas(vertices, faces)
    corners = faces.ravel()
    total: Array = np.stack(
        [np.bincount(corners, np.repeat(size * one, 3), len(vertices)) for one in normals.T], 1
    )
    made: Array = total / np.maximum(np.sqrt((total**2).sum(1)), 1e-30)[:, None]
    return made


def corner_normals(vertices: Array, faces: Array, angle: float = 35.0) -> Array:
    """A unit normal for each corner (M x 3 x 3): smooth where faces meet at less than `angle` deg.

    Where they meet sharply, a corner's normal is the mean of those faces around its vertex alone
    that are within `angle` of its own face.
    """
    size, flat = areas(vertices, faces)
    weighted = (size[:, None] * flat).astype(np.float64)
    made = vertex_normals(vertices, faces)[faces]
    limit = np.cos(np.radians(angle))
    corner_sharp = (made * flat[:, None]).sum(2) < np.cos(np.radians(angle / 2))
    sharp = np.zeros(len(vertices), bool)
    sharp[faces[corner_sharp]] = True
    face, corner = np.nonzero(sharp[faces])
    if len(face):
        made[face, corner] = _sharp(faces[face, corner], face, flat, weighted, limit)
    return made.astype(np.float32)


def _sharp(vertex: Array, face: Array, flat: Array, weighted: Array, limit: float) -> Array:
    """The normals of corners (their vertex and face, K each) where faces meet sharply."""
    order = np.argsort(vertex, kind="stable")
    ranked = vertex[order]
    count = np.bincount(ranked)
    first = np.cumsum(count) - count
    made = np.zeros((len(vertex), 3))
    for turn in range(int(count.max())):  # the corners of one vertex against each other
        there = turn < count[vertex]
        other = face[order[np.minimum(first[vertex] + turn, len(order) - 1)]]
        near = there & ((flat[other] * flat[face]).sum(1) >= limit)
        made += np.where(near[:, None], weighted[other], 0)
    length = np.sqrt((made**2).sum(1))[:, None]
    return np.where(length > 1e-30, made / np.maximum(length, 1e-30), flat[face])


def sampled(mesh: Mesh, count: int, seed: int) -> tuple[Array, Array]:
    """`count` points spread evenly over a mesh and the normals there, each count x 3."""
    rng = np.random.default_rng(seed)
    size, normals = areas(mesh.vertices, mesh.faces)
    total = size.sum(dtype=np.float64)
    share = size / total if total > 0 else None
    face = rng.choice(len(mesh.faces), count, p=share)
    u, v = rng.random((2, count, 1), np.float32)
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    a, b, c = (mesh.vertices[mesh.faces[face, i]] for i in range(3))
    return a + u * (b - a) + v * (c - a), normals[face]
