"""The recipe `material` on tiles made here; its networks have no edges; its bundle runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.texture_model import TextureModel
from triptych.training import commands, export, loop
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.material import material, tiles
from triptych.training.image.material.material_export import Reader, medoids
from triptych.training.image.material.nets import (
    CODE,
    GRID,
    STYLE,
    Coder,
    Decoder,
    Flow,
    Style,
    unstyled,
)
from triptych.training.image.material.substances import NOT_OFFERED, slug, substances
from triptych.training.image.perceptual import PerceptualNet
from triptych.training.loop import Run

torch.set_num_threads(1)
CLASSES = ("Bricks", "Foil", "PavingStones")


def some(count: int) -> tiles.Tiles:
    pixels = [np.asarray(dead_leaves(tiles.SIDE, np.random.default_rng(i))) for i in range(count)]
    return tiles.Tiles(np.stack(pixels), np.arange(count) % len(CLASSES), CLASSES)


def test_a_run_learns_resumes_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiles, "load", lambda source: (some(6), some(3)))
    monkeypatch.setattr(material, "load_perceptual", lambda: PerceptualNet().requires_grad_(False))
    monkeypatch.setattr(material.MaterialRecipe, "sources", lambda self: [None])
    monkeypatch.setattr(export, "ledger", lambda sources: [])
    chosen: dict[str, Any] = {"batch": 2, "steps": 4, "warmup": 1, "ema": 0.5, "log_every": 1}
    chosen |= {"precision": "32-true", "accelerator": "cpu", "picture_every": 100}

    def made() -> loop.Recipe:
        return commands._recipe("material", chosen)

    whole = loop.fit(made(), Run(tmp_path / "whole"))
    half = Run(tmp_path / "half")
    loop.fit(made(), half, stop_after=2)
    resumed = loop.fit(made(), half, resume=True)
    stored = [torch.load(run.checkpoint)["average"] for run in (whole, resumed)]
    assert all(torch.allclose(stored[0][key], stored[1][key], atol=1e-5) for key in stored[0])
    recipe = made()
    folder = recipe.export(loop.averaged(recipe, whole), whole, tmp_path / "bundles" / "material")
    card = bundle.open_bundle(folder).card
    assert {one["name"] for one in card.extra["classes"]} == {"bricks", "paving-stones"}
    assert all(one["max_abs"] <= 1e-3 for one in card.parity.values())
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path))
    name = next(b.listed for b in bundle.find_bundles("material") if b.path == folder)
    model = TextureModel(name, Engine(["cpu"], 1), Job())
    tile = model.generated("bricks", 3, 0.5)
    assert tile.shape == (tiles.SIDE, tiles.SIDE, 3)
    assert model.nearest(model.read(tile)[0]) in model.kinds


def test_the_networks_have_no_edges():
    """What goes in shifted around the edges comes out shifted around the edges."""
    torch.manual_seed(0)
    coder = Coder()
    coder.fit(torch.rand(4, 3, 64, 64))
    decoder, flow = Decoder(coder).eval(), Flow(3).eval()
    torch.nn.init.normal_(flow.end.weight, std=0.1)
    codes = torch.randn(1, CODE, GRID, GRID)
    moved = torch.roll(codes, (3, 7), (2, 3))
    with torch.no_grad():
        assert torch.allclose(
            torch.roll(decoder(codes), (24, 56), (2, 3)), decoder(moved), atol=1e-4
        )
        told = torch.rand(1), torch.zeros(1, dtype=torch.long), torch.randn(1, STYLE)
        assert torch.allclose(
            torch.roll(flow(codes, *told), (3, 7), (2, 3)), flow(moved, *told), atol=1e-4
        )


def test_a_style_does_not_say_where_things_lie_and_with_the_layout_it_is_the_code():
    codes = torch.randn(2, CODE, GRID, GRID)
    style, layout = Style()(codes)
    other, _ = Style()(torch.roll(codes, (5, 2), (2, 3)))
    assert style.shape == (2, STYLE)
    assert torch.allclose(style, other, atol=1e-4)
    assert torch.allclose(unstyled(style, layout), codes, atol=0.2)


def test_likeness_is_the_mean_product_with_itself_moved():
    layout = torch.randn(1, 6, GRID, GRID)
    found = Style.likeness(layout).reshape(GRID // 2 + 1, GRID)
    for down, right in ((0, 0), (3, 5), (8, 15)):
        moved = torch.roll(layout, (-down, -right), (2, 3))
        assert torch.allclose(found[down, right], (layout * moved).mean(), atol=1e-5)


def test_a_code_tells_grain_from_none():
    coder = Coder()
    smooth = torch.rand(8, 3, 1, 1).expand(-1, -1, 32, 32)
    grainy = (smooth + 0.2 * torch.randn(8, 3, 32, 32)).clamp(0, 1)
    coder.fit(torch.cat([smooth, grainy]))
    assert coder(grainy)[:, -1].mean() > coder(smooth)[:, -1].mean() + 1
    style, layout = Reader(coder)(torch.rand(1, 3, tiles.SIDE, tiles.SIDE))
    assert style.shape == (1, STYLE)
    assert layout.shape == (1, CODE, GRID, GRID)


def test_medoids_stand_in_the_middle_of_clusters():
    rng = np.random.default_rng(0)
    middles = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    rows = np.concatenate([middle + rng.normal(0, 0.5, (20, 2)) for middle in middles])
    chosen = rows[medoids(rows, 3)]
    nearest = ((middles[:, None] - chosen) ** 2).sum(2)
    assert sorted(nearest.argmin(1)) == [0, 1, 2] and nearest.min(1).max() < 0.2
    assert medoids(rows[:3], 5) == [0, 1, 2]


def test_every_substance_is_possible():
    found = {one.name: one for one in substances()}
    assert not {slug(name) for name in NOT_OFFERED} & set(found)
    for one in found.values():
        assert 0.05 <= one.side <= 10
        assert 0 <= one.depth < one.side / 10
        assert 0 < one.roughness < 1
        assert one.metallic in (0, 1)
