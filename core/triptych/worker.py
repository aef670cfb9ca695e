"""The engine as a process of its own: `python -m triptych.worker`, JSON-RPC 2.0 on stdio.

Frames are those of the Language Server Protocol: `Content-Length: N`, an empty line, N bytes of
UTF-8 JSON. Pixels do not travel in them: a request names files that both processes map into memory
(`client.Pixels`). Runs are done one after the other; `cancel` goes past the queue and stops inside
a running graph. What a frame cannot be made of is answered with an error; where the next frame
starts cannot be known after a bad header, so the worker then ends. It also ends, whatever runs,
when its stdin does, as it does when its parent is gone.

Methods:
    initialize {"folder"}: {"protocol", "version", "tasks": [Task.describe()]}; the folder is that
        of the client's `Pixels`, or null
    tasks {}: the tasks anew, with the styles that there are now
    run {"task", "values", "midi"}: of a task that makes a score; `midi` and any value {"midi"} of
        kind score are Standard MIDI Files in base64 (`midi` null where the task starts from
        nothing). Answers {"midi", "seconds", "record"}
    run {"task", "values", "mesh", "result", "preview"}: of a task that makes a mesh; `mesh` (null
        where it starts from nothing) and any value of kind mesh are a file's name, {"mesh":
        {"shape"}} of an earlier answer, or {"mesh": {"vertices", "faces"}} with {"path", "shape",
        "kind"} each, of float32 (N x 3, metres) and of int32 (M x 3). The arrays `vertices`,
        `faces`, `uv` and `normals` of the result, and `preview` (bytes, RGB, so many pixels
        squared; none for 0), lie one after the other in the file `result`. Answers {"bytes",
        "arrays": {name: {"offset", "shape", "kind"}}, "shape", "seconds", "record"}
    run {"task", "values", "result"}: of a task that makes a material. Its maps `colour` (N x N x
        3), `height` (N x N), `normal` (N x N x 3) and `roughness` (N x N), float32 in 0..1, lie
        one after the other in the file `result`. Answers {"bytes", "arrays" (as of a mesh),
        "material": {"name", "side", "depth", "metallic"}, "seconds", "record"}; side and depth are
        in metres
    run {"task", "values", "picture", "result"}: `picture` and any value of kind picture or mask are
        {"path", "shape", "kind"} of files of float32 ("f4", 0..1) or bytes ("u1", 0..255); the
        result is written to the file `result` in the picture's kind. A fourth channel of the
        picture, alpha, comes back as it went, at the result's size (opaque where it is extended);
        values beyond 0..1, which a host with wide colours has, are taken as 0 or 1, and come back
        where the task leaves a picture of the same size as it is. Answers {"shape", "seconds",
        "record"}: what the task itself took, and how the picture was made (`Provenance.to_json`;
        null where that is switched off). On the way, notifications `event` {"id", "fraction",
        "message"}.
    cancel {"id"}: a run, queued or running, whose own answer is then the error CANCELLED
    ping {}: {}, at once, whatever runs
"""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import triptych
from triptych.client import (
    CANCELLED,
    INTERNAL,
    INVALID_PARAMS,
    INVALID_REQUEST,
    KINDS,
    NO_METHOD,
    PARSE_ERROR,
    PROTOCOL,
    REFUSED,
    FrameError,
    read_frame,
    sweep,
    write_frame,
)
from triptych.engine import Event, Job
from triptych.errors import Cancelled, UserError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triptych.music.score import Score
    from triptych.shape.mesh import Mesh
    from triptych.task import Task

log = logging.getLogger("triptych")

_QUEUE = 64  # runs that may wait; more are refused
_GRACE = 2.0  # seconds that a cancelled run gets when the worker is to end
# A client that was killed lets go of its stdin and of its pixels one after the other.
_SWEEPS, _SWEEPS_APART = 5, 0.05


