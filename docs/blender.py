"""Makes docs/blender-panel.png and -candidates.png, Blender's window with Triptych in it.

    python docs/blender.py

It takes the Blender of tests/hosts, which needs Linux and root.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from gimp import COLOURS, loaded
from PIL import Image

HERE = Path(__file__).resolve().parent
IDLE = "sys.modules[EXTENSION + '.runs'].current is None"
# The view that a user would turn to, in the light of the material preview.
LOOK = """
from mathutils import Euler
space = view()[1].spaces.active
space.overlay.show_text = space.overlay.show_stats = False
space.shading.type = 'MATERIAL'
space.region_3d.view_rotation = Euler((1.1, 0, 0.6)).to_quaternion()
space.region_3d.view_location, space.region_3d.view_distance = (0.75, 0, 0.1), 3.6
"""
NEAR = """
space = view()[1].spaces.active
space.shading.type = 'SOLID'
space.region_3d.view_location, space.region_3d.view_distance = (0.2, 0, 0.35), 2.6
"""
CHOSEN = 1  # the candidate that is placed
PATIENCE = 90  # seconds for the preview's shaders


def main() -> None:
    """Go through a user's steps and save what is in the window."""
    hosts = loaded("conftest")
    with tempfile.TemporaryDirectory() as user:
        window = hosts.the_blender_window().Window(
            hosts.roots.Root(), hosts.blender_host.extension(), Path(user)
        )
        try:
            window.page("Triptych")
            window.ask("bpy.context.scene.triptych.page = 'material'")
            for place, kind in enumerate(("bricks", "wood")):
                window.ask(
                    f"bpy.ops.mesh.primitive_cube_add(size=1, location=({1.4 * place}, 0, 0))"
                )
                window.ask(f"bpy.context.scene.triptych.material.kind = '{kind}'")
                window.invoke("triptych.material", kind=kind)
                window.until(IDLE)
            window.ask(LOOK)
            time.sleep(PATIENCE)
            save(window, "panel")
            window.ask("for one in list(bpy.data.objects): bpy.data.objects.remove(one)")
            window.ask("bpy.context.scene.triptych.page = 'shape'")
            window.ask("bpy.context.scene.triptych.shape.category = 'armchair'")
            window.ask(NEAR)
            window.invoke("triptych.candidates", task="shape")
            window.until(IDLE)
            window.ask(f"bpy.ops.triptych.place(number={CHOSEN})")
            time.sleep(5)  # it is drawn
            save(window, "candidates")
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
