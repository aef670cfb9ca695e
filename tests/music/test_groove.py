"""Groove, drumify and add_drums on the bundle that ships: what may change and what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.engine import Engine, Job
from triptych.errors import Cancelled, UserError
from triptych.music import kit, midi
from triptych.music.groove import ADD_DRUMS, DRUMIFY, GROOVE
from triptych.music.groove_model import at_level
from triptych.music.kit import LEVELS, PIECE_OF, PITCHES
from triptych.music.score import Score, Track, notes

ENGINE = Engine(["cpu"], threads=1)


def played(task: Any, score: Score, **values: Any) -> Score:
    made = task.run(score, engine=ENGINE, **values).made
    assert isinstance(made, Score)
    return made


def rock(bars: int = 4, swing: bool = False, velocity: int = 100) -> Score:
    """Eighths on the hat (or swung on the ride), kick on 1 and 3, snare on 2 and 4."""
    rows = []
    for bar in range(bars):
        for eighth in range(8):
            late = 1 / 6 if swing and eighth % 2 else 0
            rows.append((bar * 4 + eighth / 2 + late, 0.25, 51 if swing else 42, velocity))
        rows += [(bar * 4 + beat, 0.25, 36 if beat % 2 == 0 else 38, velocity) for beat in range(4)]
    return Score((Track(notes(rows), "Kit", drums=True),), ((0.0, 110.0),))


def of(score: Score, pitch: int, field: str, track: int = 0) -> np.ndarray:
    array = score.tracks[track].notes
    return np.asarray(array[array["pitch"] == pitch][field])


METRES = st.sampled_from([(4, 4), (3, 4), (5, 4), (6, 8), (7, 8), (2, 4), (13, 16)])
NOTES = st.lists(
    st.tuples(
        st.one_of(
            st.integers(0, 160).map(lambda n: n / 8),
            st.integers(0, 60).map(lambda n: n / 3),
            st.floats(0, 20),
        ),
        st.floats(0, 2),
        st.sampled_from([*PITCHES, 22, 37, 44, 56, 81, 0, 127]),
        st.integers(1, 127),
    ),
    min_size=1,
    max_size=40,
)


@given(
    rows=NOTES,
    metre=METRES,
    later=METRES,
    tempo=st.floats(20, 400),
    amount=st.floats(0, 2),
    variation=st.floats(0, 1),
    timing=st.booleans(),
    velocity=st.booleans(),
    style=st.sampled_from(["any", *kit.STYLES]),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=40)
def test_groove_neither_loses_nor_adds_a_note(
    rows: Any, metre: Any, later: Any, tempo: float, **values: Any
) -> None:
    bar = metre[0] * 4 / metre[1]
    given = Score(
        (Track(notes(rows), drums=True), Track(notes(rows), "Bass")),
        ((0.0, tempo), (7.3, 90.0)),
        ((0.0, *metre), (2 * bar, *later)),
    )
    made = played(GROOVE, given, **values)
    before, after = given.tracks[0].notes, made.tracks[0].notes
    assert np.array_equal(given.tracks[1].notes, made.tracks[1].notes)
    assert sorted(before["pitch"]) == sorted(after["pitch"])
    assert (after["start"] >= 0).all() and (after["duration"] >= 0).all()
    assert ((after["velocity"] >= 1) & (after["velocity"] <= 127)).all()
    for pitch in set(before["pitch"].tolist()):
        moved = np.sort(of(made, pitch, "start")) - np.sort(of(given, pitch, "start"))
        assert np.abs(moved).max() <= 0.75
    if not values["timing"]:
        assert np.array_equal(before["start"], after["start"])
        assert np.array_equal(before["duration"], after["duration"])
    if not values["velocity"]:
        assert sorted(before["velocity"]) == sorted(after["velocity"])
    if values["amount"] == 0:
        assert np.array_equal(before, after)


def test_notes_of_one_pitch_keep_their_order() -> None:
    rows = [(i / 8, 0.1, 38, 1 + i) for i in range(100)]
    made = played(GROOVE, Score((Track(notes(rows), drums=True),)), velocity=False, amount=2)
    assert made.tracks[0].notes["velocity"].tolist() == list(range(1, 101))
    assert (np.diff(made.tracks[0].notes["start"]) > 0).all()


def test_a_groove_is_early_late_loud_and_soft_but_near() -> None:
    given = rock(8)
    made = played(GROOVE, given, style="rock")
    moved = (np.sort(of(made, 42, "start")) - np.sort(of(given, 42, "start"))) * 60_000 / 110
    assert 2 < moved.std() < 40
    assert np.abs(moved).max() < 90
    assert of(made, 42, "velocity").std() > 5
    assert of(made, 38, "velocity").mean() > of(made, 42, "velocity").mean()
    straight = played(GROOVE, given, style="rock", variation=0)
    assert straight.tracks[0].notes["velocity"].std() > 5


def test_hats_on_the_beat_are_louder_than_between() -> None:
    velocity = of(played(GROOVE, rock(8), variation=0, style="rock"), 42, "velocity")
    assert velocity[::2].mean() > velocity[1::2].mean() + 2


def test_amount_scales_what_is_done() -> None:
    given = rock(4)
    moved = [
        np.abs(
            played(GROOVE, given, amount=amount, variation=0).tracks[0].notes["start"]
            - given.tracks[0].notes["start"]
        ).mean()
        for amount in (0.5, 1, 2)
    ]
    assert moved[0] == pytest.approx(moved[1] / 2, rel=0.1)
    assert moved[2] == pytest.approx(moved[1] * 2, rel=0.1)


def test_a_written_swing_stays_a_swing() -> None:
    made = played(GROOVE, rock(4, swing=True), style="jazz")
    between = np.sort(of(made, 51, "start"))[1::2] % 1
    assert 0.6 < between.mean() < 0.72


def test_the_same_seed_plays_the_same_and_another_does_not() -> None:
    first, again, other = (played(GROOVE, rock(), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.tracks[0].notes, again.tracks[0].notes)
    assert not np.array_equal(first.tracks[0].notes, other.tracks[0].notes)


def test_the_groove_of_another_clip_is_taken_over(tmp_path: Path) -> None:
    late = rock()
    array = late.tracks[0].notes.copy()
    off = (array["start"] * 2 % 2 == 1) & (array["pitch"] == 42)
    array["start"][off] += 0.12
    array["velocity"][array["pitch"] == 42] = np.where(off[array["pitch"] == 42], 20, 90)
    like = late.with_tracks([Track(array, drums=True)])
    given = rock()
    made = played(GROOVE, given, like=like, variation=0)
    moved = np.sort(of(made, 42, "start")) - np.sort(of(given, 42, "start"))
    assert moved[1::2].mean() > moved[::2].mean() + 0.03
    order = np.argsort(of(made, 42, "start"))
    velocity = of(made, 42, "velocity")[order]
    assert velocity[::2].mean() > velocity[1::2].mean() + 25
    midi.save(like, tmp_path / "like.mid")
    from_file = played(GROOVE, given, like=tmp_path / "like.mid", variation=0)
    difference = from_file.tracks[0].notes["start"] - made.tracks[0].notes["start"]
    assert np.abs(difference).max() < 0.02


def test_long_drums_are_played_alike_all_over() -> None:
    made = played(GROOVE, rock(40), variation=0)
    velocity = of(made, 38, "velocity").reshape(40, 2)
    assert np.abs(velocity[4:-4] - velocity[20]).max() <= 4


def test_a_lone_track_is_taken_for_drums_and_none_is_refused() -> None:
    lone = Score((Track(rock().tracks[0].notes),))
    assert not np.array_equal(played(GROOVE, lone).tracks[0].notes, lone.tracks[0].notes)
    for score in (
        Score(),
        Score((Track(notes()),)),
        Score(tuple(Track(notes([(0, 1, 60, 80)])) for _ in "ab")),
    ):
        with pytest.raises(UserError, match="drum"):
            played(GROOVE, score)
        with pytest.raises(UserError, match="drum"):
            played(ADD_DRUMS, score)


RHYTHM = [(0, 100), (0.75, 70), (1, 110), (1.5, 60), (2.5, 100), (3, 110), (3.5, 60)]


def rhythm(bars: int = 4) -> Score:
    rows = [(bar * 4 + at, 0.25, 60, loud) for bar in range(bars) for at, loud in RHYTHM]
    return Score((Track(notes(rows), "Tapped"),))


@given(rows=NOTES, creativity=st.floats(0, 1), density=st.floats(-1, 0), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_drumify_answers_every_note_and_only_those(rows: Any, **values: Any) -> None:
    given = Score((Track(notes(rows), "Tapped"),))
    made = played(DRUMIFY, given, **values)
    assert np.array_equal(made.tracks[0].notes, given.tracks[0].notes)
    drums = made.tracks[-1]
    assert drums.drums and set(drums.notes["pitch"]) <= set(PITCHES)
    wanted = set(kit.cells(given.tracks[0].notes)[0].tolist())
    found = drums.notes["start"] * 4
    assert all(np.abs(found - step).min() <= 1 for step in wanted)
    assert all(min(abs(step - at) for step in wanted) <= 1 for at in found)


def test_drumify_plays_several_pieces_and_density_counts() -> None:
    made = played(DRUMIFY, rhythm(8), creativity=0)
    assert len(set(made.tracks[-1].notes["pitch"].tolist())) >= 3
    counts = [len(played(DRUMIFY, rhythm(8), density=d).tracks[-1].notes) for d in (-1, 0, 1)]
    assert counts[0] < counts[1] < counts[2]


def test_a_tapped_drum_track_is_replaced_and_others_stay() -> None:
    tapped = Track(rhythm().tracks[0].notes, "Pad", drums=True)
    given = Score((Track(notes([(0, 4, 40, 80)]), "Bass"), tapped))
    made = played(DRUMIFY, given, track=2)
    assert [track.name for track in made.tracks] == ["Bass", "Drums"]
    with pytest.raises(UserError, match="no track 3"):
        played(DRUMIFY, given, track=3)
    with pytest.raises(UserError, match="no rhythm"):
        played(DRUMIFY, Score())


@given(rows=NOTES, creativity=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_add_drums_keeps_what_is_there(rows: Any, **values: Any) -> None:
    given = Score((Track(notes(rows), drums=True),))
    try:
        made = played(ADD_DRUMS, given, add="snare", **values)
    except UserError as error:
        assert "add nothing" in str(error)
        return
    assert np.array_equal(made.tracks[0].notes, given.tracks[0].notes)
    assert set(made.tracks[1].notes["pitch"].tolist()) <= {38}


def test_hats_alone_get_a_kick_and_a_snare() -> None:
    hats = rock(8).tracks[0].notes
    hats = hats[hats["pitch"] == 42]
    made = played(ADD_DRUMS, Score((Track(hats, drums=True),)), creativity=0)
    added = made.tracks[1].notes
    assert {36, 38} <= set(added["pitch"].tolist())
    assert 42 not in added["pitch"]
    backbeat = np.rint(added["start"][added["pitch"] == 38] * 4) % 16
    assert np.isin(backbeat, (4, 12)).sum() >= 8
    with pytest.raises(UserError, match="missing"):
        whole = [(0, 0.1, pitch, 90) for pitch in PITCHES]
        played(ADD_DRUMS, Score((Track(notes(whole), drums=True),)))


def test_nothing_to_add_is_said() -> None:
    whole = rock(4)
    with pytest.raises(UserError, match="would add nothing to these drums"):
        played(ADD_DRUMS, whole, add="toms", density=-1, creativity=0)


def test_every_task_can_be_cancelled() -> None:
    for task in (GROOVE, DRUMIFY, ADD_DRUMS):
        job = Job()
        job.cancel()
        with pytest.raises(Cancelled):
            task.run(rock(), job, ENGINE)


def test_quantiles_are_read_between_their_levels() -> None:
    quantiles = np.array([LEVELS], np.float32) * 2
    for level in (0.05, 0.2, 0.5, 0.77, 0.95):
        assert at_level(quantiles, np.array([level]))[0] == pytest.approx(2 * level, abs=1e-5)
    assert at_level(quantiles, np.array([1.0]))[0] == pytest.approx(1.9)


def test_every_pitch_has_a_piece() -> None:
    assert [PIECE_OF[pitch] for pitch in PITCHES] == list(range(9))
    assert ((PIECE_OF >= 0) & (PIECE_OF < 9)).all()


def test_a_melody_is_not_played_as_drums_but_a_drum_rack_is():
    """Clips of a DAW do not say that they are drums."""
    with pytest.raises(UserError, match="no drums"):
        GROOVE.run(Score((Track(notes([(0.0, 1.0, 67, 90), (1.0, 1.0, 72, 90)])),)))
    rack = Score((Track(notes([(0.0, 0.25, 36, 90), (1.0, 0.25, 38, 90)])),))
    assert GROOVE.run(rack).made.count == 2
