"""A bundle of materials: what it can make, and its graphs between tiles, styles and layouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError, did_you_mean
from triptych.image.block_dct import unpacked
from triptych.image.material import Substance
from triptych.image.overlay import to_network
from triptych.image.tileable import relaid
from triptych.task import Choice

Floats = NDArray[Any]  # float32

EXEMPLARS = "exemplars.npz"
_STEPS = 6  # of the flow from noise to a material; fewer from where it starts later
_EARLIEST = 0.55  # time from which it starts at most variety
_MIXED = 0.8  # share of another exemplar's colours at most
_GRAIN = 0.6  # share of a tile's own grain that most variety takes away


class TextureModel:
    """The bundle listed as `name`, run by `engine`; every run reports to `job`."""

    def __init__(self, name: str, engine: Engine, job: Job) -> None:
        self.bundle = bundle.get_bundle(name, "material")
        self._engine, self._job = engine, job
        extra = self.bundle.card.extra
        self.side = int(extra["side"])  # px of a tile
        self.any_kind = int(extra["kinds"])
        self.kinds = {one["name"]: int(one["kind"]) for one in extra["classes"]}
        self.substances = {one["name"]: Substance.of(one) for one in extra["classes"]}
        self._stored = self.bundle.arrays(EXEMPLARS, "tile", "style", "kind")

    def substance(self, name: str) -> Substance:
        """What the material of this name is like; UserError with the nearest name."""
        if name not in self.substances:
            known = did_you_mean(name, self.substances)
            raise UserError(f"{self.bundle.listed} makes no material named {name!r}{known}")
        return self.substances[name]

    def generated(self, name: str, seed: int, variety: float) -> Floats:
        """A tile (side x side x 3) of the material `name`.

        At `variety` 0 it is an exemplar as it is. With more (up to 1) that is laid anew, has more
        of the colours of another one, and is made anew by the flow from an earlier time.
        """
        rng = np.random.default_rng(seed)
        numbers = np.flatnonzero(self._stored["kind"] == self.kinds[self.substance(name).name])
        first, other = (int(n) for n in rng.choice(numbers, 2))
        (tile,) = unpacked(self._stored["tile"][first : first + 1])
        if variety > 0:
            style = self._stored["style"][other].astype(np.float32)
            share = _MIXED * variety * rng.random()
            tile = self.remade(tile, self.kinds[name], variety, rng, style, share)
        return begun_anywhere(tile, rng)

    def like(self, tile: Floats, seed: int, variety: float) -> tuple[str, Floats]:
        """The material whose exemplars are most like a tile (side x side x 3), and that tile laid
        anew, and with more `variety` made anew by the flow."""
        made = self.remade(tile, self.any_kind, variety, np.random.default_rng(seed))
        return self.nearest(self.read(tile)[0]), made

    def remade(
        self,
        tile: Floats,
        kind: int,
        variety: float,
        rng: np.random.Generator,
        other: Floats | None = None,
        share: float = 0.0,
    ) -> Floats:
        """A tile laid anew, with that share of another style's colours, then varied by the flow.

        What writing loses of a tile, its grain, is laid over what is written of the varied one.
        """
        tile = relaid(tile, int(rng.integers(1 << 31)))
        style, layout = self.read(tile)
        grain = tile - self.written(style, layout)
        if other is not None:
            count = 2 * layout.shape[1]  # the style's means and deviations
            style[0, :count] += np.float32(share) * (other - style[0])[:count]
        layout = self.varied(layout, style, kind, 1 - (1 - _EARLIEST) * variety, rng)
        made = self.written(style, layout) + np.float32(1 - _GRAIN * variety) * grain
        return made.clip(0, 1)

    def nearest(self, style: Floats) -> str:
        """The material of the exemplar whose style is nearest."""
        apart = ((self._stored["style"].astype(np.float32) - style) ** 2).sum(1)
        kind = int(self._stored["kind"][int(apart.argmin())])
        found: str = next(name for name, number in self.kinds.items() if number == kind)
        return found

    def read(self, tile: Floats) -> tuple[Floats, Floats]:
        """Style and layout of a tile."""
        made = self._run("read", {"tile": to_network(tile)})
        return made["style"], made["layout"]

    def varied(
        self, layout: Floats, style: Floats, kind: int, start: float, rng: np.random.Generator
    ) -> Floats:
        """Another layout: noise is mixed into it as at time `start`, and the flow takes it out."""
        noise = rng.standard_normal(layout.shape, np.float32)
        layout = noise + np.float32(start) * (layout - noise)
        steps = max(1, round(_STEPS * (1 - start)))
        for step in range(steps):
            time = np.array([start + (1 - start) * step / steps], np.float32)
            inputs = {"layout": layout, "time": time, "kind": np.array([kind]), "style": style}
            velocity = self._run("flow", inputs)["velocity"]
            layout = layout + np.float32((1 - start) / steps) * velocity
        return layout

    def written(self, style: Floats, layout: Floats) -> Floats:
        """The tile of a style and a layout."""
        made: Floats = self._run("write", {"style": style, "layout": layout})["tile"][0]
        return np.ascontiguousarray(made.transpose(1, 2, 0))

    def _run(self, graph: str, inputs: Mapping[str, Floats]) -> dict[str, Floats]:
        return self._engine.run(self.bundle.graph(graph), inputs, self._job)


def begun_anywhere(tile: Floats, rng: np.random.Generator) -> Floats:
    """The tile (H x W x 3, without edges) rolled at random, but so that on either axis the step
    across its border is no larger than the mean step inside."""
    for axis in (0, 1):
        lines = np.moveaxis(tile, axis, 0)
        steps = np.abs(lines - np.roll(lines, 1, 0)).mean((1, 2))
        tile = np.roll(tile, -int(rng.choice(np.flatnonzero(steps <= steps.mean()))), axis)
    return tile


def materials() -> list[Choice]:
    """The materials of all models as choices."""
    found = {
        str(one["name"]): Choice(str(one["name"]), str(one["label"]))
        for model in bundle.find_bundles("material")
        for one in model.card.extra["classes"]
    }
    return list(found.values())
