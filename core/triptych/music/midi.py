"""Standard MIDI files in and out (MIDI 1.0, RP-001), with what a musician put into them.

Messages are mido's, and mido writes the files. Reading walks the bytes here: mido's reader gives
up a whole file for one bad key signature, a foreign chunk or a lying header, and drops the time of
meta events that it does not know.
"""

from __future__ import annotations

import io
import logging
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mido
import numpy as np

from triptych import provenance as origin
from triptych.errors import UserError
from triptych.files import refusal, shown, write_whole
from triptych.music.score import LONGEST, NOTE, Score, Track, check_score

log = logging.getLogger("triptych")

RESOLUTION = 960
"""Ticks a quarter note in the files that are written."""

DRUM_CHANNEL = 9  # counted from 0; musicians call it 10
MOST_TRACKS = 1000
MOST_BYTES = 32_000_000
_MOST_EVENTS = 2_500_000  # 1,000,000 notes and what follows; 10 s
_MOST_OTHER = 500_000  # events that are no notes; 10 s
_SHORT = 1 / 32  # quarter notes that a note without a length is given: a 128th note
_LONGEST_TICKS = 0x0FFFFFFF  # what a variable-length number holds

_META, _SYSEX, _ESCAPE = 0xFF, 0xF0, 0xF7
_TEXTS = {
    0x01: "text",
    0x02: "copyright",
    0x03: "track_name",
    0x04: "instrument_name",
    0x05: "lyrics",
    0x06: "marker",
    0x07: "cue_marker",
    0x09: "device_name",
}
_TEXT_CODES = {kind: code for code, kind in _TEXTS.items()}
_TRACK_NAME, _END, _TEMPO, _METRE, _KEY = 0x03, 0x2F, 0x51, 0x58, 0x59
# Number, channel prefix, port and SMPTE offset describe the old file's layout, not the music.
_LAYOUT = {0x00, 0x20, 0x21, 0x54}
# What a part says about the whole piece; it is written into the first track. `track_name` there is
# the title, since a part's own name is Track.name; sysex may reset the programs that follow it.
_OF_THE_PIECE = {"track_name", "copyright", "marker", "cue_marker", "sysex"}
_CHANNEL_MESSAGES = {
    0xA0: ("polytouch", ("note", "value")),
    0xB0: ("control_change", ("control", "value")),
    0xC0: ("program_change", ("program",)),
    0xD0: ("aftertouch", ("value",)),
}
_BANK_SELECT = {0, 32}

_READABLE = "made with Triptych"
_RECORD = "triptych:record="


def load(path: str | os.PathLike[str]) -> Score:
    """Read a Standard MIDI file of type 0 or 1 (.mid, .midi, .kar, .rmi).

    Raises:
        UserError: missing, a folder, empty, not MIDI, damaged, too large.
    """
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"cannot read {shown(path)}: it is not an ordinary file.")
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise refusal("read", path, error) from None
    return decode(data, shown(path))


def decode(data: bytes, name: str = "the MIDI file") -> Score:
    """The score in the bytes of a Standard MIDI file; `name` is what errors call it.

    A track that plays on several channels becomes one Track for each. A note-off ends the oldest
    note of its pitch that still sounds; the end of the track ends those that nothing ends; a note
    without a length gets a 128th. Channel 10 is drums. What is not notes, programs, tempo, metre
    or key is kept in `Track.other`, with what the piece as a whole says (title, copyright,
    markers) in the first track's. Times in SMPTE frames are read as quarter notes at 120 a minute.

    Raises:
        UserError: empty, not MIDI, damaged, several sequences (type 2), too large.
    """
    kind, division, bodies = _open(data, name)
    parts = _parts(bodies, name)
    tempi: dict[float, tuple[float]] = {0.0: (120.0,)}
    metres: dict[float, tuple[int, int]] = {0.0: (4, 4)}
    keys: dict[float, tuple[str]] = {}
    for part in parts:
        # The last of several at one time holds.
        if division > 0:
            tempi |= {tick / division: (pace,) for tick, pace in part.tempi}
        metres |= {tick / abs(division): metre for tick, metre in part.metres}
        keys |= {tick / abs(division): (key,) for tick, key in part.keys}
    division = abs(division)
    length = max(part.end for part in parts) / division
    if length > LONGEST:
        raise UserError(
            f"{name} would last more than {LONGEST:.0f} quarter notes: its times are damaged; "
            "export it again."
        )
    tracks = _tracks(parts, division, split=kind == 0)
    if len(tracks) > MOST_TRACKS:
        raise _too_many(len(tracks), "tracks", MOST_TRACKS, name)
    score = Score(
        tuple(tracks),
        tuple((beat, *value) for beat, value in sorted(tempi.items())),
        tuple((beat, *value) for beat, value in sorted(metres.items())),
        tuple((beat, *value) for beat, value in sorted(keys.items())),
        length,
    )
    return check_score(score, name)


