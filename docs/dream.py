"""Makes docs/dream.jpg, the picture in the README: `python docs/dream.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from triptych.demo import PHOTOGRAPH
from triptych.image.dream import TASK, motif_choices
from triptych.image.picture import load

WIDTH, GAP, CAPTION = 480, 8, 26
SHOWN = ("eyes", "scales", "arches", "drapery", "weave", "large")


def main() -> None:
    """Dream of several motifs in the photograph that ships, and lay the pictures out."""
    photograph = load(PHOTOGRAPH).pixels
    labels = {choice.value: choice.label for choice in motif_choices()}
    height = round(WIDTH * photograph.shape[0] / photograph.shape[1])
    sheet = Image.new("RGB", (3 * (WIDTH + GAP) - GAP, 2 * (height + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for place, motif in enumerate(SHOWN):
        left, top = place % 3 * (WIDTH + GAP), place // 3 * (height + CAPTION)
        made = TASK.run(photograph, motif=motif).made
        picture = Image.fromarray((made * 255 + 0.5).astype(np.uint8))
        sheet.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), (left, top))
        draw.text((left, top + height + 4), labels[motif], "black", font)
    sheet.save(Path(__file__).with_name("dream.jpg"), quality=88)


if __name__ == "__main__":
    main()
