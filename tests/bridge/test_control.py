"""Control by OSC and MIDI: every declared parameter, feedback, learning, presets, rubbish."""

from __future__ import annotations

import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from triptych.errors import UserError
from triptych.task import all_tasks
from triptych_bridge.control import Control
from triptych_bridge.midi_control import MidiControl
from triptych_bridge.osc_server import OscServer, messages

Start = Callable[..., Any]


def packed(address: str, *arguments: Any) -> bytes:
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return bytes(builder.build().dgram)


def bundle(*elements: bytes) -> bytes:
    sized = (struct.pack(">i", len(element)) + element for element in elements)
    return b"#bundle\0" + struct.pack(">Q", 2**63) + b"".join(sized)


class Controller:
    """A controller on the network: it sends, and hears the feedback."""

    def __init__(self, port: int) -> None:
        self._there = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port: int = self.socket.getsockname()[1]

    def send(self, address: str, *arguments: Any) -> None:
        self.send_packet(packed(address, *arguments))

    def send_packet(self, packet: bytes) -> None:
        self.socket.sendto(packet, self._there)

    def hear(self, address: str, seconds: float = 20.0) -> list[Any]:
        """The arguments of the next message to an address."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                message = OscMessage(self.socket.recv(1 << 16))
            except TimeoutError:
                continue
            if message.address == address:
                return list(message.params)
        raise AssertionError(f"nothing came to {address}")

    def forget(self) -> None:
        """Leave out what came so far."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(1 << 16)
        except BlockingIOError:
            self.socket.settimeout(0.2)


@pytest.fixture
def desk(session: Start, user: Path) -> Iterator[tuple[Any, Controller]]:
    """A bridge under control, and a controller."""
    made = session()
    control = Control(made.bridge)
    controller = Controller(control.server.port)
    yield made, controller
    controller.socket.close()
    control.close()


def test_every_parameter_of_every_score_task_has_an_address(desk: tuple[Any, Controller]):
    made, controller = desk
    known = made.bridge.settings.addresses
    for task in all_tasks().values():
        for told in task.describe()["parameters"]:
            expected = task.output == "score" and told["kind"] not in ("score", "picture")
            assert (f"/triptych/{task.name}/{told['name']}" in known) == expected
    controller.send("/triptych/list")
    place, kind, _, low, high = controller.hear("/triptych/list")
    assert (place, kind, low, high) == ("/triptych/mode", "choice", "", "")


def test_what_is_set_is_told_to_the_sender_and_to_listeners(session: Start, user: Path):
    made = session()
    other = Controller(1)
    control = Control(made.bridge, listeners=[("127.0.0.1", other.port)])
    controller = Controller(control.server.port)
    controller.send("/triptych/melody/temperature", 1.5)
    assert controller.hear("/triptych/melody/temperature") == [1.5]
    assert other.hear("/triptych/melody/temperature") == [1.5]
    controller.send("/triptych/loop/bars", 3.0)  # a fader sends floats
    assert controller.hear("/triptych/loop/bars") == [3]
    controller.send("/triptych/loop/bars")
    assert controller.hear("/triptych/loop/bars") == [3]
    controller.send("/triptych/lock")
    assert controller.hear("/triptych/loop/lock") == [True]
    controller.send("/triptych/tempo", 90)
    assert controller.hear("/triptych/tempo") == [90.0]
    controller.send("/triptych/play", 1.0)
    while not (state := controller.hear("/triptych/state"))[1]:
        controller.send("/triptych/state")
    assert state[:3] == ["off", True, 90.0]
    controller.send("/triptych/play", 0.0)  # the button is let go
    controller.send("/triptych/stop")
    while controller.hear("/triptych/state")[1]:
        controller.send("/triptych/state")
    for one in (controller, other):
        one.socket.close()
    control.close()


REFUSED: list[tuple[str, list[Any], str]] = [
    ("/triptych/melody/temperature", [9.0], "temperature must be from 0.1 to 2.0"),
    ("/triptych/melody/temperature", [float("nan")], "must be a number"),
    ("/triptych/melody/bars", [2.5], "must be a whole number"),
    ("/triptych/melody/lock", ["yes"], "must be true or false"),
    ("/triptych/melody/chords", [4], "must be text"),
    ("/triptych/melody/temperature", [b"\1\2"], "must be a number"),
    ("/triptych/melody/temperature", [1.0, 2.0], "one value is needed, not 2"),
    ("/triptych/melody/temperatur", [1.0], "did you mean '/triptych/melody/temperature'"),
    ("/triptych/mode", ["lop"], "did you mean 'loop'"),
    ("/triptych/metre", ["4/5"], "no metre"),
    ("/triptych/metre", ["40/4"], "too long or too short"),
    ("/triptych/locate", [-1.0], "from 0 to 1000000"),
    ("/triptych/locate", [], "a number is needed"),
    ("/triptych/preset", [5], "no preset 5"),
    ("/triptych/preset/save", [128], "from 0 to 127"),
    ("/triptych/learn", ["/triptych/melody/chords"], "no range"),
    ("/triptych/vary", [], "nothing to vary"),
    ("/triptych/take_back", [], "nothing to take back"),
    ("/nonsense", [], "no OSC address"),
]


def test_what_cannot_be_is_answered_by_one_sentence(desk: tuple[Any, Controller]):
    made, controller = desk
    before = made.bridge.settings.all_set()
    for address, arguments, said in REFUSED:
        controller.send(address, *arguments)
        (sentence,) = controller.hear("/triptych/error")
        assert said in sentence
    assert made.bridge.settings.all_set() == before


