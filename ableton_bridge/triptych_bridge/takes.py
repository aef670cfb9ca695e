"""What the bridge played, kept as MIDI files: one for each time from start to stop."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from triptych.errors import UserError
from triptych.files import refusal, shown
from triptych.music import midi
from triptych_bridge.midi import NOTE_OFF, NOTE_ON, Note
from triptych_bridge.protocol import Report, Sent, State
from triptych_bridge.scores import score_of

_SHORTEST = 1 / 96  # quarter notes
_MOST = 10_000  # takes of one second


class Takes:
    """Writes takes into `folder`, notes at their place in the song, from its beginning on.

    `hear` is given the player's reports, which must echo what was sent. A take ends where the song
    stops or jumps. `say` is called with a sentence for each file. UserError where there is no such
    folder.
    """

    def __init__(self, folder: str | os.PathLike[str], say: Callable[[str], None]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"there is no folder {shown(self.folder)} for takes: make it first.")
        self.say = say
        self._tempo, self._metre = 120.0, (4, 4)
        self._jumps: int | None = None  # of the clock, when the take's notes began
        self._begun: dict[tuple[int, int], Sent] = {}
        self._notes: list[Note] = []
        self._lock = threading.Lock()

    def hear(self, report: Report) -> None:
        """Take in one report, in the order of their coming."""
        with self._lock:
            if isinstance(report, Sent):
                self._take(report)
            elif isinstance(report, State):
                self._tempo, self._metre = report.tempo, report.metre
                if not report.playing and not self._begun:
                    self._write()

    def close(self) -> None:
        """Write what there is; to be called when the player has ended, and its notes with it."""
        with self._lock:
            self._write()

    def _take(self, sent: Sent) -> None:
        kind, key = sent.message[0] & 0xF0, (sent.message[0] & 0x0F, sent.message[1])
        if kind == NOTE_ON:
            if sent.jumps != self._jumps:
                self._write()
            self._jumps = sent.jumps
            self._begun[key] = sent
        elif kind == NOTE_OFF and (begun := self._begun.pop(key, None)):
            # In seconds, for the song may have jumped meanwhile.
            beats = (sent.deadline - begun.deadline) * self._tempo / 60
            note = max(begun.beat, 0.0), max(beats, _SHORTEST), key[1], begun.message[2], key[0]
            self._notes.append(Note(*note))

    def _write(self) -> None:
        notes, self._notes = self._notes, []
        if not notes:
            return
        count, unit = self._metre
        bar = 4 * count / unit
        length = math.ceil(max(note.end for note in notes) / bar) * bar
        score = score_of(notes, 0.0, length, self._tempo, self._metre)
        try:
            path = self._named(midi.encode(score))
        except UserError as error:
            self.say(f"a take was not kept: {error}")
        else:
            self.say(f"the take is {shown(path.name)}.")

    def _named(self, data: bytes) -> Path:
        """Write a file under a name that nothing has."""
        stem = time.strftime("take-%Y-%m-%d-%H%M%S")
        for number in range(1, _MOST):
            path = self.folder / f"{stem}{'' if number == 1 else f'-{number}'}.mid"
            try:
                with path.open("xb") as file:
                    file.write(data)
            except FileExistsError:
                continue
            except OSError as error:
                raise refusal("write", path, error) from None
            return path
        raise UserError("there are too many of this second.")
