"""Runs in Blender's own Python (see test_blender.py); prints a line for each check."""

import faulthandler
import os
import signal
import sys
import tempfile
import traceback
from array import array
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import bpy

import bmesh  # isort: skip (it comes with bpy)

faulthandler.dump_traceback_later(590, exit=True)
NAME = "bl_ext.user_default.triptych"
QUICK = {"detail": 32}
bpy.ops.extensions.package_install_files(
    filepath=sys.argv[1], repo="user_default", enable_on_install=True
)
HERE = Path(import_module(NAME).__file__ or "").parent
candidates, client, declared, engine, materials, operators, preferences, runs, solids = (
    import_module(f"{NAME}.{name}")
    for name in (
        "candidates",
        "client",
        "declared",
        "engine",
        "materials",
        "operators",
        "preferences",
        "runs",
        "solids",
    )
)
FILES = sorted(path for path in HERE.rglob("*") if "__pycache__" not in path.parts)


def made(category="chair", **values):
    """A new object."""
    assert bpy.ops.triptych.shape(**{"category": category, **QUICK, **values}) == {"FINISHED"}
    return bpy.context.active_object


def cube(size=1.0):
    bpy.ops.mesh.primitive_cube_add(size=size)
    return bpy.context.active_object


def select(*things):
    """Select these; the first is active."""
    for one in bpy.context.view_layer.objects:
        one.select_set(one in things)
    bpy.context.view_layer.objects.active = things[0] if things else None


def points(thing):
    return [vertex.co[:] for vertex in thing.data.vertices]


def near(one, other, by=1e-4):
    assert all(abs(a - b) <= by for a, b in zip(one, other, strict=True)), (one[:], other[:])


def state():
    """All that is in the file."""
    return [
        (
            one.name,
            [list(row) for row in one.matrix_world],
            one.select_get(),
            len(one.data.vertices) if one.type == "MESH" else None,
            str(one.get(solids.MADE)),
        )
        for one in bpy.data.objects
    ] + [len(bpy.data.meshes), len(bpy.data.images), len(bpy.data.materials)]


@contextmanager
def refused(*words):
    """What is done here must fail with one sentence, and leave all as it was."""
    before = state()
    try:
        yield
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, error
        assert all(word in lines[0] for word in words), error
    else:
        raise AssertionError("it was not refused")
    assert state() == before


# ------------------------------------------------------------------------------------- new shapes


def check_a_shape_stands_on_the_ground_in_metres():
    bpy.context.scene.cursor.location = (1, 2, 3)
    thing = made("chair", width=0.6, depth=0.7, height=1.1)
    near(thing.dimensions, (0.6, 0.7, 1.1), 0.01)
    near(thing.location, (1, 2, 3))
    lowest = [min(point[axis] for point in points(thing)) for axis in range(3)]
    near(lowest, (-0.3, -0.35, 0), 0.01)
    assert thing.name == "Chair"
    assert thing.select_get()
    assert bpy.context.selected_objects == [thing]


def check_what_a_picture_shows_becomes_a_solid():
    """A silhouette of a bottle, which Blender's Python reads without a library for pictures."""
    side = 96
    image = bpy.data.images.new("bottle", side, side)
    pixels = array("f", [1.0]) * (4 * side * side)
    for y in range(10, 86):
        half = 14 if y < 54 else 5  # from below
        for x in range(48 - half, 48 + half):
            place = 4 * (y * side + x)
            pixels[place : place + 3] = array("f", [0.1] * 3)
    image.pixels.foreach_set(pixels)
    image.filepath_raw, image.file_format = f"{tempfile.mkdtemp()}/bottle.png", "PNG"
    image.save()
    before = len(bpy.data.objects)
    told = {"image": image.filepath_raw, **QUICK}
    assert bpy.ops.triptych.shape_from_picture(**told) == {"FINISHED"}
    assert len(bpy.data.objects) == before + 1
    thing = bpy.context.active_object
    assert thing.name.startswith("Bottle"), thing.name
    assert thing.dimensions[2] > 1.5 * thing.dimensions[0]
    with refused("picture"):
        bpy.ops.triptych.shape_from_picture(image="none.png", **QUICK)
    bpy.data.images.remove(image)


