"""An infilling model at work: what stands around a gap is read once, then the gap is written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from triptych.music import infilling
from triptych.music.constraints import Constraints
from triptych.music.event_model import EventModel
from triptych.music.events import EVENT, Bars
from triptych.music.voice_leading import led


@dataclass
class GapModel(EventModel):
    """A stream into the gap of `bars` (the gap's own), whose first is the bar `first` of `whole`.

    `notes` are the EVENTs around it, as the model has them; `parts` are to be written. `voices`,
    if any, are parts from high to low that go by the rules of `voice_leading`.
    """

    whole: Bars = field(kw_only=True)
    first: int = field(kw_only=True)
    notes: np.ndarray = field(kw_only=True)
    parts: frozenset[int] = field(kw_only=True)
    voices: tuple[int, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self.tick = int(self.bars.starts[0])
        self.notes = infilling.nearest(self.notes, self.tick, int(self.bars.starts[-1]))
        self._asked = infilling.asked(self.parts)[None]
        # A graph cannot attend to nothing: without notes there is one that is not present.
        count = max(len(self.notes), 1)
        self._present = np.full((1, count), float(len(self.notes) > 0), np.float32)
        told = np.zeros((1, count, len(infilling.NOTED)), np.int64)
        offset = np.zeros((1, count), np.int64)
        if len(self.notes):
            told[0] = infilling.noted(self.notes, self.whole)
            offset[0] = infilling.offsets(self.whole, self.notes["tick"], self.first)
        feeds: dict[str, np.ndarray] = {"notes": told, "offset": offset}
        feeds |= {"present": self._present, "asked": self._asked}
        self._read = self.engine.run(self.bundle.graph("read"), feeds)["known"]
        self._beside = infilling.Surroundings(self.notes, self.parts)
        self._written: list[np.void] = []
        super().__post_init__()

    def feed(self, event: np.void) -> None:
        """Take in an EVENT of the gap."""
        self._written.append(event)
        super().feed(event)

    def beside(self, tick: int) -> dict[str, np.ndarray]:
        """The place in the piece, what is asked, and what was read."""
        return self._beside.before(np.array([tick]), *self._so_far()) | {
            "offset": infilling.offsets(self.whole, np.array([tick]), self.first),
            "asked": self._asked,
            "read": self._read,
            "present": self._present,
        }

    def around(self, tick: int, part: int) -> dict[str, np.ndarray]:
        """What sounds there, around the gap and in it, and the part's last pitch."""
        return self._beside.at(np.array([tick]), *self._so_far(), np.array([part]))

    def _choices(self, wishes: Constraints, tick: int, before: np.ndarray) -> dict[int, np.ndarray]:
        found = super()._choices(wishes, tick, before)
        if self.voices:
            notes = np.concatenate([self.notes, before])
            for part, allowed in found.items():
                found[part] = led(allowed, part, tick, notes, self.voices)
        return found

    def _so_far(self) -> tuple[np.ndarray, np.ndarray]:
        written = np.array(self._written, EVENT)
        return written, np.array([len(written)])
