"""How fast shapes are made, from the parameters to a mesh with UVs, and in how much memory.

Coarse-to-fine evaluation of the field against the whole grid, in the same run.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from results import card_metrics, parser, publish, table, verdict

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.shape.assembly import Assembler
from triptych.shape.grid import Grid
from triptych.shape.model import ShapeModel
from triptych.task import get_task

BARS = {64: 0.5, 128: 1.5, 256: 6.0}  # seconds
FASTER = {128: 4.0, 256: 8.0}  # times
MEMORY = 2.0  # GiB
CATEGORIES = ("chair", "armchair", "table", "shelf", "lamp", "tree")


def main() -> None:
    """Measure, and write the section."""
    options = parser(__doc__ or "", "shape").parse_args()
    engine = Engine(["cpu"], options.threads)
    task = get_task("shape")
    task.run(None, Job(), engine, category="chair", detail=64)  # sessions are loaded
    rows: list[list[object]] = []
    figures: dict[str, tuple[float, str]] = {}
    for detail, bar in BARS.items():
        took = []
        for category in CATEGORIES:
            start = time.perf_counter()
            task.run(None, Job(), engine, category=category, seed=3, detail=detail)
            took.append(time.perf_counter() - start)
        model = ShapeModel("shape", engine, Job())
        dense, fine = field_seconds(model, detail)
        times = dense / fine
        wanted = FASTER.get(detail)
        holds = verdict(max(took) < bar)
        rows.append([detail, float(np.median(took)), max(took), f"{bar}: {holds}"])
        rows[-1] += [fine, dense, times]
        rows[-1].append("" if wanted is None else f"{wanted:.0f}: {verdict(times >= wanted)}")
        figures[f"seconds for a shape at {detail} cubed"] = (max(took), "s, the slowest of six")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    head = ["cells", "s, median", "s, slowest", "wanted at most"]
    head += ["field, s", "whole grid, s", "times", "wanted at least"]
    body = (
        f"Six categories ({', '.join(CATEGORIES)}), the whole task; the field alone of a chair.\n\n"
        + table(head, rows)
        + f"\n\nPeak memory of the process over all of it (the whole grids too): {memory:.2f} GiB, "
        f"wanted under {MEMORY}: {verdict(memory < MEMORY)}."
    )
    publish(options, "Shapes: speed", body)
    card_metrics(options, bundle.get_bundle("shape", "shape"), figures)


def field_seconds(model: ShapeModel, detail: int) -> tuple[float, float]:
    """Seconds to evaluate a chair's field on the whole grid, and from coarse to fine."""
    size = np.array(model.category("chair").size)
    latent = Assembler(model).drawn("chair", size, 3).latent
    took = []
    for dense in (True, False):
        field = model.field(latent, 0.0)
        start = time.perf_counter()
        Grid(field, detail, field.truncation, Job(), dense)
        took.append(time.perf_counter() - start)
    return took[0], took[1]


if __name__ == "__main__":
    main()