def check_it_faces_the_viewer():
    """The back of a chair is behind, as Blender's front view sees it."""
    thing = made("chair", height=1.0)
    top = [point for point in points(thing) if point[2] > 0.95]
    assert min(point[1] for point in top) > 0


def check_it_is_a_solid_with_uvs_and_sharp_edges():
    thing = made("chair")
    assert not thing.data.validate()
    solid = bmesh.new()
    solid.from_mesh(thing.data)
    assert all(edge.is_manifold and edge.is_contiguous for edge in solid.edges)
    assert solid.calc_volume(signed=True) > 0
    solid.free()
    places = [one.vector[:] for one in thing.data.uv_layers[solids.UV].uv]
    across = max(u for u, _ in places) - min(u for u, _ in places)
    assert 0.3 < across < 3  # metres
    assert any(edge.use_edge_sharp for edge in thing.data.edges)
    assert all(face.use_smooth for face in thing.data.polygons)


def check_a_seed_makes_it_again():
    one, again, other = made(seed=7), made(seed=7), made(seed=8)
    assert points(one) == points(again)
    assert points(one) != points(other)


def check_the_scenes_units():
    bpy.context.scene.unit_settings.scale_length = 0.01
    thing = made("stool", width=50)
    assert abs(thing.dimensions[0] - 50) < 0.5, thing.dimensions[:]
    assert abs(thing[solids.MADE]["values"]["width"] - 0.5) < 1e-6


def check_the_scene_that_is_shown_gets_it():
    scene = bpy.data.scenes.new("other")
    with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        bpy.ops.triptych.shape(**QUICK)
    assert len(scene.objects) == 1
    assert not bpy.data.scenes["Scene"].objects


def check_properties_are_the_declared_ones():
    for task in operators.tasks.values():
        told = getattr(bpy.ops.triptych, task["name"]).get_rna_type().properties
        for one in declared.properties(task):
            held = told[one["name"]]
            assert (held.name, held.description) == (one["label"], one["help"])
            if one["kind"] in ("float", "int", "seed"):
                assert abs(held.soft_min - one["minimum"]) < 1e-6
                assert abs(held.soft_max - one["maximum"]) <= 1e-6 * one["maximum"]
            if one["kind"] == "choice":
                assert held.enum_items.keys() == [item["value"] for item in one["choices"]]
            if one["default"] is not None:
                value = held.default
                assert value == one["default"] or abs(value - one["default"]) < 1e-6


def check_what_made_it_stays_with_it():
    thing = made("stool", seed=5, roundness=0.25)
    kept = solids.made_from(thing)
    assert kept["task"] == "shape"
    assert kept["values"]["seed"] == 5
    assert kept["values"]["roundness"] == 0.25
    assert set(kept["values"]) >= {"category", "detail", "symmetry"}
    assert "width" not in kept["values"]
    assert kept["shape"]["category"] == "stool"
    assert kept["record"]["seed"] == 5
    preferences.current().provenance = False
    try:
        assert solids.made_from(made())["record"] is None
    finally:
        preferences.current().provenance = True


# --------------------------------------------------------------------------- adjusting and varying


def dressed():
    """A shape with all that an object can have."""
    thing = made("chair", seed=1)
    select(cube())
    parent = bpy.context.active_object
    thing.parent = parent
    thing.location, thing.rotation_euler, thing.scale = (1, 2, 3), (0.1, 0.2, 0.3), (1, 2, 0.5)
    thing.modifiers.new("Bevel", "BEVEL").width = 0.003
    thing.data.materials.append(bpy.data.materials.new("oak"))
    thing.vertex_groups.new(name="group")
    thing["mine"] = 42
    bpy.context.view_layer.update()
    select(thing)
    return thing


def check_adjusting_keeps_the_object():
    thing = dressed()
    mesh, before = thing.data, points(thing)
    matrix = thing.matrix_world.copy()
    thing.triptych.shape.seed = 2
    thing.triptych.shape.use_height = True
    thing.triptych.shape.height = 1.5
    assert bpy.ops.triptych.adjust() == {"FINISHED"}
    assert points(thing) != before
    assert abs(max(point[2] for point in points(thing)) - 1.5) < 0.01
    assert thing.data == mesh
    assert thing.matrix_world == matrix
    assert thing.parent is not None
    assert thing.modifiers["Bevel"].type == "BEVEL"
    assert [one.name for one in mesh.materials] == ["oak"]
    assert thing.vertex_groups.keys() == ["group"]
    assert thing["mine"] == 42
    assert thing[solids.MADE]["values"]["seed"] == 2


