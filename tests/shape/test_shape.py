"""The tasks on shapes: sound solids of the asked size, and what is made from others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shape.conftest import latent_of

from triptych.engine import Engine, Job
from triptych.errors import Cancelled, UserError
from triptych.shape import files
from triptych.shape.implicit import Implicit
from triptych.shape.mesh import Mesh, components, corner_normals, directed, volumes
from triptych.shape.model import ShapeModel
from triptych.shape.record import written
from triptych.shape.shape import CROSS, LIKE, SHAPE, VARY
from triptych.shape.surface import extract
from triptych.shape.uv import box_projection

ENGINE = Engine(["cpu"], threads=1)
NONE = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)


def made(task: Any, given_: Any = None, **values: Any) -> Mesh:
    values = {"detail": 32, "model": "boxes", **values}
    if task is SHAPE:
        values = {"category": "chair", **values}
    result = task.run(given_, engine=ENGINE, **values).made
    assert isinstance(result, Mesh)
    return result


def check(mesh: Mesh, size: Any) -> None:
    assert mesh.faults() == []
    opened = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert opened.is_watertight
    assert opened.is_winding_consistent
    assert opened.volume > 0
    assert np.allclose(mesh.size, size, rtol=0.02)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert abs(low[1]) < 1e-5
    assert np.allclose((low + high)[[0, 2]], 0, atol=1e-4 * mesh.size.max())
    assert mesh.vertices.dtype == np.float32
    assert mesh.faces.dtype == np.int32
    label = components(len(mesh.vertices), *directed(mesh.faces))[mesh.faces[:, 0]]
    share = np.bincount(label, volumes(mesh.vertices, mesh.faces))
    parts = share[np.unique(label)] / mesh.volume
    assert parts.min() >= 0.009  # a part is measured before it is rounded


SIDES = st.floats(0.05, 50)
MEASURES = st.lists(st.floats(-2, 2, width=16), min_size=9, max_size=9)


@given(
    measures=MEASURES,
    size=st.tuples(SIDES, SIDES, SIDES),
    detail=st.sampled_from([32, 40, 48]),
    roundness=st.sampled_from([0.0, 0.3, 1.0]),
    symmetry=st.sampled_from([0.0, 0.5, 1.0]),
    triangles=st.sampled_from([None, 500, 3000]),
    bent=st.lists(
        st.lists(st.floats(-9, 9, width=16), min_size=2, max_size=2), min_size=3, max_size=3
    ),
)
@settings(max_examples=12)
def test_every_shape_is_sound_and_has_its_size(
    model: ShapeModel,
    measures: list[float],
    size: Any,
    triangles: int | None,
    bent: list[list[float]],
    **values: Any,
):
    one = Implicit(latent_of(*measures), "chair", np.array(size), np.array(bent))
    record = written(model.bundle.card, one)
    check(made(VARY, Mesh(*NONE, record=record), amount=0.0, triangles=triangles, **values), size)


@given(
    width=st.none() | SIDES,
    height=st.none() | SIDES,
    depth=st.none() | SIDES,
    category=st.sampled_from(["chair", "Stool"]),
)
@settings(max_examples=12)
def test_what_is_not_asked_follows_in_proportion(category: str, **sides: float | None):
    mesh = made(SHAPE, category=category, **sides)
    mean = np.array({"chair": (0.5, 0.9, 0.5), "Stool": (0.4, 0.45, 0.4)}[category])
    asked = np.array([sides[name] or np.nan for name in ("width", "height", "depth")])
    known = ~np.isnan(asked)
    factor = np.exp(np.log(asked / mean)[known].mean()) if known.any() else 1.0
    check(mesh, np.where(known, asked, mean * factor))


def test_the_same_seed_makes_the_same_shape():
    one, again, other = (made(SHAPE, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(one.vertices, again.vertices)
    assert np.array_equal(one.faces, again.faces)
    assert not np.array_equal(one.vertices, other.vertices)


@given(seed=st.integers(0, 1000), step=st.floats(0.5, 3))
@settings(max_examples=10)
def test_a_direction_changes_what_it_is_named_after(seed: int, step: float):
    less, more = (
        made(SHAPE, seed=seed, height=1.0, solidity=sign * step).volume for sign in (-1, 1)
    )
    assert less < made(SHAPE, seed=seed, height=1.0).volume < more


def test_a_direction_that_the_model_does_not_know_is_one_sentence():
    with pytest.raises(UserError, match="boxes does not know curves: leave it at 0"):
        made(SHAPE, curves=1.0)


def test_a_record_makes_the_shape_again_and_so_does_its_file(tmp_path: Path):
    one = made(SHAPE, seed=4)
    files.save(one, tmp_path / "a.glb", record_of())
    again = made(VARY, files.load(tmp_path / "a.glb"), amount=0.0)
    assert np.array_equal(one.vertices, again.vertices)
    far = made(VARY, one, amount=0.6, seed=9)
    assert not np.array_equal(one.vertices, far.vertices)
    check(far, one.size)


def test_a_crossing_goes_from_one_to_the_other():
    one, other = made(SHAPE, seed=1), made(SHAPE, category="stool", seed=2, width=1.0)
    path = [made(CROSS, one, other=other, share=share) for share in (0.0, 0.5, 1.0)]
    assert np.array_equal(path[0].vertices, one.vertices)
    assert np.array_equal(path[2].vertices, other.vertices)
    check(path[1], np.sqrt(one.size * other.size))


def test_more_like_the_favourites_than_the_rejected(model: ShapeModel):
    good, bad = made(SHAPE, seed=1), made(SHAPE, seed=4)
    same = made(LIKE, favourites=[good], spread=0.0)
    assert np.array_equal(same.vertices, good.vertices)

    def far(one: Mesh, other: Mesh) -> float:
        return float(((model.understood(one).latent - model.understood(other).latent) ** 2).sum())

    for seed in range(3):
        near = made(LIKE, favourites=[good, good], rejected=[bad], spread=0.5, seed=seed)
        assert far(near, good) < far(near, bad)
        assert far(near, bad) > far(good, bad) / 2


def test_a_foreign_mesh_can_be_varied(tmp_path: Path):
    block = trimesh.creation.box((2.0, 1.0, 0.5))
    block.apply_translation((7, 8, 9))
    block.export(tmp_path / "block.obj")
    mesh = files.load(tmp_path / "block.obj")
    assert mesh.record is None
    check(made(VARY, mesh, amount=0.2), (2, 1, 0.5))
    check(made(CROSS, mesh, other=tmp_path / "block.obj", width=3.0), (3, 1.5, 0.75))


def test_symmetry_mirrors_the_right_half(model: ShapeModel):
    latent = latent_of(1, 1, 1, 0.2, 0, 0, 0, 0, 1)  # the back stands aside
    record = written(model.bundle.card, Implicit(latent, "chair", np.ones(3)))
    crooked, straight = (
        made(VARY, Mesh(*NONE, record=record), amount=0.0, symmetry=s) for s in (0.0, 1.0)
    )

    def lopsided(mesh: Mesh) -> float:
        mirrored = mesh.vertices * np.array((-1, 1, 1), np.float32)
        apart = ((mesh.vertices[:, None] - mirrored) ** 2).sum(2)
        return float(np.sqrt(apart.min(1).max()))

    assert lopsided(crooked) > 0.1
    assert lopsided(straight) < 1e-3


def test_textures_have_their_size_and_are_not_mirrored():
    half = np.array((0.5, 0.75, 0.42))

    def block(points: np.ndarray) -> np.ndarray:
        apart = np.abs(points) - half
        outside = np.linalg.norm(apart.clip(0), axis=1)
        return np.asarray(outside + apart.max(1).clip(max=0), np.float32)

    vertices, faces = extract(block, 64, 0.1, Job())
    uv = box_projection(vertices, faces)  # as the tasks lay it
    one = made(SHAPE)
    assert one.uv is not None
    assert np.array_equal(box_projection(one.vertices, one.faces), one.uv)
    a, b, c = (vertices[faces[:, i]].astype(float) for i in range(3))
    p, q, r = (uv[:, i].astype(float) for i in range(3))
    normal = np.cross(b - a, c - a)
    area = np.sqrt((normal**2).sum(1)) / 2
    one, two = q - p, r - p
    flat = (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]) / 2
    facing = np.abs(normal).max(1) > 1.9999 * area
    assert facing.mean() > 0.8
    assert np.allclose(flat[facing], area[facing], rtol=1e-3, atol=1e-9)


def test_normals_are_smooth_on_round_parts_and_split_at_edges():
    ball = trimesh.creation.icosphere(3)
    faces = ball.faces.astype(np.int32)
    normals = corner_normals(ball.vertices.astype(np.float32), faces)
    assert ((normals * ball.vertices[faces]).sum(2) > 0.999).all()
    block = trimesh.creation.box()
    faces = block.faces.astype(np.int32)
    normals = corner_normals(block.vertices.astype(np.float32), faces)
    assert np.allclose(normals, block.face_normals[:, None], atol=1e-6)


def record_of() -> Any:
    from triptych.provenance import Provenance

    return Provenance("shape")


@pytest.mark.parametrize(
    ("task", "values", "said"),
    [
        (SHAPE, {"category": "chiar"}, "did you mean 'chair'"),
        (SHAPE, {"width": 0}, "width must be from 0.01 to 100.0 m, not 0"),
        (SHAPE, {"height": float("nan")}, "height must be a number"),
        (SHAPE, {"detail": 1000}, "detail must be from 32 to 256"),
        (SHAPE, {"model": "shpe"}, "no model named 'shpe'"),
        (CROSS, {"other": "none.glb"}, "other: there is no file 'none.glb'"),
        (CROSS, {"other": 7}, "other must be a mesh, not a int"),
        (LIKE, {"favourites": []}, "favourites needs a value"),
        (LIKE, {"favourites": ["none.glb"]}, "there is no file 'none.glb'"),
    ],
)
def test_a_mistake_is_one_sentence(task: Any, values: dict[str, Any], said: str):
    given_ = made(SHAPE) if task is CROSS else None
    with pytest.raises(UserError, match=said):
        made(task, given_, **values)


def broken(**changes: Any) -> Mesh:
    one = made(SHAPE)
    return Mesh(*NONE, record={**(one.record or {}), **changes})


@pytest.mark.parametrize(
    ("mesh", "said"),
    [
        (lambda: Mesh(*NONE), "is empty"),
        (lambda: Mesh(np.full((3, 3), np.nan, np.float32), np.array([[0, 1, 2]])), "not finite"),
        (lambda: Mesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]])), "no size"),
        (lambda: Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 9]])), "do not exist"),
        (lambda: broken(latent="AAAA"), "damaged"),
        (lambda: broken(latent=None), "damaged"),
        (lambda: broken(size=[1, 2, float("nan")]), "damaged"),
        (lambda: broken(size=[0, 1, 1]), "damaged"),
        (lambda: broken(category="cat"), "damaged"),
        (lambda: broken(bundle={"name": "shape", "version": "0.1.0"}), "give its mesh"),
    ],
)
def test_a_mesh_that_is_none_is_refused(mesh: Any, said: str):
    with pytest.raises(UserError, match=said):
        made(VARY, mesh())


def test_a_flat_or_strange_mesh_is_varied_all_the_same():
    flat = Mesh(np.eye(3, dtype=np.float32) * (1, 1, 0), np.array([[0, 1, 2]], np.int32))
    assert made(VARY, flat).faults() == []


def test_cancelling():
    job = Job(lambda event: job.cancel() if event.fraction > 0.1 else None)
    with pytest.raises(Cancelled):
        SHAPE.run(None, job, ENGINE, category="chair", model="boxes")
