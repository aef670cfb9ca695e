"""OSC control of the bridge: an address for each parameter and each order, with feedback.

    /triptych/GROUP/NAME value   set a parameter; without a value, ask for it
    /triptych/play               and the other orders of `ORDERS`
    /triptych/state              ask for the state, which else comes whenever it changes:
                                 mode, playing, tempo, bar, held notes, last sentence
    /triptych/list               ask for all addresses: address, kind, value, minimum, maximum

Whoever sent lately is told of every change, as is every configured listener; what cannot be done
is answered by /triptych/error and one sentence.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from triptych.errors import UserError, did_you_mean, one_line
from triptych_bridge.bridge import LOCK, MODE, Bridge
from triptych_bridge.osc_server import OscServer, Peer
from triptych_bridge.settings import ROOT

_LISTENERS = 16  # senders that are told; the one that is silent longest is forgotten

Arguments = tuple[Any, ...]


class Control:
    """An OSC server that obeys for `bridge`; `listeners` (host, port) are told of all changes.

    `orders` are added to the bridge's own: functions of a message's arguments, called on the
    bridge's thread. UserError where the port is in use.
    """

    def __init__(
        self,
        bridge: Bridge,
        host: str = "127.0.0.1",
        port: int = 0,
        listeners: Sequence[Peer] = (),
        orders: dict[str, Callable[[Arguments], None]] | None = None,
    ) -> None:
        self._bridge = bridge
        self._listeners = tuple(listeners)
        self._senders: list[Peer] = []  # the latest last
        self._state: Arguments = ()
        self._orders: dict[str, Callable[[Arguments], None]] = {
            "play": _button(bridge.play),
            "continue": _button(bridge.go_on),
            "stop": _button(bridge.halt),
            "panic": _button(bridge.panic),
            "vary": _button(bridge.vary),
            "take_back": _button(bridge.take_back),
            "lock": lambda arguments: bridge.set(LOCK, _one(arguments, True)),
            "locate": lambda arguments: bridge.locate(_number(arguments)),
            "preset": lambda arguments: bridge.recall(_whole(arguments)),
            "preset/save": lambda arguments: bridge.save_preset(_whole(arguments)),
            "learn": lambda arguments: bridge.learn(_text(arguments)),
            "forget": lambda arguments: bridge.midi.forget(_text(arguments)),
            **(orders or {}),
        }
        self.server = OscServer(self._received, host, port)
        bridge.changed, bridge.moved = self._changed, self._look

    @property
    def addresses(self) -> list[str]:
        """Every address that is understood."""
        own = [f"{ROOT}/{name}" for name in [*self._orders, "state", "list"]]
        return [*self._bridge.settings.addresses, *own]

    def close(self) -> None:
        """Free the port."""
        self.server.close()

    def tell(self, address: str, *arguments: Any) -> None:
        """Send a message to all who listen."""
        for peer in dict.fromkeys([*self._listeners, *self._senders]):
            self.server.send(peer, address, arguments)

    def _look(self) -> None:
        """Tell the state where it has changed."""
        status = self._bridge.status
        state = status.state
        told = (
            *(
                self._bridge.settings.get(MODE),
                bool(state and state.playing),
                float(state.tempo if state else 0),
            ),
            *(status.bar, status.held, status.sentence),
        )
        if told != self._state:
            self._state = told
            self.tell(f"{ROOT}/state", *told)

    def _received(self, address: str, arguments: Arguments, sender: Peer) -> None:
        """Called on the server's thread; a flood beyond what can be obeyed is dropped."""
        self._bridge.post(functools.partial(self._obey, address, arguments, sender))

    def _obey(self, address: str, arguments: Arguments, sender: Peer) -> None:
        self._senders = [*(p for p in self._senders if p != sender), sender][-_LISTENERS:]
        try:
            self._do(address, arguments, sender)
        except UserError as error:
            self.server.send(sender, f"{ROOT}/error", [str(error)])
            self._bridge.say(str(error))
        self._look()

    def _do(self, address: str, arguments: Arguments, sender: Peer) -> None:
        settings = self._bridge.settings
        order = self._orders.get(address.removeprefix(f"{ROOT}/"))
        if order is not None and address.startswith(f"{ROOT}/"):
            order(arguments)
        elif address == f"{ROOT}/state":
            self.server.send(sender, address, self._state)
        elif address == f"{ROOT}/list":
            for told in settings.describe():
                facts = [told[key] for key in ("address", "kind", "value", "minimum", "maximum")]
                self.server.send(sender, address, facts)
        elif address not in settings.addresses:
            near = did_you_mean(address, self.addresses)
            raise UserError(f"there is no OSC address {one_line(address, 100)!r}{near}")
        elif arguments:
            self._bridge.set(address, _one(arguments))
        else:
            self.server.send(sender, address, [settings.get(address)])

    def _changed(self, place: str, value: Any) -> None:
        self.tell(place, value)


def _button(press: Callable[[], None]) -> Callable[[Arguments], None]:
    """An order for a push button, which sends 1 when it is pressed and 0 when it is let go."""

    def order(arguments: Arguments) -> None:
        if not arguments or _number(arguments) != 0:
            press()

    return order


def _one(arguments: Arguments, absent: Any = None) -> Any:
    if len(arguments) > 1:
        raise UserError(f"one value is needed, not {len(arguments)}.")
    return arguments[0] if arguments else absent


def _number(arguments: Arguments) -> float:
    value = _one(arguments)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError("a number is needed.")
    return float(value)


def _whole(arguments: Arguments) -> int:
    value = _number(arguments)
    if value % 1:
        raise UserError("a whole number is needed.")
    return int(value)


def _text(arguments: Arguments) -> str:
    value = _one(arguments)
    if not isinstance(value, str):
        raise UserError("a text is needed, such as /triptych/melody/temperature.")
    return value
