"""Makes docs/fill.jpg, the picture in the README: `python docs/fill.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from triptych import demo

WIDTH, GAP = 720, 8


def main() -> None:
    """Fill a scribble, extend the canvas, and lay the pictures out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photograph.jpg").write_bytes(demo.PHOTOGRAPH.read_bytes())
        demo.fill_section(folder)
        files = ("scribbled.png", "filled.jpg", "extended.jpg")
        pictures = [Image.open(folder / file).convert("RGB") for file in files]
    high = WIDTH * pictures[0].height // pictures[0].width
    wide = high * pictures[2].width // pictures[2].height
    sizes = ((WIDTH, high), (WIDTH, high), (wide, high))
    total = sum(size[0] + GAP for size in sizes) - GAP
    sheet, left = Image.new("RGB", (total, high), "white"), 0
    for picture, size in zip(pictures, sizes, strict=True):
        sheet.paste(picture.resize(size, Image.Resampling.LANCZOS), (left, 0))
        left += size[0] + GAP
    sheet.save(Path(__file__).with_name("fill.jpg"), quality=88)


if __name__ == "__main__":
    main()
