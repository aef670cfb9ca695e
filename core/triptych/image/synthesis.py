"""The tasks `synthesize` and `synthesize_fill`: new pictures of a domain from a seed, or near one.

`synthesize` makes a square picture from nothing; `synthesize_fill` covers a picture with one, which
is what a host of pictures can use. The bundle composes a small picture, which the style network
paints: the few pictures of a domain teach what lies where in it, but no brushwork.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError, did_you_mean
from triptych.image.overlay import load_pixels, to_network
from triptych.image.resample import resized
from triptych.image.style import TASK as STYLE
from triptych.image.style import style_choices
from triptych.image.torus import blurred
from triptych.image.upscale import TASK as UPSCALE
from triptych.models import model_parameter
from triptych.task import Choice, Parameter, Result, Task

Floats = NDArray[Any]  # float32

ENLARGER = "upscale-crisp"  # what makes pictures larger than they are painted
SIZES = (256, 512, 1024)
PAINTED = 256  # px of the side of a picture as it is painted
AUTO = "auto"  # the manner that suits the domain
_PLAIN = "van-gogh"  # the manner where a bundle names none
_SOFT, _SOFTER = 1.0, 0.7  # px of small pictures: deviations of what blurs them
COLUMNS, ROWS = 4, 3  # of a sheet
STEPS = 6  # pictures of a strip


class SynthesisModel:
    """The bundle listed as `name`, run by `engine`; every run reports to `job`."""

    def __init__(self, name: str, engine: Engine, job: Job) -> None:
        self.bundle = bundle.get_bundle(name, "synthesize")
        self._engine, self._job = engine, job
        extra = self.bundle.card.extra
        self.manners = {one["name"]: str(one.get("manner", _PLAIN)) for one in extra["domains"]}
        self.latent, self.levels = int(extra["latent"]), int(extra["levels"])
        self.grid, self.small = int(extra["grid"]), int(extra["small"])

    def styles(self, domain: str, seed: int, truncation: float) -> Floats:
        """The styles 1 x levels x latent of a seed."""
        latent = np.random.default_rng((seed, 0)).standard_normal((1, self.latent), np.float32)
        inputs = {
            "latent": latent,
            "domain": self._number(domain),
            "truncation": np.array([truncation], np.float32),
        }
        style = self._run("map", inputs)["style"]
        return np.repeat(style[:, None], self.levels, 1)

    def encoded(self, picture: Floats) -> Floats:
        """The styles that make something like the middle of the picture H x W x 3."""
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = picture[top : top + side, left : left + side]
        small = resized(square, (self.small, self.small), "BOX")
        codes = self._run("encode", {"small": to_network(small)})["codes"]
        return self._run("invert", {"codes": codes})["styles"]

    def composed(self, styles: Floats, seed: int) -> Floats:
        """The small picture of these styles, 0..1; the seed is of its accidents.

        Codes that are made lie a little beside those of pictures, and what is decoded of them has
        a hatching; blurred and sent through the codec once more it comes nearer to pictures.
        """
        shape = (1, 1, self.grid, self.grid)
        noise = np.random.default_rng((seed, 1)).standard_normal(shape, np.float32)
        codes = self._run("generate", {"styles": styles, "noise": noise})["codes"]
        soft = blurred(self._decoded(codes), _SOFT, (False, False))
        codes = self._run("encode", {"small": to_network(soft)})["codes"]
        return blurred(self._decoded(codes), _SOFTER, (False, False)).clip(0, 1)

    def _decoded(self, codes: Floats) -> Floats:
        made: Floats = self._run("decode", {"codes": codes})["small"][0].transpose(1, 2, 0)
        return made

    def _number(self, domain: str) -> NDArray[np.int64]:
        if domain not in self.manners:
            known = did_you_mean(domain, self.manners)
            raise UserError(f"{self.bundle.listed} makes no domain named {domain!r}{known}")
        return np.array([list(self.manners).index(domain)])

    def _run(self, graph: str, inputs: Mapping[str, Any]) -> dict[str, Floats]:
        return self._engine.run(self.bundle.graph(graph), inputs, self._job)


def synthesize(
    given: None,
    job: Job,
    engine: Engine,
    domain: str,
    seed: int,
    truncation: float,
    like: Path | Floats | None,
    vary: float,
    other: int,
    mix: int,
    manner: str | Path | Floats,
    result: str,
    size: str,
    model: str,
) -> Result:
    """A picture size x size x 3, or a sheet or strip of several; see SYNTHESIZE."""
    network = SynthesisModel(model, engine, job)
    near = None
    if like is not None:
        near = network.encoded(load_pixels(like) if isinstance(like, Path) else like)

    def styles(number: int) -> Floats:
        made = network.styles(domain, number, truncation)
        if near is not None:
            made = near + np.float32(vary) * (made - near)
        return made

    first = styles(seed)
    last = styles(other) if mix or result == "strip" else first
    plans: list[tuple[Floats, int]]
    if result == "sheet":
        plans = [(styles(n), n) for n in range(seed, seed + COLUMNS * ROWS)]
    elif result == "strip":
        shares = np.linspace(0, 1, STEPS, dtype=np.float32)
        plans = [(first + share * (last - first), seed) for share in shares]
    else:
        plans = [(first, seed)]
    style = load_pixels(manner) if isinstance(manner, Path) else manner
    if isinstance(style, str) and style == AUTO:
        style = network.manners[domain]
    pictures = []
    for done, (each, number) in enumerate(plans):
        job.check()
        told = f"picture {done + 1} of {len(plans)}" if len(plans) > 1 else ""
        part = job.part(done / len(plans), (done + 1) / len(plans), told)
        each = each.copy()
        each[:, network.levels - mix :] = last[:, network.levels - mix :]
        made, used = _painted(
            network.composed(each, number), style, number, int(size), engine, part
        )
        pictures.append(made)
    columns = COLUMNS if result == "sheet" else len(pictures)
    rows = [np.concatenate(pictures[n : n + columns], 1) for n in range(0, len(pictures), columns)]
    job.progress(1.0, "done")
    return Result(np.concatenate(rows, 0), [network.bundle.used, *used])


def _painted(
    small: Floats, style: str | Path | Floats, seed: int, size: int, engine: Engine, job: Job
) -> tuple[Floats, list[dict[str, str]]]:
    """A small picture painted in a style and its own colours, size x size x 3; what did it."""
    sketch = resized(small, (PAINTED, PAINTED), "BICUBIC").clip(0, 1)
    wish: dict[str, Any] = {"style": style, "keep_colour": "linear", "seed": seed}
    made = STYLE.run(sketch, job.part(0, 0.6), engine, **wish)
    if size == PAINTED:
        return made.made, made.used
    wish = {"scale": size // PAINTED, "model": ENLARGER}
    larger = UPSCALE.run(made.made, job.part(0.6, 1), engine, **wish)
    return larger.made, [*made.used, *larger.used]


def fill(picture: Floats, job: Job, engine: Engine, **values: Any) -> Result:
    """The picture H x W x 3 covered with a synthesised one; see FILL for the parameters."""
    height, width = picture.shape[:2]
    side = max(height, width)
    size = next((s for s in SIZES if s >= side), SIZES[-1])
    made = synthesize(None, job, engine, **values, result="picture", size=str(size))
    rows, columns = (max(1, round(size * length / side)) for length in (height, width))
    top, left = (size - rows) // 2, (size - columns) // 2
    part = np.ascontiguousarray(made.made[top : top + rows, left : left + columns])
    return Result(resized(part, (height, width)), made.used)


def domains() -> list[Choice]:
    """The domains of all models as choices."""
    found = {
        str(one["name"]): Choice(str(one["name"]), str(one["label"]))
        for model in bundle.find_bundles("synthesize")
        for one in model.card.extra.get("domains", [])
    }
    return list(found.values())


def manners() -> list[Choice]:
    """What a picture can be painted like, as choices."""
    return [Choice(AUTO, "As suits the domain"), *style_choices()]


_GRAPH = "generate"  # that a bundle has when it is no codec only


_COMMON = (
    Parameter(
        "domain",
        "Domain",
        "choice",
        "landscape",
        "What the picture is of.",
        choices=domains,
        noun="domain",
    ),
    Parameter("seed", "Seed", "seed", 0, "Another seed makes another picture."),
    Parameter(
        "truncation",
        "Truncation",
        "float",
        0.8,
        "1: as varied as what was learned from; lower: nearer to what is typical.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    ),
    Parameter(
        "manner",
        "Manner",
        "choice",
        AUTO,
        "How it is painted: as suits the domain, like a style of the library, one of your own, or "
        "a picture.",
        choices=manners,
        accepts_picture=True,
        noun="style",
    ),
    Parameter(
        "like",
        "Like",
        "picture",
        None,
        "A picture to vary: what is made has its composition and colours.",
        optional=True,
    ),
    Parameter(
        "vary",
        "Vary",
        "float",
        0.3,
        "How far the seed leads away from that picture.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
        needs="like",
    ),
    Parameter(
        "other",
        "Other seed",
        "seed",
        1,
        "The picture that styles are mixed from, and in which a strip ends.",
        advanced=True,
    ),
    Parameter(
        "mix",
        "Mix",
        "int",
        0,
        "How many of the five levels, from the finest on, are the other seed's.",
        minimum=0,
        maximum=5,
        step=1,
        advanced=True,
    ),
)
_MODEL = model_parameter("synthesize", graph=_GRAPH)

SYNTHESIZE = Task(
    name="synthesize",
    label="Synthesize",
    help="Make a new picture: a painted landscape, a coast, an abstract composition, brushwork.",
    function=synthesize,
    input="none",
    model="synthesize",
    graph=_GRAPH,
    parameters=(
        *_COMMON,
        Parameter(
            "result",
            "Result",
            "choice",
            "picture",
            "One picture, twelve of as many seeds, or the way from this seed to the other one.",
            choices=(
                Choice("picture", "Picture"),
                Choice("sheet", "Sheet of twelve"),
                Choice("strip", "Strip from seed to seed"),
            ),
            noun="result",
        ),
        Parameter(
            "size",
            "Size",
            "choice",
            "512",
            "Width and height of a picture in pixels; beyond 256 it is enlarged by Crisp.",
            choices=tuple(Choice(str(size), f"{size} px") for size in SIZES),
            noun="size",
        ),
        _MODEL,
    ),
)
FILL = Task(
    name="synthesize_fill",
    label="Fill with synthesis",
    help="Cover a picture with a new one: a painted landscape, a coast, brushwork.",
    function=fill,
    model="synthesize",
    graph=_GRAPH,
    parameters=(*_COMMON, _MODEL),
)
TASKS = (SYNTHESIZE, FILL)
