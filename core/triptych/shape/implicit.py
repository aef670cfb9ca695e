"""A shape before its surface is extracted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from triptych.shape import warp

Array = NDArray[Any]


@dataclass(frozen=True)
class Implicit:
    """A latent (1 x LATENT) of a category, to be made in this size (metres) and warped."""

    latent: Array
    category: str
    size: Array
    warp: Array = field(default_factory=warp.none)
