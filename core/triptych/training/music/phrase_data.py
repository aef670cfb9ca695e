"""Phrases of 2 and 4 bars from the permitted scores: lines (melody, bass) and drums.

Pieces are split by composer, tune or song before phrases are cut; a phrase of the test or
validation part never stands in the training part, in any transposition.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from triptych.files import write_whole
from triptych.music import phrase_grid as grid
from triptych.music.score import NOTE
from triptych.training import data
from triptych.training.music import sets
from triptych.training.music.score_data import score_from

SALT = 59  # the first with which every set has a fair share in each split
VERSION = 4  # of what is in the cache
SPLITS = ("train", "valid", "test")
LENGTHS = (2, 4)  # bars
LEAST_ONSETS = 3  # in two bars
_MONOPHONIC = 0.95  # share of a part's notes that must be in its line
_NEAR = 0.06  # quarter notes from a step; at least nine in ten of a phrase's onsets must be so near
_BASSES = range(32, 40)  # General MIDI programs
_BASS_BELOW = 55  # mean pitch of the lowest of several parts that counts as a bass


@dataclass(frozen=True)
class Piece:
    """One piece: its set and split, its metre (index in METRES), its parts.

    `lines` are (part, notes) with the part's index in grid.LINES; notes are arrays of NOTE, the
    piece's first bar begins at 0. `played`: a performance, whose notes may be off the grid.
    """

    group: str
    split: str
    metre: int
    lines: list[tuple[int, np.ndarray]]
    drums: np.ndarray
    played: bool = False


@dataclass(frozen=True)
class Phrases:
    """Phrases of one kind ("lines" or "drums") and length, all of equally many steps.

    `steps` is N x T (tokens) or N x T x 9 (bits), uint8; `metre` and `part` N; `group` N, the index
    of the set among `groups`.
    """

    steps: np.ndarray
    metre: np.ndarray
    part: np.ndarray
    group: np.ndarray
    groups: tuple[str, ...]


def sources() -> list[data.Source]:
    """The training sets with their licences."""
    root = data.data_root()
    return [kind(root) for kind in _READERS]


def phrases(split: str) -> dict[str, Phrases]:
    """The phrases of a split by kind, bars and steps: "lines-2-32", "drums-4-64", ...

    Extracted once (two minutes), then read from the cache.
    """
    path = data.cache_folder() / f"phrases-{VERSION}-{_mark()}.npz"
    if not path.is_file():
        out = io.BytesIO()
        np.savez_compressed(out, **_arrays(extract(pieces())))
        write_whole(path, out.getbuffer())
    found = {}
    with np.load(path, allow_pickle=False) as stored:
        groups = tuple(stored["groups"].tolist())
        for key in stored:
            name, _, field = key.partition("/")
            if key.startswith(split) and field == "steps":
                steps, metre, part, group = (
                    stored[f"{name}/{f}"] for f in ("steps", "metre", "part", "group")
                )
                kind = name.removeprefix(f"{split}-")
                found[kind] = Phrases(steps, metre, part, group, groups)
    return found


def _mark() -> str:
    """What changes when an archive does."""
    sizes = [(s.path.name, s.path.stat().st_size) for s in sources()]
    return hashlib.sha256(repr(sizes).encode()).hexdigest()[:16]


def pieces() -> Iterator[Piece]:
    """All stretches of all sets whose metre the grid knows."""
    root = data.data_root()
    for kind, read in _READERS.items():
        yield from read(kind(root))


def part_of(key: str) -> str:
    """The split of a composer or tune: nine in ten for training, by a hash of the name."""
    number = int(hashlib.sha256(f"{SALT}{key}".encode()).hexdigest()[:8], 16) % 20
    return {0: "valid", 1: "test"}.get(number, "train")


def _composer(name: str) -> str:
    """A composer's surname, the same for "Dvořák, Antonín" and "DvorakA"."""
    plain = unicodedata.normalize("NFKD", re.split("[,-]", name)[0])
    return _letters(re.sub(r"(?<=[a-z])[A-Z]+[a-z]?$", "", plain))


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _composer_split(name: str) -> str:
    # Bach's chorales are in several sets; where they stand in the JSB set is given
    return "train" if _composer(name) == "bach" else part_of(_composer(name))


