"""Bytes that come in: whatever they are, nothing crashes and no note is left."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych_bridge.clock import ClockSlave
from triptych_bridge.midi import HeldNotes, Note, Tokenizer

# What of all bytes makes messages, and meets itself again: evenly drawn bytes seldom do.
LIKELY = [0x90, 0x80, 0x91, 0xB0, 0xF0, 0xF7, 0xF2, 0xF8, 0xFA, 0xFC, 0xFF, 0, 60, 60, 64, 123]
STREAMS = st.one_of(
    st.binary(max_size=64),
    st.binary(max_size=64).map(lambda data: bytes(LIKELY[b % 16] for b in data)),
)


def tokens(*chunks: Iterable[int]) -> list[str]:
    tokenizer = Tokenizer()
    return [message.hex() for chunk in chunks for message in tokenizer.feed(chunk)]


@given(STREAMS)
@settings(max_examples=10_000)
def test_no_stream_of_bytes_crashes_or_leaves_a_note(stream: bytes):
    tokenizer, held, slave = Tokenizer(), HeldNotes(), ClockSlave()
    sounding: set[tuple[int, int]] = set()

    def check(message: bytes) -> None:
        kind, key = message[0] & 0xF0, (message[0] & 0xF, message[1] if len(message) > 1 else 0)
        if kind == 0x90:
            assert key not in sounding
            assert message[2] > 0
            sounding.add(key)
        elif kind == 0x80:
            sounding.remove(key)

    for number in range(0, len(stream), 5):
        for message in tokenizer.feed(stream[number : number + 5]):
            assert 1 <= len(message) <= 3
            assert message[0] >= 0x80
            assert all(byte < 0x80 for byte in message[1:])
            if message[0] >= 0xF0:
                slave.feed(number / 50, message)
            for told in held.feed(message):
                check(told)
            assert held.held == sounding
    for told in held.close():
        check(told)
    assert not sounding
    assert not held.held


def test_messages_are_whole_however_they_are_cut():
    whole = bytes.fromhex("903c40803c40b0077fc005e00040")
    wanted = ["903c40", "803c40", "b0077f", "c005", "e00040"]
    assert tokens(whole) == wanted
    assert tokens(*([byte] for byte in whole)) == wanted


def test_running_status_is_undone():
    assert tokens(bytes.fromhex("903c403c003e40")) == ["903c40", "903c00", "903e40"]
    assert tokens(bytes.fromhex("f20102 0304")) == ["f20102"]  # not for system messages


def test_clock_comes_through_other_messages():
    assert tokens(bytes.fromhex("90f83cf840fe")) == ["f8", "f8", "903c40", "fe"]


def test_system_exclusive_is_skipped_at_any_length():
    tokenizer = Tokenizer()
    assert list(tokenizer.feed([0xF0])) == []
    for _ in range(100):
        assert list(tokenizer.feed(bytes(1000))) == []
    assert [m.hex() for m in tokenizer.feed(bytes.fromhex("f8f7 3c40 903c40"))] == ["f8", "903c40"]


def test_what_is_undefined_or_cut_off_is_dropped():
    assert tokens(bytes.fromhex("f4 01 f9 fd 3c 90 3c 80 3c 40 f6")) == ["803c40", "f6"]


def test_a_note_struck_twice_is_let_go_first():
    held = HeldNotes()
    on = bytes.fromhex("903c40")
    assert held.feed(on) == [on]
    assert [m.hex() for m in held.feed(on)] == ["803c40", "903c40"]
    assert [m.hex() for m in held.feed(bytes.fromhex("903c00"))] == ["803c40"]
    assert held.feed(bytes.fromhex("803c40")) == []


@pytest.mark.parametrize("end", ["b07b00", "b07800", "ff"])
def test_all_notes_off_and_reset_end_notes(end: str):
    held = HeldNotes()
    held.feed(bytes.fromhex("903c40"))
    held.feed(bytes.fromhex("913c40"))
    told = held.feed(bytes.fromhex(end))
    assert told[0].hex() == "803c40"
    assert held.held == (frozenset() if end == "ff" else {(1, 60)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"pitch": 128},
        {"pitch": 60.0},
        {"velocity": 0},
        {"channel": 16},
        {"duration": 0},
        {"start": float("nan")},
        {"duration": float("inf")},
    ],
)
def test_what_is_no_note_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="this is no note"):
        Note(**{"start": 0.0, "duration": 1.0, "pitch": 60, **wrong})  # type: ignore[arg-type]
