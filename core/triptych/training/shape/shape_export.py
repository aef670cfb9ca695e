"""The bundle of the shape model: decode, field, encode, generate, and latents to start from."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych.training.export import GraphExport
from triptych.training.shape.latents import NOISE, LinearGenerator
from triptych.training.shape.samples import CATEGORIES, SURFACE, TRUNCATION, Shapes
from triptych.training.shape.shape_net import AXES, FEATURES, LATENT, RESOLUTION, ShapeNet

KEPT = 60  # latents of a category in the bundle


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


@torch.no_grad()
def encoded(net: ShapeNet, shapes: Shapes) -> np.ndarray:
    """The latents' means (N x 24 x 8 x 8, float32) of stored shapes."""
    device = next(net.parameters()).device
    made = []
    for index in range(len(shapes)):
        surface = torch.from_numpy(shapes.surface(index))[None].to(device)
        made.append(net.encoder(surface)[0][0].cpu().numpy())
    return np.stack(made)


def proportions(size: np.ndarray) -> np.ndarray:
    """Sizes (N x 3, metres) over their longest."""
    return size / size.max(1, keepdims=True)


def fitted(latents: np.ndarray, shapes: Shapes) -> LinearGenerator:
    """The generator of all categories that the shapes are of."""
    made = LinearGenerator(len(CATEGORIES))
    for category in np.unique(shapes.category).tolist():
        own = shapes.category == category
        made.fit(category, latents[own], proportions(shapes.size[own]))
    return made


def categories(shapes: Shapes) -> list[dict[str, Any]]:
    """What the card says of each category: its sizes in metres (mean, 5th, 95th percentile)."""
    told = []
    for category, name in enumerate(CATEGORIES):
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


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]


def latents_file(latents: np.ndarray, shapes: Shapes) -> bytes:
    """`latents.npz`: for each category NAME (N x 24 x 8 x 8, float16) and NAME_size (N x 3)."""
    held: dict[str, Any] = {}
    for category in np.unique(shapes.category).tolist():
        own = np.flatnonzero(shapes.category == category)
        own = own[np.linspace(0, len(own) - 1, min(KEPT, len(own))).astype(int)]
        held[CATEGORIES[category]] = latents[own].astype(np.float16)
        held[f"{CATEGORIES[category]}_size"] = shapes.size[own].astype(np.float32)
    stream = io.BytesIO()
    np.savez_compressed(stream, **held)
    return stream.getvalue()


def graphs(net: ShapeNet, generator: LinearGenerator) -> Mapping[str, GraphExport]:
    """The four graphs."""
    rng = torch.Generator().manual_seed(0)

    def latent() -> dict[str, Tensor]:
        return {"latent": torch.randn(1, *LATENT, generator=rng)}

    def query(count: int) -> dict[str, Tensor]:
        planes = torch.randn(len(AXES), FEATURES, RESOLUTION, RESOLUTION, generator=rng)
        return {"planes": planes, "points": torch.rand(count, 3, generator=rng) * 2 - 1}

    def surface() -> dict[str, Tensor]:
        return {"points": torch.rand(1, SURFACE, 6, generator=rng) * 2 - 1}

    def wish(category: int) -> dict[str, Tensor]:
        return {
            "noise": torch.randn(1, NOISE, generator=rng),
            "category": torch.tensor([category]),
            "proportions": torch.rand(1, 3, generator=rng),
        }

    places = {0: "count"}
    return {
        "decode": GraphExport(net.decoder, latent(), ["planes"], {}, [latent(), latent()]),
        "field": GraphExport(
            Field(net),
            query(1000),
            ["distance"],
            {"points": places, "distance": places},
            [query(1), query(5000)],
            {"points": (-1.0, 1.0), "distance": (-TRUNCATION, TRUNCATION)},
        ),
        "encode": GraphExport(Encode(net), surface(), ["latent"], {}, [surface()]),
        "generate": GraphExport(
            generator,
            wish(0),
            ["latent"],
            {},
            [wish(1), wish(len(CATEGORIES) - 1)],
            {"category": (0, len(CATEGORIES) - 1), "proportions": (0.0, 1.0)},
        ),
    }
