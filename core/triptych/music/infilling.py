"""What an infilling model is told of a gap: the notes around it, and where they lie from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from triptych.music.events import DURATIONS, FIELDS, LONGEST_STEP, PARTS, STATE, Bars

NOTED = {
    "part": PARTS,
    "pitch": FIELDS["pitch"],
    "duration": FIELDS["duration"],
    "place": STATE["place"],
    "metre": STATE["metre"],
}
"""How many classes each fact of a note around the gap has."""

BEFORE, AFTER = 8, 23
OFFSETS = BEFORE + AFTER + 1
"""Classes of a bar's distance from the gap's first bar: -8 to 23, cut off there."""

MOST_NOTES = 256  # around a gap; of more, those farthest from it are left out

WAITS = LONGEST_STEP + 2
"""Classes of a wait in ticks: 0 to LONGEST_STEP, and one for longer or never."""
NEAR = 2 * 128 + 2 * PARTS
SOUNDING = 128 + PARTS
NO_PITCH = 128
_NEVER = 1 << 30
_HALF = 24  # ticks of a half note

Told = dict[str, np.ndarray]


def offsets(bars: Bars, ticks: np.ndarray, first: int) -> np.ndarray:
    """The class of each tick's bar, counted from the bar `first`."""
    bar = np.clip(np.searchsorted(bars.starts, ticks, "right") - 1, 0, bars.count - 1)
    return (bar - first).clip(-BEFORE, AFTER) + BEFORE


def noted(array: np.ndarray, bars: Bars) -> np.ndarray:
    """What is told of EVENTs around the gap, N x 5 classes (see NOTED)."""
    state = bars.state(array["tick"].astype(np.int64))
    columns = [array["part"], array["pitch"], array["duration"], state["place"], state["metre"]]
    return np.stack(columns, 1).astype(np.int64).reshape(len(array), len(NOTED))


def nearest(array: np.ndarray, start: int, end: int) -> np.ndarray:
    """Of EVENTs around the ticks `start` to `end`, the nearest MOST_NOTES."""
    if len(array) <= MOST_NOTES:
        return array
    distance = np.maximum(start - array["tick"], array["tick"] - end).clip(0)
    return array[np.sort(np.argsort(distance, kind="stable")[:MOST_NOTES])]


def asked(parts: Iterable[int]) -> np.ndarray:
    """1 for each part that is to be written, PARTS float32."""
    made = np.zeros(PARTS, np.float32)
    made[list(parts)] = 1
    return made


@dataclass(frozen=True)
class Surroundings:
    """What a writer can look up at any tick: the notes given around the gap and those it wrote.

    `given` are EVENTs, `parts` are to be written. `counts` below says how many of the EVENTs
    `written` (in order) are known at each tick.
    """

    given: np.ndarray
    parts: frozenset[int]

    def before(self, ticks: np.ndarray, written: np.ndarray, counts: np.ndarray) -> Told:
        """What is told with the last event at each of T ticks.

        `until` (T) and `ending` (T) are ticks to the next given note and to the next end of a note
        in a part that is to be written; `near` (T x NEAR) marks the pitches given there and next,
        the parts that are to be written and rest, and how long (in half notes) the others sound.
        """
        lasting = self._lasting(ticks, written, counts)
        mine = asked(self.parts)
        near = [
            _pitches(self.given, _sounds(self.given, ticks)),
            _pitches(self.given, self.given["tick"] == self._next(ticks)[:, None]),
            mine * (lasting <= 0),
            mine * lasting.clip(0, 2 * _HALF) / _HALF,
        ]
        ending = np.where(lasting > 0, lasting, _NEVER)[:, sorted(self.parts)].min(1)
        return {
            "until": self._until(ticks),
            "ending": ending.clip(0, LONGEST_STEP + 1).astype(np.int64),
            "near": np.concatenate(near, 1).astype(np.float32),
        }

    def at(
        self, ticks: np.ndarray, written: np.ndarray, counts: np.ndarray, parts: np.ndarray
    ) -> Told:
        """What is told of each of T ticks where a note may begin in the part of `parts` (T).

        `sounding` (T x SOUNDING) marks pitches, given or written, and the parts of those written;
        `following` (T) is as `until`; `last` (T) the part's pitch before, NO_PITCH for none.
        """
        lasting = self._lasting(ticks, written, counts)
        both = np.concatenate([self.given, written])
        seen = np.concatenate(
            [
                np.ones((len(ticks), len(self.given)), bool),
                np.arange(len(written)) < counts[:, None],
            ],
            1,
        )
        pitches = _pitches(both, seen & _sounds(both, ticks))
        earlier = seen & (both["part"] == parts[:, None]) & (both["tick"] < ticks[:, None])
        rank = np.where(earlier, both["tick"].astype(np.int64) * 128 + both["pitch"], -1)
        last = np.full(len(ticks), NO_PITCH)
        if len(both):
            found = rank.max(1)
            last = np.where(found >= 0, found % 128, NO_PITCH)
        return {
            "sounding": np.concatenate([pitches, lasting > 0], 1).astype(np.float32),
            "following": self._until(ticks),
            "last": last.astype(np.int64),
        }

    def _next(self, ticks: np.ndarray) -> np.ndarray:
        """The tick of the first given note after each of these, or _NEVER."""
        onsets = np.append(np.unique(self.given["tick"]), _NEVER)
        return np.asarray(onsets[np.searchsorted(onsets, ticks, "right")])

    def _until(self, ticks: np.ndarray) -> np.ndarray:
        return np.asarray(np.minimum(self._next(ticks) - ticks, LONGEST_STEP + 1), np.int64)

    def _lasting(self, ticks: np.ndarray, written: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """How many ticks more each part to be written sounds, T x PARTS; 0 or less: it rests."""
        own = self.given[np.isin(self.given["part"], list(self.parts))]
        made = np.zeros((len(ticks), PARTS), np.int64)
        for notes, known in ((own, None), (written, counts)):
            ends = (notes["tick"] + DURATIONS[notes["duration"]])[None] - ticks[:, None]
            begun = notes["tick"] <= ticks[:, None]
            if known is not None:
                begun &= np.arange(len(notes)) < known[:, None]
            for part in np.unique(notes["part"]):
                mine = np.where(begun & (notes["part"] == part), ends, 0)
                made[:, part] = np.maximum(made[:, part], mine.max(1))
        return made


def _sounds(array: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """Which EVENTs sound at each tick, T x N."""
    ends = array["tick"] + DURATIONS[array["duration"]]
    made: np.ndarray = (array["tick"] <= ticks[:, None]) & (ends > ticks[:, None])
    return made


def _pitches(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The pitches of the EVENTs chosen (T x N) for each tick, T x 128 float32."""
    made = np.zeros((len(chosen), 128), np.float32)
    rows, columns = np.nonzero(chosen)
    made[rows, array["pitch"][columns]] = 1
    return made
