"""GIMP's real window, on a screen of its own; for the tests and for the pictures in docs."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STYLE = "Style transfer"
CANVAS = (600, 125)  # on the screen: of the image's window, above the image


class Window:
    """A running GIMP with its window. Any method of `gimp_desktop.Desktop` can be called on it."""

    def __init__(self, host: Any, **environment: str) -> None:
        self.host = host
        self._process = host.start("python3", f"/host{HERE}/gimp_desktop.py")
        plug_ins = "/" + str(host.plug_in.parent.relative_to(host.root))
        self.open_gimp(f"/host{HERE}/gimp_inside.py", plug_ins, environment)

    def __getattr__(self, name: str) -> Any:
        def ask(*values: Any) -> Any:
            print(json.dumps({"do": name, "with": values}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError(f"the screen is gone: {self._process.wait()}")
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"{name}{values}: {answer['error']}")
            return answer["value"]

        return ask

    # -------------------------------------------------------------------------------- in words

    def open(self, path: Path) -> int:
        """Open a picture file in the window; its image's number."""
        return self._shown(f"opened('/host{path}')")

    def paint(self, wide: int, high: int) -> int:
        """Open a painted image of that size in the window; its number."""
        return self._shown(f"painted({wide}, {high})")

    def _shown(self, source: str) -> int:
        image = int(self.gimp(f"value = {source}"))
        self.show(image)
        return image

    def show(self, image: int) -> None:
        """See that the keys go to this image: GIMP shows a new one late, and perhaps not at all."""
        window = rf"-{image}\.\d+ .*GIMP$"
        numbers = self.gimp("value = sorted(one.get_id() for one in Gimp.get_images())")
        for _ in range(10):
            end = time.monotonic() + 6
            while time.monotonic() < end:
                if self.seen(window, "frame", ""):
                    return
            self.key(f"alt+{numbers.index(image) + 1}")
        raise RuntimeError(f"GIMP does not show image {image}: {self.log()}")

    def state(self, image: int) -> Any:
        """All that the image is, with its pixels."""
        return self.gimp(f"value = state({image})")

    def layers(self, image: int) -> list[str]:
        """The names of its layers."""
        return list(self.gimp(f"value = layers({image})"))

    def press(self, window: str, role: str, name: str) -> None:
        """Click what shows by that name."""
        self.click(*middle(self.found(window, role, name)["box"]))

    def open_menu(self, task: str = STYLE) -> Any:
        """Open Filters > Triptych; the entry of a task."""
        self.press("GIMP$", "menu", "^Filters$")
        self.point(*middle(self.found("GIMP$", "menu", "^Triptych$")["box"]))
        return self.found("GIMP$", "menu item", f"^{task}")

    def open_dialog(self, task: str = STYLE) -> list[int]:
        """Open the dialog of a task; where on the screen its preview is."""
        self.click(*middle(self.open_menu(task)["box"]))
        self.found(f"^{task}$", "button", "^OK$")
        return list(self.found(f"^{task}$", "icon", "^Preview$")["box"])

    def set(self, label: str, value: str, task: str = STYLE) -> None:
        """Write into the field beside that label of a task's dialog."""
        _, y = middle(self.found(f"^{task}$", "label", f"^{label}$")["box"])
        fields = (one["box"] for one in self.seen(f"^{task}$", "spin button", ""))
        left, top, _, height = next(b for b in fields if b[1] <= y <= b[1] + b[3])
        self.click(left + 12, top + height // 2)
        self.key("ctrl+a")
        self.write(value)
        self.key("Tab")

    def pick(self, number: int) -> None:
        """Click a thumbnail of the dialog."""
        self.click(*middle(self.seen(f"^{STYLE}$", "icon", "^$")[number]["box"]))

    def undo(self, image: int) -> None:
        """Undo one step of the image that is shown, with Ctrl+Z; a busy window may miss a key, so
        look, and take the menu then."""
        before = self.state(image)
        for _ in range(3):
            self.click(*CANVAS)
            self.key("ctrl+z")
            if self._alters(image, before):
                return
        self.show(image)
        self.press("GIMP$", "menu", "^Edit$")
        self.press("GIMP$", "menu item", "^Undo .")
        if not self._alters(image, before):
            titles = [one["name"] for one in self.seen("", "frame|dialog|alert", "")]
            raise RuntimeError(f"nothing was undone, among {titles}: {self.log()}")

    def _alters(self, image: int, before: Any) -> bool:
        """Whether the image soon is not as it was."""
        end = time.monotonic() + 12
        while self.state(image) == before:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def screen(self) -> Path:
        """A picture of the screen."""
        name = "/tmp/screen.png"
        self.picture(name)
        return Path(f"{self.host.root}{name}")

    def close(self) -> None:
        """End GIMP and the screen, and all that they started."""
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def middle(box: list[int]) -> tuple[int, int]:
    """The point in the middle of [x, y, width, height]."""
    return box[0] + box[2] // 2, box[1] + box[3] // 2
