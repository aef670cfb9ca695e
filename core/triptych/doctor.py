"""`triptych doctor`: what is installed, what really works, what is wrong and what mends it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from triptych import __version__, bundle, engine
from triptych.errors import UserError, one_line

# The distributions that pyproject.toml asks for, each with a module of it; ONNX Runtime is apart.
_NEEDED = {
    "mido": "mido",
    "numpy": "numpy",
    "pillow": "PIL",
    "platformdirs": "platformdirs",
    "python-osc": "pythonosc",
    "python-rtmidi": "rtmidi",
    "rich": "rich",
    "trimesh": "trimesh",
}
_TRAINING = {
    "libigl": "igl",
    "lightning-fabric": "lightning_fabric",
    "matplotlib": "matplotlib",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "scipy": "scipy",
    "symusic": "symusic",
    "torch": "torch",
}
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
_ENOUGH = 500e6  # bytes: a style of one's own and the file of an 8K picture fit well below


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, what was found, and the command that mends it."""

    subject: str
    found: str
    wrong: bool = False
    mend: str = ""


def examine() -> list[Finding]:
    """Looks at everything; a look that fails itself is a finding."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _providers,
        _bundles,
        _gimp,
        _blender,
        _bridge,
        _folders,
        _training,
    )
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += look()
        except UserError as error:
            findings.append(Finding(look.__name__.strip("_"), str(error), wrong=True))
        except Exception as error:
            said = f"cannot be examined ({type(error).__name__}: {one_line(error)})"
            findings.append(Finding(look.__name__.strip("_"), said, wrong=True))
    return findings


def report(findings: list[Finding]) -> str:
    """The findings as lines of text, what is wrong marked, and a verdict."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        mark = "WRONG" if finding.wrong else "ok"
        lines.append(f"{mark:<6}{finding.subject:<{width}}  {finding.found}")
        if finding.mend:
            lines.append(f"{'':<6}{'':<{width}}  mend it with: {finding.mend}")
    count = sum(finding.wrong for finding in findings)
    verdict = "all is well" if not count else f"{count} thing{'s'[: count > 1]} to mend"
    return "\n".join([*lines, "", verdict])


def _pip(arguments: str) -> str:
    """A pip command for the very Python that runs this, whatever the shell's PATH says."""
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"{python} -m pip {arguments}"


def pip_self(extra: str = "") -> str:
    """The command that installs Triptych (again), from the checkout where this is one."""
    what, again = f"triptych{extra}", "" if extra else "--force-reinstall --no-deps "
    if not _installed():
        what = f"--editable '{Path(__file__).parents[2]}{extra}'"
    elif extra:
        what = f"'{what}'"
    return _pip(f"install {again}{what}")


def _installed() -> bool:
    return bundle.shipped_folder().parent == Path(__file__).resolve().parent


def _ship_again() -> str:
    """The command that brings back the bundles that ship."""
    folder = bundle.shipped_folder()
    if _installed():
        return pip_self()
    return f"git -C '{folder.parent}' checkout HEAD -- {folder.name}"


def _remove(folder: Path) -> str:
    return f'rmdir /s /q "{folder}"' if os.name == "nt" else f"rm -r {shlex.quote(str(folder))}"


def _unset(variable: str) -> str:
    return f"set {variable}=" if os.name == "nt" else f"unset {variable}"


def _python() -> Iterator[Finding]:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Finding("triptych", f"{__version__} in {Path(__file__).parent}")
    yield Finding("python", f"{platform.python_version()} ({sys.executable}) on {system}")
    named = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("TRIPTYCH_")]
    if named:
        yield Finding("settings", " ".join(named))


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    for name, module in _NEEDED.items():
        if importlib.util.find_spec(module):
            yield Finding(name, _version(name) or "present")
        else:
            yield Finding(name, "is missing", wrong=True, mend=_pip(f"install {name}"))
    runtimes = {name: version for name in _RUNTIMES if (version := _version(name))}
    found = ", ".join(f"{name} {version}" for name, version in runtimes.items())
    if len(runtimes) > 1:
        # They share one folder: whichever was installed last has overwritten parts of the other.
        best = "onnxruntime-gpu" if "onnxruntime-gpu" in runtimes else next(reversed(runtimes))
        mend = f"{_pip('uninstall -y ' + ' '.join(runtimes))} && {_pip('install ' + best)}"
        yield Finding("onnxruntime", f"{found} are in each other's way", wrong=True, mend=mend)
    elif found or importlib.util.find_spec("onnxruntime"):
        yield Finding("onnxruntime", found or "present")
    else:
        mend = _pip("install onnxruntime")
        yield Finding("onnxruntime", "is missing", wrong=True, mend=mend)