def record(data: bytes) -> origin.Provenance | None:
    """The record of provenance in the bytes of a MIDI file, None where none can be read."""
    try:
        _, _, bodies = _open(data, "")
        for _, _, status, kind, content in _events(bodies, ""):
            if status == _META and kind == _TEXT_CODES["text"]:
                text = _text(content)
                if text.startswith(_RECORD):
                    return origin.Provenance.from_json(text.removeprefix(_RECORD))
    except (UserError, ValueError, TypeError, RecursionError):
        return None
    return None


# ---------------------------------------------------------------------------------------- reading


def _damaged(name: str) -> UserError:
    return UserError(f"{name} is damaged or cut off: copy it or export it from its program again.")


def _too_many(count: int, what: str, most: int, name: str) -> UserError:
    return UserError(f"{name} has {count} {what}; at most {most} can be read: split it.")


def _open(data: bytes, name: str) -> tuple[int, float, list[tuple[bytes, bool]]]:
    """A file's type, its ticks a quarter note and its tracks' bytes, each with whether it is whole.

    The ticks are negative if the file counts SMPTE frames, for which there is no tempo.
    """
    if not data:
        raise UserError(f"cannot read {name}: the file is empty.")
    if len(data) > MOST_BYTES:
        raise UserError(
            f"{name} is larger than {MOST_BYTES // 10**6} MB, the most that can be read: split it."
        )
    if not data.startswith(b"MThd") and not (data.startswith(b"RIFF") and data[8:12] == b"RMID"):
        raise UserError(
            f"{name} is not a MIDI file: export the music as a Standard MIDI File (.mid) first."
        )
    chunks = _chunks(data, max(0, data.find(b"MThd")))  # behind RIFF's own header, if any
    _, header, _ = next(chunks, (b"", b"", False))
    if len(header) < 6:
        raise _damaged(name)
    kind, announced, ticks = (int.from_bytes(header[at : at + 2]) for at in (0, 2, 4))
    bodies = [(body, whole) for chunk, body, whole in chunks if chunk == b"MTrk"]
    if not bodies:
        raise UserError(f"{name} has no track, so there is no music in it: export it again.")
    if len(bodies) > MOST_TRACKS:
        raise _too_many(len(bodies), "tracks", MOST_TRACKS, name)
    if kind == 2 and len(bodies) > 1:
        raise UserError(
            f"{name} holds {len(bodies)} sequences that are independent of each other (type 2): "
            "open it in its program and export the one that you want."
        )
    if len(bodies) < announced:
        log.warning("%s announces %d tracks and holds %d", name, announced, len(bodies))
    division = float(ticks)
    if ticks & 0x8000:
        rate = 256 - (ticks >> 8)
        # Two quarter notes a second; 29 frames stand for 30 / 1.001.
        division = -(30 / 1.001 if rate == 29 else rate) * (ticks & 0xFF) / 2
    if division == 0:
        raise _damaged(name)
    return kind if len(bodies) > 1 else 0, division, bodies


