"""Two shapes made one: the upper part of one on the lower part of the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.shape.implicit import Implicit

Array = NDArray[Any]

_THICK = 0.015  # of the cube's half side: what is as near as that to a slice is in it
_BESIDE = 0.1  # of it: distances from a surface that tell where it is
_STEP = 0.016  # of it: by how much surfaces may be apart, on the mean, where two shapes are joined
_WORST = 0.04  # and at most: no corner of a top stands out from another
_STEP_BESIDE = 0.04  # and just above or below: what ends between two boards hangs in the air
_APART = 0.12  # how unlike they are, above as well as below, at least
_STRETCHED = 0.25  # of their proportions, as logarithms, at most
_WHOLE = 0.85  # of the volume of the smaller one: what is made of two has as much at least
_COST, _LOST = 10.0, 4.0  # of a step, and of volume that is less
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
    place = _cut(one.latent, two.latent, share, nodes)
    if place is None or not 0 < share < 1:
        return Implicit(main.latent, main.category, size, bent)
    return Implicit(joined(one.latent, two.latent, place, share, nodes), main.category, size, bent)


def joined(one: Array, two: Array, place: int, share: float, nodes: int) -> Array:
    """The first latent (1 x LATENT) above the `place`-th of the `nodes` in height and the second
    below, in proportions that are, by `share`, those of the second."""
    upper, lower = (each[0, :-3].reshape(nodes, nodes, nodes) for each in (one, two))
    height = np.arange(nodes)[None, :, None]
    far = np.where(height > place, upper, np.where(height < place, lower, np.minimum(upper, lower)))
    sides = np.exp((1 - share) * np.log(one[:, -3:]) + share * np.log(two[:, -3:]))
    made: Array = np.concatenate([far.reshape(1, -1), sides / sides.max()], 1).astype(np.float32)
    return made


def seams(one: Array, others: Array, nodes: int) -> tuple[Array, Array]:
    """Where each of the `others` (N x LATENT) goes best over into a latent (1 x LATENT), in height.

    Returns the nodes (N) and how much is gained there (N): how unlike the two are, above or below,
    where it is less, less what the step costs. It is -inf where no slices are alike enough, or too
    little would be left.
    """
    step, worst, both, either = _slices(one, others, nodes)
    above = _unlike_below(both[:, ::-1], either[:, ::-1])[:, ::-1]
    least = np.minimum(_unlike_below(both, either), above)
    volumes = np.minimum(_volumes(one, others, nodes), _volumes(others, one, nodes))
    beside = np.minimum(np.roll(step, 1, 1), np.roll(step, -1, 1))
    fit = (either > 0) & (step <= _STEP) & (worst <= _WORST) & (beside <= _STEP_BESIDE)
    fit &= (least >= _APART) & (volumes >= _WHOLE)
    sides = np.abs(np.log(others[:, -3:] / one[:, -3:])).max(1)
    worth = np.where(fit & (sides < _STRETCHED)[:, None], least - _COST * step, -np.inf)
    return worth.argmax(1), worth.max(1)


def _slices(one: Array, others: Array, nodes: int) -> tuple[Array, Array, Array, Array]:
    """How far the surfaces of a latent and of each other one (N) are apart at each height, on the
    mean and at most, and how many nodes are there inside of both, and of either one: N x nodes."""
    ours, theirs = (each[:, :-3].reshape(-1, nodes, nodes, nodes) for each in (one, others))
    near = (np.abs(ours) < _BESIDE) | (np.abs(theirs) < _BESIDE)
    apart = np.abs(theirs - ours)
    step = (apart * near).sum((1, 3)) / np.maximum(near.sum((1, 3)), 1)
    near = (np.abs(ours) < _WORST) | (np.abs(theirs) < _WORST)
    inside, other = ours < _THICK, theirs < _THICK
    worst = (apart * near).max((1, 3))
    return step, worst, (inside & other).sum((1, 3)), (inside | other).sum((1, 3))


def _volumes(upper: Array, lower: Array, nodes: int) -> Array:
    """How much is inside of what is of the upper latents above a height and of the lower ones
    below (one or N of each), beside the smaller: N x nodes. It is less where a seat is lost."""
    above, below = (
        (each[:, :-3].reshape(-1, nodes, nodes, nodes) < _THICK).sum((1, 3))
        for each in (upper, lower)
    )
    smaller = np.minimum(above.sum(1), below.sum(1))[:, None]
    both = below.cumsum(1) + above[:, ::-1].cumsum(1)[:, ::-1] - np.minimum(above, below)
    made: Array = both / np.maximum(smaller, 1)
    return made


def _unlike_below(both: Array, either: Array) -> Array:
    """From how much is inside of both and of either one at each height (N x H): which share of what
    is below is inside of one alone."""
    same, whole = (each.cumsum(1) - each for each in (both, either))
    made: Array = np.where(whole > 0, 1 - same / np.maximum(whole, 1), 0.0)
    return made


def _cut(one: Array, two: Array, share: float, nodes: int) -> int | None:
    """The node in height at which to go over from one latent to the other."""
    (step,), _, (both,), (either,) = _slices(one, two, nodes)
    smaller = np.minimum(
        *((each[0, :-3].reshape(3 * (nodes,)) < _THICK).sum((0, 2)) for each in (one, two))
    )
    within = both / np.maximum(smaller, 1)
    heights = np.linspace(0, 1, nodes)
    worth = both / np.maximum(either, 1) + 0.5 * within - _COST * step
    worth -= _ELSEWHERE * np.abs(heights - share)
    worth -= _LOST * (_WHOLE - _volumes(one, two, nodes)[0]).clip(0)
    worth[(within < _MEETS) | (heights == 0) | (heights == 1)] = -np.inf
    return int(worth.argmax()) if np.isfinite(worth).any() else None
