"""The network that gives latents what their coordinates lost."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.shape.shape_net import NODES, REACH, Residual

_BLOCK = 2  # nodes along a side that become channels


class RefineNet(nn.Module):
    """Latents (B x LATENT) made of few coordinates to latents as they were measured.

    A U-Net (Ronneberger et al. 2015) over the grid of distances: what principal components leave
    of a thin part is a pattern of bumps, and which part it was is told by what stands around it
    and, of a board, by all that lies along it.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.enter = nn.Conv3d(_BLOCK**3 + 3, w, 3, padding=1)  # 12
        self.fine = Residual(w)
        self.down = nn.Conv3d(w, 2 * w, 2, stride=2)  # 6
        self.middle = Residual(2 * w)
        self.deeper = nn.Conv3d(2 * w, 4 * w, 2, stride=2)  # 3
        self.coarse = Residual(4 * w)
        self.rise = nn.Conv3d(4 * w, 2 * w, 1)
        self.middle_again = Residual(2 * w)
        self.rise_again = nn.Conv3d(2 * w, w, 1)
        self.fine_again = nn.Sequential(Residual(w), Residual(w))
        self.along = nn.ModuleList(Along(width) for width in (w, 2 * w, w, w))
        self.leave = nn.Conv3d(w, _BLOCK**3 * 4, 3, padding=1)
        self.gather = nn.Conv3d(5, 8, 3, padding=1)
        self.last = nn.Conv3d(8, 1, 3, padding=1)
        nn.init.zeros_(self.last.weight)  # at first nothing is changed
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, latent: Tensor) -> Tensor:
        given = latent[:, : NODES**3].reshape(-1, 1, NODES, NODES, NODES) / REACH
        proportions = latent[:, NODES**3 :, None, None, None]
        side = NODES // _BLOCK
        spread = proportions.expand(-1, -1, side, side, side)
        first, second, third, last = self.along
        x = first(self.fine(self.enter(torch.cat([_folded(given), spread], 1))))
        y = second(self.middle(self.down(x)))
        z = self.coarse(self.deeper(y))
        y = self.middle_again(y + F.interpolate(self.rise(z), scale_factor=2.0))
        one, other = self.fine_again
        x = third(one(x + F.interpolate(self.rise_again(y), scale_factor=2.0)))
        x = last(other(x))
        told = _unfolded(self.leave(F.silu(x)))
        made = given + self.last(F.silu(self.gather(torch.cat([given, told], 1))))
        return torch.cat([REACH * made.flatten(1), latent[:, NODES**3 :]], 1)


class Along(nn.Module):
    """Tells each place (B x C x n x n x n) what is there along each axis on the mean.

    In its box's coordinates furniture is made of boards and bars along the axes, which a few
    convolutions do not see from end to end.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        kernels = ((1, 3, 3), (3, 1, 3), (3, 3, 1))
        self.looks = nn.ModuleList(
            nn.Conv3d(width, width, (a, b, c), padding=(a // 2, b // 2, c // 2))
            for a, b, c in kernels
        )
        for look in self.looks:  # at first nothing is told
            nn.init.zeros_(look.weight)  # type: ignore[arg-type]
            nn.init.zeros_(look.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for axis, look in enumerate(self.looks, 2):
            x = x + look(F.silu(x).mean(axis, keepdim=True))
        return x


def _folded(x: Tensor) -> Tensor:
    """A pixel unshuffle in three dimensions: B x C x n^3 to B x 8 C x (n / 2)^3."""
    batch, channels, side = x.shape[:3]
    half = side // _BLOCK
    x = x.reshape(batch, channels, half, _BLOCK, half, _BLOCK, half, _BLOCK)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, -1, half, half, half)


def _unfolded(x: Tensor) -> Tensor:
    """The inverse of `_folded`."""
    batch, _, half = x.shape[:3]
    x = x.reshape(batch, -1, _BLOCK, _BLOCK, _BLOCK, half, half, half)
    x = x.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(batch, -1, _BLOCK * half, _BLOCK * half, _BLOCK * half)
