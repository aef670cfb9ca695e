"""Keys, scales and chord symbols, as sets of pitch classes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from triptych.errors import UserError, did_you_mean

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "chromatic": tuple(range(12)),
}
"""Semitones above the tonic."""

_SHORT = {
    "": "major",
    "maj": "major",
    "m": "minor",
    "min": "minor",
    "pentatonic": "major pentatonic",
}
# Krumhansl & Kessler 1982, as in Krumhansl, Cognitive Foundations of Musical Pitch (1990), p. 30.
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


@dataclass(frozen=True)
class Key:
    """A tonic (pitch class, 0 is C) and the name of a scale."""

    tonic: int
    scale: str = "major"

    @property
    def classes(self) -> frozenset[int]:
        """The pitch classes of the scale."""
        return frozenset((self.tonic + step) % 12 for step in SCALES[self.scale])

    @property
    def minor(self) -> bool:
        """Whether its third is minor."""
        steps = SCALES[self.scale]
        return 3 in steps and 4 not in steps

    def __str__(self) -> str:
        return f"{NAMES[self.tonic]} {self.scale}"


def parse_key(text: str) -> Key:
    """The key that a text names: "C", "F#m", "Bb dorian", "a minor pentatonic".

    Raises UserError with the nearest name.
    """
    found = re.fullmatch(r"\s*([A-Ga-g])([#b♯♭]?)\s*(.*?)\s*", text)
    if not found:
        raise UserError(f"{text[:40]!r} is no key: write C, F#m or Bb dorian, for example.")
    letter, sign, rest = found.groups()
    tonic = (_LETTERS[letter.upper()] + {"": 0, "#": 1, "♯": 1}.get(sign, -1)) % 12
    name = " ".join(rest.lower().replace("-", " ").split())
    name = _SHORT.get(name, name)
    if not rest and letter.islower():  # a common way to write minor
        name = "minor"
    if name not in SCALES:
        raise UserError(f"there is no scale {name[:40]!r}{did_you_mean(name, SCALES)}")
    return Key(tonic, name)


def estimate_key(notes: np.ndarray) -> Key:
    """The major or minor key of an array of NOTE: the profile that correlates best with how long
    each pitch class sounds (Krumhansl & Schmuckler). C major without notes."""
    weights = np.bincount(notes["pitch"] % 12, notes["duration"].clip(0.05, 4), 12)
    best = (-2.0, Key(0))
    if weights.std() == 0:
        return best[1]
    for scale, profile in _PROFILES.items():
        for tonic in range(12):
            score = float(np.corrcoef(weights, np.roll(profile, tonic))[0, 1])
            best = max(best, (score, Key(tonic, scale)), key=lambda pair: pair[0])
    return best[1]


@dataclass(frozen=True)
class Chord:
    """A chord symbol: its pitch classes and the lowest of them; none at all for N.C."""

    symbol: str
    classes: frozenset[int]
    bass: int


_QUALITIES = {
    "": (0, 4, 7),
    "maj": (0, 4, 7),
    "M": (0, 4, 7),
    "m": (0, 3, 7),
    "min": (0, 3, 7),
    "-": (0, 3, 7),
    "dim": (0, 3, 6),
    "°": (0, 3, 6),
    "o": (0, 3, 6),
    "aug": (0, 4, 8),
    "+": (0, 4, 8),
    "5": (0, 7),
    "sus": (0, 5, 7),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "min6": (0, 3, 7, 9),
    "69": (0, 4, 7, 9, 2),
    "6/9": (0, 4, 7, 9, 2),
    "m69": (0, 3, 7, 9, 2),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "M7": (0, 4, 7, 11),
    "ma7": (0, 4, 7, 11),
    "Δ": (0, 4, 7, 11),
    "Δ7": (0, 4, 7, 11),
    "^7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "min7": (0, 3, 7, 10),
    "-7": (0, 3, 7, 10),
    "mM7": (0, 3, 7, 11),
    "mmaj7": (0, 3, 7, 11),
    "7alt": (0, 4, 10, 1, 3, 8),
    "m7b5": (0, 3, 6, 10),
    "min7b5": (0, 3, 6, 10),
    "-7b5": (0, 3, 6, 10),
    "ø": (0, 3, 6, 10),
    "ø7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "°7": (0, 3, 6, 9),
    "o7": (0, 3, 6, 9),
    "aug7": (0, 4, 8, 10),
    "+7": (0, 4, 8, 10),
    "7sus": (0, 5, 7, 10),
    "7sus4": (0, 5, 7, 10),
    "9": (0, 4, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2),
    "M9": (0, 4, 7, 11, 2),
    "m9": (0, 3, 7, 10, 2),
    "min9": (0, 3, 7, 10, 2),
    "-9": (0, 3, 7, 10, 2),
    "9sus4": (0, 5, 7, 10, 2),
    "11": (0, 7, 10, 2, 5),
    "m11": (0, 3, 7, 10, 2, 5),
    "13": (0, 4, 7, 10, 2, 9),
    "m13": (0, 3, 7, 10, 2, 9),
    "maj13": (0, 4, 7, 11, 2, 9),
}
_ALTERED = re.compile(r"(add|no|omit)?([#b♯♭]?)(\d+)")
_DEGREES = {2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 10, 9: 2, 11: 5, 13: 9}


def _pitch_class(letter: str, sign: str) -> int:
    return (_LETTERS[letter] + {"": 0, "#": 1, "♯": 1}.get(sign, -1)) % 12


def parse_chord(symbol: str) -> Chord:
    """The chord that a symbol names: "Am7", "F#m7b5", "Bb7(#9)", "C/E", "N.C.".

    Raises UserError for one that cannot be read.
    """
    text = symbol.strip()
    if text.upper().replace(".", "") in ("NC", "N", "X"):
        return Chord("N.C.", frozenset(), 0)
    slash = re.fullmatch(r"(.*)/([A-G])([#b♯♭]?)", text)
    body, bass = (slash.group(1), _pitch_class(*slash.group(2, 3))) if slash else (text, None)
    found = re.fullmatch(r"([A-G])([#b♯♭]?)(.*)", body)
    if found:
        root, rest = _pitch_class(*found.group(1, 2)), re.sub(r"[(), ]", "", found.group(3))
        for end in range(len(rest), -1, -1):
            steps = _QUALITIES.get(rest[:end])
            changed = None if steps is None else _altered(set(steps), rest[end:])
            if changed is not None:
                classes = frozenset((root + step) % 12 for step in changed)
                lowest = root if bass is None else bass
                return Chord(text, classes | {lowest}, lowest)
    raise UserError(f"{symbol.strip()[:40]!r} is no chord: write Am7, F#m7b5 or C/E, for example.")


def _altered(steps: set[int], text: str) -> set[int] | None:
    """The chord's steps with what `text` adds, takes away or alters; None if it is not that."""
    while text:
        found = _ALTERED.match(text)
        degree = int(found.group(3)) if found else 0
        if found is None or degree not in _DEGREES:
            return None
        shift = {"": 0, "#": 1, "♯": 1}.get(found.group(2), -1)
        plain = _DEGREES[degree]
        if found.group(1) in ("no", "omit"):
            steps -= {plain, plain - 1} if degree == 3 else {plain}
        else:
            if not found.group(1) and shift and degree == 5:
                steps.discard(plain)
            steps.add((plain + shift) % 12)
        text = text[found.end() :]
    return steps


def parse_chords(text: str, bar: float) -> list[tuple[float, float, Chord]]:
    """A chord track such as "Am7 | D7 G | Gmaj7 | %": (beat, duration, chord) of each.

    `bar` is a bar's length in quarter notes; the chords of a bar share it equally, `%` and an empty
    bar repeat the bar before. Raises UserError for what is no chord, and an empty track.
    """
    made: list[tuple[float, float, Chord]] = []
    before: list[Chord] = []
    bars = text.strip().strip("|").split("|")
    for number, words in enumerate(bars):
        names = words.split()
        chords = before if names in ([], ["%"]) else [parse_chord(name) for name in names]
        if not chords:
            raise UserError("the chord track begins with an empty bar: name a chord in it.")
        length = bar / len(chords)
        made += [(number * bar + i * length, length, chord) for i, chord in enumerate(chords)]
        before = chords
    return made