class _RpcError(Exception):
    """An error answer of this code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Worker:
    """Answers the requests that arrive on `source` by frames on `sink`."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source, self._sink = source, sink
        self._writing = threading.Lock()
        self._jobs: dict[str | int, Job] = {}  # queued and running
        self._waiting: queue.Queue[tuple[str | int, Job, Mapping[str, Any]] | None] = queue.Queue(
            _QUEUE
        )
        self._folder: str | None = None  # where the client's pixels are
        self._runner = threading.Thread(target=self._run_all, daemon=True)

    def serve(self) -> int:
        """Answer until stdin ends or cannot be understood; the exit code."""
        self._runner.start()
        code = 0
        while True:
            try:
                body = read_frame(self._source)
            except FrameError as error:
                self._fail(None, PARSE_ERROR, str(error))
                code = 1
                break
            if body is None:
                break
            self._handle(body)
        for job in list(self._jobs.values()):
            job.cancel()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._runner.join(_GRACE)
        return code

    def clean(self) -> None:
        """Delete the pixels of a client that was killed; for the end, after `serve`."""
        for _ in range(_SWEEPS):
            if sweep(self._folder):
                break
            time.sleep(_SWEEPS_APART)

    # ------------------------------------------------------------------------------- requests

    def _handle(self, body: bytes) -> None:
        """Answer one frame's body, or queue it."""
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            self._fail(None, PARSE_ERROR, f"this is no JSON: {one_line(error)}")
            return
        id_ = request.get("id") if isinstance(request, dict) else None
        if not isinstance(id_, (str, int)) or isinstance(id_, bool):
            id_ = None
        try:
            method, params = _checked(request)
            if method == "run":
                if id_ is None:
                    raise _RpcError(INVALID_REQUEST, "a run needs an id")
                self._enqueue(id_, params)
                return
            answer = self._answer(method, params)
        except _RpcError as error:
            self._fail(id_, error.code, str(error))
        except UserError as error:
            self._fail(id_, REFUSED, str(error))
        except Exception as error:  # the worker outlives whatever a bundle or a request does
            self._fail_inside(id_, error)
        else:
            if id_ is not None:
                self._send({"id": id_, "result": answer})

    def _answer(self, method: str, params: Mapping[str, Any]) -> Any:
        if method == "ping":
            return {}
        if method == "cancel":
            job = self._jobs.get(_given(params, "id", (str, int)))
            if job is not None:  # else it has ended already
                job.cancel()
            return {}
        if method not in ("initialize", "tasks"):
            raise _RpcError(NO_METHOD, f"there is no method {one_line(method)!r}")
        if method == "initialize" and params.get("folder") is not None:
            self._folder = _given(params, "folder", str)
        from triptych.task import tasks

        described = [task.describe() for task in tasks().values()]
        if method == "tasks":
            return described
        return {"protocol": PROTOCOL, "version": triptych.__version__, "tasks": described}

    # ----------------------------------------------------------------------------------- runs

    def _enqueue(self, id_: str | int, params: Mapping[str, Any]) -> None:
        if id_ in self._jobs:
            raise _RpcError(INVALID_REQUEST, f"a run with the id {one_line(id_)} is under way")

        def event(event: Event) -> None:
            told = {"id": id_, "fraction": event.fraction, "message": event.message}
            self._send({"method": "event", "params": told})

        job = self._jobs[id_] = Job(event)
        try:
            self._waiting.put_nowait((id_, job, params))
        except queue.Full:
            del self._jobs[id_]
            raise _RpcError(REFUSED, "too many runs are waiting: wait for one to end") from None

    def _run_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            id_, job, params = item
            try:
                answer = _run(job, params)
            except Cancelled:
                self._end(id_, CANCELLED, "cancelled")
            except UserError as error:
                self._end(id_, REFUSED, str(error))
            except _RpcError as error:
                self._end(id_, error.code, str(error))
            except MemoryError:
                self._end(id_, REFUSED, "there is not enough memory for this: use a smaller tile.")
            except Exception as error:
                del self._jobs[id_]
                self._fail_inside(id_, error)
            else:
                del self._jobs[id_]
                self._send({"id": id_, "result": answer})

    def _end(self, id_: str | int, code: int, message: str) -> None:
        del self._jobs[id_]
        self._fail(id_, code, message)

    # -------------------------------------------------------------------------------- answers

    def _fail(self, id_: str | int | None, code: int, message: str) -> None:
        self._send({"id": id_, "error": {"code": code, "message": message}})

    def _fail_inside(self, id_: str | int | None, error: Exception) -> None:
        log.error("%s", "".join(traceback.format_exception(error)))
        self._fail(id_, INTERNAL, f"{type(error).__name__}: {one_line(error)}")

    def _send(self, message: dict[str, Any]) -> None:
        # A parent that is gone hears nothing; the end of stdin then ends the worker.
        with self._writing, suppress(OSError, ValueError):
            write_frame(self._sink, {"jsonrpc": "2.0", **message})


def _checked(request: Any) -> tuple[str, Mapping[str, Any]]:
    """Method and parameters of a JSON-RPC request."""
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        raise _RpcError(INVALID_REQUEST, "this is no JSON-RPC 2.0 request")
    method, params = request.get("method"), request.get("params", {})
    if not isinstance(method, str):
        raise _RpcError(INVALID_REQUEST, "a request needs a method")
    if not isinstance(params, dict):
        raise _RpcError(INVALID_PARAMS, "parameters are given by name")
    return method, params


def _given(params: Mapping[str, Any], name: str, kind: Any) -> Any:
    value = params.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _RpcError(INVALID_PARAMS, f"{name} is missing or of the wrong kind")
    return value