def _providers() -> Iterator[Finding]:
    for name, error in engine.providers_that_work().items():
        subject = f"runs on {name}"
        if error is None:
            yield Finding(subject, "yes")
        elif name == "cuda" and not engine.has_nvidia():
            yield Finding(subject, "no: this machine has no NVIDIA driver; the CPU does the work")
        else:
            mend = pip_self("[cuda]") if name == "cuda" else ""
            yield Finding(subject, error, wrong=True, mend=mend)
    threads = engine.Engine(["cpu"]).threads
    said = f"{threads} of {os.cpu_count()}" if threads else "one per core"
    yield Finding("threads", f"{said} (TRIPTYCH_THREADS changes it)")


def _bundles() -> Iterator[Finding]:
    for root in filter(None, os.environ.get("TRIPTYCH_BUNDLES", "").split(os.pathsep)):
        if not Path(root).is_dir():
            said = f"TRIPTYCH_BUNDLES names {root}, which is no folder"
            yield Finding("bundles", said, wrong=True, mend=_unset("TRIPTYCH_BUNDLES"))
    tasks = set()
    for found in bundle.find_bundles():
        subject = f"bundle {found.listed}"
        try:
            if found.error:
                raise UserError(found.error)
            found.verify()
        except UserError as error:
            mend = _remove(found.path) if found.user else _ship_again()
            yield Finding(subject, str(error), wrong=True, mend=mend)
            continue
        tasks.add(found.card.task)
        note = f" ({found.note})" if found.note else ""
        yield Finding(subject, f"{found.card.version}, {found.card.task}, {found.path}{note}")
    if "style" not in tasks:
        said = f"no sound style bundle in {bundle.shipped_folder()}"
        yield Finding("bundles", said, wrong=True, mend=_ship_again())


def _bridge() -> Iterator[Finding]:
    """Whether the DAW bridge has ports, and the priority that keeps its notes in time."""
    if not importlib.util.find_spec("triptych_bridge"):
        return
    from triptych_bridge import ports, priority

    try:
        with _silent():
            inputs, outputs = ports.list_ports()
        said = f"yes: {len(inputs)} ports of others to read, {len(outputs)} to play to"
        yield Finding("MIDI", said)
    except UserError as error:
        yield Finding("MIDI", str(error))
    if sys.platform != "linux":
        return

    if priority.allowed() == "real-time":
        yield Finding("real-time priority", "yes: the bridge's notes are in time on a busy machine")
    else:
        said = "refused: the bridge's notes may be late on a busy machine; log in again afterwards"
        yield Finding("real-time priority", said, mend=priority.MENDING)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing on stderr: libjack prints there that no server runs, which is a finding already."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _gimp() -> Iterator[Finding]:
    from triptych import install

    for gimp in install.gimps():
        subject, mend = f"GIMP {gimp.version}", "triptych install gimp"
        if not gimp.folder.exists():
            yield Finding(subject, f"has no plug-in yet; `{mend}` puts it there")
        elif why := install.outdated(gimp):
            yield Finding(subject, f"the plug-in in {gimp.folder} {why}", wrong=True, mend=mend)
        else:
            yield Finding(subject, f"the plug-in is in {gimp.folder}")


def _blender() -> Iterator[Finding]:
    from triptych import blender

    for one in blender.blenders():
        subject, mend = one.named, "triptych install blender"
        if not one.folder.exists():
            yield Finding(subject, f"has no extension yet; `{mend}` puts it there")
        elif why := blender.outdated(one):
            yield Finding(subject, f"the extension in {one.folder} {why}", wrong=True, mend=mend)
        else:
            yield Finding(subject, f"the extension is in {one.folder}")


def _folders() -> Iterator[Finding]:
    user, temporary = bundle.user_data(), Path(tempfile.gettempdir())
    for subject, folder in (("user folder", user), ("temporary", temporary)):
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent  # it is made on first use
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            variable = "TRIPTYCH_USER_DATA" if folder is user else "TMPDIR"
            mend = f"export {variable}=/a/folder/that/you/may/write/to"
            yield Finding(subject, f"{folder} cannot be written", wrong=True, mend=mend)
            continue
        free = shutil.disk_usage(there).free
        mend = "" if free > _ENOUGH else "deleting what is not needed on that disk"
        yield Finding(subject, f"{folder}, {free / 1e9:.1f} GB free", bool(mend), mend)


def _training() -> Iterator[Finding]:
    missing = [name for name, module in _TRAINING.items() if not importlib.util.find_spec(module)]
    if missing:
        yield Finding("training", f"cannot train: no {', '.join(missing)}")
        yield Finding("", f"if you want to: {pip_self('[train]')}")
    else:
        yield Finding("training", f"torch {_version('torch')}")
    data = os.environ.get("TRIPTYCH_DATA")
    if data and not Path(data).is_dir():
        said = f"TRIPTYCH_DATA names {data}, which is no folder"
        yield Finding("training data", said, wrong=True, mend=_unset("TRIPTYCH_DATA"))
    elif data:
        yield Finding("training data", data)
    else:
        yield Finding("training data", "none named (TRIPTYCH_DATA; only recipes that ship need it)")
