"""A crossing of two shapes: the upper part of one on the lower part of the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.shape.implicit import Implicit

Array = NDArray[Any]

_THICK = 0.015  # of the cube's half side: what is as near as that to a slice is in it
_ELSEWHERE = 1.0  # what a cut costs that is made elsewhere than it is asked for
_MEETS = 0.3  # at least so much of the smaller slice must lie on the other


def crossed(one: Implicit, two: Implicit, share: float, nodes: int) -> Implicit:
    """The first shape on the second, which is below: about a `share` (0..1) of the height.

    They are cut between two of the latents' `nodes` in height, where their slices are most alike:
    the legs of one chair come under the seat of the other. Size and warp are between the two. Where
    nothing meets, it is the one that more is asked of.
    """
    main = one if share < 0.5 else two
    size = np.exp((1 - share) * np.log(one.size) + share * np.log(two.size))
    bent = (1 - share) * one.warp + share * two.warp
    upper, lower = (each.latent[0, :-3].reshape(nodes, nodes, nodes) for each in (one, two))
    place = _cut(upper < _THICK, lower < _THICK, share)
    if place is None or not 0 < share < 1:
        return Implicit(main.latent, main.category, size, bent)
    height = np.arange(nodes)[None, :, None]
    far = np.where(height > place, upper, np.where(height < place, lower, np.minimum(upper, lower)))
    sides = np.exp((1 - share) * np.log(one.latent[:, -3:]) + share * np.log(two.latent[:, -3:]))
    sides /= sides.max()
    latent = np.concatenate([far.reshape(1, -1), sides], 1).astype(np.float32)
    return Implicit(latent, main.category, size, bent)


def _cut(upper: Array, lower: Array, share: float) -> int | None:
    """The node in height at which to go over from one to the other, of what is inside of them."""
    both = (upper & lower).sum((0, 2))
    alike = both / np.maximum((upper | lower).sum((0, 2)), 1)
    within = both / np.maximum(np.minimum(upper.sum((0, 2)), lower.sum((0, 2))), 1)
    heights = np.linspace(0, 1, len(both))
    worth = alike + 0.5 * within - _ELSEWHERE * np.abs(heights - share)
    worth[(within < _MEETS) | (heights == 0) | (heights == 1)] = -np.inf
    return int(worth.argmax()) if np.isfinite(worth).any() else None
