"""The measures of what no painter does: mazes along the grid, sudden patches of colour."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.training.image.blotches import blotches, usual_steps
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.frames import MARGIN, framed
from triptych.training.image.mazes import gridded
from triptych.training.image.style import as_tensor, mazes


def waves(angle: float) -> Tensor:
    """Stripes 16 px apart that run in a direction (degrees)."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    turned = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    return (0.5 + 0.4 * torch.sin(turned / 2.5)).expand(1, 3, 128, 128)


@pytest.mark.parametrize(("angle", "wanted"), [(0, 1), (90, 1), (45, -1), (22.5, 0)])
def test_strokes_along_the_grid_are_told_from_others(angle: float, wanted: float):
    assert float(gridded(waves(angle)).sum(1).mean()) == pytest.approx(wanted, abs=0.12)


def test_upright_strokes_are_told_from_level_ones():
    across, along = gridded(waves(0)).mean((0, 2)), gridded(waves(90)).mean((0, 2))
    assert across.tolist() == pytest.approx([1, 0], abs=0.12)
    assert along.tolist() == pytest.approx([0, 1], abs=0.12)


def test_a_flat_picture_is_no_maze():
    assert float(gridded(torch.full((1, 3, 64, 64), 0.5)).abs().max()) < 1e-3


def test_what_photograph_or_style_has_is_no_maze():
    across, none, all_ = waves(0), torch.zeros(1, 2), torch.ones(1, 2)
    assert float(mazes(across, waves(45), none)) > 0.5
    assert float(mazes(across, across, none)) < 1e-3
    assert float(mazes(across, waves(45), all_)) < 1e-3
    assert float(mazes(across[..., :32, :32], waves(45)[..., :32, :32], none)) == 0


def test_a_patch_of_another_colour_is_a_blotch_unless_something_is_there():
    grey = torch.full((1, 3, 128, 128), 0.5)
    patched = grey.clone()
    patched[:, 0, 32:96, 32:96] = 1.0
    usual = usual_steps(grey)[None]
    assert float(blotches(grey, grey, usual)) == 0
    assert float(blotches(patched, grey, usual)) > 0.01
    assert float(blotches(patched, patched, usual)) == 0
    style = as_tensor(np.asarray(dead_leaves(256, np.random.default_rng(0))))
    busy = usual_steps(style)[None]
    assert float(blotches(patched, grey, busy)) < float(blotches(patched, grey, usual))


def test_a_line_along_the_border_is_a_frame_and_another_colour_all_over_is_none():
    made = torch.rand((1, 3, 320, 320), generator=torch.Generator().manual_seed(0))
    part = made[..., MARGIN:-MARGIN, MARGIN:-MARGIN].clone()
    assert float(framed(made, part)) == 0
    assert float(framed(made, part + 0.1)) == pytest.approx(0, abs=1e-6)
    part[..., :4, :] = 0
    assert float(framed(made, part)) > 0.01
