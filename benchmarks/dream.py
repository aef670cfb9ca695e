"""Dreams: how far what is dreamt of rises, the gradient against PyTorch's, time, memory."""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from pathlib import Path

import numpy as np
import peak_memory
import results
import subjects
import torch
from PIL import Image

import triptych
from triptych import bundle
from triptych.engine import Engine
from triptych.image.dream import TASK, motif_vectors
from triptych.image.overlay import to_network
from triptych.image.resample import resized
from triptych.training.image.dream_step import DreamStep
from triptych.training.image.perceptual_export import load_perceptual

RISE, AGREEMENT, BEYOND, SECONDS, BYTES = 10.0, 1e-3, 1e-3, 15.0, 3 << 30
NOISE = 256  # px of the side of a picture in which no two values are equal
PHOTOGRAPH = Path(triptych.__file__).parent / "data" / "bay.jpg"


def main() -> None:
    """Measure, then write the section and the figures."""
    made = results.parser("Rise, gradient, time and memory of the task dream.", "dream")
    made.add_argument("--photographs", type=int, default=6, help="held-out pictures")
    made.add_argument("--size", type=int, default=1024, help="side of the timed picture in px")
    made.add_argument("--repetitions", type=int, default=3, help="timed runs")
    peak_memory.add_size(made)
    made.add_argument("--large-steps", type=int, default=1, help="steps an octave at 8K")
    options = made.parse_args()
    peak, large = peak_memory.command(options, "dream", "--steps", str(options.large_steps))
    found = bundle.get_bundle("dream", "dream")
    pictures = subjects.photographs(options.photographs)
    engine = Engine(["cpu"], threads=options.threads)
    seconds, busy = timed(engine, options)
    rises = rise(engine, found, pictures)
    agreement = gradients(engine, found, pictures)
    median = statistics.median(seconds)
    least = min(row[3] for row in rises)
    worst = max(row[1] for row in agreement)
    alone = min(row[4] for row in rises)
    apart = largest(engine, found)
    head = ("motif", "before", "after", "times", "least of the pictures")
    count, size = options.photographs, options.size
    layers = [
        (row[0], f"{row[1]:.2%}", *(f"{value:.1e}" for value in row[2:])) for row in agreement
    ]
    body = f"""What the motif's channels see (mean over all places of the strongest, after the ReLU,
by the bundle `perceptual`) in {count} held-out photographs, before and after the task with its
defaults:

{results.table(head, rises)}

Wanted at least {RISE:g} times for each motif: {results.verdict(least >= RISE)}; in each single
photograph: {results.verdict(alone >= RISE)}.

The gradient of ONNX Runtime against PyTorch's autograd on {NOISE} x {NOISE} px of noise, over all
motifs: at most {apart:.1e} of the largest value apart, wanted at most {AGREEMENT:g}:
{results.verdict(apart <= AGREEMENT)}. Where two values are equal but for rounding, as in flat parts
of a photograph, the gradient may go either way. On the photographs, motif by motif: the share of
values that differ by more than {AGREEMENT:g} of the largest; the difference's length by the
gradient's; and how far PyTorch's own float32 is from its float64:

{results.table(("layer", "values beyond", "difference", "PyTorch's own"), layers)}

Wanted within {AGREEMENT:g} in {1 - BEYOND:.1%} of the values: {results.verdict(worst <= BEYOND)}.

{size} x {size} px, 3 octaves of 10 steps, from array to array, {options.repetitions} runs: median
{median:.1f} s, fastest {min(seconds):.1f} s ({busy:.1f} s of processor time, all threads together;
load {os.getloadavg()[0]:.1f}); wanted under {SECONDS:g} s:
{results.verdict(median < SECONDS)}.

`triptych dream` on a JPEG of {options.width} x {options.height} px, {options.large_steps} step(s)
an octave: peak resident memory {peak / 2**30:.2f} GiB, wanted under {BYTES / 2**30:g} GiB:
{results.verdict(peak < BYTES)}; {large:.0f} s."""
    results.publish(options, "Dreams", body)
    figures = {
        "least rise of a motif's activation": (least, "times"),
        "gradient against PyTorch's, noise": (apart, "of the largest value"),
        "gradient values that differ from PyTorch by over 1e-3, photographs": (worst, "of all"),
        f"{size} px, 3 octaves x 10 steps, {options.threads} threads": (median, "s"),
        f"peak memory at {options.width} x {options.height}": (peak / 2**30, "GiB"),
    }
    results.card_metrics(options, found, figures)


