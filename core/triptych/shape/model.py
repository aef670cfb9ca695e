"""A bundle of shapes: its categories, and its graphs between noise, codes, latents and fields.

A *latent* is the signed distances, cut at the card's `reach`, at the nodes of a grid over the
shape's own box (`nodes` along each side, x slowest, in a cube of which the longest side fills
0.95), then the proportions of the box. A *code* is a few numbers that tell what kind of latent it
is among those of its category: what lies between two codes of a category is a shape too, which does
not hold of latents, where a leg that stands elsewhere vanishes. An *exemplar* is a latent that the
bundle decodes well; what is new is parts of two of them, warped.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError, did_you_mean
from triptych.shape import exemplars, record, warp
from triptych.shape.category import Category, categories_of, completed
from triptych.shape.contact import drawn_back
from triptych.shape.crossing import joined, seams
from triptych.shape.distances import signed_distances
from triptych.shape.field import Field
from triptych.shape.implicit import Implicit
from triptych.shape.known import Known, unlike
from triptych.shape.mesh import Mesh
from triptych.shape.space import Space, sharpened
from triptych.shape.subject import cut_out
from triptych.shape.turned import Turned, is_round

Array = NDArray[Any]

FILLED = 0.95  # of the cube's half side: what a shape's longest side reaches
_FLAT = 0.01  # of the longest side: what a mesh has at least in each direction
_SHEET = 0.03  # half of the thickness that a sheet gets
_SIZES, _CHOICE, _PARTNER = 1, 2, 3  # apart from the seed's other draws
_OPEN = 15.0  # how much less like the exemplar of a new shape may be, in squares of codes
_TURNS, _TURN = 6, 150.0  # so many seeds each have their own exemplars, but for so much likeness
_GAINED = 60.0  # how much less like it may be what makes another shape of it
_STRETCHED = 0.06  # of a new shape's sides beside its exemplar's, as logarithms
_LOOSE = 0.7  # how much less like it may be what is varied, of how unlike the others are
_GAIN = 1.5  # how much further than what fits best, which hardly shows
_ALONG = 40.0  # how much squares of steps count beside those of codes
_SAME = 0.02  # of the cube's half side: latents that differ by less are of one shape


class ShapeModel:
    """The bundle listed as `name`, run by `engine`; every run reports to `job`."""

    def __init__(self, name: str, engine: Engine, job: Job) -> None:
        self.bundle = bundle.get_bundle(name, "shape")
        self._engine, self._job = engine, job
        extra = self.bundle.card.extra
        self.shape = tuple(int(n) for n in extra["latent"])
        self._noise = tuple(extra.get("noise", ()))  # none: only an autoencoder
        self.nodes = int(extra["nodes"])
        self._truncation = float(extra["truncation"])
        self.categories = {one.name: one for one in categories_of(self.bundle)}
        self._exemplars: dict[str, _Exemplars] = {}  # by category

    def category(self, name: str) -> Category:
        """The category of this name; UserError with the nearest one."""
        if name not in self.categories:
            known = did_you_mean(name, self.categories)
            raise UserError(f"{self.bundle.listed} makes nothing named {name!r}{known}")
        return self.categories[name]

    def sized(
        self, category: str, asked: Sequence[float | None], seed: int, variety: float = 1.0
    ) -> Array:
        """The size of a new shape of this category, in metres: the usual one or, by `variety`,
        nearly that of the exemplar which is most like what this seed draws, with what is asked of
        its three measures."""
        size = np.array(self.category(category).size)
        sizes = self._of(category).size
        if len(sizes) and variety:
            rng = np.random.default_rng((seed, _SIZES))
            drawn = sizes[rng.integers(len(sizes))]
            if all(side is None for side in asked):  # a round lamp in another's size would be flat
                code = self.code_drawn(category, drawn, seed, variety)
                like = self.near(code, category, drawn, seed, variety)
                stretched = _STRETCHED * rng.standard_normal(3)
                if is_round(like.latent, self.nodes):
                    stretched[2] = stretched[0]
                drawn = like.size * np.exp(stretched)
            size = np.round(size * (drawn / size) ** min(variety, 1.0), 3)
        return completed(size, asked)

    def drawn(self, category: str, size: Array, seed: int, variety: float = 1.0) -> Implicit:
        """A new shape of this category and size (metres).

        What the network alone makes of a code that it draws may lie between unlike shapes, where
        there are none. So the exemplar that is most like it is joined with another that is like it,
        where they meet (parts of two, as in Funkhouser et al. 2004, "Modeling by example"), and
        warped towards it (examples looked up beside a generator, as in Blattmann et al. 2022,
        "Retrieval-augmented diffusion models"; deformed, as in Uy et al. 2020, "Deformation-aware
        3D model embedding and retrieval"). Without exemplars it is what the network makes.
        """
        code = self.code_drawn(category, size, seed, variety)
        one = self.near(code, category, size, seed, variety)
        if not len(self._of(category).size):
            return one
        if variety:
            one = self._joined(one, code, size, seed, variety)
        return self._warped(one, code, size)

    def _joined(
        self, one: Implicit, code: Array, size: Array, seed: int, variety: float
    ) -> Implicit:
        """An exemplar above or below another one that is like the code too; itself, if it meets
        none."""
        own = self._of(one.category)
        rows, places, gained = self._partners(one)
        if not len(rows):
            return one
        rng = np.random.default_rng((seed, _PARTNER))
        far = unlike(own.codes[rows], own.size[rows], code, size) - _GAINED * gained
        best = int((far - _OPEN * variety * rng.gumbel(size=len(far))).argmin())
        pair = one.latent, own.latents[rows[best]][None]
        pair = pair if rng.random() < 0.5 else pair[::-1]
        latent = joined(pair[0], pair[1], int(places[best]), 0.5, self.nodes)
        return Implicit(latent, one.category, one.size)

    def _partners(self, one: Implicit) -> tuple[Array, Array, Array]:
        """The exemplars of its category that a shape meets without a step: their places, and the
        nodes and gains of `seams`."""
        latents = self._of(one.category).latents
        places, gained = seams(one.latent, latents, self.nodes)
        turned = is_round(one.latent, self.nodes)
        rows = np.array(
            [
                row
                for row in np.flatnonzero(np.isfinite(gained))
                if is_round(latents[row : row + 1], self.nodes) == turned
            ],
            np.int64,
        )
        return rows, places[rows], gained[rows]

    def code_drawn(self, category: str, size: Array, seed: int, variety: float = 1.0) -> Array:
        """The code (1 x CODE) that the generator draws."""
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(self._noise, np.float32) * np.float32(variety)
        return self._run("draw", {"noise": noise, **self._wish(category, size)})["code"]

    def moved(self, one: Implicit, steps: Mapping[str, float]) -> Implicit:
        """The shape, or one like it, `steps` (standard deviations) further in the directions named.

        Raises UserError where a step is wanted that this bundle does not know.
        """
        wanted = {name: step for name, step in steps.items() if step}
        if not wanted:
            return one
        known = self.bundle.card.extra.get("directions", [])
        for name in wanted:
            if name not in known:
                raise UserError(f"{self.bundle.listed} does not know {name}: leave it at 0.")
        ways = self.bundle.arrays("directions.npz")[self.category(one.category).name]
        told = [(step, ways[known.index(n)].astype(np.float32)) for n, step in wanted.items()]
        here = self.code(one)
        goal = (here + sum(step * way for step, way in told)).astype(np.float32)
        if not len(self._of(one.category).size):
            return Implicit(self.built(goal, one.category, one.size), one.category, one.size)
        latents, codes = self._like(one)
        far = unlike(codes, latents[:, -3:], goal, one.size)
        for step, way in told:
            far += _ALONG * (((codes - here) @ way[0] / (way**2).sum()) - step) ** 2
        return self._replaced(one, latents, int(far.argmin()), goal)

    def varied(self, one: Implicit, amount: float, seed: int) -> Implicit:
        """The shape, of which about an `amount` (0..1) is of another one of its category."""
        return self._near_codes([one], amount, seed, 2.0)

    def like(self, some: Sequence[Implicit], amount: float, seed: int) -> Implicit:
        """A shape like one or two of a category, but none of these, of which about an `amount`
        (0..1) is of another one."""
        return self._near_codes(some, amount, seed, np.inf)

    def _near_codes(
        self, some: Sequence[Implicit], amount: float, seed: int, again: float
    ) -> Implicit:
        """What is like one or two shapes of a category. They count as less like themselves, by
        `again` times how loose the choice is."""
        rng = np.random.default_rng((seed, _CHOICE))
        near, one = self.code(some[0]), some[0]
        if len(some) > 1:
            near = near + (self.code(some[1]) - near) * np.float32(rng.uniform(0.25, 0.75))
        drawn = self.code_drawn(one.category, one.size, seed)
        goal = near + np.float32(amount) * (drawn - near)
        if not len(self._of(one.category).size):
            return Implicit(self.built(goal, one.category, one.size), one.category, one.size)
        found = [self._like(each) for each in some]
        latents, codes = (np.concatenate(part) for part in zip(*found, strict=True))
        known = [np.arange(len(part)) == 0 for part, _ in found]
        loose = _LOOSE * amount**1.5 * np.median(unlike(codes, latents[:, -3:], near, one.size))
        far = unlike(codes, latents[:, -3:], goal, one.size) - loose * rng.gumbel(size=len(codes))
        far[np.concatenate(known)] += again * max(loose, 1e-9)
        return self._replaced(one, latents, int(far.argmin()), goal)

    def _replaced(self, one: Implicit, latents: Array, place: int, code: Array) -> Implicit:
        """That of the latents, of which the first is the shape's own, warped towards a code."""
        bent = one.warp if place == 0 else warp.none()
        found = Implicit(latents[place : place + 1], one.category, one.size, bent)
        return self._warped(found, code, one.size)

    def _like(self, one: Implicit) -> tuple[Array, Array]:
        """The latents (N x LATENT) and codes (N x CODE) of the shape, of the exemplars of its
        category, and of what is made of it above or below one of them, where that is another."""
        own = self._of(one.category).latents
        made = [one.latent, own]
        for row, place, _ in zip(*self._partners(one), strict=True):
            pair = one.latent, own[row][None]
            made += [joined(a, b, int(place), 0.5, self.nodes) for a, b in (pair, pair[::-1])]
        latents = np.concatenate(made)
        same = np.abs(latents - one.latent).max(1) < _SAME
        latents = latents[~same | (np.arange(len(same)) == 0)]
        codes = self._codes(self._coordinates(latents), one.category, latents[:, -3:])
        return latents, codes

    def _exemplar(self, place: int, category: str) -> Implicit:
        own = self._of(category)
        return Implicit(own.latents[place : place + 1], category, own.size[place])

    def near(
        self,
        code: Array,
        category: str,
        size: Array,
        seed: int = 0,
        variety: float = 0.0,
        but: Implicit | None = None,
    ) -> Implicit:
        """The exemplar that is most like a code of this category in this size (metres), but for
        one. By `variety` (0..1.5) it is not always the nearest, for some are nearest to many codes,
        and seeds that follow each other rarely share one. Without exemplars it is what the network
        makes of the code."""
        own = self._of(category)
        if not len(own.size):
            return Implicit(self.built(code, category, size), category, size)
        chance = np.random.default_rng((seed, _CHOICE)).gumbel(size=len(own.size))
        far = unlike(own.codes, own.size, code, size) - _OPEN * variety * chance
        if variety:
            far += _TURN * (np.arange(len(far)) % _TURNS != seed % _TURNS)
        if but is not None:
            far[np.abs(own.latents - but.latent).max(1) < _SAME] = np.inf
        return self._exemplar(int(far.argmin()), category)

    def _warped(self, one: Implicit, code: Array, size: Array) -> Implicit:
        """The shape, in this size, warped towards what it would be if it had this code."""
        coordinates, sides = self._coordinates(one.latent), one.latent[0, -3:]
        was, would_be = (self._built(each, one.category, sides) for each in (self.code(one), code))
        start, goal = (
            self._distances(each) for each in (coordinates, coordinates + would_be - was)
        )
        bent = _GAIN * warp.towards(start, goal, self.nodes)
        if is_round(one.latent, self.nodes):
            bent[[0, 2]] = 0  # else what is round would become square
        return Implicit(one.latent, one.category, size, warp.sound(one.warp + bent))

    def built(self, code: Array, category: str, size: Array) -> Array:
        """The latent that the network makes of a code of this category in the proportions of
        `size`."""
        return self._placed(self._built(code, category, size), category, size)

    def _built(self, code: Array, category: str, size: Array) -> Array:
        return self._run("build", {"code": code, **self._wish(category, size)})["coordinates"]

    def _placed(self, coordinates: Array, category: str, size: Array) -> Array:
        """The latent at `coordinates`, of this category, in the proportions of `size`."""
        extra = self.bundle.card.extra
        reach = float(extra["reach"])
        far = self._distances(coordinates).clip(-reach, reach)
        latent = np.concatenate([far, _proportions(size)], 1)
        if "refine" in self.bundle.card.graphs:
            latent = self._run("refine", {"latent": latent})["refined"]
            share = extra["sharpened"]
            if isinstance(share, Mapping):  # earlier bundles have one for all
                share = share[category]
            far = sharpened(latent[:, :-3], self.nodes, float(share))
            latent[:, :-3] = far.clip(-reach, reach)
        if category in extra.get("grown", ()):
            far = drawn_back(latent[:, :-3], latent[0, -3:], self.nodes)
            latent[:, :-3] = far.clip(-reach, reach)
        return latent

    def _distances(self, coordinates: Array) -> Array:
        """The distances (N x nodes**3) of latents at `coordinates` (N x K)."""
        made = coordinates if self._space is None else self._space.latents(coordinates)
        return made[:, : self.nodes**3]

    def code(self, one: Implicit) -> Array:
        """The code (1 x CODE) of a shape."""
        return self._codes(self._coordinates(one.latent), one.category, one.latent[:, -3:])

    def _coordinates(self, latent: Array) -> Array:
        """The coordinates (1 x K) of a latent."""
        return latent if self._space is None else self._space.coordinates(latent)

    def _codes(self, coordinates: Array, category: str, sizes: Array) -> Array:
        """The codes of shapes of one category at `coordinates` (N x K), in these sizes (N x 3)."""
        if self._space is not None:
            coordinates = coordinates[:, : int(self.bundle.card.extra["seen"])]
        wish = self._wish(category, sizes)
        return self._run("code", {"coordinates": coordinates, **wish})["code"]

    def _of(self, category: str) -> _Exemplars:
        """The exemplars of this category: none, if the bundle has none."""
        if category not in self._exemplars:
            stored = "exemplars.npz" in self.bundle.card.files
            held = self.bundle.arrays("exemplars.npz") if stored else {}
            latents, size = exemplars.unpacked(held, category, self.nodes)
            codes = np.zeros((0, 1), np.float32)
            if len(size):
                codes = self._codes(self._coordinates(latents), category, size)
            self._exemplars[category] = _Exemplars(latents, codes, size)
        return self._exemplars[category]

    @functools.cached_property
    def _known(self) -> Known | None:
        """The shapes that the bundle knows, if it was told any."""
        if "known.npz" not in self.bundle.card.files:
            return None
        held = self.bundle.arrays("known.npz", "coordinates", "step", "category", "size")
        return Known.stored(held)

    @functools.cached_property
    def _space(self) -> Space | None:
        """None: a latent's coordinates are its numbers."""
        known = "space.npz" in self.bundle.card.files
        return (
            Space.stored(self.bundle.arrays("space.npz", "mean", "axes", "step")) if known else None
        )

    def _wish(self, category: str, size: Array) -> dict[str, Array]:
        sides = _proportions(size)
        kinds = np.zeros((len(sides), len(self.categories)), np.float32)
        kinds[:, list(self.categories).index(category)] = 1
        return {"kinds": kinds, "proportions": sides}

    def encoded(self, mesh: Mesh) -> Array:
        """The latent of a mesh: signed distances at the nodes of its own box, its proportions.

        It need be neither closed nor our own.
        """
        extra = self.bundle.card.extra
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        points = (mesh.vertices - (low + high) / 2) * (2 * FILLED / mesh.size.max())
        proportions = np.maximum(mesh.size / mesh.size.max(), _FLAT)
        x, y, z = (np.linspace(-side, side, self.nodes) for side in proportions)
        reach = float(extra["reach"])
        far = signed_distances(points, mesh.faces, (x, y, z))
        if far.min() > 0 and mesh.faults():
            far -= _SHEET  # it encloses nothing
        made: Array = np.concatenate([far.clip(-reach, reach), proportions]).astype(np.float32)[
            None
        ]
        return made

    def field(self, latent: Array, symmetry: float) -> Field:
        """The field of a latent, made symmetric by that share."""
        grid = self._run("decode", {"latent": latent})["grid"]
        graph = self.bundle.graph("field")
        return Field(
            grid, latent[0, -3:], graph, self._engine, self._job, self._truncation, symmetry
        )

    def surface(self, latent: Array, detail: int, symmetry: float = 0.0) -> Field | Turned:
        """The field of which the surface is extracted, at `detail` cells: round where it is."""
        field = self.field(latent, symmetry)
        if not is_round(latent, self.nodes):
            return field
        return Turned(field, detail, float(latent[0, -3]) + self._truncation, self._truncation)

    def nearest(self, latent: Array, size: Array) -> str:
        """The category of what is most like `latent` in these proportions: of the known shapes, or
        of the typical ones where none are known."""
        names = list(self.categories)
        if self._known is not None:
            known = self._known.among(len(names))
            coordinates = self._coordinates(latent)[:, : known.coordinates.shape[1]]
            return names[int(known.category[known.nearest(coordinates, size)])]

        def far(name: str) -> float:
            return float(((self.drawn(name, size, 0, 0.0).latent - latent) ** 2).sum())

        return min(names, key=far)

    def looked_at(
        self,
        pixels: Array,
        alpha: Array | None,
        category: str | None,
        asked: Sequence[float | None] = (None, None, None),
    ) -> Implicit:
        """The one thing in a picture.

        It is a known shape, but for the measures that are `asked`. The category is seen unless it
        is given. UserError where no one thing is to be seen.
        """
        if "picture" not in self.bundle.card.graphs:
            raise UserError(f"{self.bundle.listed} cannot look at pictures: use another model.")
        names = list(self.categories)
        number = None if category is None else names.index(self.category(category).name)
        known = self._known
        if known is None:
            raise UserError(f"{self.bundle.listed} knows no shapes: use another model.")
        found = self._run("picture", {"picture": cut_out(pixels, alpha)[None].astype(np.float32)})
        keys = self._run("key", known.offered())
        scores = known.scores(found["query"][0], keys["key"], keys["usual"], len(names))
        place = known.chosen(scores, number, self._distances)
        if number is None:
            number = int(known.category[place])
            if number >= len(names):  # of none
                number = known.likeliest(scores, len(names))
        size = completed(known.size[place].astype(np.float64), asked)
        category = names[number]
        return Implicit(
            self._placed(known.coordinates[place][None], category, size), category, size
        )

    def understood(self, mesh: Mesh) -> Implicit:
        """What a mesh is the surface of: that stands in its record, if this model made it; else its
        surface is encoded."""
        if mesh.record is not None and record.is_of(mesh.record, self.bundle.card):
            return record.read(mesh.record, self.shape, self.categories)
        if not len(mesh.faces):
            raise UserError(
                f"the shape was not made by {self.bundle.listed} {self.bundle.card.version}: give "
                "its mesh."
            )
        latent = self.encoded(mesh)
        size = mesh.size.astype(np.float64)
        size = np.maximum(size, _FLAT * size.max())  # a flat one gets some depth
        return Implicit(latent, self.nearest(latent, size), size)

    def _run(self, graph: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._engine.run(self.bundle.graph(graph), inputs, self._job)


@dataclass(frozen=True)
class _Exemplars:
    """Those of a category: latents (N x LATENT), codes (N x CODE) and sizes (N x 3, metres)."""

    latents: Array
    codes: Array
    size: Array


def _proportions(sizes: Array) -> Array:
    """A size (3), or some (N x 3), over their longest sides (N x 3, float32)."""
    sizes = np.atleast_2d(sizes)
    made: Array = (sizes / sizes.max(1, keepdims=True)).astype(np.float32)
    return made
