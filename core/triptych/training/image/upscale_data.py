"""Pairs of small and large pictures for the recipe `upscale`, kept in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.image.resample import enlarge, resampled, shrink
from triptych.training import data

Bytes = NDArray[np.uint8]
LUMA = np.array([65.481, 128.553, 24.966], np.float32) / 255  # ITU-R BT.601, 16..235

_SIZES = (1.0, 0.65)  # each picture also smaller: sharper, without the blocks of its JPEG
_HELD = 16  # every 16th picture is for validation
_WINDOW = 16  # px of the small picture: how finely detail is mapped


@dataclass
class Pair:
    """A large picture s*h x s*w x 3 and its bicubic reduction h x w x 3."""

    large: Bytes
    small: Bytes
    detail: NDArray[np.float32]  # mean error of bicubic enlargement in windows of _WINDOW px


class Pairs:
    """The pairs of one scale; crops are drawn where bicubic interpolation fails."""

    def __init__(self, pairs: Sequence[Pair], scale: int, patch: int) -> None:
        self.pairs, self.scale, self.patch = pairs, scale, patch
        places, weights = [], []
        for index, pair in enumerate(pairs):
            rows, columns = np.indices(pair.detail.shape)
            places.append(np.stack([np.full(rows.size, index), rows.ravel(), columns.ravel()], 1))
            weights.append(pair.detail.ravel())
        self.places = np.concatenate(places)
        chance = np.concatenate(weights) + 0.002
        self.cumulative = np.cumsum(chance / chance.sum())

    def draw(self, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
        """A crop of `patch` px and the same of the large picture, in one of eight attitudes."""
        which = min(int(np.searchsorted(self.cumulative, rng.random())), len(self.places) - 1)
        index, row, column = self.places[which]
        pair, patch, scale = self.pairs[index], self.patch, self.scale
        corner = []
        for at, side in ((row, pair.small.shape[0]), (column, pair.small.shape[1])):
            wanted = int(at) * _WINDOW + int(rng.integers(_WINDOW)) - patch // 2
            corner.append(min(max(0, wanted), side - patch))
        (top, left), span = corner, scale * patch
        small = pair.small[top : top + patch, left : left + patch]
        large = pair.large[scale * top :, scale * left :][:span, :span]
        turns, flip = int(rng.integers(4)), rng.random() < 0.5
        small, large = np.rot90(small, turns), np.rot90(large, turns)
        return (small[:, ::-1], large[:, ::-1]) if flip else (small, large)


def load(sources: Sequence[data.Source], scale: int, patch: int) -> tuple[list[Pair], list[Pair]]:
    """The pairs of one scale for training and (at full size) for validation.

    They are made once and kept in the cache.
    """
    held = (
        "upscale-1",
        scale,
        _SIZES,
        _HELD,
        _WINDOW,
        *((s.path.name, s.names()) for s in sources),
    )
    mark = hashlib.sha256(repr(held).encode()).hexdigest()[:16]
    cache = data.cache_folder() / f"upscale-x{scale}-{mark}.npz"
    if not cache.is_file():
        _write(sources, scale, cache)
    train, valid = [], []
    with np.load(cache) as stored:
        for key in stored.files:
            kind, name = key.split("-")
            if kind == "large":
                pair = Pair(stored[key], stored[f"small-{name}"], stored[f"detail-{name}"])
                number, size = (int(part) for part in name.split("_"))
                if number % _HELD == 0:
                    valid += [pair] if size == 0 else []
                elif min(pair.small.shape[:2]) >= patch:
                    train.append(pair)
    return train, valid


def _write(sources: Sequence[data.Source], scale: int, cache: Any) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    number = 0
    for source in sources:
        for _, picture in source.pictures():
            original = np.asarray(picture)
            for index, size in enumerate(_SIZES):
                made = pair_of(_at_size(original, size), scale)
                name = f"{number}_{index}"
                arrays |= {
                    f"large-{name}": made.large,
                    f"small-{name}": made.small,
                    f"detail-{name}": made.detail,
                }
            number += 1
    aside = cache.with_name(f".{cache.name}")
    np.savez(aside, allow_pickle=False, **arrays)
    aside.replace(cache)


def _at_size(picture: Bytes, size: float) -> Bytes:
    if size == 1:
        return picture
    height, width = (round(side * size) for side in picture.shape[:2])
    return as_bytes(resampled(picture, (height, width), "BICUBIC"))


def pair_of(picture: Bytes, scale: int) -> Pair:
    """The picture H x W x 3, cropped to multiples of `scale`, and its reduction."""
    height, width = (side // scale * scale for side in picture.shape[:2])
    large = picture[:height, :width]
    small = as_bytes(shrink(large, scale))
    error = np.abs(large @ LUMA - enlarge((small @ LUMA)[..., None], scale)[..., 0]) / 255
    span = scale * _WINDOW
    rows, columns = (-(-side // span) for side in error.shape)
    error = np.pad(
        error, ((0, rows * span - height), (0, columns * span - width)), constant_values=0
    )
    detail = error.reshape(rows, span, columns, span).mean((1, 3), dtype=np.float32)
    return Pair(np.ascontiguousarray(large), small, detail)


def as_bytes(values: NDArray[Any]) -> Bytes:
    """0..255 rounded to whole codes."""
    return (np.clip(values, 0, 255) + 0.5).astype(np.uint8)
