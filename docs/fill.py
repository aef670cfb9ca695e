"""Makes docs/fill.jpg, the picture in the README: `python docs/fill.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from triptych import demo

WIDTH, GAP = 720, 8


def main() -> None:
    """Fill a scribble, and lay the pictures out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo.fill_section(folder)
        lay_out([folder / "scribbled.png", folder / "filled.jpg"], "fill.jpg")


def lay_out(files: Sequence[Path], target: str) -> None:
    """Pictures of one height beside each other, the first of WIDTH px, as a file of this folder."""
    pictures = [Image.open(file).convert("RGB") for file in files]
    high = WIDTH * pictures[0].height // pictures[0].width
    widths = [WIDTH * picture.width // pictures[0].width for picture in pictures]
    sheet = Image.new("RGB", (sum(widths) + GAP * (len(files) - 1), high), "white")
    left = 0
    for picture, width in zip(pictures, widths, strict=True):
        sheet.paste(picture.resize((width, high), Image.Resampling.LANCZOS), (left, 0))
        left += width + GAP
    sheet.save(Path(__file__).with_name(target), quality=88)


if __name__ == "__main__":
    main()
