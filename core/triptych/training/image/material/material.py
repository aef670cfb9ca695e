"""The recipe `material`: a decoder of codes and a flow of codes, learned side by side."""

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
from triptych.training.image import sets
from triptych.training.image.material import material_export, tiles
from triptych.training.image.material.nets import (
    CODE,
    COMPONENTS,
    Coder,
    Decoder,
    Flow,
    Style,
    unstyled,
)
from triptych.training.image.perceptual import Taps, gram
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

_SHOWN = 10  # tiles of a row in the sheet
_STEPS = 6  # of the flow in the sheet


@dataclass
class MaterialSettings:
    """Settings of the recipe `material`."""

    name: str = "material"  # of the bundle
    rate: float = 3e-3  # of the decoder's matrices
    flow_rate: float = 3e-3
    crops: int = 2  # of a step, for the decoder
    size: int = 64  # px of a crop's side
    noise: float = 0.15  # added to the codes that the decoder sees, of their own deviation
    style: float = 1.0  # weight of the Gram matrices' differences
    perceptual: float = 0.3  # weight of the taps' differences
    earliest: float = 0.2  # time from which the flow learns; before it there is only noise
    any_class: float = 0.15  # share of examples of which the flow is not told the class
    any_style: float = 0.1  # or neither class nor style


@dataclass(frozen=True)
class Examples:
    """What one step sees: layouts of whole tiles with what is told of them, and some crops."""

    layouts: Tensor
    kinds: Tensor
    styles: Tensor
    crops: Tensor


