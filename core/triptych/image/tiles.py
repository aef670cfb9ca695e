"""Large pictures in tiles: memory is bounded by the tile, and no seam shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from triptych.engine import Job

Floats = NDArray[np.float32]


def tile_map(
    picture: Floats,
    function: Callable[..., Floats],
    tile: int,
    overlap: int,
    job: Job | None = None,
    multiple: int = 8,
    scale: int = 1,
    border: int | None = None,
    beside: Sequence[NDArray[Any]] = (),
) -> Floats:
    """Apply `function` to a picture tile by tile, with the result that one call would have.

    The picture, H x W x C, is thought of as mirrored without end at its edges. It is split into
    tiles of about `tile` x `tile` px; each is read with at least `overlap` px more on every side,
    and of the result only the tile itself is kept. Where `function` looks no farther than `overlap`
    around a pixel (its receptive field), the tiles meet exactly and need no blending. Every piece
    starts at a multiple of `multiple` px (the network's total stride) and all have one shape, so
    that the network's grid falls on the same pixels and the runtime plans its memory once.

    Args:
        picture: H x W x C float32; it is not changed.
        function: maps a piece h x w x C (a contiguous copy) to scale*h x scale*w x D; the pieces
            of `beside` are its other arguments.
        tile: longest side of what a piece adds to the result, in px, without its overlap.
        overlap: context on every side in px; rounded up to `multiple`.
        job: told the share that is done; cancelling it raises Cancelled before the next tile.
        multiple: what the sides of every piece divide by, in px.
        scale: how many times larger the function's result is.
        border: how far pieces reach beyond the picture at most, in px; rounded up to `multiple`. A
            function that sees the end of its piece (by zero padding) then sees it in the same place
            for every `tile`. Default: `overlap`.
        beside: more arrays H x W x any that are cut like the picture.

    Returns:
        scale*H x scale*W x D float32.

    Raises:
        ValueError: sizes that make no sense, or a result of another shape than promised.
    """
    if picture.ndim != 3 or 0 in picture.shape:
        raise ValueError(f"a picture H x W x C is needed, not one of shape {picture.shape}")
    border = overlap if border is None else border
    if tile < 1 or overlap < 0 or border < 0 or multiple < 1 or scale < 1:
        raise ValueError("tile, multiple and scale must be at least 1, overlap and border 0")
    height, width, _ = picture.shape
    margin, edge = _round_up(overlap, multiple), _round_up(border, multiple)
    step_y, step_x = (_even_step(side, tile, multiple) for side in (height, width))
    corners = [(y, x) for y in range(0, height, step_y) for x in range(0, width, step_x)]
    result: Floats | None = None
    for done, (top, left) in enumerate(corners):
        if job is not None:
            job.check()
            job.progress(done / len(corners), f"tile {done + 1} of {len(corners)}")
        rows = _piece(top, step_y, margin, edge, _round_up(height, multiple))
        columns = _piece(left, step_x, margin, edge, _round_up(width, multiple))
        made = function(*(_cut(whole, rows, columns) for whole in (picture, *beside)))
        if made.ndim != 3 or made.shape[:2] != (scale * len(rows), scale * len(columns)):
            raise ValueError(
                f"a piece of {len(rows)} x {len(columns)} px at scale {scale} became {made.shape}"
            )
        if result is None:
            result = np.empty((scale * height, scale * width, made.shape[2]), np.float32)
        bottom, right = min(top + step_y, height), min(left + step_x, width)
        core = made[
            scale * (top - rows.start) : scale * (bottom - rows.start),
            scale * (left - columns.start) : scale * (right - columns.start),
        ]
        place = result[scale * top : scale * bottom, scale * left : scale * right]
        for channel in range(core.shape[2]):  # twice as fast as all at once from N x C x H x W
            place[..., channel] = core[..., channel]
    if job is not None:
        job.progress(1.0)
    assert result is not None
    return result


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _even_step(side: int, tile: int, multiple: int) -> int:
    """The tile's side that covers `side` in as few tiles as `tile` allows, but evenly."""
    longest = max(multiple, tile // multiple * multiple)
    return _round_up(-(-side // -(-side // longest)), multiple)


def _piece(start: int, step: int, margin: int, edge: int, size: int) -> range:
    """What is read for the tile at `start`: moved inwards where it would pass the edge."""
    length = min(step + 2 * margin, size + 2 * edge)
    first = max(-edge, min(start - margin, size + edge - length))
    return range(first, first + length)


def _cut(picture: NDArray[Any], rows: range, columns: range) -> NDArray[Any]:
    """A contiguous copy of these rows and columns of the picture, mirrored beyond its edges."""
    inside, beyond = [], []
    for span, size in zip((rows, columns), picture.shape, strict=False):
        inside.append(slice(max(0, span.start), span.stop))
        beyond.append((max(0, -span.start), max(0, span.stop - size)))
    return np.ascontiguousarray(np.pad(picture[tuple(inside)], [*beyond, (0, 0)], mode="reflect"))
