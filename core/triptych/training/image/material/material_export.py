"""The bundle of a material model: its graphs, and for each class tiles that it starts from."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from triptych import bundle
from triptych.image.texture_model import STYLES, strip_of
from triptych.training import export
from triptych.training.image.material import tiles
from triptych.training.image.material.nets import CODE, GRID, STYLE, Coder, Decoder, Style, unstyled
from triptych.training.image.material.substances import NOT_OFFERED, slug, substances

EXEMPLARS = 10  # tiles of a class at most
_QUALITY = 95  # of their WebP

Files = dict[str, bytes]


class Reader(nn.Module):
    """A tile 1 x 3 x 128 x 128 in 0..1 to its style and its layout."""

    def __init__(self, coder: Coder) -> None:
        super().__init__()
        self.coder, self.style = coder, Style()

    def forward(self, tile: Tensor) -> tuple[Tensor, Tensor]:
        made: tuple[Tensor, Tensor] = self.style(self.coder(tile))
        return made


class Writer(nn.Module):
    """A style and a layout to a tile in 0..1."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, style: Tensor, layout: Tensor) -> Tensor:
        made: Tensor = self.decoder(unstyled(style, layout)).clamp(0, 1)
        return made


def graphs(coder: Coder, decoder: Decoder, flow: nn.Module) -> dict[str, export.GraphExport]:
    """The graphs `read`, `flow` and `write`, each of one tile."""
    rng = torch.Generator().manual_seed(0)

    def style() -> Tensor:
        return 0.3 * torch.randn(1, STYLE, generator=rng)

    def layout() -> Tensor:
        return torch.randn(1, CODE, GRID, GRID, generator=rng)

    def tile() -> dict[str, Tensor]:
        return {"tile": torch.rand(1, 3, tiles.SIDE, tiles.SIDE, generator=rng)}

    def step() -> dict[str, Tensor]:
        time, kind = torch.rand(1, generator=rng), torch.randint(3, (1,), generator=rng)
        return {"layout": layout(), "time": time, "kind": kind, "style": style()}

    def made() -> dict[str, Tensor]:
        return {"style": style(), "layout": layout()}

    parts: dict[str, tuple[nn.Module, Any, list[str]]] = {
        "read": (Reader(coder), tile, ["style", "layout"]),
        "flow": (flow, step, ["velocity"]),
        "write": (Writer(decoder), made, ["tile"]),
    }
    return {
        name: export.GraphExport(
            module, draw(), outputs, {}, [draw() for _ in range(3)], {"tile": (0.0, 1.0)}
        )
        for name, (module, draw, outputs) in parts.items()
    }


@torch.no_grad()
def exemplars(reader: Callable[[Tensor], tuple[Tensor, Tensor]], known: tiles.Tiles) -> Files:
    """Files with some tiles of each class that is offered, which stand for all of it: a strip of
    pictures a class, and the styles and classes of all."""
    styles, kinds, files = [], [], {}
    for kind, name in enumerate(known.classes):
        if name in NOT_OFFERED:
            continue
        pixels = known.pixels[known.labels == kind]
        style = np.concatenate([reader(tiles.as_tensor(one[None]))[0].numpy() for one in pixels])
        chosen = medoids(style[:, : 2 * CODE], EXEMPLARS)
        styles.append(style[chosen])
        kinds += [kind] * len(chosen)
        strip = io.BytesIO()
        Image.fromarray(np.concatenate(pixels[chosen])).save(strip, "WEBP", quality=_QUALITY)
        files[strip_of(slug(name))] = strip.getvalue()
    told = io.BytesIO()
    style = np.concatenate(styles).astype(np.float16)
    np.savez_compressed(told, style=style, kind=np.array(kinds, np.int64))
    return {**files, STYLES: told.getvalue()}


def medoids(rows: NDArray[Any], count: int) -> list[int]:
    """Up to `count` of the rows, each in the middle of a cluster of them."""
    if len(rows) <= count:
        return list(range(len(rows)))
    even = (rows - rows.mean(0)) / (rows.std(0) + 1e-6)
    middles, labels = kmeans2(even, count, iter=30, minit="++", seed=0)
    chosen = []
    for number in np.unique(labels):
        own = np.flatnonzero(labels == number)
        chosen.append(int(own[((even[own] - middles[number]) ** 2).sum(1).argmin()]))
    return chosen


def write(
    folder: Path,
    name: str,
    coder: Coder,
    decoder: Any,
    flow: nn.Module,
    known: tiles.Tiles,
    **facts: Any,
) -> Path:
    """Write the bundle; `facts` go into its card (data, recipe)."""
    numbers = {slug(one): number for number, one in enumerate(known.classes)}
    offered = [
        {**dataclasses.asdict(one), "kind": numbers[one.name]}
        for one in substances()
        if one.name in numbers
    ]
    card = bundle.Card(
        name=name,
        version="1.0.0",
        task="material",
        title="Tileable materials",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        notes=(
            "Makes tiles of a material. A tile starts from one of the exemplars in the bundle "
            f"(at most {EXEMPLARS} of a class, CC0), is laid anew along least cuts, takes on some "
            "of the colours of another and goes through the flow; what the networks do not draw of "
            "its grain is laid over that. It is not made from noise alone."
        ),
        created=export.today(),
        extra={"classes": offered, "kinds": len(known.classes), "side": tiles.SIDE, "grid": GRID},
        **facts,
    )
    files = exemplars(Reader(coder), known)
    return export.write_bundle(folder, card, graphs(coder, decoder, flow), files)
