"""Perceptual features: SqueezeNet 1.1 (Iandola et al. 2016) and our own network distilled from it.

Both map RGB pictures in 0..1 (N x 3 x H x W) to four feature maps, the *taps*, scaled so that each
tap's mean square is about 1 on photographs. Losses work on the taps of either network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.errors import UserError
from triptych.training import data

TAPS = ("conv1", "fire3", "fire5", "fire7")
CHANNELS = (64, 128, 256, 384)
STRIDES = (2, 4, 8, 16)


class Taps(nn.Module):
    """A feature network: RGB 0..1 to the four taps, each divided by its `scale`."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(len(TAPS)))

    def features(self, pictures: Tensor, upto: int) -> list[Tensor]:
        """The first `upto` taps before scaling."""
        raise AssertionError("a feature network defines its features")

    def forward(self, pictures: Tensor, upto: int = len(TAPS)) -> list[Tensor]:
        found = self.features(pictures, upto)
        return [f / s for f, s in zip(found, self.scale, strict=False)]


class Fire(nn.Module):
    """Squeeze by 1 x 1, expand by 1 x 1 and 3 x 3 side by side (SqueezeNet, section 3.2)."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class SqueezeNet(Taps):
    """The first six fire modules of SqueezeNet 1.1 with its authors' ImageNet weights (BSD).

    Used as teacher and as judge; never shipped.
    """

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        fires = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128)]
        fires += [(256, 48, 192), (384, 48, 192)]
        f = [Fire(*sizes) for sizes in fires]
        conv = nn.Conv2d(3, 64, 3, stride=2)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(conv, nn.ReLU()),
                nn.Sequential(_pool(), f[0], f[1]),
                nn.Sequential(_pool(), f[2], f[3]),
                nn.Sequential(_pool(), f[4], f[5]),
            ]
        )
        path = weights or (
            data.data_root() / "weights" / "squeezenet1_1" / "squeezenet_v1.1_features.npz"
        )
        if not path.is_file():
            raise UserError(f"the SqueezeNet weights {path.name} are not in the data folder")
        values = np.load(path)
        numbers = (3, 4, 6, 7, 9, 10)
        names = {"features.0": conv} | {
            f"features.{n}.{part}": getattr(fire, part)
            for n, fire in zip(numbers, f, strict=True)
            for part in ("squeeze", "expand1x1", "expand3x3")
        }
        with torch.no_grad():
            for name, layer in names.items():
                layer.weight.copy_(torch.from_numpy(values[f"{name}.weight"]))
                layer.bias.copy_(torch.from_numpy(values[f"{name}.bias"]))
        # root mean square of each tap over the recipe's training photographs
        self.scale.copy_(torch.tensor(SQUEEZENET_SCALE))
        self.requires_grad_(False)
        self.eval()

    def features(self, pictures: Tensor, upto: int) -> list[Tensor]:
        mean = pictures.new_tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
        x, found = pictures.flip(1) * 255 - mean, []
        for stage in self.stages[:upto]:
            x = stage(x)
            found.append(x)
        return found


SQUEEZENET_SCALE = (35.76, 57.87, 43.32, 25.31)


class PerceptualNet(Taps):
    """Our own feature network: at each resolution a 1 x 1 squeeze, two 3 x 3 convolutions.

    Trained from random weights to reproduce the taps of SqueezeNet 1.1.
    """

    def __init__(self, squeeze: Sequence[int] = (32, 64, 96)) -> None:
        super().__init__()
        stages = [nn.Sequential(nn.Conv2d(3, CHANNELS[0], 3, stride=2), nn.ReLU())]
        for index, inner in enumerate(squeeze):
            layers: list[nn.Module] = [_pool(), nn.Conv2d(CHANNELS[index], inner, 1), nn.ReLU()]
            layers += [nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(inner, CHANNELS[index + 1], 3, padding=1), nn.ReLU()]
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def features(self, pictures: Tensor, upto: int) -> list[Tensor]:
        x, found = (pictures - 0.45) * 4, []
        for stage in self.stages[:upto]:
            x = stage(x)
            found.append(x)
        return found

    def forward(
        self, pictures: Tensor, upto: int = len(TAPS), given: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """The taps; with `given`, each stage works on the given tap below it (for distillation)."""
        if given is None:
            return super().forward(pictures, upto)
        inputs = [(pictures - 0.45) * 4, *given[:-1]]
        return [stage(x) for stage, x in zip(self.stages, inputs, strict=True)]


def gram(features: Tensor) -> Tensor:
    """Gram matrices over positions: N x C x H x W to N x C x C, in float32 (Gatys et al. 2016)."""
    flat = features.flatten(2)
    return torch.bmm(flat, flat.transpose(1, 2)).float() / flat.shape[2]
