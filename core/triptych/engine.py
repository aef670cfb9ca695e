"""ONNX Runtime behind one door: sessions, execution providers, and a Job that can be cancelled.

onnxruntime is imported on first use, so that a command that runs no model starts at once. The
code keeps to the API of onnxruntime 1.18, the last that fits Blender 4.2.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import re
import shutil
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.errors import Cancelled, UserError, did_you_mean, one_line, warn_once

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("triptych")

# In the order of preference. The short names are what a user types.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_CPU = PROVIDERS["cpu"]
_SHORT = {full: short for short, full in PROVIDERS.items()}
_MENDING = {
    "cuda": "install a current NVIDIA driver and `pip install 'onnxruntime-gpu[cuda,cudnn]'`",
    "directml": "update the graphics driver and run `pip install onnxruntime-directml`",
    "coreml": "it needs a current macOS",
    "cpu": "run `pip install --force-reinstall onnxruntime`",
}
# The graph y = x + x on float32[2] (IR 8, opset 13): enough to see whether a provider works.
_TINY = b64decode(
    "CAg6OQoOCgF4CgF4EgF5IgNBZGQSBXByb2JlWg8KAXgSCgoICAESBAoCCAJiDwoBeRIKCggIARIECgIIAkIECgAQDQ=="
)
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}  # others have NumPy's names
_QUIET = 4  # onnxruntime's log level "fatal": what fails arrives as an exception, said once


@dataclass(frozen=True)
class Variant:
    """A graph with other weights than those in its file: `content` makes the file's bytes anew, and
    `key` tells one variant of a file from another. Without them it is the file itself."""

    path: Path
    key: str = ""
    content: Callable[[], bytes] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Event:
    """One report of a job: how much is done (0..1) and what it is doing now."""

    fraction: float
    message: str = ""


class Job:
    """Progress and cancelling of one piece of work; `cancel` may come from any thread."""

    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        self._on_event = on_event
        self._cancelled = threading.Event()
        self._lock = threading.RLock()  # a signal handler may cancel while this thread holds it
        self._running: list[Any] = []  # the RunOptions of graphs that run now

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop the work: at its next check, and at once inside a running graph."""
        with self._lock:
            self._cancelled.set()
            for options in self._running:
                options.terminate = True

    def check(self) -> None:
        """Raise Cancelled when the job was cancelled."""
        if self.cancelled:
            raise Cancelled("cancelled")

    def progress(self, fraction: float, message: str = "") -> None:
        """Report `fraction` (0..1, limited to it) as done; raises Cancelled when cancelled."""
        self.check()
        if self._on_event is not None:
            self._on_event(Event(min(max(float(fraction), 0.0), 1.0), message))

    def part(self, start: float, stop: float, message: str = "") -> Job:
        """A job whose progress 0..1 is `start`..`stop` of this one; cancelling is shared.

        `message` is told in place of its own.
        """
        part = Job(
            lambda event: self.progress(
                start + (stop - start) * event.fraction, message or event.message
            )
        )
        part._cancelled, part._lock, part._running = self._cancelled, self._lock, self._running
        return part

    @contextlib.contextmanager
    def _stopping(self, options: Any) -> Iterator[None]:
        """Let `cancel` end the graph that runs under `options` (onnxruntime.RunOptions)."""
        with self._lock:
            self._running.append(options)
        try:
            self.check()  # after the append: a cancel is seen here or reaches the options
            yield
        finally:
            with self._lock:
                self._running.remove(options)


