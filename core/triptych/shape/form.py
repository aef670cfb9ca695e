"""What a latent is made of: a code, and detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Form:
    """A code (1 x CODE), and the `detail` (1 x K; without it, none) that it does not tell: what is
    added to the coordinates that are built of it."""

    code: Array
    detail: Array = field(default_factory=lambda: np.zeros((1, 1), np.float32))

    def towards(self, other: Form, share: float) -> Form:
        """What lies between this form (`share` 0) and the other (1)."""
        return mixed((self, other), (1 - share, share))


def mixed(forms: Sequence[Form], weights: Sequence[float] | Array) -> Form:
    """The form between some, by weights that add up to 1.

    Codes are mixed. Details are not, for two of them do not make a third: the one of the greatest
    weight is kept, by as much as it is more than all others together.
    """
    shares = np.asarray(weights, np.float32)
    code = np.tensordot(shares, [one.code for one in forms], 1)
    first = int(shares.argmax())
    return Form(code, forms[first].detail * max(2 * shares[first] - 1, np.float32(0)))
