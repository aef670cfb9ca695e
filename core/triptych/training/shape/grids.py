"""Latents of the stored shapes, made once from their exact distances and kept in the cache."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from triptych.files import write_whole
from triptych.training import data
from triptych.training.shape import normalise, procedural, real, samples
from triptych.training.shape.samples import HELD_OUT_SEEDS, PART, Solid
from triptych.training.shape.shape_net import NODES, REACH, nodes

_AT_ONCE = 8  # shapes that a process is given


def training(count: int, with_real: bool) -> np.ndarray:
    """The latents of `samples.training` (N x LATENT, float16)."""
    made = [*_procedural(count, 0), *([_real(held_out=False)] if with_real else [])]
    return np.concatenate(made)


def held_out(count: int, with_real: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The latents of `samples.held_out`."""
    made = np.concatenate(_procedural(count, HELD_OUT_SEEDS))
    return made, _real(held_out=True) if with_real else None


def latent(solid: Solid) -> np.ndarray:
    """Distances at the nodes of the solid's own box, then its proportions (LATENT, float16)."""
    proportions = np.asarray(solid.size, np.float64) / max(solid.size)
    places = (nodes(NODES) * proportions).astype(np.float32)
    far = solid.distance(places).clip(-REACH, REACH)
    return np.concatenate([far, proportions]).astype(np.float16)


def _procedural(count: int, seeds: int) -> list[np.ndarray]:
    parts = []
    for first in range(0, count, PART):
        indices = range(first, min(first + PART, count))
        solids = ((index, seeds) for index in indices)
        parts.append(_kept(f"made-{seeds}-{first}-{len(indices)}", "", solids))
    return parts


def _real(held_out: bool) -> np.ndarray:
    sizes = "".join(
        f"{source.path.name} {source.path.stat().st_size}"
        for source in real.sources(data.data_root())
    )
    return _kept("real-held-out" if held_out else "real", sizes, real.meshes(held_out))


def _one(told: Solid | tuple[int, int]) -> np.ndarray:
    return latent(samples.made(*told) if isinstance(told, tuple) else told)


def _kept(name: str, more: str, solids: Iterable[Solid | tuple[int, int]]) -> np.ndarray:
    """The latents of the solids, from the cache or made by all cores."""
    folder = Path(procedural.__file__).parent
    files = [Path(normalise.__file__), Path(real.__file__), *sorted(folder.glob("*.py"))]
    text = f"{NODES} {REACH} {more}".encode() + b"".join(file.read_bytes() for file in files)
    digest = hashlib.sha256(text).hexdigest()[:10]
    place = data.cache_folder() / "shapes" / f"latents-{name}-{digest}.npy"
    if not place.is_file():
        with multiprocessing.Pool() as pool:
            made = list(pool.imap(_one, solids, _AT_ONCE))
        stream = io.BytesIO()
        np.save(stream, np.stack(made))
        write_whole(place, stream.getvalue())
    found: np.ndarray = np.load(place, mmap_mode="r")
    return found
