"""Scores as the score models see them: one event a note, on a grid of a twelfth of a quarter note.

An event has five fields: `time` (ticks since the event before), `part`, `pitch`, `duration` and
`velocity`, each a class. Pitches are transposed so that the tonic is C (or A in minor): the models
need not learn each key anew. Beside the last event a model is given where in its bar and piece the
music stands (`STATE`), all of which follows from the metre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from triptych.music.score import NOTE, Score, Track
from triptych.music.theory import Key, estimate_key

TICKS = 12  # a quarter note; triplets of eighths and sixteenths are both whole
LONGEST_STEP = 96  # ticks between two events; a longer rest is cut to this
END = LONGEST_STEP + 1  # the class of `time` that ends the piece
DURATIONS = np.array(
    [*range(1, 13), *range(14, 25, 2), 27, 30, 33, 36, 42, 48, 54, 60, 72, 84, 96, 120, 144, 192]
)
"""Ticks of the duration classes."""
VELOCITY_STEP = 8
PART_FAMILIES = 16  # of General MIDI: 8 programs each
VOICES = 4  # parts of one family that are told apart
DRUMS = PART_FAMILIES * VOICES
PARTS = DRUMS + 1
START = PARTS  # the part of the event before the first

FIELDS = {
    "time": END + 1,
    "part": PARTS + 1,
    "pitch": 128,
    "duration": len(DURATIONS),
    "velocity": 128 // VELOCITY_STEP,
}
"""How many classes each field of an event has, in the order in which they are drawn."""

COLLECTIONS = (
    *("folk tune", "hymn", "chorale", "art song", "string quartet", "piano"),
    *("rock and electronic", "ensemble"),
)
METRES = (
    *((2, 4), (3, 4), (4, 4), (5, 4), (6, 8), (7, 8), (9, 8), (12, 8)),
    *((2, 2), (3, 2), (3, 8), (6, 4), (4, 2), (4, 8)),
)
MOST_BARS_LEFT = 16
STATE = {
    "place": 97,  # ticks from the bar's beginning
    "metre": len(METRES) + 1,
    "left": MOST_BARS_LEFT + 1,  # whole bars that are still to come
    "phrase": 8,  # the bar's number, modulo 8
    "collection": len(COLLECTIONS),
    "minor": 2,
    "pace": 8,  # quarter notes a minute, in steps of a quarter of an octave from 50
}
"""How many classes each part of the state has."""


def part_of(program: int, voice: int) -> int:
    """The part class of a General MIDI program (0..127) and a voice of its family."""
    return program // 8 * VOICES + min(voice, VOICES - 1)


def parts_of(tracks: Sequence[Track]) -> list[int]:
    """The part class of each track: voices of a family are numbered as they come."""
    seen: dict[int, int] = {}
    found = []
    for track in tracks:
        family = track.program // 8
        found.append(DRUMS if track.drums else part_of(track.program, seen.get(family, 0)))
        if not track.drums:
            seen[family] = seen.get(family, 0) + 1
    return found


def program_of(part: int) -> int:
    """A program of this part's family."""
    return part // VOICES * 8 if part < DRUMS else 0


def duration_class(ticks: np.ndarray) -> np.ndarray:
    """The nearest duration class, on a scale of ratios."""
    edges = np.sqrt(DURATIONS[1:] * DURATIONS[:-1])
    return np.asarray(np.searchsorted(edges, np.maximum(ticks, 1)))


def pace_class(bpm: float) -> int:
    """The class of a tempo in quarter notes a minute."""
    return int(np.clip(np.floor(4 * np.log2(max(bpm, 1.0) / 50)), 0, STATE["pace"] - 1))


def shift_to_c(key: Key) -> int:
    """Semitones, -6..5, by which pitches are transposed for the models: to C, or to A in minor."""
    home = 9 if key.minor else 0
    return (home - key.tonic + 6) % 12 - 6


