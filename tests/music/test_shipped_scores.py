"""The score models that ship: what they make is music that fits, not only what is allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triptych.engine import Engine
from triptych.music.score import Score, Track, notes
from triptych.music.theory import parse_key
from triptych.task import get_task

ENGINE = Engine(["cpu"], threads=1)
PSALM = (67, 67, 66, 64, 62, 67, 69, 71, 71, 71, 71, 69, 67, 72, 71, 69, 67, 69, 71, 69, 67, 66, 67)


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bundle but those that ship."""
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path))


def run(task: str, given: Score | None = None, **values: object) -> Score:
    made = get_task(task).run(given, engine=ENGINE, **values).made  # type: ignore[arg-type]
    assert isinstance(made, Score)
    return made


def psalm() -> Score:
    """A hymn's tune in G, in quarter notes."""
    return Score((Track(notes([(float(i), 1.0, p, 90) for i, p in enumerate(PSALM)]), "Tune"),))


def steps(track: Track, until: float) -> np.ndarray:
    """The pitch that sounds at each half beat; -1 for none."""
    made = np.full(int(2 * until), -1)
    for note in track.notes:
        made[int(np.ceil(2 * note["start"])) : int(2 * (note["start"] + note["duration"]))] = note[
            "pitch"
        ]
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_tune_moves_by_steps_and_fills_its_bars(seed: int):
    tune = run("melody", key="D", metre="6/8", bars=8, seed=seed)
    (track,) = tune.tracks
    assert set(track.notes["pitch"] % 12) <= set(parse_key("D").classes)
    moves = np.abs(np.diff(track.notes["pitch"].astype(int)))
    assert len(moves) > 16
    assert np.mean(moves <= 4) > 0.6
    assert np.mean(moves == 0) < 0.5
    bars = set((track.notes["start"] // 3).astype(int).tolist())
    assert bars >= set(range(7))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("collection", ["chorale", "hymn"])
def test_four_voices_sound_together_and_agree(seed: int, collection: str):
    tune = psalm()
    made = run("harmonise", tune, collection=collection, seed=seed)
    voices = np.array([steps(track, tune.length) for track in made.tracks])
    assert voices.shape[0] == 4
    assert np.mean(voices[1:] < 0) < 0.1
    assert len(set(made.tracks[3].notes["pitch"].tolist())) > 3  # the bass moves
    doubled = (voices[:-1] == voices[1:]) & (voices[1:] >= 0)
    assert np.mean(doubled) < 0.02

    def discord(shift: int) -> float:
        against = [
            np.isin((voices[0] - voices[lower] + shift) % 12, [1, 2, 6, 10, 11])
            for lower in range(1, 4)
        ]
        return float(np.mean(against))

    # What fits the tune fits it better than it fits the same tune in other keys.
    assert discord(0) < 0.25
    assert discord(0) < 0.7 * np.mean([discord(shift) for shift in range(1, 12)])


@pytest.mark.parametrize("band", ["piano", "strings", "band"])
def test_an_accompaniment_plays_throughout_and_below(band: str):
    tune = psalm()
    made = run("accompany", tune, band=band, seed=2)
    added = made.tracks[1:]
    pitched = np.concatenate([track.notes for track in added if not track.drums])
    assert np.mean(pitched["pitch"]) < np.mean(PSALM) - 5
    sounding = np.max([steps(track, tune.length) for track in added if not track.drums], 0)
    assert np.mean(sounding >= 0) > 0.7
    assert any(track.drums for track in added) == (band == "band")


def test_a_gap_is_filled_with_about_as_much_as_stood_there():
    whole = run("harmonise", psalm(), seed=1)
    made = run("infill", whole, first_bar=3, bars=2, collection="chorale", seed=1)
    for track, before in zip(made.tracks, whole.tracks, strict=True):
        written, stood = track.between(8, 16), before.between(8, 16)
        assert len(stood) / 3 <= len(written) <= 3 * len(stood)
