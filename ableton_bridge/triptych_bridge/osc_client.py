"""Questions to AbletonOSC over UDP, and orders that are known to have arrived.

AbletonOSC (https://github.com/ideoforms/AbletonOSC, MIT) acknowledges no order, names no question
in an error, and answers when Live next looks, ten times a second. So each datagram is a bundle
whose first and last message ask for a property with a number of ours, which comes back behind the
value: what arrives between the two belongs to this bundle and to no other, and since an exception
in Live ends the bundle, the second number says that all of it was done. (The number is echoed since
January 2025.) Late, repeated and foreign packets fall outside and are ignored.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from triptych.errors import UserError, one_line

Argument = int | float | bool | str | None
Message = tuple[str, Sequence[Argument]]
"""An OSC address and its arguments."""

TIMEOUT = 0.4  # seconds: four of Live's ticks
LARGEST = 9216  # bytes: the largest datagram that macOS sends unless it is told otherwise
RENEWAL = 10.0  # seconds after which listeners are asked for anew, as Live may have lost them

_BUNDLE = struct.pack(">8sQ", b"#bundle", 1)  # to be executed at once
_FENCE = "/live/song/get/metronome"
_MOST_SENDS = 6  # of one question, when parts of its answer get lost
_IDS = {"clip": 2, "clip_slot": 2, "track": 1, "scene": 1}  # leading arguments that are echoed


class Refused(Exception):
    """AbletonOSC answered with an error; the text is its own."""


class CutShort(Exception):
    """Live began to answer and did not end, as when an answer is too long for a datagram."""


class NoAnswer(UserError):
    """Nothing answers as AbletonOSC does."""


class OscClient:
    """One UDP socket on `reply_port` that talks to AbletonOSC on `host`:`port`.

    Any thread may ask; questions wait for each other, one is under way at a time. `on_start` is
    called when Live has started anew. It and the callbacks of `listen` run on the thread that
    reads the socket: they are to be brief and must not ask. `timeout` is in seconds. Raises
    UserError when another program holds `reply_port`, or the host is not known.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 11000,
        reply_port: int = 11001,
        timeout: float = TIMEOUT,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self.timeout = timeout
        self._on_start = on_start
        try:
            self._there = (socket.gethostbyname(host), port)
        except OSError as error:
            raise UserError(
                f"there is no computer {host!r} ({one_line(error)}): give the address of the one "
                "that runs Live."
            ) from None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if os.name == "nt":  # else Windows lets two programs share the port
                exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", -5)
                self._socket.setsockopt(socket.SOL_SOCKET, exclusive, 1)
            # A wildcard where Live is near would only make firewalls ask.
            near = self._there[0].startswith("127.")
            self._socket.bind((self._there[0] if near else "", reply_port))
        except OSError as error:
            self._socket.close()
            raise UserError(
                f"UDP port {reply_port}, on which AbletonOSC answers, cannot be used "
                f"({error.strerror}): close the other program that talks to Live (TouchOSC, "
                "another Triptych) and try again."
            ) from None
        self._socket.settimeout(0.2)
        self._turn = threading.Lock()  # of questions
        self._number = random.randrange(1 << 30)  # no other client's answers are taken for ours
        self._exchange: _Exchange | None = None
        self._listeners: dict[str, tuple[Message, Callable[..., None]]] = {}
        self._last: dict[str, tuple[Argument, ...]] = {}  # what each listener was told
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the port. Listeners that Live still holds end with its next start."""
        self._closed.set()
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> OscClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, *questions: Message, divisible: bool = False) -> list[tuple[Argument, ...]]:
        """The values that answer these getters, without the ids that AbletonOSC puts before them.

        A question that meets silence is asked once more.

        Raises:
            Refused: AbletonOSC says that there is no such thing.
            NoAnswer: nothing answers.
            CutShort: with `divisible`, when an answer may have been too long.
        """
        with self._turn:
            exchange = self._begin(questions)
            silent = 0
            for sends in range(_MOST_SENDS):
                exchange.settled.clear()
                exchange.opened = False
                self._send(exchange.datagram(1 + sends))
                if not exchange.settled.wait(self.timeout):
                    if divisible and exchange.opened:
                        raise CutShort
                    silent += not exchange.opened
                    if silent > 1:
                        break
                if exchange.error is not None:
                    if divisible and "Socket error" in exchange.error:
                        raise CutShort  # "Message too long"
                    raise Refused(exchange.error)
                if exchange.complete:
                    return [answer or () for answer in exchange.answers]
        raise NoAnswer(self._silence())

    def order(self, *orders: Message) -> bool:
        """Have Live do these, all or, from the first that fails, none; whether it surely did.

        They are sent once. False means that nothing came back: ask for what should be now.

        Raises:
            Refused: AbletonOSC says that one failed.
        """
        with self._turn:
            exchange = self._begin(orders, answered=False)
            self._send(exchange.datagram(1))
            exchange.settled.wait(2 * self.timeout)
            if exchange.error is not None:
                raise Refused(exchange.error)
            return exchange.closed

    def listen(self, name: str, heard: Callable[..., None]) -> None:
        """Have `heard(value)` called with a property of the song, now and when it changes.

        It is asked for again whenever Live starts, and every RENEWAL seconds.
        """
        message: Message = (f"/live/song/start_listen/{name}", ())
        address = f"/live/song/get/{name}"
        self._last.pop(address, None)
        self._listeners[address] = (message, heard)
        self._send(_datagram([message]))

    def unlisten(self, name: str) -> None:
        """End `listen`."""
        if self._listeners.pop(f"/live/song/get/{name}", None):
            self._send(_datagram([(f"/live/song/stop_listen/{name}", ())]))

    def ping(self) -> bool:
        """Whether AbletonOSC answers at all, also one that is too old for `ask`."""
        with self._turn:
            exchange = self._begin([("/live/test", ())])
            exchange.opened = True
            for _ in range(2):
                self._send(_datagram(exchange.messages))
                if exchange.settled.wait(self.timeout):
                    return exchange.complete
        return False

    def _begin(self, messages: Sequence[Message], answered: bool = True) -> _Exchange:
        self._number = (self._number + 2) % (1 << 30)
        self._exchange = _Exchange(self._number, messages, answered)
        return self._exchange

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.sendto(datagram, self._there)
        except ConnectionError:
            pass  # Windows tells here that an earlier datagram met no program
        except OSError as error:
            raise UserError(
                f"nothing can be sent to Live at {self._there[0]} ({error.strerror}): look at the "
                "network."
            ) from None

    def _silence(self) -> str:
        """Why nothing answers, in one sentence."""
        host, port = self._there
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial,
            contextlib.suppress(OSError),
        ):
            trial.connect(self._there)
            trial.settimeout(self.timeout)
            try:
                trial.send(_datagram([("/live/test", ())]))
                trial.recv(1)  # AbletonOSC answers to its fixed port, never here
            except ConnectionError:
                return (
                    f"Ableton Live does not answer: nothing is at UDP port {port} of {host}; start "
                    "Live and choose AbletonOSC as a control surface in its settings (Link, Tempo "
                    "& MIDI)."
                )
        return (
            f"Ableton Live does not answer in time at UDP port {port} of {host}: close a dialog "
            "that is open in Live or wait until it has loaded, and see that no other program "
            "holds that port."
        )

    def _read(self) -> None:
        renewed = time.monotonic()
        while not self._closed.is_set():
            if time.monotonic() - renewed > RENEWAL:
                renewed = time.monotonic()
                self._renew()
            try:
                packet, sender = self._socket.recvfrom(1 << 16)
            except OSError:  # time is up; or, on Windows, no program met an earlier datagram
                continue
            if sender != self._there:
                continue
            try:
                # Bundles are never sent here, and python-osc reads one of negative size for ever.
                message = OscMessage(packet)
            except Exception:  # it raises anything on what is no OSC
                continue
            self._take(message.address, tuple(message.params))

    def _renew(self) -> None:
        if self._listeners:
            with contextlib.suppress(UserError):
                self._send(_datagram([message for message, _ in self._listeners.values()]))

    def _take(self, address: str, arguments: tuple[Argument, ...]) -> None:
        if self._exchange is not None:
            self._exchange.take(address, arguments)
        if address == "/live/startup":
            self._last.clear()
            self._renew()
            if self._on_start is not None:
                _call(self._on_start)
        listener = self._listeners.get(address)
        if listener and len(arguments) == 1 and self._last.get(address) != arguments:
            self._last[address] = arguments
            _call(listener[1], arguments[0])


class _Exchange:
    """A bundle and what came back between its two fences."""

    def __init__(self, number: int, messages: Sequence[Message], answered: bool) -> None:
        self.number, self.messages = number, messages
        self.answers: list[tuple[Argument, ...] | None] = [None] * (len(messages) * answered)
        self.opened = self.closed = False
        self.error: str | None = None
        self.settled = threading.Event()

    def datagram(self, fences: int) -> bytes:
        """The bundle; more than one fence before it are for a line that loses some."""
        first, last = (_FENCE, [self.number]), (_FENCE, [self.number + 1])
        return _datagram([first] * fences + [*self.messages, last])

    @property
    def complete(self) -> bool:
        return all(answer is not None for answer in self.answers)

    def take(self, address: str, arguments: tuple[Argument, ...]) -> None:
        """Called for every message that arrives, in order."""
        if address == _FENCE and len(arguments) == 2:
            if arguments[1] == self.number:
                self.opened = True
            elif arguments[1] == self.number + 1:
                self.closed = True
                self.settled.set()
            return
        if not self.opened or self.settled.is_set():
            return
        if address == "/live/error":
            self.error = one_line(arguments[0]) if arguments else "no reason given"
            self.settled.set()
            return
        for place, (asked, given) in enumerate(self.messages[: len(self.answers)]):
            ids = _IDS.get(asked.split("/")[2], 0)
            if (
                address == asked
                and self.answers[place] is None
                and arguments[:ids] == tuple(given[:ids])
            ):
                self.answers[place] = arguments[ids:]
                if self.complete:
                    self.settled.set()
                return


def _call(callback: Callable[..., None], *arguments: Argument) -> None:
    try:
        callback(*arguments)
    except Exception:  # the caller's own fault must not end the reading
        logging.getLogger("triptych").exception("a listener to Live failed")


def _datagram(messages: Sequence[Message]) -> bytes:
    """One message, or a bundle of several."""
    built = []
    for address, arguments in messages:
        builder = OscMessageBuilder(address)
        for argument in arguments:
            builder.add_arg(argument)
        built.append(builder.build().dgram)
    if len(built) == 1:
        return built[0]
    # python-osc's builder of bundles would parse each message again.
    return _BUNDLE + b"".join(struct.pack(">i", len(message)) + message for message in built)
