"""The autoencoder of shapes: signed distances on a coarse grid in the shape's own box (the latent),
these to features on a grid twice as fine, the features to a distance anywhere.

The encoder has no weights: a truncated distance on a coarse grid already tells where surfaces lie
between its nodes (see `triptych.shape.distances`). What is learned is local, as in "Local implicit
grid representations" (Jiang et al. 2020): each place of each shape is an example, so that little
training goes far. In the box's own coordinates the parts of furniture, legs above all, stand at the
same nodes whatever its size.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

NODES = 24  # of the latent's grid, along each side of the box
FINE = 2 * NODES  # of the grid of features
LATENT = (NODES**3 + 3,)
"""Distances at the nodes (x slowest), then the box's proportions."""
REACH = 0.2  # at which the latent's distances are cut
FEATURES = 12
CHANNELS = FEATURES + 1 + 3  # of the decoded grid: features, distance, proportions


def nodes(count: int) -> np.ndarray:
    """Nodes of a grid over [-1, 1]^3 (count^3 x 3, float32), x slowest."""
    along = np.linspace(-1, 1, count, dtype=np.float32)
    return np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)


class Residual(nn.Module):
    """Two convolutions of 3 nodes a side beside the identity, in as many dimensions as `kind`."""

    def __init__(self, width: int, kind: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv3d) -> None:
        super().__init__()
        self.first = kind(width, width, 3, padding=1)
        self.second = kind(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class Decoder(nn.Module):
    """Latents (B x 13827) to the decoded grid (B x 16 x 48 x 48 x 48)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.start = nn.Conv3d(4, width, 3, padding=1)
        self.block = Residual(width)
        self.narrow = nn.Conv3d(width, FEATURES, 3, padding=1)
        self.last = nn.Conv3d(FEATURES, FEATURES, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        coarse = latent[:, : NODES**3].reshape(-1, 1, NODES, NODES, NODES)
        proportions = latent[:, NODES**3 :, None, None, None]
        spread = proportions.expand(-1, -1, NODES, NODES, NODES)
        x = self.block(self.start(torch.cat([coarse / REACH, spread], 1)))
        x = _doubled(self.narrow(F.silu(x)))
        x = x + self.last(F.silu(x))
        parts = [x, _doubled(coarse), proportions.expand(-1, -1, FINE, FINE, FINE)]
        return torch.cat(parts, 1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="trilinear", align_corners=True)


class Head(nn.Module):
    """What a decoded grid (B x 16 x 48 x 48 x 48) says at points (B x N x 3) in the cube: B x N.

    That is the distance in units of the truncation; beyond 1 on either side it means "far".
    """

    def __init__(self, truncation: float, width: int = 48) -> None:
        super().__init__()
        self.truncation = truncation
        self.layers = nn.Sequential(
            nn.Linear(CHANNELS + 6, width),
            Softplus(),
            nn.Linear(width, width),
            Softplus(),
            nn.Linear(width, 1),
        )

    def forward(self, grid: Tensor, points: Tensor) -> Tensor:
        at = points / grid[:, None, -3:, 0, 0, 0]
        return self.distance(sampled(grid, at), at)

    def distance(self, told: Tensor, at: Tensor) -> Tensor:
        """Of what the grid says (B x N x CHANNELS) at places in the box (B x N x 3)."""
        coarse = told[..., FEATURES : FEATURES + 1] / self.truncation
        # Where between the fine nodes a point lies.
        within = torch.sin((at + 1) * (torch.pi * (FINE - 1) / 2))
        given = [told[..., :FEATURES], coarse, told[..., FEATURES + 1 :], at, within]
        return (coarse + self.layers(torch.cat(given, 2))).squeeze(2)


class Softplus(nn.Module):
    """Softplus of beta 4."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():  # ONNX Runtime's own takes three times as long
            return torch.log(1 + torch.exp((4 * x).clamp(max=80))) / 4
        return F.softplus(x, beta=4)


def sampled(grid: Tensor, at: Tensor) -> Tensor:
    """A grid (B x C x n x n x n) between its nodes, at places B x N x 3 of [-1, 1]^3: B x N x C."""
    places = at.flip(2)[:, :, None, None]
    made = F.grid_sample(grid, places, "bilinear", "border", align_corners=True)
    return made[..., 0, 0].transpose(1, 2)


def gathered(rows: Tensor, at: Tensor) -> Tensor:
    """What `sampled` does, for one grid of FINE nodes a side as rows (FINE^3 x C) and places N x 3,
    in operators that ONNX has; it samples grids of three dimensions from opset 20 on only."""
    cell = ((at + 1) * ((FINE - 1) / 2)).clamp(0, FINE - 1)
    low = cell.floor().clamp(max=FINE - 2)
    x, y, z = (cell - low).split(1, 1)
    number = low[:, 0].long() * FINE**2 + low[:, 1].long() * FINE + low[:, 2].long()

    def between(step: int) -> Tensor:  # along y and z
        ends = [rows[number + step + FINE * up] for up in (0, 1)]
        nexts = [rows[number + step + FINE * up + 1] for up in (0, 1)]
        one, other = (a + z * (b - a) for a, b in zip(ends, nexts, strict=True))
        return one + y * (other - one)

    one, other = between(0), between(FINE**2)
    return one + x * (other - one)


class ShapeNet(nn.Module):
    """Decoder and head of one `width`."""

    def __init__(self, truncation: float, width: int = 16) -> None:
        super().__init__()
        self.decoder = Decoder(width)
        self.head = Head(truncation)
        nn.init.zeros_(self.decoder.block.second.weight)
        list(self.head.parameters())[-2].data.mul_(0.1)  # at first the coarse grid alone speaks

    def forward(self, latent: Tensor, points: Tensor) -> Tensor:
        """Distances (over the truncation) at points B x N x 3 of latents."""
        grid = self.decoder(latent)
        # What lies between two nodes needs more digits than bfloat16 has.
        with torch.autocast(grid.device.type, enabled=False):
            told: Tensor = self.head(grid.float(), points.float())
        return told
