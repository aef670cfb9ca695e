"""A shape of a family from a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triptych.errors import UserError, did_you_mean
from triptych.training.shape.procedural import (
    lamps,
    nature,
    seating,
    storage,
    tables,
    upholstery,
    vessels,
)
from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import Box, Field

FAMILIES: dict[str, Callable[[Dice], Field]] = {
    "chair": seating.chair,
    "armchair": upholstery.armchair,
    "stool": seating.stool,
    "table": tables.table,
    "desk": tables.desk,
    "shelf": storage.shelf,
    "cabinet": storage.cabinet,
    "sofa": upholstery.sofa,
    "bed": upholstery.bed,
    "lamp": lamps.lamp,
    "vase": vessels.vase,
    "bottle": vessels.bottle,
    "goblet": vessels.goblet,
    "bowl": vessels.bowl,
    "pot": nature.pot,
    "tree": nature.tree,
    "rock": nature.rock,
}
"""What makes a shape of each family from its choices."""


class Shape:
    """A solid that stands on y = 0 around the y axis and fills a box of `size` (w, h, d metres)."""

    def __init__(self, family: str, field: Field, low: np.ndarray, high: np.ndarray) -> None:
        self.family, self._field = family, field
        low = np.array([low[0], 0.0, low[2]])  # what a leg has below the ground is cut off
        width, height, depth = (float(s) for s in high - low)
        self.size = (width, height, depth)
        self._box = Box((low + high) / 2, self.size)
        self._offset = (float(low[0] + high[0]) / 2, 0.0, float(low[2] + high[2]) / 2)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distances (float32, metres, negative inside) of the points N x 3 (metres)."""
        places = np.asarray(points, np.float32)
        x, y, z = (np.ascontiguousarray(places[:, i]) + self._offset[i] for i in range(3))
        made: np.ndarray = np.maximum(self._field(x, y, z), self._box(x, y, z))
        return made.astype(np.float32, copy=False)


def shape(family: str, seed: int) -> Shape:
    """The shape of `family` from `seed`; UserError for a family that does not exist."""
    if family not in FAMILIES:
        raise UserError(f"there is no family {family!r}{did_you_mean(family, FAMILIES)}")
    dice = Dice(family, seed)
    field = FAMILIES[family](dice)
    low, high = field.bounds()
    if field.loose:
        low, high = _measured(field, low, high, dice.rng)
    return Shape(family, field, low, high)


def _measured(
    field: Field, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The box of what is solid above the ground, within `low` and `high`."""
    low = np.array([low[0], 0.0, low[2]])
    points = rng.uniform(low, high, (6000, 3)).astype(np.float32)
    step = 1e-3 * float((high - low).max())
    for _ in range(4):
        far = field(*points.T.copy())
        slope = np.stack(
            [field(*(points + step * e).T.copy()) - far for e in np.eye(3, dtype=np.float32)], -1
        )
        slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
        points = np.clip(points - far[:, None] * slope, low, high).astype(np.float32)
    found = points[np.abs(field(*points.T.copy())) < 2 * step]
    if len(found) < 100:  # nothing to measure
        return low, high
    return found.min(0).astype(np.float64), found.max(0).astype(np.float64)
