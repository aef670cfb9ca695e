"""Distances from meshes to the nodes of a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.shape.distances import signed_distances

AXIS = np.linspace(-1, 1, 12)
GRID = np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), -1).reshape(-1, 3)
SIDES = st.tuples(*[st.floats(0.05, 0.9)] * 3)


def told(mesh: Any) -> np.ndarray:
    return signed_distances(mesh.vertices, mesh.faces.astype(np.int32), (AXIS, AXIS, AXIS))


def of_box(half: Any) -> np.ndarray:
    apart = np.abs(GRID) - half
    outside = np.linalg.norm(apart.clip(0), axis=1)
    return np.asarray(outside + apart.max(1).clip(max=0))


@given(half=SIDES, turned=st.booleans())
@settings(max_examples=15)
def test_a_block_is_told_to_a_hundredth_whichever_way_its_faces_point(half: Any, turned: bool):
    block = trimesh.creation.box(np.array(half) * 2)
    if turned:
        block.invert()
    made, true = told(block), of_box(half)
    border = np.abs(true) < 1e-6
    assert np.abs(np.abs(made) - np.abs(true)).max() < 0.01
    assert ((made < 0) == (true < 0))[~border].all()


@given(half=st.tuples(st.floats(0.4, 0.9), st.floats(0.01, 0.03), st.floats(0.4, 0.9)))
@settings(max_examples=5, deadline=None)
def test_a_thin_board_of_very_many_triangles_is_told_as_well(half: Any):
    board = trimesh.creation.box(np.array(half) * 2).subdivide_to_size(0.025)
    assert len(board.faces) > 10_000
    assert np.abs(np.abs(told(board)) - np.abs(of_box(half))).max() < 1e-4


def test_parts_that_overlap_are_one_solid():
    one, other = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1.6, 0.4, 0.4))
    made = told(trimesh.util.concatenate([one, other]))
    assert ((made < 0) == ((of_box((0.5, 0.5, 0.5)) < 0) | (of_box((0.8, 0.2, 0.2)) < 0))).all()


def test_a_ball_with_a_hole_is_a_ball():
    ball = trimesh.creation.icosphere(4, 0.8)
    ball.update_faces(ball.triangles_center[:, 1] < 0.7)
    true = np.linalg.norm(GRID, axis=1) < 0.8
    assert ((told(ball) < 0) == true).mean() > 0.99


@pytest.mark.parametrize("faces", [1, 2])
def test_a_sheet_encloses_nothing(faces: int):
    corners = np.array([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5]])
    sheet = np.array([[0, 1, 2], [0, 2, 3]], np.int32)[:faces]
    made = signed_distances(corners, sheet, (AXIS, AXIS, AXIS))
    assert (made > 0).all()
    assert made.min() < 0.1
