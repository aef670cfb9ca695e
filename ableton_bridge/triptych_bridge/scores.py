"""Notes of the bridge as scores of the core, and back; and what was heard of late."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from triptych.music import score as core
from triptych.music.midi import DRUM_CHANNEL
from triptych.music.score import Score, Track
from triptych_bridge.midi import NOTE_OFF, NOTE_ON, Note
from triptych_bridge.protocol import Heard

_SHORTEST = 1 / 32  # quarter notes
_MOST = 4096  # notes that are remembered


class Memory:
    """The notes that were heard, in beats of the song; the last 4096 of them."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], tuple[float, int]] = {}  # start and velocity
        self._notes: list[Note] = []

    @property
    def held(self) -> int:
        """How many notes are held now."""
        return len(self._open)

    def hear(self, heard: Heard) -> Note | None:
        """Take a message; the note that it ends, if it does."""
        kind, channel = heard.message[0] & 0xF0, heard.message[0] & 0x0F
        if kind not in (NOTE_ON, NOTE_OFF):
            return None
        key = channel, heard.message[1]
        begun = self._open.pop(key, None)
        if kind == NOTE_ON:
            self._open[key] = heard.beat, heard.message[2]
        if begun is None:
            return None
        note = _note(begun, heard.beat, key)
        self._notes = [*self._notes[1 - _MOST :], note]
        return note

    def between(self, low: float, high: float) -> list[Note]:
        """The notes that began from `low` to before `high`; what is held lasts until `high`."""
        found = [n for n in self._notes if low <= n.start < high]
        found += [
            _note(begun, high, key) for key, begun in self._open.items() if low <= begun[0] < high
        ]
        return sorted(found, key=lambda note: (note.start, note.pitch))

    def clear(self) -> None:
        """Forget all: the song's place has jumped, and beats mean something else now."""
        self._open.clear()
        self._notes.clear()


def _note(begun: tuple[float, int], end: float, key: tuple[int, int]) -> Note:
    start, velocity = begun
    return Note(start, max(end - start, _SHORTEST), key[1], velocity, key[0])


def score_of(
    notes: Iterable[Note],
    origin: float,
    length: float,
    tempo: float,
    metre: tuple[int, int],
) -> Score:
    """Notes from the beat `origin` on as a score of this length (quarter notes).

    Each channel is a track, named by its number from 1; channel 10 is drums. What goes beyond the
    length is cut.
    """
    by_channel: dict[int, list[Note]] = {}
    for note in notes:
        left = origin + length - note.start
        if left > 1e-3:
            cut = replace(note, duration=min(note.duration, left))
            by_channel.setdefault(note.channel, []).append(cut)
    tracks = tuple(
        track_of(by_channel[channel], origin, f"Channel {channel + 1}", channel)
        for channel in sorted(by_channel)
    )
    return Score(tracks, ((0.0, tempo),), ((0.0, *metre),), length=length)


def track_of(notes: Sequence[Note], origin: float, name: str, channel: int) -> Track:
    """Notes from the beat `origin` on as one track; what began before it begins there."""
    rows = [(max(n.start - origin, 0.0), n.duration, n.pitch, n.velocity) for n in notes]
    return Track(core.notes(rows), name, drums=channel == DRUM_CHANNEL)


def notes_of(
    track: Track, channel: int, low: float = 0.0, high: float = math.inf, at: float = 0.0
) -> list[Note]:
    """What a track plays from `low` to `high`, moved so that `low` comes to lie at the beat `at`.

    Nothing sounds beyond `high`; a track of drums plays on channel 10.
    """
    found = []
    for start, duration, pitch, velocity in track.between(low - 1e-6, high - 1e-6).tolist():
        end = min(start + duration, high)
        start = max(start, low)
        if end - start > 1e-3:
            place = DRUM_CHANNEL if track.drums else channel
            found.append(Note(at + start - low, end - start, pitch, velocity, place))
    return found
