"""Runs inside Blender's window: executes what comes in on stdin, between Blender's own events.

A request is a line of JSON, Python source; the answer is a line after ANSWER, {"value": ...} of the
variable `value` that the source left, or {"error": ...}. Names stay from request to request.
"""

import json
import queue
import sys
import threading
import traceback
from typing import Any

import bpy

LOOK = 0.02  # seconds
ANSWER = "ANSWER "
EXTENSION = "bl_ext.user_default.triptych"
asked: Any = queue.Queue()
bpy.context.preferences.view.show_splash = False


def view():
    """The window's 3D view: window, area, its main region and its sidebar."""
    window = bpy.context.window_manager.windows[0]
    area = next(one for one in window.screen.areas if one.type == "VIEW_3D")
    regions = {one.type: one for one in area.regions}
    return window, area, regions["WINDOW"], regions["UI"]


def within():
    """The context of a click into the 3D view."""
    window, area, region, _ = view()
    return bpy.context.temp_override(window=window, area=area, region=region)


def sidebar():
    """Open the sidebar, wide enough to read, and nothing else that takes room."""
    _, area, _, _ = view()
    area.spaces.active.show_region_ui = True
    area.spaces.active.show_region_toolbar = False
    area.tag_redraw()


def top(region):
    """Where a region begins, from the window's top."""
    return view()[0].height - region.y - region.height


def page():
    """The page that the sidebar shows."""
    return view()[3].active_panel_category


def press(*keys, at=None, **held):
    """Press keys or buttons with the pointer at a place (from the left and from the top)."""
    window, _, region, _ = view()
    x, y = at or (region.x + region.width // 2, window.height - region.y - region.height // 2)
    y = window.height - 1 - y
    window.event_simulate("MOUSEMOVE", "NOTHING", x=x, y=y)
    for key in keys:
        window.event_simulate(key, "PRESS", x=x, y=y, **held)
        window.event_simulate(key, "RELEASE", x=x, y=y, **held)


def objects():
    """The names and the vertices of all objects."""
    return sorted([one.name, len(one.data.vertices)] for one in bpy.data.objects)


def listen():
    for line in sys.stdin:
        asked.put(json.loads(line))
    asked.put("import os; os._exit(0)")


def answer():
    try:
        source = asked.get_nowait()
    except queue.Empty:
        return LOOK
    try:
        globals()["value"] = None
        exec(source, globals())
        told = {"value": globals()["value"]}
    except Exception:
        told = {"error": traceback.format_exc()}
    print(ANSWER + json.dumps(told), flush=True)
    return LOOK


threading.Thread(target=listen, daemon=True).start()
bpy.app.timers.register(answer, persistent=True)