class Engine:
    """Runs graphs: one cached session per file, on the best provider that really works.

    `providers` are names such as "cuda" or "CPUExecutionProvider" in the order to try (default:
    CUDA, DirectML, CoreML, CPU); the CPU is always the last resort. `threads` is the number of CPU
    threads per graph (default: TRIPTYCH_THREADS, or one per physical core).
    """

    def __init__(self, providers: Sequence[str] | None = None, threads: int | None = None) -> None:
        self._wanted = None if providers is None else [_full_name(name) for name in providers]
        self.threads = _threads_wanted() if threads is None else threads
        if self.threads < 0:
            raise UserError(f"the number of threads is {threads}; it must be at least 1.")
        self._sessions: dict[Path, tuple[tuple[int, int, str], Any]] = {}
        self._lock = threading.Lock()

    @functools.cached_property
    def provider(self) -> str:
        """The provider that runs the graphs, chosen by trying; a GPU that fails costs one line."""
        available = _ort().get_available_providers()
        wanted = self._wanted
        if wanted is None:
            wanted = [name for name in PROVIDERS.values() if name in available]
        errors = []
        for name in wanted:
            if self._wanted is None and _SHORT[name] == "cuda" and not has_nvidia():
                continue  # no GPU that could work, so none is missing
            error = _provider_error(name)
            if error is None:
                break
            errors.append(error)
        else:
            name = _CPU
        if errors:
            warn_once(f"no working GPU, running on the {_SHORT[name].upper()}: {errors[0]}")
        return name

    def run(
        self,
        model: str | Path | Variant,
        inputs: Mapping[str, np.ndarray],
        job: Job | None = None,
    ) -> dict[str, np.ndarray]:
        """Run the graph in the file `model` (see `Bundle.graph`) and return its outputs by name.

        Nothing is cast or reshaped: an input that does not fit the graph's declaration raises
        UserError, as does a graph that fails. Raises Cancelled as soon as `job` is cancelled,
        even inside the graph.
        """
        job = job or Job()
        job.check()
        model = model if isinstance(model, Variant) else Variant(Path(model))
        session, name = self.session(model), model.path.name
        _check_inputs(name, session, inputs)
        options = _ort().RunOptions()
        options.log_severity_level = _QUIET
        try:
            with job._stopping(options):
                outputs = session.run(None, dict(inputs), options)
        except Cancelled:
            raise
        except Exception as error:
            job.check()
            if isinstance(error, MemoryError) or "alloc" in str(error).lower():
                raise UserError(
                    "there is not enough memory for this run: use a smaller picture or tile."
                ) from error
            raise UserError(f"the model {name} failed: {one_line(error)}") from error
        job.check()
        return {out.name: value for out, value in zip(session.get_outputs(), outputs, strict=True)}

    def session(self, model: str | Path | Variant) -> Any:
        """The cached `onnxruntime.InferenceSession` of a file; a changed file is loaded again, and
        so is another variant: of those only the last is kept."""
        variant = model if isinstance(model, Variant) else Variant(Path(model))
        # resolve would ask the disk for each folder
        path = Path(os.path.abspath(variant.path))  # noqa: PTH100
        try:
            stat = path.stat()
        except OSError as error:
            raise UserError(f"the model file {path} cannot be read: {one_line(error)}") from error
        stamp = (stat.st_mtime_ns, stat.st_size, variant.key)
        with self._lock:
            known = self._sessions.get(path)
            if known is None or known[0] != stamp:
                known = (stamp, self._open(path, variant.content))
                self._sessions[path] = known
        return known[1]

    def _open(self, path: Path, content: Callable[[], bytes] | None) -> Any:
        provider, model = self.provider, content() if content else str(path)
        if provider != _CPU:
            try:
                session = _create(model, provider, self.threads)
                if session.get_providers()[0] == provider:
                    return session
            except Exception as error:
                log.debug("%s does not run on %s: %s", path, provider, error)
            warn_once(f"{path.name} does not run on {_SHORT[provider]}: running it on the CPU")
        try:
            return _create(model, _CPU, self.threads)
        except Exception as error:
            raise UserError(f"the model {path.name} cannot be opened: {one_line(error)}") from error


@functools.cache
def default_engine() -> Engine:
    """The engine of this process, on the provider that TRIPTYCH_PROVIDER names, if it does."""
    named = os.environ.get("TRIPTYCH_PROVIDER")
    return Engine([named] if named else None)


