"""The three networks of restoring: what is damaged, a clean picture, how far its colours have aged.

Small U-Nets (Ronneberger et al. 2015) on pixels taken two by two, so that the full resolution costs
little.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 8  # what sides must divide by
PARTS = ("find", "clean", "tone")  # the networks


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation)


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width, 1, dilation), _conv(width, width)
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.share * self.second(F.gelu(self.first(x)))


class FindNet(nn.Module):
    """N x 3 x H x W, 0..1, to logits N x 3 x H x W: scratches, stains, cracks."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w1, w2, w3 = width, 2 * width, 3 * width
        self.enter = nn.Sequential(_conv(12, w1), nn.GELU(), _Residual(w1))
        self.down = nn.Sequential(_conv(w1, w2, 2), nn.GELU(), _Residual(w2))
        self.deep = nn.Sequential(
            _conv(w2, w3, 2), nn.GELU(), _Residual(w3, 2), _Residual(w3, 4), _Residual(w3, 2)
        )
        self.up = nn.Sequential(_conv(w3 + w2, w2), nn.GELU())
        self.leave = nn.Sequential(_conv(w2 + w1, w1), nn.GELU(), _Residual(w1), _conv(w1, 12))

    def forward(self, picture: Tensor) -> Tensor:
        fine = self.enter(F.pixel_unshuffle(2 * picture - 1, 2))
        middle = self.down(fine)
        x = self.up(torch.cat([_doubled(self.deep(middle)), middle], 1))
        return F.pixel_shuffle(self.leave(torch.cat([_doubled(x), fine], 1)), 2)


class CleanNet(nn.Module):
    """N x 3 x H x W and how much to take away of noise and of JPEG blocks (N x 2, 0..1 each) to the
    picture without them."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.enter = nn.Sequential(_conv(14, width), nn.GELU(), _Residual(width))
        self.down = nn.Sequential(
            _conv(width, 2 * width, 2), nn.GELU(), _Residual(2 * width, 2), _Residual(2 * width)
        )
        self.leave = nn.Sequential(
            _conv(3 * width, width), nn.GELU(), _Residual(width), _conv(width, 12)
        )

    def forward(self, picture: Tensor, amounts: Tensor) -> Tensor:
        x = F.pixel_unshuffle(2 * picture - 1, 2)
        asked = amounts.unsqueeze(-1).unsqueeze(-1) * torch.ones_like(x[:, :2])
        fine = self.enter(torch.cat([x, asked], 1))
        x = torch.cat([_doubled(self.down(fine)), fine], 1)
        made: Tensor = picture + 0.1 * F.pixel_shuffle(self.leave(x), 2)
        return made


class ToneNet(nn.Module):
    """Thumbnails N x 3 x THUMBNAIL x THUMBNAIL to the four numbers of `Tone`, N x 4."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, width, 2), nn.GELU()]
        for _ in range(3):
            layers += [_conv(width, 2 * width, 2), nn.GELU()]
            width *= 2
        self.layers = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.Linear(2 * width + 9, 64), nn.GELU(), nn.Linear(64, 4))

    def forward(self, thumbnail: Tensor) -> Tensor:
        x = self.layers(2 * thumbnail - 1).flatten(2)
        colours = thumbnail.flatten(2)
        plain = [colours.amin(2), colours.mean(2), colours.amax(2)]
        made = torch.sigmoid(self.last(torch.cat([x.mean(2), x.amax(2), *plain], 1)))
        # black and varnish from 0, white and colour down from 1
        least = made.new_tensor([0.0, 1.0, 1.0, 0.0])
        reach = made.new_tensor([0.3, -0.35, -0.7, 1.1])
        return least + reach * made


class RestoreNet(nn.Module):
    """The three as one, for training: what those that are asked say of a batch."""

    def __init__(self, find_width: int = 24, clean_width: int = 32, tone_width: int = 32) -> None:
        super().__init__()
        self.find, self.clean = FindNet(find_width), CleanNet(clean_width)
        self.tone = ToneNet(tone_width)

    def forward(
        self,
        damaged: Tensor,
        noisy: Tensor,
        amounts: Tensor,
        thumbnail: Tensor,
        asked: Sequence[str] = PARTS,
    ) -> dict[str, Tensor]:
        given = {"find": (damaged,), "clean": (noisy, amounts), "tone": (thumbnail,)}
        return {name: getattr(self, name)(*given[name]) for name in asked}


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
