"""Rules of part writing for voices that sing together (Piston, Harmony, ch. 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triptych.music.events import DURATIONS

_PERFECT = (0, 7)  # octaves and unisons, fifths: not twice in a row between the same voices


def led(
    allowed: np.ndarray, part: int, tick: int, notes: np.ndarray, voices: Sequence[int]
) -> np.ndarray:
    """Of the pitches `allowed` (128 booleans) for a note of `part` at `tick`, those that lead well.

    `voices` are all parts from the highest to the lowest, `notes` their EVENTs so far. A voice
    keeps between its neighbours, does not move in parallel fifths or octaves with one that moves at
    this tick, does not sing what another sings, keeps within an octave of the one above (but the
    bass) and within an octave and a fifth of where it was. In this order: a rule that would leave
    no pitch is not kept.
    """
    place = voices.index(part)
    pitches = np.arange(128)
    own = _before(notes, part, tick)
    between = np.ones(128, bool)
    parallel, taken, near = np.zeros(128, bool), np.zeros(128, bool), np.ones(128, bool)
    for other, voice in enumerate(voices):
        now = _sounding(notes, voice, tick)
        if other == place or now is None:
            continue
        taken[now] = True
        between &= pitches <= now if other < place else pitches >= now
        if other == place - 1 and place < len(voices) - 1:
            near = pitches >= now - 12
        earlier = _before(notes, voice, tick)
        if own is None or earlier is None or earlier == now:
            continue
        interval = (earlier - own) % 12
        if interval in _PERFECT:
            parallel |= (pitches != own) & ((now - pitches) % 12 == interval)
    rules = [between, ~parallel, ~taken, near]
    if own is not None:
        rules.append(abs(pitches - own) <= 19)
    for rule in rules:
        if (allowed & rule).any():
            allowed = allowed & rule
    return allowed


def _sounding(notes: np.ndarray, part: int, tick: int) -> int | None:
    """The pitch of a part at a tick."""
    on = (notes["part"] == part) & (notes["tick"] <= tick)
    found = notes[on & (notes["tick"] + DURATIONS[notes["duration"]] > tick)]
    return int(found["pitch"][-1]) if len(found) else None


def _before(notes: np.ndarray, part: int, tick: int) -> int | None:
    """The pitch of a part's last note before a tick."""
    found = notes[(notes["part"] == part) & (notes["tick"] < tick)]
    return int(found["pitch"][np.argmax(found["tick"])]) if len(found) else None
