"""Peak memory of each command that takes a picture, where the picture or the result is of 8K.

Style transfer and dreams have it in sections of their own (`style_memory`, `dream`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import peak_memory
import results
from PIL import Image, ImageDraw

from triptych.task import all_tasks

BAR_BYTES = 3 << 30
ADDED = 1536  # px that a picture is extended by


def main() -> None:
    """Measure and publish."""
    made = results.parser(__doc__ or "")
    peak_memory.add_size(made)
    made.add_argument("--only", nargs="+", default=[""], help="words of the commands to run")
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as place:
        mask = Path(place) / "mask.png"
        scribble(options.width, options.height, mask)
        plans: list[tuple[str, tuple[str, ...], int]] = [
            ("inpaint", ("--mask", str(mask)), 1),
            ("inpaint", ("--mask", str(mask), "--method", "patches"), 1),
            ("extend", ("--right", str(ADDED)), 1),
            ("restore", ("--noise", "0.5"), 1),
            ("upscale", ("--scale", "2"), 2),
            ("upscale", ("--scale", "4", "--model", "upscale-crisp"), 4),
            ("upscale", ("--scale", "2", "--model", "upscale-explore"), 2),
            ("texture", ("--kind", "bricks"), 1),
            ("synthesize_fill", ("--seed", "1"), 1),
        ]
        offered = {name for name, task in all_tasks().items() if not task.missing}
        rows: list[list[Any]] = []
        for name, words, factor in plans:
            shown = " ".join(w if w != str(mask) else "scribble.png" for w in (name, *words))
            if name not in offered or not any(word in shown for word in options.only):
                continue
            added = ADDED if name == "extend" else 0
            peak, seconds = peak_memory.command(options, name, *words, factor=factor, added=added)
            good = results.verdict(peak < BAR_BYTES)
            print(shown, f"{peak / 2**30:.2f} GiB, {seconds:.0f} s", flush=True)
            rows.append([shown, f"{peak / 2**30:.2f}", f"{seconds:.0f}", good])
    head = ("command", "peak, GiB", "seconds", f"under {BAR_BYTES / 2**30:g} GiB")
    body = f"Results of {options.width} x {options.height} px.\n\n{results.table(head, rows)}"
    results.publish(options, "Memory of the commands that take pictures", body)


def scribble(width: int, height: int, path: Path) -> None:
    """A mask with strokes all over it."""
    mask = Image.new("L", (width, height))
    drawn = ImageDraw.Draw(mask)
    for row in range(6):
        y = height * (row + 0.5) / 6
        points = [(width * n / 24, y + height / 14 * (-1) ** n) for n in range(25)]
        drawn.line(points, 255, width // 64, "curve")
    mask.save(path)


if __name__ == "__main__":
    main()
