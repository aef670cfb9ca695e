"""Shapes from pictures: what is cut out of them, the task, its command, the worker."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych import cli
from triptych.client import Pixels, Worker, WorkerError
from triptych.engine import Engine
from triptych.errors import UserError
from triptych.shape import files
from triptych.shape.mesh import Mesh
from triptych.shape.shape import FROM_PICTURE
from triptych.shape.subject import SIDE, cut_out

ENGINE = Engine(["cpu"], threads=1)
WHITE, INK = (0.95, 0.95, 0.92), (0.2, 0.25, 0.3)


def chair(scale: float, left: int, top: int, size: tuple[int, int]) -> np.ndarray:
    """Where a chair is seen from the side, 24 x 40 units large (H x W, bool)."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    x, y = (x + 0.5 - left) / scale, (y + 0.5 - top) / scale

    def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)

    return box(0, 0, 4, 40) | box(0, 18, 24, 23) | box(20, 18, 24, 40)


def painted(there: np.ndarray, ground: Any = WHITE, ink: Any = INK) -> np.ndarray:
    return np.where(there[..., None], ink, ground).astype(np.float32)


PLAIN = cut_out(painted(chair(4, 30, 12, (190, 160))))


@given(
    scale=st.floats(2.0, 4.0),
    left=st.integers(3, 60),
    top=st.integers(3, 25),
    light=st.booleans(),
)
@settings(max_examples=20)
def test_place_size_and_colours_do_not_matter(scale: float, left: int, top: int, light: bool):
    colours = ((0.1, 0.1, 0.2), (0.7, 0.8, 0.6)) if light else (WHITE, INK)
    cut = cut_out(painted(chair(scale, left, top, (190, 160)), *colours))
    assert cut.shape == (3, SIDE, SIDE)
    assert np.abs(cut[:2] - PLAIN[:2]).mean() < 0.04
    assert (cut[2].sum() > 0) == light


@given(factor=st.integers(2, 9))
@settings(max_examples=6)
def test_larger_pictures_are_seen_alike(factor: int):
    small = painted(chair(4, 30, 12, (190, 160)))
    large = small.repeat(factor, 0).repeat(factor, 1)
    assert np.abs(cut_out(large) - PLAIN).mean() < 0.02


@given(seed=st.integers(0, 1000), noise=st.floats(0, 0.03), slope=st.floats(-0.2, 0.2))
@settings(max_examples=20)
def test_noise_and_light_from_one_side_do_not_matter(seed: int, noise: float, slope: float):
    picture = painted(chair(4, 30, 12, (190, 160)), (0.7, 0.7, 0.7))
    picture += slope * np.linspace(-1, 1, 160, dtype=np.float32)[None, :, None]
    picture += noise * np.random.default_rng(seed).standard_normal(picture.shape, np.float32)
    assert np.abs(cut_out(picture.clip(0, 1))[0] - PLAIN[0]).mean() < 0.04


def test_an_outline_is_filled_and_an_opening_is_not():
    there = chair(4, 30, 12, (190, 160))
    inner = there.copy()
    for axis in (0, 1):
        inner &= np.roll(there, 2, axis) & np.roll(there, -2, axis)
    cut = cut_out(painted(there & ~inner))
    assert np.abs(cut[0] - PLAIN[0]).mean() < 0.04
    assert cut[1].mean() < 0.75 * PLAIN[1].mean()


def test_alpha_shows_the_thing_whatever_is_behind():
    there = chair(4, 30, 12, (190, 160))
    behind = np.random.default_rng(0).random((190, 160, 3), np.float32)
    cut = cut_out(behind, there.astype(np.float32))
    assert np.abs(cut[0] - PLAIN[0]).mean() < 0.04
    opaque = cut_out(painted(there), np.ones(there.shape, np.float32))
    assert np.array_equal(opaque, PLAIN)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.full((50, 60, 3), 0.4, np.float32), "nothing stands out"),
        (np.full((1, 1, 3), 0.4, np.float32), "nothing stands out"),
        (np.random.default_rng(0).random((50, 60, 3), np.float32), "not plain"),
        (np.tile(np.arange(60) % 20 < 10, (50, 3, 1)).transpose(0, 2, 1) * 1.0, "not plain"),
    ],
)
def test_a_picture_without_a_thing_is_refused(picture: np.ndarray, said: str):
    with pytest.raises(UserError, match=said) as caught:
        made(image=picture.astype(np.float32))
    assert "\n" not in str(caught.value)


