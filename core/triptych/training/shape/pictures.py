"""Renderings of shapes by Blender (Cycles), made once and kept in the cache.

Many shapes stand in a grid before one camera and are rendered at once; each is turned and tilted as
if the camera stood elsewhere, and squeezed with its depth as a lens of finite distance sees it,
which keeps straight what is straight. Of each cell the layers are kept of which pictures of several
kinds are made: see `LAYERS`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.engine import Job
from triptych.errors import UserError, one_line
from triptych.files import refusal
from triptych.shape.surface import extract
from triptych.training import data
from triptych.training.shape import real, samples

CELL = 72  # pixels along a side
LAYERS = ("red", "green", "blue", "mask", "shadow", "contour", "crease")
"""What is kept of a pixel, as bytes: the colour (square root of the linear light, times the mask),
how much of it the object covers, how dark its shadow makes the ground, and how certainly a line
would be drawn there, because what is nearer ends or because the surface turns."""
VIEWS = 1  # of each shape
_SHAPES = 102  # in one render
_SAMPLES = 4
_DETAIL = 64  # cells of the surface of a procedural shape, along a side
_FILLED = 0.86  # of a cell's side: what a shape fills at most
_LIMIT = 3600  # seconds that a render may take; a script in Blender may hang
_RECIPE = 1  # to be raised when this module or `blender_scene` makes other pictures


@dataclass(frozen=True)
class View:
    """Where a camera stands: degrees to the right of the front, above the ground, of roll, and its
    distance in units of the normalised cube (half its side is 1)."""

    azimuth: float
    elevation: float
    roll: float
    distance: float


@dataclass
class Pictures:
    """Layers N x 7 x 72 x 72 (bytes), the shapes' places among the stored samples, the views."""

    layers: np.ndarray
    shape: np.ndarray
    views: np.ndarray  # N x 4: the fields of View

    def __len__(self) -> int:
        return len(self.layers)


Triangles = tuple[np.ndarray, np.ndarray]  # vertices N x 3 in the cube, faces M x 3


def training(count: int) -> Pictures:
    """Of the first `count` procedural shapes for training."""
    return _joined([_procedural(first, count, 0) for first in range(0, count, _SHAPES)])


def held_out(count: int, of_real: int) -> tuple[Pictures, Pictures | None]:
    """Of shapes that are never trained on: `count` procedural and `of_real` real ones."""
    seeds = samples.HELD_OUT_SEEDS
    made = [_procedural(first, count, seeds) for first in range(0, count, _SHAPES)]
    return _joined(made), _joined(_real_held_out(of_real)) if of_real else None


def solid_triangles(solid: samples.Solid) -> Triangles:
    """The surface of a solid: of a mesh as it is, else where its distance is nothing."""
    if isinstance(solid, real.Mesh):
        return solid.vertices.astype(np.float32), solid.faces

    def near(points: np.ndarray) -> np.ndarray:
        return solid.distance(points).clip(-samples.TRUNCATION, samples.TRUNCATION)

    return extract(near, _DETAIL, samples.TRUNCATION, Job())


def _procedural(first: int, count: int, seeds: int) -> Path:
    indices = np.arange(first, min(first + _SHAPES, count))
    return _part(
        f"made-{seeds}-{first}-{len(indices)}",
        samples._digest(),
        indices,
        lambda: (samples.made(int(index), seeds) for index in indices),
    )


def _real_held_out(count: int) -> list[Path]:
    """The parts with `count` of the real shapes, spread over all of them."""
    shapes = samples.Shapes(samples._real(held_out=True))
    what = hashlib.sha256(shapes.size.tobytes()).hexdigest()
    chosen = np.unique(np.linspace(0, len(shapes) - 1, count).astype(int))

    def solids(numbers: np.ndarray) -> Iterator[samples.Solid]:
        wanted = set(numbers.tolist())
        return (mesh for n, mesh in enumerate(real.meshes(True)) if n in wanted)

    parts = []
    for first in range(0, len(chosen), _SHAPES):
        numbers = chosen[first : first + _SHAPES]
        name = f"real-held-out-{count}-{first}"
        parts.append(_part(name, what, numbers, functools.partial(solids, numbers)))
    return parts


