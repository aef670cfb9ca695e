"""The recipe `shape-generator`: codes of latents, and what draws new ones, against critics."""

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

from triptych import bundle
from triptych.shape.model import DIRECTIONS
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.shape import grids, real, render, samples, shape_export
from triptych.training.shape.code_net import CODE, NOISE, Build, Code, Coder, Critic, Generator
from triptych.training.shape.latents import Space
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.shape_net import NODES

_SHOWN, _ROWS = 4, 9  # shapes of a category in the sheet, and categories
_EVERY = 250  # steps between figures of held-out shapes
_STEEP = 0.04  # distance from the surface beyond which an error counts for little


@dataclass
class GeneratorSettings:
    """Settings of the recipe `shape-generator`."""

    base: str = ""  # folder of the bundle whose autoencoder is used; empty: the one that ships
    shapes: int = 20000  # procedural ones
    held_out: int = 170  # procedural ones that are never trained on
    real: bool = True  # the free meshes too
    count: int = 512  # principal components that a code is built to
    seen: int = 256  # principal components that a code is read from
    nodes: int = 1024  # of the grid, whose distances are compared in a step
    near: float = 20.0  # weight of the distances' error near the surface
    plain: float = 2.0  # weight of the coordinates' squared error
    inside: float = 4.0  # more weight of the error where the shape is
    kl: float = 0.15  # weight of the codes' divergence from the standard normal
    adversarial: float = 0.1  # weight of what the critic says of codes between two
    drawn: float = 0.5  # weight of what it says of drawn ones, for the generator
    again: float = 0.1  # weight of the code's error when what was built is read again
    penalty: float = 10.0  # weight of the gradient penalty
    rate: float = 4e-4
    critic_rate: float = 6e-4  # two time scales (Heusel et al. 2017) for several critic steps