def rise(
    engine: Engine, found: bundle.Bundle, pictures: list[np.ndarray]
) -> list[tuple[str, float, float, float, float]]:
    """For each motif of channels: before, after, their ratio, the least ratio of a picture."""
    features = bundle.get_bundle("perceptual").graph("features")
    rows = []
    for preset in found.card.presets:
        layer, vectors, energy = motif_vectors(found, preset["name"])
        if energy:
            continue

        def seen(picture: np.ndarray, layer: str = layer, vectors: np.ndarray = vectors) -> float:
            a = engine.run(features, {"picture": to_network(picture)})[layer][0]
            return float((vectors @ a.reshape(len(a), -1)).max(0).mean())

        before = np.array([seen(picture) for picture in pictures])
        after = np.array(
            [seen(TASK.run(p, engine=engine, motif=preset["name"]).made) for p in pictures]
        )
        ratio = float(after.mean() / before.mean())
        least = float((after / before).min())
        rows.append((preset["name"], float(before.mean()), float(after.mean()), ratio, least))
    return rows


def gradients(
    engine: Engine, found: bundle.Bundle, pictures: list[np.ndarray]
) -> list[tuple[str, float, float, float]]:
    """For each layer, the worst of all motifs and pictures: the share of values that are apart by
    more than AGREEMENT of the largest; the difference's length by the gradient's; and the same of
    PyTorch's gradient in float32 against its own in float64."""
    worst: dict[str, tuple[float, ...]] = {}
    net = load_perceptual()
    for preset in found.card.presets:
        layer, vectors, energy = motif_vectors(found, preset["name"])
        step = DreamStep(net, layer)
        for pixels in pictures:
            wanted = autograd(step, pixels, vectors, energy)
            exact = autograd(copy.deepcopy(step).double(), pixels, vectors, energy)
            difference = exported(engine, found, layer, pixels, vectors, energy) - wanted
            beyond = float((np.abs(difference) > AGREEMENT * np.abs(wanted).max()).mean())
            length = float(np.linalg.norm(difference) / np.linalg.norm(wanted))
            own = float(np.linalg.norm(wanted - exact) / np.linalg.norm(exact))
            known = worst.get(layer, (0.0, 0.0, 0.0))
            worst[layer] = tuple(map(max, known, (beyond, length, own)))
    return [(layer, *values) for layer, values in worst.items()]  # type: ignore[misc]


def largest(engine: Engine, found: bundle.Bundle) -> float:
    """The largest difference of the gradients on noise, by the largest value, over all motifs."""
    pixels = np.random.default_rng(0).random((NOISE, NOISE, 3), np.float32)
    net, shares = load_perceptual(), []
    for preset in found.card.presets:
        layer, vectors, energy = motif_vectors(found, preset["name"])
        wanted = autograd(DreamStep(net, layer), pixels, vectors, energy)
        made = exported(engine, found, layer, pixels, vectors, energy)
        shares.append(float(np.abs(made - wanted).max() / np.abs(wanted).max()))
    return max(shares)


def exported(
    engine: Engine,
    found: bundle.Bundle,
    layer: str,
    pixels: np.ndarray,
    vectors: np.ndarray,
    energy: float,
) -> np.ndarray:
    """The gradient 3 x H x W that the bundle's graph gives."""
    inputs = {"picture": to_network(pixels), "vectors": vectors}
    inputs["energy"] = np.array([energy], np.float32)
    return engine.run(found.graph(layer), inputs)["gradient"]


def autograd(step: DreamStep, pixels: np.ndarray, vectors: np.ndarray, energy: float) -> np.ndarray:
    """PyTorch's own gradient 3 x H x W of the objective, in the precision of `step`."""
    dtype = step.scale.dtype
    picture = torch.from_numpy(to_network(pixels)).to(dtype).requires_grad_()
    x = (picture - 0.45) * 4
    for part in step.layers:
        x = part(x)
    a = (x / step.scale)[0].flatten(1)
    scores = torch.from_numpy(vectors).to(dtype) @ a
    (gradient,) = torch.autograd.grad(
        scores.amax(0).sum() + energy / 2 * a.relu().square().sum(), picture
    )
    return gradient[0].numpy()


def timed(engine: Engine, options: argparse.Namespace) -> tuple[list[float], float]:
    """Seconds of each run of the task on a square photograph, and the fewest that its threads
    worked: on a machine that is busy otherwise the clock says little."""
    with Image.open(PHOTOGRAPH) as opened:
        whole = np.asarray(opened.convert("RGB"), np.float32) / np.float32(255)
    side = min(whole.shape[:2])
    picture = resized(whole[:side, :side], (options.size, options.size))
    found, busy = [], []
    for _ in range(options.repetitions):
        start, begun = time.perf_counter(), time.process_time()
        TASK.run(picture, engine=engine, octaves=3, steps=10)
        found.append(time.perf_counter() - start)
        busy.append(time.process_time() - begun)
    return found, min(busy)


if __name__ == "__main__":
    main()
