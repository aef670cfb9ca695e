"""Likelihood of JSB Chorales and Nottingham, nats a frame, against the published figures.

Without `--runs`, trains first (`--minutes` each, seeds 0, 1, ...); with it, loads runs made so.
Everything is chosen on the validation split; the test split is read once per reported model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import results
import torch

from triptych.training.loop import Run, averaged, fit
from triptych.training.music import likelihood as lk

BARS = {"jsb": (7.72, 5.03), "nottingham": (2.92, 2.31)}
TITLES = {"jsb": "JSB Chorales", "nottingham": "Nottingham"}
SETTINGS: dict[str, dict[str, float]] = {"jsb": {}, "nottingham": {}}


def main() -> None:
    """Train or load, measure, then write the section."""
    made = results.parser("Likelihood of two sets of polyphonic music.")
    made.add_argument("--data", choices=[*BARS], nargs="+", default=[*BARS])
    made.add_argument("--minutes", type=float, default=20, help="of training, each network")
    made.add_argument("--members", type=int, default=1, help="networks that are averaged")
    made.add_argument("--runs", type=Path, help="folder of runs; made there when they are missing")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as aside:
        rows = [row for name in options.data for row in measured(name, options, Path(aside))]
    head = ("set", "model", "independent", "bar", "held", "joint", "bar", "held")
    results.publish(options, "Likelihood of polyphonic music", results.table(head, rows))


def measured(name: str, options: argparse.Namespace, aside: Path) -> list[list[str]]:
    """Rows of the table: baselines, then the networks on validation and test."""
    raise NotImplementedError


def trained(name: str, seed: int, minutes: float, folder: Path) -> lk.FrameNet:
    """The network of a run in `folder`, which is trained when it is not there."""
    raise NotImplementedError


def load(folder: Path) -> lk.FrameNet:
    """The averaged network of a finished run."""
    known = {field.name for field in fields(lk.LikelihoodSettings)}
    file, given = folder / "settings.json", {}
    if file.is_file():
        given = json.loads(file.read_text())["settings"]
    settings = lk.LikelihoodSettings(**{k: v for k, v in given.items() if k in known})
    net = averaged(lk.LikelihoodRecipe(settings), Run(folder))["net"]
    assert isinstance(net, lk.FrameNet)
    return net.eval()


def baselines(name: str) -> tuple[float, float]:
    """Nats a frame of two counts on the training split: each key alone, each key given its last.

    Both add one half to each count, and score the test split from each piece's second frame on.
    """
    train, test = lk.read_pieces(name, "train"), lk.read_pieces(name, "test")
    frames = np.concatenate(train)
    p = (frames.sum(0) + 0.5) / (len(frames) + 1)
    before, after = (np.concatenate([f(x) for x in train]) for f in (_first, _last))
    q = [
        ((after * (before == v)).sum(0) + 0.5) / ((before == v).sum(0) + 1) for v in (0, 1)
    ]
    before, after = (np.concatenate([f(x) for x in test]) for f in (_first, _last))
    chances = (np.broadcast_to(p, after.shape), np.where(before > 0, q[1], q[0]))
    found = [-np.log(np.where(after > 0, c, 1 - c)).sum(1).mean() for c in chances]
    return float(found[0]), float(found[1])


def _first(piece: np.ndarray) -> np.ndarray:
    return piece[:-1]


def _last(piece: np.ndarray) -> np.ndarray:
    return piece[1:]


if __name__ == "__main__":
    main()
