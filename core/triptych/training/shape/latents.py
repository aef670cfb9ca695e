"""What draws latents: a Gaussian for each category, and a network trained against a critic.

The Gaussian depends on the proportions alone; it is what the network is measured against. The
networks follow the l-WGAN of Achlioptas et al. 2018 ("Learning representations and generative
models for 3D point clouds", section 3): small and dense, on latents rather than shapes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from triptych.training.shape.shape_net import LATENT

NOISE = 64
_RIDGE = 0.02  # of the regression on the proportions, per example


class LinearGenerator(nn.Module):
    """noise (B x 64), category (B), proportions (B x 3) to a latent (B x 24 x 8 x 8).

    latent = mean + noise @ spread + (proportions - middle) @ slope, each of the category's own.
    """

    def __init__(self, categories: int) -> None:
        super().__init__()
        size = int(np.prod(LATENT))
        self.mean = nn.Parameter(torch.zeros(categories, size), requires_grad=False)
        self.spread = nn.Parameter(torch.zeros(categories, NOISE, size), requires_grad=False)
        self.middle = nn.Parameter(torch.zeros(categories, 3), requires_grad=False)
        self.slope = nn.Parameter(torch.zeros(categories, 3, size), requires_grad=False)

    def forward(self, noise: Tensor, category: Tensor, proportions: Tensor) -> Tensor:
        apart = (proportions - self.middle[category])[:, None]
        made = self.mean[category] + (noise[:, None] @ self.spread[category])[:, 0]
        made = made + (apart @ self.slope[category])[:, 0]
        return made.reshape(-1, *LATENT)

    @torch.no_grad()
    def fit(self, category: int, latents: np.ndarray, proportions: np.ndarray) -> None:
        """Learn a category from latents (N x 24 x 8 x 8) and proportions (N x 3).

        A ridge regression on the proportions, then the principal components of what is left.
        """
        x = latents.reshape(len(latents), -1).astype(np.float64)
        mean, middle = x.mean(0), proportions.mean(0)
        apart = proportions - middle
        square = apart.T @ apart + _RIDGE * len(x) * np.eye(3)
        slope = np.linalg.solve(square, apart.T @ (x - mean))
        left = x - mean - apart @ slope
        _, values, axes = np.linalg.svd(left, full_matrices=False)
        count = min(NOISE, len(x) - 1)
        spread = np.zeros((NOISE, x.shape[1]))
        spread[:count] = (values[:count, None] / np.sqrt(max(len(x) - 1, 1))) * axes[:count]
        for own, value in (
            (self.mean, mean),
            (self.middle, middle),
            (self.slope, slope),
            (self.spread, spread),
        ):
            own[category] = torch.from_numpy(value).float()


class Space(nn.Module):
    """Coordinates of latents along the principal components of those that it was made from."""

    def __init__(self, count: int) -> None:
        super().__init__()
        size = int(np.prod(LATENT))
        self.mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.axes = nn.Parameter(torch.zeros(count, size), requires_grad=False)

    @torch.no_grad()
    def fit(self, latents: np.ndarray) -> None:
        """Learn from latents (N x 24 x 8 x 8).

        A coordinate is divided by the root of its spread: the small ones, which make the detail,
        count for more than they are long, and for less than they would if all were equal.
        """
        x = torch.from_numpy(latents.reshape(len(latents), -1)).double()
        mean = x.mean(0)
        values, axes = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
        count = len(self.axes)
        scale = values[-count:].flip(0).clamp(min=1e-8) ** 0.25
        self.mean.copy_(mean.float())
        self.axes.copy_((axes[:, -count:].flip(1).T * scale[:, None]).float())

    def coordinates(self, latents: Tensor) -> Tensor:
        """Latents (B x 24 x 8 x 8) to coordinates (B x count)."""
        square = (self.axes**2).sum(1)
        return (latents.flatten(1) - self.mean) @ self.axes.T / square

    def forward(self, coordinates: Tensor) -> Tensor:
        """Coordinates (B x count) to latents (B x 24 x 8 x 8)."""
        return (self.mean + coordinates @ self.axes).reshape(-1, *LATENT)


def _dense(inputs: int, width: int, layers: int, outputs: int) -> nn.Sequential:
    made: list[nn.Module] = []
    for layer in range(layers):
        made += [nn.Linear(width if layer else inputs, width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*made, nn.Linear(width, outputs))


_KIND = 24  # numbers that stand for a category


class LatentGenerator(nn.Module):
    """noise (B x 64), category (B), proportions (B x 3) to a latent (B x 24 x 8 x 8)."""

    def __init__(self, categories: int, space: Space, width: int = 384) -> None:
        super().__init__()
        self.kind = nn.Embedding(categories, _KIND)
        self.layers = _dense(NOISE + _KIND + 3, width, 3, len(space.axes))
        self.space = space

    def forward(
        self, noise: Tensor, category: Tensor, proportions: Tensor, wanted: str = "latent"
    ) -> Tensor:
        """The latent, or its `wanted` "coordinates" in `space` (B x count)."""
        told = torch.cat([noise, self.kind(category), 4 * proportions - 2], 1)
        made: Tensor = self.layers(told)
        return made if wanted == "coordinates" else self.space(made)


class LatentCritic(nn.Module):
    """Coordinates (B x count) of a category (B) and of proportions (B x 3) to scores (B)."""

    def __init__(self, categories: int, count: int, width: int = 512) -> None:
        super().__init__()
        self.kind = nn.Embedding(categories, _KIND)
        self.layers = _dense(count + _KIND + 3, width, 3, 1)

    def forward(self, coordinates: Tensor, category: Tensor, proportions: Tensor) -> Tensor:
        told = torch.cat([coordinates, self.kind(category), 4 * proportions - 2], 1)
        made: Tensor = self.layers(told)[:, 0]
        return made
