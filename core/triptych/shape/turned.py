"""Bodies of revolution: what a lathe turns is round, whatever grid it was decoded on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_ANGLES = 12  # of a quarter
_ROUND = 0.0034  # of the cube's half side: what a turn may change, on the mean, of what is round
_TESTED = np.radians((22.5, 45.0))
_NEAR = 0.1  # of the cube's half side: distances that are compared


def is_round(latent: Array, nodes: int) -> bool:
    """Whether a latent (1 x LATENT) is that of a body of revolution around the upright axis."""
    far, (width, _, depth) = latent[0, :-3].reshape(3 * (nodes,)), latent[0, -3:]
    if abs(width - depth) > 0.02:
        return False
    far = far.clip(-_NEAR, _NEAR)
    along = np.linspace(-1, 1, nodes)
    x, z = np.meshgrid(along, along, indexing="ij")
    within = x**2 + z**2 < 1
    for angle in _TESTED:
        turned = np.stack(
            [
                x * np.cos(angle) - z * np.sin(angle),
                x * np.sin(angle) + z * np.cos(angle),
            ]
        )
        moved = _between(far.transpose(0, 2, 1), (turned[:, within] + 1) * (nodes - 1) / 2)
        if np.abs(moved - far.transpose(0, 2, 1)[within]).mean() > _ROUND:
            return False
    return True


class Turned:
    """A field (of points N x 3 in the cube) averaged around the upright axis.

    It is computed once, on a half plane, with `detail` steps along the cube.
    """

    def __init__(
        self, field: Callable[[Array], Array], detail: int, reach: float, truncation: float
    ) -> None:
        self.truncation = truncation
        self._step = 2 / detail
        radii = np.arange(0, reach + 2 * self._step, self._step)
        heights = np.arange(-1 - self._step, 1 + 2 * self._step, self._step)
        self._low = float(heights[0])
        total = np.zeros((len(radii), len(heights)), np.float32)
        r, y = np.meshgrid(radii, heights, indexing="ij")
        for angle in (np.arange(_ANGLES) + 0.5) * (np.pi / 2 / _ANGLES):
            places = np.stack([r * np.cos(angle), y, r * np.sin(angle)], -1).reshape(-1, 3)
            total += field(places.astype(np.float32)).reshape(total.shape)
        self._far = total / _ANGLES

    def __call__(self, points: Array) -> Array:
        """The distance (N) at points N x 3."""
        radius = np.hypot(points[:, 0], points[:, 2]) / self._step
        made = np.full(len(points), self.truncation, np.float32)
        near = radius < len(self._far) - 1
        height = (points[near, 1] - self._low) / self._step
        made[near] = _between(self._far, np.stack([radius[near], height]))
        return made


def _between(grid: Array, places: Array) -> Array:
    """A grid (A x B x ...) between its nodes, at places (2 x N) counted in nodes: N x ..."""
    limits = np.array(grid.shape[:2])[:, None]
    places = places.clip(0, limits - 1)
    low = np.minimum(places.astype(np.int64), limits - 2)
    share = (places - low).reshape(2, -1, *(1,) * (grid.ndim - 2)).astype(np.float32)
    a, b = low
    ends = [
        grid[a + more, b] * (1 - share[1]) + grid[a + more, b + 1] * share[1] for more in (0, 1)
    ]
    made: Array = ends[0] * (1 - share[0]) + ends[1] * share[0]
    return made
