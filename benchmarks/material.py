"""Materials against tiles that were never trained on, beside patch quilting.

Of each class as many tiles are made as are held out of it. The features are the means and the
deviations of our perceptual network's taps over a tile laid beside itself. A linear classifier is
trained on the training tiles alone; the Frechet distance is that of 24 principal components of the
features (156 tiles bear no more). Quilting is Efros and Freeman's: patches of random training tiles
of the class, in raster order, each of the best of 60 by its overlap, along least cuts; it does not
go on around the edges.
"""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import results
import torch
from PIL import Image
from torch import nn

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.material import LUMA
from triptych.image.texture import MATERIAL
from triptych.image.texture_model import TextureModel
from triptych.image.tileable import _cut
from triptych.image.torus import blurred
from triptych.training import data
from triptych.training.image.material import tiles
from triptych.training.image.material.substances import NOT_OFFERED, slug
from triptych.training.image.perceptual_export import load_perceptual

_COMPONENTS = 24
_PATCH, _OVERLAP = 40, 11  # px; four patches make a tile
_BANDS = (1, 2, 4, 8, 16, 32, 64)  # deviations in px of the bands of a height


@torch.no_grad()
def features(judge: Any, pixels: np.ndarray) -> np.ndarray:
    """N x F of bytes N x 128 x 128 x 3."""
    found = []
    for one in pixels:
        wide = np.tile(one, (2, 2, 1))[32:224, 32:224]
        taps = judge(tiles.as_tensor(wide[None]))
        found.append(torch.cat([f for t in taps for f in (t.mean((2, 3)), t.std((2, 3)))], 1)[0])
    return torch.stack(found).numpy()


