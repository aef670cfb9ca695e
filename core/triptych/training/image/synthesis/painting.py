"""The recipe `synthesize-paint`: the painter, which makes small pictures large."""

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
from triptych.training.image.style import roughness
from triptych.training.image.synthesis import domains, synthesis_export
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import SCALE, SMALL, Painter
from triptych.training.image.upscale import as_batch
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

LARGE = SCALE * SMALL
_EDGE = 2  # px of a small crop whose result is not judged: there the painter sees its padding
_SHIFT = 8  # px by which pictures lie otherwise before the judge, whose strides leave a grid else
_SHOWN = 4  # pictures of a domain in the sheet


@dataclass
class PaintingSettings:
    """Settings of the recipe `synthesize-paint`."""

    base: str = ""  # folder of the bundle whose codec is painted over; empty: the one that ships
    rate: float = 2e-3
    critic_rate: float = 1e-3
    patch: int = 40  # px of a small crop's side
    plain: float = 0.5  # weight of the absolute error
    low: float = 4.0  # weight of the error of what is made, made small again
    perceptual: float = 0.1  # weight of the features' error
    adversarial: float = 0.03  # weight of the critic's judgement
    pattern: float = 0.3  # weight of `roughness`
    rough: float = 0.03  # largest deviation of noise in the small pictures, 0..1
    coded: float = 0.75  # share of the small pictures that went through the codec
    strayed: float = 0.3  # largest deviation of what is added to their codes


