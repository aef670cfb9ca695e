"""The task `style`: a picture in the manner of a painting, a painter, or any picture.

The network normalises its features by statistics of the whole picture. They are measured once, on
a small copy, and held for all tiles (Chen et al. 2022, "thumbnail instance normalisation"), so a
picture of any size is stylised alike all over and no seam shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.image.overlay import (
    LUMA,
    lay_over,
    load_pixels,
    mask_parameters,
    mask_weights,
    to_network,
)
from triptych.image.resample import resized
from triptych.image.tiles import tile_map
from triptych.image.weight_delta import Delta, blend, graph_with, read
from triptych.task import Choice, Parameter, Result, Task

Floats = NDArray[Any]  # float32
Bytes = NDArray[np.uint8]

MEASURED = 512  # longest side in px of the copy on which statistics are taken
STYLE_SIDE = 512  # short side in px at which a style picture is read: it sets the brush size
_LAYERS = (1448, 2896)  # px of the longest side beyond which there is one more of them
BORDER = 8  # mirrored px around the picture that hide its border


def stylise(
    picture: Floats,
    job: Job,
    engine: Engine,
    style: str | Path | Floats,
    mix: Sequence[tuple[str | Path | Floats, float]] | None,
    strength: float,
    scale: float,
    layers: int,
    keep_colour: str,
    mask: Path | Floats | None,
    feather: float,
    seed: int,
    tile: int,
) -> Result:
    """The picture H x W x 3 in a style, or in a blend; see TASK for the parameters."""
    base = bundle.get_bundle("style", "style")
    reading = job.part(0.0, 0.1, "reading the style")
    code, delta, used = _blend(base, engine, reading, style, mix or [])
    used = [base.used, *used]
    if strength == 0:
        return Result(picture, used)
    weights = mask_weights(mask, feather, picture.shape[:2])  # before the work: it may not fit
    made, done = picture, 0.0
    for finer in reversed(range(layers)):
        share = 0.75 / (1 - 0.25**layers) * 0.25**finer  # each has four times the pixels
        part = job.part(0.1 + 0.87 * done, 0.1 + 0.87 * (done + share))
        made = paint(base, made, code, seed, engine, part, tile, scale * 2**finer, delta)
        done += share
    if strength < 1 or weights is not None or keep_colour != "no":
        lay_over(picture, made, weights, strength, _colour_keeper(keep_colour, picture, made))
    job.progress(1.0, "done")
    return Result(made, used)


def paint(
    base: bundle.Bundle,
    picture: Floats,
    code: Floats,
    seed: int,
    engine: Engine,
    job: Job,
    tile: int,
    brush: float = 1.0,
    delta: Delta | None = None,
) -> Floats:
    """The picture H x W x 3 painted by the code 1 x C, with strokes of the size `brush`, by the
    network's weights and the `delta` on them."""
    size = picture.shape[:2]
    if brush != 1:
        picture = resized(picture, [round(side / brush) for side in size])
    multiple, overlap = int(base.card.extra["multiple"]), int(base.card.extra["overlap"])
    small = _small_copy(picture, multiple)
    inputs = _canvas(small, _grain(small, seed)) | {"code": code}
    measuring, rendering = (graph_with(base, name, delta or {}) for name in ("measure", "render"))
    affine = engine.run(measuring, inputs, job)["affine"]

    def render(piece: Floats, grain: Bytes) -> Floats:
        inputs = _canvas(piece, grain) | {"affine": affine}
        return _from_network(engine.run(rendering, inputs, job)["stylised"])

    beside = [_grain(picture, seed)]
    made = tile_map(picture, render, tile, overlap, job, multiple, border=BORDER, beside=beside)
    return made if brush == 1 else resized(made, size)


def styles() -> dict[str, tuple[bundle.Bundle, int]]:
    """Every style by the name to ask for it, those that ship first: its bundle, its place there."""
    found: dict[str, tuple[bundle.Bundle, int]] = {}
    for owner in bundle.find_bundles("style"):
        for place, preset in enumerate(owner.card.presets):
            name = preset["name"]
            if name in found:
                name = f"{owner.listed}/{name}"
            found.setdefault(name, (owner, place))
    return found


