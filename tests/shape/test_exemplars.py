"""Exemplars, as a bundle stores them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import UserError
from triptych.shape import exemplars

NODES = 4


def numbers(count: int, seed: int, mirrored: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = rng.integers(len(exemplars.LEVELS), size=(count, NODES, NODES, NODES), dtype=np.uint8)
    for axis in (1, 3):
        left, right = np.split(made, 2, axis)
        alike = rng.random(count) < mirrored
        left[alike] = np.flip(right, axis)[alike]
    return made


@given(count=st.integers(0, 5), seed=st.integers(0, 99), mirrored=st.sampled_from([0.0, 0.5, 1.0]))
def test_they_come_back(count: int, seed: int, mirrored: float):
    told = numbers(count, seed, mirrored)
    size = np.random.default_rng(seed).uniform(0.1, 3, (count, 3)).astype(np.float32)
    latents, sizes = exemplars.unpacked(exemplars.packed("chair", told, size), "chair", NODES)
    assert np.array_equal(exemplars.rounded(latents[:, :-3]), told.reshape(count, NODES**3))
    assert np.array_equal(sizes, size)
    assert np.allclose(latents[:, -3:] * size.max(1, keepdims=True), size)


@given(st.floats(-1, 1))
def test_a_distance_is_kept_finely_near_the_surface(distance: float):
    kept = float(exemplars.LEVELS[exemplars.rounded(np.array([distance]))][0])
    assert abs(kept - np.clip(distance, -0.12, 0.12)) <= (
        0.0026 if abs(distance) < 0.04 else 0.0101
    )


def test_a_category_without_any_has_none():
    latents, sizes = exemplars.unpacked({}, "chair", NODES)
    assert latents.shape == (0, NODES**3 + 3)
    assert sizes.shape == (0, 3)


@pytest.mark.parametrize("damage", [slice(0, 20), slice(None, None, -1), slice(0, 0)])
def test_damaged_ones_are_refused_in_a_sentence(damage: slice):
    held = exemplars.packed("chair", numbers(3, 0, 0.0), np.ones((3, 3)))
    with pytest.raises(UserError, match="damaged"):
        exemplars.unpacked({**held, "chair": held["chair"][damage]}, "chair", NODES)