def test_a_controller_is_learned_kept_and_forgotten(desk: tuple[Any, Controller], user: Path):
    made, controller = desk
    controller.send("/triptych/learn", "/triptych/melody/temperature")
    made.wait_for(lambda: made.bridge.midi.learning)
    made.hear(0xB0, 123, 0)  # not a controller that can be learned
    made.hear(0xB2, 74, 127)
    assert controller.hear("/triptych/melody/temperature") == [2.0]
    made.hear(0xB2, 74, 0)
    assert controller.hear("/triptych/melody/temperature") == [pytest.approx(0.1)]
    made.hear(0xB0, 74, 64)  # another channel
    assert MidiControl().controllers == {"2/74": "/triptych/melody/temperature"}
    controller.send("/triptych/learn", "/triptych/mode")
    made.wait_for(lambda: made.bridge.midi.learning)
    made.hear(0xB2, 74, 0)
    assert controller.hear("/triptych/mode") == ["off"]
    made.set("loop/lock", True)
    controller.send("/triptych/forget", "/triptych/mode")
    made.wait_for(lambda: not made.bridge.midi.controllers)


def test_a_program_change_recalls_a_preset(desk: tuple[Any, Controller]):
    made, controller = desk
    made.set("melody/temperature", 1.5)
    made.set("tempo", 100)
    controller.send("/triptych/preset/save", 7)
    made.wait_for(lambda: made.bridge.midi.path.exists())
    made.set("melody/temperature", 0.5)
    made.hear(0xC0, 7)
    assert made.bridge.settings.get("/triptych/melody/temperature") == 1.5
    made.hear(0xC0, 8)
    assert "no preset 8" in made.said[-1]
    MidiControl().save_preset(9, {"/triptych/melody/temperature": 50, "/triptych/tempo": 101.0})
    made.do(lambda: made.bridge.midi._load())
    made.hear(0xC0, 9)
    assert "does not fit wholly" in made.said[-1]
    assert made.bridge.settings.get("/triptych/tempo") == 101


@pytest.mark.parametrize("kept", ["", "[]", '{"controllers": 3}', '{"controllers": {"0/1": 2}}'])
def test_assignments_that_cannot_be_read_are_put_aside(user: Path, kept: str):
    path = user / "midi.json"
    path.write_text(kept)
    assert "cannot be read" in MidiControl(path).warning
    assert (user / "midi.unreadable.json").read_text() == kept
    assert not MidiControl(path).warning


def test_bundles_are_taken_apart_whatever_they_say():
    one, two = packed("/a", 1), packed("/b", "x")
    found = messages(bundle(one, bundle(two, one), two))
    assert [message.address for message in found] == ["/a", "/b", "/a", "/b"]
    assert messages(b"#bundle\0" + bytes(8) + struct.pack(">i", -20) + one) == []
    assert messages(b"#bundle\0" + bytes(8) + struct.pack(">i", 2**30) + one) == []
    nested = one
    for _ in range(2000):
        nested = bundle(nested)
    assert len(messages(nested)) == 1


def test_a_port_in_use_is_one_sentence():
    server = OscServer(lambda *_: None)
    with pytest.raises(UserError, match=f"UDP port {server.port} .*--osc-port"):
        OscServer(lambda *_: None, port=server.port)
    server.close()


def fuzzed(rng: random.Random, addresses: list[str]) -> bytes:
    values: list[Any] = [
        *(0, 1, -1, 2**31 - 1, 0.5, -1e30, float("inf"), float("nan"), True, False, None),
        *("", "loop", "C", "\N{SNOWMAN}" * 50, "x" * 3000, b"\0\xff" * 9),
    ]
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 200))
    message = packed(rng.choice(addresses), *rng.choices(values, k=rng.randrange(4)))
    if kind == 1:
        return message
    if kind == 2:
        message = bundle(message, message)
    changed = bytearray(message)
    for _ in range(rng.randrange(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(1, len(changed) + 1)]) if kind == 4 else bytes(changed)


def test_ten_thousand_packets_of_rubbish(session: Start, user: Path):
    made = session()
    control = Control(made.bridge)
    controller = Controller(control.server.port)
    rng = random.Random(0)
    # Each preset is flushed to the disk, which may be slow.
    addresses = [place for place in control.addresses if place != "/triptych/preset/save"]
    made.do(made.bridge.play)
    for number in range(10_000):
        packet = fuzzed(rng, addresses)
        try:
            controller.send_packet(packet)
        except OSError:  # too long for a datagram
            continue
        if number % 50 == 0:
            controller.forget()
            made.do(lambda: None)  # as fast as it is taken
    made.set("melody/temperature", 1.0)
    controller.forget()
    # While the last of the flood is worked off, more is dropped: as a musician does, try again.
    for last in (False,) * 10 + (True,):
        controller.send("/triptych/melody/temperature", 0.7)
        try:
            heard = controller.hear("/triptych/melody/temperature", 2.0)
        except AssertionError:
            if last:
                raise
        else:
            break
    assert heard == [pytest.approx(0.7)]
    assert made.bridge.player.alive
    path = made.bridge.midi.path
    if path.exists():
        assert set(json.loads(path.read_text())) == {"controllers", "presets"}
    controller.socket.close()
    control.close()