class PaintingRecipe(Recipe):
    """Learn to paint crops of a domain's pictures from what is left of them at a quarter of the
    size.

    Loss: the absolute error, also of what is made when it is small again, the error of SqueezeNet's
    features, a patch critic on them for each domain (Ledig et al. 2017), and `roughness` against
    patterns that repeat. Most small pictures went through the codec, with codes that were somewhat
    off, as those of the generator are: so the painter learns to paint over what the decoder leaves.
    """

    name = "synthesize-paint"

    def __init__(self, settings: PaintingSettings | None = None) -> None:
        self.settings = settings or PaintingSettings()
        self.loop = LoopSettings(steps=10**6, minutes=60, batch=8, warmup=100, ema=0.998)

    def sources(self) -> list[data.Source]:
        return domains.sources(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        base = synthesis_export.base(self.settings.base)
        self.encoder, self.decoder = synthesis_export.codec(base, device)
        self.pictures = domains.load(data.data_root())
        self.held_out = domains.load(data.data_root(), held=True)
        self.judge: Taps = SqueezeNet()
        self.judge.to(device)
        self.judged: list[tuple[list[Tensor], list[Tensor]]] = []  # taps of real and made pictures
        count = len(DOMAINS)
        nets: dict[str, nn.Module] = {"painter": Painter(count), "critic": PatchCritic(count)}
        for net in nets.values():
            net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return nets

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rate, weights = self.settings.rate, list(modules["painter"].parameters())
        groups = [
            {"params": [p for p in weights if p.ndim == 4], "lr": rate, "muon": True},
            {"params": [p for p in weights if p.ndim != 4], "lr": rate / 3},
        ]
        judge = modules["critic"].parameters()
        return {
            "painter": MuonAdam(groups, betas=(0.9, 0.99)),
            "critic": torch.optim.Adam(judge, self.settings.critic_rate, betas=(0.5, 0.99)),
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        small, large, which, corners = [], [], [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            domain, patch = index % len(DOMAINS), self.settings.patch
            whole = domains.crop(self.pictures[domain], DOMAINS[domain], LARGE, rng)
            corner = rng.integers(SMALL - patch + 1, size=2)
            top, left = (SCALE * int(at) for at in corner)
            span = SCALE * patch
            small.append(reduced(whole))
            large.append(whole[top : top + span, left : left + span])
            which.append(domain)
            corners.append(corner)
        shift = np.random.default_rng((self.loop.seed, indices.start, 1)).integers(_SHIFT, size=2)
        tensors = as_batch(small, device), as_batch(large, device)
        return (*tensors, torch.tensor(which, device=device), corners, shift.tolist())

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        small, large, which, corners, (down, right) = batch
        s, critic = self.settings, modules["critic"]
        if part == "critic":
            real, false = (critic(taps, which) for taps in self.judged.pop(0))
            return hinge(real, false).mean(), {}
        small = self._parts(small, corners)
        rough = s.rough * torch.rand(len(small), 1, 1, 1, device=small.device)
        noise = torch.randn_like(small[:, :1])
        made = modules["painter"](small + rough * torch.randn_like(small), which, noise).float()
        edge = SCALE * _EDGE
        apart = (made - large)[..., edge:-edge, edge:-edge]
        plain = apart.abs().mean()
        low = F.avg_pool2d(apart, SCALE).abs().mean()
        with torch.no_grad():
            true = self.judge(large[..., down:, right:])
        taps = self.judge(made[..., down:, right:])
        self.judged.append((true, [tap.detach() for tap in taps]))
        features = torch.stack([(a - b).abs().mean() for a, b in zip(taps, true, strict=True)])
        false = -score(critic(taps, which)).mean()
        pattern = (roughness(made) - roughness(large)).clamp(min=0)
        total = (
            s.plain * plain
            + s.low * low
            + s.perceptual * features.sum()
            + s.adversarial * false
            + s.pattern * pattern
        )
        terms = {
            "plain": plain,
            "low": low,
            "features": features.sum(),
            "judged": false,
            "pattern": pattern,
        }
        return total, {key: float(value.detach()) for key, value in terms.items()}

    @torch.no_grad()
    def _parts(self, small: Tensor, corners: list[np.ndarray]) -> Tensor:
        """The parts of small pictures at these corners, most of them through the codec."""
        s, count = self.settings, len(small)
        codes = self.encoder(small)
        off = s.strayed * torch.rand(count, 1, 1, 1, device=small.device)
        coded = self.decoder(codes + off * torch.randn_like(codes)).clamp(0, 1)
        chosen = torch.rand(count, 1, 1, 1, device=small.device) < s.coded
        small = torch.where(chosen, coded, small)
        parts = [
            one[:, top : top + s.patch, left : left + s.patch]
            for one, (top, left) in zip(small, corners, strict=True)
        ]
        return torch.stack(parts)

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Held-out crops: through the codec and enlarged without detail, painted, and as they
        are."""
        device = next(modules["painter"].parameters()).device
        rows = []
        for number, group in enumerate(self.held_out):
            rng = np.random.default_rng(number)
            whole = [domains.crop(group, DOMAINS[number], LARGE, rng) for _ in range(_SHOWN)]
            small = as_batch([reduced(one) for one in whole], device)
            small = self.decoder(self.encoder(small)).clamp(0, 1)
            which = torch.full((_SHOWN,), number, device=device)
            noise = torch.randn(_SHOWN, 1, SMALL, SMALL, device=device)
            painted = modules["painter"](small, which, noise).clamp(0, 1)
            plain = F.interpolate(small, scale_factor=SCALE, mode="bicubic").clamp(0, 1)
            columns = zip(plain, painted, as_batch(whole, device), strict=True)
            rows.append(torch.cat([one for column in columns for one in column], 2))
        whole_sheet = torch.cat(rows, 1).permute(1, 2, 0)
        return Image.fromarray((whole_sheet * 255).round().byte().cpu().numpy())

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        painter = modules["painter"].cpu().float().eval()
        assert isinstance(painter, Painter)
        made_by = export.made_by(self, dataclasses.asdict(self.settings), run)
        base = synthesis_export.base(self.settings.base)
        return synthesis_export.add_painter(folder, base, painter, made_by)


def reduced(picture: np.ndarray) -> np.ndarray:
    """A picture of bytes at a SCALE-th of its size, each pixel the mean of those it covers."""
    size = (picture.shape[1] // SCALE, picture.shape[0] // SCALE)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
