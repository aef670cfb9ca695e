"""Makes docs/fill.jpg, the picture in the README: `python docs/fill.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from triptych import demo

WIDTH, GAP = 720, 8


def main() -> None:
    """Fill a scribble, and lay the pictures out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo.fill_section(folder)
        files = ("scribbled.png", "filled.jpg")
        pictures = [Image.open(folder / file).convert("RGB") for file in files]
    high = WIDTH * pictures[0].height // pictures[0].width
    sheet = Image.new("RGB", (2 * WIDTH + GAP, high), "white")
    for place, picture in enumerate(pictures):
        small = picture.resize((WIDTH, high), Image.Resampling.LANCZOS)
        sheet.paste(small, (place * (WIDTH + GAP), 0))
    sheet.save(Path(__file__).with_name("fill.jpg"), quality=88)


if __name__ == "__main__":
    main()
