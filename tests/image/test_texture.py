"""Materials: the tasks, the maps, the folder, the mesh that wears them, the worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych import cli
from triptych.client import Worker, WorkerError
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.image import material, tileable, torus
from triptych.image.block_dct import packed, unpacked
from triptych.image.texture_model import TextureModel, begun_anywhere, materials
from triptych.provenance import read
from triptych.shape import files
from triptych.shape.mesh import Mesh
from triptych.task import get_task

ENGINE = Engine(["cpu"], threads=1)


def made(**values: Any) -> material.Material:
    result: material.Material = get_task("material").run(None, None, ENGINE, **values).made
    return result


def photograph(seed: int, height: int = 150, width: int = 190) -> np.ndarray:
    """Bricks of 30 x 12 px under light that falls off, with some grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mortar = (y % 12 < 2) | ((x + 15 * (y // 12 % 2)) % 30 < 2)
    light = (0.9 - 0.3 * y / height)[..., None]
    wall = np.where(mortar[..., None], 0.75, np.array([0.6, 0.3, 0.2])) * light
    return (wall + rng.normal(0, 0.02, wall.shape)).clip(0, 1).astype(np.float32)


def steps(tile: np.ndarray, axis: int) -> tuple[float, float]:
    """The mean step across the border, and the largest mean step between rows inside."""
    lines = tile.swapaxes(0, axis).astype(np.float64)
    inside = np.abs(np.diff(lines, axis=0)).reshape(len(lines) - 1, -1).mean(1)
    return float(np.abs(lines[0] - lines[-1]).mean()), float(inside.max())


@settings(max_examples=6, deadline=None)
@given(
    kind=st.sampled_from(["bricks", "grass", "planks", "marble"]),
    seed=st.integers(0, 2**31 - 1),
    variety=st.floats(0, 1),
    size=st.sampled_from([128, 256]),
)
def test_every_map_goes_on_around_the_edges(kind: str, seed: int, variety: float, size: int):
    found = made(kind=kind, seed=seed, variety=variety, size=str(size))
    assert found.colour.shape == found.normal.shape == (size, size, 3)
    assert found.height.shape == found.roughness.shape == (size, size)
    for values in found.maps.values():
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() <= 1
        for axis in (0, 1):
            across, inside = steps(values, axis)
            assert across <= inside * 1.2 + 1e-3
    assert np.allclose(np.sqrt(((found.normal * 2 - 1) ** 2).sum(2)), 1, atol=1e-3)


def test_a_seed_makes_the_same_again_and_another_another():
    one, same, other = (made(kind="rocks", seed=seed, size="128").colour for seed in (4, 4, 5))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other, atol=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10**6))
def test_a_border_is_no_harder_than_what_is_inside(height: int, width: int, seed: int):
    rng = np.random.default_rng(seed)
    before = rng.random((height, width, 3), np.float32)
    after = begun_anywhere(before, rng)
    assert np.array_equal(np.sort(before, None), np.sort(after, None))
    for axis in (0, 1):
        lines = after.swapaxes(0, axis).astype(np.float64)
        inside = np.abs(np.diff(lines, axis=0)).mean()
        assert np.abs(lines[0] - lines[-1]).mean() <= inside + 1e-6


def fine(tile: np.ndarray) -> float:
    """The deviation of what a blur of 1 px takes away."""
    return float((tile - torus.blurred(tile, 1.0)).std())


@pytest.mark.parametrize("kind", ["bricks", "grass", "planks"])
def test_a_tile_has_the_grain_of_an_exemplar_and_is_one_at_no_variety(kind: str):
    model = TextureModel("material", ENGINE, Job())
    stored = model.bundle.arrays("exemplars.npz")
    exemplars = unpacked(stored["tile"][stored["kind"] == model.kinds[kind]])
    grain = [fine(one) for one in exemplars]
    for seed in range(3):
        plain = model.generated(kind, seed, 0.0)
        assert any(np.array_equal(np.sort(plain, None), np.sort(one, None)) for one in exemplars)
        varied = model.generated(kind, seed, 0.3)
        assert 0.7 * min(grain) < fine(varied) < 1.3 * max(grain)
        assert not any(np.array_equal(varied, one) for one in exemplars)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([8, 24, 128]), st.floats(0, 1))
