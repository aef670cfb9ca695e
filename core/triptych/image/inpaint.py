"""The tasks `inpaint` and `extend`: what could stand where nothing is, or what is not wanted.

A hole wider than the network looks across is first filled in a smaller copy; what was found there,
without its detail, is the guess from which the next larger copy is filled. That is smooth: in wide,
compact holes and beyond a picture's edges the network therefore only says what about goes where,
and the picture's own patches are laid there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.image.completion import completed
from triptych.image.hole import compact, grown, narrow, reach
from triptych.image.overlay import lay_over, mask_weights, to_network
from triptych.image.pyramid import pooled, smaller, softer
from triptych.image.resample import resized
from triptych.image.tiles import tile_map
from triptych.models import model_parameter
from triptych.task import Choice, Parameter, Result, Task

Floats = NDArray[Any]  # float32

_NARROW = 3  # px from its middle to its edge that a stroke has at most
_BESIDE = 1.2  # px: the deviation within which the mean beside a stroke is taken
_REACH = 40  # px from its edge to its middle that a hole may have at most, at each size
_CONTEXT = 256  # px around the hole that are looked at
_MOST = 8192  # px that a side is extended by at most
_TIMES = 4  # times its own size that a picture's side is moved by at most
_GUESSED = 512  # longest side in px at which the network guesses where patches are laid
_HORIZON = 0.5  # how much what is added beside a picture comes from the same height


def inpaint(
    picture: Floats,
    job: Job,
    engine: Engine,
    mask: Path | Floats,
    grow: int,
    feather: float,
    method: str,
    seed: int,
    model: str,
    tile: int,
) -> Result:
    """The picture H x W x 3 with what the mask marks filled anew; see INPAINT."""
    network = bundle.get_bundle(model, "inpaint")
    size = picture.shape[:2]
    drawn = mask_weights(mask, 0.0, size)
    assert drawn is not None
    weights = grown(drawn, grow)
    if not (weights > 0).any():
        raise UserError("the mask marks nothing: paint white what is to be filled.")
    if feather > 0:
        soft = mask_weights(weights, feather, size)
        assert soft is not None
        weights = np.maximum(weights, soft)
    hole = weights > 0
    if hole.all():
        raise UserError("the mask marks the whole picture: leave some of it to go by.")
    rows, columns = _around(hole)
    before, inside = picture[rows, columns], hole[rows, columns]
    laid = inside & (method == "patches")
    if method == "auto":
        laid = compact(inside, _REACH)
    half = 0.5 if laid.any() else 1.0
    if not np.array_equal(laid, inside):
        before = fill(before, inside, network, engine, job.part(0, half), tile)
    found = _laid(before, laid, network, engine, job.part(half, 1), seed) if laid.any() else before
    del before
    lay_over(picture[rows, columns], found, weights[rows, columns])
    made = picture.copy()
    made[rows, columns] = found
    job.progress(1.0, "done")
    return Result(made, [network.used])


def extend(
    picture: Floats,
    job: Job,
    engine: Engine,
    left: int,
    right: int,
    top: int,
    bottom: int,
    seed: int,
    model: str,
) -> Result:
    """The picture with that many px more on each side; see EXTEND."""
    network = bundle.get_bundle(model, "inpaint")
    if not (left or right or top or bottom):
        raise UserError("nothing is to be added: give left, right, top or bottom.")
    height, width = picture.shape[:2]
    if max(left, right) > _TIMES * width or max(top, bottom) > _TIMES * height:
        raise UserError(f"a side can be moved by at most {_TIMES} times the picture's size.")
    whole = np.pad(picture, ((top, bottom), (left, right), (0, 0)), constant_values=0.5)
    hole = np.ones(whole.shape[:2], bool)
    hole[top : top + height, left : left + width] = False
    horizon = 0.0 if top or bottom else _HORIZON
    made = _laid(whole, hole, network, engine, job, seed, horizon)
    job.progress(1.0, "done")
    return Result(made, [network.used])


def _laid(
    picture: Floats,
    hole: Floats,
    network: bundle.Bundle,
    engine: Engine,
    job: Job,
    seed: int,
    horizon: float = 0.0,
) -> Floats:
    """The picture with its hole laid of its own patches, after what the network guesses."""
    small, missing = smaller(picture, hole, -(-max(hole.shape) // _GUESSED))
    if missing.any() and not missing.all():
        guess = fill(small, missing, network, engine, job.part(0, 0.1), _GUESSED)
    else:  # too narrow to be seen in the copy, or so wide that only a rim is known
        guess = small
    return completed(picture, hole, guess, job.part(0.1, 1), seed, horizon)


def fill(
    picture: Floats, hole: Floats, network: bundle.Bundle, engine: Engine, job: Job, tile: int
) -> Floats:
    """The picture H x W x 3 with the hole (H x W booleans) filled; the rest is not changed."""
    levels = 0
    while reach(hole) > _REACH * 2**levels and min(hole.shape) > 64 * 2**levels:
        levels += 1
    guess: Floats | None = None
    coarse = int(network.card.extra["coarse"])
    for level in range(levels, -1, -1):
        known, missing = smaller(picture, hole, 2**level)
        if guess is None:
            given = np.full_like(known, 0.5)
            guessed = np.zeros_like(missing)
        else:
            given = _plain(resized(guess, missing.shape, "BILINEAR"), coarse)
            guessed = missing
        np.copyto(given, known, where=~missing[..., None])
        share = job.part((levels - level) / (levels + 1), (levels - level + 1) / (levels + 1))
        guess = _run(given, missing, guessed, network, engine, share, tile, level == 0)
    assert guess is not None
    np.copyto(guess, picture, where=~hole[..., None])
    return guess


def _run(
    given: Floats,
    hole: Floats,
    guessed: Floats,
    network: bundle.Bundle,
    engine: Engine,
    job: Job,
    tile: int,
    finest: bool,
) -> Floats:
    graph = network.graph("fill")

    def filled(piece: Floats, masks: Floats) -> Floats:
        if not masks[..., 0].any():
            return piece
        values = to_network(np.concatenate([piece, masks], 2))
        inputs = {"picture": values[:, :3], "hole": values[:, 3:4], "guessed": values[:, 4:]}
        inputs = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        made: Floats = engine.run(graph, inputs, job)["filled"][0].transpose(1, 2, 0)
        made = np.where(masks[..., :1] > 0, np.clip(made, 0, 1), piece)
        return _steadied(made, masks[..., 0] > 0) if finest else made

    masks = np.stack([hole, guessed], 2)
    overlap, multiple = int(network.card.extra["overlap"]), int(network.card.extra["multiple"])
    return tile_map(given, filled, tile, overlap, job, multiple, border=multiple, beside=[masks])


def _steadied(picture: Floats, hole: Floats) -> Floats:
    """The picture with half of what fills the hole's narrow strokes the mean of what is beside."""
    thin = narrow(hole, _NARROW)
    if not thin.any():
        return picture
    return np.where(thin[..., None], (picture + softer(picture, hole, _BESIDE)) / 2, picture)


