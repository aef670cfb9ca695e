"""The command `triptych bridge`, its display and the watched folder."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import triptych
import triptych_bridge
from triptych import cli
from triptych.errors import UserError
from triptych.music import midi
from triptych.music.score import Score, Track, notes
from triptych_bridge.display import drawn
from triptych_bridge.watch import Watch

LONG = 60.0
PATHS = [str(Path(p.__file__ or "").parents[1]) for p in (triptych, triptych_bridge)]
TUNE = Score((Track(notes([(i / 2, 0.5, 60 + i % 5, 90) for i in range(8)])),))
WITHOUT = ["--output", "none", "--input", "none"]


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@contextlib.contextmanager
def command(*words: str, **options: Any) -> Any:
    """`triptych bridge` as a process of its own, and the lines that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "triptych", "bridge", *WITHOUT, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
        **options,
    )
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join(LONG)
        process.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
def test_it_plays_answers_files_and_ends_with_ctrl_c(
    wild: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
):
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(wild))
    folder = tmp_path / "files"
    folder.mkdir()
    given = ["--no-display", "--osc-port", str(free_port), "--tempo", "200", "--metre", "3/4"]
    given += ["--set", "melody/model=wild", "--set", "/continue/model=wild", "--set=loop/lock=yes"]
    with command(*given, "--mode", "loop", "--watch", str(folder)) as (process, lines):
        wait_for(lambda: lines)
        assert lines[0] == f"MIDI out: none; MIDI in: none; OSC: port {free_port}\n"
        midi.save(TUNE, folder / "tune.mid")
        wait_for(lambda: (folder / "tune-continue.mid").exists())
        assert midi.load(folder / "tune-continue.mid").length > TUNE.length
        process.send_signal(signal.SIGINT)
        assert process.wait(LONG) == 0
    assert not [line for line in lines if "Traceback" in line or "mistake" in line]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
@pytest.mark.parametrize("all_of_it", [False, True])
def test_sigterm_ends_it_as_ctrl_c_does(
    wild: Path, monkeypatch: pytest.MonkeyPatch, all_of_it: bool
):
    """To the process, or to its group with all that it started, as `timeout` sends it."""
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(wild))
    given = ["--no-display", "--osc-port", "0", "--mode", "loop", "--set", "melody/model=wild"]
    with command(*given, start_new_session=True) as (process, lines):
        wait_for(lambda: lines)
        (os.killpg if all_of_it else os.kill)(process.pid, signal.SIGTERM)
        assert process.wait(LONG) == 0
    assert len(lines) == 1, lines


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such terminal")
def test_in_a_terminal_the_state_is_drawn(user: Path):
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "triptych", "bridge", *WITHOUT, "--osc-port", "0"],
        stdout=theirs,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "TERM": "xterm"},
    )
    os.close(theirs)
    seen, told = b"", False
    with contextlib.suppress(OSError):  # the terminal ends with the process
        while chunk := os.read(ours, 4096):
            seen += chunk
            if b"2.1" in seen and not told:
                process.send_signal(signal.SIGINT)
                told = True
    os.close(ours)
    assert process.wait(LONG) == 0
    assert "120.0 bpm, 4/4, internal clock" in seen.decode()


def test_the_display_shows_what_there_is(session: Callable[..., Any], user: Path):
    made = session()
    made.do(made.bridge.play)
    made.do(lambda: made.bridge.player.play(_note()))
    made.wait_for(lambda: made.bridge.stage.state and made.bridge.stage.state.lateness.count)
    made.do(lambda: made.bridge.say("nothing [bold]is wrong."))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(drawn(made.bridge.status, 9600, "songs"))
    text = console.export_text()
    for part in ("UDP port 9600", "songs", "Off", "120.0 bpm", "sounding", "p99", "[bold]is wrong"):
        assert part in text


def _note() -> list[Any]:
    from triptych_bridge.midi import Note

    return [Note(0.2, 0.1, 60)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mode", "lop"], "did you mean 'loop'"),
        (["--clock", "sundial"], "choose internal, midi, link or live"),
        (["--tempo", "fast"], "tempo must be a number"),
        (["--tempo", "100", "--clock", "midi"], "leads by MIDI clock: change the tempo there"),
        (["--set", "melody/bars"], "has no value"),
        (["--set", "melody/bars=0"], "bars must be from 1"),
        (["--feedback", "here"], "no HOST:PORT"),
        (["--watch", "nowhere"], "no folder nowhere"),
        (["--watch", ".", "--task", "melody"], "takes no MIDI file"),
        (["--oscport", "1"], "did you mean '--osc-port'"),
    ],
)
def test_what_cannot_begin_is_one_sentence(
    capsys: pytest.CaptureFixture[str], user: Path, words: list[str], said: str
):
    assert cli.main(["bridge", *WITHOUT, "--osc-port", "0", *words]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_an_osc_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str], user: Path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        assert cli.main(["bridge", *WITHOUT, "--osc-port", port]) == 2
    assert "choose another with --osc-port" in capsys.readouterr().err


# -------------------------------------------------------------------------- the watched folder


class Folder:
    """A watched folder whose answers are the given bytes backwards."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.asked: list[bytes] = []
        self.watch = Watch(folder, self._make, lambda: ("vary", {}), self.said.append)

    def _make(self, task: str, values: Mapping[str, Any], given: bytes) -> bytes:
        self.asked.append(given)
        if given == b"bad":
            raise UserError("it is no MIDI file.")
        return given[::-1]


def test_a_file_is_answered_once_and_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "old.mid").write_bytes(b"there before")
    folder = Folder(tmp_path)
    (tmp_path / "a-vary.mid").write_bytes(b"mine")
    (tmp_path / "a.MID").write_bytes(b"abc")
    (tmp_path / "b.mid").write_bytes(b"bad")
    (tmp_path / "c.txt").write_bytes(b"no music")
    wait_for(lambda: len(folder.said) == 3)
    (tmp_path / "a.MID").write_bytes(b"abcd")  # written anew: answered anew
    wait_for(lambda: len(folder.said) == 4)
    time.sleep(1.2)
    folder.watch.close()
    assert sorted(folder.asked) == [b"abc", b"abcd", b"bad", b"mine"]
    assert (tmp_path / "a-vary.mid").read_bytes() == b"mine"
    assert (tmp_path / "a-vary-2.mid").read_bytes() == b"cba"
    assert (tmp_path / "a-vary-3.mid").read_bytes() == b"dcba"
    assert "b.mid is not answered: it is no MIDI file." in folder.said
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_grows_is_read_when_it_is_whole(tmp_path: Path):
    folder = Folder(tmp_path)
    for part in range(8):
        with (tmp_path / "slow.mid").open("ab") as file:
            file.write(bytes([part]))
        time.sleep(0.2)
    wait_for(lambda: folder.said)
    folder.watch.close()
    assert folder.asked == [bytes(range(8))]