def check_adjusting_nothing_changes_nothing():
    thing = made("chair", seed=3, roundness=0.3, width=0.62)
    before, kept = points(thing), solids.made_from(thing)
    assert bpy.ops.triptych.adjust() == {"FINISHED"}
    assert points(thing) == before
    again = solids.made_from(thing)
    assert [again[k] for k in ("values", "shape")] == [kept[k] for k in ("values", "shape")]


def check_what_shares_the_mesh_is_adjusted_too():
    thing = made(seed=1)
    twin = thing.copy()
    bpy.context.collection.objects.link(twin)
    thing.triptych.shape.seed = 2
    bpy.ops.triptych.adjust()
    assert twin.data == thing.data
    assert twin[solids.MADE]["values"]["seed"] == thing[solids.MADE]["values"]["seed"] == 2


def check_a_shape_is_varied():
    thing = made(seed=1)
    before = points(thing)
    bpy.ops.triptych.vary_shape(amount=0, **QUICK)
    same = bpy.context.active_object
    assert same != thing
    assert points(same) == before
    select(thing)
    bpy.ops.triptych.vary_shape(amount=0.5, seed=4, in_place=True, **QUICK)
    assert bpy.context.active_object == thing
    assert points(thing) != before
    thing.triptych.vary_shape.amount = 0
    bpy.ops.triptych.adjust()  # back to what it was varied from
    assert points(thing) == before


def check_two_are_crossed():
    one, other = made("chair", width=0.4), made("stool", width=0.8)
    select(one, other)
    bpy.ops.triptych.cross_shapes(share=0, **QUICK)
    near(bpy.context.active_object.dimensions, one.dimensions, 0.01)
    select(one, other)
    bpy.ops.triptych.cross_shapes(share=1, **QUICK)
    near(bpy.context.active_object.dimensions, other.dimensions, 0.01)
    bpy.context.active_object.triptych.cross_shapes.share = 0
    bpy.ops.triptych.adjust()
    near(bpy.context.active_object.dimensions, one.dimensions, 0.01)


def check_a_scale_counts():
    thing = made("chair", width=0.5)
    thing.scale = (2, 1, 3)
    bpy.context.view_layer.update()
    wanted = thing.dimensions.copy()
    bpy.ops.triptych.vary_shape(amount=0, **QUICK)
    near(bpy.context.active_object.dimensions, wanted, 0.01)
    near(bpy.context.active_object.scale, (1, 1, 1))


def check_foreign_meshes_and_changed_ones():
    thing = cube(0.5)
    thing.scale = (1, 2, -1)
    bpy.context.view_layer.update()
    bpy.ops.triptych.vary_shape(amount=0, **QUICK)
    near(bpy.context.active_object.dimensions, (0.5, 1.0, 0.5), 0.02)
    changed = made("chair", height=1.0)
    for vertex in changed.data.vertices:
        vertex.co.z *= 2
    changed.data.update()
    bpy.ops.triptych.vary_shape(amount=0, **QUICK)
    assert abs(bpy.context.active_object.dimensions[2] - 2) < 0.05
    with refused("not kept"):
        bpy.ops.triptych.adjust()


def check_more_like_what_is_selected():
    select(made(seed=1), made(seed=2))
    assert bpy.ops.triptych.shape_like(spread=0.1, **QUICK) == {"FINISHED"}
    assert solids.made_from(bpy.context.active_object)["shape"]["category"] == "chair"


# -------------------------------------------------------------------------------------- candidates


def panel():
    """The panel's settings."""
    settings = bpy.context.scene.triptych
    for name in operators.tasks:
        getattr(settings, name).detail = 32
    return settings


