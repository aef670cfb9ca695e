"""The worker's process that makes the notes: asked ahead of time, restarted when it has gone.

maker = Maker()
maker.ask("continue", {"bars": 2}, midi, deliver)
# deliver(request) is called on the maker's thread: request.midi, or request.error
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triptych
from triptych.client import Run, RunCancelled, Worker, WorkerError
from triptych.errors import UserError

COMMAND = (sys.executable, "-m", "triptych.worker")

_LOOK = 0.05  # seconds between two looks at whether a run was cancelled
_AGAIN = 1.0  # seconds before a worker that did not start is started again
_ENDING = 3.0  # seconds that a cancelled run gets


@dataclass(eq=False)
class Request:
    """What was asked for and, once it is delivered, what became of it.

    `midi` is None where it failed or was cancelled; `error` is one sentence, or empty.
    `seconds` is how long it took from asking on.
    """

    task: str
    values: Mapping[str, Any]
    given: bytes | None
    deliver: Callable[[Request], None]
    midi: bytes | None = None
    error: str = ""
    seconds: float = 0.0
    cancelled: threading.Event = field(default_factory=threading.Event)
    asked: float = field(default_factory=time.monotonic)

    def cancel(self) -> None:
        """Ask for an end; it is delivered all the same, without notes."""
        self.cancelled.set()


class Maker:
    """Does requests one after the other in a worker of its own.

    `limit` is how many seconds a request may take. `threads` is how many a graph may use; None
    leaves it to the engine.
    """

    def __init__(
        self,
        command: Sequence[str] = COMMAND,
        threads: int | None = 1,
        limit: float = 30.0,
    ) -> None:
        self._command, self._limit = command, limit
        # The package is found where ours is, installed or not.
        folder = str(Path(triptych.__file__ or "").parents[1])
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = {"PYTHONPATH": os.pathsep.join(paths)}
        if threads is not None:
            self._environment["TRIPTYCH_THREADS"] = str(threads)
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._worker: Worker | None = None
        self.restarts = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The worker's process, while there is one."""
        worker = self._worker
        return worker._process.pid if worker is not None and worker.alive else None

    def ask(
        self,
        task: str,
        values: Mapping[str, Any],
        given: bytes | None,
        deliver: Callable[[Request], None],
    ) -> Request:
        """Have a task done that makes a score; `given` is a Standard MIDI File.

        `deliver` is called with the request, from a thread of the maker's, once it has ended.
        """
        request = Request(task, values, given, deliver)
        self._waiting.put(request)
        return request

    def make(self, task: str, values: Mapping[str, Any], given: bytes | None) -> bytes:
        """The same, waited for: the Standard MIDI File that was made. UserError where none was."""
        done = threading.Event()
        request = self.ask(task, values, given, lambda _: done.set())
        while not done.wait(_LOOK):
            if self._closing.is_set():
                raise UserError("the bridge was closed.")
        if request.midi is None:
            raise UserError(request.error or f"{task} was cancelled.")
        return request.midi

    def close(self) -> None:
        """End the worker; what still waits is not delivered."""
        self._closing.set()
        self._waiting.put(None)
        worker = self._worker
        if worker is not None:
            worker.close()
        self._thread.join(_ENDING)

    def _work(self) -> None:
        with suppress(WorkerError):
            self._started()  # before the first request needs it
        while (request := self._waiting.get()) is not None and not self._closing.is_set():
            try:
                if not request.cancelled.is_set():
                    request.midi = self._made(request)
            except RunCancelled:
                pass
            except WorkerError as error:
                request.error = str(error)
            request.seconds = time.monotonic() - request.asked
            if self._closing.is_set():
                return
            request.deliver(request)
            if self._worker is not None and not self._worker.alive:
                with suppress(WorkerError):
                    self._started()

    def _made(self, request: Request) -> bytes:
        run = self._started().run_midi(request.task, request.values, request.given)
        end = time.monotonic() + self._limit
        while not run.wait(_LOOK):
            if self._closing.is_set():
                raise RunCancelled
            if request.cancelled.is_set() or time.monotonic() > end:
                self._end(run)
                if not request.cancelled.is_set():
                    raise WorkerError(
                        f"{request.task} took more than {self._limit:g} seconds: ask for fewer "
                        "bars, or use a smaller model."
                    )
                raise RunCancelled
        return run.midi()

    def _end(self, run: Run) -> None:
        """Cancel a run; a worker that does not obey is ended itself."""
        run.cancel()
        if not run.wait(_ENDING) and self._worker is not None:
            self._worker.close()

    def _started(self) -> Worker:
        """The worker, started where it is not running."""
        if self._worker is not None and self._worker.alive:
            return self._worker
        if self._worker is not None:
            self.restarts += 1
        try:
            self._worker = Worker(self._command, self._environment)
        except WorkerError:
            self._closing.wait(_AGAIN)
            raise
        if self._closing.is_set():
            self._worker.close()
        return self._worker
