"""Which training shapes a bundle gets as exemplars: those that its decoder shows as they are."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from triptych.engine import Job
from triptych.shape import exemplars, mesh
from triptych.shape.contact import drawn_back
from triptych.shape.known import unlike
from triptych.shape.mesh import Mesh
from triptych.shape.space import sharpened
from triptych.shape.surface import extract
from triptych.training.export import npz
from triptych.training.shape import grids, samples, shape_export
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.samples import ANYWHERE, NEAR, TRUNCATION
from triptych.training.shape.shape_net import NODES, ShapeNet

_CELLS = 128  # along the cube, of the meshes that are compared
_SHARES = (0.0, 0.1, 0.2)  # of sharpening that are tried,
_THICKER = (0.0, 0.012, 0.024)  # and, where a shape is torn, what is taken off its distances
_KEPT = 0.93  # of its thin parts, by volume: what is fit keeps as much
_GROWN_KEPT = 0.75  # they draw back from their box
_TURNED = 0.5  # cosine between a face and the true surface there: beyond it, it is ragged
_RAGGED = 0.05  # of its surface: what is fit has less,
_AWAY = 0.06  # of the cube's half side: and no vertex is so far from the true surface
_STEP = 0.004  # of a slope
_FEWEST = 20  # of a family, fit or not
_ENOUGH = 1.5  # times as many fit ones as are chosen from them
_BLOCK = 32  # shapes that are looked at before they are counted


@dataclass(frozen=True)
class Shown:
    """How a shape comes out: by how much its latent is sharpened and thicker, how many parts, holes
    and handles are then too many or lacking (none are counted of what loses thin parts), and how
    ragged its surface is (1: as much as what is fit may be)."""

    sharpened: float
    thicker: float
    torn: float = np.inf
    ragged: float = np.inf

    @property
    def fit(self) -> bool:
        """Whether it is whole, and hardly ragged."""
        return self.torn == 0 and self.ragged <= 1

    @property
    def faults(self) -> float:
        """The less, the better."""
        return self.torn + self.ragged


def file(net: ShapeNet, codes: np.ndarray, shapes: int, tried: int, count: int) -> bytes:
    """`exemplars.npz`: of each family at most `count` of the first `shapes` procedural shapes.

    `tried` of each family are looked at, at random, if so many it takes until there are fit ones to
    choose from. So that those that are chosen are spread as the family is, each is the fit one that
    is nearest, by `codes` (shapes x CODE) and proportions, to a shape drawn at random.
    """
    training, latents = samples.training(shapes, False), grids.training(shapes, False)
    held: dict[str, np.ndarray] = {}
    with multiprocessing.Pool(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for number, family in enumerate(FAMILIES):
            rng = np.random.default_rng((17, number))
            own = np.flatnonzero(training.category == number)
            if not len(own):
                continue
            grown = family in shape_export.GROWN
            many = count // 3 if grown else count  # they take more space
            rows = rng.permutation(own)[:tried]
            shown: list[Shown] = []
            while len(shown) < len(rows) and sum(one.fit for one in shown) < _ENOUGH * many:
                block = rows[len(shown) : len(shown) + _BLOCK]
                looked_at = [(int(row), latents[row]) for row in block]
                shown += pool.map(functools.partial(_shown, net, shapes), looked_at, 4)
            fit = fit_ones(shown)
            goals = rng.choice(own, min(many, len(fit)), replace=False)
            near = spread(
                codes[rows[fit]], training.size[rows[fit]], codes[goals], training.size[goals]
            )
            chosen = np.sort(fit[near])
            levels = [_levels(latents[rows[place]], shown[place], grown) for place in chosen]
            grids_ = np.reshape(levels, (-1, NODES, NODES, NODES))
            held |= exemplars.packed(family, grids_, training.size[rows[chosen]])
    return npz(held)


def fit_ones(shown: Sequence[Shown]) -> np.ndarray:
    """The places of the fit ones; if there are too few, of those with the fewest faults too."""
    order = sorted(range(len(shown)), key=lambda place: (not shown[place].fit, shown[place].faults))
    return np.array(order[: max(sum(one.fit for one in shown), _FEWEST)], np.int64)


def spread(
    codes: np.ndarray, sizes: np.ndarray, goal_codes: np.ndarray, goal_sizes: np.ndarray
) -> np.ndarray:
    """The places of the nearest to each goal, none twice."""
    left = np.arange(len(codes))
    found = []
    for code, size in zip(goal_codes, goal_sizes, strict=True):
        at = int(unlike(codes[left], sizes[left], code[None], size).argmin())
        found.append(left[at])
        left = np.delete(left, at)
    return np.array(found)


@functools.cache
def _training(shapes: int) -> samples.Shapes:
    return samples.training(shapes, False)


def _levels(latent: np.ndarray, way: Shown, grown: bool) -> np.ndarray:
    """What is stored of a latent that is changed in this way; of what is grown, the flat faces with
    which it ends at its box are round."""
    far = sharpened(latent[None, :-3].astype(np.float32), NODES, way.sharpened) - way.thicker
    if grown:
        far = drawn_back(far, latent[-3:].astype(np.float32), NODES)
    return exemplars.rounded(far[0])


@torch.no_grad()
def _shown(net: ShapeNet, shapes: int, told: tuple[int, np.ndarray]) -> Shown:
    """How a shape comes out in the way in which it does best, the thinner the better."""
    index, latent = told
    solid, best = samples.made(index), Shown(0.0, 0.0)
    grown = solid.family in shape_export.GROWN
    least = _GROWN_KEPT if grown else _KEPT
    places, truth = _training(shapes).points(index, slice(NEAR + ANYWHERE, None, 2))
    for thicker in _THICKER:
        inside = truth * TRUNCATION < thicker
        ways = [Shown(share, thicker) for share in _SHARES]
        given = exemplars.LEVELS[np.stack([_levels(latent, way, grown) for way in ways])]
        sides = np.tile(latent[-3:].astype(np.float32), (len(ways), 1))
        tried = torch.from_numpy(np.concatenate([given, sides], 1))
        made = net(tried, torch.from_numpy(places).expand(len(ways), -1, -1)).numpy() < 0
        both = (made & inside).sum(1)
        one = int((both / np.maximum((made | inside).sum(1), 1)).argmax())
        kept = float(both[one] / inside.sum()) if inside.any() else 1.0
        if kept < least:
            continue

        def true(points: np.ndarray, thicker: float = thicker) -> np.ndarray:
            return solid.distance(points) - np.float32(thicker)

        fields = (shape_export.distance(net, tried[one : one + 1]), true)
        pair = [Mesh(*mesh.solid(*extract(field, _CELLS, TRUNCATION, Job()))) for field in fields]
        if not all(len(each.faces) for each in pair):
            continue
        shown = Shown(ways[one].sharpened, thicker, _torn(*pair), ragged(pair[0], true))
        if shown.faults < best.faults:
            best = shown
        if best.fit:
            break
    return best


def ragged(made: Mesh, distance: Callable[[np.ndarray], np.ndarray]) -> float:
    """How ragged a surface is beside the true one, that of a `distance` of points (N x 3): 1 is as
    much as what is fit may be."""
    corners = made.vertices[made.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=1)
    slopes, _ = samples.slope(distance, corners.mean(1), _STEP)
    turned = (normals * slopes).sum(1) < _TURNED * area
    away = float(np.abs(distance(made.vertices)).max())
    return max(float(area[turned].sum() / max(area.sum(), 1e-9)) / _RAGGED, away / _AWAY)


def _torn(made: Mesh, truth: Mesh) -> float:
    ours, true = topology(made), topology(truth)
    return float(abs(ours[0] - true[0]) + abs(ours[1] - true[1]))


def topology(surface: Mesh) -> tuple[int, int]:
    """Parts and Euler characteristic of a closed surface."""
    faces = surface.faces
    label = mesh.components(len(surface.vertices), *mesh.directed(faces))[faces[:, 0]]
    parts, used = len(np.unique(label)), len(np.unique(faces))
    return parts, used - len(faces) // 2
