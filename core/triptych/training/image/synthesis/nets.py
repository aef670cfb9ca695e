"""The networks of synthesis: a codec of small pictures and a generator of its codes.

The generator follows StyleGAN2 (Karras et al. 2020): a mapping network, convolutions that a style
modulates. It makes codes and not pixels, so that a processor can train it.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALL = 64  # px of the side of a small picture
GRID = 8  # cells of the side of a code
CODE = 16  # numbers of a cell
LATENT = 128  # numbers of a latent, and of a style
LEVELS = 5  # of the generator: its start and its layers, each with a style of its own
_WIDTHS = (128, 96, 48, 24)  # of the decoder, at 8, 16, 32 and 64 px


class Encoder(nn.Module):
    """Small pictures N x 3 x SMALL x SMALL, 0..1, to codes N x CODE x GRID x GRID.

    Over the training pictures each number of a cell has a mean of 0 and a deviation of 1.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GELU()]
            layers += [_Residual(outputs)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(128, CODE, 1))
        self.norm = nn.BatchNorm2d(CODE, affine=False, momentum=0.02)

    def forward(self, small: Tensor) -> Tensor:
        made: Tensor = self.norm(self.layers(4 * (small - 0.5)))
        return made


class Decoder(nn.Module):
    """Codes N x CODE x GRID x GRID to small pictures N x 3 x SMALL x SMALL, about within 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(CODE, _WIDTHS[0], 3, padding=1)
        self.first = nn.Sequential(_Residual(_WIDTHS[0]), _Residual(_WIDTHS[0]))
        pairs = list(itertools.pairwise(_WIDTHS))
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.refine = nn.ModuleList(_Residual(b) for _, b in pairs)
        self.colour = nn.Conv2d(_WIDTHS[-1], 3, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.first(self.enter(codes))
        for narrow, refine in zip(self.narrow, self.refine, strict=True):
            x = refine(_doubled(narrow(F.gelu(x))))
        made: Tensor = 0.5 + 0.25 * self.colour(F.gelu(x))
        return made


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.share * self.second(F.gelu(self.first(F.gelu(x))))


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


class Generator(nn.Module):
    """Styles N x LEVELS x LATENT and noise N x 1 x GRID x GRID to codes N x CODE x GRID x GRID.

    The first three levels work on half the grid.
    """

    def __init__(self, width: int = 160) -> None:
        super().__init__()
        self.width = width
        self.start = nn.Linear(LATENT, width * (GRID // 2) ** 2)
        self.layers = nn.ModuleList(Modulated(width, width) for _ in range(LEVELS - 1))
        self.leave = nn.ModuleList(nn.Conv2d(width, CODE, 1) for _ in range(LEVELS - 1))

    def forward(self, styles: Tensor, noise: Tensor) -> Tensor:
        half = GRID // 2
        coarse = 2 * F.avg_pool2d(noise, 2)
        x = self.start(styles[:, 0]).unflatten(1, (self.width, half, half))
        codes: Tensor | None = None
        for level, (layer, leave) in enumerate(zip(self.layers, self.leave, strict=True), 1):
            if level == 3:
                assert codes is not None
                x, codes = _doubled(x), _doubled(codes)
            x = layer(x, styles[:, level], coarse if level < 3 else noise)
            codes = leave(x) if codes is None else codes + leave(x)
        assert codes is not None
        return codes


class Inverter(nn.Module):
    """Codes N x CODE x GRID x GRID to the styles that make them: N x LEVELS x LATENT."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(CODE, 96, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(96, 128, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(128 * (GRID // 2) ** 2, LEVELS * LATENT),
        )

    def forward(self, codes: Tensor) -> Tensor:
        made: Tensor = self.layers(codes).unflatten(1, (LEVELS, LATENT))
        return made


class CodeCritic(nn.Module):
    """Codes N x CODE x GRID x GRID and domains N to scores N.

    The deviation over the batch is one of its inputs (Karras et al. 2018, section 3), and the
    domain's score is a projection (Miyato & Koyama 2018).
    """

    def __init__(self, domains: int, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(CODE + 1, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(width * (GRID // 2) ** 2, width),
            nn.LeakyReLU(0.2),
        )
        self.plain = nn.Linear(width, 1)
        self.domain = nn.Embedding(domains, width)
        nn.init.zeros_(self.domain.weight)

    def forward(self, codes: Tensor, domain: Tensor) -> Tensor:
        spread = (codes.var(0, unbiased=False) + 1e-6).sqrt().mean()
        x = self.layers(torch.cat([codes, spread.expand_as(codes[:, :1])], 1))
        made: Tensor = self.plain(x)[:, 0] + (self.domain(domain) * x).sum(1)
        return made


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
