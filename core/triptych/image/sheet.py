"""A contact sheet: thumbnails in a grid, each with a caption below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

_PAPER = (250, 249, 246)
_INK = (32, 31, 30)
_GREY = (118, 114, 108)


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet: a heading (bold by size and ink), smaller lines below it."""

    picture: Path | Image.Image | None
    heading: str
    lines: tuple[str, ...] = ()


def contact_sheet(
    cells: Sequence[Cell], title: str = "", columns: int = 6, size: int = 220
) -> np.ndarray:
    """Draws `cells` row by row; a picture is fitted into a square of `size` pixels.

    Returns float32 H x W x 3, sRGB, 0..1. A cell without a picture shows an empty square.
    """
    gap, line, head = size // 7, size // 12, size // 10
    heading_font = ImageFont.load_default(size=size // 14)
    line_font = ImageFont.load_default(size=size // 17)
    title_font = ImageFont.load_default(size=size // 7)
    columns = max(1, min(columns, len(cells)))
    rows = -(-len(cells) // columns)
    # A heading takes two lines at most, so that all captions of a row end alike.
    caption = 2 * head + line * max((len(cell.lines) for cell in cells), default=0)
    top = gap + (size // 4 if title else 0)
    width = gap + columns * (size + gap)
    sheet = Image.new("RGB", (width, top + rows * (size + caption + gap)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((gap, gap // 2 + size // 14), title, _INK, title_font)
    for index, cell in enumerate(cells):
        left = gap + (index % columns) * (size + gap)
        upper = top + (index // columns) * (size + caption + gap)
        _paste(sheet, cell.picture, left, upper, size)
        y = upper + size + head // 3
        for text in _wrap(cell.heading, heading_font, size, most=2):
            draw.text((left, y), text, _INK, heading_font)
            y += round(head * 0.85)
        y += head // 6
        for text in cell.lines:
            for part in _wrap(text, line_font, size, most=1):
                draw.text((left, y), part, _GREY, line_font)
            y += line
    return np.asarray(sheet, np.float32) / 255


def _paste(
    sheet: Image.Image, shown: Path | Image.Image | None, left: int, upper: int, size: int
) -> None:
    """Fits the picture into the square, above its caption: a painting is not cropped."""
    if shown is None:
        ImageDraw.Draw(sheet).rectangle((left, upper, left + size, upper + size), (232, 229, 223))
        return
    with shown if isinstance(shown, Image.Image) else Image.open(shown) as opened:
        picture = ImageOps.contain(opened.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    sheet.paste(picture, (left, upper + size - picture.height))


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _wrap(text: str, font: _Font, width: int, most: int) -> list[str]:
    """`text` in at most `most` lines of `width` pixels; the last ends in dots if it is cut."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < most:
        count = len(words)
        while count > 1 and font.getlength(" ".join(words[:count])) > width:
            count -= 1
        lines.append(" ".join(words[:count]))
        words = words[count:]
    if lines and (words or font.getlength(lines[-1]) > width):
        last = " ".join([lines[-1], *words])
        while last and font.getlength(last + "…") > width:
            last = last[:-1]
        lines[-1] = last.rstrip() + "…"
    return lines
