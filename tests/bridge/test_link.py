"""Ableton Link: the bridge's clock and another peer in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from triptych.errors import UserError
from triptych_bridge import link
from triptych_bridge.link import LinkClock

LONG = 30.0
BAR = 4.0
PEER = """
import sys, time
from link import Link
link = Link(100.0)
link.startStopSyncEnabled = link.enabled = True
for line in sys.stdin:
    words = line.split()
    state, now = link.captureAppSessionState(), link.clock().micros()
    if words[0] == "tempo":
        state.setTempo(float(words[1]), now)
    elif words[0] == "play":
        state.setIsPlayingAndRequestBeatAtTime(True, now, 0.0, 4.0)
    elif words[0] == "stop":
        state.setIsPlaying(False, now)
    if words[0] != "ask":
        link.commitAppSessionState(state)
    at = time.perf_counter()
    beat = state.beatAtTime(link.clock().micros(), 4.0)
    print(at, beat % 4, state.tempo(), int(state.isPlaying()), flush=True)
"""


@pytest.fixture
def peer() -> Iterator[Callable[[str], list[float]]]:
    """Tells another program of the session something; its time, phase, tempo, whether it plays."""
    process = subprocess.Popen(
        [sys.executable, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def tell(order: str) -> list[float]:
        assert process.stdin is not None
        assert process.stdout is not None
        print(order, file=process.stdin, flush=True)
        return [float(word) for word in process.stdout.readline().split()]

    yield tell
    process.kill()
    process.communicate()


@pytest.fixture
def clock(peer: Callable[[str], list[float]]) -> Iterator[LinkClock]:
    """A clock that has found the peer; Link needs a network that carries multicast."""
    pytest.importorskip("link")
    made = LinkClock()
    end = time.monotonic() + LONG
    while not made.peers and time.monotonic() < end:
        time.sleep(0.05)
    if not made.peers and not os.environ.get("CI"):
        made.close()
        pytest.skip("no network here carries multicast")
    assert made.peers
    yield made
    made.close()


def polled(clock: LinkClock, true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end, "it did not happen"
        clock.poll(time.perf_counter())
        time.sleep(0.005)


def test_tempo_phase_start_and_stop_are_shared(
    clock: LinkClock, peer: Callable[[str], list[float]]
):
    peer("tempo 133")
    polled(clock, lambda: abs(clock.tempo - 133) < 1e-3)
    assert [clock.playing] == [False]
    peer("play")
    polled(clock, lambda: clock.playing)
    polled(clock, lambda: clock.beat_at(time.perf_counter()) > 1)
    jumps = clock.jumps
    for _ in range(5):
        at, phase, *_ = peer("ask")
        clock.poll(time.perf_counter())
        off = (clock.beat_at(at) - phase + BAR / 2) % BAR - BAR / 2
        assert abs(off) < 0.02  # beats, of which 2 a second
        assert clock.time_at(clock.beat_at(at)) == pytest.approx(at)
    assert clock.jumps == jumps
    peer("stop")
    polled(clock, lambda: not clock.playing)
    assert clock.jumps == jumps + 1


def test_the_bridge_leads_the_session_too(clock: LinkClock, peer: Callable[[str], list[float]]):
    clock.set_tempo(time.perf_counter(), 97.0)
    clock.start(time.perf_counter())
    polled(clock, lambda: peer("ask")[2:] == [pytest.approx(97), 1])
    # The first bar begins with a bar of the session.
    polled(clock, lambda: clock.playing)
    assert -BAR <= clock.beat_at(time.perf_counter()) < 4
    clock.stop(time.perf_counter())
    polled(clock, lambda: peer("ask")[3] == 0)


def test_without_it_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "link", None)
    with pytest.raises(UserError, match=r"run `.* -m pip install .*\[link\]'`"):
        link.library()
