"""Drumming for the recipe `groove`: the Groove MIDI Dataset on a grid, by its own split."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from triptych.errors import UserError
from triptych.music.kit import STEPS, STYLES, WINDOW, Grid, grid_of
from triptych.training import data
from triptych.training.music.score_data import score_from


@dataclass(frozen=True, eq=False)
class Performance:
    """One take on a grid (T x 9): its style (an index of STYLES, or -1), split and metre."""

    name: str
    grid: Grid
    style: int
    split: str  # "train", "validation" or "test"
    metre: str  # as info.csv has it: "4-4"


def performances(source: data.Source) -> list[Performance]:
    """Every take of the set, whose `info.csv` names style and split; UserError without that."""
    try:
        text = source.read("info.csv").decode()
        rows = {row["midi_filename"]: row for row in csv.DictReader(io.StringIO(text))}
        return [
            performance(name, content, rows[name])
            for name, content in source.files()
            if name in rows
        ]
    except (KeyError, ValueError) as error:
        raise UserError(f"{source.path.name} is not the Groove MIDI Dataset") from error


def performance(name: str, content: bytes, row: dict[str, Any]) -> Performance:
    """One MIDI file with its row of `info.csv`; steps up to the end of its last bar."""
    score = score_from(content)
    score = score.with_tracks(score.tracks, 0.0)
    notes = np.concatenate([track.notes for track in score.tracks])
    last = float(notes["start"].max(initial=0.0)) + 0.5 / STEPS + 1e-6
    bars = score.bar_starts(last)
    count = max(WINDOW, int(np.ceil(bars[-1] * STEPS)))
    style = row["style"].partition("/")[0]
    return Performance(
        name,
        grid_of(score, notes, count),
        STYLES.index(style) if style in STYLES else -1,
        row["split"],
        row["time_signature"],
    )


def two_bars(takes: list[Performance]) -> list[tuple[Performance, int]]:
    """The windows of the benchmark: takes in 4/4, two bars each, one bar apart, with their first
    step; none without a hit (Gillick et al. 2019, section 4.1)."""
    return [
        (take, start)
        for take in takes
        if take.metre == "4-4"
        for start in range(0, len(take.grid) - WINDOW + 1, WINDOW // 2)
        if take.grid.hits[start : start + WINDOW].any()
    ]


def cut(takes: list[tuple[Performance, int]]) -> Grid:
    """Windows of takes as one batch, N x WINDOW x 9."""
    names = ("hits", "velocity", "offset", "place", "tempo", "written")
    columns: dict[str, Any] = {
        name: np.stack([getattr(take.grid, name)[start : start + WINDOW] for take, start in takes])
        for name in names
    }
    return Grid(**columns)


def ahead(takes: Iterable[Performance]) -> float:
    """By how many seconds half of all hits are at least before their step."""
    offsets = [(t.grid.offset * 15 / t.grid.tempo[:, None])[t.grid.hits > 0] for t in takes]
    return -float(np.median(np.concatenate(offsets)))