def _run(job: Job, params: Mapping[str, Any]) -> dict[str, Any]:
    """Do the task that `params` ask for, and write its picture."""
    import numpy as np

    from triptych import provenance
    from triptych.provenance import Provenance
    from triptych.task import get_task

    task = get_task(_given(params, "task", str))
    if task.output == "film":
        raise UserError(f"{task.name} makes a film: run `triptych {task.name}`.")
    values = task.check({k: _value(v) for k, v in _given(params, "values", dict).items()})
    if task.output == "score":
        return _run_score(task, values, job, params)
    if task.output == "mesh":
        return _run_mesh(task, values, job, params)
    if task.output == "material":
        return _run_material(task, values, job, params)
    given = _mapped(params["picture"]) if params.get("picture") is not None else None
    target = Path(_given(params, "result", str))
    job.progress(0.0, "starting")  # a run that was cancelled in the queue ends here
    picture, alpha, wide = given, None, None
    if given is not None and given.ndim == 3:
        alpha = given[..., 3:] if given.shape[2] == 4 else None
        picture = _floats(given[..., :3])
        if picture.min() < 0 or picture.max() > 1:
            wide, picture = picture, picture.clip(0, 1)
    start = time.perf_counter()
    result = task.run(picture, job, **values)
    seconds = time.perf_counter() - start
    made = result.made
    if wide is not None and made.shape == wide.shape:
        made = np.where((made == picture).all(2, keepdims=True), wide, made)
    shape = made.shape
    if alpha is not None:
        shape = (*made.shape[:2], 4)
        if alpha.shape[:2] != made.shape[:2]:
            height, width = made.shape[:2]
            alpha = _fitted(alpha, height, width, task.place(values))
    kind = given.dtype if given is not None else np.dtype("<f4")
    with _shared(target, kind, shape) as out:
        out[..., : made.shape[2]] = made if kind == made.dtype else made * 255 + 0.5
        if alpha is not None:
            out[..., 3:] = alpha
    record = None
    if provenance.enabled():
        source = None if picture is None else ""
        record = Provenance.of_run(task.name, values, result.used, source).to_json()
    return {"shape": list(shape), "seconds": seconds, "record": record}