def _chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes, bool]]:
    """Each chunk's kind, its bytes and whether all of those that it announces are there."""
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8])
        body = data[at + 8 : at + 8 + size]
        yield data[at : at + 4], body, len(body) == size
        at += 8 + size


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A variable-length number of at most four bytes and the place behind it."""
    value = 0
    for place in range(at, at + 4):
        value = value << 7 | body[place] & 0x7F
        if body[place] < 0x80:
            return value, place + 1
    raise IndexError


def _events(
    bodies: Sequence[tuple[bytes, bool]], name: str
) -> Iterator[tuple[int, int, int, int, bytes]]:
    """(track, tick, status, kind of meta event or 0, data) of every event; `_END` ends each track.

    Running status goes on behind meta and exclusive events: the standard forbids it, files do it.
    """
    for track, (body, whole) in enumerate(bodies):
        at = tick = running = kind = 0
        try:
            while at < len(body):
                delta, at = _number(body, at)
                tick += delta
                status, kind = body[at], 0
                if status >= 0x80:
                    at += 1
                elif running:
                    status = running
                else:
                    raise _damaged(name)
                if status < 0xF0:
                    running = status
                    size = 1 if 0xC0 <= status < 0xE0 else 2
                elif status == _META:
                    kind = body[at]
                    size, at = _number(body, at + 1)
                elif status in (_SYSEX, _ESCAPE):
                    size, at = _number(body, at)
                else:  # not allowed in files; lengths as on the wire
                    size = {0xF1: 1, 0xF2: 2, 0xF3: 1}.get(status, 0)
                data = body[at : at + size]
                if len(data) < size:
                    raise _damaged(name)
                at += size
                yield track, tick, status, kind, data
                if status == _META and kind == _END:
                    break
            else:
                if not whole:
                    raise _damaged(name)
                yield track, tick, _META, _END, b""
        except IndexError:
            raise _damaged(name) from None


@dataclass
class _Voice:
    """What one track of a file does on one channel; times in ticks."""

    channel: int
    notes: list[tuple[int, int, int, int]] = field(default_factory=list)  # start, end, ...
    sounding: dict[int, deque[tuple[int, int]]] = field(default_factory=dict)
    programs: list[tuple[int, int]] = field(default_factory=list)
    other: list[tuple[int, Any]] = field(default_factory=list)


@dataclass
class _Part:
    """One track of a file; times in ticks."""

    name: str = ""
    voices: dict[int, _Voice] = field(default_factory=dict)
    metas: list[tuple[int, Any]] = field(default_factory=list)
    tempi: list[tuple[int, float]] = field(default_factory=list)
    metres: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    keys: list[tuple[int, str]] = field(default_factory=list)
    end: int = 0


def _parts(bodies: Sequence[tuple[bytes, bool]], name: str) -> list[_Part]:
    parts = [_Part() for _ in bodies]
    others = 0
    for count, (track, tick, status, kind, data) in enumerate(_events(bodies, name)):
        others += status >= 0xA0
        if count >= _MOST_EVENTS or others > _MOST_OTHER:
            raise UserError(
                f"{name} has more than {_MOST_EVENTS} events, or {_MOST_OTHER} that are not notes: "
                "thin out its controllers or split it."
            )
        part = parts[track]
        if status >= 0xF0:
            _common(part, tick, status, kind, data)
            continue
        channel = status & 0x0F
        voice = part.voices.get(channel)
        if voice is None:
            voice = part.voices[channel] = _Voice(channel)
        first = min(data[0], 127)
        if status < 0xA0:
            velocity = min(data[1], 127)
            if status >= 0x90 and velocity:
                voice.sounding.setdefault(first, deque()).append((tick, velocity))
            elif voice.sounding.get(first):
                start, velocity = voice.sounding[first].popleft()
                voice.notes.append((start, tick, first, velocity))
        elif status & 0xF0 == 0xC0:
            voice.programs.append((tick, first))
        elif status & 0xF0 == 0xE0:
            pitch = (min(data[1], 127) << 7 | first) - 8192
            message = mido.Message("pitchwheel", skip_checks=True, channel=channel, pitch=pitch)
            voice.other.append((tick, message))
        else:
            what, names = _CHANNEL_MESSAGES[status & 0xF0]
            values = {key: min(value, 127) for key, value in zip(names, data, strict=True)}
            message = mido.Message(what, skip_checks=True, channel=channel, time=0, **values)
            voice.other.append((tick, message))
    for part in parts:
        for voice in part.voices.values():
            for pitch, held in voice.sounding.items():
                voice.notes += [(start, part.end, pitch, velocity) for start, velocity in held]
    return parts


def _common(part: _Part, tick: int, status: int, kind: int, data: bytes) -> None:
    """A meta or an exclusive event; what cannot be understood is dropped."""
    if status == _SYSEX:
        if data[-1:] == b"\xf7" and max(data[:-1], default=0) < 0x80:
            part.metas.append((tick, mido.Message("sysex", data=data[:-1])))
    elif status != _META or kind in _LAYOUT:
        return
    elif kind == _END:
        part.end = tick
    elif kind == _TRACK_NAME:
        part.name = part.name or _text(data).strip()
    elif kind in _TEXTS:
        what = _TEXTS[kind]
        key = "name" if what.endswith("name") else "text"
        part.metas.append((tick, mido.MetaMessage(what, **{key: _text(data)})))
    elif kind == _TEMPO:
        if len(data) == 3 and any(data):
            part.tempi.append((tick, _pace(int.from_bytes(data))))
    elif kind == _METRE:
        if len(data) >= 2 and data[0] and data[1] <= 6:
            part.metres.append((tick, (data[0], 2 ** data[1])))
    elif kind == _KEY:
        try:
            part.keys.append((tick, mido.MetaMessage.from_bytes([_META, _KEY, 2, *data]).key))
        except (ValueError, IndexError, mido.KeySignatureError):
            return
    else:
        part.metas.append((tick, mido.UnknownMetaMessage(kind, data)))


def _text(data: bytes) -> str:
    """Files do not say how their texts are written; UTF-8 is hardly ever so by chance."""
    data = data.strip(b"\0")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _pace(microseconds: int) -> float:
    """Quarter notes a minute: the roundest number that is written as these microseconds."""
    exact = 60e6 / microseconds
    rounded = (round(exact, digits) for digits in range(9))
    return next((r for r in rounded if r and round(60e6 / r) == microseconds), exact)


def _tracks(parts: Sequence[_Part], division: float, split: bool) -> list[Track]:
    """The tracks of the score; `split`: the file has one track for all (type 0)."""
    programs: dict[int, list[tuple[int, int]]] = {}
    owners: dict[int, _Voice] = {}
    for part in parts:
        for voice in part.voices.values():
            programs.setdefault(voice.channel, []).extend(voice.programs)
            if voice.notes:
                owners.setdefault(voice.channel, voice)
    found: list[tuple[str, _Voice]] = []
    of_the_piece: list[tuple[int, Any]] = []
    for place, part in enumerate(parts):
        voices = [voice for voice in part.voices.values() if voice.notes]
        if not voices:
            # Settings for notes that stand in another track.
            for voice in part.voices.values():
                if voice.channel in owners:
                    owners[voice.channel].other += voice.other
                    voice.other = []
            if place and (part.name or part.voices or part.metas):
                voices = list(part.voices.values())[:1] or [_Voice(0)]
        if voices and not (split and len(voices) > 1):
            found += [(part.name, voice) for voice in voices]
            voices[0].other += part.metas
            continue
        found += [("", voice) for voice in voices]
        if part.name:
            of_the_piece.append((0, mido.MetaMessage("track_name", name=part.name)))
        of_the_piece += part.metas
    if found:
        found[0][1].other += of_the_piece
    return [_track(name, voice, programs, division) for name, voice in found]


def _track(
    name: str, voice: _Voice, programs: dict[int, list[tuple[int, int]]], division: float
) -> Track:
    changes = voice.programs or (programs.get(voice.channel, []) if voice.notes else [])
    # What is set when the first note sounds; of a part without notes, what is set first.
    starts = [note[0] for note in voice.notes] or [tick for tick, _ in changes[:1]]
    first = min(starts, default=0)
    before = [program for tick, program in sorted(changes, key=_tick) if tick <= first]
    later = [
        (tick, mido.Message("program_change", channel=voice.channel, program=program))
        for tick, program in voice.programs
        if tick > first
    ]
    table = np.array(voice.notes, np.int64).reshape(-1, 4)
    notes = np.empty(len(table), NOTE)
    notes["start"] = table[:, 0] / division
    length = (table[:, 1] - table[:, 0]) / division
    notes["duration"] = np.where(length > 0, length, _SHORT)
    notes["pitch"], notes["velocity"] = table[:, 2], table[:, 3]
    other = sorted(voice.other + later, key=_tick)
    return Track(
        notes,
        name,
        before[-1] if before else 0,
        voice.channel == DRUM_CHANNEL,
        tuple((tick / division, message) for tick, message in other),
    )


def _tick(item: tuple[int, Any]) -> int:
    return item[0]


# ---------------------------------------------------------------------------------------- writing


def save(
    score: Score, path: str | os.PathLike[str], provenance: origin.Provenance | None = None
) -> None:
    """Write a score as a Standard MIDI file of type 1; all or nothing.

    Raises:
        UserError: as for `encode`; a full disk, an unwritable folder, ...
    """
    write_whole(path, encode(score, provenance))


def encode(score: Score, provenance: origin.Provenance | None = None) -> bytes:
    """The bytes of a Standard MIDI file of type 1 with RESOLUTION ticks a quarter note.

    The first track conducts: tempo, metre, key, title, markers. Every other has a channel of its
    own, drums channel 10; when there are more than 15, those of one program share one. A channel
    holds one note of a pitch at a time, so one that still sounds ends where the next begins, and
    that one then lasts as long as either would have; notes that begin together are all kept.

    `provenance` is written as text events, in the place of older records, unless
    TRIPTYCH_PROVENANCE=off.

    Raises:
        UserError: a score that `check_score` refuses, or one that MIDI cannot hold.
    """
    check_score(score)
    if len(score.tracks) > MOST_TRACKS:
        raise UserError(f"the score has {len(score.tracks)} tracks; at most {MOST_TRACKS} fit.")
    if score.length * RESOLUTION >= _LONGEST_TICKS:
        most = _LONGEST_TICKS // RESOLUTION
        raise UserError(
            f"the score is longer than {most} quarter notes, too long for MIDI: cut it."
        )
    renew = provenance is not None and origin.enabled()
    conductor = _conductor(score, provenance if renew else None)
    channels = _channels(score.tracks)
    tracks = []
    for track, channel in zip(score.tracks, channels, strict=True):
        events = _of_track(track, channel)
        for beat, message in track.other:
            if message.is_realtime or (renew and _is_record(message)):
                continue
            if message.type in _OF_THE_PIECE:
                rank = _FIRST if message.type == "track_name" else _OTHER
                conductor.append((_at(beat), rank, _copy(message)))
            elif message.is_meta:
                events.append((_at(beat), _OTHER, _copy(message)))
            else:
                events.append((_at(beat), _OTHER, message.copy(channel=channel)))
        tracks.append(events)
    ends = [tick for events in [conductor, *tracks] for tick, _, _ in events]
    end = max([_at(score.length), *ends])
    made = mido.MidiFile(
        type=1,
        ticks_per_beat=RESOLUTION,
        tracks=[mido.MidiTrack(_timed(events, end)) for events in [conductor, *tracks]],
    )
    file = io.BytesIO()
    made.save(file=file)
    return file.getvalue()


_Event = tuple[int, int, Any]  # tick, rank among those of the same tick, message
_FIRST, _OTHER, _PROGRAM, _NOTE_ON = range(4)  # names and note-offs come first


def _at(beat: float) -> int:
    return round(beat * RESOLUTION)


def _copy(message: Any) -> Any:
    """A meta or exclusive message of its own, with its text in UTF-8: mido's default is Latin-1."""
    if message.type in _TEXT_CODES:
        text = message.name if message.type.endswith("name") else message.text
        return _said(message.type, text)
    return message.copy()


