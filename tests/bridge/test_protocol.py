"""What player and parent say arrives as it was said, or is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych_bridge import protocol
from triptych_bridge.lateness import Lateness, Summary
from triptych_bridge.midi import Note
from triptych_bridge.protocol import Command, Report

COMMANDS: list[Command] = [
    protocol.Open("virtual", None),
    protocol.Schedule((Note(0, 1, 60), Note(0.5, 1.5, 61, 1, 15)), "seconds", "bass", 2.5),
    protocol.Send((0xB0, 7, 100), 1.5),
    protocol.Follow("midi"),
    protocol.Tempo(120.5),
    protocol.Metre(7, 8),
    protocol.Transport("locate", 4.0),
    protocol.Panic(),
    protocol.Measure(),
    protocol.Close(),
]
REPORTS: list[Report] = [
    protocol.Ready("out", None),
    protocol.Failed("it broke."),
    protocol.Heard((0x90, 60, 64), 1.0, 2.0),
    protocol.Sent((0x90, 60, 64), 1.0, 1.001),
    protocol.State(
        *(1.0, 2.0, 120.0, (4, 4), True, True, "midi", 3, 0, 5, 0),
        Summary(3, 0.1, 0.2, 0.3, 0.4),
        (1, 2),
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_arrive(command: Command):
    assert protocol.command(json.dumps(protocol.to_json(command)).encode()) == command


@pytest.mark.parametrize("report", REPORTS)
def test_reports_arrive(report: Report):
    assert protocol.report(json.dumps(protocol.to_json(report)).encode()) == report


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=3,
)
NAMES = ["kind", "notes", "unit", "part", "at", "message", "beat", "tempo", "lateness"]


@given(
    st.dictionaries(st.sampled_from(NAMES), JSON),
    st.sampled_from([*protocol.COMMANDS, *protocol.REPORTS, "", "Nonsense"]),
)
def test_what_is_no_message_is_refused(told: dict[str, object], kind: str):
    body = json.dumps({**told, "kind": kind}).encode()
    for read in (protocol.command, protocol.report):
        try:
            message = read(body)
        except ValueError:
            continue
        assert type(message).__name__ == kind


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"kind": "Tempo", "tempo": NaN}'])
def test_what_is_no_json_object_is_refused(body: bytes):
    with pytest.raises(ValueError):
        protocol.command(body)


def test_lateness_is_summed_up():
    lateness = Lateness()
    assert lateness.summary() == Summary()
    for i in range(100):
        lateness.add(i * 1e-4)
    lateness.add(-1)
    lateness.add(7)
    summary = lateness.summary()
    assert summary.count == 102
    assert summary.p50 == pytest.approx(0.005, abs=2e-4)
    assert summary.p99 == pytest.approx(0.0099, abs=2e-4)
    assert summary.worst == 7
    assert lateness.histogram((1e-3, 5e-3)) == [11, 40, 51]
    lateness.clear()
    assert lateness.summary().count == 0
