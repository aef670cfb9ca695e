"""The encoder of pictures: a cut-out to the coordinates of the shape that it shows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.samples import CATEGORIES
from triptych.training.shape.shape_net import Residual

UNKNOWN = len(CATEGORIES)
"""The category to be given where none is known."""
KEY = 96  # numbers by which a known shape is found
_APART = 1e4  # what a score that shall not count is lower by


class PictureNet(nn.Module):
    """Cut-outs (B x 3 x 64 x 64) and categories (B; UNKNOWN: to be seen) to coordinates.

    Convolutions of stride two see the picture, dense layers turn what they found into a query; the
    coordinates of the shape's latent are a mixture of those of `known` shapes of each category, as
    in attention (Vaswani et al. 2017, section 3.2) with a learned key for each. Of what is a
    regression's mean, no whole shape can be built; between shapes that are near each other there
    are shapes. What is of no family has known shapes too.

    Picture and mirror image are looked at. The category is the likeliest one unless it is given;
    `sharp` is how much more the known shapes' weights differ in what is told than they did in
    training.
    """

    shapes: Tensor
    """The numbers of the known shapes (count)."""

    def __init__(
        self,
        known: int = 150,
        coordinates: int = 256,
        width: int = 24,
        features: int = 512,
        sharp: float = 1.0,
    ) -> None:
        super().__init__()
        w = width
        self.see = nn.Sequential(
            nn.Conv2d(3, w, 5, stride=2, padding=2),  # 32
            nn.SiLU(),
            nn.Conv2d(w, 2 * w, 3, stride=2, padding=1),  # 16
            Residual(2 * w, nn.Conv2d),
            nn.SiLU(),
            nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1),  # 8
            Residual(4 * w, nn.Conv2d),
            nn.SiLU(),
            nn.Conv2d(4 * w, 6 * w, 3, stride=2, padding=1),  # 4
            Residual(6 * w, nn.Conv2d),
            nn.SiLU(),
            nn.Flatten(),
        )
        count = len(CATEGORIES) * known
        self.sharp = sharp
        self.gather = nn.Linear(16 * 6 * w, features)
        self.drop = nn.Dropout(0.1)
        self.think = nn.Linear(features, features)
        self.ask = nn.Linear(features, KEY)
        self.sides = nn.Linear(features, 3)
        self.keys = nn.Parameter(torch.randn(count, KEY))
        self.usual = nn.Parameter(torch.zeros(count))
        self.places = nn.Parameter(torch.zeros(count, coordinates), requires_grad=False)
        self.register_buffer("shapes", torch.zeros(count, dtype=torch.long))

    def features(self, picture: Tensor) -> Tensor:
        """What the picture shows, as numbers (B x `features`)."""
        return F.silu(self.gather(self.see(picture)))

    def told(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Features to scores of the known shapes, those of a category one after the other (B x
        count), and logarithms of the proportions (B x 3)."""
        seen = self.drop(seen)
        thought = self.drop(seen + F.silu(self.think(seen)))
        return self.ask(thought) @ self.keys.T + self.usual, self.sides(thought)

    def forward(self, picture: Tensor, category: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Coordinates (B x `coordinates`), scores of the families, proportions (the longest is 1),
        features."""
        features = self.features(picture)
        views = self.told(features), self.told(self.features(picture.flip(3)))
        known, sides = ((one + other) / 2 for one, other in zip(*views, strict=True))
        count = len(CATEGORIES)
        scores = known.unflatten(1, (count, -1)).logsumexp(2)
        asked = F.one_hot(category, UNKNOWN + 1)[:, :count].float()
        chosen = F.one_hot((scores + _APART * asked).argmax(1), count).float()
        own = chosen.repeat_interleave(known.shape[1] // count, 1)
        share = (self.sharp * known - _APART * (1 - own)).softmax(1)
        proportions = (sides - sides.amax(1, keepdim=True)).exp()
        return share @ self.places, scores[:, : len(FAMILIES)], proportions, features
