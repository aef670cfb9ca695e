"""The tasks `dream` and `dream_zoom`: what a network sees in a picture, amplified (DeepDream,
Mordvintsev et al. 2015).

The picture climbs the gradient of what a layer, or some of its channels, see in it: first small,
then larger (octaves), so that forms of every size appear. The bundle's graphs give that gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.film import Film
from triptych.image.overlay import (
    lay_over,
    load_pixels,
    mask_parameters,
    mask_weights,
    to_network,
)
from triptych.image.resample import resampled, resized
from triptych.image.tiles import tile_map
from triptych.task import Choice, Parameter, Result, Task

Floats = NDArray[Any]  # float32

RATE = 0.0175  # mean change of a pixel in one step at strength 1, of 0..1
_SOFT = ((1, 0.4), (2, 1.0), (4, 2.0), (8, 3.0))  # the gradient averaged over so many px: weights
_SMALLEST = 48  # px of the short side below which an octave shows nothing
_MARGIN = 32  # px by which the grid may move, and that the soft parts of the gradient reach
_BORDER = 16  # mirrored px around the picture that hide its border
_GUIDE_SIDE, _GUIDE_PLACES = 256, 16  # px of a guide's short side, places of it on a side
_STRIP = 512  # rows that are changed at a time


@dataclass(frozen=True)
class Climb:
    """What to dream of, and how.

    `vectors` (K x C) and `energy` are what the graph of `layer` takes (see `training.image.
    dream_step`); `colour` is the share of the colours' change that is kept, `rate` the mean change
    in a step, `jitter` the most px by which the network's grid is moved, `tile` the longest side of
    what is given to the graph at once.
    """

    base: bundle.Bundle
    layer: str
    vectors: Floats
    energy: float
    rate: float
    colour: float
    jitter: int
    tile: int

    def gradient(self, picture: Floats, engine: Engine, job: Job) -> Floats:
        """The direction H x W x 3 in which to change `picture`, of any length."""
        facts = self.base.card.extra["layers"][self.layer]
        graph = self.base.graph(self.layer)
        asked = {"vectors": self.vectors, "energy": np.array([self.energy], np.float32)}

        def one(piece: Floats) -> Floats:
            found = engine.run(graph, {"picture": to_network(piece), **asked}, job)
            return _softened(found["gradient"], self.colour)

        overlap, multiple = int(facts["overlap"]) + _MARGIN, int(facts["multiple"])
        whole = max(picture.shape[:2]) + 2 * _BORDER <= self.tile
        core = self.tile if whole else self.tile - 2 * overlap
        return tile_map(picture, one, core, overlap, job, multiple, border=_BORDER)

    def octave(
        self, canvas: Floats, steps: int, rng: np.random.Generator, engine: Engine, job: Job
    ) -> None:
        """Take `steps` steps on `canvas`, a picture with `jitter` px more above and to the left."""
        for step in range(steps):
            part = job.part(step / steps, (step + 1) / steps, "dreaming")
            down, right = (int(s) for s in rng.integers(0, self.jitter + 1, 2))
            view = canvas[down:, right:]
            change = self.gradient(view, engine, part)
            total = sum(float(np.square(rows, dtype=np.float32).sum()) for rows in _strips(change))
            scale = np.float32(self.rate / (np.sqrt(total / change.size) + 1e-12))
            for rows, by in zip(_strips(view), _strips(change), strict=True):
                by *= scale
                rows += by
                np.clip(rows, 0, 1, out=rows)

    def dreamt(
        self,
        picture: Floats,
        octaves: int,
        octave_scale: float,
        steps: int,
        seed: int,
        engine: Engine,
        job: Job,
    ) -> Floats:
        """The whole dream of a picture H x W x 3."""
        rng = np.random.default_rng(seed)
        height, width = picture.shape[:2]
        factors = [octave_scale**-n for n in range(octaves)]
        factors = [f for f in factors if f == 1 or f * min(height, width) >= _SMALLEST][::-1]
        areas = np.cumsum([0.0, *(f * f for f in factors)]) / sum(f * f for f in factors)
        detail = None
        for index, factor in enumerate(factors):
            size = [max(1, round(side * factor)) for side in (height, width)]
            base = picture if factor == 1 else resized(picture, size)
            now = base if detail is None else resampled(detail, size, "BICUBIC")
            if detail is not None:
                now += base
                np.clip(now, 0, 1, out=now)
            canvas = np.pad(now, ((self.jitter, 0), (self.jitter, 0), (0, 0)), "reflect")
            del now
            part = job.part(areas[index], areas[index + 1], f"octave {index + 1}")
            self.octave(canvas, steps, rng, engine, part)
            made = canvas[self.jitter :, self.jitter :]
            if factor < 1:
                detail = made - base
        return np.ascontiguousarray(made)


def _softened(gradient: Floats, colour: float) -> Floats:
    """The gradient 3 x H x W as H x W x 3 with its soft parts raised: without, it is all grain.

    Of the change of colour only the share `colour` stays.
    """
    from PIL import Image

    height, width = gradient.shape[1:]
    made = np.empty((height, width, 3), np.float32)
    for channel, plane in enumerate(gradient):
        image = Image.fromarray(plane)
        total = np.zeros_like(plane)
        for size, weight in _SOFT:  # both sides divide by it
            soft = image.reduce(size).resize((width, height), Image.Resampling.BICUBIC)
            total += np.float32(weight) * np.asarray(soft)
        made[..., channel] = total
    grey = made.mean(2, keepdims=True)
    made -= grey
    made *= np.float32(colour)
    made += grey
    return made


def _strips(values: Floats) -> list[Floats]:
    return [values[top : top + _STRIP] for top in range(0, len(values), _STRIP)]


def motif_choices() -> list[Choice]:
    """What can be dreamt of, each with what it makes of nothing but soft noise."""
    return [
        Choice(
            preset["name"],
            preset["title"],
            preset.get("help", ""),
            owner.path / preset["thumbnail"] if preset.get("thumbnail") else None,
        )
        for owner in bundle.find_bundles("dream")[:1]
        for preset in owner.card.presets
    ]


def motif_vectors(base: bundle.Bundle, name: str) -> tuple[str, Floats, float]:
    """The layer, the vectors K x C and the energy of a preset.

    A channel that seldom speaks counts for more.
    """
    preset = base.preset(name)
    loud = _loudness(base, preset["layer"])
    vectors = np.zeros((max(1, len(preset["channels"])), len(loud)), np.float32)
    for row, channel in enumerate(preset["channels"]):
        vectors[row, channel] = 1 / loud[channel]
    return preset["layer"], vectors, float(preset["energy"])


def _loudness(base: bundle.Bundle, layer: str) -> Floats:
    """Root mean square of each of the layer's channels over photographs: C."""
    return np.array(base.card.extra["layers"][layer]["loudness"], np.float32)


