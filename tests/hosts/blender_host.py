"""Blender for the tests: the extension's zip, and Blender as a Python module of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from triptych import blender

BPY = "5.0.1"  # the last Blender that Python 3.11 runs
PACKAGES = (f"bpy=={BPY}", "numpy==1.26.4")  # as that Blender brings them
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych-hosts"


class Module:
    """The Blender module, in an environment where Triptych is not installed."""

    def __init__(self, user: Path, resources: Path) -> None:
        self.folder = CACHE / f"bpy-{BPY}"
        self.python = self.folder / "bin" / "python"
        self.environment = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "BLENDER_USER_RESOURCES": str(resources),
            "TRIPTYCH_USER_DATA": str(user),
            "TRIPTYCH_THREADS": "1",
        }
        self._make()

    @property
    def validator(self) -> Path:
        """Blender's own program that builds and checks extensions."""
        return next(self.folder.rglob("bl_pkg/cli/blender_ext.py"))

    def run(self, *words: str, seconds: int = 600) -> str:
        """What the module's Python prints that runs these words; it must end well in time."""
        done = subprocess.run(
            [str(self.python), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        return said

    def _make(self) -> None:
        if (self.folder / "made").exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([_python(), "-m", "venv", self.folder], check=True, timeout=120)
        pip: list[str | Path] = [
            self.python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "--no-deps", *PACKAGES], check=True, timeout=900)
        (self.folder / "made").touch()


def _python() -> str:
    found = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if found is None:
        missing = "the Blender module needs Python 3.11"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def extension() -> Path:
    """The extension's zip for this machine, built anew; its wheels are kept."""
    (made,) = blender.build(CACHE / "extension", [blender.this_platform()])
    return made
