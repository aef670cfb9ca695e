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
    whole = [Shown(0.0, 0.0, 0.0, 0.5)] * 50
    others = [Shown(0.0, 0.0, 2.0, 0.5), Shown(0.0, 0.0, 0.0, 1.5), Shown(0.0, 0.0)]
    assert set(exemplars.fit_ones([*others, *whole])) == set(range(3, 53))


def test_where_few_are_whole_those_with_the_fewest_faults_are_taken():
    shown = [Shown(0.0, 0.0, float(n), 1.5) for n in range(100)]
    assert set(exemplars.fit_ones(shown)) == set(range(20))
    assert len(exemplars.fit_ones(shown[:7])) == 7


def test_what_is_frayed_or_stands_out_is_ragged():
    def distance(points: np.ndarray) -> np.ndarray:
        made: np.ndarray = np.linalg.norm(points, axis=1) - 0.5
        return made

    ball = trimesh.creation.icosphere(4, 0.5)
    assert exemplars.ragged(surface(ball), distance) < 0.1
    frayed, needle = ball.copy(), ball.copy()
    rng = np.random.default_rng(0)
    frayed.vertices += rng.normal(0, 0.02, frayed.vertices.shape)
    needle.vertices[needle.vertices[:, 1].argmin(), 1] -= 0.1
    assert exemplars.ragged(surface(frayed), distance) > 1
    assert exemplars.ragged(surface(needle), distance) > 1


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
