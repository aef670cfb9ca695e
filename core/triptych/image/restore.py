"""The task `restore`: finds damage and fills it, takes noise and blocks away, freshens colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.hole import grown
from triptych.image.inpaint import fill
from triptych.image.overlay import mask_weights, to_network
from triptych.image.resample import resized
from triptych.image.tiles import tile_map
from triptych.models import model_parameter
from triptych.task import Choice, Parameter, Result, Task

Floats = NDArray[Any]  # float32

THUMBNAIL = 64  # px of the side of what the colours are judged by
VARNISH = np.array([0.03, 0.14, 0.6], np.float32)  # what old varnish absorbs of red, green, blue
_STRIP = 512  # rows that are corrected at a time


@dataclass(frozen=True)
class Tone:
    """How a picture has faded and yellowed, in the order in which it happened.

    What was black has become `black` and what was white `white` (0..1), of the colours `colour`
    (0..1) is left, and varnish lets through exp(-`varnish` * VARNISH).
    """

    black: float
    white: float
    colour: float
    varnish: float


def restore(
    picture: Floats,
    job: Job,
    engine: Engine,
    result: str,
    scratches: float,
    stains: float,
    cracks: float,
    noise: float,
    blocks: float,
    fading: float,
    yellowing: float,
    mask: Path | Floats | None,
    grow: int,
    model: str,
    fill_model: str,
    tile: int,
) -> Result:
    """The picture H x W x 3 restored, or its damage as a mask; see TASK for the parameters."""
    network = bundle.get_bundle(model, "restore")
    used = [network.used]
    size = picture.shape[:2]
    if mask is not None:
        drawn = mask_weights(mask, 0.0, size)
        assert drawn is not None
        hole = drawn > 0.5
    else:
        wanted = (scratches, stains, cracks)
        hole = find(picture, wanted, network, engine, job.part(0, 0.3), tile)
        hole = grown(hole.astype(np.float32), grow) > 0.5
    if result == "mask":
        job.progress(1.0, "done")
        return Result(np.repeat(hole[..., None].astype(np.float32), 3, 2), used)
    made = picture
    if hole.any() and not hole.all():
        filler = bundle.get_bundle(fill_model, "inpaint")
        used.append(filler.used)
        made = fill(made, hole, filler, engine, job.part(0.3, 0.6), tile)
    if noise or blocks:
        made = _cleaned(made, noise, blocks, network, engine, job.part(0.6, 0.95), tile)
    if fading or yellowing:
        tone = judged(made, network, engine, job)
        made = freshened(made, tone, fading, yellowing)
    job.progress(1.0, "done")
    return Result(made if made is not picture else picture.copy(), used)


def find(
    picture: Floats,
    wanted: tuple[float, float, float],
    network: bundle.Bundle,
    engine: Engine,
    job: Job,
    tile: int,
) -> Floats:
    """Where the picture is damaged, H x W booleans, by the sensitivities (0..1; 0 finds nothing)
    for scratches, stains and cracks."""
    graph = network.graph("find")
    # from what is certain to what is but likely
    least = np.array([2.0 if w == 0 else 0.95 - 0.9 * w for w in wanted], np.float32)

    def found(piece: Floats) -> Floats:
        shares = engine.run(graph, {"picture": to_network(piece)}, job)["damage"][0]
        damaged: Floats = (shares > least[:, None, None]).any(0)
        return damaged.astype(np.float32)[..., None]

    overlap, multiple = (int(network.card.extra[k]) for k in ("overlap", "multiple"))
    if not any(wanted):
        return np.zeros(picture.shape[:2], bool)
    made: Floats = tile_map(picture, found, tile, overlap, job, multiple)[..., 0] > 0.5
    return made


def judged(picture: Floats, network: bundle.Bundle, engine: Engine, job: Job) -> Tone:
    """How far the picture's colours have aged, as the network sees it."""
    small = resized(picture, (THUMBNAIL, THUMBNAIL), "BOX")
    made = engine.run(network.graph("tone"), {"thumbnail": to_network(small)}, job)["tone"][0]
    return Tone(*(float(value) for value in made))


def freshened(picture: Floats, tone: Tone, fading: float, yellowing: float) -> Floats:
    """The picture with this share of its fading and its yellowing undone, a new array."""
    made = np.empty_like(picture)
    through = np.exp(-yellowing * tone.varnish * VARNISH)
    black = fading * tone.black
    white = 1 + fading * (tone.white - 1)
    colour = 1 + fading * (tone.colour - 1)
    for top in range(0, len(picture), _STRIP):
        x = (picture[top : top + _STRIP] / through - black) / (white - black)
        grey = x.mean(2, keepdims=True)
        made[top : top + _STRIP] = np.clip(grey + (x - grey) / colour, 0, 1)
    return made


def _cleaned(
    picture: Floats,
    noise: float,
    blocks: float,
    network: bundle.Bundle,
    engine: Engine,
    job: Job,
    tile: int,
) -> Floats:
    graph = network.graph("clean")
    amounts = np.array([[noise, blocks]], np.float32)

    def clean(piece: Floats) -> Floats:
        inputs = {"picture": to_network(piece), "amounts": amounts}
        made: Floats = engine.run(graph, inputs, job)["cleaned"][0]
        return np.clip(made.transpose(1, 2, 0), 0, 1)

    overlap, multiple = (int(network.card.extra[k]) for k in ("overlap", "multiple"))
    return tile_map(picture, clean, tile, overlap, job, multiple)


def _amount(name: str, label: str, default: float, help: str) -> Parameter:
    return Parameter(name, label, "float", default, help, minimum=0.0, maximum=1.0, step=0.05)


TASK = Task(
    name="restore",
    label="Restore",
    help="Repair an old photograph or painting: scratches, stains, cracks, noise, faded colours.",
    function=restore,
    model="restore",
    parameters=(
        Parameter(
            "result",
            "Result",
            "choice",
            "picture",
            "The restored picture, or the damage that was found as a mask, to change and to give.",
            choices=(Choice("picture", "Picture"), Choice("mask", "Mask of the damage")),
            noun="result",
        ),
        _amount("scratches", "Scratches", 0.5, "How readily scratches and dust are found; 0: not."),
        _amount("stains", "Stains", 0.3, "How readily stains are found; 0: not at all."),
        _amount("cracks", "Cracks", 0.5, "How readily cracked paint is found; 0: not at all."),
        _amount("noise", "Noise", 0.5, "How much noise and grain is taken away."),
        _amount("blocks", "JPEG blocks", 0.5, "How much of a JPEG's blocks is taken away."),
        _amount("fading", "Fading", 0.5, "How much faded contrast and colour is brought back."),
        _amount("yellowing", "Yellowing", 0.5, "How much yellowed varnish or paper is undone."),
        Parameter(
            "mask",
            "Mask",
            "mask",
            None,
            "The damage, white, in place of what would be found.",
            optional=True,
        ),
        Parameter(
            "grow",
            "Grow",
            "int",
            1,
            "Spreads what was found, so that no rim of the damage stays.",
            minimum=0,
            maximum=20,
            unit="px",
            advanced=True,
        ),
        model_parameter("restore", help="The networks that find damage and clean."),
        model_parameter(
            "inpaint",
            name="fill_model",
            label="Filling model",
            help="The network that fills what is damaged.",
        ),
        Parameter(
            "tile",
            "Tile",
            "int",
            768,
            "Size of the pieces in which a large picture is worked on; smaller takes less memory.",
            minimum=256,
            maximum=8192,
            step=64,
            unit="px",
            advanced=True,
        ),
    ),
)
TASKS = (TASK,)