def _midi(group: str, content: bytes, split: str, played: bool = False) -> Iterator[Piece]:
    """The stretches of a MIDI file that keep to one of the grid's metres."""
    score = score_from(content)
    drums = [track.notes for track in score.tracks if track.drums]
    hits = np.concatenate([np.zeros(0, NOTE), *drums])
    tracks = [t for t in score.tracks if not t.drums and len(t.notes) >= LEAST_ONSETS]
    lines = _parts([(t.program, t.notes) for t in tracks])
    # a pickup or a tick too late does not shift the first bar
    begins = [*(0.0 if beat < 0.5 else beat for beat, _, _ in score.metres), np.inf]
    for (_, *sign), (low, high) in zip(score.metres, itertools.pairwise(begins), strict=True):
        metre = _METRE.get(tuple(sign))
        if metre is not None and high > low:
            inside = [(part, _between(notes, low, high)) for part, notes in lines]
            yield Piece(group, split, metre, inside, _between(hits, low, high), played)


def _between(notes: np.ndarray, low: float, high: float) -> np.ndarray:
    """The notes that begin there, timed from `low`; a little early (played) is still inside."""
    found = notes[(notes["start"] >= low - 0.1) & (notes["start"] < high - 0.1)].copy()
    found["start"] = np.maximum(found["start"] - low, 0)
    return found


_METRE: dict[tuple[int, ...], int] = {
    (4, 4): 0,
    (2, 2): 0,
    (2, 4): 0,
    (3, 4): 1,
    (6, 8): 2,
    (12, 8): 2,
}


def _parts(tracks: list[tuple[int, np.ndarray]]) -> list[tuple[int, np.ndarray]]:
    """The tracks that are one line, each with its part: the melody's or the bass's."""
    lowest = min((n["pitch"].mean() for _, n in tracks), default=0.0)
    found = []
    for program, notes in tracks:
        line = grid.top_line(notes, program in _BASSES)
        mean = notes["pitch"].mean()
        low = len(tracks) > 1 and mean == lowest and mean < _BASS_BELOW
        bass = program in _BASSES or low
        if len(line) >= _MONOPHONIC * len(notes):
            found.append((int(bass), notes[line]))
    return found


def _rows(source: data.Source, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in source.read(table).splitlines()]


def _mutopia(source: data.Source) -> Iterator[Piece]:
    rows = {row["file"]: row for row in _rows(source, "index.jsonl")}
    most: dict[str, int] = defaultdict(int)  # the movements of a work and its parts share a folder
    for row in rows.values():
        folder = str(PurePosixPath(row["source"]).parent)
        most[folder] = max(most[folder], row["tracks"])
    for name, content in source.files():
        row = rows[name]
        if row["tracks"] == 1 and most[str(PurePosixPath(row["source"]).parent)] > 1:
            continue  # a part of something larger
        unknown = row["composer"] in ("Traditional", "Anonymous")
        split = _composer_split(row["title" if unknown else "composer"])
        yield from _midi("mutopia", content, split)


def _by_composer(group: str, table: str) -> Callable[[data.Source], Iterator[Piece]]:
    """A reader of a set whose table names each piece's composer."""

    def read(source: data.Source) -> Iterator[Piece]:
        composers = {row["id"]: row["composer"] for row in _rows(source, table)}
        for name, content in source.files():
            if composer := composers.get(PurePosixPath(name).stem):
                yield from _midi(group, content, _composer_split(composer))

    return read


