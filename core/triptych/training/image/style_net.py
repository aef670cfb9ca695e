"""The style network: one small generator for all styles, steered by a code.

The generator works on grids of 4 and 8 pixels and leaves the finer one by pixel shuffles (Shi et
al. 2016), which makes it several times faster than the network of Johnson et al. 2016
(benchmarks/style_speed.py). Its only style-dependent numbers are the scales and shifts of its
instance normalisations (conditional instance normalisation, Dumoulin et al. 2017); a predictor
gives them for any picture (Ghiasi et al. 2017). What the normalisations measured can be held and
used for all tiles of a large picture (thumbnail instance normalisation, Chen et al. 2022):
`measure`, then `render`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.image.perceptual import CHANNELS, PerceptualNet

EPSILON = 1e-5
GRAINS = 4  # channels of noise on the grid of 4 pixels
Norm = Callable[[int, Tensor], Tensor]


class StyleNet(nn.Module):
    """Pictures (N x 3 x H x W, 0..1; H and W multiples of 8), codes (N x `code_size`) and grain
    (N x 1 x H x W of white noise) to stylised pictures of the same size, 0..1.

    A code holds the normalisations' scales, then their shifts. The grain is what flat areas are
    painted from (noise as in Ulyanov et al. 2016): without it the network has nothing there to
    tell one place from the next, and repeats one stroke on its grid.
    """

    def __init__(
        self, quarter: int = 32, eighth: int = 80, blocks: int = 4, up: int = 32, half: int = 12
    ) -> None:
        super().__init__()
        self.sizes = [quarter, eighth, *[eighth] * (2 * blocks), up, half, 3, GRAINS]
        self.norm_size = sum(self.sizes)
        self.code_size = 2 * self.norm_size
        self.enter = nn.Conv2d(3, quarter, 8, stride=4)
        self.grain = nn.Conv2d(1, GRAINS, 4, stride=4, bias=False)
        self.down = nn.Conv2d(quarter + GRAINS, eighth, 3, stride=2)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(eighth, eighth, 3) for _ in range(2)) for _ in range(blocks)
        )
        self.up = nn.Conv2d(eighth, up, 3)
        # No bias: the shift of the normalisation that follows does the same.
        self.merge = nn.Conv2d(up + quarter + GRAINS, 4 * half, 3, padding=1, bias=False)
        self.leave = nn.Conv2d(half, 12, 3, padding=1, bias=False)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)
        # each of the four sub-pixels starts alike: no checkerboard (Aitken et al. 2017)
        for conv in (self.merge, self.leave):
            first = conv.weight.data[::4].clone() * (0.3 if conv is self.leave else 1.0)
            conv.weight.data.copy_(first.repeat_interleave(4, 0))

    def _run(self, picture: Tensor, grain: Tensor, norm: Norm) -> Tensor:
        fine = F.relu(norm(0, self.enter(_edged(picture, 2))))
        fine = torch.cat([fine, norm(len(self.sizes) - 1, self.grain(grain))], 1)
        x = F.relu(norm(1, self.down(_edged(fine))))
        at = 2
        for pair in self.blocks:
            first, second = pair.children()
            y = F.relu(norm(at, first(_edged(x))))
            x = x + norm(at + 1, second(_edged(y)))
            at += 2
        x = F.relu(norm(at, self.up(_edged(x))))
        x = F.interpolate(_blurred(x), scale_factor=2.0, mode="bilinear")
        x = _shuffled(self.merge(torch.cat([x, fine], 1)), (1, 0, 1, 0))
        x = _shuffled(self.leave(F.relu(norm(at + 1, x))), (0, 1, 0, 1))
        # What is painted goes onto the picture itself in the style's colours, so that detail finer
        # than the grid need not pass through the network.
        return torch.sigmoid(x + norm(at + 2, picture))

    def _split(self, vector: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        scales, shifts = vector.unsqueeze(-1).unsqueeze(-1).split(self.norm_size, 1)
        return list(scales.split(self.sizes, 1)), list(shifts.split(self.sizes, 1))

    def _measuring(self, code: Tensor, found: dict[int, tuple[Tensor, Tensor]] | None) -> Norm:
        scales, shifts = self._split(code)

        def norm(index: int, x: Tensor) -> Tensor:
            variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
            scale, shift = scales[index], shifts[index]
            if x.dtype != scale.dtype:  # autocast; a cast in the graph would mislead ORT
                scale, shift = scale.to(x.dtype), shift.to(x.dtype)
            scale = scale * torch.rsqrt(variance + EPSILON)
            shift = shift - mean * scale
            if found is not None:
                found[index] = (scale, shift)
            return x * scale + shift

        return norm

    def forward(self, picture: Tensor, code: Tensor, grain: Tensor | None = None) -> Tensor:
        """Stylise with each picture's own statistics; the grain is drawn where none is given."""
        if grain is None:
            grain = torch.rand_like(picture[:, :1])
        return self._run(picture, grain, self._measuring(code, None))

    def measure(self, picture: Tensor, code: Tensor, grain: Tensor) -> Tensor:
        """What the normalisations do to this picture: N x `code_size`, scales then shifts."""
        found: dict[int, tuple[Tensor, Tensor]] = {}
        self._run(picture, grain, self._measuring(code, found))
        affine = [found[i] for i in sorted(found)]
        return torch.cat([s for s, _ in affine] + [s for _, s in affine], 1).flatten(1)

    def render(self, picture: Tensor, affine: Tensor, grain: Tensor) -> Tensor:
        """Stylise with statistics that `measure` found, on this picture or on a small copy."""
        scales, shifts = self._split(affine)
        return self._run(picture, grain, lambda i, x: x * scales[i] + shifts[i])

    def plain_code(self) -> Tensor:
        """The code that normalises and changes nothing more: 1 x `code_size`."""
        ones = torch.ones(1, self.norm_size)
        return torch.cat([ones, torch.zeros_like(ones)], 1)


