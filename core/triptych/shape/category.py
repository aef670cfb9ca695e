"""What a bundle of shapes can make: its categories, and the directions in which they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.task import Choice

Array = NDArray[Any]


@dataclass(frozen=True)
class Category:
    """One kind of shape; `size` is its usual width, height and depth in metres."""

    name: str
    label: str
    size: tuple[float, float, float]


@dataclass(frozen=True)
class Direction:
    """A way to change a shape, which a bundle's `directions.npz` holds as steps of codes."""

    name: str
    label: str
    help: str


DIRECTIONS = (
    Direction("solidity", "Solidity", "Less: slender and open; more: massive."),
    Direction("top_weight", "Top weight", "Less: heavy below; more: heavy above."),
    Direction("curves", "Curves", "Less: flat and angular; more: curved."),
    Direction("flare", "Flare", "Less: narrow above; more: wide above."),
    Direction("back_weight", "Back weight", "Less: heavy in front; more: heavy at the back."),
)


def completed(size: Sequence[float] | Array, asked: Sequence[float | None]) -> Array:
    """`size` with what is asked of its three measures; the others follow in proportion."""
    factors = [want / have for want, have in zip(asked, size, strict=True) if want is not None]
    factor = float(np.exp(np.mean(np.log(factors)))) if factors else 1.0
    pairs = zip(asked, size, strict=True)
    return np.array([have * factor if want is None else want for want, have in pairs])


def categories_of(found: bundle.Bundle) -> list[Category]:
    """The categories of a bundle, in the order of its numbers for them."""
    return [
        Category(one["name"], one["label"], (one["size"][0], one["size"][1], one["size"][2]))
        for one in found.card.extra["categories"]
    ]


def categories() -> list[Choice]:
    """The categories of all models as choices."""
    found = {
        one.name: Choice(one.name, one.label)
        for model in bundle.find_bundles("shape")
        for one in categories_of(model)
    }
    return list(found.values())
