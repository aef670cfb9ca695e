"""A Debian 13 of its own in the user's cache, where the hosts run. It needs Linux and root.

Only a user's machine may do without: in CI (which says so by the variable CI) whatever is missing
is a failure.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Its own mounts and processes, which end with it; nothing that others share in memory is seen.
# The machine's own root is seen as /host: there Triptych's Python runs.
ENTER = """set -e
root=$1; shift
mount -t tmpfs none /dev/shm
mkdir -p "$root/host"
mount --rbind / "$root/host"
for folder in dev proc sys; do mount --rbind "/$folder" "$root/$folder"; done
exec chroot "$root" "$@"
"""
APART = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]


class Root:
    """Debian 13 in a folder."""

    def __init__(self) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.root = cache / "triptych-hosts" / "trixie"

    def enter(
        self, *words: str, seconds: int = 600, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the root."""
        with self.start(*words, stderr=subprocess.PIPE, **environment) as process:
            try:
                output, errors = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(words, process.returncode, output, errors)

    def start(
        self, *words: str, stderr: int | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        """Start a command inside the root; with it ends all that it started."""
        kept = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        return subprocess.Popen(
            [*self.way(), *words],
            env={**kept, "DEBIAN_FRONTEND": "noninteractive", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
        )

    def way(self) -> list[str]:
        """The command that leads into the root, before the words to run there."""
        return ["unshare", *APART, "sh", "-c", ENTER, "enter", str(self.root)]

    def install(self, packages: str, then: str = "true") -> None:
        """Put packages into the root, and make the root first; what is there is left alone."""
        made = self.root / "made"
        if not made.exists():
            self._make()
            made.touch()
        stamp = self.root / f"made-of {packages}"
        if stamp.exists():
            return
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        quick = "-o Dpkg::Options::=--force-unsafe-io --no-install-recommends"
        take = f"apt-get update && apt-get install -y {quick} {packages}"
        done = self.enter("sh", "-c", f"{take} && {then}")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        stamp.touch()

    def _make(self) -> None:
        if shutil.which("debootstrap") is None:
            said(["apt-get", "update", "-qq"])
            said(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "debootstrap"])
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        said(["debootstrap", "--variant=minbase", "trixie", str(self.root), mirror()])


class Lasting(Root):
    """A root whose commands share their mounts and processes, until it is closed.

    Programs that talk to each other through shared memory need that.
    """

    def __init__(self) -> None:
        super().__init__()
        self._inside: list[str] = []
        self._first = self.start("sh", "-c", "echo here; exec cat")
        assert self._first.stdout is not None
        assert self._first.stdout.readline() == "here\n", self._first.wait()
        self._inside = ["nsenter", "--target", str(child(self._first)), "--mount", "--pid"]

    def way(self) -> list[str]:
        """The command that leads into the root, before the words to run there."""
        return [*self._inside, "chroot", str(self.root)] if self._inside else super().way()

    def outside(self) -> list[str]:
        """The command that leads to the machine's own root, beside what runs inside."""
        return self._inside

    def close(self) -> None:
        """End all that runs."""
        self._first.kill()
        self._first.communicate()


def child(process: subprocess.Popen[str]) -> int:
    """The process that `unshare` or `nsenter` made, as the machine numbers it."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def need(what: str) -> None:
    """Skip or, in CI, fail where no root can be made."""
    if sys.platform != "linux" or os.geteuid() != 0:
        missing = f"making a root for {what} needs Linux and root"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


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
