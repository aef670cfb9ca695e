"""Pictures of meshes without a GPU: thumbnails and turntables, in a soft light on a pale ground.

A z-buffer in NumPy. The light from many directions is baked into the vertices and the ground once
(a shadow map for each direction); the pictures from all sides then share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.image.film import Film
from triptych.shape.mesh import Mesh, corner_normals, directed, vertex_normals

Array = NDArray[Any]

_MAP = 176  # pixels along a shadow map
_GROUND = 96  # points along the ground
_WIDE = 2.2  # the ground's half side, in radii of the mesh
_KEY = np.array((-0.3, 0.8, 0.52))  # to the main light, of length 1
_COLOUR = np.array((0.60, 0.52, 0.43))  # linear light
_PAPER = 0.86  # linear
_FOCUS = 3.4  # the camera's distance to the mesh's middle, in radii
_FRAGMENTS = 1 << 21  # pixels that are tested at once


@dataclass(frozen=True)
class Light:
    """What reaches each vertex of a mesh, and the ground under it, of the light (0..1)."""

    sky: Array
    key: Array
    ground: Array  # square, of side 2 * _WIDE radii around the middle
    normals: Array  # of each corner: M x 3 x 3


def rendered(
    mesh: Mesh,
    size: int = 256,
    azimuth: float = 35.0,
    elevation: float = 22.0,
    light: Light | None = None,
    samples: int = 2,
) -> Array:
    """A picture of a mesh, size x size x 3, float32, sRGB, 0..1.

    The camera stands `azimuth` degrees to the right of its front (+z) and looks down from
    `elevation`; each pixel is the mean of `samples` squared. Of the mesh's material its colour is
    drawn.
    """
    light = light or baked(mesh)
    side = size * samples
    middle, radius = _sphere(mesh)
    turn, tilt = np.radians((azimuth, elevation))
    back = np.array((np.sin(turn) * np.cos(tilt), np.sin(tilt), np.cos(turn) * np.cos(tilt)))
    right = np.array((np.cos(turn), 0, -np.sin(turn)))
    up = np.cross(back, right)
    seen = (mesh.vertices - middle) / radius @ np.stack([right, up, back]).T
    depth = 1 / (_FOCUS - seen[:, 2])
    scale = 0.47 * side * np.sqrt(_FOCUS**2 - 1)
    place = seen[:, :2] * depth[:, None] * np.array((scale, -scale)) + side / 2
    pixel, face, share = _rasterised(place, depth, mesh.faces, side)

    picture = np.repeat(_floor(light, side, scale, right, up, back, middle, radius)[:, None], 3, 1)
    corners = mesh.faces[face]
    share = share * depth[corners]
    share /= share.sum(1, keepdims=True)

    def across(values: Array) -> Array:
        made: Array = (share * values).sum(1)
        return made

    normals = light.normals[face]
    normal = np.stack([across(normals[..., axis]) for axis in range(3)], 1)
    normal /= np.maximum(np.sqrt((normal**2).sum(1)), 1e-9)[:, None]
    sky = across(light.sky[corners]) * (0.72 + 0.28 * normal[:, 1])
    straight = np.maximum(normal @ _KEY, 0)
    key = across(light.key[corners]) * straight
    middle_way = _KEY + back
    middle_way /= np.sqrt((middle_way**2).sum())
    gloss = across(light.key[corners]) * np.maximum(normal @ middle_way, 0) ** 24
    own: Array = _COLOUR
    if mesh.material is not None and mesh.uv is not None:
        from triptych.image.colour import srgb_to_linear  # with Pillow, which Blender has not

        u, v = (across(mesh.uv[face][..., axis]) / mesh.material.side for axis in range(2))
        tile = mesh.material.colour
        rows, columns = (np.floor((x % 1) * len(tile)).astype(int) % len(tile) for x in (-v, u))
        own = srgb_to_linear(tile[rows, columns])
    lit = own * (0.50 * sky + 1.00 * key)[:, None] + 0.06 * gloss[:, None]
    picture[pixel] = lit
    parts = picture.clip(0, 1).reshape(size, samples, size, samples, 3)
    offsets = [parts[:, i, :, j] for i in range(samples) for j in range(samples)]
    picture = np.add.reduce(offsets) / len(offsets)
    low = picture <= 0.0031308
    made: Array = np.where(low, 12.92 * picture, 1.055 * picture ** (1 / 2.4) - 0.055)
    return made.astype(np.float32)


def turntable(mesh: Mesh, size: int = 256, frames: int = 24, rate: int = 10) -> Film:
    """A film of a mesh that turns once."""
    light = baked(mesh)
    angles = 35.0 + 360 * np.arange(frames) / frames
    pictures = [rendered(mesh, size, angle, light=light) for angle in angles]
    return Film([(one * 255 + 0.5).astype(np.uint8) for one in pictures], rate)


def baked(mesh: Mesh, rays: int = 28) -> Light:
    """The light on a mesh and its ground: from `rays` directions of the sky and a broad lamp."""
    middle, radius = _sphere(mesh)
    places = (mesh.vertices - middle) / radius
    normals = vertex_normals(mesh.vertices, mesh.faces)
    line = np.linspace(-_WIDE, _WIDE, _GROUND)
    x, z = np.meshgrid(line, line)
    low = places[:, 1].min()
    floor = np.stack([x, np.full_like(x, low + 0.01), z], 2).reshape(-1, 3)
    every = np.concatenate([places + 0.03 * normals, floor])
    facing = np.concatenate([normals, np.tile((0.0, 1.0, 0.0), (len(floor), 1))])

    index = np.arange(rays) + 0.5
    height = 1 - 0.97 * index / rays
    turn = index * np.pi * (1 + 5**0.5)
    flat = np.sqrt(1 - height**2)
    sky = np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], 1)
    spots = turn[:6]
    lamp = _KEY + 0.13 * np.stack([np.cos(spots), np.zeros_like(spots), np.sin(spots)], 1)
    lamp /= np.sqrt((lamp**2).sum(1))[:, None]

    caster = _Caster(places, mesh.faces)
    total, weight = np.zeros(len(every)), np.zeros(len(every))
    key = np.zeros(len(every))
    for way in sky:
        slant = np.maximum(facing @ way, 0)
        weight += slant
        total += slant * caster.passes(every, way)
    for way in lamp:
        key += caster.passes(every, way) / len(lamp)
    open_ = np.where(weight > 0, total / np.maximum(weight, 1e-9), 0.35)
    count = len(places)
    on_floor = 0.62 * open_[count:] + 0.38 * key[count:]
    starts, stops = directed(mesh.faces)
    around = np.maximum(np.bincount(starts, minlength=count), 1)
    soft = [(v[:count] + np.bincount(starts, v[stops], count) / around) / 2 for v in (open_, key)]
    ground = on_floor.reshape(_GROUND, _GROUND)
    for _ in range(4):  # rows, then columns, twice: few rays leave bands
        ends = np.pad(ground, ((1, 1), (0, 0)), mode="edge")
        ground = ((ends[:-2] + 2 * ground + ends[2:]) / 4).T
    return Light(soft[0], soft[1], ground, corner_normals(mesh.vertices, mesh.faces))


def _sphere(mesh: Mesh) -> tuple[Array, float]:
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    return (low + high) / 2, float(np.sqrt(((high - low) ** 2).sum()) / 2)


class _Caster:
    """A mesh (vertices in radii) that casts shadows; small triangles do so as dots."""

    def __init__(self, places: Array, faces: Array) -> None:
        a, b, c = (places[faces[:, i]] for i in range(3))
        self._scale = _MAP / 2 / 1.05  # pixels in a radius
        longest = np.maximum(((a - b) ** 2).sum(1), ((b - c) ** 2).sum(1))
        small = np.maximum(longest, ((c - a) ** 2).sum(1)) < (2 / self._scale) ** 2
        self._places, self._faces = places, faces[~small]
        self._dots = np.concatenate([places, ((a + b + c) / 3)[small]])

    def passes(self, asked: Array, way: Array) -> Array:
        """Which of the asked places the light from `way` reaches, by a shadow map."""
        aside = np.cross(way, (0.0, 0.0, 1.0) if abs(way[2]) < 0.9 else (1.0, 0.0, 0.0))
        aside /= np.sqrt((aside**2).sum())
        basis = np.stack([aside, np.cross(way, aside), way], 1)
        basis[:, :2] *= self._scale
        dots = self._dots @ basis
        column, row = (dots[:, :2].T + _MAP / 2).clip(0, _MAP - 1).astype(int)
        pixels, depth = row * _MAP + column, dots[:, 2]
        if len(self._faces):
            seen = self._places @ basis
            flat, high = seen[:, :2] + _MAP / 2, seen[:, 2]
            more, face, share = _rasterised(flat, high + 9, self._faces, _MAP)
            pixels = np.concatenate([pixels, more])
            depth = np.concatenate([depth, (share * high[self._faces[face]]).sum(1)])
        nearest = np.full(_MAP * _MAP, -9.0)
        order = np.argsort(depth)
        nearest[pixels[order]] = depth[order]
        want = asked @ basis
        column, row = np.floor(want[:, :2].T + _MAP / 2).astype(int)
        within = (column >= 0) & (column < _MAP) & (row >= 0) & (row < _MAP)
        there = nearest[np.where(within, row * _MAP + column, 0)]
        made: Array = ~within | (want[:, 2] > there - 0.035)
        return made


def _rasterised(place: Array, depth: Array, faces: Array, side: int) -> tuple[Array, Array, Array]:
    """What is seen of triangles: pixels (flat), the nearest face at each, its corners' shares.

    `place` (N x 2) is in pixels of a square of `side`; the larger `depth` (N) is nearer.
    """
    corners = place[faces]
    a, b, c = (corners[:, i] for i in range(3))  # far faster than to reduce an axis of three
    low = np.ceil(np.minimum(np.minimum(a, b), c) - 0.5).astype(int)
    high = np.floor(np.maximum(np.maximum(a, b), c) - 0.5).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, side - 1)
    width, tall = (high - low + 1).T
    span = np.maximum(width, tall)
    ahead = (width > 0) & (tall > 0)
    found: list[tuple[Array, Array, Array]] = []
    width = 1
    while width < 2 * side:
        these = np.flatnonzero(ahead & (span <= width) & (span > width // 2))
        step = max(1, _FRAGMENTS // width**2)
        found += [
            _tested(corners, low, these[start : start + step], width, side)
            for start in range(0, len(these), step)
        ]
        width *= 2
    pixel = np.concatenate([one[0] for one in found] or [np.zeros(0, int)])
    face = np.concatenate([one[1] for one in found] or [np.zeros(0, int)])
    share = np.concatenate([one[2] for one in found] or [np.zeros((0, 3))])
    order = np.argsort((share * depth[faces[face]]).sum(1), kind="stable")
    last = np.full(side * side, -1)
    last[pixel[order]] = order  # of several, the last and nearest stays
    hit = np.flatnonzero(last >= 0)
    return hit, face[last[hit]], share[last[hit]]


def _tested(
    corners: Array, low: Array, these: Array, width: int, side: int
) -> tuple[Array, Array, Array]:
    """The pixels within triangles of at most `width` pixels, and the corners' shares there."""
    a, b, c = (corners[these, i] for i in range(3))
    (bx, by), (cx, cy) = (b - a).T, (c - a).T
    x, y = (low[these] + 0.5 - a).T
    whole = bx * cy - by * cx
    whole = np.where(np.abs(whole) < 1e-12, np.inf, whole)
    # The shares of b and c are linear in row and column.
    second = np.stack([x * cy - y * cx, cy, -cx]) / whole
    third = np.stack([y * bx - x * by, -by, bx]) / whole
    row, column = (one.astype(np.float32) for one in np.divmod(np.arange(width * width), width))
    second, third = (
        one[0, :, None] + one[1, :, None] * column + one[2, :, None] * row
        for one in (second.astype(np.float32), third.astype(np.float32))
    )
    inside = (second >= -1e-5) & (third >= -1e-5) & (second + third <= 1 + 1e-5)
    inside &= np.isfinite(whole)[:, None]
    face, which = np.nonzero(inside)
    spot = low[these[face]] + np.stack([which % width, which // width], 1)
    seen = (spot < side).all(1)
    face, which, spot = face[seen], which[seen], spot[seen]
    second, third = second[face, which], third[face, which]
    share = np.stack([1 - second - third, second, third], 1)
    return spot[:, 1] * side + spot[:, 0], these[face], share


def _floor(
    light: Light,
    side: int,
    scale: float,
    right: Array,
    up: Array,
    back: Array,
    middle: Array,
    radius: float,
) -> Array:
    """The ground and the paper behind it, for each pixel."""
    line = (np.arange(side) + 0.5 - side / 2) / scale
    x, y = np.meshgrid(line, -line)
    ray = x[..., None] * right + y[..., None] * up - back
    eye = _FOCUS * back
    ground = -middle[1] / radius
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (ground - eye[1]) / ray[..., 1]
    below = (ray[..., 1] < 0) & (far > 0)
    spot = eye + np.where(below, far, 0)[..., None] * ray
    u, v = ((spot[..., (0, 2)] + _WIDE) / (2 * _WIDE) * (_GROUND - 1)).reshape(-1, 2).T
    inside = below.reshape(-1) & (u >= 0) & (v >= 0) & (u < _GROUND - 1) & (v < _GROUND - 1)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    i, j = u.astype(int), v.astype(int)
    u, v = u - i, v - j
    grid = light.ground
    found = (grid[j, i] * (1 - u) + grid[j, i + 1] * u) * (1 - v)
    found += (grid[j + 1, i] * (1 - u) + grid[j + 1, i + 1] * u) * v
    made: Array = _PAPER * np.where(inside, 0.35 + 0.65 * found, 1.0)
    return made
