import io
import logging
import os
import struct
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych import cli, provenance
from triptych.errors import UserError
from triptych.music import midi
from triptych.music.score import Score, Track, notes
from triptych.provenance import Provenance

TICK = 1 / midi.RESOLUTION
END = b"\x00\xff\x2f\x00"


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body)) + body


def file(*bodies: bytes, kind: int = 1, division: int = 480) -> bytes:
    """A MIDI file of tracks given in bytes."""
    header = chunk(b"MThd", struct.pack(">HHH", kind, len(bodies), division))
    return header + b"".join(chunk(b"MTrk", body) for body in bodies)


def rows(track: Track) -> list[tuple[float, float, int, int]]:
    return [(float(n[0]), float(n[1]), int(n[2]), int(n[3])) for n in track.notes]


def written(score: Score, provenance: Provenance | None = None) -> list[list[Any]]:
    """What another reader finds in a score's file: (tick, message) of each track."""
    found = mido.MidiFile(file=io.BytesIO(midi.encode(score, provenance)), charset="utf-8")
    tracks = []
    for track in found.tracks:
        ticks = np.cumsum([message.time for message in track])
        tracks.append(list(zip(ticks.tolist(), track, strict=True)))
    return tracks


def song() -> Score:
    """A song with all that a score and its tracks can hold."""
    melody = Track(
        notes([(0, 1, 60, 90), (1, 0.5, 62, 70), (1.5, 2.5, 64, 127), (5, 3, 67, 1)]),
        "Flöte",
        73,
        other=(
            (0.0, mido.MetaMessage("copyright", text="public domain")),
            (0.0, mido.Message("control_change", channel=3, control=7, value=100)),
            (1.0, mido.MetaMessage("lyrics", text="là")),
            (2.0, mido.Message("pitchwheel", channel=3, pitch=-4000)),
            (4.0, mido.MetaMessage("marker", text="B")),
            (6.0, mido.Message("program_change", channel=3, program=74)),
        ),
    )
    drums = Track(notes([(k / 2, 0.25, 36 + 2 * (k % 2), 100) for k in range(16)]), "Kit", 8, True)
    return Score(
        (melody, drums, Track(notes(), "left empty", 32)),
        ((0.0, 140.0), (4.0, 93.5)),
        ((0.0, 3, 4), (6.0, 7, 8)),
        ((0.0, "F#m"), (6.0, "A")),
        9.5,
    )


def test_a_song_comes_back_whole(tmp_path: Path) -> None:
    score = song()
    midi.save(score, tmp_path / "song.mid")
    found = midi.load(tmp_path / "song.mid")
    assert found.tempi == score.tempi
    assert found.metres == score.metres
    assert found.keys == score.keys
    assert found.length == score.length
    assert [(t.name, t.program, t.drums) for t in found.tracks] == [
        ("Flöte", 73, False),
        ("Kit", 8, True),
        ("left empty", 32, False),
    ]
    for track, other in zip(score.tracks, found.tracks, strict=True):
        assert rows(track) == rows(other)
    said = [(beat, m.type) for beat, m in found.tracks[0].other]
    assert sorted(said) == sorted((beat, m.type) for beat, m in score.tracks[0].other)
    assert midi.encode(found) == midi.encode(score)


def test_another_reader_finds_what_was_written() -> None:
    conductor, flute, kit, empty = written(song())
    assert [(t, m.type) for t, m in conductor if m.type != "end_of_track"] == [
        (0, "set_tempo"),
        (0, "time_signature"),
        (0, "key_signature"),
        (0, "copyright"),
        (3840, "set_tempo"),
        (3840, "marker"),
        (5760, "time_signature"),
        (5760, "key_signature"),
    ]
    assert {m.channel for _, m in flute if not m.is_meta} == {0}
    assert {m.channel for _, m in kit if not m.is_meta} == {9}
    assert flute[0][1].name == "Flöte"
    assert next(m.text for _, m in flute if m.type == "lyrics") == "là"
    for track in (conductor, flute, kit, empty):
        assert track[-1][0] == 9.5 * 960
        assert track[-1][1].type == "end_of_track"


def test_a_repeated_note_ends_before_it_begins_again() -> None:
    _, track = written(Score((Track(notes([(0, 1, 60, 80), (1, 1, 60, 80)])),)))
    said = [(t, m.type) for t, m in track if m.type.startswith("note")]
    assert said == [(0, "note_on"), (960, "note_off"), (960, "note_on"), (1920, "note_off")]


