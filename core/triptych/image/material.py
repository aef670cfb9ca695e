"""A material: a colour map that tiles, with the height, normal and roughness that go with it.

The colour comes from elsewhere; the others are derived from it. Trained on the few free materials
that have all maps, a regression told the height of another one no better than chance, while plain
luminance told it (`benchmarks/material.py` measures both); how deep a material is, how rough and
whether it is metal depends on what it is far more than on its pixels, and is told by its class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError, one_line
from triptych.files import refusal, shown
from triptych.image.torus import blurred, slopes
from triptych.provenance import Provenance

Floats = NDArray[Any]  # float32

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
MAPS = ("colour", "height", "normal", "roughness")
_SETTINGS = "material.json"
_SOFTEST = 1 / 512  # of the side: what is finer is paint, not relief
_STEEPEST = 3.0  # beyond which slopes level off
_ROUGHER = 0.12  # how much rougher the lowest places are than the highest


@dataclass(frozen=True)
class Substance:
    """What a kind of material is like: the side of a tile and the depth of its relief in metres,
    how rough (0..1) and whether it is metal (0 or 1)."""

    name: str
    label: str
    side: float = 1.0
    depth: float = 0.004
    roughness: float = 0.7
    metallic: float = 0.0

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Substance:
        """The substance that a card tells of."""
        return cls(**{key: told[key] for key in (one.name for one in fields(cls)) if key in told})


@dataclass(frozen=True)
class Material:
    """The maps of a square tile, float32 in 0..1, which all go on around the edges.

    `colour` (N x N x 3) is sRGB-encoded, the others are linear: `height` (N x N; 1 is `depth`
    metres above 0), `normal` (N x N x 3; OpenGL's convention: red points right, green up, blue out
    of the surface) and `roughness` (N x N). The tile is `side` metres wide.
    """

    colour: Floats
    height: Floats
    normal: Floats
    roughness: Floats
    side: float
    depth: float
    metallic: float = 0.0
    name: str = "material"

    @property
    def maps(self) -> dict[str, Floats]:
        """The maps by their names."""
        return {name: getattr(self, name) for name in MAPS}


def material(colour: Floats, substance: Substance, relief: float = 1.0) -> Material:
    """The material of a substance with this colour map (N x N x 3), `relief` times as deep."""
    side = len(colour)
    light = blurred(colour @ LUMA, max(0.7, side * _SOFTEST))
    low, high = np.percentile(light, (1, 99))
    contrast = max(float(high - low), 0.02)  # or a plain colour's faint grain would be rock
    height = ((light - (low + high) / 2) / contrast + 0.5).clip(0, 1).astype(np.float32)
    depth = substance.depth * relief * min(1.0, contrast / 0.2)
    rough = substance.roughness + _ROUGHER * (0.5 - height) * (1 - substance.metallic * 0.5)
    return Material(
        colour,
        height,
        normals(height, depth * side / substance.side),
        rough.clip(0.02, 1).astype(np.float32),
        substance.side,
        depth,
        substance.metallic,
        substance.name,
    )


def normals(height: Floats, depth: float) -> Floats:
    """The normal map (OpenGL: green up) of a height map N x N that is `depth` px deep."""
    right, down = slopes(height * np.float32(depth))
    steep = np.sqrt(right**2 + down**2)
    less = _STEEPEST * np.tanh(steep / _STEEPEST) / np.maximum(steep, 1e-9)
    vectors = np.stack([-right * less, down * less, np.ones_like(height)], 2)
    vectors /= np.sqrt((vectors**2).sum(2, keepdims=True))
    return (vectors / 2 + 0.5).astype(np.float32)


def save(made: Material, folder: Path, record: Provenance | None = None) -> None:
    """Write the maps as PNG files into `folder` (the height in 16 bits) and `material.json`.

    Raises:
        UserError: it cannot be written.
    """
    from triptych.files import write_whole
    from triptych.image import picture

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal("write", folder, error) from error
    for name, values in made.maps.items():
        grey = values.ndim == 2
        pixels = np.repeat(values[..., None], 3, 2) if grey else values
        depth: Any = 16 if name == "height" else 8
        whole = picture.Picture(pixels, grey=grey, depth=depth)
        picture.save(whole, folder / f"{name}.png", record)
    told = {
        "name": made.name,
        "side_m": made.side,
        "depth_m": made.depth,
        "metallic": made.metallic,
        "normal": "OpenGL (green up)",
        "maps": {name: f"{name}.png" for name in MAPS},
    }
    text = json.dumps(told, indent=1) + "\n"
    write_whole(folder / _SETTINGS, text.encode())


def load(folder: Path) -> Material:
    """The material that `save` wrote into a folder.

    Raises:
        UserError: it holds none, or a damaged one.
    """
    from triptych.image import picture

    path = folder / _SETTINGS
    try:
        told = json.loads(path.read_text())
        side, depth, metallic = (float(told[key]) for key in ("side_m", "depth_m", "metallic"))
        if not (0 < side < 1e4 and 0 <= depth < 1e3 and 0 <= metallic <= 1):
            raise ValueError("a measure is not possible")
    except FileNotFoundError:
        raise UserError(
            f"{shown(folder)} holds no material: give a folder that `triptych material` wrote."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{shown(path)} is damaged ({one_line(error)}): make it anew.") from None
    maps = {name: picture.load(folder / f"{name}.png").pixels for name in MAPS}
    if len({pixels.shape for pixels in maps.values()}) > 1:
        raise UserError(f"the maps in {shown(folder)} differ in size: make the material anew.")
    for name in ("height", "roughness"):
        maps[name] = maps[name][..., 0]
    return Material(**maps, side=side, depth=depth, metallic=metallic, name=str(told.get("name")))
