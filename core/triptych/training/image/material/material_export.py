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
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from triptych import bundle
from triptych.image import texture_model
from triptych.image.block_dct import packed
from triptych.training import export
from triptych.training.image.material import tiles
from triptych.training.image.material.nets import CODE, GRID, STYLE, Coder, Decoder, Style, unstyled
from triptych.training.image.material.substances import NOT_OFFERED, slug, substances

EXEMPLARS = 10  # tiles of a class at most


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
def exemplars(reader: Callable[[Tensor], tuple[Tensor, Tensor]], known: tiles.Tiles) -> bytes:
    """Some tiles of each class that is offered, which stand for all of it, and their styles."""
    chosen: list[int] = []
    styles = []
    for kind, name in enumerate(known.classes):
        if name in NOT_OFFERED:
            continue
        own = np.flatnonzero(known.labels == kind)
        pixels = tiles.as_tensor(known.pixels[own])
        style = np.concatenate([reader(one[None])[0].numpy() for one in pixels])
        numbers = medoids(style[:, : 2 * CODE], EXEMPLARS)
        styles.append(style[numbers])
        chosen += own[numbers].tolist()
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        tile=packed(known.pixels[chosen]),
        style=np.concatenate(styles).astype(np.float16),
        kind=known.labels[chosen],
    )
    return stream.getvalue()


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
        version="1.1.0",
        task="material",
        title="Tileable materials",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        notes=(
            "Makes tiles of a material. A tile starts from one of the exemplars in the bundle "
            f"(at most {EXEMPLARS} of a class, CC0); unless its variety is 0 that is laid anew "
            "along least cuts, takes on some of the colours of another and goes through the flow, "
            "and what the networks do not draw of its grain is laid over it. None is made from "
            "noise alone."
        ),
        created=export.today(),
        extra={"classes": offered, "kinds": len(known.classes), "side": tiles.SIDE, "grid": GRID},
        **facts,
    )
    files = {texture_model.EXEMPLARS: exemplars(Reader(coder), known)}
    return export.write_bundle(folder, card, graphs(coder, decoder, flow), files)
