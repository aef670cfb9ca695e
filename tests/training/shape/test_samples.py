"""Samples of shapes, real meshes as solids, and what is stored of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.training.shape import real, samples
from triptych.training.shape.normalise import SIDE, around, standing
from triptych.training.shape.procedural import FAMILIES, shape
from triptych.training.shape.samples import ANYWHERE, NEAR, POINTS, SURFACE, THIN, TRUNCATION

sides = st.floats(0.01, 50.0)


@given(sides, sides, sides, st.integers(0, 1000))
def test_normalising_goes_back(w: float, h: float, d: float, seed: int) -> None:
    low = np.random.default_rng(seed).uniform(-3, 3, 3)
    for frame in (standing((w, h, d)), around(low, low + np.array([w, h, d]))):
        points = np.random.default_rng(1).uniform(-0.5, 0.5, (50, 3)) * [w, h, d]
        points = points + np.array(frame.centre)
        inside = frame.normalised(points)
        assert np.abs(inside).max() <= SIDE + 1e-4
        np.testing.assert_allclose(frame.metres(inside), points, atol=1e-4 * max(w, h, d, 3))
        np.testing.assert_allclose(frame.size, (w, h, d), rtol=1e-6)
        assert max(frame.proportions) == 1


@settings(deadline=None, max_examples=8)
@given(st.sampled_from(list(FAMILIES)), st.integers(0, 10**6))
def test_samples_lie_where_they_should(family: str, seed: int) -> None:
    solid = samples.Procedural(shape(family, seed))
    drawn = samples.sample(solid, np.random.default_rng(0))
    assert drawn.points.shape == (POINTS, 3)
    assert drawn.distances.shape == (POINTS,)
    assert drawn.surface.shape == (SURFACE, 6)
    assert np.abs(drawn.points).max() <= 1
    assert np.abs(drawn.distances).max() <= np.float32(TRUNCATION)
    assert np.abs(np.median(solid.distance(drawn.surface[:, :3]))) < 1e-3
    np.testing.assert_allclose(np.linalg.norm(drawn.surface[:, 3:], axis=1), 1, atol=1e-3)
    near, thin = drawn.distances[:NEAR], drawn.distances[-THIN:]
    assert (np.abs(near) < 0.09).mean() > 0.7
    assert 0.02 < (near < 0).mean() < 0.98
    assert (thin < 0).any()


def test_thin_samples_lie_around_thin_parts() -> None:
    """Of a block on a thin pole, the pole gets them."""

    class Pole:
        family, size = "lamp", (1.0, 1.0, 1.0)

        def distance(self, points: np.ndarray) -> np.ndarray:
            block = np.abs(points - [0, -0.5, 0]).max(1) - 0.4
            pole = np.maximum(
                np.hypot(points[:, 0], points[:, 2]) - 0.01, np.abs(points[:, 1]) - 0.9
            )
            return np.minimum(block, pole).astype(np.float32)

        def surface(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            turn = rng.uniform(0, 2 * np.pi, count)
            out = np.stack([np.cos(turn), 0 * turn, np.sin(turn)], -1)
            pole = 0.01 * out + [[0, 1, 0]] * rng.uniform(0, 0.9, (count, 1))
            side = [0.4, -0.5, 0] + rng.uniform(-0.35, 0.35, (count, 3)) * [0, 1, 1]
            points = np.concatenate([pole, side]).astype(np.float32)
            normals = np.concatenate([out, np.tile([1.0, 0, 0], (count, 1))]).astype(np.float32)
            return points, normals

    drawn = samples.sample(Pole(), np.random.default_rng(0))
    thin = drawn.points[-THIN:]
    assert (np.hypot(thin[:, 0], thin[:, 2]) < 0.1).all()
    assert 0.1 < (drawn.distances[-THIN:] < 0).mean() < 0.6


def test_even_drawing_makes_crowds_rarer() -> None:
    rng = np.random.default_rng(0)
    crowd = rng.uniform(0.0, 0.05, (9000, 3))
    rest = rng.uniform(-1, 1, (1000, 3))
    chosen = samples.evenly(np.concatenate([crowd, rest]), 1000, rng)
    assert (chosen < 9000).mean() < 0.3


def test_parts_are_made_once_and_held_out_ones_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    told = samples.categories(3, with_real=False)
    assert not list(tmp_path.rglob("*.npy"))
    made = samples.training(3, with_real=False)
    np.testing.assert_array_equal(told, made.category)
    assert len(made) == 3
    assert [samples.CATEGORIES[c] for c in made.category] == list(FAMILIES)[:3]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "shapes").rglob("*.npy")}
    again = samples.training(3, with_real=False)
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "shapes").rglob("*.npy")}
    other, none = samples.held_out(3, with_real=False)
    assert none is None
    assert not np.allclose(other.size, made.size)
    solid = samples.Procedural(shape("armchair", 0))
    np.testing.assert_allclose(again.size[1], solid.size, rtol=1e-6)
    places, truth = again.points(1, np.arange(0, NEAR + ANYWHERE, 7))
    wanted = solid.distance(places).clip(-TRUNCATION, TRUNCATION) / TRUNCATION
    np.testing.assert_allclose(truth, wanted, atol=0.02)


def _mesh(*parts: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    whole = trimesh.util.concatenate(list(parts))
    assert isinstance(whole, trimesh.Trimesh)
    return np.asarray(whole.vertices, float), np.asarray(whole.faces, np.int64)


def test_parts_stuck_into_each_other_are_one_solid() -> None:
    one = trimesh.creation.box((1, 1, 1))
    two = trimesh.creation.box((1, 1, 1))
    two.apply_translation((0.5, 0, 0))
    made = real.solid("set/thing.glb", *_mesh(one, two))
    assert made is not None
    assert made.size == pytest.approx((1.5, 1, 1))
    middle = made.distance(np.array([[0.0, 0, 0], [0.99, 0, 0], [0, 0.9, 0]]))
    assert list(middle < 0) == [True, False, False]
    points, normals = made.surface(3000, np.random.default_rng(0))
    half = SIDE * made.frame.proportions
    assert (np.abs(points) > half - 1e-3).any(1).all()  # nothing of the inner walls
    assert (np.einsum("nd,nd->n", points, normals) > 0).all()


def test_a_mesh_turned_inside_out_is_mended_and_a_sheet_is_refused() -> None:
    vertices, faces = _mesh(trimesh.creation.icosphere(2))
    made = real.solid("set/ball.glb", vertices, faces[:, ::-1])
    assert made is not None
    assert made.distance(np.zeros((1, 3)))[0] == pytest.approx(-SIDE, abs=0.05)
    assert real.solid("set/sheet.glb", vertices, faces[: len(faces) // 2]) is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("base_meshes/dining_chair_01.glb", "chair"),
        ("kenney/furniture/loungeSofa.glb", "sofa"),
        ("base_meshes/desk_lamp.glb", "lamp"),
        ("kenney/furniture/bedDouble.glb", "bed"),
        ("base_meshes/bedside_table_01.glb", "cabinet"),
        ("base_meshes/table_tennis_paddle.glb", "prop"),
        ("base_meshes/anvil.glb", "prop"),
    ],
)
def test_names_tell_families(name: str, family: str) -> None:
    assert real.family_of(name) == family


def test_archives_are_read_and_split_by_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    for source in ("base_meshes", *real._ORIGINS):
        folder = tmp_path / "models3d" / source
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / f"{source}.zip", "w") as archive:
            file = io.BytesIO(trimesh.creation.box((1, 2, 1)).export(file_type="glb"))
            for index in range(10 if source == "base_meshes" else 1):
                archive.writestr(f"{source}_{index}.glb", file.getvalue())
            archive.writestr("broken.glb", b"no mesh")
    kept = [mesh.name for mesh in real.meshes(held_out=False)]
    out = [mesh.name for mesh in real.meshes(held_out=True)]
    assert len(kept) + len(out) == 9 + len(real._ORIGINS)
    assert 0 < len(out) < len(kept)
    assert not set(kept) & set(out)