def _edged(x: Tensor, wide: int = 1) -> Tensor:
    """`wide` more positions on every side, copies of the edge. Zeros would tell the network where
    the border is, and it fills the border with the colours that the photograph lacks."""
    return F.pad(x, (wide,) * 4, mode="replicate")


def _blurred(x: Tensor) -> Tensor:
    """A binomial filter (1 2 1)/4 in both directions. It takes away the grid's highest frequency,
    on which the network would else print one motif at every second position."""
    return F.avg_pool2d(F.avg_pool2d(_edged(x), 2, stride=1), 2, stride=1)


def _shuffled(x: Tensor, beyond: tuple[int, int, int, int]) -> Tensor:
    """A pixel shuffle by 2 and the mean over 2 x 2 pixels, without which the four sub-pixels show
    as a checkerboard (Sugawara et al. 2018). `beyond` is the side from which the means come."""
    return F.avg_pool2d(F.pad(F.pixel_shuffle(x, 2), beyond, mode="replicate"), 2, stride=1)


class StyleStatistics(nn.Module):
    """A style picture (N x 3 x H x W, 0..1, any size from 64 px) to the numbers that describe it.

    Means and deviations of our perceptual network's channels, Gram matrices of a fixed projection
    of each tap, and the colours' mean and covariance; standardised over the training styles.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: PerceptualNet, project: int = 24) -> None:
        super().__init__()
        self.features = features.requires_grad_(False).eval()
        generator = torch.Generator().manual_seed(0)
        for index, channels in enumerate(CHANNELS):
            matrix = torch.randn(channels, project, generator=generator) / channels**0.5
            self.register_buffer(f"projection{index}", matrix)
        upper = torch.triu(torch.ones(project, project)).flatten().nonzero().flatten()
        self.register_buffer("upper", upper)
        self.size = 2 * sum(CHANNELS) + len(CHANNELS) * len(upper) + 12
        self.register_buffer("mean", torch.zeros(self.size))
        self.register_buffer("deviation", torch.ones(self.size))

    def raw(self, picture: Tensor) -> Tensor:
        """The statistics before standardisation: N x `size`."""
        found = []
        for index, tap in enumerate(self.features(picture)):
            flat = tap.flatten(2)
            mean = flat.mean(2)
            centred = flat - mean.unsqueeze(2)
            deviation = (centred.pow(2).mean(2) + 1e-6).sqrt()
            small = getattr(self, f"projection{index}").T @ centred
            matrix = small @ small.transpose(1, 2) / flat.shape[2]
            picked = matrix.flatten(1).index_select(1, self.upper)
            found += [mean, deviation, picked.sign() * (picked.abs() + 1e-6).sqrt()]
        colours = picture.flatten(2)
        mean = colours.mean(2)
        centred = colours - mean.unsqueeze(2)
        covariance = (centred @ centred.transpose(1, 2) / colours.shape[2]).flatten(1)
        return torch.cat([*found, mean, covariance], 1)

    def forward(self, picture: Tensor) -> Tensor:
        return ((self.raw(picture) - self.mean) / self.deviation).clamp(-5, 5)


class StylePredictor(nn.Module):
    """Style statistics (N x S) to codes (N x C)."""

    def __init__(self, statistics: int, code: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(statistics, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, code),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        plain = torch.cat([torch.ones(code // 2), torch.zeros(code // 2)])
        self.register_buffer("plain", plain)

    def forward(self, statistics: Tensor) -> Tensor:
        return self.plain + self.layers(statistics)


class StyleModel(nn.Module):
    """What the recipe `style` trains: generator, predictor and the library's own corrections.

    The code of library style k is the predictor's plus `corrections[k]`.
    """

    def __init__(self, statistics: int, library: int) -> None:
        super().__init__()
        self.net = StyleNet()
        self.predictor = StylePredictor(statistics, self.net.code_size)
        self.corrections = nn.Parameter(torch.zeros(library, self.net.code_size))

    def codes(self, statistics: Tensor, library: Tensor) -> Tensor:
        """Codes for statistics N x S; `library` N holds the style's place or -1 for any picture."""
        known = (library >= 0).unsqueeze(1)
        return self.predictor(statistics) + known * self.corrections[library.clamp(min=0)]

    def forward(self, picture: Tensor, statistics: Tensor, library: Tensor) -> Tensor:
        return self.net(picture, self.codes(statistics, library))
