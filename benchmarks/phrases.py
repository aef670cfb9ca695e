"""The phrase models on held-out clips: copies, ways between clips, attributes, prior samples."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import results

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.music import phrase_grid as grid
from triptych.music.phrases import INTERPOLATE, VARY, Model
from triptych.music.score import Score, Track, notes
from triptych.training.music import phrase_data
from triptych.training.music.phrase_data import Phrases

BARS = {"lines": 0.95, "drums": 0.92}
MUSICVAE = {"lines": 0.951, "drums": 0.917}
LENGTHS = {  # rows of the table of copies: what, kind and steps
    "melody and bass, 2 bars": ("lines-2-32", "lines-2-24"),
    "drums, 2 bars": ("drums-2-32", "drums-2-24"),
    "melody and bass, 4 bars": ("lines-4-64", "lines-4-48"),
    "drums, 4 bars": ("drums-4-64", "drums-4-48"),
}
STEPS = 7  # of an interpolation
MOVES = (-1.0, -0.5, 0.0, 0.5, 1.0)


def main() -> None:
    """Measure, then write the section and the figures."""
    made = results.parser("The phrase models on held-out clips.", "phrases")
    made.add_argument(
        "--clips", type=int, default=100, help="interpolations and moves of each kind"
    )
    options = made.parse_args()
    engine = Engine(["cpu"], threads=options.threads)
    model, found = Model(engine, Job()), phrase_data.phrases("test")
    figures: dict[str, tuple[float, str]] = {}
    parts = [
        copies(model, found, figures),
        ways(model, engine, found, options, figures),
        attributes(model, engine, found, options, figures),
        samples(model, found, figures),
    ]
    results.publish(options, "Phrases", "\n\n".join(parts))
    results.card_metrics(options, bundle.get_bundle("phrases"), figures)


def conditions(phrases: Phrases, rows: Any) -> np.ndarray:
    """What the network is told of these rows."""
    told = phrases.part[rows].astype(np.int64) * len(grid.METRES) + phrases.metre[rows]
    return np.asarray(told)


def copies(model: Model, found: dict[str, Phrases], figures: dict[str, tuple[float, str]]) -> str:
    """How much of a held-out phrase comes back from its latent mean."""
    rows, by_set = [], []
    for name, keys in LENGTHS.items():
        right, whole, sets = [], [], []
        for phrases in (found[key] for key in keys if key in found):
            kind, told = keys[0][:5], conditions(phrases, slice(None))
            z = model.encode(kind, phrases.steps, told)
            back = model.decode(kind, z, told, phrases.steps.shape[1])
            same = back == phrases.steps
            if kind == "drums":
                same = same.all(2)
            right.append(same.mean(1))
            whole.append(same.all(1))
            sets += [phrases.groups[g] for g in phrases.group]
        accuracy, group = np.concatenate(right), np.array(sets)
        # bars differ in steps, so that the mean is weighted by clips; a clip counts once
        means = {g: float(accuracy[group == g].mean()) for g in sorted(set(sets))}
        counts = {g: int((group == g).sum()) for g in means}
        kind, over_sets = keys[0][:5], float(np.mean([means[g] for g in means if counts[g] >= 50]))
        pooled = float(accuracy.mean())
        bar = BARS[kind] if "2 bars" in name else None
        rows.append(
            [
                name,
                len(accuracy),
                f"{pooled:.3f}",
                f"{over_sets:.3f}",
                f"{np.concatenate(whole).mean():.2f}",
                MUSICVAE[kind] if bar else "",
                f"{bar}: {results.verdict(pooled >= bar)}" if bar else "",
            ]
        )
        by_set.append([name, ", ".join(f"{g} {means[g]:.3f} ({counts[g]})" for g in means)])
        figures[f"reconstruction, {name}"] = (pooled, "steps right, held-out clips")
        figures[f"reconstruction, {name}, mean of sets"] = (over_sets, "steps right")
    head = (
        "clips",
        "number",
        "steps right",
        "mean of sets",
        "whole clips right",
        "MusicVAE",
        "bar",
    )
    return f"""**Copies.** A held-out clip is encoded, and its latent mean decoded in one pass (all
steps at once, most likely token; nothing of the clip is given to the decoder). A step is right if
its token is (melody and bass: 130 tokens), or if all nine drums are. Test pieces are other tunes,
songs or composers than the training's (JSB and Groove: their own splits); no clip stands in the
training part, in any key, and none twice. Gaps of a sixteenth count as articulation, not as rests.
4/4, 3/4 and 6/8 together. Mean of sets: of those with 50 clips or more.

{results.table(head, rows)}

By set (clips):

