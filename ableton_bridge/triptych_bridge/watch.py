"""A watched folder: a MIDI file that is put there is answered by a new one beside it."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from triptych.errors import UserError
from triptych.files import refusal, shown
from triptych.media import MIDI
from triptych.music.midi import MOST_BYTES

_LOOK = 0.5  # seconds between two looks into the folder
_MOST_ANSWERS = 10_000  # to one file

Make = Callable[[str, Mapping[str, Any], bytes], bytes]


class Watch:
    """Answers what appears in `folder` from now on, by `make(task, values, midi)`.

    `chosen` tells the task and its values at the time; `say` is called with a sentence for each
    file. Both are called from a thread of its own. A file is read once it has stopped growing. It
    is answered by NAME-TASK.mid, or a number more; nothing is ever overwritten. UserError where
    there is no such folder.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        make: Make,
        chosen: Callable[[], tuple[str, Mapping[str, Any]]],
        say: Callable[[str], None],
    ) -> None:
        self.folder = Path(folder)
        self._make, self._chosen, self._say = make, chosen, say
        if not self.folder.is_dir():
            raise UserError(f"there is no folder {shown(self.folder)} to watch: make it first.")
        self._done = dict(self._files())  # what is there already is not answered
        self._seen: dict[Path, tuple[int, int]] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """End it, after the file that is under way or so many seconds."""
        self._closed.set()
        self._thread.join(seconds)

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK):
            try:
                found = dict(self._files())
            except OSError as error:
                self._say(str(refusal("read", self.folder, error)))
                continue
            for path, state in found.items():
                # Twice the same: it is whole.
                if self._done.get(path) != state and self._seen.get(path) == state:
                    self._done[path] = state
                    try:
                        made = self._answer(path)
                        self._say(f"{shown(path.name)} is answered by {shown(made.name)}.")
                    except UserError as error:
                        self._say(f"{shown(path.name)} is not answered: {error}")
                if self._closed.is_set():
                    return
            self._seen = found

    def _files(self) -> list[tuple[Path, tuple[int, int]]]:
        """The MIDI files and, of each, what changes when it is written."""
        found = []
        for path in sorted(self.folder.iterdir()):
            if path.suffix.lower() in MIDI and not path.name.startswith("."):
                with suppress(OSError):
                    status = path.stat()
                    found.append((path, (status.st_size, status.st_mtime_ns)))
        return found

    def _answer(self, path: Path) -> Path:
        task, values = self._chosen()
        try:
            if path.stat().st_size > MOST_BYTES:
                raise UserError(f"it has more than {MOST_BYTES // 1_000_000} MB: cut it.")
            given = path.read_bytes()
        except OSError as error:
            raise refusal("read", path, error) from None
        return self._write(path, task, self._make(task, values, given))

    def _write(self, source: Path, task: str, made: bytes) -> Path:
        """Write a new file, whole, under a name that nothing has."""
        aside = self.folder / f".triptych-{secrets.token_hex(6)}.part"
        try:
            with aside.open("xb") as file:
                file.write(made)
                file.flush()
                os.fsync(file.fileno())
            status = aside.stat()
            for number in range(1, _MOST_ANSWERS):
                end = "" if number == 1 else f"-{number}"
                target = source.with_name(f"{source.stem}-{task}{end}.mid")
                # Known before it appears: our own answers are not answered.
                self._done[target] = (status.st_size, status.st_mtime_ns)
                try:
                    _appear(aside, target)
                    return target
                except FileExistsError:
                    self._done[target] = _state(target)
        except OSError as error:
            raise refusal("write", self.folder, error) from None
        finally:
            aside.unlink(missing_ok=True)
        raise UserError("there are too many answers to it: delete some.")


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _appear(aside: Path, target: Path) -> None:
    """Give a file its name; FileExistsError where another has it."""
    try:
        target.hardlink_to(aside)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # a disk without hard links
        with target.open("xb"):
            pass
        aside.replace(target)
