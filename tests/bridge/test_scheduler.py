"""What is queued leaves in order and in time, and every note ends, whatever happens between."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych_bridge.clock import InternalClock
from triptych_bridge.midi import Note
from triptych_bridge.scheduler import Scheduler

CLOSE_ALL = bytes([0xB0, 123, 0])


def playing(tempo: float = 60) -> tuple[InternalClock, Scheduler]:
    """A clock whose beat is the second, and what plays on it."""
    clock = InternalClock(tempo)
    clock.start(0.0)
    scheduler = Scheduler(clock)
    assert scheduler.due(0.0) == []
    return clock, scheduler


def due(scheduler: Scheduler, time: float) -> list[str]:
    return [message.hex() for _, message in scheduler.due(time)]


def test_a_note_begins_and_ends_at_its_deadlines():
    _, scheduler = playing()
    scheduler.schedule([Note(1, 0.5, 60, 64)])
    assert scheduler.next_time() == 1
    assert scheduler.due(0.999) == []
    assert scheduler.due(1.001) == [(1, bytes.fromhex("903c40"))]
    assert scheduler.sounding == {(0, 60)}
    assert scheduler.next_time() == 1.5
    assert scheduler.due(1.6) == [(1.5, bytes.fromhex("803c40"))]
    assert scheduler.next_time() == math.inf


def test_seconds_and_beats_go_together():
    clock, scheduler = playing(120)
    scheduler.schedule([Note(2, 4, 60)])
    scheduler.schedule([Note(0.9, 5, 61)], "seconds")
    assert due(scheduler, 1.0) == ["903d50", "903c50"]
    clock.stop(1.5)
    assert due(scheduler, 1.5) == ["803c40"]  # what is in seconds goes on
    assert scheduler.next_time() == pytest.approx(5.9)


def test_a_change_of_tempo_moves_what_waits():
    clock, scheduler = playing()
    scheduler.schedule([Note(4, 2, 60)])
    clock.set_tempo(2.0, 120)
    assert scheduler.next_time() == 3
    assert due(scheduler, 3.0) == ["903c50"]
    assert scheduler.next_time() == 4


def test_the_end_comes_before_the_beginning_at_one_time():
    _, scheduler = playing()
    scheduler.schedule([Note(0.5, 0.5, 60), Note(1, 1, 60)])
    scheduler.send(bytes.fromhex("c005"), 1)
    assert due(scheduler, 0.5) == ["903c50"]
    assert due(scheduler, 1.0) == ["803c40", "c005", "903c50"]


def test_the_same_pitch_again_ends_the_earlier_note_once():
    _, scheduler = playing()
    scheduler.schedule([Note(0, 3, 60), Note(1, 3, 60), Note(1, 3, 60, channel=1)])
    assert due(scheduler, 0.0) == ["903c50"]
    assert due(scheduler, 1.0) == ["803c40", "903c50", "913c50"]
    assert due(scheduler, 3.5) == []
    assert due(scheduler, 4.0) == ["803c40", "813c40"]


def test_a_part_is_replaced_and_others_go_on():
    _, scheduler = playing()
    scheduler.schedule([Note(0, 8, 60), Note(3, 1, 61), Note(5, 1, 62)], part="melody")
    scheduler.schedule([Note(5, 1, 40)], part="bass")
    assert due(scheduler, 0.0) == ["903c50"]
    scheduler.clear(4, part="melody")
    scheduler.schedule([Note(4, 1, 70)], part="melody")
    assert due(scheduler, 3.0) == ["903d50"]
    assert due(scheduler, 4.0) == ["803c40", "803d40", "904650"]
    assert due(scheduler, 5.05) == ["804640", "902850"]
    scheduler.clear(5.1, part="bass")
    assert due(scheduler, 5.1) == ["802840"]


def test_a_note_that_would_reach_over_a_replacement_ends_there():
    _, scheduler = playing()
    scheduler.schedule([Note(1, 8, 60)])
    scheduler.clear(2)
    assert due(scheduler, 1.0) == ["903c50"]
    assert scheduler.next_time() == 2


def test_a_stop_ends_what_sounds_and_keeps_what_is_to_come():
    clock, scheduler = playing()
    scheduler.schedule([Note(0, 8, 60), Note(2, 1, 61)])
    assert due(scheduler, 0.0) == ["903c50"]
    clock.stop(1.0)
    assert scheduler.next_time() == -math.inf
    assert due(scheduler, 1.0) == ["803c40"]
    assert scheduler.next_time() == math.inf
    clock.start(10.0)
    assert due(scheduler, 11.0) == ["903d50"]


def test_a_jump_ends_what_sounds_and_skips_what_lies_before():
    clock, scheduler = playing()
    scheduler.schedule([Note(0, 8, 60), Note(2, 30, 61), Note(20, 1, 62)])
    assert due(scheduler, 0.0) == ["903c50"]
    clock.locate(1.0, 20)
    assert due(scheduler, 1.0) == ["803c40", "903e50"]
    assert scheduler.dropped == 0


def test_another_clock_ends_what_sounds():
    _, scheduler = playing()
    scheduler.schedule([Note(0, 8, 60)])
    assert due(scheduler, 0.0) == ["903c50"]
    scheduler.follow(InternalClock())
    assert due(scheduler, 0.1) == ["803c40"]


def test_what_comes_too_late_is_dropped_and_counted():
    _, scheduler = playing()
    scheduler.schedule([Note(1, 8, 60), Note(4.95, 8, 61), Note(4.95, 0.01, 62)])
    assert due(scheduler, 5.0) == ["903d50"]
    assert scheduler.dropped == 2


def test_panic_ends_and_forgets_all():
    _, scheduler = playing()
    scheduler.schedule([Note(0, 8, 60), Note(0, 8, 61, channel=2), Note(4, 1, 62)])
    due(scheduler, 0.0)
    assert [m.hex() for m in scheduler.panic()] == ["803c40", "823d40", "b07b00", "b27b00"]
    assert scheduler.next_time() == math.inf
    assert not scheduler.sounding
    assert scheduler.panic() == [CLOSE_ALL, bytes([0xB2, 123, 0])]


@pytest.mark.parametrize("wrong", ["", "903c40", "803c40", "f8", "b007", "b00701b00701", "3c"])
def test_a_bare_note_is_no_message(wrong: str):
    _, scheduler = playing()
    with pytest.raises(ValueError, match="is no message"):
        scheduler.send(bytes.fromhex(wrong), 0)


NOTES = st.builds(
    Note,
    start=st.floats(0, 8),
    duration=st.floats(0.01, 4),
    pitch=st.integers(60, 62),
    channel=st.integers(0, 1),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.lists(NOTES, max_size=5)),
        st.tuples(st.just("seconds"), st.lists(NOTES, max_size=3)),
        st.tuples(st.just("clear"), st.floats(0, 10)),
        st.tuples(st.just("stop"), st.none()),
        st.tuples(st.just("start"), st.none()),
        st.tuples(st.just("locate"), st.floats(0, 10)),
        st.tuples(st.just("tempo"), st.floats(30, 300)),
        st.tuples(st.just("follow"), st.none()),
        st.tuples(st.just("panic"), st.none()),
        st.tuples(st.just("wait"), st.floats(0, 2)),
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=500)
def test_every_note_ends_just_once_whatever_happens(steps: list[tuple[str, Any]]):
    clock, scheduler = playing()
    sounding: set[tuple[int, int]] = set()
    time = 0.0

    def take(messages: list[bytes]) -> None:
        for message in messages:
            key = (message[0] & 0xF, message[1])
            if message[0] & 0xF0 == 0x90:
                assert key not in sounding
                sounding.add(key)
            elif message[0] & 0xF0 == 0x80:
                sounding.remove(key)
        assert sounding == scheduler.sounding

    for action, value in steps:
        if action in ("schedule", "seconds"):
            scheduler.schedule(value, "beats" if action == "schedule" else "seconds")
        elif action == "clear":
            scheduler.clear(value)
        elif action == "stop":
            clock.stop(time)
        elif action == "start":
            clock.start(time)
        elif action == "locate":
            clock.locate(time, value)
        elif action == "tempo":
            clock.set_tempo(time, value)
        elif action == "follow":
            clock = InternalClock()
            clock.start(time)
            scheduler.follow(clock)
        elif action == "panic":
            take(scheduler.panic())
        else:
            time += value
        found = scheduler.due(time)
        assert all(a <= b for (a, _), (b, _) in pairwise(found))
        take([message for _, message in found])
        if not clock.playing:
            assert scheduler.next_time() >= time
    clock.start(time)
    for _ in range(3):
        time += 1000
        take([message for _, message in scheduler.due(time)])
    assert not sounding
    assert scheduler.pending == 0
