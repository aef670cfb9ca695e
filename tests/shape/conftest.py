"""A bundle of shapes whose graphs are written by hand: its latent is the shape's measures.

The field is that of a chair of boxes, or of a rounded block, with the lumps of a wave on it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from triptych.bundle import Card
from triptych.engine import Engine, Job
from triptych.shape.model import ShapeModel
from triptych.training.export import GraphExport, write_bundle

# A busy machine is no failure: what must be fast is timed by the tests that say so.
settings.register_profile("triptych", deadline=None)
settings.load_profile("triptych")

ENGINE = Engine(["cpu"], threads=1)
LATENT, NOISE, TRUNCATION = (24, 8, 8), 64, 0.1
CATEGORIES = [
    {"name": "chair", "label": "Chair", "size": [0.5, 0.9, 0.5]},
    {"name": "stool", "label": "Stool", "size": [0.4, 0.45, 0.4]},
]


class Decode(nn.Module):
    """The first sixteen numbers, each spread over a channel of the first plane."""

    def forward(self, latent: Tensor) -> Tensor:
        return latent.reshape(-1)[:16].reshape(1, 16, 1, 1).expand(3, 16, 128, 128) * 1.0


def box(points: Tensor, middle: Tensor, half: Tensor) -> Tensor:
    apart = (points - middle).abs() - half
    outside = (apart.clamp(min=0).square().sum(1) + 1e-18).sqrt()
    return outside + apart.amax(1).clamp(max=0)


class FieldNet(nn.Module):
    """The measures: 0 to 2 half sides, 3 thickness, 4 height of the seat, 5 a block rather than a
    chair, 6 lumps, 7 their number, 8 how far the back is shifted."""

    def forward(self, planes: Tensor, points: Tensor) -> Tensor:
        told = planes[0, :, 64, 64]
        half = 0.95 * (0.25 + 0.75 * told[:3].abs().clamp(max=1))
        half = half / half.max() * 0.95
        thick = 0.03 + 0.07 * told[3].abs().clamp(max=1)
        seat = half[1] * (told[4].clamp(-1, 1) * 0.4)
        w, h, d = half[0], half[1], half[2]
        zero = w * 0
        parts = [box(points, torch.stack([zero, seat, zero]), torch.stack([w, thick, d]))]
        leg = (seat + h) / 2
        for x in (-1, 1):
            for z in (-1, 1):
                middle = torch.stack([x * (w - thick), leg - h, z * (d - thick)])
                parts.append(box(points, middle, torch.stack([thick, leg, thick])))
        aside = 0.3 * w * told[8].clamp(0, 1)
        back = torch.stack([aside, (seat + h) / 2, thick - d])
        high = torch.stack([w - aside, (h - seat) / 2, thick])
        parts.append(box(points, back, high))
        chair = torch.stack(parts).amin(0)
        edge = 0.2 * half.amin()
        block = box(points, zero.expand(3), half - edge) - edge
        share = told[5].clamp(0, 1)
        wave = (points * (4 + 10 * told[7].abs().clamp(max=1))).sin().prod(1)
        made = (1 - share) * chair + share * block + 0.02 * told[6].clamp(-1, 1) * wave
        return made.clamp(-TRUNCATION, TRUNCATION)


class Encode(nn.Module):
    """The half sides of the box around the points."""

    def forward(self, points: Tensor) -> Tensor:
        half = points[0, :, :3].abs().amax(0) / 0.95
        told = torch.cat([(half - 0.25) / 0.75, half * 0 + 0.3, half * 0])
        return torch.cat([told, points.new_zeros(24 * 64 - 9)]).reshape(1, *LATENT)


class Look(nn.Module):
    """The width and the height of what is covered; what is given or high is a chair."""

    def forward(self, picture: Tensor, category: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        covered = picture[0, 0]
        wide, high = covered.amax(0).sum(), covered.amax(1).sum()
        sides = torch.stack([wide, high, wide]) / torch.maximum(wide, high)
        told = torch.cat([(sides - 0.25) / 0.75, sides * 0 + 0.3, category.float() % 2])
        latent = torch.cat([told, told.new_zeros(24 * 64 - 7)]).reshape(1, *LATENT)
        return latent, torch.stack([high, wide])[None], sides[None]


class Generate(nn.Module):
    def forward(self, noise: Tensor, category: Tensor, proportions: Tensor) -> Tensor:
        sides = (proportions[0] - 0.25) / 0.75
        seat = 0.3 * noise[0, :1].tanh()
        told = torch.cat([sides, 0.5 + 0.3 * noise[0, 1:2].tanh(), seat, category.float()])
        lumps = torch.cat([0.3 * noise[0, 2:3].tanh(), noise[0, 3:4].tanh()])
        return torch.cat([told, lumps, noise.new_zeros(24 * 64 - 8)]).reshape(1, *LATENT)


def write(folder: Path, name: str = "boxes") -> Path:
    torch.manual_seed(0)
    latent = torch.randn(1, *LATENT)
    points = torch.rand(50, 3) * 2 - 1
    generate = {
        "noise": torch.randn(1, NOISE),
        "category": torch.tensor([1]),
        "proportions": torch.tensor([[0.5, 1.0, 0.6]]),
    }
    look = {"picture": torch.rand(1, 3, 64, 64), "category": torch.tensor([2])}
    graphs = {
        "decode": GraphExport(Decode(), {"latent": latent}, ["planes"], {}, [{"latent": latent}]),
        "field": GraphExport(
            FieldNet(),
            {"planes": Decode()(latent), "points": points},
            ["distance"],
            {"points": {0: "count"}, "distance": {0: "count"}},
            [{"planes": Decode()(latent), "points": points[:7]}],
        ),
        "encode": GraphExport(
            Encode(),
            {"points": torch.rand(1, 4096, 6)},
            ["latent"],
            {},
            [{"points": torch.rand(1, 4096, 6)}],
        ),
        "generate": GraphExport(Generate(), generate, ["latent"], {}, [generate]),
        "picture": GraphExport(
            Look(),
            look,
            ["latent", "scores", "proportions"],
            {},
            [look],
            {"category": (0, len(CATEGORIES))},
        ),
    }
    extra: dict[str, Any] = {
        "categories": CATEGORIES,
        "resolution": 128,
        "latent": list(LATENT),
        "noise": NOISE,
        "truncation": TRUNCATION,
        "directions": ["solidity"],
    }
    thicker = np.zeros((1, *LATENT), np.float16)
    thicker.reshape(-1)[3] = 0.1
    stream = io.BytesIO()
    held: dict[str, Any] = {str(one["name"]): thicker for one in CATEGORIES}
    np.savez_compressed(stream, **held)
    card = Card(name, "1.0.0", "shape", "Boxes", "CC0-1.0", {}, extra=extra)
    return write_bundle(folder, card, graphs, {"directions.npz": stream.getvalue()})


@pytest.fixture(scope="session", autouse=True)
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's data folder with the bundle in it."""
    folder = tmp_path_factory.mktemp("user")
    write(folder / "bundles" / "boxes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(folder))
        yield folder


@pytest.fixture(scope="session")
def model(user: Path) -> ShapeModel:
    return ShapeModel("boxes", ENGINE, Job())


def latent_of(*told: float) -> np.ndarray:
    latent = np.zeros((1, *LATENT), np.float32)
    latent.reshape(-1)[: len(told)] = told
    return latent
