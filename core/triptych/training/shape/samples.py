"""Points of shapes and their truncated distances, made once and kept in the cache.

A shape is 24,576 points in the cube (60 % near its surface, 20 % anywhere, 20 % around its thin
parts, in this order) with distances cut at 0.1, and 4,096 surface points with normals.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from triptych.errors import UserError
from triptych.files import refusal
from triptych.training import data
from triptych.training.shape import normalise, procedural, real
from triptych.training.shape.procedural import FAMILIES, Shape, shape

TRUNCATION = 0.1
NEAR, ANYWHERE, THIN = 14744, 4916, 4916
POINTS, SURFACE = NEAR + ANYWHERE + THIN, 4096
PART = 1000  # shapes in one folder of the cache
HELD_OUT_SEEDS = 10_000_000  # seeds from which on shapes are never trained on
CATEGORIES = (*FAMILIES, "prop")
"""Names of the categories, in the order of their numbers."""
_WALL = 0.03  # what is thinner is a thin part
_UNIT = 32767.0  # a coordinate of 1 as int16


class Solid(Protocol):
    """What samples are made of; points and distances in the normalised cube."""

    family: str

    @property
    def size(self) -> tuple[float, float, float]:
        """Width, height and depth in metres."""

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distances (N) of points N x 3."""

    def surface(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Nearly `count` surface points and their outward normals."""


class Procedural:
    """A procedural shape as a solid in the cube."""

    def __init__(self, made: Shape) -> None:
        self.family, self.size, self._shape = made.family, made.size, made
        self.frame = normalise.standing(made.size)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distances (N) of points N x 3."""
        return self._shape.distance(self.frame.metres(points)) * np.float32(self.frame.scale)

    def surface(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points brought onto the surface along the distance's slope, and this slope there."""
        half = normalise.SIDE * self.frame.proportions + 0.02
        points = rng.uniform(-half, half, (int(1.15 * count), 3)).astype(np.float32)
        normals, far = points, np.zeros(len(points), np.float32)
        for step in (0.01, 0.004, 0.002):
            normals, far = slope(self.distance, points, step)
            points = points - far[:, None] * normals
        # the last step was short, so it is there; a slope is nothing in the middle of a thin part
        on = (np.abs(far) < 0.01) & (np.abs(normals).max(1) > 0.1)
        return points[on], normals[on]


def slope(
    distance: Callable[[np.ndarray], np.ndarray], points: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Unit slopes (N x 3) and distances (N), both from the corners of a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    far = distance((points[None] + step * corners[:, None]).reshape(-1, 3)).reshape(4, -1)
    slope = np.einsum("kn,kd->nd", far, corners)
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    return slope.astype(np.float32), far.mean(0)


@dataclass
class Samples:
    """A shape's samples: points N x 3 and distances N as float32, surface 4,096 x 6."""

    points: np.ndarray
    distances: np.ndarray
    surface: np.ndarray


def sample(solid: Solid, rng: np.random.Generator) -> Samples:
    """The samples of a solid; UserError where it has hardly any surface."""
    places, normals = solid.surface(8000, rng)
    if len(places) < 200:
        raise UserError(f"a shape of the family {solid.family} has no surface to learn")
    even = evenly(places, SURFACE, rng)
    surface = np.concatenate([places[even], normals[even]], 1)
    behind = solid.distance(places - _WALL * normals)
    thin = np.flatnonzero(behind > 0)

    def around(chosen: np.ndarray, sigma: np.ndarray | float) -> np.ndarray:
        noise = rng.standard_normal((len(chosen), 3), np.float32)
        moved: np.ndarray = places[chosen] + sigma * noise
        return moved

    near = evenly(places, NEAR, rng)
    wide = np.where(np.arange(NEAR) % 2, 0.02, 0.06).astype(np.float32)[:, None]
    anywhere = rng.uniform(-1, 1, (ANYWHERE, 3)).astype(np.float32)
    narrow = rng.choice(thin, THIN) if len(thin) else rng.integers(len(places), size=THIN)
    parts = [around(near, wide), anywhere, around(narrow, 0.012 if len(thin) else 0.02)]
    points = np.concatenate(parts).clip(-1, 1).astype(np.float32)
    far = solid.distance(points).clip(-TRUNCATION, TRUNCATION)
    return Samples(points, far, surface.astype(np.float32))


def evenly(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The indices of `count` of the points, drawn so that each small cube gives nearly as many."""
    cell = np.floor(points * 12).astype(np.int64) @ np.array([1, 1000, 1000000])
    _, which, many = np.unique(cell, return_inverse=True, return_counts=True)
    share = 1 / many[which.ravel()].astype(float)
    if len(points) > count:
        return rng.choice(len(points), count, replace=False, p=share / share.sum())
    return rng.choice(len(points), count, p=share / share.sum())


class Shapes:
    """Stored shapes, memory-mapped, of one or more parts."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._parts = [
            {key: np.load(part / f"{key}.npy", mmap_mode="r") for key in _KEYS} for part in parts
        ]
        self._place = [
            (part, row) for part, held in enumerate(self._parts) for row in range(len(held["size"]))
        ]
        self.category = np.concatenate([held["category"] for held in self._parts])
        self.size = np.concatenate([held["size"] for held in self._parts])

    def __len__(self) -> int:
        return len(self._place)

    def surface(self, index: int) -> np.ndarray:
        """Surface points and normals (4,096 x 6, float32)."""
        part, row = self._place[index]
        held = self._parts[part]
        places = held["surface"][row].astype(np.float32) / _UNIT
        return np.concatenate([places, held["normals"][row].astype(np.float32) / 127], 1)

    def points(self, index: int, chosen: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """The chosen points (N x 3) and their distances over TRUNCATION (N, from -1 to 1)."""
        part, row = self._place[index]
        held = self._parts[part]
        places = held["points"][row][chosen].astype(np.float32) / _UNIT
        return places, held["distances"][row][chosen].astype(np.float32) / 127


_KEYS = ("points", "distances", "surface", "normals", "category", "size")


def made(index: int, seeds: int = 0) -> Procedural:
    """The procedural shape of this index: all families in turn, from the seed `seeds` on."""
    names = list(FAMILIES)
    return Procedural(shape(names[index % len(names)], seeds + index // len(names)))


def training(count: int, with_real: bool) -> Shapes:
    """`count` procedural shapes and, `with_real`, the real ones for training."""
    return Shapes([*_procedural(count, 0), *(_real(held_out=False) if with_real else ())])


def categories(count: int, with_real: bool) -> np.ndarray:
    """The numbers of the categories of `training` (int64); samples are made of real ones alone."""
    made = np.arange(count) % len(FAMILIES)
    return np.concatenate([made, *([Shapes(_real(held_out=False)).category] if with_real else [])])


def held_out(count: int, with_real: bool) -> tuple[Shapes, Shapes | None]:
    """Shapes never trained on: `count` procedural ones, and real ones."""
    made = Shapes(_procedural(count, HELD_OUT_SEEDS))
    return made, Shapes(_real(held_out=True)) if with_real else None


def _procedural(count: int, seeds: int) -> list[Path]:
    parts = []
    for first in range(0, count, PART):
        indices = range(first, min(first + PART, count))
        solids = (made(index, seeds) for index in indices)
        parts.append(_part(f"made-{seeds}-{first}-{len(indices)}", _digest(), solids))
    return parts


def _real(held_out: bool) -> list[Path]:
    files = [
        f"{source.path.name} {source.path.stat().st_size}"
        for source in real.sources(data.data_root())
    ]
    name = "real-held-out" if held_out else "real"
    return [_part(name, _digest("".join(files), Path(real.__file__)), real.meshes(held_out))]


def _digest(more: str = "", *files: Path) -> str:
    """What the samples depend on, in short."""
    own = [Path(__file__), Path(normalise.__file__), *files]
    own += sorted(Path(procedural.__file__).parent.glob("*.py"))
    text = more.encode() + b"".join(file.read_bytes() for file in own)
    return hashlib.sha256(text).hexdigest()[:10]


def _part(name: str, digest: str, solids: Iterable[Solid]) -> Path:
    """The folder with the samples of the solids, made unless it is there; whole or not at all."""
    folder = data.cache_folder() / "shapes" / f"{name}-{digest}"
    if (folder / "done.json").is_file():
        return folder
    aside = folder.with_name(f".{folder.name}-{os.getpid()}")
    columns: dict[str, list[np.ndarray]] = {key: [] for key in _KEYS}
    for number, solid in enumerate(solids):
        drawn = sample(solid, np.random.default_rng((11, number)))
        columns["points"].append(np.rint(drawn.points * _UNIT).astype(np.int16))
        columns["distances"].append(np.rint(drawn.distances * (127 / TRUNCATION)).astype(np.int8))
        columns["surface"].append(
            np.rint(drawn.surface[:, :3].clip(-1, 1) * _UNIT).astype(np.int16)
        )
        columns["normals"].append(np.rint(drawn.surface[:, 3:] * 127).astype(np.int8))
        columns["category"].append(np.array(CATEGORIES.index(solid.family), np.int16))
        columns["size"].append(np.array(solid.size, np.float32))
    try:
        aside.mkdir(parents=True, exist_ok=True)
        for key, values in columns.items():
            np.save(aside / f"{key}.npy", np.stack(values))
        (aside / "done.json").write_text(json.dumps({"shapes": len(columns["size"])}))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(aside, folder)
    except OSError as error:
        raise refusal("write", folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder
