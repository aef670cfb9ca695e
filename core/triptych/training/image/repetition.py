"""How far a picture repeats one motif in both directions, as a wallpaper does and no brush.

A network without an idea for a flat area stamps it: one motif, again and again. Gram matrices do
not see that, for they say what there is and not where. The autocorrelation of fine detail does
(Wiener-Khinchin: the inverse transform of the power spectrum): along an edge or a stroke it is high
in one direction; a stamp makes it high in two that are across each other.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 64  # pixels of the side of what is looked at in one go
LAGS = (12, 32)  # pixels between two of a motif
_DETAIL = 13  # pixels: what is coarser is not of the motif
_FAINT = 4 / 255  # deviation of a detail that hardly shows
_SECTORS = 8  # of the half circle of directions


def repetition(pictures: Tensor, stride: int = BLOCK) -> Tensor:
    """N x 3 x H x W, 0..1, of at least BLOCK px, to N x B: of each block, 0 (nothing returns) to 1.

    It is the autocorrelation at the best lag of LAGS, or rather the lesser of the best two that
    are about across each other. Blocks are `stride` px apart.
    """
    x = pictures.float()
    coarse = F.pad(x, (_DETAIL // 2,) * 4, mode="replicate")
    for size in ((1, _DETAIL), (_DETAIL, 1)):
        coarse = F.avg_pool2d(coarse, size, stride=1)
    detail = x - coarse
    blocks = detail.unfold(2, BLOCK, stride).unfold(3, BLOCK, stride).permute(0, 2, 3, 1, 4, 5)
    window = torch.hann_window(BLOCK, periodic=False, device=x.device)
    window = window[:, None] * window
    found = _correlation(blocks.flatten(1, 2) * window).sum(2)
    found = found / _correlation(window)
    found = found / (found[..., :1, :1] + 3 * _FAINT**2)
    flat = found.flatten(2)
    best = torch.stack([flat[..., places].amax(-1) for places in _sectors(x.device)], -1)
    across = range(_SECTORS // 2 - 1, _SECTORS // 2 + 2)
    both = torch.stack([torch.minimum(best, best.roll(turn, -1)) for turn in across], -1)
    return both.amax((-2, -1)).clamp(min=0)


def _correlation(x: Tensor) -> Tensor:
    """The sums of products of ... x BLOCK x BLOCK with itself, moved by each lag up to LAGS[1]."""
    size = BLOCK + LAGS[1]  # what is added holds the parts that wrap around
    spectrum = torch.fft.rfft2(x, s=(size, size))
    return torch.fft.irfft2(spectrum.real**2 + spectrum.imag**2, s=(size, size))


def _sectors(device: torch.device) -> list[Tensor]:
    """For each sector of directions, the places of `_correlation`'s answer that are looked at."""
    size = BLOCK + LAGS[1]
    lag = torch.fft.fftfreq(size, 1 / size, device=device)
    distance = (lag[:, None] ** 2 + lag**2).sqrt()
    looked_at = (distance >= LAGS[0]) & (distance <= LAGS[1])
    angle = torch.atan2(lag[:, None].expand(size, size), lag.expand(size, size)) % math.pi
    sector = (angle / math.pi * _SECTORS).floor().clamp(max=_SECTORS - 1)
    upper = lag[:, None] >= 0  # the other half holds the same
    looked_at &= upper
    return [
        (looked_at & (sector == number)).flatten().nonzero().flatten() for number in range(_SECTORS)
    ]