def _joined(parts: Sequence[Path]) -> Pictures:
    held = [np.load(part) for part in parts]
    return Pictures(*(np.concatenate([one[key] for one in held]) for key in _KEYS))


_KEYS = ("layers", "shape", "views")


def _part(
    name: str, what: str, numbers: np.ndarray, solids: Callable[[], Iterator[samples.Solid]]
) -> Path:
    """The file with the pictures of these solids (`what` tells them), made unless it is there."""
    digest = hashlib.sha256(f"{_RECIPE} {what}".encode()).hexdigest()[:10]
    path = data.cache_folder() / "pictures" / f"{name}-{digest}.npz"
    if path.is_file():
        return path
    rng = np.random.default_rng((17, *name.encode()))
    meshes = [solid_triangles(solid) for solid in solids()]
    views = [drawn_view(rng) for _ in range(VIEWS * len(meshes))]
    layers = rendered([mesh for mesh in meshes for _ in range(VIEWS)], views, rng)
    aside = path.with_name(f".{path.name}-{os.getpid()}.npz")
    told_views = np.array([(v.azimuth, v.elevation, v.roll, v.distance) for v in views], np.float32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(aside, layers=layers, shape=np.repeat(numbers, VIEWS), views=told_views)
        os.replace(aside, path)
    except OSError as error:
        raise refusal("write", path, error) from error
    finally:
        aside.unlink(missing_ok=True)
    return path


def drawn_view(rng: np.random.Generator) -> View:
    """A camera as people choose them: from the front and a little above, one of five straight."""
    distance = float(1 / rng.uniform(0.02, 0.38))
    if rng.random() < 0.2:
        straight = rng.choice((0.0, 0.0, 90.0, -90.0))
        return View(straight + rng.normal(0, 2), rng.uniform(0, 6), rng.normal(0, 0.5), distance)
    return View(rng.uniform(-75, 75), rng.uniform(3, 42), rng.normal(0, 1.5), distance)


def turned(view: View) -> np.ndarray:
    """The camera's axes in the cube, as columns: right, up, and towards it."""
    a, e, r = np.radians((view.azimuth, view.elevation, view.roll))
    right = np.array([np.cos(a), 0, -np.sin(a)])
    back = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    up = np.cross(back, right)
    right, up = np.cos(r) * right + np.sin(r) * up, np.cos(r) * up - np.sin(r) * right
    return np.stack([right, up, back], 1)


def seen(vertices: np.ndarray, view: View) -> np.ndarray:
    """Vertices N x 3 of the cube as the camera sees them: x right, y up, z towards it."""
    made = vertices @ turned(view)
    made[:, :2] *= (view.distance / (view.distance - made[:, 2]))[:, None]
    return made


def rendered(
    meshes: Sequence[Triangles], views: Sequence[View], rng: np.random.Generator
) -> np.ndarray:
    """The layers (N x 7 x 72 x 72) of meshes, each seen in its own view, in one light."""
    count = len(meshes)
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    corners, quads = [], np.full((count, 4, 3), np.nan)
    for number, ((vertices, _), view) in enumerate(zip(meshes, views, strict=True)):
        own, scale, middle = framed(seen(vertices, view))
        centre = np.array([2 * (number % columns) + 1, -2 * (number // columns) - 1, 0])
        corners.append((own + centre).astype(np.float32))
        if view.elevation > 12:
            quads[number] = _floor(vertices[:, 1].min() - 0.004, view, scale, middle) + centre
    lengths = [len(vertices) for vertices in corners]
    sizes = [len(faces) for _, faces in meshes]
    slant, way = np.radians((rng.uniform(15, 58), rng.uniform(25, 155)))
    job = {
        "grid": np.array((columns, rows, CELL)),
        "samples": np.array(_SAMPLES),
        "seed": rng.integers(1 << 30),
        "vertices": np.concatenate(corners),
        "vertex_of": np.cumsum([0, *lengths]),
        "faces": np.concatenate([faces for _, faces in meshes]).astype(np.int32),
        "face_of": np.cumsum([0, *sizes]),
        "ground": quads,
        "sky": rng.uniform(0.15, 0.9) * rng.uniform(0.8, 1.0, 3),
        "sun": rng.uniform(0.8, 3.5),
        "softness": rng.uniform(0.02, 0.5),
        "turned": np.array((slant, 0.0, way + np.pi / 2)),
        **_materials(count, rng),
    }
    passes = _blender(job)
    return np.stack([_layers(passes, n, columns) for n in range(count)])


def framed(places: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """What is seen of a shape, in the middle of a cell; the scale and the middle."""
    low, high = places.min(0), places.max(0)
    middle = (low + high) / 2
    scale = float(2 * _FILLED / (high - low)[:2].max())
    return (places - middle) * scale, scale, middle


def _floor(height: float, view: View, scale: float, middle: np.ndarray) -> np.ndarray:
    """The part (4 x 3) of the ground at `height` that a cell shows not too near nor too far."""
    e = np.radians(view.elevation)
    made = []
    for side, deep in ((-1, 1.2), (1, 1.2), (1, -1.2), (-1, -1.2)):
        z = deep * np.sqrt(2)
        y = (height - z * np.sin(e)) / np.cos(e)  # height = y cos e + z sin e
        squeeze = view.distance / (view.distance - z)
        made.append(((side * 1.0), (y * squeeze - middle[1]) * scale, (z - middle[2]) * scale))
    quad = np.array(made)
    for end, far in ((0, 3), (1, 2)):  # what reaches beyond the cell is cut off
        for this, other in ((end, far), (far, end)):
            y = quad[this, 1].clip(-1, 1)
            slope = (quad[other, 2] - quad[this, 2]) / (quad[other, 1] - quad[this, 1])
            quad[this, 2] += slope * (y - quad[this, 1])
            quad[this, 1] = y
    return quad


def _materials(count: int, rng: np.random.Generator) -> dict[str, Any]:
    dark, light = rng.uniform(0.03, 0.35, (count, 1)), rng.uniform(0.35, 0.9, (count, 1))
    tone = np.where(rng.random((count, 1)) < 0.4, dark, light)
    hue = rng.random((count, 3)) ** rng.uniform(0, 1.5, (count, 1))
    colour = (tone * hue / hue.max(1, keepdims=True)).clip(0.01, 0.95)
    patterned = rng.random(count) < 0.25
    return {
        "colour": colour,
        "other": (colour * rng.uniform(0.3, 0.9, (count, 1))).clip(0.01, 0.95),
        "roughness": rng.uniform(0.15, 1.0, count),
        "metal": np.where(rng.random(count) < 0.12, rng.uniform(0.5, 1.0, count), 0.0),
        "pattern": np.where(patterned, rng.uniform(0.5, 6.0, count), 0.0),
        "smooth": rng.random(count) < 0.9,
    }


def _blender(job: dict[str, Any]) -> dict[str, np.ndarray]:
    """The passes of a job, rendered in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "job.npz", Path(folder) / "made.npz"
        np.savez(given, **job)
        script = Path(__file__).with_name("blender_scene.py")
        words = [_python(), str(script), str(given), str(made)]
        environment = {key: v for key, v in os.environ.items() if key != "PYTHONPATH"}
        try:
            ran = subprocess.run(
                words, capture_output=True, text=True, timeout=_LIMIT, env=environment, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"Blender does not render ({one_line(error)}): try again") from error
        if not made.is_file():
            last = (ran.stderr.strip() or ran.stdout.strip() or "no word").splitlines()[-1]
            raise UserError(f"Blender does not render ({one_line(last)}): see that bpy works")
        with np.load(made) as held:
            return dict(held)


def _python() -> str:
    """The Python that has Blender's module: this one, or that which TRIPTYCH_BPY names."""
    named = os.environ.get("TRIPTYCH_BPY")
    if named:
        return named
    if importlib.util.find_spec("bpy") is None:
        raise UserError(
            "the pictures are rendered by Blender: make a Python 3.11 with `pip install "
            "bpy==5.0.1` and name its python in TRIPTYCH_BPY"
        )
    return sys.executable


def _layers(passes: dict[str, np.ndarray], number: int, columns: int) -> np.ndarray:
    """The layers of one cell."""
    top, left = (CELL * n for n in divmod(number, columns))
    cell = {k: v[top : top + CELL, left : left + CELL] for k, v in passes.items()}
    mask = cell["mask"][..., 0].clip(0, 1)
    colour = np.nan_to_num(cell["colour"][..., :3]).clip(0, 64)
    ground = (cell["colour"][..., 3] - mask).clip(0, 1)
    bare = (ground > 0.95) & (mask < 0.01)
    shadow = np.zeros_like(mask)
    if bare.sum() > 100:
        bright = np.percentile(colour[bare].mean(1), 85)
        colour = (colour - bright * ground[..., None]).clip(0) * (mask > 0.01)[..., None]
        dark = (1 - _brightness(cell) / bright).clip(0, 1) * bare
        weight = _soft(bare.astype(np.float32), 2)
        shadow = np.where(bare, dark, _soft(dark, 2) / np.maximum(weight, 0.05))
        rows = np.flatnonzero(bare.any(1))
        fade = np.interp(np.arange(CELL), (rows[0], rows[0] + 12), (0, 1))
        fade *= np.interp(np.arange(CELL), (rows[-1] - 4, rows[-1]), (1, rows[-1] == CELL - 1))
        shadow *= fade[:, None]
    exposed = np.percentile(colour[mask > 0.9], 90) if (mask > 0.9).any() else 1.0
    colour = colour * (0.8 / max(float(exposed), 1e-3))
    contour, crease = lines(cell["normal"], cell["depth"][..., 0], mask)
    planes = [*np.moveaxis(np.sqrt(colour.clip(0, 1)), -1, 0), mask, shadow, contour, crease]
    return np.rint(255 * np.stack(planes).clip(0, 1)).astype(np.uint8)


def _brightness(cell: dict[str, np.ndarray]) -> np.ndarray:
    """The mean of a cell's colours."""
    made: np.ndarray = np.nan_to_num(cell["colour"][..., :3]).mean(2)
    return made


def lines(
    normal: np.ndarray, depth: np.ndarray, mask: np.ndarray, deep: float = 0.25
) -> tuple[np.ndarray, np.ndarray]:
    """Where something nearer ends, by `deep` for sure, and where the surface turns: 0 to 1."""
    on = mask > 0.5
    depth = np.where(on, np.nan_to_num(depth, posinf=30), 30.0)
    normal = np.where(on[..., None], normal, 0)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
    contour, crease = np.zeros_like(mask), np.zeros_like(mask)
    for axis in (0, 1):
        ahead, behind = np.roll(depth, -1, axis), np.roll(depth, 1, axis)
        bend = (ahead + behind - 2 * depth).clip(0, None)  # on the nearer side
        contour = np.maximum(contour, bend / deep)
        turn = 1 - (normal * np.roll(normal, -1, axis)).sum(2)
        crease = np.maximum(crease, np.where(on & np.roll(on, -1, axis), turn, 0))
    return (contour * on).clip(0, 1), crease.clip(0, 1)


def _soft(plane: np.ndarray, reach: int) -> np.ndarray:
    """The mean over squares of 2 * reach + 1 pixels."""
    width = 2 * reach + 1
    for _ in range(2):
        padded = np.pad(plane, ((reach + 1, reach), (0, 0)), mode="edge").cumsum(0)
        plane = ((padded[width:] - padded[:-width]) / width).T
    return plane
