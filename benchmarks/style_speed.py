"""Speed: the style task against the fast neural style network of pytorch/examples, side by side.

All three run in this process on the same threads, in turns: that network (random weights) in ONNX
Runtime and in eager PyTorch, and our whole task from array to array (it measures, renders and
finishes). Then the command from its start to a finished 512 px picture.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import results
import subjects
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych import bundle
from triptych.engine import Engine

OVER_ONNX, OVER_EAGER, COLD = 8.0, 15.0, 1.5  # wanted: times, times, seconds at most
STYLE = "vangogh-starry-night"
PAUSE = 0.2  # seconds between two runs, for the threads of the last one to go to sleep


class Conv(nn.Module):
    """A convolution on a picture mirrored at its border, perhaps enlarged first."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, up: int = 1):
        super().__init__()
        self.up = up
        self.pad = nn.ReflectionPad2d(kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """N x inputs x H x W to N x outputs x H * up / stride x W * up / stride."""
        if self.up > 1:
            x = F.interpolate(x, scale_factor=float(self.up), mode="nearest")
        return self.conv(self.pad(x))


class Residual(nn.Module):
    """Two 3 x 3 convolutions with instance normalisation beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Conv(channels, channels, 3),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(),
            Conv(channels, channels, 3),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.layers(x)


def transformer_net() -> nn.Sequential:
    """The network of pytorch/examples' fast neural style: 1.68 M parameters."""

    def normed(*layer: int) -> list[nn.Module]:
        return [Conv(*layer), nn.InstanceNorm2d(layer[1], affine=True), nn.ReLU()]

    return nn.Sequential(
        *normed(3, 32, 9),
        *normed(32, 64, 3, 2),
        *normed(64, 128, 3, 2),
        *(Residual(128) for _ in range(5)),
        *normed(128, 64, 3, 1, 2),
        *normed(64, 32, 3, 1, 2),
        Conv(32, 3, 9),
    )


def turns(
    runs: dict[str, Callable[[], object]], repetitions: int, warm: int = 1
) -> dict[str, list[float]]:
    """Seconds of each of `runs`, taken in turns so that all meet the same conditions."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warm + repetitions):
        for name, run in runs.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            run()
            if turn >= warm:
                found[name].append(time.perf_counter() - start)
    return found


def cold_starts(count: int, threads: int) -> list[float]:
    """Seconds of the whole command on a 512 px photograph, each in a new process."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        source, out = Path(place) / "photo.jpg", Path(place) / "out.png"
        crop = (subjects.photographs(1)[0] * 255).astype(np.uint8)
        Image.fromarray(crop).save(source, quality=95)
        command = [sys.executable, "-m", "triptych", "style", str(source), "-o", str(out)]
        command += ["--style", STYLE, "--overwrite", "--threads", str(threads)]
        for _ in range(count):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            found.append(time.perf_counter() - start)
        if not out.is_file():
            raise RuntimeError("the command wrote no picture")
    return found


def main() -> None:
    """Measure, then write the section and the figures."""
    made = results.parser("The task against the network of pytorch/examples, and a cold start.")
    made.add_argument("--size", type=int, default=1024, help="side of the picture in px")
    made.add_argument("--repetitions", type=int, default=9, help="runs of each")
    made.add_argument("--starts", type=int, default=7, help="cold starts of the command")
    options = made.parse_args()
    found = bundle.get_bundle("style", "style")
    rows, ratios = side_by_side(options)
    starts = cold_starts(options.starts, options.threads)
    cold = statistics.median(starts)
    head = ("what", "median s", "fastest s", "times our median")
    body = f"""One picture of {options.size} x {options.size} px, {options.repetitions} runs of each
in turns:

{results.table(head, rows)}

Wanted at least {OVER_ONNX:g} times faster than ONNX Runtime:
{results.verdict(ratios[0] >= OVER_ONNX)}; at least {OVER_EAGER:g} times faster than eager PyTorch:
{results.verdict(ratios[1] >= OVER_EAGER)}.

The command from its start to a finished 512 px picture ({options.starts} runs): median
{cold:.2f} s, {min(starts):.2f} to {max(starts):.2f} s; wanted under {COLD:g} s:
{results.verdict(cold < COLD)}."""
    results.publish(options, "Speed of style transfer", body)
    size = f"{options.size} px, {options.threads} threads"
    figures = {
        f"times faster than fast neural style in ONNX Runtime ({size})": (ratios[0], "times"),
        f"times faster than fast neural style in PyTorch ({size})": (ratios[1], "times"),
        "command to a finished 512 px picture": (cold, "s"),
    }
    results.card_metrics(options, found, figures)


def side_by_side(options: argparse.Namespace) -> tuple[list[list[object]], tuple[float, float]]:
    """The rows of the table, and how many times faster than each of the others the task is."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    net = transformer_net().eval()
    parameters = sum(p.numel() for p in net.parameters())
    assert round(parameters / 1e6, 2) == 1.68, parameters
    picture = np.random.default_rng(0).random((options.size, options.size, 3), np.float32)
    x = subjects.as_tensor(picture)
    engine = Engine(["cpu"], threads=options.threads)
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        path = Path(place) / "transformer.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(net, (x,), path, dynamo=False, opset_version=18, input_names=["x"])
        choice = onnxruntime.SessionOptions()
        choice.intra_op_num_threads = options.threads
        session = onnxruntime.InferenceSession(path, choice, providers=["CPUExecutionProvider"])
        (there,) = session.run(None, {"x": x.numpy()})
        scale = float(np.abs(there).max())
        assert float(np.abs(net(x).numpy() - there).max()) < 1e-2 * scale  # it is the same network
        runs: dict[str, Callable[[], object]] = {
            "fast neural style, ONNX Runtime": lambda: session.run(None, {"x": x.numpy()}),
            "fast neural style, eager PyTorch": lambda: net(x),
            "Triptych, the whole task": lambda: subjects.stylised(engine, picture, STYLE),
        }
        seconds = turns(runs, options.repetitions)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ours = medians["Triptych, the whole task"]
    rows: list[list[object]] = [
        [name, f"{medians[name]:.3f}", f"{min(values):.3f}", f"{medians[name] / ours:.1f}"]
        for name, values in seconds.items()
    ]
    onnx, eager, _ = medians.values()
    return rows, (onnx / ours, eager / ours)


if __name__ == "__main__":
    main()
