import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.engine import Engine, Event, Job, default_engine, providers_that_work
from triptych.errors import Cancelled, UserError

CPU = Engine(["cpu"], threads=1)
HOURS = np.array(10**9)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh process, as a command would."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


def matrix() -> np.ndarray:
    return np.eye(48, dtype=np.float32)


def test_a_graph_runs_and_its_outputs_come_by_name(tmp_path: Path, add_graph: Callable) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    outputs = CPU.run(add_graph(tmp_path / "g.onnx"), {"x": x})
    assert list(outputs) == ["y"]
    np.testing.assert_array_equal(outputs["y"], 2 * x)


def test_sessions_are_cached_and_a_changed_file_is_loaded_again(
    tmp_path: Path, add_graph: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_graph(tmp_path / "g.onnx")
    first = CPU.session(path)
    monkeypatch.chdir(tmp_path)
    assert CPU.session("g.onnx") is first
    add_graph(path, times=4)
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(CPU.run(path, {"x": x})["y"], 5 * x)
    assert CPU.session(path) is not first


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "takes the inputs ['x']"),
        ({"x": np.ones((1, 3), np.float32), "z": np.ones(1)}, "not ['x', 'z']"),
        ({"x": np.ones((1, 3))}, "must be float32, not float64"),
        ({"x": np.ones((1, 3), np.uint8)}, "must be float32, not uint8"),
        ({"x": [[1.0, 2.0, 3.0]]}, "must be float32, not list"),
        ({"x": np.ones(3, np.float32)}, "must have the shape ['n', 3], not [3]"),
        ({"x": np.ones((1, 4), np.float32)}, "not [1, 4]"),
        ({"x": np.ones((0, 3), np.float32)}, "not [0, 3]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    tmp_path: Path, add_graph: Callable, inputs: dict, says: str
) -> None:
    with pytest.raises(UserError) as error:
        CPU.run(add_graph(tmp_path / "g.onnx"), inputs)
    assert says in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"text named .onnx", b"\x08\x0a" * 50])
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        CPU.run(path, {})
    assert "bad.onnx" in str(error.value) and "\n" not in str(error.value)


def test_a_graph_that_fails_is_one_sentence(endless_graph: Path) -> None:
    with pytest.raises(UserError) as error:  # the matrix must be square
        CPU.run(endless_graph, {"trips": HOURS, "x": np.ones((2, 3), np.float32)})
    assert "endless.onnx failed" in str(error.value) and "\n" not in str(error.value)


def test_too_little_memory_is_one_sentence(zeros_graph: Path) -> None:
    assert CPU.run(zeros_graph, {"shape": np.array([2, 3])})["y"].shape == (2, 3)
    with pytest.raises(UserError, match="not enough memory for this run: use a smaller"):
        CPU.run(zeros_graph, {"shape": np.array([2**25, 2**25])})  # 4 PiB


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.3])
def test_cancel_stops_inside_a_running_graph(endless_graph: Path, delay: float) -> None:
    job = Job()
    times: list[float] = []

    def cancel() -> None:
        times.append(time.monotonic())
        job.cancel()

    CPU.session(endless_graph)
    timer = threading.Timer(delay, cancel)
    timer.start()
    with pytest.raises(Cancelled):
        CPU.run(endless_graph, {"trips": HOURS, "x": matrix()}, job.part(0.2, 0.8))
    assert time.monotonic() - times[0] < 0.5
    assert job.cancelled


def test_one_cancel_stops_every_graph_of_the_job(endless_graph: Path) -> None:
    job = Job()
    ended: list[str] = []

    def work() -> None:
        try:
            CPU.run(endless_graph, {"trips": HOURS, "x": matrix()}, job.part(0, 0.5))
        except Cancelled:
            ended.append("cancelled")

    workers = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    time.sleep(0.1)
    job.cancel()
    for worker in workers:
        worker.join(0.5)
    assert ended == ["cancelled"] * 3


