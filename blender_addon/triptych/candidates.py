# SPDX-License-Identifier: GPL-3.0-or-later
"""Results to choose from: made, but in no scene yet."""

from dataclasses import dataclass
from typing import Any

import bpy
import bpy.utils.previews

from .engine import Made

SIDE = 192  # pixels of a thumbnail
_TILE = 96  # of a material's, which is made here


@dataclass
class Candidate:
    """A result, its thumbnail's number, and what the user thinks of it: 1 liked, -1 rejected."""

    made: Made
    title: str
    icon: int
    mark: int = 0


shown: list[Candidate] = []
_previews: Any = None


def show(made: list[Made], titles: list[str]) -> None:
    """Show these results instead of those that were shown; their memory is kept meanwhile."""
    clear()
    global _previews
    _previews = bpy.utils.previews.new()
    for number, (one, title) in enumerate(zip(made, titles, strict=True)):
        preview = _previews.new(str(number))
        draw(preview, one)
        shown.append(Candidate(one, title, preview.icon_id))


def draw(preview: bpy.types.ImagePreview, made: Made) -> None:
    """Put a result's picture into a preview: bytes, RGBA, the last row first."""
    side, rgb = _picture(made)
    pixels = bytearray(b"\xff" * (4 * side * side))
    for row in range(side):
        line = rgb[3 * side * (side - 1 - row) : 3 * side * (side - row)]
        for channel in range(3):
            start = 4 * side * row + channel
            pixels[start : 4 * side * (row + 1) : 4] = line[channel::3]
    preview.image_size = (side, side)
    preview.image_pixels.foreach_set(memoryview(pixels).cast("i"))


def _picture(made: Made) -> tuple[int, bytes]:
    """A result's picture: its side and its bytes, RGB, the first row first."""
    content = made.content
    if made.order.output == "mesh":
        return content.preview_size, bytes(content.preview)
    high, wide = content.size["colour"]
    side = min(_TILE, high, wide)
    colour, rgb = content.maps["colour"], bytearray()
    for row in range(side):
        for column in range(side):
            at = 3 * (row * high // side * wide + column * wide // side)
            rgb += bytes(round(255 * value) for value in colour[at : at + 3])
    return side, bytes(rgb)


def liked(mark: int) -> list[Any]:
    """What the candidates of a mark were made from."""
    meshes = (one for one in shown if one.made.order.output == "mesh")
    return [one.made.content.shape for one in meshes if one.mark == mark]


def clear() -> None:
    """Give the memory of all back."""
    global _previews
    for one in shown:
        one.made.content.close()
    shown.clear()
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None
