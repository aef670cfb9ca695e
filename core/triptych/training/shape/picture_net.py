"""The encoder of pictures: a cut-out to a query for shapes like the one that it shows."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.shape.samples import CATEGORIES
from triptych.training.shape.shape_net import Residual

KEY = 96  # numbers by which a shape is found
_HIDDEN = 192
_BEGUN = 0.5  # the spread of keys when training begins


class PictureNet(nn.Module):
    """Cut-outs (B x 3 x 64 x 64) and shapes' coordinates to where they meet.

    Two towers, as in CLIP (Radford et al. 2021, section 2.3). One sees: convolutions of stride two,
    then dense layers that turn what they found into a query. The other makes keys of coordinates
    (N x `coordinates`), proportions (N x 3) and categories (N). How well a shape goes with a
    picture is the product of key and query.
    """

    def __init__(self, coordinates: int = 256, width: int = 24, features: int = 512) -> None:
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
        self.drop = nn.Dropout(0.1)
        self.think = nn.Linear(features, features)
        self.ask = nn.Linear(features, KEY)
        self.key = Key(coordinates)

    def features(self, picture: Tensor) -> Tensor:
        """What the picture shows, as numbers (B x `features`)."""
        return F.silu(self.gather(self.see(picture)))

    def query(self, features: Tensor) -> Tensor:
        """Features to queries (B x KEY)."""
        seen = self.drop(features)
        made: Tensor = self.ask(self.drop(seen + F.silu(self.think(seen))))
        return made

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B x KEY) and features.

        Picture and mirror image are looked at: nearly all shapes are symmetric.
        """
        features = self.features(picture)
        mirrored = self.features(picture.flip(3))
        return (self.query(features) + self.query(mirrored)) / 2, features


class Key(nn.Module):
    """Coordinates (N x K), proportions (N x 3; the longest side is 1) and categories (N) to keys (N
    x KEY) and how usual each shape is (N)."""

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.kind = nn.Embedding(len(CATEGORIES), _HIDDEN)
        self.first = nn.Linear(coordinates, _HIDDEN)
        self.sides = nn.Linear(3, _HIDDEN, bias=False)
        self.last = nn.Linear(_HIDDEN, KEY + 1)
        self.straight = nn.Linear(coordinates, KEY + 1)

    @torch.no_grad()
    def begin(self, coordinates: np.ndarray) -> None:
        """Let keys begin as the first coordinates, each of the same spread among those given."""
        spread = torch.from_numpy(coordinates).std(0).clamp(min=1e-6)
        self.first.weight /= spread
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        own = min(KEY, len(spread))
        nn.init.zeros_(self.straight.weight)
        nn.init.zeros_(self.straight.bias)
        self.straight.weight[:own, :own] = torch.diag(_BEGUN / spread[:own])

    def forward(
        self, coordinates: Tensor, proportions: Tensor, category: Tensor
    ) -> tuple[Tensor, Tensor]:
        sides = self.sides(proportions.log())
        hidden = F.silu(self.first(coordinates) + sides + self.kind(category))
        made = self.straight(coordinates) + self.last(hidden)
        return made[:, :KEY], made[:, KEY]
