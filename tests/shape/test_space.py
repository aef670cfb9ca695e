"""Coordinates of latents, and how thin parts are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triptych.shape.space import Space, sharpened

NODES = 16
PLACES = np.linspace(-1, 1, NODES, dtype=np.float32)


@given(st.integers(0, 2**31))
def test_coordinates_of_what_lies_in_the_space_give_it_back(seed: int):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((30, 4)))[0].T * np.array([[3], [2], [1], [0.5]])
    space = Space(rng.standard_normal(30), axes)
    coordinates = rng.standard_normal((2, 4))
    again = space.coordinates(space.latents(coordinates))
    np.testing.assert_allclose(again, coordinates, atol=1e-9)


def test_a_plate_that_was_lost_is_there_again_and_a_wall_stays_where_it_is():
    x = np.broadcast_to(PLACES[:, None, None], (NODES,) * 3).reshape(1, -1)
    plate = np.abs(x - PLACES[6]) + 0.01  # it should be 0.02 thick and is nowhere inside
    assert not (plate < 0).any()
    kept = sharpened(plate, NODES, 0.25).reshape((NODES,) * 3)
    assert (kept[6] < 0).all()
    assert not (np.delete(kept, 6, 0) < 0).any()
    wall = x - PLACES[6] - 0.03
    np.testing.assert_allclose(sharpened(wall, NODES, 0.25), wall, atol=1e-6)


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_what_is_inside_stays_inside(seed: int, share: float):
    far = np.random.default_rng(seed).normal(size=(2, NODES**3)).clip(-0.2, 0.2)
    made = sharpened(far, NODES, share)
    assert made.shape == far.shape
    assert (made <= far).all()
    np.testing.assert_array_equal(sharpened(far, NODES, 0.0), far)
