import time
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from triptych.errors import UserError
from triptych.music.roll import COLOURS, PAPER, piano_roll
from triptych.music.score import Score, Track, notes

Box = tuple[int, int, int, int]  # left, top, right, bottom


def one(*rows: tuple[float, float, int, int], drums: bool = False) -> Score:
    """A score of one unnamed track."""
    return Score((Track(notes(rows), drums=drums),))


def boxes(image: Image.Image, colour: tuple[int, int, int]) -> list[Box]:
    """Where areas of a colour lie below the legend, from left to right; none above another."""
    found = (np.abs(np.asarray(image, int) - colour).max(axis=2) <= 3) & _below(image)
    columns = np.flatnonzero(found.any(axis=0))
    parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    made = []
    for part in parts if len(columns) else []:
        rows = np.flatnonzero(found[:, part].any(axis=1))
        made.append((int(part[0]), int(rows[0]), int(part[-1]) + 1, int(rows[-1]) + 1))
    return made


def _below(image: Image.Image) -> np.ndarray:
    return (np.arange(image.height) > 50)[:, None]


def test_notes_lie_where_they_sound() -> None:
    image = piano_roll(one((0, 1, 60, 127), (2, 1, 64, 127), (4, 2, 55, 127)))
    first, second, third = boxes(image, COLOURS[0])
    quarter = second[0] - first[0] + 0.0
    assert third[0] - second[0] == pytest.approx(quarter, abs=2)
    for box, length in ((first, 0.5), (second, 0.5), (third, 1)):
        assert box[2] - box[0] == pytest.approx(length * quarter, abs=5)
    row = (first[1] - second[1]) / 4
    assert third[1] - first[1] == pytest.approx(5 * row, abs=2)
    assert row > second[3] - second[1] > row * 0.6


def test_bars_stand_at_their_lines() -> None:
    score = one((0, 1, 60, 127), (3, 1, 60, 127), (6, 1, 60, 127), (9, 3, 62, 127))
    image = piano_roll(Score(score.tracks, metres=((0.0, 3, 4),)))
    pixels = np.asarray(image, int)
    # The row below the lowest note holds lines alone; those of bars are the darkest.
    strip = pixels[image.height - 20].sum(axis=1)
    lines = np.flatnonzero(strip < 600)
    starts = [box[0] for box in boxes(image, COLOURS[0])]
    for start in starts:
        assert np.abs(lines - start).min() <= 2
    quarter = (starts[1] - starts[0]) / 3
    assert np.abs(lines - (starts[0] + quarter)).min() > 20  # a beat is fainter
    beat = strip[round(starts[0] + quarter) - 2 : round(starts[0] + quarter) + 3]
    assert beat.min() < sum(PAPER) - 40


def test_a_soft_note_is_lighter_than_a_loud_one() -> None:
    score = one(*((k, 0.9, 60, v) for k, v in enumerate((1, 40, 80, 127))))
    image = piano_roll(score)
    pixels = np.asarray(image, int)
    full = boxes(image, COLOURS[0])[-1]
    y, x, step = (full[1] + full[3]) // 2, (full[0] + full[2]) // 2, full[2] - full[0]
    quarter = round(step / 0.9)
    shades = [pixels[y, x - k * quarter].sum() for k in (3, 2, 1, 0)]
    assert all(a > b + 30 for a, b in pairwise(shades))
    assert shades[0] < sum(PAPER) - 100  # and the softest can still be seen


def test_every_track_has_a_colour_and_the_first_lies_on_top() -> None:
    tune = Track(notes([(0, 1, 60, 127), (4, 1, 72, 127)]))
    other = Track(notes([(0, 2, 60, 127), (6, 1, 48, 127)]))
    image = piano_roll(Score((tune, other)))
    mine, theirs = boxes(image, COLOURS[0]), boxes(image, COLOURS[1])
    assert len(mine) == len(theirs) == 2
    assert theirs[0][0] >= mine[0][2]
    assert theirs[0][2] - mine[0][0] == pytest.approx(2 * (mine[0][2] - mine[0][0]), abs=5)
    legend = np.asarray(image, int)[:40]
    for colour in COLOURS[:2]:
        assert (np.abs(legend - colour).max(axis=2) <= 3).sum() > 60


def test_drums_have_lanes_the_kick_below() -> None:
    beat = [(0, 0.1, 36, 127), (1, 0.1, 38, 127), (2, 0.1, 42, 127), (3, 0.1, 42, 30)]
    image = piano_roll(one(*beat, drums=True))
    kick, snare, hat = boxes(image, COLOURS[0])
    assert kick[1] > snare[3] > snare[1] > hat[3]
    assert hat[0] - snare[0] == pytest.approx(snare[0] - kick[0], abs=2)
    with_tune = piano_roll(Score((Track(notes([(0, 4, 20, 127)])), *one(*beat, drums=True).tracks)))
    (tune,) = boxes(with_tune, COLOURS[0])
    assert tune[3] < boxes(with_tune, COLOURS[1])[-1][1]  # however low
    # Their names stand at the left.
    names = np.asarray(image, int)[58:, 18 : kick[0] - 4].sum(axis=2)
    assert (names < 300).any(axis=1).sum() > 20


def test_a_long_piece_takes_lines_one_below_the_other() -> None:
    loud = [(0, 4, 60, 127), (4 * 199, 4, 60, 127)]
    image = piano_roll(one(*loud, *((k, 1, 60, 20) for k in range(4, 796, 2))))
    found = (np.abs(np.asarray(image, int) - COLOURS[0]).max(axis=2) <= 3) & _below(image)
    y, x = np.nonzero(found)
    first, last = y < image.height / 2, y > image.height / 2
    assert y[last].min() - y[first].max() > image.height / 2
    assert x[first].max() < image.width / 4
    assert x[last].min() > image.width / 2
    assert x[first].max() - x[first].min() > 12  # four beats can still be told apart
    assert image.width == 1600


def test_a_note_over_the_end_of_a_line_goes_on_in_the_next() -> None:
    image = piano_roll(one((0, 400, 60, 127)))
    found = (np.abs(np.asarray(image, int) - COLOURS[0]).max(axis=2) <= 3) & _below(image)
    rows = np.flatnonzero(found.sum(axis=1) > 800)
    assert (np.diff(rows) > 50).sum() == 2


def test_of_any_size() -> None:
    assert piano_roll(one((0, 1, 60, 90)), 800, 300).size == (800, 300)
    assert piano_roll(Score(), 400).size[0] == 400
    drawn = np.asarray(piano_roll(Score()))
    assert (drawn.sum(axis=2) < 200).sum() > 500  # a keyboard all the same
    for width, height in ((399, None), (8001, None), (800, 199)):
        with pytest.raises(ValueError, match="cannot be drawn"):
            piano_roll(Score(), width, height)
    with pytest.raises(UserError, match="must be a Score"):
        piano_roll(None)  # type: ignore[arg-type]


def test_odd_scores_are_drawn() -> None:
    row = [(0.0, 1.0, pitch, 64) for pitch in (0, 127)]
    many = [Track(notes(row), "名\0" * 80, k % 128, k % 3 == 0) for k in range(60)]
    metres = ((0.0, 1, 64), (1.3, 255, 1))
    image = piano_roll(Score(tuple(many), metres=metres, length=300), 400, 200, "T" * 999)
    assert image.size == (400, 200)


def test_many_notes_take_seconds() -> None:
    many = one(*((k / 8, 0.1, 30 + k % 80, 1 + k % 127) for k in range(30_000)))
    begun = time.process_time()
    piano_roll(many)
    assert time.process_time() - begun < 8
