"""The networks of *explore*: a conditional variational autoencoder on the crisp network's features.

What bicubic interpolation lacks is drawn from those features and from a latent z of a few channels
for each pixel of the small picture. An encoder, used in training only, says which z the original
has (Kingma & Welling 2014; Sohn et al. 2015, with a prior that does not depend on the picture).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.image.consistent import Consistent
from triptych.training.image.upscale_net import SCALES, RepConv, ScaleNet

_EDGE = 4  # px of repeated edge, so that the network does not see where the picture ends
_WIDTH = 64  # channels of the encoder
ROUNDS = {2: 32, 3: 20, 4: 16}  # of making consistent, in what is exported, by scale
_TAUGHT = 2  # in training
OWN, DRAWN, LIKELIEST = range(3)  # kinds of latents: the original's, from the prior, 0


class ExploreNet(nn.Module):
    """Pictures N x 3 x H x W, 0..1, and a latent N x Z x H x W to N x 3 x sH x sW for one scale s.

    `base` is the crisp network, which is not trained on.
    """

    def __init__(self, base: ScaleNet, depth: int, latent: int) -> None:
        super().__init__()
        width, scale = base.entry.out_channels, base.scale
        self.scale, self.latent = scale, latent
        self.base = base.requires_grad_(False)
        self.entry = nn.Conv2d(width + latent, width, 3, padding=1)
        self.trunk = nn.ModuleList(RepConv(width) for _ in range(depth))
        self.head = nn.Conv2d(width, 3 * scale * scale, 3, padding=1)
        assert self.head.bias is not None
        with torch.no_grad():
            self.entry.weight[:, width:].normal_(std=0.1)  # to be heard beside the features
            self.head.weight.normal_(std=0.003)
            self.head.bias.zero_()

    @property
    def reach(self) -> int:
        """Pixels of the small picture that a result depends on, on every side, before it is made
        consistent."""
        return self.base.reach - 1 + len(self.trunk) + 2

    def detail(self, features: Tensor, latent: Tensor) -> Tensor:
        """What is added to interpolation, before the shuffle: N x 3*s*s x H x W."""
        x = F.relu(self.entry(torch.cat([features, latent], 1)))
        for conv in self.trunk:
            x = F.relu(conv(x))
        made: Tensor = self.base.head(features) + self.head(x)
        return made

    def forward(self, small: Tensor, latent: Tensor) -> Tensor:
        """The large picture, not yet consistent."""
        wide = F.pad(small, (_EDGE,) * 4, mode="replicate")
        detail = self.detail(self.base.features(wide), F.pad(latent, (_EDGE,) * 4))
        inside = detail[..., _EDGE:-_EDGE, _EDGE:-_EDGE]
        return F.pixel_shuffle(self.base.smooth(small) + inside, self.scale)


class Encoder(nn.Module):
    """The mean and the logarithm of the deviation of the original's latent: N x Z x H x W each."""

    def __init__(self, net: ExploreNet) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(net.entry.in_channels - net.latent + net.head.out_channels, _WIDTH, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, 2 * net.latent, 3, 1, 1),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():  # a latent that says much from the start is not ignored
            last.weight[: net.latent] *= 3
            last.bias[net.latent :] = -1

    def forward(self, features: Tensor, lacking: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = self.layers(torch.cat([features, 8 * lacking], 1)).chunk(2, 1)
        return mean, deviation.clamp(-4, 1)


class Explorer(nn.Module):
    """The networks of all scales as they learn."""

    def __init__(self, bases: Sequence[ScaleNet], depth: int, latent: int) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(ExploreNet(base, depth, latent) for base in bases)
        self.encoders = nn.ModuleList(Encoder(net) for net in self.nets)
        self.consistent = nn.ModuleList(Consistent(scale, _TAUGHT) for scale in SCALES)

    @property
    def nets(self) -> list[ExploreNet]:
        """In the order of SCALES."""
        return [net for net in self.decoders if isinstance(net, ExploreNet)]

    def forward(
        self, small: Sequence[Tensor], large: Sequence[Tensor], kinds: Sequence[Tensor]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each scale the pictures by the latents that `kinds` (N) tell, as many by drawn ones,
        and how far the original's latents diverge from the prior, in nats per small pixel, N."""
        made = []
        parts = zip(self.nets, self.encoders, self.consistent, small, large, kinds, strict=True)
        for net, encoder, consistent, x, y, kind in parts:
            with torch.no_grad():
                features, smooth = net.base.features(x), net.base.smooth(x)
            mean, deviation = encoder(features, F.pixel_unshuffle(y, net.scale) - smooth)
            apart = 0.5 * (mean**2 + (2 * deviation).exp() - 1) - deviation
            own = mean + deviation.exp() * torch.randn_like(mean)
            wanted = kind[:, None, None, None]
            given = torch.where(wanted == OWN, own, torch.randn_like(mean)) * (wanted != LIKELIEST)
            latent = torch.cat([given, torch.randn_like(mean)])
            detail = net.detail(features.repeat(2, 1, 1, 1), latent)
            both = F.pixel_shuffle(smooth.repeat(2, 1, 1, 1) + detail, net.scale).float()
            first, second = consistent(both, x.repeat(2, 1, 1, 1)).chunk(2)
            made.append((first, second, apart.sum(1).mean((1, 2))))
        return made
