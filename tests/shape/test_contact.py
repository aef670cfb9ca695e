"""A grown thing that its box cut off becomes round there, and stands on the ground as before."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triptych.shape.contact import drawn_back

NODES = 24


def ball(centre: float, radius: float, sides: np.ndarray) -> np.ndarray:
    """The distances of a ball on the y axis, cut off by its box as by planes."""
    x, y, z = np.meshgrid(*(np.linspace(-s, s, NODES) for s in sides), indexing="ij")
    far = np.sqrt(x**2 + (y - centre) ** 2 + z**2) - radius
    walls = [np.abs(place) - side for place, side in ((x, sides[0]), (y, sides[1]), (z, sides[2]))]
    made: np.ndarray = np.maximum.reduce([far, *walls]).reshape(1, -1).astype(np.float32)
    return made


def depth(distances: np.ndarray, sides: np.ndarray, x: int, upper: bool = True) -> float:
    """How far below the box's upper face (or above its lower one) the thing begins, at node x in
    the middle of z."""
    column = distances.reshape(NODES, NODES, NODES)[x, :, NODES // 2]
    column = column[::-1] if upper else column
    place = int(np.argmax(column < 0))
    before, after = float(column[place - 1]), float(column[place])
    return (place - 1 + before / (before - after)) * 2 * float(sides[1]) / (NODES - 1)


@given(st.floats(0.1, 0.3), st.floats(0.6, 0.85))
def test_a_ball_cut_off_above_is_round_there(above: float, radius: float):
    sides = np.array([1.0, radius, 1.0]) * 0.95
    cut = ball(above, radius, sides)
    made = drawn_back(cut, sides, NODES)
    nodes = [x for x in range(NODES // 2, NODES) if depth(cut, sides, x) < 1e-3]  # to the rim
    deeper = [depth(made, sides, x) for x in nodes]
    assert all(next_ > one for one, next_ in pairwise(deeper))
    assert deeper[-1] - deeper[0] > 0.03
    assert (made >= cut).all()


@given(st.floats(0.1, 0.3), st.floats(0.6, 0.85))
def test_what_stands_on_the_ground_stays_flat_there(below: float, radius: float):
    sides = np.array([1.0, radius, 1.0]) * 0.95
    cut = ball(-below, radius, sides)
    made = drawn_back(cut, sides, NODES)
    nodes = [x for x in range(NODES // 2, NODES) if depth(cut, sides, x, upper=False) < 1e-3]
    assert max(depth(made, sides, x, upper=False) for x in nodes) < 0.01
