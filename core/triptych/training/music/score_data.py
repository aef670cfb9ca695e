"""The scores that the score models learn: read from the sets, split by composer or tune, cached."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import symusic

from triptych.errors import one_line
from triptych.music import events
from triptych.music.events import EVENT, Bars
from triptych.music.score import NOTE, Score, Track
from triptych.training import data
from triptych.training.music import sets

HELD_OUT = 20  # one group in so many is for validation, one for the test
_FEWEST_NOTES, _MOST_TICKS = 24, 40_000
_KEYBOARD = ("piano", "harpsichord", "organ", "clavichord", "keyboard", "pianoforte")


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece: its name, EVENTs in C major or A minor, bars, and what it is."""

    name: str
    events: np.ndarray
    bars: Bars
    collection: int
    minor: bool
    pace: int
    dynamics: bool  # whether its velocities say anything
    split: str  # "train", "valid" or "test"


def split_of(group: str) -> str:
    """The split that everything of one group (a composer, a tune) belongs to."""
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") % HELD_OUT
    return {0: "test", 1: "valid"}.get(place, "train")


def pieces(root: Path) -> list[Piece]:
    """Every piece of the free sets, from the cache where it is there.

    Split by composer where one is named and has not most of the set, else by tune.
    """
    sources = all_sources(root)
    mark = hashlib.sha256(repr((EVENT, events.COLLECTIONS, events.METRES, _VERSION)).encode())
    for source in sources:
        mark.update(f"{source.path.name} {source.path.stat().st_size}".encode())
    cache = data.cache_folder() / f"scores-{mark.hexdigest()[:16]}.npz"
    if not cache.is_file():
        found = list(_read(root))
        packed = _packed(found)
        np.savez_compressed(cache, **packed)  # type: ignore[arg-type]
        return found
    with np.load(cache) as saved:
        return _unpacked({key: saved[key] for key in saved.files})


_VERSION = 3  # of what is done with the files


def all_sources(root: Path) -> list[data.Source]:
    """The sets that the score models are trained on."""
    kinds = (
        *(sets.irish, sets.hymnal, sets.chorales, sets.lieder, sets.quartets, sets.mutopia),
        *(sets.freedoom, sets.lmms),
    )
    return [kind(root) for kind in kinds]


def piece_of(name: str, score: Score, collection: int, split: str) -> Piece | None:
    """A score as a piece; None if it is too short or too long to learn from."""
    key = events.key_of(score)
    array = events.events(score, events.shift_to_c(key))
    if len(array) < _FEWEST_NOTES or score.length * events.TICKS > _MOST_TICKS:
        return None
    dynamics = len(np.unique(array["velocity"])) > 2
    pace = events.pace_class(score.tempi[0][1])
    return Piece(name, array, Bars.of(score), collection, key.minor, pace, dynamics, split)


def score_from(content: bytes) -> Score:
    """A MIDI file read by symusic, which is a hundred times faster than `midi.decode`; as tolerant,
    but it keeps only what the models see."""
    read: Any = symusic.Score.from_midi(content)
    read = read.to("quarter")
    tracks = []
    for one in read.tracks:
        soa = one.notes.numpy()
        notes = np.zeros(len(soa["pitch"]), NOTE)
        notes["start"], notes["duration"] = soa["time"], soa["duration"]
        notes["pitch"], notes["velocity"] = soa["pitch"], np.clip(soa["velocity"], 1, 127)
        if len(notes):
            tracks.append(Track(notes, one.name, int(one.program), bool(one.is_drum)))
    tempi = _from_zero([(float(t.time), float(t.qpm)) for t in read.tempos], (120.0,))
    metres = _from_zero(
        [(float(m.time), int(m.numerator), int(m.denominator)) for m in read.time_signatures],
        (4, 4),
    )
    return Score(tuple(tracks), tuple(tempi), tuple(metres))


def _from_zero(changes: list, first: tuple) -> list:  # type: ignore[type-arg]
    """Changes by time, of which the first is at 0 and each time has one."""
    latest = {max(change[0], 0.0): change[1:] for change in sorted(changes, key=lambda c: c[0])}
    latest.setdefault(0.0, first)
    return [(time, *rest) for time, rest in sorted(latest.items())]