def providers_that_work() -> dict[str, str | None]:
    """Each provider that onnxruntime has here ("cuda", "cpu", ...): None, or why it fails."""
    available = _ort().get_available_providers()
    return {short: _provider_error(full) for short, full in PROVIDERS.items() if full in available}


def has_nvidia() -> bool:
    """Whether this machine has an NVIDIA driver, and so may have a GPU for CUDA."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


@functools.cache
def _ort() -> Any:
    """onnxruntime, imported once, quiet and without telemetry."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise UserError(
            f"onnxruntime cannot be loaded ({one_line(error)}): run `pip install onnxruntime`."
        ) from error
    ort.disable_telemetry_events()
    ort.set_default_logger_severity(_QUIET)
    return ort


def _create(model: str | bytes, provider: str, threads: int) -> Any:
    ort = _ort()
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    # Else threads that spin after a run take the cores from the session that runs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if provider == PROVIDERS["directml"]:
        options.enable_mem_pattern = False  # DirectML refuses to run with it
    providers = [provider] if provider == _CPU else [provider, _CPU]
    session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    session.disable_fallback()
    return session


@functools.cache
def _provider_error(provider: str) -> str | None:
    """None when `provider` runs a tiny graph here, otherwise the sentence that says why not."""
    import numpy as np

    short = _SHORT[provider]
    if provider not in _ort().get_available_providers():
        return f"this onnxruntime has no {short} provider: {_MENDING[short]}"
    why = ""
    # onnxruntime prints its troubles on stdout, which may carry a host's protocol.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            if short == "cuda" and hasattr(_ort(), "preload_dlls"):  # since onnxruntime 1.21
                _ort().preload_dlls()
            session = _create(_TINY, provider, threads=1)
            if session.get_providers()[0] == provider:
                (y,) = session.run(None, {"x": np.ones(2, np.float32)})
                if y.tolist() == [2.0, 2.0]:
                    return None
                why = " (1 + 1 is not 2)"
        except Exception as error:
            why = f" ({one_line(error)})"
    return f"{short} is installed but does not work{why}: {_MENDING[short]}"


def _full_name(name: str) -> str:
    if name in _SHORT:
        return name
    if name.lower() not in PROVIDERS:
        raise UserError(f"there is no provider {name!r}{did_you_mean(name, PROVIDERS)}")
    return PROVIDERS[name.lower()]


def _threads_wanted() -> int:
    """TRIPTYCH_THREADS, or the physical cores that this process may use (0: ask onnxruntime)."""
    text = os.environ.get("TRIPTYCH_THREADS", "")
    if text:
        number = int(text) if re.fullmatch("[0-9]{1,4}", text) else 0
        if not 1 <= number <= 1024:
            raise UserError(f"TRIPTYCH_THREADS is {text!r}; it must be a number from 1 to 1024.")
        return number
    try:
        cpus = os.sched_getaffinity(0)
        topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        return len({Path(topology.format(cpu)).read_text() for cpu in cpus})
    except (AttributeError, OSError):
        return 0  # not Linux: onnxruntime counts the physical cores itself


def _check_inputs(name: str, session: Any, inputs: Mapping[str, np.ndarray]) -> None:
    declared = {node.name: node for node in session.get_inputs()}
    if set(declared) != set(inputs):
        raise UserError(f"{name} takes the inputs {sorted(declared)}, not {sorted(inputs)}.")
    for key, node in declared.items():
        value = inputs[key]
        wanted = _DTYPES.get(node.type, node.type[len("tensor(") : -1])
        dtype = str(getattr(value, "dtype", type(value).__name__))
        if dtype != wanted:
            raise UserError(f"the input {key!r} of {name} must be {wanted}, not {dtype}.")
        # A free size is a name or None in the declaration.
        fits = len(value.shape) == len(node.shape) and all(
            size == want if isinstance(want, int) else size > 0
            for size, want in zip(value.shape, node.shape, strict=True)
        )
        if not fits:
            raise UserError(
                f"the input {key!r} of {name} must have the shape {node.shape}, not "
                f"{list(value.shape)}."
            )