def check_candidates_are_chosen_from():
    panel().shape.category = "stool"
    before = state()
    assert bpy.ops.triptych.candidates(task="shape") == {"FINISHED"}
    assert state() == before
    assert [one.title for one in candidates.shown] == ["Stool"] * 4
    seeds = [one.made.order.told["seed"] for one in candidates.shown]
    assert len(set(seeds)) == 4
    pictures = {bytes(one.made.content.preview) for one in candidates.shown}
    assert len(pictures) == 4
    assert all(len(set(picture)) > 50 for picture in pictures)
    assert bpy.ops.triptych.place(number=2) == {"FINISHED"}
    thing = bpy.context.active_object
    assert thing[solids.MADE]["values"]["seed"] == seeds[2]
    before = points(thing)
    bpy.ops.triptych.adjust()
    assert points(thing) == before
    bpy.ops.triptych.candidates(task="shape", more=True)
    assert not set(seeds) & {one.made.order.told["seed"] for one in candidates.shown}


def check_more_like_the_candidates():
    panel()
    bpy.ops.triptych.candidates(task="shape")
    bpy.ops.triptych.like(number=1, mark=1)
    bpy.ops.triptych.like(number=3, mark=-1)
    liked = candidates.shown[1].made.content.shape
    select()
    assert bpy.ops.triptych.candidates(task="shape_like") == {"FINISHED"}
    values = candidates.shown[0].made.order.values
    assert values["favourites"] == [liked]
    assert len(values["rejected"]) == 1
    assert len(candidates.shown) == 4
    bpy.ops.triptych.discard()
    assert not candidates.shown
    with refused("no such candidate"):
        bpy.ops.triptych.place(number=0)


# ---------------------------------------------------------------------------------------- refusals


def check_what_cannot_be_done_is_one_sentence():
    with refused("Select a mesh first"):
        bpy.ops.triptych.vary_shape()
    thing = made()
    with refused("Select two meshes"):
        bpy.ops.triptych.cross_shapes()
    select()
    with refused("liked"):
        bpy.ops.triptych.shape_like()
    with refused("Select a mesh"):
        bpy.ops.triptych.adjust()
    select(cube())
    with refused("was not made by Triptych"):
        bpy.ops.triptych.adjust()
    bpy.ops.mesh.primitive_plane_add()
    bpy.context.active_object.data.clear_geometry()
    with refused("has no faces"):
        bpy.ops.triptych.vary_shape()
    bpy.ops.object.light_add()
    with refused("is no mesh"):
        bpy.ops.triptych.vary_shape()
    select(thing)
    thing.shape_key_add(name="Basis")
    with refused("shape keys"):
        bpy.ops.triptych.adjust()
    thing.shape_key_clear()
    with refused("width must be from 0.01 to 100"):
        bpy.ops.triptych.shape(width=500)


def check_edit_mode():
    thing = made()
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        for run in (bpy.ops.triptych.shape, bpy.ops.triptych.adjust):
            with refused("Leave the edit mode"):
                run()
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
    assert thing.mode == "OBJECT"


def check_linked_data():
    thing = made()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "library.blend"))
        bpy.data.libraries.write(path, {thing})
        bpy.data.objects.remove(thing)
        with bpy.data.libraries.load(path, link=True) as (held, taken):
            taken.objects = list(held.objects)
        (linked,) = taken.objects
        bpy.context.collection.objects.link(linked)
        select(linked)
        with refused("linked from another file"):
            bpy.ops.triptych.adjust()
        assert bpy.ops.triptych.vary_shape(**QUICK) == {"FINISHED"}
        own = bpy.context.active_object
        assert own.name_full == own.name  # not linked: that would name its file too
        bpy.ops.wm.read_homefile(use_empty=True)


def worker():
    return runs.engine.worker()._process.pid


def check_a_worker_that_is_killed():
    made()
    batch = runs.begin([engine.Order("shape", {"detail": 256, "category": "chair"})])
    while not batch._runs:
        batch.poll()
    os.kill(worker(), signal.SIGKILL)
    batch.wait()
    try:
        batch.results()
    except client.WorkerError as error:
        assert "stopped" in str(error), error
    else:
        raise AssertionError("it went on")
    runs.end()
    made()  # with another worker


def check_cancelling():
    made()
    before = state()
    for moment in range(2):
        batch = runs.begin([engine.Order("shape", {"detail": 256, "category": "chair"})] * 2)
        with refused("at work"):
            bpy.ops.triptych.shape()
        for _ in range(moment):
            batch.poll()
        batch.cancel()
        batch.wait()
        try:
            batch.results()
        except client.RunCancelled:
            pass
        else:
            raise AssertionError("it was not cancelled")
        runs.end()
    assert state() == before
    made()


