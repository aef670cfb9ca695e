"""The recipe `shape`: network, a run on a few shapes, its bundle in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triptych import bundle
from triptych.engine import Engine
from triptych.training import commands, loop
from triptych.training.loop import Run
from triptych.training.shape import samples, shape_export
from triptych.training.shape.latents import NOISE, LinearGenerator
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.samples import TRUNCATION
from triptych.training.shape.shape import ShapeRecipe, measured
from triptych.training.shape.shape_net import LATENT, Head, ShapeNet


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One cache for all of these tests: the shapes are made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def recipe(**changes: Any) -> ShapeRecipe:
    small: dict[str, Any] = {
        "shapes": 4,
        "held_out": 2,
        "real": False,
        "width": 8,
        "points": 512,
        "steps": 2,
        "batch": 2,
    }
    small |= {"accelerator": "cpu", "warmup": 1, "ema": 0.5, "log_every": 1, "precision": "32-true"}
    made = commands._recipe("shape", {**small, **changes})
    assert isinstance(made, ShapeRecipe)
    return made


def test_a_run_resumes_and_its_bundle_does_what_the_network_does(tmp_path: Path) -> None:
    whole = loop.fit(recipe(), Run(tmp_path / "whole"))
    half = Run(tmp_path / "half")
    loop.fit(recipe(), half, stop_after=1)
    loop.fit(recipe(), half, resume=True)
    made = recipe()
    modules = loop.averaged(made, whole)
    again = loop.averaged(recipe(), half)["net"]
    for key, value in modules["net"].state_dict().items():
        torch.testing.assert_close(value, again.state_dict()[key])
    assert (tmp_path / "whole/sample.png").is_file()

    path = made.export(modules, whole, tmp_path / "shape")
    opened = bundle.open_bundle(path)
    card = opened.card
    assert card.task == "shape"
    assert set(card.graphs) == {"decode", "field", "encode", "generate"}
    assert [entry["name"] for entry in card.extra["categories"]] == list(FAMILIES)
    for entry in card.extra["categories"]:
        assert all(a <= b for a, b in zip(entry["low"], entry["high"], strict=True))

    net: Any = modules["net"].eval()
    surface = made.shapes.surface(0)[None]
    points, _ = made.shapes.points(0, slice(0, 300))
    engine = Engine(["cpu"])
    latent = engine.run(opened.graph("encode"), {"points": surface})["latent"]
    assert latent.shape == (1, *LATENT)
    planes = engine.run(opened.graph("decode"), {"latent": latent})["planes"]
    assert planes.shape == (3, 16, 128, 128)
    far = engine.run(opened.graph("field"), {"planes": planes, "points": points})["distance"]
    with torch.no_grad():
        wanted = net(torch.from_numpy(surface), torch.from_numpy(points)[None])[0][0].numpy()
    wanted = (wanted * TRUNCATION).clip(-TRUNCATION, TRUNCATION)
    np.testing.assert_allclose(far, wanted, atol=1e-3)

    wish = {
        "noise": np.zeros((1, NOISE), np.float32),
        "category": np.array([0]),
        "proportions": shape_export.proportions(made.shapes.size[:1]).astype(np.float32),
    }
    drawn = engine.run(opened.graph("generate"), wish)["latent"]
    np.testing.assert_allclose(drawn, latent, atol=0.02)  # the only chair there is

    opened_again = shape_export.load_shape(path).state_dict()
    for key, value in net.state_dict().items():
        torch.testing.assert_close(opened_again[key], value, atol=1e-3, rtol=1e-3)


def test_the_loss_falls() -> None:
    torch.manual_seed(0)
    made = recipe(rate=3e-3)
    modules = made.setup(torch.device("cpu"))
    optimizer = made.optimizers(modules)["net"]
    batch = made.batch(range(2), torch.device("cpu"))
    losses = []
    for _ in range(12):
        loss, _ = made.loss("net", modules, batch, 0.5)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_figures_are_one_for_the_truth_and_less_for_nothing() -> None:
    shapes = samples.training(4, with_real=False)

    class Told(torch.nn.Module):
        """Tells what is stored, or that all is outside."""

        def __init__(self, knows: bool) -> None:
            super().__init__()
            self.knows, self.index = torch.nn.Parameter(torch.tensor(float(knows))), 0

        def forward(self, surface: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor]:
            truth = torch.from_numpy(shapes.points(self.index, slice(None))[1])
            self.index += 1
            return ((truth if self.knows > 0 else torch.ones_like(truth))[None],)

    assert measured(Told(True), shapes, 4) == {"iou": 1.0, "thin": 1.0}
    assert measured(Told(False), shapes, 4) == {"iou": 0.0, "thin": 0.0}


def test_the_field_reads_each_plane_at_its_own_coordinates() -> None:
    head = Head()
    planes = torch.zeros(3, 16, 128, 128)
    ramp = torch.linspace(-1, 1, 128)
    planes[0, 0], planes[1, 1], planes[2, 2] = ramp, ramp, ramp  # x, z, x to the right
    with torch.no_grad():
        layer = head.layers[0]
        assert isinstance(layer, torch.nn.Linear)
        layer.weight[:, -3:] = 0  # not told directly where a point is
        points = torch.tensor([[[0.3, 0.1, -0.4], [0.3, 0.7, -0.4], [0.3, 0.1, 0.6]]])
        made = head(planes, points)[0]
    torch.testing.assert_close(made[0], made[1])  # nothing depends on the height
    assert abs(float(made[0] - made[2])) > 1e-4  # but on the depth


def test_the_latent_knows_the_shape() -> None:
    net = ShapeNet(8).eval()
    with torch.no_grad():
        one, two = (net.encoder(torch.rand(1, 4096, 6) * s)[0] for s in (1.0, 0.3))
    assert (one - two).abs().mean() > 0.05


def test_the_linear_generator_has_the_means_and_spread_of_its_latents() -> None:
    rng = np.random.default_rng(0)
    proportions = rng.uniform(0.3, 1, (300, 3))
    size = int(np.prod(LATENT))
    axes = rng.standard_normal((5, size)) / 10
    told = rng.standard_normal((3, size)) / 10
    x = rng.standard_normal((300, 5)) @ axes + proportions @ told + 0.5
    made = LinearGenerator(3)
    made.fit(2, x.reshape(-1, *LATENT), proportions)
    count = 4000
    noise = torch.randn(count, NOISE, generator=torch.Generator().manual_seed(0))
    wish = torch.tensor([[0.5, 1.0, 0.4]]).float().expand(count, 3)
    with torch.no_grad():
        drawn = made(noise, torch.full((count,), 2), wish).reshape(count, -1).numpy()
    wanted = wish[0].numpy() @ told + 0.5
    assert np.abs(drawn.mean(0) - wanted).mean() < 0.03
    spread = np.sqrt((axes**2).sum(0))
    np.testing.assert_allclose(drawn.std(0).mean(), spread.mean(), rtol=0.1)
