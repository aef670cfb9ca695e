"""The plug-in in a real GIMP 3; what is checked there stands in `gimp_checks.py`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

CHECKS = Path(__file__).with_name("gimp_checks.py")
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
