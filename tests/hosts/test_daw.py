"""The bridge among real programs, JACK, FluidSynth and Ardour: its player, and the command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient

from triptych.music import midi
from triptych_bridge.handle import PlayerProcess
from triptych_bridge.midi import Note
from triptych_bridge.protocol import Follow, Heard, Sent, State

if TYPE_CHECKING:
    from tests.hosts.studio import Ardour, Studio, Synth

RATE, PERIOD = 48000, 256 / 48000  # seconds
BEAT = 0.5  # seconds, in a new session of Ardour
HITS = 8
DRUMS, RIM, WOODBLOCK = 9, 37, 76


class Bridge(PlayerProcess):
    """The player in the studio, and all that it reports."""

    def __init__(self, studio: Studio, name: str = "Triptych") -> None:
        self.told: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", str(studio.python()))
            super().__init__(name=name, on_report=self.told.append, echo=True)

    def sent(self, kind: int) -> list[Sent]:
        """The messages of this kind that went out."""
        return [one for one in self.told if isinstance(one, Sent) and one.message[0] >> 4 == kind]

    def wait(self, true: Callable[[State], bool], seconds: float = 20) -> State:
        """The first state from now on of which this is true."""
        end, seen = time.monotonic() + seconds, len(self.told)
        while time.monotonic() < end:
            for one in self.told[seen:]:
                seen += 1
                if isinstance(one, State) and true(one):
                    return one
            time.sleep(0.005)
        raise AssertionError(f"not in {seconds} seconds: {self.state}")


class Command:
    """`triptych bridge` in the studio, and its OSC."""

    def __init__(self, studio: Studio, *words: str) -> None:
        given = [str(studio.python()), "-m", "triptych", "bridge", "--no-display", *words]
        self.process = subprocess.Popen(
            [*given, "--osc-port", "0"],
            stdout=subprocess.PIPE,
            stderr=studio.log,
            text=True,
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        port = re.search(r"OSC: port (\d+)", self.first)
        assert port, self.first + studio.said()
        self.port = int(port[1])

    def playing(self) -> bool:
        """Whether it says that the song plays."""
        # From a new port each time: the bridge tells whoever asked of what changes later, too.
        osc = SimpleUDPClient("127.0.0.1", self.port, timeout=5)
        osc.send_message("/triptych/state", [])
        while data := osc.receive():
            message = OscMessage(data)
            if message.address == "/triptych/state" and message.params:
                return bool(message.params[1])
        raise AssertionError("the bridge does not answer")

    def end(self) -> str:
        """Press Ctrl-C; the rest of what it printed."""
        # The process is the wrapper's child, as the machine numbers it.
        wrapper = self.process.pid
        child = Path(f"/proc/{wrapper}/task/{wrapper}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGINT)
        try:
            return self.process.communicate(timeout=30)[0]
        finally:
            self.process.kill()


SLEEP = """
import select, sys, time
latest = 0.0
while True:
    start = time.perf_counter()
    if select.select([sys.stdin], [], [], 0.001)[0]:
        break
    latest = max(latest, time.perf_counter() - start - 0.001)
print(latest)
"""


class Sleeper:
    """A program that sleeps a millisecond at a time; `latest` is how late (seconds) the machine
    woke it at worst."""

    latest: float

    def __enter__(self) -> Sleeper:
        words = [sys.executable, "-c", SLEEP]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.latest = float(self._process.communicate()[0])


@pytest.fixture
def bridge(jack: Studio) -> Iterator[Bridge]:
    made = Bridge(jack)
    yield made
    made.close()


@pytest.fixture
def follower(bridge: Bridge, ardour: Ardour) -> Bridge:
    """The bridge, going by Ardour's clock and playing into its track."""
    ardour.studio.connect("ardour:MIDI Clock out", "Triptych in:midi")
    ardour.studio.connect("Triptych out:midi", "ardour:gen/midi_in 1")
    bridge.send(Follow("midi"))
    return bridge


def undisturbed(studio: Studio, take: Callable[[], np.ndarray], bound: float) -> np.ndarray:
    """How late each note of a take was, in seconds.

    Where a busy machine makes JACK itself lose time, or wakes a program that does nothing but sleep
    later than half the `bound`, no client can be in time: once more, unless all were within it.
    """
    for _ in range(5):
        before = studio.losses()
        with Sleeper() as sleeper:
            late = take()
        quiet = studio.losses() == before and sleeper.latest < bound / 2
        if quiet or np.abs(late - np.median(late)).max() < bound:
            break
    return late


def test_what_is_played_is_heard(synth: Synth, bridge: Bridge, tmp_path: Path):
    synth.studio.connect("Triptych out:midi", synth.port)
    steps = np.random.default_rng(1).uniform(0.15, 0.35, 12)

    def take() -> np.ndarray:
        path = tmp_path / "heard.wav"
        with synth.recorded(path, 5):
            starts = time.perf_counter() + 0.3 + np.cumsum(steps)
            notes = [Note(float(start), 0.1, WOODBLOCK, 110, DRUMS) for start in starts]
            bridge.play(notes, unit="seconds")
        heard = onsets(path)
        assert len(heard) == len(starts)
        return heard - starts

    late = undisturbed(synth.studio, take, 0.015)
    assert np.abs(late - np.median(late)).max() < 0.015


