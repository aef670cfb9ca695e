"""The record that a shape carries, so that it can be varied: its latent, category and size."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.bundle import Card
from triptych.errors import UserError

Array = NDArray[Any]


def written(card: Card, latent: Array, category: str, size: Array) -> dict[str, Any]:
    """What is kept, as JSON, of a shape that the bundle of this card made: its latent (1 x LATENT),
    as float16, and its size (metres)."""
    return {
        "latent": base64.b64encode(zlib.compress(latent.astype("<f2").tobytes(), 9)).decode(),
        "category": category,
        "size": [round(float(side), 6) for side in size],
        "bundle": {"name": card.name, "version": card.version},
    }


def is_of(record: Mapping[str, Any], card: Card) -> bool:
    """Whether the bundle of this card made it."""
    return record.get("bundle") == {"name": card.name, "version": card.version}


def read(
    record: Mapping[str, Any], shape: tuple[int, ...], categories: Collection[str]
) -> tuple[Array, str, Array]:
    """The latent (1 x `shape`), one of these categories, and the size; UserError where they are
    not possible."""
    try:
        data = zlib.decompressobj().decompress(
            base64.b64decode(record["latent"], validate=True), 2 * int(np.prod(shape))
        )
        latent = np.frombuffer(data, "<f2").astype(np.float32).reshape(1, *shape)
        category, size = str(record["category"]), np.array(record["size"], np.float64)
        sound = size.shape == (3,) and (size > 0).all() and (size < 1e6).all()
        if not sound or not np.isfinite(latent).all() or category not in categories:
            raise ValueError("a value is not possible")
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise UserError(
            "the record of how the shape was made is damaged: make the shape anew."
        ) from error
    return latent, category, size
