"""Likelihood of JSB Chorales and Nottingham, nats a frame, against the published figures.

Trains first (seeds 0, 1, ...); with `--runs`, only what that folder lacks.
Everything is chosen on the validation split; the test split is read once per reported model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import results
import torch

from triptych.training.loop import Run, averaged, fit
from triptych.training.music import likelihood as lk

BARS = {"jsb": (7.72, 5.03), "nottingham": (2.92, 2.31)}
TITLES = {"jsb": "JSB Chorales", "nottingham": "Nottingham"}
SETTINGS = {
    "jsb": lk.LikelihoodSettings("jsb", decay=0.3, crop=81, shift=3),
    "nottingham": lk.LikelihoodSettings("nottingham", decay=0.1, dropout=0.1, channels=32),
}
LOOP: dict[str, dict[str, Any]] = {
    "jsb": {"steps": 500, "batch": 12, "ema": 0.97},
    "nottingham": {"steps": 450, "batch": 4, "ema": 0.985},
}


MEMBERS = {"jsb": 2, "nottingham": 1}  # networks that are averaged
SAMPLES = {"jsb": 32, "nottingham": 0}  # frames drawn for the chain's marginals


def main() -> None:
    """Train or load, measure, then write the section."""
    made = results.parser("Likelihood of two sets of polyphonic music.")
    made.add_argument("--data", choices=[*BARS], nargs="+", default=[*BARS])
    made.add_argument("--steps", type=int, help="of training, each network (default: the set's)")
    made.add_argument("--runs", type=Path, help="folder of the runs; those it lacks are trained")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as aside:
        folder = options.runs or Path(aside)
        rows = [row for name in options.data for row in measured(name, options, folder)]
    head = ("set", "model", "split", "independent", "bar", "joint", "bar")
    body = f"""{results.table(head, rows)}

Nats a frame: the sum over 88 keys of -log p of a frame given all frames before it, the mean over
the split's frames but each piece's first. Independent: the keys are independent given the past.
Joint: a chain over the frame's keys from low to high. One network gives both. With marginals, a
key's independent probability is the mean of the network's own and of its marginal in the chain,
over frames that are drawn from the chain given the past (seeded; the frame itself is not seen).
Where a network was trained with transpositions, it is also measured so: the mean of each key's
(conditional) probability over the piece at these heights; several networks are averaged alike. The
files' pieces stand in C already, and a transposed piece is given with its shift. Trained on the
training split alone; settings were chosen on validation; the weights are the running mean at the
last step."""
    results.publish(options, "Likelihood of polyphonic music", body)


def measured(name: str, options: argparse.Namespace, folder: Path) -> list[list[str]]:
    """Rows of the table: the two counts, then the networks on validation and test."""
    title, bars = TITLES[name], BARS[name]
    counts = zip(("keys alone", "each key given its last"), lk.baselines(name), strict=True)
    rows = [[title, what, "test", f"{value:.3f}", "", "", ""] for what, value in counts]
    nets, steps = [], []
    for seed in range(MEMBERS[name]):
        run = Run(folder / f"{name}-{seed}")
        if not run.checkpoint.is_file():
            train(name, seed, options.steps, run)
        nets.append(load(run))
        steps.append(str(run.step))
    most, samples = SETTINGS[name].shift, SAMPLES[name]
    shifts = range(-most, most + 1)
    model = f"{len(nets)} network(s), {' + '.join(steps)} steps; "
    model += f"transposed by up to {most} semitones; " if most else "no augmentation; "
    model += f"marginals of {samples} samples" if samples else "no marginals"
    for split in ("valid", "test"):
        values = lk.likelihood(nets, lk.read_pieces(name, split), shifts, samples)
        cells = [title, model, split]
        for value, bar, below in zip(values, bars, (np.less_equal, np.less), strict=True):
            held = results.verdict(bool(below(value, bar)))
            cells += [f"{value:.3f}", f"{bar}: {held}" if split == "test" else ""]
        rows.append(cells)
    return rows


def train(name: str, seed: int, steps: int | None, run: Run) -> None:
    """Train a network in the run's folder."""
    recipe = lk.LikelihoodRecipe(SETTINGS[name])
    for key, value in LOOP[name].items():
        setattr(recipe.loop, key, value)
    recipe.loop.seed, recipe.loop.steps = seed, steps or recipe.loop.steps
    run.settings = asdict(recipe.settings)
    fit(recipe, run)


def load(run: Run) -> lk.FrameNet:
    """The averaged network of a finished run."""
    known = {field.name for field in fields(lk.LikelihoodSettings)}
    given = json.loads((run.path / "settings.json").read_text())["settings"]
    settings = lk.LikelihoodSettings(**{k: v for k, v in given.items() if k in known})
    net = averaged(lk.LikelihoodRecipe(settings), run)["net"]
    assert isinstance(net, lk.FrameNet)
    return net.eval()


if __name__ == "__main__":
    main()
