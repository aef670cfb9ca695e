"""The recipes `synthesize-codec` and `synthesize` on pictures made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych import bundle
from triptych.training import commands, loop
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.perceptual import PerceptualNet
from triptych.training.image.synthesis import codec, domains, nets
from triptych.training.loop import Run


def leaves(seed: int, side: int = 96) -> np.ndarray:
    return np.asarray(dead_leaves(side, np.random.default_rng(seed)))


@pytest.fixture(autouse=True)
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    groups = [[leaves(i), leaves(i + 10)] for i in range(len(domains.DOMAINS))]
    monkeypatch.setattr(domains, "load", lambda root, held=False: groups)
    monkeypatch.setattr(domains, "sources", lambda root: [])
    monkeypatch.setattr(codec, "SqueezeNet", PerceptualNet)
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))


def trained(name: str, folder: Path, **more: Any) -> tuple[loop.Recipe, Run]:
    """A run of four steps, which is what two runs of two steps are."""
    chosen: dict[str, Any] = {"batch": 4, "steps": 4, "minutes": 0, "warmup": 1, "ema": 0.5}
    chosen |= {"precision": "32-true", "accelerator": "cpu", "picture_every": 100, **more}

    def made() -> loop.Recipe:
        return commands._recipe(name, chosen)

    whole, half = Run(folder / f"{name}-whole"), Run(folder / f"{name}-half")
    loop.fit(made(), whole)
    loop.fit(made(), half, stop_after=2)
    resumed = loop.fit(made(), half, resume=True)
    stored = [torch.load(run.checkpoint)["average"] for run in (whole, resumed)]
    assert all(torch.allclose(stored[0][key], stored[1][key], atol=1e-5) for key in stored[0])
    assert (whole.path / "sample.png").is_file()
    return made(), whole


def test_all_learn_resume_and_export(tmp_path: Path):
    """Each adds its graphs to the bundle of the one before."""
    made: Path | None = None
    graphs: set[str] = set()
    added = {
        "synthesize-codec": {"encode", "decode"},
        "synthesize": {"map", "generate", "invert"},
    }
    for name, more in added.items():
        chosen: dict[str, Any] = {} if made is None else {"base": str(made)}
        chosen["crops"] = 12
        recipe, run = trained(name, tmp_path, **chosen)
        made = recipe.export(loop.averaged(recipe, run), run, tmp_path / f"{name}-bundle")
        graphs |= more
        card = bundle.open_bundle(made).card
        assert set(card.graphs) == graphs
        assert all(one["max_abs"] <= 1e-3 for one in card.parity.values())
    assert [card.recipe["name"], card.recipe["generator"]["name"]] == list(added)


def test_a_modulated_convolution_is_stylegans():
    """Its weights scaled by the style, each output's then brought to a norm of one."""
    torch.manual_seed(0)
    layer = nets.Modulated(5, 7)
    style, x = torch.randn(2, nets.LATENT), torch.randn(2, 5, 6, 6)
    made = layer(x, style, torch.zeros(2, 1, 6, 6))
    for one in range(2):
        scale = layer.affine(style[one])
        weight = layer.weight * scale[:, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-6).sqrt()
        plain = torch.nn.functional.conv2d(x[one : one + 1], weight, padding=1)
        wanted = 1.4 * torch.nn.functional.leaky_relu(plain, 0.2)
        torch.testing.assert_close(made[one : one + 1], wanted, atol=1e-4, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(domains.DOMAINS))
def test_a_crop_is_a_part_of_a_picture(seed: int, domain: domains.Domain):
    """Of a ramp that rises to the right: its values lie within it and rise in one direction."""
    ramp = np.repeat(np.linspace(0, 255, 200)[None, :, None], 160, 0).repeat(3, 2).astype(np.uint8)
    made = domains.crop([ramp], domain, 32, np.random.default_rng(seed)).astype(int)
    assert made.shape == (32, 32, 3)
    spans = [
        abs(int(made[-1, 0, 0]) - int(made[0, 0, 0])),
        abs(int(made[0, -1, 0]) - int(made[0, 0, 0])),
    ]
    share = max(spans) / 255 * 200 / 160
    assert domain.zoom[0] - 0.06 <= share <= domain.zoom[1] + 0.03
    assert domain.turned or spans[1] > spans[0]


def test_no_held_out_picture_is_trained_on():
    for domain in domains.DOMAINS:
        assert domain.stems(True) and domain.stems(True) <= set(domain.files.split())
        assert not domain.stems(True) & domain.stems(False)
