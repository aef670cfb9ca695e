"""Originality: how often a made melody repeats a phrase of the training data.

A phrase is eight notes in a row of one part: the intervals between them and the ratios of their
steps in time, so that it is found again in any key and at any speed. The share of made phrases that
stand anywhere in the training data is compared with that of tunes that were held out: what a tune
has in common with others is the style, what is beyond that was learned by heart.
"""

from __future__ import annotations

import numpy as np
import results

from triptych import bundle
from triptych.engine import Engine
from triptych.music import events
from triptych.music.melody import MELODY
from triptych.training import data
from triptych.training.music import score_data

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


def main() -> None:
    """Measure and publish."""
    options = results.parser(__doc__ or "", "score")
    options.add_argument("--tunes", type=int, default=24, help="melodies made of each kind")
    given = options.parse_args()
    every = score_data.pieces(data.data_root())
    known: set[bytes] = set()
    for piece in every:
        if piece.split == "train":
            known |= phrases(piece.events)
    engine = Engine(["cpu"], given.threads)
    rows = []
    for kind in KINDS:
        place = events.COLLECTIONS.index(kind)
        held = [p.events for p in every if p.split != "train" and p.collection == place]
        made = []
        for seed in range(given.tunes):
            score = MELODY.run(engine=engine, collection=kind, bars=32, seed=seed).made
            made.append(events.events(score))
        ours, count = repeated(made, known)
        theirs, _ = repeated(held, known)
        verdict = "yes" if ours <= theirs else "**no**"
        rows.append((kind, count, f"{100 * ours:.2f} %", f"{100 * theirs:.2f} %", verdict))
    head = ("kind", "made phrases", "of these in the training data", "held-out tunes", "no more")
    results.publish(given, "Originality of melodies", results.table(head, rows))
    results.card_metrics(
        given,
        bundle.get_bundle("score", "score"),
        {f"phrases also in the training data, {r[0]}": (float(str(r[2])[:-2]), "%") for r in rows},
    )


if __name__ == "__main__":
    main()
