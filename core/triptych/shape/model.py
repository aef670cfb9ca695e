"""A bundle of shapes: its categories, and its graphs between noise, codes, latents and fields.

A *latent* is the signed distances, cut at the card's `reach`, at the nodes of a grid over the
shape's own box (`nodes` along each side, x slowest, in a cube of which the longest side fills
0.95), then the proportions of the box. A *code* is a few numbers that tell what kind of latent it
is among those of its category: what lies between two codes of a category is a shape too, which does
not hold of latents, where a leg that stands elsewhere vanishes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError, did_you_mean
from triptych.shape import record
from triptych.shape.category import Category, categories_of, completed
from triptych.shape.contact import drawn_back
from triptych.shape.distances import signed_distances
from triptych.shape.field import Field
from triptych.shape.implicit import Implicit
from triptych.shape.known import Known
from triptych.shape.mesh import Mesh
from triptych.shape.space import Space, sharpened
from triptych.shape.subject import cut_out
from triptych.shape.turned import Turned, is_round

Array = NDArray[Any]

FILLED = 0.95  # of the cube's half side: what a shape's longest side reaches
_FLAT = 0.01  # of the longest side: what a mesh has at least in each direction
_SHEET = 0.03  # half of the thickness that a sheet gets


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

    def category(self, name: str) -> Category:
        """The category of this name; UserError with the nearest one."""
        if name not in self.categories:
            known = did_you_mean(name, self.categories)
            raise UserError(f"{self.bundle.listed} makes nothing named {name!r}{known}")
        return self.categories[name]

    def code_drawn(self, category: str, size: Array, seed: int, variety: float = 1.0) -> Array:
        """The code (1 x CODE) that the generator draws."""
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(self._noise, np.float32) * np.float32(variety)
        return self._run("draw", {"noise": noise, **self._wish(category, size)})["code"]

    def built(self, code: Array, category: str, size: Array) -> Array:
        """The latent that the network makes of a code of this category in the proportions of
        `size`."""
        return self._placed(self.coordinates_built(code, category, size), category, size)

    def coordinates_built(self, code: Array, category: str, size: Array) -> Array:
        """The coordinates (1 x K) that the network makes of a code, not yet refined."""
        return self._run("build", {"code": code, **self._wish(category, size)})["coordinates"]

    def _placed(self, coordinates: Array, category: str, size: Array) -> Array:
        """The latent at `coordinates`, of this category, in the proportions of `size`."""
        extra = self.bundle.card.extra
        reach = float(extra["reach"])
        far = self.distances(coordinates).clip(-reach, reach)
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

    def distances(self, coordinates: Array) -> Array:
        """The distances (N x nodes**3) of latents at `coordinates` (N x K)."""
        made = coordinates if self._space is None else self._space.latents(coordinates)
        return made[:, : self.nodes**3]

    def code(self, one: Implicit) -> Array:
        """The code (1 x CODE) of a shape."""
        return self.codes(one.latent, one.category)

    def coordinates(self, latents: Array) -> Array:
        """The coordinates (N x K) of latents (N x LATENT)."""
        return latents if self._space is None else self._space.coordinates(latents)

    def codes(self, latents: Array, category: str) -> Array:
        """The codes (N x CODE) of latents (N x LATENT) of one category."""
        coordinates = self.coordinates(latents)
        if self._space is not None:
            coordinates = coordinates[:, : int(self.bundle.card.extra["seen"])]
        wish = self._wish(category, latents[:, -3:])
        return self._run("code", {"coordinates": coordinates, **wish})["code"]

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
            coordinates = self.coordinates(latent)[:, : known.coordinates.shape[1]]
            return names[int(known.category[known.nearest(coordinates, size)])]

        def far(name: str) -> float:
            return float(
                ((self.built(self.code_drawn(name, size, 0, 0.0), name, size) - latent) ** 2).sum()
            )

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
        place = known.chosen(scores, number, self.distances)
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


def _proportions(sizes: Array) -> Array:
    """A size (3), or some (N x 3), over their longest sides (N x 3, float32)."""
    sizes = np.atleast_2d(sizes)
    made: Array = (sizes / sizes.max(1, keepdims=True)).astype(np.float32)
    return made
