"""Known shapes: of which category something is, and which is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.shape.known import Known
from triptych.shape.overlap import overlaps


def same(coordinates: np.ndarray) -> np.ndarray:
    return coordinates


def known(seed: int, count: int) -> tuple[Known, np.ndarray]:
    """Known shapes of three categories, whose coordinates are distances at 4 x 4 x 4 nodes, and
    scores."""
    rng = np.random.default_rng(seed)
    category = np.concatenate([[0, 1, 2], rng.integers(3, size=count)])
    coordinates = rng.standard_normal((len(category), 64)).astype(np.float32)
    size = np.exp(rng.standard_normal((len(category), 3)))
    return Known(coordinates, category, size), 3 * rng.standard_normal(len(category))


@given(st.integers(0), st.integers(0, 30), st.integers(0, 3))
def test_what_is_chosen_is_like_what_is_likely(seed: int, count: int, category: int):
    """Of the category, or of any: none is of the last."""
    held, scores = known(seed, count)
    row = held.chosen(scores, category, same)
    own = np.flatnonzero((held.category == category) | (category == 3))
    assert row in own
    shares = np.exp(scores[own] - scores[own].max())
    sides = held.size[own] / held.size[own].max(1, keepdims=True)
    alike = overlaps(held.coordinates[own], sides.clip(0.01))

    def risk(one: int) -> float:
        places = held.compared(own) - held.compared(slice(one, one + 1))
        apart = np.linalg.norm(places, axis=1) * 0.3 / 16
        return float((1 - alike[own == one][0] + apart) @ shares)

    assert risk(row) <= 1.001 * min(map(risk, own.tolist())) + 1e-3


@given(st.integers(0), st.integers(0, 30), st.integers(0, 2))
def test_the_likeliest_is_chosen_where_it_is_sure(seed: int, count: int, category: int):
    held, scores = known(seed, count)
    scores[category] = 50
    assert held.chosen(scores, None, same) == category


def test_what_is_of_no_category_is_taken_where_a_chair_is_only_a_little_likelier():
    held = Known(np.eye(3, 64, dtype=np.float32), np.arange(3), np.ones((3, 3)))
    key, usual = np.eye(3), np.zeros(3)
    assert held.scores(np.array([1.0, 0, 0.5]), key, usual, 3).argmax() == 0
    assert held.scores(np.array([1.0, 0, 0.5]), key, usual, 2).argmax() == 2
    assert held.scores(np.array([2.0, 0, 0.5]), key, usual, 2).argmax() == 0


@given(st.integers(0), st.integers(0, 30))
def test_the_likeliest_category_is_that_of_most_likelihood(seed: int, count: int):
    held, scores = known(seed, count)
    summed = [np.exp(scores[held.category == number]).sum() for number in range(3)]
    assert held.likeliest(scores, 3) == np.argmax(summed)
    assert held.likeliest(scores, 2) == np.argmax(summed[:2])


@pytest.mark.parametrize("scores", [np.array([800.0, -900, 0]), np.array([-9e4, -8e4, -9e4])])
def test_scores_may_be_large(scores: np.ndarray):
    held = Known(np.eye(3, 64, dtype=np.float32), np.arange(3), np.ones((3, 3)))
    best: Any = scores.argmax()
    assert held.likeliest(scores, 3) == best
    assert held.chosen(scores, None, same) == best
