"""Pictures that, made smaller again, are the picture that they were made from.

The reduction D is `resample.shrink`, MATLAB's bicubic one. Of all pictures within 0..1 that D makes
the small one, the nearest is looked for by ascending the dual problem: what D still lacks is added
to a picture of any values (back-projection, Irani & Peleg 1991, by D's pseudo-inverse), of which
what is clipped to 0..1 is judged. Nesterov's momentum (1983) makes the few rounds suffice, where
clipping the picture itself in each round would take hundreds beside white.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Doubles = NDArray[np.float64]

_REACH = 6  # px of the small picture that a correction spreads over, on every side
_RING = 64  # small pixels of the line on which the pseudo-inverse is found


class Consistent(nn.Module):
    """N x 3 x sH x sW as the nearest that reduce to N x 3 x H x W, 0..1, as far as `rounds` go.

    Both pictures are thought of as mirrored at their edges, the edge's pixels repeated. Where no
    picture within 0..1 reduces to the small one (lines of a pixel, black on white), a difference
    stays.
    """

    down: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, scale: int, rounds: int) -> None:
        super().__init__()
        self.scale, self.rounds = scale, rounds
        taps = torch.from_numpy(reduction(scale)).float()
        self.edge = (len(taps) - scale) // 2
        along = torch.from_numpy(correction(scale)).float()[:, None]
        self.register_buffer("down", taps.repeat(3, 1, 1, 1), False)
        self.register_buffer("rows", along[..., None].repeat(3, 1, 1, 1), False)
        self.register_buffer("columns", along[:, None].repeat(3 * scale, 1, 1, 1), False)

    def reduced(self, large: Tensor) -> Tensor:
        """`resample.shrink` of N x 3 x sH x sW."""
        return self._reduced(mirrored(large, around(large, self.edge)))

    def spread(self, small: Tensor) -> Tensor:
        """The least picture N x 3 x sH x sW that reduces to N x 3 x H x W."""
        return self._spread(mirrored(small, around(small, _REACH)))

    def forward(self, large: Tensor, small: Tensor) -> Tensor:
        before = large
        beyond_large, beyond_small = around(large, self.edge), around(small, _REACH)
        for number in range(self.rounds):
            lacking = small - self._reduced(mirrored(large.clamp(0, 1), beyond_large))
            now = large + self._spread(mirrored(lacking, beyond_small))
            large = now + number / (number + 3) * (now - before)
            before = now
        return before.clamp(0, 1)

    def _reduced(self, wide: Tensor) -> Tensor:
        made = F.conv2d(wide, self.down, stride=(1, self.scale), groups=3)
        return F.conv2d(made, self.down.mT, stride=(self.scale, 1), groups=3)

    def _spread(self, wide: Tensor) -> Tensor:
        made = F.conv2d(wide, self.rows, groups=3)  # N x 3*s x H x W
        made = F.conv2d(made, self.columns, groups=3 * self.scale)
        return F.pixel_shuffle(made, self.scale)


def around(x: Tensor, edge: int) -> tuple[Tensor, Tensor]:
    """The rows and the columns of `x` with `edge` px more on every side, as NumPy's "symmetric"
    padding takes them."""
    found = []
    for size in x.shape[2:]:
        places = torch.arange(-edge, size + edge, device=x.device) % (2 * size)
        found.append(torch.minimum(places, 2 * size - 1 - places))
    return found[0], found[1]


def mirrored(x: Tensor, places: tuple[Tensor, Tensor]) -> Tensor:
    """These rows and columns of N x C x H x W."""
    return x.index_select(2, places[0]).index_select(3, places[1])


def reduction(scale: int) -> Doubles:
    """The weights of the pixels from which one of the small picture is made, along one side (Keys
    1981, a = -0.5, widened by the scale)."""
    half = 2 * scale - 0.5 if scale % 2 == 0 else 2 * scale - 1
    away = np.abs(np.arange(-half, half + 1)) / scale
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    taps: Doubles = np.where(away <= 1, near, far)
    return taps / taps.sum()


def correction(scale: int) -> Doubles:
    """The pseudo-inverse of the reduction along one side: s phases x 2*_REACH + 1 small pixels."""
    taps, length = reduction(scale), _RING * scale
    reducing = np.zeros((_RING, length))
    first = np.arange(len(taps)) - (len(taps) - scale) // 2
    for place in range(_RING):
        reducing[place, (place * scale + first) % length] = taps
    middle = _RING // 2
    phases = np.linalg.pinv(reducing).reshape(_RING, scale, _RING)[middle]
    found: Doubles = phases[:, middle - _REACH : middle + _REACH + 1]
    return found
