# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker that serves this Blender, and runs in it; nothing here knows Blender.

The worker starts beside the interface, serves all runs, and ends when it has long been idle.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import client
from .declared import _

IDLE = 300.0  # seconds after which the worker gives its memory back
_RUNTIME = "onnxruntime"
_HERE = Path(__file__).resolve().parent


@dataclass
class Order:
    """One run that is wanted: a task, its values and what it starts from (`Worker.run_mesh`).

    `output` is what the task makes: "mesh" or "material".

    `shared` is the memory that the values and the mesh lie in; it is given back with the run.
    `told` are the values as the user set them, to be kept with the result.
    """

    task: str
    values: dict[str, Any]
    mesh: Any = None
    preview: int = 0
    output: str = "mesh"
    shared: list[client.Pixels] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)


@dataclass
class Made:
    """What came of an order."""

    order: Order
    content: Any  # client.Triangles, or client.Maps of a material
    record: str | None  # how it was made, as JSON
    seconds: float


class Engine:
    """One worker at a time, started when it is first needed and anew when its settings change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: client.Worker | None = None
        self._error: client.WorkerError | None = None
        self._starting: threading.Thread | None = None
        self._settings: tuple[list[str], dict[str, str]] = ([], {})
        self._used = 0.0

    def prepare(self, user: Path, environment: Mapping[str, str]) -> None:
        """See that a worker runs or starts; `user` is the folder that may be written."""
        told = ([sys.executable, "-s", "-m", "triptych.worker"], dict(environment))
        if told != self._settings or (self._worker is not None and not self._worker.alive):
            self.close()
        self._settings, self._used = told, time.monotonic()
        if self._worker is None and self._starting is None:
            self._error = None
            self._starting = threading.Thread(target=self._start, args=(user,), daemon=True)
            self._starting.start()

    def _start(self, user: Path) -> None:
        command, environment = self._settings
        try:
            place = os.pathsep.join([str(_HERE / "core"), str(packages(user))])
            more = {"PYTHONPATH": place, "PYTHONPYCACHEPREFIX": str(user / "pycache")}
            worker = client.Worker(command, {**environment, **more})
        except client.WorkerError as error:
            with self._lock:
                self._error, self._starting = error, None
            return
        with self._lock:
            if self._starting is threading.current_thread():
                self._worker, self._starting = worker, None
                return
        worker.close()  # nobody wants it any more

    def worker(self) -> client.Worker | None:
        """The worker once it runs; raises the WorkerError that it failed with."""
        self._used = time.monotonic()
        with self._lock:
            if self._error is not None:
                raise self._error
            return self._worker

    def rest(self) -> None:
        """End a worker that has not been used for long."""
        if self._worker is not None and time.monotonic() - self._used > IDLE:
            self.close()

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            worker, self._worker, self._starting, self._error = self._worker, None, None, None
        if worker is not None:
            worker.close()


class Batch:
    """Orders that are carried out one after the other."""

    def __init__(self, engine: Engine, orders: Sequence[Order]) -> None:
        self.orders = list(orders)
        self._engine = engine
        self._runs: list[client.Run] = []
        self._over: client.WorkerError | None = None
        self._cancelled = False

    @property
    def fraction(self) -> float:
        """How much is done, 0..1."""
        return sum(run.fraction for run in self._runs) / max(len(self.orders), 1)

    def poll(self) -> bool:
        """Whether all have ended; it never waits."""
        if self._cancelled and not self._runs:
            return True
        try:
            worker = self._engine.worker()
        except client.WorkerError as error:
            self._over = self._over or error
            return True
        if not self._runs:
            if worker is None:
                return False
            for one in self.orders:
                if one.output == "material":
                    run = worker.run_material(one.task, one.values)
                else:
                    run = worker.run_mesh(one.task, one.values, one.mesh, one.preview)
                self._runs.append(run)
        return all(run.wait(0) for run in self._runs)

    def cancel(self) -> None:
        """Ask for an end, which `poll` then reports."""
        self._cancelled = True
        for run in self._runs:
            run.cancel()

    def results(self) -> list[Made]:
        """What all orders came to, what they hold to be closed by the caller.

        Raises RunCancelled, or WorkerError with the sentence that says what went wrong.
        """
        made: list[Made] = []
        failed: Exception | None = self._over
        if self._cancelled:  # also where the last result has come all the same
            failed = client.RunCancelled()
        for order, run in zip(self.orders, self._runs, strict=False):
            try:
                content = run.material() if order.output == "material" else run.mesh()
                made.append(Made(order, content, run.record, run.seconds))
            except (client.WorkerError, client.RunCancelled) as error:
                failed = failed or error
        self._release()
        if failed is not None:
            for one in made:
                one.content.close()
            raise failed
        return made

    def wait(self) -> None:
        """Return when all have ended."""
        while not self.poll():
            if self._runs:
                self._runs[-1].wait(0.1)
            else:
                time.sleep(0.02)

    def abandon(self) -> None:
        """Forget the runs; nobody waits for them."""
        self.cancel()
        self._release()

    def _release(self) -> None:
        for order in self.orders:
            for pixels in order.shared:
                pixels.close()


def packages(user: Path) -> Path:
    """The folder with the packages from our wheels that fit this Python.

    Blender has unpacked them, but of two extensions that bring a package it takes the newest one's
    for both; then ours are unpacked in the user's folder.
    """
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    wheels = sorted(_HERE.glob("wheels/*.whl"))
    ours = [one for one in wheels if one.name.split("-")[2] in (tag, "py3", "py2.py3")]
    found = importlib.util.find_spec(_RUNTIME)
    if found is not None and found.origin is not None:
        place = Path(found.origin).parents[1]
        if all(_unpacked(one, place) for one in ours):
            return place
    target = user / f"packages-{tag}"
    try:
        for wheel in ours:
            if not _unpacked(wheel, target):
                with zipfile.ZipFile(wheel) as opened:
                    opened.extractall(target)
    except (OSError, zipfile.BadZipFile) as error:
        raise client.WorkerError(
            client.translated(_("Triptych's packages cannot be unpacked ({reason}).")).format(
                reason=error
            )
        ) from error
    return target


def _unpacked(wheel: Path, place: Path) -> bool:
    """Whether this very version lies there."""
    name, version = wheel.name.split("-")[:2]
    return (place / f"{name}-{version}.dist-info").is_dir()
