"""The recipe `upscale-explore`, on pictures made here: consistency, latents, a run, its bundle."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych import bundle
from triptych.image.resample import shrink
from triptych.training import commands, loop
from triptych.training.image import explore
from triptych.training.image.consistent import Consistent, around, mirrored
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.explore import pattern, texture
from triptych.training.image.explore_export import PlainExplore
from triptych.training.image.explore_net import ROUNDS, ExploreNet, Explorer
from triptych.training.image.perceptual import PerceptualNet
from triptych.training.image.upscale import as_array
from triptych.training.image.upscale_export import export_upscale
from triptych.training.image.upscale_net import SCALES, UpscaleNet
from triptych.training.loop import Run

SETS = ("cid22_512", "clic2025_1024", "ocean_cc0_1024")
scales = pytest.mark.parametrize("scale", SCALES)


def leaves(seed: int, height: int, width: int) -> np.ndarray:
    made = dead_leaves(max(height, width), np.random.default_rng(seed))
    return np.asarray(made[:height, :width])


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None])).float()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> explore.ExploreRecipe:
    """The recipe with tiny networks, a crisp bundle to start from, and six pictures a set."""
    torch.set_num_threads(1)
    for number, name in enumerate(SETS):
        folder = tmp_path / "data/photos" / name
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for index in range(6):
                file = io.BytesIO()
                Image.fromarray(leaves(10 * number + index, 112, 128)).save(file, "png")
                archive.writestr(f"{index}.png", file.getvalue())
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(explore, "SqueezeNet", PerceptualNet)  # random features will do
    torch.manual_seed(3)
    crisp = UpscaleNet(8, 2)
    for name, value in crisp.named_parameters():  # alike ones would be stored but once
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.1)
    export_upscale(crisp, tmp_path / "crisp", crisp=True)
    small: dict[str, Any] = {"width": 8, "depth": 2, "decoder": 1, "latent": 3, "patch": 24}
    small |= {"start": str(tmp_path / "crisp"), "steps": 4, "minutes": 0, "batch": 6}
    small |= {"accelerator": "cpu", "precision": "32-true", "warmup": 2, "ema": 0.5}
    recipe = commands._recipe("upscale-explore", small)
    assert isinstance(recipe, explore.ExploreRecipe)
    return recipe


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 30))
def test_mirrored_is_numpys(height: int, width: int, edge: int) -> None:
    x = torch.rand(1, 2, height, width)
    wanted = np.pad(x.numpy(), ((0, 0), (0, 0), (edge, edge), (edge, edge)), "symmetric")
    assert np.array_equal(mirrored(x, around(x, edge)).numpy(), wanted)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from(SCALES))
def test_it_reduces_as_the_run_time_does(height: int, width: int, scale: int) -> None:
    large = torch.rand(2, 3, scale * height, scale * width)
    made = Consistent(scale, 1).reduced(large)
    for one, wanted in zip(made, large, strict=True):
        small = shrink(wanted.permute(1, 2, 0).numpy(), scale)
        np.testing.assert_allclose(one.permute(1, 2, 0).numpy(), small, atol=1e-6)


@scales
def test_one_round_is_enough_within_bounds_and_finds_the_nearest(scale: int) -> None:
    torch.manual_seed(1)
    small = 0.5 + 0.02 * torch.randn(1, 3, 9, 12)
    start = 0.5 + 0.02 * torch.randn(1, 3, 9 * scale, 12 * scale)
    one = Consistent(scale, 1)
    made = one(start, small)
    assert (one.reduced(made) - small).abs().max() < 0.1 / 255
    # a move that the reduction does not see is at right angles to the one that was made
    free = torch.randn_like(start)
    free = free - one.spread(one.reduced(free))
    cosine = F.cosine_similarity((made - start).flatten(), free.flatten(), dim=0)
    assert abs(float(cosine)) < 0.02


@scales
def test_rounds_end_within_bounds_and_near_on_a_picture_with_black_and_white(scale: int) -> None:
    large = (1.6 * leaves(1, 30 * scale, 24 * scale) / 255 - 0.3).clip(0, 1).astype(np.float32)
    small = shrink(large, scale).clip(0, 1)
    start = large + np.random.default_rng(0).normal(0, 0.03, large.shape)
    made = Consistent(scale, ROUNDS[scale])(as_tensor(start), as_tensor(small))
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    assert np.abs(shrink(as_array(made), scale).clip(0, 1) - small).max() <= 1 / 255


@scales
def test_a_pattern_on_the_grid_costs_and_texture_off_it_does_not(scale: int) -> None:
    torch.manual_seed(2)
    wanted = torch.rand(2, 3, 24 * scale, 24 * scale)
    still = torch.zeros(1, 1, scale, scale)
    still[..., 0, 0] = 0.2
    moved = 0.05 * torch.randn_like(wanted)
    stamped = wanted + still.repeat(1, 1, 24, 24)
    assert pattern(wanted, wanted, scale) < 0.05
    assert pattern(stamped, wanted, scale) > 2 * pattern(wanted + moved, wanted, scale)


def test_texture_does_not_ask_where_things_are() -> None:
    torch.manual_seed(2)
    taps = [torch.randn(1, 4, 16, 16), torch.randn(1, 6, 8, 8)]
    within = [F.unfold(t, 1).unflatten(2, t.shape[2:]) for t in taps]
    mixed = []
    for tap, side in zip(within, (8, 4), strict=True):
        windows = tap.unflatten(3, (-1, side)).unflatten(2, (-1, side)).flip(3, 5)
        mixed.append(windows.flatten(4, 5).flatten(2, 3))
    assert texture(mixed, taps) < 1e-5
    assert texture([2 * t for t in taps], taps) > 0.1


def test_a_run_resumes_and_its_bundle_draws(tmp_path: Path, made: explore.ExploreRecipe) -> None:
    whole = loop.fit(made, Run(tmp_path / "whole"))
    half = Run(tmp_path / "half")
    loop.fit(made, half, stop_after=2)
    loop.fit(made, half, resume=True)
    modules, again = (loop.averaged(made, run) for run in (whole, half))
    for key, value in modules["model"].state_dict().items():
        torch.testing.assert_close(value, again["model"].state_dict()[key])
    assert (tmp_path / "whole/sample.png").is_file()
    found = bundle.open_bundle(made.export(modules, whole, tmp_path / "upscale-explore"))
    card = found.card
    assert (card.name, card.title, card.task) == ("upscale-explore", "Explore", "upscale")
    assert set(card.graphs) == {"x2", "x3", "x4"}
    assert [tensor.name for tensor in card.graphs["x3"].inputs] == ["picture", "noise"]
    assert [source["name"] for source in card.data] == list(SETS)


def test_the_crisp_network_stays_as_it_is(made: explore.ExploreRecipe) -> None:
    modules = made.setup(torch.device("cpu"))
    model = modules["model"]
    assert isinstance(model, Explorer)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizers = made.optimizers(modules)
    batch = made.batch(range(6), torch.device("cpu"))
    for part, optimizer in optimizers.items():
        made.loss(part, modules, batch, 0.5)[0].backward()
        optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) == (".base." in key), key


def test_the_loss_falls_and_the_latent_is_used(made: explore.ExploreRecipe) -> None:
    torch.manual_seed(0)
    modules = made.setup(torch.device("cpu"))
    optimizer = made.optimizers(modules)["model"]
    batch = made.batch(range(12), torch.device("cpu"))
    losses = []
    for _ in range(15):
        loss, figures = made.loss("model", modules, batch, 0.5)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert all(figures[f"nats{scale}"] > 0.1 for scale in SCALES)


@scales
def test_what_is_exported_is_what_learned(scale: int) -> None:
    torch.manual_seed(0)
    net = ExploreNet(UpscaleNet(8, 2).nets[SCALES.index(scale)], 1, 3)
    small, latent = 0.4 + 0.2 * torch.rand(1, 3, 20, 20), torch.randn(1, 3, 20, 20)
    with torch.no_grad():
        made = PlainExplore(net)(small, latent)
        detail = net.detail(net.base.features(small), latent)
        wanted = F.pixel_shuffle(net.base.smooth(small) + detail, scale)
    inside = slice(8 * scale, 12 * scale)
    before = wanted[..., inside, inside]
    wanted = Consistent(scale, ROUNDS[scale])(wanted, small)[..., inside, inside]
    torch.testing.assert_close(made[..., inside, inside], wanted, atol=1e-3, rtol=0)
    assert (wanted - before).abs().max() > 1e-3
