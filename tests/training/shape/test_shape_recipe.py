"""The recipe `shape`: network, a run on a few shapes, its bundle in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.shape.assembly import Assembler
from triptych.shape.category import DIRECTIONS
from triptych.shape.distances import signed_distances
from triptych.shape.implicit import Implicit
from triptych.shape.mesh import Mesh
from triptych.shape.model import ShapeModel
from triptych.shape.surface import extract
from triptych.training import commands, loop
from triptych.training.loop import Run
from triptych.training.shape import grids, real, samples, shape_export
from triptych.training.shape.code_net import (
    CODE,
    DRAWN,
    NOISE,
    Build,
    Code,
    Coder,
    Critic,
    Draw,
    Generator,
)
from triptych.training.shape.latents import Space
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.samples import TRUNCATION
from triptych.training.shape.shape import ShapeRecipe, measured
from triptych.training.shape.shape_net import (
    CHANNELS,
    FINE,
    LATENT,
    NODES,
    REACH,
    gathered,
    sampled,
)


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
    assert set(card.graphs) == {"decode", "field"}
    assert [entry["name"] for entry in card.extra["categories"]] == list(FAMILIES)
    for entry in card.extra["categories"]:
        assert all(a <= b for a, b in zip(entry["low"], entry["high"], strict=True))

    net: Any = modules["net"].eval()
    latent = made.latents[:1].astype(np.float32)
    points, _ = made.shapes.points(0, slice(0, 300))
    engine = Engine(["cpu"])
    grid = engine.run(opened.graph("decode"), {"latent": latent})["grid"]
    far = engine.run(opened.graph("field"), {"grid": grid, "points": points})["distance"]
    with torch.no_grad():
        wanted = net(torch.from_numpy(latent), torch.from_numpy(points)[None])[0].numpy()
    wanted = (wanted * TRUNCATION).clip(-TRUNCATION, TRUNCATION)
    np.testing.assert_allclose(far, wanted, atol=1e-3)

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
    shapes, latents = samples.training(4, with_real=False), grids.training(4, with_real=False)

    class Told(torch.nn.Module):
        """Tells what is stored, or that all is outside."""

        def __init__(self, knows: bool) -> None:
            super().__init__()
            self.knows, self.index = torch.nn.Parameter(torch.tensor(float(knows))), 0

        def forward(self, latent: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
            truth = torch.from_numpy(shapes.points(self.index, slice(None))[1])
            self.index += 1
            return (truth if self.knows > 0 else torch.ones_like(truth))[None]

    assert measured(Told(True), shapes, latents, 4) == {"iou": 1.0, "thin": 1.0}
    assert measured(Told(False), shapes, latents, 4) == {"iou": 0.0, "thin": 0.0}


def test_what_is_read_between_nodes_is_one_in_training_and_in_the_graph() -> None:
    rng = torch.Generator().manual_seed(0)
    grid = torch.randn(1, CHANNELS, FINE, FINE, FINE, generator=rng)
    at = torch.rand(1, 200, 3, generator=rng) * 2.2 - 1.1  # outside too
    rows = grid[0].flatten(1).T
    torch.testing.assert_close(gathered(rows, at[0]), sampled(grid, at)[0], atol=1e-4, rtol=1e-4)


@given(
    size=st.tuples(*[st.floats(0.3, 1.9)] * 3),
    corner=st.tuples(*[st.floats(-3, 3)] * 3),
)
@settings(max_examples=5, deadline=None)
def test_a_mesh_is_encoded_as_the_recipe_encodes_its_solid(size: Any, corner: Any) -> None:
    block = trimesh.creation.box(size)
    block.apply_translation(corner)
    block = block.subdivide()
    solid = real.solid("block", block.vertices, block.faces)
    assert solid is not None
    sides = np.array(size) / max(size)
    x, y, z = (np.linspace(-side, side, NODES) for side in sides)
    points = (block.vertices - np.mean(block.bounds, 0)) * (1.9 / max(size))
    far = signed_distances(points, block.faces, (x, y, z)).clip(-REACH, REACH)
    np.testing.assert_allclose(far, grids.latent(solid)[:-3], atol=0.02)
    assert ((far < 0) == (grids.latent(solid)[:-3] < 0)).mean() > 0.999


def test_latents_measured_on_meshes_are_those_that_a_host_encodes() -> None:
    chair = samples.made(0)
    vertices, faces = extract(chair.distance, 128, TRUNCATION, Job())
    host = ShapeModel("shape", Engine(["cpu"]), Job()).encoded(Mesh(vertices, faces))[0]
    apart = np.abs(grids.measured(1)[0].astype(np.float32) - host)
    assert apart.max() < 0.02
    assert apart.mean() < 1e-3


def test_the_space_of_latents_holds_what_it_was_made_from() -> None:
    rng = np.random.default_rng(0)
    size = int(np.prod(LATENT))
    axes = rng.standard_normal((5, size)) / 100
    x = (rng.standard_normal((300, 5)) @ axes + 0.1).astype(np.float16)
    space = Space(5)
    space.fit(x)
    with torch.no_grad():
        again = space(torch.from_numpy(space.stored(x))).numpy()
    assert np.abs(again - x).max() < 1e-3
    other = rng.standard_normal((2, size)).astype(np.float32)
    left = other - space(torch.from_numpy(space.stored(other))).detach().numpy()
    assert np.abs(space.stored(left + space.mean.detach().numpy())).max() < 1e-2


def test_codes_and_their_generator_go_into_the_bundle(tmp_path: Path) -> None:
    base = recipe()
    run = loop.fit(base, Run(tmp_path / "base"))
    before = base.export(loop.averaged(base, run), run, tmp_path / "shape")
    few: dict[str, Any] = {"shapes": 3, "real": False, "batch": 4, "steps": 2, "log_every": 1}
    few |= {"precision": "32-true", "pixels": 12}
    given = few | {"base": str(before), "held_out": 2, "nodes": 64}
    made = commands._recipe("shape-coder", given)
    run = loop.fit(made, Run(tmp_path / "coder-run"))
    modules = loop.averaged(made, run)
    opened = bundle.open_bundle(made.export(modules, run, tmp_path / "coder"))
    coder = modules["coder"]
    assert isinstance(coder, Coder)
    again = shape_export.load_coder(opened.path)
    for key, value in coder.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, atol=1e-3, rtol=1e-3)
    with np.load(opened.file("directions.npz")) as held:
        assert set(held) == set(FAMILIES)
        assert held["chair"].shape == (len(DIRECTIONS), 1, CODE)

    drawing = commands._recipe("shape-generator", few | {"base": str(opened.path)})
    run = loop.fit(drawing, Run(tmp_path / "run"))
    modules = loop.averaged(drawing, run)
    whole = bundle.open_bundle(drawing.export(modules, run, tmp_path / "user/bundles/whole"))
    assert set(whole.card.graphs) == {"decode", "field", "draw", "build", "code"}
    assert set(whole.card.recipe) > {"coder", "generator"}

    # An autoencoder that learns on from there keeps what codes its latents.
    on = recipe(start=str(whole.path))
    run = loop.fit(on, Run(tmp_path / "on-run"))
    kept = bundle.open_bundle(on.export(loop.averaged(on, run), run, tmp_path / "on")).card
    assert set(kept.recipe) > {"coder", "generator", "before"}
    assert kept.extra["seen"] == whole.card.extra["seen"]
    for name, graph in whole.card.graphs.items():
        same = kept.graphs[name].sha256 == graph.sha256
        assert same == (name not in ("decode", "field"))

    # What PyTorch makes of a latent and of its code, the host's model makes too.
    latent = grids.training(3, with_real=False)[:1].astype(np.float32)
    kinds = shape_export.kinds(np.array([0]))
    sides = torch.from_numpy(latent[:, -3:])
    with torch.no_grad():
        placed = again.space.coordinates(torch.from_numpy(latent))
        told = Code(again)(placed, kinds, sides)
        wanted = Build(again).latents(told, kinds, sides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(tmp_path / "user"))
        listed = next(b.listed for b in bundle.find_bundles("shape") if b.path == whole.path)
        model = ShapeModel(listed, Engine(["cpu"]), Job())
        code = model.code(Implicit(latent, "chair", latent[0, -3:]))
        built = model.built(code, "chair", latent[0, -3:])
        assert model.code_drawn("chair", latent[0, -3:], seed=1).shape == (1, CODE)
        # Without exemplars it is what the network makes.
        drawn = Assembler(model).drawn("chair", latent[0, -3:], seed=1)
        assert drawn.latent.shape == latent.shape
        assert not drawn.warp.any()
    np.testing.assert_allclose(code, told.numpy(), atol=2e-3)
    np.testing.assert_allclose(built[:, :-3], wanted[:, :-3], atol=2e-3)
    assert np.array_equal(built[:, -3:], latent[:, -3:])


def test_the_code_that_the_critic_likes_best_is_drawn() -> None:
    torch.manual_seed(0)
    generator, critic = Generator(3), Critic(3, CODE)
    noise, kinds = torch.randn(DRAWN, NOISE), torch.eye(3)[1:2]
    sides = torch.tensor([[0.5, 1.0, 0.5]])
    with torch.no_grad():
        code = Draw(generator, critic)(noise, kinds, sides)
        each = generator(noise, kinds.expand(DRAWN, -1), sides.expand(DRAWN, -1))
        liked = critic(each, kinds.expand(DRAWN, -1), sides.expand(DRAWN, -1))
    assert torch.equal(code[0], each[liked.argmax()])


def test_a_generator_begins_between_true_codes() -> None:
    """Of two heaps of codes far apart, one a category, each draw is within its own."""
    torch.manual_seed(0)
    codes = torch.randn(400, CODE) * 0.1
    category = torch.arange(400) % 2
    codes[:, 0] += 10 * category
    generator = Generator(2)
    generator.begin(codes, category)
    kinds = torch.eye(2)[category]
    with torch.no_grad():
        drawn = generator(torch.randn(400, NOISE), kinds, torch.rand(400, 3))
    assert (drawn - codes).norm(dim=1).max() < 4