def classifier(known: np.ndarray, labels: np.ndarray, count: int) -> Callable[[Any], Any]:
    """A linear classifier of features."""
    torch.manual_seed(0)
    middle, spread = known.mean(0), known.std(0) + 1e-6
    net = nn.Linear(known.shape[1], count)
    x = torch.from_numpy((known - middle) / spread).float()
    y = torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    def guess(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            scores = net(torch.from_numpy((rows - middle) / spread).float())
        return scores.argmax(1).numpy()

    return guess


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """The Frechet distance of two sets of features (Heusel et al. 2017)."""
    a, b = np.cov(one.T), np.cov(other.T)
    values = np.linalg.eigvals(a @ b).real.clip(0)
    apart = ((one.mean(0) - other.mean(0)) ** 2).sum()
    return float(apart + np.trace(a) + np.trace(b) - 2 * np.sqrt(values).sum())


def seam(pixels: np.ndarray) -> float:
    """The mean step across the borders, in steps between neighbouring rows inside."""
    shares = []
    for one in pixels.astype(np.float64):
        for axis in (0, 1):
            inside = np.abs(np.diff(one, axis=axis)).mean()
            across = np.abs(np.take(one, 0, axis) - np.take(one, -1, axis)).mean()
            shares.append(across / max(inside, 0.5))
    return float(np.mean(shares))


def quilted(known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tile quilted of patches of these tiles."""
    step = _PATCH - _OVERLAP
    side = step * 4 + _OVERLAP
    made = np.zeros((side, side, 3), np.float32)
    for top in range(0, side - _OVERLAP, step):
        for left in range(0, side - _OVERLAP, step):
            best, least = np.zeros(0), np.inf
            for _ in range(60):
                tile = known[rng.integers(len(known))]
                y, x = rng.integers(tiles.SIDE - _PATCH, size=2)
                patch = tile[y : y + _PATCH, x : x + _PATCH].astype(np.float32)
                old = made[top : top + _PATCH, left : left + _PATCH]
                error = 0.0
                if top:
                    error += float(((patch - old)[:_OVERLAP] ** 2).sum())
                if left:
                    error += float(((patch - old)[:, :_OVERLAP] ** 2).sum())
                if error < least:
                    best, least = patch, error
            old = made[top : top + _PATCH, left : left + _PATCH]
            new = np.ones((_PATCH, _PATCH), bool)
            apart = ((best - old) ** 2).sum(2)
            if top:
                rows = _cut(apart[:_OVERLAP], False)
                new &= np.arange(_PATCH)[:, None] >= rows
            if left:
                columns = _cut(apart[:, :_OVERLAP].T, False)
                new &= np.arange(_PATCH)[None] >= columns[:, None]
            old[new] = best[new]
    whole = Image.fromarray(made.round().astype(np.uint8))
    return np.asarray(whole.resize((tiles.SIDE, tiles.SIDE), Image.Resampling.LANCZOS))


def heights() -> list[tuple[str, float, float]]:
    """Of each free material with a height map: how its height goes with luminance, and with what a
    ridge regression on bands of luminance and saturation, learned from the others, says."""
    source = data.open_source(
        data.data_root() / "textures" / "pbr512" / "pbr512.zip", "CC0-1.0", kind="picture"
    )
    maps: dict[str, dict[str, np.ndarray]] = {}
    for name in source.names():
        kind, _, file = name.partition("/")
        if file.endswith(("Color.jpg", "Displacement.jpg")):
            with Image.open(io.BytesIO(source.read(name))) as opened:
                pixels = np.asarray(opened.convert("RGB"), np.float32) / 255
            maps.setdefault(kind, {})["colour" if "Color" in file else "height"] = pixels
    inputs, truths, plain = {}, {}, {}
    for kind, found in maps.items():
        if len(found) == 2:
            light = found["colour"] @ LUMA
            bands = []
            for values in (light, np.ptp(found["colour"], 2)):
                levels = [values, *(blurred(values, deviation) for deviation in _BANDS)]
                bands += [a - b for a, b in itertools.pairwise(levels)]
            inputs[kind] = np.stack(bands, 2).reshape(-1, len(bands)) / light.std()
            height = found["height"][..., 0].reshape(-1)
            truths[kind] = (height - height.mean()) / height.std()
            plain[kind] = float(np.corrcoef(light.reshape(-1), height)[0, 1])
    rows = []
    for kind in inputs:
        others = [one for one in inputs if one != kind]
        square = sum(inputs[o].T @ inputs[o] / len(inputs[o]) for o in others)
        moment = sum(inputs[o].T @ truths[o] / len(inputs[o]) for o in others)
        ridge = 0.02 * np.trace(square) / len(square) * np.eye(len(square))
        told = inputs[kind] @ np.linalg.solve(square + ridge, moment)
        rows.append((kind, plain[kind], float(np.corrcoef(told, truths[kind])[0, 1])))
    return rows


def seconds(engine: Engine) -> float:
    """The median of seven materials of 512 px, all maps."""
    taken = []
    for seed in range(8):
        start = time.perf_counter()
        MATERIAL.run(engine=engine, kind="bricks", seed=seed)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def main() -> None:
    """Measure and publish."""
    given = results.parser(__doc__ or "", "material").parse_args()
    torch.set_num_threads(given.threads)
    engine = Engine(["cpu"], given.threads)
    speed = seconds(engine)
    model = TextureModel("material", engine, Job())
    known, held = tiles.load()
    judge = load_perceptual()
    offered = [number for number, name in enumerate(known.classes) if name not in NOT_OFFERED]
    real = [np.isin(one.labels, offered) for one in (known, held)]
    truth = held.labels[real[1]]

    def made(variety: float) -> np.ndarray:
        found = [
            model.generated(slug(known.classes[label]), 1000 + number, variety)
            for number, label in enumerate(truth)
        ]
        return (np.stack(found) * 255 + 0.5).astype(np.uint8)

    rng = np.random.default_rng(0)
    sets = {
        "held-out tiles": held.pixels[real[1]],
        "random training tiles": np.stack(
            [known.pixels[rng.choice(np.flatnonzero(known.labels == one))] for one in truth]
        ),
        "ours, variety 0": made(0.0),
        "ours, variety 0.3": made(0.3),
        "ours, variety 0.6": made(0.6),
        "patch quilting": np.stack(
            [quilted(known.pixels[known.labels == one], rng) for one in truth]
        ),
    }
    train = features(judge, known.pixels[real[0]])
    guess = classifier(train, known.labels[real[0]], len(known.classes))
    middle, spread = train.mean(0), train.std(0) + 1e-6
    train = (train - middle) / spread
    axes = np.linalg.svd(train, full_matrices=False)[2][:_COMPONENTS].T
    rows, found = [], {}
    for name, pixels in sets.items():
        seen = features(judge, pixels)
        right = float((guess(seen) == truth).mean())
        seen = (seen - middle) / spread
        found[name] = seen
        far = frechet(seen @ axes, found["held-out tiles"] @ axes)
        apart = [float(np.sqrt(((train - one) ** 2).mean(1).min())) for one in seen]
        rows.append([name, f"{right:.1%}", far, seam(pixels), float(np.median(apart))])
    by_name: dict[Any, list[Any]] = {row[0]: row for row in rows}
    default, baseline = by_name["ours, variety 0.3"], by_name["patch quilting"]
    relief = heights()
    means = [float(np.mean([row[place] for row in relief])) for place in (1, 2)]
    head = ["tiles", "class accuracy", "Frechet distance", "seam", "nearest training tile"]
    body = [
        f"{len(truth)} tiles of {len(set(truth.tolist()))} classes each, 128 px.",
        results.table(head, rows),
        (
            "Seam: the mean step across the borders in mean steps inside. Nearest tile: the "
            "median distance of features (root mean square, in deviations); below that of held-out "
            "tiles a tile is nearer to what was trained on than unseen ones are. Ours start from "
            "exemplars, which are training tiles: at variety 0 they are those."
        ),
        (
            f"Frechet distance below quilting's: {results.verdict(default[2] < baseline[2])}. "
            f"Seams no larger than steps inside: {results.verdict(default[3] <= 1)}."
        ),
        (
            f"A material of 512 px with all maps: {speed:.3f} s, wanted under 0.3 s: "
            f"{results.verdict(speed < 0.3)}."
        ),
        (
            "How the height of materials that have one goes with what can be told from the colour "
            "(correlation):"
        ),
        results.table(
            ["material", "luminance", "regression on the others"],
            [*relief, ("mean", *means)],
        ),
    ]
    results.publish(given, "Materials (material)", "\n\n".join(body))
    figures = {
        "class accuracy of generated tiles": (float(default[1][:-1]) / 100, ""),
        "class accuracy of held-out tiles": (float(str(rows[0][1])[:-1]) / 100, ""),
        "Frechet distance to held-out tiles": (default[2], ""),
        "Frechet distance of patch quilting": (baseline[2], ""),
        "seam": (default[3], "mean steps inside"),
    }
    results.card_metrics(given, bundle.get_bundle("material", "material"), figures)


if __name__ == "__main__":
    main()
