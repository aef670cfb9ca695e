"""Real hosts. GIMP 3 runs in a Debian 13 root of its own, made once and kept in the user's cache.

Making it needs Linux, root and Debian's `debootstrap`. Only a user's machine may do without: in CI
(which says so by the variable CI) whatever is missing is a failure.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from triptych import install

PACKAGES = (
    "gimp gir1.2-gimp-3.0 python3-gi "
    "xvfb openbox xdotool dbus-daemon at-spi2-core gir1.2-atspi-2.0 fonts-wqy-microhei locales"
)
CHINESE = "zh_CN.UTF-8"  # a locale for the window; without `locales` there is none but C
# Its own mounts and processes, which end with it; nothing that others share in memory is seen.
# The machine's own root is seen as /host: there the worker runs.
ENTER = """set -e
root=$1; shift
mount -t tmpfs none /dev/shm
mkdir -p "$root/host"
mount --rbind / "$root/host"
for folder in dev proc sys; do mount --rbind "/$folder" "$root/$folder"; done
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Gimp:
    """A GIMP with Triptych's plug-in."""

    root: Path

    @property
    def plug_in(self) -> Path:
        """The installed plug-in's folder."""
        return self.root / "root/.config/GIMP/3.0/plug-ins/triptych"

    def enter(
        self, *words: str, seconds: int = 600, language: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the root."""
        with self.start(*words, stderr=subprocess.PIPE, language=language) as process:
            try:
                output, errors = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(words, process.returncode, output, errors)

    def start(
        self, *words: str, stderr: int | None = None, language: str = ""
    ) -> subprocess.Popen[str]:
        """Start a command inside the root; with it ends all that it started."""
        apart = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["unshare", *apart, "--propagation", "private", "sh", "-c", ENTER, "enter"]
        kept = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        return subprocess.Popen(
            [*command, str(self.root), *words],
            env={**kept, "DEBIAN_FRONTEND": "noninteractive", "LANGUAGE": language},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
        )

    def console(self, script: Path, language: str = "") -> str:
        """What GIMP prints that runs a Python script, without a window."""
        code = f"exec(compile(open('/host{script}').read(), '{script.name}', 'exec'))"
        return self.batch("python-fu-eval", code, language)

    def batch(self, interpreter: str, code: str, language: str = "") -> str:
        """What GIMP prints that runs this code without a window."""
        words = ["--no-interface", "--batch-interpreter", interpreter, "-b", code, "--quit"]
        done = self.enter("gimp-console", *words, seconds=300, language=language)
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def gimp() -> Gimp:
    """GIMP 3 with the plug-in of this checkout."""
    if sys.platform != "linux" or os.geteuid() != 0:
        missing = "making a root for GIMP 3 needs Linux and root"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return prepared()


@pytest.fixture(scope="session")
def window(gimp: Gimp) -> Iterator[Any]:
    """That GIMP's window, on a screen of its own."""
    made = gimp_window().Window(gimp)
    yield made
    made.close()


def gimp_window() -> Any:
    """The module beside this one; pytest imports no module from a test's folder."""
    path = Path(__file__).with_name("gimp_window.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepared() -> Gimp:
    """A GIMP 3 with the plug-in of this checkout."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    host = Gimp(cache / "triptych-hosts" / "trixie")
    stamp = host.root / f"made-of {PACKAGES}"
    if not stamp.exists():
        make(host)
        stamp.touch()
    seen = host.root / Path(install.__file__).parents[2].relative_to("/")  # for the thumbnails
    if not seen.is_symlink():
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.symlink_to(f"/host/{seen.relative_to(host.root)}")
    shutil.rmtree(host.plug_in, ignore_errors=True)
    install.install_gimp(install.Gimp("3.0", host.plug_in.parent))
    settings = json.loads((host.plug_in / "worker.json").read_text())
    settings["command"] = ["chroot", "/host", *settings["command"]]
    settings["environment"]["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    (host.plug_in / "worker.json").write_text(json.dumps(settings))
    return host


def make(host: Gimp) -> None:
    """Debian 13 with GIMP in a folder."""
    if shutil.which("debootstrap") is None:
        said(["apt-get", "update", "-qq"])
        said(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "debootstrap"])
    shutil.rmtree(host.root, ignore_errors=True)
    host.root.parent.mkdir(parents=True, exist_ok=True)
    said(["debootstrap", "--variant=minbase", "trixie", str(host.root), mirror()])
    shutil.copy("/etc/resolv.conf", host.root / "etc/resolv.conf")
    install_all = f"apt-get install -y --no-install-recommends {PACKAGES}"
    locale = f"localedef -i zh_CN -f UTF-8 {CHINESE}"
    done = host.enter("sh", "-c", f"{install_all} && {locale}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def mirror() -> str:
    """Where this machine takes Debian's packages from."""
    listed = said(["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)"])
    for line in listed.splitlines():
        address, _, label = line.partition(" ")
        if label == "Debian" and "security" not in address:
            return address
    raise AssertionError(f"no Debian mirror is known here: {listed}")


def said(command: list[str]) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
