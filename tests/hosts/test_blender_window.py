"""The extension in Blender's real window: its panel, its candidates, undoing and cancelling."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

RUNS = "sys.modules[EXTENSION + '.runs']"
SHOWN = "len(sys.modules[EXTENSION + '.candidates'].shown)"
IDLE = f"{RUNS}.current is None"


@pytest.fixture(scope="module")
def blender(blender_window: Any) -> Any:
    """The window with the panel open, and coarse shapes."""
    blender_window.page("Triptych")
    blender_window.ask("bpy.context.scene.triptych.shape.detail = 32")
    return blender_window


@pytest.fixture(autouse=True)
def empty(blender: Any) -> None:
    """Nothing in the scene, and nothing to undo."""
    blender.until(IDLE)
    blender.ask("for one in list(bpy.data.objects): bpy.data.objects.remove(one)")
    blender.ask("with within(): bpy.ops.ed.undo_push(message='start')")


def thumbnails(screen: Image.Image) -> list[tuple[int, int, int, int]]:
    """The bright squares of a picture of the window: left, top, right, bottom."""
    picture = np.asarray(screen.convert("L"), np.int16)
    bright = picture > 175
    boxes = []
    side = 60
    sums = bright.cumsum(0).cumsum(1)
    full = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    left = np.argwhere(full > 0.8 * side * side)
    while len(left):
        top, across = left[0]
        boxes.append((int(across), int(top), int(across) + side, int(top) + side))
        left = left[(abs(left - left[0]) > 1.5 * side).any(1)]
    return boxes


def test_the_panel_is_drawn_from_the_declarations(blender: Any):
    before = np.asarray(blender.screen(), np.int16)
    blender.page("View")
    after = np.asarray(blender.screen(), np.int16)
    blender.page("Triptych")
    x, wide = blender.get("(view()[3].x, view()[3].width)")
    changed = (abs(before - after).max(2) > 40)[:, x : x + wide]
    assert changed.sum() > 3000
    assert changed.any(1).sum() > 200  # rows


def test_a_click_places_a_candidate_and_one_undo_takes_it_back(blender: Any):
    blender.invoke("triptych.candidates", task="shape")
    assert not blender.get(IDLE)
    blender.until(IDLE)
    assert blender.get(SHOWN) == 4
    assert blender.get("objects()") == []
    boxes = thumbnails(blender.screen())
    assert len(boxes) == 4
    left, _, _, bottom = boxes[0]
    for down in range(0, 90, 12):  # the button is the first thing below
        blender.ask(f"press('LEFTMOUSE', at=({left + 15}, {bottom + down}))")
        if blender.get("objects()"):
            break
    assert len(blender.get("objects()")) == 1
    blender.ask("press('Z', ctrl=True)")
    blender.until("objects() == []")


def test_a_shape_is_made_while_the_window_lives(blender: Any):
    blender.ask("bpy.context.scene.cursor.location = (1, 0, 0)")
    blender.invoke("triptych.shape", detail=64)
    assert not blender.get(IDLE)  # it answers meanwhile
    blender.until(IDLE)
    assert len(blender.get("objects()")) == 1
    assert blender.get("list(bpy.context.active_object.location)") == [1, 0, 0]
    blender.ask("press('Z', ctrl=True)")
    blender.until("objects() == []")
    blender.ask("press('Z', ctrl=True, shift=True)")
    blender.until("len(objects()) == 1")


def test_a_material_is_made_for_what_is_selected(blender: Any):
    """By Blender's own Python, which has no image library."""
    blender.ask("with within(): bpy.ops.mesh.primitive_cube_add()")
    blender.invoke("triptych.material", kind="bricks", size="128")
    blender.until(IDLE)
    material = "bpy.context.active_object.active_material"
    assert blender.get(f"{material} is not None")
    images = f"[n.image for n in {material}.node_tree.nodes if n.type == 'TEX_IMAGE']"
    assert blender.get(f"[list(one.size) for one in {images}]") == [[128, 128]] * 4


def test_adjusting_is_one_undo_step(blender: Any):
    blender.invoke("triptych.shape", detail=32)
    blender.until(IDLE)
    before = blender.get("objects()")
    blender.ask("bpy.context.active_object.triptych.shape.detail = 64")
    blender.ask("with within(): bpy.ops.ed.undo_push(message='detail')")
    blender.invoke("triptych.adjust")
    blender.until(IDLE)
    assert blender.get("objects()") != before
    blender.ask("press('Z', ctrl=True)")
    blender.until(f"objects() == {before}")


def test_esc_cancels(blender: Any):
    blender.invoke("triptych.shape", detail=256)
    blender.until(f"{RUNS}.current is None or {RUNS}.current.fraction > 0")
    assert not blender.get(IDLE)
    blender.ask("press('ESC')")
    blender.until(IDLE)
    assert blender.get("objects()") == []


def test_another_file_ends_what_is_under_way(blender: Any):
    blender.invoke("triptych.shape", detail=256)
    assert not blender.get(IDLE)
    blender.ask("bpy.ops.wm.read_homefile(use_empty=True)")
    assert blender.get(IDLE)
    assert blender.get("objects()") == []
    blender.invoke("triptych.shape", detail=32)
    blender.until("len(objects()) == 1")


def test_it_shows_in_a_local_view(blender: Any):
    blender.invoke("triptych.shape", detail=32)
    blender.until("len(objects()) == 1")
    blender.ask("with within(): bpy.ops.view3d.localview()")
    try:
        blender.invoke("triptych.shape", detail=32)
        blender.until("len(objects()) == 2")
        drawn = "bpy.context.active_object.evaluated_get(bpy.context.evaluated_depsgraph_get())"
        assert blender.get(f"{drawn}.local_view_get(view()[1].spaces.active)") is True
    finally:
        blender.ask("with within(): bpy.ops.view3d.localview()")


def test_it_speaks_chinese(blender: Any):
    """The core's catalogue serves Blender's own labels, and the sentences of its errors."""
    view = "bpy.context.preferences.view"
    blender.ask(f"{view}.language, {view}.use_translate_interface = 'zh_HANS', True")
    try:
        assert blender.get("bpy.app.translations.pgettext_iface('Detail')") == "细节"
        assert blender.get("bpy.app.translations.pgettext_iface('Shape', 'Operator')") == "形体"
        blender.ask("there, sys.executable = sys.executable, '/nowhere/python'")
        blender.ask(
            """try:
    with within(): bpy.ops.triptych.shape()
except RuntimeError as error:
    said = str(error)"""
        )
        said = blender.get("said")
    finally:
        blender.ask(f"sys.executable = there\n{view}.language = 'en_US'")
    assert "无法启动" in said
    assert blender.get("bpy.app.translations.pgettext_iface('Detail')") == "Detail"
