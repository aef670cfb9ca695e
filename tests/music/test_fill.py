"""Infilling, harmonising and accompanying: what was there stays, what is added fits."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.engine import Engine
from triptych.errors import UserError
from triptych.music.events import EVENT
from triptych.music.fill import ACCOMPANY, HARMONISE, INFILL
from triptych.music.score import Score, Track, notes
from triptych.music.theory import parse_key
from triptych.music.voice_leading import led
from triptych.task import Task
from triptych.training.loop import Run
from triptych.training.music.infill import InfillRecipe, InfillSettings
from triptych.training.music.infill_net import InfillNet


class _Small(InfillRecipe):
    """The recipe without data, for a net that has learned nothing: the worst that can be drawn."""

    def sources(self) -> list[Any]:
        return []

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        return {}


@pytest.fixture(scope="module", autouse=True)
def user(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("user")
    torch.manual_seed(0)
    recipe = _Small(InfillSettings("wild"))
    recipe.export({"net": InfillNet(32, 1)}, Run(folder / "run"), folder / "bundles" / "wild")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(folder))
        yield folder


ENGINE = Engine(["cpu"], threads=1)


def made(task: Task, given: Score, **values: Any) -> Score:
    score = task.run(given, engine=ENGINE, model="wild", **values).made
    assert isinstance(score, Score)
    return score


def piece(bars: int = 6) -> Score:
    """A tune in G, a bass and drums; the bass has notes that sound across the bars' lines."""
    scale = [67, 69, 71, 72, 74, 76, 78]
    tune = notes([(i / 2, 0.5, scale[i * 3 % 7], 90) for i in range(8 * bars)])
    bass = notes([(4.0 * i + 2, 3.0, 43, 70) for i in range(bars - 1)])
    kit = notes([(float(i), 0.1, 38 if i % 2 else 36, 100) for i in range(4 * bars)])
    return Score(
        (Track(tune, "Tune", 73), Track(bass, "Bass", 33), Track(kit, "Kit", drums=True)),
        ((0.0, 100.0),),
    )


