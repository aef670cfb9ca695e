"""MIDI ports: virtual ones of our own, or those of other programs and devices, by python-rtmidi.

Linux has them by ALSA or JACK, macOS by CoreMIDI. Windows has no virtual ports: there, the ports of
loopMIDI take their place. Our own output is never opened as an input.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from triptych.errors import UserError, did_you_mean, one_line

VIRTUAL = "virtual"  # the name that asks for a port of our own

_LOOP = "loopmidi"
_ALSA = Path("/dev/snd/seq")


class Output:
    """An open MIDI output."""

    def __init__(self, midi: Any, name: str) -> None:
        self._midi = midi
        self.name = name

    def send(self, message: bytes) -> None:
        """Send one whole message; UserError where the port is gone."""
        try:
            self._midi.send_message(message)
        except (_rtmidi().RtMidiError, RuntimeError, ValueError) as error:
            raise UserError(
                f"the MIDI output {self.name} cannot be used any more ({one_line(error)}): open "
                "the bridge again."
            ) from error

    def close(self) -> None:
        """Close the port."""
        self._midi.close_port()
        self._midi.delete()


class Input:
    """An open MIDI input; it calls from a thread of its own."""

    def __init__(self, midi: Any, name: str) -> None:
        self._midi = midi
        self.name = name

    def close(self) -> None:
        """Close the port; no call comes after it."""
        self._midi.cancel_callback()
        self._midi.close_port()
        self._midi.delete()


def open_output(port: str = VIRTUAL, name: str = "Triptych") -> Output:
    """Open our own port `NAME out`, or another program's input whose name holds `port`.

    UserError where there is no MIDI system, no such port, or none to be had.
    """
    midi = _client("MidiOut", f"{name} out")
    found = _open(midi, port, f"{name} out", [f"{name} in"])
    return Output(midi, found)


def open_input(
    heard: Callable[[bytes], None],
    port: str = VIRTUAL,
    name: str = "Triptych",
    output: str | None = None,
) -> Input:
    """Open our own port `NAME in`, or another program's output whose name holds `port`.

    `heard` is called with each message, as soon as it comes. `output` is the name of the output
    that is open; what goes out there is not heard. Errors as of `open_output`.
    """
    midi = _client("MidiIn", f"{name} in")
    midi.ignore_types(sysex=True, timing=False, active_sense=True)
    # Set before the port is open, so that rtmidi queues nothing that nobody fetches.
    midi.set_callback(lambda event, _: heard(bytes(event[0])))
    found = _open(midi, port, f"{name} in", [f"{name} out", *([output] if output else [])])
    return Input(midi, found)


def list_ports(name: str = "Triptych") -> tuple[list[str], list[str]]:
    """The inputs and outputs that can be opened, without our own ports."""
    listed = []
    for kind in ("MidiIn", "MidiOut"):
        midi = _client(kind, f"{name} list")
        own = [f"{name} in", f"{name} out"]
        listed.append([port for port in midi.get_ports() if not _is_own(port, own)])
        midi.delete()
    return listed[0], listed[1]


def choose(port: str, ports: Sequence[str], own: Sequence[str]) -> int:
    """Which of `ports` has a name that is, or else holds, `port`, and is none of our `own`.

    UserError where it is our own, or there is none.
    """
    wanted = port.casefold()
    near = [i for i, known in enumerate(ports) if wanted in known.casefold()]
    near.sort(key=lambda i: ports[i].casefold() != wanted)
    for index in near:
        if not _is_own(ports[index], own):
            return index
    if near:
        raise UserError(
            f"{ports[near[0]]!r} is the bridge's own port: choose another, or it would hear itself."
        )
    others = [known for known in ports if not _is_own(known, own)]
    hint = did_you_mean(port, others) or "; there is none at all"
    raise UserError(f"there is no MIDI port {port!r}{hint}")


def choose_loop(ports: Sequence[str], own: Sequence[str]) -> int:
    """Which of `ports` is loopMIDI's and not in use by us; UserError that says what to install."""
    for index, port in enumerate(ports):
        if _LOOP in port.casefold() and not _is_own(port, own):
            return index
    if any(_LOOP in port.casefold() for port in ports):
        raise UserError("loopMIDI has only one port: add a second one in its window with +.")
    raise UserError(
        "Windows has no virtual MIDI ports: install loopMIDI (free, from tobias-erichsen.de), and "
        "add two ports in its window with +."
    )


def _open(midi: Any, port: str, own: str, avoid: list[str]) -> str:
    """Open a port of a client, and return its name."""
    rtmidi = _rtmidi()
    api = midi.get_current_api()
    try:
        if port != VIRTUAL or api == rtmidi.API_WINDOWS_MM:
            ports = midi.get_ports()
            choice = choose_loop(ports, avoid) if port == VIRTUAL else choose(port, ports, avoid)
            midi.open_port(choice, own)
            return str(ports[choice])
        # CoreMIDI shows the port's name only; the others show the client's before it.
        midi.open_virtual_port(own if api == rtmidi.API_MACOSX_CORE else "midi")
    except (rtmidi.RtMidiError, RuntimeError) as error:
        raise UserError(
            f"the MIDI port {port} cannot be opened ({one_line(error)}): close what uses it."
        ) from error
    return own


def _client(kind: str, name: str) -> Any:
    """A new client of the MIDI system that works here."""
    rtmidi = _rtmidi()
    # A library that finds no JACK server may start one, which takes the sound card.
    os.environ["JACK_NO_START_SERVER"] = "1"
    for api in rtmidi.get_compiled_api():
        if api == rtmidi.API_LINUX_ALSA and not _ALSA.exists():
            continue
        if api == rtmidi.API_RTMIDI_DUMMY:
            continue
        try:
            return getattr(rtmidi, kind)(api, name=name)
        except (rtmidi.RtMidiError, RuntimeError):
            continue
    mending = {
        "linux": "start JACK (or PipeWire), or load the kernel module snd-seq",
        "darwin": "restart the Mac, for CoreMIDI does not answer",
    }.get(sys.platform, "install a MIDI driver")
    raise UserError(
        f"there is no MIDI system here: {mending}, or use the bridge without ports "
        "(--input none --output none)."
    )


def _is_own(port: str, own: Sequence[str]) -> bool:
    """Whether a port as the system lists it is one of `own`."""
    listed = port.casefold()
    return any(
        # ALSA and JACK show our client's name first; rtmidi numbers the ports of Windows, other
        # numbers for inputs than for outputs.
        listed.startswith(f"{name}:") or re.sub(r" \d+$", "", listed) == re.sub(r" \d+$", "", name)
        for name in map(str.casefold, own)
    )


@functools.cache
def _rtmidi() -> Any:
    try:
        import rtmidi
    except ImportError as error:
        raise UserError(
            f"python-rtmidi cannot be loaded ({one_line(error)}): run `pip install python-rtmidi`."
        ) from error
    return rtmidi
