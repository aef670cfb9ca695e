"""The measure of stamps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.training.image.repetition import BLOCK, LAGS, repetition


def test_a_lattice_is_found_an_edge_and_noise_are_not():
    lattice, edge = torch.zeros(2, 1, 3, 2 * BLOCK, 2 * BLOCK)
    lattice[..., ::16, ::16] = 1
    edge[..., BLOCK // 2 :] = 1
    noise = torch.rand(1, 3, 2 * BLOCK, 2 * BLOCK, generator=torch.Generator().manual_seed(0))
    assert repetition(lattice).min() > 0.8
    assert repetition(edge).max() < 0.1
    assert repetition(noise).max() < 0.25
    assert repetition(torch.full((1, 3, BLOCK, BLOCK), 0.5)).max() < 1e-3


@given(st.integers(LAGS[0] + 1, LAGS[1] - 2), st.integers(0, 20), st.integers(0, 20))
def test_it_does_not_matter_where_the_motif_begins(period: int, down: int, right: int):
    cells = torch.rand(3, period, period, generator=torch.Generator().manual_seed(period))
    tiled = cells.repeat(1, 9, 9)[None, :, down : down + 2 * BLOCK, right : right + 2 * BLOCK]
    assert repetition(tiled).min() > 0.5


def test_it_can_be_trained_on():
    picture = torch.rand(2, 3, BLOCK, BLOCK, requires_grad=True)
    repetition(picture).sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    assert picture.grad.abs().sum() > 0
