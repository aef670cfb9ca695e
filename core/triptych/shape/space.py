"""The space of latents: principal components, along which a latent has coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_NEAR = 0.04  # of the cube's half side: what is near the surface


@dataclass(frozen=True)
class Space:
    """`mean` (LATENT) and `axes` (count x LATENT), float32; the axes are at right angles."""

    mean: Array
    axes: Array

    @classmethod
    def stored(cls, held: Mapping[str, Array]) -> Space:
        """The space that a bundle's arrays tell; their axes are int8 with a step each."""
        axes = held["axes"].astype(np.float32) * held["step"][:, None]
        return cls(held["mean"].astype(np.float32), axes)

    def coordinates(self, latents: Array) -> Array:
        """The coordinates (B x count) of latents (B x LATENT)."""
        made: Array = (latents - self.mean) @ self.axes.T / (self.axes**2).sum(1)
        return made

    def latents(self, coordinates: Array) -> Array:
        """The latents (B x LATENT) of their first coordinates (B x count)."""
        made: Array = self.mean + coordinates @ self.axes[: coordinates.shape[1]]
        return made


def sharpened(distances: Array, nodes: int, share: float) -> Array:
    """Signed distances (B x nodes**3) with the crests of the shape higher by `share` of their bend.

    What is made of coordinates is a little blurred, and where a part is thinner than the grid's
    cells it then vanishes. As in unsharp masking second differences are taken off, those of
    the axes on which the distance has a crest, and only near the surface.
    """
    grid = distances.reshape(-1, nodes, nodes, nodes)
    bent = np.zeros_like(grid)
    for axis in (1, 2, 3):
        around = np.pad(grid, [(int(a == axis), int(a == axis)) for a in range(4)], "edge")
        before, after = (around.take(range(start, start + nodes), axis) for start in (0, 2))
        bent += np.maximum(before + after - 2 * grid, 0)
    made: Array = grid - share * bent * np.exp(-((grid / _NEAR) ** 2))
    return made.reshape(distances.shape)
