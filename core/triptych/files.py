"""Files that appear whole or not at all, and what to say when the system refuses."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path

from triptych.errors import UserError

_REASONS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: "permission is denied; choose another place or change its permissions",
    errno.EPERM: "permission is denied; choose another place or change its permissions",
    errno.EROFS: "it lies on a read-only disk; choose another place",
    errno.ENOSPC: "the disk is full; free some space or choose another disk",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another disk",
    errno.EFBIG: "the file would be larger than the system allows; choose another disk",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.ENOTDIR: "part of its path is not a folder; choose another place",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
}


def shown(path: str | os.PathLike[str]) -> str:
    """A path as it may be printed: control and undecodable characters are escaped."""
    text = os.fspath(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def refusal(action: str, path: str | os.PathLike[str], error: OSError) -> UserError:
    """One sentence for an operating system's error; `action` is "read" or "write"."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or "the system refused"
    return UserError(f"cannot {action} {shown(path)}: {reason}.")


def write_whole(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> None:
    """Write `data` to `path` so that `path` holds either all of it or what it held before.

    The bytes go to a new file in the same folder, are flushed to the disk and then take the name.
    A link is followed and the permissions of a file that is replaced are kept.

    Raises:
        UserError: the folder is missing or unwritable, the disk is full, ...
    """
    target = Path(os.path.realpath(path))
    # A name of its own, because the target's name plus a suffix may be too long.
    aside = target.parent / f".triptych-{secrets.token_hex(6)}.part"
    try:
        if target.is_dir():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                aside.chmod(target.stat().st_mode & 0o7777)
            aside.replace(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refusal("write", path, error) from None


def put_folder(aside: Path, target: Path) -> None:
    """Let the folder `aside` take the place of the folder `target`, both on one disk.

    What was in that place is deleted, or is there again when this fails with OSError.
    """
    before = target.with_name(f".{target.name}-old")
    shutil.rmtree(before, ignore_errors=True)
    if target.exists():
        target.rename(before)
    try:
        aside.rename(target)
    except OSError:
        if before.exists():
            before.rename(target)
        raise
    shutil.rmtree(before, ignore_errors=True)
