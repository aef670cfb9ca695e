"""MIDI 1.0 as bytes: streams cut into messages, and notes that always end.

Only what a music bridge uses: channel messages, song position and the real-time bytes. System
exclusive messages are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x80, 0x90, 0xB0, 0xC0
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123  # controllers
RESET = 0xFF

# Data bytes by the upper half of a channel message's status, and of the system common messages.
_CHANNEL = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_COMMON = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0}
_REAL_TIME = {0xF8, 0xFA, 0xFB, 0xFC, 0xFE, 0xFF}


class Tokenizer:
    """Cuts a stream of bytes into messages; running status is undone.

    Real-time bytes come at once, even from within another message. Stray data bytes, undefined
    status bytes and messages cut off by another status are dropped. Of what a stream holds, never
    more than one message is kept.
    """

    def __init__(self) -> None:
        self._status = 0  # 0: data bytes belong to nothing
        self._wanted = 0
        self._data = bytearray()

    def feed(self, data: Iterable[int]) -> Iterator[bytes]:
        """The messages that these bytes (0..255) complete."""
        for byte in data:
            if byte >= 0xF8:
                if byte in _REAL_TIME:
                    yield bytes([byte])
            elif byte >= 0x80:
                self._data.clear()
                wanted = _CHANNEL.get(byte >> 4, _COMMON.get(byte))
                self._status, self._wanted = (0, 0) if wanted is None else (byte, wanted)
                if wanted == 0:
                    yield self._message()
            elif self._status:
                self._data.append(byte)
                if len(self._data) == self._wanted:
                    yield self._message()

    def _message(self) -> bytes:
        message = bytes([self._status, *self._data])
        self._data.clear()
        if self._status >= 0xF0:  # running status is for channel messages
            self._status = 0
        return message


class HeldNotes:
    """Makes note-ons and note-offs strict: each note-on gets just one note-off, and none is left.

    A note that is struck again while it is held is let go first.
    """

    def __init__(self) -> None:
        self._held: set[tuple[int, int]] = set()  # channel, pitch

    @property
    def held(self) -> frozenset[tuple[int, int]]:
        """Channel and pitch of what is held now."""
        return frozenset(self._held)

    def feed(self, message: bytes) -> list[bytes]:
        """What a message amounts to; a note-on of velocity 0 is a note-off of velocity 64."""
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if message[0] == RESET:
            return self.close()
        if kind == CONTROL and message[1] in (ALL_SOUND_OFF, *range(ALL_NOTES_OFF, 128)):
            return [*self.close(channel), message]
        if kind not in (NOTE_ON, NOTE_OFF):
            return [message]
        key = channel, message[1]
        found = []
        if key in self._held:
            self._held.remove(key)
            released = message[2] if kind == NOTE_OFF else 64
            found.append(note_off(*key, released))
        if kind == NOTE_ON and message[2] > 0:
            self._held.add(key)
            found.append(message)
        return found

    def close(self, channel: int | None = None) -> list[bytes]:
        """Note-offs for all that is held (on a channel)."""
        ended = sorted(key for key in self._held if channel in (None, key[0]))
        self._held.difference_update(ended)
        return [note_off(*key) for key in ended]


@dataclass(frozen=True, slots=True)
class Note:
    """A note with its start and duration in the same unit, beats or seconds.

    Channel 0..15, pitch 0..127, velocity 1..127, duration above 0; ValueError otherwise.
    """

    start: float
    duration: float
    pitch: int
    velocity: int = 80
    channel: int = 0

    def __post_init__(self) -> None:
        whole = all(type(n) is int for n in (self.pitch, self.velocity, self.channel))
        if not (
            whole
            and 0 <= self.pitch <= 127
            and 1 <= self.velocity <= 127
            and 0 <= self.channel <= 15
            and abs(self.start) < 1e12  # neither endless nor no number
            and 0 < self.duration < 1e12
        ):
            raise ValueError(f"this is no note: {self}")

    @property
    def end(self) -> float:
        """Start and duration."""
        return self.start + self.duration


def note_on(channel: int, pitch: int, velocity: int) -> bytes:
    """A note-on message."""
    return bytes([NOTE_ON | channel, pitch, velocity])


def note_off(channel: int, pitch: int, velocity: int = 64) -> bytes:
    """A note-off message."""
    return bytes([NOTE_OFF | channel, pitch, velocity])


def control(channel: int, controller: int, value: int) -> bytes:
    """A control change message."""
    return bytes([CONTROL | channel, controller, value])
