"""The recipe `upscale`: compact networks that make pictures 2, 3 and 4 times larger."""

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

from triptych.errors import UserError
from triptych.training import data, export
from triptych.training.image import sets, upscale_data
from triptych.training.image.patch_critic import PatchCritic, score, told_apart
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.upscale_degrade import degrade
from triptych.training.image.upscale_export import export_upscale, load_upscale
from triptych.training.image.upscale_net import SCALES, UpscaleNet
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

_EDGE = 2  # px of a small crop whose result is not judged: there the network sees its padding
_JUDGED = 8  # validation pictures per scale
_SHIFT = 8  # px by which pictures lie otherwise before the judge, whose strides leave a grid else
_SIDE = 128  # px of the small picture that validation looks at


@dataclass
class UpscaleSettings:
    """Settings of the recipe `upscale`."""

    width: int = 48  # channels of the trunk
    depth: int = 6  # its convolutions
    twice: tuple[int, ...] = ()  # the scales whose trunk is gone through twice
    scales: tuple[int, ...] = SCALES  # those that learn; the others stay as they start
    patch: int = 40  # pixels of a small crop's side
    rate: float = 3e-3
    colour: float = 0.2  # weight of the three colours' error beside that of luminance
    squared: float = 0.0  # last share of the run that minimises the squared error
    crisp: bool = False  # learn from damaged pictures, for the look; else the smallest error
    damage: float = 1.0  # of crisp: strength of the damage, 0..1
    perceptual: float = 0.03  # of crisp: weight of the features' error
    adversarial: float = 0.004  # of crisp: weight of the critic's judgement
    critic_rate: float = 1e-3
    start: str = ""  # folder of an upscaling bundle to start from; empty: random weights


class UpscaleRecipe(Recipe):
    """Train some scales at once: an equal share of each batch is of each.

    Loss: the mean absolute error of luminance (what PSNR is measured on) and of the colours. With
    `crisp`, the small pictures are damaged (see `upscale_degrade`), and the error of SqueezeNet's
    features (Johnson et al. 2016) and a patch critic on them (Ledig et al. 2017) are added.
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
        s = self.settings
        if not s.scales or not {*s.scales, *s.twice} <= set(SCALES):
            raise UserError("scales and twice: of 2, 3 and 4, such as 2,3")
        self.scales = [scale for scale in SCALES if scale in s.scales]
        if len(self.scales) < len(SCALES) and not s.start:
            raise UserError("where some scales learn, start must be a bundle that has the others")
        self.drawn, self.valid = {}, {}
        for scale in self.scales:
            train, valid = upscale_data.load(self.sources(), scale, s.patch)
            self.drawn[scale] = upscale_data.Pairs(train, scale, s.patch)
            self.valid[scale] = valid[:_JUDGED]
        net = UpscaleNet(s.width, s.depth, s.twice)
        if s.start:
            load_upscale(net, Path(s.start))
        for one in net.nets:
            one.requires_grad_(one.scale in self.scales)
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not s.crisp:
            return {"model": net}
        self.judge: Taps = SqueezeNet()
        self.judge.to(device)
        self.made: list[list[list[Tensor]]] = []  # the taps of what was made, for the critic
        return {"model": net, "critic": PatchCritic(1).to(device)}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        weights = [p for p in modules["model"].parameters() if p.requires_grad]
        rate = self.settings.rate
        groups = [
            {"params": [p for p in weights if p.ndim in (2, 4)], "lr": rate, "muon": True},
            {"params": [p for p in weights if p.ndim in (1, 3)], "lr": rate / 3},
        ]
        found: dict[str, torch.optim.Optimizer] = {"model": MuonAdam(groups, betas=(0.9, 0.99))}
        if self.settings.crisp:
            found["critic"] = torch.optim.Adam(
                modules["critic"].parameters(), self.settings.critic_rate, betas=(0.5, 0.99)
            )
        return found

    def batch(self, indices: range, device: torch.device) -> Any:
        small: dict[int, list[Any]] = {scale: [] for scale in self.scales}
        large: dict[int, list[Any]] = {scale: [] for scale in self.scales}
        for index in indices:
            scale = self.scales[index % len(self.scales)]
            rng = np.random.default_rng((self.loop.seed, index))
            before, after = self.drawn[scale].draw(rng)
            if self.settings.crisp:
                before = degrade(after, scale, rng, self.settings.damage)
            small[scale].append(before)
            large[scale].append(after)
        shift = np.random.default_rng((self.loop.seed, indices.start, 1)).integers(_SHIFT, size=2)
        return (
            {scale: as_batch(x, device) for scale, x in small.items()},
            {scale: as_batch(x, device) for scale, x in large.items()},
            shift.tolist(),
        )

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        small, large, (down, right) = batch
        if part == "critic":
            shifted = [one[..., down:, right:] for one in large.values()]
            return told_apart(modules["critic"], self.judge, shifted, self.made.pop(0)), {}
        squared = progress > 1 - self.settings.squared
        total, figures, taps = large[self.scales[0]].new_zeros(()), {}, []
        for scale, made in modules["model"](small).items():
            wanted = large[scale]
            edge = scale * _EDGE
            apart = (made.float() - wanted)[..., edge:-edge, edge:-edge]
            luma = torch.einsum("nchw,c->nhw", apart, torch.from_numpy(upscale_data.LUMA).to(apart))
            if squared:  # about as steep as the absolute error where that is 0.03
                error = 15 * (luma**2).mean() + self.settings.colour * 15 * (apart**2).mean()
            else:
                error = luma.abs().mean() + self.settings.colour * apart.abs().mean()
            if self.settings.crisp:
                seen, true = (one[..., down:, right:] for one in (made.float(), wanted))
                taps.append(self.judge(seen))
                error = error + self._look(modules["critic"], taps[-1], true)
            total = total + error
            figures[f"psnr{scale}"] = float(-10 * (luma.detach() ** 2).mean().log10())
        if self.settings.crisp:
            self.made.append([[tap.detach() for tap in each] for each in taps])
        return total / len(self.scales), figures

    def _look(self, critic: nn.Module, taps: list[Tensor], wanted: Tensor) -> Tensor:
        """How far what was made is from the originals in features, and what the critic says."""
        with torch.no_grad():
            true = self.judge(wanted)
        apart = [(a - b).abs().mean() for a, b in zip(taps, true, strict=True)]
        judged = -score(critic(taps)).mean()
        return self.settings.perceptual * sum(apart) + self.settings.adversarial * judged

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Bicubic, the network and the original of one picture per scale; prints the PSNR."""
        model = modules["model"]
        assert isinstance(model, UpscaleNet)
        sheet, told = Image.new("RGB", (3 * 384, len(self.scales) * 384)), []
        for row, net in enumerate(one for one in model.nets if one.scale in self.scales):
            scale, gains, scores = net.scale, [], []
            for place, pair in enumerate(self.valid[scale]):
                small, large = pair.small[:_SIDE, :_SIDE], pair.large
                large = large[: scale * small.shape[0], : scale * small.shape[1]]
                x = as_batch([small], next(net.parameters()).device)
                plain = F.pixel_shuffle(net.smooth(x), scale)
                both = [upscale_data.as_bytes(255 * as_array(one)) for one in (plain, net(x))]
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
            crisp=self.settings.crisp,
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
