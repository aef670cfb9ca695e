"""Upscaling on Set5, Set14 and BSD100 by the papers' protocol, its size and its time.

The protocol: an original cropped to multiples of the scale, made smaller by MATLAB's antialiased
bicubic filter and rounded to 8 bits; what is made of it is rounded to 8 bits and compared with the
original in luminance (ITU-R BT.601, 16..235) without a border as wide as the scale. That this
script follows it is seen from bicubic enlargement, whose figures everyone reports.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import results
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from style_speed import turns
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from upscale_peers import PARAMETERS, PEERS

from triptych import bundle
from triptych.engine import Engine
from triptych.image.resample import enlarge, shrink
from triptych.image.upscale import SCALES, TASK
from triptych.training import data

Floats = NDArray[Any]
Bytes = NDArray[np.uint8]
SETS = {"Set5": "set5", "Set14": "set14", "BSD100": "bsd100"}
BICUBIC = {2: 33.66, 3: 30.39, 4: 28.42}  # dB on Set5, as the papers report it
FSRCNN = {2: 37.00, 3: 33.16, 4: 30.71}  # likewise (Dong et al. 2016)
BARS = {2: 37.5, 3: 33.7, 4: 31.3}
LARGEST, LONGEST = 150_000, 0.1  # parameters; seconds from 128 to 512 px
LUMA = np.array([65.481, 128.553, 24.966]) / 255
NEAR = 0.05  # dB by which bicubic may differ from what is reported


def main() -> None:
    """Measure, then write the section and the figures."""
    made = results.parser("PSNR and SSIM, parameters, multiply-adds and time.", "upscale")
    made.add_argument("--model", default="upscale", help="the bundle")
    made.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    made.add_argument("--repetitions", type=int, default=15, help="runs of each for the time")
    options = made.parse_args()
    found = bundle.get_bundle(options.model, "upscale")
    engine = Engine(["cpu"], threads=options.threads)
    rows, scores = quality(engine, options)
    head = (
        "set",
        "scale",
        "bicubic dB",
        "SSIM",
        "ours dB",
        "SSIM",
        "gain dB",
        "averaged dB",
        "SSIM",
    )
    body = f"{results.table(head, rows)}\n\n"
    if "Set5" in options.sets:
        apart = max(abs(scores["Set5", s][0] - BICUBIC[s]) for s in SCALES)
        body += (
            f"Bicubic on Set5 is within {apart:.3f} dB of what the papers report "
            f"({' / '.join(f'{v:.2f}' for v in BICUBIC.values())}): the protocol is theirs: "
            f"{results.verdict(apart <= NEAR)}. FSRCNN reports "
            f"{' / '.join(f'{v:.2f}' for v in FSRCNN.values())} dB there.\n\n"
        )
        for scale in SCALES:
            once, averaged = scores["Set5", scale][2], scores["Set5", scale][4]
            body += (
                f"Set5 x{scale}: {once:.2f} dB, wanted at least {BARS[scale]:g}: "
                f"{results.verdict(once >= BARS[scale])}; averaged over eight attitudes "
                f"(`--average`, eight times slower) {averaged:.2f} dB: "
                f"{results.verdict(averaged >= BARS[scale])}.\n"
            )
    counts = found.card.extra["parameters"]
    most = max(counts.values())
    body += f"\nParameters at most {LARGEST}: {results.verdict(most <= LARGEST)} ({most}).\n\n"
    timed, seconds = side_by_side(found, engine, options)
    timed_head = (
        "network, x4",
        "parameters",
        "G multiply-adds to 1280 x 720",
        "median s",
        "fastest s",
    )
    body += f"""128 to 512 px, {options.repetitions} runs of each in turns (the others with random
weights in ONNX Runtime, FSRCNN on luminance alone; ours also as the whole task):

{results.table(timed_head, timed)}

