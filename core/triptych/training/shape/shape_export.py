"""The bundle of the shape model: decode, field, encode, generate, and latents to start from."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.files import write_whole
from triptych.shape.model import DIRECTIONS
from triptych.training import data
from triptych.training.export import GraphExport, weights
from triptych.training.shape import directions as named
from triptych.training.shape.latents import NOISE
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.render import Distance
from triptych.training.shape.samples import SURFACE, TRUNCATION, Shapes
from triptych.training.shape.shape_net import AXES, FEATURES, LATENT, RESOLUTION, ShapeNet

_TOGETHER = 16  # shapes that are encoded at once


class Encode(nn.Module):
    """Surface points with normals (1 x 4096 x 6) to the latent's mean."""

    def __init__(self, net: ShapeNet) -> None:
        super().__init__()
        self.encoder = net.encoder

    def forward(self, points: Tensor) -> Tensor:
        return self.encoder(points)[0]


class Field(nn.Module):
    """Planes (3 x 16 x 128 x 128) and points (N x 3) to distances in the cube, cut at 0.1."""

    def __init__(self, net: ShapeNet) -> None:
        super().__init__()
        self.head = net.head

    def forward(self, planes: Tensor, points: Tensor) -> Tensor:
        return (self.head(planes, points[None])[0] * TRUNCATION).clamp(-TRUNCATION, TRUNCATION)


def load_shape(folder: Path) -> ShapeNet:
    """The autoencoder in a bundle of shapes."""
    found = bundle.open_bundle(folder)
    net = ShapeNet(int(found.card.extra["width"]))
    stored: dict[str, Tensor] = {}
    for graph, prefix in (("encode", ""), ("decode", "decoder."), ("field", "")):
        named = weights(found.graph(graph))
        stored |= {prefix + name: value for name, value in named.items()}
    own = net.state_dict()
    net.load_state_dict({name: stored[name].reshape(own[name].shape) for name in own})
    return net


@torch.no_grad()
def encoded(net: ShapeNet, shapes: Shapes) -> np.ndarray:
    """The latents' means (N x 24 x 8 x 8, float32) of stored shapes, kept in the cache.

    They are rounded to half precision, and so are the weights that they are kept for: those of a
    bundle and of the run that it was made from are the same.
    """
    state = b"".join(w.half().cpu().numpy().tobytes() for w in net.encoder.state_dict().values())
    told = state + shapes.size.tobytes() + shapes.category.tobytes()
    place = data.cache_folder() / "shapes" / f"latents-{hashlib.sha256(told).hexdigest()[:12]}.npy"
    if not place.is_file():
        device = next(net.parameters()).device
        made = []
        for start in range(0, len(shapes), _TOGETHER):
            stop = min(start + _TOGETHER, len(shapes))
            surfaces = np.stack([shapes.surface(index) for index in range(start, stop)])
            mean, _ = net.encoder(torch.from_numpy(surfaces).to(device))
            made.append(mean.cpu().numpy().astype(np.float16))
        place.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        np.save(stream, np.concatenate(made))
        write_whole(place, stream.getvalue())
    return np.asarray(np.load(place), np.float32)


def distance(net: ShapeNet, latent: Tensor) -> Distance:
    """The field of a latent (1 x 24 x 8 x 8) as a function of points in the cube."""
    device = next(net.parameters()).device
    planes, field = net.decoder(latent.to(device)), Field(net)

    def told(points: np.ndarray) -> np.ndarray:
        made: np.ndarray = field(planes, torch.from_numpy(points).to(device)).cpu().numpy()
        far = np.linalg.norm(np.maximum(np.abs(points) - 1, 0), axis=1)
        return np.maximum(made, far).astype(np.float32)

    return told


def proportions(size: np.ndarray) -> np.ndarray:
    """Sizes (N x 3, metres) over their longest."""
    return size / size.max(1, keepdims=True)


def categories(shapes: Shapes) -> list[dict[str, Any]]:
    """What the card says of each family: its sizes in metres (mean, 5th, 95th percentile).

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
                "size": _rounded(sizes.mean(0)),
                "low": _rounded(np.percentile(sizes, 5, 0)),
                "high": _rounded(np.percentile(sizes, 95, 0)),
            }
        )
    return told


def directions(latents: np.ndarray, shapes: Shapes) -> bytes:
    """`directions.npz`: for each family its directions (K x 24 x 8 x 8, float16)."""
    held: dict[str, Any] = {}
    for category, name in enumerate(FAMILIES):
        own = np.flatnonzero(shapes.category == category)
        steps = np.zeros((len(DIRECTIONS), *LATENT), np.float32)
        if len(own):
            told = np.stack([named.measured(shapes, int(index)) for index in own])
            steps = named.found(latents[own], told, proportions(shapes.size[own]))
        held[name] = steps.astype(np.float16)
    stream = io.BytesIO()
    np.savez_compressed(stream, **held)
    return stream.getvalue()


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]


def graphs(net: ShapeNet) -> dict[str, GraphExport]:
    """The three graphs of the autoencoder; their weights can be read again (`load_shape`)."""
    rng = torch.Generator().manual_seed(0)

    def latent() -> dict[str, Tensor]:
        return {"latent": torch.randn(1, *LATENT, generator=rng)}

    def query(count: int) -> dict[str, Tensor]:
        planes = torch.randn(len(AXES), FEATURES, RESOLUTION, RESOLUTION, generator=rng)
        return {"planes": planes, "points": torch.rand(count, 3, generator=rng) * 2 - 1}

    def surface() -> dict[str, Tensor]:
        return {"points": torch.rand(1, SURFACE, 6, generator=rng) * 2 - 1}

    places = {0: "count"}
    return {
        "decode": GraphExport(
            net.decoder, latent(), ["planes"], {}, [latent(), latent()], named=True
        ),
        "field": GraphExport(
            Field(net),
            query(1000),
            ["distance"],
            {"points": places, "distance": places},
            [query(1), query(5000)],
            {"points": (-1.0, 1.0), "distance": (-TRUNCATION, TRUNCATION)},
            named=True,
        ),
        "encode": GraphExport(Encode(net), surface(), ["latent"], {}, [surface()], named=True),
    }


def generate(generator: nn.Module) -> GraphExport:
    """The graph from noise, category and proportions to a latent."""
    rng = torch.Generator().manual_seed(0)

    def wish(category: int) -> dict[str, Tensor]:
        return {
            "noise": torch.randn(1, NOISE, generator=rng),
            "category": torch.tensor([category]),
            "proportions": torch.rand(1, 3, generator=rng),
        }

    last = len(FAMILIES) - 1
    return GraphExport(
        generator,
        wish(0),
        ["latent"],
        {},
        [wish(1), wish(last)],
        {"category": (0, last), "proportions": (0.0, 1.0)},
    )
