"""A field sampled on a grid from coarse to fine, so that only what is near the surface is computed.

The signs on the finished grid are *well-composed* (Latecki 1997): no face and no cell holds two
inner or two outer corners that touch across a diagonal alone. The surface between inner and outer
corners is then a closed manifold with one patch in each cell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.engine import Job

Array = NDArray[Any]
Sampler = Callable[[Array], Array]  # points N x 3 (float32) -> signed distance N

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))  # of a cell; bit 4 is x, 2 y, 1 z
_SAFETY = 1.35  # how much faster than a distance a learned field may change
# How near the surface the middle of a cell must be to be looked at, as a share of the way to its
# corners. What that leaves out is found from the cells beside it, or is thinner than can be seen.
_NEAR = 0.7
_ROUNDS = 200  # of repair; each one adds inner corners, so that it ends


def levels_of(resolution: int, truncation: float) -> tuple[int, int]:
    """The coarsest grid that cannot miss the surface, in cells along a side, and its halvings.

    The truncated distance must reach from the middle of a coarse cell to its corners.
    """
    least = _SAFETY * math.sqrt(3) / (0.95 * truncation)
    halvings = max(0, math.floor(math.log2(resolution / least)))
    return -(-resolution // 2**halvings), halvings


class Grid:
    """Signed distances at the corners of cells in [-1, 1]^3 near the surface of `field`.

    `resolution` is the number of cells along a side that is asked for; `self.resolution`, at most a
    few more, fits the halvings. `values` ((R + 1)^3, flat, x slowest) is NaN where nothing was
    computed, and `cells` holds the flat index of the lowest corner of each cell that the surface
    passes through. Corners at the border of the cube count as outside. `dense` computes all.
    """

    def __init__(
        self, field: Sampler, resolution: int, truncation: float, job: Job, dense: bool = False
    ) -> None:
        coarse, halvings = levels_of(resolution, truncation)
        self.resolution = coarse << halvings
        self.side = self.resolution + 1  # corners along a side
        self.cell = 2 / self.resolution  # its width
        self.steps = np.array((self.side**2, self.side, 1))
        self.offsets = CORNERS @ self.steps
        self.values = np.full(self.side**3, np.nan, np.float32)
        self._field, self._job = field, job
        if dense:
            coarse, halvings = self.resolution, 0
        near = self._near(coarse, halvings)
        self._known = np.zeros(self.side**3, bool)
        self.cells = self._sound(near)

    def places(self, corners: Array) -> Array:
        """Where corners (flat indices, N) are: N x 3, float32."""
        made = np.empty((len(corners), 3), np.float32)
        rest = corners
        for axis, step in enumerate(self.steps):
            made[:, axis] = (rest // step) * self.cell - 1
            rest = rest % step
        return made

    def corners(self, cells: Array) -> Array:
        """The distances at the eight corners of cells: N x 8."""
        found: Array = self.values[cells[:, None] + self.offsets]
        return found

    def _near(self, count: int, halvings: int) -> Array:
        """The finest cells that can hold the surface, by their lowest corners."""
        places = np.stack(np.unravel_index(np.arange(count**3), (count,) * 3), 1).astype(np.int32)
        for level in range(halvings):
            self._job.progress(0.5 * level / halvings)
            middles = ((places + 0.5) * (2 / count) - 1).astype(np.float32)
            near = np.abs(self._field(middles)) < _NEAR * math.sqrt(3) / count
            places = (2 * places[near, None] + CORNERS.astype(np.int32)).reshape(-1, 3)
            count *= 2
        cells: Array = places @ self.steps
        return cells

    def _compute(self, cells: Array) -> None:
        """Compute the field at those corners of `cells` where it is not known."""
        if len(cells) < 20_000:
            wanted = np.unique(cells[:, None] + self.offsets)
        else:
            marked = np.zeros(self.side**3, bool)
            for offset in self.offsets:
                marked[cells + offset] = True
            wanted = np.flatnonzero(marked)
        wanted = wanted[np.isnan(self.values[wanted])]
        if not len(wanted):
            return
        places = self.places(wanted)
        distance = self._field(places)
        border = (np.abs(places) > 1 - 0.5 * self.cell).any(1)
        self.values[wanted] = np.where(border, np.maximum(distance, 1e-4), distance)

    def _sound(self, cells: Array) -> Array:
        """The cells with surface among `cells` and beside them, after repair of the signs."""
        found = [np.zeros(0, cells.dtype)]
        new = cells
        for _ in range(_ROUNDS):
            self._job.check()
            self._compute(new)
            self._known[new] = True
            signs = self._signs(new)
            mixed = (signs > 0) & (signs < 255)
            fresh, signs = new[mixed], signs[mixed]
            found.append(fresh)
            flipped = self._repair(fresh, signs)
            # A cell beside one whose common face the surface crosses has surface too.
            beside = fresh[:, None] + np.concatenate([self.steps, -self.steps])
            asked = beside[_CROSSED[signs]]
            if len(flipped):  # whatever is around is looked at again
                again = (flipped[:, None] - self.offsets).reshape(-1)
                self._known[again] = False
                asked = np.concatenate([asked, again])
            new = np.unique(asked[~self._known[asked]])
            if not len(new):
                break
        every = np.unique(np.concatenate(found))
        signs = self._signs(every)
        return every[(signs > 0) & (signs < 255)]

    def _signs(self, cells: Array) -> Array:
        """A bit for each corner of a cell that is inside."""
        signs = np.zeros(len(cells), np.uint8)
        for bit, offset in enumerate(self.offsets):
            signs |= (self.values[cells + offset] < 0).astype(np.uint8) << np.uint8(bit)
        return signs

    def _repair(self, cells: Array, signs: Array) -> Array:
        """Turn the nearest outer corner inside wherever corners touch across a diagonal alone.

        Thin slanting parts, of which the grid sees a chain of diagonal neighbours, stay in one
        piece. Returns the corners that were turned.
        """
        wrong = np.flatnonzero(_MENDING[signs].any(1))
        if not len(wrong):
            return wrong
        cells, allowed = cells[wrong], _MENDING[signs[wrong]]
        corners = cells[:, None] + self.offsets
        distance = np.where(allowed, self.values[corners], np.inf)
        flipped = np.unique(corners[np.arange(len(cells)), distance.argmin(1)])
        self.values[flipped] = -1e-3 * self.cell
        return flipped


def _tables() -> tuple[Array, Array]:
    """For each set of signs: which outer corners may mend it, and which faces have both signs."""
    mending = np.zeros((256, 8), bool)
    crossed = np.zeros((256, 6), bool)
    faces = [np.flatnonzero(CORNERS[:, axis] == end) for end in (1, 0) for axis in range(3)]
    for signs in range(256):
        inside = np.array([bool(signs >> bit & 1) for bit in range(8)])
        for face, four in enumerate(faces):
            crossed[signs, face] = inside[four].any() and not inside[four].all()
            a, b, c, d = inside[four]
            if a == d and b == c and a != b:
                mending[signs, four[~inside[four]]] = True
        for corner in range(4):  # and 7 - corner is across the cell
            pair = [corner, 7 - corner]
            alone = np.isin(np.arange(8), pair)
            if (inside == alone).all() or (inside == ~alone).all():
                mending[signs] |= ~inside
    return mending, crossed


_MENDING, _CROSSED = _tables()
