"""Definitions of published upscaling networks, for their size and time; with random weights.

Written from the papers' tables: FSRCNN (Dong et al. 2016), EDSR-baseline (Lim et al. 2017), RLFN
(Kong et al. 2022).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FSRCNN(nn.Module):
    """FSRCNN(56, 12, 4), on luminance: N x 1 x H x W to N x 1 x sH x sW."""

    channels = 1

    def __init__(self, scale: int) -> None:
        super().__init__()
        middle = [layer for _ in range(4) for layer in (conv(12, 12), nn.PReLU(12))]
        self.layers = nn.Sequential(
            *(conv(1, 56, 5), nn.PReLU(56), conv(56, 12, 1), nn.PReLU(12)),
            *middle,
            *(conv(12, 56, 1), nn.PReLU(56)),
        )
        self.larger = nn.ConvTranspose2d(56, 1, 9, scale, 4, output_padding=scale - 1)

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged luminance."""
        made: Tensor = self.larger(self.layers(x))
        return made


class Residual(nn.Module):
    """EDSR's block: two convolutions without normalisation beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        made: Tensor = x + self.layers(x)
        return made


class EDSR(nn.Module):
    """EDSR-baseline: 16 blocks of 64 channels; N x 3 x H x W to N x 3 x sH x sW."""

    channels = 3

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.entry = conv(3, 64)
        self.body = nn.Sequential(*(Residual(64) for _ in range(16)), conv(64, 64))
        steps = [2, 2] if scale == 4 else [scale]
        ups = [layer for s in steps for layer in (conv(64, 64 * s * s), nn.PixelShuffle(s))]
        self.larger = nn.Sequential(*ups, conv(64, 3))

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged picture."""
        first = self.entry(x)
        made: Tensor = self.larger(first + self.body(first))
        return made


class Attention(nn.Module):
    """Enhanced spatial attention (Liu et al. 2020) as RLFN has it."""

    def __init__(self, width: int, inner: int = 16) -> None:
        super().__init__()
        self.reduce, self.beside = conv(width, inner, 1), conv(inner, inner, 1)
        self.stride = nn.Conv2d(inner, inner, 3, 2)
        self.wide, self.expand = conv(inner, inner), conv(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, weighted pixel by pixel."""
        reduced = self.reduce(x)
        small = self.wide(F.max_pool2d(self.stride(reduced), 7, 3))
        spread = F.interpolate(small, x.shape[2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.expand(spread + self.beside(reduced)))


class Local(nn.Module):
    """RLFN's residual local feature block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(layer for _ in range(3) for layer in (conv(width, width), nn.LeakyReLU(0.05)))
        )
        self.join, self.attention = conv(width, width, 1), Attention(width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        made: Tensor = self.attention(self.join(x + self.layers(x)))
        return made


class RLFN(nn.Module):
    """RLFN: 6 blocks of 52 channels; N x 3 x H x W to N x 3 x sH x sW."""

    channels = 3

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.entry = conv(3, 52)
        self.body = nn.Sequential(*(Local(52) for _ in range(6)), conv(52, 52))
        self.larger = nn.Sequential(conv(52, 3 * scale * scale), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged picture."""
        first = self.entry(x)
        made: Tensor = self.larger(first + self.body(first))
        return made


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


PEERS: dict[str, type[FSRCNN | RLFN | EDSR]] = {
    "FSRCNN": FSRCNN,
    "RLFN": RLFN,
    "EDSR-baseline": EDSR,
}
PARAMETERS = {"FSRCNN": 12.8e3, "RLFN": 544e3, "EDSR-baseline": 1518e3}  # for x4
