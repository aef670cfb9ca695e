"""Parity: the style network in PyTorch, its weights read back from the bundle, against ONNX.

On three shapes, each with a library style that has weights of its own: each graph on the same
inputs, and the whole chain (predict, measure, render), where each goes on with its own numbers.
"""

from __future__ import annotations

import numpy as np
import results
import subjects
import torch

from triptych import bundle
from triptych.engine import Engine
from triptych.image.weight_delta import Delta, graph_with, read
from triptych.training.image.style_export import load_style

BAR = 1e-3
SHAPES = ((256, 256), (192, 320), (424, 288))  # height and width, multiples of 8


def main() -> None:
    """Measure, then write the section and the figures."""
    options = results.parser("PyTorch against ONNX Runtime.").parse_args()
    torch.set_num_threads(options.threads)
    engine = Engine(["cpu"], threads=options.threads)
    found = bundle.get_bundle("style", "style")

    def ort(graph: str, delta: Delta | None = None, **inputs: np.ndarray) -> np.ndarray:
        (value,) = engine.run(graph_with(found, graph, delta or {}), inputs).values()
        return value

    def apart(here: torch.Tensor, there: np.ndarray) -> float:
        return float(np.abs(here.numpy() - there).max())

    rows: list[list[float | str]] = []
    own = [row for row, preset in enumerate(found.card.presets) if preset.get("delta")]
    photographs = subjects.kodak()
    for number, (height, width) in enumerate(SHAPES):
        left, top = 8 * number, 16
        crop = photographs[number].crop((left, top, left + width, top + height))
        x = subjects.as_tensor(subjects.as_floats(crop))
        other = photographs[number + 3].resize((width + 50 * number, height + 30))
        style = subjects.as_tensor(subjects.as_floats(other))
        row = own[number]
        delta = read(found, row)
        model, statistics, codes = load_style(found.path, found.card.presets[row]["name"])
        model.eval()
        statistics.eval()
        code = torch.from_numpy(codes[row : row + 1])
        with torch.no_grad():
            grain = torch.rand(1, 1, height, width)
            affine = model.net.measure(x, code, grain)
            predicted = model.predictor(statistics(style))
            chain = model.net.render(x, model.net.measure(x, predicted, grain), grain)
            canvas, known = {"picture": x.numpy(), "grain": grain.numpy()}, affine.numpy()
            predicted_there = ort("predict", style=style.numpy())
            affine_there = ort("measure", delta, **canvas, code=predicted_there)
            rows.append(
                [
                    f"{width} x {height}",
                    apart(affine, ort("measure", delta, **canvas, code=code.numpy())),
                    apart(
                        model.net.render(x, affine, grain),
                        ort("render", delta, **canvas, affine=known),
                    ),
                    apart(predicted, predicted_there),
                    apart(chain, ort("render", delta, **canvas, affine=affine_there)),
                ]
            )
    worst = max(float(value) for row in rows for value in row[1:])
    head = ("shape", "measure", "render", "predict", "whole chain")
    body = (
        f"{results.table(head, rows)}\n\nLargest absolute difference {worst:.2g}, wanted at most "
    )
    body += f"{BAR:g}: {results.verdict(worst <= BAR)}."
    results.publish(options, "Parity of PyTorch and ONNX", body)
    results.card_metrics(options, found, {"parity on three shapes": (worst, "max abs")})


if __name__ == "__main__":
    main()
