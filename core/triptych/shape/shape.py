"""The tasks `shape`, `shape_from_picture`, `vary_shape`, `cross_shapes` and `shape_like`: solids in
metres."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.models import model_parameter
from triptych.shape import mesh as meshes
from triptych.shape.assembly import Assembler
from triptych.shape.category import DIRECTIONS, categories, completed
from triptych.shape.crossing import crossed
from triptych.shape.decimate import decimated
from triptych.shape.implicit import Implicit
from triptych.shape.mesh import Mesh
from triptych.shape.model import ShapeModel
from triptych.shape.record import written
from triptych.shape.surface import extract
from triptych.shape.uv import box_projection
from triptych.shape.warp import sound, warped
from triptych.task import Parameter, Result, Task

Array = NDArray[Any]

_RADIUS = 0.06  # of the cube's half side: what the full roundness rounds
_MOST_STEPS = 60  # of smoothing
_THICKER = (0.0, 0.02, 0.04, 0.08)  # added in turn where a shape is too thin to be seen
_NEARLY = 0.4  # distance of codes within which all are as like, or a favourite would come back
_CANDIDATES = 6  # from which one that is like the favourites is chosen


def shape(given: None, job: Job, engine: Engine, **values: Any) -> Result:
    """A shape of a category; see SHAPE."""
    model = ShapeModel(values["model"], engine, job)
    category = model.category(values["category"]).name
    seed, variety = values["seed"], values["variety"]
    assembler = Assembler(model)
    size = assembler.sized(category, _asked(values), seed, variety)
    one = assembler.moved(assembler.drawn(category, size, seed, variety), _steps(values))
    return _solid(model, one, job, values)


def from_picture(
    given: None,
    job: Job,
    engine: Engine,
    image: Path | Array,
    category: str | None,
    variety: float,
    seed: int,
    **values: Any,
) -> Result:
    """The shape in a picture; see FROM_PICTURE."""
    model = ShapeModel(values["model"], engine, job)
    pixels, alpha = _opened(image)
    seen = model.looked_at(pixels, alpha, category, _asked(values))
    if variety > 0:
        seen = Assembler(model).varied(seen, variety, seed)
    return _solid(model, seen, job, values)


def vary(given: Mesh, job: Job, engine: Engine, amount: float, seed: int, **values: Any) -> Result:
    """Another shape like the given one; see VARY."""
    model = ShapeModel(values["model"], engine, job)
    one = model.understood(given)
    one = dataclasses.replace(one, size=completed(one.size, _asked(values)))
    assembler = Assembler(model)
    if amount > 0:
        one = assembler.varied(one, amount, seed)
    return _solid(model, assembler.moved(one, _steps(values)), job, values)


def cross(
    given: Mesh, job: Job, engine: Engine, other: Path | Mesh, share: float, **values: Any
) -> Result:
    """A shape between two; see CROSS."""
    model = ShapeModel(values["model"], engine, job)
    one, two = model.understood(given), model.understood(_loaded(other))
    made = crossed(one, two, share, model.nodes)
    made = dataclasses.replace(made, size=completed(made.size, _asked(values)))
    return _solid(model, made, job, values)


def like(
    given: None,
    job: Job,
    engine: Engine,
    favourites: Sequence[Path | Mesh],
    rejected: Sequence[Path | Mesh] | None,
    spread: float,
    seed: int,
    **values: Any,
) -> Result:
    """A shape near the favourites and away from the rejected; see LIKE.

    Candidates are like one favourite, or two, varied by `spread`. The one is taken whose distance
    to the nearest rejected shape, over that to the nearest favourite, is largest; without rejected
    shapes it is the first.
    """
    model = ShapeModel(values["model"], engine, job)
    assembler = Assembler(model)
    liked = [model.understood(_loaded(one)) for one in favourites]
    unloved = [model.understood(_loaded(one)) for one in rejected or ()]
    good, bad = ([model.code(one) for one in some] for some in (liked, unloved))
    rng = np.random.default_rng(seed)
    best: tuple[float, Implicit] | None = None
    for number in range(_CANDIDATES if unloved else 1):
        job.progress(0.2 * number / _CANDIDATES)
        one, *others = (liked[place] for place in rng.permutation(len(liked)))
        one = dataclasses.replace(one, size=completed(one.size, _asked(values)))
        others = [other for other in others if other.category == one.category]
        made = assembler.like([one, *others[:1]], spread, int(rng.integers(1 << 31)))
        code = model.code(made)
        near = max(_NEARLY, min(_apart(code, one) for one in good))
        away = min((_apart(code, one) for one in bad), default=1.0)
        if best is None or away / near > best[0]:
            best = (away / near, made)
    assert best is not None
    return _solid(model, best[1], job.part(0.2, 1.0), values)


def _apart(one: Array, other: Array) -> float:
    return float(np.sqrt(((one - other) ** 2).mean()))


def _asked(values: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    return values["width"], values["height"], values["depth"]


def _steps(values: dict[str, Any]) -> dict[str, float]:
    return {one.name: values[one.name] for one in DIRECTIONS}


def _loaded(value: Path | Mesh) -> Mesh:
    if isinstance(value, Mesh):
        return value
    from triptych.shape import files

    return files.load(value)


def _opened(value: Path | Array) -> tuple[Array, Array | None]:
    """The pixels and the alpha of a picture."""
    if isinstance(value, np.ndarray):
        return value, None
    from triptych.image import picture

    opened = picture.load(value)
    return opened.pixels, opened.alpha


def _solid(model: ShapeModel, one: Implicit, job: Job, values: dict[str, Any]) -> Result:
    """The mesh of a shape, of exactly its size."""
    detail, most = values["detail"], values["triangles"]
    latent, bent = one.latent, sound(one.warp)
    for thicker in _THICKER:
        latent = np.concatenate([latent[:, :-3] - np.float32(thicker), latent[:, -3:]], 1)
        # What can be made again from the record is what is made now.
        latent = latent.astype(np.float16).astype(np.float32)
        field = model.surface(latent, detail, values["symmetry"])
        vertices, faces = extract(field, detail, field.truncation, job.part(0.05, 0.8))
        vertices, faces = meshes.solid(vertices, faces)
        if len(faces):
            break
    else:
        raise UserError("nothing came of it: try another seed, or more detail.")
    steps = round((values["roundness"] * _RADIUS * detail / 2) ** 2)
    if bent.any():
        vertices, faces = meshes.solid(warped(vertices, bent), faces)  # a small part may be smaller
    vertices = meshes.rounded(vertices, faces, min(steps, _MOST_STEPS))
    fewer = most is not None and len(faces) > most
    if fewer:
        vertices, faces = decimated(vertices, faces, most, job.part(0.8, 0.97))
    if steps or fewer:
        vertices, faces = meshes.solid(vertices, faces)  # a small part may have shrunk
    vertices = meshes.fitted(vertices, one.size)
    record = written(model.bundle.card, dataclasses.replace(one, latent=latent, warp=bent))
    job.progress(1.0, "done")
    return Result(
        Mesh(vertices, faces, box_projection(vertices, faces), record), [model.bundle.used]
    )


def _side(name: str, help: str) -> Parameter:
    return Parameter(
        name,
        name.capitalize(),
        "float",
        None,
        help,
        minimum=0.01,
        maximum=100.0,
        step=0.01,
        unit="m",
        optional=True,
    )


_SIDES = (
    _side("width", "From left to right; without it, in proportion."),
    _side("height", "From the ground up; without it, in proportion."),
    _side("depth", "From front to back; without it, in proportion."),
)
_SURFACE = (
    Parameter(
        "detail",
        "Detail",
        "int",
        128,
        "Cells along each side of the space that the shape fills; more shows finer forms.",
        minimum=32,
        maximum=256,
        step=8,
    ),
    Parameter(
        "roundness",
        "Roundness",
        "float",
        0.0,
        "Rounds edges and corners; the volume stays.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    ),
    Parameter(
        "symmetry",
        "Symmetry",
        "float",
        0.0,
        "Makes the left side the mirror image of the right one.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    ),
    Parameter(
        "triangles",
        "Triangles",
        "int",
        None,
        "At most so many; flat parts give up theirs first.",
        minimum=100,
        maximum=2_000_000,
        step=100,
        optional=True,
    ),
    model_parameter("shape"),
)
_DIRECTIONS = tuple(
    Parameter(one.name, one.label, "float", 0.0, one.help, minimum=-3.0, maximum=3.0, step=0.1)
    for one in DIRECTIONS
)
_SEED = Parameter("seed", "Seed", "seed", 0, "Another seed makes another shape.")

SHAPE = Task(
    name="shape",
    label="Shape",
    help="Make a solid of a category, in metres.",
    function=shape,
    input="none",
    output="mesh",
    model="shape",
    parameters=(
        Parameter(
            "category",
            "Category",
            "choice",
            "chair",
            "What to make.",
            choices=categories,
            noun="category",
        ),
        *_SIDES,
        _SEED,
        Parameter(
            "variety",
            "Variety",
            "float",
            1.0,
            "0 makes the typical shape; above 1 some are joined of two.",
            minimum=0.0,
            maximum=1.5,
            step=0.05,
        ),
        *_DIRECTIONS,
        *_SURFACE,
    ),
)
FROM_PICTURE = Task(
    name="shape_from_picture",
    label="Shape from a picture",
    help="Make the solid that a photograph, a drawing or a silhouette shows, on a plain ground.",
    function=from_picture,
    input="none",
    output="mesh",
    model="shape",
    graph="picture",
    recipe="shape-picture",
    parameters=(
        Parameter(
            "image",
            "Picture",
            "picture",
            None,
            "One thing on a plain or transparent ground.",
        ),
        Parameter(
            "category",
            "Category",
            "choice",
            None,
            "What it is; without it, what it looks like.",
            choices=categories,
            noun="category",
            optional=True,
        ),
        *_SIDES,
        Parameter(
            "variety",
            "Variety",
            "float",
            0.0,
            "How far from the picture: 0 is as it shows, 1 any shape of its category.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        _SEED,
        *_SURFACE,
    ),
)
VARY = Task(
    name="vary_shape",
    label="Vary a shape",
    help="Make another shape like this one.",
    function=vary,
    input="mesh",
    output="mesh",
    model="shape",
    parameters=(
        Parameter(
            "amount",
            "Amount",
            "float",
            0.3,
            "0 is the same shape, 1 any other of its category.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        _SEED,
        *_SIDES,
        *_DIRECTIONS,
        *_SURFACE,
    ),
)
CROSS = Task(
    name="cross_shapes",
    label="Cross two shapes",
    help="Make a shape between two.",
    function=cross,
    input="mesh",
    output="mesh",
    model="shape",
    parameters=(
        Parameter("other", "Other", "mesh", None, "The shape to cross it with."),
        Parameter(
            "share",
            "Share of the other",
            "float",
            0.5,
            "0 is the first shape, 1 the other.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        *_SIDES,
        *_SURFACE,
    ),
)
LIKE = Task(
    name="shape_like",
    label="More like these",
    help="Make a shape like the favourites, and unlike the rejected.",
    function=like,
    input="none",
    output="mesh",
    model="shape",
    parameters=(
        Parameter("favourites", "Favourites", "meshes", None, "Shapes to come near to."),
        Parameter(
            "rejected", "Rejected", "meshes", None, "Shapes to keep away from.", optional=True
        ),
        Parameter(
            "spread",
            "Spread",
            "float",
            0.3,
            "How far to go from the favourites.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        _SEED,
        *_SIDES,
        *_SURFACE,
    ),
)
TASKS = (SHAPE, FROM_PICTURE, VARY, CROSS, LIKE)
