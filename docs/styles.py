"""Makes docs/styles.jpg, the picture in the README.

    python docs/styles.py OWN_STYLE

OWN_STYLE was learned before: `triptych train style --from ... --name OWN_STYLE`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from triptych.demo import PHOTOGRAPH
from triptych.image.picture import load
from triptych.image.style import style_choices
from triptych.task import get_task

WIDTH, GAP, CAPTION = 480, 8, 26


def main() -> None:
    """Paint the photograph that ships in several styles and lay the pictures out."""
    own = sys.argv[1]
    photograph = load(PHOTOGRAPH).pixels
    labels = {choice.value: choice.label for choice in style_choices()}
    shown = ["kandinsky-improvisation-30", "hokusai-great-wave", "cezanne"]
    blend = [("cezanne-mont-sainte-victoire", 0.5), ("turner-venice", 0.5)]
    style = get_task("style")
    cells = [("The photograph", photograph)]
    cells += [(labels[name], style.run(photograph, style=name, layers=2).made) for name in shown]
    cells.append(("Half Cezanne, half Turner", style.run(photograph, mix=blend, layers=2).made))
    cells.append((f"An own style: {labels[own]}", style.run(photograph, style=own, layers=2).made))
    height = round(WIDTH * photograph.shape[0] / photograph.shape[1])
    sheet = Image.new("RGB", (3 * (WIDTH + GAP) - GAP, 2 * (height + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for place, (caption, pixels) in enumerate(cells):
        left, top = place % 3 * (WIDTH + GAP), place // 3 * (height + CAPTION)
        picture = Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))
        sheet.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), (left, top))
        draw.text((left, top + height + 4), caption, "black", font)
    sheet.save(Path(__file__).with_name("styles.jpg"), quality=88)


if __name__ == "__main__":
    main()