def guide_vectors(
    base: bundle.Bundle,
    features: bundle.Bundle,
    layer: str,
    guide: Floats,
    engine: Engine,
    job: Job,
) -> Floats:
    """What `layer` sees in the guide: a vector for each place of a coarse grid, K x C.

    They are of one length, with all channels equally loud: else the loudest would win everywhere.
    """
    factor = _GUIDE_SIDE / min(guide.shape[:2])
    longest = 2 * _GUIDE_SIDE
    size = [min(longest, max(64, round(side * factor))) for side in guide.shape[:2]]
    inputs = {"picture": to_network(resized(guide, size))}
    seen = engine.run(features.graph("features"), inputs, job)[layer][0]
    every = [max(1, side // _GUIDE_PLACES) for side in seen.shape[1:]]
    loud = _loudness(base, layer)
    vectors = seen[:, :: every[0], :: every[1]].reshape(len(seen), -1).T / loud
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-6) / loud)


def _climb(
    motif: str,
    guide: Path | Floats | None,
    strength: float,
    colour: float,
    jitter: int,
    tile: int,
    engine: Engine,
    job: Job,
) -> tuple[Climb, list[dict[str, str]]]:
    base = bundle.get_bundle("dream", "dream")
    layer, vectors, energy = motif_vectors(base, motif)
    used = [base.used]
    if guide is not None:
        features = bundle.get_bundle("perceptual")
        pixels = load_pixels(guide) if isinstance(guide, Path) else guide
        vectors, energy = guide_vectors(base, features, layer, pixels, engine, job), 0.0
        used.append(features.used)
    return Climb(base, layer, vectors, energy, RATE * strength, colour, jitter, tile), used


