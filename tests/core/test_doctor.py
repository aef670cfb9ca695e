"""The doctor on a sound installation, and on each ailment that it knows."""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from triptych import bundle, doctor, engine
from triptych.cli import main
from triptych.doctor import Finding


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder and shipped bundles of our own; one sound style bundle."""
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path / "user"))
    monkeypatch.delenv("TRIPTYCH_BUNDLES", raising=False)
    monkeypatch.delenv("TRIPTYCH_DATA", raising=False)
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(bundle, "shipped_folder", lambda: shipped)
    monkeypatch.setattr(engine, "providers_that_work", lambda: {"cpu": None})
    add_bundle(shipped / "style")
    return tmp_path


def add_bundle(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "codes.bin").write_bytes(b"1")
    graphs: dict[str, bundle.Graph] = {}
    bundle.write_card(folder, bundle.Card(folder.name, "1.0.0", "style", "S", "CC0-1.0", graphs))


def wrong() -> dict[str, Finding]:
    return {finding.subject: finding for finding in doctor.examine() if finding.wrong}


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """The distributions of onnxruntime that are installed, as `onnxruntime_gpu="1.0"`."""
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    monkeypatch.setattr(doctor, "_version", lambda name: named.get(name))


def test_all_is_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    pretend(monkeypatch, onnxruntime="1.30.0")
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("\n\nall is well\n")
    for part in ("runs on cpu", "bundle style", "user folder", "GB free", sys.executable):
        assert part in said


def test_two_runtimes_are_in_each_others_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu="1.31.1")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && " in said
    assert "pip install onnxruntime-gpu" in said
    assert said.endswith("\n1 thing to mend\n")


def test_it_looks_for_what_pip_installs():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[><;= ]", one)[0] for one in project["dependencies"]}
    train = {re.split(r"[\[><;= ]", one)[0] for one in project["optional-dependencies"]["train"]}
    assert set(doctor._NEEDED) == needed - set(doctor._RUNTIMES)
    assert set(doctor._TRAINING) == train


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "_NEEDED", {"pillow": "no_such_module"})
    assert wrong()["pillow"].mend.endswith("-m pip install pillow")


def test_a_gpu_that_does_not_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "providers_that_work", lambda: {"cuda": "no cuDNN", "cpu": None})
    monkeypatch.setattr(engine, "has_nvidia", lambda: False)
    assert "runs on cuda" not in wrong()
    monkeypatch.setattr(engine, "has_nvidia", lambda: True)
    finding = wrong()["runs on cuda"]
    assert finding.found == "no cuDNN"
    assert "[cuda]" in finding.mend


def test_bundles_that_are_missing_or_damaged(empty_machine: Path):
    add_bundle(empty_machine / "user/bundles/mine")
    (empty_machine / "user/bundles/mine/codes.bin").write_bytes(b"2")
    (empty_machine / "shipped/style/codes.bin").unlink()
    found = wrong()
    assert set(found) == {"bundle mine", "bundle style", "bundles"}
    assert "codes.bin" in found["bundle mine"].found
    assert found["bundle mine"].mend.endswith(str(empty_machine / "user/bundles/mine"))
    assert found["bundle style"].mend == found["bundles"].mend != ""


@pytest.mark.parametrize("name", ["TRIPTYCH_BUNDLES", "TRIPTYCH_DATA"])
def test_a_variable_that_names_no_folder(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "/no/such/folder")
    (finding,) = wrong().values()
    assert "/no/such/folder" in finding.found
    assert name in finding.mend


def test_a_user_folder_that_cannot_be_written(empty_machine: Path, monkeypatch: pytest.MonkeyPatch):
    (empty_machine / "file").write_text("")
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(empty_machine / "file/user"))
    assert "TRIPTYCH_USER_DATA" in wrong()["user folder"].mend


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(os.curdir)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert set(wrong()) == {"user folder", "temporary"}


def test_a_look_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    def fails() -> dict[str, str | None]:
        raise RuntimeError("no library\nat all")

    monkeypatch.setattr(engine, "providers_that_work", fails)
    assert "RuntimeError: no library" in wrong()["providers"].found


def test_training_is_not_needed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "_TRAINING", {"torch": "no_such_module"})
    pretend(monkeypatch, onnxruntime="1.30.0")
    assert not wrong()
    assert "[train]" in doctor.report(doctor.examine())
