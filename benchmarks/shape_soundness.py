"""Whether every surface is sound: random shapes over all controls of all tasks that make them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from results import card_metrics, parser, publish, table, verdict

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.shape.category import categories
from triptych.shape.mesh import Mesh, components, directed, volumes
from triptych.task import get_task

_BOX, _CRUMB = 0.02, 0.01


def main() -> None:
    """Measure, and write the section."""
    made = parser(__doc__ or "", "shape")
    made.add_argument("--count", type=int, default=1000, help="shapes (default 1000)")
    options = made.parse_args()
    engine = Engine(["cpu"], options.threads)
    kept: list[Mesh] = []
    faults: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for number in range(options.count):
        rng = np.random.default_rng(number)
        name, given, values = drawn(rng, kept)
        tasks[name] += 1
        try:
            mesh = get_task(name).run(given, Job(), engine, **values).made
        except UserError as error:
            bad[name] += 1
            faults[str(error)] += 1
            print(number, name, error, flush=True)
            continue
        told = wrong(mesh, values)
        bad[name] += bool(told)
        for fault in told:
            faults[fault] += 1
            print(number, name, fault, flush=True)
        kept = [*kept[-19:], mesh]
    failed = sum(bad.values())
    body = (
        f"Of {options.count} random shapes over all categories and controls {failed} are not "
        "closed, manifold, evenly oriented, turned outwards, inside the asked box within 2 % and "
        f"without a part under 1 % of the volume: wanted none: {verdict(failed == 0)}.\n\n"
        + table(["task", "shapes", "with a fault"], [[t, tasks[t], bad[t]] for t in tasks])
    )
    if faults:
        body += "\n\n" + "; ".join(f"{fault}: {n}" for fault, n in faults.most_common()) + "."
    publish(options, "Shapes: soundness", body)
    figures = {"unsound shapes": (float(failed), f"of {options.count}")}
    card_metrics(options, bundle.get_bundle("shape", "shape"), figures)


def drawn(rng: np.random.Generator, kept: list[Mesh]) -> tuple[str, Mesh | None, dict[str, object]]:
    """A task, what it is given, and values over the whole range of its controls."""
    names = ["shape"] * 3 + (["vary_shape", "cross_shapes", "shape_like"] if kept else [])
    name = str(rng.choice(names))
    values: dict[str, object] = {}
    for one in get_task(name).parameters:
        if one.name == "category":
            values[one.name] = str(rng.choice([choice.value for choice in categories()]))
        elif one.name == "detail":
            values[one.name] = int(rng.choice([32, 48, 64, 96, 128], p=[0.2, 0.2, 0.3, 0.2, 0.1]))
        elif one.name == "triangles":
            values[one.name] = int(rng.integers(200, 20000)) if rng.random() < 0.3 else None
        elif one.name in ("width", "height", "depth"):
            side = float(np.exp(rng.uniform(np.log(0.05), np.log(8))))
            values[one.name] = side if rng.random() < 0.4 else None
        elif one.kind == "seed":
            values[one.name] = int(rng.integers(1 << 31))
        elif one.name in ("roundness", "symmetry"):
            values[one.name] = float(rng.choice([0.0, 1.0, rng.random()], p=[0.5, 0.2, 0.3]))
        elif one.kind == "float" and one.minimum is not None and one.maximum is not None:
            values[one.name] = float(rng.uniform(one.minimum, one.maximum))
        elif one.kind == "mesh":
            values[one.name] = kept[int(rng.integers(len(kept)))]
        elif one.kind == "meshes":
            count = int(rng.integers(1, 4))
            values[one.name] = [kept[int(i)] for i in rng.integers(len(kept), size=count)]
    given = kept[int(rng.integers(len(kept)))] if get_task(name).input == "mesh" else None
    return name, given, values


def wrong(mesh: Mesh, values: dict[str, object]) -> list[str]:
    """What is not as it must be."""
    found = mesh.faults()
    if found:
        return found
    for side, name in zip(mesh.size, ("width", "height", "depth"), strict=True):
        asked = values.get(name)
        if isinstance(asked, float) and abs(float(side) / asked - 1) > _BOX:
            found.append("its box is not as asked")
    starts, stops = directed(mesh.faces)
    _, part = np.unique(components(len(mesh.vertices), starts, stops), return_inverse=True)
    share = np.bincount(part[mesh.faces[:, 0]], volumes(mesh.vertices, mesh.faces))
    if (np.abs(share) < _CRUMB * share.sum()).any():
        found.append("a part is a crumb")
    return found


if __name__ == "__main__":
    main()
