"""How much shapes overlap, by what is inside on a coarse grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CELLS = 24  # of the cube, along a side
_MARGIN = 0.02  # of its half side: what is as near as that is inside, so that thin parts count


def overlaps(distances: Array, proportions: Array) -> Array:
    """The intersection over union of each two of N shapes (N x N), about.

    `distances` are signed, at the nodes of a grid over each shape's own box (N x nodes^3, x
    slowest), `proportions` the sides of these boxes (N x 3, the longest is 1).
    """
    inside = np.stack([_inside(*one) for one in zip(distances, proportions, strict=True)])
    both = inside @ inside.T
    volume = inside.sum(1)
    made: Array = both / np.maximum(volume[:, None] + volume - both, 1)
    return made


def _inside(distances: Array, proportions: Array) -> Array:
    """What is inside at the middles of the cells of a cube around the box: 1, else 0."""
    nodes = round(len(distances) ** (1 / 3))
    made = distances.reshape(nodes, nodes, nodes)
    within = np.ones((1, 1, 1), bool)
    for axis, side in enumerate(proportions):
        weights, on = _weights(nodes, float(side))
        made = np.moveaxis(np.tensordot(weights, made, (1, axis)), 0, axis)
        within = within & on.reshape([-1 if one == axis else 1 for one in range(3)])
    found: Array = (within & (made < _MARGIN)).reshape(-1).astype(np.float32)
    return found


def _weights(nodes: int, side: float) -> tuple[Array, Array]:
    """How much of each of the nodes along a side is in each cell, and which cells are beside it."""
    middles = (np.arange(_CELLS) + 0.5) / _CELLS * 2 - 1
    place = (middles / side + 1) / 2 * (nodes - 1)
    on = (place >= -0.5) & (place <= nodes - 0.5)
    place = place.clip(0, nodes - 1)
    low = np.minimum(place.astype(int), nodes - 2)
    made = np.zeros((_CELLS, nodes), np.float32)
    rows = np.arange(_CELLS)
    made[rows, low] = 1 - (place - low)
    made[rows, low + 1] += place - low
    return made, on
