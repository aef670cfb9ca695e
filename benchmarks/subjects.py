"""What the style benchmarks work on: photographs never trained on, styles, stylised pictures."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from triptych import bundle
from triptych.engine import Engine
from triptych.image.style import TASK
from triptych.training import data
from triptych.training.image import style_data
from triptych.training.image.perceptual import SqueezeNet, Taps

Floats = NDArray[np.float32]
SIZE = 512


@dataclass(frozen=True)
class Style:
    """A style to be judged: its name, what the task takes for it, and its picture H x W x 3."""

    name: str
    given: str | Floats
    picture: Floats


@functools.cache
def kodak() -> list[Image.Image]:
    """The 24 Kodak photographs in the order of their numbers."""
    source = data.open_source(
        data.data_root() / "bench" / "kodak24" / "kodak24.zip", "free for any use"
    )
    names = sorted(source.names(), key=lambda name: int(Path(name).stem))
    return [Image.open(io.BytesIO(source.read(name))).convert("RGB") for name in names]


def photographs(count: int, size: int = SIZE) -> list[Floats]:
    """Centre crops `size` x `size` of the first `count` Kodak photographs, 0..1."""
    made = []
    for picture in kodak()[:count]:
        left, top = (picture.width - size) // 2, (picture.height - size) // 2
        if min(left, top) < 0:
            raise ValueError(f"a photograph is smaller than {size} px")
        made.append(as_floats(picture.crop((left, top, left + size, top + size))))
    return made


def library(found: bundle.Bundle, wanted: Sequence[str] = ()) -> list[Style]:
    """The styles of the bundle that are of the library, or those of them in `wanted`."""
    folder = data.data_root() / "styles" / "public_domain"
    styles = []
    for preset in found.card.presets:
        stem = preset["name"].replace("-", "_")
        if stem in style_data.LIBRARY and (not wanted or preset["name"] in wanted):
            picture = data.fit(Image.open(folder / f"{stem}.jpg").convert("RGB"), SIZE)
            styles.append(Style(preset["name"], preset["name"], as_floats(picture)))
    return styles


def held_out() -> list[Style]:
    """The paintings that no part of the network ever saw as a style."""
    return [
        Style(
            f"{painting.set}/{painting.file}",
            as_floats(painting.picture),
            as_floats(data.fit(painting.picture, SIZE)),
        )
        for painting in style_data.split(data.data_root()).held_styles
    ]


def stylised(engine: Engine, photograph: Floats, style: str | Floats, **values: Any) -> Floats:
    """The photograph through the task, as a user gets it."""
    made: Floats = TASK.run(photograph, engine=engine, style=style, **values).made
    return made


def judge() -> Taps:
    """SqueezeNet 1.1 in float32; `channels_last` is 1.4 times faster on a CPU."""
    return SqueezeNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def as_tensor(picture: Floats) -> Tensor:
    """H x W x 3 as 1 x 3 x H x W."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


def as_floats(picture: Image.Image) -> Floats:
    """An RGB picture as H x W x 3, 0..1."""
    return np.asarray(picture, np.float32) / np.float32(255)
