"""The recipe `shape-generator`: what draws codes of new shapes, against a critic."""

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

from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.shape import grids, real, render, samples, shape_export
from triptych.training.shape.code_net import (
    CODE,
    DRAWN,
    NOISE,
    Build,
    Critic,
    Draw,
    Generator,
    slope,
)
from triptych.training.shape.procedural import FAMILIES

_SHOWN, _ROWS = 6, 9  # shapes of a category in the sheet, and categories
_EVERY = 500  # steps between figures of all codes
_COMPARED = 2000  # codes that are compared then


@dataclass
class GeneratorSettings:
    """Settings of the recipe `shape-generator`."""

    base: str = ""  # folder of the bundle whose coder is used; empty: the one that ships
    shapes: int = 20000  # procedural ones
    real: bool = True  # the free meshes too
    pixels: int = 96  # side of a shape in the sheet of samples
    spread: float = 0.3  # of the codes around their means, as a share of the coder's
    penalty: float = 10.0  # weight of the gradient penalty
    rate: float = 1e-4
    critic_rate: float = 6e-4  # two time scales (Heusel et al. 2017) for several critic steps


class GeneratorRecipe(Recipe):
    """Learn to draw codes of shapes from noise.

    Both networks depend on the category and on the proportions of the bounding box; the critic's
    objective is E[D(x)] - E[D(G(z))] with a gradient penalty (WGAN-GP, Gulrajani et al. 2017). The
    codes are those of the training shapes, spread less than the coder spreads them; the coder does
    not change, so that what is drawn is what it has learned to build.
    """

    name = "shape-generator"

    def __init__(self, settings: GeneratorSettings | None = None) -> None:
        self.settings = settings or GeneratorSettings()
        self.loop = LoopSettings(
            steps=30000, batch=128, warmup=100, ema=0.999, picture_every=5000, log_every=100
        )

    def sources(self) -> list[data.Source]:
        return real.sources(data.data_root()) if self.settings.real else []

    @torch.no_grad()
    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        shapes = samples.training(s.shapes, s.real)
        known = shapes.category < len(FAMILIES)  # the last category is of all else
        self.category = shapes.category[known].astype(np.int64)
        self.size = shape_export.proportions(shapes.size[known]).astype(np.float32)
        self.coder = shape_export.load_coder(shape_export.base(self.settings.base).path)
        placed = torch.from_numpy(self.coder.space.stored(grids.training(s.shapes, s.real)[known]))
        kinds = shape_export.kinds(self.category)
        told = self.coder(placed, kinds, torch.from_numpy(self.size), "code")
        mean, log = told.to(device).chunk(2, 1)
        self.mean, self.spread = mean, s.spread * (0.5 * log.clamp(-8, 2)).exp()
        self.steps = 0
        generator = Generator(len(FAMILIES))
        generator.begin(told[:, :CODE], torch.from_numpy(self.category))
        return {
            "critic": Critic(len(FAMILIES), CODE).to(device),
            "generator": generator.to(device),
        }

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        return {
            name: torch.optim.Adam(modules[name].parameters(), rate, betas=(0.0, 0.95))
            for name, rate in (
                ("critic", self.settings.critic_rate),
                ("generator", self.settings.rate),
            )
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        rng = np.random.default_rng((self.loop.seed, indices.start))
        count = len(indices)
        chosen = rng.integers(len(self.category), size=count)
        parts = (
            chosen,
            np.eye(len(FAMILIES), dtype=np.float32)[self.category[chosen]],
            self.size[chosen],
            rng.standard_normal((2, count, NOISE), np.float32),
            rng.standard_normal((count, CODE), np.float32),
            rng.random((count, 1), np.float32),
        )
        return tuple(torch.from_numpy(part).to(device) for part in parts)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        chosen, kinds, size, noise, spread, where = batch
        critic, generator = modules["critic"], modules["generator"]
        if part == "generator":
            figures = self._figures(modules) if self.steps % _EVERY == 0 else {}
            self.steps += 1
            return -critic(generator(noise[0], kinds, size), kinds, size).mean(), figures
        true = self.mean[chosen] + self.spread[chosen] * spread
        with torch.no_grad():
            drawn = generator(noise[1], kinds, size)
        apart = critic(true, kinds, size).mean() - critic(drawn, kinds, size).mean()
        steep = slope(critic, true, drawn, where, kinds, size)
        loss = self.settings.penalty * ((steep - 1) ** 2).mean() - apart
        return loss, {"apart": float(apart.detach())}

    @torch.no_grad()
    def _figures(self, modules: Mapping[str, nn.Module]) -> dict[str, float]:
        """How well a nearest neighbour tells drawn codes from true ones (0.5 is best), and how far
        the nearest true one is from a drawn one and from a true one.
        """
        rng = np.random.default_rng(0)
        rows = rng.permutation(len(self.category))[: 2 * _COMPARED]
        one = rows[: len(rows) // 2]
        device = self.mean.device
        kinds = shape_export.kinds(self.category[one]).to(device)
        size = torch.from_numpy(self.size[one]).to(device)
        noise = torch.from_numpy(rng.standard_normal((len(one), NOISE), np.float32)).to(device)
        drawn = modules["generator"](noise, kinds, size)
        spread = torch.from_numpy(rng.standard_normal((len(rows), CODE), np.float32)).to(device)
        true = self.mean[rows] + self.spread[rows] * spread
        first, second = true[: len(one)], true[len(one) :]
        return {
            "told": told_apart(drawn.cpu().numpy(), second.cpu().numpy()),
            "far": float(torch.cdist(drawn, second).amin(1).mean()),
            "true far": float(torch.cdist(first, second).amin(1).mean()),
        }

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """In each row shapes of a category, as the graph `draw` draws them."""
        net = shape_export.load_shape(shape_export.base(self.settings.base).path)
        critic, generator = modules["critic"], modules["generator"]
        draw, build = Draw(generator, critic), Build(self.coder)  # type: ignore[arg-type]
        device = self.mean.device
        rows = []
        every = np.unique(self.category)
        for category in every[:: -(-len(every) // _ROWS)]:
            rng = np.random.default_rng((5, int(category)))
            chosen = rng.choice(np.flatnonzero(self.category == category), _SHOWN)
            kinds = F.one_hot(torch.tensor([int(category)]), len(FAMILIES)).float()
            row = []
            for index in chosen:
                size = torch.from_numpy(self.size[index : index + 1])
                noise = torch.from_numpy(rng.standard_normal((DRAWN, NOISE), np.float32))
                code = draw(noise.to(device), kinds.to(device), size.to(device)).cpu()
                row.append(shape_export.distance(net, build.latents(code, kinds, size)))
            rows.append(row)
        return render.sheet(rows, self.settings.pixels)

    @torch.no_grad()
    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        base = shape_export.base(self.settings.base)
        critic, generator = (modules[name].cpu().float() for name in ("critic", "generator"))
        settings = dataclasses.asdict(self.settings)
        card = dataclasses.replace(
            base.card,
            created=export.today(),
            recipe={**base.card.recipe, "generator": export.made_by(self, settings, run)},
            extra={**base.card.extra, "noise": [DRAWN, NOISE]},
        )
        draw = Draw(generator, critic)  # type: ignore[arg-type]
        return export.write_bundle(folder, card, shape_export.draw_graph(draw), {}, kept=base)


def told_apart(one: np.ndarray, two: np.ndarray) -> float:
    """The share whose nearest neighbour is of their own kind (1-NNA, Lopez-Paz & Oquab 2017)."""
    both = np.concatenate([one, two])
    square = (both**2).sum(1)
    far = square[:, None] + square - 2 * both @ both.T
    np.fill_diagonal(far, np.inf)
    kind = np.arange(len(both)) < len(one)
    return float((kind[far.argmin(1)] == kind).mean())
