"""A score: tracks of notes on a time axis of quarter notes, with tempo, metre and key."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from triptych.errors import UserError

NOTE = np.dtype([("start", "f8"), ("duration", "f8"), ("pitch", "i2"), ("velocity", "i2")])
"""A note: start and duration in quarter notes, MIDI pitch 0..127, velocity 1..127."""

MOST_NOTES = 1_000_000
LONGEST = 1_000_000.0  # quarter notes; four days at 180 a minute


def notes(rows: Iterable[tuple[float, float, int, int]] = ()) -> np.ndarray:
    """An array of NOTE, sorted by start and pitch, from rows (start, duration, pitch, velocity)."""
    made = np.array([tuple(row) for row in rows], NOTE)
    return made[np.lexsort((made["pitch"], made["start"]))]


@dataclass(frozen=True, eq=False)
class Track:
    """One part. `notes` is an array of NOTE; `program` a General MIDI program, 0..127.

    `other` holds what else the part says (beat, mido message): controllers, bends, lyrics.
    """

    notes: np.ndarray
    name: str = ""
    program: int = 0
    drums: bool = False
    other: tuple[tuple[float, Any], ...] = ()

    def __post_init__(self) -> None:
        found = self.notes[np.lexsort((self.notes["pitch"], self.notes["start"]))]
        object.__setattr__(self, "notes", found)

    @property
    def end(self) -> float:
        """The beat at which the last note ends; 0 without notes."""
        return float((self.notes["start"] + self.notes["duration"]).max(initial=0.0))

    def between(self, low: float, high: float) -> np.ndarray:
        """The notes that start at `low` or later and before `high`."""
        start = self.notes["start"]
        return self.notes[(start >= low) & (start < high)]


@dataclass(frozen=True, eq=False)
class Score:
    """Tracks that sound together. Every time is in quarter notes from the start.

    `tempi` holds (beat, quarter notes a minute), `metres` (beat, numerator, denominator), `keys`
    (beat, name as in MIDI: "C", "F#m"), each sorted, of which the first two begin at 0. `length`
    is where the piece ends, which may lie behind its last note.
    """

    tracks: tuple[Track, ...] = ()
    tempi: tuple[tuple[float, float], ...] = ((0.0, 120.0),)
    metres: tuple[tuple[float, int, int], ...] = ((0.0, 4, 4),)
    keys: tuple[tuple[float, str], ...] = ()
    length: float = 0.0

    def __post_init__(self) -> None:
        last = max((track.end for track in self.tracks), default=0.0)
        object.__setattr__(self, "length", max(float(self.length), last))

    @property
    def count(self) -> int:
        """How many notes there are."""
        return sum(len(track.notes) for track in self.tracks)

    def with_tracks(self, tracks: Sequence[Track], length: float | None = None) -> Score:
        """The same piece with other tracks."""
        kept = self.length if length is None else length
        return dataclasses.replace(self, tracks=tuple(tracks), length=kept)

    def metre_at(self, beat: float) -> tuple[int, int]:
        """Numerator and denominator in force at this beat."""
        _, top, bottom = [m for m in self.metres if m[0] <= beat + 1e-9][-1]
        return top, bottom

    def bar_starts(self, until: float | None = None) -> np.ndarray:
        """The beats at which bars begin, from 0 to the first that reaches `until` (the length).

        A change of metre begins a bar, as the standard asks it to.
        """
        until = self.length if until is None else until
        starts = [0.0]
        changes = [m[0] for m in self.metres[1:]] + [math.inf]
        while starts[-1] < until - 1e-9:
            top, bottom = self.metre_at(starts[-1])
            change = next(c for c in changes if c > starts[-1] + 1e-9)
            starts.append(min(starts[-1] + top * 4 / bottom, change))
        return np.array(starts)

    def seconds(self, beats: np.ndarray | float) -> np.ndarray:
        """When these beats sound, in seconds from the start."""
        at = np.array([t[0] for t in self.tempi])
        pace = 60 / np.array([t[1] for t in self.tempi])
        passed = np.concatenate([[0.0], np.cumsum(np.diff(at) * pace[:-1])])
        place = np.searchsorted(at, beats, "right").clip(1) - 1
        return np.asarray(passed[place] + (beats - at[place]) * pace[place])


def check_score(value: Any, name: str = "the score") -> Score:
    """`value` if it is a score that can be worked with, or UserError: what is wrong with it."""
    if not isinstance(value, Score):
        raise UserError(f"{name} must be a Score, not a {type(value).__name__}.")
    if value.count > MOST_NOTES:
        raise UserError(f"{name} has {value.count} notes; at most {MOST_NOTES} can be read.")
    for track in value.tracks:
        n = track.notes
        times = np.concatenate([n["start"], n["duration"]])
        if not np.isfinite(times).all():
            raise UserError(f"{name} has notes whose time is not finite: repair it.")
        if (times < 0).any() or (times > LONGEST).any():
            raise UserError(f"{name} has notes whose time is below 0 or far too large: repair it.")
        if ((n["pitch"] < 0) | (n["pitch"] > 127)).any():
            raise UserError(f"{name} has pitches beyond 0..127: transpose it.")
        if ((n["velocity"] < 1) | (n["velocity"] > 127)).any():
            raise UserError(f"{name} has velocities beyond 1..127: scale them.")
    return value
