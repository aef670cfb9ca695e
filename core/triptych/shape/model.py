"""A bundle of shapes: its categories, and its graphs between noise, codes, latents and fields.

A *latent* is the signed distances, cut at the card's `reach`, at the nodes of a grid over the
shape's own box (`nodes` along each side, x slowest, in a cube of which the longest side fills
0.95), then the proportions of the box. A *code* is a few numbers that tell what kind of latent it
is among those of its category: what lies between two codes of a category is a shape too, which does
not hold of latents, where a leg that stands elsewhere vanishes. A *form* is a code with the detail
that it does not tell.
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
from triptych.shape.form import Form
from triptych.shape.known import Known
from triptych.shape.mesh import Mesh
from triptych.shape.space import Space, sharpened
from triptych.shape.subject import cut_out

Array = NDArray[Any]

FILLED = 0.95  # of the cube's half side: what a shape's longest side reaches
_FLAT = 0.01  # of the longest side: what a mesh has at least in each direction
_SHEET = 0.03  # half of the thickness that a sheet gets
_SIZES = 1  # apart from the seed's other draws
_NEARER = 0.6  # of the distance of a new code from the nearest known one is kept,
_NEAR = 2.0  # and no more than this


class ShapeModel:
    """The bundle listed as `name`, run by `engine`; every run reports to `job`."""

    def __init__(self, name: str, engine: Engine, job: Job) -> None:
        self.bundle = bundle.get_bundle(name, "shape")
        self._engine, self._job = engine, job
        extra = self.bundle.card.extra
        self.shape = tuple(int(n) for n in extra["latent"])
        self._noise = tuple(extra.get("noise", ()))  # none: only an autoencoder
        self._truncation = float(extra["truncation"])
        self.categories = {one.name: one for one in categories_of(self.bundle)}
        self._known_of: dict[str, Known | None] = {}  # by category, as their codes
        self._known_codes: dict[str, Array] = {}

    def category(self, name: str) -> Category:
        """The category of this name; UserError with the nearest one."""
        if name not in self.categories:
            known = did_you_mean(name, self.categories)
            raise UserError(f"{self.bundle.listed} makes nothing named {name!r}{known}")
        return self.categories[name]

    def sized(
        self, category: str, asked: Sequence[float | None], seed: int, variety: float = 1.0
    ) -> Array:
        """The size of a new shape of this category, in metres: the usual one or, by `variety`, that
        of a known shape, with what is asked of its three measures."""
        size = np.array(self.category(category).size)
        if (known := self._of(category)) is not None:
            drawn = known.size[np.random.default_rng((seed, _SIZES)).integers(len(known.size))]
            size = np.round(size * (drawn / size) ** min(variety, 1.0), 3)
        return completed(size, asked)

    def drawn(self, category: str, size: Array, seed: int, variety: float = 1.0) -> Form:
        """A new shape of this category in the proportions of `size`.

        Its code is drawn, and moved towards that of the known shape that is most like it, of which
        it takes the detail: what the network alone draws may lie between unlike shapes, where there
        are none. (Examples looked up beside a generator: as in Blattmann et al. 2022,
        "Retrieval-augmented diffusion models".)
        """
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(self._noise, np.float32) * np.float32(variety)
        code = self._run("draw", {"noise": noise, **self._wish({category: 1.0}, size)})["code"]
        return self.settled(Form(code), category, size)

    def settled(self, form: Form, category: str, size: Array, share: float = 1.0) -> Form:
        """The form nearer, by `share`, to the known shape of this category that is most like it,
        with as much of that one's detail."""
        like = self._like(form.code, category, size)
        if like is None:
            return form
        apart = form.code - like.code
        kept = min(_NEARER, _NEAR / max(float(np.linalg.norm(apart)), 1e-6))
        moved = np.float32(share * (1 - kept)) * apart
        return Form(form.code - moved, form.detail + np.float32(share) * like.detail)

    def _like(self, code: Array, category: str, size: Array) -> Form | None:
        """The form of the known shape of this category that is most like this code, if there is
        one."""
        known = self._of(category)
        if known is None:
            return None
        coordinates = known.coordinates
        if self._space is not None:  # a shape may be known by fewer than there are
            lacking = len(self._space.axes) - coordinates.shape[1]
            coordinates = np.pad(coordinates, ((0, 0), (0, lacking)))
        if category not in self._known_codes:
            self._known_codes[category] = self._codes(coordinates, category, known.size)
        codes = self._known_codes[category]
        place = slice(at := known.nearest_by_code(codes, code, size), at + 1)
        return self._form(coordinates[place], codes[place], category, known.size[place])

    def built(self, form: Form, shares: Mapping[str, float], size: Array) -> Array:
        """The latent of a form, of categories by their `shares`, in the proportions of `size`."""
        wish = self._wish(shares, size)
        coordinates = self._run("build", {"code": form.code, **wish})["coordinates"]
        return self._placed(coordinates + form.detail, max(shares, key=shares.__getitem__), size)

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
            far = sharpened(latent[:, :-3], int(extra["nodes"]), float(share))
            latent[:, :-3] = far.clip(-reach, reach)
        if category in extra.get("grown", ()):
            far = drawn_back(latent[:, :-3], latent[0, -3:], int(extra["nodes"]))
            latent[:, :-3] = far.clip(-reach, reach)
        return latent

    def _distances(self, coordinates: Array) -> Array:
        """The distances (N x nodes**3) of latents at `coordinates` (N x K)."""
        made = coordinates if self._space is None else self._space.latents(coordinates)
        return made[:, : int(self.bundle.card.extra["nodes"]) ** 3]

    def formed(self, latent: Array, category: str) -> Form:
        """The form of a latent of this category."""
        sides, coordinates = latent[:, -3:], self._coordinates(latent)
        return self._form(coordinates, self._codes(coordinates, category, sides), category, sides)

    def _coordinates(self, latent: Array) -> Array:
        """The coordinates (1 x K) of a latent."""
        return latent if self._space is None else self._space.coordinates(latent)

    def _codes(self, coordinates: Array, category: str, sizes: Array) -> Array:
        """The codes of shapes of one category at `coordinates` (N x K), in these sizes (N x 3)."""
        if self._space is not None:
            coordinates = coordinates[:, : int(self.bundle.card.extra["seen"])]
        wish = self._wish({category: 1.0}, sizes)
        return self._run("code", {"coordinates": coordinates, **wish})["code"]

    def _form(self, coordinates: Array, code: Array, category: str, size: Array) -> Form:
        """The form of what is at `coordinates` (1 x K) and has this code."""
        wish = self._wish({category: 1.0}, size)
        return Form(code, coordinates - self._run("build", {"code": code, **wish})["coordinates"])

    def _of(self, category: str) -> Known | None:
        """The known shapes of this category, if there are any."""
        if category not in self._known_of:
            number = list(self.categories).index(category)
            self._known_of[category] = self._unpacked(number)
        known = self._known_of[category]
        return known if known is not None and len(known.size) else None

    @functools.cached_property
    def _known(self) -> Known | None:
        """The shapes that the bundle knows, if it was told any."""
        return self._unpacked()

    def _unpacked(self, category: int | None = None) -> Known | None:
        if "known.npz" not in self.bundle.card.files:
            return None
        held = self.bundle.arrays("known.npz", "coordinates", "step", "category", "size")
        return Known.stored(held, category)

    @functools.cached_property
    def _space(self) -> Space | None:
        """None: a latent's coordinates are its numbers."""
        known = "space.npz" in self.bundle.card.files
        return (
            Space.stored(self.bundle.arrays("space.npz", "mean", "axes", "step")) if known else None
        )

    def _wish(self, shares: Mapping[str, float], size: Array) -> dict[str, Array]:
        sides = _proportions(size)
        kinds = np.zeros((len(sides), len(self.categories)), np.float32)
        for name, share in shares.items():
            kinds[:, list(self.categories).index(self.category(name).name)] += share
        return {"kinds": kinds, "proportions": sides}

    def encoded(self, mesh: Mesh) -> Array:
        """The latent of a mesh: signed distances at the nodes of its own box, its proportions.

        It need be neither closed nor our own.
        """
        extra = self.bundle.card.extra
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        points = (mesh.vertices - (low + high) / 2) * (2 * FILLED / mesh.size.max())
        proportions = np.maximum(mesh.size / mesh.size.max(), _FLAT)
        x, y, z = (np.linspace(-side, side, int(extra["nodes"])) for side in proportions)
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

    def moved(self, form: Form, category: str, steps: Mapping[str, float]) -> Form:
        """The form, `steps` (standard deviations) further in the directions named.

        Raises UserError where a step is wanted that this bundle does not know.
        """
        wanted = {name: step for name, step in steps.items() if step}
        if not wanted:
            return form
        known = self.bundle.card.extra.get("directions", [])
        for name in wanted:
            if name not in known:
                raise UserError(f"{self.bundle.listed} does not know {name}: leave it at 0.")
        own = self.bundle.arrays("directions.npz")[self.category(category).name].astype(np.float32)
        code = form.code + sum(np.float32(step) * own[known.index(n)] for n, step in wanted.items())
        return Form(code, form.detail)

    def nearest(self, latent: Array, size: Array) -> str:
        """The category of what is most like `latent` in these proportions: of the known shapes, or
        of the typical ones where none are known."""
        names = list(self.categories)
        if self._known is not None:
            known = self._known.among(len(names))
            coordinates = self._coordinates(latent)[:, : known.coordinates.shape[1]]
            return names[int(known.category[known.nearest(coordinates, size)])]

        def far(name: str) -> float:
            typical = self.built(self.drawn(name, size, 0, 0.0), {name: 1.0}, size)
            return float(((typical - latent) ** 2).sum())

        return min(names, key=far)

    def looked_at(
        self,
        pixels: Array,
        alpha: Array | None,
        category: str | None,
        asked: Sequence[float | None] = (None, None, None),
    ) -> tuple[Array, str, Array]:
        """Latent, category and size (metres) of the one thing in a picture.

        They are those of a known shape, but for the measures that are `asked`. The category is
        seen unless it is given. UserError where no one thing is to be seen.
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
        return self._placed(known.coordinates[place][None], category, size), category, size

    def understood(self, mesh: Mesh) -> tuple[Array, str, Array]:
        """Latent, category and size (metres) of a mesh.

        They stand in its record, if this model made it; else its surface is encoded.
        """
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
        return latent, self.nearest(latent, size), size

    def _run(self, graph: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._engine.run(self.bundle.graph(graph), inputs, self._job)


def _proportions(sizes: Array) -> Array:
    """A size (3), or some (N x 3), over their longest sides (N x 3, float32)."""
    sizes = np.atleast_2d(sizes)
    made: Array = (sizes / sizes.max(1, keepdims=True)).astype(np.float32)
    return made
