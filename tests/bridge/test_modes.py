"""The modes with a real player and a real worker: in time, and no note is left."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triptych.task
from triptych.music import midi
from triptych_bridge.midi import Note
from triptych_bridge.protocol import Heard
from triptych_bridge.scores import Memory, notes_of, score_of
from triptych_bridge.settings import Settings
from triptych_bridge.stage import Stage

Start = Callable[..., Any]
TUNE = [60, 62, 64, 65, 67, 65, 64, 62]


def on_grid(beat: float) -> bool:
    return abs(beat * 12 - round(beat * 12)) < 0.05


def test_a_phrase_is_answered_on_the_beat_and_as_long(playing: Start):
    made = playing()
    made.set("mode", "call_and_response")
    answers = 0
    for seed in range(3):  # a model that has learned nothing may answer by silence
        made.set("continue/seed", seed)
        before = len(made.begun)
        made.play_phrase(TUNE)
        made.wait_for(lambda: made.bridge.status.making)
        made.wait_for(lambda: not made.bridge.status.making)
        state = made.bridge.stage.state
        made.wait_for(lambda s=state: made.bridge.stage.now > s.beat + 12)
        answer = made.begun[before:]
        answers += len(answer)
        if answer:
            assert all(on_grid(beat) for beat, _ in answer)
            assert answer[-1][0] - int(answer[0][0]) < 8
    assert answers
    assert made.bridge.stage.late == 0


def test_who_plays_on_is_not_interrupted(playing: Start):
    made = playing()
    made.set("mode", "call_and_response")
    made.play_phrase(TUNE[:4])
    made.wait_for(lambda: made.bridge.status.making)
    made.hear(0x90, 60, 90)
    assert made.bridge._mode.request is None
    made.wait_for(lambda: not made.bridge.status.making)
    assert not made.begun


def test_the_loop_comes_again_varies_and_is_taken_back(playing: Start):
    made = playing()
    made.set("loop/bars", 1)
    made.set("loop/lock", True)
    made.set("melody/density", 1.0)
    made.set("mode", "loop")
    loop: Any = made.bridge._mode
    made.wait_for(lambda: loop._notes)
    first = loop._notes
    count = len(first)
    made.wait_for(lambda: len(made.begun) >= 3 * count)
    begun = made.begun
    assert [p for _, p in begun[:count]] == [p for _, p in begun[count : 2 * count]]
    assert begun[count][0] - begun[0][0] == pytest.approx(4, abs=0.05)
    made.set("loop/amount", 1.0)
    made.do(made.bridge.vary)
    made.wait_for(lambda: loop._notes is not first)
    made.do(made.bridge.take_back)
    assert loop._notes is first
    made.do(made.bridge.take_back)
    assert "no earlier loop" in made.said[-1]
    made.set("loop/lock", False)
    made.set("loop/amount", 0.5)
    made.set("loop/bars", 2)  # some bars are filled in anew
    made.wait_for(lambda: loop._length == 8)
    second = loop._notes
    made.wait_for(lambda: loop._notes is not second)


def test_the_accompaniment_begins_with_a_bar_and_goes_on(playing: Start):
    made = playing()
    made.set("accompany/band", "piano")
    made.set("tempo", 120.0)
    made.set("mode", "accompany")
    mode: Any = made.bridge._mode
    end = time.monotonic() + 30
    while (not mode._band or len(made.begun) < 2) and time.monotonic() < end:
        made.play_phrase(TUNE)
    assert mode._band
    assert made.begun
    assert all(on_grid(beat) for beat, _ in made.begun)
    made.do(made.bridge.vary)
    assert not mode._band


def test_the_models_that_ship_play_along(session: Start, user: Path):
    made = session()
    made.set("mode", "accompany")
    made.do(made.bridge.play)
    made.wait_for(lambda: made.bridge.stage.playing)  # the player's thread says so
    end = time.monotonic() + 60
    while len(made.begun) < 6 and time.monotonic() < end:
        made.play_phrase(TUNE)
    assert len(made.begun) >= 6, made.said


def test_drums_come_back_with_feel_two_bars_later(playing: Start):
    made = playing()
    made.set("mode", "humanise")
    made.play_phrase([36, 42, 38, 42] * 6, channel=9)
    heard = made.bridge.stage.memory.between(0, 1e6)
    made.wait_for(lambda: len(made.begun) >= 8)
    starts = [note.start for note in heard]
    delays = [min(abs(beat - 8 - start) for start in starts) for beat, _ in made.begun[4:8]]
    assert max(delays) < 0.2
    assert {report.message[0] & 0xF for report in made.sent} == {9}


def test_a_model_that_crashes_is_restarted_and_the_loop_goes_on(playing: Start):
    made = playing()
    made.set("loop/bars", 1)
    made.set("melody/density", 1.0)
    made.set("mode", "loop")
    loop: Any = made.bridge._mode
    made.wait_for(lambda: loop._notes)
    made.wait_for(lambda: made.bridge.maker.pid)
    os.kill(made.bridge.maker.pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    made.wait_for(lambda: made.bridge.maker.restarts == 1)
    made.do(made.bridge.vary)
    before = loop._notes
    made.wait_for(lambda: loop._notes is not before)


def test_without_a_model_one_sentence_says_so(session: Start, user: Path):
    made = session()
    made.do(made.bridge.play)
    made.set("melody/temperature", 1.0)
    made.wait_for(lambda: made.bridge.stage.playing)
    made.set("mode", "loop")
    if "score" not in [
        c.value for c in triptych.task.all_tasks()["melody"].parameters[-1].options()
    ]:
        made.wait_for(lambda: any("model" in said for said in made.said))


def test_a_new_bundle_is_there_without_a_restart(session: Start, user: Path, wild: Path):
    made = session()
    made.set("melody/model", "wild")
    assert "no model named 'wild'" in made.said[-1]
    (user / "bundles").mkdir()
    (user / "bundles" / "wild").symlink_to(wild / "bundles" / "wild")
    made.set("melody/model", "wild")
    assert made.bridge.settings.get("/triptych/melody/model") == "wild"


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_ordered_no_note_is_left(playing: Start, seed: int):
    """Session.close finds every note ended, and none begun while it sounds."""
    rng = random.Random(seed)
    made = playing()
    bridge = made.bridge

    def crash() -> None:
        if bridge.maker.pid:
            os.kill(bridge.maker.pid, signal.SIGTERM)

    made.set("loop/bars", 1)
    made.set("melody/density", 1.0)
    made.set("mode", rng.choice(["loop", "call_and_response"]))
    orders: list[Callable[[], Any]] = [
        lambda: made.set("mode", rng.choice(["off", "loop", "accompany", "call_and_response"])),
        lambda: made.set("tempo", rng.uniform(60, 400)),
        lambda: made.set("metre", rng.choice(["4/4", "3/4", "7/8"])),
        lambda: made.set("loop/bars", rng.randint(1, 2)),
        lambda: made.set("loop/lock", rng.random() < 0.5),
        lambda: made.set("loop/amount", rng.random()),
        lambda: made.set("melody/temperature", rng.uniform(0.5, 1.5)),
        lambda: made.set("continue/model", rng.choice(["wild", "none"])),
        lambda: made.set("accompany/band", rng.choice(["piano", "strings", "band"])),
        lambda: made.hear(0x90, rng.randrange(40, 80), 80),
        lambda: made.hear(0x80, rng.randrange(40, 80), 64),
        lambda: made.play_phrase(rng.sample(TUNE, 3), 0.25),
        lambda: made.do(rng.choice([bridge.play, bridge.play, bridge.go_on, bridge.halt])),
        lambda: made.do(lambda: bridge.locate(rng.uniform(0, 50))),
        lambda: made.do(rng.choice([bridge.panic, bridge.vary, bridge.take_back])),
        lambda: time.sleep(rng.uniform(0, 0.5)),
        lambda: time.sleep(rng.uniform(0, 0.5)),
    ]
    for number in range(90):
        rng.choice(orders)()
        if number == 45:
            crash()
    made.do(bridge.play)
    made.set("mode", "loop")
    before = len(made.begun)
    made.set("metre", "4/4")
    made.wait_for(lambda: len(made.begun) > before)


# ---------------------------------------------------------------------------- without processes


@given(
    st.lists(
        st.builds(
            Note,
            st.floats(0, 15),
            st.floats(0.01, 20),
            st.integers(0, 127),
            st.integers(1, 127),
            st.sampled_from([0, 3, 9]),
        ),
        max_size=30,
    )
)
@settings(max_examples=50)
def test_notes_go_into_a_score_and_come_back(notes: list[Note]):
    score = midi.decode(midi.encode(score_of(notes, 0.0, 16.0, 97.0, (4, 4))))
    channels = sorted({note.channel for note in notes})
    assert score.length == 16
    assert [track.drums for track in score.tracks] == [channel == 9 for channel in channels]
    back = [
        note
        for track, channel in zip(score.tracks, channels, strict=True)
        for note in notes_of(track, channel, 4.0, 8.0, 100.0)
    ]
    assert all(note.start >= 100 and note.end <= 104 + 1e-6 for note in back)


def test_what_is_heard_is_remembered_until_the_song_jumps():
    memory = Memory()
    for message, beat in (((0x90, 60, 80), 1.0), ((0x90, 64, 80), 1.5), ((0x80, 60, 64), 2.0)):
        memory.hear(Heard(message, 0.0, beat))
    assert memory.held == 1
    assert memory.between(0, 4) == [Note(1.0, 1.0, 60, 80), Note(1.5, 2.5, 64, 80)]
    memory.clear()
    assert memory.between(0, 4) == []
    assert memory.hear(Heard((0x80, 64, 64), 0.0, 3.0)) is None


def test_what_comes_too_late_is_not_played():
    from triptych_bridge.lateness import Summary
    from triptych_bridge.protocol import State

    played: list[Note] = []
    stage = Stage(Settings({}, {}), None, lambda notes, _: played.extend(notes), print)  # type: ignore[arg-type]
    now = time.perf_counter()
    summary = Summary(0, 0.0, 0.0, 0.0, 0.0)
    stage.state = State(
        now, 8.0, 120.0, (4, 4), True, True, "internal", 1, 0, 0, 0, summary, (0,) * 6
    )
    stage.play([Note(7.9, 1, 60), Note(8.0, 1, 61), Note(100, 1, 62)])
    assert [note.pitch for note in played] == [62]
    assert stage.late == 2
