"""The task `upscale`: a picture 2, 3 or 4 times larger."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.overlay import to_network
from triptych.image.tiles import tile_map
from triptych.task import Choice, Parameter, Result, Task

Floats = NDArray[Any]  # float32

SCALES = (2, 3, 4)
MODEL = "upscale"  # the model that ships
_STRIP = 512  # rows that are looked at a time


def upscale(picture: Floats, job: Job, engine: Engine, scale: int, model: str, tile: int) -> Result:
    """The picture H x W x 3 as scale*H x scale*W x 3; see TASK for the parameters."""
    network = bundle.get_bundle(model, "upscale")
    graph = network.graph(f"x{scale}")
    overlap = int(network.card.extra["overlap"])

    def larger(piece: Floats) -> Floats:
        made: Floats = engine.run(graph, {"picture": to_network(piece)}, job)["larger"][0]
        return made.transpose(1, 2, 0)

    made = tile_map(picture, larger, tile, overlap, job, multiple=1, scale=scale)
    if _is_grey(picture):  # what the network adds to one colour may differ by a hair
        for rows in _strips(made):
            made[rows] = made[rows].mean(2, keepdims=True)
    job.progress(1.0, "done")
    return Result(made, [network.used])


def _is_grey(picture: Floats) -> bool:
    return all(bool((picture[rows] == picture[rows, :, :1]).all()) for rows in _strips(picture))


def _strips(picture: Floats) -> list[slice]:
    return [slice(top, top + _STRIP) for top in range(0, len(picture), _STRIP)]


def models() -> list[Choice]:
    """The models as choices, the one that ships first."""
    return [
        Choice(found.listed, found.card.title, found.card.notes)
        for found in bundle.find_bundles("upscale")
    ]


TASK = Task(
    name="upscale",
    label="Upscale",
    help="Make a picture 2, 3 or 4 times larger, with sharper edges than interpolation gives.",
    function=upscale,
    model="upscale",
    factor="scale",
    parameters=(
        Parameter(
            "scale",
            "Scale",
            "int",
            2,
            "How many times wider and higher the picture becomes.",
            minimum=min(SCALES),
            maximum=max(SCALES),
            step=1,
            unit="times",
        ),
        Parameter(
            "model",
            "Model",
            "choice",
            MODEL,
            "The network that does it.",
            choices=models,
            noun="model",
        ),
        Parameter(
            "tile",
            "Tile",
            "int",
            512,
            "Size of the pieces in which a large picture is read; smaller takes less memory.",
            minimum=64,
            maximum=8192,
            step=64,
            unit="px",
            advanced=True,
        ),
    ),
)
TASKS = (TASK,)
