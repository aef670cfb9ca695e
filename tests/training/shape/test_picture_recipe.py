"""Pictures of shapes to learn from, and what the recipe makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.bundle import Card, open_bundle
from triptych.engine import Engine
from triptych.shape.known import Known
from triptych.shape.subject import SIDE, cut_out
from triptych.training import commands, export, loop
from triptych.training.loop import Run
from triptych.training.shape import pictures, splats
from triptych.training.shape.drawing import KINDS, drawn
from triptych.training.shape.from_picture import PictureRecipe, graphs
from triptych.training.shape.picture_net import KEY, PictureNet
from triptych.training.shape.pictures import CELL, LAYERS, View


def block(width: float, height: float) -> np.ndarray:
    """Points and normals of a box's surface in the cube (4,096 x 6)."""
    rng = np.random.default_rng(0)
    half = np.array([width, height, width])
    axis, side = rng.integers(3, size=4096), rng.choice((-1.0, 1.0), 4096)
    points, normals = rng.uniform(-1, 1, (4096, 3)), np.zeros((4096, 3))
    points[np.arange(4096), axis] = side
    normals[np.arange(4096), axis] = side
    return np.concatenate([points * half, normals], 1).astype(np.float32)


@given(
    st.floats(0.15, 0.95), st.floats(-75, 75), st.floats(0, 42), st.floats(2.6, 50), st.integers(0)
)
@settings(max_examples=15, deadline=None)
def test_a_quick_picture_shows_the_shape_in_every_kind(
    width: float, azimuth: float, elevation: float, distance: float, seed: int
):
    rng = np.random.default_rng(seed)
    surface, view = block(width, 0.95), View(azimuth, elevation, 0.0, distance)
    layers = splats.splatted(surface, view, rng)
    assert layers.shape == (len(LAYERS), CELL, CELL)
    assert layers.min() >= 0
    seen, _, _ = pictures.framed(pictures.seen(surface[:, :3], view))
    mask = layers[3] > 0.5
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    sides = np.ptp(seen[:, :2], axis=0) * CELL / 2
    assert abs(len(columns) - sides[0]) < 3
    assert abs(len(rows) - sides[1]) < 3
    for kind in KINDS:
        picture = drawn(layers, kind, rng)
        assert picture.shape[2] == 3
        assert 0 <= picture.min() <= picture.max() <= 1
    cut = cut_out(drawn(layers, "silhouette", rng))
    assert abs(cut[0].mean() * SIDE**2 / mask.sum() - (0.875 * SIDE / max(sides)) ** 2) < 0.12


def test_a_camera_turns_and_near_things_are_larger():
    front = np.array([[0.0, 0.0, 1.0], [0.5, 0.0, 1.0], [0.5, 0.0, -1.0]])
    straight = pictures.seen(front, View(0, 0, 0, 4.0))
    assert straight[1, 0] > straight[2, 0] > 0
    aside = pictures.seen(front, View(90, 0, 0, 1e9))
    assert np.allclose(aside[0], (-1, 0, 0), atol=1e-6)
    above = pictures.seen(np.array([[0.0, 1.0, 0.0]]), View(0, 30, 0, 1e9))
    assert np.allclose(above[0], (0, np.cos(np.pi / 6), 0.5), atol=1e-6)


@pytest.fixture(scope="module")
def net() -> PictureNet:
    torch.manual_seed(0)
    return PictureNet(coordinates=40, width=4, features=32).eval()


def test_the_graphs_do_what_the_network_does(net: PictureNet, tmp_path: Path):
    card = Card("a", "1.0.0", "shape", "A", "CC0-1.0", {})
    path = export.write_bundle(tmp_path / "a", card, graphs(net), {})
    for name, graph in graphs(net).items():
        assert export.parity(graph, path / f"{name}.onnx")["max_abs"] < 1e-3


def test_a_mirror_image_asks_the_same(net: PictureNet):
    picture = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        query, features = net(picture)
        again, _ = net(picture.flip(3))
    assert query.shape == (2, KEY)
    assert features.shape == (2, 32)
    torch.testing.assert_close(again, query)


def test_a_run_gives_the_base_a_graph_for_pictures(base: Path, tmp_path: Path):
    given = {
        "base": str(base),
        "shapes": 6,
        "real": False,
        "splatted": 5,
        "rendered": 0,
        "held_out": 0,
    }
    given |= {"alike": 1, "pool": 4, "rate": 3e-3}
    given |= {"steps": 60, "batch": 8, "log_every": 50}
    made = commands._recipe("shape-picture", {**given, "precision": "32-true"})
    assert isinstance(made, PictureRecipe)
    run = loop.fit(made, Run(tmp_path / "run"))
    assert len(made.glimpses) == 5 * made.settings.views * len(KINDS)
    modules = loop.averaged(made, run)
    opened = open_bundle(made.export(modules, run, tmp_path / "shape"))
    before = open_bundle(base).card
    assert set(opened.card.graphs) == {*before.graphs, "picture", "key"}
    assert opened.card.recipe["name"] == before.recipe["name"]

    # Few pictures, which it soon knows by heart: the nearest of the other shapes is found.
    known, engine = Known.stored(opened.arrays("known.npz")), Engine(["cpu"], 1)
    keys = engine.run(opened.graph("key"), known.offered())
    near = 0
    for index in range(len(made.glimpses)):
        picture = {"picture": made.glimpses.picture(index)[None]}
        query = engine.run(opened.graph("picture"), picture)["query"][0]
        scores = keys["key"] @ query + keys["usual"]
        shown = made.glimpses.shape[index]
        apart = ((made.compared - made.compared[shown]) ** 2).sum(1)
        scores[shown] = -np.inf
        near += scores.argmax() == np.argsort(apart)[1]
    assert near > 0.7 * len(made.glimpses)

    # Another run may begin by seeing and finding as this one does.
    net: Any = modules["net"]
    again = commands._recipe("shape-picture", {**given, "start": str(opened.path)})
    begun: Any = again.setup(torch.device("cpu"))["net"]
    for name in ("gather", "ask", "key.first", "key.last"):
        own, other = (one.get_submodule(name).weight for one in (begun, net))
        torch.testing.assert_close(own, other, atol=1e-2, rtol=1e-2)
