"""The plug-in in a real GIMP 3; what is checked there stands in `gimp_checks.py`."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

CHECKS = Path(__file__).with_name("gimp_checks.py")
IMAGES = "value = [one.get_id() for one in Gimp.get_images()]"
NAMES = re.findall(r"^def check_(\w+)", CHECKS.read_text(), re.MULTILINE)


@pytest.fixture(scope="session")
def results(gimp: Any) -> dict[str, str]:
    """What GIMP said to each check."""
    text = gimp.console(CHECKS)
    assert "CHECKS END" in text, text[-3000:]
    return dict(re.findall(r"^CHECK (\w+): (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_in_gimp(results: dict[str, str], name: str):
    assert results.get(name) == "ok"


def test_from_script_fu(gimp: Any, tmp_path: Path):
    """A batch, as it stands in the README."""
    target = gimp.root / "tmp" / "script-fu.png"
    target.unlink(missing_ok=True)
    code = """
        (let* ((image (car (gimp-image-new 64 48 RGB)))
               (layer (car (gimp-layer-new image "photo" 64 48 RGB-IMAGE 100 LAYER-MODE-NORMAL))))
          (gimp-image-insert-layer image layer 0 -1)
          (gimp-drawable-fill layer FILL-PATTERN)
          (plug-in-triptych-style #:run-mode RUN-NONINTERACTIVE #:image image
            #:drawables (vector layer) #:style "klimt-kiss" #:strength 0.7 #:result "replace")
          (gimp-file-save RUN-NONINTERACTIVE image "/tmp/script-fu.png"))
    """
    said = gimp.batch("plug-in-script-fu-eval", " ".join(code.split()))
    assert target.is_file(), said


def test_an_extended_canvas_is_undone_at_once(gimp: Any, window: Any):
    image = window.gimp("value = painted(60, 40)")
    before = window.state(image)
    window.gimp(
        f"""image = Gimp.Image.get_by_id({image})
one = Gimp.get_pdb().lookup_procedure("plug-in-triptych-extend").create_config()
for name, given in (("image", image), ("left", 16), ("bottom", 8)):
    one.set_property(name, given)
one.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
one.set_core_object_array("drawables", image.get_layers())
Gimp.get_pdb().lookup_procedure("plug-in-triptych-extend").run(one)"""
    )
    assert window.state(image)[:2] == [76, 48]
    window.undo(image)
    end = time.monotonic() + 30
    while window.state(image) != before:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_upscaling_opens_a_window_of_its_own(gimp: Any, window: Any):
    image = window.gimp("value = painted(60, 40)")
    before, known = window.state(image), window.gimp(IMAGES)
    window.open_dialog("Upscale")
    window.set("Scale", "3", "Upscale")
    window.found("^Upscale$", "label", "^180 × 120 px$")
    window.press("^Upscale$", "button", "^OK$")
    end = time.monotonic() + 60
    while len(window.gimp(IMAGES)) == len(known):
        assert time.monotonic() < end
        time.sleep(0.1)
    (new,) = set(window.gimp(IMAGES)) - set(known)
    assert window.state(new)[:2] == [180, 120]
    assert window.state(image) == before


def test_in_chinese(gimp: Any, tmp_path: Path):
    """A language that is chosen after GIMP has seen the plug-in in another."""
    script = tmp_path / "ask.py"
    script.write_text(
        "import json\n"
        "one = Gimp.get_pdb().lookup_procedure('plug-in-triptych-style')\n"
        "told = {a.name: [a.nick, a.blurb] for a in one.get_arguments()}\n"
        "told['menu'] = one.get_menu_label()\n"
        "print('TOLD', json.dumps(told), flush=True)\n"
    )
    told = {}
    for language in ("", "zh_CN"):
        text = gimp.console(script, language=language)
        found = re.search("^TOLD (.*)$", text, re.MULTILINE)
        assert found, text
        told[language] = json.loads(found[1])
    assert told[""]["menu"] == "_Style transfer..."
    assert "风格迁移" in told["zh_CN"]["menu"]
    assert "强度" in told["zh_CN"]["strength"][0]
    assert "完整风格" in told["zh_CN"]["strength"][1]
