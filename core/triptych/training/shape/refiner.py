"""The recipe `shape-refiner`: what gives latents back what few coordinates lose."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from triptych.bundle import open_bundle
from triptych.shape.space import sharpened
from triptych.training import data, export
from triptych.training.export import weights
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam
from triptych.training.shape import exemplars, grids, real, render, samples, shape_export
from triptych.training.shape.code_net import CODE
from triptych.training.shape.latents import with_proportions
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.refine_net import RefineNet
from triptych.training.shape.samples import ANYWHERE, NEAR
from triptych.training.shape.shape_net import LATENT, NODES, REACH

_SHOWN = 8  # held-out shapes in the sheet
_LOOKED_AT = 48  # held-out shapes of a kind behind the figures
_EVERY = 1000  # steps between these
_BESIDE = 0.05  # of the cube's half side: what is near the surface
_SHARES = 6  # of sharpening that are tried


@dataclass
class RefinerSettings:
    """Settings of the recipe `shape-refiner`."""

    base: str = ""  # folder of the bundle that is added to; empty: the one that ships
    start: str = ""  # folder of a bundle whose refiner is learned on; empty: random weights
    count: int = 256  # coordinates that are kept: the others are small, and are given back
    shapes: int = 20000  # procedural ones
    real: bool = True  # the free meshes too
    real_share: float = 0.15  # of the examples
    coded: float = 0.4  # share of the examples that are built from a code
    spread: float = 0.3  # of these codes around their means, as a share of the coder's
    rounded: float = 0.08  # steps to which coordinates are rounded, times the length of their axes
    near: float = 4.0  # more weight of what is near the surface
    lost: float = 2.0  # how much more it counts near the surface where something is lost
    even: float = 1.0  # weight of the differences between nodes
    sharpened: float = 0.2  # how much what is refined is sharpened, at most
    thin: float = 0.94  # share of thin parts: where less than that keeps it, less is enough
    tried: int = 450  # procedural shapes of a family that are looked at, at most, for exemplars
    exemplars: int = 60  # of a family
    held_out: int = 170  # procedural shapes that are never trained on
    width: int = 24
    rate: float = 4e-3


class RefinerRecipe(Recipe):
    """Learn to undo what the projection onto principal components does to latents.

    Loss: the absolute difference of the distances, more near the surface and there above all where
    something is lost (beyond the reach only what is on the wrong side of it), and that of the
    differences between neighbouring nodes, so that what is flat comes out flat. Examples are
    training shapes from their coordinates, rounded as they are stored, and from their codes.

    Of the coordinates the bundle keeps the first `count` from then on, and it gets exemplars
    (`triptych.training.shape.exemplars`), which takes longest of the export.
    """

    name = "shape-refiner"

    def __init__(self, settings: RefinerSettings | None = None) -> None:
        self.settings = settings or RefinerSettings()
        self.loop = LoopSettings(steps=30000, batch=4, warmup=100, ema=0.998, clip=1.0)

    def sources(self) -> list[data.Source]:
        return real.sources(data.data_root()) if self.settings.real else []

    @torch.no_grad()
    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        base = shape_export.base(s.base).path
        self.latents = grids.training(s.shapes, s.real)
        self.category = samples.categories(s.shapes, s.real)
        self.coder = shape_export.load_coder(base)
        kept = max(s.count, self.coder.seen)
        self.cut = kept < len(self.coder.space.axes)
        self.coder.keep(kept)
        self.coder.requires_grad_(False)
        self.shape_net = shape_export.load_shape(base).eval().requires_grad_(False)
        space = self.coder.space
        self.placed = space.stored(self.latents)
        self.steps = (s.rounded / space.axes.norm(dim=1)).numpy()
        made, of_real = samples.held_out(s.held_out, s.real)
        latents, real_latents = grids.held_out(s.held_out, s.real)
        self.held_out = [("procedural", made, latents)]
        if of_real is not None and real_latents is not None:
            self.held_out.append(("real", of_real, real_latents))
        self.done = 0
        net = RefineNet(s.width)
        if s.start:
            stored = weights(open_bundle(Path(s.start)).graph("refine"))
            for name, value in net.state_dict().items():
                if name in stored:
                    value.copy_(stored[name].reshape(value.shape))
        return {"net": net.to(device=device, memory_format=torch.channels_last_3d)}  # type: ignore[call-overload]

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        every, rate = list(modules["net"].parameters()), self.settings.rate
        groups = [
            {"params": [p for p in every if p.ndim > 1], "lr": rate, "muon": True},
            {"params": [p for p in every if p.ndim == 1], "lr": rate / 3},
        ]
        return {"net": MuonAdam(groups, betas=(0.9, 0.99))}

    @torch.no_grad()
    def batch(self, indices: range, device: torch.device) -> Any:
        s = self.settings
        rng = np.random.default_rng((self.loop.seed, indices.start))
        count = len(indices)
        chosen = rng.integers(s.shapes, size=count)
        if len(self.latents) > s.shapes:
            others = rng.integers(s.shapes, len(self.latents), count)
            chosen = np.where(rng.random(count) < s.real_share, others, chosen)
        truth = torch.from_numpy(self.latents[chosen].astype(np.float32))
        sides, exact = truth[:, -3:], self.placed[chosen]
        noise = rng.uniform(-0.5, 0.5, exact.shape) * self.steps
        placed = torch.from_numpy((exact + noise).astype(np.float32))
        coded = torch.from_numpy(rng.random((count, 1)) < s.coded)
        drawn = torch.from_numpy(rng.standard_normal((count, CODE), np.float32))
        kinds = shape_export.kinds(self.category[chosen])
        mean, log = self.coder(placed, kinds, sides, "code").chunk(2, 1)
        codes = mean + s.spread * drawn * (0.5 * log.clamp(-8, 2)).exp()
        built = self.coder(codes, kinds, sides, "coordinates")
        given = with_proportions(self.coder.space(torch.where(coded, built, placed)), sides)
        mirrored = rng.random(count) < 0.5
        return tuple(_mirrored(part, mirrored).to(device) for part in (given, truth))

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        given, truth = batch
        made = modules["net"](given)[:, :-3]
        given, truth = given[:, :-3], truth[:, :-3]
        beside = torch.exp(-((truth / _BESIDE) ** 2))
        worse = 1 + (self.settings.lost - 1) * (made.detach() > truth)
        weight = 1 + self.settings.near * beside * worse
        beyond = (truth.abs() > 0.99 * REACH) & (made * truth > REACH**2)
        apart = torch.where(beyond, 0.0, (made - truth).abs()) / REACH
        total = (weight * apart).sum() / weight.sum()
        bent = (_slopes(made.clamp(-REACH, REACH)) - _slopes(truth)).abs() / REACH
        here = weight.reshape(-1, 1, NODES, NODES, NODES)[..., :-1, :-1, :-1]
        total = total + self.settings.even * (here * bent).sum() / (3 * here.sum())
        with torch.no_grad():
            left, before = (((x - truth).abs() * beside).sum() for x in (made, given))
        figures = {"left": float(left / before)}
        if self.done % _EVERY == 0:
            figures |= self._figures(modules["net"])
        self.done += 1
        return total, figures

    def _figures(self, net: nn.Module) -> dict[str, float]:
        """How held-out shapes come back from their coordinates and from their codes."""
        learning = net.training
        net.eval()
        told = {}
        for name, shapes, latents in self.held_out:
            for way in ("coordinates", "code"):
                iou = self._measured(net, shapes, latents, _LOOKED_AT, way)[1]
                told[f"{name} {way}"] = iou
        net.train(learning)
        return told

    @torch.no_grad()
    def _measured(
        self, net: nn.Module, shapes: samples.Shapes, latents: np.ndarray, count: int, way: str
    ) -> tuple[float, float]:
        """Mean intersection over union at the stored points, without and with the network."""
        rows = np.unique(np.linspace(0, len(shapes) - 1, count).astype(int))
        ious = []
        for row in rows:
            places, truth = shapes.points(int(row), slice(0, NEAR + ANYWHERE, 4))
            given = self._given(shapes, latents, row, way)
            both = torch.cat([given, net(given)])
            field = self.shape_net(both, torch.from_numpy(places)[None].expand(2, -1, -1))
            inside = truth < 0
            ious += [
                (one & inside).sum() / max((one | inside).sum(), 1) for one in field.numpy() < 0
            ]
        before, after = np.reshape(ious, (-1, 2)).mean(0)
        return float(before), float(after)

    @torch.no_grad()
    def _sharpening(self, net: nn.Module) -> dict[str, float]:
        """For each category by how much to sharpen what is refined: the least with which held-out
        shapes of it keep the share `thin` of their thin parts, for what is thick swells by it.

        What is drawn is less exact than these, so it is half of `sharpened` at least.
        """
        most = self.settings.sharpened
        shares = np.linspace(most / 2, most, _SHARES)
        _, shapes, latents = self.held_out[0]
        kept: dict[str, list[np.ndarray]] = {name: [] for name in FAMILIES}
        for row in range(len(latents)):
            places, truth = shapes.points(row, slice(NEAR + ANYWHERE, None, 3))
            within = torch.from_numpy(places[truth < 0])
            if not len(within):
                continue
            refined = net(self._given(shapes, latents, row, "coordinates"))
            tried = refined.repeat(_SHARES, 1)
            for one, share in zip(tried, shares, strict=True):
                far = sharpened(refined[:, :-3].numpy(), NODES, share)
                one[:-3] = torch.from_numpy(far[0].clip(-REACH, REACH))
            inside = self.shape_net(tried, within.expand(_SHARES, -1, -1)).numpy() < 0
            kept[samples.CATEGORIES[int(shapes.category[row])]].append(inside.mean(1))
        told = {}
        for name, rows in kept.items():
            shown = np.mean(rows, 0) if rows else np.zeros(_SHARES)
            enough = shares[shown >= self.settings.thin]
            told[name] = round(float(enough[0]) if len(enough) else most, 3)
        return told

    @torch.no_grad()
    def _exemplars(self) -> bytes:
        """The shapes near which the bundle draws, whole: refined coordinates are not as exact."""
        s = self.settings
        kinds = shape_export.kinds(self.category[: s.shapes])
        placed = torch.from_numpy(self.placed[: s.shapes, : self.coder.seen])
        sides = torch.from_numpy(self.latents[: s.shapes, -3:].astype(np.float32))
        codes = self.coder(placed, kinds, sides, "code")[:, :CODE].numpy()
        return exemplars.file(self.shape_net, codes, s.shapes, s.tried, s.exemplars)

    @torch.no_grad()
    def _given(self, shapes: samples.Shapes, latents: np.ndarray, row: int, way: str) -> Tensor:
        """What a held-out shape's coordinates, or its code, tell of its latent (1 x LATENT)."""
        latent = torch.from_numpy(latents[row].astype(np.float32))[None]
        sides = latent[:, -3:]
        placed = self.coder.space.coordinates(latent)
        if way == "code":
            kinds = shape_export.kinds(shapes.category[row : row + 1].astype(np.int64))
            code = self.coder(placed, kinds, sides, "code")[:, :CODE]
            placed = self.coder(code, kinds, sides, "coordinates")
        return with_proportions(self.coder.space(placed), sides)

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Held-out shapes: their coordinates without and with the network, and the truth."""
        net = modules["net"]
        net.eval()
        rows: list[list[render.Distance]] = []
        for _, shapes, latents in self.held_out:
            chosen = np.unique(np.linspace(0, len(shapes) - 1, _SHOWN).astype(int))
            given = torch.cat([self._given(shapes, latents, row, "coordinates") for row in chosen])
            truth = torch.from_numpy(latents[chosen].astype(np.float32))
            rows += [
                [shape_export.distance(self.shape_net, one[None]) for one in part]
                for part in (given, net(given), truth)
            ]
        net.train()
        return render.sheet(rows, 96)

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        base = shape_export.base(self.settings.base)
        net = modules["net"].cpu().float().eval()
        metrics = [m for m in base.card.metrics if not str(m["name"]).startswith(_FIGURE)]
        for name, shapes, latents in self.held_out:
            before, after = self._measured(net, shapes, latents, len(latents), "coordinates")
            told = {"iou": after, "without": before}
            metrics.append({"name": f"{_FIGURE}, held-out {name} shapes", **told})
        made_by = export.made_by(self, dataclasses.asdict(self.settings), run)
        card = dataclasses.replace(
            base.card,
            created=export.today(),
            recipe={**base.card.recipe, "refiner": made_by},
            metrics=metrics,
            extra={
                **base.card.extra,
                "components": len(self.coder.space.axes),
                "sharpened": self._sharpening(net),
            },
        )
        files = {"exemplars.npz": self._exemplars()}
        made = graphs(net)
        if self.cut:  # else they stay as they are: rounded twice they would drift
            made["build"] = shape_export.code_graphs(self.coder)["build"]
            files["space.npz"] = self.coder.space.told()
        return export.write_bundle(folder, card, made, files, kept=base)


_FIGURE = "refined"


def graphs(net: nn.Module) -> dict[str, export.GraphExport]:
    """The graph from a latent made of coordinates to a refined one."""
    rng = torch.Generator().manual_seed(0)

    def latent() -> dict[str, Tensor]:
        far = torch.randn(1, LATENT[0] - 3, generator=rng).clamp(-1, 1) * REACH
        return {"latent": torch.cat([far, 0.2 + 0.8 * torch.rand(1, 3, generator=rng)], 1)}

    trials = [latent(), latent(), latent()]
    return {
        "refine": export.GraphExport(net, latent(), ["refined"], {}, trials, named=True, int8=True)
    }


def _slopes(distances: Tensor) -> Tensor:
    """The differences to the next node along each axis (B x 3 x (NODES - 1)^3)."""
    grid = distances.reshape(-1, NODES, NODES, NODES)
    here = grid[:, :-1, :-1, :-1]
    nexts = (grid[:, 1:, :-1, :-1], grid[:, :-1, 1:, :-1], grid[:, :-1, :-1, 1:])
    return torch.stack([one - here for one in nexts], 1)


def _mirrored(latents: Tensor, chosen: np.ndarray) -> Tensor:
    """Of the chosen ones of the latents (B x LATENT) left and right exchanged."""
    grid = latents[:, :-3].reshape(-1, NODES, NODES**2)
    flipped = torch.where(torch.from_numpy(chosen)[:, None, None], grid.flip(1), grid)
    return torch.cat([flipped.flatten(1), latents[:, -3:]], 1)
