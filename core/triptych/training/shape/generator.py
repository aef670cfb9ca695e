"""The recipe `shape-generator`: what draws new latents of a category, by a Wasserstein GAN."""

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

from triptych import bundle
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.shape import real, render, samples, shape_export
from triptych.training.shape.latents import NOISE, LatentCritic, LatentGenerator, Space
from triptych.training.shape.procedural import FAMILIES

_SHOWN = 6  # shapes of a category in the sheet
_EVERY = 250  # steps between figures of held-out shapes


@dataclass
class GeneratorSettings:
    """Settings of the recipe `shape-generator`."""

    base: str = ""  # folder of the bundle whose autoencoder is used; empty: the one that ships
    shapes: int = 20000  # procedural ones
    held_out: int = 170  # procedural ones that are never trained on
    real: bool = True  # the free meshes too
    count: int = 256  # principal components that are drawn
    penalty: float = 10.0  # weight of the gradient penalty
    rate: float = 1e-4
    critic_rate: float = 4e-4  # two time scales (Heusel et al. 2017) for several critic steps


class GeneratorRecipe(Recipe):
    """Learn to draw latents like those of the training shapes.

    The critic's objective is E[D(x)] - E[D(G(z))] with a gradient penalty (WGAN-GP, Gulrajani et
    al. 2017), both conditioned on the category and on the proportions of the bounding box.
    """

    name = "shape-generator"

    def __init__(self, settings: GeneratorSettings | None = None) -> None:
        self.settings = settings or GeneratorSettings()
        self.loop = LoopSettings(steps=20000, batch=128, warmup=100, ema=0.999, picture_every=5000)

    def sources(self) -> list[data.Source]:
        return real.sources(data.data_root()) if self.settings.real else []

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        shapes = samples.training(s.shapes, s.real)
        net = shape_export.load_shape(self._base().path)
        latents = shape_export.encoded(net, shapes)
        known = shapes.category < len(FAMILIES)  # the last category is of all else
        self.latents, self.category = latents[known], shapes.category[known].astype(np.int64)
        self.size = shape_export.proportions(shapes.size[known]).astype(np.float32)
        held_out, _ = samples.held_out(s.held_out, False)
        self.held_out, self.held_out_category = (
            shape_export.encoded(net, held_out),
            held_out.category,
        )
        space = Space(min(s.count, len(self.latents) - 1))
        space.fit(self.latents)
        with torch.no_grad():
            self.coordinates = space.coordinates(torch.from_numpy(self.latents)).numpy()
            self.truth = space.coordinates(torch.from_numpy(self.held_out)).numpy()
        self.steps = 0
        return {
            "critic": LatentCritic(len(FAMILIES), len(space.axes)).to(device),
            "generator": LatentGenerator(len(FAMILIES), space).to(device),
        }

    def _base(self) -> bundle.Bundle:
        if self.settings.base:
            return bundle.open_bundle(Path(self.settings.base))
        return bundle.get_bundle("shape", "shape")

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rates = {"critic": self.settings.critic_rate, "generator": self.settings.rate}
        return {
            part: torch.optim.Adam(
                [w for w in modules[part].parameters() if w.requires_grad], rate, betas=(0, 0.9)
            )
            for part, rate in rates.items()
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        rng = np.random.default_rng((self.loop.seed, indices.start))
        count = len(indices)
        families = np.unique(self.category)
        chosen = np.array([rng.choice(self._of(k)) for k in rng.choice(families, count)])
        noise = rng.standard_normal((2, count, NOISE), np.float32)
        mix = rng.random((count, 1), np.float32)
        parts = (self.coordinates[chosen], self.category[chosen], self.size[chosen], noise, mix)
        return tuple(torch.from_numpy(part).to(device) for part in parts)

    def _of(self, category: int) -> np.ndarray:
        return np.flatnonzero(self.category == category)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        true, category, size, noise, mix = batch
        critic, generator = modules["critic"], modules["generator"]
        if part == "generator":
            made = generator(noise[0], category, size, "coordinates")
            figures = {}
            if self.steps % _EVERY == 0:
                figures = self._figures(generator)
            self.steps += 1
            return -critic(made, category, size).mean(), figures
        with torch.no_grad():
            made = generator(noise[1], category, size, "coordinates")
        apart = critic(true, category, size).mean() - critic(made, category, size).mean()
        between = (mix * true + (1 - mix) * made).requires_grad_(True)
        scores = critic(between, category, size).sum()
        (slope,) = torch.autograd.grad(scores, between, create_graph=True)
        penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
        told = {"wasserstein": float(apart.detach()), "penalty": float(penalty.detach())}
        return self.settings.penalty * penalty - apart, told

    @torch.no_grad()
    def _figures(self, generator: nn.Module) -> dict[str, float]:
        """How well a nearest neighbour tells drawn latents from held-out ones: 0.5 is best."""
        rng = np.random.default_rng(0)
        chosen = [rng.choice(self._of(int(k))) for k in self.held_out_category]
        noise = torch.from_numpy(rng.standard_normal((len(chosen), NOISE), np.float32))
        device = next(generator.parameters()).device
        wish = (torch.from_numpy(self.category[chosen]), torch.from_numpy(self.size[chosen]))
        inputs = (part.to(device) for part in (noise, *wish))
        drawn = generator(*inputs, "coordinates").cpu().numpy()
        return {
            "told": told_apart(drawn, self.truth),
            "training told": told_apart(self.coordinates[chosen], self.truth),
        }

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        net = shape_export.load_shape(self._base().path)
        generator: Any = modules["generator"]
        device = next(generator.parameters()).device
        rows = []
        for category in np.unique(self.category):
            rng = np.random.default_rng((5, int(category)))
            chosen = rng.choice(self._of(int(category)), _SHOWN)
            noise = torch.from_numpy(rng.standard_normal((_SHOWN, NOISE), np.float32))
            kind = torch.full((_SHOWN,), int(category))
            inputs = (noise, kind, torch.from_numpy(self.size[chosen]))
            latents = generator(*(part.to(device) for part in inputs)).cpu()
            rows.append([shape_export.distance(net, latent[None]) for latent in latents])
        return render.sheet(rows, 96)

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        base = self._base()
        generator = modules["generator"].cpu().float()
        made_by = export.made_by(self, dataclasses.asdict(self.settings), run)
        card = dataclasses.replace(
            base.card,
            created=export.today(),
            recipe={**base.card.recipe, "generator": made_by},
        )
        graphs = {"generate": shape_export.generate(generator)}
        return export.write_bundle(folder, card, graphs, {}, kept=base)


def told_apart(one: np.ndarray, two: np.ndarray) -> float:
    """The share whose nearest neighbour is of their own kind (1-NNA, Lopez-Paz & Oquab 2017)."""
    both = np.concatenate([one, two])
    square = (both**2).sum(1)
    far = square[:, None] + square - 2 * both @ both.T
    np.fill_diagonal(far, np.inf)
    kind = np.arange(len(both)) < len(one)
    return float((kind[far.argmin(1)] == kind).mean())
