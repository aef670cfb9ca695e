"""Blender's real window, on a screen of its own; for the tests and for the pictures in docs."""

from __future__ import annotations

import json
import shutil
import struct
import time
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
PACKAGES = "blender python3-numpy xvfb libgl1-mesa-dri fonts-wqy-microhei"
SIZE = (1100, 800)  # of the screen and of the window
PATIENCE = 180.0  # seconds for anything to happen
SCREEN = ":7"
FRAME = "/tmp/screen/Xvfb_screen0"
# What draws is the processor: one thread of it, so that a small machine has some left.
START = f"""rm -rf /tmp/.X7-lock /tmp/.X11-unix/X7 /tmp/screen
mkdir /tmp/screen
screen="-screen 0 {SIZE[0]}x{SIZE[1]}x24 -fbdir /tmp/screen"
Xvfb {SCREEN} $screen +extension GLX -nolisten tcp >/dev/null 2>&1 &
until [ -e /tmp/.X11-unix/X7 ]; do sleep 0.1; done
export DISPLAY={SCREEN} LIBGL_ALWAYS_SOFTWARE=1 LP_NUM_THREADS=1
exec blender --enable-event-simulate -p 0 0 {SIZE[0]} {SIZE[1]} -P "$0"
"""


class Window:
    """A running Blender with its window and the extension, installed from its zip."""

    def __init__(self, root: Any, zip_: Path, user: Path) -> None:
        self.root = root
        root.install(PACKAGES)
        shutil.rmtree(root.root / "root/.config/blender", ignore_errors=True)
        words = ("--command", "extension", "install-file", "-r", "user_default", "--enable")
        done = root.enter("blender", *words, f"/host{zip_}", seconds=300)
        assert "Installed" in done.stdout, done.stdout + done.stderr
        inside = f"/host{HERE}/blender_inside.py"
        data = {"TRIPTYCH_USER_DATA": f"/host{user}", "TRIPTYCH_THREADS": "1"}
        self._process = root.start("sh", "-c", START, inside, **data)
        self.ask("bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)")

    def ask(self, source: str) -> Any:
        """Execute Python in Blender; what it left in `value`."""
        print(json.dumps(source), file=self._process.stdin, flush=True)
        said = []
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                told = json.loads(line.removeprefix("ANSWER "))
                if "error" in told:
                    raise RuntimeError(told["error"])
                return told["value"]
            said.append(line)
        raise RuntimeError(f"Blender has ended ({self._process.wait()}): {''.join(said[-30:])}")

    def get(self, expression: str) -> Any:
        """The value of an expression."""
        return self.ask(f"value = {expression}")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true; its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.get(expression)):
            assert time.monotonic() < end, f"waited in vain for {expression}"
            time.sleep(0.05)
        return value

    def invoke(self, operator: str, **values: Any) -> None:
        """Do what a button of the 3D view does."""
        told = "".join(f", {name}={value!r}" for name, value in values.items())
        self.ask(f"with within(): bpy.ops.{operator}('INVOKE_DEFAULT'{told})")

    def page(self, name: str) -> None:
        """Open the sidebar, and click its tabs until it shows that page."""
        self.ask("sidebar()")
        self.until("view()[3].width > 100")
        x, wide, top = self.get("(view()[3].x, view()[3].width, top(view()[3]))")
        for down in range(20, SIZE[1] - 200, 12):
            if self.get("page()") == name:
                return
            self.ask(f"press('LEFTMOUSE', at=({x + wide - 8}, {top + down}))")
            time.sleep(0.1)
        raise AssertionError(f"the sidebar has no page {name}")

    def screen(self) -> Image.Image:
        """The window as it is drawn in the end, as the screen's memory holds it (in X's XWD)."""
        before = None
        while before != (before := self._memory()):
            self.ask("view()[1].tag_redraw()")
            time.sleep(0.4)
        head = struct.unpack(">25I", before[:100])
        size, start, stride = (head[4], head[5]), head[0] + 12 * head[19], head[12]
        return Image.frombytes("RGB", size, before[start:], "raw", "BGRX", stride)

    def _memory(self) -> bytes:
        return (self.root.root / FRAME.removeprefix("/")).read_bytes()

    def close(self) -> None:
        """End Blender and the screen."""
        self._process.kill()
        self._process.communicate()
