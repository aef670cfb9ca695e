"""What *explore* draws on clean pictures, beside the other ways to enlarge.

The middle of each picture of Kodak is made smaller by `shrink` and enlarged again; *explore* does
it with several seeds. It is asked whether the results, made smaller again, are what was given, how
much they differ, and how near they are to the original. The score of diversity is that of the
NTIRE 2021 challenge on the space of super-resolution (Lugmayr et al.): by how much the distance
falls if at each place the best of the draws is taken, and not one of them for all places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import results
import torch
import torch.nn.functional as F
from PIL import Image
from upscale_crisp import BICUBIC, CRISP, FAITHFUL, SHEET, SHOWN, enlarged

from triptych import bundle
from triptych.engine import Engine
from triptych.image.resample import enlarge, shrink
from triptych.image.upscale import SCALES, TASK
from triptych.training import data
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.image.style import as_tensor

EXPLORE = "upscale-explore"
SIDE = 240  # px of the original that is looked at
BAR = 1.0  # codes of 255 by which a result, made smaller again, may differ from what was given


def main() -> None:
    """Measure, publish, and write a sheet to look at."""
    parser = results.parser(__doc__ or "", EXPLORE)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = Engine(["cpu"], options.threads)
    judges: dict[str, Taps] = {"SqueezeNet": SqueezeNet(), "ours": load_perceptual()}
    archive = data.data_root() / "bench" / "kodak24" / "kodak24.zip"
    kodak = [np.asarray(p) for _, p in data.open_source(archive, "for evaluation").pictures()]
    rows: list[list[Any]] = []
    figures: dict[str, tuple[float, str]] = {}
    worst = 0.0
    for scale in SCALES:
        found: dict[str, list[list[float]]] = {}
        spread: list[list[float]] = []
        for picture in kodak[: options.pictures]:
            truth = middle(picture, SIDE // scale * scale)
            small = as_bytes(shrink(truth / np.float32(255), scale))
            cubic = enlarge(small / np.float32(255), scale).clip(0, 1)
            ways = {BICUBIC: cubic} | {
                name: drawn(engine, small, scale, 0, name) for name in (FAITHFUL, CRISP)
            }
            for variety in (0, 1):
                ways[f"explore, variety {variety}"] = drawn(
                    engine, small, scale, 0, variety=variety
                )
            draws = [drawn(engine, small, scale, seed) for seed in range(options.seeds)]
            for name, one in {**ways, **{f"draw {n}": d for n, d in enumerate(draws)}}.items():
                name = "explore" if name.startswith("draw") else name
                found.setdefault(name, []).append(
                    [
                        *difference(one, small, scale),
                        100 * steeper(one, scale),
                        *(distances(judge, [one], truth)[0].mean() for judge in judges.values()),
                    ]
                )
            maps = distances(judges["SqueezeNet"], draws, truth)
            best, local = maps.mean((1, 2)).min(), maps.min(0).mean()
            deviation = 255 * np.std(draws, 0).mean()
            spread.append([float(deviation), float(best), float(100 * (best - local) / best)])
        for name, values in found.items():
            means, most = np.mean(values, 0), np.max(values, 0)
            more: list[Any] = ["", "", ""]
            if name.startswith("explore"):
                worst = max(worst, *most[:2])
            if name == "explore":
                more = [float(v) for v in np.mean(spread, 0)]
                figures |= card_figures(scale, most, means, more)
            rows.append([f"x{scale}", name, *map(float, [*most[:2], *means[2:]]), *more])
    head = (
        "scale",
        "by",
        "largest difference, codes",
        "saved in 8 bits",
        "steps on the grid, %",
        *(f"distance, {name}" for name in judges),
        "deviation of draws, codes",
        f"distance of the best of {options.seeds}",
        "diversity, %",
    )
    body = f"{results.table(head, rows)}\n\n"
    body += (
        "The difference is that of the result, made smaller again, from what was given; *steps on "
        "the grid* tells by how much steps between neighbours depend on where they lie on the "
        "small picture's grid (a weave).\n\n"
        f"Every draw of explore, made smaller again, is what was given within {BAR:g}/255: "
        f"{results.verdict(worst <= BAR)}."
    )
    results.publish(options, "Several enlargements of one picture (explore)", body)
    results.card_metrics(options, bundle.get_bundle(EXPLORE, "upscale"), figures)
    results.OUT.mkdir(exist_ok=True)
    sheet(engine, kodak).save(results.OUT / "upscale_explore.png")


def card_figures(
    scale: int, most: np.ndarray, means: np.ndarray, spread: Sequence[float]
) -> dict[str, tuple[float, str]]:
    """What the card says of a scale."""
    return {
        f"largest difference when made smaller again, Kodak x{scale}": (float(most[0]), "codes"),
        f"deviation of draws, Kodak x{scale}": (spread[0], "codes"),
        f"diversity, Kodak x{scale}": (spread[2], "%"),
        f"perceptual distance, Kodak x{scale}": (float(means[3]), ""),
    }


def middle(picture: np.ndarray, side: int) -> np.ndarray:
    """The middle `side` x `side` px."""
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def as_bytes(values: np.ndarray) -> np.ndarray:
    """0..1 in whole codes."""
    return (values.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def drawn(
    engine: Engine, small: np.ndarray, scale: int, seed: int, model: str = EXPLORE, **more: Any
) -> np.ndarray:
    """A picture of bytes, enlarged: 0..1."""
    values = small.astype(np.float32) / 255
    made: np.ndarray = TASK.run(
        values, engine=engine, scale=scale, model=model, seed=seed, **more
    ).made
    return made


def difference(made: np.ndarray, small: np.ndarray, scale: int) -> list[float]:
    """The largest difference in codes of what was given from `made`, made smaller again: as it is,
    and after it was saved in 8 bits."""
    saved = as_bytes(made).astype(np.float32) / 255
    return [float(np.abs(255 * shrink(one, scale) - small).max()) for one in (made, saved)]


def steeper(made: np.ndarray, scale: int) -> float:
    """The deviation of the steps' means over the phases of the grid, of their mean."""
    found = []
    for axis in (0, 1):
        steps = np.abs(np.diff(made, axis=axis))
        phases = [steps.take(range(p, steps.shape[axis], scale), axis).mean() for p in range(scale)]
        found.append(np.std(phases) / np.mean(phases))
    return float(np.mean(found))


