"""A piano roll: a picture of a score, with bars, keyboard, drum lanes and a colour per track."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from triptych.music.general_midi import DRUMS, PROGRAMS
from triptych.music.score import Score, Track, check_score

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    *((47, 111, 176), (224, 123, 39), (52, 150, 92), (190, 66, 120), (123, 92, 190)),
    *((28, 152, 168), (200, 64, 56), (166, 132, 26), (92, 108, 128), (140, 92, 62)),
)
"""What tracks are drawn in, in turn; a soft note is lighter."""

PAPER: Colour = (253, 253, 251)
_SHADE = (245, 245, 241)  # the rows of black keys, every second lane
_INK = (42, 44, 48)
_GREY = (124, 126, 130)
_BAR, _BEAT, _FINE = (186, 187, 188), (222, 222, 220), (236, 236, 233)
_BLACK_KEYS = {1, 3, 6, 8, 10}

_SCALE = 2  # drawn larger and reduced, so that edges are smooth
_HEAD, _RULER, _GAP, _MARGIN = 58, 24, 16, 18  # px, as all lengths until they are drawn
_KEYS, _NAMES = 54, 106  # width of the keyboard, and where drums must be named
_QUARTER = 11  # px a quarter note needs before a second line of music is begun
_MOST_LINES = 8
_AREAS = (560, 400, 290)  # height of the music on one line, on two, on more
_ROW, _LANE = 16, 24  # the tallest row of a pitch and lane of a drum


def piano_roll(
    score: Score, width: int = 1600, height: int | None = None, title: str = ""
) -> Image.Image:
    """Draws a score, on as many lines as make it readable, at most eight.

    Pitch goes up (C4 is MIDI's 60), time to the right; a soft note is light, a loud one full, drums
    have a lane each. Bars are numbered from 1, and lines appear for bars, beats and sixteenths
    where there is room.

    Args:
        width: 400..8000 px.
        height: 200..8000 px; None chooses what the score needs.
        title: stands at the top left.

    Returns:
        An RGB picture.

    Raises:
        UserError: the score is not one.
        ValueError: sizes beyond these.
    """
    check_score(score)
    if not 400 <= width <= 8000 or not (height is None or 200 <= height <= 8000):
        raise ValueError(f"a piano roll of {width} x {height} px cannot be drawn")
    pitches = _unique(track for track in score.tracks if not track.drums)
    drums = _unique(track for track in score.tracks if track.drums)[::-1]
    top, bottom = score.metre_at(0)
    bars = score.bar_starts(max(score.length, top * 4 / bottom))
    left = _MARGIN + (_NAMES if drums else _KEYS)

    room = width - left - _MARGIN
    count = min(math.ceil(bars[-1] * _QUARTER / room), _MOST_LINES)
    parts = np.linspace(0, bars[-1], count + 1)
    bounds = np.unique(np.abs(bars[:, None] - parts).argmin(axis=0))  # at the bars next to them
    count = len(bounds) - 1
    lines = [bars[a : b + 1] for a, b in pairwise(bounds)]
    scale = room / max(line[-1] - line[0] for line in lines)

    rows = _rows(pitches or ([] if drums else [60]))
    if height is None:
        area = min(_AREAS[min(count, 3) - 1], len(rows) * _ROW + len(drums) * _LANE)
        height = _HEAD + count * (_RULER + area + _GAP)
    area = (height - _HEAD) // count - _RULER - _GAP
    lane = min(_LANE, area / len(drums) * (0.45 if rows else 1)) if drums else 0
    row = (area - lane * len(drums)) / len(rows) if rows else 0

    canvas = _Canvas(width, height)
    _legend(canvas, score, title)
    for number, line in enumerate(lines):
        upper = _HEAD + number * (_RULER + area + _GAP) + _RULER
        place = _Place(left, upper, scale, row, lane, line, rows, drums)
        _grid(canvas, place, score, first=int(bounds[number]) + 1)
        _keyboard(canvas, place)
        # The first track, which often has the tune, lies on top.
        for index, track in reversed([*enumerate(score.tracks)]):
            _notes(canvas, place, track, COLOURS[index % len(COLOURS)])
    return canvas.image.reduce(_SCALE)


def _unique(tracks: Iterable[Track]) -> list[int]:
    found = [track.notes["pitch"] for track in tracks]
    return [int(pitch) for pitch in np.unique(np.concatenate(found))] if found else []


def _rows(pitches: Sequence[int]) -> range:
    """The pitches that are shown: two octaves at least, and a little more than what is played."""
    if not pitches:
        return range(0)
    low, high = min(pitches) - 2, max(pitches) + 3
    missing = max(0, 24 - (high - low))
    low = max(0, low - missing // 2)
    return range(low, min(128, max(high, low + 24)))


@dataclass(frozen=True)
class _Place:
    """Where one line of music stands; lengths in px, `scale` in px a quarter note."""

    left: float
    upper: float
    scale: float
    row: float
    lane: float
    bars: np.ndarray
    rows: range
    drums: Sequence[int]

    @property
    def right(self) -> float:
        return self.x(self.bars[-1])

    @property
    def floor(self) -> float:
        """Below the keyboard, where the drums begin."""
        return self.upper + self.row * len(self.rows)

    @property
    def lower(self) -> float:
        return self.floor + self.lane * len(self.drums)

    def x(self, beat: float) -> float:
        return self.left + (beat - float(self.bars[0])) * self.scale

    def y(self, pitch: int) -> float:
        """The upper edge of a pitch's row."""
        return self.upper + (self.rows.stop - 1 - pitch) * self.row


class _Canvas:
    """Draws in px on a picture that is _SCALE times as large."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.image = Image.new("RGB", (width * _SCALE, height * _SCALE), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def box(
        self,
        corners: tuple[float, float, float, float],
        fill: Colour,
        outline: Colour | None = None,
        radius: float = 0,
    ) -> None:
        """A rectangle, at least one drawn pixel wide and high."""
        x0, y0, x1, y1 = (round(v * _SCALE) for v in corners)
        edges = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
        if radius * _SCALE >= 1:
            self.draw.rounded_rectangle(edges, radius * _SCALE, fill, outline)
        else:
            self.draw.rectangle(edges, fill, outline)

    def down(self, x: float, upper: float, lower: float, fill: Colour) -> None:
        """A line of one pixel that is sharp in the picture."""
        self.box((round(x), upper, round(x) + 1, lower), fill)

    def across(self, left: float, right: float, y: float, fill: Colour) -> None:
        """The same from left to right."""
        self.box((left, round(y), right, round(y) + 1), fill)

    def text(
        self, x: float, y: float, words: str, size: float, fill: Colour, anchor: str = "lm"
    ) -> None:
        """Words; `anchor` as Pillow's."""
        font = ImageFont.load_default(size=size * _SCALE)
        self.draw.text((x * _SCALE, y * _SCALE), words, fill, font, anchor)

    def length(self, words: str, size: float) -> float:
        """How wide words are."""
        return ImageFont.load_default(size=size * _SCALE).getlength(words) / _SCALE


def _legend(canvas: _Canvas, score: Score, title: str) -> None:
    pace, (top, bottom) = score.tempi[0][1], score.metre_at(0)
    facts = [*(key for _, key in score.keys[:1]), f"{top}/{bottom}", f"{pace:.4g} bpm"]
    said = "   ".join(facts)
    canvas.text(canvas.width - _MARGIN, 22, said, 14, _GREY, "rm")
    x: float = _MARGIN
    end = canvas.width - 2 * _MARGIN - canvas.length(said, 14)
    if title:
        title = _fitted(canvas, title, 18, (end - x) / 2)
        canvas.text(x, 21, title, 18, _INK)
        x += canvas.length(title, 18) + 28
    shown = [(i, track) for i, track in enumerate(score.tracks) if len(track.notes)]
    for number, (index, track) in enumerate(shown):
        kind = "Drums" if track.drums else PROGRAMS[track.program]
        name = _fitted(canvas, track.name or kind, 14, 180)
        if x + canvas.length(name, 14) + 80 > end and number < len(shown) - 1:
            canvas.text(x, 22, f"+ {len(shown) - number}", 14, _GREY)
            return
        canvas.box((x, 16, x + 12, 28), COLOURS[index % len(COLOURS)], radius=3)
        canvas.text(x + 18, 22, name, 14, _INK)
        x += canvas.length(name, 14) + 40


def _fitted(canvas: _Canvas, words: str, size: float, most: float) -> str:
    words = "".join(c for c in words if c.isprintable())[:200]
    if canvas.length(words, size) <= most:
        return words
    while words and canvas.length(words + "…", size) > most:
        words = words[:-1]
    return words + "…"


def _grid(canvas: _Canvas, place: _Place, score: Score, first: int) -> None:
    """Rows, lines of time and the numbers of the bars, of which `first` is the first."""
    left, right, upper, lower = place.left, place.right, place.upper, place.lower
    for pitch in place.rows:
        if pitch % 12 in _BLACK_KEYS and place.row >= 2:
            y = place.y(pitch)
            canvas.box((left, y, right, y + place.row), _SHADE)
    for number in range(0, len(place.drums), 2):
        y = place.floor + number * place.lane
        canvas.box((left, y, right, y + place.lane), _SHADE)

    steps = np.diff(place.bars)
    widest = float(steps.max()) * place.scale
    every = next(2**k for k in range(40) if widest * 2**k >= 34)
    for start, step in zip(place.bars[:-1], steps, strict=True):
        beat = 4 / score.metre_at(float(start))[1]
        for part, colour in ((1 / 4, _FINE), (beat, _BEAT)):
            if part * place.scale >= 9:
                for at in np.arange(part, step - 1e-6, part):
                    canvas.down(place.x(start + at), upper, lower, colour)
    for number, start in enumerate(place.bars[:-1]):
        x = place.x(start)
        named = (first - 1 + number) % every == 0
        if named or widest >= 6:
            canvas.down(x, upper - (6 if named else 0), lower, _BAR)
        if named:
            canvas.text(x + 4, upper - 10, str(first + number), 12, _GREY)
    for pitch in place.rows:
        if pitch % 12 == 0:
            canvas.across(left, right, place.y(pitch) + place.row, _BEAT)
    canvas.down(right, upper, lower, _BAR)
    for y in (upper, place.floor, lower):
        canvas.across(_MARGIN, right, y, _BAR)


def _keyboard(canvas: _Canvas, place: _Place) -> None:
    """Keys and the names of the octaves; the names of the drums."""
    left, row = place.left, place.row
    keys = left - _KEYS
    for pitch in place.rows:
        y = place.y(pitch)
        if pitch % 12 in _BLACK_KEYS:
            # White keys meet behind the middle of a black one.
            canvas.box((keys, y + row / 2 - 0.25, left, y + row / 2 + 0.25), _BAR)
            canvas.box((keys, y + row * 0.06, left - _KEYS * 0.4, y + row * 0.94), _INK)
        elif pitch % 12 in (0, 5):
            canvas.box((keys, y + row - 0.25, left, y + row + 0.25), _BAR)
        if pitch % 12 == 0:
            name = f"C{pitch // 12 - 1}"
            size = min(12.0, max(9.0, row))
            canvas.text(left - 3, y + row / 2, name, size, _GREY, "rm")
    if place.rows:
        canvas.down(keys, place.upper, place.floor, _BAR)
    size = min(13.0, place.lane * 0.85)
    for number, pitch in enumerate(place.drums):
        if size >= 6:
            y = place.floor + (number + 0.5) * place.lane
            name = _fitted(canvas, DRUMS.get(pitch, f"Drum {pitch}"), size, left - _MARGIN - 6)
            canvas.text(left - 6, y, name, size, _INK, "rm")
    canvas.down(left, place.upper, place.lower, _BAR)


def _notes(canvas: _Canvas, place: _Place, track: Track, colour: Colour) -> None:
    low, high = float(place.bars[0]), float(place.bars[-1])
    ends = track.notes["start"] + track.notes["duration"]
    outline = _mix(_INK, colour, 0.72)
    for note in track.notes[(track.notes["start"] < high) & (ends > low)]:
        start, duration, pitch, velocity = (float(v) for v in note)
        fill = _mix(PAPER, colour, 0.3 + 0.7 * velocity / 127)
        x = place.x(max(start, low))
        if track.drums:
            if start < low:
                continue
            half = place.lane * (0.2 + 0.25 * velocity / 127)
            y = place.floor + (place.drums.index(int(pitch)) + 0.5) * place.lane
            wide = max(1.5, min(place.lane * 0.6, place.scale / 4 - 1))
            corners = (x, y - half, x + wide, y + half)
        else:
            y = place.y(int(pitch))
            # A hair's breadth between a note and its repetition.
            end = place.x(min(start + duration, high)) - 0.5
            corners = (x, y + place.row * 0.06, max(x + 1.5, end), y + place.row * 0.94)
        wide, tall = corners[2] - corners[0], corners[3] - corners[1]
        roomy = min(wide, tall) >= 4
        canvas.box(
            corners, fill, outline if roomy else None, min(wide, tall, 9) / 3 if roomy else 0
        )


def _mix(a: Colour, b: Colour, part: float) -> Colour:
    """`part` of b in a."""
    red, green, blue = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
    return red, green, blue