class MaterialRecipe(Recipe):
    """Learn to bring tiles back from their codes, and to make codes of a class from noise.

    The decoder's loss: the absolute difference, that of the taps of our perceptual network and of
    their Gram matrices, which ask for as much grain as there was. The flow's: the squared error of
    the velocity (Lipman et al. 2023).
    """

    name = "material"

    def __init__(self, settings: MaterialSettings | None = None) -> None:
        self.settings = settings or MaterialSettings()
        self.loop = LoopSettings(steps=20000, batch=16, warmup=30, ema=0.995, clip=1.0)

    def sources(self) -> list[data.Source]:
        return [sets.textures(data.data_root())]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        self.judge: Taps = load_perceptual()
        self.tiles, self.held_out = tiles.load(self.sources()[0])
        self.chances = self.tiles.chances()
        self.coder = Coder()
        self.coder.fit(tiles.as_tensor(self.tiles.pixels[::3]))
        self.style = Style()
        whole = tiles.as_tensor(self.tiles.pixels[::8])
        spread = self.style(self.coder(whole))[0][:, CODE : 2 * CODE].exp().mean(0)
        seen = torch.cat([spread[:COMPONENTS] * self.coder.scale.flatten(), spread[:1]]).sqrt()
        self.weights = (seen / seen.mean()).to(device)
        nets = {"decoder": Decoder(self.coder), "flow": Flow(len(self.tiles.classes))}
        for net in (self.judge, self.coder, *nets.values()):
            net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return dict(nets)

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        s = self.settings
        return {
            "decoder": _muon(modules["decoder"], s.rate),
            "flow": _muon(modules["flow"], s.flow_rate),
        }

    def batch(self, indices: range, device: torch.device) -> Examples:
        s, found, kinds, untold = self.settings, [], [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            number = int(rng.choice(len(self.chances), p=self.chances))
            found.append(self.tiles.turned(number, rng))
            untold.append(bool(rng.random() < s.any_style))
            known = rng.random() >= s.any_class and not untold[-1]
            kinds.append(int(self.tiles.labels[number]) if known else len(self.tiles.classes))
        whole = tiles.as_tensor(np.stack(found)).to(device, memory_format=torch.channels_last)
        crops = whole[: s.crops, :, : s.size, : s.size]
        with torch.no_grad():
            styles, layouts = self.style(self.coder(whole))
        styles[torch.tensor(untold)] = 0
        return Examples(layouts, torch.tensor(kinds, device=device), styles, crops)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Examples, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        if part == "flow":
            return self._flow_loss(modules["flow"], batch), {}
        s, crops = self.settings, batch.crops
        with torch.no_grad():
            true = self.judge(crops)
            codes = self.coder(crops)
        spread = codes.std((2, 3), keepdim=True)
        made = modules["decoder"](codes + s.noise * spread * torch.randn_like(codes))
        plain = F.l1_loss(made, crops)
        pairs = list(zip(self.judge(made), true, strict=True))
        apart = torch.stack([F.l1_loss(a, b) for a, b in pairs]).sum()
        style = torch.stack([_style_error(a, b) for a, b in pairs]).sum()
        total = 4 * plain + s.perceptual * apart + s.style * style
        terms = {"plain": plain, "taps": apart, "grain": style}
        return total, {key: float(value.detach()) for key, value in terms.items()}

    def _flow_loss(self, flow: nn.Module, batch: Examples) -> Tensor:
        noise = torch.randn_like(batch.layouts)
        first = self.settings.earliest
        time = first + (1 - first) * torch.rand(len(noise), device=noise.device)
        share = time[:, None, None, None]
        made = flow(noise + share * (batch.layouts - noise), time, batch.kinds, batch.styles)
        apart = (made - (batch.layouts - noise)).square().mean((0, 2, 3))
        return (self.weights * apart).mean()

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """At 100 %: held-out tiles, what comes back of them, and what the flow makes of them from
        two times on."""
        chosen = np.linspace(0, len(self.held_out.labels) - 1, 2 * _SHOWN).astype(int)
        device = next(modules["decoder"].parameters()).device
        truth = tiles.as_tensor(self.held_out.pixels[chosen]).to(device)
        kinds = torch.from_numpy(self.held_out.labels[chosen]).to(device)
        codes = self.coder(truth)
        style, layout = self.style(codes)
        noise = torch.randn(codes.shape, generator=torch.Generator().manual_seed(7)).to(device)
        shown = [codes]
        for start in (0.6, 0.3):
            x = noise + start * (layout - noise)
            x = travelled(modules["flow"], x, start, kinds, style, _STEPS)
            shown.append(unstyled(style, x))
        rows = [truth, *(modules["decoder"](one).clamp(0, 1) for one in shown)]
        parts = [row[half : half + _SHOWN] for half in (0, _SHOWN) for row in rows]
        whole = torch.cat([torch.cat(list(row), 2) for row in parts], 1)
        return Image.fromarray((whole.permute(1, 2, 0) * 255).round().byte().cpu().numpy())

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        nets = {name: net.cpu().float().eval() for name, net in modules.items()}
        return material_export.write(
            folder,
            self.settings.name,
            self.coder.cpu(),
            nets["decoder"],
            nets["flow"],
            self.tiles,
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
        )


def travelled(
    flow: Any,
    layout: Tensor,
    start: float,
    kinds: Tensor,
    style: Tensor,
    steps: int,
    guidance: float = 1.5,
) -> Tensor:
    """The layouts at the end of the flow from time `start`, in Euler's steps.

    `guidance` beyond 1 goes further away from what any material would have (Ho & Salimans 2021).
    """
    any_kind = torch.full_like(kinds, flow.kind.num_embeddings - 1)
    for step in range(steps):
        time = torch.full((len(layout),), start + (1 - start) * step / steps, device=layout.device)
        told = flow(layout, time, kinds, style)
        if guidance != 1:
            to_any = flow(layout, time, any_kind, torch.zeros_like(style))
            told = to_any + guidance * (told - to_any)
        layout = layout + (1 - start) / steps * told
    return layout


def _muon(net: nn.Module, rate: float) -> MuonAdam:
    """Muon for the matrices, Adam at a third of the rate for all else."""
    weights = list(net.parameters())
    dense = [p for p in weights if p.ndim >= 2 and p.shape[1] > 1]
    others = [p for p in weights if not (p.ndim >= 2 and p.shape[1] > 1)]
    groups = [
        {"params": dense, "lr": rate, "muon": True},
        {"params": others, "lr": rate / 3},
    ]
    return MuonAdam(groups, betas=(0.9, 0.99))


def _style_error(made: Tensor, true: Tensor) -> Tensor:
    """How far the Gram matrices are apart, relative to the true ones (a norm, not a square)."""
    found, wanted = gram(made), gram(true)
    apart = (found - wanted).pow(2).sum((1, 2)) + 1e-8
    return (apart / wanted.pow(2).sum((1, 2))).sqrt().mean()
