# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes between Blender (Z up, the scene's units) and the core (Y up, metres).

What an object was made from stays with it, as the custom property MADE.
"""

import hashlib
import json
import math
from array import array
from collections.abc import Mapping
from typing import Any

import bpy
from mathutils import Matrix

from . import client, declared, materials
from .engine import Made
from .words import _, say

MADE = "triptych_made"
UV = "UVMap"
_SHARP = math.radians(35)  # as the core's own normals: where faces meet more sharply, an edge shows
_TEXTS = ("inputs", "shape", "record")  # kept as JSON


def metres(scene: bpy.types.Scene) -> float:
    """The length of a scene's unit."""
    return float(scene.unit_settings.scale_length) or 1.0


# ----------------------------------------------------------------------------------------- refusals


def refuse_to_add(context: bpy.types.Context) -> None:
    """Raise WorkerError where nothing can be added."""
    if context.mode != "OBJECT":
        raise client.WorkerError(say(_("Leave the edit mode first: this works on whole objects.")))
    if not context.collection.is_editable:
        raise client.WorkerError(
            say(_("The collection is linked from another file: choose another one."))
        )


def refuse_to_cover(context: bpy.types.Context) -> None:
    """Raise WorkerError where what is selected can be given no material."""
    for one in context.selected_objects:
        if one.type == "MESH" and not (one.is_editable and one.data.is_editable):
            raise client.WorkerError(
                say(_("{name} is linked from another file: make it local first."), name=one.name)
            )


def refuse_to_change(thing: bpy.types.Object | None) -> None:
    """Raise WorkerError where an object's mesh cannot be made anew."""
    if thing is None or thing.type != "MESH":
        raise client.WorkerError(say(_("Select a mesh first.")))
    if thing.mode != "OBJECT":
        raise client.WorkerError(say(_("Leave the edit mode first: this works on whole objects.")))
    if not thing.is_editable or not thing.data.is_editable or thing.override_library:
        raise client.WorkerError(
            say(_("{name} is linked from another file: make it local first."), name=thing.name)
        )
    if thing.data.shape_keys:
        raise client.WorkerError(
            say(
                _("{name} has shape keys, which would be lost: remove them first."), name=thing.name
            )
        )


# ------------------------------------------------------------------------------------------ reading


