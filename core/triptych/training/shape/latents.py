"""The space of latents: principal components of those that are known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.shape import space as components
from triptych.training.export import as_int8, npz
from triptych.training.shape.shape_net import LATENT, REACH

_FITTED = 7000  # latents that the principal components are made from, about
_ROUNDED = 4e-4  # the step of a component, times its length
_TOGETHER = 512  # latents whose coordinates are found at once


class Space(nn.Module):
    """Coordinates of latents along the principal components of those that it was made from."""

    def __init__(self, count: int) -> None:
        super().__init__()
        size = int(np.prod(LATENT))
        self.mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.axes = nn.Parameter(torch.zeros(count, size), requires_grad=False)

    @torch.no_grad()
    def fit(self, latents: np.ndarray) -> None:
        """Learn from latents (N x LATENT); of many, from some.

        The components are found with a random projection (Halko et al. 2011, algorithm 5.1). A
        coordinate is divided by the root of its spread: the small ones, which make the detail,
        count for more than they are long, and for less than they would if all were equal.
        """
        step = -(-len(latents) // _FITTED)
        x = torch.from_numpy(np.asarray(latents[::step], np.float32)).reshape(-1, *self.mean.shape)
        mean, count = x.mean(0), len(self.axes)
        x = x - mean
        more = min(count + 32, *x.shape)
        rng = torch.Generator().manual_seed(0)
        base = x @ torch.randn(x.shape[1], more, generator=rng)
        for _ in range(3):
            base = x @ (x.T @ torch.linalg.qr(base)[0])
        base = torch.linalg.qr(base)[0]
        _, values, axes = torch.linalg.svd(base.T @ x, full_matrices=False)
        scale = (values[:count] ** 2 / len(x)).clamp(min=1e-8) ** 0.25
        self.mean.copy_(mean)
        self.axes.copy_(axes[:count] * scale[:, None])

    def coordinates(self, latents: Tensor) -> Tensor:
        """Latents (B x LATENT) to coordinates (B x count)."""
        return (latents.flatten(1) - self.mean) @ self.axes.T / (self.axes**2).sum(1)

    @torch.no_grad()
    def told(self) -> bytes:
        """As the file that `triptych.shape.space` reads: the components as int8, a step each.

        Small components are rounded more coarsely: a latent loses the same by each. What is written
        is what the space is from then on.
        """
        step = as_int8(self.axes)[1]
        length = self.axes.norm(dim=1, keepdim=True)  # the root of the coordinate's spread
        step = step.maximum(_ROUNDED / length.clamp(min=1e-6))
        axes = (self.axes / step).round().to(torch.int8)
        self.mean.copy_(self.mean.half())
        self.axes.copy_(axes * step)
        held = {"mean": self.mean.half(), "axes": axes, "step": step[:, 0]}
        return npz({name: value.cpu().numpy() for name, value in held.items()})

    @classmethod
    @torch.no_grad()
    def read(cls, found: bundle.Bundle) -> Space:
        """The space that `told` wrote into a bundle."""
        held = components.Space.stored(found.arrays("space.npz"))
        made = cls(len(held.axes))
        made.mean.copy_(torch.from_numpy(held.mean))
        made.axes.copy_(torch.from_numpy(held.axes))
        return made

    @torch.no_grad()
    def stored(self, latents: np.ndarray) -> np.ndarray:
        """The coordinates (N x count, float32) of stored latents (N x LATENT)."""
        made = [
            self.coordinates(
                torch.from_numpy(latents[start : start + _TOGETHER].astype(np.float32))
            )
            for start in range(0, len(latents), _TOGETHER)
        ]
        return torch.cat(made).numpy()

    def forward(self, coordinates: Tensor) -> Tensor:
        """The first coordinates (B x count) to latents (B x LATENT)."""
        made = self.mean + coordinates @ self.axes[: coordinates.shape[1]]
        return made.reshape(-1, *LATENT)


def with_proportions(latents: Tensor, proportions: Tensor) -> Tensor:
    """The latents (B x LATENT) of boxes of these proportions (B x 3)."""
    return torch.cat([latents[:, :-3].clamp(-REACH, REACH), proportions], 1)
