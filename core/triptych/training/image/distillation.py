"""The recipe `perceptual`: our perceptual network, distilled from SqueezeNet 1.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils import parametrize

from triptych.training import data, export
from triptych.training.image import sets
from triptych.training.image.perceptual import PerceptualNet, SqueezeNet, gram
from triptych.training.image.perceptual_export import export_perceptual
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam


@dataclass
class PerceptualSettings:
    """Settings of the recipe `perceptual`."""

    rate: float = 4e-3  # of the convolutions but the first; faster, the units of narrow layers die
    size: int = 128  # pixels of a crop's side
    forced: float = 0.5  # share of the run in which each stage sees the teacher's taps
    gram: float = 0.3  # weight of the Gram matrices' relative error


class Whitened(nn.Module):
    """A convolution's weight as it would be on whitened patches (a parametrisation).

    The pixels of a patch are so alike that a gradient step on the plain weight hardly changes what
    tells them apart: the first tap, one convolution, would take as long as all the others.
    """

    whitening: Tensor

    def __init__(self, whitening: Tensor) -> None:
        super().__init__()
        self.register_buffer("whitening", whitening)

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # as exactly as it is exported
            return (weight.flatten(1) @ self.whitening).view_as(weight)


class PerceptualRecipe(Recipe):
    """Distil the taps of SqueezeNet 1.1 into `PerceptualNet` on photographs, paintings, textures.

    Feature distillation after FitNets (Romero et al. 2015), on every tap at once: the relative
    squared error of the features and of their Gram matrices.
    """

    name = "perceptual"

    def __init__(self, settings: PerceptualSettings | None = None) -> None:
        self.settings = settings or PerceptualSettings()
        self.loop = LoopSettings(steps=20000, batch=16, warmup=200, ema=0.999)

    def sources(self) -> list[data.Source]:
        root = data.data_root()
        return [*sets.photographs(root), *sets.paintings(root), sets.textures(root)]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        pictures = []
        for source in self.sources():
            for _, picture in source.pictures():
                if min(picture.size) > 512:
                    picture = data.fit(picture, 512)
                pictures.append(np.asarray(picture))
        self.train = pictures
        areas = np.array([min(p.shape[0] * p.shape[1], 200_000) for p in pictures], float)
        self.weights = areas / areas.sum()
        self.teacher = SqueezeNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        net = PerceptualNet()
        first = net.stages[0][0]  # type: ignore[index]
        whitening = self._whitening()
        parametrize.register_parametrization(first, "weight", Whitened(whitening), unsafe=True)
        return {"net": net.to(device)}

    def _whitening(self) -> Tensor:
        """The inverse root (27 x 27) of the second moments of what the first convolution sees."""
        x = self.batch(range(64), torch.device("cpu"))
        patches = F.unfold((x - 0.45) * 4, 3, stride=2).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        return vectors @ torch.diag((values + 1e-4).rsqrt()) @ vectors.T

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        first, *others = modules["net"].stages.children()  # type: ignore[union-attr]
        rest = [p for stage in others for p in stage.parameters()]
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "lr": self.settings.rate, "muon": True},
            {"params": [p for p in rest if p.ndim == 1], "lr": self.settings.rate / 4},
            {"params": list(first.parameters()), "lr": self.settings.rate * 3},
        ]
        return {"net": MuonAdam(groups, betas=(0.95, 0.99))}

    def batch(self, indices: range, device: torch.device) -> Tensor:
        size, crops = self.settings.size, []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            picture = self.train[rng.choice(len(self.train), p=self.weights)]
            zoom = rng.uniform(1.0, 2.0)
            taken = data.crop(picture, round(size * zoom), rng)
            small = Image.fromarray(taken).resize((size, size), Image.Resampling.BICUBIC)
            x = np.asarray(small, np.float32) / 255
            x = x * rng.uniform(0.6, 1.3) + rng.uniform(-0.15, 0.15)
            if rng.random() < 0.3:  # other colours: stylised pictures have them
                x = x[..., rng.permutation(3)] + rng.normal(0, 0.08, 3).astype(np.float32)
            if rng.random() < 0.3:  # and other grain
                x = x + rng.standard_normal(x.shape, np.float32) * rng.uniform(0, 0.15)
            crops.append(np.clip(x, 0, 1).astype(np.float32))
        stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        return stacked.to(device, memory_format=torch.channels_last)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            wanted = self.teacher(batch)
        # First each stage alone on the teacher's taps, which learns far faster; then end to end.
        made = modules["net"](batch, given=wanted if progress < self.settings.forced else None)
        features, grams = batch.new_zeros(()), batch.new_zeros(())
        for m, w in zip(made, wanted, strict=True):
            features = features + (m - w).float().pow(2).mean() / w.float().pow(2).mean()
            gm, gw = gram(m), gram(w)
            grams = grams + (gm - gw).pow(2).sum() / gw.pow(2).sum()
        total = features + self.settings.gram * grams
        return total, {"features": float(features.detach()), "grams": float(grams.detach())}

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["net"]
        first: nn.Module = net.stages[0][0]  # type: ignore[index,assignment]
        parametrize.remove_parametrizations(first, "weight")
        return export_perceptual(
            net,
            folder,
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, asdict(self.settings), run),
        )