def check_a_python_that_cannot_start():
    kept, sys.executable = sys.executable, "/nowhere/python"
    try:
        with refused("cannot be started"):
            bpy.ops.triptych.shape()
    finally:
        sys.executable = kept
    made()


# ------------------------------------------------------------------------------ what is around it


def check_nothing_heavy_is_loaded():
    made()
    assert not {"onnxruntime", "triptych"} & set(sys.modules)
    assert sorted(path for path in HERE.rglob("*") if "__pycache__" not in path.parts) == FILES


def check_preferences_reach_the_worker():
    chosen = preferences.current()
    made()
    first = worker()
    chosen.threads, chosen.provider = 1, "cpu"
    bpy.ops.triptych.folder(number=-1)
    chosen.folders[0].path = "/tmp"
    try:
        made()
        assert worker() != first
        told = Path(f"/proc/{worker()}/environ").read_bytes().split(b"\0")
        wanted = {b"TRIPTYCH_THREADS=1", b"TRIPTYCH_PROVIDER=cpu", b"TRIPTYCH_BUNDLES=/tmp"}
        assert wanted <= {one.rstrip(b"/") for one in told}
    finally:
        chosen.threads, chosen.provider = 0, "auto"
        bpy.ops.triptych.folder(number=0)


def check_an_asset():
    thing = made("stool")
    assert bpy.ops.triptych.mark_asset() == {"FINISHED"}
    assert sorted(tag.name for tag in thing.asset_data.tags) == ["Triptych", "stool"]
    assert tuple(thing.preview.image_size) == (256, 256)
    assert len(set(thing.preview.image_pixels)) > 50
    assert list(bpy.data.objects) == [thing]


def check_a_file_that_is_saved_and_opened():
    made(seed=9)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "scene.blend"))
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.read_homefile(use_empty=True)
        bpy.ops.wm.open_mainfile(filepath=path)
        (thing,) = bpy.data.objects
        before = points(thing)
        assert thing.triptych.shape.seed == 9
        select(thing)
        assert bpy.ops.triptych.adjust() == {"FINISHED"}
        assert points(thing) == before


def check_a_worker_rests_when_it_is_idle():
    made()
    first = worker()
    kept = vars(engine)["IDLE"]
    vars(engine)["IDLE"] = -1.0
    try:
        runs.idle()
    finally:
        vars(engine)["IDLE"] = kept
    assert not Path(f"/proc/{first}").exists()
    made()


def check_switching_it_off_and_on():
    made()
    first = worker()
    bpy.ops.preferences.addon_disable(module=NAME)
    assert not Path(f"/proc/{first}").exists()
    assert not hasattr(bpy.types.Scene, "triptych")
    assert not hasattr(bpy.types, "TRIPTYCH_PT_make")
    bpy.ops.preferences.addon_enable(module=NAME)
    made()


def check_a_material_from_maps():
    red = [1.0, 0.0, 0.0]
    maps = {
        "colour": materials.Map(2 * red + [0.0, 0.0, 1.0] * 2, 2, 2),  # red above, blue below
        "roughness": materials.Map([0.25] * 4, 2, 2),
        "normal": materials.Map([0.5, 0.5, 1.0] * 4, 2, 2),
        "height": materials.Map([0.0, 1.0, 0.0, 1.0], 2, 2),
    }
    made = materials.build("oak", maps, side=0.5, depth=0.002)
    nodes = {one.type: one for one in made.node_tree.nodes}
    assert tuple(nodes["MAPPING"].inputs["Scale"].default_value) == (2, 2, 2)
    shader = nodes["BSDF_PRINCIPLED"]
    for name in ("Base Color", "Roughness", "Normal"):
        assert shader.inputs[name].is_linked
    assert nodes["OUTPUT_MATERIAL"].inputs["Displacement"].is_linked
    images = {one.label: one.image for one in made.node_tree.nodes if one.type == "TEX_IMAGE"}
    assert all(one.packed_file for one in images.values())
    near(images["colour"].pixels[:4], (0, 0, 1, 1), 0.01)  # the last row comes first
    near(images["colour"].pixels[-4:], (1, 0, 0, 1), 0.01)
    spaces = {name: one.colorspace_settings.name for name, one in images.items()}
    assert spaces.pop("colour") == "sRGB"
    assert set(spaces.values()) == {"Non-Color"}
    before = state()
    try:
        materials.build("broken", maps, side=0.0)
    except ZeroDivisionError:
        assert state() == before
    else:
        raise AssertionError("a tile without a side was taken")


