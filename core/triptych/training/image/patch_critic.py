"""A patch discriminator on frozen features, and its hinge loss (Lim & Ye 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.image.perceptual import CHANNELS

_JUDGED = (1, 2, 3)  # taps that it sees


class PatchCritic(nn.Module):
    """Taps of N pictures to one score per patch and tap: a list of N x h x w.

    Each of `subjects` (artists, paintings) has its own scores; `which` (N) says whose are asked
    for; without it they are the first one's. It sees the frozen features of a perceptual network
    (Sauer et al. 2021), which keeps it from memorising a dozen paintings, or one.
    """

    def __init__(self, subjects: int, width: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(CHANNELS[tap], width, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, width, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, subjects, 1),
            )
            for tap in _JUDGED
        )

    def forward(self, taps: list[Tensor], which: Tensor | None = None) -> list[Tensor]:
        if which is None:
            which = torch.zeros(len(taps[0]), dtype=torch.long, device=taps[0].device)
        rows = torch.arange(len(which), device=which.device)
        pairs = zip(self.heads, _JUDGED, strict=True)
        return [head(taps[tap])[rows, which].float() for head, tap in pairs]


def score(scores: list[Tensor]) -> Tensor:
    """The mean score of each picture: N."""
    return torch.stack([s.mean((1, 2)) for s in scores]).mean(0)


def hinge(true: list[Tensor], false: list[Tensor]) -> Tensor:
    """The discriminator's loss of each pair of pictures, summed over taps: N."""
    losses = [
        F.relu(1 - t).mean((1, 2)) + F.relu(1 + f).mean((1, 2))
        for t, f in zip(true, false, strict=True)
    ]
    return torch.stack(losses).sum(0)


def told_apart(
    critic: nn.Module, judge: nn.Module, real: Sequence[Tensor], made: Sequence[list[Tensor]]
) -> Tensor:
    """The mean loss of a discriminator of one subject over groups of pictures, real ones and the
    taps of those that were made."""
    losses = []
    for pictures, taps in zip(real, made, strict=True):
        with torch.no_grad():
            true = judge(pictures)
        losses.append(hinge(critic(true), critic(taps)).mean())
    return torch.stack(losses).mean()