def test_the_engine_is_as_good_as_new_after_a_cancel(endless_graph: Path) -> None:
    job = Job()
    threading.Timer(0.05, job.cancel).start()
    with pytest.raises(Cancelled):
        CPU.run(endless_graph, {"trips": HOURS, "x": matrix()}, job)
    outputs = CPU.run(endless_graph, {"trips": np.array(3), "x": matrix()}, Job())
    assert np.isfinite(outputs["y"]).all()


def test_a_cancelled_job_does_nothing_more(endless_graph: Path) -> None:
    events: list[Event] = []
    job = Job(events.append)
    job.cancel()
    with pytest.raises(Cancelled):
        job.progress(0.5)
    with pytest.raises(Cancelled):
        CPU.run(endless_graph, {"trips": HOURS, "x": matrix()}, job)
    assert events == []


def test_a_listener_may_cancel() -> None:
    job = Job(lambda event: job.cancel() if event.fraction >= 0.5 else None)
    job.progress(0.1)
    job.progress(0.6)
    with pytest.raises(Cancelled):
        job.progress(0.7)


fractions = st.floats(0, 1)


@given(st.lists(st.tuples(fractions, fractions).map(sorted), max_size=4), st.floats(-9, 9))
def test_the_progress_of_parts_stays_inside_their_range(
    ranges: list[list[float]], fraction: float
) -> None:
    events: list[Event] = []
    job = Job(events.append)
    low, high = 0.0, 1.0
    for number, (start, stop) in enumerate(ranges):
        job = job.part(start, stop, f"part {number}")
        low, high = low + (high - low) * start, low + (high - low) * stop
    job.progress(fraction)
    assert low - 1e-9 <= events[0].fraction <= high + 1e-9
    assert events[0].message == ("part 0" if ranges else "")  # whoever asked tells what for


def test_a_gpu_that_is_asked_for_and_missing_costs_one_line() -> None:
    if providers_that_work().get("cuda", "missing") is None:
        pytest.skip("CUDA works here")
    code = (
        "from triptych.engine import Engine;"
        "print(Engine(['cuda']).provider, Engine(['cuda', 'cpu']).provider)"
    )
    done = python(code)
    assert done.returncode == 0
    assert done.stdout == "CPUExecutionProvider CPUExecutionProvider\n"
    (line,) = done.stderr.splitlines()
    assert "CPU" in line and "`" in line  # what happens and the command that mends it


def test_without_a_wish_a_machine_without_a_gpu_package_is_silent() -> None:
    if set(providers_that_work()) != {"cpu"}:
        pytest.skip("this onnxruntime has other providers")
    done = python("from triptych.engine import default_engine; print(default_engine().provider)")
    assert (done.stdout, done.stderr) == ("CPUExecutionProvider\n", "")


def test_the_cpu_works_here_and_the_process_has_one_engine() -> None:
    assert providers_that_work()["cpu"] is None
    assert default_engine() is default_engine()


def test_a_provider_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'cuda'"):
        Engine(["cdua"])


def test_threads_are_settable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Engine(threads=3).threads == 3
    monkeypatch.setenv("TRIPTYCH_THREADS", "2")
    assert Engine().threads == 2
    assert Engine(threads=5).threads == 5
    monkeypatch.delenv("TRIPTYCH_THREADS")
    assert 0 <= Engine().threads <= (os.cpu_count() or 1)


@given(st.text().filter(lambda s: not (s.isascii() and s.isdigit()) and "\0" not in s))
def test_threads_that_are_no_number_are_refused(text: str) -> None:
    if not text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TRIPTYCH_THREADS", text)
        with pytest.raises(UserError, match="TRIPTYCH_THREADS"):
            Engine()


@pytest.mark.parametrize("threads", ["0", "-1", "9999", "2.5", "9" * 5000])
def test_threads_out_of_range_are_refused(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_THREADS", threads)
    with pytest.raises(UserError, match="from 1 to 1024"):
        Engine()


def test_importing_the_core_loads_neither_onnxruntime_nor_numpy() -> None:
    done = python(
        "import sys, triptych.task, triptych.bundle;"
        "print(sorted({'onnxruntime', 'numpy', 'torch', 'PIL'} & set(sys.modules)))"
    )
    assert done.stdout == "[]\n", done.stderr
