"""Triptych's plug-ins in their hosts' folders: `triptych install gimp`."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triptych import client, worker
from triptych.errors import UserError
from triptych.files import put_folder, refusal, write_whole

NAME = "triptych"  # of the plug-in's folder and, with .py, of its program
LOCALE = Path(__file__).with_name("locale")  # the catalogues of all hosts
_OLDEST = (3, 0)  # GIMP's version
_FLATPAK = "org.gimp.GIMP"


@dataclass(frozen=True)
class Gimp:
    """A GIMP of a user: its version, its folder for plug-ins, whether it is a Flatpak."""

    version: str
    plug_ins: Path
    flatpak: bool = False

    @property
    def named(self) -> str:
        """What to call it; the version of one whose folder was named is not known."""
        return f"GIMP {self.version}".strip()

    @property
    def folder(self) -> Path:
        """Where Triptych's plug-in is, or would be."""
        return self.plug_ins / NAME


def gimps() -> list[Gimp]:
    """Every GIMP 3 that this user has started once, the newest first."""
    found = []
    for root, flatpak in _configurations():
        try:
            folders = list(root.iterdir())
        except OSError:
            continue
        for folder in folders:
            version = re.fullmatch(r"(\d+)\.(\d+)", folder.name)
            if version and folder.is_dir():
                number = (int(version[1]), int(version[2]))
                if number >= _OLDEST:
                    found.append((number, Gimp(folder.name, folder / "plug-ins", flatpak)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _configurations() -> Iterator[tuple[Path, bool]]:
    """Where GIMP keeps a folder for each version, and whether that GIMP is a Flatpak."""
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / "GIMP", False
    elif sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "GIMP", False
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "GIMP", False
        yield home / ".var" / "app" / _FLATPAK / "config" / "GIMP", True
        yield home / "snap" / "gimp" / "current" / ".config" / "GIMP", False


def source() -> Path:
    """The plug-in's own files, as they ship."""
    return plug_in_source("gimp_plugin")


def plug_in_source(host: str) -> Path:
    """The files of a host's plug-in (`gimp_plugin`, `blender_addon`), as they ship."""
    package = Path(__file__).resolve().parent
    for folder in (package / host, package.parents[1] / host):
        if (folder / NAME).is_dir():
            return folder / NAME
    raise UserError(f"this copy of Triptych lacks the folder {host}: install Triptych again.")


def install_gimp(gimp: Gimp) -> list[str]:
    """Put the plug-in into this GIMP's folder, whole or not at all; what was done, in sentences."""
    from triptych.task import tasks

    notes = []
    target, aside = gimp.folder, gimp.plug_ins / f".{NAME}-new"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source(), aside, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(Path(client.__file__), aside / "client.py")
        shutil.copytree(LOCALE, aside / "locale", ignore=shutil.ignore_patterns("*.po", "*.py"))
        program = aside / f"{NAME}.py"
        program.chmod(program.stat().st_mode | 0o111)
        pictures = (task for task in tasks().values() if task.output == "picture")
        described = [task.describe() for task in pictures]
        write_whole(aside / "tasks.json", json.dumps(described).encode())
        write_whole(aside / "worker.json", json.dumps(_settings(gimp), indent=1).encode())
        put_folder(aside, target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise refusal("write", target, error) from error
    notes.append(f"{gimp.named}: the plug-in is in {target}.")
    notes.append(f"Its work is done by {sys.executable}.")
    if gimp.flatpak:
        notes.append(
            "This GIMP is a Flatpak: allow it to start that program with `flatpak override --user "
            f"--talk-name=org.freedesktop.Flatpak {_FLATPAK}`."
        )
    notes.append("Start GIMP anew; the filters are under Filters > Triptych.")
    return notes


def _settings(gimp: Gimp) -> dict[str, object]:
    """How the plug-in starts its worker."""
    command = [sys.executable, "-m", worker.__name__]
    kept = {k: v for k, v in os.environ.items() if k.startswith("TRIPTYCH_")}
    folder = None
    if gimp.flatpak:  # it sees neither the host's programs, its environment nor its /dev/shm
        passed = [f"--env={key}={value}" for key, value in kept.items()]
        command = ["flatpak-spawn", "--host", "--watch-bus", *passed, *command]
        folder = str(Path.home() / ".cache")
    return {"command": command, "environment": kept, "folder": folder}


def outdated(gimp: Gimp) -> str:
    """What is wrong with the plug-in in this GIMP's folder, if anything is."""
    wanted = {path.name: path for path in source().iterdir() if path.is_file()}
    wanted["client.py"] = Path(client.__file__)
    try:
        if any((gimp.folder / n).read_bytes() != p.read_bytes() for n, p in wanted.items()):
            return "is of another version"
        command = json.loads((gimp.folder / "worker.json").read_text())["command"]
        program = command[-3]  # before it, what a Flatpak needs; after it, -m and the module
        if shutil.which(program) is None:
            return f"starts {program}, which is not there"
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return "is not whole"
    return ""


def uninstall_gimp(gimp: Gimp) -> list[str]:
    """Take the plug-in out of this GIMP's folder."""
    return taken_out(gimp.folder, gimp.named, "plug-in", str(gimp.plug_ins))


def taken_out(folder: Path, host: str, what: str, place: str) -> list[str]:
    """Delete what was installed as `folder`; what was done, in sentences that name its place."""
    if not folder.exists():
        return [f"{host}: there is no {what} in {place}."]
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise refusal("write", folder, error) from error
    return [f"{host}: the {what} is gone from {place}."]
