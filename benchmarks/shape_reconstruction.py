"""Shapes as they come back from the autoencoder: held-out real meshes and procedural shapes.

A mesh is encoded and decoded as a host does it, and compared with the truth at the middles of 64 x
64 x 64 cells of the cube. Of a procedural shape the mesh is its surface extracted at 128 cubed. A
thin part is what a cube of 3 cells a side does not fit into (the morphological opening leaves it
out).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from results import card_metrics, parser, publish, table, verdict
from scipy import ndimage

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.shape.mesh import Mesh
from triptych.shape.model import FILLED, ShapeModel
from triptych.shape.surface import extract
from triptych.training.shape import real, samples

SIDE = 64  # cells
COUNT = 170  # procedural shapes, ten of each family
BARS = {"procedural": 0.92, "real": 0.85}


def main() -> None:
    """Measure, and write the section."""
    options = parser(__doc__ or "", "shape").parse_args()
    model = ShapeModel("shape", Engine(["cpu"], options.threads), Job())
    rows: list[list[object]] = []
    figures: dict[str, tuple[float, str]] = {}
    verdicts = []
    for kind in BARS:
        per = defaultdict(list)
        for family, mesh, truth in held_out(kind):
            told = measured(model, mesh, truth)
            per[family].append(told)
            per["all"].append(told)
        for family in [*sorted(set(per) - {"all"}), "all"]:
            iou, thin = np.array(per[family]).T
            count = len(iou)
            rows.append([kind, f"**{family}**" if family == "all" else family, count])
            rows[-1] += [float(iou.mean()), float(np.median(iou)), float(np.nanmean(thin))]
        iou, thin = np.array(per["all"]).T
        figures[f"IoU at {SIDE} cubed, held-out {kind}"] = (float(iou.mean()), "mean")
        figures[f"thin parts kept, held-out {kind}"] = (float(np.nanmean(thin)), "share of volume")
        verdicts.append(
            f"{kind} {iou.mean():.3f}, wanted at least {BARS[kind]}: "
            f"{verdict(iou.mean() >= BARS[kind])}"
        )
    head = ["kind", "family", "shapes", "IoU, mean", "IoU, median", "thin parts kept"]
    body = f"Mean IoU at {SIDE} cubed: {'; '.join(verdicts)}.\n\n" + table(head, rows)
    publish(options, "Shapes: reconstruction", body)
    card_metrics(options, bundle.get_bundle("shape", "shape"), figures)


def centres() -> np.ndarray:
    """The middles of the cells (SIDE^3 x 3)."""
    along = ((np.arange(SIDE) + 0.5) * (2 / SIDE) - 1).astype(np.float32)
    return np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)


def held_out(kind: str) -> Iterator[tuple[str, Mesh, np.ndarray]]:
    """Family, mesh in the cube, and what is inside (SIDE^3) of held-out shapes."""
    places = centres()
    if kind == "procedural":
        for index in range(COUNT):
            solid = samples.made(index, samples.HELD_OUT_SEEDS)
            mesh = Mesh(*extract(solid.distance, 128, samples.TRUNCATION, Job()))
            yield solid.family, mesh, solid.distance(places) < 0
    else:
        for one in real.meshes(True):
            yield one.family, Mesh(one.vertices, one.faces), one.distance(places) < 0


def measured(model: ShapeModel, mesh: Mesh, truth: np.ndarray) -> tuple[float, float]:
    """Intersection over union, and the share of the thin parts' volume that is kept (or NaN)."""
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    places = (centres() - middle) * (2 * FILLED / mesh.size.max())  # as it is encoded
    within = (np.abs(places) < 1).all(1)
    made = np.zeros(SIDE**3, bool)
    made[within] = model.field(model.encoded(mesh), 0.0)(places[within].astype(np.float32)) < 0
    cube = truth.reshape(SIDE, SIDE, SIDE)
    thin = (cube & ~ndimage.binary_opening(cube, np.ones((3, 3, 3)))).reshape(-1)
    kept = float(made[thin].mean()) if thin.any() else np.nan
    return float((made & truth).sum() / max((made | truth).sum(), 1)), kept


if __name__ == "__main__":
    main()