def made_from(thing: bpy.types.Object | None) -> dict[str, Any] | None:
    """What an object was made from: {"task", "values", "inputs", "shape", "record", "digest"}."""
    kept = None if thing is None else thing.get(MADE)
    try:
        told = kept.to_dict()
        return {**told, **{name: json.loads(told[name]) for name in _TEXTS}}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def source(
    context: bpy.types.Context, thing: bpy.types.Object, scale: bool = True
) -> tuple[Any, list[client.Pixels]]:
    """An object as a mesh for `Worker.run_mesh`, and the memory that it lies in.

    It is what it was made from while its mesh is as it was; else its surface with all modifiers.
    Its scale counts, unless `scale` is off.
    """
    if thing.type != "MESH":
        raise client.WorkerError(say(_("{name} is no mesh: convert it first."), name=thing.name))
    x, y, z = (abs(part) for part in thing.matrix_world.to_scale()) if scale else (1.0, 1.0, 1.0)
    made = made_from(thing)
    if made and made["shape"] and made["digest"] == digest(thing.data) and not thing.modifiers:
        return declared.scaled(made["shape"], (x, z, y)), []
    unit = metres(context.scene)
    evaluated = thing.evaluated_get(context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    shared: list[client.Pixels] = []
    try:
        mesh.transform(_up_y(unit) @ Matrix.Diagonal((x, y, z, 1.0)))
        mesh.calc_loop_triangles()
        if not mesh.loop_triangles:
            raise client.WorkerError(say(_("{name} has no faces."), name=thing.name))
        points = array("f", bytes(12 * len(mesh.vertices)))
        mesh.vertices.foreach_get("co", points)
        corners = array("i", bytes(12 * len(mesh.loop_triangles)))
        mesh.loop_triangles.foreach_get("vertices", corners)
        for values, kind in ((points, "f4"), (corners, "i4")):
            shared.append(client.Pixels((len(values) // 3, 3), kind=kind))
            shared[-1].data[:] = memoryview(values).cast("B")
    except BaseException:
        for pixels in shared:
            pixels.close()
        raise
    finally:
        evaluated.to_mesh_clear()
    return tuple(shared), shared


def picture(path: str) -> client.Pixels:
    """A picture file for the worker, read by Blender: float32, H x W x 3, the first row on top."""
    try:
        image = bpy.data.images.load(path, check_existing=False)
    except RuntimeError as error:
        raise client.WorkerError(
            say(_("{path} cannot be read as a picture."), path=path)
        ) from error
    try:
        wide, high = image.size
        if not wide or not high:
            raise client.WorkerError(say(_("{path} cannot be read as a picture."), path=path))
        values = array("f", bytes(4 * len(image.pixels)))
        image.pixels.foreach_get(values)
        if image.is_float:  # linear light; what is of bytes stands as in its file
            values = array("f", map(_encoded, values))
    finally:
        bpy.data.images.remove(image)
    pixels = client.Pixels((high, wide, 3))
    rows = pixels.data.cast("f")
    width = 4 * wide
    for row in range(high):
        from_bottom = values[(high - 1 - row) * width : (high - row) * width]
        for channel in range(3):
            start = 3 * row * wide + channel
            rows[start : 3 * (row + 1) * wide : 3] = from_bottom[channel::4]
    return pixels


def _encoded(light: float) -> float:
    """Linear light as sRGB, 0..1 (IEC 61966-2-1)."""
    light = min(max(light, 0.0), 1.0)
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def digest(mesh: bpy.types.Mesh) -> str:
    """A number for where a mesh's vertices are."""
    points = array("f", bytes(12 * len(mesh.vertices)))
    mesh.vertices.foreach_get("co", points)
    return hashlib.sha1(points, usedforsecurity=False).hexdigest()


# ------------------------------------------------------------------------------------------ writing


def add(context: bpy.types.Context, made: Made, name: str) -> bpy.types.Object:
    """A new object at the 3D cursor, selected and active; it shows in a local view too."""
    mesh = bpy.data.meshes.new(name)
    _fill(mesh, made.content, metres(context.scene))
    thing = bpy.data.objects.new(name, mesh)
    context.collection.objects.link(thing)
    thing.location = context.scene.cursor.location
    for one in context.selected_objects:
        one.select_set(False)
    thing.select_set(True)
    context.view_layer.objects.active = thing
    space = context.space_data
    if space is not None and space.type == "VIEW_3D" and space.local_view:
        thing.local_view_set(space, True)
    _remember([thing], made)
    return thing


def renew(context: bpy.types.Context, thing: bpy.types.Object, made: Made) -> None:
    """Another mesh for an object, which keeps all else. So do all that share its mesh."""
    groups = [one.name for one in thing.vertex_groups]  # they are kept with the geometry
    _fill(thing.data, made.content, metres(context.scene))
    for name in groups:
        if name not in thing.vertex_groups:
            thing.vertex_groups.new(name=name)
    _remember([one for one in bpy.data.objects if one.data == thing.data], made)


def cover(context: bpy.types.Context, made: Made, name: str) -> bpy.types.Material:
    """A new material, on the selected meshes, instead of what their active slot holds."""
    content, unit = made.content, metres(context.scene)
    maps = {
        key: materials.Map(pixels, content.size[key][1], content.size[key][0])
        for key, pixels in content.maps.items()
    }
    covered = [one for one in context.selected_objects if one.type == "MESH"]
    foreign = any(MADE not in one for one in covered)  # whose UVs are in metres by chance only
    side, depth = content.side / unit, content.depth / unit
    material = materials.build(name, maps, side, depth, content.metallic, foreign)
    material[MADE] = _kept(made)
    for one in covered:
        one.active_material = material
    material.use_fake_user = not covered  # it is in the file until it is used
    return material


def _fill(mesh: bpy.types.Mesh, triangles: client.Triangles, unit: float) -> None:
    """Put triangles into a mesh, instead of what is there; its materials stay."""
    faces = len(triangles.faces) // 3
    mesh.clear_geometry()
    mesh.vertices.add(len(triangles.vertices) // 3)
    mesh.loops.add(3 * faces)
    mesh.polygons.add(faces)
    # Attributes are copied at once; `vertices` and `loops` are set one by one.
    mesh.attributes["position"].data.foreach_set("vector", triangles.vertices)
    mesh.attributes[".corner_vert"].data.foreach_set("value", triangles.faces)
    mesh.polygons.foreach_set("loop_start", array("i", range(0, 3 * faces, 3)))
    if triangles.uv:
        mesh.uv_layers.new(name=UV).uv.foreach_set("vector", triangles.uv)
    mesh.transform(_up_y(unit).inverted())
    mesh.update(calc_edges=True)
    mesh.shade_smooth()
    mesh.set_sharp_from_angle(angle=_SHARP)


def _remember(things: list[bpy.types.Object], made: Made) -> None:
    kept = {**_kept(made), "digest": digest(things[0].data)}
    for thing in things:
        thing[MADE] = kept


def _kept(made: Made) -> dict[str, Any]:
    order = made.order
    inputs = {name: one for name, one in order.values.items() if _is_shape(one)}
    shape = made.content.shape if order.output == "mesh" else None
    return {
        "task": order.task,
        "values": order.told,
        "inputs": json.dumps({"mesh": order.mesh if _is_shape(order.mesh) else None, **inputs}),
        "shape": json.dumps(shape),
        "record": json.dumps(made.record and json.loads(made.record)),
    }


def _is_shape(value: Any) -> bool:
    """Whether a value is, or lists, what shapes were made from."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_is_shape, value))
    return isinstance(value, Mapping)


def _up_y(unit: float) -> Matrix:
    """From Blender's space to the core's."""
    return Matrix(((unit, 0, 0, 0), (0, 0, unit, 0), (0, -unit, 0, 0), (0, 0, 0, 1)))
