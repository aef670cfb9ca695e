"""The shapes that a bundle knows: by them it tells what a picture shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.shape.overlap import overlaps

Array = NDArray[Any]

_AMONG = 256  # known shapes of which one is chosen
_SIDES = 10.0  # how much more logarithms of proportions count than coordinates
_SIDES_OF_CODES = 500.0  # how much squares of these logarithms count beside squares of codes
_OTHER = 0.7  # added to the scores of what is of no category
_APART = 0.3 / 16  # how much the distance of coordinates counts beside what does not overlap
_FLAT = 0.01  # of the longest side: what a shape is taken to have at least in each direction


@dataclass(frozen=True)
class Known:
    """The coordinates of their latents (N x K, float32), the numbers of their categories (N) and
    their sizes in metres (N x 3).

    A number that no category of the bundle has is that of what is of none.
    """

    coordinates: Array
    category: Array
    size: Array

    @classmethod
    def stored(cls, held: Mapping[str, Array]) -> Known:
        """The shapes that a bundle's arrays tell.

        Their coordinates (K x N: what is alike packs better) are int8 with a step for each row.
        """
        coordinates, size, kinds = held["coordinates"], held["size"], held["category"]
        unpacked = coordinates.astype(np.float32).T * held["step"]
        return cls(unpacked, kinds.astype(np.int64), size.astype(np.float32))

    def among(self, categories: int) -> Known:
        """Those of the first so many categories."""
        rows = self.category < categories
        return Known(self.coordinates[rows], self.category[rows], self.size[rows])

    def nearest(self, coordinates: Array, size: Array) -> int:
        """The place of the shape nearest to what is at `coordinates` (1 x K) in the proportions of
        `size` (3)."""
        one = Known(coordinates, self.category[:1], size[None]).compared(slice(None))
        return int(((self.compared(slice(None)) - one) ** 2).sum(1).argmin())

    def offered(self) -> dict[str, Array]:
        """What a graph makes keys of."""
        return {
            "coordinates": self.coordinates,
            "proportions": _proportions(self.size),
            "category": self.category,
        }

    def scores(self, query: Array, key: Array, usual: Array, categories: int) -> Array:
        """How well each shape (N) goes with a `query`, by its `key` (N x len(query)) and by how
        usual it is (N).

        What is of none of the first so many categories counts for more than it was learned to:
        there are more kinds of such things than are known.
        """
        made: Array = key @ query + usual + _OTHER * (self.category >= categories)
        return made.astype(np.float32)

    def likeliest(self, scores: Array, categories: int) -> int:
        """Which of the first so many categories shapes of these scores (N) are of."""
        return int(np.argmax([_log_sum(scores[self.category == n]) for n in range(categories)]))

    def chosen(
        self, scores: Array, category: int | None, distances: Callable[[Array], Array]
    ) -> int:
        """The place of the shape that is expected to be least unlike the right one, of the category
        if one is given and known shapes are of it. `distances` makes of coordinates (N x K) the
        distances at the nodes of the latents (N x nodes^3).

        Any of those that score highest may be the right one, with the softmax of the scores (N)
        for probability. The likeliest one may stand alone; what most of the likely ones are like
        is the safer choice (minimum Bayes risk; Kumar and Byrne 2004). Two shapes are unlike by
        the space that is inside one of them alone, and by the distance of their coordinates.
        """
        rows = np.flatnonzero(self.category == category)
        if not len(rows):
            rows = np.arange(len(scores))
        rows = rows[np.argsort(-scores[rows], kind="stable")[:_AMONG]]
        shares = np.exp(scores[rows] - scores[rows].max())
        places = self.compared(rows)
        squares = (places**2).sum(1)
        apart = squares[:, None] + squares - 2 * places @ places.T
        sides = _proportions(self.size[rows])
        alike = overlaps(distances(self.coordinates[rows]), sides)
        unlike = 1 - alike + _APART * np.sqrt(apart.clip(0))
        return int(rows[(unlike @ shares).argmin()])

    def compared(self, rows: Array | slice) -> Array:
        """Where these shapes are (N x K + 3): by their distances they are alike or not."""
        sides = _SIDES * np.log(_proportions(self.size[rows]))
        made: Array = np.concatenate([self.coordinates[rows], sides], 1)
        return made


def unlike(codes: Array, sizes: Array, code: Array, size: Array) -> Array:
    """How far shapes (N) of these codes (N x CODE) and sizes (N x 3) are from a code (1 x CODE) in
    the proportions of `size` (3)."""
    sides = np.log(_proportions(sizes) / _proportions(size[None]))
    made: Array = ((codes - code) ** 2).sum(1) + _SIDES_OF_CODES * (sides**2).sum(1)
    return made


def _proportions(size: Array) -> Array:
    """Sizes (N x 3) over their longest side."""
    made: Array = (size / size.max(1, keepdims=True)).clip(_FLAT)
    return made


def _log_sum(scores: Array) -> float:
    """The logarithm of the sum of exponentials; of nothing, minus infinity."""
    if not len(scores):
        return -np.inf
    highest = scores.max()
    return float(highest + np.log(np.exp(scores - highest).sum()))
