"""Makes docs/shape-picture.jpg, the picture in the README: `python docs/shape_picture.py`.

Renderings of held-out shapes by Blender, drawings and silhouettes of them, and the solids that
`shape_from_picture` makes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from triptych.engine import Engine
from triptych.shape.render import rendered
from triptych.shape.shape import FROM_PICTURE
from triptych.training.shape import pictures
from triptych.training.shape.drawing import KINDS, drawn

SIDE, GAP, COLUMNS = 180, 6, 4
SHOWN = (17, 24, 30, 27, 45, 20, 36, 10, 31, 2, 60, 14)  # of the procedural ones; four of a kind


def main() -> None:
    """Look at twelve pictures, and lay them out beside what is made of them."""
    held, _ = pictures.held_out(102, 0)
    engine, cells = Engine(["cpu"], 1), []
    for place, row in enumerate(SHOWN):
        kind = KINDS[place // COLUMNS]
        layers = held.layers[row].astype(np.float32) / np.float32(255)
        seen = drawn(layers, kind, np.random.default_rng(place))
        mesh = FROM_PICTURE.run(engine=engine, image=seen, detail=128).made
        solid = Image.fromarray((rendered(mesh, SIDE) * 255 + 0.5).astype(np.uint8))
        given = Image.fromarray((seen * 255 + 0.5).astype(np.uint8))
        cells.append((given.resize((SIDE, SIDE), Image.Resampling.LANCZOS), solid))
    rows = -(-len(cells) // COLUMNS)
    wide = 2 * SIDE + 2 * GAP
    sheet = Image.new("RGB", (COLUMNS * wide - GAP, rows * (SIDE + GAP) - GAP), "white")
    for place, (given, solid) in enumerate(cells):
        x, y = place % COLUMNS * wide, place // COLUMNS * (SIDE + GAP)
        sheet.paste(given, (x, y))
        sheet.paste(solid, (x + SIDE, y))
    sheet.save(Path(__file__).with_name("shape-picture.jpg"), quality=88, optimize=True)


if __name__ == "__main__":
    main()
