"""Large pictures in tiles: memory is bounded by the tile, and no seam shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from triptych.engine import Job

Floats = NDArray[np.float32]


def tile_map(
    picture: Floats,
    function: Callable[[Floats], Floats],
    tile: int,
    overlap: int,
    job: Job | None = None,
    multiple: int = 8,
    scale: int = 1,
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
        function: maps a piece h x w x C (a contiguous copy) to scale*h x scale*w x D.
        tile: longest side of what a piece adds to the result, in px, without its overlap.
        overlap: context on every side in px; rounded up to `multiple`.
        job: told the share that is done; cancelling it raises Cancelled before the next tile.
        multiple: what the sides of every piece divide by, in px.
        scale: how many times larger the function's result is.

    Returns:
        scale*H x scale*W x D float32.

    Raises:
        ValueError: sizes that make no sense, or a result of another shape than promised.
    """
    if picture.ndim != 3 or 0 in picture.shape:
        raise ValueError(f"a picture H x W x C is needed, not one of shape {picture.shape}")
    if tile < 1 or overlap < 0 or multiple < 1 or scale < 1:
        raise ValueError("tile, multiple and scale must be at least 1 and overlap at least 0")
    height, width, _ = picture.shape
    margin = _round_up(overlap, multiple)
    step_y, step_x = (_even_step(side, tile, multiple) for side in (height, width))
    corners = [(y, x) for y in range(0, height, step_y) for x in range(0, width, step_x)]
    result: Floats | None = None
    for done, (top, left) in enumerate(corners):
        if job is not None:
            job.check()
            job.progress(done / len(corners), f"tile {done + 1} of {len(corners)}")
        rows = _mirrored(top - margin, top + step_y + margin, height)
        columns = _mirrored(left - margin, left + step_x + margin, width)
        made = function(np.ascontiguousarray(picture[rows[:, None], columns]))
        if made.ndim != 3 or made.shape[:2] != (scale * len(rows), scale * len(columns)):
            raise ValueError(
                f"a piece of {len(rows)} x {len(columns)} px at scale {scale} became {made.shape}"
            )
        if result is None:
            result = np.empty((scale * height, scale * width, made.shape[2]), np.float32)
        bottom, right = min(top + step_y, height), min(left + step_x, width)
        core = made[
            scale * margin : scale * (margin + bottom - top),
            scale * margin : scale * (margin + right - left),
        ]
        result[scale * top : scale * bottom, scale * left : scale * right] = core
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


def _mirrored(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices into an axis that is mirrored about its ends, as often as needed."""
    if size == 1:
        return np.zeros(stop - start, np.intp)
    index = np.arange(start, stop) % (2 * size - 2)
    return np.minimum(index, 2 * size - 2 - index)
