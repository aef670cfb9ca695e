"""A bundle of shapes whose graphs are written by hand; its codes and fields are its latents.

They are those of a chair of boxes, or of a rounded block, with the lumps of a wave on it.
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
NODES, REACH, NOISE, TRUNCATION = 20, 0.2, (1, 64), 0.1
LATENT = (NODES**3 + 3,)
CATEGORIES = [
    {"name": "chair", "label": "Chair", "size": [0.5, 0.9, 0.5]},
    {"name": "stool", "label": "Stool", "size": [0.4, 0.45, 0.4]},
]


class Decode(nn.Module):
    def forward(self, latent: Tensor) -> Tensor:
        return latent * 1.0


def box(points: Tensor, middle: Tensor, half: Tensor) -> Tensor:
    apart = (points - middle).abs() - half
    outside = (apart.clamp(min=0).square().sum(1) + 1e-18).sqrt()
    return outside + apart.amax(1).clamp(max=0)


def boxes(told: Tensor) -> Tensor:
    """The latent of measures: 0 to 2 half sides, 3 thickness, 4 height of the seat, 5 a block
    rather than a chair, 6 lumps, 7 their number, 8 how far the back is shifted."""
    half = 0.25 + 0.75 * told[:3].abs().clamp(max=1)
    proportions = half / half.max()
    along = torch.linspace(-1, 1, NODES)
    points = torch.stack(torch.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
    points = points * proportions
    w, h, d = 0.95 * proportions[0], 0.95 * proportions[1], 0.95 * proportions[2]
    thick = 0.07 + 0.05 * told[3].abs().clamp(max=1)
    seat = h * (told[4].clamp(-1, 1) * 0.4)
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
    sides = torch.stack([w, h, d])
    edge = 0.2 * sides.amin()
    block = box(points, zero.expand(3), sides - edge) - edge
    share = told[5].clamp(0, 1)
    wave = (points * (4 + 10 * told[7].abs().clamp(max=1))).sin().prod(1)
    made = (1 - share) * chair + share * block + 0.02 * told[6].clamp(-1, 1) * wave
    return torch.cat([made.clamp(-REACH, REACH), proportions])[None]


class FieldNet(nn.Module):
    """The latent between its nodes."""

    def forward(self, grid: Tensor, points: Tensor) -> Tensor:
        place = ((points / grid[0, -3:] + 1) * ((NODES - 1) / 2)).clamp(0, NODES - 1)
        low = place.floor().clamp(max=NODES - 2)
        share = place - low
        made = points[:, 0] * 0
        for x in (0, 1):
            for y in (0, 1):
                for z in (0, 1):
                    corner = torch.tensor([x, y, z])
                    node = (low.long() + corner) @ torch.tensor([NODES**2, NODES, 1])
                    weight = torch.where(corner > 0, share, 1 - share).prod(1)
                    made = made + weight * grid[0][node]
        return made.clamp(-TRUNCATION, TRUNCATION)


class Look(nn.Module):
    """The width and the height of what is covered; what is high is a chair."""

    def forward(self, picture: Tensor) -> Tensor:
        covered = picture[0, 0]
        return torch.stack([covered.amax(1).sum(), covered.amax(0).sum()])[None]


class Key(nn.Module):
    """What is seen is looked for among the categories."""

    def forward(
        self, coordinates: Tensor, proportions: Tensor, category: Tensor
    ) -> tuple[Tensor, Tensor]:
        none = 0 * (coordinates.sum(1) + proportions.sum(1))
        return nn.functional.one_hot(category, len(CATEGORIES)) + none[:, None], none


class Draw(nn.Module):
    def forward(self, noise: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        sides = (proportions[0] - 0.25) / 0.75
        seat = 0.3 * noise[0, :1].tanh()
        told = torch.cat([sides, 0.5 + 0.3 * noise[0, 1:2].tanh(), seat, kinds[0, 1:]])
        lumps = torch.cat([0.3 * noise[0, 2:3].tanh(), noise[0, 3:4].tanh()])
        return boxes(torch.cat([told, lumps, noise.new_zeros(1)]))


class Same(nn.Module):
    """Coordinates of codes, and codes of coordinates."""

    def forward(self, given: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        return given + 0 * kinds.sum() + 0 * proportions.sum()


def write(folder: Path, name: str = "boxes") -> Path:
    torch.manual_seed(0)
    latent = boxes(torch.rand(9))
    points = torch.rand(50, 3) * 2 - 1
    wish = {"kinds": torch.tensor([[0.0, 1.0]]), "proportions": torch.tensor([[0.5, 1.0, 0.6]])}
    draw, build = {"noise": torch.randn(*NOISE), **wish}, {"code": latent, **wish}
    code = {"coordinates": latent, **wish}
    look = {"picture": torch.rand(1, 3, 64, 64)}
    known = torch.cat([boxes(torch.tensor([1.0, 1, 1, 0.3, 0, kind, 0, 0, 0])) for kind in (0, 1)])
    key = {
        "coordinates": known,
        "proportions": torch.ones(2, 3),
        "category": torch.arange(2),
    }
    graphs = {
        "decode": GraphExport(Decode(), {"latent": latent}, ["grid"], {}, [{"latent": latent}]),
        "field": GraphExport(
            FieldNet(),
            {"grid": Decode()(latent), "points": points},
            ["distance"],
            {"points": {0: "count"}, "distance": {0: "count"}},
            [{"grid": Decode()(latent), "points": points[:7]}],
        ),
        "draw": GraphExport(Draw(), draw, ["code"], {}, [draw]),
        "build": GraphExport(Same(), build, ["coordinates"], {}, [build]),
        "code": GraphExport(Same(), code, ["code"], {}, [code]),
        "picture": GraphExport(Look(), look, ["query"], {}, [look]),
        "key": GraphExport(Key(), key, ["key", "usual"], {}, [key]),
    }
    extra: dict[str, Any] = {
        "categories": CATEGORIES,
        "resolution": NODES,
        "latent": list(LATENT),
        "nodes": NODES,
        "reach": REACH,
        "noise": list(NOISE),
        "truncation": TRUNCATION,
        "directions": ["solidity"],
    }
    thicker = np.full((1, *LATENT), -0.005, np.float16)
    thicker[:, -3:] = 0
    step = known.abs().amax(0).clamp(min=1e-6) / 127
    told = {
        "coordinates": (known / step).T.round().to(torch.int8).numpy(),
        "step": step.numpy(),
        "category": np.arange(2, dtype=np.uint8),
        "size": np.array([one["size"] for one in CATEGORIES], np.float16),
    }
    files = {
        "directions.npz": packed({str(one["name"]): thicker for one in CATEGORIES}),
        "known.npz": packed(told),
    }
    card = Card(name, "1.0.0", "shape", "Boxes", "CC0-1.0", {}, extra=extra)
    return write_bundle(folder, card, graphs, files)


def packed(arrays: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


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
    made: np.ndarray = boxes(torch.tensor([*told, *[0.0] * (9 - len(told))])).numpy()
    return made