class GeneratorRecipe(Recipe):
    """Learn codes of latents between which there are shapes too, and to draw codes.

    The coder is a variational autoencoder (Kingma & Welling 2014) of the latents' coordinates.
    Codes between those of two shapes of a category are built too, and a critic sees to it that
    these are like shapes (after Berthelot et al. 2019, "Understanding and improving interpolation
    in autoencoders via an adversarial regularizer"). A generator draws codes from noise, against
    a critic of codes, and against that of latents too. Both critics' objective is
    E[D(x)] - E[D(G(z))] with a gradient penalty (WGAN-GP, Gulrajani et al. 2017); all depend on
    the category and on the proportions of the bounding box.
    """

    name = "shape-generator"

    def __init__(self, settings: GeneratorSettings | None = None) -> None:
        self.settings = settings or GeneratorSettings()
        self.loop = LoopSettings(
            steps=30000, batch=64, warmup=100, ema=0.999, picture_every=5000, log_every=50
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
        space = Space(min(s.count, len(latents) - 1))
        space.fit(latents)
        self.latents = latents[known]
        self.coordinates = torch.zeros(0)
        held_out, _ = samples.held_out(s.held_out, False)
        self.truth_latents, _ = grids.held_out(s.held_out, False)
        self.truth_category = held_out.category.astype(np.int64)
        self.truth_size = shape_export.proportions(held_out.size).astype(np.float32)
        self.steps = 0
        kinds, count = len(FAMILIES), len(space.axes)
        return {
            "latent_critic": Critic(kinds, count).to(device),
            "code_critic": Critic(kinds, CODE).to(device),
            "coder": Coder(kinds, space, min(s.seen, count)).to(device),
            "generator": Generator(kinds).to(device),
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

    def _base(self) -> bundle.Bundle:
        if self.settings.base:
            return bundle.open_bundle(Path(self.settings.base))
        return bundle.get_bundle("shape", "shape")

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rate = self.settings.rate
        made: dict[str, torch.optim.Optimizer] = {}
        for part, names, own, momentum in (
            ("critics", ("latent_critic", "code_critic"), self.settings.critic_rate, 0.0),
            ("coder", ("coder",), rate, 0.5),
            ("generator", ("generator",), rate / 2, 0.0),
        ):
            every = [w for name in names for w in modules[name].parameters()]
            weights = [w for w in every if w.requires_grad]
            made[part] = torch.optim.Adam(weights, own, betas=(momentum, 0.95))
        return made

    def batch(self, indices: range, device: torch.device) -> Any:
        rng = np.random.default_rng((self.loop.seed, indices.start))
        count = len(indices)
        families = rng.choice(np.unique(self.category), count)
        pairs = np.array([rng.choice(self._of(k), 2) for k in families])
        mix = rng.random((count, 1), np.float32)
        size = self.size[pairs[:, 0]] + mix * (self.size[pairs[:, 1]] - self.size[pairs[:, 0]])
        parts = (
            np.eye(len(FAMILIES), dtype=np.float32)[families],
            pairs,
            self.size[pairs],
            size / size.max(1, keepdims=True),
            mix,
            rng.standard_normal((2, count, NOISE), np.float32),
            rng.standard_normal((2, count, CODE), np.float32),
            rng.random((2, count, 1), np.float32),
            rng.choice(NODES**3, self.settings.nodes, replace=False),
        )
        return tuple(torch.from_numpy(part).to(device) for part in parts)

    def _of(self, category: int) -> np.ndarray:
        return np.flatnonzero(self.category == category)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        s = self.settings
        kinds, chosen, sizes, between_size, mix, noise, spread, where, nodes = batch
        coder: Any = modules["coder"]
        pairs = self._placed(coder)[chosen]
        generator: Any = modules["generator"]
        true, size = pairs[:, 0], sizes[:, 0]
        if part == "generator":
            drawn = generator(noise[0], kinds, size)
            liked = modules["code_critic"](drawn, kinds, size).mean()
            some = slice(len(drawn) // 2)
            built = coder(drawn[some], kinds[some], size[some], "coordinates")
            liked_too = modules["latent_critic"](built, kinds[some], size[some]).mean()
            return -liked - s.drawn * liked_too, {}
        codes, told = [], []
        with torch.set_grad_enabled(part == "coder"):
            for one in range(2):
                mean, log = coder(pairs[:, one], kinds, sizes[:, one], "code").chunk(2, 1)
                log = log.clamp(-8, 2)
                codes.append(mean + spread[one] * (0.5 * log).exp())
                told.append((mean, log))
            between = codes[0] + mix * (codes[1] - codes[0])
            built = coder(between, kinds, between_size, "coordinates")
        if part == "critics":
            with torch.no_grad():
                drawn = generator(noise[1], kinds, size)
                some = slice(len(drawn) // 2)
                built[some] = coder(drawn[some], kinds[some], size[some], "coordinates")
                between_size = between_size.clone()
                between_size[some] = size[some]
            figures: dict[str, float] = {}
            total = true.new_zeros(())
            for number, (name, right, made, wish) in enumerate(
                (("latent", true, built, between_size), ("code", codes[0], drawn, size))
            ):
                critic = modules[f"{name}_critic"]
                apart = critic(right, kinds, size).mean() - critic(made, kinds, wish).mean()
                slope = _slope(critic, right, made, where[number], kinds, size)
                total = total + s.penalty * ((slope - 1) ** 2).mean() - apart
                figures[f"{name} apart"] = float(apart.detach())
            return total, figures
        again = coder(codes[0], kinds, size, "coordinates")
        space = coder.space
        axes, middle = space.axes[:, nodes], space.mean[nodes]
        far = [torch.tanh((x @ axes + middle) / _STEEP) for x in (again, true)]
        weight = 1 + s.inside * (far[1] < 0.5)
        near = (weight * (far[0] - far[1]).abs()).mean()
        plain = ((again - true) ** 2).mean()
        mean, log = told[0]
        divergence = 0.5 * (mean**2 + log.exp() - 1 - log).mean()
        read = coder(built, kinds, between_size, "code")[:, :CODE]
        cycle = ((read - between) ** 2).mean()
        liked = modules["latent_critic"](built, kinds, between_size).mean()
        total = s.near * near + s.plain * plain + s.kl * divergence
        total = total + s.again * cycle - s.adversarial * liked
        figures = {
            "near": float(near.detach()),
            "plain": float(plain.detach()),
            "kl": float(divergence.detach()),
            "again": float(cycle.detach()),
        }
        if self.steps % _EVERY == 0:
            figures |= self._figures(coder, generator)
        self.steps += 1
        return total, figures

    @torch.no_grad()
    def _figures(self, coder: Any, generator: Any) -> dict[str, float]:
        """How held-out shapes come back, and how well a nearest neighbour tells drawn ones."""
        rng = np.random.default_rng(0)
        device = next(generator.parameters()).device
        kinds = torch.eye(len(FAMILIES))[torch.from_numpy(self.truth_category)].to(device)
        size, truth = (torch.from_numpy(x).to(device) for x in (self.truth_size, self.truth))
        code = coder(truth, kinds, size, "code")[:, :CODE]
        space = coder.space
        far = [
            torch.tanh(space(x)[:, ::7] / _STEEP)
            for x in (coder(code, kinds, size, "coordinates"), truth)
        ]
        noise = torch.from_numpy(rng.standard_normal((len(truth), NOISE), np.float32)).to(device)
        drawn = coder(generator(noise, kinds, size), kinds, size, "coordinates").cpu().numpy()
        others = [int(rng.choice(self._of(int(k)))) for k in self.truth_category]
        return {
            "held-out near": float((far[0] - far[1]).abs().mean()),
            "told": told_apart(drawn, self.truth),
            "training told": told_apart(self.coordinates[others].cpu().numpy(), self.truth),
        }

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        net = shape_export.load_shape(self._base().path)
        coder, generator = modules["coder"], modules["generator"]
        device = next(generator.parameters()).device
        rows = []
        every = np.unique(self.category)
        for category in every[:: -(-len(every) // _ROWS)]:
            rng = np.random.default_rng((5, int(category)))
            chosen = rng.choice(self._of(int(category)), _SHOWN)
            noise = torch.from_numpy(rng.standard_normal((_SHOWN, NOISE), np.float32)).to(device)
            kinds = F.one_hot(torch.full((_SHOWN,), int(category)), len(FAMILIES)).float()
            wish = (kinds.to(device), torch.from_numpy(self.size[chosen]).to(device))
            latents = Build(coder)(generator(noise, *wish), *wish).cpu()  # type: ignore[arg-type]
            rows.append([shape_export.distance(net, latent[None]) for latent in latents])
        return render.sheet(rows, 96)

    @torch.no_grad()
    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        base, s = self._base(), self.settings
        coder: Any = modules["coder"].cpu().float()
        generator = modules["generator"].cpu().float()
        shapes = samples.training(s.shapes, s.real)
        kinds = torch.eye(len(FAMILIES))[torch.from_numpy(self.category)]
        of_all = coder(self._placed(coder), kinds, torch.from_numpy(self.size), "code")
        codes = of_all[:, :CODE].numpy()
        rows = np.flatnonzero(shapes.category < len(FAMILIES))
        card = dataclasses.replace(
            base.card,
            created=export.today(),
            recipe={
                **base.card.recipe,
                "generator": export.made_by(self, dataclasses.asdict(s), run),
            },
            extra={
                **base.card.extra,
                "noise": NOISE,
                "seen": coder.seen,
                "directions": [one.name for one in DIRECTIONS],
            },
        )
        graphs = shape_export.code_graphs(Build(coder), Code(coder), generator)
        files = {"directions.npz": shape_export.directions(codes, shapes, rows)}
        return export.write_bundle(folder, card, graphs, files, kept=base)


def _slope(critic: nn.Module, true: Tensor, made: Tensor, mix: Tensor, *wish: Tensor) -> Tensor:
    """The length of the critic's gradient (B) at places between true and made."""
    with torch.enable_grad():
        between = (mix * true + (1 - mix) * made).detach().requires_grad_(True)
        scores = critic(between, *wish).sum()
        (slope,) = torch.autograd.grad(scores, between, create_graph=True)
    return slope.norm(dim=1)


def told_apart(one: np.ndarray, two: np.ndarray) -> float:
    """The share whose nearest neighbour is of their own kind (1-NNA, Lopez-Paz & Oquab 2017)."""
    both = np.concatenate([one, two])
    square = (both**2).sum(1)
    far = square[:, None] + square - 2 * both @ both.T
    np.fill_diagonal(far, np.inf)
    kind = np.arange(len(both)) < len(one)
    return float((kind[far.argmin(1)] == kind).mean())
