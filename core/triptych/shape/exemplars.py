"""The exemplars of a bundle: whole latents of shapes that it shows well, near which it draws."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError

Array = NDArray[Any]

LEVELS = np.array([-0.12, *(np.arange(-20, 21) * 0.005), 0.12], np.float32)
"""The distances that are kept (ascending), in the cube."""
_MIRRORED = (1, 3)  # axes along which a thing may be even: across, and in depth


def rounded(distances: Array) -> Array:
    """The numbers (uint8) of the levels next to distances."""
    made: Array = np.searchsorted((LEVELS[1:] + LEVELS[:-1]) / 2, distances).astype(np.uint8)
    return made


def packed(category: str, numbers: Array, size: Array) -> dict[str, Array]:
    """What is stored of the numbers (N x nodes x nodes x nodes) of levels, and of the sizes in
    metres (N x 3), of the exemplars of a category: one half of what is even.

    It is packed here, and not by the file, so that it is unpacked when it is wanted.
    """
    told = {f"{category} size": size.astype(np.float32)}
    for axis in _MIRRORED:
        left, right = np.split(numbers, 2, axis)
        left = np.flip(left, axis)
        uneven = (left != right).any((1, 2, 3))
        numbers = np.concatenate([right, left[uneven]])
        told[f"{category} uneven {axis}"] = uneven
    told[category] = np.frombuffer(lzma.compress(numbers.tobytes(), preset=9), np.uint8)
    return told


def unpacked(held: Mapping[str, Array], category: str, nodes: int) -> tuple[Array, Array]:
    """The latents (N x LATENT, float32) and the sizes in metres (N x 3) of the exemplars of a
    category; UserError where they are damaged."""
    if category not in held:
        return np.zeros((0, nodes**3 + 3), np.float32), np.zeros((0, 3), np.float32)
    size, half = held[f"{category} size"], nodes // 2
    uneven = [held[f"{category} uneven {axis}"] for axis in _MIRRORED]
    shape = (len(uneven[-1]) + int(uneven[-1].sum()), half, nodes, half)
    try:
        data = lzma.LZMADecompressor().decompress(held[category].tobytes(), int(np.prod(shape)))
        numbers = np.frombuffer(data, np.uint8).reshape(shape)
        for axis, parted in zip(reversed(_MIRRORED), reversed(uneven), strict=True):
            right, left = numbers[: len(parted)], numbers[: len(parted)].copy()
            left[parted] = numbers[len(parted) :]
            numbers = np.concatenate([np.flip(left, axis), right], axis)
        far = LEVELS[numbers.reshape(len(size), nodes**3)]
    except (lzma.LZMAError, ValueError, IndexError) as error:
        raise UserError(
            "the exemplars of a bundle of shapes are damaged: export it again."
        ) from error
    sides = size / np.maximum(size.max(1, keepdims=True), 1e-9)
    return np.concatenate([far, sides], 1), size
