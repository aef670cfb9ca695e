"""Solids as signed-distance expressions: primitives, and what joins them.

A field is called with the coordinates of N points (three float32 arrays, metres) and gives N
distances, negative inside; after Quilez, "Distance functions" (iquilezles.org), and Hart 1996,
"Sphere tracing". What is no exact distance is a bound of it that is right near the surface.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from triptych.training.shape.procedural.outline import Table, oval, polygon_distance, ring

Point = Sequence[float]
_TABLED = 10  # vertices from which a polygon is looked up, not worked out
_WAVES = 5  # of one size


class Field(ABC):
    """A solid. `outline` is N x 4: spheres (centre, radius) whose hull is as large as the solid."""

    outline: np.ndarray
    costly = False  # more than some twenty operations a point
    loose = False  # the outline is larger than the solid

    @abstractmethod
    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The signed distances of the points."""

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest corner."""
        centres, radii = self.outline[:, :3], self.outline[:, 3:]
        return (centres - radii).min(0), (centres + radii).max(0)


def _spheres(points: np.ndarray, radius: float | np.ndarray = 0.0) -> np.ndarray:
    points = np.asarray(points, np.float64).reshape(-1, 3)
    return np.column_stack([points, np.broadcast_to(radius, len(points))])


def _round_corner(*parts: np.ndarray) -> np.ndarray:
    """The distance of what lies within all the parts, exact where these are at right angles."""
    inner = parts[0]
    outer = np.maximum(parts[0], 0)
    outer *= outer
    for part in parts[1:]:
        inner = np.maximum(inner, part)
        over = np.maximum(part, 0)
        over *= over
        outer += over
    return np.sqrt(outer) + np.minimum(inner, 0)


class Box(Field):
    """A box by its centre and whole size, its edges rounded by `rounding`."""

    def __init__(self, centre: Point, size: Point, rounding: float = 0.0) -> None:
        self.centre = [float(c) for c in centre]
        self.rounding = min(float(rounding), 0.499 * float(min(size)))
        self.half = [float(s) / 2 - self.rounding for s in size]
        signs = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), -1).reshape(-1, 3)
        self.outline = _spheres(self.centre + signs * self.half, self.rounding)

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        parts = (
            np.abs(v - c) - h for v, c, h in zip((x, y, z), self.centre, self.half, strict=True)
        )
        return _round_corner(*parts) - self.rounding


class Ellipsoid(Field):
    """An ellipsoid by its centre and half axes."""

    def __init__(self, centre: Point, radii: Point) -> None:
        self.centre, self.radii = [float(c) for c in centre], [float(r) for r in radii]
        turn, height = np.arange(200) * 2.39996, np.linspace(-1, 1, 200)  # a Fibonacci sphere
        flat = np.sqrt(1 - height**2)
        unit = np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], -1)
        unit = np.concatenate([unit, np.eye(3), -np.eye(3)])
        self.outline = _spheres(self.centre + unit * self.radii)

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        inner, outer = np.zeros_like(x), np.zeros_like(x)
        for v, c, r in zip((x, y, z), self.centre, self.radii, strict=True):
            q = (v - c) / r
            q *= q
            inner += q
            outer += q / r**2
        scaled = np.sqrt(inner)
        return scaled * (scaled - 1) / np.maximum(np.sqrt(outer), 1e-6)


class Rod(Field):
    """A straight bar from `a` to `b`, round or square, its half thickness going from `ra` to `rb`.

    A square one has `flat` times that half thickness in its second direction. With `foot` it goes
    on a little beyond `a`, where the ground cuts it.
    """

    def __init__(
        self,
        a: Point,
        b: Point,
        ra: float,
        rb: float | None = None,
        *,
        square: bool = False,
        flat: float = 1.0,
        rounding: float = 0.0,
        foot: bool = False,
    ) -> None:
        start, end = np.asarray(a, float), np.asarray(b, float)
        self.ra, self.rb = float(ra), float(ra if rb is None else rb)
        along = end - start
        length = float(np.linalg.norm(along))
        along /= length
        helper = np.array([0.0, 0.0, 1.0]) if abs(along[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        across = np.cross(along, helper)
        across /= np.linalg.norm(across)
        second = np.cross(along, across)
        self.axes = [[float(v) for v in axis] for axis in (along, across, second)]
        self.square, self.flat = square, float(flat)
        self.rounding = min(float(rounding), 0.9 * min(self.ra, self.rb) * min(1.0, self.flat))
        extra = self.ra if foot else 0.0
        self.origin = [float(v) for v in start]
        self.low, self.length = -extra, length
        self.slope = (self.rb - self.ra) / length
        self.straight = float(1 / np.sqrt(1 + self.slope**2))
        if square:
            section = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * [1.0, self.flat]
        else:
            section = ring(48)
        ends = [
            point + r * (section[:, :1] * across + section[:, 1:] * second)
            for point, r in ((start, self.ra), (end, self.rb))
        ]
        self.outline = _spheres(np.concatenate(ends))

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        px, py, pz = x - self.origin[0], y - self.origin[1], z - self.origin[2]
        t, u, v = (px * a[0] + py * a[1] + pz * a[2] for a in self.axes)
        thick = self.ra + self.slope * np.clip(t, self.low, self.length) - self.rounding
        middle, half = (self.low + self.length) / 2, (self.length - self.low) / 2
        ends = np.abs(t - middle) - (half - self.rounding)
        if self.square:
            sides = (np.abs(u) - thick) * self.straight
            others = np.abs(v) - (thick + self.rounding) * self.flat + self.rounding
            return _round_corner(ends, sides, others * self.straight) - self.rounding
        return _round_corner(ends, (np.sqrt(u * u + v * v) - thick) * self.straight) - self.rounding


class Sweep(Field):
    """Balls along a polyline: `points` K x 3, `radii` one or K."""

    costly = True

    def __init__(self, points: np.ndarray, radii: float | Sequence[float] | np.ndarray) -> None:
        points = np.asarray(points, np.float64)
        widths = np.broadcast_to(np.asarray(radii, np.float64), len(points))
        self.outline = _spheres(points, widths)
        self.parts = []
        for a, b, ra, rb in zip(points[:-1], points[1:], widths[:-1], widths[1:], strict=True):
            along = b - a
            square = max(float(along @ along), 1e-12)
            self.parts.append(([float(v) for v in a], [float(v) for v in along], square, ra, rb))

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        best = np.full(x.shape, np.inf, np.float32)
        for a, e, square, ra, rb in self.parts:
            px, py, pz = x - a[0], y - a[1], z - a[2]
            t = np.clip((px * e[0] + py * e[1] + pz * e[2]) / square, 0, 1)
            px -= e[0] * t
            py -= e[1] * t
            pz -= e[2] * t
            far = np.sqrt(px * px + py * py + pz * pz)
            np.minimum(best, far - (float(ra) + float(rb - ra) * t), out=best)
        return best


class Torus(Field):
    """A ring around the y axis of `centre`."""

    def __init__(self, centre: Point, radius: float, thick: float) -> None:
        self.centre, self.radius, self.thick = [float(c) for c in centre], radius, thick
        flat = ring(64) * radius
        points = np.stack([flat[:, 0], np.zeros(64), flat[:, 1]], -1) + self.centre
        self.outline = _spheres(points, thick)

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        px, pz = x - self.centre[0], z - self.centre[2]
        out = np.sqrt(px * px + pz * pz) - self.radius
        up = y - self.centre[1]
        return np.sqrt(out * out + up * up) - self.thick


class _Flat:
    """A polygon's distance: worked out for a few vertices, else from a table."""

    def __init__(self, polygon: np.ndarray) -> None:
        self.polygon = np.asarray(polygon, np.float64)
        self.table = Table(self.polygon) if len(self.polygon) >= _TABLED else None

    def __call__(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self.table(u, v) if self.table else polygon_distance(u, v, self.polygon)


class Lathe(Field):
    """A closed polygon of (radius, height) turned around the y axis of (x, z) = `axis`.

    With a `power` above 2 its section is a superellipse, nearly a square; `flutes` (count, depth)
    wave around it.
    """

    costly = True

    def __init__(
        self,
        profile: np.ndarray,
        axis: tuple[float, float] = (0.0, 0.0),
        power: float = 2.0,
        flutes: tuple[int, float] = (0, 0.0),
    ) -> None:
        profile = np.asarray(profile, np.float64)
        self.axis, self.power, self.flutes = (float(axis[0]), float(axis[1])), power, flutes
        # a solid that touches the axis goes on beyond it: no surface lies there
        through = profile.copy()
        self.widest = float(profile[:, 0].max())
        through[profile[:, 0] <= 1e-6, 0] = -0.05 * self.widest
        self.flat = _Flat(through)
        turn = oval(2, 2, power, 64)
        points = np.stack(
            [
                np.outer(profile[:, 0], turn[:, 0]) + axis[0],
                np.repeat(profile[:, 1:], 64, 1),
                np.outer(profile[:, 0], turn[:, 1]) + axis[1],
            ],
            -1,
        )
        self.outline = _spheres(points)
        away = [1 + flutes[1] / self.widest, 1.0, 1 + flutes[1] / self.widest]
        self.outline[:, :3] = (points.reshape(-1, 3) - [axis[0], 0, axis[1]]) * away
        self.outline[:, :3] += [axis[0], 0, axis[1]]

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        px, pz = x - self.axis[0], z - self.axis[1]
        if self.power == 2:
            far = np.sqrt(px * px + pz * pz)
        else:
            px, pz = np.abs(px), np.abs(pz)
            most = np.maximum(np.maximum(px, pz), 1e-6)
            least = np.minimum(px, pz) / most
            far = most * (1 + least**self.power) ** (1 / self.power)
        count, depth = self.flutes
        if not count:
            return self.flat(far, y)
        wave = np.cos(np.arctan2(pz, px) * count) * (depth / self.widest)
        return self.flat(far * (1 - wave), y) * 0.9


class Prism(Field):
    """A closed polygon drawn out along an axis from `low` to `high`.

    The polygon lies in (z, y) for axis 0, (x, z) for axis 1, (x, y) for axis 2.
    """

    costly = True

    def __init__(
        self, polygon: np.ndarray, axis: int, low: float, high: float, rounding: float = 0.0
    ) -> None:
        self.axis, self.rounding = axis, float(min(rounding, 0.45 * (high - low)))
        self.flat = _Flat(polygon)
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        u, v = np.asarray(polygon, np.float64).T
        points = []
        for w in (low, high):
            lift = np.full(len(u), w)
            points.append(np.stack([(lift, v, u), (u, lift, v), (u, v, lift)][axis], -1))
        self.outline = _spheres(np.concatenate(points))

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        u, v, w = [(z, y, x), (x, z, y), (x, y, z)][self.axis]
        ends = np.abs(w - self.middle) - (self.half - self.rounding)
        return _round_corner(ends, self.flat(u, v) + self.rounding) - self.rounding


class Placed(Field):
    """A field turned (degrees around x, then y, then z) about the origin and then moved."""

    def __init__(self, field: Field, turn: Point = (0, 0, 0), move: Point = (0, 0, 0)) -> None:
        self.field, self.costly, self.loose = field, field.costly, field.loose
        a, b, c = np.radians(turn)
        about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        matrix = about_z @ about_y @ about_x
        self.still = not any(turn)
        self.rows = [[float(v) for v in column] for column in matrix.T]  # the way back
        self.move = [float(v) for v in move]
        self.outline = field.outline.copy()
        self.outline[:, :3] = self.outline[:, :3] @ matrix.T + self.move

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        px, py, pz = x - self.move[0], y - self.move[1], z - self.move[2]
        if self.still:
            return self.field(px, py, pz)
        return self.field(*(px * r[0] + py * r[1] + pz * r[2] for r in self.rows))


class Mirror(Field):
    """A field that lies at positive x (or z, or both) and its mirror images."""

    def __init__(self, field: Field, axes: str = "x") -> None:
        self.field, self.axes, self.costly = field, axes, field.costly
        self.outline = field.outline
        for letter in axes:
            other = self.outline.copy()
            other[:, "xyz".index(letter)] *= -1
            self.outline = np.concatenate([self.outline, other])

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return self.field(
            np.abs(x) if "x" in self.axes else x, y, np.abs(z) if "z" in self.axes else z
        )


class Radial(Field):
    """A field around the positive x axis, repeated `count` times around the y axis."""

    costly = True

    def __init__(self, field: Field, count: int, phase: float = 0.0) -> None:
        self.field, self.count, self.phase = field, count, float(phase)
        copies = []
        for index in range(count):
            angle = phase + 2 * np.pi * index / count
            turned = field.outline.copy()
            x, z = field.outline[:, 0], field.outline[:, 2]
            turned[:, 0] = x * np.cos(angle) - z * np.sin(angle)
            turned[:, 2] = x * np.sin(angle) + z * np.cos(angle)
            copies.append(turned)
        self.outline = np.concatenate(copies)

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        sector = 2 * np.pi / self.count
        angle = np.arctan2(z, x) - self.phase
        angle -= sector * np.round(angle / sector)
        far = np.sqrt(x * x + z * z)
        return self.field(far * np.cos(angle), y, far * np.sin(angle))


class Union(Field):
    """All of the fields; with `smooth` (metres) their joints are rounded."""

    costly = True

    def __init__(self, fields: Sequence[Field], smooth: float = 0.0) -> None:
        self.smooth = float(smooth)
        self.fields = sorted(fields, key=lambda f: f.costly)  # cheap ones spare dear ones work
        self.boxes = [f.bounds() for f in self.fields]
        self.loose = any(f.loose for f in self.fields)
        self.outline = np.concatenate([f.outline for f in self.fields])

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        best = self.fields[0](x, y, z)
        for field, box in zip(self.fields[1:], self.boxes[1:], strict=True):
            if not field.costly:
                best = self._joined(best, field(x, y, z))
                continue
            near = np.flatnonzero(_outside(box, x, y, z) < best + self.smooth)
            if len(near):
                made = field(x[near], y[near], z[near])
                best[near] = self._joined(best[near], made)
        return best

    def _joined(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        least = np.minimum(a, b)
        if self.smooth:
            over = np.maximum(self.smooth - np.abs(a - b), 0)
            least -= over * over * (0.25 / self.smooth)
        return least


def _outside(
    box: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """At most the distance to anything in the box, and cheap."""
    out = np.full(x.shape, -np.inf, np.float32)
    for v, low, high in zip((x, y, z), *box, strict=True):
        np.maximum(out, np.abs(v - float(low + high) / 2) - float(high - low) / 2, out=out)
    return out


class Minus(Field):
    """`field` without what is in `hole`."""

    costly = True

    def __init__(self, field: Field, hole: Field) -> None:
        self.field, self.hole, self.outline = field, hole, field.outline

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.maximum(self.field(x, y, z), -self.hole(x, y, z))


class Shell(Field):
    """The surface of a field, `thick` metres thick to both sides together."""

    costly = True

    def __init__(self, field: Field, thick: float) -> None:
        self.field, self.half, self.outline = field, float(thick) / 2, field.outline.copy()
        self.outline[:, 3] += self.half

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.abs(self.field(x, y, z)) - self.half


class Rough(Field):
    """A field whose surface waves by about `height`: sums of sines of `waves` sizes."""

    costly = True
    loose = True

    def __init__(
        self, field: Field, height: float, size: float, rng: np.random.Generator, waves: int = 3
    ) -> None:
        self.field, self.parts = field, []
        total = sum(0.5**octave for octave in range(waves))
        for octave in range(waves):
            for _ in range(_WAVES):
                towards = rng.standard_normal(3)
                towards *= 2 * np.pi / (size * 0.5**octave) / np.linalg.norm(towards)
                share = height * 0.5**octave / total / _WAVES * 1.4
                phase = float(rng.uniform(0, 2 * np.pi))
                self.parts.append(([float(v) for v in towards], phase, float(share)))
        # what waves has no true distance: its slope makes all of it nearer
        steep = sum(share * float(np.linalg.norm(k)) for k, _, share in self.parts)
        self.scale = float(1 / np.sqrt(1 + 0.3 * steep**2))
        self.outline = field.outline.copy()
        self.outline[:, 3] += 1.4 * height

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        made = self.field(x, y, z)
        for k, phase, share in self.parts:
            made = made + share * np.sin(x * k[0] + y * k[1] + z * k[2] + phase)
        return made * self.scale


class Facets(Field):
    """What lies below all planes: `normals` K x 3 at the distances `offsets`, corners rounded."""

    costly = True
    loose = True

    def __init__(self, normals: np.ndarray, offsets: np.ndarray, rounding: float) -> None:
        self.planes = [
            ([float(v) for v in n], float(o)) for n, o in zip(normals, offsets, strict=True)
        ]
        self.rounding = float(rounding)
        self.outline = _spheres(np.zeros((1, 3)), 1.3 * float(np.max(offsets)))

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        best: np.ndarray = np.full(x.shape, -np.inf, np.float32)
        for n, offset in self.planes:
            made: np.ndarray = x * n[0] + y * n[1] + z * n[2] - offset
            over = np.maximum(self.rounding - np.abs(made - best), 0)
            best = np.maximum(made, best) + over * over * (0.25 / self.rounding)
        return best
