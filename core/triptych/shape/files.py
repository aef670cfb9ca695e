"""Meshes in files: GLB (with material and record), OBJ, PLY and STL, by trimesh."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triptych import provenance
from triptych.errors import UserError, one_line
from triptych.files import refusal, shown, write_whole
from triptych.shape import glb
from triptych.shape.mesh import Mesh, check_mesh, corner_normals

if TYPE_CHECKING:
    from triptych.image.material import Material

Array = NDArray[Any]

WRITABLE = (".glb", ".obj", ".ply", ".stl")
READABLE = (*WRITABLE, ".gltf", ".off")
_MOST_BYTES = 1 << 30
_COLOUR, _ROUGHNESS = (0.72, 0.66, 0.58, 1.0), 0.6  # of the plain material


def load(path: Path) -> Mesh:
    """The mesh in a file, all its parts in one; with the record that a GLB of ours holds.

    Raises:
        UserError: it cannot be read, is of another kind, damaged or empty.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{shown(path)} is too large: decimate it first.")
        data = path.read_bytes()
    except OSError as error:
        raise refusal("read", path, error) from None
    ending = path.suffix.lower()
    if ending not in READABLE:
        raise UserError(f"{shown(path)} is no mesh that can be read: give a {_listed(READABLE)}.")
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)
    try:
        import trimesh

        with np.errstate(all="ignore"):
            # A .gltf may name files beside it.
            source: Any = path if ending == ".gltf" else io.BytesIO(data)
            opened: Any = trimesh.load_mesh(source, file_type=ending[1:], process=False)
            vertices = np.asarray(opened.vertices, np.float32)
            faces = np.asarray(opened.faces, np.int32)
            if len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices):
                raise ValueError("a triangle has a corner that is not there")
    except Exception as error:  # its readers raise anything on bytes that were never a mesh
        raise UserError(
            f"{shown(path)} is damaged or no mesh ({one_line(error, 80)}): save it again."
        ) from None
    if not len(faces):
        raise UserError(f"{shown(path)} holds no triangles: give a mesh with a surface.")
    vertices, number = np.unique(vertices, axis=0, return_inverse=True)
    record = glb.extras(io.BytesIO(data)).get(glb.SHAPE)
    mesh = Mesh(
        vertices,
        number.reshape(-1)[faces].astype(np.int32),
        record=record if isinstance(record, dict) else None,
    )
    return check_mesh(mesh, shown(path))


def save(mesh: Mesh, path: Path, record: provenance.Provenance | None = None) -> tuple[str, ...]:
    """Write a mesh as its name's ending says; all or nothing. A GLB says how it was made.

    Returns a sentence for each thing that the format cannot keep.

    Raises:
        UserError: a full disk, an unwritable folder, ...
    """
    import trimesh

    if record is not None and not provenance.enabled():
        record = None
    ending, notes = path.suffix.lower(), []
    if ending in (".glb", ".obj"):
        vertices, faces, uv, normals = split(mesh)
    else:
        vertices, faces, uv, normals = mesh.vertices, mesh.faces, None, None
    made = trimesh.Trimesh(vertices, faces, vertex_normals=normals, process=False)
    if uv is not None:
        if mesh.material is not None:
            uv = uv / np.float32(mesh.material.side)  # from metres to tiles
        made.visual = trimesh.visual.TextureVisuals(uv=uv, material=_pbr(mesh.material))
    data: Any
    if ending == ".glb":
        scene = trimesh.Scene()
        scene.add_geometry(made, node_name=_name(mesh), geom_name=_name(mesh))
        data = trimesh.exchange.gltf.export_glb(
            scene,
            include_normals=True,
            tree_postprocessor=lambda tree: _say(tree, mesh, record),
        )
    elif ending == ".obj":
        data = trimesh.exchange.obj.export_obj(made, include_normals=True, write_texture=False)
    else:
        data = made.export(file_type=ending[1:])
    if mesh.material is not None and ending != ".glb":
        notes.append(f"{ending[1:].upper()} is written without its material: GLB has it.")
    if record is not None and ending != ".glb":
        notes.append(f"{ending[1:].upper()} cannot say how it was made, nor be varied: GLB can.")
    write_whole(path, data.encode() if isinstance(data, str) else data)
    return tuple(notes)


def _pbr(material: Material | None) -> Any:
    """glTF's material (2.0, section 3.9): plain, or with the maps of `material`."""
    import trimesh

    if material is None:
        return trimesh.visual.material.PBRMaterial(
            name="Triptych",
            baseColorFactor=_COLOUR,
            metallicFactor=0.0,
            roughnessFactor=_ROUGHNESS,
        )

    from PIL import Image

    def image(values: Array) -> Image.Image:
        return Image.fromarray((values * 255 + 0.5).astype(np.uint8))

    metallic = np.full_like(material.roughness, material.metallic)
    both = np.stack([np.ones_like(metallic), material.roughness, metallic], 2)
    return trimesh.visual.material.PBRMaterial(
        name=material.name,
        baseColorTexture=image(material.colour),
        metallicRoughnessTexture=image(both),  # green is roughness, blue is metal
        normalTexture=image(material.normal),
        metallicFactor=1.0,
        roughnessFactor=1.0,
    )


def split(mesh: Mesh) -> tuple[Array, Array, Array | None, Array]:
    """A mesh whose vertices each have one normal and one place on the texture.

    Returns vertices (N x 3), faces (M x 3), uv (N x 2, or None) and normals (N x 3).
    """
    normals = corner_normals(mesh.vertices, mesh.faces)
    corners = mesh.faces.reshape(-1)
    parts = [corners[:, None].view(np.int32), normals.reshape(-1, 3).view(np.int32)]
    if mesh.uv is not None:
        parts.append(np.ascontiguousarray(mesh.uv.reshape(-1, 2)).view(np.int32))
    rows = np.concatenate(parts, 1).astype(np.uint64)
    # One number for each row: to sort those is far faster than to sort the rows.
    keys = np.random.default_rng(0).integers(1 << 63, size=rows.shape[1], dtype=np.uint64) | 1
    mixed = rows * np.uint64(0x9E3779B97F4A7C15)
    names = ((mixed ^ (mixed >> np.uint64(29))) * keys).sum(1, dtype=np.uint64)
    _, first, number = np.unique(names, return_index=True, return_inverse=True)
    uv = None if mesh.uv is None else mesh.uv.reshape(-1, 2)[first]
    faces = number.reshape(-1, 3).astype(np.int32)
    return mesh.vertices[corners[first]], faces, uv, normals.reshape(-1, 3)[first]


def _say(tree: dict[str, Any], mesh: Mesh, record: provenance.Provenance | None) -> None:
    """Write into a GLB's tree how it was made."""
    tree["asset"]["generator"] = provenance.GENERATOR
    if record is None:
        return
    said: dict[str, Any] = {glb.RECORD: json.loads(record.to_json())}
    if mesh.record is not None:
        said[glb.SHAPE] = dict(mesh.record)
    tree["asset"]["extras"] = said


def _name(mesh: Mesh) -> str:
    return str((mesh.record or {}).get("category") or "shape")


def _listed(endings: tuple[str, ...]) -> str:
    return ", ".join(endings[:-1]) + f" or {endings[-1]}"