def _around(hole: Floats) -> tuple[slice, slice]:
    """The rows and columns of the hole with what lies around it."""
    found = []
    for axis in (1, 0):
        places = np.flatnonzero(hole.any(axis))
        first, last = int(places[0]), int(places[-1]) + 1
        context = max(_CONTEXT, (last - first) // 2)
        found.append(slice(max(0, first - context), last + context))
    return found[0], found[1]


def _plain(picture: Floats, factor: int) -> Floats:
    """The picture without detail smaller than `factor` px."""
    small = np.stack([pooled(picture[..., c], factor) for c in range(3)], 2)
    return resized(small, picture.shape[:2], "BILINEAR")


_MODEL = model_parameter("inpaint")
_SEED = Parameter("seed", "Seed", "seed", 0, "Another seed takes other parts of the picture.")
_TILE = Parameter(
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
)


def _side(name: str, help: str) -> Parameter:
    return Parameter(
        name, name.capitalize(), "int", 0, help, minimum=0, maximum=_MOST, step=16, unit="px"
    )


INPAINT = Task(
    name="inpaint",
    label="Fill selection",
    help="Remove what is selected, and fill its place to fit what is around.",
    function=inpaint,
    model="inpaint",
    parameters=(
        Parameter("mask", "Mask", "mask", None, "What to fill: white is filled anew."),
        Parameter(
            "grow",
            "Grow",
            "int",
            0,
            "Spreads the mask, so that no rim of what is removed stays.",
            minimum=0,
            maximum=100,
            unit="px",
        ),
        Parameter(
            "feather",
            "Feather",
            "float",
            0.0,
            "Softness of the filled part's edge, outwards.",
            minimum=0.0,
            maximum=500.0,
            step=1.0,
            unit="px",
        ),
        Parameter(
            "method",
            "Method",
            "choice",
            "auto",
            "How the hole is filled.",
            choices=(
                Choice("auto", "By its shape", "Patches where it is wide and compact."),
                Choice("network", "Network", "Smooth: true to colours, without much texture."),
                Choice("patches", "Patches", "Crisp: laid of other parts of the picture."),
            ),
            noun="method",
        ),
        _SEED,
        _MODEL,
        _TILE,
    ),
)
EXTEND = Task(
    name="extend",
    label="Extend the canvas",
    help="Make the canvas larger, and go on with what the picture shows.",
    function=extend,
    model="inpaint",
    origin=("left", "top"),
    parameters=(
        _side("left", "How much is added on the left."),
        _side("right", "How much is added on the right."),
        _side("top", "How much is added at the top."),
        _side("bottom", "How much is added at the bottom."),
        _SEED,
        _MODEL,
    ),
)
TASKS = (INPAINT, EXTEND)
