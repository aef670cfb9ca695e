"""How much shapes overlap."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triptych.shape.overlap import overlaps

NODES = 24
# Boxes whose sides end in the middle of a cell may be a cell off in each direction, which is much
# for a small one; of these no pair is off by a tenth.
Shares = st.sampled_from([0.4, 0.6, 0.8, 1.0])
Sides = st.tuples(*[st.sampled_from([0.5, 0.75, 1.0])] * 3)


def box(share: float, sides: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The distances at the nodes of a box of these sides over the longest, filled up to `share` of
    its height from the ground."""
    proportions = np.array(sides) / max(sides)
    height = np.linspace(-1, 1, NODES) * proportions[1]
    far = height - (2 * share - 1) * proportions[1]
    return np.broadcast_to(far[None, :, None], (NODES,) * 3).reshape(-1), proportions


@given(st.lists(st.tuples(Shares, Sides), min_size=1, max_size=4))
def test_boxes_overlap_as_their_volumes_say(drawn: list[tuple[float, tuple[float, float, float]]]):
    told = [box(*one) for one in drawn]
    made = overlaps(np.stack([far for far, _ in told]), np.stack([sides for _, sides in told]))
    for a, (one, _) in enumerate(drawn):
        assert made[a, a] == 1
        for b, (other, _) in enumerate(drawn):
            assert made[a, b] == made[b, a]
            sides = [told[n][1] for n in (a, b)]
            tops = [(2 * share - 1) * s[1] for share, s in zip((one, other), sides, strict=True)]
            grounds = [-s[1] for s in sides]
            volumes = [4 * s[0] * s[2] * (top + s[1]) for s, top in zip(sides, tops, strict=True)]
            width, depth = np.minimum(*sides)[[0, 2]]
            both = 4 * width * depth * max(0.0, min(tops) - max(grounds))
            assert abs(made[a, b] - both / (sum(volumes) - both)) < 0.1


def test_what_is_nowhere_overlaps_nothing():
    far, sides = box(0.5, (1, 1, 1))
    made = overlaps(np.stack([far, far * 0 + 0.2]), np.stack([sides, sides]))
    np.testing.assert_array_equal(made, [[1, 0], [0, 0]])