def _read(root: Path) -> Iterator[Piece]:
    kinds: list[tuple[data.Source, Callable[[str], tuple[str, str] | None]]] = [
        (sets.irish(root), lambda name: ("folk tune", name)),
        (sets.hymnal(root), lambda name: ("hymn", name)),
        (sets.lieder(root), _by_composer(sets.lieder(root), "voices_lyrics.jsonl", "art song")),
        (sets.quartets(root), _by_composer(sets.quartets(root), "index.jsonl", "string quartet")),
        (sets.mutopia(root), _mutopia(sets.mutopia(root))),
        (sets.freedoom(root), lambda name: ("rock and electronic", name)),
        (sets.lmms(root), lambda name: ("rock and electronic", name.partition("-")[0])),
    ]
    for source, label in kinds:
        for name, content in source.files():
            told = label(name)
            if told is None:
                continue
            try:
                score = score_from(content)
            except Exception as error:
                print(f"left out: {name} ({one_line(error)})")
                continue
            collection, group = told
            place = events.COLLECTIONS.index(collection)
            piece = piece_of(name, score, place, split_of(group))
            if piece is not None:
                yield piece
    yield from _chorales(sets.chorales(root))


def _by_composer(
    source: data.Source, table: str, collection: str
) -> Callable[[str], tuple[str, str] | None]:
    """Songs and quartets are split by composer, so that no cycle lies on both sides."""
    rows = [json.loads(line) for line in source.read(table).decode().splitlines()]
    composers = {row["id"]: row["composer"] for row in rows}

    def label(name: str) -> tuple[str, str]:
        stem = Path(name).stem
        return collection, composers.get(stem) or stem

    return label


def _mutopia(source: data.Source) -> Callable[[str], tuple[str, str] | None]:
    """Whole works of at most eight parts, no studies; the split is by the folder of the source."""
    rows = {}
    for line in source.read("index.jsonl").decode().splitlines():
        row = json.loads(line)
        rows[row["file"]] = row
    most: dict[str, int] = {}
    for row in rows.values():
        folder = str(Path(row["source"]).parent)
        most[folder] = max(most.get(folder, 0), row["tracks"])

    def label(name: str) -> tuple[str, str] | None:
        row = rows.get(name)
        if row is None or row["style"] == "Technique" or row["tracks"] > 8:
            return None
        folder = str(Path(row["source"]).parent)
        instrument, style = (row["instrument"] or "").lower(), row["style"]
        keyboard = any(word in instrument for word in _KEYBOARD)
        if row["tracks"] == 1 and (most[folder] > 1 or not (keyboard or style == "Folk")):
            return None  # a part of something larger
        alone = keyboard and "and" not in instrument and "," not in instrument
        kind = "piano" if alone else {"Folk": "folk tune", "Hymn": "hymn"}.get(style, "ensemble")
        return kind, folder

    return label


def _chorales(source: data.Source) -> Iterator[Piece]:
    """The training chorales; sixteenths on which a voice keeps its pitch are one note."""
    ((_, content),) = source.files()
    for number, steps in enumerate(json.load(io.BytesIO(content))["train"]):
        grid = np.array(steps)
        tracks = []
        for voice in range(4):
            column = grid[:, voice]
            cuts = np.flatnonzero(np.diff(column, prepend=-2, append=-2))
            notes = [
                (low / 4, (high - low) / 4, int(column[low]), 80)
                for low, high in itertools.pairwise(cuts)
                if column[low] >= 0
            ]
            tracks.append(Track(np.array(notes, NOTE), program=52))
        piece = piece_of(
            f"chorale {number}",
            Score(tuple(tracks)),
            events.COLLECTIONS.index("chorale"),
            split_of(f"chorale {number}"),
        )
        if piece is not None:
            yield piece


def _packed(found: list[Piece]) -> dict[str, np.ndarray]:
    return {
        "events": np.concatenate([p.events for p in found]),
        "counts": np.array([len(p.events) for p in found]),
        "starts": np.concatenate([p.bars.starts for p in found]),
        "metres": np.concatenate([p.bars.metres for p in found]),
        "bars": np.array([p.bars.count for p in found]),
        "names": np.array([p.name for p in found]),
        "splits": np.array([p.split for p in found]),
        "facts": np.array([(p.collection, p.minor, p.pace, p.dynamics) for p in found], np.int64),
    }


def _unpacked(packed: dict[str, np.ndarray]) -> list[Piece]:
    counts, bars = packed["counts"], packed["bars"]
    arrays = np.split(packed["events"], np.cumsum(counts)[:-1])
    starts = np.split(packed["starts"], np.cumsum(bars + 1)[:-1])
    metres = np.split(packed["metres"], np.cumsum(bars)[:-1])
    return [
        Piece(str(name), array, Bars(start, metre), int(c), bool(m), int(p), bool(d), str(split))
        for name, split, array, start, metre, (c, m, p, d) in zip(
            packed["names"],
            packed["splits"],
            arrays,
            starts,
            metres,
            packed["facts"],
            strict=True,
        )
    ]
