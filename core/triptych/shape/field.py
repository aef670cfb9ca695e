"""A shape as a field: its truncated signed distance at any point, computed by a bundle's graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.engine import Engine, Job

Floats = NDArray[Any]  # float32

_PIECE = 1 << 16  # points that the graph is given at once: bounds its memory


class Field:
    """The signed distance of one shape in the cube [-1, 1]^3, negative inside.

    `grid` comes from the graph `decode`, `graph` is the file of `field`; `box` is half of the sides
    of the shape's box (3). Beyond `truncation` a distance says only that it is at least that.

    With `symmetry` s the half x < 0 is blended with the mirror image of the half x > 0: 0 leaves
    it, 1 replaces it, so that no thin part is averaged away.
    """

    def __init__(
        self,
        grid: Floats,
        box: Floats,
        graph: Path,
        engine: Engine,
        job: Job,
        truncation: float,
        symmetry: float = 0.0,
    ) -> None:
        self.truncation = truncation
        self.evaluated = 0  # points that the graph has computed so far
        self._reached = box + np.float32(truncation)
        self._grid, self._graph, self._engine, self._job = grid, graph, engine, job
        self._symmetry = symmetry

    def __call__(self, points: Floats) -> Floats:
        """The distance (N) at points N x 3; raises Cancelled between and inside pieces."""
        near = (np.abs(points) < self._reached).all(1)
        if near.all():
            return self._blended(points)
        made = np.full(len(points), self.truncation, np.float32)
        made[near] = self._blended(points[near])
        return made

    def _blended(self, points: Floats) -> Floats:
        left = points[:, 0] < 0
        if self._symmetry == 0 or not left.any():
            return self._run(points)
        mirrored = np.where(left[:, None], points * np.array((-1, 1, 1), np.float32), points)
        made = self._run(mirrored)
        if self._symmetry < 1:
            share = np.float32(self._symmetry)
            made[left] = share * made[left] + (1 - share) * self._run(points[left])
        return made

    def _run(self, points: Floats) -> Floats:
        made = np.empty(len(points), np.float32)
        self.evaluated += len(points)
        for start in range(0, len(points), _PIECE):
            piece = np.ascontiguousarray(points[start : start + _PIECE], np.float32)
            inputs = {"grid": self._grid, "points": piece}
            distance = self._engine.run(self._graph, inputs, self._job)["distance"]
            made[start : start + _PIECE] = distance.reshape(-1)
        # What is not a number is outside.
        return np.nan_to_num(made, copy=False, nan=self.truncation)