@contextmanager
def _shared(target: Path, kind: Any, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """The file of a result as an array to be filled."""
    import numpy as np

    try:
        with target.open("r+b") as file:  # the client made it: it alone knows who may read it
            size = np.dtype(kind).itemsize * math.prod(shape)
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # full now, not a crash while writing
                os.posix_fallocate(file.fileno(), 0, size)
            yield np.memmap(file, kind, "r+", shape=shape)
    except OSError as error:
        raise UserError(f"the result cannot be handed over: {one_line(error)}") from error


def _run_mesh(
    task: Task, values: Mapping[str, Any], job: Job, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Do a task that makes a mesh."""
    import numpy as np

    from triptych import provenance
    from triptych.provenance import Provenance
    from triptych.shape import files
    from triptych.shape.mesh import corner_normals

    given = params.get("mesh")
    if given is not None:
        given = files.load(Path(given)) if isinstance(given, str) else _value(given)
    target = Path(_given(params, "result", str))
    side = params.get("preview", 0)
    if type(side) is not int or not 0 <= side <= 1024:
        raise _RpcError(INVALID_PARAMS, "a preview has a side of 0 to 1024 pixels")
    job.progress(0.0, "starting")
    start = time.perf_counter()
    result = task.run(given, job, **values)
    seconds = time.perf_counter() - start
    mesh = result.made
    arrays = {"vertices": mesh.vertices, "faces": mesh.faces, "uv": mesh.uv}
    arrays["normals"] = corner_normals(mesh.vertices, mesh.faces)
    if side:
        from triptych.shape.render import rendered

        arrays["preview"] = (rendered(mesh, side) * 255 + 0.5).astype(np.uint8)
    told = _handed_over(target, arrays)
    record = None
    if provenance.enabled():
        source = None if given is None else ""
        record = Provenance.of_run(task.name, values, result.used, source).to_json()
    return {**told, "shape": mesh.record, "seconds": seconds, "record": record}


def _handed_over(target: Path, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Write arrays one after the other; how many bytes, and where and what each of them is."""
    import numpy as np

    told: dict[str, dict[str, Any]] = {}
    offset = 0
    for name, array in arrays.items():
        told[name] = {"offset": offset, "shape": array.shape, "kind": array.dtype.str[1:]}
        offset += array.nbytes
    with _shared(target, np.uint8, (offset,)) as out:
        for name, array in arrays.items():
            at = told[name]["offset"]
            out[at : at + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return {"bytes": offset, "arrays": told}


def _run_material(
    task: Task, values: Mapping[str, Any], job: Job, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Do a task that makes a material."""
    from triptych import provenance
    from triptych.provenance import Provenance

    target = Path(_given(params, "result", str))
    job.progress(0.0, "starting")
    start = time.perf_counter()
    result = task.run(None, job, **values)
    seconds = time.perf_counter() - start
    made, record = result.made, None
    told = _handed_over(target, made.maps)
    if provenance.enabled():
        record = Provenance.of_run(task.name, values, result.used, None).to_json()
    facts = {name: getattr(made, name) for name in ("name", "side", "depth", "metallic")}
    return {**told, "material": facts, "seconds": seconds, "record": record}


def _solid(value: Mapping[str, Any]) -> Mesh:
    """The mesh that {"shape"} or {"vertices", "faces"} stands for; it is checked by the task."""
    import numpy as np

    from triptych.shape.mesh import Mesh

    if isinstance(value, dict) and isinstance(value.get("shape"), dict):
        none = np.zeros((0, 3), np.float32)
        return Mesh(none, none.astype(np.int32), record=value["shape"])
    vertices, faces = (_mapped(_given(value, name, dict)) for name in ("vertices", "faces"))
    if (vertices.dtype.kind, faces.dtype.kind) != ("f", "i"):
        raise _RpcError(INVALID_PARAMS, "vertices are of the kind f4, faces of i4")
    return Mesh(np.ascontiguousarray(vertices), np.ascontiguousarray(faces))


def _run_score(
    task: Task, values: Mapping[str, Any], job: Job, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Do a task that makes a score."""
    from triptych import provenance
    from triptych.music import midi
    from triptych.provenance import Provenance

    given = None if params.get("midi") is None else _score(params)
    job.progress(0.0, "starting")
    start = time.perf_counter()
    result = task.run(given, job, **values)
    seconds = time.perf_counter() - start
    record = None
    if provenance.enabled():
        record = Provenance.of_run(task.name, values, result.used, None if given is None else "")
    return {
        "midi": base64.b64encode(midi.encode(result.made, record)).decode(),
        "seconds": seconds,
        "record": None if record is None else record.to_json(),
    }


def _score(value: Mapping[str, Any]) -> Score:
    """The score in base64 that {"midi"} holds."""
    from triptych.music import midi

    try:
        content = base64.b64decode(_given(value, "midi", str), validate=True)
    except ValueError as error:
        raise _RpcError(INVALID_PARAMS, f"midi is no base64: {one_line(error)}") from None
    return midi.decode(content)


def _value(value: Any) -> Any:
    """A value as the task takes it: the floats in the file that a dict names, its score or mesh."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, dict) and "mesh" in value:
        return _solid(_given(value, "mesh", dict))
    if isinstance(value, dict) and "midi" in value:
        return _score(value)
    return _floats(_mapped(value)) if isinstance(value, dict) else value


def _fitted(
    alpha: NDArray[Any], height: int, width: int, place: tuple[int, int] | None
) -> NDArray[Any]:
    """An alpha h x w x 1 at the size of a result, in its own kind."""
    from triptych.image.picture import fitted

    made = fitted(_floats(alpha)[..., 0], height, width, place)[..., None]
    return made if made.dtype == alpha.dtype else (made * 255 + 0.5).astype(alpha.dtype)


def _floats(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels of either kind as float32, in one piece of memory."""
    import numpy as np

    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) * np.float32(1 / 255)
    return np.ascontiguousarray(pixels)


def _mapped(value: Any) -> NDArray[Any]:
    """The pixels in the file that {"path", "shape", "kind"} names."""
    import numpy as np

    if not isinstance(value, dict):
        raise _RpcError(INVALID_PARAMS, "pixels are given by path, shape and kind")
    path, shape = _given(value, "path", str), _given(value, "shape", list)
    kind = value.get("kind", "f4")
    if kind not in KINDS:
        raise _RpcError(INVALID_PARAMS, f"a kind is one of {', '.join(KINDS)}")
    if not (1 <= len(shape) <= 3 and all(type(n) is int and 0 < n <= 1 << 20 for n in shape)):
        raise _RpcError(INVALID_PARAMS, "a shape is a list of up to three sizes")
    try:
        return np.memmap(path, f"<{kind}", "r", shape=tuple(shape)).view(np.ndarray)
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"the pixels cannot be read: {one_line(error)}") from error


def main() -> int:
    """Serve stdin and stdout."""
    sink = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not come between the frames
    if sys.platform == "win32":
        import msvcrt

        for stream in (sys.stdin.fileno(), sink.fileno()):
            msvcrt.setmode(stream, os.O_BINARY)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    worker = Worker(sys.stdin.buffer, sink)
    code = worker.serve()
    worker.clean()
    sys.stderr.flush()
    os._exit(code)  # a graph that does not stop must not keep the process


if __name__ == "__main__":
    sys.exit(main())
