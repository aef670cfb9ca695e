"""The record that a shape carries, so that it can be varied: what it is the surface of."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.bundle import Card
from triptych.errors import UserError
from triptych.shape import warp
from triptych.shape.implicit import Implicit

Array = NDArray[Any]


def written(card: Card, one: Implicit) -> dict[str, Any]:
    """What is kept, as JSON, of a shape that the bundle of this card made: its latent, as float16,
    category, size (metres) and warp."""
    data = zlib.compress(one.latent.astype("<f2").tobytes(), 9)
    return {
        "latent": base64.b64encode(data).decode(),
        "category": one.category,
        "size": [round(float(side), 6) for side in one.size],
        "warp": [[round(float(part), 6) for part in axis] for axis in one.warp],
        "bundle": {"name": card.name, "version": card.version},
    }


def is_of(record: Mapping[str, Any], card: Card) -> bool:
    """Whether the bundle of this card made it."""
    return record.get("bundle") == {"name": card.name, "version": card.version}


def read(
    record: Mapping[str, Any], shape: tuple[int, ...], categories: Collection[str]
) -> Implicit:
    """The shape of a latent (1 x `shape`) and of one of these categories; UserError where what is
    told is not possible."""
    try:
        data = zlib.decompressobj().decompress(
            base64.b64decode(record["latent"], validate=True), 2 * int(np.prod(shape))
        )
        latent = np.frombuffer(data, "<f2").astype(np.float32).reshape(1, *shape)
        category, size = str(record["category"]), np.array(record["size"], np.float64)
        bent = np.array(record.get("warp", warp.none()), np.float32)  # shapes had none once
        sized = size.shape == (3,) and (size > 0).all() and (size < 1e6).all()
        finite = np.isfinite(latent).all() and np.isfinite(bent).all()
        if not sized or not finite or bent.shape != warp.none().shape or category not in categories:
            raise ValueError("a value is not possible")
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise UserError(
            "the record of how the shape was made is damaged: make the shape anew."
        ) from error
    return Implicit(latent, category, size, warp.sound(bent))
