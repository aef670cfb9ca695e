"""The upscaling network: plain 3x3 convolutions, a trunk and a pixel-shuffle head."""

from __future__ import annotations

from collections.abc import Container, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = (2, 3, 4)


class RepConv(nn.Module):
    """A 3x3 convolution C -> C that learns as the sum of a 3x3, a 1x1 and the identity.

    The branches of RepVGG (Ding et al. 2021) and ECBSR (Zhang et al. 2021) without normalisation
    are linear, so it is their kernels that are added, before the one convolution: training costs
    no more than a plain convolution either.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width, 3, 3))
        self.point = nn.Parameter(torch.zeros(width, width))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.kaiming_normal_(self.weight, a=1.0)
        with torch.no_grad():
            self.weight.mul_(0.5)  # beside an identity of 1
        self.register_buffer("identity", torch.eye(width), persistent=False)

    def kernel(self) -> Tensor:
        """The one kernel that all branches are: C x C x 3 x 3."""
        assert isinstance(self.identity, Tensor)
        return self.weight + F.pad((self.point + self.identity)[..., None, None], (1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(), self.bias, padding=1)


class ScaleNet(nn.Module):
    """Pictures N x 3 x H x W, 0..1, to N x 3 x sH x sW for one scale s.

    The trunk works on the small picture; a head gives the s*s pixels of each of its pixels (Shi et
    al. 2016) as what is to be added to bicubic interpolation. With `twice`, what the trunk made
    goes through it once more (recursion as in Kim et al. 2016): twice the work of few more weights.
    """

    def __init__(self, width: int, depth: int, scale: int, twice: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.again = nn.Parameter(torch.zeros(width, 1, 1)) if twice else None
        self.entry = nn.Conv2d(3, width, 3, padding=1)
        self.trunk = nn.ModuleList(RepConv(width) for _ in range(depth))
        self.head = nn.Conv2d(width, 3 * scale * scale, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.register_buffer("cubic", cubic_kernel(scale), persistent=False)

    @property
    def reach(self) -> int:
        """Pixels of the small picture that a result depends on, on every side."""
        return len(self.trunk) * (1 if self.again is None else 2) + 2

    def features(self, small: Tensor) -> Tensor:
        """What the head reads: N x width x H x W."""
        first = F.relu(self.entry(small - 0.5))  # the padding is then mid grey
        x = self._once(first) + first
        return x if self.again is None else x + self.again * self._once(x)

    def _once(self, x: Tensor) -> Tensor:
        for conv in self.trunk:
            x = F.relu(conv(x))
        return x

    def detail(self, small: Tensor) -> Tensor:
        """What is to be added, before the shuffle: N x 3*s*s x H x W."""
        made: Tensor = self.head(self.features(small))
        return made

    def smooth(self, small: Tensor) -> Tensor:
        """Bicubic interpolation, before the shuffle."""
        assert isinstance(self.cubic, Tensor)
        with torch.autocast(small.device.type, enabled=False):
            padded = F.pad(small.float(), (2, 2, 2, 2), mode="replicate")
            return F.conv2d(padded, self.cubic, groups=3)

    def forward(self, small: Tensor) -> Tensor:
        return F.pixel_shuffle(self.smooth(small) + self.detail(small), self.scale)


class UpscaleNet(nn.ModuleList):
    """A network for each of SCALES; they share nothing. `twice` names those that recur."""

    def __init__(self, width: int, depth: int, twice: Container[int] = ()) -> None:
        super().__init__(ScaleNet(width, depth, scale, scale in twice) for scale in SCALES)

    @property
    def nets(self) -> list[ScaleNet]:
        """In the order of SCALES."""
        return [one for one in self if isinstance(one, ScaleNet)]

    def forward(self, small: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """The small pictures of some scales, larger."""
        return {net.scale: net(small[net.scale]) for net in self.nets if net.scale in small}


def cubic_kernel(scale: int) -> Tensor:
    """Bicubic interpolation (Keys 1981, a = -0.5) before a pixel shuffle: 3*s*s x 1 x 5 x 5."""
    phase = (torch.arange(scale) + 0.5) / scale - 0.5
    away = (phase[:, None] - torch.arange(-2, 3)).abs()
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    taps = torch.where(away <= 1, near, torch.where(away < 2, far, torch.zeros(())))
    kernel = torch.einsum("yi,xj->yxij", taps, taps).reshape(scale * scale, 1, 5, 5)
    return kernel.repeat(3, 1, 1, 1)
