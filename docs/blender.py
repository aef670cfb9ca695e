"""Makes docs/blender-*.png, Blender's window with Triptych in it.

    python docs/blender.py

It takes the Blender of tests/hosts, which needs Linux and root, and the model of shapes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from gimp import COLOURS, loaded
from PIL import Image

HERE = Path(__file__).resolve().parent
IDLE = "sys.modules[EXTENSION + '.runs'].current is None"
# The view that a user would turn to, at what is selected, in the light of the solid view.
LOOK = """
from mathutils import Euler
space = view()[1].spaces.active
space.overlay.show_text = space.overlay.show_stats = False
space.shading.show_cavity, space.shading.show_shadows = True, True
space.region_3d.view_rotation = Euler((1.2, 0, 0.6)).to_quaternion()
space.region_3d.view_location, space.region_3d.view_distance = (0.25, 0, 0.4), 3.2
"""
ROW = ((-0.75, 0, 0), (0.15, 0, 0), (1.05, 0, 0))  # where they are put


def main() -> None:
    """Go through a user's steps and save what is in the window."""
    hosts = loaded("conftest")
    with tempfile.TemporaryDirectory() as user:
        window = hosts.the_blender_window().Window(
            hosts.roots.Root(), hosts.blender_host.extension(), Path(user)
        )
        try:
            window.page("Triptych")
            window.ask(LOOK)
            window.invoke("triptych.candidates", task="shape")
            window.until(IDLE)
            for number, place in enumerate(ROW[:2]):
                window.ask(f"bpy.context.scene.cursor.location = {place}")
                window.invoke("triptych.place", number=number)
            save(window, "panel")
            window.ask("for one in bpy.data.objects: one.select_set(True)")
            window.ask(f"bpy.context.scene.cursor.location = {ROW[2]}")
            window.invoke("triptych.cross_shapes")
            window.until(IDLE)
            save(window, "result")
        finally:
            window.close()


def save(window: Any, name: str) -> None:
    """The window as a small PNG."""
    shot = window.screen().quantize(
        COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG
    )
    shot.save(HERE / f"blender-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
