"""The recipe `shape-coder`: codes of latents, between which there are shapes too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych.shape.category import DIRECTIONS
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.shape import grids, real, render, samples, shape_export
from triptych.training.shape.code_net import CODE, Build, Coder, Critic, slope
from triptych.training.shape.latents import Space
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.shape_net import NODES

_BETWEEN, _ROWS = 4, 9  # shapes between two in the sheet, and pairs
_EVERY = 250  # steps between figures of held-out shapes
_STEEP = 0.04  # distance from the surface beyond which an error counts for little


@dataclass
class CoderSettings:
    """Settings of the recipe `shape-coder`."""

    base: str = ""  # folder of the bundle whose autoencoder is used; empty: the one that ships
    start: str = ""  # folder of a bundle whose coder is trained on; empty: from the beginning
    shapes: int = 20000  # procedural ones
    held_out: int = 170  # procedural ones that are never trained on
    real: bool = True  # the free meshes too
    pixels: int = 96  # side of a shape in the sheet of samples
    count: int = 384  # principal components that a code is built to
    seen: int = 256  # principal components that a code is read from
    nodes: int = 1024  # of the grid, whose distances are compared in a step
    near: float = 20.0  # weight of the distances' error near the surface
    plain: float = 2.0  # weight of the coordinates' squared error
    inside: float = 4.0  # more weight of the error where the shape is
    kl: float = 0.15  # weight of the codes' divergence from the standard normal
    adversarial: float = 0.1  # weight of what the critic says of codes between two
    unlike: float = 0.3  # share of the pairs that are of two categories
    again: float = 0.1  # weight of the code's error when what was built is read again
    penalty: float = 10.0  # weight of the gradient penalty
    rate: float = 4e-4
    critic_rate: float = 6e-4  # two time scales (Heusel et al. 2017) for several critic steps


class CoderRecipe(Recipe):
    """Learn codes of latents.

    The coder is a variational autoencoder (Kingma & Welling 2014) of the latents' coordinates.
    Codes between those of two shapes are built too, and a critic sees to it that these are like
    shapes (after Berthelot et al. 2019, "Understanding and improving interpolation in autoencoders
    via an adversarial regularizer"): like those of the category where both are of one, like any
    where they are not. Its objective is E[D(x)] - E[D(G(z))] with a gradient penalty (WGAN-GP,
    Gulrajani et al. 2017). All depends on the category and on the proportions of the bounding box.
    """

    name = "shape-coder"

    def __init__(self, settings: CoderSettings | None = None) -> None:
        self.settings = settings or CoderSettings()
        self.loop = LoopSettings(
            steps=20000, batch=64, warmup=100, ema=0.999, picture_every=2500, log_every=50
        )

    def sources(self) -> list[data.Source]:
        return real.sources(data.data_root()) if self.settings.real else []

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        shapes = samples.training(s.shapes, s.real)
        latents = grids.training(s.shapes, s.real)
        known = shapes.category < len(FAMILIES)  # the last category is of all else
        self.category = shapes.category[known].astype(np.int64)
        self.size = shape_export.proportions(shapes.size[known]).astype(np.float32)
        self.latents = latents[known]
        self.coordinates = torch.zeros(0)
        kinds = len(FAMILIES)
        if s.start:
            coder = shape_export.load_coder(Path(s.start))
        else:
            space = Space(min(s.count, len(latents) - 1))
            space.fit(latents)
            coder = Coder(kinds, space, min(s.seen, len(space.axes)))
        held_out, _ = samples.held_out(s.held_out, False)
        self.truth_latents, _ = grids.held_out(s.held_out, False)
        self.truth_category = held_out.category.astype(np.int64)
        self.truth_size = shape_export.proportions(held_out.size).astype(np.float32)
        self.steps = 0
        return {
            "critic": Critic(kinds, len(coder.space.axes)).to(device),
            "coder": coder.to(device),
        }

    def _placed(self, coder: Any) -> Tensor:
        """The coordinates (N x count) of the training latents in the coder's space.

        A run that is resumed has the space of its start: fitted anew it may be turned.
        """
        if not len(self.coordinates):
            device = coder.space.axes.device
            space = coder.space.cpu()
            self.truth = space.stored(self.truth_latents)
            self.coordinates = torch.from_numpy(space.stored(self.latents)).to(device)
            space.to(device)
        return self.coordinates

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        made: dict[str, torch.optim.Optimizer] = {}
        for name, rate, momentum in (
            ("critic", self.settings.critic_rate, 0.0),
            ("coder", self.settings.rate, 0.5),
        ):
            weights = [w for w in modules[name].parameters() if w.requires_grad]
            made[name] = torch.optim.Adam(weights, rate, betas=(momentum, 0.95))
        return made

    def batch(self, indices: range, device: torch.device) -> Any:
        s = self.settings
        rng = np.random.default_rng((self.loop.seed, indices.start))
        count = len(indices)
        families = np.repeat(rng.choice(np.unique(self.category), (count, 1)), 2, 1)
        unlike = rng.random(count) < s.unlike
        families[unlike, 1] = rng.choice(np.unique(self.category), unlike.sum())
        pairs = np.array([[rng.choice(self._of(k)) for k in both] for both in families])
        mix = rng.random((count, 1), np.float32)
        size = self.size[pairs[:, 0]] + mix * (self.size[pairs[:, 1]] - self.size[pairs[:, 0]])
        every = np.eye(len(FAMILIES), dtype=np.float32)
        judged = every[families[:, 0]]
        judged[unlike] = 1 / len(FAMILIES)  # else it would tell what lies between by its shares
        parts = (
            every[families],
            judged,
            pairs,
            self.size[pairs],
            size / size.max(1, keepdims=True),
            mix,
            rng.standard_normal((2, count, CODE), np.float32),
            rng.random((count, 1), np.float32),
            rng.choice(NODES**3, s.nodes, replace=False),
        )
        return tuple(torch.from_numpy(part).to(device) for part in parts)

    def _of(self, category: int) -> np.ndarray:
        return np.flatnonzero(self.category == category)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        s = self.settings
        kinds, judged, chosen, sizes, size, mix, spread, where, nodes = batch
        coder: Any = modules["coder"]
        pairs = self._placed(coder)[chosen]
        true = pairs[:, 0]
        codes, told = [], []
        with torch.set_grad_enabled(part == "coder"):
            for one in range(2):
                mean, log = coder(pairs[:, one], kinds[:, one], sizes[:, one], "code").chunk(2, 1)
                log = log.clamp(-8, 2)
                codes.append(mean + spread[one] * (0.5 * log).exp())
                told.append((mean, log))
            between = codes[0] + mix * (codes[1] - codes[0])
            shares = kinds[:, 0] + mix * (kinds[:, 1] - kinds[:, 0])
            built = coder(between, shares, size, "coordinates")
        critic = modules["critic"]
        untold = torch.full_like(size, 0.5)  # those between two would tell what is built
        if part == "critic":
            apart = (critic(true, judged, untold) - critic(built, judged, untold)).mean()
            steep = slope(critic, true, built, where, judged, untold)
            loss = s.penalty * ((steep - 1) ** 2).mean() - apart
            return loss, {"apart": float(apart.detach())}
        again = coder(codes[0], kinds[:, 0], sizes[:, 0], "coordinates")
        space = coder.space
        axes, middle = space.axes[:, nodes], space.mean[nodes]
        far = [torch.tanh((x @ axes + middle) / _STEEP) for x in (again, true)]
        weight = 1 + s.inside * (far[1] < 0.5)
        near = (weight * (far[0] - far[1]).abs()).mean()
        plain = ((again - true) ** 2).mean()
        mean, log = told[0]
        divergence = 0.5 * (mean**2 + log.exp() - 1 - log).mean()
        read = coder(built, shares, size, "code")[:, :CODE]
        cycle = ((read - between) ** 2).mean()
        total = s.near * near + s.plain * plain + s.kl * divergence + s.again * cycle
        total = total - s.adversarial * critic(built, judged, untold).mean()
        figures = {
            "near": float(near.detach()),
            "plain": float(plain.detach()),
            "kl": float(divergence.detach()),
            "again": float(cycle.detach()),
        }
        if self.steps % _EVERY == 0:
            figures["held-out near"] = self._held_out(coder)
        self.steps += 1
        return total, figures

    @torch.no_grad()
    def _held_out(self, coder: Any) -> float:
        """The error near the surface of held-out shapes that come back from their codes."""
        device = coder.space.axes.device
        kinds = shape_export.kinds(self.truth_category).to(device)
        size, truth = (torch.from_numpy(x).to(device) for x in (self.truth_size, self.truth))
        code = coder(truth, kinds, size, "code")[:, :CODE]
        back = coder(code, kinds, size, "coordinates")
        far = [torch.tanh(coder.space(x)[:, ::7] / _STEEP) for x in (back, truth)]
        return float((far[0] - far[1]).abs().mean())

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """In each row a shape, shapes between it and another, and the other, from their codes."""
        net = shape_export.load_shape(shape_export.base(self.settings.base).path)
        coder: Any = modules["coder"]
        placed, rows = self._placed(coder), []
        every = np.unique(self.category)
        for row, category in enumerate(every[:: -(-len(every) // _ROWS)]):
            rng = np.random.default_rng((5, int(category)))
            # every other row ends with a shape of the next category
            other = every[(np.flatnonzero(every == category)[0] + row % 2) % len(every)]
            pair = [int(rng.choice(self._of(int(k)))) for k in (category, other)]
            kinds = F.one_hot(torch.from_numpy(self.category[pair]), len(FAMILIES)).float()
            size = torch.from_numpy(self.size[pair])
            codes = coder(placed[pair], kinds, size, "code")[:, :CODE]
            share = torch.linspace(0, 1, _BETWEEN + 2)[:, None]
            code, kind, box = (torch.lerp(x[:1], x[1:], share) for x in (codes, kinds, size))
            latents = Build(coder).latents(code, kind, box / box.amax(1, keepdim=True))
            rows.append([shape_export.distance(net, latent[None]) for latent in latents])
        return render.sheet(rows, self.settings.pixels)

    @torch.no_grad()
    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        base, s = shape_export.base(self.settings.base), self.settings
        coder: Any = modules["coder"].cpu().float()
        shapes = samples.training(s.shapes, s.real)
        kinds = shape_export.kinds(self.category)
        of_all = coder(self._placed(coder), kinds, torch.from_numpy(self.size), "code")
        rows = np.flatnonzero(shapes.category < len(FAMILIES))
        card = dataclasses.replace(
            base.card,
            created=export.today(),
            recipe={**base.card.recipe, "coder": export.made_by(self, dataclasses.asdict(s), run)},
            extra={
                **base.card.extra,
                "components": len(coder.space.axes),
                "seen": coder.seen,
                "directions": [one.name for one in DIRECTIONS],
            },
        )
        directions = shape_export.directions(of_all[:, :CODE].numpy(), shapes, rows)
        files = {"directions.npz": directions, "space.npz": coder.space.told()}
        return export.write_bundle(folder, card, shape_export.code_graphs(coder), files, kept=base)
