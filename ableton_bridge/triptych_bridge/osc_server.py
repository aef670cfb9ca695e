"""OSC over UDP from controllers: packets in, messages out. Whatever comes, it goes on.

python-osc's own server would wait for a bundle's time, and its reader of bundles can be made to
run for ever; bundles are taken apart here, and done at once.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import BuildError, OscMessageBuilder

from triptych.errors import UserError, one_line

Peer = tuple[str, int]
Take = Callable[[str, tuple[Any, ...], Peer], None]

_BUNDLE, _HEAD = b"#bundle\0", 16  # an 8-byte time follows the name
_MOST = 512  # messages of one packet


def messages(packet: bytes) -> list[OscMessage]:
    """The messages of a packet, in order; what is no OSC is left out."""
    found: list[OscMessage] = []
    waiting = [packet]
    while waiting and len(found) < _MOST:
        data = waiting.pop()
        if data.startswith(_BUNDLE):
            inner: list[bytes] = []
            place = _HEAD
            while place + 4 <= len(data) and len(inner) < _MOST:
                (size,) = struct.unpack_from(">i", data, place)
                if size <= 0 or place + 4 + size > len(data):
                    break
                inner.append(data[place + 4 : place + 4 + size])
                place += 4 + size
            waiting += reversed(inner)
            continue
        with suppress(Exception):  # python-osc raises anything on what is no OSC
            found.append(OscMessage(data))
    return found


class OscServer:
    """Listens on `host`:`port` (0: any free one) and calls `take(address, arguments, sender)`.

    It calls from a thread of its own. UserError where the port is in use.
    """

    def __init__(self, take: Take, host: str = "127.0.0.1", port: int = 0) -> None:
        self._take = take
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if os.name == "nt":  # else Windows lets two programs share the port
                exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", -5)
                self._socket.setsockopt(socket.SOL_SOCKET, exclusive, 1)
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise UserError(
                f"UDP port {port} of {host} cannot be used for OSC ({one_line(error)}): close the "
                "program that holds it, or choose another with --osc-port."
            ) from None
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def send(self, peer: Peer, address: str, arguments: Sequence[Any]) -> None:
        """Send one message; what cannot be sent is lost, as UDP has it."""
        builder = OscMessageBuilder(address)
        with suppress(BuildError, OSError, ValueError, OverflowError):
            for argument in arguments:
                builder.add_arg("" if argument is None else argument)
            self._socket.sendto(builder.build().dgram, peer)

    def close(self) -> None:
        """Free the port."""
        self._closed.set()
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while not self._closed.is_set():
            try:
                packet, sender = self._socket.recvfrom(1 << 16)
            except OSError:  # time is up; or, on Windows, an earlier answer met no program
                continue
            for message in messages(packet):
                self._take(message.address, tuple(message.params), sender)
