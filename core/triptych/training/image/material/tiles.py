"""The tiles that materials are learned from: their classes, which are held out, how they turn."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.files import write_whole
from triptych.image.tileable import mended
from triptych.training import data
from triptych.training.image import sets

SIDE = 128  # px of a tile
HELD_OUT = 8  # one tile of so many of a class is never trained on

_VERSION = 1  # of what is kept in the cache
_BORDER = 3  # px at a tile's ends that are mixed with what lay beside it

LEFT_OUT = {
    "OfficeCeiling": "not tileable",
    "PineNeedles": "single needles on black",
    "ScatteredLeaves": "single leaves on black",
    "TireTracks": "not tileable",
    "WoodChips": "cut off",
}
"""Classes whose tiles are no tileable materials, and why."""

ANY_TURN = frozenset(
    {
        *("Asphalt", "Carpet", "Cardboard", "Chipboard", "Clay", "Concrete", "Cork", "Foil"),
        *("DiamondPlate", "GlazedTerracotta", "Granite", "Grass", "Gravel", "Ground", "Marble"),
        *("Metal", "Moss", "Onyx", "Paint", "Paper", "PavingStones", "Plaster", "Plastic"),
        *("Rock", "Rocks", "Rubber", "Snow", "Terrazzo", "Tiles", "Fabric"),
    }
)
"""Classes that look as likely when they are turned by 90 degrees; the others are mirrored only."""


@dataclass(frozen=True)
class Tiles:
    """Tiles N x 128 x 128 x 3 (bytes) with the number of each one's class in `classes`."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def chances(self) -> NDArray[np.float64]:
        """How likely each tile is drawn: a class in proportion to the root of its size."""
        sizes = np.bincount(self.labels, minlength=len(self.classes))
        weights = 1 / np.sqrt(sizes[self.labels])
        return weights / weights.sum()

    def turned(self, number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """A tile shifted around its edges, mirrored and, if its class allows that, turned."""
        top, left = rng.integers(SIDE, size=2)
        made = np.roll(self.pixels[number], (int(top), int(left)), (0, 1))
        if self.classes[self.labels[number]] in ANY_TURN:
            made = np.rot90(made, int(rng.integers(4)))
        return made[:, ::-1] if rng.random() < 0.5 else made


def load(source: data.Source | None = None) -> tuple[Tiles, Tiles]:
    """(training tiles, held-out tiles) of the set; tiles that are not square are left out.

    Their borders are mended, which takes minutes: the tiles are kept in the cache.
    """
    source = source or sets.textures(data.data_root())
    mark = hashlib.sha256(repr((_VERSION, source.path.stat().st_size, source.names())).encode())
    cache = data.cache_folder() / f"material-tiles-{mark.hexdigest()[:16]}.npz"
    if not cache.is_file():
        stream = io.BytesIO()
        arrays: dict[str, Any] = {**_arrays(source)}
        np.savez(stream, **arrays)
        write_whole(cache, stream.getbuffer())
    stored = np.load(cache)
    classes = tuple(str(name) for name in stored["classes"])
    kept, held = (
        Tiles(stored[f"{part}_pixels"], stored[f"{part}_labels"], classes)
        for part in ("kept", "held")
    )
    return kept, held


def _arrays(source: data.Source) -> dict[str, NDArray[Any]]:
    """The pixels and labels of the tiles that are kept and of those that are held out."""
    found: dict[str, list[NDArray[np.uint8]]] = {}
    for name, picture in source.pictures():
        kind = name.split("/")[-2]
        if picture.size == (SIDE, SIDE) and kind not in LEFT_OUT:
            found.setdefault(kind, []).append(_mended(np.asarray(picture)))
    parts: dict[str, list[tuple[int, NDArray[np.uint8]]]] = {"kept": [], "held": []}
    for label, kind in enumerate(sorted(found)):
        for place, pixels in enumerate(found[kind]):
            part = "held" if place % HELD_OUT == HELD_OUT - 1 else "kept"
            parts[part].append((label, pixels))
    made: dict[str, NDArray[Any]] = {"classes": np.array(sorted(found))}
    for part, rows in parts.items():
        made[f"{part}_pixels"] = np.array([p for _, p in rows], np.uint8)
        made[f"{part}_labels"] = np.array([n for n, _ in rows], np.int64)
    return made


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Bytes N x H x W x 3 as floats N x 3 x H x W in 0..1."""
    made = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    return made.float() / 255


def _mended(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    made = mended(tile.astype(np.float32) / 255, _BORDER)
    return (made * 255 + 0.5).clip(0, 255).astype(np.uint8)
