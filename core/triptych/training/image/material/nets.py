"""The networks of materials, seamless by construction: every convolution pads around the edges.

A tile has a code: of each 8 x 8 px the principal components and how much finer grain there is. The
code is not learned, so a decoder (codes to tiles) and a flow (noise to codes of a class) can learn
at the same time. None of them knows where on a tile it is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 8  # px of a tile per place of its code
COMPONENTS = 47
CODE = COMPONENTS + 1  # numbers per place
GRID = 16  # places of a tile's side
_PATCH = 3 * STRIDE**2
_COARSEST = 6  # channels of a code that say most
_FLOOR = 0.03  # least deviation of a channel within a tile
STYLE = 2 * CODE + 2 * GRID * (GRID // 2 + 1)


class Coder(nn.Module):
    """Tiles N x 3 x H x W in 0..1 to codes N x CODE x H/8 x W/8 of zero mean and unit variance.

    The last number is the logarithm of the root mean square of what the components leave out.
    """

    mean: Tensor
    axes: Tensor
    scale: Tensor
    grain: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(_PATCH, 1, 1))
        self.register_buffer("axes", torch.zeros(COMPONENTS, _PATCH, 1, 1))
        self.register_buffer("scale", torch.ones(COMPONENTS, 1, 1))
        self.register_buffer("grain", torch.tensor([0.0, 1.0]))  # its mean and deviation

    @torch.no_grad()
    def fit(self, tiles: Tensor) -> None:
        """Learn mean, components and deviations from tiles N x 3 x H x W."""
        patches = F.pixel_unshuffle(tiles, STRIDE)
        flat = patches.permute(0, 2, 3, 1).reshape(-1, _PATCH)
        values, vectors = torch.linalg.eigh(torch.cov(flat.T.double()))
        order = values.argsort(descending=True)[:COMPONENTS]
        self.mean.copy_(flat.mean(0)[:, None, None])
        self.axes.copy_(vectors[:, order].T[..., None, None])
        self.scale.copy_(values[order].sqrt()[:, None, None])
        grain = self._parts(tiles)[1]
        self.grain.copy_(torch.stack([grain.mean(), grain.std()]))

    def _parts(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        patches = F.pixel_unshuffle(tiles, STRIDE) - self.mean
        components = F.conv2d(patches, self.axes)
        left = patches - F.conv_transpose2d(components, self.axes)
        return components, (left.square().mean(1, keepdim=True) + 1e-6).log() / 2

    def forward(self, tiles: Tensor) -> Tensor:
        components, grain = self._parts(tiles)
        return torch.cat([components / self.scale, (grain - self.grain[0]) / self.grain[1]], 1)


def around(inputs: int, outputs: int, size: int = 3, groups: int = 1) -> nn.Conv2d:
    """A convolution that pads around the edges."""
    return nn.Conv2d(
        inputs, outputs, size, padding=size // 2, groups=groups, padding_mode="circular"
    )


class Block(nn.Module):
    """A residual block: depthwise 5 x 5, then two pointwise layers (ConvNeXt's order).

    With `told`, what is known of the whole tile (N x told) scales and shifts its middle.
    """

    def __init__(self, width: int, wider: int = 2, told: int = 0) -> None:
        super().__init__()
        self.look = around(width, width, 5, groups=width)
        self.open = nn.Conv2d(width, wider * width, 1)
        self.close = nn.Conv2d(wider * width, width, 1)
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.3))
        self.film = nn.Linear(told, 2 * width) if told else None

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        seen = self.look(x)
        if self.film is not None:
            factor, offset = self.film(told)[..., None, None].chunk(2, 1)
            seen = _even(seen) * (1 + factor) + offset
        return x + self.share * self.close(F.relu(self.open(seen)))


def _even(x: Tensor) -> Tensor:
    """Each place with a root mean square of 1 over its channels."""
    return x * (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()


class Decoder(nn.Module):
    """Codes N x CODE x h x w to tiles N x 3 x 8h x 8w, about 0..1.

    The network adds what the components leave out to what they say.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, coder: Coder, width: int = 96) -> None:
        super().__init__()
        self.register_buffer("mean", coder.mean.clone())
        self.register_buffer("axes", coder.axes * coder.scale[..., None])
        self.layers = nn.Sequential(
            around(CODE, 2 * width),
            Block(2 * width),
            Block(2 * width),
            nn.Conv2d(2 * width, 4 * width, 1),
            nn.PixelShuffle(2),
            Block(width),
            Block(width),
            nn.Conv2d(width, 4 * 32, 1),
            nn.PixelShuffle(2),
            Block(32),
            around(32, 4 * 3),
            nn.PixelShuffle(2),
        )

    def forward(self, codes: Tensor) -> Tensor:
        plain = F.conv_transpose2d(codes[:, :COMPONENTS], self.axes) + self.mean
        made: Tensor = F.pixel_shuffle(plain, STRIDE) + 0.1 * self.layers(codes)
        return made


