"""A queue of MIDI events with absolute deadlines, in beats or in seconds.

Nothing here reads a clock of the machine or sends: `due` is given the time and returns what is to
be sent. Beats become seconds only when they are asked for, so a change of tempo moves everything
that waits. A note is queued as a whole, and its note-off the moment that its note-on leaves.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from triptych_bridge.clock import Clock
from triptych_bridge.midi import ALL_NOTES_OFF, Note, Tokenizer, control, note_off, note_on

Unit = Literal["beats", "seconds"]
Key = tuple[int, int]  # channel, pitch

_OFF, _MESSAGE, _ON = range(3)  # the order of events of one deadline


@dataclass(frozen=True, slots=True)
class _End:
    """The note-off of the note with this serial number."""

    key: Key
    number: int


@dataclass(frozen=True, slots=True)
class _Event:
    part: str
    what: Note | _End | bytes


_Entry = tuple[float, int, int, _Event]  # at, order, serial number


class Scheduler:
    """What is to be played on a clock.

    Every note belongs to a part (any name), so that one part can be replaced while others go on.
    A note whose beginning is missed by more than `late_limit` seconds, or that is over when its
    turn comes, is dropped and counted in `dropped`.
    """

    def __init__(self, clock: Clock, late_limit: float = 0.1) -> None:
        self._clock = clock
        self._late_limit = late_limit
        self._jumps = clock.jumps
        self._numbers = itertools.count()
        self._queues: dict[Unit, list[_Entry]] = {"beats": [], "seconds": []}
        self._sounding: dict[Key, tuple[int, Unit]] = {}  # the serial number, for the note-off
        self._channels: set[int] = set()
        self.dropped = 0

    @property
    def sounding(self) -> frozenset[Key]:
        """Channel and pitch of what sounds."""
        return frozenset(self._sounding)

    @property
    def pending(self) -> int:
        """How many events wait."""
        return sum(map(len, self._queues.values()))

    def follow(self, clock: Clock) -> None:
        """Go by another clock from now on; what sounds by beats ends."""
        self._clock, self._jumps = clock, clock.jumps - 1

    def schedule(self, notes: Iterable[Note], unit: Unit = "beats", part: str = "") -> None:
        """Add notes; their start and duration are in `unit`."""
        for note in notes:
            self._push(unit, note.start, _ON, _Event(part, note))

    def send(self, message: bytes, at: float, unit: Unit = "beats", part: str = "") -> None:
        """Add a message that is no note, such as a controller: before the notes of its time.

        ValueError where it is not one whole channel message, or a note.
        """
        if list(Tokenizer().feed(message)) != [message] or not 0xA0 <= message[0] < 0xF0:
            raise ValueError(f"{message.hex(' ') or 'nothing'} is no message without a note")
        self._push(unit, at, _MESSAGE, _Event(part, message))

    def clear(self, at: float, unit: Unit = "beats", part: str = "") -> None:
        """Take back all of a part from `at` on; what sounds then, or would, ends there."""
        kept: list[_Entry] = []
        for start, order, number, event in self._queues[unit]:
            what = event.what
            if event.part == part:
                if isinstance(what, _End):
                    start = min(start, at)
                elif start >= at:
                    continue
                elif isinstance(what, Note) and what.end > at:
                    event = _Event(part, replace(what, duration=at - start))
            kept.append((start, order, number, event))
        heapq.heapify(kept)
        self._queues[unit] = kept

    def next_time(self) -> float:
        """When `due` will have something, in seconds; infinite when nothing is to come."""
        if self._jumps != self._clock.jumps:
            return -math.inf
        return min(self._head("beats"), self._head("seconds"))[0]

    def due(self, time: float) -> list[tuple[float, bytes]]:
        """The messages to be sent by `time` in their order, each after its deadline in seconds."""
        found: list[tuple[float, bytes]] = []
        earliest = -math.inf
        if self._jumps != self._clock.jumps:
            self._jumps = self._clock.jumps
            found += [(time, message) for message in self._end_beats()]
            if found:
                earliest = time  # what follows must not seem to come before
            self._skip(time)
        while True:
            deadline, _, unit = min(self._head("beats"), self._head("seconds"))
            if deadline > time:
                return found
            _, _, number, event = heapq.heappop(self._queues[unit])
            what = event.what
            told = max(deadline, earliest)
            if isinstance(what, bytes):
                found.append((told, what))
            elif isinstance(what, _End):
                if self._sounding.get(what.key, (-1,))[0] == what.number:
                    del self._sounding[what.key]
                    found.append((told, note_off(*what.key)))
            elif time - deadline > self._late_limit or self._seconds(unit, what.end) <= time:
                self.dropped += 1
            else:
                begun = self._begin(unit, number, event.part, what)
                found += [(told, message) for message in begun]

    def panic(self) -> list[bytes]:
        """Forget all that waits; the note-offs of what sounds, and CC 123 on every channel used."""
        for queue in self._queues.values():
            queue.clear()
        offs = [note_off(*key) for key in sorted(self._sounding)]
        self._sounding.clear()
        return offs + [control(channel, ALL_NOTES_OFF, 0) for channel in sorted(self._channels)]

    # ------------------------------------------------------------------------------------- inside

    def _push(self, unit: Unit, at: float, order: int, event: _Event) -> None:
        heapq.heappush(self._queues[unit], (at, order, next(self._numbers), event))

    def _seconds(self, unit: Unit, at: float) -> float:
        return self._clock.time_at(at) if unit == "beats" else at

    def _head(self, unit: Unit) -> tuple[float, int, Unit]:
        """Deadline and order of the first event of a queue."""
        queue = self._queues[unit]
        if not queue:
            return math.inf, 0, unit
        return self._seconds(unit, queue[0][0]), queue[0][1], unit

    def _begin(self, unit: Unit, number: int, part: str, note: Note) -> list[bytes]:
        key = note.channel, note.pitch
        # Synthesisers do not count note-ons: the earlier note ends before the later begins.
        earlier = [note_off(*key)] if self._sounding.pop(key, None) else []
        self._sounding[key] = number, unit
        self._channels.add(note.channel)
        self._push(unit, note.end, _OFF, _Event(part, _End(key, number)))
        return [*earlier, note_on(*key, note.velocity)]

    def _end_beats(self) -> list[bytes]:
        """Note-offs for what would end at a beat that may never come."""
        keys = sorted(key for key, (_, unit) in self._sounding.items() if unit == "beats")
        for key in keys:
            del self._sounding[key]
        return [note_off(*key) for key in keys]

    def _skip(self, time: float) -> None:
        """Drop what the clock has jumped over."""
        if not self._clock.playing:
            return
        queue = self._queues["beats"]
        first = self._clock.beat_at(time - self._late_limit)
        while queue and queue[0][0] < first:
            heapq.heappop(queue)
