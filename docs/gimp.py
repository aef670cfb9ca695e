"""Makes docs/gimp-*.png, GIMP's window with Triptych in it, on the photograph that ships.

    python docs/gimp.py

It takes the GIMP of tests/hosts, which needs Linux and root.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from triptych.demo import PHOTOGRAPH

HERE = Path(__file__).resolve().parent
COLOURS = 160  # of a PNG with a palette, which keeps it small


def main() -> None:
    """Go through a user's steps and save what is on the screen."""
    hosts = loaded("conftest")
    with tempfile.TemporaryDirectory() as user:
        window = hosts.gimp_window().Window(hosts.prepared(Path(user)))
        try:
            image = window.open(PHOTOGRAPH)
            window.open_menu()
            save(window, "menu", [0, 0, 1040, 660])
            window.key("Escape", "Escape", "Escape")
            preview = window.open_dialog()
            window.set("Layers", "2")
            time.sleep(5)  # it is painted
            still(window, preview)
            save(window, "dialog", window.found("^Style transfer$", "dialog", "")["box"])
            window.press("^Style transfer$", "button", "^OK$")
            while len(window.layers(image)) < 2:
                time.sleep(0.1)
            window.ended(r"triptych\.worker")
            still(window, [0, 0, 1280, 900])
            save(window, "result", [0, 0, 1278, 896])
        finally:
            window.close()


def still(window: Any, box: list[int]) -> None:
    """Wait until that part of the screen has been the same for a second."""
    look = None
    while look != (look := window.look(box)):
        time.sleep(1)


def save(window: Any, name: str, box: list[int]) -> None:
    """That part of the screen as a small PNG."""
    left, top, wide, high = box
    shot = Image.open(window.screen()).convert("RGB").crop((left, top, left + wide, top + high))
    shot = shot.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    shot.save(HERE / f"gimp-{name}.png", optimize=True)


def loaded(name: str) -> ModuleType:
    """A module of tests/hosts."""
    spec = importlib.util.spec_from_file_location(name, HERE.parent / f"tests/hosts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its data classes look for it
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
