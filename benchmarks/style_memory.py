"""Memory: the command on an 8K photograph; and tiles against no tiles at 2048 px."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import peak_memory
import results
from PIL import Image

import triptych
from triptych import bundle
from triptych.engine import Engine
from triptych.image.style import TASK

BAR_BYTES, BAR_LEVELS = 3 << 30, 2.0
STYLE = "vangogh-starry-night"
PHOTOGRAPH = Path(triptych.__file__).parent / "data" / "bay.jpg"
TILES = (512, 1024)


def main() -> None:
    """Measure, then write the section and the figures."""
    made = results.parser("Peak memory of the command at 8K; tiled against untiled.")
    peak_memory.add_size(made)
    made.add_argument("--square", type=int, default=2048, help="side for tiled against untiled")
    made.add_argument("--tile", type=int, help="the command's --tile; its own default without")
    options = made.parse_args()
    tile = ["--tile", str(options.tile)] if options.tile else []
    peak, seconds = peak_memory.command(options, "style", "--style", STYLE, *tile)
    rows, worst = tiled(options)
    body = f"""`triptych style` on a JPEG of {options.width} x {options.height} px (the photograph
that ships, enlarged): peak resident memory {peak / 2**30:.2f} GiB, wanted under
{BAR_BYTES / 2**30:g} GiB: {results.verdict(peak < BAR_BYTES)}; {seconds:.1f} s in all.

The task on {options.square} x {options.square} px in tiles against the same picture whole:

{results.table(("tile", "largest difference / (1/255)", "seconds"), rows)}

Wanted at most {BAR_LEVELS:g}/255: {results.verdict(worst <= BAR_LEVELS)}."""
    results.publish(options, "Memory and tiles of style transfer", body)
    figures = {
        f"peak memory at {options.width} x {options.height}": (peak / 2**30, "GiB"),
        f"tiled against untiled at {options.square} px": (worst, "1/255, largest"),
    }
    results.card_metrics(options, bundle.get_bundle("style", "style"), figures)


def tiled(options: argparse.Namespace) -> tuple[list[tuple[int | str, float, float]], float]:
    """Rows of the table, and the largest difference of all in 1/255."""
    side = options.square
    picture = Image.open(PHOTOGRAPH).convert("RGB")
    square = picture.resize((round(side * picture.width / picture.height), side)).crop(
        (0, 0, side, side)
    )
    pixels = np.asarray(square, np.float32) / np.float32(255)
    engine = Engine(["cpu"], threads=options.threads)

    def run(tile: int) -> tuple[np.ndarray, float]:
        start = time.perf_counter()
        made = TASK.run(pixels, engine=engine, style=STYLE, tile=tile).made
        return made, time.perf_counter() - start

    whole, seconds = run(2 * side)
    rows: list[tuple[int | str, float, float]] = [("whole", 0.0, seconds)]
    for tile in TILES:
        made, seconds = run(tile * side // 2048)
        rows.append((tile * side // 2048, float(np.abs(made - whole).max()) * 255, seconds))
    return rows, max(row[1] for row in rows)


if __name__ == "__main__":
    main()