def made(**values: Any) -> Mesh:
    result = FROM_PICTURE.run(engine=ENGINE, **{"detail": 32, "model": "boxes", **values}).made
    assert isinstance(result, Mesh)
    return result


HIGH = painted(chair(4, 30, 12, (190, 160)))


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "seen.png"
    Image.fromarray((HIGH * 255 + 0.5).astype(np.uint8)).save(path)
    return path


def test_the_solid_is_sound_and_as_large_as_what_it_is_like(photograph: Path):
    mesh = made(image=HIGH)
    assert mesh.faults() == []
    assert mesh.record is not None
    assert mesh.record["category"] == "chair"
    assert np.allclose(mesh.size, (0.5, 0.9, 0.5), rtol=0.02)
    assert np.allclose(mesh.size, made(image=photograph).size, rtol=0.02)


def test_what_is_asked_goes_before_what_is_seen():
    mesh = made(image=HIGH, category="stool", width=2.0)
    assert mesh.record is not None
    assert mesh.record["category"] == "stool"
    assert np.isclose(mesh.size[0], 2.0, rtol=0.02)
    same, again, other = (
        made(image=HIGH, variety=v, seed=s) for v, s in ((0, 1), (0, 2), (0.5, 2))
    )
    assert np.array_equal(same.vertices, again.vertices)
    assert not np.array_equal(same.vertices, other.vertices)


def test_the_command(photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    quick = ["--detail", "32", "--model", "boxes", "--quiet"]
    target = tmp_path / "a.glb"
    assert cli.main(["shape", "--from", str(photograph), "-o", str(target), *quick]) == 0
    assert np.allclose(files.load(target).size, made(image=HIGH).size, rtol=0.02)
    words = ["shape", "stool", f"--from={photograph}", "-o", str(tmp_path / "more")]
    assert cli.main([*words, "--count", "2", "--variety", "0.5", *quick]) == 0
    names = sorted(path.name for path in (tmp_path / "more").iterdir())
    assert names == ["stool-1.glb", "stool-2.glb"]
    again = ["shape_from_picture", "--image", str(photograph), "-o", str(target), *quick]
    assert cli.main(again) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "none.png"], "image: there is no file 'none.png'"),
        (["--from"], "expected one argument"),
        (["chiar", "--from", "{seen}"], "did you mean 'chair'"),
        (["--from", "{text}"], "is not a picture"),
        ([], "CATEGORY"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str],
    said: str,
    photograph: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    text = tmp_path / "a.png"
    text.write_text("no picture")
    words = [word.format(seen=photograph, text=text) for word in words]
    words = [*words, "--model", "boxes", "-o", str(tmp_path / "a.glb")]
    assert cli.main(["shape", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a.glb").exists()


def test_pixels_through_a_worker(user: Path):
    environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TRIPTYCH_THREADS": "1"}
    environment["TRIPTYCH_USER_DATA"] = str(user)
    with (
        Worker([sys.executable, "-m", "triptych.worker"], environment) as worker,
        Pixels(HIGH.shape) as pixels,
    ):
        values = {"image": pixels, "detail": 32, "model": "boxes"}
        pixels.data[:] = HIGH.tobytes()
        run = worker.run_mesh("shape_from_picture", values)
        assert run.wait(60)
        with run.mesh() as mesh:
            vertices = np.array(mesh.vertices, np.float32).reshape(-1, 3)
        assert np.allclose(vertices, made(image=HIGH).vertices, atol=1e-5)
        pixels.data[:] = np.full(HIGH.shape, 0.5, np.float32).tobytes()
        run = worker.run_mesh("shape_from_picture", values)
        assert run.wait(60)
        with pytest.raises(WorkerError, match="nothing stands out"):
            run.mesh()