def dream(
    picture: Floats,
    job: Job,
    engine: Engine,
    motif: str,
    guide: Path | Floats | None,
    octaves: int,
    octave_scale: float,
    steps: int,
    strength: float,
    colour: float,
    jitter: int,
    mask: Path | Floats | None,
    feather: float,
    seed: int,
    tile: int,
) -> Result:
    """The dream of a picture H x W x 3; see TASK for the parameters."""
    weights = mask_weights(mask, feather, picture.shape[:2])  # before the work: it may not fit
    climb, used = _climb(motif, guide, strength, colour, jitter, tile, engine, job)
    if strength == 0:
        return Result(picture, used)
    made = climb.dreamt(picture, octaves, octave_scale, steps, seed, engine, job.part(0.0, 0.98))
    if weights is not None:
        lay_over(picture, made, weights)
    job.progress(1.0, "done")
    return Result(made, used)


def zoom(
    picture: Floats,
    job: Job,
    engine: Engine,
    frames: int,
    rate: int,
    zoom: float,
    turn: float,
    side: int,
    motif: str,
    guide: Path | Floats | None,
    octaves: int,
    octave_scale: float,
    steps: int,
    strength: float,
    colour: float,
    jitter: int,
    seed: int,
    tile: int,
) -> Result:
    """A journey into the dream of a picture H x W x 3; see ZOOM for the parameters."""
    longest = max(picture.shape[:2])
    if longest > side:
        size = [max(1, round(s * side / longest)) for s in picture.shape[:2]]
        picture = resized(picture, size)
    climb, used = _climb(motif, guide, strength, colour, jitter, tile, engine, job)
    first = job.part(0.0, 0.2, "the first frame")
    now = climb.dreamt(picture, octaves, octave_scale, steps, seed, engine, first)
    made, mean, spread = [_coded(now)], now.mean((0, 1)), now.std((0, 1))
    few = max(1, steps // 4)  # a frame is the dream of a dream: little is to be added
    for number in range(1, frames):
        begun, done = (0.2 + 0.8 * (number - n) / (frames - 1) for n in (1, 0))
        part = job.part(begun, done, f"frame {number + 1} of {frames}")
        nearer = _nearer(now, 1 + zoom / 100, turn)
        now = climb.dreamt(nearer, 2, octave_scale, few, seed + number, engine, part)
        _calm(now, mean, spread)
        made.append(_coded(now))
    return Result(Film(made, rate), used)


def _calm(picture: Floats, mean: Floats, spread: Floats) -> None:
    """Give the picture this mean and at most this spread, in place: dreams of dreams grow harsh."""
    scale = np.minimum(1, spread / np.maximum(picture.std((0, 1)), 1e-6))
    picture -= picture.mean((0, 1))
    picture *= scale
    picture += mean
    np.clip(picture, 0, 1, out=picture)


def _nearer(picture: Floats, factor: float, degrees: float) -> Floats:
    """The picture seen `factor` times nearer and turned about its centre, at its own size."""
    from PIL import Image

    height, width = picture.shape[:2]
    angle, far = np.radians(degrees), max(1, min(height, width) // 8)
    a, b = float(np.cos(angle) / factor), float(np.sin(angle) / factor)
    # about the centre, in a picture that is mirrored beyond its edges: turning brings that in
    x, y = far + (width - a * width - b * height) / 2, far + (height + b * width - a * height) / 2
    wider = np.pad(picture, ((far, far), (far, far), (0, 0)), "reflect")
    made = np.empty_like(picture)
    for channel in range(3):
        image = Image.fromarray(np.ascontiguousarray(wider[..., channel]))
        made[..., channel] = np.asarray(
            image.transform(
                (width, height),
                Image.Transform.AFFINE,
                (a, b, x, -b, a, y),
                Image.Resampling.BICUBIC,
            )
        )
    return np.clip(made, 0, 1, out=made)


def _coded(picture: Floats) -> NDArray[np.uint8]:
    return (picture * 255 + 0.5).astype(np.uint8)


_WHERE = "Where to dream: white is changed, black is left as it is."
_CLIMB: Sequence[Parameter] = (
    Parameter(
        "motif",
        "Motif",
        "choice",
        "eyes",
        "What to dream of: forms that the network knows, or all that a layer sees.",
        choices=motif_choices,
        noun="motif",
    ),
    Parameter(
        "guide",
        "Guide",
        "picture",
        None,
        "A picture whose forms are dreamt of instead, as the motif's layer sees them.",
        optional=True,
    ),
    Parameter(
        "octaves",
        "Octaves",
        "int",
        3,
        "Sizes at which to dream, each larger: more give larger forms.",
        minimum=1,
        maximum=8,
        step=1,
    ),
    Parameter(
        "octave_scale",
        "Octave scale",
        "float",
        1.6,
        "How many times larger each octave is.",
        minimum=1.1,
        maximum=3.0,
        step=0.1,
    ),
    Parameter(
        "steps",
        "Steps",
        "int",
        10,
        "Steps at each size: more carry the dream farther.",
        minimum=1,
        maximum=200,
        step=1,
    ),
    Parameter(
        "strength",
        "Strength",
        "float",
        1.0,
        "How much a step changes; 0 leaves the picture as it is.",
        minimum=0.0,
        maximum=4.0,
        step=0.1,
    ),
    Parameter(
        "colour",
        "Colour",
        "float",
        0.4,
        "How much of the dream's own colours appears; 0 changes only light and dark.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    ),
)
_RUN: Sequence[Parameter] = (
    Parameter("seed", "Seed", "seed", 0, "Another seed lays the forms otherwise."),
    Parameter(
        "jitter",
        "Jitter",
        "int",
        16,
        "How far the network's grid is moved at random in each step, so that it does not show.",
        minimum=0,
        maximum=_MARGIN,
        step=1,
        unit="px",
        advanced=True,
    ),
    Parameter(
        "tile",
        "Tile",
        "int",
        1152,
        "Size of the pieces in which a large picture is worked on; smaller takes less memory.",
        minimum=512,
        maximum=8192,
        step=64,
        unit="px",
        advanced=True,
    ),
)

TASK = Task(
    name="dream",
    label="Dream",
    help="Amplify what a network sees in a picture: eyes, scales, arches, or a picture's forms.",
    function=dream,
    parameters=(*_CLIMB, *mask_parameters(_WHERE), *_RUN),
    model="dream",
)
ZOOM = Task(
    name="dream_zoom",
    label="Dream journey",
    help="A film that goes deeper and deeper into the dream of a picture.",
    function=zoom,
    parameters=(
        Parameter(
            "frames",
            "Frames",
            "int",
            48,
            "Pictures in the film.",
            minimum=2,
            maximum=2000,
            step=1,
        ),
        Parameter(
            "rate",
            "Rate",
            "int",
            16,
            "Pictures shown in a second.",
            minimum=1,
            maximum=60,
            step=1,
        ),
        Parameter(
            "zoom",
            "Zoom",
            "float",
            3.0,
            "How much nearer each frame is.",
            minimum=0.0,
            maximum=25.0,
            step=0.5,
            unit="%",
        ),
        Parameter(
            "turn",
            "Turn",
            "float",
            0.0,
            "How far each frame is turned.",
            minimum=-10.0,
            maximum=10.0,
            step=0.1,
            unit="degrees",
        ),
        Parameter(
            "side",
            "Side",
            "int",
            512,
            "Longest side of the film; a smaller picture keeps its size.",
            minimum=64,
            maximum=4096,
            step=64,
            unit="px",
        ),
        *_CLIMB,
        *_RUN,
    ),
    output="film",
    model="dream",
)
TASKS = (TASK, ZOOM)
