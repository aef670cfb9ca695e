"""The recipe `upscale`: one compact network that makes pictures 2, 3 and 4 times larger."""

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

from triptych.training import data, export
from triptych.training.image import sets, upscale_data
from triptych.training.image.upscale_export import export_upscale
from triptych.training.image.upscale_net import SCALES, UpscaleNet
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

_EDGE = 2  # px of a small crop whose result is not judged: there the network sees its padding
_JUDGED = 8  # validation pictures per scale
_SIDE = 128  # px of the small picture that validation looks at


@dataclass
class UpscaleSettings:
    """Settings of the recipe `upscale`."""

    width: int = 48  # channels of the trunk
    depth: int = 6  # its convolutions
    patch: int = 40  # pixels of a small crop's side
    rate: float = 3e-3
    colour: float = 0.2  # weight of the three colours' error beside that of luminance
    squared: float = 0.0  # last share of the run that minimises the squared error


class UpscaleRecipe(Recipe):
    """Train all scales at once: a third of each batch is of each scale.

    Loss: the mean absolute error of luminance (what PSNR is measured on) and of the colours.
    """

    name = "upscale"

    def __init__(self, settings: UpscaleSettings | None = None) -> None:
        self.settings = settings or UpscaleSettings()
        self.loop = LoopSettings(
            steps=10**6, minutes=90, batch=12, warmup=200, ema=0.999, log_every=100
        )

    def sources(self) -> list[data.Source]:
        return sets.photographs(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        self.drawn, self.valid = [], []
        for scale in SCALES:
            train, valid = upscale_data.load(self.sources(), scale, self.settings.patch)
            self.drawn.append(upscale_data.Pairs(train, scale, self.settings.patch))
            self.valid.append(valid[:_JUDGED])
        net = UpscaleNet(self.settings.width, self.settings.depth)
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return {"model": net}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        weights = list(modules["model"].parameters())
        rate = self.settings.rate
        groups = [
            {"params": [p for p in weights if p.ndim > 1], "lr": rate, "muon": True},
            {"params": [p for p in weights if p.ndim == 1], "lr": rate / 3},
        ]
        return {"model": MuonAdam(groups, betas=(0.9, 0.99))}

    def batch(self, indices: range, device: torch.device) -> Any:
        small: list[list[Any]] = [[] for _ in SCALES]
        large: list[list[Any]] = [[] for _ in SCALES]
        for index in indices:
            which = index % len(SCALES)
            pair = self.drawn[which].draw(np.random.default_rng((self.loop.seed, index)))
            small[which].append(pair[0])
            large[which].append(pair[1])
        return [as_batch(x, device) for x in small], [as_batch(x, device) for x in large]

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        small, large = batch
        squared = progress > 1 - self.settings.squared
        total, figures = small[0].new_zeros(()), {}
        for scale, made, wanted in zip(SCALES, modules["model"](small), large, strict=True):
            edge = scale * _EDGE
            apart = (made.float() - wanted)[..., edge:-edge, edge:-edge]
            luma = torch.einsum("nchw,c->nhw", apart, torch.from_numpy(upscale_data.LUMA).to(apart))
            if squared:  # about as steep as the absolute error where that is 0.03
                error = 15 * (luma**2).mean() + self.settings.colour * 15 * (apart**2).mean()
            else:
                error = luma.abs().mean() + self.settings.colour * apart.abs().mean()
            total = total + error
            figures[f"psnr{scale}"] = float(-10 * (luma.detach() ** 2).mean().log10())
        return total / len(SCALES), figures

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Bicubic, the network and the original of one picture per scale; prints the PSNR."""
        net = modules["model"]
        assert isinstance(net, UpscaleNet)
        sheet, told = Image.new("RGB", (3 * 384, 3 * 384)), []
        for row, (scale, pairs) in enumerate(zip(SCALES, self.valid, strict=True)):
            gains, scores = [], []
            for place, pair in enumerate(pairs):
                small, large = pair.small[:_SIDE, :_SIDE], pair.large
                large = large[: scale * small.shape[0], : scale * small.shape[1]]
                x = as_batch([small], next(net.parameters()).device)
                made = net.head(scale, net.features(x), x)
                plain = net.head(scale, 0 * net.features(x), x)
                both = [upscale_data.as_bytes(255 * as_array(one)) for one in (plain, made)]
                before, after = (psnr(one, large, 4 * scale) for one in both)
                gains.append(after - before)
                scores.append(after)
                if place == 2:
                    for column, one in enumerate([*both, large]):
                        middle = (one.shape[0] - 192) // 2
                        cut = Image.fromarray(one[middle:, middle:][:192, :192])
                        sheet.paste(
                            cut.resize((384, 384), Image.Resampling.NEAREST),
                            (384 * column, 384 * row),
                        )
            told.append(f"x{scale} {np.mean(scores):.3f} dB ({np.mean(gains):+.3f} over bicubic)")
        print("validation: " + ", ".join(told), flush=True)
        return sheet

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["model"].cpu().float()
        assert isinstance(net, UpscaleNet)
        return export_upscale(
            net,
            folder,
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
        )


def as_batch(pictures: list[Any], device: torch.device) -> Tensor:
    """Pictures H x W x 3 of bytes as N x 3 x H x W, 0..1."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(pictures)))
    return stacked.to(device).permute(0, 3, 1, 2).float().div(255)


def as_array(pictures: Tensor) -> np.ndarray:
    """The first of N x 3 x H x W as H x W x 3."""
    return pictures[0].float().permute(1, 2, 0).cpu().numpy()


def psnr(made: np.ndarray, wanted: np.ndarray, edge: int) -> float:
    """PSNR in dB of luminance without `edge` pixels on every side; both H x W x 3 of bytes."""
    apart = (made.astype(np.float32) - wanted) @ upscale_data.LUMA
    return float(10 * np.log10(255**2 / np.mean(apart[edge:-edge, edge:-edge] ** 2)))
