"""Patches of another colour where the photograph has no edge.

The objective judges colour through features, in which a cyan patch on a golden sea costs little. A
painter changes the colour where the subject does, or as often as the style picture itself does; a
stylised picture is asked not to do so more suddenly than both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = (16, 32)  # pixels of the sides of what is looked at as one colour
_PHOTOGRAPH = 1.5  # times what changes in the photograph may change


def _chroma(pictures: Tensor) -> Tensor:
    """N x 3 x H x W, sRGB 0..1, to Cb and Cr (ITU-R BT.601), N x 2 x H x W within -0.5..0.5."""
    red, green, blue = pictures.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([0.564 * (blue - luma), 0.713 * (red - luma)], 1)


def _steps(x: Tensor) -> list[Tensor]:
    """How far each cell is from its right and its lower neighbour, N x ... each."""
    across, down = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return [(d.pow(2).sum(1) + 1e-8).sqrt() for d in (across, down)]


def usual_steps(style: Tensor) -> Tensor:
    """By how much a style picture's (1 x 3 x H x W) colour changes from cell to cell: the root mean
    square for each of CELLS; 0 where the picture is one cell."""
    found = []
    for cell in CELLS:
        steps = torch.cat([s.flatten() for s in _steps(_chroma(F.avg_pool2d(style.float(), cell)))])
        found.append(steps.pow(2).mean().sqrt() if len(steps) else style.new_zeros(()).float())
    return torch.stack(found)


def blotches(made: Tensor, pictures: Tensor, usual: Tensor) -> Tensor:
    """How much more suddenly N stylised pictures change colour than their photographs and styles
    do, N: the mean over neighbouring cells. `usual` is N x 2 (see `usual_steps`)."""
    total = made.new_zeros(len(made), dtype=torch.float32)
    for place, cell in enumerate(CELLS):
        with torch.no_grad():
            seen = _steps(F.avg_pool2d(pictures.float(), cell))
        changed = _steps(_chroma(F.avg_pool2d(made.float(), cell)))
        for step, allowed in zip(changed, seen, strict=True):
            beyond = step - _PHOTOGRAPH * allowed - usual[:, place, None, None]
            if beyond[0].numel():
                total = total + F.relu(beyond).mean((1, 2))
    return total
