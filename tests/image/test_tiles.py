"""Tiles: the result of one call, whatever the size; bounded memory; progress and cancelling."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from triptych.engine import Event, Job
from triptych.errors import Cancelled
from triptych.image.tiles import tile_map

Floats = NDArray[np.float32]
sides = st.integers(1, 90)


def picture(height: int, width: int, channels: int = 3) -> Floats:
    return np.random.default_rng(0).random((height, width, channels)).astype(np.float32)


def blur(pixels: Floats) -> Floats:
    """The mean of 3 x 3, mirrored at the edges."""
    height, width, _ = pixels.shape
    mode: Any = "reflect" if min(height, width) > 1 else "edge"
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode)
    shifted = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.mean(shifted, axis=0, dtype=np.float32)


@settings(deadline=None, max_examples=60)
@given(sides, sides, st.integers(1, 64), st.integers(0, 40), st.sampled_from([1, 2, 4, 8]))
@example(1, 1, 1, 0, 1)
@example(1, 1, 64, 40, 8)
@example(1, 90, 16, 8, 8)
def test_the_identity_gives_the_same_picture(
    height: int, width: int, tile: int, overlap: int, multiple: int
) -> None:
    before = picture(height, width)
    shapes = set()

    def function(piece: Floats) -> Floats:
        shapes.add(piece.shape)
        assert piece.flags.c_contiguous
        assert piece.shape[0] % multiple == piece.shape[1] % multiple == 0
        assert max(piece.shape[:2]) <= max(tile, multiple) + 2 * (overlap + multiple)
        return piece

    after = tile_map(before, function, tile, overlap, multiple=multiple)
    assert after.dtype == np.float32
    assert np.array_equal(after, before)
    assert len(shapes) == 1


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 80), st.integers(2, 80), st.integers(1, 40), st.integers(1, 20))
def test_a_blur_in_tiles_is_the_blur_of_the_whole(
    height: int, width: int, tile: int, overlap: int
) -> None:
    before = picture(height, width)
    after = tile_map(before, blur, tile, overlap, multiple=4)
    np.testing.assert_allclose(after, blur(before), atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(sides, sides, st.integers(1, 50), st.integers(0, 20))
def test_what_lies_beside_is_cut_alike(height: int, width: int, tile: int, overlap: int) -> None:
    before = picture(height, width)
    codes = (255 * before[..., :1]).astype(np.uint8)

    def both(piece: Floats, beside: NDArray[np.uint8]) -> Floats:
        assert np.array_equal((255 * piece[..., :1]).astype(np.uint8), beside)
        return np.concatenate([piece, beside.astype(np.float32)], 2)

    after = tile_map(before, both, tile, overlap, beside=[codes])
    assert np.array_equal(after, np.concatenate([before, codes], 2))


@settings(deadline=None, max_examples=40)
@given(sides, sides, st.integers(1, 50), st.integers(0, 20))
def test_a_grid_falls_on_the_same_pixels_in_every_tile(
    height: int, width: int, tile: int, overlap: int
) -> None:
    """What a strided network does: one value for each cell of 8 x 8, anchored at the corner."""

    def cells(piece: Floats) -> Floats:
        return piece[::8, ::8].repeat(8, axis=0).repeat(8, axis=1)

    before = picture(height, width)
    after = tile_map(before, cells, tile, overlap, multiple=8)
    expected = before[::8, ::8].repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    assert np.array_equal(after, expected)


@settings(deadline=None, max_examples=20)
@given(sides, sides, st.integers(1, 4))
def test_scale_and_other_channels(height: int, width: int, scale: int) -> None:
    before = picture(height, width, 4)

    def larger(piece: Floats) -> Floats:
        return piece[..., :2].repeat(scale, axis=0).repeat(scale, axis=1)

    after = tile_map(before, larger, 32, 8, scale=scale)
    assert np.array_equal(after, larger(before))


def test_memory_is_bounded_by_the_tile() -> None:
    before = picture(2000, 1500)

    def hungry(piece: Floats) -> Floats:
        return np.concatenate([piece] * 8, axis=-1)[..., :3]

    tracemalloc.start()
    after = tile_map(before, hungry, 128, 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < after.nbytes + 16 * 1024 * 1024


def test_progress_and_cancelling() -> None:
    events: list[Event] = []
    job = Job(events.append)
    tile_map(picture(64, 64), lambda piece: piece, 32, 8, job)
    fractions = [event.fraction for event in events]
    assert fractions == [0, 0.25, 0.5, 0.75, 1]
    assert events[1].message == "tile 2 of 4"

    calls = 0

    def cancelling(piece: Floats) -> Floats:
        nonlocal calls
        calls += 1
        job.cancel()
        return piece

    with pytest.raises(Cancelled):
        tile_map(picture(64, 64), cancelling, 32, 8, job)
    assert calls == 1


def test_the_picture_is_not_changed() -> None:
    before = picture(20, 20)
    kept = before.copy()

    def spoiling(piece: Floats) -> Floats:
        piece[:] = 0
        return piece

    tile_map(before, spoiling, 8, 8)
    assert np.array_equal(before, kept)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 4), {}),
        ((0, 4, 3), {}),
        ((4, 4, 3), {"tile": 0}),
        ((4, 4, 3), {"overlap": -1}),
        ((4, 4, 3), {"multiple": 0}),
        ((4, 4, 3), {"scale": 2}),
    ],
)
def test_sizes_that_make_no_sense(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    options = {"tile": 8, "overlap": 0} | options
    with pytest.raises(ValueError, match=r"at least|needed|became"):
        tile_map(np.zeros(shape, np.float32), lambda piece: piece, **options)
