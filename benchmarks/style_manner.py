"""Manner: how often a judge of painters takes stylised photographs for the painter's work.

Deception rate after Sanakoyeu et al. 2018, section 4.1. The judge is a logistic regression on
statistics of SqueezeNet features of crops, trained on paintings that no style, predictor or artist
was trained on, and on paintings of other painters. Its own accuracy comes from five-fold
cross-validation over paintings.

    python benchmarks/style_manner.py [--without FOLDER] [--card]

`--without` is the bundle of a run of the recipe `artist` with `--set adversarial=0`: the ablation.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import results
import torch
from PIL import Image
from subjects import photographs
from torch import Tensor

from triptych.bundle import get_bundle, open_bundle, shipped_folder
from triptych.engine import Engine, Job
from triptych.image.style import paint
from triptych.training import data
from triptych.training.image import style_data
from triptych.training.image.perceptual import SqueezeNet
from triptych.training.image.style import as_tensor
from triptych.training.image.style_loss import content_target, style_terms

CROP, SIDE, CROPS = 224, 400, 8


def statistics(judge: SqueezeNet, picture: np.ndarray, rng: np.random.Generator) -> Tensor:
    """CROPS x S: means and deviations of every tap over random crops."""
    crops = torch.cat([as_tensor(data.crop(picture, CROP, rng)) for _ in range(CROPS)])
    with torch.no_grad():
        taps = [t.flatten(2) for t in judge(crops.contiguous(memory_format=torch.channels_last))]
    return torch.cat([s for t in taps for s in (t.mean(2), t.std(2))], 1)


def fitted(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """(weights, mean, deviation) of a balanced logistic regression with an L2 penalty."""
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    z = torch.cat([(x - mean) / deviation, torch.ones(len(x), 1)], 1)
    share = torch.bincount(y, minlength=classes).float().clamp(min=1)
    w = torch.zeros(z.shape[1], classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z @ w, y, weight=1 / share)
        loss = loss + 3e-3 * w.pow(2).sum() / classes
        loss.backward()
        return loss

    optimizer.step(closure)
    return w.detach(), mean, deviation


def verdict(model: tuple[Tensor, Tensor, Tensor], x: Tensor) -> int:
    """The class of one picture from the mean log-probability of its crops."""
    w, mean, deviation = model
    z = torch.cat([((x - mean) / deviation).clamp(-8, 8), torch.ones(len(x), 1)], 1)
    return int((z @ w).log_softmax(1).mean(0).argmax())


def main() -> None:
    """Train the judge, then ask it."""
    parser = results.parser(__doc__ or "", "artists")
    parser.add_argument("--with", dest="with_", type=Path, default=shipped_folder() / "artists")
    parser.add_argument("--without", type=Path, help="the ablation's bundle")
    options = parser.parse_args()
    rng, judge = np.random.default_rng(3), SqueezeNet()
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    split = style_data.split(data.data_root())
    groups: dict[str, list[Image.Image]] = defaultdict(list)
    for painting in split.styles:
        if painting.artist_key is None and painting.set != "public_domain" and painting.artist:
            groups[painting.artist].append(painting.picture)
    groups = {k: v for k, v in groups.items() if len(v) >= 5}
    groups |= {k: [p.picture for p in v] for k, v in split.held_artists.items()}
    classes = list(groups)
    x: list[Tensor] = []
    y: list[int] = []
    numbered: list[int] = []
    for label, pictures in enumerate(groups.values()):
        for number, picture in enumerate(pictures):
            x.append(statistics(judge, np.asarray(data.fit(picture, SIDE)), rng))
            y += [label] * CROPS
            numbered += [number] * CROPS
    features, labels, numbers = torch.cat(x), torch.tensor(y), torch.tensor(numbered)
    right: dict[str, list[bool]] = defaultdict(list)
    for fold in range(5):
        out = numbers % 5 == fold
        model = fitted(features[~out], labels[~out], len(classes))
        for start in range(0, len(features), CROPS):
            if out[start]:
                label = int(labels[start])
                right[classes[label]].append(
                    verdict(model, features[start : start + CROPS]) == label
                )
    accuracy = float(np.mean([np.mean(v) for v in right.values()]))
    model = fitted(features, labels, len(classes))
    photos = photographs(20)
    bundles = {"with": options.with_} | ({"without": options.without} if options.without else {})
    engine = Engine(["cpu"], options.threads)
    torch.set_num_threads(options.threads)
    rows, rates = [], defaultdict(list)
    for artist in style_data.ARTISTS:
        label = classes.index(artist)
        found: dict[str, tuple[float, float]] = {}
        for name, folder in [("photograph", None), *bundles.items()]:
            hits, contents = [], []
            for photo in photos:
                made = photo if folder is None else _stylised(engine, folder, artist, photo)
                coded = (made * 255 + 0.5).astype(np.uint8)
                coded = np.asarray(data.fit(Image.fromarray(coded), SIDE))
                hits.append(verdict(model, statistics(judge, coded, rng)) == label)
                with torch.no_grad():
                    taps = judge(as_tensor((made * 255).astype(np.uint8)))
                    wanted = content_target(judge, as_tensor((photo * 255).astype(np.uint8)))
                    contents.append(float(style_terms(taps, wanted, [])[0]))
            found[name] = (float(np.mean(hits)), float(np.mean(contents)))
            rates[name].append(found[name][0])
        real = np.mean(right[artist])
        cells = [f"{found[n][0]:.0%}" for n in ("photograph", *reversed(list(bundles)))]
        content = [f"{found[n][1]:.2f}" for n in reversed(list(bundles))]
        rows.append([artist, f"{real:.0%}", *cells, *content])
    names = list(reversed(list(bundles)))
    head = ["artist", "real paintings", "photograph", *(f"{n} adversarial term" for n in names)]
    head += [f"content, {n}" for n in names]
    mean = {k: float(np.mean(v)) for k, v in rates.items()}
    note = (
        f"Judge: {len(classes)} painters, {len(features) // CROPS} paintings, balanced accuracy "
        f"{accuracy:.0%} in five-fold cross-validation (chance {1 / len(classes):.0%}). Mean "
        "deception rate: " + ", ".join(f"{k} {v:.0%}" for k, v in mean.items()) + "."
    )
    results.publish(options, "Manner: deception rate", results.table(head, rows) + "\n\n" + note)
    figures = {f"deception rate, {name}": (value, "share") for name, value in mean.items()}
    results.card_metrics(options, open_bundle(options.with_), figures)


def _stylised(engine: Engine, folder: Path, artist: str, photo: np.ndarray) -> np.ndarray:
    owner = open_bundle(folder)
    row = [p["name"] for p in owner.card.presets].index(artist)
    code = owner.arrays("codes.npz")["codes"][row : row + 1].astype(np.float32)
    return paint(get_bundle("style"), photo, code, 0, engine, Job(), 1280)


if __name__ == "__main__":
    main()
