"""Where a grown thing meets its box: at points, not with flat faces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_AWAY = 0.08  # of the cube's half side: how far the rim of what is cut draws back from its box,
_DEEP = 0.25  # how far inside that is still felt,
_AROUND = 0.2  # and how far around
_GROUND = (1, 0)  # the lower end of the axis that goes up: what stands there is flat


def drawn_back(distances: Array, sides: Array, nodes: int) -> Array:
    """Signed distances (1 x nodes**3, x slowest) so changed that the thing meets its box at points.
    The nodes' grid has half sides `sides` (3) and reaches a little beyond the box.

    A decoder that never saw anything beyond a box cuts off flat what would rise above it. Where the
    first nodes inside a face of the box are inside the thing, it draws back from that face, at the
    rim of what is cut more than in the middle, so that the cut becomes round.
    """
    grid = distances.reshape(nodes, nodes, nodes)
    steps = 2 * sides / (nodes - 1)
    made = grid.copy()
    for axis in range(3):
        depth = np.arange(nodes) * steps[axis]
        first, second = (float(steps[other]) for other in range(3) if other != axis)
        for end in (0, 1):
            if (axis, end) == _GROUND:
                continue
            beside = grid.take(1 if end == 0 else nodes - 2, axis)
            cut = (-beside / (0.3 * steps[axis])).clip(0, 1)
            share = _blur(nodes, first) @ cut @ _blur(nodes, second).T
            away = _AWAY * 4 * share * (1 - share)  # on the rim of a wide cut the share is a half
            felt = np.exp(-(depth if end == 0 else depth[::-1]) / _DEEP)
            made += np.expand_dims(away, axis) * felt.reshape(
                [-1 if a == axis else 1 for a in range(3)]
            )
    return made.reshape(distances.shape).astype(np.float32)


def _blur(nodes: int, step: float) -> Array:
    """The weights (nodes x nodes) of a Gaussian mean around each node."""
    places = np.arange(nodes) * step
    weights = np.exp(-0.5 * ((places[:, None] - places) / _AROUND) ** 2)
    made: Array = weights / weights.sum(1, keepdims=True)
    return made