def test_of_overlapping_notes_of_a_pitch_the_earlier_ends() -> None:
    def back(*given: tuple[float, float, int, int]) -> list[tuple[float, float, int, int]]:
        return rows(midi.decode(midi.encode(Score((Track(notes(given)),)))).tracks[0])

    assert back((0, 2, 60, 80), (1, 2, 60, 90)) == [(0, 1, 60, 80), (1, 2, 60, 90)]
    # Within a longer one: neither does the sound stop early.
    assert back((0, 4, 60, 80), (1, 1, 60, 90)) == [(0, 1, 60, 80), (1, 3, 60, 90)]
    together = [(0, 1, 60, 80), (0, 2, 60, 90), (3, 1, 60, 70)]
    assert back(*together) == together
    other_pitch = [(0, 4, 60, 80), (1, 1, 61, 90)]
    assert back(*other_pitch) == other_pitch


def test_channels_are_shared_by_program_only_if_there_are_too_few() -> None:
    def channels(programs: Iterable[int]) -> list[int]:
        drums = Track(notes([(0, 1, 36, 80)]), drums=True)
        made = [Track(notes([(0, 1, 60, 80)]), program=program) for program in programs]
        found = written(Score((drums, *made)))[1:]
        assert next(m.channel for _, m in found[0] if m.type == "note_on") == 9
        return [next(m.channel for _, m in t if m.type == "note_on") for t in found[1:]]

    free = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15]
    assert channels([5] * 15) == free
    assert channels([5, 6] * 8) == [0, 1] * 8
    assert set(channels(range(20))) == set(free)


