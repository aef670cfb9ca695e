"""Makes docs/synthesis.jpg, the picture in the README: `python docs/synthesis.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from triptych.image.synthesis import SYNTHESIZE

DOMAINS, SEEDS, SIDE = ("landscape", "coast", "abstract"), range(4), "512"


def main() -> None:
    """A row of seeds for each domain."""
    rows = []
    for domain in DOMAINS:
        made = [SYNTHESIZE.run(None, domain=domain, seed=seed, size=SIDE).made for seed in SEEDS]
        rows.append(np.concatenate([np.asarray(one) for one in made], 1))
    sheet = Image.fromarray((np.concatenate(rows) * 255 + 0.5).astype(np.uint8))
    sheet = sheet.resize((1024, 1024 * sheet.height // sheet.width), Image.Resampling.LANCZOS)
    sheet.save(Path(__file__).with_name("synthesis.jpg"), quality=88)


if __name__ == "__main__":
    main()
