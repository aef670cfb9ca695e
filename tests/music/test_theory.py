"""Keys, scales and chord symbols."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import UserError
from triptych.music import score
from triptych.music.theory import (
    NAMES,
    SCALES,
    Key,
    estimate_key,
    parse_chord,
    parse_chords,
    parse_key,
)


@pytest.mark.parametrize(
    ("symbol", "classes", "bass"),
    [
        ("C", {0, 4, 7}, 0),
        ("Am7", {9, 0, 4, 7}, 9),
        ("F#m7b5", {6, 9, 0, 4}, 6),
        ("Bb7(#9)", {10, 2, 5, 8, 1}, 10),
        ("C/E", {0, 4, 7}, 4),
        ("C/D", {0, 2, 4, 7}, 2),
        ("Gmaj7", {7, 11, 2, 6}, 7),
        ("Cm(maj7)", {0, 3, 7, 11}, 0),
        ("Dsus4", {2, 7, 9}, 2),
        ("E7#5", {4, 8, 0, 2}, 4),
        ("Db6/9", {1, 5, 8, 10, 3}, 1),
        ("B°7", {11, 2, 5, 8}, 11),
        ("Aadd9", {9, 1, 4, 11}, 9),
        ("C7no3", {0, 7, 10}, 0),
        ("N.C.", set(), 0),
    ],
)
def test_chord_symbols_are_their_notes(symbol: str, classes: set[int], bass: int) -> None:
    chord = parse_chord(symbol)
    assert chord.classes == classes
    assert chord.bass == bass


@given(st.text(max_size=12))
def test_what_is_no_chord_or_key_is_one_sentence(text: str) -> None:
    for read in (parse_chord, parse_key):
        try:
            read(text)
        except UserError as error:
            assert "\n" not in str(error)


def test_a_chord_track_shares_bars_and_repeats_them() -> None:
    track = parse_chords("Am7 | D7 G | % |", 4.0)
    assert [(beat, long, chord.symbol) for beat, long, chord in track] == [
        (0, 4, "Am7"),
        (4, 2, "D7"),
        (6, 2, "G"),
        (8, 2, "D7"),
        (10, 2, "G"),
    ]
    with pytest.raises(UserError, match="empty bar"):
        parse_chords("% | C", 4.0)


@pytest.mark.parametrize("text", ["C", "F#m", "Bb dorian", "a minor pentatonic", "a", "Eb-blues"])
def test_keys_are_read(text: str) -> None:
    key = parse_key(text)
    assert key.tonic in key.classes
    assert key.minor == (text in ("F#m", "Bb dorian", "a minor pentatonic", "a", "Eb-blues"))


def test_an_unknown_scale_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'mixolydian'"):
        parse_key("G mixolidian")


@given(st.integers(0, 11), st.sampled_from(["major", "minor"]))
def test_the_key_of_a_scale_with_its_triad_is_found(tonic: int, name: str) -> None:
    steps = [*SCALES[name], 0, SCALES[name][2], 7, 0, 12]
    rows = [(float(i), 1.0, 60 + tonic + s, 80) for i, s in enumerate(steps)]
    assert estimate_key(score.notes(rows)) == Key(tonic, name)


def test_without_notes_it_is_c_major() -> None:
    assert str(estimate_key(np.zeros(0, score.NOTE))) == f"{NAMES[0]} major"
