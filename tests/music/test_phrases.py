"""Interpolation and variation of clips, on the bundle that ships."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.engine import Engine, Job
from triptych.errors import Cancelled, UserError
from triptych.music import phrase_grid as grid
from triptych.music.phrases import INTERPOLATE, VARY, _Clip
from triptych.music.score import Score, Track, check_score, notes

ENGINE = Engine(["cpu"], threads=1)
TUNE = (60, 62, 64, 65, 67, 65, 64, 62, 60, 64, 67, 72, 71, 67, 62, 67)


def line(pitches: tuple[int, ...] = TUNE, step: float = 0.5, program: int = 0) -> Score:
    rows = [(i * step, step * 0.9, p, 60 + i % 60) for i, p in enumerate(pitches)]
    return Score((Track(notes(rows), "tune", program),), length=len(pitches) * step)


def beat(late: float = 0.01) -> Score:
    rows = [(i * 0.5 + late, 0.1, 42, 70 + 20 * (i % 2 == 0)) for i in range(16)]
    rows += [(at + late, 0.1, 36, 100) for at in (0, 2.5, 4, 6.5)]
    rows += [(at + late, 0.1, 38, 110) for at in (1, 3, 5, 7)]
    return Score((Track(notes(rows), "beat", drums=True),), length=8.0)


def varied(score: Score, **values: Any) -> Score:
    made = VARY.run(score, engine=ENGINE, **values).made
    assert isinstance(made, Score)
    return made


def steps_of(score: Score, track: int = 0) -> np.ndarray:
    return _Clip(score, "it").parts[track].steps


def same(a: Score, b: Score) -> bool:
    return all(np.array_equal(x.notes, y.notes) for x, y in zip(a.tracks, b.tracks, strict=True))


@st.composite
def clips(draw: st.DrawFn) -> Score:
    """Any clip that can be: chords, odd metres, off the grid, short, long, with drums."""
    metre = draw(st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 4), (5, 4), (7, 8), (12, 8)]))
    tracks = []
    for _ in range(draw(st.integers(1, 2))):
        count = draw(st.integers(1, 24))
        fine = draw(st.sampled_from([1 / 4, 1 / 3, 0.01]))
        rows = [
            (
                draw(st.integers(0, int(20 / fine))) * fine,
                draw(st.floats(0.01, 6)),
                draw(st.integers(0, 127)),
                draw(st.integers(1, 127)),
            )
            for _ in range(count)
        ]
        program = draw(st.sampled_from([0, 33]))
        tracks.append(Track(notes(rows), "t", program, drums=draw(st.booleans())))
    return Score(tuple(tracks), metres=((0.0, *metre),))


moves = st.sampled_from([-1.0, -0.4, 0.0, 1.0])


@settings(max_examples=25, deadline=None)
@given(clips(), st.sampled_from([0.0, 0.3, 1.0]), moves, moves, st.booleans(), st.integers(0, 99))
def test_any_clip_gives_a_legal_clip_of_its_length(
    clip: Score, amount: float, density: float, syncopation: float, keep: bool, seed: int
):
    values = {"amount": amount, "density": density, "syncopation": syncopation}
    made = varied(clip, **values, keep_key=keep, seed=seed)
    check_score(made)
    assert made.length == clip.length
    assert len(made.tracks) == len(clip.tracks)
    assert all((t.notes["duration"] > 0).all() for t in made.tracks)
    assert same(made, varied(clip, **values, keep_key=keep, seed=seed))
    if not (amount or density or syncopation):
        assert same(made, clip)


@settings(max_examples=15, deadline=None)
@given(clips(), clips(), st.integers(3, 9))
def test_interpolation_begins_and_ends_with_the_clips(a: Score, b: Score, steps: int):
    try:
        made = INTERPOLATE.run(a, engine=ENGINE, other=b, steps=steps).made
    except UserError as error:
        assert "choose two" in str(error)
        return
    check_score(made)
    paired = made.tracks[0]
    first = next(t for t in a.tracks if t.name == paired.name and t.drums == paired.drums)
    assert np.array_equal(paired.notes[: len(first.notes)]["pitch"], first.notes["pitch"])
    longest = max(_Clip(a, "a").total, _Clip(b, "b").total) / grid.STEPS
    final = _Clip(a, "a").total / grid.STEPS + (steps - 2) * longest
    ends = [np.sort(t.notes["pitch"]) for t in b.tracks if t.drums == paired.drums]
    found = np.sort(paired.between(final - 1e-6, np.inf)["pitch"])
    assert any(np.array_equal(found, pitches) for pitches in ends)


@pytest.mark.parametrize("pair", [(line(), line(TUNE[::-1])), (beat(), beat(0.0))])
def test_steps_leave_the_first_clip_and_near_the_second(pair: tuple[Score, Score]):
    made = INTERPOLATE.run(pair[0], engine=ENGINE, other=pair[1], steps=7).made
    whole = steps_of(made)
    parts = np.split(whole, 7)
    leaving = [int((p != parts[0]).sum()) for p in parts]
    nearing = [int((p != parts[-1]).sum()) for p in parts]
    assert leaving == sorted(leaving)
    assert nearing == sorted(nearing, reverse=True)
    assert made.length == 7 * 8.0


def test_melodies_change_on_the_way():
    made = INTERPOLATE.run(line(), engine=ENGINE, other=line(TUNE[::-1], 0.5), steps=5).made
    parts = np.split(steps_of(made), 5)
    assert len({p.tobytes() for p in parts}) >= 4


@pytest.mark.parametrize("score", [line(), beat(), line(tuple(p - 24 for p in TUNE), 0.5, 33)])
def test_more_amount_changes_more_and_seeds_differ(score: Score):
    given_steps = steps_of(score)
    apart = []
    for amount in (0.0, 0.25, 0.5, 0.75, 1.0):
        made = varied(score, amount=amount, seed=3)
        apart.append(int((steps_of(made) != given_steps).sum()))
    assert apart[0] == 0
    assert apart == sorted(apart)
    assert apart[-1] > 0
    others = [varied(score, amount=0.7, seed=seed) for seed in range(4)]
    assert not any(same(a, b) for a, b in itertools.combinations(others, 2))


@pytest.mark.parametrize("name", grid.ATTRIBUTES)
@pytest.mark.parametrize("score", [line(), beat()])
def test_moves_change_their_attribute_one_way(name: str, score: Score):
    place, found = grid.ATTRIBUTES.index(name), []
    for move in (-1.0, -0.5, 0.0, 0.5, 1.0):
        made = varied(score, amount=0.0, **{name: move})
        found.append(float(grid.attributes(steps_of(made), 0)[place]))
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_the_key_is_kept_unless_it_is_not_asked_for():
    own = {p % 12 for p in TUNE} | {0, 2, 4, 5, 7, 9, 11}
    for seed in range(5):
        made = varied(line(), amount=1.0, seed=seed)
        assert {int(p) % 12 for p in made.tracks[0].notes["pitch"]} <= own


def test_notes_that_stay_keep_velocity_and_feel():
    score = beat()
    made = varied(score, amount=0.4, seed=1)
    before = {tuple(note) for note in score.tracks[0].notes}
    kept = [note for note in made.tracks[0].notes if tuple(note) in before]
    assert len(kept) > 8
    late = made.tracks[0].notes["start"] * 4 % 1
    assert np.allclose(late, 0.04, atol=0.05)


def test_lower_notes_of_chords_stay():
    chords = line().tracks[0].notes
    low = notes([(0, 4, 40, 50), (4, 4, 43, 50)])
    score = Score((Track(np.concatenate([chords, low])),), length=8.0)
    made = varied(score, amount=1.0, seed=2).tracks[0].notes
    assert {(float(n["start"]), int(n["pitch"])) for n in low} <= {
        (float(n["start"]), int(n["pitch"])) for n in made
    }


def test_percussion_without_a_class_stays():
    beside = notes([(0.25, 0.1, 75, 60), (3.25, 0.1, 75, 60)])
    score = Score(
        (Track(np.concatenate([beat().tracks[0].notes, beside]), drums=True),), length=8.0
    )
    made = varied(score, amount=1.0, seed=2).tracks[0].notes
    assert (made["pitch"] == 75).sum() == 2


def test_what_cannot_be_done_is_said_in_one_sentence():
    with pytest.raises(UserError, match="no notes"):
        varied(Score(length=8.0))
    with pytest.raises(UserError, match="choose two lines"):
        INTERPOLATE.run(line(), engine=ENGINE, other=beat())
    waltz = Score(line().tracks, metres=((0.0, 3, 4),))
    with pytest.raises(UserError, match="in one metre"):
        INTERPOLATE.run(line(), engine=ENGINE, other=waltz)


def test_a_cancelled_job_stops():
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        VARY.run(line(), job, ENGINE)


def test_long_clips_are_treated_phrase_by_phrase():
    long = line(TUNE * 20)
    made = varied(long, amount=1.0, seed=5)
    parts = np.split(steps_of(made), 10)
    assert all(np.array_equal(part, parts[0]) for part in parts)  # what comes again, alike
    assert made.length == long.length


def test_tokens_and_notes_say_the_same():
    tokens = np.array([60, 129, 128, 129, 62, 129, 129, 129], np.uint8)
    assert grid.line_notes(tokens) == [(0, 2, 60), (4, 4, 62)]
    rows = [(s / 4, n / 4, p, 80) for s, n, p in grid.line_notes(tokens)]
    assert np.array_equal(grid.line_tokens(notes(rows), 8), tokens)


def test_attributes_are_what_they_say():
    plain = grid.line_tokens(line((60, 67), 1.0).tracks[0].notes, 16)
    assert grid.attributes(plain, 0)[:2].tolist() == [0.5, 7]
    straight = grid.line_tokens(notes([(b, 1, 60, 80) for b in range(4)]), 16)
    off = grid.line_tokens(notes([(b + 0.5, 1, 60, 80) for b in range(3)]), 16)
    assert grid.attributes(straight, 0)[2] == 0
    assert grid.attributes(off, 0)[2] > 2
