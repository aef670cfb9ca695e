"""What an infilling model is told of a gap: the notes around it, and where they lie from it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from triptych.music.events import DURATIONS, FIELDS, PARTS, STATE, Bars

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


def sounding(array: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """Which pitches of EVENTs sound at each tick, T x 128 float32."""
    ends = array["tick"] + DURATIONS[array["duration"]]
    made = np.zeros((len(ticks), 128), np.float32)
    on = (array["tick"] <= ticks[:, None]) & (ends > ticks[:, None])
    rows, columns = np.nonzero(on)
    made[rows, array["pitch"][columns]] = 1
    return made
