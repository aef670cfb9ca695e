"""The plug-in in GIMP's real window: its menu, its dialog, undoing and cancelling."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from triptych.demo import PHOTOGRAPH

PLUG_IN, WORKER = r"plug-ins/triptych/triptych\.py", r"triptych\.worker"
DIALOG = "^Style transfer$"
LEVELS = 3  # of 255, by which the screen may be beside the photograph

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def image(window: Any) -> int:
    """The photograph, open in the window."""
    return window.open(PHOTOGRAPH)


@pytest.fixture
def before(window: Any, image: int) -> Any:
    """What the image is before a test; afterwards neither plug-in nor pixels are left."""
    yield window.state(image)
    left(window)


def left(window: Any) -> None:
    """Wait until the plug-in has ended with its worker, and see that no pixels stay in memory."""
    seconds = window.ended(PLUG_IN), window.ended(WORKER)
    log.info("the plug-in ended after %.2f s, its worker after %.2f s more", *seconds)
    assert window.gimp("import glob; value = glob.glob('/dev/shm/triptych-*')") == []


def until(condition: Callable[[], bool]) -> None:
    """Wait, for long if need be."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def shown(window: Any, box: list[int]) -> np.ndarray:
    """What that part of the screen shows."""
    left, top, wide, high = box
    screen = np.asarray(Image.open(window.screen()).convert("RGB"), np.int16)
    return screen[top : top + high, left : left + wide]


def part(box: list[int], across: int = 0, down: int = 0, file: Path = PHOTOGRAPH) -> np.ndarray:
    """The photograph's middle, as large as the preview."""
    photograph = np.asarray(Image.open(file).convert("RGB"), np.int16)
    high, wide = photograph.shape[:2]
    left, top = (wide - box[2]) // 2 + across, (high - box[3]) // 2 + down
    return photograph[top : top + box[3], left : left + box[2]]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def test_it_is_in_the_menu(window: Any, image: int):
    assert window.open_menu()["name"] == "Style transfer..."
    window.key("Escape", "Escape", "Escape")
    until(lambda: not window.seen("GIMP$", "menu item", "^Style transfer"))


def test_the_preview_follows_what_is_chosen(window: Any, before: Any, image: int):
    box = window.open_dialog()
    plain = part(box)
    until(lambda: distance(shown(window, box), plain) > 10)
    window.set("Strength", "0")
    until(lambda: distance(shown(window, box), plain) < LEVELS)
    window.drag(box[0] + 200, box[1] + 150, -80, 40)
    until(lambda: distance(shown(window, box), part(box, 80, -40)) < LEVELS)
    look = window.look(box)
    window.set("Strength", "1")
    log.info("the strength was seen after %.2f s", window.changed(box, look))
    until(lambda: distance(shown(window, box), part(box, 80, -40)) > 10)
    tasks = json.loads((window.host.plug_in / "tasks.json").read_text("utf-8"))
    styles = next(one for one in tasks[0]["parameters"] if one["name"] == "style")["choices"]
    number = [one["value"] for one in styles].index("munch-scream")
    first, look = shown(window, box), window.look(box)
    window.pick(number)
    log.info("another style was seen after %.2f s", window.changed(box, look))
    window.found(DIALOG, "label", styles[number]["label"])
    until(lambda: distance(shown(window, box), first) > 10)
    window.press(DIALOG, "button", "^Cancel$")
    window.gone(DIALOG)
    assert window.state(image) == before


def test_a_new_layer_is_undone_at_once(window: Any, before: Any, image: int):
    window.open_dialog()
    window.press(DIALOG, "button", "^OK$")
    until(lambda: len(window.layers(image)) == 2)
    left(window)
    after = window.state(image)
    assert after[-1] == before[-1]
    assert after != before
    window.undo(image)
    until(lambda: len(window.layers(image)) == 1)
    assert window.state(image) == before


def test_leaving_at_once(window: Any, before: Any, image: int):
    """Perhaps before the worker has started."""
    window.open_dialog()
    window.key("Escape")
    window.gone(DIALOG)
    assert window.state(image) == before


def test_the_preview_has_as_many_layers_as_the_whole_will_have(window: Any, tmp_path: Path):
    """A part of a picture is smaller than the picture, by whose size the layers go."""
    file = tmp_path / "large.png"
    Image.open(PHOTOGRAPH).convert("RGB").resize((1600, 900)).save(file)
    image = window.open(file)
    before = window.state(image)
    box = window.open_dialog()
    plain, looks = part(box, file=file), {}
    for layers in ("1", "0", "2"):
        window.set("Strength", "0")
        until(lambda: distance(shown(window, box), plain) < LEVELS)
        window.set("Layers", layers)
        window.set("Strength", "1")
        until(lambda: distance(shown(window, box), plain) > 2 * LEVELS)
        looks[layers] = shown(window, box)
    assert distance(looks["0"], looks["2"]) < LEVELS < distance(looks["1"], looks["2"])
    window.press(DIALOG, "button", "^Cancel$")
    window.gone(DIALOG)
    assert window.state(image) == before
    left(window)


def test_cancelling_while_it_paints(window: Any):
    large = window.paint(4000, 3000)
    before = window.state(large)
    window.open_dialog()
    window.press(DIALOG, "button", "^OK$")
    window.press("GIMP$", "button", "^Cancel$")
    began = time.monotonic()
    left(window)
    log.info("cancelled after %.2f s", time.monotonic() - began)
    assert window.state(large) == before
    window.gimp(f"Gimp.Image.get_by_id({large}).get_layers()[0].invert(False)")
    assert window.state(large) != before
    window.undo(large)  # which an open undo group would not let
    until(lambda: window.state(large) == before)
