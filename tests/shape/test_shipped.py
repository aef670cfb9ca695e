"""The model of shapes that ships."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import trimesh
from tests.shape.test_shape import ENGINE, check

from triptych.engine import Job
from triptych.shape import exemplars
from triptych.shape.assembly import Assembler
from triptych.shape.category import categories_of
from triptych.shape.mesh import Mesh
from triptych.shape.model import ShapeModel
from triptych.shape.shape import CROSS, SHAPE, VARY


@pytest.fixture(scope="module")
def shipped() -> ShapeModel:
    return ShapeModel("shape", ENGINE, Job())


def made(task: Any, given_: Any = None, **values: Any) -> Mesh:
    result = task.run(given_, engine=ENGINE, **{"detail": 48, "model": "shape", **values}).made
    assert isinstance(result, Mesh)
    return result


def test_each_category_makes_sound_shapes_around_its_usual_size(shipped: ShapeModel):
    assembler = Assembler(shipped)
    for number, category in enumerate(categories_of(shipped.bundle)):
        check(made(SHAPE, category=category.name, seed=number, variety=0.0), category.size)
        sizes = [assembler.sized(category.name, (None, None, None), seed) for seed in range(80)]
        check(made(SHAPE, category=category.name, seed=number), sizes[number])
        assert (np.min(sizes, 0) < category.size).all()
        assert (np.max(sizes, 0) > category.size).all()


def test_what_is_drawn_is_in_one_piece_and_no_exemplar(shipped: ShapeModel):
    pieces = []
    for number, category in enumerate(shipped.categories):
        one = made(SHAPE, category=category, seed=50 + number, detail=96)
        pieces.append(trimesh.Trimesh(one.vertices, one.faces, process=False).body_count)
        assert np.abs(shipped.understood(one).warp).max() > 1e-3
    assert np.mean(np.array(pieces) == 1) >= 0.9


def test_seeds_that_follow_each_other_start_from_other_exemplars(shipped: ShapeModel):
    assembler = Assembler(shipped)
    for category in ("chair", "shelf", "lamp"):
        size = np.array(shipped.category(category).size)
        codes = [shipped.code_drawn(category, size, seed) for seed in range(6)]
        near = [assembler.near(code, category, size, n, 1.0) for n, code in enumerate(codes)]
        assert len({one.latent.tobytes() for one in near}) == 6


def test_with_most_variety_chairs_are_parts_of_two(shipped: ShapeModel):
    assembler, held = Assembler(shipped), shipped.bundle.arrays("exemplars.npz")
    own, _ = exemplars.unpacked(held, "chair", shipped.nodes)
    whole = []
    for variety in (1.0, 1.5):
        drawn = [assembler.drawn("chair", np.array([0.5, 0.9, 0.5]), n, variety) for n in range(12)]
        apart = [np.abs(own - one.latent)[:, :-3].max(1).min() for one in drawn]
        whole.append(int((np.array(apart) < 0.02).sum()))
    assert whole[0] == 12
    assert whole[1] <= 4


def test_a_new_shape_stays_near_what_it_was_varied_from():
    far = {0.15: 0.0, 1.0: 0.0}
    for category in ("armchair", "stool", "vase"):
        one = made(SHAPE, category=category, seed=3)
        for amount in far:
            for seed in range(4, 7):
                other = made(VARY, one, amount=amount, seed=seed)
                gap = ((one.vertices[::9, None] - other.vertices[::9]) ** 2).sum(2)
                far[amount] += float(gap.min(0).mean() + gap.min(1).mean())
        check(other, one.size)
    assert far[0.15] < 0.5 * far[1.0]


def test_what_is_varied_or_crossed_still_stands_on_its_legs():
    """What is made of two chairs is a chair, but for one in four."""

    def standing(mesh: Mesh) -> bool:
        ground = mesh.vertices[mesh.vertices[:, 1] < 0.04 * mesh.size[1]]
        return bool((np.ptp(ground, 0) > 0.6 * mesh.size)[[0, 2]].all())

    drawn = [made(SHAPE, category="chair", seed=seed) for seed in range(8)]
    chairs = [one for one in drawn if standing(one)]
    tables = (made(SHAPE, category="table", seed=seed) for seed in range(8))
    table = next(one for one in tables if standing(one))
    others = [made(VARY, one, amount=0.3, seed=seed) for seed, one in enumerate(chairs)]
    others += [made(CROSS, one, other=two) for one, two in pairwise(chairs)]
    others += [made(CROSS, one, other=table, share=0.4) for one in chairs]
    assert len(chairs) >= 6
    assert sum(map(standing, others)) >= 0.75 * len(others)


def test_more_solidity_is_more_volume():
    def volume(step: float) -> float:
        shapes = [made(SHAPE, category="shelf", seed=seed, solidity=step) for seed in range(3)]
        return float(np.mean([shape.volume / np.prod(shape.size) for shape in shapes]))

    assert volume(-1.5) < volume(0) < volume(1.5)


def test_two_directions_are_gone_at_once():
    def vertices(**steps: float) -> np.ndarray:
        return made(
            SHAPE, category="vase", seed=5, height=0.3, width=0.2, depth=0.2, **steps
        ).vertices

    one, other, both = vertices(curves=2.0), vertices(flare=2.0), vertices(curves=2.0, flare=2.0)
    assert not np.array_equal(both, one)
    assert not np.array_equal(both, other)


def test_a_table_with_thin_legs_comes_back(shipped: ShapeModel):
    boxes: list[Any] = [((0, 0, 0), (1.2, 0.04, 0.7))]
    boxes += [((x, -0.36, z), (0.05, 0.7, 0.05)) for x in (-0.55, 0.55) for z in (-0.3, 0.3)]
    parts = [trimesh.creation.box(size).apply_translation(at) for at, size in boxes]
    table: Any = trimesh.util.concatenate(parts)
    mesh = Mesh(table.vertices.astype(np.float32), table.faces.astype(np.int32))
    places = np.random.default_rng(0).uniform(-0.5, 0.5, (50000, 3)) * table.extents
    within = [(np.abs(places - at) < np.array(size) / 2) for at, size in boxes_around(boxes, table)]
    truth = np.any([one.all(1) for one in within], 0)
    cube = (places * 1.9 / table.extents.max()).astype(np.float32)
    kept = shipped.field(shipped.encoded(mesh), 0.0)(cube) < 0
    assert (kept & truth).sum() / (kept | truth).sum() > 0.75
    check(made(CROSS, mesh, other=mesh, share=0.0, detail=64), mesh.size)


def boxes_around(boxes: Any, table: Any) -> list[Any]:
    """The boxes as they stand around the middle of the table's own box."""
    middle = np.mean(table.bounds, 0)
    return [(np.array(at) - middle, size) for at, size in boxes]