def _tunes(group: str) -> Callable[[data.Source], Iterator[Piece]]:
    """A reader of a set that is split by tune: settings and parts of one tune stay together."""

    def read(source: data.Source) -> Iterator[Piece]:
        for name, content in source.files():
            tune = _letters(PurePosixPath(name).stem.split("-")[-1])
            yield from _midi(group, content, part_of(tune))

    return read


def _chorales(source: data.Source) -> Iterator[Piece]:
    ((_, content),) = source.files()
    chorales = json.loads(content)
    for split, found in chorales.items():
        for chorale in found:
            voices = np.array(chorale, int)  # steps x 4
            lines = [(int(v == 3), _held(voices[:, v])) for v in range(voices.shape[1])]
            yield Piece("chorales", split, 0, lines, np.zeros(0, NOTE))


def _held(pitches: np.ndarray) -> np.ndarray:
    """NOTE from one pitch a step, -1 for silence; a repeated pitch begins anew on each beat."""
    change = np.append(True, pitches[1:] != pitches[:-1])
    change[:: grid.STEPS] = True
    start = np.flatnonzero(change)
    long = np.diff(np.append(start, len(pitches)))
    notes = np.zeros(len(start), NOTE)
    notes["start"], notes["duration"] = start / grid.STEPS, long / grid.STEPS
    notes["pitch"], notes["velocity"] = pitches[start], 80
    return notes[notes["pitch"] >= 0]


def _freedoom(source: data.Source) -> Iterator[Piece]:
    credits = source.read("CREDITS-MUSIC").decode(errors="replace")
    for name, content in source.files():
        mark = PurePosixPath(name).stem.removeprefix("d_").upper()
        line = re.search(rf"^\s*{mark}:.* by (.+)$", credits, re.MULTILINE)
        who = _letters(re.split("[,(]", line[1])[0]) if line else mark
        yield from _midi("freedoom", content, part_of(who))


def _lmms(source: data.Source) -> Iterator[Piece]:
    for _, content in source.files():
        yield from _midi("lmms", content, "train")  # too few to hold some out


def _groove(source: data.Source) -> Iterator[Piece]:
    table = csv.DictReader(io.StringIO(source.read("info.csv").decode()))
    rows = {row["midi_filename"]: row for row in table}
    for name, content in source.files():
        row = rows[name]
        if row["time_signature"] == "4-4":
            split = row["split"].replace("validation", "valid")
            yield from _midi("groove", content, split, played=True)


_READERS: dict[Callable[[Path], data.Source], Callable[[data.Source], Iterator[Piece]]] = {
    sets.mutopia: _mutopia,
    sets.lieder: _by_composer("lieder", "voices_lyrics.jsonl"),
    sets.quartets: _by_composer("quartets", "index.jsonl"),
    sets.hymnal: _tunes("hymns"),
    sets.irish: _tunes("irish"),
    sets.chorales: _chorales,
    sets.freedoom: _freedoom,
    sets.lmms: _lmms,
    sets.groove: _groove,
}


@dataclass
class Cut:
    """Phrases of one split, kind and length as they are collected, each once."""

    steps: dict[bytes, np.ndarray]
    metre: list[int]
    part: list[int]
    group: list[str]


def extract(found: Iterable[Piece]) -> dict[str, Cut]:
    """The phrases of the pieces by "SPLIT-KIND-BARS-STEPS".

    Each phrase is there once (lines: up to transposition) and in one split only: what the test part
    has, the others have not.
    """
    cuts: dict[str, Cut] = defaultdict(lambda: Cut({}, [], [], []))
    for piece in found:
        for kind, part, phrase, bars in _windows(piece):
            cut = cuts[f"{piece.split}-{kind}-{bars}-{len(phrase)}"]
            key = _canon(phrase) + bytes([piece.metre, part])
            if key not in cut.steps:
                cut.steps[key] = phrase
                cut.metre.append(piece.metre)
                cut.part.append(part)
                cut.group.append(piece.group)
    for lesser, greater in (("valid", "test"), ("train", "test"), ("train", "valid")):
        for name, cut in cuts.items():
            if name.startswith(lesser):
                other = cuts.get(name.replace(lesser, greater, 1))
                _drop(cut, other.steps.keys() if other else ())
    return {name: cut for name, cut in cuts.items() if cut.steps}


