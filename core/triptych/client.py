"""A client of `triptych.worker` for any host's Python: this file alone, standard library only.

    with Worker([python, "-m", "triptych.worker"]) as worker:
        with Pixels((height, width, 3)) as picture:
            picture.data[:] = ...                  # float32, sRGB, 0..1
            run = worker.run("style", {"strength": 0.8}, picture)
            while not run.wait(0.05):
                show(run.fraction, run.message)    # or run.cancel()
            with run.result() as made:
                use(made.data, made.shape)

Nothing here blocks but `Worker()`, `call` and the `wait`s, each with a time limit. Whatever becomes
of the worker, they end, with a `WorkerError` whose text is one sentence for the user. Host objects
are to be touched from the host's own thread: poll a `Run` from its timer.
"""

from __future__ import annotations

import base64
import contextlib
import gettext
import itertools
import json
import math
import mmap
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

if os.name != "nt":  # Windows has no such locks, and deletes no file that is in use
    import fcntl

PROTOCOL = 3  # both sides must speak the same

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = (
    *(-32700, -32600, -32601, -32602, -32603),
)
CANCELLED = -32800  # as in the Language Server Protocol
REFUSED = -32000  # what the user can mend, in one sentence

KINDS = {"f4": 4, "u1": 1, "i4": 4}  # float32, bytes, whole numbers (of a mesh); a value's size
_FORMATS: dict[str, Any] = {"f4": "f", "u1": "B", "i4": "i"}  # as memoryview names them
_NAME = (".pixels", "triptych-")  # how files of pixels end and begin
_LONGEST_HEADER = 4096  # bytes
_LONGEST_BODY = 16 << 20  # bytes: far more than any request or answer takes
_START = 30.0  # seconds for the worker to answer at first
_SILENCE = 20.0  # seconds after which a worker that answers nothing is taken for dead
_BEAT = 5.0  # seconds between the questions whether it lives


_catalogue = gettext.NullTranslations()


def speak(folder: str | os.PathLike[str], languages: Sequence[str] | None = None) -> None:
    """From now on, say everything in the first of these languages (`zh_CN`) that `folder` has.

    `folder` is the core's `locale`, or a copy; no languages are those of the environment.
    """
    global _catalogue
    names = None if languages is None else list(languages)
    _catalogue = gettext.translation("triptych", folder, names, fallback=True)


def translated(text: str) -> str:
    """A text in the user's language: a sentence of this file, or what a task's description says."""
    return _catalogue.gettext(text) if text else ""


_ = translated


class FrameError(Exception):
    """What arrived is no frame."""


class WorkerError(Exception):
    """What went wrong, as one sentence for the user."""


