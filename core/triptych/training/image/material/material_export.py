"""The bundle of a material model: its graphs, and for each class tiles that it starts from."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych import bundle
from triptych.training import export
from triptych.training.image.material import tiles
from triptych.training.image.material.nets import CODE, GRID, STYLE, Coder, Decoder, Style, unstyled
from triptych.training.image.material.substances import NOT_OFFERED, slug, substances

EXEMPLARS = 10  # tiles of a class at most
_WIDEST = 6.0  # deviations of a layout that are kept
FILE = "exemplars.npz"


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
def exemplars(reader: Reader, known: tiles.Tiles) -> bytes:
    """Styles and layouts of some tiles of each class that is offered, as different as can be."""
    styles, layouts, kinds = [], [], []
    for kind, name in enumerate(known.classes):
        if name in NOT_OFFERED:
            continue
        pixels = tiles.as_tensor(known.pixels[known.labels == kind])
        read = [reader(one[None]) for one in pixels]
        style = torch.cat([pair[0] for pair in read]).numpy()
        for number in spread(style[:, : 2 * CODE], EXEMPLARS):
            styles.append(style[number])
            layouts.append(read[number][1][0].numpy())
            kinds.append(kind)
    packed = (np.stack(layouts) * (127 / _WIDEST)).round().clip(-127, 127).astype(np.int8)
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        style=np.stack(styles).astype(np.float16),
        layout=packed,
        scale=np.float32(_WIDEST / 127),
        kind=np.array(kinds, np.int64),
    )
    return stream.getvalue()


def spread(rows: NDArray[Any], count: int) -> list[int]:
    """Up to `count` of the rows, each the farthest from those before it; first the middle one."""
    chosen = [int(((rows - rows.mean(0)) ** 2).sum(1).argmin())]
    nearest = ((rows - rows[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(count, len(rows)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((rows - rows[chosen[-1]]) ** 2).sum(1))
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
            "of the colours of another and goes through the flow; it is not made from noise alone."
        ),
        created=export.today(),
        extra={"classes": offered, "kinds": len(known.classes), "side": tiles.SIDE, "grid": GRID},
        **facts,
    )
    files = {FILE: exemplars(Reader(coder), known)}
    return export.write_bundle(folder, card, graphs(coder, decoder, flow), files)
