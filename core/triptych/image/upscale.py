"""The task `upscale`: a picture 2, 3 or 4 times larger.

Some networks draw: from noise for each pixel of the small picture, another picture for each seed.
The mean of eight results is the geometric self-ensemble of Lim et al. 2017, section 3.4.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.overlay import to_network
from triptych.image.tiles import tile_map
from triptych.models import model_parameter
from triptych.task import Parameter, Result, Task

Floats = NDArray[Any]  # float32
Halves = NDArray[np.float16]

SCALES = (2, 3, 4)
_STRIP = 512  # rows that are looked at a time


def upscale(
    picture: Floats,
    job: Job,
    engine: Engine,
    scale: int,
    model: str,
    average: bool,
    variety: float,
    seed: int,
    tile: int,
) -> Result:
    """The picture H x W x 3 as scale*H x scale*W x 3; see TASK for the parameters."""
    network = bundle.get_bundle(model, "upscale")
    name = f"x{scale}"
    graph, extra = network.graph(name), network.card.extra
    drawn = [int(t.shape[1]) for t in network.card.graphs[name].inputs if t.name == "noise"]
    beside = [_noise(picture, channels, variety, seed) for channels in drawn]

    def once(piece: Floats, *noise: Halves) -> Floats:
        inputs = {"picture": to_network(piece)}
        for one in noise:
            inputs["noise"] = to_network(one.astype(np.float32))
        made: Floats = engine.run(graph, inputs, job)["larger"][0]
        return made.transpose(1, 2, 0)

    def averaged(piece: Floats) -> Floats:
        total: Any = np.float32(0)
        for turns, mirrored in itertools.product(range(4), (False, True)):
            turned = np.rot90(piece, turns)
            made = once(np.ascontiguousarray(turned[:, ::-1] if mirrored else turned))
            total = total + np.rot90(made[:, ::-1] if mirrored else made, -turns)
        return np.asarray(total / 8, np.float32)

    made = tile_map(
        picture,
        averaged if average and not drawn else once,
        tile,
        reach(network, scale),
        job,
        multiple=1,
        scale=scale,
        border=extra.get("border"),
        beside=beside,
    )
    if _is_grey(picture):  # what the network adds to one colour may differ by a hair
        for rows in _strips(made):
            made[rows] = made[rows].mean(2, keepdims=True)
    job.progress(1.0, "done")
    return Result(made, [network.used])


def reach(network: bundle.Bundle, scale: int) -> int:
    """How far an enlarged pixel looks, in px of the small picture."""
    told = network.card.extra["overlap"]  # of each scale, or one for all
    return int(told[f"x{scale}"] if isinstance(told, dict) else told)


def _noise(picture: Floats, channels: int, variety: float, seed: int) -> Halves:
    """What this picture is drawn from, H x W x `channels`, of the deviation `variety`."""
    noise: Halves = np.zeros((*picture.shape[:2], channels), np.float16)
    if variety:
        rng = np.random.default_rng(seed)
        for rows in _strips(noise):
            noise[rows] = variety * rng.standard_normal(noise[rows].shape, np.float32)
    return noise


def _is_grey(picture: Floats) -> bool:
    return all(bool((picture[rows] == picture[rows, :, :1]).all()) for rows in _strips(picture))


def _strips(picture: Floats) -> list[slice]:
    return [slice(top, top + _STRIP) for top in range(0, len(picture), _STRIP)]


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
        model_parameter("upscale", advanced=False),
        Parameter(
            "average",
            "Average",
            "bool",
            False,
            "The mean of eight results, of the picture turned and mirrored: a little nearer to "
            "what was there, eight times slower. A model that draws detail draws once.",
        ),
        Parameter(
            "variety",
            "Variety",
            "float",
            0.5,
            "How far a model that draws detail goes from the likeliest picture.",
            minimum=0,
            maximum=1,
            step=0.05,
        ),
        Parameter(
            "seed",
            "Seed",
            "seed",
            0,
            "Another seed makes a model that draws detail draw other detail.",
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