@dataclass(frozen=True)
class Bars:
    """Where the bars lie: `starts` (ticks, with the end of the last) and the metre of each."""

    starts: np.ndarray
    metres: np.ndarray

    @classmethod
    def of(cls, score: Score) -> Bars:
        """The bars of a score."""
        beats = score.bar_starts(max(score.length, 1e-6))
        metres = [metre_class(*score.metre_at(float(beat))) for beat in beats[:-1]]
        return cls(np.rint(beats * TICKS).astype(np.int64), np.array(metres))

    @property
    def count(self) -> int:
        """How many bars there are."""
        return len(self.starts) - 1

    def state(self, ticks: np.ndarray) -> dict[str, np.ndarray]:
        """The state's classes that follow from the place in the piece, for each of these ticks."""
        bar = np.clip(np.searchsorted(self.starts, ticks, "right") - 1, 0, self.count - 1)
        return {
            "place": np.clip(ticks - self.starts[bar], 0, STATE["place"] - 1),
            "metre": self.metres[bar],
            "left": np.clip(self.count - 1 - bar, 0, MOST_BARS_LEFT),
            "phrase": bar % STATE["phrase"],
        }


def metre_class(top: int, bottom: int) -> int:
    """The class of a metre; those that are not known share one."""
    return METRES.index((top, bottom)) if (top, bottom) in METRES else len(METRES)


EVENT = np.dtype(
    [("tick", "i4"), *((name, "i2") for name in ("part", "pitch", "duration", "velocity"))]
)
"""A note on the grid: its tick and the classes of its fields; sorted by tick, part and pitch."""


def events(score: Score, shift: int = 0) -> np.ndarray:
    """The notes of a score as an array of EVENT, transposed by `shift` semitones (not drums)."""
    pairs = zip(score.tracks, parts_of(score.tracks), strict=True)
    made = [of_track(track, part, shift) for track, part in pairs]
    return ordered(np.concatenate([*made, np.zeros(0, EVENT)]))


def of_track(track: Track, part: int, shift: int = 0) -> np.ndarray:
    """The notes of a track as EVENTs of a part."""
    notes = track.notes
    made = np.zeros(len(notes), EVENT)
    made["tick"] = np.rint(notes["start"] * TICKS)
    made["part"] = part
    made["pitch"] = notes["pitch"] if part == DRUMS else folded(notes["pitch"] + shift)
    made["duration"] = duration_class(np.rint(notes["duration"] * TICKS))
    made["velocity"] = notes["velocity"] // VELOCITY_STEP
    return made


def ordered(array: np.ndarray) -> np.ndarray:
    """EVENTs in the models' order, without doubles."""
    array = array[np.lexsort((array["pitch"], array["part"], array["tick"]))]
    same = np.ones(len(array), bool)
    if len(array):
        same[1:] = np.any(
            [array[1:][f] != array[:-1][f] for f in ("tick", "part", "pitch")], axis=0
        )
    return array[same]


def folded(pitch: np.ndarray) -> np.ndarray:
    """Pitches within 0..127, by octaves."""
    low = np.where(pitch < 0, pitch + 12, pitch)
    return np.where(low > 127, low - 12, low)


def notes_of(array: np.ndarray, shift: int = 0) -> np.ndarray:
    """EVENTs of one part as an array of NOTE, with `shift` taken back (drums: give 0)."""
    made = np.zeros(len(array), NOTE)
    made["start"] = array["tick"] / TICKS
    made["duration"] = DURATIONS[array["duration"]] / TICKS
    made["pitch"] = folded(array["pitch"] - shift)
    made["velocity"] = np.clip(array["velocity"] * VELOCITY_STEP + VELOCITY_STEP // 2, 1, 127)
    return made


def key_of(score: Score) -> Key:
    """The key that the score's notes (without drums) are most likely in."""
    pitched = [track.notes for track in score.tracks if not track.drums]
    return estimate_key(np.concatenate(pitched)) if pitched else Key(0)
