"""What is known of a category's latents: a Gaussian that depends on the proportions.

It draws shapes until a network does it better, and it is the baseline of that network.
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