def test_packed_tiles_come_back_nearly_as_they_were(seed: int, side: int, contrast: float):
    rng = np.random.default_rng(seed)
    soft = torus.blurred(rng.random((side, side, 3)).astype(np.float32), 2.0)
    tile = (128 + 255 * contrast * (soft - 0.5)).clip(0, 255).astype(np.uint8)[None]
    back = unpacked(packed(tile))
    assert back.shape == tile.shape and back.dtype == np.float32
    assert back.min() >= 0 and back.max() <= 1
    assert np.abs(255 * back - tile).mean() < 3


def test_what_blender_runs_needs_no_image_library():
    """Blender's Python has numpy, and the extension brings the runtime: no Pillow."""
    source = """
import sys
sys.modules["PIL"] = None
from triptych.engine import Engine
from triptych.task import get_task
engine = Engine(["cpu"], threads=1)
print(get_task("material").run(None, None, engine, kind="bricks", size="256").made.colour.std())
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.01


def test_every_material_offered_can_be_made():
    names = [choice.value for choice in materials()]
    assert len(names) >= 40
    model = TextureModel("material", ENGINE, Job())
    for name in names:
        assert model.generated(name, 1, 0.0).std() > 0.002


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 99), st.sampled_from([128, 200]), st.integers(100, 220))
def test_a_picture_becomes_tileable(seed: int, size: int, height: int):
    picture = photograph(seed, height)
    tile = tileable.tileable(picture, size, seed)
    assert tile.shape == (size, size, 3)
    for axis in (0, 1):
        across, inside = steps(tile, axis)
        assert across <= inside * 1.2
    assert np.abs(tile.mean((0, 1)) - picture.mean((0, 1))).max() < 0.08


def test_a_picture_keeps_its_pixels_or_lends_its_manner():
    picture = photograph(3)
    kept = made(kind=picture, size="128")
    new = made(kind=picture, size="128", invent=True, seed=2)
    assert kept.name in {choice.value for choice in materials()}
    assert np.abs(new.colour.mean((0, 1)) - kept.colour.mean((0, 1))).max() < 0.08
    assert not np.allclose(new.colour, kept.colour, atol=0.05)


def test_a_tile_laid_anew_has_no_new_colours_nor_edges():
    tile = made(kind="paving-stones", variety=0, size="128").colour
    other = tileable.relaid(tile, 3)
    assert not np.allclose(tile, other, atol=0.05)
    assert other.min() >= tile.min() - 1e-4
    assert other.max() <= tile.max() + 1e-4


def test_normals_are_those_of_opengl():
    """A ramp that rises to the right leans to the left; one that rises upwards, downwards."""
    rise = np.linspace(0, 1, 64, dtype=np.float32)
    right = np.broadcast_to(rise, (64, 64))
    leaning = material.normals(right, 32.0)[:, 8:-8]
    assert (leaning[..., 0] < 0.45).all()
    assert np.allclose(leaning[..., 1], 0.5, atol=1e-3)
    up = np.broadcast_to(rise[::-1, None], (64, 64))
    assert (material.normals(up, 32.0)[8:-8, :, 1] < 0.45).all()
    assert np.allclose(material.normals(right, 0.0), [0.5, 0.5, 1.0])


def test_relief_changes_the_normals_and_not_the_colour():
    flat, deep = (made(kind="gravel", size="128", relief=relief) for relief in (0.0, 3.0))
    assert np.array_equal(flat.colour, deep.colour)
    assert np.allclose(flat.normal, [0.5, 0.5, 1.0], atol=1e-6)
    assert deep.normal[..., 2].mean() < 0.99


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 12), st.integers(0, 40), st.integers(0, 40))
def test_a_blur_without_edges_moves_with_the_picture(deviation: float, down: int, right: int):
    values = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    moved = torus.blurred(np.roll(values, (down, right), (0, 1)), deviation)
    whole = np.roll(torus.blurred(values, deviation), (down, right), (0, 1))
    assert np.allclose(moved, whole, atol=1e-5)
    assert abs(float(whole.mean() - values.mean())) < 1e-5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "brickz"}, "bricks"),
        ({"kind": "bricks", "size": "500"}, "size"),
        ({"kind": "bricks", "variety": 2}, "variety"),
        ({"kind": np.zeros((20, 200, 3), np.float32)}, "64 px"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(values: dict[str, Any], said: str):
    with pytest.raises(UserError, match=said):
        made(**values)


def test_a_picture_is_covered():
    task = get_task("texture")
    picture = np.zeros((150, 300, 3), np.float32)
    result = task.run(picture, None, ENGINE, kind="tiles", size="128", seed=1).made
    assert result.shape == picture.shape
    assert np.array_equal(result[:128, :128], result[:128, 128:256])


def test_a_folder_of_maps_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["material", "wood", "-o", str(tmp_path / "wood"), "--size", "128", "--seed", "7"]
    assert cli.main([*words, "--threads", "1"]) == 0
    capsys.readouterr()
    again = material.load(tmp_path / "wood")
    same = made(kind="wood", size="128", seed=7)
    for name, values in same.maps.items():
        assert np.abs(getattr(again, name) - values).max() < 1 / 254
    assert (again.side, again.depth) == (same.side, same.depth)
    with Image.open(tmp_path / "wood" / "height.png") as height:
        assert height.mode.startswith("I;16")
    record = read(tmp_path / "wood" / "normal.png")
    assert record is not None
    assert record.seed == 7
    assert cli.main([*words, "--threads", "1"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_command_takes_a_picture_and_draws_a_sheet(tmp_path: Path):
    source = tmp_path / "wall.png"
    Image.fromarray((photograph(1) * 255).astype(np.uint8)).save(source)
    words = ["material", "--from", str(source), "-o", str(tmp_path / "out"), "--size", "128"]
    words += ["--count", "2", "--sheet", str(tmp_path / "sheet.png"), "--quiet"]
    assert cli.main(words) == 0
    assert (tmp_path / "out" / "2" / "roughness.png").is_file()
    assert (tmp_path / "sheet.png").is_file()


@pytest.mark.parametrize(
    "words",
    [["bricks"], ["-o", "x"], ["bricks", "--from", "no.png", "-o", "x"], ["brick", "-o", "x"]],
)
def test_the_command_refuses(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["material", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_damaged_folder_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no material"):
        material.load(tmp_path)
    (tmp_path / "material.json").write_text('{"side_m": -1}')
    with pytest.raises(UserError, match="damaged"):
        material.load(tmp_path)


def test_a_mesh_wears_it(tmp_path: Path):
    import trimesh

    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0]], np.float32)
    uv = np.array([[[0, 0], [2, 0], [0, 2]]], np.float32)
    found = made(kind="metal", size="128")
    mesh = Mesh(vertices, np.array([[0, 1, 2]], np.int32), uv, material=found)
    assert files.save(mesh, tmp_path / "a.glb") == ()
    worn: Any = trimesh.load_mesh(tmp_path / "a.glb")
    pbr = worn.visual.material
    assert pbr.baseColorTexture.size == pbr.normalTexture.size == (128, 128)
    both = np.asarray(pbr.metallicRoughnessTexture.convert("RGB"))
    assert (both[..., 2] == 255).all()
    assert abs(both[..., 1] / 255 - found.roughness).max() < 1 / 254
    assert np.isclose(np.ptp(worn.visual.uv[:, 0]), 2 / found.side, atol=1e-5)
    (note,) = files.save(mesh, tmp_path / "a.ply")
    assert "GLB" in note


def test_all_maps_come_through_a_worker():
    environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TRIPTYCH_THREADS": "1"}
    values = {"kind": "slate", "size": "128", "seed": 2}
    with Worker([sys.executable, "-m", "triptych.worker"], environment) as worker:
        (told,) = (task for task in worker.tasks if task["name"] == "material")
        assert (told["input"], told["output"]) == ("none", "material")
        run = worker.run_material("material", values)
        assert run.wait(60)
        with pytest.raises(WorkerError, match="slate"):
            run.material()
        run = worker.run_material("material", {**values, "kind": "rock"})
        assert run.wait(60)
        same = made(**{**values, "kind": "rock"})
        with run.material() as handed:
            assert set(handed.maps) == set(same.maps)
            for name, wanted in same.maps.items():
                assert handed.size[name] == (128, 128)
                view = np.array(handed.maps[name], np.float32).reshape(wanted.shape)
                assert np.allclose(view, wanted, atol=1e-4)
            assert (handed.name, handed.side, handed.depth) == ("rock", same.side, same.depth)
        assert json.loads(run.record or "")["seed"] == 2
