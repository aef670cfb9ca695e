"""Latents of the stored shapes, made once from their exact distances and kept in the cache."""

from __future__ import annotations

import functools
import hashlib
import io
import multiprocessing
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from triptych.engine import Job
from triptych.files import write_whole
from triptych.shape import distances
from triptych.shape.distances import signed_distances
from triptych.shape.surface import extract
from triptych.training import data
from triptych.training.shape import normalise, procedural, real, samples
from triptych.training.shape.samples import HELD_OUT_SEEDS, PART, TRUNCATION, Solid
from triptych.training.shape.shape_net import NODES, REACH, nodes

_AT_ONCE = 8  # shapes that a process is given
_CELLS = 128  # along the cube, of a mesh that is measured


def training(count: int, with_real: bool) -> np.ndarray:
    """The latents of `samples.training` (N x LATENT, float16)."""
    made = [*_procedural(count, 0), *([_real(held_out=False)] if with_real else [])]
    return np.concatenate(made)


def held_out(count: int, with_real: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The latents of `samples.held_out`, procedural ones measured on their meshes."""
    made = np.concatenate(_procedural(count, HELD_OUT_SEEDS, of_mesh))
    return made, _real(held_out=True) if with_real else None


def latent(solid: Solid) -> np.ndarray:
    """Distances at the nodes of the solid's own box, then its proportions (LATENT, float16)."""
    places = (nodes(NODES) * _proportions(solid)).astype(np.float32)
    return _latent(solid, solid.distance(places))


def measured(count: int) -> np.ndarray:
    """The latents of the first `count` procedural shapes of `samples.training`, measured on their
    meshes as hosts do it (N x LATENT, float16).

    What a procedural shape says of a distance is a bound on it: beside thin boards it is short.
    """
    return np.concatenate(_procedural(count, 0, of_mesh))


def of_mesh(solid: Solid) -> np.ndarray:
    """`latent`, with the distances to the solid's mesh."""
    vertices, faces = extract(solid.distance, _CELLS, TRUNCATION, Job())
    x, y, z = (np.linspace(-side, side, NODES) for side in _proportions(solid))
    return _latent(solid, signed_distances(vertices, faces, (x, y, z)))


def _proportions(solid: Solid) -> np.ndarray:
    return np.asarray(solid.size, np.float64) / max(solid.size)


def _latent(solid: Solid, far: np.ndarray) -> np.ndarray:
    return np.concatenate([far.clip(-REACH, REACH), _proportions(solid)]).astype(np.float16)


def _procedural(
    count: int, seeds: int, of: Callable[[Solid], np.ndarray] = latent
) -> list[np.ndarray]:
    parts = []
    for first in range(0, count, PART):
        indices = range(first, min(first + PART, count))
        solids = ((index, seeds) for index in indices)
        name = "measured" if of is of_mesh else "made"
        parts.append(_kept(f"{name}-{seeds}-{first}-{len(indices)}", "", solids, of))
    return parts


def _real(held_out: bool) -> np.ndarray:
    sizes = "".join(
        f"{source.path.name} {source.path.stat().st_size}"
        for source in real.sources(data.data_root())
    )
    return _kept("real-held-out" if held_out else "real", sizes, real.meshes(held_out))


def _one(of: Callable[[Solid], np.ndarray], told: Solid | tuple[int, int]) -> np.ndarray:
    return of(samples.made(*told) if isinstance(told, tuple) else told)


def _kept(
    name: str,
    more: str,
    solids: Iterable[Solid | tuple[int, int]],
    of: Callable[[Solid], np.ndarray] = latent,
) -> np.ndarray:
    """The latents of the solids, from the cache or made by all cores."""
    folder = Path(procedural.__file__).parent
    files = [Path(normalise.__file__), Path(real.__file__), *sorted(folder.glob("*.py"))]
    if of is of_mesh:
        files.append(Path(distances.__file__))
    text = f"{NODES} {REACH} {more}".encode() + b"".join(file.read_bytes() for file in files)
    digest = hashlib.sha256(text).hexdigest()[:10]
    place = data.cache_folder() / "shapes" / f"latents-{name}-{digest}.npy"
    if not place.is_file():
        with multiprocessing.Pool() as pool:
            made = list(pool.imap(functools.partial(_one, of), solids, _AT_ONCE))
        stream = io.BytesIO()
        np.save(stream, np.stack(made))
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, stream.getvalue())
    found: np.ndarray = np.load(place, mmap_mode="r")
    return found
