"""Completing a picture from itself: what is laid is of what is known, and fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.engine import Job
from triptych.errors import Cancelled
from triptych.image.completion import completed

GREY = np.full((4, 4, 3), 0.5, np.float32)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 5),
    share=st.floats(0.01, 0.99),
)
@settings(max_examples=15, deadline=None)
def test_any_hole_is_laid_of_known_colours(height: int, width: int, seed: int, share: float):
    rng = np.random.default_rng((height, width, seed))
    before = rng.uniform(0.2, 0.7, (height, width, 3)).astype(np.float32)
    hole = np.zeros((height, width), bool)
    hole[:, : round(share * width)] = True
    if seed % 2:
        hole |= rng.random(hole.shape) < 0.01
    given = np.where(hole[..., None], np.float32(np.nan), before)  # the hole is not looked at
    made = completed(given, hole, GREY, Job(), seed)
    assert made.shape == before.shape
    assert np.array_equal(made[~hole], before[~hole])
    assert not hole.any() or 0.05 < made[hole].min() <= made[hole].max() < 0.85


@pytest.mark.parametrize("slope", [0, 1])
def test_lines_go_on(slope: int):
    rows, columns = np.mgrid[:128, :160]
    before = np.repeat(((rows + slope * columns) % 16 < 8).astype(np.float32)[..., None], 3, 2)
    hole = np.zeros((128, 160), bool)
    hole[:, 130:] = True
    hole[40:56, 40:56] = True
    made = completed(before, hole, GREY, Job())
    assert np.abs(made - before)[hole].mean() < 0.05


def test_what_goes_beside_comes_from_the_same_height():
    rows = np.linspace(0, 1, 160, dtype=np.float32)[:, None]
    noise = np.random.default_rng(0).normal(0, 0.02, (160, 200, 3)).astype(np.float32)
    before = np.clip(rows[..., None] + noise, 0, 1)
    hole = np.zeros((160, 200), bool)
    hole[:, 140:] = True
    made = completed(before, hole, GREY, Job(), horizon=0.5)
    assert np.abs(made.mean(2)[:, 140:].mean(1) - rows[:, 0]).max() < 0.1
    detail = np.diff(made, axis=1)[:, 150:].std() / np.diff(before, axis=1)[:, 150:].std()
    assert 0.7 < detail < 1.1  # as grainy as what is known


def test_a_seed_is_kept_and_another_differs():
    rng = np.random.default_rng(1)
    before = np.repeat(rng.random((100, 120, 1), np.float32), 3, 2)
    hole = np.zeros((100, 120), bool)
    hole[:, 80:] = True
    one, again, other = (completed(before, hole, GREY, Job(), seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_where_no_patch_is_known_the_guess_stays():
    before = np.full((30, 40, 3), 0.1, np.float32)
    hole = np.ones((30, 40), bool)
    hole[:, :5] = False
    made = completed(before, hole, GREY, Job())
    assert np.allclose(made[hole], 0.5)


def test_it_is_cancelled():
    job = Job()
    job.cancel()
    hole = np.zeros((64, 64), bool)
    hole[20:40] = True
    with pytest.raises(Cancelled):
        completed(np.zeros((64, 64, 3), np.float32), hole, GREY, job)
