"""Makes docs/materials.jpg, the picture in the README: `python docs/materials.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from triptych.image.texture import MATERIAL

SHOWN = (
    *(("bricks", 7), ("paving-stones", 5), ("wood-floor", 4), ("rocks", 11), ("roofing-tiles", 12)),
    *(("carpet", 12), ("planks", 2), ("onyx", 6), ("terrazzo", 3), ("fabric", 5)),
)
CELL, GAP = 256, 8


def main() -> None:
    """Two rows of tiles, each laid 2 x 2, and the maps of the first."""
    pictures = []
    for kind, seed in SHOWN:
        made = MATERIAL.run(kind=kind, seed=seed, size="256").made
        if not pictures:
            grey = [np.repeat(one[..., None], 3, 2) for one in (made.height, made.roughness)]
            maps = [made.colour, grey[0], made.normal, grey[1], _lit(made)]
        pictures.append(np.tile(made.colour, (2, 2, 1)))
    rows = [pictures[:5], pictures[5:], maps]
    wide = 5 * CELL + 4 * GAP
    sheet = Image.new("RGB", (wide, 3 * CELL + 2 * GAP), "white")
    for row, cells in enumerate(rows):
        for column, pixels in enumerate(cells):
            cell = Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))
            cell = cell.resize((CELL, CELL), Image.Resampling.LANCZOS)
            sheet.paste(cell, (column * (CELL + GAP), row * (CELL + GAP)))
    sheet.save(Path(__file__).with_name("materials.jpg"), quality=90)


def _lit(made: object) -> np.ndarray:
    """The material under light from the upper left."""
    colour, normal = made.colour, made.normal * 2 - 1  # type: ignore[attr-defined]
    light = np.array([-0.6, 0.6, 0.53], np.float32)
    shade = (normal @ (light / np.linalg.norm(light))).clip(0, 1)[..., None] / 0.53
    lit: np.ndarray = (colour * (0.25 + 0.75 * shade)).clip(0, 1)
    return lit


if __name__ == "__main__":
    main()
