"""The recipe `synthesize`: small pictures from nothing, by an adversarial game; an encoder."""

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
from triptych.training.image.patch_critic import PatchCritic, hinge, score
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.synthesis import domains, synthesis_export
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import (
    LATENT,
    LEVELS,
    SMALL,
    Composer,
    Encoder,
    PixelCritic,
)
from triptych.training.image.synthesis.nets import (
    Mapping as MappingNet,
)
from triptych.training.image.upscale import as_batch
from triptych.training.loop import LoopSettings, Recipe, Run

_SHOWN = 12  # pictures of a domain in the sheet
_SHIFT = 8  # px by which the critics see pictures moved
_OFF = 0.1  # deviation of what is added to a real crop's styles
_MIXED = 0.5  # share of pictures made of two latents


@dataclass
class ComposingSettings:
    """Settings of the recipe `synthesize`."""

    name: str = "synthesize"  # of the bundle
    rate: float = 3e-4
    critic_rate: float = 2e-4
    pixels: float = 0.5  # weight of the critic of pixels beside that of features
    known: float = 1.0  # weight of bringing real crops back from their styles
    crops: int = 6000  # of each domain, drawn once and kept in memory


class ComposingRecipe(Recipe):
    """Learn to make pictures of each domain that two critics take for crops of real ones.

    One critic sees the frozen features of SqueezeNet (Sauer et al. 2021, "Projected GANs"), which
    makes a few dozen pictures enough to learn from, the other one pixels; both see pictures moved,
    partly covered and in changed colours (Zhao et al. 2020, "Differentiable Augmentation"). Hinge
    losses (Lim & Ye 2017). The encoder learns the styles of what the composer makes, and with the
    composer to bring back real crops, by the error of pixels and features (Larsen et al. 2016, a
    decoder that is the generator), which also tells the composer early what pictures are like.
    """

    name = "synthesize"

    def __init__(self, settings: ComposingSettings | None = None) -> None:
        self.settings = settings or ComposingSettings()
        self.loop = LoopSettings(steps=10**6, minutes=90, batch=16, warmup=50, ema=0.998)

    def sources(self) -> list[data.Source]:
        return domains.sources(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        self.pictures = domains.load(data.data_root())
        rng = np.random.default_rng(self.loop.seed)
        count = self.settings.crops
        self.crops = [
            np.stack([domains.crop(group, domain, SMALL, rng) for _ in range(count)])
            for group, domain in zip(self.pictures, DOMAINS, strict=True)
        ]
        self.judge: Taps = SqueezeNet()
        self.judge.to(device)
        self.made: list[tuple[Tensor, list[Tensor]]] = []  # pictures and taps, for the critics
        count = len(DOMAINS)
        nets: dict[str, nn.Module] = {
            "mapping": MappingNet(count),
            "composer": Composer(),
            "critic": PatchCritic(count),
            "pixels": PixelCritic(count),
            "encoder": Encoder(),
        }
        for key in ("critic", "pixels"):
            for module in nets[key].modules():
                if isinstance(module, nn.Conv2d):
                    nn.utils.parametrizations.spectral_norm(module)
        for net in nets.values():
            net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return nets

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        s = self.settings
        betas = (0.0, 0.99)
        groups = [
            {"params": list(modules["composer"].parameters()), "lr": s.rate},
            {"params": list(modules["mapping"].parameters()), "lr": s.rate / 3},
            {"params": list(modules["encoder"].parameters()), "lr": s.rate},
        ]
        judges = [*modules["critic"].parameters(), *modules["pixels"].parameters()]
        return {
            "composer": torch.optim.Adam(groups, betas=betas),
            "critic": torch.optim.Adam(judges, s.critic_rate, betas=betas),
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        found, which = [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            domain = index % len(DOMAINS)
            group = self.crops[domain]
            picture = group[int(rng.integers(len(group)))]
            found.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
            which.append(domain)
        return as_batch(found, device), torch.tensor(which, device=device)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        real, which = batch
        if part == "critic":
            return self._criticised(modules, real, which)
        made, figures = self._composed(modules, which)
        known, more = self._known(modules, real[: len(real) // 2])
        return made + self.settings.known * known, figures | more

    def _composed(
        self, modules: Mapping[str, nn.Module], which: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        count = len(which)
        first, second = (
            modules["mapping"](torch.randn(count, LATENT, device=which.device), which)
            for _ in range(2)
        )
        # above a level, half of the pictures are of another latent (StyleGAN's mixing)
        level = torch.randint(1, LEVELS, (count,), device=which.device)
        mixed = torch.rand(count, device=which.device) < _MIXED
        later = (torch.arange(LEVELS, device=which.device) >= level[:, None]) & mixed[:, None]
        styles = torch.where(later[..., None], second[:, None], first[:, None])
        noise = torch.randn(count, 1, SMALL, SMALL, device=which.device)
        made = modules["composer"](styles, noise)
        seen = augmented(made)
        taps = self.judge(seen)
        by_features = -score(modules["critic"](taps, which)).mean()
        by_pixels = -score(modules["pixels"](seen, which)).mean()
        self.made.append((seen.detach(), [tap.detach() for tap in taps]))
        told = modules["encoder"](made.detach())
        apart = (told - styles.detach()).square().mean()
        total = by_features + self.settings.pixels * by_pixels + apart
        terms = {"features": by_features, "pixels": by_pixels, "styles": apart}
        return total, {key: float(value.detach()) for key, value in terms.items()}

    def _known(
        self, modules: Mapping[str, nn.Module], real: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """How far real crops are from what is made of their styles, which are somewhat off."""
        styles = modules["encoder"](real)
        styles = styles + _OFF * torch.randn_like(styles)
        noise = torch.randn_like(real[:, :1])
        made = modules["composer"](styles, noise)
        with torch.no_grad():
            true = self.judge(real)
        pairs = zip(self.judge(made), true, strict=True)
        plain, taps = F.l1_loss(made, real), torch.stack([F.l1_loss(a, b) for a, b in pairs]).sum()
        # as large as the styles of latents are, about
        large = (styles.square().mean() - 1).clamp(min=0)
        return 4 * plain + taps + large, {
            "plain": float(plain.detach()),
            "taps": float(taps.detach()),
        }

    def _criticised(
        self, modules: Mapping[str, nn.Module], real: Tensor, which: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        made, taps = self.made.pop(0)
        real = augmented(real)
        with torch.no_grad():
            true = self.judge(real)
        critic, pixels = modules["critic"], modules["pixels"]
        by_features = hinge(critic(true, which), critic(taps, which)).mean()
        by_pixels = hinge(pixels(real, which), pixels(made, which)).mean()
        told = {"told_features": float(by_features.detach()), "told": float(by_pixels.detach())}
        return by_features + by_pixels, told

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Of each domain: crops of real pictures, those brought back, two rows from latents."""
        device = next(modules["composer"].parameters()).device
        rows, random = [], torch.Generator().manual_seed(3)
        for number, group in enumerate(self.crops):
            shown = np.linspace(0, len(group) - 1, _SHOWN).astype(int)
            real = as_batch(list(group[shown]), device)
            noise = torch.randn(3 * _SHOWN, 1, SMALL, SMALL, generator=random).to(device)
            known = modules["encoder"](real)
            which = torch.full((2 * _SHOWN,), number, device=device)
            latent = torch.randn(2 * _SHOWN, LATENT, generator=random).to(device)
            styles = modules["mapping"](latent, which)[:, None].expand(-1, LEVELS, -1)
            made = modules["composer"](torch.cat([known, styles]), noise)
            rows += [real, *made.split(_SHOWN)]
        whole = torch.cat([torch.cat(list(row), 2) for row in rows], 1).clamp(0, 1)
        return Image.fromarray((whole.permute(1, 2, 0) * 255).round().byte().cpu().numpy())

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        nets: dict[str, Any] = {key: net.cpu().float().eval() for key, net in modules.items()}
        return synthesis_export.write(
            folder,
            self.settings.name,
            nets["mapping"],
            nets["composer"],
            nets["encoder"],
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
        )


def augmented(pictures: Tensor) -> Tensor:
    """The pictures (N x 3 x H x W) moved by up to _SHIFT px, each in another brightness, contrast
    and saturation, with a part of half the side covered in some."""
    count, _, height, width = pictures.shape
    device = pictures.device
    padded = F.pad(pictures, (_SHIFT,) * 4, mode="reflect")
    tops, lefts = torch.randint(0, 2 * _SHIFT + 1, (2, count)).tolist()
    pictures = torch.stack(
        [
            one[:, top : top + height, left : left + width]
            for one, top, left in zip(padded, tops, lefts, strict=True)
        ]
    )
    brighter, richer, steeper = torch.rand(3, count, 1, 1, 1, device=device) - 0.5
    pictures = pictures + 0.3 * brighter
    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (1 + richer) * (pictures - grey)
    level = pictures.mean((1, 2, 3), keepdim=True)
    pictures = level + (1 + 0.6 * steeper) * (pictures - level)
    at = torch.rand(2, count, 1, 1, device=device)
    rows = torch.arange(height, device=device)[:, None] / height
    columns = torch.arange(width, device=device)[None] / width
    inside = ((rows - at[0]).abs() < 0.25) & ((columns - at[1]).abs() < 0.25)
    covered = inside & (torch.rand(count, 1, 1, device=device) < 0.5)
    return torch.where(covered[:, None], torch.full_like(pictures, 0.5), pictures)
