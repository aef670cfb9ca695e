"""Melodies and continuations: whatever the model wants, the constraints hold."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.client import Worker, WorkerError
from triptych.engine import Engine, Job
from triptych.errors import Cancelled, UserError
from triptych.models import models
from triptych.music import events, melody, midi
from triptych.music.melody import CONTINUE, MELODY
from triptych.music.score import Score, Track, notes
from triptych.music.theory import parse_chords, parse_key
from triptych.training.loop import Run, averaged, fit
from triptych.training.music.event_net import EventNet
from triptych.training.music.own_score import OwnScoreRecipe, OwnScoreSettings
from triptych.training.music.score import ScoreRecipe, ScoreSettings


class _Small(ScoreRecipe):
    """The recipe without data, for a net that has learned nothing: the worst that can be drawn."""

    def sources(self) -> list[Any]:
        return []

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        return {}


@pytest.fixture(scope="module", autouse=True)
def user(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("user")
    torch.manual_seed(0)
    recipe = _Small(ScoreSettings("wild"))
    recipe.export({"net": EventNet(32, 1)}, Run(folder / "run"), folder / "bundles" / "wild")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(folder))
        yield folder


ENGINE = Engine(["cpu"], threads=1)


def made(task: Any = MELODY, given: Score | None = None, **values: Any) -> Score:
    score = task.run(given, engine=ENGINE, model="wild", **values).made
    assert isinstance(score, Score)
    return score


KEYS = st.sampled_from(["C", "F#m", "Bb dorian", "Eb minor pentatonic", "B blues"])
METRES = st.sampled_from(["2/4", "3/4", "4/4", "5/4", "6/8", "7/8"])


@given(
    key=KEYS,
    metre=METRES,
    bars=st.integers(1, 4),
    low=st.integers(40, 60),
    reach=st.integers(12, 40),
    polyphony=st.integers(1, 3),
    triplets=st.booleans(),
    density=st.floats(-1, 1),
    temperature=st.floats(0.2, 2),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=25, deadline=None)
def test_a_constraint_is_never_violated(
    key: str,
    metre: str,
    bars: int,
    low: int,
    reach: int,
    polyphony: int,
    triplets: bool,
    **values: Any,
) -> None:
    try:
        score = made(
            key=key,
            metre=metre,
            bars=bars,
            lowest=low,
            highest=low + reach,
            polyphony=polyphony,
            triplets=triplets,
            **values,
        )
    except UserError as error:
        assert "no note came of it" in str(error)
        return
    top, bottom = melody.parse_metre(metre)
    assert score.length == bars * top * 4 / bottom
    assert len(score.bar_starts()) == bars + 1
    n = score.tracks[0].notes
    ends = n["start"] + n["duration"]
    assert set(n["pitch"] % 12) <= parse_key(key).classes
    assert n["pitch"].min() >= low
    assert n["pitch"].max() <= low + reach
    assert ends.max() <= score.length + 1e-6
    places = np.rint(n["start"] * events.TICKS).astype(int) % events.TICKS
    assert set(places % 3) <= {0} if not triplets else set(places) <= {0, 3, 4, 6, 8, 9}
    for start in n["start"]:
        assert np.sum((n["start"] <= start + 1e-6) & (ends > start + 1e-6)) <= polyphony


@given(
    chords=st.lists(
        st.sampled_from(["Am7", "D7 G", "Gmaj7", "%", "C/E", "F#m7b5 B7"]), min_size=1, max_size=4
    ),
    seed=st.integers(0, 1000),
)
@settings(max_examples=15, deadline=None)
def test_notes_on_beats_belong_to_the_chords(chords: list[str], seed: int) -> None:
    text = " | ".join(["Cmaj7", *chords])
    score = made(bars=2 * (len(chords) + 1), chords=text, key="C", seed=seed, density=1.0)
    track = parse_chords(text, 4.0)
    period = 4.0 * (len(chords) + 1)
    for note in score.tracks[0].notes:
        beat = note["start"] % period
        (chord,) = [c for at, long, c in track if at <= beat < at + long]
        allowed = chord.classes if beat % 1 == 0 else chord.classes | parse_key("C").classes
        assert note["pitch"] % 12 in allowed
        ends = beat + note["duration"]
        for at, _, later in track:
            for start in (at, at + period):  # nor does it sound on into another chord
                assert not beat < start < ends - 1e-6 or note["pitch"] % 12 in later.classes


def test_a_seed_repeats_and_another_differs() -> None:
    def rows(seed: int) -> list[Any]:
        return made(seed=seed, bars=4).tracks[0].notes.tolist()

    assert rows(3) == rows(3)
    assert len({str(rows(seed)) for seed in range(6)}) == 6


def test_swing_delays_the_off_beats_and_keeps_the_order() -> None:
    straight = Score((Track(notes([(i / 2, 0.5, 60, 80) for i in range(8)])),))
    swung = melody.swung(straight, 1.0).tracks[0].notes
    np.testing.assert_allclose(swung["start"][:4], [0, 2 / 3, 1, 5 / 3])
    np.testing.assert_allclose(swung["duration"][:2], [2 / 3, 1 / 3])
    assert melody.swung(straight, 0.0) is straight


@given(seed=st.integers(0, 1000), bars=st.integers(1, 3), drums=st.booleans())
@settings(max_examples=10, deadline=None)
def test_continuing_keeps_what_was_there(seed: int, bars: int, drums: bool) -> None:
    tune = notes([(i / 2, 0.5, 60 + (i * 5) % 12, 90) for i in range(16)])
    kit = notes([(i / 2, 0.1, 36 if i % 2 else 42, 100) for i in range(16)])
    tracks = [Track(tune, "Tune", 40)] + ([Track(kit, "Kit", drums=True)] if drums else [])
    before = Score(tuple(tracks), ((0.0, 97.0),), ((0.0, 4, 4),))
    after = made(CONTINUE, before, bars=bars, seed=seed)
    assert after.length == before.length + 4 * bars
    for old, new in zip(before.tracks, after.tracks, strict=True):
        assert new.notes[: len(old.notes)].tolist() == old.notes.tolist()
        assert (new.notes["start"][len(old.notes) :] >= before.length).all()
        assert (new.name, new.program, new.drums) == (old.name, old.program, old.drums)
    assert after.tempi == before.tempi


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"key": "H"}, "no key"),
        ({"chords": "Am | Hm"}, "no chord"),
        ({"metre": "4"}, "no metre"),
        ({"lowest": 80, "highest": 60}, "above highest"),
        ({"lowest": 61, "highest": 61}, "widen the range"),
        ({"model": "wid"}, "did you mean 'wild'"),
    ],
)
def test_what_cannot_be_is_one_sentence(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        MELODY.run(engine=ENGINE, **{"model": "wild", **values})


def test_an_empty_score_cannot_be_continued() -> None:
    with pytest.raises(UserError, match="no notes"):
        made(CONTINUE, Score())


def test_it_can_be_cancelled(user: Path) -> None:
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        MELODY.run(job=job, engine=ENGINE, model="wild")


def test_the_worker_makes_scores_for_any_host(user: Path) -> None:
    environment = {"TRIPTYCH_USER_DATA": str(user), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with Worker([sys.executable, "-m", "triptych.worker"], environment) as worker:
        run = worker.run_midi("melody", {"model": "wild", "bars": 2})
        assert run.wait(60)
        tune = run.midi()
        assert midi.decode(tune).length == 8
        run = worker.run_midi("continue", {"model": "wild", "bars": 1}, tune)
        assert run.wait(60)
        assert midi.decode(run.midi()).length == 12
        assert json.loads(run.record or "")["task"] == "continue"
        run = worker.run_midi("continue", {"model": "wild"}, b"no MIDI")
        assert run.wait(60)
        with pytest.raises(WorkerError, match="MIDI"):
            run.midi()


def test_own_music_is_learned_and_asked_for_by_name(user: Path, tmp_path: Path) -> None:
    """Ten seconds on twenty files: what they all do becomes far likelier."""
    rng = np.random.default_rng(1)
    for number in range(20):
        steps = rng.choice([0, 4, 7], 48)
        tune = notes([(i / 2, 0.5, 60 + int(s), 80) for i, s in enumerate(steps)])
        midi.save(Score((Track(tune),)), tmp_path / f"{number}.mid")
    settings_ = OwnScoreSettings(
        [str(tmp_path)], "mine", base=str(user / "bundles" / "wild"), rate=1e-2, length=32
    )
    recipe = OwnScoreRecipe(settings_)
    recipe.loop.minutes, recipe.loop.steps, recipe.loop.batch = 0, 120, 8
    recipe.loop.accelerator = "cpu"
    run = fit(recipe, Run(tmp_path / "run"))
    recipe.export(averaged(recipe, run), run, user / "bundles" / "mine")
    assert "mine" in {choice.value for choice in models("score")}

    def triads(model: str) -> float:
        score = MELODY.run(engine=ENGINE, model=model, bars=8, lock=False, seed=1).made
        return float(np.isin(score.tracks[0].notes["pitch"] % 12, [0, 4, 7]).mean())

    assert triads("mine") > 0.7
    assert triads("wild") < 0.4
