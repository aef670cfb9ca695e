"""Procedural shapes: solids in their boxes, standing on the ground, the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.errors import UserError
from triptych.training.shape.procedural import FAMILIES, shape
from triptych.training.shape.procedural.field import Box, Lathe, Mirror, Rod, Sweep, Union
from triptych.training.shape.procedural.outline import (
    Table,
    oval,
    polygon_distance,
    rectangle,
    solid_profile,
)
from triptych.training.shape.render import picture
from triptych.training.shape.samples import Procedural, slope

families = st.sampled_from(list(FAMILIES))
seeds = st.integers(0, 10**6)


def within(size: tuple[float, float, float], count: int, spread: float = 1.0) -> np.ndarray:
    """Points in a box, or in one larger by `spread`, that stands on the ground."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (count, 3)) * spread * np.array(size)
    return (points + np.array([0, size[1] / 2, 0])).astype(np.float32)


@settings(deadline=None, max_examples=25)
@given(families, seeds)
def test_a_shape_is_a_solid_in_its_box(family: str, seed: int) -> None:
    made = shape(family, seed)
    far = made.distance(within(made.size, 20_000))
    assert far.dtype == np.float32
    assert np.isfinite(far).all()
    assert (far < 0).mean() > 0.003
    points = within(made.size, 20_000, 1.6)
    over = np.abs(points - np.array([0, made.size[1] / 2, 0])) - np.array(made.size) / 2
    outside = (over > 0.001).any(1)
    assert (made.distance(points)[outside] > 0).all()


@settings(deadline=None, max_examples=20)
@given(families, seeds)
def test_it_stands_on_the_ground(family: str, seed: int) -> None:
    made = shape(family, seed)
    points = within(made.size, 60_000)
    points[:, 1] = 0.001
    assert (made.distance(points) < 0).any()


@settings(deadline=None, max_examples=20)
@given(families, seeds)
def test_it_reaches_the_sides_of_its_box(family: str, seed: int) -> None:
    solid = Procedural(shape(family, seed))
    points, _ = solid.surface(6000, np.random.default_rng(1))
    half = 0.95 * solid.frame.proportions
    assert (np.abs(points).max(0) > 0.94 * half).all()


@settings(deadline=None, max_examples=10)
@given(families, seeds)
def test_a_seed_is_a_shape(family: str, seed: int) -> None:
    one, two = shape(family, seed), shape(family, seed)
    points = within(one.size, 500)
    assert one.size == two.size
    assert np.array_equal(one.distance(points), two.distance(points))
    assert shape(family, seed + 1).size != one.size


@settings(deadline=None, max_examples=20)
@given(families, seeds)
def test_sizes_are_plausible(family: str, seed: int) -> None:
    low, high = {
        "chair": (0.6, 1.4),
        "table": (0.3, 2.3),
        "bed": (1.9, 2.5),
        "bottle": (0.08, 0.45),
        "goblet": (0.1, 0.3),
        "tree": (2.0, 12.0),
    }.get(family, (0.05, 5.0))
    assert low < max(shape(family, seed).size) < high


@settings(deadline=None, max_examples=10)
@given(families, seeds)
def test_distances_are_right_near_the_surface(family: str, seed: int) -> None:
    """A point moved off the surface is about as far from it as it was moved."""
    solid = Procedural(shape(family, seed))
    points, normals = solid.surface(4000, np.random.default_rng(1))
    assert np.abs(np.median(solid.distance(points))) < 2e-3
    moved = solid.distance(points + 0.004 * normals)
    assert 0.002 < np.median(moved) < 0.006


def test_a_family_that_does_not_exist() -> None:
    with pytest.raises(UserError, match="did you mean 'chair'"):
        shape("chairs", 0)


@pytest.mark.parametrize("polygon", [rectangle(0.6, 1.0, 0.2, 8), oval(1.0, 0.5, 3.0)])
def test_a_table_knows_the_distance_to_a_polygon(polygon: np.ndarray) -> None:
    u, v = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 4000)).astype(np.float32)
    true, told = polygon_distance(u, v, polygon), Table(polygon)(u, v)
    near = np.abs(true) < 0.02
    np.testing.assert_allclose(told[near], true[near], atol=2e-3)
    sure = np.abs(true) > 2e-3
    assert ((told < 0) == (true < 0))[sure].all()


def test_primitives_have_true_distances() -> None:
    points = np.random.default_rng(0).uniform(-2, 2, (3, 2000)).astype(np.float32)
    x, y, z = points
    ball = np.sqrt(x * x + y * y + z * z) - 0.5
    middle = np.zeros((2, 3))
    middle[1, 0] = 1e-4
    np.testing.assert_allclose(Sweep(middle, 0.5)(x, y, z), ball, atol=1e-3)
    np.testing.assert_allclose(Box((0, 0, 0), (1, 1, 1), 0.5)(x, y, z), ball, atol=5e-3)
    tube = Rod((0, -0.5, 0), (0, 0.5, 0), 0.3)(x, y, z)
    turned = Lathe(solid_profile([(-0.5, 0.3), (0.5, 0.3)]))(x, y, z)
    near = np.abs(tube) < 0.1
    np.testing.assert_allclose(turned[near], tube[near], atol=0.02)


def test_a_union_is_the_nearest_of_its_parts() -> None:
    parts = [
        Box((0, 0, 0), (1, 0.2, 1)),
        Mirror(Rod((0.5, 0, 0.2), (0.7, 1, 0.1), 0.05)),
        Sweep(np.array([[0, 0, 0], [0, 1, 0], [1, 1, 0]]), 0.1),
    ]
    points = np.random.default_rng(0).uniform(-2, 2, (3, 3000)).astype(np.float32)
    nearest = np.min([part(*points) for part in parts], 0)
    made = Union(parts)(*points)
    np.testing.assert_allclose(made, nearest, atol=1e-6)


def test_a_picture_shows_the_shape_and_the_ground() -> None:
    def ball(points: np.ndarray) -> np.ndarray:
        return (np.linalg.norm(points, axis=1) - 0.8).astype(np.float32)

    made = picture(ball, 40)
    assert made.shape == (40, 40, 3)
    share = (made[..., 2] < 200).mean()  # of a disc of radius 0.8 in a square of 2.84
    assert share == pytest.approx(np.pi * 0.8**2 / 2.84**2, abs=0.03)
    points = np.array([[0.8, 0, 0], [0, -0.8, 0]], np.float32)
    np.testing.assert_allclose(slope(ball, points, 0.01)[0], points / 0.8, atol=0.01)
