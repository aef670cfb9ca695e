"""What an encoder of pictures learns from: cut-outs of pictures of training shapes.

Most are of quick pictures (`splats`), of many shapes; the others are of Blender's renderings. Both
are made once and kept in the cache.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.errors import UserError
from triptych.files import write_whole
from triptych.shape.subject import cut_out
from triptych.training import data
from triptych.training.shape import pictures, splats
from triptych.training.shape.drawing import KINDS, drawn
from triptych.training.shape.pictures import Pictures
from triptych.training.shape.samples import Shapes

_SHAPES = 300  # in one file
_RECIPE = 1  # to be raised when other cut-outs are made


@dataclass
class Glimpses:
    """Cut-outs N x 3 x 64 x 64 as bytes, the places of their shapes, the places of their kinds."""

    cuts: np.ndarray
    shape: np.ndarray
    kind: np.ndarray

    def __len__(self) -> int:
        return len(self.cuts)

    def picture(self, index: int) -> np.ndarray:
        """A cut-out as `cut_out` gave it: 3 x 64 x 64, float32."""
        return loosened(self.cuts[index])


def loosened(cut: np.ndarray) -> np.ndarray:
    """Bytes (... x 3 x 64 x 64) as float32."""
    made = cut.astype(np.float32) * np.float32(1 / 255)
    made[..., 2, :, :] = 2 * made[..., 2, :, :] - 1
    return made


def _packed(cut: np.ndarray) -> np.ndarray:
    planes = np.stack([cut[0], cut[1], (cut[2] + 1) / 2])
    return np.rint(255 * planes.clip(0, 1)).astype(np.uint8)


def spread(shapes: Shapes, made: int) -> np.ndarray:
    """The numbers of shapes in an order of which each part is like the whole.

    The first `made` shapes are procedural; a real one comes after every two of them, until there
    are no more.
    """
    rng = np.random.default_rng(29)
    own, others = rng.permutation(made), made + rng.permutation(len(shapes) - made)
    place = np.concatenate([np.arange(len(own)), 2 * np.arange(len(others)) + 1.5])
    return np.concatenate([own, others])[np.argsort(place, kind="stable")]


def of_shapes(shapes: Shapes, numbers: np.ndarray, views: int = 1) -> Glimpses:
    """Of quick pictures: of each of the shapes so many views, each as each kind of picture."""
    parts = []
    for first in range(0, len(numbers), _SHAPES):
        chosen = numbers[first : first + _SHAPES]
        for view in range(views):
            told = f"{_RECIPE} {view} {chosen.tolist()}".encode()
            digest = hashlib.sha256(told + shapes.size[chosen].tobytes()).hexdigest()[:12]
            path = data.cache_folder() / "pictures" / f"glimpses-{digest}.npz"
            if not path.is_file():
                _keep(path, _splatted(shapes, chosen, view))
            parts.append(_opened(path))
    return joined(parts)


def of_pictures(held: Pictures, draws: int, seed: int = 0) -> Glimpses:
    """Of renderings: each as each kind of picture, drawn `draws` times."""

    def made() -> Iterator[tuple[np.ndarray, int, int]]:
        for number, layers in enumerate(held.layers):
            rng = np.random.default_rng((23, seed, number))
            values = layers.astype(np.float32) / np.float32(255)
            for kind in [*range(len(KINDS))] * draws:
                yield from _cut(values, int(held.shape[number]), kind, rng)

    return _gathered(made())


def joined(parts: Sequence[Glimpses]) -> Glimpses:
    """All of the parts as one."""
    return Glimpses(
        np.concatenate([part.cuts for part in parts]),
        np.concatenate([part.shape for part in parts]),
        np.concatenate([part.kind for part in parts]),
    )


def _splatted(shapes: Shapes, numbers: np.ndarray, view: int) -> Glimpses:
    def made() -> Iterator[tuple[np.ndarray, int, int]]:
        for number in numbers.tolist():
            rng = np.random.default_rng((19, number, view))
            layers = splats.splatted(shapes.surface(number), pictures.drawn_view(rng), rng)
            for kind in range(len(KINDS)):
                yield from _cut(layers, number, kind, rng)

    return _gathered(made())


def _cut(
    layers: np.ndarray, shape: int, kind: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, int, int]]:
    """The cut-out of one picture, or none where nothing stands out in it."""
    try:
        yield _packed(cut_out(drawn(layers, KINDS[kind], rng))), shape, kind
    except UserError:
        return


def _gathered(made: Iterator[tuple[np.ndarray, int, int]]) -> Glimpses:
    cuts, shape, kind = zip(*made, strict=True)
    return Glimpses(np.stack(cuts), np.array(shape), np.array(kind))


def _keep(path: Path, made: Glimpses) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    np.savez(stream, cuts=made.cuts, shape=made.shape, kind=made.kind)
    write_whole(path, stream.getvalue())


def _opened(path: Path) -> Glimpses:
    with np.load(path) as held:
        return Glimpses(held["cuts"], held["shape"], held["kind"])
