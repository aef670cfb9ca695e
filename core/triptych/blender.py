"""The Blender extension: built into a zip for each platform, and put where Blender is found.

    triptych install blender --build     dist/triptych-VERSION-PLATFORM.zip for all platforms
    triptych install blender             into the extensions of every Blender 4.2 and later

A zip holds the extension's own files, the core that its worker runs, the models of the tasks that
it offers, and the packages that Blender's Python lacks as unmodified wheels.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych import __version__, bundle, client
from triptych.errors import UserError, one_line
from triptych.files import put_folder, refusal, shown
from triptych.install import LOCALE, plug_in_source, taken_out
from triptych.task import Task, tasks

NAME = "triptych"  # of the extension
REPOSITORY = "user_default"  # of Blender: what was installed from disk
_OLDEST = (4, 2)  # Blender's version
_MANIFEST = "blender_manifest.toml"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of all files: the same sources make the same zip
# What runs in the worker; nothing else of the core is needed there.
_LEFT_OUT = (
    "training",
    "data",
    "locale",
    "cli.py",
    "demo.py",
    "doctor.py",
    "install.py",
    "blender.py",
)
_USED = {"upscale"}  # models that those of the tasks take for large results
_OLD, _NEW = "1.18.1", "1.23.2"


@dataclass(frozen=True)
class Wheel:
    """A package of PyPI for one Python ("311"; "" for any) and platform."""

    name: str
    version: str
    python: str = ""
    platform: str = "any"


# onnxruntime for the Python of Blender 4.2 to 5.0 (3.11; later ones than 1.18.1 do not load there
# on Windows) and of 5.1 and later (3.13). NumPy is Blender's own.
PLATFORMS: dict[str, tuple[Wheel, ...]] = {
    "linux-x64": (
        Wheel("onnxruntime", _OLD, "311", "manylinux_2_28_x86_64"),
        Wheel("onnxruntime", _NEW, "313", "manylinux_2_28_x86_64"),
    ),
    "windows-x64": (
        Wheel("onnxruntime", _OLD, "311", "win_amd64"),
        Wheel("onnxruntime", _NEW, "313", "win_amd64"),
    ),
    "macos-arm64": (
        Wheel("onnxruntime", _OLD, "311", "macosx_11_0_universal2"),
        Wheel("onnxruntime", _NEW, "313", "macosx_13_0_arm64"),
    ),
    "macos-x64": (Wheel("onnxruntime", _OLD, "311", "macosx_11_0_universal2"),),
}
_EVERYWHERE = (Wheel("platformdirs", "4.3.6"),)


def offered() -> list[Task]:
    """The tasks that the extension offers: those that make meshes and materials."""
    return [task for task in tasks().values() if task.output in ("mesh", "material")]


def this_platform() -> str:
    """Blender's name for the platform of this machine; UserError where Blender has none."""
    system = {"linux": "linux", "win32": "windows", "darwin": "macos"}.get(sys.platform, "")
    machine = platform.machine()
    cpu = {"x86_64": "x64", "AMD64": "x64", "arm64": "arm64"}.get(machine, "")
    if f"{system}-{cpu}" not in PLATFORMS:
        raise UserError(f"there is no extension for {sys.platform} on {machine}.")
    return f"{system}-{cpu}"


# -------------------------------------------------------------------------------------------- build


def build(target: Path, names: Sequence[str]) -> list[Path]:
    """Write the extension's zips into the folder `target`, and return them.

    They are named after Blender's `names` of platforms. Wheels are downloaded once, into
    `target`/wheels. Raises UserError: no model, no network, a full
    disk, ...
    """
    if not offered():
        raise UserError("no model of shapes or materials is installed: it would offer nothing.")
    made = []
    for name in names:
        wheels = [_fetched(one, target / "wheels") for one in (*PLATFORMS[name], *_EVERYWHERE)]
        path = target / f"{NAME}-{__version__}-{name}.zip"
        try:
            aside = path.with_suffix(".part")
            with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as out:
                for file, content in sorted(_contents(name, wheels)):
                    packed = zipfile.ZIP_STORED if file.endswith(".whl") else zipfile.ZIP_DEFLATED
                    entry = zipfile.ZipInfo(file, _EPOCH)
                    entry.external_attr = 0o644 << 16
                    out.writestr(entry, content, packed)
            aside.replace(path)
        except OSError as error:
            raise refusal("write", path, error) from error
        made.append(path)
    return made


