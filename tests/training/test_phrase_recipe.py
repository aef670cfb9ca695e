"""The recipe of the phrases, on a little made-up data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from triptych import bundle
from triptych.music import phrase_grid as grid
from triptych.music.score import NOTE, notes
from triptych.training import data, loop
from triptych.training.loop import Run
from triptych.training.music import phrase_data
from triptych.training.music.phrase_data import Phrases, Piece
from triptych.training.music.phrases import PhraseRecipe, PhraseSettings


class Tiny(PhraseRecipe):
    def sources(self) -> list[data.Source]:
        return []

    def phrases(self) -> dict[str, Phrases]:
        rng = np.random.default_rng(0)
        lines = np.full((40, 32), grid.HOLD, np.uint8)
        lines[:, ::4] = rng.integers(60, 72, (40, 8))
        hits = (rng.random((40, 32, 9)) < 0.2).astype(np.uint8)
        zero = np.zeros(40, np.uint8)
        return {
            "lines-2-32": Phrases(lines, zero, zero, zero, ("tiny",)),
            "drums-2-32": Phrases(hits, zero, zero, zero, ("tiny",)),
        }


def recipe(**changes: object) -> Tiny:
    small = {"width": 48, "depth": (1, 1), "latent": 16}
    small |= {"drums_width": 48, "drums_depth": (1, 1), "drums_latent": 16}
    made = Tiny(PhraseSettings(**{**small, **changes}))  # type: ignore[arg-type]
    made.loop = loop.LoopSettings(steps=30, batch=8, warmup=2, ema=0.5, precision="32-true")
    made.loop.accelerator = "cpu"
    return made


def test_training_lowers_the_loss_and_the_bundle_is_whole(tmp_path: Path):
    made = recipe()
    run = loop.fit(made, Run(tmp_path / "run"))
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    head = rows[0].split(",")
    losses = [float(row.split(",")[head.index("lines")]) for row in rows[1:]]
    assert losses[-1] < 19
    folder = made.export(loop.averaged(made, run), run, tmp_path / "phrases")
    opened = bundle.open_bundle(folder)
    assert set(opened.card.graphs) == {
        f"{kind}-{side}" for kind in ("lines", "drums") for side in ("encoder", "decoder")
    }
    with np.load(opened.file("latents.npz")) as stored:
        assert stored["lines-directions"].shape == (3, 16)
        assert stored["drums-units"].shape == (3,)
        assert stored["lines-0-32-axes"].shape == (16, 16)


def test_an_example_depends_on_its_number_alone():
    made = recipe()
    made.setup(torch.device("cpu"))
    whole = made.batch(range(8), torch.device("cpu"))
    half = made.batch(range(4, 8), torch.device("cpu"))
    for kind in ("lines", "drums"):
        assert torch.equal(whole[kind].phrase[4:], half[kind].phrase)


def test_a_run_of_one_part_takes_the_other_from_a_run(tmp_path: Path, monkeypatch):
    drums = recipe(part="drums")
    run = Run(tmp_path / "drums", settings=vars(drums.settings))
    loop.fit(drums, run)
    lines = recipe(part="lines", joined=tmp_path / "drums")
    done = loop.fit(lines, Run(tmp_path / "lines"))
    monkeypatch.setattr(lines, "_joined", lambda path: (drums, run))
    folder = lines.export(loop.averaged(lines, done), done, tmp_path / "phrases")
    assert len(bundle.open_bundle(folder).card.graphs) == 4


def piece(split: str, shift: int = 0, group: str = "tiny") -> Piece:
    rows = [(i * 0.5, 0.5, 60 + shift + i % 7, 80) for i in range(32)]
    return Piece(group, split, 0, [(0, notes(rows))], np.zeros(0, NOTE))


def test_a_phrase_is_in_one_split_only_in_any_key():
    cuts = phrase_data.extract([piece("train", 3), piece("test")])
    assert set(cuts) == {"test-lines-2-32", "test-lines-4-64"}


def test_phrases_are_there_once_up_to_transposition():
    once = phrase_data.extract([piece("train")])
    twice = phrase_data.extract([piece("train"), piece("train", 5)])
    assert {k: len(v.steps) for k, v in once.items()} == {k: len(v.steps) for k, v in twice.items()}


def test_silence_and_triplets_are_left_out():
    triplets = [(i / 3, 0.3, 60 + i % 5, 80) for i in range(48)]
    silent = [(0.0, 1.0, 60, 80), (0.5, 1.0, 62, 80), (15.0, 1.0, 60, 80)]
    for rows in (triplets, silent):
        found = Piece("tiny", "train", 0, [(0, notes(rows))], np.zeros(0, NOTE))
        assert not phrase_data.extract([found])


@pytest.mark.parametrize(
    ("one", "other"), [("Dvořák, Antonín", "DvorakA"), ("Schubert, Franz", "SchubertF")]
)
def test_a_composer_is_known_by_any_spelling(one: str, other: str):
    assert phrase_data._composer(one) == phrase_data._composer(other)