class Style(nn.Module):
    """What is alike all over a tile: `forward(codes)` gives it as N x STYLE numbers of about unit
    size, with the codes' layout, which is what is left: mean 0 and deviation 1 in each channel.

    The style is the mean and the logarithm of the deviation of each channel, and how much the
    layout is like itself moved by up to half a tile, in its coarse channels and in its fine ones:
    the courses of bricks and the width of planks, but not where they lie.
    """

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        mean = codes.mean((2, 3))
        spread = (codes - mean[..., None, None]).square().mean((2, 3)).sqrt() + _FLOOR
        layout = (codes - mean[..., None, None]) / spread[..., None, None]
        likeness = [
            2 * self.likeness(part) for part in layout.split([_COARSEST, CODE - _COARSEST], 1)
        ]
        return torch.cat([mean, spread.log(), *likeness], 1), layout

    @staticmethod
    def likeness(layout: Tensor) -> Tensor:
        """The mean product of the layout and itself moved by 0 to 8 places down and 0 to 15 right:
        N x 144."""
        count, channels, side, _ = layout.shape
        flat = layout.flatten(2)
        products = (flat.transpose(1, 2) @ flat).reshape(count, side, side, side, side) / channels
        rows = torch.arange(side, device=layout.device)
        down = (rows[:, None] + torch.arange(side // 2 + 1, device=layout.device)) % side
        moved = products.permute(0, 1, 3, 2, 4)  # from row, to row, from column, to column
        moved = moved.gather(2, down[None, :, :, None, None].expand(count, -1, -1, side, side))
        moved = moved.mean(1)  # down, from column, to column
        right = (rows[:, None] + rows) % side
        moved = moved.gather(3, right.expand(*moved.shape[:2], -1, -1)).mean(2)
        return moved.flatten(1)


def unstyled(style: Tensor, layout: Tensor) -> Tensor:
    """The codes of a style and a layout; what the layout has of a style of its own is dropped."""
    mean, spread = style[:, :CODE, None, None], style[:, CODE : 2 * CODE, None, None].exp()
    layout = layout - layout.mean((2, 3), keepdim=True)
    layout = layout / (layout.square().mean((2, 3), keepdim=True).sqrt() + _FLOOR)
    return mean + spread * layout


class Flow(nn.Module):
    """The velocity of layouts on their way from noise (time 0) to a material (time 1).

    `forward(layout N x CODE x h x w, time N, kind N, style N x STYLE)`: `kind` is the number of a
    class, or `kinds` for any.
    """

    def __init__(self, kinds: int, width: int = 80, told: int = 96) -> None:
        super().__init__()
        self.kind = nn.Embedding(kinds + 1, told)
        self.when = nn.Linear(32, told)
        self.style = nn.Linear(STYLE, told)
        self.tell = nn.Sequential(nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.start = around(CODE, width)
        self.blocks = nn.ModuleList(Block(width, told=told) for _ in range(7))
        self.end = around(width, CODE)
        nn.init.zeros_(self.end.weight)

    def forward(self, layout: Tensor, time: Tensor, kind: Tensor, style: Tensor) -> Tensor:
        angles = time[:, None] * (math.pi * torch.arange(1, 17, device=time.device))
        told = self.kind(kind) + self.when(torch.cat([angles.sin(), angles.cos()], 1))
        told = self.tell(told + self.style(style))
        x = self.start(layout)
        for block in self.blocks:
            x = block(x, told)
        made: Tensor = self.end(x)
        return made
