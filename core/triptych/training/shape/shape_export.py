"""What the bundle of shapes is made of: its graphs, categories and named directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.shape.category import DIRECTIONS
from triptych.training.export import GraphExport, npz, weights
from triptych.training.shape import directions as named
from triptych.training.shape.code_net import CODE, DRAWN, NOISE, Build, Code, Coder, Draw
from triptych.training.shape.latents import Space
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.render import Distance
from triptych.training.shape.samples import TRUNCATION, Shapes
from triptych.training.shape.shape_net import LATENT, REACH, ShapeNet, gathered

GROWN = ("tree", "rock")
"""Families that meet their box at points only, but for the ground (`triptych.shape.contact`)."""


class Decode(nn.Module):
    """A latent (1 x LATENT) to the decoded grid, node after node (FINE^3 x CHANNELS)."""

    def __init__(self, net: ShapeNet) -> None:
        super().__init__()
        self.decoder = net.decoder

    def forward(self, latent: Tensor) -> Tensor:
        made: Tensor = self.decoder(latent)[0]
        return made.flatten(1).T.contiguous()


class Field(nn.Module):
    """A decoded grid and points (N x 3) to distances in the cube, cut at 0.1."""

    def __init__(self, net: ShapeNet) -> None:
        super().__init__()
        self.head = net.head

    def forward(self, grid: Tensor, points: Tensor) -> Tensor:
        at = points / grid[:1, -3:]
        made = self.head.distance(gathered(grid, at)[None], at[None])[0]
        return (made * TRUNCATION).clamp(-TRUNCATION, TRUNCATION)


def base(folder: str) -> bundle.Bundle:
    """The bundle in `folder` that a recipe adds to; without a folder, the one that ships."""
    return bundle.open_bundle(Path(folder)) if folder else bundle.get_bundle("shape", "shape")


def load_shape(folder: Path) -> ShapeNet:
    """The autoencoder in a bundle of shapes."""
    found = bundle.open_bundle(folder)
    net = ShapeNet(TRUNCATION, int(found.card.extra["width"]))
    stored = weights(found.graph("decode")) | weights(found.graph("field"))
    own = net.state_dict()
    net.load_state_dict({name: stored[name].reshape(own[name].shape) for name in own})
    return net


def load_coder(folder: Path) -> Coder:
    """The coder in a bundle of shapes."""
    found = bundle.open_bundle(folder)
    space = Space.read(found)
    coder = Coder(len(FAMILIES), space, int(found.card.extra["seen"]))
    named = weights(found.graph("code")) | weights(found.graph("build"))
    stored = {name.removeprefix("coder."): value for name, value in named.items()}
    own = coder.state_dict()
    for name, value in own.items():
        if not name.startswith("space."):
            value.copy_(stored[name].reshape(value.shape))
    return coder


def distance(net: ShapeNet, latent: Tensor) -> Distance:
    """The field of a latent (1 x LATENT) as a function of points in the cube."""
    device = next(net.parameters()).device
    grid, field = Decode(net)(latent.to(device)), Field(net)

    def told(points: np.ndarray) -> np.ndarray:
        made: np.ndarray = field(grid, torch.from_numpy(points).to(device)).cpu().numpy()
        far = np.linalg.norm(np.maximum(np.abs(points) - 1, 0), axis=1)
        return np.where(far > 0, np.maximum(made, far), made).astype(np.float32)

    return told


def proportions(size: np.ndarray) -> np.ndarray:
    """Sizes (N x 3, metres) over their longest."""
    return size / size.max(1, keepdims=True)


def kinds(category: np.ndarray) -> Tensor:
    """Numbers of categories (N) as shares of the families (N x K); what is of none is of all."""
    count = len(FAMILIES)
    of_none = np.full((1, count), 1 / count, np.float32)
    rows = np.concatenate([np.eye(count, dtype=np.float32), of_none])
    return torch.from_numpy(rows[np.minimum(category, count)])


def categories(shapes: Shapes) -> list[dict[str, Any]]:
    """What the card says of each family: its sizes in metres (usual, 5th, 95th percentile).

    The last category, of all else, is learned for variety and offered to no one.
    """
    told = []
    for category, name in enumerate(FAMILIES):
        sizes = shapes.size[shapes.category == category]
        if not len(sizes):  # nothing was learned of it: an entry keeps the numbers in step
            sizes = np.ones((1, 3), np.float32)
        told.append(
            {
                "name": name,
                "label": name.capitalize(),
                "size": _rounded(_usual(sizes)),
                "low": _rounded(np.percentile(sizes, 5, 0)),
                "high": _rounded(np.percentile(sizes, 95, 0)),
            }
        )
    return told


def directions(codes: np.ndarray, shapes: Shapes, rows: np.ndarray) -> bytes:
    """`directions.npz`: for each family its directions (K x 1 x CODE, float16).

    `codes` (N x CODE) are those of the shapes in `rows` (N).
    """
    held: dict[str, Any] = {}
    for category, name in enumerate(FAMILIES):
        own = np.flatnonzero(shapes.category[rows] == category)
        steps = np.zeros((len(DIRECTIONS), codes.shape[1]), np.float32)
        if len(own):
            told = np.stack([named.measured(shapes, int(index)) for index in rows[own]])
            steps = named.found(codes[own], told, proportions(shapes.size[rows[own]]))
        held[name] = steps[:, None].astype(np.float16)
    return npz(held)


def _usual(sizes: np.ndarray) -> np.ndarray:
    """The size (3) of N x 3 around which there are most: a mean may be that of no such thing."""
    places = np.log(np.maximum(sizes, 1e-3))
    far = ((places[:, None] - places) ** 2).sum(2)
    near = np.partition(far, len(far) // 10, 1)[:, len(far) // 10]
    return np.asarray(sizes[near.argmin()])


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]


def graphs(net: ShapeNet) -> dict[str, GraphExport]:
    """The graphs of the autoencoder; their weights can be read again (`load_shape`)."""
    rng = torch.Generator().manual_seed(0)

    def latent() -> dict[str, Tensor]:
        far = torch.randn(1, LATENT[0] - 3, generator=rng).clamp(-1, 1) * REACH
        return {"latent": torch.cat([far, 0.2 + 0.8 * torch.rand(1, 3, generator=rng)], 1)}

    def query(count: int) -> dict[str, Tensor]:
        with torch.no_grad():
            grid = Decode(net)(latent()["latent"])
        return {"grid": grid, "points": torch.rand(count, 3, generator=rng) * 2 - 1}

    places = {0: "count"}
    return {
        "decode": GraphExport(
            Decode(net), latent(), ["grid"], {}, [latent(), latent(), latent()], named=True
        ),
        "field": GraphExport(
            Field(net),
            query(1000),
            ["distance"],
            {"points": places, "distance": places},
            [query(1), query(300), query(5000)],
            {"points": (-1.0, 1.0), "distance": (-TRUNCATION, TRUNCATION)},
            named=True,
        ),
    }


def code_graphs(coder: Coder) -> dict[str, GraphExport]:
    """The graphs between codes and coordinates."""

    def graph(module: Build | Code, given: str, size: int, made: str) -> GraphExport:
        first, *trials = (
            {given: torch.randn(count, size), **_wish(category, count)}
            for category, count in ((0, 1), (1, 1), (4, 3), (len(FAMILIES) - 1, 40))
        )
        rows = {name: {0: "count"} for name in (*first, made)}
        return GraphExport(module, first, [made], rows, trials, _WITHIN, named=True, int8=True)

    return {
        "build": graph(Build(coder), "code", CODE, "coordinates"),
        "code": graph(Code(coder), "coordinates", coder.seen, "code"),
    }


_WITHIN = {"kinds": (0.0, 1.0), "proportions": (0.0, 1.0)}


def _wish(category: int, count: int = 1) -> dict[str, Tensor]:
    kinds = torch.eye(len(FAMILIES))[category : category + 1].expand(count, -1)
    return {"kinds": kinds, "proportions": torch.tensor([[0.5, 1.0, 0.75]]).expand(count, -1)}


def draw_graph(draw: Draw) -> dict[str, GraphExport]:
    """The graph that draws codes."""

    def drawn(category: int) -> dict[str, Tensor]:
        return {"noise": torch.randn(DRAWN, NOISE), **_wish(category)}

    trials = [drawn(number) for number in (1, 4, len(FAMILIES) - 1)]
    return {"draw": GraphExport(draw, drawn(0), ["code"], {}, trials, _WITHIN, int8=True)}