@torch.no_grad()
def distances(judge: Taps, made: Sequence[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """The perceptual distance of each from `truth` (bytes), place by place: N x h x w."""
    wanted = judge(as_tensor(truth))
    size = wanted[0].shape[2:]
    maps = []
    for one in made:
        taps = judge(as_tensor(as_bytes(one)))
        apart = [(a - b).abs().mean(1, keepdim=True) for a, b in zip(taps, wanted, strict=True)]
        whole = torch.cat([F.interpolate(a, size, mode="nearest") for a in apart]).sum(0)
        maps.append(whole[0].numpy())
    return np.stack(maps)


def sheet(engine: Engine, kodak: list[np.ndarray]) -> Image.Image:
    """Parts of clean pictures, x4: bicubic, crisp, variety 0, three draws, the original."""
    scale, side = 4, 4 * SHOWN
    made = Image.new("RGB", (7 * side, side * len(SHEET)))
    for row, (number, left, top) in enumerate(SHEET):
        truth = kodak[number][top : top + side, left : left + side]
        small = as_bytes(shrink(truth / np.float32(255), scale))
        ways = [enlarged(engine, small, scale, name) for name in (BICUBIC, CRISP)]
        ways += [as_bytes(drawn(engine, small, scale, 0, variety=0))]
        ways += [as_bytes(drawn(engine, small, scale, seed)) for seed in range(3)]
        for column, one in enumerate([*ways, truth]):
            made.paste(Image.fromarray(one), (column * side, row * side))
    return made


if __name__ == "__main__":
    main()
