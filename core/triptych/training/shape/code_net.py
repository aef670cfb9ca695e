"""The networks between latents and codes, and the critics of both.

A latent's coordinates are those along the principal components of all (`latents.Space`). Networks
are small and dense, as in Achlioptas et al. 2018 ("Learning representations and generative models
for 3D point clouds", section 3).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.shape.latents import Space, with_proportions

CODE = 128
NOISE = 64
_KIND = 24  # numbers that stand for a category
_WIDTH = 512


class Condition(nn.Module):
    """Shares of the categories (B x K) and proportions (B x 3) as numbers (B x SIZE)."""

    SIZE = _KIND + 3

    def __init__(self, categories: int) -> None:
        super().__init__()
        self.kind = nn.Linear(categories, _KIND, bias=False)
        nn.init.normal_(self.kind.weight)

    def forward(self, kinds: Tensor, proportions: Tensor) -> Tensor:
        return torch.cat([self.kind(kinds), 4 * proportions - 2], 1)


def _dense(inputs: int, layers: int, outputs: int, width: int = _WIDTH) -> nn.Sequential:
    made: list[nn.Module] = []
    for layer in range(layers):
        made += [nn.Linear(width if layer else inputs, width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*made, nn.Linear(width, outputs))


class Coder(nn.Module):
    """Latents to codes and back: a variational autoencoder of their coordinates.

    `seen` is the number of coordinates that the code is read from.
    """

    def __init__(self, categories: int, space: Space, seen: int) -> None:
        super().__init__()
        self.space, self.seen = space, seen
        self.told, self.asked = Condition(categories), Condition(categories)
        self.encoder = _dense(seen + Condition.SIZE, 3, 2 * CODE)
        self.first = nn.Linear(CODE + Condition.SIZE, _WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(3))
        self.last = nn.Linear(_WIDTH, len(space.axes))

    def forward(self, x: Tensor, kinds: Tensor, proportions: Tensor, wanted: str) -> Tensor:
        """From coordinates (B x at least `seen`) or codes (B x CODE), what is `wanted` of them.

        "code": mean and log-variance of the code (B x 2 CODE); "coordinates": B x count.
        """
        if wanted == "code":
            given = torch.cat([x[:, : self.seen], self.told(kinds, proportions)], 1)
            return self.encoder(given)
        x = self.first(torch.cat([x, self.asked(kinds, proportions)], 1))
        for block in self.blocks:
            x = block(x)
        return self.last(F.silu(x))


class _Block(nn.Module):
    """Two dense layers beside the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class Build(nn.Module):
    """The graph `build`: code (B x CODE), kinds, proportions to a latent (B x LATENT)."""

    def __init__(self, coder: Coder) -> None:
        super().__init__()
        self.coder = coder

    def forward(self, code: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        made = self.coder.space(self.coder(code, kinds, proportions, "coordinates"))
        return with_proportions(made, proportions)


class Code(nn.Module):
    """The graph `code`: latent (B x LATENT), kinds to a code (B x CODE)."""

    axes: Tensor

    def __init__(self, coder: Coder) -> None:
        super().__init__()
        self.coder = coder
        axes = coder.space.axes.detach()[: coder.seen]  # the others need not lie in the graph
        self.register_buffer("axes", axes / (axes**2).sum(1, keepdim=True))

    def forward(self, latent: Tensor, kinds: Tensor) -> Tensor:
        coordinates = (latent - self.coder.space.mean) @ self.axes.T
        return self.coder(coordinates, kinds, latent[:, -3:], "code")[:, :CODE]


class Critic(nn.Module):
    """Coordinates or codes (B x size) with their condition to scores (B)."""

    def __init__(self, categories: int, size: int) -> None:
        super().__init__()
        self.told = Condition(categories)
        self.layers = _dense(size + Condition.SIZE, 3, 1)

    def forward(self, x: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        made: Tensor = self.layers(torch.cat([x, self.told(kinds, proportions)], 1))[:, 0]
        return made


class Generator(nn.Module):
    """The graph `draw`: noise (B x NOISE), kinds, proportions to a code (B x CODE)."""

    def __init__(self, categories: int) -> None:
        super().__init__()
        self.asked = Condition(categories)
        self.layers = _dense(NOISE + Condition.SIZE, 3, CODE)

    def forward(self, noise: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        made: Tensor = self.layers(torch.cat([noise, self.asked(kinds, proportions)], 1))
        return made