def test_ardour_records_in_sync(ardour: Ardour, follower: Bridge):
    steps = np.random.default_rng(2).uniform(0.2, 0.7, 24)
    starts = 4 + np.cumsum(steps)  # the clock's tempo is known by then
    notes = [Note(float(at), 0.15, 40 + i, 20 + 4 * i) for i, at in enumerate(starts)]
    tempos: list[float] = []

    def take() -> np.ndarray:
        follower.play(notes, replace_from=0.0)
        with ardour.recording():
            tempos.append(follower.wait(lambda state: state.beat > starts[-1] + 0.5).tempo)
        recorded = ardour.recorded()
        assert [(pitch, velocity) for _, pitch, velocity in recorded] == [
            (note.pitch, note.velocity) for note in notes
        ]
        return (np.array([at for at, _, _ in recorded]) - starts) * BEAT

    late = undisturbed(ardour.studio, take, PERIOD)
    assert np.abs(late - np.median(late)).max() < PERIOD
    assert abs(np.median(late)) < 2 * PERIOD  # the way through JACK
    assert tempos[-1] == pytest.approx(60 / BEAT, abs=0.1)


def test_ardour_starts_and_stops_the_bridge(ardour: Ardour, follower: Bridge):
    follower.play([Note(beat, 30.0, 60) for beat in (2.0, 34.0)])
    ardour.stop()
    ardour.tell("/transport_play")
    follower.wait(lambda state: state.playing and state.sounding == 1)
    ardour.tell("/transport_stop")
    state = follower.wait(lambda state: not state.playing)
    assert state.sounding == 0
    assert len(follower.sent(8)) == len(follower.sent(9)) == 1
    ardour.stop(sample=int(33 * BEAT * RATE))
    ardour.tell("/transport_play")
    state = follower.wait(lambda state: state.playing)
    assert 33 <= state.beat < 34
    follower.wait(lambda state: state.sounding == 1)
    ardour.tell("/transport_stop")
    assert follower.wait(lambda state: not state.playing).sounding == 0


def test_the_command_plays_between_ardour_and_fluidsynth(
    synth: Synth, ardour: Ardour, jack: Studio, tmp_path: Path
):
    """A drum machine is humanised, two bars later, in the time that Ardour's clock gives."""
    takes, sound = tmp_path / "takes", tmp_path / "heard.wav"
    takes.mkdir()
    # All as loud, so that every beginning is heard.
    words = ["--clock", "midi", "--mode", "humanise", "--set", "groove/velocity=no"]
    command = Command(jack, *words, "--record", str(takes))
    drummer = Bridge(jack, "Drummer")
    try:
        for source in ("ardour:MIDI Clock out", "Drummer out:midi"):
            jack.connect(source, "Triptych in:midi")
        for target in ("ardour:gen/midi_in 1", synth.port, "Drummer in:midi"):
            jack.connect("Triptych out:midi", target)
        ardour.stop()
        until(lambda: not command.playing())

        def come_back(kind: int) -> int:
            return sum(isinstance(t, Heard) and t.message[0] >> 4 == kind for t in drummer.told)

        def take() -> np.ndarray:
            drummer.told.clear()
            for old in takes.iterdir():
                old.unlink()
            with synth.recorded(sound, 17), ardour.recording():
                until(command.playing)
                first = time.perf_counter() + 0.3
                hits = [Note(first + i * BEAT, 0.1, RIM, 100, DRUMS) for i in range(HITS)]
                drummer.play(hits, unit="seconds")
                until(lambda: come_back(8) == HITS)
            until(lambda: not command.playing())
            assert come_back(9) == come_back(8) == HITS
            until(lambda: list(takes.iterdir()))
            (track,) = midi.load(*takes.iterdir()).tracks
            recorded = ardour.recorded()
            assert [(pitch, velocity) for _, pitch, velocity in recorded] == [
                (note["pitch"], note["velocity"]) for note in track.notes
            ]
            heard = np.array([at for at, *_ in recorded]) * BEAT
            assert np.abs(np.diff(heard) - BEAT).max() > 0.003  # with feel
            assert np.abs(np.diff(onsets(sound)) - np.diff(heard)).max() < 0.015
            return heard - track.notes["start"] * BEAT

        late = undisturbed(jack, take, PERIOD)
        assert np.abs(late - np.median(late)).max() < PERIOD
        assert abs(np.median(late)) < 2 * PERIOD
    finally:
        drummer.close()
        said = command.end()
    assert command.process.returncode == 0
    assert not [line for line in said.splitlines() if "mistake" in line or "Traceback" in line]


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def onsets(path: Path) -> np.ndarray:
    """When a sound begins in a recording of dry drums, in seconds."""
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    hop = rate // 1000
    loud = np.abs(sound.reshape(-1, channels).astype(float)).max(1)
    loud = loud[: len(loud) // hop * hop].reshape(-1, hop).max(1)
    assert loud.max() > 1000, "silence"
    above = loud > loud.max() / 4
    quiet_before = [not above[max(i - 50, 0) : i].any() for i in range(len(above))]
    return np.flatnonzero(above & quiet_before) / 1000
