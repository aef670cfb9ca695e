"""`triptych install gimp` into a user's folders, as the real command does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from triptych import client, install
from triptych.install import Gimp


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "triptych", *words],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="these are Linux' folders")
def test_every_gimp_3_gets_the_plug_in_and_gives_it_back(home: Path):
    for folder in (
        ".config/GIMP/2.10",
        ".config/GIMP/3.0",
        ".config/GIMP/3.2",
        ".var/app/org.gimp.GIMP/config/GIMP/3.0",
    ):
        (home / folder).mkdir(parents=True)
    done = command(home, "install", "gimp")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the plug-in is in") == 3
    assert "flatpak override" in done.stdout
    assert not (home / ".config/GIMP/2.10/plug-ins").exists()
    found = install.gimps()
    assert [one.version for one in found] == ["3.2", "3.0", "3.0"]
    for one in found:
        assert os.access(one.folder / "triptych.py", os.X_OK)
        assert not install.outdated(one)
        tasks = json.loads((one.folder / "tasks.json").read_text())
        assert [task["name"] for task in tasks][:2] == ["style", "dream"]
        started = json.loads((one.folder / "worker.json").read_text())["command"]
        assert started[-3:] == [sys.executable, "-m", "triptych.worker"]
        assert started[0] == ("flatpak-spawn" if one.flatpak else sys.executable)
        folder = json.loads((one.folder / "worker.json").read_text())["folder"]
        assert folder == (str(home / ".cache") if one.flatpak else None)
    assert command(home, "install", "gimp").returncode == 0  # again, over what is there
    assert [p.name for p in found[0].plug_ins.iterdir()] == ["triptych"]
    done = command(home, "install", "gimp", "--uninstall")
    assert done.stdout.count("is gone from") == 3
    assert not any(one.folder.exists() for one in found)
    assert "there is no plug-in" in command(home, "install", "gimp", "--uninstall").stdout


@pytest.mark.parametrize("host", ["gimp", "blender"])
def test_without_a_host_it_says_what_to_do(home: Path, host: str):
    done = command(home, "install", host)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_is_named_is_taken(home: Path, tmp_path: Path):
    done = command(home, "install", "gimp", "--folder", str(tmp_path / "new" / "plug-ins"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new/plug-ins/triptych/client.py").is_file()


def test_a_folder_that_cannot_be_written_is_one_sentence(home: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    done = command(home, "install", "gimp", "--folder", str(tmp_path / "file"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_what_is_old_or_broken_is_seen(tmp_path: Path):
    gimp = Gimp("3.0", tmp_path)
    install.install_gimp(gimp)
    assert not install.outdated(gimp)
    settings = gimp.folder / "worker.json"
    settings.write_text(settings.read_text().replace(sys.executable, "/none/python"))
    assert "/none/python" in install.outdated(gimp)
    (gimp.folder / "client.py").write_text(Path(client.__file__).read_text() + "# older")
    assert "another version" in install.outdated(gimp)
    settings.unlink()
    (gimp.folder / "client.py").unlink()
    assert "not whole" in install.outdated(gimp)


def test_only_blenders_extension_is_built(home: Path):
    done = command(home, "install", "gimp", "--build")
    assert (done.returncode, done.stdout) == (2, "")
    assert "triptych install blender --build" in done.stderr
