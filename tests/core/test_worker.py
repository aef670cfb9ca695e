"""The worker and its client: real processes, talking through real pipes and files."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych import client
from triptych.client import Pixels, Run, RunCancelled, Worker, WorkerError
from triptych.provenance import Provenance
from triptych.worker import Worker as Server

HERE = Path(__file__).parent
TINY = [sys.executable, str(HERE / "tiny_worker.py")]
CORE = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(TINY, CORE) as started:
        yield started


def filled(values: np.ndarray) -> Pixels:
    pixels = Pixels(values.shape)
    pixels.data[:] = values.astype("<f4").tobytes()
    return pixels


def taken(run: Run, seconds: float = 30) -> np.ndarray:
    assert run.wait(seconds)
    with run.result() as made:
        return np.frombuffer(bytes(made.data), "<f4").reshape(made.shape)


def picture(height: int = 8, width: int = 5) -> np.ndarray:
    return np.random.default_rng(height * width).random((height, width, 3), np.float32)


def ended(process: int, seconds: float = 5) -> bool:
    """Whether the process is gone, or will be soon."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_task_runs_as_it_does_in_process(worker: Worker):
    before = picture()
    with filled(before) as given_:
        run = worker.run("tint", {"colour": "blue"}, given_)
        made = taken(run)
        again = taken(worker.run("tint", {"colour": "blue"}, given_))
    assert np.array_equal(made, np.clip(before + np.array((0, 0, 0.1), np.float32), 0, 1))
    assert np.array_equal(again, made)
    record = Provenance.from_json(run.record or "")
    assert [used["name"] for used in record.bundles] == ["tint"]
    assert run.fraction == 1
    assert not Path(given_.path).exists()


def test_the_tasks_are_described(worker: Worker):
    tint = next(one for one in worker.tasks if one["name"] == "tint")
    assert (tint["name"], tint["label"]) == ("tint", "Tint")
    strength = next(one for one in tint["parameters"] if one["name"] == "strength")
    assert (strength["minimum"], strength["maximum"], strength["default"]) == (0, 1, 1)
    assert worker.call("tasks", {}) == worker.tasks


def test_a_material_comes_with_its_maps(worker: Worker):
    run = worker.run_material("plain", {"side": 0.75})
    assert run.wait(30)
    with run.material() as made:
        assert (made.name, made.side, made.depth, made.metallic) == ("plain", 0.75, 0.002, 0)
        assert made.size == {"colour": (4, 6), "height": (4, 6)}
        assert set(made.maps["colour"]) == {0.25}
        assert made.maps["height"].tolist() == [np.float32(n) / 24 for n in range(24)]
    assert run.record is not None
    assert json.loads(run.record)["task"] == "plain"
    assert not Path(run._result.path).exists()  # type: ignore[union-attr]


@pytest.mark.parametrize("channels", [3, 4])
def test_bytes_come_back_as_bytes(worker: Worker, channels: int):
    before = np.random.default_rng(0).integers(0, 256, (7, 9, channels), np.uint8)
    with Pixels(before.shape, kind="u1") as given_:
        given_.data[:] = before.tobytes()
        run = worker.run("tint", {"colour": "red"}, given_)
        assert run.wait(30)
        with run.result() as made:
            assert made.kind == "u1"
            after = np.frombuffer(bytes(made.data), np.uint8).reshape(made.shape)
    red = np.clip(before[..., 0] / 255 + 0.1, 0, 1) * 255
    assert np.abs(after[..., 0] - red).max() <= 0.51
    assert np.array_equal(after[..., 1:], before[..., 1:])


def test_pictures_are_values_too(worker: Worker):
    with filled(picture()) as given_, filled(np.ones((8, 5), np.float32)) as mask:
        assert taken(worker.run("tint", {"mask": mask, "colour": given_}, given_)).shape == (
            8,
            5,
            3,
        )


def test_alpha_comes_back_and_wide_colours_where_nothing_is_painted(worker: Worker):
    before = 4 * picture()[..., [0, 1, 2, 0]] - 1
    with filled(before) as given_:
        made = taken(worker.run("tint", {"colour": "red"}, given_))
    assert np.array_equal(made[..., 3], before[..., 3])
    cut = np.clip(before[..., :3], 0, 1)
    tinted = np.clip(cut + np.array((0.1, 0, 0), np.float32), 0, 1)
    same = (tinted == cut).all(2, keepdims=True)
    assert 0 < same.sum() < same.size
    assert np.array_equal(made[..., :3], np.where(same, before[..., :3], tinted))


