"""How far a picture's fine strokes run along the pixel grid, as a maze's walls do and no brush's.

The generator works on a grid and finds strokes along it the easiest. Features see edges, not that
they are all level or upright; the fourth harmonic of the gradients' directions does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 64  # pixels of the side of what is looked at in one go
SCALES = (1, 2)  # pixels that are one, in turn
_FAINT = 2 / 255  # a gradient that hardly shows


def gridded(pictures: Tensor) -> Tensor:
    """N x 3 x H x W, 0..1, of at least BLOCK px, to N x blocks: for each block and scale -1 (all
    strokes are diagonal) to 1 (all are level or upright); 0 where directions are even."""
    found = []
    grey = pictures.float().mean(1, keepdim=True)
    # Scharr's filter: of the small ones, the one whose answers turn with the picture best
    row = torch.tensor([3.0, 10.0, 3.0], device=grey.device) / 32
    column = torch.tensor([-1.0, 0.0, 1.0], device=grey.device)
    kernel = torch.stack([torch.outer(row, column), torch.outer(column, row)])[:, None]
    for scale in SCALES:
        x, y = F.conv2d(F.avg_pool2d(grey, scale), kernel).split(1, 1)
        power = x * x + y * y
        fourth = (power * power - 8 * x * x * y * y) / (power + 1e-8)  # power * cos(4 angle)
        side = BLOCK // scale
        mean, energy = (F.avg_pool2d(v, side, side, ceil_mode=True) for v in (fourth, power))
        found.append((mean / (energy + _FAINT**2)).flatten(1))
    return torch.cat(found, 1)
