"""Makes docs/extend.jpg, the picture in the README: `python docs/extend.py`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from PIL import Image

from triptych import demo

HIGH, GAP = 420, 8


def main() -> None:
    """Extend the photograph, and lay both beside each other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(demo.PHOTOGRAPH, folder / "photograph.jpg")
        demo.extend_section(folder)
        files = [folder / "photograph.jpg", folder / "extended.jpg"]
        pictures = [Image.open(file).convert("RGB") for file in files]
    small = [p.resize((round(HIGH * p.width / p.height), HIGH)) for p in pictures]
    sheet = Image.new("RGB", (sum(p.width for p in small) + GAP, HIGH), "white")
    sheet.paste(small[0], (0, 0))
    sheet.paste(small[1], (small[0].width + GAP, 0))
    sheet.save(Path(__file__).with_name("extend.jpg"), quality=88)


if __name__ == "__main__":
    main()