{results.table(("clips", "steps right"), by_set)}"""


def as_score(phrase: np.ndarray, metre: int, part: int = 0) -> Score:
    """A clip with this phrase."""
    if phrase.ndim == 2:
        rows = [(s / grid.STEPS, 0.1, grid.KIT[r], 80) for s, r in np.argwhere(phrase)]
    else:
        rows = [(s / grid.STEPS, n / grid.STEPS, p, 80) for s, n, p in grid.line_notes(phrase)]
    track = Track(notes(rows), "clip", 33 if part else 0, phrase.ndim == 2)
    top, bottom = map(int, grid.METRES[metre].split("/"))
    return Score((track,), metres=((0.0, top, bottom),), length=len(phrase) / grid.STEPS)


def steps_of(score: Score, start: int, count: int) -> np.ndarray:
    """The steps of a stretch of a score of one part."""
    track = score.tracks[0]
    whole = start + count
    if track.drums:
        return np.asarray(grid.drum_bits(track.notes, whole)[start:])
    return np.asarray(grid.line_tokens(track.notes, whole)[start:])


def one_way(values: Sequence[float]) -> bool:
    """Whether values never shrink."""
    return all(a <= b for a, b in itertools.pairwise(values))


def ways(
    model: Model,
    engine: Engine,
    found: dict[str, Phrases],
    options: argparse.Namespace,
    figures: dict[str, tuple[float, str]],
) -> str:
    """Whether interpolations move away from the one clip and towards the other."""
    rows, curves = [], []
    rng = np.random.default_rng(1)
    for kind in ("lines", "drums"):
        phrases = found[f"{kind}-2-32"]
        plain, taken, new, mean = [], [], [], []
        for _ in range(options.clips):
            a, b = rng.choice(len(phrases.steps), 2, replace=False)
            told = conditions(phrases, [a])[0]
            z = model.encode(kind, phrases.steps[[a, b]], [told, told])
            at = np.linspace(0, 1, STEPS)[:, None]
            raw = model.decode(kind, z[0] + at * (z[1] - z[0]), [told] * STEPS, 32)
            plain.append(_both_ways(raw, raw[0], raw[-1]))
            ends = [as_score(phrases.steps[i], 0, int(phrases.part[i])) for i in (a, b)]
            made = INTERPOLATE.run(ends[0], engine=engine, other=ends[1], steps=STEPS).made
            walk = np.stack([steps_of(made, 32 * k, 32) for k in range(STEPS)])
            taken.append(_both_ways(walk, walk[0], walk[-1]))
            new.append(len({step.tobytes() for step in walk}))
            differ = (walk != walk[0]).reshape(STEPS, -1).sum(1)
            mean.append(differ / max(1, differ[-1]))
        rows.append([kind, f"{np.mean(plain):.2f}", f"{np.mean(taken):.2f}", f"{np.mean(new):.1f}"])
        curves.append([kind, *(f"{v:.2f}" for v in np.mean(mean, 0))])
        figures[f"interpolations that move one way, {kind}"] = (float(np.mean(taken)), "share")
    head = ("kind", "decoded as they are", "as the task gives them", f"distinct clips of {STEPS}")
    return f"""**Interpolations** of {options.clips} pairs of held-out clips of each kind in {STEPS}
steps: the share in which no step is nearer to the first clip, or farther from the last, than the
step before (distance: the grid steps, of drums the hits, that differ), for the network's phrases on
a straight line between the latent means, and for those that the task `interpolate` takes.

{results.table(head, rows)}

Mean distance from the first clip, as a share of the whole way:

{results.table(("kind", *(f"step {k + 1}" for k in range(STEPS))), curves)}"""


def _both_ways(walk: np.ndarray, first: np.ndarray, last: np.ndarray) -> bool:
    leaving = (walk != first).reshape(len(walk), -1).sum(1)
    nearing = (walk != last).reshape(len(walk), -1).sum(1)
    return one_way(leaving.tolist()) and one_way(nearing[::-1].tolist())


def attributes(
    model: Model,
    engine: Engine,
    found: dict[str, Phrases],
    options: argparse.Namespace,
    figures: dict[str, tuple[float, str]],
) -> str:
    """What a move along each attribute does to the attributes that are then measured."""
    rows = []
    rng = np.random.default_rng(2)
    for kind in ("lines", "drums"):
        phrases = found[f"{kind}-2-32"]
        picked = rng.choice(len(phrases.steps), options.clips, replace=False)
        told = conditions(phrases, picked)
        z = model.encode(kind, phrases.steps[picked], told)
        directions, units = model.tables[f"{kind}-directions"], model.tables[f"{kind}-units"]
        for place, name in enumerate(grid.ATTRIBUTES):
            raw, done = [], []
            for move in MOVES:
                walk = model.decode(kind, z + move * directions[place], told, 32)
                raw.append([grid.attributes(p, 0) for p in walk])
                row = []
                for i in picked:
                    clip = as_score(phrases.steps[i], 0, int(phrases.part[i]))
                    values: dict[str, Any] = {"amount": 0.0, name: move}
                    made = VARY.run(clip, engine=engine, **values).made
                    row.append(grid.attributes(steps_of(made, 0, 32), 0))
                done.append(row)
            plain, given = np.array(raw), np.array(done)  # moves x clips x attributes
            share = [
                np.mean([one_way(column) for column in values[:, :, place].T])
                for values in (plain, given)
            ]
            beside = np.delete((given[-1] - given[0]) / (2 * units), place, axis=1)
            rows.append(
                [
                    kind,
                    name,
                    " ".join(f"{v:.2f}" for v in plain[:, :, place].mean(1)),
                    f"{share[0]:.2f}",
                    " ".join(f"{v:.2f}" for v in given[:, :, place].mean(1)),
                    f"{share[1]:.2f}",
                    f"{np.abs(beside.mean(0)).max():.2f}",
                ]
            )
            rise = float((given[-1] - given[0])[:, place].mean() / (2 * units[place]))
            figures[f"{name} of {kind} moves one way"] = (float(share[1]), "share of clips")
            figures[f"{name} of {kind}, reached of a whole move"] = (rise, "share")
    said = " ".join(str(m) for m in MOVES)
    head = ("kind", "attribute", "decoded: means", "one way", "task: means", "one way", "others")
    return f"""**Attributes** of {options.clips} held-out clips of each kind at the moves {said}:
