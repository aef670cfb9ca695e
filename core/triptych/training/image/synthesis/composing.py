"""The recipe `synthesize`: codes of pictures from nothing, by an adversarial game; an inverter."""

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
from triptych.training.image.synthesis import domains, nets, synthesis_export
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import GRID, LATENT, LEVELS
from triptych.training.image.upscale import as_batch
from triptych.training.loop import LoopSettings, Recipe, Run

_SHOWN = 12  # pictures of a domain in the sheet
_MIXED = 0.5  # share of codes made of two latents
_MOVED = 2  # cells by which the critic sees codes moved


@dataclass
class ComposingSettings:
    """Settings of the recipe `synthesize`."""

    base: str = ""  # folder of the bundle whose codes are learned; empty: the one that ships
    rate: float = 1e-3
    critic_rate: float = 1e-3
    slope: float = 1.0  # weight of the critic's slope at real codes
    crops: int = 6000  # of each domain, drawn once and kept in memory


class ComposingRecipe(Recipe):
    """Learn to make codes of each domain that a critic takes for those of real crops.

    The game is StyleGAN2's: the logistic loss, with the critic's slope at real codes kept small
    (R1, Mescheder et al. 2018), and both kinds of code moved and partly covered before the critic
    sees them (Zhao et al. 2020, "Differentiable Augmentation"). The inverter learns which styles
    make a code.
    """

    name = "synthesize"

    def __init__(self, settings: ComposingSettings | None = None) -> None:
        self.settings = settings or ComposingSettings()
        self.loop = LoopSettings(steps=10**6, minutes=60, batch=32, warmup=50, ema=0.998)

    def sources(self) -> list[data.Source]:
        return domains.sources(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        base = synthesis_export.base(self.settings.base)
        encoder, self.decoder = synthesis_export.codec(base, device)
        pictures = domains.load(data.data_root())
        crops = domains.small(pictures, self.settings.crops, self.loop.seed)
        self.codes = [_coded(encoder, group) for group in crops]
        count = len(DOMAINS)
        modules: dict[str, nn.Module] = {
            "mapping": nets.Mapping(count),
            "generator": nets.Generator(),
            "inverter": nets.Inverter(),
            "critic": nets.CodeCritic(count),
        }
        for net in modules.values():
            net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return modules

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        s, betas = self.settings, (0.0, 0.99)
        makers = [
            {"params": list(modules["generator"].parameters()), "lr": s.rate},
            {"params": list(modules["mapping"].parameters()), "lr": s.rate / 5},
            {"params": list(modules["inverter"].parameters()), "lr": s.rate},
        ]
        judge = modules["critic"].parameters()
        return {
            "critic": torch.optim.Adam(judge, s.critic_rate, betas=betas),
            "generator": torch.optim.Adam(makers, betas=betas),
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        found, which = [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            domain = index % len(DOMAINS)
            found.append(self.codes[domain][int(rng.integers(len(self.codes[domain])))])
            which.append(domain)
        return torch.stack(found).to(device), torch.tensor(which, device=device)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        real, which = batch
        critic = modules["critic"]
        if part == "critic":
            with torch.no_grad():
                made = _made(modules, which)[0]
            true = augmented(real).requires_grad_(True)
            told, false = critic(true, which), critic(augmented(made), which)
            (slope,) = torch.autograd.grad(told.sum(), true, create_graph=True)
            steep = slope.square().sum((1, 2, 3)).mean()
            apart = F.softplus(-told).mean() + F.softplus(false).mean()
            figures = {"told": float(apart.detach()), "slope": float(steep.detach())}
            return apart + self.settings.slope / 2 * steep, figures
        made, styles = _made(modules, which)
        judged = F.softplus(-critic(augmented(made), which)).mean()
        found = modules["inverter"](made.detach())
        apart = (found - styles.detach()).square().mean()
        return judged + apart, {
            "judged": float(judged.detach()),
            "inverted": float(apart.detach()),
            "deviation": float(made.detach().std()),
        }

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Of each domain: real crops brought back, those from their inverted styles, and two rows
        from latents."""
        device = next(self.decoder.parameters()).device
        rows, random = [], torch.Generator().manual_seed(3)
        for number, group in enumerate(self.codes):
            known = group[np.linspace(0, len(group) - 1, _SHOWN).astype(int)].to(device)
            latent = torch.randn(2 * _SHOWN, LATENT, generator=random).to(device)
            noise = torch.randn(3 * _SHOWN, 1, GRID, GRID, generator=random).to(device)
            styles = modules["mapping"](latent, torch.full((2 * _SHOWN,), number, device=device))
            styles = styles[:, None].expand(-1, LEVELS, -1)
            whole = torch.cat([modules["inverter"](known), styles])
            made = torch.cat([known, modules["generator"](whole, noise)])
            rows += list(self.decoder(made).split(_SHOWN))
        sheet = torch.cat([torch.cat(list(row), 2) for row in rows], 1).clamp(0, 1)
        return Image.fromarray((sheet.permute(1, 2, 0) * 255).round().byte().cpu().numpy())

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        made: dict[str, Any] = {key: net.cpu().float().eval() for key, net in modules.items()}
        return synthesis_export.add_generator(
            folder,
            synthesis_export.base(self.settings.base),
            made["mapping"],
            made["generator"],
            made["inverter"],
            export.made_by(self, dataclasses.asdict(self.settings), run),
        )


@torch.no_grad()
def _coded(encoder: nn.Module, pictures: np.ndarray) -> Tensor:
    """The codes of pictures N x H x W x 3 of bytes and of their mirror images."""
    found, device = [], next(encoder.parameters()).device
    for group in (pictures, pictures[:, :, ::-1]):
        for start in range(0, len(group), 256):
            part = list(group[start : start + 256])
            found.append(encoder(as_batch(part, device)).cpu())
    return torch.cat(found)


def _made(modules: Mapping[str, nn.Module], which: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of these domains and the styles that they were made of."""
    count, device = len(which), which.device
    first, second = (
        modules["mapping"](torch.randn(count, LATENT, device=device), which) for _ in range(2)
    )
    # from a level on, half of the codes are of another latent (StyleGAN's mixing)
    level = torch.randint(1, LEVELS, (count,), device=device)
    mixed = torch.rand(count, device=device) < _MIXED
    later = (torch.arange(LEVELS, device=device) >= level[:, None]) & mixed[:, None]
    styles = torch.where(later[..., None], second[:, None], first[:, None])
    noise = torch.randn(count, 1, GRID, GRID, device=device)
    return modules["generator"](styles, noise), styles


def augmented(codes: Tensor) -> Tensor:
    """The codes (N x C x GRID x GRID) moved by up to _MOVED cells, with a part of half the side
    covered in some."""
    count = len(codes)
    padded = F.pad(codes, (_MOVED,) * 4, mode="reflect")
    tops, lefts = torch.randint(0, 2 * _MOVED + 1, (2, count)).tolist()
    codes = torch.stack(
        [
            one[:, top : top + GRID, left : left + GRID]
            for one, top, left in zip(padded, tops, lefts, strict=True)
        ]
    )
    at = torch.rand(2, count, 1, 1, device=codes.device)
    rows = torch.arange(GRID, device=codes.device)[:, None] / GRID
    columns = torch.arange(GRID, device=codes.device)[None] / GRID
    inside = ((rows - at[0]).abs() < 0.25) & ((columns - at[1]).abs() < 0.25)
    covered = inside & (torch.rand(count, 1, 1, device=codes.device) < 0.5)
    return codes * ~covered[:, None]
