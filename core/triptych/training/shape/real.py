"""The free (CC0) meshes: read from their archives, told inside from outside, split in two.

Inside is what has a generalised winding number of at least a half (Jacobson et al. 2013; Barill et
al. 2018, "Fast winding numbers for soups and clouds"), so that a mesh of several closed parts, or
one with small holes, is one solid. What is mostly open (a sheet, a shell of one side) is left out.
"""

from __future__ import annotations

import io
import json
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import igl
import numpy as np
import trimesh

from triptych.training import data
from triptych.training.shape.normalise import SIDE, Frame, around

_ORIGINS = {
    "base_meshes": ("The Base Mesh", "github.com/Papyszoo/base-meshes, models/"),
    "kaykit_city": (
        "KayKit City Builder",
        "github.com/KayKit-Game-Assets/KayKit-City-Builder-Bits-1.0",
    ),
    "kaykit_furniture": (
        "KayKit Furniture",
        "github.com/KayKit-Game-Assets/KayKit-Furniture-Bits-1.0",
    ),
    "kaykit_restaurant": (
        "KayKit Restaurant",
        "github.com/KayKit-Game-Assets/KayKit-Restaurant-Bits-1.0",
    ),
    "kenney_kits": ("Kenney furniture and city kits", "github.com/rcorre/wildjam84, assets/models"),
    "polyhaven_furniture": (
        "Poly Haven furniture",
        "github.com/RobotLocomotion/models, tutorials/models/assets",
    ),
}
_FAMILIES = (
    (
        "prop",
        r"wall|ceiling|street|bracket|tennis|tablet|table_?cloth|vegetable|grate|rocket|paddle|corner|key_?hole",
    ),
    ("lamp", r"lamp|lantern"),
    ("armchair", r"arm_?chair|lounge.*chair|deck_chair"),
    ("sofa", r"sofa|couch"),
    ("stool", r"stool|pouf"),
    ("chair", r"chair"),
    ("desk", r"desk"),
    ("shelf", r"shelf|shelv|bookcase"),
    ("cabinet", r"cabinet|drawers|wardrobe|dresser|night_?stand|bedside"),
    ("bed", r"(^|/|_)bed"),
    ("table", r"table"),
    ("vase", r"vase|urn_|amphora"),
    ("bottle", r"bottle|flask"),
    ("goblet", r"goblet|wine_?glass|chalice|trophy"),
    ("bowl", r"bowl"),
    ("pot", r"potted|plant_?pot|flower_?pot|cactus|plant_?small"),
    ("tree", r"(^|/|_)tree"),
    ("rock", r"(^|/|_)rock|boulder"),
)
_DOUBTFUL = 0.1  # share of a mesh's inner points whose winding number may be unclear
_LEAST = 0.002  # of its box that a solid fills
_SEEN = 0.1  # of a mesh's area that is the solid's surface


def sources(root: Path) -> list[data.Source]:
    """The sets of meshes below `root`, with their licences."""
    return [
        data.open_source(
            root / "models3d" / name / f"{name}.zip",
            "CC0-1.0",
            title=title,
            origin=origin,
            kind="mesh",
        )
        for name, (title, origin) in _ORIGINS.items()
    ]


def family_of(name: str) -> str:
    """The family that a file's name tells of, or "prop"."""
    lower = name.lower()
    return next((family for family, words in _FAMILIES if re.search(words, lower)), "prop")


def is_held_out(name: str) -> bool:
    """Whether the model of this name is kept from training: one of five."""
    return zlib.crc32(PurePosixPath(name).stem.encode()) % 5 == 0


