"""Filling and extending by a net that has learned nothing: what is known stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.engine import Engine, Job
from triptych.errors import Cancelled, UserError
from triptych.image.hole import compact, grown, narrow, reach
from triptych.image.inpaint import EXTEND, INPAINT
from triptych.image.pyramid import softer
from triptych.training.image.inpaint import InpaintRecipe, InpaintSettings
from triptych.training.image.inpaint_net import InpaintNet
from triptych.training.loop import Run


class _Small(InpaintRecipe):
    def sources(self) -> list[Any]:
        return []


@pytest.fixture(scope="module", autouse=True)
def user(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("user")
    torch.manual_seed(0)
    recipe = _Small(InpaintSettings("wild"))
    recipe.export({"net": InpaintNet(8, 16)}, Run(folder / "run"), folder / "bundles" / "wild")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(folder))
        yield folder


ENGINE = Engine(["cpu"], threads=1)


def picture(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] / 64
    return np.stack([np.sin(rows), np.cos(columns), rows % 1], 2).astype(np.float32) ** 2


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 99),
    soft=st.booleans(),
    feather=st.sampled_from([0.0, 3.0]),
)
@settings(max_examples=30, deadline=None)
def test_outside_the_mask_nothing_changes(
    height: int, width: int, seed: int, soft: bool, feather: float
):
    before = picture(height, width)
    rng = np.random.default_rng(seed)
    mask = (rng.random((height, width)) < 0.3).astype(np.float32)
    if soft:
        mask *= rng.random((height, width), np.float32)
    mask[0, 0] = 0
    run: dict[str, Any] = {"model": "wild", "mask": mask, "feather": feather, "engine": ENGINE}
    run["method"] = "patches" if seed % 2 else "network"
    if not mask.any():
        with pytest.raises(UserError, match="marks nothing"):
            INPAINT.run(before, **run)
        return
    try:
        made = INPAINT.run(before, **run).made
    except UserError as error:  # the feather spread it over all
        assert feather and "whole picture" in str(error)
        return
    assert made.shape == before.shape
    assert np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1
    if not feather:
        assert np.array_equal(made[mask == 0], before[mask == 0])
    full = mask == 1
    assert not full.any() or not np.array_equal(made[full], before[full])


def test_what_was_there_does_not_show_through():
    before = picture(96, 120)
    mask = np.zeros((96, 120), np.float32)
    mask[30:60, 40:90] = 1
    other = before.copy()
    other[mask == 1] = 0.9
    for method in ("network", "patches"):
        run: dict[str, Any] = {"mask": mask, "method": method, "model": "wild", "engine": ENGINE}
        assert np.array_equal(*(INPAINT.run(p, **run).made for p in (before, other)))


def test_a_wide_hole_is_laid_of_the_picture():
    noise = np.random.default_rng(0).random((200, 240, 3), np.float32)
    mask = np.zeros((200, 240), np.float32)
    mask[50:150, 70:170] = 1
    run: dict[str, Any] = {"mask": mask, "model": "wild", "engine": ENGINE}
    wide = INPAINT.run(noise, **run).made
    assert np.array_equal(wide, INPAINT.run(noise, method="patches", **run).made)
    assert not np.array_equal(wide, INPAINT.run(noise, seed=1, **run).made)
    grain = [np.diff(one[60:140, 80:160], axis=1).std() for one in (wide, noise)]
    assert grain[0] > 0.6 * grain[1]
    run["mask"] = mask * (np.arange(240) < 90)  # of the same height
    narrow = INPAINT.run(noise, **run).made
    assert np.array_equal(narrow, INPAINT.run(noise, method="network", **run).made)


def test_a_wide_hole_is_filled_in_tiles_without_seams():
    before = picture(700, 900)
    mask = np.zeros((700, 900), np.float32)
    mask[150:550, 200:700] = 1
    whole, cut = (
        INPAINT.run(
            before, mask=mask, method="network", model="wild", engine=ENGINE, tile=tile
        ).made
        for tile in (8192, 256)
    )
    assert np.abs(whole - cut).max() < 0.02


@given(left=st.integers(0, 30), right=st.integers(0, 30), top=st.integers(0, 30), bottom=st.just(0))
@settings(max_examples=15, deadline=None)
def test_a_canvas_is_extended(left: int, right: int, top: int, bottom: int):
    before = picture(40, 50)
    sides: dict[str, Any] = {"left": left, "right": right, "top": top, "bottom": bottom}
    if not any(sides.values()):
        with pytest.raises(UserError, match="nothing is to be added"):
            EXTEND.run(before, model="wild", engine=ENGINE, **sides)
        return
    with pytest.raises(UserError, match="4 times"):
        EXTEND.run(before, model="wild", engine=ENGINE, **(sides | {"left": 201}))
    made = EXTEND.run(before, model="wild", engine=ENGINE, **sides).made
    assert made.shape == (40 + top, 50 + left + right, 3)
    assert np.array_equal(made[top:, left : left + 50], before)


def test_bad_masks_and_cancelling():
    before = picture(64, 64)
    with pytest.raises(UserError, match="whole picture"):
        INPAINT.run(before, mask=np.ones((64, 64), np.float32), model="wild", engine=ENGINE)
    with pytest.raises(UserError, match="picture's shape"):
        INPAINT.run(before, mask=np.ones((64, 20), np.float32), model="wild", engine=ENGINE)
    with pytest.raises(UserError, match="mask needs a value"):
        INPAINT.run(before, model="wild", engine=ENGINE)
    job = Job()
    job.cancel()
    mask = np.zeros((64, 64), np.float32)
    mask[10:20] = 1
    with pytest.raises(Cancelled):
        INPAINT.run(before, job, mask=mask, model="wild", engine=ENGINE)


@pytest.mark.parametrize("side", [100, 1000])
def test_how_far_a_hole_reaches(side: int):
    hole = np.zeros((side, side), bool)
    assert reach(hole) == 0
    hole[side // 4 : side // 4 + side // 5] = True
    assert reach(hole) == pytest.approx(side / 10, rel=0.3)


@pytest.mark.parametrize("side", [200, 900])
def test_what_is_compact_is_told_from_strokes(side: int):
    rows, columns = np.mgrid[:side, :side] / side
    blob = (rows - 0.3) ** 2 + (columns - 0.3) ** 2 < 0.04
    stroke = (rows > 0.7) & (rows < 0.75)
    found = compact(blob | stroke, 0.1 * side)
    assert not found[stroke].any()
    assert found[blob].mean() > 0.98 and not found[~blob].any()
    assert not compact(blob | stroke, 0.3 * side).any()
    assert not compact(np.zeros((side, side), bool), 0).any()


def test_what_is_narrow_is_told_from_what_is_wide():
    hole = np.zeros((80, 90), bool)
    hole[10:16] = True  # six px wide, from side to side
    hole[30:37, 20:27] = True  # a square has room in it
    hole[50:75, 40] = True
    found = narrow(hole, 3)
    assert found[10:16].all() and found[50:75, 40].all()
    assert not found[30:37, 20:27].any() and not found[~hole].any()


@given(st.integers(1, 40), st.integers(1, 40), st.floats(1, 3), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_mean_beside_a_hole_knows_nothing_of_what_is_in_it(
    height: int, width: int, deviation: float, seed: int
):
    rng = np.random.default_rng(seed)
    before, hole = picture(height, width), rng.random((height, width)) < 0.5
    flat = np.full_like(before, 0.3)
    made, other = (
        softer(np.where(hole[..., None], value, flat), hole, deviation) for value in (0.9, np.nan)
    )
    near = ~np.isnan(other)
    assert near[~hole].all()  # each known pixel is near itself
    np.testing.assert_allclose(made[near], 0.3, atol=1e-4)
    lowest, highest = before[~hole].min(initial=1), before[~hole].max(initial=-1)
    made = softer(before, hole, deviation)[near]
    assert (made >= lowest - 0.1).all() and (made <= highest + 0.1).all()


def test_a_hairline_is_filled_by_what_is_beside_it():
    """Half of it at least, whatever the network says."""
    before = np.repeat(np.linspace(0.2, 0.6, 120, dtype=np.float32)[:, None, None], 3, 2)
    before = before.repeat(90, 1)
    mask = np.zeros((120, 90), np.float32)
    mask[:, 40:43] = 1
    made = INPAINT.run(before, mask=mask, model="wild", engine=ENGINE).made
    wild = np.where(before > 0.5, before, 1 - before)  # as far as the network can be
    assert (np.abs(made - before) <= wild / 2 + 0.02).all()


def test_a_mask_grows():
    mask = np.zeros((20, 20), np.float32)
    mask[10, 10] = 1
    assert grown(mask, 3).sum() == 49
    assert np.array_equal(grown(mask, 0), mask)


def test_it_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from triptych import cli
    from triptych.image.picture import Picture, load, save

    save(Picture(picture(40, 50)), tmp_path / "in.png")
    mask = np.zeros((40, 50, 3), np.float32)
    mask[5:20, 5:30] = 1
    save(Picture(mask), tmp_path / "mask.png")
    words = ["inpaint", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png")]
    assert cli.main([*words, "--mask", str(tmp_path / "mask.png"), "--model", "wild"]) == 0
    made, before = load(tmp_path / "out.png").pixels, load(tmp_path / "in.png").pixels
    assert np.array_equal(made[mask[..., 0] == 0], before[mask[..., 0] == 0])
    assert not np.array_equal(made, before)


def test_a_cut_out_is_extended_with_its_transparency(tmp_path: Path):
    from triptych import cli
    from triptych.image.picture import Picture, load, save

    alpha = np.ones((40, 50), np.float32)
    alpha[10:20, 10:30] = 0
    save(Picture(picture(40, 50), alpha), tmp_path / "in.png")
    words = ["extend", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png")]
    assert cli.main([*words, "--left", "8", "--bottom", "5", "--model", "wild"]) == 0
    made = load(tmp_path / "out.png").alpha
    assert made is not None
    assert np.array_equal(made[:40, 8:], alpha)
    assert made.shape == (45, 58)
    assert (made[40:] == 1).all() and (made[:, :8] == 1).all()
