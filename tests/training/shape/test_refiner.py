"""What gives latents back what few coordinates lose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.bundle import find_bundles, open_bundle
from triptych.engine import Engine, Job
from triptych.shape import exemplars
from triptych.shape.assembly import Assembler
from triptych.shape.implicit import Implicit
from triptych.shape.model import ShapeModel
from triptych.shape.space import sharpened
from triptych.training import commands, export, loop
from triptych.training.loop import Run
from triptych.training.shape import grids, shape_export
from triptych.training.shape.code_net import Build, Code
from triptych.training.shape.refine_net import RefineNet
from triptych.training.shape.refiner import RefinerRecipe, graphs
from triptych.training.shape.shape_net import LATENT, NODES, REACH


def test_before_it_learns_a_latent_stays_as_it_is():
    latent = torch.randn(2, *LATENT).clamp(-REACH, REACH)
    with torch.no_grad():
        torch.testing.assert_close(RefineNet(4)(latent), latent)


def test_the_graph_does_what_the_network_does(tmp_path: Path):
    torch.manual_seed(0)
    net = RefineNet(8)
    torch.nn.init.normal_(net.last.weight, std=0.1)
    graph = graphs(net.eval())["refine"]
    export.export_graph(graph, tmp_path / "refine.onnx")
    assert export.parity(graph, tmp_path / "refine.onnx")["max_abs"] < 1e-3


def test_a_run_gives_the_base_what_refines_its_latents(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = {"base": str(base), "shapes": 6, "real": False, "held_out": 2, "width": 8}
    given |= {
        "steps": 120,
        "batch": 4,
        "rate": 0.01,
        "ema": 0.9,
        "coded": 1.0,
        "precision": "32-true",
        "tried": 3,
        "exemplars": 2,
    }
    made = commands._recipe("shape-refiner", given)
    assert isinstance(made, RefinerRecipe)
    run = loop.fit(made, Run(tmp_path / "run"))
    modules = loop.averaged(made, run)
    opened = open_bundle(made.export(modules, run, tmp_path / "user" / "bundles" / "shape"))
    before = open_bundle(base).card
    assert set(opened.card.graphs) == {*before.graphs, "refine"}
    named = {metric["name"] for metric in opened.card.metrics}
    assert "refined, held-out procedural shapes" in named

    # Of the shapes that it has seen, it undoes a part of what their codes took.
    latents = torch.from_numpy(grids.training(6, False).astype(np.float32))
    sides, kinds = latents[:, -3:], shape_export.kinds(np.arange(6))
    with torch.no_grad():
        placed = made.coder.space.coordinates(latents)
        lost = Build(made.coder).latents(Code(made.coder)(placed, kinds, sides), kinds, sides)
        refined = modules["net"].eval()(lost)
    assert torch.equal(refined[:, -3:], sides)
    near = latents[:, :-3].abs() < REACH / 4
    left, were = ((x - latents)[:, :-3][near].abs().mean() for x in (refined, lost))
    assert left < 0.9 * were

    # It gets shapes as exemplars, of its families alone.
    whole, _ = exemplars.unpacked(opened.arrays("exemplars.npz"), "chair", NODES)
    assert whole.shape == (1, *LATENT)
    np.testing.assert_allclose(whole[0, -3:], sides[0], atol=1e-3)
    inside = latents[0, :-3] < -0.02
    assert (whole[0, :-3][inside] < 0).all()
    assert not len(exemplars.unpacked(opened.arrays("exemplars.npz"), "rock", NODES)[0])

    # What a host builds of a code is refined; what is nearest to a shape is its exemplar.
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path / "user"))
    listed = next(b.listed for b in find_bundles("shape") if b.path == opened.path)
    model = ShapeModel(listed, Engine(["cpu"]), Job())
    chair = Implicit(latents[:1].numpy(), "chair", latents[0, -3:].numpy())
    code = model.code(chair)
    share = opened.card.extra["sharpened"]["chair"]
    assert 0 <= share <= made.settings.sharpened
    wanted = sharpened(refined[:1, :-3].numpy(), NODES, share).clip(-REACH, REACH)
    built = model.built(code, "chair", chair.size)
    np.testing.assert_allclose(built[:, :-3], wanted, atol=5e-3)
    same = Assembler(model).near(code, "chair", chair.size)
    np.testing.assert_allclose(same.latent[:, -3:], chair.latent[:, -3:], atol=1e-3)
