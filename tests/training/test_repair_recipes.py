"""The recipes `inpaint` and `restore` on pictures made here; damage; holes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych import bundle
from triptych.engine import Engine
from triptych.errors import UserError
from triptych.training import commands, loop
from triptych.training.image import damage, inpaint, restore
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.holes import any_hole
from triptych.training.image.inpaint_net import smooth_fill
from triptych.training.image.perceptual import PerceptualNet
from triptych.training.loop import Run


def leaves(seed: int, side: int = 96) -> np.ndarray:
    return np.asarray(dead_leaves(side, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", ["inpaint", "restore"])
def test_a_run_learns_resumes_and_exports(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch.set_num_threads(1)
    sources: list[Any] = []
    for module in (inpaint, restore):
        monkeypatch.setattr(module.sets, "photographs", lambda root: sources)
        monkeypatch.setattr(module.sets, "free_paintings", lambda root: sources)
        monkeypatch.setattr(module, "content_pictures", lambda s: [leaves(i) for i in range(3)])
    monkeypatch.setattr(inpaint, "SqueezeNet", PerceptualNet)
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    chosen: dict[str, Any] = {
        "size": 64,
        "batch": 2,
        "steps": 4,
        "warmup": 1,
        "ema": 0.5,
        "log_every": 1,
    }
    chosen |= {"precision": "32-true", "accelerator": "cpu", "picture_every": 100}
    if name == "inpaint":
        chosen |= {"width": 8, "adversarial_from": 0.4}

    def made() -> loop.Recipe:
        return commands._recipe(name, chosen)

    whole = loop.fit(made(), Run(tmp_path / "whole"))
    half = Run(tmp_path / "half")
    loop.fit(made(), half, stop_after=2)
    resumed = loop.fit(made(), half, resume=True)
    for a, b in zip(*(_weights(made(), run) for run in (whole, resumed)), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "whole" / "progress.png").is_file()
    recipe = made()
    path = recipe.export(loop.averaged(recipe, whole), whole, tmp_path / "bundles" / name)
    found = bundle.open_bundle(path)
    assert found.card.task == name
    for graph in found.card.graphs:
        Engine(["cpu"], 1).session(found.graph(graph))


@pytest.mark.parametrize(("name", "width"), [("inpaint", "width"), ("restore", "find_width")])
def test_a_bundle_is_a_start(
    name: str, width: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in (inpaint, restore):
        monkeypatch.setattr(module.sets, "photographs", lambda root: [])
        monkeypatch.setattr(module.sets, "free_paintings", lambda root: [])
        monkeypatch.setattr(module, "content_pictures", lambda s: [leaves(0)])
    monkeypatch.setattr(inpaint, "SqueezeNet", PerceptualNet)
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))

    def nets(**chosen: Any) -> tuple[loop.Recipe, torch.nn.Module]:
        recipe = commands._recipe(name, {width: 8, **chosen})
        return recipe, recipe.setup(torch.device("cpu"))["net"]

    torch.manual_seed(3)
    recipe, net = nets()
    for value in net.parameters():  # alike ones would be stored but once
        torch.nn.init.normal_(value, std=0.05)
    folder = recipe.export({"net": net}, Run(tmp_path / "run"), tmp_path / name)
    _, again = nets(start=str(folder))
    for one, two in zip(net.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)  # stored in half precision
    on, net = nets(start=str(folder))
    made = on.export({"net": net}, Run(tmp_path / "on"), tmp_path / "on" / name)
    first = bundle.open_bundle(folder).card.recipe
    assert bundle.open_bundle(made).card.recipe["before"] == first
    with pytest.raises(UserError, match="another width"):
        nets(start=str(folder), **{width: 16})


def test_one_network_of_restoring_is_trained_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module: Any = restore
    for name in ("photographs", "free_paintings"):
        monkeypatch.setattr(module.sets, name, lambda root: [])
    monkeypatch.setattr(restore, "content_pictures", lambda s: [leaves(0)])
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    torch.manual_seed(1)
    first = commands._recipe("restore", {})
    net = first.setup(torch.device("cpu"))["net"]
    for value in net.parameters():  # alike ones would be stored but once
        torch.nn.init.normal_(value, std=0.05)
    folder = first.export({"net": net}, Run(tmp_path / "first"), tmp_path / "restore")
    chosen = {"size": 64, "batch": 2, "steps": 2, "warmup": 1, "ema": 0.5, "learns": "find"}
    chosen |= {"precision": "32-true", "accelerator": "cpu", "start": str(folder)}
    recipe = commands._recipe("restore", chosen)
    before = recipe.setup(torch.device("cpu"))["net"].state_dict()
    after = loop.averaged(recipe, loop.fit(recipe, Run(tmp_path / "run")))["net"].state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"find"}
    for values, said in (({"learns": "sky"}, "find, clean, tone"), ({"learns": "find"}, "start")):
        with pytest.raises(UserError, match=said):
            commands._recipe("restore", values).setup(torch.device("cpu"))


def _weights(recipe: loop.Recipe, run: Run) -> list[torch.Tensor]:
    modules = loop.averaged(recipe, run)
    return [p for m in modules.values() for p in m.parameters()]


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_damage_stays_a_picture_and_tells_where_it_is(seed: int):
    before = leaves(3).astype(np.float32) / 255
    rng = np.random.default_rng(seed)
    over = damage.overlaid(before, rng)
    assert over.picture.shape == before.shape
    assert over.shares.shape == (*before.shape[:2], len(damage.KINDS))
    for values in (over.picture, over.shares):
        assert values.min() >= 0 and values.max() <= 1
    untouched = (over.shares == 0).all(2)
    assert np.abs(over.picture - before)[untouched].max(initial=0) < 1e-6
    tone = damage.any_tone(rng)
    assert 0 <= tone.black < tone.white <= 1 and 0 < tone.colour <= 1 and 0 <= tone.varnish <= 1
    assert [f.name for f in dataclasses.fields(tone)] == ["black", "white", "colour", "varnish"]
    for values in (damage.aged(before, tone), damage.saved(damage.noisy(before, rng), rng)):
        assert values.shape == before.shape and values.min() >= 0 and values.max() <= 1


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_smooth_fill_knows_nothing_of_the_hole_and_keeps_the_rest(seed: int):
    rng = np.random.default_rng(seed)
    hole = torch.from_numpy(any_hole(64, 96, rng))[None, None].float()
    picture = torch.from_numpy(rng.random((1, 3, 64, 96), np.float32))
    made = smooth_fill(picture, hole)
    other = smooth_fill(picture * (1 - hole) + 0.3 * hole, hole)
    torch.testing.assert_close(made, other)
    torch.testing.assert_close(made * (1 - hole), picture * (1 - hole))
    assert made.min() >= -1e-4 and made.max() <= 1 + 1e-4


def test_a_smooth_fill_goes_on_with_what_is_around():
    ramp = torch.linspace(0, 1, 96).expand(1, 3, 64, 96)
    hole = torch.zeros(1, 1, 64, 96)
    hole[..., 20:44, 30:60] = 1
    apart = (smooth_fill(ramp, hole) - ramp).abs()
    assert apart.max() < 0.08
