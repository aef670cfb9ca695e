"""The parent's side of the player's process: start it, tell it, hear it, end it.

with PlayerProcess(on_report=hear) as player:
    player.send(Follow("internal"))
    player.play(notes, part="melody")
    player.send(Transport("start"))
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import triptych
import triptych_bridge
from triptych.client import FrameError, read_frame, write_frame
from triptych.errors import UserError
from triptych_bridge.midi import Note
from triptych_bridge.ports import VIRTUAL
from triptych_bridge.protocol import (
    CHUNK,
    Close,
    Command,
    Failed,
    Open,
    Ready,
    Report,
    Schedule,
    State,
    report,
    to_json,
)
from triptych_bridge.scheduler import Unit

_START = 20.0  # seconds for the process to open its ports
_SILENCE = 5.0  # seconds without a report after which it is taken for dead
_END = 2.0  # seconds for it to end by itself


class PlayerProcess:
    """A running player.

    `output` and `input` are as for `ports.open_output` and `ports.open_input`; None for no port.
    `on_report` is called with each report from a thread of its own, and with `Failed` when the
    process has gone. UserError where it cannot be started.
    """

    def __init__(
        self,
        output: str | None = VIRTUAL,
        input: str | None = VIRTUAL,
        name: str = "Triptych",
        on_report: Callable[[Report], None] | None = None,
        echo: bool = False,
    ) -> None:
        self._on_report = on_report or (lambda report: None)
        self._writing = threading.Lock()
        self._told = threading.Event()  # that the ports are open, or why they are not
        self._over = ""
        self._closing = False
        self.ready: Ready | None = None
        self.state: State | None = None
        self._heard = time.monotonic()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (what MIDI libraries print)
        # The packages are found where ours are, installed or not.
        folders = {str(Path(p.__file__ or "").parents[1]) for p in (triptych, triptych_bridge)}
        paths = [*sorted(folders), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "triptych_bridge.player"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            self._log.close()
            raise UserError(
                f"the player cannot be started ({error.strerror}): install Triptych again."
            ) from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self._write(Open(output, input, name, echo))
            if not self._told.wait(_START):
                self._over = "the MIDI system does not answer: restart it."
            if self.ready is None:
                raise UserError(self._over)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs and answers."""
        silent = time.monotonic() - self._heard > _SILENCE
        return not self._over and not silent and self._process.poll() is None

    def send(self, command: Command) -> None:
        """Tell it something. UserError where the process has gone."""
        if not self.alive:
            raise UserError(self._over or "the player does not answer: open the bridge again.")
        self._write(command)

    def play(
        self,
        notes: Sequence[Note],
        unit: Unit = "beats",
        part: str = "",
        replace_from: float | None = None,
    ) -> None:
        """Schedule any number of notes of a part, in place of all of it from `replace_from` on."""
        in_order = sorted(notes, key=lambda note: note.start)
        for first in range(0, max(len(in_order), 1), CHUNK):
            chunk = tuple(in_order[first : first + CHUNK])
            self.send(Schedule(chunk, unit, part, replace_from if first == 0 else None))

    def close(self) -> None:
        """End what sounds and the process."""
        self._closing = True
        with suppress(UserError):
            self._write(Close())
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if threading.current_thread() is not self._listener:
            self._listener.join(_END)
        self._log.close()

    def __enter__(self) -> PlayerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, command: Command) -> None:
        assert self._process.stdin is not None
        try:
            with self._writing:
                write_frame(self._process.stdin, to_json(command))
        except (OSError, ValueError) as error:
            raise UserError(
                self._over or "the player has stopped: open the bridge again."
            ) from error

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with suppress(FrameError, OSError, ValueError):
            while (body := read_frame(self._process.stdout)) is not None:
                self._heard = time.monotonic()
                self._hear(report(body))
        if self.ready is None:
            self._over = self._over or "the player stopped at its start: run `triptych doctor`."
        self._over = self._over or "the player has stopped: open the bridge again."
        self._told.set()
        if self.ready is not None and not self._closing:
            self._on_report(Failed(self._over))

    def _hear(self, told: Report) -> None:
        if isinstance(told, State):
            self.state = told
        elif isinstance(told, Ready):
            self.ready = told
            self._told.set()
        elif isinstance(told, Failed) and self.ready is None:
            self._over = told.message
            return
        self._on_report(told)
