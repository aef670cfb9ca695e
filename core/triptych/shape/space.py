"""The space of latents: principal components, along which a latent has coordinates."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Space:
    """`mean` (LATENT) and `axes` (count x LATENT), float32; the axes are at right angles."""

    mean: Array
    axes: Array

    def coordinates(self, latent: Array, count: int) -> Array:
        """The first `count` coordinates (B x count) of latents (B x LATENT)."""
        axes = self.axes[:count]
        made: Array = (latent - self.mean) @ axes.T / (axes**2).sum(1)
        return made

    def latents(self, coordinates: Array) -> Array:
        """The latents (B x LATENT) of coordinates (B x count)."""
        made: Array = self.mean + coordinates @ self.axes
        return made


@functools.lru_cache(maxsize=2)
def read(path: Path) -> Space:
    """The space in a bundle's `space.npz`; its axes are stored as int8 with a step each."""
    with np.load(path) as held:
        axes = held["axes"].astype(np.float32) * held["step"][:, None]
        return Space(held["mean"].astype(np.float32), axes)