names = st.text(st.characters(exclude_categories=["C"]), max_size=12).map(str.strip)
beats = st.integers(0, 40 * 960).map(lambda tick: tick / 960) | st.floats(0, 40)


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Scores in which no note sounds into another of its pitch."""
    tracks = []
    for _ in range(draw(st.integers(0, 5))):
        made = []
        for pitch in draw(st.sets(st.integers(0, 127), max_size=4)):
            at = 0.0
            for gap, duration in draw(st.lists(st.tuples(beats, beats), max_size=4)):
                start, duration = at + gap, max(duration, 2 * TICK)
                made.append((start, duration, pitch, draw(st.integers(1, 127))))
                at = start + duration
        program = draw(st.integers(0, 127))
        tracks.append(Track(notes(made), draw(names), program, draw(st.booleans())))
    later = st.integers(1, 999).map(float)
    tempo = st.integers(4, 999).map(float) | st.floats(4, 999)
    metre = st.tuples(st.integers(1, 32), st.sampled_from([1, 2, 4, 8, 16, 32]))
    key = st.sampled_from(["C", "Am", "F#m", "Bb", "Cb", "A#m"])
    tempi = {0.0: draw(tempo), **draw(st.dictionaries(later, tempo, max_size=4))}
    metres = {0.0: draw(metre), **draw(st.dictionaries(later, metre, max_size=4))}
    keys = draw(st.dictionaries(later, key, max_size=3))
    return Score(
        tuple(tracks),
        tuple(sorted(tempi.items())),
        tuple((beat, *value) for beat, value in sorted(metres.items())),
        tuple(sorted(keys.items())),
        draw(st.floats(0, 2000)),
    )


@settings(max_examples=40)
@given(scores())
def test_any_score_comes_back_to_within_a_tick(score: Score) -> None:
    found = midi.decode(midi.encode(score))
    assert [(t.name, t.program, t.drums) for t in found.tracks] == [
        (t.name, t.program, t.drums) for t in score.tracks
    ]
    for mine, theirs in zip(score.tracks, found.tracks, strict=True):
        by_pitch = [np.lexsort((t.notes["start"], t.notes["pitch"])) for t in (mine, theirs)]
        a, b = mine.notes[by_pitch[0]], theirs.notes[by_pitch[1]]
        assert (a["pitch"] == b["pitch"]).all()
        assert (a["velocity"] == b["velocity"]).all()
        assert np.abs(a["start"] - b["start"]).max(initial=0) <= TICK
        assert np.abs(a["duration"] - b["duration"]).max(initial=0) <= TICK
    ends = [max((t.end for t in score.tracks), default=0), score.metres[-1][0], score.tempi[-1][0]]
    ends += [score.length, *(beat for beat, _ in score.keys)]
    assert found.length == pytest.approx(max(ends), abs=2 * TICK)
    assert found.metres == score.metres
    assert found.keys == score.keys
    assert [beat for beat, _ in found.tempi] == [beat for beat, _ in score.tempi]
    for (_, mine_pace), (_, their_pace) in zip(score.tempi, found.tempi, strict=True):
        assert 60e6 / their_pace == pytest.approx(60e6 / mine_pace, abs=1.01)


# ---------------------------------------------------------------------------------- odd files


def test_running_status_and_note_on_without_velocity_and_no_tempo() -> None:
    body = bytes([0, 0x90, 60, 64, 0x60, 60, 0, 0, 62, 80, 0x60, 62, 0]) + END
    score = midi.decode(file(body, division=96))
    assert rows(score.tracks[0]) == [(0, 1, 60, 64), (1, 1, 62, 80)]
    assert score.tempi == ((0.0, 120.0),)
    assert score.metres == ((0.0, 4, 4),)


def test_running_status_goes_on_behind_a_meta_event() -> None:
    lyric = b"\x00\xff\x05\x01a"
    body = bytes([0, 0x90, 60, 64]) + lyric + bytes([0x60, 60, 0]) + END
    assert rows(midi.decode(file(body, division=96)).tracks[0]) == [(0, 1, 60, 64)]


def test_notes_without_length_hanging_and_stray_note_offs() -> None:
    body = bytes([0, 0x80, 50, 0, 0, 0x90, 60, 64, 0, 0x80, 60, 0, 0, 0x90, 64, 64])
    score = midi.decode(file(body + b"\x83\x60\xff\x2f\x00", division=480))
    assert rows(score.tracks[0]) == [(0, 1 / 32, 60, 64), (0, 1, 64, 64)]


def test_a_note_off_ends_the_oldest_note_of_its_pitch() -> None:
    body = bytes([0, 0x90, 60, 1, 48, 60, 2, 48, 60, 0, 96, 60, 0]) + END
    score = midi.decode(file(body, division=96))
    assert rows(score.tracks[0]) == [(0, 1, 60, 1), (0.5, 1.5, 60, 2)]


def test_a_track_on_several_channels_becomes_several() -> None:
    name = b"\x00\xff\x03\x03Duo"
    body = name + bytes([0, 0xC2, 40, 0, 0x92, 60, 64, 0, 0x99, 36, 64, 96, 0x82, 60, 0])
    body += bytes([0, 0x89, 36, 0]) + END
    score = midi.decode(file(body, kind=0, division=96))
    assert [(t.name, t.program, t.drums) for t in score.tracks] == [("", 40, False), ("", 0, True)]
    assert [m.name for _, m in score.tracks[0].other] == ["Duo"]  # the title
    assert written(score)[0][0][1].name == "Duo"
    assert [t.name for t in midi.decode(file(body, body)).tracks] == ["Duo"] * 4


def test_settings_in_another_track_reach_the_notes() -> None:
    setup = bytes([0, 0xC1, 33, 0, 0xB1, 7, 90]) + END
    played = bytes([0, 0x91, 40, 64, 96, 0x81, 40, 0]) + END
    (bass,) = midi.decode(file(setup, played, division=96)).tracks
    assert bass.program == 33
    assert [(m.control, m.value) for _, m in bass.other] == [(7, 90)]


def test_a_bank_is_chosen_before_the_program() -> None:
    bank = mido.Message("control_change", control=0, value=1)
    track = Track(notes([(1, 1, 60, 64)]), program=5, other=((0.5, bank),))
    said = [(t, m.type) for t, m in written(Score((track,)))[1]]
    assert said[:3] == [(480, "control_change"), (480, "program_change"), (960, "note_on")]


def test_odd_things_are_read_over() -> None:
    odd = [
        b"\x00\xff\x51\x01\x07",  # a tempo of one byte
        b"\x00\xff\x51\x03\x00\x00\x00",  # of no duration
        b"\x00\xff\x58\x04\x00\x02\x18\x08",  # 0/4
        b"\x00\xff\x58\x04\x04\xff\x18\x08",  # 4 / 2^255
        b"\x00\xff\x59\x02\x55\x09",  # a key that there is not
        b"\x00\xff\x54\x01\xff",  # a broken SMPTE offset
        b"\x00\xff\x6a\x02ab",  # a meta event that there is not
        b"\x00\xf0\x03\x01\x02\xf7",
        b"\x00\xf0\x02\x01\xff",  # an exclusive message that does not end
        b"\x00\xf7\x02\x01\x02",
        b"\x00\xf8",
        b"\x00\xb0\x07\xff",  # a value beyond 127
        b"\x60\xff\x6a\x00",  # a quarter before the note
    ]
    note = bytes([0, 0x90, 60, 200, 0x60, 60, 0]) + END
    foreign = chunk(b"XFIH", b"foreign")
    data = file(b"".join(odd) + note, division=96)
    score = midi.decode(data[:14] + foreign + data[14:] + b"rest")
    assert rows(score.tracks[0]) == [(1, 1, 60, 127)]
    assert (score.tempi, score.metres, score.keys) == (((0.0, 120.0),), ((0.0, 4, 4),), ())
    kept = [m.type for _, m in score.tracks[0].other]
    assert kept == ["control_change", "unknown_meta", "sysex", "unknown_meta"]
    assert midi.decode(midi.encode(score)).count == 1


def test_texts_in_utf8_and_latin1() -> None:
    def name(raw: bytes) -> str:
        body = b"\x00\xff\x03" + bytes([len(raw)]) + raw + bytes([0, 0x90, 60, 1]) + END
        return midi.decode(file(body)).tracks[0].name

    assert name("Гитара".encode()) == "Гитара"
    assert name("Flöte".encode("latin-1") + b"\0") == "Flöte"


def test_karaoke_keeps_its_words() -> None:
    words = b"\x00\xff\x03\x05Words" + b"\x00\xff\x01\x03@TX" + b"\x10\xff\x01\x02la" + END
    score = midi.decode(file(END, bytes([0, 0x90, 60, 64, 96, 60, 0]) + END, words))
    assert score.tracks[1].name == "Words"
    again = midi.decode(midi.encode(score))
    assert [m.text for _, m in again.tracks[1].other] == ["@TX", "la"]


def test_a_metre_may_change_within_a_bar() -> None:
    score = Score((), metres=((0.0, 4, 4), (5.0, 3, 4)), length=8)
    assert midi.decode(midi.encode(score)).bar_starts().tolist() == [0, 4, 5, 8]


def test_riff_smpte_and_a_single_sequence_of_type_2() -> None:
    body = bytes([0, 0x90, 60, 64, 50, 60, 0]) + END
    bare = file(body, kind=2, division=100)
    riff = b"RIFF" + struct.pack("<I", len(bare) + 12) + b"RMIDdata"
    assert midi.decode(riff + struct.pack("<I", len(bare)) + bare).count == 1
    assert rows(midi.decode(bare).tracks[0]) == [(0, 0.5, 60, 64)]
    frames = midi.decode(file(body, division=(256 - 25) << 8 | 40))  # 1000 ticks a second
    assert rows(frames.tracks[0]) == [(0, 0.1, 60, 64)]
    assert frames.seconds(0.1) == pytest.approx(0.05)


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    return out.getvalue()


GOOD = file(END, bytes([0, 0x90, 60, 64, 96, 60, 0]) + END)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"C D E F G", "is not a MIDI file: export"),
        (_png(), "is not a MIDI file: export"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "is not a MIDI file: export"),
        (GOOD[:10], "damaged or cut off"),
        (GOOD[:14], "has no track"),
        (GOOD[:-3], "damaged or cut off"),
        (file(bytes([0, 60, 64]) + END), "damaged or cut off"),
        (file(b"\xff\xff\xff\xff\xff\x7f\x90\x40\x40"), "damaged or cut off"),
        (file(b"\xff\xff\xff\x7f\xff\x2f\x00", division=1), "more than 1000000 quarter notes"),
        (file(END, division=0), "damaged or cut off"),
        (file(END, END, kind=2), "2 sequences that are independent"),
        (file(*[END] * 1001), "1001 tracks; at most 1000"),
        (b"MThd" + bytes(midi.MOST_BYTES), "larger than 32 MB"),
        (file(b"\0\xc0\0" + bytes(1_100_000)), "500000 that are not notes"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(
    data: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(data)
    with pytest.raises(UserError, match=says) as refused:
        midi.load(path)
    assert "song.mid" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        midi.load(tmp_path / "none.mid")
    with pytest.raises(UserError, match="folder"):
        midi.load(tmp_path)
    if hasattr(os, "mkfifo"):
        with pytest.raises(UserError, match="not an ordinary file"):
            midi.load("/dev/null")


def test_a_header_that_lies_is_forgiven_with_a_note(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "triptych")  # a command that was quiet may have set it
    data = bytearray(GOOD)
    data[10:12] = b"\xff\xff"
    assert midi.decode(bytes(data)).count == 1
    assert "announces 65535 tracks and holds 2" in caplog.text
    # A chunk that announces more than there is, but whose track has its end.
    data[30:34] = b"\x7f\xff\xff\xff"
    assert midi.decode(bytes(data)).count == 1


def test_what_midi_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cut it"):
        midi.encode(Score((), length=300_000))
    for wrong in ({"keys": ((0.0, "H"),)}, {"metres": ((0.0, 4, 3),)}, {"tempi": ((0.0, 0.0),)}):
        with pytest.raises(UserError, match="unknown to MIDI"):
            midi.encode(Score((), **wrong))
    with pytest.raises(UserError, match="no such file or folder"):
        midi.save(song(), tmp_path / "none" / "song.mid")


def test_a_hundred_thousand_notes_take_seconds() -> None:
    many = [(k / 8, 0.1, 30 + k % 80, 1 + k % 127) for k in range(100_000)]
    score = Score((Track(notes(many)),))
    begun = time.process_time()
    data = midi.encode(score)
    between = time.process_time()
    assert midi.decode(data).count == 100_000
    assert between - begun < 10
    assert time.process_time() - between < 5


# ---------------------------------------------------------------------------------- damage

_SONG = midi.encode(song(), Provenance("melody"))


def _survives(data: bytes) -> None:
    try:
        found = midi.decode(data)
    except UserError as error:
        assert "\n" not in str(error)
        return
    midi.record(data)
    try:
        again = midi.decode(midi.encode(found))
    except UserError as error:
        assert "cut it" in str(error)  # too long for the resolution that is written
        return
    assert again.count == found.count


@settings(max_examples=300)
@given(st.data())
def test_no_damage_brings_it_down(data: st.DataObject) -> None:
    damaged = bytearray(_SONG)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "drop", "insert"]))
        if kind == "set":
            damaged[at] = data.draw(st.integers(0, 255))
        elif kind == "drop":
            del damaged[at : at + data.draw(st.integers(1, 9))]
        elif kind == "insert":
            damaged[at:at] = data.draw(st.binary(max_size=9))
        else:
            del damaged[at + 1 :]
        if not damaged:
            break
    _survives(bytes(damaged))


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 65535))
@example(b"\x00\xff\x59\x02\x00", 96)
@example(b"\x00\xff\x7f\x00", 96)
@example(b"\x00\xf0\x00", 96)
def test_no_bytes_bring_it_down(body: bytes, division: int) -> None:
    _survives(body)
    _survives(file(body, division=division))
    _survives(file(body + END, body + END, division=division | 1))


# ---------------------------------------------------------------------------------- provenance


def test_a_file_says_how_it_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.mid"
    made = Provenance("melody", parameters={"key": "Füß"}, seed=7, digital_source_type="urn:x")
    midi.save(song(), path, made)
    assert provenance.read(path) == made
    assert cli.main(["about", str(path)]) == 0
    said = capsys.readouterr().out
    assert "melody" in said
    assert "seed" in said
    texts = [m.text for t, m in written(song(), made)[0] if m.type == "text" and t == 0]
    assert texts[0] == f"made with Triptych ({provenance.GENERATOR}): urn:x"
    assert texts[1].isascii()


def test_a_new_record_takes_the_place_of_the_old(tmp_path: Path) -> None:
    first, second = Provenance("melody"), Provenance("continue")
    once = midi.decode(midi.encode(song(), first))
    assert midi.record(midi.encode(once)) == first  # saved again, unchanged
    data = midi.encode(once, second)
    assert midi.record(data) == second
    assert data.count(b"made with Triptych") == 1
    assert data.count(b"triptych:record=") == 1


def test_the_record_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_PROVENANCE", "off")
    assert midi.encode(song(), Provenance("melody")) == midi.encode(song())


def test_a_broken_record_is_none(tmp_path: Path) -> None:
    path = tmp_path / "made.mid"
    for text in (b"triptych:record={", b"triptych:record=" + b"[" * 100_000):
        event = b"\x00" + bytes(mido.UnknownMetaMessage(1, text).bytes())
        path.write_bytes(file(event + END))
        assert provenance.read(path) is None
    path.write_bytes(GOOD[:-5])
    assert provenance.read(path) is None
