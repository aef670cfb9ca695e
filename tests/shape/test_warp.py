"""Warps, and the forms that carry them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from triptych.shape import warp

WARPS = arrays(np.float32, (3, warp.TERMS), elements=st.floats(-3, 3, width=32))


@given(bent=WARPS, seed=st.integers(0, 99))
def test_nothing_folds_and_the_box_stays(bent: np.ndarray, seed: int):
    places = np.sort(np.random.default_rng(seed).uniform(-2, 3, (50, 3)), 0)
    made = warp.warped(places, warp.sound(bent))
    assert (np.diff(made, axis=0) >= 0.4 * np.diff(places, axis=0)).all()
    np.testing.assert_allclose(made[[0, -1]], places[[0, -1]])


@given(bent=WARPS, seed=st.integers(0, 99))
def test_left_and_right_move_alike(bent: np.ndarray, seed: int):
    half = np.random.default_rng(seed).uniform(0, 1, (30, 3))
    both = np.concatenate([half, half * (-1, 1, 1)])
    right, left = np.split(warp.warped(both, warp.sound(bent)), 2)
    np.testing.assert_allclose(left, right * (-1, 1, 1), atol=1e-9)


def table(top: float, thick: float) -> np.ndarray:
    """Signed distances of a board, above and below of which nothing is, at the nodes of a grid."""
    height = np.broadcast_to(np.linspace(-1, 1, 24)[:, None], (24, 24, 24))
    made: np.ndarray = np.abs(height - top) - thick
    return made.reshape(1, -1)


def test_a_board_is_warped_to_where_another_is():
    known, drawn = table(0.1, 0.08), table(0.25, 0.08)
    found = warp.towards(known, drawn, 24)
    corners = np.array([[-1.0, -1, -1], [0.0, 0.1, 0], [1, 1, 1]])
    moved = warp.warped(corners, found)[1]
    assert 0.16 < moved[1] < 0.27
    np.testing.assert_allclose(moved[[0, 2]], 0, atol=0.01)


def test_what_is_alike_is_not_warped():
    known = table(0.1, 0.1)
    np.testing.assert_allclose(warp.towards(known, known, 24), 0, atol=1e-5)
