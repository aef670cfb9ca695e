"""Makes docs/upscale-explore.jpg, the picture in the README: `python docs/upscale_explore.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from triptych import demo
from triptych.engine import default_engine
from triptych.image.resample import shrink
from triptych.image.upscale import TASK

SCALE, SEEDS = 4, (1, 2, 3, 4)
LEFT, TOP, SIDE, GAP = 720, 130, 240, 8  # px of the photograph


def main() -> None:
    """Draw a part of the photograph from a quarter of its size, with four seeds."""
    photograph = np.asarray(Image.open(demo.PHOTOGRAPH).convert("RGB"), np.float32) / 255
    small = shrink(photograph[TOP : TOP + SIDE, LEFT : LEFT + SIDE], SCALE).clip(0, 1)
    pixels = small.repeat(SCALE, 0).repeat(SCALE, 1)
    pictures = [pixels] + [
        TASK.run(
            small, engine=default_engine(), scale=SCALE, model="upscale-explore", seed=seed
        ).made
        for seed in SEEDS
    ]
    sheet = Image.new("RGB", (len(pictures) * (SIDE + GAP) - GAP, SIDE), "white")
    for place, picture in enumerate(pictures):
        shown = Image.fromarray((255 * picture + 0.5).astype(np.uint8))
        sheet.paste(shown, (place * (SIDE + GAP), 0))
    sheet.save(Path(__file__).with_name("upscale-explore.jpg"), quality=92)


if __name__ == "__main__":
    main()
