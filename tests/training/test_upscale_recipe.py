"""The recipe `upscale`, on pictures made here: pairs, network, loss, a run, its bundle."""

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
from triptych.errors import UserError
from triptych.image.resample import enlarge, shrink
from triptych.training import commands, loop
from triptych.training.image import upscale, upscale_data
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.perceptual import PerceptualNet
from triptych.training.image.upscale_data import as_bytes, pair_of
from triptych.training.image.upscale_degrade import degrade
from triptych.training.image.upscale_export import export_upscale, load_upscale, parameters, plain
from triptych.training.image.upscale_net import SCALES, RepConv, UpscaleNet, cubic_kernel
from triptych.training.loop import Run

SETS = ("cid22_512", "clic2025_1024", "ocean_cc0_1024")


def leaves(seed: int, height: int = 100, width: int = 120) -> np.ndarray:
    made = dead_leaves(max(height, width), np.random.default_rng(seed))
    return np.asarray(made[:height, :width])


@pytest.fixture(autouse=True)
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The three sets of photographs in TRIPTYCH_DATA, six small pictures each."""
    for number, name in enumerate(SETS):
        folder = tmp_path / "data/photos" / name
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for index in range(6):
                file = io.BytesIO()
                Image.fromarray(leaves(10 * number + index)).save(file, "png")
                archive.writestr(f"{index}.png", file.getvalue())
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def recipe(**changes: Any) -> upscale.UpscaleRecipe:
    small: dict[str, Any] = {
        "width": 8,
        "depth": 2,
        "patch": 14,
        "steps": 6,
        "batch": 6,
        "minutes": 0,
    }
    small |= {"accelerator": "cpu", "warmup": 2, "ema": 0.5, "log_every": 2, "precision": "32-true"}
    made = commands._recipe("upscale", {**small, **changes})
    assert isinstance(made, upscale.UpscaleRecipe)
    return made


def test_the_network_is_small_enough() -> None:
    chosen = upscale.UpscaleSettings()
    net = UpscaleNet(chosen.width, chosen.depth)
    assert all(parameters(one) <= 150_000 for one in net.nets)


@pytest.mark.parametrize("scale", SCALES)
def test_the_kernel_before_the_shuffle_is_bicubic(scale: int) -> None:
    picture = np.random.default_rng(0).random((9, 11, 3))
    x = torch.from_numpy(picture.transpose(2, 0, 1)[None].copy())
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    made = F.pixel_shuffle(F.conv2d(padded, cubic_kernel(scale).double(), groups=3), scale)
    wanted = enlarge(picture, scale)
    inside = slice(2 * scale, -2 * scale)
    got = made[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got[inside, inside], wanted[inside, inside], atol=1e-6)


def test_a_block_is_one_plain_convolution() -> None:
    torch.manual_seed(1)
    block = RepConv(8)
    torch.nn.init.normal_(block.point, std=0.2)
    torch.nn.init.normal_(block.bias)
    x = torch.randn(2, 8, 7, 9)
    parts = F.conv2d(x, block.weight, block.bias, padding=1) + x
    parts = parts + torch.einsum("oi,nihw->nohw", block.point, x)
    torch.testing.assert_close(block(x), parts, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(plain(block)(x), parts, atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.integers(40, 90), st.integers(40, 90), st.sampled_from(SCALES), st.integers(0, 10**6))
def test_crops_belong_together(height: int, width: int, scale: int, seed: int) -> None:
    """The large crop, made smaller, is the small crop, but for its border."""
    pair = pair_of(leaves(3, height, width), scale)
    assert pair.large.shape[:2] == tuple(scale * side for side in pair.small.shape[:2])
    patch = min(10, *pair.small.shape[:2])
    drawn = upscale_data.Pairs([pair], scale, patch)
    small, large = drawn.draw(np.random.default_rng(seed))
    assert small.shape == (patch, patch, 3)
    assert large.shape == (scale * patch, scale * patch, 3)
    again = as_bytes(shrink(np.ascontiguousarray(large), scale))
    inside = slice(2, -2)
    assert np.array_equal(small[inside, inside], again[inside, inside])


def test_crops_are_drawn_where_detail_is() -> None:
    flat = np.full((96, 192, 3), 128, np.uint8)
    flat[:, 96:] = leaves(0, 96, 96)
    drawn = upscale_data.Pairs([pair_of(flat, 3)], 3, 8)
    crops = [drawn.draw(np.random.default_rng(n))[0] for n in range(60)]
    assert sum(float(crop.std()) > 2 for crop in crops) > 45


def test_no_picture_is_in_both_parts(data_set: Path) -> None:
    train, valid = upscale_data.load(recipe().sources(), 2, 14)
    again, _ = upscale_data.load(recipe().sources(), 2, 14)
    assert len(valid) == 2  # of 18 pictures
    assert len(train) == len(again) == 2 * 16
    assert not {pair.large.tobytes() for pair in valid} & {pair.large.tobytes() for pair in train}
    for one in valid:
        assert not any(np.array_equal(one.small[:8, :8], pair.small[:8, :8]) for pair in train)


def test_a_run_learns_resumes_and_exports(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = loop.fit(recipe(), Run(tmp_path / "whole"))
    half = Run(tmp_path / "half")
    loop.fit(recipe(), half, stop_after=3)
    resumed = loop.fit(recipe(), half, resume=True)
    assert resumed.step == whole.step == 6
    one, two = (loop.averaged(recipe(), run)["model"] for run in (whole, half))
    for key, value in one.state_dict().items():
        torch.testing.assert_close(value, two.state_dict()[key])
    assert (tmp_path / "whole/sample.png").is_file()
    path = recipe().export({"model": one}, whole, tmp_path / "upscale")
    made = bundle.open_bundle(path)
    assert made.card.task == "upscale"
    assert set(made.card.graphs) == {"x2", "x3", "x4"}
    assert made.card.extra["overlap"] == {"x2": 4, "x3": 4, "x4": 4}
    assert all(part["max_abs"] < 1e-4 for part in made.card.parity.values())
    assert [source["name"] for source in made.card.data] == list(SETS)


def varied(net: UpscaleNet) -> UpscaleNet:
    for conv in net.modules():
        if isinstance(conv, RepConv):
            torch.nn.init.normal_(conv.point, std=0.2)
    for name, value in net.named_parameters():  # alike ones would be stored but once
        if name.endswith(("bias", "again")):
            torch.nn.init.normal_(value, std=0.1)
    return net


def test_a_bundle_is_a_start(tmp_path: Path) -> None:
    torch.manual_seed(5)
    net = varied(UpscaleNet(8, 2, (2, 3)))
    export_upscale(net, tmp_path / "upscale")
    small = {scale: torch.rand(1, 3, 9, 8) for scale in SCALES}
    again = recipe(start=str(tmp_path / "upscale"), twice=(2, 3)).setup(torch.device("cpu"))[
        "model"
    ]
    for one, two in zip(net(small).values(), again(small).values(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=0)  # weights are stored in float16
    wrong: tuple[dict[str, Any], ...] = ({"depth": 3, "twice": (2, 3)}, {"twice": (2,)})
    for other in wrong:
        with pytest.raises(UserError, match=r"another width or depth|set twice"):
            recipe(start=str(tmp_path / "upscale"), **other).setup(torch.device("cpu"))


def test_what_goes_through_the_trunk_twice_begins_as_it_was(tmp_path: Path) -> None:
    net = varied(UpscaleNet(8, 2))
    export_upscale(net, tmp_path / "upscale")
    twice = UpscaleNet(8, 2, SCALES)
    load_upscale(twice, tmp_path / "upscale")
    small = {scale: torch.rand(1, 3, 9, 8) for scale in SCALES}
    for one, two in zip(net(small).values(), twice(small).values(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=0)
    assert [one.reach for one in twice.nets] == [6] * 3


def test_scales_are_trained_apart(tmp_path: Path) -> None:
    made = recipe().settings
    export_upscale(varied(UpscaleNet(made.width, made.depth)), tmp_path / "upscale")
    chosen = recipe(start=str(tmp_path / "upscale"), scales=(3,))
    run = loop.fit(chosen, Run(tmp_path / "run"))
    after = loop.averaged(chosen, run)["model"]
    start = chosen.setup(torch.device("cpu"))["model"].state_dict()
    changed = {
        name.split(".")[0]
        for name, value in after.state_dict().items()
        if not torch.equal(value, start[name])
    }
    assert changed == {str(SCALES.index(3))}
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"scales": (5,)}, "2, 3 and 4"),
        ({"scales": ()}, "2, 3 and 4"),
        ({"twice": (1,)}, "2, 3 and 4"),
        ({"scales": (3,)}, "start"),
    )
    for values, said in refused:
        with pytest.raises(UserError, match=said):
            recipe(**values).setup(torch.device("cpu"))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from(SCALES), st.integers(0, 10**6))
def test_damage_is_of_the_right_size_and_repeats(
    height: int, width: int, scale: int, seed: int
) -> None:
    large = leaves(1, height * scale, width * scale)
    one, two = (degrade(large, scale, np.random.default_rng(seed)) for _ in range(2))
    assert one.shape == (height, width, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, two)


def test_damage_harms_more_with_its_strength() -> None:
    large, scale = leaves(1, 96, 96), 2
    clean = as_bytes(shrink(large, scale)).astype(float)
    errors = [
        np.mean(
            [
                np.abs(degrade(large, scale, np.random.default_rng(seed), strength) - clean).mean()
                for seed in range(30)
            ]
        )
        for strength in (0.0, 0.5, 1.0)
    ]
    assert errors == sorted(errors)
    assert errors[2] > 1.5 * errors[0]


def test_crisp_trains_model_and_critic_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscale, "SqueezeNet", PerceptualNet)  # random features will do
    made = recipe(crisp=True, patch=20, steps=3)
    run = loop.fit(made, Run(tmp_path / "crisp"))
    modules = loop.averaged(made, run)
    assert set(modules) == {"model", "critic"}
    path = made.export(modules, run, tmp_path / "upscale-crisp")
    card = bundle.open_bundle(path).card
    assert (card.name, card.title, card.task) == ("upscale-crisp", "Crisp", "upscale")


@pytest.mark.parametrize("squared", [0.0, 1.0])
def test_the_loss_falls(squared: float) -> None:
    torch.manual_seed(0)
    made = recipe(squared=squared, rate=2e-3)
    modules = made.setup(torch.device("cpu"))
    optimizer = made.optimizers(modules)["model"]
    batch = made.batch(range(12), torch.device("cpu"))
    losses = []
    for _ in range(25):
        loss, figures = made.loss("model", modules, batch, 0.5)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]
    assert set(figures) == {"psnr2", "psnr3", "psnr4"}
