"""Crossings of two latents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.shape.crossing import crossed, joined, seams
from triptych.shape.implicit import Implicit

NODES = 12
ALONG = np.linspace(-1, 1, NODES)
X, Y, Z = np.meshgrid(ALONG, ALONG, ALONG, indexing="ij")


def latent(far: np.ndarray) -> np.ndarray:
    return np.concatenate([far.reshape(-1), [0.8, 1.0, 0.8]]).astype(np.float32)[None]


def pillar(wide: float, at: float = 0.0) -> Implicit:
    """A square pillar as high as its box."""
    far = np.maximum(np.abs(X - at), np.abs(Z)) - wide
    return Implicit(latent(far), "chair", np.array([0.4, 1.0, 0.4]) * (1 + wide))


def table(seat: float, legs: float) -> Implicit:
    """A board at a height with something square under it."""
    board = np.maximum(np.abs(Y - seat) - 0.1, np.maximum(np.abs(X), np.abs(Z)) - 0.9)
    under = np.maximum(np.maximum(np.abs(X), np.abs(Z)) - legs, Y - seat)
    return Implicit(latent(np.minimum(board, under)), "table", np.array([1.0, 0.7, 1.0]))


def inside(one: Implicit) -> np.ndarray:
    made: np.ndarray = one.latent[0, :-3].reshape(NODES, NODES, NODES) < 0
    return made


@given(st.floats(0.1, 0.9), st.floats(0.15, 0.9), st.floats(0.15, 0.9))
def test_it_is_the_first_above_and_the_second_below(share: float, wide: float, narrow: float):
    one, two = pillar(wide), pillar(narrow)
    made = inside(crossed(one, two, share, NODES))
    upper, lower = inside(one), inside(two)
    assert np.array_equal(made[:, -1], upper[:, -1])
    assert np.array_equal(made[:, 0], lower[:, 0])
    for height in range(NODES):
        assert any(
            np.array_equal(made[:, height], x[:, height]) for x in (upper, lower, upper | lower)
        )
    size = crossed(one, two, share, NODES).size
    assert (size >= np.minimum(one.size, two.size) - 1e-9).all()
    assert (size <= np.maximum(one.size, two.size) + 1e-9).all()


def test_a_table_gets_the_legs_of_another_up_to_its_board():
    made = inside(crossed(table(0.5, 0.2), table(0.5, 0.6), 0.5, NODES))
    assert np.array_equal(made, inside(table(0.5, 0.6)))


@pytest.mark.parametrize(("share", "which"), [(0.0, 0), (0.3, 0), (0.7, 1), (1.0, 1)])
def test_where_nothing_meets_it_is_one_of_them(share: float, which: int):
    pair = pillar(0.2, -0.6), pillar(0.2, 0.6)
    made = crossed(*pair, share, NODES)
    assert np.array_equal(made.latent, pair[which].latent)


def board(above: float, below: float) -> Implicit:
    """A thick board in the middle with something square on it and under it."""
    across = np.maximum(np.abs(X), np.abs(Z))
    parts = (
        np.maximum(np.abs(Y) - 0.4, across - 0.9),
        np.maximum(0.4 - Y, across - above),
        np.maximum(Y + 0.4, across - below),
    )
    return Implicit(latent(np.minimum.reduce(parts)), "table", np.ones(3))


@given(st.floats(0.3, 0.4), st.floats(0.5, 0.6), st.floats(0.3, 0.4), st.floats(0.5, 0.6))
def test_what_shares_a_board_is_joined_there(a: float, b: float, c: float, d: float):
    one, other = board(a, d).latent, board(b, c).latent
    (place,), (gained,) = seams(one, other, NODES)
    assert gained > 0
    assert abs(ALONG[place]) < 0.4
    assert np.allclose(joined(one, other, place, 0.5, NODES), board(a, c).latent)


@given(st.floats(0.2, 0.5))
def test_what_is_alike_or_meets_with_a_step_is_not_joined(wide: float):
    one = pillar(wide).latent
    others = np.concatenate([one, pillar(wide + 0.2).latent, pillar(wide, 0.4).latent])
    assert not np.isfinite(seams(one, others, NODES)[1]).any()


def test_no_seat_is_lost_where_two_are_joined():
    """Posts alike, one with a seat below and one with a seat above the middle: between the two
    they meet, but a chair without a seat would come of it."""

    def seat(height: float) -> np.ndarray:
        across = np.maximum(np.abs(X), np.abs(Z))
        board = np.maximum(np.abs(Y - height) - 0.2, across - 0.9)
        return latent(np.minimum(board, across - 0.2))

    assert not np.isfinite(seams(seat(-0.5), seat(0.5), NODES)[1]).any()


@given(st.floats(0.0, 0.03))
def test_what_stands_out_at_a_corner_or_is_of_other_proportions_is_not_joined(wide: float):
    one, other = board(0.35, 0.55).latent, board(0.55, 0.35).latent
    assert np.isfinite(seams(one, other, NODES)[1]).all()
    slim = other.copy()
    slim[0, -3:] = 0.5, 1.0, 0.5
    corner = np.maximum(np.abs(X - 1), np.abs(Z - 1)) - wide
    cornered = latent(np.minimum(other[0, :-3].reshape(X.shape), corner))
    assert not np.isfinite(seams(one, np.concatenate([slim, cornered]), NODES)[1]).any()