Wanted at most {LONGEST:g} s: {results.verdict(seconds <= LONGEST)}."""
    results.publish(options, f"Upscaling ({options.model})", body)
    figures = {
        f"PSNR of luminance, {name} x{scale}": (values[2], "dB")
        for (name, scale), values in scores.items()
    } | {
        f"PSNR of luminance, {name} x{scale}, averaged": (values[4], "dB")
        for (name, scale), values in scores.items()
    }
    figures[f"128 to 512 px, {options.threads} threads"] = (seconds, "s")
    results.card_metrics(options, found, figures)


@functools.cache
def originals(name: str) -> list[Bytes]:
    """The pictures of a set, H x W x 3."""
    folder = data.data_root() / "bench" / SETS[name]
    source = data.open_source(folder / f"{SETS[name]}.zip", "research only")
    return [np.asarray(picture) for _, picture in source.pictures()]


def quality(
    engine: Engine, options: argparse.Namespace
) -> tuple[list[list[Any]], dict[tuple[str, int], tuple[float, ...]]]:
    """The table's rows; the mean PSNR and SSIM of bicubic, ours and ours averaged by set and
    scale."""
    rows: list[list[Any]] = []
    scores: dict[tuple[str, int], tuple[float, ...]] = {}
    for name in options.sets:
        for scale in SCALES:
            found = [judged(engine, one, scale, options.model) for one in originals(name)]
            scores[name, scale] = tuple(float(v) for v in np.mean(found, 0))
            cells = [f"{v:.4f}" if i % 2 else f"{v:.2f}" for i, v in enumerate(scores[name, scale])]
            gain = f"{scores[name, scale][2] - scores[name, scale][0]:+.2f}"
            rows.append([name, f"x{scale}", *cells[:4], gain, *cells[4:]])
    return rows, scores


def judged(engine: Engine, original: Bytes, scale: int, model: str) -> tuple[float, ...]:
    """PSNR and SSIM of bicubic enlargement, of the task, and of its average."""
    height, width = (side // scale * scale for side in original.shape[:2])
    original = original[:height, :width]
    small = as_bytes(shrink(original, scale))
    picture = small.astype(np.float32) / np.float32(255)
    made = [enlarge(small, scale)]
    for average in (False, True):
        whole = TASK.run(picture, engine=engine, scale=scale, model=model, average=average).made
        made.append(255 * whole)
    wanted = luma(original, scale)
    scores: tuple[float, ...] = ()
    for one in map(as_bytes, made):
        scores += (psnr(luma(one, scale), wanted), ssim(luma(one, scale), wanted))
    return scores


def as_bytes(values: Floats) -> Bytes:
    """0..255 rounded to whole codes."""
    return (np.clip(values, 0, 255) + 0.5).astype(np.uint8)


def luma(picture: Bytes, border: int) -> Floats:
    """Luminance 16..235 without its border, in float64."""
    return (16 + picture @ LUMA)[border:-border, border:-border]


def psnr(made: Floats, wanted: Floats) -> float:
    """Peak signal to noise ratio in dB."""
    return float(10 * np.log10(255**2 / np.mean((made - wanted) ** 2)))


def ssim(made: Floats, wanted: Floats) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian of 11 px, sigma 1.5, inside only."""
    away = np.arange(-5, 6)
    window = np.exp(-(away**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(values: Floats) -> Floats:
        blurred = correlate1d(correlate1d(values, window, 0), window, 1)
        inside: Floats = blurred[5:-5, 5:-5]
        return inside

    one, two = mean(made), mean(wanted)
    spread = mean(made**2) - one**2, mean(wanted**2) - two**2
    both = mean(made * wanted) - one * two
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = (2 * one * two + c1) * (2 * both + c2)
    return float(np.mean(values / ((one**2 + two**2 + c1) * (sum(spread) + c2))))


def multiply_adds(net: nn.Module, channels: int, scale: int) -> float:
    """Multiplications with an addition that an output of 1280 x 720 px takes, in 1e9."""
    with torch.device("meta"):
        small = torch.empty(1, channels, 240, 320)
    with FlopCounterMode(display=False) as counter:
        net.to("meta")(small)
    area = 1280 * 720 / scale**2 / (240 * 320)
    return counter.get_total_flops() / 2 * area / 1e9


def side_by_side(
    found: bundle.Bundle, engine: Engine, options: argparse.Namespace
) -> tuple[list[list[Any]], float]:
    """The rows of the table of networks, and the median seconds of our task."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    picture = np.random.default_rng(0).random((128, 128, 3), np.float32)
    x = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
    graph = found.graph("x4")
    runs: dict[str, Callable[[], object]] = {
        "ours, the whole task": lambda: TASK.run(
            picture, engine=engine, scale=4, model=options.model
        ),
        "ours, the graph": lambda: engine.run(graph, {"picture": x}),
    }
    ours = found.card.extra
    facts = {
        "ours, the whole task": ("", ""),
        "ours, the graph": (str(ours["parameters"]["x4"]), f"{ours['multiply_adds']['x4']:.1f}"),
    }
    with tempfile.TemporaryDirectory() as place:
        for name, kind in PEERS.items():
            net = kind(4).eval()
            channels: int = kind.channels
            count = sum(p.numel() for p in net.parameters())
            assert abs(count / PARAMETERS[name] - 1) < 0.05, (name, count)
            runs[name] = in_onnx(net, x[:, :channels], Path(place) / name, options.threads)
            facts[name] = (str(count), f"{multiply_adds(net, channels, 4):.1f}")
        seconds = turns(runs, options.repetitions)
    rows: list[list[Any]] = [
        [name, *facts[name], f"{statistics.median(values):.4f}", f"{min(values):.4f}"]
        for name, values in seconds.items()
    ]
    return rows, statistics.median(seconds["ours, the whole task"])


def in_onnx(net: nn.Module, x: Floats, path: Path, threads: int) -> Callable[[], object]:
    """A function that runs the network in ONNX Runtime."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        example = torch.from_numpy(x)
        torch.onnx.export(net, (example,), path, dynamo=False, opset_version=18, input_names=["x"])
        wanted = net(example).numpy()
    choice = onnxruntime.SessionOptions()
    choice.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, choice, providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"x": x})[0] - wanted).max() < 1e-3  # it is the same network
    return lambda: session.run(None, {"x": x})


if __name__ == "__main__":
    main()
