"""The extension in the real Blender module; what is checked there stands in `blender_checks.py`."""

import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from triptych import blender

CHECKS = Path(__file__).with_name("blender_checks.py")
NAMES = re.findall(r"^def check_(\w+)", CHECKS.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def results(blender_module: Any, blender_zip: Path) -> dict[str, str]:
    """What Blender said to each check."""
    text = blender_module.run(str(CHECKS), str(blender_zip))
    assert "CHECKS END" in text, text[-3000:]
    return dict(re.findall(r"^CHECK (\w+): (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_in_blender(results: dict[str, str], name: str):
    assert results.get(name) == "ok"


def test_blender_accepts_the_zip(blender_module: Any, blender_zip: Path):
    said = blender_module.run(str(blender_module.validator), "validate", str(blender_zip))
    assert "Success" in said
    assert "error" not in said.lower()


def test_the_zip_says_what_it_holds(blender_zip: Path):
    with zipfile.ZipFile(blender_zip) as opened:
        names = set(opened.namelist())
        told = tomllib.loads(opened.read("blender_manifest.toml").decode())
        assert opened.testzip() is None
    assert told["platforms"] == [blender.this_platform()]
    assert {name.removeprefix("./") for name in told["wheels"]} <= names
    assert {name for name in names if name.startswith("wheels/")} == {
        name.removeprefix("./") for name in told["wheels"]
    }
    assert not [name for name in told["wheels"] if "numpy" in name]
    pythons = {name.split("-")[2] for name in told["wheels"]}
    assert {"cp311", "cp313"} <= pythons
    assert "Blender" not in told["name"]
    assert "core/triptych/worker.py" in names
    assert not [name for name in names if "training" in name]


def test_the_same_sources_make_the_same_zip(blender_zip: Path, blender_user: Path, tmp_path: Path):
    shutil.copytree(blender_zip.parent / "wheels", tmp_path / "wheels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(blender_user))
        (again,) = blender.build(tmp_path, [blender.this_platform()])
    assert again.read_bytes() == blender_zip.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="these are Linux' folders")
def test_every_blender_gets_the_extension_and_gives_it_back(
    blender_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    snap = "snap/blender/current/.config/blender/4.5"
    flatpak = ".var/app/org.blender.Blender/config/blender/5.0"
    for folder in (".config/blender/4.1", ".config/blender/4.2", snap, flatpak):
        (tmp_path / folder).mkdir(parents=True)
    found = blender.blenders()
    assert [one.version for one in found] == ["5.0", "4.5", "4.2"]
    for one in (*found, *found):  # the second time over what is there
        assert any(str(one.folder) in line for line in blender.install(one, blender_zip))
        assert not blender.outdated(one)
        assert [path.name for path in one.folder.parent.iterdir()] == [blender.NAME]
    (found[0].folder / "panel.py").write_text("# older")
    assert "another version" in blender.outdated(found[0])
    (found[0].folder / "panel.py").unlink()
    assert "not whole" in blender.outdated(found[0])
    for one in found:
        assert "is gone" in blender.uninstall(one)[0]
        assert not one.folder.exists()
        assert "there is no extension" in blender.uninstall(one)[0]
