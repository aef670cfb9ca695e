"""The networks of synthesis: from a latent to a small picture, from that to a large one, and back.

The composer follows StyleGAN2 (Karras et al. 2020): a mapping network, convolutions that a style
modulates, skips to RGB; and FastGAN's skip-layer excitation (Liu et al. 2021).
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATENT = 128  # numbers of a latent, and of a style
SMALL = 64  # px of the side of what the composer makes
SCALE = 4  # how many times larger the painter makes it
_SIDES = (4, 8, 16, 32, 64)
_WIDTHS = (128, 128, 96, 48, 24)
LEVELS = len(_SIDES)  # each has a style of its own


class Mapping(nn.Module):
    """Latents N x LATENT and numbers of domains N to styles N x LATENT."""

    def __init__(self, domains: int) -> None:
        super().__init__()
        self.domain = nn.Embedding(domains, LATENT)
        self.layers = nn.Sequential(
            nn.Linear(2 * LATENT, 2 * LATENT),
            nn.LeakyReLU(0.2),
            nn.Linear(2 * LATENT, 2 * LATENT),
            nn.LeakyReLU(0.2),
            nn.Linear(2 * LATENT, LATENT),
        )
        for layer in self.layers:  # styles as large as latents, from the start
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)

    def forward(self, latent: Tensor, domain: Tensor) -> Tensor:
        unit = latent * torch.rsqrt(latent.square().mean(1, keepdim=True) + 1e-8)
        made: Tensor = self.layers(torch.cat([unit, self.domain(domain)], 1))
        return made


class Modulated(nn.Module):
    """A convolution whose inputs a style scales, its outputs scaled back to a variance of one.

    What StyleGAN2 does to the weights of each picture (section 2.2) is done to its inputs and
    outputs here, which is the same and needs no weights of its own for each picture.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (3 * inputs**0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.affine = nn.Linear(LATENT, inputs)
        nn.init.normal_(self.affine.weight, std=LATENT**-0.5)
        nn.init.ones_(self.affine.bias)
        self.grain = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        scale = self.affine(style)
        power = scale.square() @ self.weight.square().sum((2, 3)).T
        x = F.conv2d(x * scale[..., None, None], self.weight, padding=1)
        x = x * torch.rsqrt(power + 1e-6)[..., None, None]
        x = x + self.grain[:, None, None] * noise + self.bias[:, None, None]
        return 1.4 * F.leaky_relu(x, 0.2)


class Composer(nn.Module):
    """Styles N x LEVELS x LATENT and noise N x 1 x SMALL x SMALL to N x 3 x SMALL x SMALL, about
    within 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(LATENT, _WIDTHS[0] * 16)
        self.first = Modulated(_WIDTHS[0], _WIDTHS[0])
        pairs = list(itertools.pairwise(_WIDTHS))
        self.enter = nn.ModuleList(Modulated(a, b) for a, b in pairs)
        self.leave = nn.ModuleList(Modulated(b, b) for _, b in pairs)
        self.colour = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in _WIDTHS)
        self.excite = nn.ModuleList(  # 32 by 4, 64 by 8
            nn.Sequential(nn.Conv2d(a, b, 4), nn.SiLU(), nn.Conv2d(b, b, 1), nn.Sigmoid())
            for a, b in ((_WIDTHS[0], _WIDTHS[3]), (_WIDTHS[1], _WIDTHS[4]))
        )

    def forward(self, styles: Tensor, noise: Tensor) -> Tensor:
        def grain(side: int) -> Tensor:  # of a deviation of one at every level
            part = SMALL // side
            return part * F.avg_pool2d(noise, part) if part > 1 else noise

        x = self.start(styles[:, 0]).unflatten(1, (_WIDTHS[0], 4, 4))
        x = self.first(x, styles[:, 0], grain(4))
        rgb, seen = self.colour[0](x), [x]
        for level in range(1, LEVELS):
            style = styles[:, level]
            x = self.enter[level - 1](x, style, grain(_SIDES[level - 1]))
            x = self.leave[level - 1](_doubled(x), style, grain(_SIDES[level]))
            if level >= 3:
                source = F.adaptive_avg_pool2d(seen[level - 3], 4)
                x = x * 2 * self.excite[level - 3](source)
            seen.append(x)
            rgb = _doubled(rgb) + self.colour[level](x)
        return 0.5 + 0.25 * rgb


class Painter(nn.Module):
    """Small pictures N x 3 x h x w with noise N x 1 x h x w to N x 3 x SCALE*h x SCALE*w, 0..1.

    Plain convolutions on the small picture, then two pixel shuffles (Shi et al. 2016); what they
    make is added to bilinear interpolation.
    """

    def __init__(self, domains: int, width: int = 56, depth: int = 6) -> None:
        super().__init__()
        self.domain = nn.Embedding(domains, width)
        self.enter = nn.Conv2d(4, width, 3, padding=1)
        self.trunk = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(2)])
            for _ in range(depth // 2)
        )
        self.middle = nn.Conv2d(width, 4 * 24, 3, padding=1)
        self.late = nn.Conv2d(24, 24, 3, padding=1)
        self.last = nn.Conv2d(24, 12, 3, padding=1)
        nn.init.normal_(self.last.weight, std=0.01)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, small: Tensor, domain: Tensor, noise: Tensor) -> Tensor:
        x = self.enter(torch.cat([4 * (small - 0.5), noise], 1))
        x = x + self.domain(domain)[..., None, None]
        for pair in self.trunk:
            assert isinstance(pair, nn.ModuleList)
            x = x + pair[1](F.leaky_relu(pair[0](F.leaky_relu(x, 0.2)), 0.2))
        x = F.pixel_shuffle(F.leaky_relu(self.middle(x), 0.2), 2)
        x = x + F.leaky_relu(self.late(x), 0.2)
        plain = _doubled(_doubled(small))
        return plain + F.pixel_shuffle(self.last(x), 2)


class Encoder(nn.Module):
    """Small pictures N x 3 x SMALL x SMALL to the styles that make them: N x LEVELS x LATENT."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 32), (32, 64), (64, 128), (128, 128)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(128 * 16, LEVELS * LATENT)

    def forward(self, small: Tensor) -> Tensor:
        made: Tensor = self.last(self.layers(2 * small - 1).flatten(1))
        return made.unflatten(1, (LEVELS, LATENT))


class PixelCritic(nn.Module):
    """Pictures N x 3 x SMALL x SMALL and domains N to one score per patch: a list of N x 8 x 8."""

    def __init__(self, domains: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 24), (24, 48), (48, 96)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(96, domains, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor, domain: Tensor) -> list[Tensor]:
        rows = torch.arange(len(domain), device=domain.device)
        return [self.layers(2 * pictures - 1)[rows, domain].float()]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
