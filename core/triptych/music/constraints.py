"""What a piece may and may not do: masks over the fields of an event that are never violated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from triptych.errors import UserError
from triptych.music.events import DRUMS, LONGEST_STEP, TICKS
from triptych.music.theory import Chord


@dataclass(frozen=True)
class Constraints:
    """Masks for what is drawn between the ticks `start` and `end`.

    `classes`: the pitch classes of a key lock (None: all). `chords`: (tick, tick of its end,
    chord), sorted; a note that begins on a beat belongs to the chord, any other to the chord or to
    `classes`; none sounds on into a chord that it does not belong to. `low`..`high`: MIDI pitches;
    `ranges` narrows them for some parts. `polyphony`: how many notes may sound at once, `alone`
    whether a part has one at most. `parts`: which may play.
    `grid`: ticks modulo a quarter note on which notes may begin. `beats`: the ticks that are beats.
    Drums obey none of key, chords and range.
    """

    start: int
    end: int
    parts: frozenset[int]
    classes: frozenset[int] | None = None
    chords: Sequence[tuple[int, int, Chord]] = ()
    low: int = 0
    high: int = 127
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    polyphony: int = 16
    alone: bool = False
    grid: frozenset[int] = field(default_factory=lambda: frozenset(range(TICKS)))
    beats: frozenset[int] = frozenset()
    longest_rest: int = LONGEST_STEP

    def __post_init__(self) -> None:
        for tick in [self.start, *(chord[0] for chord in self.chords)]:
            if not all(self.pitches(tick, part).any() for part in self.parts):
                raise UserError(
                    "no note of the key and the chords lies within the range: widen the range."
                )

    def chord(self, tick: int) -> Chord | None:
        """The chord that holds at a tick."""
        for begin, end, chord in self.chords:
            if begin <= tick < end:
                return chord if chord.classes else None
        return None

    def pitches(self, tick: int, part: int) -> np.ndarray:
        """Which MIDI pitches (128 booleans) of a part may begin at a tick."""
        if part == DRUMS:
            return np.ones(128, bool)
        low, high = self.ranges.get(part, (0, 127))
        low, high = max(low, self.low), min(high, self.high)
        chord = self.chord(tick)
        allowed = np.arange(12) >= 0 if self.classes is None else np.zeros(12, bool)
        if self.classes is not None:
            allowed[list(self.classes)] = True
        if chord is not None:
            tones = np.zeros(12, bool)
            tones[list(chord.classes)] = True
            on_beat = tick in self.beats or self.classes is None
            allowed = tones if on_beat else allowed | tones
        whole = np.resize(allowed, 128)
        whole[:low] = whole[high + 1 :] = False
        return whole

    def until(self, tick: int, pitch: int, part: int) -> int:
        """The tick at which a note of a part that begins at `tick` must have ended."""
        if part != DRUMS:
            for begin, _, chord in self.chords:
                if begin > tick and chord.classes and pitch % 12 not in chord.classes:
                    return min(begin, self.end)
        return self.end

    def times(self, tick: int) -> np.ndarray:
        """Which steps (LONGEST_STEP + 1 booleans) lead from `tick` to a place for a note."""
        ticks = tick + np.arange(LONGEST_STEP + 1)
        on_grid = np.isin(ticks % TICKS, list(self.grid))
        made = on_grid & (ticks >= self.start) & (ticks < self.end)
        made[self.longest_rest + 1 :] = False
        return made
