"""Restoring by networks that have learned nothing: what is asked is done, and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from triptych.engine import Engine, Job
from triptych.errors import Cancelled, UserError
from triptych.image.restore import TASK, Tone, freshened
from triptych.training.image.damage import aged
from triptych.training.image.inpaint import InpaintRecipe, InpaintSettings
from triptych.training.image.inpaint_net import InpaintNet
from triptych.training.image.restore import RestoreRecipe, RestoreSettings
from triptych.training.image.restore_net import RestoreNet
from triptych.training.loop import Run

NOTHING: dict[str, Any] = dict.fromkeys(
    ("scratches", "stains", "cracks", "noise", "blocks", "fading", "yellowing"), 0.0
)
ENGINE = Engine(["cpu"], threads=1)


class _Restore(RestoreRecipe):
    def sources(self) -> list[Any]:
        return []


class _Inpaint(InpaintRecipe):
    def sources(self) -> list[Any]:
        return []


@pytest.fixture(scope="module", autouse=True)
def user(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("user")
    torch.manual_seed(0)
    run = Run(folder / "run")
    fill = InpaintNet(8, 16)
    _Inpaint(InpaintSettings("wild")).export({"net": fill}, run, folder / "bundles" / "wild")
    net = RestoreNet(8, 8, 4)
    last = net.find.leave[-1]
    assert isinstance(last, nn.Conv2d)
    last.weight.data *= 200  # it is sure of what it sees, here and there
    _Restore(RestoreSettings("rough")).export({"net": net}, run, folder / "bundles" / "rough")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(folder))
        yield folder


def restored(picture: np.ndarray, job: Job | None = None, **values: Any) -> np.ndarray:
    asked = {"model": "rough", "fill_model": "wild", **NOTHING, **values}
    made = TASK.run(picture, job, ENGINE, **asked).made
    assert isinstance(made, np.ndarray)
    return made


def picture(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] / 64
    return np.stack([np.sin(rows), np.cos(columns), rows % 1], 2).astype(np.float32) ** 2


def test_asked_for_nothing_it_changes_nothing():
    before = picture(50, 70)
    assert np.array_equal(restored(before), before)


@given(
    height=st.integers(1, 100),
    width=st.integers(1, 100),
    asked=st.sets(st.sampled_from(sorted(NOTHING)), min_size=1),
)
@settings(max_examples=25, deadline=None)
def test_any_size_and_any_wish(height: int, width: int, asked: set[str]):
    before = picture(height, width)
    wish: dict[str, Any] = dict.fromkeys(asked, 0.7)
    made = restored(before, **wish)
    assert made.shape == before.shape and made.dtype == np.float32
    assert np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1


def test_the_mask_that_it_shows_is_the_mask_that_it_fills():
    before = np.random.default_rng(0).random((96, 120, 3), np.float32)
    wish: dict[str, Any] = {"scratches": 0.5, "cracks": 0.6, "grow": 0}
    mask = restored(before, result="mask", **wish)
    assert set(np.unique(mask)) == {0, 1}
    filled = restored(before, **wish)
    assert np.array_equal(filled, restored(before, mask=mask[..., 0]))
    untouched = mask[..., 0] == 0
    assert np.array_equal(filled[untouched], before[untouched])


def test_a_higher_sensitivity_finds_no_less():
    before = picture(96, 120)
    found = [restored(before, result="mask", stains=s) for s in (0.2, 0.5, 0.8, 1.0)]
    assert all((b >= a).all() for a, b in itertools.pairwise(found))


def test_tiles_show_no_seam():
    before = picture(600, 500)
    whole, cut = (restored(before, noise=1.0, blocks=1.0, tile=t) for t in (8192, 256))
    assert np.abs(whole - cut).max() < 2 / 255


@given(
    st.floats(0, 0.25),
    st.floats(0.7, 1),
    st.floats(0.4, 1),
    st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_fading_and_yellowing_are_undone(black: float, white: float, colour: float, varnish: float):
    before = 0.1 + 0.8 * picture(20, 30)
    tone = Tone(black, white, colour, varnish)
    after = freshened(aged(before, tone), tone, 1.0, 1.0)
    assert np.allclose(after, before, atol=1e-4)
    assert np.allclose(freshened(before, tone, 0.0, 0.0), before, atol=1e-6)


def test_cancelling():
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        restored(picture(64, 64), job, noise=0.5)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(UserError, match="picture's shape"):
        restored(picture(64, 64), mask=np.ones((64, 20), np.float32))


def test_it_is_a_command(tmp_path: Path):
    from triptych import cli
    from triptych.image.picture import Picture, load, save

    save(Picture(picture(40, 50)), tmp_path / "in.png")
    words = ["restore", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png")]
    assert cli.main([*words, "--model", "rough", "--fill-model", "wild"]) == 0
    assert load(tmp_path / "out.png").pixels.shape == (40, 50, 3)
