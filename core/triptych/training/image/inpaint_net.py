"""The network that fills holes: a smooth fill, then gated convolutions around a wide middle.

The smooth fill is worked out, not learned, so that the network has only to say what differs from
it: where a hole is narrow that is little.

Gated convolutions (Yu et al. 2019) learn which pixels are to be believed. The middle works at an
eighth of the resolution with dilated depthwise convolutions, so that what it fills in looks at some
500 pixels around.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 8
_DILATIONS = (1, 2, 4, 8, 1, 2, 4, 8, 1, 2)


class Gated(nn.Module):
    """A convolution whose result is let through by a learned gate."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 2 * outputs, size, stride, size // 2)

    def forward(self, x: Tensor) -> Tensor:
        made, gate = self.conv(x).chunk(2, 1)
        return F.gelu(made) * torch.sigmoid(gate)


class Wide(nn.Module):
    """A residual block: depthwise 5 x 5, dilated, then two pointwise layers (ConvNeXt's order)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(
            width, width, 5, padding=2 * dilation, dilation=dilation, groups=width
        )
        self.open, self.close = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, width, 1)
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.share * self.close(F.gelu(self.open(self.look(x))))


def smooth_fill(picture: Tensor, hole: Tensor) -> Tensor:
    """The picture N x 3 x H x W with its hole (N x 1 x H x W, 1 where nothing is known) filled
    smoothly, nearly as the heat equation would; H and W are multiples of STRIDE.

    From coarse to fine: what no coarser level knows is averaged from ever nearer pixels, then
    smoothed a few times at each level, the known pixels standing still.
    """
    share = 1 - hole
    total = picture * share
    levels = [(total, share)]
    for _ in range(3):
        total, share = F.avg_pool2d(total, 2), F.avg_pool2d(share, 2)
        levels.append((total, share))
    x = (total.mean((2, 3), keepdim=True) + 1e-6) / (share.mean((2, 3), keepdim=True) + 2e-6)
    x = x.expand_as(total)
    for side in (33, 17, 9, 5, 3):
        near_total = F.avg_pool2d(total, side, 1, side // 2)
        near_share = F.avg_pool2d(share, side, 1, side // 2)
        sure = (near_share * 8).clamp(max=1)
        x = x + sure * (near_total / near_share.clamp(min=1e-4) - x)
    for level, steps in ((3, 12), (2, 8), (1, 6), (0, 4)):
        total, share = levels[level]
        if level < 3:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        known = (share > 0.2).to(x.dtype)
        fixed = known * total / share.clamp(min=0.2)
        for _ in range(steps):
            x = fixed + (1 - known) * x
            x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = fixed + (1 - known) * x
    return x


class InpaintNet(nn.Module):
    """`forward(picture N x 3 x H x W in 0..1, hole N x 1 x H x W, guessed N x 1 x H x W)`.

    `hole` is 1 where the picture is not known. There the picture holds a guess where `guessed` is 1
    (a coarse fill, see `inpaint`); elsewhere what it holds is not looked at. Returns the whole
    picture anew, N x 3 x H x W; H and W are multiples of STRIDE.
    """

    def __init__(self, width: int = 24, middle: int = 128) -> None:
        super().__init__()
        self.halve = Gated(5, width, 5, 2)
        self.quarter = Gated(width, 2 * width, 3, 2)
        self.eighth = Gated(2 * width, middle, 3, 2)
        self.wide = nn.Sequential(*(Wide(middle, d) for d in _DILATIONS))
        self.to_quarter = Gated(middle + 2 * width, 2 * width)
        self.to_half = Gated(3 * width, width)
        self.to_whole = nn.Conv2d(width, 16 * 4, 1)
        self.last = nn.Sequential(Gated(16 + 5, 16), nn.Conv2d(16, 3, 3, padding=1))

    def forward(self, picture: Tensor, hole: Tensor, guessed: Tensor) -> Tensor:
        unknown = hole * (1 - guessed)
        picture = picture + unknown * (smooth_fill(picture, hole) - picture)
        given = torch.cat([2 * picture - 1, hole, guessed], 1)
        half = self.halve(given)
        quarter = self.quarter(half)
        x = self.wide(self.eighth(quarter))
        x = self.to_quarter(torch.cat([_doubled(x), quarter], 1))
        x = self.to_half(torch.cat([_doubled(x), half], 1))
        x = F.pixel_shuffle(self.to_whole(x), 2)
        made: Tensor = picture + self.last(torch.cat([x, given], 1))
        return made


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
