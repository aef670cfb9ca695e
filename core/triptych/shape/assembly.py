"""New shapes: exemplars of a bundle, chosen by codes, joined where they meet, and warped.

An *exemplar* is a latent that the bundle decodes well (`exemplars`). A bundle without any makes
what its network makes of a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError
from triptych.shape import exemplars, warp
from triptych.shape.category import completed
from triptych.shape.crossing import joined, seams
from triptych.shape.implicit import Implicit
from triptych.shape.known import unlike
from triptych.shape.model import ShapeModel
from triptych.shape.turned import is_round

Array = NDArray[Any]

_SIZES, _CHOICE, _PARTNER = 1, 2, 3  # apart from the seed's other draws
_OPEN = 15.0  # how much less like the exemplar of a new shape may be, in squares of codes
_TURNS, _TURN = 6, 150.0  # so many seeds each have their own exemplars, but for so much likeness
_JOINED = 2.0  # the share of those that are joined, per variety above 1
_GAINED = 60.0  # how much less like it may be what makes another shape of it
_STRETCHED = 0.06  # of a new shape's sides beside its exemplar's, as logarithms
_LOOSE = 0.7  # how much less like it may be what is varied, of how unlike the others are
_GAIN = 1.5  # how much further than what fits best, which hardly shows
_ALONG = 40.0  # how much squares of steps count beside those of codes
_SAME = 0.02  # of the cube's half side: latents that differ by less are of one shape


class Assembler:
    """Makes shapes of the exemplars of a model's bundle."""

    def __init__(self, model: ShapeModel) -> None:
        self.model = model
        self._exemplars: dict[str, _Exemplars] = {}  # by category

    def sized(
        self, category: str, asked: Sequence[float | None], seed: int, variety: float = 1.0
    ) -> Array:
        """The size of a new shape of this category, in metres: the usual one or, by `variety`,
        nearly that of the exemplar which is most like what this seed draws. Where some of its three
        measures are asked for, the others are in proportion to those of any exemplar."""
        size = np.array(self.model.category(category).size)
        sizes = self._of(category).size
        if len(sizes) and variety:
            rng = np.random.default_rng((seed, _SIZES))
            drawn = sizes[rng.integers(len(sizes))]
            if all(side is None for side in asked):  # a round lamp in another's size would be flat
                code = self.model.code_drawn(category, drawn, seed, variety)
                like = self.near(code, category, drawn, seed, variety)
                stretched = _STRETCHED * rng.standard_normal(3)
                if is_round(like.latent, self.model.nodes):
                    stretched[2] = stretched[0]
                drawn = like.size * np.exp(stretched)
            size = np.round(size * (drawn / size) ** min(variety, 1.0), 3)
        return completed(size, asked)

    def drawn(self, category: str, size: Array, seed: int, variety: float = 1.0) -> Implicit:
        """A new shape of this category and size (metres).

        What the network alone makes of a code that it draws may lie between unlike shapes, where
        there are none. So the exemplar that is most like it is warped towards it (examples looked
        up beside a generator, as in Blattmann et al. 2022, "Retrieval-augmented diffusion models";
        deformed, as in Uy et al. 2020, "Deformation-aware 3D model embedding and retrieval"). The
        more `variety` is above 1, the oftener it is parts of two, joined where they meet (as in
        Funkhouser et al. 2004, "Modeling by example"): new, but not always of one piece. Without
        exemplars it is what the network makes.
        """
        code = self.model.code_drawn(category, size, seed, variety)
        one = self.near(code, category, size, seed, variety)
        if not len(self._of(category).size):
            return one
        rng = np.random.default_rng((seed, _PARTNER))
        if rng.random() < _JOINED * (variety - 1):
            one = self._joined(one, code, size, variety, rng)
        return self._warped(one, code, size)

    def _joined(
        self, one: Implicit, code: Array, size: Array, variety: float, rng: np.random.Generator
    ) -> Implicit:
        """A shape above or below an exemplar that is like the code too; itself, if it meets
        none."""
        own = self._of(one.category)
        rows, places, gained = self._partners(one)
        if not len(rows):
            return one
        far = unlike(own.codes[rows], own.size[rows], code, size) - _GAINED * gained
        best = int((far - _OPEN * variety * rng.gumbel(size=len(far))).argmin())
        pair = one.latent, own.latents[rows[best]][None]
        pair = pair if rng.random() < 0.5 else pair[::-1]
        latent = joined(pair[0], pair[1], int(places[best]), 0.5, self.model.nodes)
        return Implicit(latent, one.category, one.size)

    def _partners(self, one: Implicit) -> tuple[Array, Array, Array]:
        """The exemplars of its category that a shape meets without a step: their places, and the
        nodes and gains of `seams`."""
        latents = self._of(one.category).latents
        places, gained = seams(one.latent, latents, self.model.nodes)
        turned = is_round(one.latent, self.model.nodes)
        rows = np.array(
            [
                row
                for row in np.flatnonzero(np.isfinite(gained))
                if is_round(latents[row : row + 1], self.model.nodes) == turned
            ],
            np.int64,
        )
        return rows, places[rows], gained[rows]

    def moved(self, one: Implicit, steps: Mapping[str, float]) -> Implicit:
        """The shape, or one like it, `steps` (standard deviations) further in the directions named.

        Raises UserError where a step is wanted that this bundle does not know.
        """
        wanted = {name: step for name, step in steps.items() if step}
        if not wanted:
            return one
        known = self.model.bundle.card.extra.get("directions", [])
        for name in wanted:
            if name not in known:
                raise UserError(f"{self.model.bundle.listed} does not know {name}: leave it at 0.")
        ways = self.model.bundle.arrays("directions.npz")[self.model.category(one.category).name]
        told = [(step, ways[known.index(n)].astype(np.float32)) for n, step in wanted.items()]
        here = self.model.code(one)
        goal = (here + sum(step * way for step, way in told)).astype(np.float32)
        if not len(self._of(one.category).size):
            return Implicit(self.model.built(goal, one.category, one.size), one.category, one.size)
        known = self._like(one)
        far = unlike(known.codes, known.latents[:, -3:], goal, one.size)
        for step, way in told:
            far += _ALONG * (((known.codes - here) @ way[0] / (way**2).sum()) - step) ** 2
        return self._warped(known.at(int(far.argmin()), one), goal, one.size)

    def varied(self, one: Implicit, amount: float, seed: int) -> Implicit:
        """The shape, of which about an `amount` (0..1) is of another one of its category."""
        return self._near_codes([one], amount, seed, 2.0)

    def like(self, some: Sequence[Implicit], amount: float, seed: int) -> Implicit:
        """A shape like one or two of a category, of which about an `amount` (0..1) is of another
        one. It is none of these, but by no amount."""
        return self._near_codes(some, amount, seed, np.inf)

    def _near_codes(
        self, some: Sequence[Implicit], amount: float, seed: int, again: float
    ) -> Implicit:
        """What is like one or two shapes of a category. They count as less like themselves, by
        `again` times how loose the choice is."""
        rng = np.random.default_rng((seed, _CHOICE))
        near, one = self.model.code(some[0]), some[0]
        if len(some) > 1:
            near = near + (self.model.code(some[1]) - near) * np.float32(rng.uniform(0.25, 0.75))
        drawn = self.model.code_drawn(one.category, one.size, seed)
        goal = near + np.float32(amount) * (drawn - near)
        if not len(self._of(one.category).size):
            return Implicit(self.model.built(goal, one.category, one.size), one.category, one.size)
        known = _Like.merged([self._like(each) for each in some])
        sides = known.latents[:, -3:]
        loose = _LOOSE * amount**1.5 * np.median(unlike(known.codes, sides, near, one.size))
        far = unlike(known.codes, sides, goal, one.size) - loose * rng.gumbel(size=len(sides))
        if amount:
            same = [np.abs(known.latents - each.latent).max(1) < _SAME for each in some]
            far[np.any(same, 0)] += again * max(loose, 1e-9)
        return self._warped(known.at(int(far.argmin()), one), goal, one.size)

    def _like(self, one: Implicit) -> _Like:
        """The shape, the exemplars of its category, and what is made of it above or below one of
        them, where that is another."""
        own = self._of(one.category)
        pairs: list[Array] = [one.latent]
        for row, place, _ in zip(*self._partners(one), strict=True):
            pair = one.latent, own.latents[row][None]
            pairs += [
                joined(a, b, int(place), 0.5, self.model.nodes) for a, b in (pair, pair[::-1])
            ]
        made = np.concatenate(pairs)
        latents = np.concatenate([made[:1], own.latents, made[1:]])
        codes = self.model.codes(made, one.category)
        codes = np.concatenate([codes[:1], own.codes, codes[1:]])
        kept = np.abs(latents - one.latent).max(1) >= _SAME
        kept[0] = True
        warps = np.repeat(warp.none()[None], len(latents), 0)
        warps[0] = one.warp
        return _Like(latents[kept], codes[kept], warps[kept])

    def near(
        self, code: Array, category: str, size: Array, seed: int = 0, variety: float = 0.0
    ) -> Implicit:
        """The exemplar that is most like a code of this category in this size (metres).

        By `variety` (0..1.5) it is not always the nearest, for some are nearest to many codes, and
        seeds that follow each other rarely share one. Without exemplars it is what the network
        makes of the code.
        """
        own = self._of(category)
        if not len(own.size):
            return Implicit(self.model.built(code, category, size), category, size)
        chance = np.random.default_rng((seed, _CHOICE)).gumbel(size=len(own.size))
        far = unlike(own.codes, own.size, code, size) - _OPEN * variety * chance
        if variety:
            far += _TURN * (np.arange(len(far)) % _TURNS != seed % _TURNS)
        place = int(far.argmin())
        return Implicit(own.latents[place : place + 1], category, own.size[place])

    def _warped(self, one: Implicit, code: Array, size: Array) -> Implicit:
        """The shape, in this size, warped towards what it would be if it had this code."""
        coordinates, sides = self.model.coordinates(one.latent), one.latent[0, -3:]
        was, would_be = (
            self.model.coordinates_built(each, one.category, sides)
            for each in (self.model.code(one), code)
        )
        start, goal = (
            self.model.distances(each) for each in (coordinates, coordinates + would_be - was)
        )
        bent = _GAIN * warp.towards(start, goal, self.model.nodes)
        if is_round(one.latent, self.model.nodes):
            bent[[0, 2]] = 0  # else what is round would become square
        return Implicit(one.latent, one.category, size, warp.sound(one.warp + bent))

    def _of(self, category: str) -> _Exemplars:
        """The exemplars of this category: none, if the bundle has none."""
        if category not in self._exemplars:
            stored = "exemplars.npz" in self.model.bundle.card.files
            held = self.model.bundle.arrays("exemplars.npz") if stored else {}
            latents, size = exemplars.unpacked(held, category, self.model.nodes)
            codes = np.zeros((0, 1), np.float32)
            if len(size):
                codes = self.model.codes(latents, category)
            self._exemplars[category] = _Exemplars(latents, codes, size)
        return self._exemplars[category]


@dataclass(frozen=True)
class _Exemplars:
    """Those of a category: latents (N x LATENT), codes (N x CODE) and sizes (N x 3, metres)."""

    latents: Array
    codes: Array
    size: Array


@dataclass(frozen=True)
class _Like:
    """What a new shape is chosen from: latents (N x LATENT), codes (N x CODE) and warps
    (N x 3 x TERMS)."""

    latents: Array
    codes: Array
    warps: Array

    @classmethod
    def merged(cls, some: Sequence[_Like]) -> _Like:
        """All of them, none twice."""
        latents = np.concatenate([each.latents for each in some])
        once = np.sort(np.unique(latents, axis=0, return_index=True)[1])
        codes, warps = (
            np.concatenate([getattr(each, name) for each in some])[once]
            for name in ("codes", "warps")
        )
        return cls(latents[once], codes, warps)

    def at(self, place: int, one: Implicit) -> Implicit:
        """That at a place, of the category and in the size of `one`."""
        latent = self.latents[place : place + 1]
        return Implicit(latent, one.category, one.size, self.warps[place])