@given(
    first=st.integers(1, 6),
    bars=st.integers(1, 3),
    tracks=st.sampled_from(["", "1", "Bass", "tune, 3", "2,3"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=12, deadline=None)
def test_only_the_gap_changes(first: int, bars: int, tracks: str, seed: int) -> None:
    before = piece()
    after = made(INFILL, before, first_bar=first, bars=bars, tracks=tracks, seed=seed)
    places = {"": {0, 1, 2}, "1": {0}, "Bass": {1}, "tune, 3": {0, 2}, "2,3": {1, 2}}[tracks]
    low, high = 4.0 * (first - 1), min(4.0 * (first - 1 + bars), before.length)
    assert after.length == before.length
    for place, (old, new) in enumerate(zip(before.tracks, after.tracks, strict=True)):
        assert (new.name, new.program, new.drums) == (old.name, old.program, old.drums)
        if place not in places:
            assert new.notes.tolist() == old.notes.tolist()
            continue
        for part in (0.0, low), (high, 1e6):
            kept, was = new.between(*part), old.between(*part)
            assert kept[["start", "pitch", "velocity"]].tolist() == (
                was[["start", "pitch", "velocity"]].tolist()
            )
        inside = new.between(low, high)
        assert (inside["start"] + inside["duration"] <= high + 1e-6).all()
        if not new.drums:
            assert set(inside["pitch"] % 12) <= parse_key("G").classes


@given(seed=st.integers(0, 1000), low=st.integers(40, 76))
@settings(max_examples=8, deadline=None)
def test_a_melody_is_set_for_four_voices(seed: int, low: int) -> None:
    melody = notes([(float(i), 1.0, low + (0, 2, 4, 5, 7)[i * 2 % 5], 90) for i in range(16)])
    after = made(HARMONISE, Score((Track(melody, "Song", 52),)), seed=seed, key="C", lock=False)
    assert [track.name for track in after.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert after.tracks[0].notes.tolist() == melody.tolist()
    for track in after.tracks[1:]:
        n = track.notes
        assert (n["start"][1:] >= (n["start"] + n["duration"])[:-1] - 1e-6).all()  # one at a time
        assert n["pitch"].max(initial=0) <= low + 7 + 12
        assert after.length == 16


@pytest.mark.parametrize("band", ["piano", "strings", "band"])
def test_an_accompaniment_is_added(band: str) -> None:
    before = piece(4)
    after = made(ACCOMPANY, before, band=band)
    assert len(after.tracks) > len(before.tracks)
    for old, new in zip(before.tracks, after.tracks, strict=False):
        assert new.notes.tolist() == old.notes.tolist()
    for track in after.tracks[len(before.tracks) :]:
        assert track.end <= before.length
        if not track.drums:
            assert set(track.notes["pitch"] % 12) <= parse_key("G").classes


def test_seeds_repeat_and_differ() -> None:
    def rows(seed: int) -> str:
        return str(np.concatenate([t.notes for t in made(INFILL, piece(), seed=seed).tracks]))

    assert rows(1) == rows(1)
    assert len({rows(seed) for seed in range(4)}) == 4


def test_bars_after_the_end_are_not_written_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "triptych")  # a command told to be quiet may have run before
    long = made(INFILL, piece(), first_bar=5, bars=2)
    assert not caplog.records
    longer = made(INFILL, piece(), first_bar=5, bars=7)
    assert [r.getMessage() for r in caplog.records] == [
        "the score ends with bar 6: bars after it are not written"
    ]
    assert str(longer.tracks[0].notes) == str(long.tracks[0].notes)


@pytest.mark.parametrize(
    ("task", "given_", "values", "said"),
    [
        (INFILL, piece(), {"first_bar": 7}, "has 6 bars"),
        (INFILL, piece(), {"tracks": "Flute"}, "no track 'Flute': the score has 1 Tune"),
        (INFILL, Score(), {}, "no notes"),
        (HARMONISE, Score((piece().tracks[2],)), {}, "no melody"),
        (HARMONISE, piece(), {"track": 3}, "not drums"),
        (ACCOMPANY, piece(), {"track": 9}, "3 tracks"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    task: Task, given_: Score, values: dict[str, Any], said: str, user: Path
) -> None:
    with pytest.raises(UserError, match=said):
        made(task, given_, **values)


@given(
    pitches=st.lists(st.integers(40, 80), min_size=8, max_size=8),
    allowed=st.sets(st.integers(30, 90)),
    part=st.integers(0, 3),
)
def test_voices_lead_well_where_they_can(pitches: list[int], allowed: set[int], part: int):
    written = np.zeros(8, EVENT)
    written["tick"], written["part"] = [0] * 4 + [12] * 4, [0, 1, 2, 3] * 2
    written["pitch"], written["duration"] = pitches, 11  # quarter notes
    own = pitches[part]
    written = written[(written["tick"] == 0) | (written["part"] != part)]
    mask = np.isin(np.arange(128), list(allowed))
    found = set(np.flatnonzero(led(mask, part, 12, written, range(4))).tolist())
    assert found <= allowed
    assert bool(found) == bool(allowed)
    now = {voice: pitches[4 + voice] for voice in range(4) if voice != part}
    within = {
        p for p in allowed if all(p <= q if voice < part else p >= q for voice, q in now.items())
    }
    assert not within or found <= within
    parallel = {
        p
        for p in allowed
        for voice, q in now.items()
        if p != own and q != pitches[voice]
        if (q - p) % 12 == (pitches[voice] - own) % 12 in (0, 7)
    }
    assert not within - parallel or not found & parallel


def test_harmony_lasts_as_long_as_the_melody():
    tune = Track(notes([(float(i), 1.0, 67 + i % 5, 90) for i in range(16)]))
    voices = made(HARMONISE, Score((tune,)), seed=3).tracks[1:]
    assert any(len(track.notes) for track in voices)
    for track in voices:
        if not len(track.notes):  # the net has learned nothing
            continue
        ends = track.notes["start"] + track.notes["duration"]
        assert np.allclose(ends[:-1], track.notes["start"][1:])
        assert ends[-1] == 16
