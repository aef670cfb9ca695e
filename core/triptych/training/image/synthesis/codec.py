"""The recipe `synthesize-codec`: small pictures to codes and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych.training import data, export
from triptych.training.image.patch_critic import PatchCritic, hinge, score
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.synthesis import domains, synthesis_export
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import Decoder, Encoder
from triptych.training.image.upscale import as_batch
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

_SHOWN = 12  # pictures of a domain in the sheet


@dataclass
class CodecSettings:
    """Settings of the recipe `synthesize-codec`."""

    name: str = "synthesize"  # of the bundle
    rate: float = 2e-3
    critic_rate: float = 1e-3
    noise: float = 0.2  # deviation of what is added to the codes that the decoder sees
    perceptual: float = 0.15  # weight of the features' error
    adversarial: float = 0.03  # weight of the critic's judgement, from `adversarial_from` on
    adversarial_from: float = 0.3  # share of the training
    crops: int = 6000  # of each domain, drawn once and kept in memory


class CodecRecipe(Recipe):
    """Learn to bring small pictures back from codes that are somewhat off.

    Loss: the absolute error, the error of SqueezeNet's features, and a patch critic on them (Esser
    et al. 2021). The codes have a variance of one and are disturbed in training, so that what lies
    between two of them has a meaning too.
    """

    name = "synthesize-codec"

    def __init__(self, settings: CodecSettings | None = None) -> None:
        self.settings = settings or CodecSettings()
        self.loop = LoopSettings(steps=10**6, minutes=60, batch=8, warmup=100, ema=0.998)

    def sources(self) -> list[data.Source]:
        return domains.sources(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        root = data.data_root()
        self.crops = domains.small(domains.load(root), self.settings.crops, self.loop.seed)
        self.held_out = domains.small(domains.load(root, held=True), _SHOWN, self.loop.seed)
        self.judge: Taps = SqueezeNet()
        self.judge.to(device)
        self.judged: list[tuple[list[Tensor], list[Tensor]]] = []  # taps of real and made pictures
        nets: dict[str, nn.Module] = {
            "encoder": Encoder(),
            "decoder": Decoder(),
            "critic": PatchCritic(len(DOMAINS)),
        }
        for net in nets.values():
            net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return nets

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rate = self.settings.rate
        weights = [*modules["encoder"].parameters(), *modules["decoder"].parameters()]
        groups = [
            {"params": [p for p in weights if p.ndim == 4], "lr": rate, "muon": True},
            {"params": [p for p in weights if p.ndim != 4], "lr": rate / 3},
        ]
        judge = modules["critic"].parameters()
        return {
            "codec": MuonAdam(groups, betas=(0.9, 0.99)),
            "critic": torch.optim.Adam(judge, self.settings.critic_rate, betas=(0.5, 0.99)),
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        return domains.drawn(self.crops, indices, self.loop.seed, device)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        real, which = batch
        s, critic = self.settings, modules["critic"]
        if part == "critic":
            true, false = (critic(taps, which) for taps in self.judged.pop(0))
            return hinge(true, false).mean(), {}
        codes = modules["encoder"](real)
        made = modules["decoder"](codes + s.noise * torch.randn_like(codes)).float()
        with torch.no_grad():
            wanted = self.judge(real)
        taps = self.judge(made)
        self.judged.append((wanted, [tap.detach() for tap in taps]))
        plain = F.l1_loss(made, real)
        features = torch.stack([F.l1_loss(a, b) for a, b in zip(taps, wanted, strict=True)]).sum()
        judged = -score(critic(taps, which)).mean()
        weight = s.adversarial if progress >= s.adversarial_from else 0.0
        total = 2 * plain + s.perceptual * features + weight * judged
        terms = {"plain": plain, "features": features, "judged": judged}
        return total, {key: float(value.detach()) for key, value in terms.items()}

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Of each domain: held-out crops, those brought back, and half-way to the next one's."""
        device = next(modules["decoder"].parameters()).device
        encoder, training = modules["encoder"], modules["encoder"].training
        encoder.eval()
        rows = []
        for group in self.held_out:
            real = as_batch(list(group[:_SHOWN]), device)
            codes = encoder(real)
            between = (codes + codes.roll(1, 0)) / 2**0.5
            rows += [real, modules["decoder"](codes), modules["decoder"](between)]
        encoder.train(training)
        whole = torch.cat([torch.cat(list(row), 2) for row in rows], 1).clamp(0, 1)
        return Image.fromarray((whole.permute(1, 2, 0) * 255).round().byte().cpu().numpy())

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        nets: dict[str, Any] = {key: net.cpu().float().eval() for key, net in modules.items()}
        return synthesis_export.write_codec(
            folder,
            self.settings.name,
            nets["encoder"],
            nets["decoder"],
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
        )