class RunCancelled(Exception):
    """The run was cancelled."""


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The body of the next frame, or None where the stream ends between frames.

    Raises FrameError for what is no frame, is too large, or is cut off. It never reads beyond the
    frame, nor holds more than the largest.
    """
    length, read = None, 0
    while True:
        line = stream.readline(_LONGEST_HEADER)
        if not line and not read:
            return None
        read += len(line)
        if not line.endswith(b"\n") or read > _LONGEST_HEADER:
            raise FrameError("a frame's header is cut off or too long")
        line = line.strip()
        if not line:
            break
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            digits = value.strip()
            if not digits.isdigit() or len(digits) > 9:
                raise FrameError("a frame's length is no number")
            length = int(digits)
        elif name.strip().lower() != b"content-type":
            raise FrameError("this is no frame")
    if length is None:
        raise FrameError("a frame has no length")
    if length > _LONGEST_BODY:
        raise FrameError("a frame is too large")
    body = stream.read(length)
    if len(body) < length:
        raise FrameError("a frame is cut off")
    return body


def write_frame(stream: IO[bytes], message: Mapping[str, Any]) -> None:
    """Write `message` as one frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    frame = memoryview(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    while frame:  # a raw stream may take less than all
        frame = frame[stream.write(frame) :]
    stream.flush()


class Pixels:
    """Values in a file that two processes map into memory: float32, bytes (`kind` "u1"), int32
    ("i4").

    `data` is the memory as bytes: fill it from any buffer, in strips, without a list. The file is
    in memory (tmpfs) where the system has one, or else in the folder for temporary files; `folder`
    says another. It is gone once this is closed; if this process is killed instead, as GIMP does
    where the user cancels, by `sweep` of the worker.
    """

    def __init__(self, shape: Sequence[int], folder: str | None = None, kind: str = "f4") -> None:
        self.shape, self.kind = tuple(int(size) for size in shape), kind
        size = KINDS[kind] * math.prod(self.shape)
        try:
            while True:
                handle, self.path = tempfile.mkstemp(*_NAME, folder or _shared_folder())
                self._file = os.fdopen(handle, "r+b")
                if _hold(self._file):
                    break
                self._file.close()
            self._map: mmap.mmap | None = None
            try:
                self._file.truncate(size)
                if hasattr(os, "posix_fallocate") and size:  # full now, not a crash while writing
                    os.posix_fallocate(self._file.fileno(), 0, size)
                self._open()
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise WorkerError(
                _(
                    "there is no room for the picture's pixels ({reason}): free some memory or "
                    "space for temporary files."
                ).format(reason=error.strerror)
            ) from error

    def _open(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        self._map = mmap.mmap(self._file.fileno(), 0) if size else None

    @property
    def data(self) -> memoryview:
        """The pixels' bytes, to read and to write; they go with `close`."""
        return memoryview(self._map if self._map is not None else b"")

    def close(self) -> None:
        """Give the memory back and delete the file."""
        if self._map is not None:
            with contextlib.suppress(BufferError):  # a view of it is still in use, and keeps it
                self._map.close()
            self._map = None
        self._file.close()
        with contextlib.suppress(OSError):  # the other process may still hold it (Windows)
            Path(self.path).unlink()

    def __enter__(self) -> Pixels:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _written(self, shape: Sequence[int]) -> Pixels:
        """This, once the other process has written it anew, in that shape."""
        self._open()
        self.shape = tuple(shape)
        if len(self.data) != KINDS[self.kind] * math.prod(self.shape):
            self.close()
            raise WorkerError(_("the worker's picture is not whole: try again."))
        return self


def sweep(folder: str | None = None) -> bool:
    """Delete the pixels there whose owner was killed; whether no others are left."""
    clean, there = True, Path(folder or _shared_folder() or tempfile.gettempdir())
    for path in there.glob(f"{_NAME[1]}*{_NAME[0]}"):
        try:
            with path.open("r+b") as file:
                if os.name != "nt":
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            if os.name == "nt":
                path.unlink()
        except OSError:  # in use, or another user's
            clean = False
    return clean


def _hold(file: IO[bytes]) -> bool:
    """Mark a new file as in use while this process lives; false if it was swept away before."""
    if os.name != "nt":
        with contextlib.suppress(OSError):  # a file system without locks, where nothing is swept
            fcntl.flock(file, fcntl.LOCK_SH)
    return os.name == "nt" or os.fstat(file.fileno()).st_nlink > 0


def _shared_folder() -> str | None:
    folder = "/dev/shm"
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _view(memory: Pixels, told: Mapping[str, Any], name: str) -> Any:
    """The array of this name in the memory of an answer, flat; empty where there is none."""
    array = told["arrays"].get(name)
    if array is None:
        return memoryview(b"")
    start, kind = array["offset"], array["kind"]
    stop = start + KINDS[kind] * math.prod(array["shape"])
    return memoryview.cast(memory.data[start:stop], _FORMATS[kind])


class Triangles:
    """A mesh that a run has made, in memory that is shared with the worker; `close` gives it back.

    Flat views: `vertices` (float32, x y z in metres, Y up), `faces` (int32, three vertices each,
    counter-clockwise from outside), and for each corner of each face `uv` (float32, two, in
    metres) and `normals` (float32, three). `preview` is a picture of it (bytes, RGB,
    `preview_size` square) where one was asked for. `shape` is what it can be varied from: a value
    for `Worker.run_mesh`, to be kept with the object.
    """

    def __init__(self, memory: Pixels, told: Mapping[str, Any]) -> None:
        self._memory = memory
        self.shape: dict[str, Any] | None = told["shape"]
        self.vertices, self.faces = (_view(memory, told, name) for name in ("vertices", "faces"))
        self.uv, self.normals = (_view(memory, told, name) for name in ("uv", "normals"))
        self.preview = _view(memory, told, "preview")
        self.preview_size = math.isqrt(len(self.preview) // 3)

    def close(self) -> None:
        """Give the memory back; the views are gone."""
        for view in (self.vertices, self.faces, self.uv, self.normals, self.preview):
            view.release()
        self._memory.close()

    def __enter__(self) -> Triangles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Maps:
    """A material that a run has made, in memory that is shared with the worker; `close` gives it
    back.

    Flat views of float32 in 0..1, rows from above, each `size` x `size`: `colour` (RGB, sRGB),
    `height`, `normal` (RGB; OpenGL: green up) and `roughness`. A tile is `side` metres wide, a
    height of 1 is `depth` metres above 0, `metallic` is 0 or 1; `name` says what it is of.
    """

    def __init__(self, memory: Pixels, told: Mapping[str, Any]) -> None:
        self._memory = memory
        self.size: int = told["arrays"]["height"]["shape"][0]
        self.colour, self.height = (_view(memory, told, name) for name in ("colour", "height"))
        self.normal, self.roughness = (
            _view(memory, told, name) for name in ("normal", "roughness")
        )
        about = told["material"]
        self.name: str = about["name"]
        self.side: float = about["side"]
        self.depth: float = about["depth"]
        self.metallic: float = about["metallic"]

    def close(self) -> None:
        """Give the memory back; the views are gone."""
        for view in (self.colour, self.height, self.normal, self.roughness):
            view.release()
        self._memory.close()

    def __enter__(self) -> Maps:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Run:
    """A run that is under way in the worker: its progress, and in the end its result."""

    def __init__(self, worker: Worker, id_: int, result: Pixels | None = None) -> None:
        self.fraction, self.message = 0.0, "waiting"
        self.seconds = 0.0  # that the task itself took, once the result is there
        self.record: str | None = None  # how the result was made, as JSON, unless switched off
        self._worker, self._id, self._result = worker, id_, result
        self._answer: dict[str, Any] | None = None
        self._done = threading.Event()

    def cancel(self) -> None:
        """Ask for an end; `wait` for it, which takes less than half a second."""
        self._worker._tell("cancel", {"id": self._id})

    def wait(self, seconds: float) -> bool:
        """Whether the run has ended, after at most so many seconds."""
        ended = self._done.wait(seconds)
        if not ended:
            self._worker._check_alive()
        return ended

    def result(self) -> Pixels:
        """The picture of a run that has ended, to be closed when it is used up.

        Raises RunCancelled, or WorkerError with the sentence that says what went wrong.
        """
        assert self._result is not None, "a run that makes a score has no pixels"
        try:
            return self._result._written(self._told()["shape"])
        except BaseException:
            self._result.close()
            raise

    def mesh(self) -> Triangles:
        """The mesh of a run that has ended, to be closed when it is used up; raises as `result`."""
        assert self._result is not None, "a run that makes a score has no mesh"
        try:
            told = self._told()
            return Triangles(self._result._written((told["bytes"],)), told)
        except BaseException:
            self._result.close()
            raise

    def maps(self) -> Maps:
        """The material of a run that has ended, to be closed when it is used up; raises as
        `result`."""
        assert self._result is not None, "a run that makes a score has no maps"
        try:
            told = self._told()
            return Maps(self._result._written((told["bytes"],)), told)
        except BaseException:
            self._result.close()
            raise

    def midi(self) -> bytes:
        """The Standard MIDI File that a run has made; raises as `result` does."""
        return base64.b64decode(self._told()["midi"])

    def _told(self) -> dict[str, Any]:
        if self._answer is None:
            raise RuntimeError("the run has not ended")
        answer: dict[str, Any] = _result(self._answer)
        self.seconds, self.record = answer["seconds"], answer["record"]
        return answer

    def _end(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self._done.set()


class Worker:
    """A worker process, started now and ended by `close` (or with this process).

    `command` starts it; `environment` is added to this process's; results come in files in `folder`
    (see `Pixels`). `tasks` are the descriptions of all tasks, and `version` is the worker's.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
    ) -> None:
        self._folder = folder
        self._ids = itertools.count(1)
        self._lock = threading.Lock()  # of `_calls`, `_runs` and `_over`
        self._calls: dict[int, _Call] = {}
        self._runs: dict[int, Run] = {}
        self._heard = self._asked = time.monotonic()
        self._over = ""  # why no more answers come
        self._writing = threading.Lock()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (read after the worker's end)
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # no console flashes up on Windows
        # A host's own Python settings must not reach another Python.
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")}
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**clean, **(environment or {})},
                creationflags=hidden,
            )
        except OSError as error:
            self._log.close()
            raise WorkerError(
                _(
                    "Triptych's worker cannot be started ({program}: {reason}): install Triptych "
                    "again."
                ).format(program=command[0], reason=error.strerror)
            ) from error
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            told = self.call("initialize", {"folder": folder}, _START)
            if not isinstance(told, dict) or told.get("protocol") != PROTOCOL:
                raise WorkerError(
                    _(
                        "Triptych's worker is of another version than this plug-in: install both "
                        "again."
                    )
                )
            self.tasks: list[dict[str, Any]] = told["tasks"]
            self.version: str = told["version"]
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return not self._over

    def call(self, method: str, params: Mapping[str, Any], seconds: float = _START) -> Any:
        """The worker's answer. Raises WorkerError: refused, no answer in time, worker gone."""
        call = _Call()
        id_ = next(self._ids)
        with self._lock:
            self._calls[id_] = call
        self._tell(method, params, id_)
        if not call.done.wait(seconds):
            self._give_up(_("Triptych's worker does not answer: try again."))
        with self._lock:
            self._calls.pop(id_, None)
        return _result(call.answer)

    def run(self, task: str, values: Mapping[str, Any], picture: Pixels | None = None) -> Run:
        """Start a task; a value of kind picture or mask may be `Pixels`. The result is of the kind
        of `picture`. See `Run`."""
        id_ = next(self._ids)
        kind = "f4" if picture is None else picture.kind
        result = Pixels((0,), self._folder, kind)
        run = Run(self, id_, result)
        params = {
            "task": task,
            "values": {key: _plain(value) for key, value in values.items()},
            "picture": None if picture is None else _plain(picture),
            "result": result.path,
        }
        with self._lock:
            self._runs[id_] = run
        self._tell("run", params, id_)
        return run

    def run_midi(self, task: str, values: Mapping[str, Any], midi: bytes | None = None) -> Run:
        """Start a task that makes a score; a value of kind score is the bytes of a MIDI file."""
        id_ = next(self._ids)
        run = Run(self, id_)
        coded = {k: {"midi": _coded(v)} if isinstance(v, bytes) else v for k, v in values.items()}
        params = {"task": task, "values": coded, "midi": None if midi is None else _coded(midi)}
        with self._lock:
            self._runs[id_] = run
        self._tell("run", params, id_)
        return run

    def run_mesh(
        self, task: str, values: Mapping[str, Any], mesh: Any = None, preview: int = 0
    ) -> Run:
        """Start a task that makes a mesh; `Run.mesh` has it in the end.

        `mesh`, and any value of kind mesh (or of a list of kind meshes), is the name of a file, the
        `shape` of another result, or a pair of `Pixels`: vertices (N x 3, metres, Y up) and
        faces (M x 3, kind "i4"). `preview` asks for a picture too, of so many pixels squared.
        """
        id_ = next(self._ids)
        result = Pixels((0,), self._folder, "u1")
        run = Run(self, id_, result)
        params = {
            "task": task,
            "values": {key: _mesh(value) for key, value in values.items()},
            "mesh": None if mesh is None else _mesh(mesh),
            "result": result.path,
            "preview": preview,
        }
        with self._lock:
            self._runs[id_] = run
        self._tell("run", params, id_)
        return run

    def run_material(self, task: str, values: Mapping[str, Any]) -> Run:
        """Start a task that makes a material; a value may be `Pixels` of a picture. `Run.maps` has
        it in the end."""
        id_ = next(self._ids)
        result = Pixels((0,), self._folder, "u1")
        run = Run(self, id_, result)
        params = {
            "task": task,
            "values": {key: _plain(value) for key, value in values.items()},
            "result": result.path,
        }
        with self._lock:
            self._runs[id_] = run
        self._tell("run", params, id_)
        return run

    def close(self) -> None:
        """End the worker, whatever it does."""
        self._give_up(_("Triptych's worker was closed."))

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------ the conversation

    def _tell(self, method: str, params: Mapping[str, Any], id_: int | None = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if id_ is not None:
            message["id"] = id_
        try:
            with self._writing:
                assert self._process.stdin is not None
                write_frame(self._process.stdin, message)
        except (OSError, ValueError):  # gone, or closed
            self._give_up(self._last_words())
        if self._over:  # perhaps before this was entered into `_calls` or `_runs`
            self._give_up(self._over)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        why = ""
        try:
            while (body := read_frame(self._process.stdout)) is not None:
                self._hear(json.loads(body))
        except (FrameError, ValueError, TypeError, KeyError, AttributeError):
            why = _("Triptych's worker answers with rubbish: install Triptych again.")
        except OSError:
            why = ""
        self._give_up(why or self._last_words())

    def _hear(self, message: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        if message.get("method") == "event":
            told = message["params"]
            with self._lock:
                run = self._runs.get(told["id"])
            if run is not None:
                run.fraction = float(told["fraction"])
                run.message = str(told["message"])
            return
        if not {"result", "error"} & set(message):
            raise FrameError("this is no answer")
        with self._lock:
            call = self._calls.pop(message["id"], None) or self._runs.pop(message["id"], None)
        if call is not None:
            call._end(message)

    def _check_alive(self) -> None:
        """Ask a silent worker now and then whether it lives, and give it up if it does not."""
        now = time.monotonic()
        if now - self._heard > _SILENCE:
            self._give_up(_("Triptych's worker does not answer any more: try again."))
        elif now - max(self._heard, self._asked) > _BEAT:
            self._asked = now
            self._tell("ping", {}, 0)  # nobody waits for the answer

    def _last_words(self) -> str:
        """Why a worker that has gone may have gone."""
        try:
            code: int | None = self._process.wait(1)
        except subprocess.TimeoutExpired:
            code = None
        try:
            self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 2000))
            lines = self._log.read().decode("utf-8", "replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        except (OSError, ValueError):
            last = ""
        if code is None:
            reason = _("no reason was given")
        else:
            reason = _("exit code {code}").format(code=code)
        return _(
            "Triptych's worker stopped ({reason}): try again, or run `triptych doctor`."
        ).format(reason=last[:200] or reason)

    def _give_up(self, why: str) -> None:
        """End the process, and all that waits for it, for this reason."""
        with self._lock:
            self._over = self._over or why
            waiting: list[_Call | Run] = [*self._calls.values(), *self._runs.values()]
            self._calls, self._runs = {}, {}
        if self._process.poll() is None:
            self._process.kill()
        for one in waiting:
            one._end({"error": {"code": INTERNAL, "message": self._over, "ours": True}})
        if threading.current_thread() is threading.main_thread():
            self._process.wait()


class _Call:
    """A question that waits for its answer."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {}
        self.done = threading.Event()

    def _end(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.done.set()


def _mesh(value: Any) -> Any:
    """A mesh, or a list of them, or any other value, as JSON."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Pixels):
        return {"mesh": {"vertices": _plain(value[0]), "faces": _plain(value[1])}}
    if isinstance(value, Mapping):
        return {"mesh": {"shape": dict(value)}}
    if isinstance(value, (list, tuple)):
        return [_mesh(item) for item in value]
    return _plain(value)


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _plain(value: Any) -> Any:
    """A value as JSON."""
    if isinstance(value, Pixels):
        return {"path": value.path, "shape": list(value.shape), "kind": value.kind}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _result(answer: Mapping[str, Any]) -> Any:
    """The result of an answer, or the exception that it stands for."""
    error = answer.get("error")
    if error is None:
        return answer["result"]
    code, message = error.get("code"), str(error.get("message"))
    if code == CANCELLED:
        raise RunCancelled(message)
    if code == REFUSED or error.get("ours"):
        raise WorkerError(message)
    raise WorkerError(
        _("Triptych made a mistake ({message}): please report it.").format(message=message)
    )