def check_bricks_are_made():
    thing = cube()
    select(thing)
    assert bpy.ops.triptych.material(kind="bricks", size="128", seed=3) == {"FINISHED"}
    (material,) = (slot.material for slot in thing.material_slots)
    assert material[solids.MADE]["values"]["kind"] == "bricks"
    images = {n.label: n.image for n in material.node_tree.nodes if n.type == "TEX_IMAGE"}
    assert all(tuple(one.size) == (128, 128) and one.packed_file for one in images.values())
    seen = list(images["colour"].pixels)
    assert max(seen[::4]) - min(seen[::4]) > 0.2


def check_a_material_covers_what_is_selected():
    """The maps as a worker hands them over."""
    arrays, values = {}, array("f")
    for name, channels in (("colour", 3), ("height", 1), ("normal", 3), ("roughness", 1)):
        shape = [8, 8, channels] if channels > 1 else [8, 8]
        arrays[name] = {"offset": 4 * len(values), "shape": shape, "kind": "f4"}
        values.extend([0.25] * (64 * channels))
    memory = client.Pixels((4 * len(values),), kind="u1")
    memory.data[:] = memoryview(values).cast("B")
    facts = {"name": "oak", "side": 0.5, "depth": 0.002, "metallic": 0}
    content = client.Maps(memory, {"arrays": arrays, "material": facts})
    order = engine.Order("material", {"kind": "oak"}, output="material", told={"kind": "oak"})
    made_ = engine.Made(order, content, None, 0.0)
    one, other = cube(), cube()
    one.data.materials.append(bpy.data.materials.new("old"))
    select(one, other)
    material = solids.cover(bpy.context, made_, "Oak")
    content.close()
    assert not Path(memory.path).exists()
    for thing in (one, other):
        assert [slot.material for slot in thing.material_slots] == [material]
    assert material[solids.MADE]["values"]["kind"] == "oak"
    assert not material.use_fake_user
    textures = [one for one in material.node_tree.nodes if one.type == "TEX_IMAGE"]
    assert len(textures) == 4
    assert {one.projection for one in textures} == {"BOX"}  # a cube's UVs are not in metres
    normal = material.node_tree.nodes["Principled BSDF"].inputs["Normal"].links[0].from_node
    assert normal.type == "BUMP"


def check_a_render():
    thing = made("chair")
    bpy.ops.object.camera_add(location=(1.6, -1.9, 1.3), rotation=(1.2, 0, 0.7))
    scene = bpy.context.scene
    scene.camera = bpy.context.active_object
    bpy.ops.object.light_add(type="SUN", rotation=(0.6, 0.2, 0.4))
    bpy.context.active_object.data.energy = 4
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.render.threads_mode, scene.render.threads = 2, "FIXED", 1
    scene.render.resolution_x = scene.render.resolution_y = 48
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for hidden in (True, False):
            thing.hide_render = hidden
            scene.render.filepath = str(Path(folder, f"{hidden}.png"))
            bpy.ops.render.render(write_still=True)
            pictures.append(list(bpy.data.images.load(scene.render.filepath).pixels))
    changed = sum(abs(a - b) > 0.02 for a, b in zip(*pictures, strict=True))
    assert changed > 500, changed


for name, check in list(globals().items()):
    if name.startswith("check_") and (len(sys.argv) < 3 or name.endswith(sys.argv[2])):
        bpy.ops.wm.read_homefile(use_empty=True)
        bpy.context.scene.unit_settings.scale_length = 1
        try:
            check()
            said = "ok"
        except Exception as error:
            trace = traceback.extract_tb(error.__traceback__)[-1]
            where = [one.lineno for one in traceback.extract_tb(error.__traceback__)]
            said = f"{type(error).__name__} in lines {where}: {error} ({trace.filename})"
            said = said.replace("\n", " ")
        print(f"CHECK {name.removeprefix('check_')}: {said}", flush=True)
print("CHECKS END", flush=True)
bpy.ops.preferences.addon_disable(module=NAME)
