"""Makes docs/shapes.jpg, the picture in the README: `python docs/shapes.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from triptych.engine import Engine
from triptych.shape.mesh import Mesh
from triptych.shape.render import rendered
from triptych.task import get_task

SIDE, CAPTION, COUNT = 200, 22, 6
SEEDS = {"chair": 100, "armchair": 100, "lamp": 100, "shelf": 100, "pot": 100}


def main() -> None:
    """Six shapes of each of five categories as they come, crossings, and a direction."""
    rows = [
        (
            name.capitalize(),
            [made("shape", category=name, seed=first + n) for n in range(COUNT)],
        )
        for name, first in SEEDS.items()
    ]
    chairs, crossed = rows[0][1], []
    for one, other in ((chairs[1], chairs[5]), (chairs[2], chairs[0])):
        crossed += [one, made("cross_shapes", one, other=other), other]
    pairs = [made("shape", category="chair", seed=200 + n, variety=1.5) for n in range(COUNT)]
    steps = np.linspace(-2.5, 2.5, COUNT)
    moved = [made("shape", category="vase", seed=101, curves=float(step)) for step in steps]
    rows += [
        ("Chairs of parts of two each", pairs),
        ("Two chairs, and between them their crossing; two others", crossed),
        ("A vase, from angular to curved", moved),
    ]
    sheet = Image.new("RGB", (COUNT * SIDE, len(rows) * (SIDE + CAPTION)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for row, (title, shapes) in enumerate(rows):
        top = row * (SIDE + CAPTION)
        for place, mesh in enumerate(shapes):
            shown = Image.fromarray((rendered(mesh, SIDE) * 255 + 0.5).astype(np.uint8))
            sheet.paste(shown, (place * SIDE, top))
        pen.text((4, top + SIDE + 2), title, "black", font)
    sheet.save(Path(__file__).with_name("shapes.jpg"), quality=88)


def made(task: str, given: Mesh | None = None, **values: Any) -> Mesh:
    """What a task makes."""
    engine = Engine(["cpu"], 2)
    mesh: Mesh = get_task(task).run(given, engine=engine, detail=96, **values).made
    return mesh


if __name__ == "__main__":
    main()