@pytest.mark.parametrize(
    ("task", "values", "said"),
    [
        ("tnit", {}, "'tint'"),
        ("tint", {"strength": 2}, "from 0 to 1"),
        ("tint", {"colour": "gren"}, "colour: there is no choice"),
        ("tint", {"mask": {"path": "none", "shape": [1, 1]}}, "pixels cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(worker: Worker, task: str, values: dict[str, Any], said: str):
    with filled(picture()) as given_:
        run = worker.run(task, values, given_)
        assert run.wait(30)
        with pytest.raises(WorkerError, match=said) as caught:
            run.result()
    assert "\n" not in str(caught.value)
    assert worker.alive


def test_a_picture_that_is_none_is_refused(worker: Worker):
    hole = picture()
    hole[0, 0, 0] = np.nan
    with filled(hole) as given_, pytest.raises(WorkerError, match="NaN"):
        taken(worker.run("tint", {}, given_))
    with filled(picture()) as given_:
        given_.shape = (800, 5, 3)  # more than there is
        with pytest.raises(WorkerError, match="pixels cannot be read"):
            taken(worker.run("tint", {}, given_))


def test_cancelling_goes_past_the_queue(worker: Worker):
    with filled(picture()) as given_:
        endless, queued, last = (
            worker.run("tint", {"strength": strength}, given_) for strength in (0, 0, 1)
        )
        until = time.monotonic() + 10
        while endless.fraction < 0.5 and time.monotonic() < until:
            assert not endless.wait(0.01)
        queued.cancel()
        assert not last.wait(0.2)
        began = time.monotonic()
        endless.cancel()
        assert endless.wait(5)
        assert time.monotonic() - began < 0.5
        assert taken(last).shape == (8, 5, 3)
        for run in (endless, queued):
            assert run.wait(5)
            with pytest.raises(RunCancelled):
                run.result()
        last.cancel()  # too late, and no harm


def test_many_runs_one_after_the_other(worker: Worker):
    before = picture()
    with filled(before) as given_:
        runs = [worker.run("tint", {}, given_) for _ in range(40)]
        made = [taken(run) for run in runs]
    assert all(np.array_equal(one, made[0]) for one in made)


# ------------------------------------------------------------------------------- when it goes wrong


def test_a_worker_that_dies_is_told_and_leaves_nothing():
    worker = Worker(TINY, CORE)
    with filled(picture()) as given_:
        run = worker.run("tint", {"strength": 0}, given_)
        os.kill(worker._process.pid, signal.SIGKILL)
        assert run.wait(5)
        result = run._result.path  # type: ignore[union-attr]
        with pytest.raises(WorkerError, match="stopped"):
            run.result()
        assert not Path(result).exists()
        assert not worker.alive
        later = worker.run("tint", {}, given_)
        assert later.wait(1)
        with pytest.raises(WorkerError, match="stopped"):
            later.result()
    with pytest.raises(WorkerError, match="stopped"):
        worker.call("ping", {})
    worker.close()


def test_a_worker_that_was_not_asked_for_long_is_not_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "_SILENCE", 0.6)
    with Worker(TINY, CORE) as worker:
        time.sleep(0.7)
        with filled(picture()) as given_:
            run = worker.run("tint", {}, given_)
            run.wait(0)  # as a host's timer looks, before there can be an answer
            assert taken(run).shape == picture().shape


def test_a_worker_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "_SILENCE", 0.6)
    monkeypatch.setattr(client, "_BEAT", 0.1)
    with Worker(TINY, CORE) as worker, filled(picture()) as given_:
        slow = worker.run("tint", {"strength": 0}, given_)
        assert not slow.wait(1)  # it works, and says so
        slow.cancel()
        assert slow.wait(5)
        os.kill(worker._process.pid, signal.SIGSTOP)
        run, until = worker.run("tint", {}, given_), time.monotonic() + 10
        while not run.wait(0.05):
            assert time.monotonic() < until
        with pytest.raises(WorkerError, match="does not answer"):
            run.result()
    assert ended(worker._process.pid)


OTHER_VERSION = """
body = b'{"id": 1, "result": {"protocol": 99}}'
import os
os.write(1, b"Content-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
input()
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('hello'); input()", "rubbish"),
        ("import sys; sys.stdout.write('Content-Length: 3\\r\\n\\r\\nxyz'); input()", "rubbish"),
        ("import sys; sys.stdout.write('Content-Length: 2\\r\\n\\r\\n[]'); input()", "rubbish"),
        ("raise SystemExit('no onnxruntime here')", "no onnxruntime here"),
        ("import sys; sys.exit(3)", "exit code 3"),
        (OTHER_VERSION, "of another version"),
    ],
)
def test_what_is_no_worker_is_one_sentence(program: str, said: str):
    with pytest.raises(WorkerError, match=said) as caught:
        Worker([sys.executable, "-c", program])
    assert "\n" not in str(caught.value)


def test_an_interpreter_that_is_missing():
    with pytest.raises(WorkerError, match="install Triptych again"):
        Worker(["/none/python", "-m", "triptych.worker"])


def test_the_worker_ends_with_its_parent_and_cleans_up(tmp_path: Path):
    program = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(HERE.parents[1] / 'core' / 'triptych')!r})\n"
        "import client\n"
        f"worker = client.Worker({TINY!r}, {CORE!r}, {str(tmp_path)!r})\n"
        f"pixels = client.Pixels((1, 1, 3), {str(tmp_path)!r})\n"
        "run = worker.run('tint', {'strength': 0}, pixels)\n"
        "while not run.fraction: run.wait(0.01)\n"
        "print(worker._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not ended(pid, 0.1)
        with Pixels((1, 1, 3), str(tmp_path)) as mine:
            assert len(list(tmp_path.iterdir())) == 3
            parent.kill()
            assert ended(pid)
            assert [str(path) for path in tmp_path.iterdir()] == [mine.path]


def test_no_room_for_the_pixels_is_one_sentence():
    with pytest.raises(WorkerError, match="no room"):
        Pixels((1 << 20, 1 << 20, 3))
    with pytest.raises(WorkerError, match="no room"):
        Pixels((1, 1, 3), folder="/none")


def test_pixels_are_shared_where_the_host_says(tmp_path: Path):
    folder, before = str(tmp_path), picture()
    with Worker(TINY, CORE, folder) as worker, Pixels(before.shape, folder) as given_:
        given_.data[:] = before.tobytes()
        run = worker.run("tint", {}, given_)
        assert len(list(tmp_path.iterdir())) == 2  # the picture's and the result's
        assert taken(run).shape == before.shape
    assert not list(tmp_path.iterdir())


def test_the_client_needs_nothing_but_python():
    """As in a host: no site-packages, no triptych."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(client.__file__).parent)!r}); import client; "
        "print(sorted(set(sys.modules) & {'numpy', 'triptych', 'onnxruntime'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# ----------------------------------------------------------------------------------------- framing


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def answers(sent: bytes) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the answers of a worker that reads these bytes and then their end."""
    sink = io.BytesIO()
    code = Server(io.BytesIO(sent), sink).serve()
    sink.seek(0)
    heard = []
    while (body := client.read_frame(sink)) is not None:
        heard.append(json.loads(body))
    return code, heard


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers(0, 3) | JSON,
        "method": st.sampled_from(["ping", "cancel", "run", "tasks", "none"]) | JSON,
        "params": st.fixed_dictionaries(
            {}, optional={"id": JSON, "task": JSON, "values": JSON, "picture": JSON, "result": JSON}
        )
        | JSON,
    },
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=40) | (REQUESTS | JSON).map(lambda r: json.dumps(r).encode())))
def test_whatever_is_in_a_frame_is_answered(bodies: list[bytes]):
    code, heard = answers(b"".join(map(frame, bodies)))
    assert code == 0
    assert all(("error" in one) != ("result" in one) for one in heard if "method" not in one)
    assert all(one["jsonrpc"] == "2.0" for one in heard)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_what_is_no_frame_ends_it_cleanly(sent: bytes):
    ping = frame(b'{"jsonrpc":"2.0","id":7,"method":"ping"}')
    code, heard = answers(ping + sent)
    assert heard[0] == {"jsonrpc": "2.0", "id": 7, "result": {}}
    if code:
        assert heard[-1]["error"]["code"] == client.PARSE_ERROR


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_frame_that_is_cut_off_ends_it_cleanly(data: st.DataObject):
    sent = frame(b'{"jsonrpc":"2.0","id":7,"method":"ping"}')
    cut = data.draw(st.integers(1, len(sent) - 1))
    code, heard = answers(sent[:cut])
    assert code == 1
    assert [one["error"]["code"] for one in heard] == [client.PARSE_ERROR]


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 999999999\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1e3\r\n\r\n",
        b"Content-Type: x\r\n" * 10_000,
        b"x" * 10_000_000,
        b"\r\n",
    ],
)
def test_what_is_too_large_is_not_read(header: bytes):
    source = io.BytesIO(header + b"0" * 100)
    assert Server(source, io.BytesIO()).serve() == 1
    assert source.tell() < 5000


def test_ten_thousand_bad_messages_leave_it_as_it_was():
    """One real worker hears them all, mixed with good ones, and grows by nothing to speak of."""
    rng = random.Random(0)
    good = b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{}}'
    deep = b"[" * 5000

    def bad() -> bytes:
        kind = rng.randrange(5)
        if kind == 0:
            return good[: rng.randrange(1, len(good))]
        if kind == 1:
            return rng.randbytes(rng.randrange(1, 300))
        if kind == 2:
            wrong = bytearray(good)
            wrong[rng.randrange(len(wrong))] = rng.randrange(256)
            return bytes(wrong)
        if kind == 3:
            return deep
        return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "run", "params": {}}).encode()

    def resident(pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    environment = {**os.environ, **CORE}
    with subprocess.Popen(
        TINY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = 0
        for number in range(10_000):
            process.stdin.write(frame(bad()))
            if number % 100 == 0:
                asked = good.replace(b"7", str(1000 + number).encode())
                process.stdin.write(frame(asked))
                process.stdin.flush()
                while (body := client.read_frame(process.stdout)) is not None:
                    if json.loads(body).get("id") == 1000 + number:
                        break
                assert body is not None
                if number == 1000:
                    before = resident(process.pid)
        assert resident(process.pid) < before + 4000  # kB
        process.stdin.write(b"no frame at all\r\n\r\n")
        process.stdin.close()
        assert process.wait(10) == 1
