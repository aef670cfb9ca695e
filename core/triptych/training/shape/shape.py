"""The recipe `shape`: the autoencoder of shapes, from procedural and real ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.spatial import cKDTree
from torch import Tensor, nn

from triptych import bundle
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.shape import grids, real, render, samples, shape_export
from triptych.training.shape.latents import Space
from triptych.training.shape.samples import ANYWHERE, NEAR, POINTS, THIN, TRUNCATION
from triptych.training.shape.shape_net import FINE, LATENT, NODES, REACH, ShapeNet

_LOOKED_AT = 16  # held-out shapes behind the figures
_SHOWN = 8  # held-out shapes of a kind in the sheet
_EVERY = 100  # steps between figures of held-out shapes
_ADDED = ("coder", "generator", "refiner", "picture")  # recipes that add to a bundle of shapes
_NEAR = 0.2  # of the truncation: what is near the surface


@dataclass
class ShapeSettings:
    """Settings of the recipe `shape`."""

    name: str = "shape"  # of the bundle
    shapes: int = 20000  # procedural ones
    held_out: int = 170  # procedural ones that are never trained on
    real: bool = True  # the free meshes too
    real_share: float = 0.25  # of the examples that are real shapes, where there are any
    measured: int = 1020  # procedural ones whose distances are measured on their meshes too
    measured_share: float = 0.5  # of the procedural examples
    rate: float = 3e-3
    width: int = 16
    points: int = 2048  # of a shape in a step
    count: int = 256  # principal components of the latents
    projected: float = 0.35  # share of the examples whose latent has only these
    thin: float = 4.0  # more weight of what lies around thin parts
    near: float = 2.0  # more weight of what is near the surface
    start: str = ""  # folder of a bundle of shapes to start from; empty: random weights
    kept: float = 0.25  # share of the weights that it started from in those that are exported


class ShapeRecipe(Recipe):
    """Learn to tell the truncated distance anywhere from distances at the nodes of a coarse grid.

    Loss: the absolute difference of the distances (beyond the truncation only what is on the wrong
    side of it), more around thin parts, near the surface and where the sign is wrong. Some latents
    are projected onto the principal components of all, so that what is drawn there is decoded as
    sharply; others are measured on a mesh, as hosts do it.

    What learns on from a bundle is exported as a mean of its weights and the bundle's ("Robust
    fine-tuning of zero-shot models", Wortsman et al. 2022): exact distances teach it to see boards
    that are thinner than the grid is wide, and alone it sees them in what is drawn, too.
    """

    name = "shape"

    def __init__(self, settings: ShapeSettings | None = None) -> None:
        self.settings = settings or ShapeSettings()
        self.loop = LoopSettings(steps=30000, batch=4, warmup=50, ema=0.998, clip=1.0)

    def sources(self) -> list[data.Source]:
        return real.sources(data.data_root()) if self.settings.real else []

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        self.shapes = samples.training(s.shapes, s.real)
        self.latents = grids.training(s.shapes, s.real)
        self.measured = grids.measured(min(s.measured, s.shapes))
        self.held_out, self.real_held_out = samples.held_out(s.held_out, s.real)
        self.held_latents, self.real_held_latents = grids.held_out(s.held_out, s.real)
        self.space = Space(min(s.count, len(self.latents) - 1))
        self.space.fit(self.latents)
        self.steps = 0
        net = shape_export.load_shape(Path(s.start)) if s.start else ShapeNet(TRUNCATION, s.width)
        # Channels last are a tenth faster on a CPU; PyTorch's types do not know this keyword.
        return {"net": net.to(device=device, memory_format=torch.channels_last_3d)}  # type: ignore[call-overload]

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        weights = modules["net"].parameters()
        rate = self.settings.rate
        return {"net": torch.optim.AdamW(weights, rate, betas=(0.9, 0.99), weight_decay=0.01)}

    def batch(self, indices: range, device: torch.device) -> Any:
        s = self.settings
        latents, points, truths, thin = [], [], [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            one, latents_of = self._drawn(rng)
            chosen = rng.choice(POINTS, s.points, replace=False)
            chosen.sort()  # read in the order in which they lie
            places, truth = self.shapes.points(one, chosen)
            latent = latents_of[one].astype(np.float32)
            if rng.random() < s.projected:
                latent[:-3] = self._projected(latent)[:-3]
            latent, places = _mirrored(latent, places, rng.random() < 0.5)
            latents.append(latent)
            points.append(places)
            truths.append(truth)
            thin.append((chosen >= NEAR + ANYWHERE).astype(np.float32))
        parts = (latents, points, truths, thin)
        return tuple(torch.from_numpy(np.stack(part)).to(device) for part in parts)

    @torch.no_grad()
    def _projected(self, latent: np.ndarray) -> np.ndarray:
        made: np.ndarray = self.space(self.space.coordinates(torch.from_numpy(latent[None])))
        return np.asarray(made[0])

    def _drawn(self, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """The number of a shape, and the latents of which one is its own."""
        s = self.settings
        left = len(self.shapes) - s.shapes
        if left and rng.random() < s.real_share:
            return s.shapes + int(rng.integers(left)), self.latents
        held = self.measured if rng.random() < s.measured_share else self.latents[: s.shapes]
        return int(rng.integers(len(held))), held

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        latent, points, truth, thin = batch
        made = modules["net"](latent, points)
        beyond = (truth.abs() > 0.99) & (made * truth > 1)
        apart = torch.where(beyond, 0.0, (made - truth).abs())
        wrong = (made.detach() * truth < 0).float()
        near = (truth.abs() < _NEAR).float()
        weight = 1 + self.settings.thin * thin + self.settings.near * near + wrong
        total = (weight * apart).sum() / weight.sum()
        figures = {"plain": float(total.detach())}
        if self.steps % _EVERY == 0:
            figures |= self._figures(modules["net"])
        self.steps += 1
        return total, figures

    @torch.no_grad()
    def _figures(self, net: nn.Module) -> dict[str, float]:
        """How held-out shapes come back: on procedural ones and on real ones apart."""
        learning = net.training
        net.eval()
        try:
            told = measured(net, self.held_out, self.held_latents, _LOOKED_AT)
            if self.real_held_out is not None and self.real_held_latents is not None:
                latents = self.real_held_latents
                of_real = measured(net, self.real_held_out, latents, _LOOKED_AT)
                told |= {f"real {key}": value for key, value in of_real.items()}
        finally:
            net.train(learning)
        return told

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        net: Any = modules["net"]
        kinds = [
            (self.held_out, self.held_latents),
            (self.real_held_out, self.real_held_latents),
        ]
        rows: list[list[render.Distance]] = []
        for held, latents in kinds:
            if held is None or latents is None:
                continue
            places = np.unique(np.linspace(0, len(held) - 1, _SHOWN).astype(int))
            rows.append([self._truth(held, int(index)) for index in places])
            coded = torch.from_numpy(latents[places].astype(np.float32))
            rows.append([shape_export.distance(net, one[None]) for one in coded])
        return render.sheet(rows, 96)

    def _truth(self, held: samples.Shapes, index: int) -> render.Distance:
        if held is self.held_out:
            return samples.made(index, samples.HELD_OUT_SEEDS).distance
        return _cloud(held, index)

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        start = self.settings.start
        net: Any = modules["net"].cpu().float().eval()
        if start:
            _blended(net, shape_export.load_shape(Path(start)), self.settings.kept)
        told = measured(net, self.held_out, self.held_latents, len(self.held_out))
        metrics = [_metric("procedural", told)]
        if self.real_held_out is not None and self.real_held_latents is not None:
            latents = self.real_held_latents
            told = measured(net, self.real_held_out, latents, len(latents))
            metrics.append(_metric("real", told))
        base = bundle.open_bundle(Path(start)) if start else None
        made_by = export.made_by(self, dataclasses.asdict(self.settings), run)
        if base:  # what codes its latents serves these weights as well
            named = {metric["name"] for metric in metrics}
            others = [one for one in base.card.metrics if one["name"] not in named]
            added = {key: base.card.recipe[key] for key in _ADDED if key in base.card.recipe}
            metrics, made_by = [*metrics, *others], {**made_by, **added}
        card = bundle.Card(
            name=self.settings.name,
            version="1.0.0",
            task="shape",
            title="Furniture, vessels, plants and rocks",
            licence="Apache-2.0",
            graphs={},
            authors=["The Triptych developers"],
            notes="Makes solid shapes of a category and of a size, from a seed.",
            created=export.today(),
            data=[*export.ledger(self.sources()), self._made_here()],
            recipe=made_by,
            metrics=metrics,
            extra={
                **(base.card.extra if base else {}),
                "categories": shape_export.categories(self.shapes),
                "grown": list(shape_export.GROWN),
                "resolution": FINE,
                "latent": list(LATENT),
                "nodes": NODES,
                "reach": REACH,
                "truncation": TRUNCATION,
                "width": self.settings.width,
            },
        )
        return export.write_bundle(folder, card, shape_export.graphs(net), {}, kept=base)

    def _made_here(self) -> dict[str, object]:
        return {
            "name": "procedural",
            "title": "Procedural shapes of seventeen families",
            "licence": "Apache-2.0",
            "source": "this project, training/shape/procedural",
            "items": self.settings.shapes,
            "note": "made by the recipe",
        }


@torch.no_grad()
def _blended(net: nn.Module, other: nn.Module, share: float) -> None:
    """Make the network's weights a mean with another's, of which this is the share."""
    for own, its in zip(net.parameters(), other.parameters(), strict=True):
        own.lerp_(its, share)


@torch.no_grad()
def measured(
    net: nn.Module, shapes: samples.Shapes, latents: np.ndarray, count: int
) -> dict[str, float]:
    """Means over `count` of the shapes, spread over all of them.

    `iou` is the intersection over union of what is inside, over the points anywhere and near;
    `thin` is the share of the points inside thin parts that are inside the rebuilt shape too.
    """
    device = next(net.parameters()).device
    ious, kept = [], []
    for index in np.unique(np.linspace(0, len(shapes) - 1, count).astype(int)):
        latent = torch.from_numpy(latents[index].astype(np.float32))[None].to(device)
        places, truth = shapes.points(int(index), slice(None))
        made = net(latent, torch.from_numpy(places)[None].to(device))[0].cpu().numpy()
        a, b = truth < 0, made < 0
        even = slice(0, NEAR + ANYWHERE)
        ious.append((a & b)[even].sum() / max((a | b)[even].sum(), 1))
        inside = a[-THIN:]
        if inside.any():
            kept.append(b[-THIN:][inside].mean())
    return {"iou": float(np.mean(ious)), "thin": float(np.mean(kept)) if kept else 0.0}


def _metric(kind: str, told: Mapping[str, float]) -> dict[str, Any]:
    return {"name": f"reconstruction, held-out {kind} shapes", **told}


def _mirrored(
    latent: np.ndarray, points: np.ndarray, chosen: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The shape, left and right exchanged where it is chosen."""
    if chosen:
        far = latent[:-3].reshape(NODES, -1)[::-1].reshape(-1)
        latent, points = np.concatenate([far, latent[-3:]]), points.copy()
        points[:, 0] *= -1
    return latent, points


def _cloud(shapes: samples.Shapes, index: int) -> render.Distance:
    """The truth as discs around the stored surface points: as much as is kept of a shape."""
    surface = shapes.surface(index)
    tree = cKDTree(surface[:, :3])

    def distance(points: np.ndarray) -> np.ndarray:
        far, nearest = tree.query(points)
        along = np.einsum("nd,nd->n", points - surface[nearest, :3], surface[nearest, 3:])
        return np.where(far < 0.06, np.maximum(along, far - 0.06), far).astype(np.float32)

    return distance
