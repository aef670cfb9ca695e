"""Originality: how often what the music models make repeats a phrase of the training data.

A phrase is eight notes in a row of one part: the intervals between them and the ratios of their
steps in time, so that it is found again in any key and at any speed. The share of made phrases that
stand anywhere in the training data is compared with that of pieces that were held out, of the same
kind and parts: what they have in common with others is the style, what is beyond that was learned
by heart. Harmonies and accompaniments are made for held-out melodies and count without these;
variations are made of held-out clips, of which they keep nothing on purpose (amount 1).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import numpy as np
import results

from triptych import bundle
from triptych.engine import Engine
from triptych.music import events
from triptych.music.fill import ACCOMPANY, HARMONISE
from triptych.music.melody import MELODY
from triptych.music.score import Score, Track
from triptych.task import Task, get_task
from triptych.training import data
from triptych.training.music import phrase_data, score_data
from triptych.training.music.score_data import Piece

Row = tuple[Any, ...]

LENGTH = 8  # notes
KINDS = ("folk tune", "hymn", "art song", "string quartet", "rock and electronic")


def phrases(array: np.ndarray) -> set[bytes]:
    """Every phrase in an array of EVENT: of each part its highest notes, one after another."""
    found = set()
    for part in np.unique(array["part"]):
        if part == events.DRUMS:
            continue
        line = array[array["part"] == part]
        last = np.append(line["tick"][1:] != line["tick"][:-1], True)  # sorted upwards
        line = line[last]
        intervals = np.diff(line["pitch"]).astype(np.int8)
        steps = np.diff(line["tick"])
        for at in range(len(line) - LENGTH + 1):
            tones = intervals[at : at + LENGTH - 1]
            times = steps[at : at + LENGTH - 1]
            shape = (times // max(np.gcd.reduce(times), 1)).clip(0, 127).astype(np.int8)
            if tones.any():  # one note repeated is nobody's
                found.add(tones.tobytes() + shape.tobytes())
    return found


def repeated(arrays: list[np.ndarray], known: set[bytes]) -> tuple[float, int]:
    """The share of these pieces' phrases that are among `known`, and how many they have."""
    every = [phrase for array in arrays for phrase in phrases(array)]
    return sum(phrase in known for phrase in every) / max(len(every), 1), len(every)


def melodies(options: argparse.Namespace, engine: Engine, every: list[Piece]) -> list[Row]:
    """Tunes by the bundle `score`, by their kind."""
    known = phrases_of(p.events for p in every if p.split == "train")
    rows = []
    for kind in KINDS:
        held = [p.events for p in held_out(every, kind)]
        made = [
            events.events(MELODY.run(engine=engine, collection=kind, bars=32, seed=seed).made)
            for seed in range(options.pieces)
        ]
        rows.append(row("score", f"melody: {kind}", made, held, known))
    return rows


def added(options: argparse.Namespace, engine: Engine, every: list[Piece]) -> list[Row]:
    """What the bundle `infill` adds to held-out melodies."""
    known = phrases_of(p.events for p in every if p.split == "train")
    rows = []
    cases: tuple[tuple[str, str, Task, int, dict[str, Any]], ...] = (
        ("harmonise: chorale", "chorale", HARMONISE, 24, {"collection": "chorale"}),
        ("harmonise: hymn", "hymn", HARMONISE, 0, {"collection": "hymn"}),
        ("accompany: piano", "art song", ACCOMPANY, 24, {"band": "piano"}),
        ("accompany: strings", "string quartet", ACCOMPANY, 20, {"band": "strings"}),
    )
    for title, kind, task, lead, values in cases:
        held, made = [], []
        for seed, piece in enumerate(held_out(every, kind)[: options.pieces]):
            tune = piece.events[piece.events["part"] == lead]
            rest = piece.events[piece.events["part"] != lead]
            if len(tune) < LENGTH or len(rest) < LENGTH:
                continue
            given = Score(
                (Track(events.notes_of(tune)),), length=float(piece.bars.starts[-1]) / events.TICKS
            )
            score = task.run(given, engine=engine, seed=seed, track=1, **values).made
            held.append(rest)
            made.append(events.events(score.with_tracks(score.tracks[1:])))
        rows.append(row("infill", title, made, held, known))
    return rows


def variations(options: argparse.Namespace, engine: Engine) -> list[Row]:
    """Variations of the first four bars of held-out melodies, by the bundle `phrases`."""
    train, held = [], []
    for piece in phrase_data.pieces():
        lines = [events.of_track(Track(notes), part) for part, (_, notes) in enumerate(piece.lines)]
        if piece.split == "train":
            train += lines
        elif lines and len(lines[0]) >= LENGTH:
            held.append(piece.lines[0][1])
    random = np.random.default_rng(0)
    chosen = [held[i] for i in random.permutation(len(held))[: 4 * options.pieces]]
    clips = [Score((Track(notes[notes["start"] < 16]),), length=16.0) for notes in chosen]
    clips = [clip for clip in clips if clip.count >= LENGTH]
    made = [
        events.events(get_task("vary").run(clip, engine=engine, amount=1.0, seed=seed).made)
        for seed, clip in enumerate(clips)
    ]
    given = [events.events(clip) for clip in clips]
    return [row("phrases", "vary: a melody", made, given, phrases_of(train))]


def held_out(every: list[Piece], kind: str) -> list[Piece]:
    """The pieces of a kind that are not of the training split."""
    place = events.COLLECTIONS.index(kind)
    return [p for p in every if p.split != "train" and p.collection == place]


def phrases_of(arrays: Iterable[np.ndarray]) -> set[bytes]:
    """Every phrase in these arrays of EVENT."""
    return set().union(*map(phrases, arrays))


def row(
    owner: str, title: str, made: list[np.ndarray], held: list[np.ndarray], known: set[bytes]
) -> Row:
    """A bundle, what it did, how many phrases, the two shares in per cent and the verdict."""
    ours, count = repeated(made, known)
    theirs, _ = repeated(held, known)
    return (
        *(owner, title, count, f"{100 * ours:.2f} %", f"{100 * theirs:.2f} %"),
        results.verdict(ours <= theirs),
    )


def main() -> None:
    """Measure and publish."""
    options = results.parser(__doc__ or "", "score")
    options.add_argument("--pieces", type=int, default=24, help="made of each kind")
    given = options.parse_args()
    every = score_data.pieces(data.data_root())
    engine = Engine(["cpu"], given.threads)
    rows = melodies(given, engine, every) + variations(given, engine)
    if bundle.find_bundles("infill"):
        rows += added(given, engine, every)
    head = ("bundle", "what", "phrases", "in the training data", "of held-out pieces", "no more")
    results.publish(given, "Originality", results.table(head, rows))
    for name in sorted({r[0] for r in rows}):
        figures = {
            f"phrases also in the training data, {r[1]}": (float(str(r[3])[:-2]), "%")
            for r in rows
            if r[0] == name
        }
        found = next(b for b in bundle.find_bundles(name) if b.card.name == name)
        results.card_metrics(given, found, figures)


if __name__ == "__main__":
    main()
