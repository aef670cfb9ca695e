"""The bridge on Ableton Live's clock: what is told late, and Live's double."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from triptych_bridge.clock import InternalClock
from triptych_bridge.live import Live
from triptych_bridge.live_clock import LiveClock
from triptych_bridge.protocol import Command, Metre, Tempo, Transport

Start = Callable[..., Any]


class Silent(Live):
    """No Live is asked: the test itself tells the clock."""

    def __init__(self) -> None:
        pass

    def listen(self, name: str, heard: Callable[[Any], None]) -> None:
        pass


class Followed:
    """A clock that does what the player would."""

    def __init__(self) -> None:
        self.clock, self.said = InternalClock(), list[str]()
        self.live = LiveClock(Silent(), self._take, self.said.append)

    def _take(self, told: Command) -> None:
        at = getattr(told, "time", None) or 0.0
        if isinstance(told, Tempo):
            self.clock.set_tempo(at, told.tempo)
        elif isinstance(told, Metre):
            self.clock.metre = (told.count, told.unit)
        elif isinstance(told, Transport):
            {
                "start": lambda: self.clock.start(at, told.beat),
                "stop": lambda: self.clock.stop(at),
                "locate": lambda: self.clock.locate(at, told.beat or 0.0),
                "nudge": lambda: self.clock.nudge(at, told.beat or 0.0),
            }[told.action]()

    def play(self, begin: float, end: float, beat: float, rng: random.Random) -> float:
        """Live plays from a beat on at 120, and tells each 80 ms with up to 60 ms delay."""
        time = begin
        while time < end:
            late = rng.uniform(0, 0.06)
            self.live.place(beat + (time - begin) * 2, time + late)
            time += 0.08
        return beat + (end - begin) * 2


@pytest.mark.parametrize("seed", range(5))
def test_the_beat_is_near_lives_though_all_is_told_late(seed: int):
    followed, rng = Followed(), random.Random(seed)
    followed.live.playing(True, 9.9)
    beat = followed.play(10.0, 15.0, 8.0, rng)
    clock = followed.clock
    assert clock.playing
    assert abs(clock.beat_at(15.0) - beat) < 0.03  # 15 ms
    jumps = clock.jumps
    followed.live.place(beat - 0.9, 15.0)  # one that comes very late is no jump
    beat = followed.play(15.0, 18.0, beat, rng)
    assert clock.jumps == jumps
    assert abs(clock.beat_at(18.0) - beat) < 0.03
    beat = followed.play(18.0, 21.0, 100.0, rng)  # a jump is one
    assert clock.jumps == jumps + 1
    assert abs(clock.beat_at(21.0) - beat) < 0.03
    followed.live.playing(False, 21.0)
    assert not clock.playing


def test_a_live_that_falls_silent_stops_the_song_and_what_is_no_number_is_nothing():
    followed = Followed()
    followed.live.playing(True, 1.0)
    for wrong in ("x", None, float("nan"), float("inf"), 1e30):
        followed.live.place(wrong, 1.0)
        followed.live.tempo(wrong, 1.0)
    assert [followed.clock.playing] == [False]
    followed.play(1.0, 3.0, 0.0, random.Random(0))
    followed.live.poll(3.5)
    assert followed.clock.playing
    followed.live.poll(5.0)
    assert [followed.clock.playing] == [False]
    assert "does not tell any more" in followed.said[0]


def test_the_bridge_follows_lives_double(
    session: Start, start_live: Start, free_port: int, user: object
):
    double = start_live(tick=0.05)
    double.song.tempo = 140.0
    double.song.signature_numerator = 3
    with Live(port=double.port, reply_port=free_port) as live:
        made = session(clock="live", live=live)
        stage = made.bridge.stage
        made.wait_for(lambda: stage.state and stage.state.tempo == 140 and stage.metre == (3, 4))
        assert not stage.playing
        double.song.start_playing()
        made.wait_for(lambda: stage.playing and stage.now > 1)
        assert abs(stage.now - double.song.current_song_time) < 0.5
        double.song.current_song_time = 64.0
        made.wait_for(lambda: 64 <= stage.now < 80)
        assert made.bridge.status.clock == "live"
        made.set("tempo", 100.0)
        assert "Ableton Live leads: change the tempo there" in made.said[-1]
        made.do(made.bridge.play)
        assert "start and stop it there" in made.said[-1]
        double.song.stop_playing()
        made.wait_for(lambda: not stage.playing)
        made.bridge.stop()
