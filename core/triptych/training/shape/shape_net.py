"""The autoencoder of shapes: surface points to a latent, the latent to three planes of features,
the planes to a distance anywhere.

The three planes (xy, zy, xz) follow "convolutional occupancy networks" (Peng et al. 2020) and the
tri-planes of EG3D (Chan et al. 2022): all that is costly is convolution in two dimensions. Where
the planes are small, one network sees all three; above, each is worked on alone with the same
weights.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS, SIDE = 8, 8  # of each plane of the latent
LATENT = (3 * CHANNELS, SIDE, SIDE)
FEATURES, RESOLUTION = 16, 128  # of each plane that the field is read from
_GRID = 64  # cells of a side where the encoder gathers points
AXES = ((0, 1), (2, 1), (0, 2))
"""Which coordinates go to the right and down in each plane."""


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class Encoder(nn.Module):
    """Points with normals (B x N x 6) to the mean and the log-variance (B x 24 x 8 x 8).

    Each point's features are averaged in the cells of the planes twice (local pooling), then the
    planes are made smaller by convolutions.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.point = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width))
        self.again = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))
        wide = [width + 2, 2 * width, 3 * width, 3 * width]
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(wide)
        )
        self.middle = nn.Conv2d(9 * width, 6 * width, 3, padding=1)
        self.block = Residual(6 * width)
        self.last = nn.Conv2d(6 * width, 6 * CHANNELS, 1)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        cells = [_cell(points[..., list(axes)]) for axes in AXES]
        count = [_gathered(torch.ones_like(points[..., :1]), cell) for cell in cells]
        features = self.point(points)
        back = [_mean(features, cell, n) for cell, n in zip(cells, count, strict=True)]
        around = [_looked_up(plane, cell) for plane, cell in zip(back, cells, strict=True)]
        features = self.again(torch.cat([features, torch.stack(around).mean(0)], -1))
        planes = []
        for cell, n in zip(cells, count, strict=True):
            plane = _mean(features, cell, n)
            x = torch.cat([plane, (n > 0).float(), (n / (n + 2))], 1)
            x = x.reshape(-1, x.shape[1], _GRID, _GRID)
            for layer in self.down:
                x = F.silu(layer(x))
            planes.append(x)
        x = self.block(self.middle(torch.cat(planes, 1)))
        mean, spread = self.last(F.silu(x)).chunk(2, 1)
        return mean, spread.clamp(-12, 4)


def _cell(places: Tensor) -> Tensor:
    """Which cell of a plane each place (B x N x 2) lies in (B x N)."""
    at = ((places + 1) * (_GRID / 2)).clamp(0, _GRID - 1).long()
    return at[..., 1] * _GRID + at[..., 0]


def _gathered(features: Tensor, cell: Tensor) -> Tensor:
    """Sums (B x C x cells) of features (B x N x C)."""
    empty = torch.zeros_like(features[:, :1]).transpose(1, 2).repeat(1, 1, _GRID * _GRID)
    index = cell[:, None].expand(-1, features.shape[2], -1)
    return empty.scatter_add(2, index, features.transpose(1, 2))


def _mean(features: Tensor, cell: Tensor, count: Tensor) -> Tensor:
    return _gathered(features, cell) / count.clamp(min=1)


def _looked_up(plane: Tensor, cell: Tensor) -> Tensor:
    """What the cells hold (B x C x cells), for each point (B x N x C)."""
    index = cell[:, None].expand(-1, plane.shape[1], -1)
    return plane.gather(2, index).transpose(1, 2)


class Decoder(nn.Module):
    """A latent (B x 24 x 8 x 8) to planes (B * 3 x 16 x 128 x 128)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.start = nn.Conv2d(3 * CHANNELS, 6 * width, 3, padding=1)
        self.small = nn.ModuleList([Residual(6 * width), Residual(6 * width)])  # at 8 and 16
        self.share = nn.Conv2d(6 * width, 6 * width, 1)
        self.which = nn.Parameter(torch.zeros(3, 2 * width, 1, 1))
        self.up = nn.ModuleList(
            [
                nn.Conv2d(2 * width, 2 * width, 3, padding=1),  # at 32
                nn.Conv2d(2 * width, width, 3, padding=1),  # at 64
            ]
        )
        self.narrow = nn.Conv2d(width, FEATURES, 1)
        self.last = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        x = self.small[0](self.start(latent))
        x = self.small[1](_doubled(x))
        x = self.share(F.silu(x))
        x = x.reshape(-1, 3, x.shape[1] // 3, 2 * SIDE, 2 * SIDE) + self.which
        x = x.reshape(-1, x.shape[2], 2 * SIDE, 2 * SIDE)
        for layer in self.up:
            x = F.silu(layer(_doubled(x)))
        x = _doubled(self.narrow(x))
        return x + self.last(F.silu(x))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Head(nn.Module):
    """What three planes (B * 3 x 16 x 128 x 128) say at points (B x N x 3): B x N.

    That is the distance in units of the truncation; beyond 1 on either side it means "far".
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3 * FEATURES + 3, width),
            nn.Softplus(beta=4),
            nn.Linear(width, width),
            nn.Softplus(beta=4),
            nn.Linear(width, 1),
        )

    def forward(self, planes: Tensor, points: Tensor) -> Tensor:
        flat = torch.stack([points[..., list(axes)] for axes in AXES], 1)  # B x 3 x N x 2
        at = flat.reshape(-1, 1, flat.shape[2], 2)
        read = F.grid_sample(planes, at, "bilinear", "border", align_corners=False)
        read = read.reshape(-1, 3 * FEATURES, flat.shape[2]).transpose(1, 2)
        return self.layers(torch.cat([read, points], -1)).squeeze(-1)


class ShapeNet(nn.Module):
    """Encoder, decoder and head of one `width`."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = Encoder(width), Decoder(width), Head()
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Weights with which signals keep their size (He et al. 2015).

        The latent tells much from the start, or the decoder learns to do without it.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Residual):
                nn.init.zeros_(module.second.weight)
        last = self.encoder.last
        nn.init.zeros_(last.weight[3 * CHANNELS :])
        if last.bias is not None:
            nn.init.constant_(last.bias[3 * CHANNELS :], -4.0)
        list(self.head.parameters())[-2].mul_(0.3)  # distances are small

    def forward(self, surface: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distances (over the truncation) at points B x N x 3; the latent's mean, log-variance."""
        mean, spread = self.encoder(surface)
        drawn = mean + torch.randn_like(mean) * torch.exp(0.5 * spread) if self.training else mean
        return self.head(self.decoder(drawn), points), mean, spread