def style_choices() -> list[Choice]:
    """The styles as choices, with their thumbnails."""
    choices = []
    for name, (owner, place) in styles().items():
        preset = owner.card.presets[place]
        title, artist = preset.get("title", ""), preset.get("artist", "")
        label = title if artist in title else f"{title}, {artist}"
        thumbnail = owner.path / preset["thumbnail"] if preset.get("thumbnail") else None
        choices.append(Choice(name, label, str(preset.get("year", "")), thumbnail))
    return choices


def _blend(
    base: bundle.Bundle,
    engine: Engine,
    job: Job,
    style: str | Path | Floats,
    mix: Sequence[tuple[str | Path | Floats, float]],
) -> tuple[Floats, Delta, list[dict[str, str]]]:
    """The code 1 x C of `style` and its weight delta, or the weighted means of those of the styles
    in `mix` with `style`; then the bundles that they are from.

    `style` takes what the weights of `mix` leave of 1; weights above 1 in all leave it nothing.
    """
    total = sum(weight for _, weight in mix)
    parts: list[tuple[str | Path | Floats, float]] = [(s, w / max(1.0, total)) for s, w in mix]
    if total < 1:
        parts.insert(0, (style, 1 - total))
    code, used = np.zeros((1, int(base.card.extra["code_size"])), np.float32), []
    deltas = []
    for one, weight in parts:
        if weight > 0:
            values, delta, owner = _code(base, engine, job, one)
            code += np.float32(weight) * values
            deltas.append((weight, delta))
            if owner.path != base.path and owner.used not in used:
                used.append(owner.used)
    return code, blend(deltas), used


def _code(
    base: bundle.Bundle, engine: Engine, job: Job, style: str | Path | Floats
) -> tuple[Floats, Delta, bundle.Bundle]:
    """The code 1 x C of one style, its weight delta and the bundle that it is from."""
    if not isinstance(style, str):
        picture = load_pixels(style) if isinstance(style, Path) else style
        inputs = {"style": to_network(_style_sized(picture))}
        return engine.run(base.graph("predict"), inputs, job)["code"], {}, base
    owner, row = styles()[style]  # checked by the task
    wanted = owner.card.extra.get("base_sha256")
    if wanted is not None and wanted != base.card.graphs["render"].sha256:
        raise UserError(
            f"the style {style} was learned for another version of the style network: learn it "
            "again with `triptych train style`"
        )
    size = int(base.card.extra["code_size"])
    try:
        code = owner.arrays("codes.npz")["codes"][row : row + 1].astype(np.float32)
        sound = code.shape == (1, size) and bool(np.isfinite(code).all())
    except (ValueError, KeyError, IndexError, TypeError):
        sound = False
    if not sound:
        raise UserError(f"the bundle {owner.listed} does not hold the code of {style}")
    return code, read(owner, row), owner


def _style_sized(picture: Floats) -> Floats:
    """A style picture at the size at which styles are read, at most 1 : 2 in shape."""
    height, width = picture.shape[:2]
    longest = 2 * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    picture = picture[top : top + longest, left : left + longest]
    factor = STYLE_SIDE / min(height, width)
    return resized(picture, [max(64, round(s * factor)) for s in picture.shape[:2]])


def _small_copy(picture: Floats, multiple: int) -> Floats:
    """The picture at most MEASURED px long, sides a multiple of `multiple` and at least 64 px."""
    height, width = picture.shape[:2]
    factor = min(1.0, MEASURED / max(height, width))
    size = [max(64, multiple * round(s * factor / multiple)) for s in (height, width)]
    if [height, width] == size:
        return picture
    # means over areas are good enough for statistics, in a third of Lanczos' time
    return resized(picture, size, "BOX" if size[0] <= height and size[1] <= width else "LANCZOS")


