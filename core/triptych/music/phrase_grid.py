"""Phrases on a grid of sixteenth notes: what the phrase models read and write.

A line (melody or bass) is a token a step, as in MusicVAE (Roberts et al. 2018): a pitch that
begins (0..127), OFF (what sounded ends), HOLD (all goes on, be it a note or a rest). Drums are nine
bits a step, one for each class of `KIT`.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]  # uint8 or int64
Bits = NDArray[np.uint8]

STEPS = 4  # of a quarter note
LINES = ("melody", "bass")
METRES = ("4/4", "3/4", "6/8")
BARS = (16, 12, 12)  # steps of a bar
_LEVELS = ((16, 8, 4, 2), (12, 4, 2), (12, 6, 2))  # steps of a bar, its half or beat, ...
OFF, HOLD = 128, 129
TOKENS = 130

KIT = (36, 38, 42, 46, 43, 47, 50, 49, 51)
"""The nine classes and the General MIDI pitch of each: kick, snare, closed and open hi-hat, low,
mid and high tom, crash, ride (the usual reduction of the Groove MIDI Dataset)."""

_KIT_PITCHES = (
    (35, 36),
    (37, 38, 39, 40),
    (22, 42, 44, 54, 69, 70, 82),  # pedal and edge; shakers keep the same time
    (26, 46),
    (41, 43, 58),
    (45, 47),
    (48, 50),
    (49, 52, 55, 57),
    (51, 53, 56, 59),
)
CLASS_OF = {pitch: row for row, pitches in enumerate(_KIT_PITCHES) for pitch in pitches}
"""The class 0..8 of a General MIDI (or Roland TD-11) drum pitch."""

SUSTAINED = 0.25  # quarter notes: a gap up to here is how a note is played, not a rest


def steps_of(beats: np.ndarray) -> np.ndarray:
    """The nearest step to each time in quarter notes."""
    return np.floor(np.asarray(beats) * STEPS + 0.5).astype(np.int64)


def top_line(notes: np.ndarray, lowest: bool = False) -> np.ndarray:
    """Which notes make the line that is heard first: indices into `notes` (NOTE), in time.

    Of the notes that begin at one step the highest, or with `lowest` the lowest; a note that begins
    under (over) one that still sounds for at least an eighth note is left out.
    """
    if not len(notes):
        return np.zeros(0, np.int64)
    step, sign = steps_of(notes["start"]), -1 if lowest else 1
    order = np.lexsort((notes["duration"], sign * notes["pitch"].astype(int), step))
    last = np.append(step[order][1:] != step[order][:-1], True)
    kept: list[int] = []
    for index in order[last]:
        note = notes[index]
        if kept:
            before = notes[kept[-1]]
            left = before["start"] + before["duration"] - note["start"]
            if left >= 0.5 and sign * (int(note["pitch"]) - int(before["pitch"])) < 0:
                continue
        kept.append(int(index))
    return np.array(kept, np.int64)


def line_tokens(notes: np.ndarray, steps: int) -> Ints:
    """Tokens (uint8, `steps` of them) of notes of which no two begin at one step, in time order.

    A note ends where the next begins. A gap of a sixteenth or less before it is no rest.
    """
    tokens = np.full(steps, HOLD, np.uint8)
    if not len(notes):
        return tokens
    start = steps_of(notes["start"])
    stop = np.maximum(steps_of(notes["start"] + notes["duration"]), start + 1)
    following = np.append(start[1:], steps + STEPS)
    rests = following - stop > SUSTAINED * STEPS
    ends = stop[rests]
    tokens[ends[ends < steps]] = OFF
    inside = (start >= 0) & (start < steps)
    tokens[start[inside]] = notes["pitch"][inside]
    return tokens


def line_notes(tokens: Ints) -> list[tuple[int, int, int]]:
    """(step, steps long, pitch) of each note in tokens; the last may sound to the end."""
    found: list[tuple[int, int, int]] = []
    begun: tuple[int, int] | None = None
    for step, token in enumerate([*map(int, tokens), OFF]):
        if token == HOLD:
            continue
        if begun is not None:
            found.append((begun[0], step - begun[0], begun[1]))
        begun = (step, token) if token < OFF else None
    return found


def drum_bits(notes: np.ndarray, steps: int) -> Bits:
    """Hits (`steps` x 9, 0 or 1) of drum notes; what no class of KIT stands for is left out."""
    bits = np.zeros((steps, len(KIT)), np.uint8)
    rows = np.array([CLASS_OF.get(int(p), -1) for p in notes["pitch"]], np.int64)
    step = steps_of(notes["start"])
    inside = (rows >= 0) & (step >= 0) & (step < steps)
    bits[step[inside], rows[inside]] = 1
    return bits


ATTRIBUTES = ("density", "range", "syncopation")


def attributes(phrase: Ints, metre: int) -> NDArray[np.float64]:
    """Density, range and syncopation of tokens or drum bits that begin with a bar.

    Density: onsets (of drums: hits) in a quarter note. Range: semitones from the lowest to the
    highest pitch (of drums: classes in use). Syncopation: for each onset (of drums: of kick and
    snare) that sounds on over a stronger step, how much stronger that one is (Longuet-Higgins & Lee
    1984; kick and snare as Witek et al. 2014), in a bar.
    """
    steps = len(phrase)
    if phrase.ndim == 2:
        count, width = int(phrase.sum()), int(phrase.any(0).sum())
        onset = phrase[:, :2].any(1)
    else:
        onset = phrase < OFF
        pitches = phrase[onset].astype(int)
        count, width = len(pitches), int(np.ptp(pitches)) if len(pitches) else 0
    weight = _weights(steps, metre)
    at = np.append(np.flatnonzero(onset), steps)
    held = [max(0.0, weight[a:b].max() - weight[a]) for a, b in itertools.pairwise(at)]
    return np.array([count * STEPS / steps, width, sum(held) * BARS[metre] / steps])


def _weights(steps: int, metre: int) -> NDArray[np.float64]:
    """How strong each step is: 0 for a downbeat, less for each level below it."""
    step, levels = np.arange(steps), _LEVELS[metre]
    weight = np.full(steps, 0.0)
    for level in levels:
        weight -= step % level != 0
    return weight