def _drop(cut: Cut, seen: Iterable[bytes]) -> None:
    seen = set(seen)
    kept = [index for index, key in enumerate(cut.steps) if key not in seen]
    keys = list(cut.steps)
    cut.steps = {keys[index]: cut.steps[keys[index]] for index in kept}
    cut.metre = [cut.metre[index] for index in kept]
    cut.part = [cut.part[index] for index in kept]
    cut.group = [cut.group[index] for index in kept]


def _canon(phrase: np.ndarray) -> bytes:
    """A phrase's bytes, the same in every transposition."""
    if phrase.ndim == 1 and (phrase < grid.OFF).any():
        pitched = phrase < grid.OFF
        phrase = np.where(pitched, phrase - phrase[pitched].min(), phrase)
    return phrase.tobytes()


def _windows(piece: Piece) -> Iterator[tuple[str, int, np.ndarray, int]]:
    """(kind, part, phrase, bars) of every window that is worth learning, a bar apart."""
    bar = grid.BARS[piece.metre]
    for part, notes in piece.lines:
        steps = int(grid.steps_of(notes["start"]).max(initial=0)) + 1
        whole = grid.line_tokens(notes, -(-steps // bar) * bar)
        off = _off_grid(notes, len(whole))
        for start, bars in _cuts(len(whole), bar):
            phrase = whole[start : start + bars * bar]
            onset = phrase < grid.OFF
            crooked = off[start : start + len(phrase)].sum() > 0.1 * onset.sum()
            if _worth(onset, bars, bar) and not crooked and len(np.unique(phrase[onset])) > 1:
                yield "lines", part, phrase, bars
    if len(piece.drums):
        steps = int(grid.steps_of(piece.drums["start"]).max()) + 1
        bits = grid.drum_bits(piece.drums, -(-steps // bar) * bar)
        off = _off_grid(piece.drums, len(bits)) * (not piece.played)
        for start, bars in _cuts(len(bits), bar):
            phrase = bits[start : start + bars * bar]
            crooked = off[start : start + len(phrase)].sum() > 0.1 * phrase.sum()
            if _worth(phrase.max(1), bars, bar) and not crooked:
                yield "drums", 0, phrase, bars


def _cuts(steps: int, bar: int) -> Iterator[tuple[int, int]]:
    for bars in LENGTHS:
        for start in range(0, steps - bars * bar + 1, bar):
            yield start, bars


def _off_grid(notes: np.ndarray, steps: int) -> np.ndarray:
    """How many onsets of each step are far from it."""
    at = grid.steps_of(notes["start"])
    far = np.abs(notes["start"] * grid.STEPS - at) > _NEAR * grid.STEPS
    return np.bincount(at[far].clip(0, steps - 1), minlength=steps)


def _worth(onset: np.ndarray, bars: int, bar: int) -> bool:
    """Enough onsets and no silence of more than a bar."""
    at = np.flatnonzero(onset)
    if len(at) < LEAST_ONSETS * bars // 2:
        return False
    return bool(np.diff(np.concatenate([[0], at, [len(onset)]])).max() <= bar)


def _arrays(cuts: dict[str, Cut]) -> dict[str, Any]:
    """What the cache holds."""
    groups = sorted({group for cut in cuts.values() for group in cut.group})
    made: dict[str, Any] = {"groups": np.array(groups)}
    for name, cut in cuts.items():
        made[f"{name}/steps"] = np.stack(list(cut.steps.values()))
        made[f"{name}/metre"] = np.array(cut.metre, np.uint8)
        made[f"{name}/part"] = np.array(cut.part, np.uint8)
        made[f"{name}/group"] = np.array([groups.index(g) for g in cut.group], np.uint8)
    return made
