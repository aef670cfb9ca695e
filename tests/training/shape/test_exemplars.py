"""What becomes an exemplar."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from triptych.shape import exemplars as stored
from triptych.shape.mesh import Mesh
from triptych.training.shape import exemplars, grids, samples
from triptych.training.shape.exemplars import Shown


def surface(made: trimesh.Trimesh) -> Mesh:
    return Mesh(made.vertices.astype(np.float32), made.faces.astype(np.int32))


def test_parts_and_handles_are_counted():
    ball, ring = trimesh.creation.icosphere(2), trimesh.creation.torus(1.0, 0.3)
    apart = ring.copy().apply_translation((5, 0, 0))
    assert exemplars.topology(surface(ball)) == (1, 2)
    assert exemplars.topology(surface(ring)) == (1, 0)
    assert exemplars.topology(surface(ball + apart)) == (2, 2)


def test_whole_ones_are_fit():
    whole = [Shown(0.0, 0.0, 0.0)] * 50
    others = [Shown(0.0, 0.0, 2.0), Shown(0.0, 0.0)]
    assert set(exemplars.fit_ones([*others, *whole])) == set(range(2, 52))


def test_where_few_are_whole_the_least_torn_are_taken():
    shown = [Shown(0.0, 0.0, float(n)) for n in range(100)]
    assert set(exemplars.fit_ones(shown)) == set(range(20))
    assert len(exemplars.fit_ones(shown[:7])) == 7


def test_they_are_spread_as_the_goals_are_and_none_comes_twice():
    codes = np.array([[0.0], [1.0], [2.0], [3.0]])
    sizes = np.ones((4, 3))
    goals = np.array([[2.1], [2.2], [-5.0]])
    found = exemplars.spread(codes, sizes, goals, np.ones((3, 3)))
    assert found.tolist() == [2, 3, 0]


@pytest.mark.parametrize("index", [0, 5])  # a chair, a shelf
def test_what_is_thicker_has_more_inside(index: int):
    latent = grids.latent(samples.made(index))
    plain, thick = (
        stored.LEVELS[exemplars._levels(latent, Shown(share, thicker), False)]
        for share, thicker in ((0.0, 0.0), (0.2, 0.024))
    )
    assert np.abs(plain - latent[:-3].clip(-0.12, 0.12)).max() < 0.011
    assert (thick < 0).sum() > (plain < 0).sum()
    assert not ((plain < 0) & (thick > 0)).any()
