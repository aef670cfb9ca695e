"""Own styles: what ten minutes on this machine reach, and which judge they are learned with.

Pictures never trained on are learned from the bundles that ship, for `--minutes`: with our
own perceptual network (what a user has), with SqueezeNet 1.1 (what the library was trained with),
and with our own network on made photographs (a user without a data folder). All are judged by
SqueezeNet on Kodak photographs at 512 px, beside the predictor's guess that they start from and
the mean of the library's styles.

    python benchmarks/style_own.py [--minutes 10] [--pictures 2] [--workers 2] [--card]
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import results
import torch
from PIL import Image
from subjects import photographs

from triptych.bundle import get_bundle, open_bundle
from triptych.engine import Engine, Job
from triptych.image.style import paint
from triptych.image.weight_delta import Delta, read
from triptych.training import data, loop
from triptych.training.image import style_data
from triptych.training.image.own_style import OwnStyleRecipe, OwnStyleSettings
from triptych.training.image.perceptual import SqueezeNet
from triptych.training.image.style import STYLE_SIDE, as_tensor
from triptych.training.image.style_loss import content_target, style_objective, style_targets

WAYS = {"own judge": "perceptual", "SqueezeNet": "squeezenet", "own judge, made pictures": "made"}


def learned(work: tuple[str, str, float, int, Path]) -> tuple[np.ndarray, int]:
    """The code 1 x C that the recipe learns from (style, way, minutes, threads, folder), and in how
    many steps."""
    style, way, minutes, threads, place = work
    torch.set_num_threads(threads)
    made = way == "made"
    settings = OwnStyleSettings(
        source=[str(place / f"{style}.png")],
        name="learned",
        judge="perceptual" if made else way,
        made_photos=made,
    )
    recipe = OwnStyleRecipe(settings)
    recipe.loop.minutes, recipe.loop.picture_every = minutes, 10**9
    run = loop.Run(place / f"{style}-{way}")
    loop.fit(recipe, run)
    print(f"{style}, {way}: {run.step} steps", flush=True)
    folder = recipe.export(loop.averaged(recipe, run), run, place / f"bundle-{style}-{way}")
    return open_bundle(folder).arrays("codes.npz")["codes"].astype(np.float32), run.step


def main() -> None:
    """Learn each style in each way and compare it with the library's."""
    parser = results.parser(__doc__ or "")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=list(WAYS.values()))
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1, help="runs side by side, which share")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base, engine = get_bundle("style", "style"), Engine(["cpu"], options.threads)
    judge = SqueezeNet()
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    library = base.arrays("codes.npz")["codes"].astype(np.float32)
    photos = photographs(options.photos)
    root = data.data_root()
    held = style_data.split(root).held_styles[: options.pictures]
    styles = {Path(work.file).stem: work.picture for work in held}

    def objective(code: np.ndarray, style: Image.Image, delta: Delta | None = None) -> float:
        targets = style_targets(judge, as_tensor(data.fit(style, STYLE_SIDE)))
        values = []
        for photo in photos:
            made = paint(base, photo, code, 0, engine, Job(), 1280, delta=delta)
            wanted = content_target(judge, _tensor(photo))
            with torch.no_grad():
                values.append(float(style_objective(judge, _tensor(made), wanted, targets)[0]))
        return float(np.mean(values))

    folder = root / "styles" / "public_domain"
    shipped = [
        objective(
            library[row : row + 1],
            Image.open(folder / f"{name}.jpg").convert("RGB"),
            read(base, row),
        )
        for row, name in enumerate(style_data.LIBRARY)
    ]
    level = float(np.mean(shipped))
    rows = []
    ratios: dict[str, list[float]] = {way: [] for way in options.ways}
    works = [(style, way) for style in styles for way in options.ways]
    threads = max(1, options.threads // options.workers)
    with (
        tempfile.TemporaryDirectory() as place,
        ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool,
    ):
        for name, picture in styles.items():
            picture.save(Path(place) / f"{name}.png")
        tasks = [(*work, options.minutes, threads, Path(place)) for work in works]
        made = dict(zip(works, pool.map(learned, tasks), strict=True))
    load = os.getloadavg()[2] if hasattr(os, "getloadavg") else None  # of the last 15 minutes
    for name, picture in styles.items():
        guess = _guess(engine, picture)
        cells: list[object] = [name, objective(guess, picture)]
        for way in options.ways:
            code, steps = made[name, way]
            value = objective(code, picture)
            ratios[way].append(value / level)
            cells += [value, value / level, steps]
        rows.append(cells)
    titles = {value: key for key, value in WAYS.items()}
    head = [
        "picture",
        "predictor",
        *(h for w in options.ways for h in (titles[w], "ratio", "steps")),
    ]
    mean = {way: float(np.mean(values)) for way, values in ratios.items()}
    note = f"The library's mean objective is {level:.3f}. "
    note += "Mean ratio to it (bar: at most 1.25): " + ", ".join(
        f"{titles[way]} {value:.3f}" for way, value in mean.items()
    )
    # The minutes are the clock's: beside other work they hold fewer steps.
    busy = "" if load is None else f". Load of the machine meanwhile: {load:.1f}"
    results.publish(
        options,
        f"Own style, {options.minutes:g} minutes on {threads} thread(s)",
        f"{results.table(head, rows)}\n\n{note}{busy}.",
    )
    figures = {f"own style / library, {titles[w]}": (v, "ratio") for w, v in mean.items()}
    results.card_metrics(options, base, figures)


def _guess(engine: Engine, picture: Image.Image) -> np.ndarray:
    """The predictor's code 1 x C of a picture."""
    predict = get_bundle("style", "style").graph("predict")
    style = as_tensor(data.fit(picture, STYLE_SIDE)).numpy()
    return engine.run(predict, {"style": style})["code"]


def _tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


if __name__ == "__main__":
    main()
