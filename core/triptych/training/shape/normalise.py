"""Shapes in a cube: centred, the longest side from -0.95 to 0.95; their size in metres is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIDE = 0.95
"""Half of the longest side of a normalised shape; the cube itself goes from -1 to 1."""


@dataclass(frozen=True)
class Frame:
    """Where a shape stood: the centre of its box and its size (w, h, d), metres."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]

    @property
    def scale(self) -> float:
        """Normalised units in a metre."""
        return 2 * SIDE / max(self.size)

    @property
    def proportions(self) -> np.ndarray:
        """Width, height and depth as shares of the longest (3, float32)."""
        return (np.asarray(self.size) / max(self.size)).astype(np.float32)

    def normalised(self, points: np.ndarray) -> np.ndarray:
        """Points N x 3 in metres, in the cube (float32)."""
        return ((points - np.asarray(self.centre)) * self.scale).astype(np.float32)

    def metres(self, points: np.ndarray) -> np.ndarray:
        """Points N x 3 in the cube, in metres (float32)."""
        return (points / self.scale + np.asarray(self.centre)).astype(np.float32)


def standing(size: Sequence[float]) -> Frame:
    """The frame of a shape of `size` (metres) that stands on y = 0 around the y axis."""
    w, h, d = (float(s) for s in size)
    return Frame((0.0, h / 2, 0.0), (w, h, d))


def around(low: np.ndarray, high: np.ndarray) -> Frame:
    """The frame of a shape between two corners (metres)."""
    w, h, d = (max(float(s), 1e-6) for s in high - low)
    x, y, z = (float(c) for c in (low + high) / 2)
    return Frame((x, y, z), (w, h, d))