def _said(kind: str, text: str) -> Any:
    return mido.UnknownMetaMessage(_TEXT_CODES[kind], text.encode("utf-8", "replace"))


def _is_record(message: Any) -> bool:
    return bool(message.type == "text" and message.text.startswith((_READABLE, _RECORD)))


def _conductor(score: Score, provenance: origin.Provenance | None) -> list[_Event]:
    events: list[_Event] = []
    if provenance is not None:
        made = f"{_READABLE} ({provenance.generator}): {provenance.digital_source_type}"
        events.append((0, _FIRST, _said("text", made)))
        events.append((0, _FIRST, _said("text", _RECORD + provenance.to_json())))
    try:
        for beat, pace in score.tempi:
            tempo = min(max(round(60e6 / pace), 1), 0xFFFFFF)
            events.append((_at(beat), _OTHER, mido.MetaMessage("set_tempo", tempo=tempo)))
        for beat, top, bottom in score.metres:
            metre = mido.MetaMessage(
                "time_signature",
                numerator=top,
                denominator=bottom,
                clocks_per_click=max(1, 96 // bottom),
            )
            events.append((_at(beat), _OTHER, metre))
        for beat, key in score.keys:
            events.append((_at(beat), _OTHER, mido.MetaMessage("key_signature", key=key)))
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise UserError(f"the score has a tempo, metre or key unknown to MIDI: {error}.") from None
    return events


def _channels(tracks: Sequence[Track]) -> list[int]:
    """The channel of every track."""
    free = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    crowded = sum(not track.drums for track in tracks) > len(free)
    given: dict[int, int] = {}  # by program if they must share, else by place
    channels = []
    for place, track in enumerate(tracks):
        key = track.program if crowded else place
        if not track.drums:
            given.setdefault(key, free[len(given) % len(free)])
        channels.append(DRUM_CHANNEL if track.drums else given[key])
    return channels


def _of_track(track: Track, channel: int) -> list[_Event]:
    """The name, the program and the notes."""
    events: list[_Event] = []
    if track.name:
        events.append((0, _FIRST, _said("track_name", track.name)))
    # A bank takes effect with the program change that follows it.
    first = track.notes["start"].min(initial=np.inf)
    banks = [
        _at(beat)
        for beat, message in track.other
        if message.type == "control_change" and message.control in _BANK_SELECT and beat <= first
    ]
    program = mido.Message("program_change", channel=channel, program=track.program)
    events.append((max(banks, default=0), _PROGRAM, program))
    on, off = (
        {"skip_checks": True, "channel": channel},
        {"skip_checks": True, "channel": channel, "velocity": 64},
    )
    for start, end, pitch, velocity in _separate(track.notes):
        message = mido.Message("note_on", note=pitch, velocity=velocity, **on)
        events.append((start, _NOTE_ON, message))
        events.append((end, _FIRST, mido.Message("note_off", note=pitch, **off)))
    return events


def _separate(notes: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(start, end, pitch, velocity) in ticks; of one pitch, none sounds into a later one."""
    start = np.rint(notes["start"] * RESOLUTION).astype(np.int64)
    end = np.rint((notes["start"] + notes["duration"]) * RESOLUTION).astype(np.int64)
    table = np.stack([start, np.maximum(end, start + 1), notes["pitch"], notes["velocity"]], axis=1)
    table = table[np.lexsort((table[:, 1], table[:, 2], table[:, 0]))]
    for pitch in np.unique(table[:, 2]):
        rows = np.flatnonzero(table[:, 2] == pitch)
        starts = table[rows, 0]
        following = np.append(starts, np.iinfo(np.int64).max)[starts.searchsorted(starts, "right")]
        table[rows, 1] = np.minimum(np.sort(table[rows, 1]), following)
    return [(row[0], row[1], row[2], row[3]) for row in table.tolist()]


def _timed(events: list[_Event], end: int) -> Iterator[Any]:
    """The messages of a track in order, each with the ticks since the one before."""
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        message.time = tick - now
        now = tick
        yield message
    yield mido.MetaMessage("end_of_track", time=end - now)
