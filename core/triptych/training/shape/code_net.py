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
PROTOTYPES = 128  # codes of each category, of which others are mixtures
DRAWN = 4  # codes of which one is taken
_KIND = 24  # numbers that stand for a category
_WIDTH = 512
_SHARP = 80  # how much more the prototypes' weights differ when training begins
_ROUNDS = 10  # of k-means


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

    @torch.no_grad()
    def keep(self, count: int) -> None:
        """Build the first `count` coordinates only."""
        self.space.axes = nn.Parameter(self.space.axes[:count].clone(), requires_grad=False)
        self.last.weight = nn.Parameter(self.last.weight[:count].clone())
        self.last.bias = nn.Parameter(self.last.bias[:count].clone())

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
    """The graph `build`: code (B x CODE), kinds, proportions to coordinates (B x count)."""

    def __init__(self, coder: Coder) -> None:
        super().__init__()
        self.coder = coder

    def forward(self, code: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        made: Tensor = self.coder(code, kinds, proportions, "coordinates")
        return made

    def latents(self, code: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        """The latents (B x LATENT) that these coordinates stand for."""
        made = self.coder.space(self(code, kinds, proportions))
        return with_proportions(made, proportions)


class Code(nn.Module):
    """The graph `code`: coordinates (B x seen), kinds, proportions to a code (B x CODE)."""

    def __init__(self, coder: Coder) -> None:
        super().__init__()
        self.coder = coder

    def forward(self, coordinates: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        return self.coder(coordinates, kinds, proportions, "code")[:, :CODE]


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
    """Noise (B x NOISE), kinds, proportions to a code (B x CODE).

    A code is a mixture of few prototypes of its category, which are learned too, and a little
    more: what lies between two true codes is what a coder has learned to build. Which ones is as
    in attention (Vaswani et al. 2017, section 3.2) with the prototypes as values.
    """

    def __init__(self, categories: int) -> None:
        super().__init__()
        self.asked = Condition(categories)
        self.prototypes = nn.Parameter(torch.randn(categories, PROTOTYPES * CODE))
        self.usual = nn.Linear(categories, PROTOTYPES, bias=False)
        self.layers = _dense(NOISE + Condition.SIZE, 2, PROTOTYPES + CODE)
        nn.init.zeros_(self.usual.weight)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight[:PROTOTYPES] *= _SHARP
            last.weight[PROTOTYPES:] *= 0.1
            last.bias.zero_()

    @torch.no_grad()
    def begin(self, codes: Tensor, category: Tensor) -> None:
        """Take means of near codes (N x CODE) of each category (N) as its prototypes (k-means)."""
        for number in range(len(self.prototypes)):
            own = codes[category == number]
            if not len(own):
                continue
            self.prototypes[number] = k_means(own, PROTOTYPES).flatten()

    def forward(self, noise: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        told = self.layers(torch.cat([noise, self.asked(kinds, proportions)], 1))
        share = (told[:, :PROTOTYPES] + self.usual(kinds)).softmax(1)
        known = (kinds @ self.prototypes).reshape(-1, PROTOTYPES, CODE)
        made: Tensor = (share[:, None] @ known)[:, 0] + told[:, PROTOTYPES:]
        return made


class Draw(nn.Module):
    """The graph `draw`: noises (DRAWN x NOISE), kinds, proportions to the code (1 x CODE) that the
    critic likes best of those drawn.

    After Azadi et al. 2019, "Discriminator rejection sampling".
    """

    def __init__(self, generator: Generator, critic: Critic) -> None:
        super().__init__()
        self.generator, self.critic = generator, critic

    def forward(self, noise: Tensor, kinds: Tensor, proportions: Tensor) -> Tensor:
        wish = kinds.expand(DRAWN, -1), proportions.expand(DRAWN, -1)
        codes = self.generator(noise, *wish)
        best = self.critic(codes, *wish).argmax(0, keepdim=True)
        return codes[best]


@torch.no_grad()
def k_means(points: Tensor, count: int) -> Tensor:
    """Middles (count x D) of near points (N x D); of fewer points, some are there twice."""
    rng = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(points), generator=rng)[torch.arange(count) % len(points)]
    middle = points[chosen.to(points.device)]
    for _ in range(_ROUNDS):
        among = F.one_hot(torch.cdist(points, middle).argmin(1), count).float()
        many = among.sum(0)[:, None]
        middle = torch.where(many > 0, among.T @ points / many.clamp(min=1), middle)
    return middle


def slope(critic: nn.Module, true: Tensor, made: Tensor, mix: Tensor, *wish: Tensor) -> Tensor:
    """The length of the critic's gradient (B) at places between true and made."""
    with torch.enable_grad():
        between = (mix * true + (1 - mix) * made).detach().requires_grad_(True)
        scores = critic(between, *wish).sum()
        (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    return gradient.norm(dim=1)
