"""The tasks `material` and `texture`: tileable materials from a class, a seed or a picture.

`material` makes all maps, from nothing; `texture` covers a picture with the colour map, which is
what a host of pictures can use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.material import Substance, material
from triptych.image.overlay import load_pixels, to_network
from triptych.image.resample import resized
from triptych.image.texture_model import TextureModel, materials
from triptych.image.tileable import tileable
from triptych.image.torus import padded
from triptych.image.upscale import reach
from triptych.models import model_parameter
from triptych.task import Choice, Parameter, Result, Task

Floats = NDArray[Any]  # float32

SIZES = (128, 256, 512, 1024)


def make(
    given: None,
    job: Job,
    engine: Engine,
    kind: str | Path | Floats,
    size: str,
    variety: float,
    invent: bool,
    relief: float,
    seed: int,
    model: str,
) -> Result:
    """A `Material`; see MATERIAL for the parameters."""
    tile, substance, used = _tile(job, engine, kind, int(size), variety, invent, seed, model)
    made = material(tile, substance, relief)
    job.progress(1.0, "done")
    return Result(made, used)


def cover(
    picture: Floats,
    job: Job,
    engine: Engine,
    kind: str | Path | Floats,
    size: str,
    variety: float,
    invent: bool,
    seed: int,
    model: str,
) -> Result:
    """The picture H x W x 3 covered with a material; see TEXTURE for the parameters."""
    tile, _, used = _tile(job, engine, kind, int(size), variety, invent, seed, model)
    height, width = picture.shape[:2]
    rows, columns = np.arange(height) % len(tile), np.arange(width) % len(tile)
    job.progress(1.0, "done")
    return Result(tile[rows[:, None], columns], used)


def _tile(
    job: Job,
    engine: Engine,
    kind: str | Path | Floats,
    size: int,
    variety: float,
    invent: bool,
    seed: int,
    model: str,
) -> tuple[Floats, Substance, list[dict[str, str]]]:
    """A tile size x size x 3, what it is of, and the bundles that made it."""
    network = TextureModel(model, engine, job)
    job.progress(0.0, "laying out")
    if isinstance(kind, str):
        name, tile = kind, network.generated(kind, seed, variety)
    else:
        picture = load_pixels(kind) if isinstance(kind, Path) else kind
        if not invent:
            tile = tileable(picture, size, seed)
            small = resized(tile, (network.side, network.side))
            return (
                tile,
                network.substance(network.nearest(network.read(small)[0])),
                [network.bundle.used],
            )
        small = tileable(picture, network.side, seed)
        name, tile = network.like(small, seed, variety)
    job.progress(0.5, "enlarging")
    tile, used = enlarged(tile, size, engine, job)
    return tile, network.substance(name), [network.bundle.used, *used]


def enlarged(
    tile: Floats, size: int, engine: Engine, job: Job
) -> tuple[Floats, list[dict[str, str]]]:
    """A tile at size x size px, 1, 2, 4 or 8 times its side, still without edges; and the bundles
    that did it."""
    used = []
    while len(tile) < size:
        network = bundle.get_bundle("upscale", "upscale")
        used = [network.used]
        scale = min(4, size // len(tile))
        edge = reach(network, scale)
        graph = network.graph(f"x{scale}")
        made = engine.run(graph, {"picture": to_network(padded(tile, edge))}, job)["larger"][0]
        cut = slice(scale * edge, scale * (edge + len(tile)))
        tile = np.ascontiguousarray(made[:, cut, cut].transpose(1, 2, 0).clip(0, 1))
    return tile, used


_KIND = Parameter(
    "kind",
    "Material",
    "choice",
    "bricks",
    "What it is of; or a picture, which is made tileable.",
    choices=materials,
    accepts_picture=True,
    noun="material",
)
_VARIETY = Parameter(
    "variety",
    "Variety",
    "float",
    0.3,
    "How far it may be from the exemplars of the material, or from the picture.",
    minimum=0.0,
    maximum=1.0,
    step=0.05,
)
_INVENT = Parameter(
    "invent",
    "Invent",
    "bool",
    False,
    "Make a new material in the manner of a picture, instead of one of the picture's own pixels.",
)
_SEED = Parameter("seed", "Seed", "seed", 0, "Another seed makes another one.")
_MODEL = model_parameter("material")


def _size(help: str) -> Parameter:
    choices = tuple(Choice(str(size), f"{size} px") for size in SIZES)
    return Parameter("size", "Size", "choice", "512", help, choices=choices, noun="size")


MATERIAL = Task(
    name="material",
    label="Material",
    help=(
        "Make a tileable material: colour, height, normal and roughness, with its size in metres."
    ),
    function=make,
    input="none",
    output="material",
    model="material",
    parameters=(
        _KIND,
        _size("Width and height of the maps in pixels."),
        _VARIETY,
        _INVENT,
        Parameter(
            "relief",
            "Relief",
            "float",
            1.0,
            "How deep it is, as a multiple of what such a material commonly is.",
            minimum=0.0,
            maximum=4.0,
            step=0.1,
        ),
        _SEED,
        _MODEL,
    ),
)
TEXTURE = Task(
    name="texture",
    label="Fill with material",
    help="Cover a picture with a tileable material, or with a picture that is made tileable.",
    function=cover,
    model="material",
    parameters=(_KIND, _size("Size of a tile in pixels."), _VARIETY, _INVENT, _SEED, _MODEL),
)
TASKS = (MATERIAL, TEXTURE)
