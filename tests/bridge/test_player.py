"""The player as it runs: in this process with its reports at hand, and as a process of its own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import triptych
import triptych_bridge
from triptych.client import read_frame, write_frame
from triptych.errors import UserError
from triptych_bridge import protocol
from triptych_bridge.clock import CLOCK, START, STOP
from triptych_bridge.handle import PlayerProcess
from triptych_bridge.midi import Note
from triptych_bridge.player import Player
from triptych_bridge.protocol import (
    Follow,
    Heard,
    Measure,
    Metre,
    Open,
    Panic,
    Schedule,
    Send,
    Sent,
    State,
    Tempo,
    Transport,
)

LONG = 20.0  # seconds: only a hang takes as long
PATHS = [str(Path(p.__file__ or "").parents[1]) for p in (triptych, triptych_bridge)]


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


class Reports:
    """What a player told."""

    def __init__(self) -> None:
        self.all: list[protocol.Report] = []

    @property
    def sent(self) -> list[str]:
        return [bytes(r.message).hex() for r in self.all if isinstance(r, Sent)]

    @property
    def heard(self) -> list[Heard]:
        return [r for r in self.all if isinstance(r, Heard)]

    @property
    def state(self) -> State:
        wait_for(lambda: any(isinstance(report, State) for report in self.all))
        return next(r for r in reversed(self.all) if isinstance(r, State))

    @property
    def failed(self) -> list[str]:
        return [r.message for r in self.all if isinstance(r, protocol.Failed)]


@pytest.fixture
def inside() -> Iterator[tuple[Player, Reports]]:
    """A player without ports, in a thread of this process."""
    reports = Reports()
    player = Player(reports.all.append)
    player.open(Open(None, None, echo=True))
    thread = threading.Thread(target=player.run)
    thread.start()
    yield player, reports
    player.inbox.put(None)
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.fixture
def outside() -> Iterator[tuple[PlayerProcess, Reports]]:
    """A player without ports, in a process of its own."""
    reports = Reports()
    with PlayerProcess(None, None, on_report=reports.all.append, echo=True) as player:
        yield player, reports
    assert player._process.returncode == 0


def test_notes_are_played_in_beats_and_seconds(outside: tuple[PlayerProcess, Reports]):
    player, reports = outside
    player.send(Tempo(600))
    player.play([Note(0, 1, 60, 64), Note(1, 1, 61, 64)])
    player.send(Transport("start"))
    now = time.perf_counter()
    player.play([Note(now + 0.5, 0.1, 70, 64)], "seconds")
    wait_for(lambda: len(reports.sent) == 6)
    assert reports.sent == ["903c40", "803c40", "903d40", "803d40", "904640", "804640"]
    sent = [report for report in reports.all if isinstance(report, Sent)]
    assert sent[2].deadline - sent[0].deadline == pytest.approx(0.1)
    assert sent[4].deadline == now + 0.5
    assert all(report.time >= report.deadline for report in sent)
    wait_for(lambda: reports.state.lateness.count == 6)
    player.send(Measure())
    wait_for(lambda: reports.state.lateness.count == 0)


def test_the_state_follows_tempo_metre_and_transport(outside: tuple[PlayerProcess, Reports]):
    player, reports = outside
    player.send(Tempo(90))
    player.send(Metre(7, 8))
    player.send(Transport("start", beat=8))
    wait_for(lambda: reports.state.playing)
    assert reports.state.metre == (7, 8)
    assert reports.state.tempo == 90
    assert 8 <= reports.state.beat < 30
    player.send(Transport("stop"))
    wait_for(lambda: not reports.state.playing)
    player.send(Transport("locate", 4))
    wait_for(lambda: reports.state.beat == 4)
    assert player.state == reports.state


def test_many_notes_and_a_replacement(outside: tuple[PlayerProcess, Reports]):
    player, reports = outside
    player.play([Note(100 + i / 10, 0.1, i % 128) for i in range(3000)], part="a")
    player.play([Note(100, 1, 60)], part="b")
    wait_for(lambda: reports.state.pending == 3001)
    player.play([], part="a", replace_from=200)
    wait_for(lambda: reports.state.pending == 1001)


def test_panic_ends_what_sounds(outside: tuple[PlayerProcess, Reports]):
    player, reports = outside
    player.send(Transport("start"))
    player.play([Note(0, 1000, 60), Note(500, 1, 60)])
    wait_for(lambda: reports.sent)
    player.send(Panic())
    wait_for(lambda: len(reports.sent) == 3)
    assert reports.sent == ["903c50", "803c40", "b07b00"]
    wait_for(lambda: reports.state.pending == 0)


def test_what_is_wrong_is_said_and_survived(outside: tuple[PlayerProcess, Reports]):
    player, reports = outside
    stdin = player._process.stdin
    assert stdin is not None
    write_frame(stdin, {"kind": "Nonsense"})
    write_frame(stdin, {"kind": "Schedule", "notes": [[0, -1, 60, 80, 0]]})
    player.send(Send((0x90, 60, 64)))
    player.send(Transport("locate"))
    player.send(Metre(4, 3))
    player.send(Tempo("fast"))  # type: ignore[arg-type]
    player.send(Open(None, None))
    wait_for(lambda: len(reports.failed) == 7)
    player.send(Send((0xB0, 7, 100)))
    wait_for(lambda: reports.sent == ["b00764"])
    assert player.alive


def test_midi_clock_moves_the_notes(inside: tuple[Player, Reports]):
    player, reports = inside
    player.inbox.put(Follow("midi"))
    player.inbox.put(Schedule((Note(0, 0.25, 60), Note(0.5, 100, 61))))
    player.hear(bytes([START]))
    for _ in range(20):
        player.hear(bytes([CLOCK]))
        time.sleep(0.01)
    wait_for(lambda: len(reports.sent) == 3)
    assert reports.state.source == "midi"
    assert reports.state.playing
    player.hear(bytes([0x90, 50, 64]))
    player.hear(bytes([STOP]))
    wait_for(lambda: len(reports.sent) == 4)
    assert reports.sent == ["903c50", "803c40", "903d50", "803d40"]
    wait_for(lambda: reports.heard)
    assert 0.7 < reports.heard[0].beat < 10
    wait_for(lambda: not reports.state.playing)


def test_a_master_that_falls_silent_ends_what_sounds(inside: tuple[Player, Reports]):
    player, reports = inside
    player.inbox.put(Follow("midi"))
    player.inbox.put(Schedule((Note(0, 100, 60),)))
    for status in (START, CLOCK, CLOCK, CLOCK):
        player.hear(bytes([status]))
    wait_for(lambda: reports.sent == ["903c50", "803c40"])


def test_bytes_that_are_no_midi_leave_no_note(inside: tuple[Player, Reports]):
    player, reports = inside
    rng = random.Random(0)
    player.inbox.put(Follow("midi"))
    for _ in range(2000):
        player.hear(rng.randbytes(rng.randrange(30)))
    player.hear(bytes([0xF7, 0xFF]))
    player.inbox.put(Send((0xB0, 7, 100)))
    wait_for(lambda: "b00764" in reports.sent)
    assert not reports.failed
    sounding: set[tuple[int, int]] = set()
    for heard in reports.heard:
        key = (heard.message[0] & 0xF, heard.message[1]) if len(heard.message) > 1 else (0, 0)
        if heard.message[0] & 0xF0 == 0x90:
            assert key not in sounding
            sounding.add(key)
        elif heard.message[0] & 0xF0 == 0x80:
            sounding.remove(key)
    assert not sounding


def spawned() -> subprocess.Popen[bytes]:
    """A player's process that plays one endless note."""
    process = subprocess.Popen(
        [sys.executable, "-m", "triptych_bridge.player"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    note = Note(0, 1e6, 60)
    for command in (Open(None, None, echo=True), Schedule((note,)), Transport("start")):
        write_frame(process.stdin, protocol.to_json(command))
    while not isinstance(protocol.report(read_frame(process.stdout) or b""), Sent):
        pass
    return process


def last_words(process: subprocess.Popen[bytes]) -> list[str]:
    assert process.stdout is not None
    reports = Reports()
    while (body := read_frame(process.stdout)) is not None:
        reports.all.append(protocol.report(body))
    assert process.wait(LONG) == 0
    process.stdout.close()
    return reports.sent


@pytest.mark.parametrize("how", ["closed", "rubbish", "terminated"])
def test_the_end_of_the_parent_ends_notes_and_process(how: str):
    process = spawned()
    assert process.stdin is not None
    if how == "rubbish":
        process.stdin.write(b"this is no frame\n\n")
        process.stdin.flush()
    elif how == "terminated":
        if sys.platform == "win32":
            pytest.skip("Windows ends processes without asking them")
        process.send_signal(signal.SIGTERM)
    else:
        process.stdin.close()
    assert last_words(process) == ["803c40", "b07b00"]
    process.stdin.close()


def test_a_killed_parent_leaves_no_player():
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "from triptych_bridge.handle import PlayerProcess\n"
                "player = PlayerProcess(None, None)\n"
                "print(player.pid, flush=True)\n"
                "import time; time.sleep(60)"
            ),
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

    def gone() -> bool:
        status = Path(f"/proc/{pid}/stat")
        try:
            return status.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    if sys.platform == "linux":
        wait_for(gone)


def test_a_killed_player_is_told_of(outside: tuple[PlayerProcess, Reports]):
    reports = Reports()
    with PlayerProcess(None, None, on_report=reports.all.append) as player:
        player._process.kill()
        wait_for(lambda: reports.failed)
        assert not player.alive
        with pytest.raises(UserError, match="has stopped"):
            player.send(Panic())


def test_the_player_loads_no_model_code():
    code = (
        "import sys, triptych_bridge.player\n"
        "print({'numpy', 'onnxruntime', 'torch', 'mido'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
    )
    assert done.stdout.strip() == "set()"