means over clips and the share of clips in which the attribute never falls, for the network's phrase
at the latent mean plus the move (directions by ridge regression over training phrases; see the
card), and for what the task `vary` gives with amount 0. Others: the largest mean change of another
attribute, as a share of its own whole move. Density: onsets a quarter note; range: semitones, or
drums in use; syncopation: see `phrase_grid.attributes`.

{results.table(head, rows)}"""


def samples(model: Model, found: dict[str, Phrases], figures: dict[str, tuple[float, str]]) -> str:
    """Statistics of phrases from the prior beside those of held-out ones."""
    rows: list[list[Any]] = []
    rng = np.random.default_rng(3)
    for kind in ("lines", "drums"):
        phrases = found[f"{kind}-2-32"]
        picked = rng.choice(len(phrases.steps), 500, replace=False)
        told = conditions(phrases, picked)
        size = model.tables[f"{kind}-directions"].shape[1]
        z = rng.standard_normal((500, size)).astype(np.float32)
        drawn = model.decode(kind, z, told, 32)
        fitted = np.stack([model.new(kind, int(t), 32, rng)[0] for t in told])
        describe = _drums if kind == "drums" else _line
        real = [describe(p) for p in phrases.steps[picked]]
        sides = [real, *([describe(p) for p in phrases] for phrases in (drawn, fitted))]
        for key in real[0]:
            values = [np.array([d[key] for d in side if key in d]) for side in sides]
            rows.append([kind, key, *(f"{v.mean():.2f} ± {v.std():.2f}" for v in values)])
        distinct = len({p.tobytes() for p in fitted})
        figures[f"distinct new phrases of 500, {kind}"] = (float(distinct), "")
    head = ("kind", "of a clip of 2 bars", "held-out clips", "prior", "new phrases of the task")
    return f"""**Samples** (most likely tokens) beside 500 held-out clips under the same conditions,
mean ± deviation: latents from the prior, the standard normal distribution, and new phrases as
`vary` draws them, from a Gaussian fitted to training phrases (lines in one key; of eight lines the
one with the fewest leaps above an octave):

{results.table(head, rows)}"""


def _line(tokens: np.ndarray) -> dict[str, float]:
    """What is heard in a line."""
    density, width, syncopation = grid.attributes(tokens, 0)
    found = grid.line_notes(tokens)
    pitches = np.array([p for _, _, p in found])
    if len(pitches) < 2:
        return {"onsets a quarter": float(density)}
    leaps = np.abs(np.diff(pitches))
    major = np.zeros((12, 12), bool)
    for tonic in range(12):
        major[tonic, (tonic + np.array([0, 2, 4, 5, 7, 9, 11])) % 12] = True
    return {
        "onsets a quarter": float(density),
        "range": float(width),
        "syncopation": float(syncopation),
        "notes in one diatonic scale": float(major[:, pitches % 12].mean(1).max()),
        "steps of at most a whole tone": float(((leaps > 0) & (leaps <= 2)).mean()),
        "repeated pitches": float((leaps == 0).mean()),
        "leaps above an octave": float((leaps > 12).mean()),
        "onsets on the beat": float(np.mean([s % 4 == 0 for s, _, _ in found])),
    }


def _drums(bits: np.ndarray) -> dict[str, float]:
    """What is heard in a drum pattern."""
    density, width, syncopation = grid.attributes(bits, 0)
    bars = bits.reshape(2, 16, 9)
    return {
        "hits a quarter": float(density),
        "drums in use": float(width),
        "syncopation": float(syncopation),
        "kick on one": float(bars[:, 0, 0].mean()),
        "snare on two and four": float(bars[:, [4, 12], 1].mean()),
        "bars alike": float((bars[0] == bars[1]).all(1).mean()),
        "hits of kick": float(bits[:, 0].sum()),
        "hits of snare": float(bits[:, 1].sum()),
        "hits of cymbals": float(bits[:, [2, 3, 7, 8]].sum()),
    }


if __name__ == "__main__":
    main()
