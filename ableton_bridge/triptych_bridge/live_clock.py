"""Ableton Live's transport as the bridge's clock, by what AbletonOSC tells of it.

Live tells where it is some ten times a second, and each time a little late. What came with the
least delay of the last two seconds is believed, so that the beat is within a few milliseconds of
Live's where the delays vary, and behind it by the least of them. MIDI clock and Ableton Link are
closer; this one needs neither.
"""

from __future__ import annotations

import threading
import time as system
from collections import deque
from collections.abc import Callable
from typing import Any

from triptych_bridge.live import Live
from triptych_bridge.protocol import Command, Metre, Tempo, Transport

_KEPT = 2.0  # seconds that what was told of the place is looked back on
_JUMP = 0.25  # seconds by which the place must be another for a jump
_SAME = 0.1  # seconds: what tells of one jump agrees to that
_SILENCE = 1.5  # seconds without news while it plays, after which Live is taken for gone


class LiveClock:
    """Keeps the player's own clock on Live's place, tempo and metre.

    `send` is given orders to the player, `say` one sentence when Live falls silent; both are called
    from a thread of `live`'s, or from that which polls. UserError where nothing can be sent.
    """

    def __init__(
        self, live: Live, send: Callable[[Command], None], say: Callable[[str], None]
    ) -> None:
        self._live, self._send, self._say = live, send, say
        self._lock = threading.Lock()
        self._tempo = 120.0
        self._metre: dict[str, int] = {}
        self._wanted = False  # whether Live says that it plays
        self._line: deque[tuple[float, float]] = deque()  # time, and the beat at time 0 by it
        self._doubt: float | None = None  # such a beat too, of a place elsewhere
        self._heard = 0.0
        for name, hear in (
            ("tempo", self.tempo),
            ("signature_numerator", lambda value, time=None: self._beats(count=value)),
            ("signature_denominator", lambda value, time=None: self._beats(unit=value)),
            ("is_playing", self.playing),
            ("current_song_time", self.place),
        ):
            live.listen(name, hear)

    def close(self) -> None:
        """Listen no more."""
        for name in ("tempo", "is_playing", "current_song_time"):
            self._live.unlisten(name)
        for name in ("signature_numerator", "signature_denominator"):
            self._live.unlisten(name)

    def poll(self, time: float | None = None) -> None:
        """Stop the song where Live has been silent for long while it played."""
        now = system.perf_counter() if time is None else time
        with self._lock:
            if not self._line or now - self._heard < _SILENCE:
                return
            self._line.clear()
            self._send(Transport("stop"))
        self._say("Ableton Live does not tell any more where it is: see whether it still plays.")

    def tempo(self, value: Any, time: float | None = None) -> None:
        """Live's tempo changed, to beats a minute; `time` (default: now) is when that was told."""
        if not _is_number(value) or value <= 0:
            return
        now = system.perf_counter() if time is None else time
        with self._lock:
            if self._line:
                beat = self._best() + now * self._tempo / 60
                self._line = deque([(now, beat - now * value / 60)])
                self._doubt = None
            self._tempo = float(value)
            self._send(Tempo(self._tempo, now))

    def playing(self, value: Any, time: float | None = None) -> None:
        """Live plays or stands; where, is told by `place`."""
        with self._lock:
            self._wanted, self._doubt = bool(value), None
            if self._line and not value:
                self._line.clear()
                self._send(Transport("stop"))

    def place(self, value: Any, time: float | None = None) -> None:
        """Live was at this beat (quarter notes from the start) when it told so, or a bit before."""
        if not _is_number(value):
            return
        now, beat = system.perf_counter() if time is None else time, float(value)
        with self._lock:
            self._heard = now
            if not self._wanted:
                self._send(Transport("locate", beat))
                return
            zero = beat - now * self._tempo / 60
            if not self._line:
                self._send(Transport("start", beat, now))
            elif abs(zero - self._best()) * 60 / self._tempo > _JUMP:
                doubt, self._doubt = self._doubt, zero
                # Once may be a delay.
                if doubt is None or abs(zero - doubt) * 60 / self._tempo > _SAME:
                    return
                self._line.clear()
                self._send(Transport("locate", beat, now))
            self._doubt = None
            while self._line and self._line[0][0] < now - _KEPT:
                self._line.popleft()
            self._line.append((now, zero))
            self._send(Transport("nudge", self._best() + now * self._tempo / 60, now))

    def _best(self) -> float:
        """The beat at time 0, by what was least delayed."""
        return max(zero for _, zero in self._line)

    def _beats(self, **told: Any) -> None:
        with self._lock:
            self._metre |= {name: value for name, value in told.items() if type(value) is int}
            if len(self._metre) == 2:
                self._send(Metre(**self._metre))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 1e9
