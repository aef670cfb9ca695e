"""The choices of which a procedural shape is made."""

from __future__ import annotations

import zlib
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Random choices that depend on a family's name and a seed alone."""

    def __init__(self, family: str, seed: int) -> None:
        self.rng = np.random.default_rng((zlib.crc32(family.encode()), seed))

    def __call__(self, low: float, high: float) -> float:
        """A number, uniform."""
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """Whether something of this probability happens."""
        return bool(self.rng.random() < share)

    def pick(self, *options: T) -> T:
        """One of the options; who is to come more often is named more often."""
        return options[int(self.rng.integers(len(options)))]
