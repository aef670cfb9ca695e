"""The surface of a field: sound whatever the field, sharp where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.engine import Job
from triptych.shape.decimate import decimated
from triptych.shape.grid import Grid
from triptych.shape.mesh import Mesh, components, directed, rounded, solid
from triptych.shape.surface import extract

Array = np.ndarray[Any, Any]
TRUNCATION = 0.1


class Boxes:
    """The distance to the union of turned boxes (middle, half sides), truncated."""

    def __init__(self, *boxes: tuple[Any, Any], turn: float = 0.0) -> None:
        self.boxes, self.asked = boxes, 0
        s, c = np.sin(turn), np.cos(turn)
        around_y = np.array(((c, 0, s), (0, 1, 0), (-s, 0, c)))
        self.turned = around_y @ np.array(((1, 0, 0), (0, c, -s), (0, s, c)))

    def __call__(self, points: Array) -> Array:
        self.asked += len(points)
        points = points @ self.turned
        made = np.full(len(points), np.inf)
        for middle, half in self.boxes:
            apart = np.abs(points - np.array(middle)) - np.array(half)
            far = np.sqrt((np.maximum(apart, 0) ** 2).sum(1))
            made = np.minimum(made, far + np.minimum(apart.max(1), 0))
        return made.clip(-TRUNCATION, TRUNCATION).astype(np.float32)


LEGS = [((x, -0.4, z), (0.04, 0.4, 0.04)) for x in (-0.4, 0.4) for z in (-0.4, 0.4)]
STOOL = (((0, 0, 0), (0.5, 0.06, 0.5)), *LEGS)


def noise(seed: int, count: int) -> Any:
    """Random values on a lattice, with straight lines between: every set of signs occurs."""
    values = np.random.default_rng(seed).normal(0, 0.1, (count, count, count))

    def field(points: Array) -> Array:
        at = (points + 1) / 2 * (count - 1.001)
        low = at.astype(int)
        part = at - low
        made = np.zeros(len(points))
        for corner in np.ndindex(2, 2, 2):
            share = np.where(corner, part, 1 - part).prod(1)
            made += share * values[tuple((low + corner).T)]
        return made.astype(np.float32)

    return field


def check_closed_manifold(vertices: Array, faces: Array) -> None:
    opened = trimesh.Trimesh(vertices, faces, process=False)
    assert opened.is_watertight
    assert opened.is_winding_consistent
    starts, stops = directed(faces)
    names = starts * len(vertices) + stops
    assert len(np.unique(names)) == len(names)
    # The faces around each vertex are one fan: their corners hang together across edges.
    order, back = np.argsort(names), np.argsort(stops * len(vertices) + starts)
    corner = np.arange(3 * len(faces)).reshape(3, -1)
    at_start, at_stop = corner.reshape(-1), np.roll(corner, -1, 0).reshape(-1)
    label = components(
        corner.size,
        np.concatenate([at_start[order], at_stop[order]]),
        np.concatenate([at_stop[back], at_start[back]]),
    )
    assert len(np.unique(label)) == len(np.unique(faces))


@given(seed=st.integers(0, 10_000), count=st.integers(4, 30), resolution=st.integers(16, 32))
@settings(max_examples=25)
def test_whatever_the_field_the_surface_is_a_closed_manifold(
    seed: int, count: int, resolution: int
):
    vertices, faces = extract(noise(seed, count), resolution, TRUNCATION, Job(), dense=True)
    check_closed_manifold(vertices, faces)
    assert np.abs(vertices).max() < 1
    vertices, faces = solid(vertices, faces)
    assert Mesh(vertices, faces).faults() == []
    check_closed_manifold(vertices, faces)


@given(turn=st.floats(0, 1.5), resolution=st.sampled_from([32, 60, 64, 72]), legs=st.booleans())
@settings(max_examples=8)
def test_from_coarse_to_fine_is_the_same_as_dense(turn: float, resolution: int, legs: bool):
    fast = Boxes(*(STOOL if legs else STOOL[:1]), turn=turn)
    dense = Boxes(*fast.boxes, turn=turn)
    one = extract(fast, resolution, TRUNCATION, Job())
    two = extract(dense, resolution, TRUNCATION, Job(), dense=True)
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert fast.asked <= dense.asked


def test_few_points_are_computed():
    for resolution, least in ((128, 4), (256, 8)):
        field = Boxes(*STOOL, turn=0.3)
        extract(field, resolution, TRUNCATION, Job())
        assert (resolution + 1) ** 3 > least * field.asked


@given(turn=st.just(0.0) | st.floats(0.1, 1.4), half=st.tuples(*[st.floats(0.15, 0.5)] * 3))
@settings(max_examples=20)
def test_corners_and_edges_stay_sharp(turn: float, half: tuple[float, float, float]):
    field = Boxes(((0, 0, 0), half), turn=turn)
    vertices, faces = extract(field, 64, TRUNCATION, Job())
    cell = 2 / 64
    corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T * half @ field.turned.T
    nearest = np.sqrt(((corners[:, None] - vertices) ** 2).sum(2)).min(1)
    # A turned edge that leaves no corner of the grid inside is cut by less than a cell.
    near, on = (0.9, 0.6) if turn else (0.5, 0.3)
    assert nearest.max() < near * cell
    assert np.abs(field(vertices)).max() < on * cell
    # Not only the vertices: the triangles between them lie on the box too.
    middles = vertices[faces].mean(1)
    assert np.percentile(np.abs(field(middles)), 95) < 0.25 * cell
    volume = 8 * np.prod(half)
    assert Mesh(vertices, faces).volume == pytest.approx(volume, rel=0.02)


@given(turn=st.floats(0, 1.5))
@settings(max_examples=20)
def test_a_thin_slanting_rod_stays_in_one_piece(turn: float):
    field = Boxes(((0, 0, 0), (0.02, 0.8, 0.02)), turn=turn)
    vertices, faces = extract(field, 64, TRUNCATION, Job())
    assert len(np.unique(components(len(vertices), *directed(faces)))) == 1


@given(x=st.floats(-0.9, 0.9), y=st.floats(-0.9, 0.9), resolution=st.sampled_from((64, 96, 128)))
@settings(max_examples=30, deadline=None)
def test_a_needle_is_found_wherever_it_lies(x: float, y: float, resolution: int):
    """A learned field falls short of a distance beside what is thin: here by 0.01."""
    needle = Boxes(((x, y, 0), (0.012, 0.02, 0.9)))

    def field(points: Array) -> Array:
        return np.minimum(needle(points) + np.float32(0.01), np.float32(TRUNCATION))

    dense = Grid(field, resolution, TRUNCATION, Job(), dense=True)
    assert len(Grid(field, resolution, TRUNCATION, Job()).cells) == len(dense.cells)


def test_crumbs_and_hollows_go():
    shell = Boxes(((0, 0, 0), (0.6, 0.6, 0.6)))
    core, crumb = Boxes(((0, 0, 0), (0.2,) * 3)), Boxes(((0.85, 0.85, 0.85), (0.05,) * 3))

    def field(points: Array) -> Array:
        hollow = np.maximum(shell(points), -Boxes(((0, 0, 0), (0.4,) * 3))(points))
        return np.minimum(np.minimum(hollow, core(points)), crumb(points))

    made = solid(*extract(field, 64, TRUNCATION, Job()))
    assert Mesh(*made).volume == pytest.approx(1.2**3, rel=0.01)
    check_closed_manifold(*made)


def test_nothing_has_no_surface():
    vertices, faces = extract(lambda p: np.full(len(p), 0.1, np.float32), 32, TRUNCATION, Job())
    assert not len(vertices)
    assert faces.shape == (0, 3)


def test_a_shape_that_leaves_the_cube_is_closed_at_its_border():
    grid = Grid(Boxes(((0, 0, 0), (2.0, 0.3, 0.3))), 32, TRUNCATION, Job())
    assert len(grid.cells)
    vertices, faces = extract(Boxes(((0, 0, 0), (2.0, 0.3, 0.3))), 32, TRUNCATION, Job())
    check_closed_manifold(vertices, faces)


@given(seed=st.integers(0, 1000), count=st.integers(100, 1500))
@settings(max_examples=5)
def test_decimated_surfaces_stay_closed_manifolds(seed: int, count: int):
    vertices, faces = solid(*extract(noise(seed, 5), 16, TRUNCATION, Job(), dense=True))
    made = decimated(vertices, faces, count, Job())
    check_closed_manifold(*made)
    assert len(made[1]) <= max(count, 0.5 * len(faces))
    assert Mesh(*made).volume > 0


def test_few_triangles_are_enough_for_what_is_flat():
    field = Boxes(*STOOL, turn=0.4)
    vertices, faces = extract(field, 64, TRUNCATION, Job())
    made = decimated(vertices, faces, 300, Job())
    assert len(made[1]) <= 300
    assert np.abs(field(made[0])).max() < 0.25 * 2 / 64
    assert Mesh(*made).volume == pytest.approx(Mesh(vertices, faces).volume, rel=0.01)


@given(steps=st.integers(0, 30), turn=st.floats(0, 1.5))
@settings(max_examples=15)
def test_rounding_keeps_the_volume_and_rounds(steps: int, turn: float):
    vertices, faces = extract(Boxes(*STOOL, turn=turn), 48, TRUNCATION, Job())
    made = rounded(vertices, faces, steps)
    before, after = Mesh(vertices, faces), Mesh(made, faces)
    assert after.volume == pytest.approx(before.volume, rel=0.002)
    if steps >= 5:
        assert trimesh.Trimesh(made, faces).area < trimesh.Trimesh(vertices, faces).area