def _contents(system: str, wheels: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Every file of the extension: its name in the zip and what is in it."""
    source, core = plug_in_source("blender_addon"), Path(__file__).resolve().parent
    for name, path in _files(source):
        content = path.read_bytes()
        yield name, _manifest(content, system, wheels) if name == _MANIFEST else content
    yield "client.py", Path(client.__file__).read_bytes()
    yield "tasks.json", json.dumps([task.describe() for task in offered()]).encode()
    for name, path in _files(LOCALE):
        if path.suffix == ".mo":
            yield f"locale/{name}", path.read_bytes()
    for name, path in _files(core):
        if path.suffix == ".py" and name.partition("/")[0] not in _LEFT_OUT:
            yield f"core/triptych/{name}", path.read_bytes()
    wanted = {task.model for task in offered()} | _USED
    for found in bundle.find_bundles():
        if not (found.user or found.error) and found.card.task in wanted:
            for name, path in _files(found.path):
                place = f"core/triptych/{bundle.SHIPPED}/{found.path.name}"
                yield f"{place}/{name}", path.read_bytes()
    for path in wheels:
        yield f"wheels/{path.name}", path.read_bytes()


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below a folder, by their names there; none that Python or an editor left."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            yield "/".join(parts), path


def _manifest(content: bytes, system: str, wheels: Sequence[Path]) -> bytes:
    """The manifest with the platform and the wheels, before its first table."""
    text = content.decode()
    if tomllib.loads(text)["version"] != __version__:
        raise UserError(f"the extension's manifest is not of version {__version__}.")
    lines = "".join(f'  "./wheels/{path.name}",\n' for path in wheels)
    start = text.index("\n[")
    added = f'\nplatforms = ["{system}"]\nwheels = [\n{lines}]\n'
    return (text[:start] + added + text[start:]).encode()


def _fetched(wheel: Wheel, folder: Path) -> Path:
    """The wheel's file in a folder, downloaded by pip if it is not there."""
    tag = f"cp{wheel.python}" if wheel.python else "py3"
    pattern = f"{wheel.name}-{wheel.version}-{tag}-*{wheel.platform}.whl"
    if not (there := sorted(folder.glob(pattern))):
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        words += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder)]
        if wheel.python:
            words += ["--implementation", "cp", "--abi", f"cp{wheel.python}"]
            words += ["--python-version", wheel.python, "--platform", wheel.platform]
        words.append(f"{wheel.name}=={wheel.version}")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            last = one_line((done.stderr.strip().splitlines() or ["no reason was given"])[-1])
            raise UserError(f"{wheel.name} {wheel.version} cannot be downloaded ({last}).")
        there = sorted(folder.glob(pattern))
    return there[0]


# ------------------------------------------------------------------------------------------ install


@dataclass(frozen=True)
class Blender:
    """A Blender of a user: its version and its folder for extensions."""

    version: str
    extensions: Path

    @property
    def named(self) -> str:
        """What to call it; the version of one whose folder was named is not known."""
        return f"Blender {self.version}".strip()

    @property
    def folder(self) -> Path:
        """Where Triptych's extension is, or would be."""
        return self.extensions / REPOSITORY / NAME


def blenders() -> list[Blender]:
    """Every Blender 4.2 or later that this user has started once, the newest first."""
    found = []
    for root in _configurations():
        try:
            folders = list(root.iterdir())
        except OSError:
            continue
        for folder in folders:
            version = re.fullmatch(r"(\d+)\.(\d+)", folder.name)
            number = (int(version[1]), int(version[2])) if version else (0, 0)
            if number >= _OLDEST and folder.is_dir():
                found.append((number, Blender(folder.name, folder / "extensions")))
    return [one for _, one in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _configurations() -> Iterator[Path]:
    """Where Blender keeps a folder for each version."""
    home = Path.home()
    if sys.platform == "win32":
        roaming = Path(os.environ.get("APPDATA", home / "AppData" / "Roaming"))
        yield roaming / "Blender Foundation" / "Blender"
    elif sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "Blender"
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "blender"
        yield home / ".var" / "app" / "org.blender.Blender" / "config" / "blender"
        yield home / "snap" / "blender" / "current" / ".config" / "blender"


def install(blender: Blender, built: Path) -> list[str]:
    """Put a zip that was built into this Blender's extensions, whole or not at all."""
    target = blender.folder
    aside = target.with_name(f".{NAME}-new")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        with zipfile.ZipFile(built) as opened:
            opened.extractall(aside)
        put_folder(aside, target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise refusal("write", target, error) from error
    return [
        f"{blender.named}: the extension is in {target}.",
        "Start Blender anew and switch it on under Edit > Preferences > Add-ons.",
    ]


def install_all(found: Sequence[Blender]) -> list[str]:
    """Build the extension for this machine and put it into each Blender; what was done."""
    with tempfile.TemporaryDirectory() as folder:
        (built,) = build(Path(folder), [this_platform()])
        return [line for one in found for line in install(one, built)]


def outdated(blender: Blender) -> str:
    """What is wrong with the extension in this Blender's folder, if anything is."""
    try:
        with (blender.folder / _MANIFEST).open("rb") as file:
            told = tomllib.load(file)
        if not all((blender.folder / name).is_file() for name in told["wheels"]):
            return "is not whole"
        source = plug_in_source("blender_addon")
        own = [(name, path) for name, path in _files(source) if name != _MANIFEST]
        own.append(("client.py", Path(client.__file__)))
        if any((blender.folder / name).read_bytes() != path.read_bytes() for name, path in own):
            return "is of another version"
    except (OSError, ValueError, KeyError, TypeError):
        return "is not whole"
    return ""


def uninstall(blender: Blender) -> list[str]:
    """Take the extension out of this Blender's folder."""
    return taken_out(blender.folder, blender.named, "extension", shown(blender.folder.parent))
