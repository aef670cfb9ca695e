"""The encoder of pictures: a cut-out to the latent of the shape that it shows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.shape.code_net import CODE
from triptych.training.shape.samples import CATEGORIES
from triptych.training.shape.shape_net import Residual

UNKNOWN = len(CATEGORIES)
"""The category to be given where none is known."""
_KIND = 32  # numbers that stand for a category


class PictureNet(nn.Module):
    """Cut-outs (B x 3 x 64 x 64) and categories (B; UNKNOWN: to be seen) to codes.

    Convolutions of stride two see the picture, dense layers turn what they found into the
    code, the category and the proportions: there is no place in the picture that a place in the
    latent belongs to, since the camera may stand anywhere.
    """

    def __init__(self, width: int = 24, features: int = 512) -> None:
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
        self.gather = nn.Linear(16 * 6 * w, features)
        self.kind = nn.Embedding(len(CATEGORIES) + 1, _KIND)
        self.think = nn.Linear(features + _KIND, features)
        self.drop = nn.Dropout(0.1)
        self.place = nn.Linear(features, CODE)
        self.category = nn.Linear(features, len(CATEGORIES))
        self.sides = nn.Linear(features, 3)

    def features(self, picture: Tensor) -> Tensor:
        """What the picture shows, as numbers (B x 512); the category is not among the inputs."""
        return F.silu(self.gather(self.see(picture)))

    def thought(self, seen: Tensor, category: Tensor) -> Tensor:
        """Features and categories to what the code is read from (B x 512)."""
        both = torch.cat([seen, self.kind(category)], 1)
        return self.drop(seen + F.silu(self.think(both)))

    def told(self, seen: Tensor, category: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features to the code, scores of the categories (B x 18), logarithms of the proportions
        (B x 3)."""
        seen = self.drop(seen)
        return self.place(self.thought(seen, category)), self.category(seen), self.sides(seen)

    def forward(self, picture: Tensor, category: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Code (B x CODE), scores of the categories, proportions (the longest is 1), and the
        features."""
        features = self.features(picture)
        code, scores, sides = self.told(features, category)
        sides = (sides - sides.amax(1, keepdim=True)).exp()
        return code, scores, sides, features
