"""The crisp upscaling on damaged pictures, beside the faithful one and bicubic enlargement.

Each picture of Kodak is made smaller as pictures meet it (`upscale_degrade`: out of focus,
resampled anyhow, noisy, saved as JPEG), with a seed of its own, and enlarged again. The perceptual
distance is the mean absolute difference of SqueezeNet's taps, which the crisp network was trained
on too; so the same of our own network's, of other weights, stands beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import results
import torch
from PIL import Image

from triptych import bundle
from triptych.engine import Engine
from triptych.image.upscale import SCALES, TASK
from triptych.training import data
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.image.style import as_tensor
from triptych.training.image.upscale_degrade import degrade

CRISP, FAITHFUL, BICUBIC = "upscale-crisp", "upscale", "bicubic"
SHEET = ((3, 100, 180), (6, 200, 120), (18, 160, 200))  # picture, left, top of what is shown
SHOWN = 72  # px of a small picture's side, in the sheet


def main() -> None:
    """Measure, publish, and write a sheet to look at."""
    parser = results.parser(__doc__ or "", CRISP)
    parser.add_argument("--pictures", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = Engine(["cpu"], options.threads)
    judges: dict[str, Taps] = {"SqueezeNet": SqueezeNet(), "ours": load_perceptual()}
    archive = data.data_root() / "bench" / "kodak24" / "kodak24.zip"
    kodak = [p for _, p in data.open_source(archive, "for evaluation").pictures()]
    rows: list[list[Any]] = []
    figures: dict[str, tuple[float, str]] = {}
    holds = True
    for scale in SCALES:
        found: dict[str, list[list[float]]] = {BICUBIC: [], FAITHFUL: [], CRISP: []}
        for number, picture in enumerate(kodak[: options.pictures]):
            truth = np.asarray(picture)
            high, wide = (side - side % scale for side in truth.shape[:2])
            truth = truth[:high, :wide]
            small = degrade(truth, scale, np.random.default_rng((71, scale, number)))
            for name, values in found.items():
                made = enlarged(engine, small, scale, name)
                values.append(
                    [perceptual_distance(judge, made, truth) for judge in judges.values()]
                )
        means = {name: np.mean(values, 0) for name, values in found.items()}
        rows += [[f"x{scale}", name, *map(float, value)] for name, value in means.items()]
        best = all((means[CRISP] < means[name]).all() for name in (BICUBIC, FAITHFUL))
        holds &= best
        rows[-1].append(results.verdict(best))
        figures[f"perceptual distance, damaged Kodak x{scale}"] = (float(means[CRISP][0]), "")
    head = ("scale", "by", *(f"distance, {name}" for name in judges), "nearest in both")
    body = f"{results.table(head, [[*r, *[''] * (5 - len(r))] for r in rows])}\n\n"
    body += f"Crisp is nearer than faithful and bicubic at every scale: {results.verdict(holds)}."
    results.publish(options, "Upscaling damaged pictures (crisp)", body)
    results.card_metrics(options, bundle.get_bundle(CRISP, "upscale"), figures)
    results.OUT.mkdir(exist_ok=True)
    sheet(engine, [np.asarray(p) for p in kodak]).save(results.OUT / "upscale_crisp.png")


def enlarged(engine: Engine, small: np.ndarray, scale: int, name: str) -> np.ndarray:
    """A picture of bytes, enlarged by one of the ways."""
    if name == BICUBIC:
        size = (scale * small.shape[1], scale * small.shape[0])
        return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
    values = small.astype(np.float32) / 255
    made = TASK.run(values, engine=engine, scale=scale, model=name).made
    return (made * 255 + 0.5).astype(np.uint8)


@torch.no_grad()
def perceptual_distance(judge: Taps, made: np.ndarray, truth: np.ndarray) -> float:
    """The perceptual distance of two pictures of bytes."""
    pairs = zip(judge(as_tensor(made)), judge(as_tensor(truth)), strict=True)
    return float(sum((a - b).abs().mean() for a, b in pairs))


def sheet(engine: Engine, kodak: list[np.ndarray]) -> Image.Image:
    """Parts of damaged pictures, x4: bicubic, faithful, crisp, the original."""
    scale, side = 4, 4 * SHOWN
    made = Image.new("RGB", (4 * side, side * len(SHEET)))
    for row, (number, left, top) in enumerate(SHEET):
        truth = kodak[number][top : top + side, left : left + side]
        small = degrade(truth, scale, np.random.default_rng((72, number)))
        ways = [enlarged(engine, small, scale, name) for name in (BICUBIC, FAITHFUL, CRISP)]
        for column, one in enumerate([*ways, truth]):
            made.paste(Image.fromarray(one), (column * side, row * side))
    return made


if __name__ == "__main__":
    main()
