"""Own styles: what ten minutes on this machine reach, and which judge they are learned with.

Each picture is learned twice or three times from the bundles that ship, for `--minutes`: with our
own perceptual network (what a user has), with SqueezeNet 1.1 (what the library was trained with),
and with our own network on made photographs (a user without a data folder). All are judged by
SqueezeNet on Kodak photographs at 512 px, beside the library's own code for the same picture.

    python benchmarks/style_own.py [--minutes 10] [--styles NAME ...] [--card]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import results
import torch
from subjects import photographs

from triptych.bundle import get_bundle, open_bundle
from triptych.engine import Engine, Job
from triptych.image.style import paint
from triptych.training import data, loop
from triptych.training.image.own_style import OwnStyleRecipe, OwnStyleSettings
from triptych.training.image.perceptual import SqueezeNet
from triptych.training.image.style import STYLE_SIDE, as_tensor
from triptych.training.image.style_loss import content_target, style_objective, style_targets

WAYS = {"own judge": "perceptual", "SqueezeNet": "squeezenet", "own judge, made pictures": "made"}


def learned(picture: Path, way: str, minutes: float, place: Path) -> np.ndarray:
    """The code 1 x C that the recipe learns from `picture` in `minutes`."""
    made = way == "made"
    settings = OwnStyleSettings(
        source=[str(picture)],
        name="learned",
        judge="perceptual" if made else way,
        made_photos=made,
    )
    recipe = OwnStyleRecipe(settings)
    recipe.loop.minutes, recipe.loop.picture_every = minutes, 10**9
    run = loop.Run(place / f"{picture.stem}-{way}")
    loop.fit(recipe, run)
    print(f"{picture.stem}, {way}: {run.step} steps")
    folder = recipe.export(loop.averaged(recipe, run), run, place / f"bundle-{picture.stem}-{way}")
    with np.load(open_bundle(folder).file("codes.npz")) as stored:
        return np.asarray(stored["codes"], np.float32)


def main() -> None:
    """Learn each style in each way and compare it with the library's."""
    parser = results.parser(__doc__ or "")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--styles", nargs="+", default=["munch_scream", "klee_red_balloon"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS.values()))
    parser.add_argument("--photos", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base, engine = get_bundle("style", "style"), Engine(["cpu"], options.threads)
    judge = SqueezeNet()
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with np.load(base.file("codes.npz")) as stored:
        library = stored["codes"].astype(np.float32)
    names = [preset["name"] for preset in base.card.presets]
    photos = photographs(options.photos)
    rows = []
    ratios: dict[str, list[float]] = {way: [] for way in options.ways}
    with tempfile.TemporaryDirectory() as place:
        for name in options.styles:
            picture = data.data_root() / "styles" / "public_domain" / f"{name}.jpg"
            opened = next(data.Source(picture, "public domain").pictures())[1]
            grams = style_targets(judge, as_tensor(data.fit(opened, STYLE_SIDE)))

            def objective(code: np.ndarray, grams: list[torch.Tensor] = grams) -> float:
                values = []
                for photo in photos:
                    made = paint(base, photo, code, engine, Job(), 1280)[0]
                    wanted = content_target(judge, _tensor(photo))
                    with torch.no_grad():
                        values.append(
                            float(style_objective(judge, _tensor(made), wanted, grams)[0])
                        )
                return float(np.mean(values))

            row = names.index(name.replace("_", "-"))
            shipped = objective(library[row : row + 1])
            cells = [name, shipped]
            for way in options.ways:
                value = objective(learned(picture, way, options.minutes, Path(place)))
                ratios[way].append(value / shipped)
                cells += [value, value / shipped]
            rows.append(cells)
    titles = {value: key for key, value in WAYS.items()}
    head = ["style", "library", *(h for w in options.ways for h in (titles[w], "ratio"))]
    mean = {way: float(np.mean(values)) for way, values in ratios.items()}
    note = "Mean ratio to the library's objective (bar: at most 1.25): " + ", ".join(
        f"{titles[way]} {value:.3f}" for way, value in mean.items()
    )
    results.publish(
        options,
        f"Own style, {options.minutes:g} minutes",
        f"{results.table(head, rows)}\n\n{note}.",
    )
    figures = {f"own style / library, {titles[w]}": (v, "ratio") for w, v in mean.items()}
    results.card_metrics(options, base, figures)


def _tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


if __name__ == "__main__":
    main()
