"""Weight deltas: what one style adds to the style network's weights, beside its code.

All styles share one network; a delta makes it somewhat more a style's own. It is added to the
weights before a session opens the graph, so painting takes no longer, and blends add the weighted
sum (as "task arithmetic" does, Ilharco et al. 2023).

A preset of a bundle names the file of its delta (`delta`): for each weight its steps as int8 and,
as `WEIGHT.step`, their size. The card of the network's bundle tells where the weights, in half
precision, lie in the graphs' files (`extra.weights`: by graph and weight, the offset in bytes and
how many numbers there are).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Variant
from triptych.errors import UserError

Delta = dict[str, NDArray[Any]]  # float32, flat, by the weights' names


def read(owner: bundle.Bundle, place: int) -> Delta:
    """The delta of a bundle's style; empty where it has none."""
    relative = owner.card.presets[place].get("delta")
    if relative is None:
        return {}
    try:
        stored = owner.arrays(relative)
        names = [name for name in stored if not name.endswith(".step")]
        return {n: stored[n].astype(np.float32).ravel() * stored[f"{n}.step"] for n in names}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the bundle {owner.listed} holds no weights in {relative}") from error


def blend(parts: Iterable[tuple[float, Delta]]) -> Delta:
    """The weighted sum of deltas."""
    total: Delta = {}
    for weight, delta in parts:
        for name, values in delta.items():
            total[name] = total.get(name, np.float32(0)) + np.float32(weight) * values
    return total


def graph_with(base: bundle.Bundle, graph: str, delta: Delta) -> Variant:
    """The network's graph with a delta added to its weights; see `Engine.run`."""
    path = base.graph(graph)
    if not delta:
        return Variant(path)
    mark = hashlib.sha256()
    for name in sorted(delta):
        mark.update(name.encode() + delta[name].tobytes())
    places: Mapping[str, tuple[int, int]] = base.card.extra.get("weights", {}).get(graph, {})

    def content() -> bytes:
        raw = bytearray(path.read_bytes())
        for name, (offset, count) in places.items():
            values = delta.get(name)
            if values is not None:
                if values.shape != (count,):
                    raise UserError(f"the weights {name} of a style do not fit the style network")
                weight = np.frombuffer(raw, "<f2", count, offset)
                weight[:] = weight.astype(np.float32) + values
        return bytes(raw)

    return Variant(path, mark.hexdigest(), content)
