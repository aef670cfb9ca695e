"""The network of the recipe `groove`: two bars of drums in which something is not known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.music.kit import FEATURES, LEVELS


class GrooveNet(nn.Module):
    """A bidirectional GRU over steps, with heads for hits, velocities and offsets of nine pieces.

    `forward(features N x T x FEATURES)` (see `kit.features`) gives logits of hits N x T x 9, and
    quantiles (kit.LEVELS, ascending) of velocities, 0..1, and of offsets, in seconds, each
    N x T x 9 x 9, as they are if there is a hit.
    """

    def __init__(self, width: int = 128, layers: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        self.enter = nn.Linear(FEATURES, width)
        between = dropout if layers > 1 else 0.0
        self.recurrent = nn.GRU(
            width, width, layers, batch_first=True, bidirectional=True, dropout=between
        )
        self.drop = nn.Dropout(dropout)
        self.hits = nn.Linear(2 * width, 9)
        self.feel = nn.Linear(2 * width, 2 * 9 * len(LEVELS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen, _ = self.recurrent(self.drop(F.gelu(self.enter(features))))
        seen = self.drop(seen)
        feel = self.feel(seen).unflatten(-1, (2, 9, len(LEVELS)))
        velocity = 0.5 + 0.5 * ascending(feel[..., 0, :, :])
        return self.hits(seen), velocity, 0.1 * ascending(feel[..., 1, :, :])


def ascending(raw: Tensor) -> Tensor:
    """Numbers (... x odd) as ascending ones: the middle as it is, the others by steps from it."""
    middle = raw.shape[-1] // 2
    steps = F.softplus(raw - 3)
    above = torch.cumsum(steps[..., middle + 1 :], -1)
    below = torch.cumsum(steps[..., :middle].flip(-1), -1).flip(-1)
    median = raw[..., middle : middle + 1]
    return torch.cat([median - below, median, median + above], -1)


def pinball(wanted: Tensor, quantiles: Tensor) -> Tensor:
    """The quantile loss of each value (...) under its quantiles (... x LEVELS), the median thrice.

    Koenker & Bassett 1978, "Regression Quantiles"; half the absolute error at the median, which is
    what the figures are measured by.
    """
    levels = quantiles.new_tensor(LEVELS)
    weights = torch.ones_like(levels)
    weights[len(LEVELS) // 2] = 3
    error = wanted[..., None] - quantiles
    each = torch.maximum(levels * error, (levels - 1) * error)
    return (each * weights).sum(-1) * 2 / weights.sum()