@dataclass
class Mesh:
    """A solid mesh: vertices V x 3 (normalised), triangles F x 3, and where it stood."""

    name: str
    family: str
    frame: Frame
    vertices: np.ndarray
    faces: np.ndarray
    parts: list[np.ndarray]  # the faces of each connected part
    closed: bool  # normals alone tell inside from outside, which takes a tenth of the time

    @property
    def size(self) -> tuple[float, float, float]:
        """Width, height and depth in metres."""
        return self.frame.size

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distances (N, float32) of points N x 3, both in the normalised cube."""
        places = np.ascontiguousarray(points, np.float64)
        if self.closed:
            return _by_normals(self.vertices, self.parts, places)
        square, _, _ = igl.point_mesh_squared_distance(places, self.vertices, self.faces)
        inside = igl.fast_winding_number(self.vertices, self.faces, places) >= 0.5
        far = np.sqrt(square)
        return np.where(inside, -far, far).astype(np.float32)

    def surface(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """About `count` points on the solid's surface, even by area, and their outward normals.

        What lies inside the solid (one part stuck into another) is left out.
        """
        corners = self.vertices[self.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(across, axis=1)
        chosen = rng.choice(len(area), count, p=area / area.sum())
        u, v = rng.random((2, count, 1))
        fold = u + v > 1
        u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
        a, b, c = (corners[chosen, i] for i in range(3))
        points = a + u * (b - a) + v * (c - a)
        normals = across[chosen] / area[chosen, None]
        ahead = self.distance(points + 0.004 * normals)
        behind = self.distance(points - 0.004 * normals)
        border = (ahead > 0) != (behind > 0)
        normals = np.where((ahead < 0)[:, None], -normals, normals)
        return points[border].astype(np.float32), normals[border].astype(np.float32)


def meshes(held_out: bool) -> Iterator[Mesh]:
    """The solid meshes for training, or those that are held out, in the order of their names."""
    for source in sources(data.data_root()):
        with zipfile.ZipFile(source.path) as archive:
            for name in source.names():
                if is_held_out(name) == held_out:
                    made = _read(source, archive, name)
                    if made is not None:
                        yield made


def _read(source: data.Source, archive: zipfile.ZipFile, name: str) -> Mesh | None:
    """The mesh of a file; None where it is no solid or cannot be read."""
    path = PurePosixPath(name)
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # of textures, which are left out
    content, beside = source.read(name), {}
    try:
        if path.suffix == ".gltf":
            for part in json.loads(content)["buffers"]:
                beside[part["uri"]] = io.BytesIO(
                    archive.read((path.parent / part["uri"]).as_posix())
                )
        scene = trimesh.load_scene(
            io.BytesIO(content),
            file_type=path.suffix[1:].lower(),
            resolver=trimesh.resolvers.ZipResolver(beside),
        )
        whole = scene.to_mesh()
        vertices, faces = np.asarray(whole.vertices, float), np.asarray(whole.faces, np.int64)
    except Exception:  # a decoder may raise anything on a broken file
        return None
    if not len(faces) or not np.isfinite(vertices).all():
        return None
    return solid(f"{source.path.stem}/{name}", vertices, faces)


def solid(name: str, vertices: np.ndarray, faces: np.ndarray) -> Mesh | None:
    """The mesh (metres) as a normalised solid; None where inside and outside are not told apart."""
    frame = around(vertices[faces].min((0, 1)), vertices[faces].max((0, 1)))
    corners, same = np.unique(frame.normalised(vertices).round(6), axis=0, return_inverse=True)
    corners, faces = corners.astype(np.float64), same.ravel()[faces]
    sides = corners[faces]
    area = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=1)
    faces = np.ascontiguousarray(faces[area > 1e-10])
    if len(faces) < 4:
        return None
    rng, half = np.random.default_rng(0), SIDE * frame.proportions
    points = rng.uniform(-half, half, (2500, 3))
    near = corners[faces[rng.integers(len(faces), size=1000)]]
    near = np.einsum("nk,nkd->nd", rng.dirichlet((1, 1, 1), len(near)), near)
    near += rng.normal(0, 0.03, near.shape)
    try:
        winding = igl.fast_winding_number(corners, faces, np.concatenate([points, near]))
        if np.mean(winding < -0.5) > np.mean(winding > 0.5):
            faces, winding = np.ascontiguousarray(faces[:, ::-1]), -winding
        _, which = igl.facet_components(faces)
        parts = [np.ascontiguousarray(faces[which == part]) for part in np.unique(which)]
        plain = _by_normals(corners, parts, near)
    except (RuntimeError, ValueError):
        return None
    within, doubtful = winding >= 0.5, np.abs(winding - 0.5) < 0.3
    if within[:2500].mean() < _LEAST or doubtful.sum() > _DOUBTFUL * max(within.sum(), 200):
        return None
    closed = bool(np.array_equal(plain < 0, within[2500:]))
    made = Mesh(name, family_of(name), frame, corners, faces, parts, closed)
    seen, _ = made.surface(1000, rng)
    return made if len(seen) >= 1000 * _SEEN else None


def _by_normals(vertices: np.ndarray, parts: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """Signed distances (float32) to closed parts, by angle-weighted normals.

    After Baerentzen & Aanaes 2005, "Signed distance computation using the angle weighted
    pseudonormal".
    """
    kind = igl.SIGNED_DISTANCE_TYPE_PSEUDONORMAL
    far = [igl.signed_distance(points, vertices, faces, kind)[0] for faces in parts]
    return np.asarray(np.min(far, 0), np.float32)
