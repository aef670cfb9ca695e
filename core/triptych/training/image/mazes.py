"""How far a picture's strokes run along the pixel grid, as a maze's walls do and no brush's.

The generator works on a grid and finds strokes along it the easiest. Features see edges, not that
they are all level or upright; the second and fourth harmonics of the gradients' directions do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 64  # pixels of the side of what is looked at in one go
SCALES = (1, 2, 4)  # pixels that are one, in turn
_FAINT = 2 / 255  # a gradient that hardly shows


def gridded(pictures: Tensor) -> Tensor:
    """N x 3 x H x W, 0..1, of at least BLOCK px, to N x 2 x blocks: for each block and scale how
    far strokes run upright, and how far level: 1 if all do, 0 where directions are even, -1 for
    the two together if all are diagonal.

    The two are apart because a level horizon is no reason for upright stripes on the sea.
    """
    found = []
    # Scharr's filter: of the small ones, the one whose answers turn with the picture best
    row = torch.tensor([3.0, 10.0, 3.0], device=pictures.device) / 32
    column = torch.tensor([-1.0, 0.0, 1.0], device=pictures.device)
    kernel = torch.stack([torch.outer(row, column), torch.outer(column, row)])[:, None]
    for scale in SCALES:
        # channel by channel: purple beside green is an edge, and their greys may be the same
        channels = F.avg_pool2d(pictures.float(), scale).flatten(0, 1)[:, None]
        x, y = F.conv2d(channels, kernel).split(1, 1)
        power = x * x + y * y
        turned = (x * x - y * y) / (power + 1e-8)  # cos(2 angle)
        aligned = power * (2 * turned * turned - 1)  # power * cos(4 angle)
        parts = torch.cat([aligned * (1 + turned) / 2, aligned * (1 - turned) / 2, power], 1)
        parts = parts.unflatten(0, (-1, 3)).sum(1)
        side = BLOCK // scale
        upright, level, energy = F.avg_pool2d(parts, side, side, ceil_mode=True).unbind(1)
        found.append((torch.stack([upright, level], 1) / (energy[:, None] + _FAINT**2)).flatten(2))
    return torch.cat(found, 2)
