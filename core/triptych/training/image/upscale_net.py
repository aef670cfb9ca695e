"""The upscaling network: plain 3x3 convolutions, one trunk and a pixel-shuffle head per scale."""

from __future__ import annotations

from collections.abc import Sequence

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


class UpscaleNet(nn.Module):
    """Pictures N x 3 x H x W, 0..1, to N x 3 x sH x sW for each scale s of SCALES.

    The trunk works on the small picture; a head gives the s*s pixels of each of its pixels (Shi et
    al. 2016) as what is to be added to bicubic interpolation.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, width, 3, padding=1)
        self.trunk = nn.ModuleList(RepConv(width) for _ in range(depth))
        self.heads = nn.ModuleList(nn.Conv2d(width, 3 * s * s, 3, padding=1) for s in SCALES)
        for head in self.heads:
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        for scale in SCALES:
            self.register_buffer(f"cubic{scale}", cubic_kernel(scale), persistent=False)

    @property
    def reach(self) -> int:
        """Pixels of the small picture that a result depends on, on every side."""
        return len(self.trunk) + 2

    def features(self, small: Tensor) -> Tensor:
        """What the trunk sees in the small pictures: N x C x H x W."""
        first = F.relu(self.entry(small - 0.5))  # the padding is then mid grey
        x = first
        for conv in self.trunk:
            x = F.relu(conv(x))
        return x + first

    def head(self, scale: int, features: Tensor, small: Tensor) -> Tensor:
        """The pictures made `scale` times larger."""
        detail = self.heads[SCALES.index(scale)](features)
        with torch.autocast(small.device.type, enabled=False):
            padded = F.pad(small.float(), (2, 2, 2, 2), mode="replicate")
            smooth = F.conv2d(padded, getattr(self, f"cubic{scale}"), groups=3)
        return F.pixel_shuffle(smooth + detail, scale)

    def forward(self, small: Sequence[Tensor]) -> list[Tensor]:
        """Each scale's small pictures, larger; all go through the trunk together."""
        features = self.features(torch.cat(list(small)))
        split = features.split([len(x) for x in small])
        return [self.head(*each) for each in zip(SCALES, split, small, strict=True)]


def cubic_kernel(scale: int) -> Tensor:
    """Bicubic interpolation (Keys 1981, a = -0.5) before a pixel shuffle: 3*s*s x 1 x 5 x 5."""
    phase = (torch.arange(scale) + 0.5) / scale - 0.5
    away = (phase[:, None] - torch.arange(-2, 3)).abs()
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    taps = torch.where(away <= 1, near, torch.where(away < 2, far, torch.zeros(())))
    kernel = torch.einsum("yi,xj->yxij", taps, taps).reshape(scale * scale, 1, 5, 5)
    return kernel.repeat(3, 1, 1, 1)
