"""Runs inside Blender: `python blender_scene.py JOB.npz MADE.npz` renders one grid of objects.

It needs `bpy` and NumPy alone, so that it runs in whatever Python has them. The job holds meshes in
the camera's frame (x right, y up, z towards it; a cell is two units wide), their materials and the
light; what is made are the passes of Cycles, from the top row on.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy
import numpy as np

MASK = "object"  # the pass that tells objects from the ground


def main(job: Path, made: Path) -> None:
    """Render the job in the file `job` into the file `made`."""
    with np.load(job) as held:
        told = dict(held)
    scene = _scene(told)
    for number in range(len(told["colour"])):
        _object(told, number)
    for place, quad in enumerate(told["ground"]):
        if np.isfinite(quad).all():
            _mesh(f"ground {place}", quad, np.array([[0, 1, 2], [0, 2, 3]]), _ground(), False)
    passes = _rendered(scene)
    np.savez(made, **passes)


def _scene(told: Mapping[str, Any]) -> Any:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    columns, rows, cell = (int(n) for n in told["grid"])
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = columns * cell, rows * cell
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.film_transparent = True
    cycles = scene.cycles
    cycles.device, cycles.samples = "CPU", int(told["samples"])
    cycles.use_adaptive_sampling, cycles.use_denoising = False, True
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 2, 1, 1
    cycles.seed = int(told["seed"])
    layer = scene.view_layers[0]
    layer.use_pass_z = layer.use_pass_normal = True
    aov = layer.aovs.add()
    aov.name, aov.type = MASK, "VALUE"

    world = bpy.data.worlds.new("sky")
    scene.world = world
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    sky.inputs["Color"].default_value = (*(float(c) for c in told["sky"]), 1.0)
    lamp = bpy.data.lights.new("sun", "SUN")
    lamp.energy, lamp.angle = float(told["sun"]), float(told["softness"])
    sun = bpy.data.objects.new("sun", lamp)
    sun.rotation_mode = "XYZ"
    sun.rotation_euler = [float(a) for a in told["turned"]]
    scene.collection.objects.link(sun)

    camera = bpy.data.cameras.new("camera")
    camera.type, camera.ortho_scale = "ORTHO", 2.0 * max(columns, rows)
    camera.clip_end = 100
    eye = bpy.data.objects.new("camera", camera)
    eye.location = (columns, -rows, 20)
    scene.collection.objects.link(eye)
    scene.camera = eye
    return scene


def _object(told: Mapping[str, Any], number: int) -> None:
    vertices = told["vertices"][slice(*told["vertex_of"][number : number + 2])]
    faces = told["faces"][slice(*told["face_of"][number : number + 2])]
    material, shader = _material(f"material {number}", 1.0)
    first, second = (tuple(float(c) for c in told[key][number]) for key in ("colour", "other"))
    shader.inputs["Base Color"].default_value = (*first, 1.0)
    shader.inputs["Roughness"].default_value = float(told["roughness"][number])
    shader.inputs["Metallic"].default_value = float(told["metal"][number])
    if told["pattern"][number]:
        tree = material.node_tree
        wave = tree.nodes.new("ShaderNodeTexWave")
        wave.inputs["Scale"].default_value = float(told["pattern"][number])
        wave.inputs["Distortion"].default_value = 6.0
        ramp = tree.nodes.new("ShaderNodeMix")
        ramp.data_type = "RGBA"
        ramp.inputs[6].default_value, ramp.inputs[7].default_value = (*first, 1.0), (*second, 1.0)
        tree.links.new(wave.outputs["Fac"], ramp.inputs[0])
        tree.links.new(ramp.outputs[2], shader.inputs["Base Color"])
    _mesh(f"object {number}", vertices, faces, material, bool(told["smooth"][number]))


def _ground() -> Any:
    found = bpy.data.materials.get("ground")
    if found is None:
        found, shader = _material("ground", 0.0)
        shader.inputs["Base Color"].default_value = (0.6, 0.6, 0.6, 1.0)
        shader.inputs["Roughness"].default_value = 1.0
        shader.inputs["Specular IOR Level"].default_value = 0.0
    return found


def _material(name: str, mask: float) -> tuple[Any, Any]:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    out = tree.nodes.new("ShaderNodeOutputAOV")
    out.aov_name = MASK
    out.inputs["Value"].default_value = mask
    return material, tree.nodes["Principled BSDF"]


def _mesh(name: str, vertices: Any, faces: Any, material: Any, smooth: bool) -> None:
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.astype(np.float32).ravel())
    mesh.loops.add(3 * len(faces))
    mesh.loops.foreach_set("vertex_index", faces.astype(np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(faces), 3, dtype=np.int32))
    mesh.update(calc_edges=True)
    if smooth:
        mesh.shade_smooth()
        mesh.set_sharp_from_angle(angle=0.6)
    mesh.materials.append(material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, mesh))


def _rendered(scene: Any) -> dict[str, Any]:
    """The passes: H x W x C, float32, linear."""
    own = Path(bpy.utils.resource_path("LOCAL")) / "python" / "lib"
    sys.path += [str(folder) for folder in own.glob("python*/site-packages")]
    import OpenImageIO  # type: ignore[import-not-found]  # comes with bpy

    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):  # Blender 5
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format, settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.exr"
        scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        file = OpenImageIO.ImageInput.open(str(path))
        planes, part = {}, 0
        while file.seek_subimage(part, 0):  # a pass in each
            pixels = file.read_image(part, 0, 0, file.spec().nchannels, "float")
            for place, name in enumerate(file.spec().channelnames):
                planes[name.partition(".")[2]] = pixels[..., place]
            part += 1
        file.close()

    def of(*wanted: str) -> Any:
        return np.stack([planes[name] for name in wanted], -1)

    return {
        "colour": of("Combined.R", "Combined.G", "Combined.B", "Combined.A"),
        "normal": of("Normal.X", "Normal.Y", "Normal.Z"),
        "depth": of("Depth.Z" if "Depth.Z" in planes else "Depth.V"),
        "mask": of(next(name for name in planes if name.startswith(f"{MASK}."))),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