def _grain(picture: Floats, seed: int) -> Bytes:
    """The noise on which the network paints this picture: H x W x 1."""
    height, width = picture.shape[:2]
    raw = np.random.PCG64(seed).random_raw(-(-height * width // 8))  # the same in every NumPy
    grain: Bytes = raw.view(np.uint8)[: height * width].reshape(height, width, 1)
    return grain


def _canvas(picture: Floats, grain: Bytes) -> dict[str, Floats]:
    """What both graphs take."""
    return {"picture": to_network(picture), "grain": to_network(grain / np.float32(255))}


def _from_network(values: Floats) -> Floats:
    picture: Floats = values[0].transpose(1, 2, 0)
    return picture


def _colour_keeper(kind: str, picture: Floats, made: Floats) -> Callable[[Floats, Floats], Floats]:
    """A function (before, after) -> after with the original colours (Gatys et al. 2016,
    "Preserving color in neural artistic style transfer").

    "luminance" takes only the brightness from the stylised picture; "linear" maps its colours so
    that their mean and covariance are the original's, measured on small copies.
    """
    if kind == "luminance":
        return lambda before, after: before + ((after - before) @ LUMA)[..., None]
    if kind == "linear":
        before, after = (_small_copy(one, 1).reshape(-1, 3) for one in (picture, made))
        matrix = _root(np.cov(before.T)) @ np.linalg.inv(_root(np.cov(after.T)))
        matrix = matrix.astype(np.float32)
        shift = before.mean(0) - matrix @ after.mean(0)
        return lambda _before, after: after @ matrix.T + shift
    return lambda _before, after: after


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance + 1e-5 * np.eye(3))
    root: Floats = (vectors * np.sqrt(values)) @ vectors.T
    return root


TASK = Task(
    name="style",
    label="Style transfer",
    help="Repaint a picture in the manner of a painting, a painter, or any picture.",
    function=stylise,
    parameters=(
        Parameter(
            "style",
            "Style",
            "choice",
            "vangogh-starry-night",
            "A style of the library, one of your own, or a picture.",
            choices=style_choices,
            accepts_picture=True,
            noun="style",
        ),
        Parameter(
            "mix",
            "Mix",
            "blend",
            help="More styles with weights; the style itself takes what they leave of 1.",
            choices=style_choices,
            accepts_picture=True,
            noun="style",
            optional=True,
        ),
        Parameter(
            "strength",
            "Strength",
            "float",
            1.0,
            "0 leaves the picture as it is, 1 is the full style.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        Parameter(
            "scale",
            "Brush scale",
            "float",
            1.0,
            "Size of the brush strokes: 2 doubles them, 0.5 halves them.",
            minimum=0.25,
            maximum=8.0,
            step=0.25,
        ),
        Parameter(
            "layers",
            "Layers",
            "int",
            0,
            "With more than 1, broad strokes come first and finer ones over them: less of a "
            "photograph, more of a painting. 0 goes by the picture's size.",
            minimum=0,
            maximum=4,
            by_size=_LAYERS,
        ),
        Parameter(
            "keep_colour",
            "Keep colours",
            "choice",
            "no",
            "Keep the picture's own colours.",
            choices=(
                Choice("no", "No", "The colours of the style."),
                Choice("luminance", "Luminance only", "Only light and dark are painted."),
                Choice("linear", "Linear", "The painting's colours, shifted to the picture's."),
            ),
        ),
        *mask_parameters("Where to paint: white is painted, black is left as it is."),
        Parameter(
            "seed",
            "Seed",
            "seed",
            0,
            "Another seed lays the strokes of flat areas otherwise.",
        ),
        Parameter(
            "tile",
            "Tile",
            "int",
            1280,
            "Size of the pieces in which a large picture is painted; smaller takes less memory.",
            minimum=256,
            maximum=8192,
            step=64,
            unit="px",
            advanced=True,
        ),
    ),
)
TASKS = (TASK,)
