"""Ableton Live through AbletonOSC, against its double over real UDP."""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triptych.errors import Cancelled, UserError
from triptych_bridge.live import Live
from triptych_bridge.live_clips import TOLERANCE, Clip, Clips, Note, difference, fitted

Start = Callable[..., Any]
once = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NOTES = st.lists(
    st.builds(
        Note,
        st.integers(0, 127) | st.sampled_from([60, 127]),
        st.floats(-4, 64, width=32) | st.integers(0, 16).map(lambda n: n / 4),
        st.floats(0.001, 8),
        st.integers(1, 127),
        st.booleans(),
    ),
    max_size=60,
)


@pytest.fixture
def double(start_live: Start) -> Any:
    return start_live()


@pytest.fixture
def live(double: Any, free_port: int) -> Iterator[Live]:
    with Live(port=double.port, reply_port=free_port) as connected:
        yield connected


@pytest.fixture
def clips(live: Live) -> Clips:
    return Clips(live)


def scattered(count: int, beats: float, seed: int = 1) -> list[Note]:
    """Random notes in random order, of which no two of a pitch begin or sound together."""
    draw = random.Random(seed)
    rows = -(-count // 128)
    step = beats / rows
    notes = [
        Note(
            pitch,
            (row + draw.uniform(0, 0.5)) * step,
            draw.uniform(0.1, 0.4) * step,
            draw.randint(1, 127),
            draw.random() < 0.1,
        )
        for pitch in range(128)
        for row in range(rows)
    ]
    draw.shuffle(notes)
    return notes[:count]


def held(double: Any, track: int, scene: int) -> list[Note]:
    """What Live's own clip holds."""
    return [Note(*note) for note in double.slot(track, scene).clip.notes]


def filled(double: Any) -> dict[tuple[int, int], Any]:
    """All clips, with all that they are."""
    return {
        (track, scene): (clip, clip.name, tuple(clip.notes), clip.length, clip.looping)
        for track, row in enumerate(double.song.tracks)
        for scene, slot in enumerate(row.clip_slots)
        if (clip := slot.clip)
    }


def users_clip(double: Any, track: int, scene: int, name: str = "mine") -> Any:
    slot = double.slot(track, scene)
    midi, slot.midi = slot.midi, True
    slot.create_clip(4.0)
    slot.midi, slot.clip.name = midi, name
    slot.clip.is_midi_clip, slot.clip.is_audio_clip = midi, not midi
    slot.clip.add_new_notes([(60, 0.0, 1.0, 100, False)])
    return slot.clip


def sentence(failing: Callable[[], object]) -> str:
    """What a UserError says: one sentence."""
    with pytest.raises(UserError) as caught:
        failing()
    text = str(caught.value)
    assert text.endswith(".") and ". " not in text and "\n" not in text
    return text


def until(done: Callable[[], object], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


# The session


def test_the_session_is_read(double: Any, live: Live) -> None:
    song = double.song
    song.tempo, song.signature_numerator, song.signature_denominator = 97.3, 7, 8
    song.root_note, song.scale_name = 9, "Dorian"
    assert live.probe() == (12, 1)
    found = live.song()
    assert (found.tempo, found.numerator, found.denominator) == (97.3, 7, 8)
    assert (found.root_note, found.scale_name, found.playing) == (9, "Dorian", False)


def test_the_transport_and_the_tempo_are_set(double: Any, live: Live) -> None:
    live.start()
    assert double.song.is_playing
    live.stop()
    assert not double.song.is_playing
    live.go_on()
    assert live.song().playing
    live.set_tempo(133.7)
    assert double.song.tempo == pytest.approx(133.7)
    assert "20 to 999" in sentence(lambda: live.set_tempo(5))


def test_changes_are_heard_also_after_live_has_started_anew(double: Any, free_port: int) -> None:
    heard: dict[str, list[Any]] = {"tempo": [], "is_playing": [], "beat": []}
    started = threading.Event()
    with Live(port=double.port, reply_port=free_port, on_start=started.set) as live:
        for name, values in heard.items():
            live.listen(name, values.append)
        until(lambda: heard["tempo"] == [120.0])
        double.song.tempo = 90.0
        until(lambda: heard["tempo"] == [120.0, 90.0])
        double.restart(0.1)
        assert started.wait(5)
        double.song.tempo = 960.0
        double.song.start_playing()
        until(lambda: heard["tempo"][-1] == 960.0 and heard["is_playing"][-1] is True)
        until(lambda: len(heard["beat"]) > 4)
        assert sorted(heard["beat"]) == heard["beat"]
        live.unlisten("tempo")
        live.song()  # behind it
        double.song.tempo = 80.0
        live.song()
        assert heard["tempo"][-1] == 960.0
        with pytest.raises(ValueError, match="none of"):
            live.listen("name", print)


def test_a_listener_that_fails_ends_nothing(double: Any, live: Live) -> None:
    heard: list[float] = []

    def fail(value: float) -> None:
        heard.append(value)
        raise RuntimeError("a fault of the listener's own")

    live.listen("tempo", fail)
    until(lambda: heard)
    assert live.probe() == (12, 1)


# Clips are read


def test_the_selected_clip_is_read(double: Any, clips: Clips) -> None:
    clip = users_clip(double, 1, 3, "Bass – ünï 🎹")
    clip.add_new_notes([(127, 3.5, 0.25, 1, True), (0, -1.0, 0.5, 127, False)])
    clip.looping, clip.loop_end = False, 3.0
    double.song.selected = [1, 3]
    notes = (
        Note(0, -1.0, 0.5, 127),
        Note(60, 0.0, 1.0, 100),
        Note(127, 3.5, 0.25, 1, True),
    )
    assert clips.read_selected() == Clip(1, 3, "Bass – ünï 🎹", 3.0, (0.0, 3.0), False, notes)


def test_what_is_no_midi_clip_is_refused(double: Any, clips: Clips) -> None:
    assert "no clip" in sentence(clips.read_selected)
    users_clip(double, 2, 0)
    assert "audio" in sentence(lambda: clips.read(2, 0))
    assert "track" in sentence(lambda: clips.read(9, 0))


@pytest.mark.parametrize("tells", [False, True])
def test_dense_clips_are_read_whole(start_live: Start, free_port: int, tells: bool) -> None:
    double = start_live(tells_too_long=tells)
    clip = users_clip(double, 0, 0)
    clip.add_new_notes([tuple(note) for note in scattered(2000, 4.0)])
    at_once = [(p, 3.0 + n / 2000, 0.0004, 99, False) for p in range(128) for n in range(6)]
    clip.add_new_notes(at_once)  # too many for the least window
    clip.add_new_notes([(50, -8.0 + n / 100, 0.005, 99, False) for n in range(700)])
    with Live(port=double.port, reply_port=free_port, timeout=0.15) as live:
        found = Clips(live).read(0, 0)
    assert not difference(held(double, 0, 0), found.notes)


# Clips are written


def test_a_hundred_thousand_random_notes_are_written_and_read_back(
    double: Any, clips: Clips
) -> None:
    notes = scattered(100_000, 1024.0)
    told: list[float] = []
    written = clips.write(
        notes, 1024.0, "melody, seed 7", 0, progress=lambda fraction, _: told.append(fraction)
    )
    assert (written.shortened, written.replaced) == (0, 0)
    assert len(written.clip.notes) == len(held(double, 0, 0)) == 100_000
    lost = difference(notes, held(double, 0, 0))
    assert (len(lost.missing), len(lost.besides)) == (0, 0)
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1 and len(told) > 500
    assert double.longest < 9216


@once
@given(NOTES)
def test_what_is_written_is_what_live_holds(double: Any, clips: Clips, notes: list[Note]) -> None:
    written = clips.write(notes, 64.0, "vary 1", 0)
    kept = fitted(notes)
    assert not difference(kept.notes, held(double, 0, written.clip.scene))
    assert written.clip == clips.read(0, written.clip.scene)
    assert len(kept.notes) + written.replaced == len(notes)
    clips.take_back(written)
    assert not filled(double)


@once
@given(NOTES)
def test_fitted_notes_never_overlap(notes: list[Note]) -> None:
    kept = fitted(notes).notes
    assert {note.pitch for note in kept} == {note.pitch for note in notes}
    for pitch in range(128):
        group = [note for note in kept if note.pitch == pitch]
        for one, other in pairwise(group):
            assert other.start - one.start >= TOLERANCE
            assert one.start + one.duration <= other.start
    assert fitted(kept).notes == kept


def test_same_pitches_are_fitted_as_live_would() -> None:
    first, second = Note(60, 0.0, 4.0, 1), Note(60, 1.0, 1.0, 2)
    anew, other = Note(60, 1.0, 0.5, 3), Note(61, 0.5, 4.0, 4)
    kept = fitted([second, first, other, anew])
    assert kept == ([Note(60, 0.0, 1.0, 1), other, anew], 1, 1)


def test_the_clip_is_named_and_looped(double: Any, clips: Clips) -> None:
    name = "mélodie 旋律 🎹 seed 42"
    written = clips.write([Note(127, 0, 1, 100)], 16.0, name, 1, scene=2, loop=(4.0, 12.0))
    clip = double.slot(1, 2).clip
    assert (written.clip.track, written.clip.scene, written.clip.name) == (1, 2, name)
    assert (clip.name, clip.loop_start, clip.loop_end, clip.looping) == (name, 4.0, 12.0, True)
    assert (clip.start_marker, clip.end_marker) == (4.0, 16.0)
    plain = clips.write([], 7.5, "two\nlines\0and more", 1)
    assert plain.clip.name == "two"
    assert (plain.clip.length, plain.clip.loop) == (7.5, (0.0, 7.5))


@once
@given(
    st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3))),
    st.none() | st.integers(0, 2),
    st.integers(0, 5),
)
def test_nothing_is_ever_written_over(
    start_live: Start, free_port: int, taken: set[tuple[int, int]], track: int | None, scene: int
) -> None:
    with (
        start_live(tracks="mma", scenes=4) as double,
        Live(port=double.port, reply_port=free_port) as live,
    ):
        for place in taken:
            users_clip(double, *place, name="groove 1")  # named as ours will be
        before = filled(double)
        written = Clips(live).write([Note(64, 0, 1, 90)], 4.0, "groove 1", track, scene)
        after = filled(double)
        ours = after.pop((written.clip.track, written.clip.scene))
        assert after == before
        assert ours[1] == "groove 1"
        free = [s for s in range(4) if track in (0, 1) and (track, s) not in taken]
        if free:
            assert written.clip.track == track
            assert written.clip.scene == next((s for s in free if s >= scene), free[0])
        assert len(double.song.tracks) == (4 if track in (None, 2) else 3)
        assert len(double.song.scenes) == (4 if track in (None, 2) or free else 5)


def test_a_slot_that_the_user_fills_meanwhile_is_left_alone(double: Any, clips: Clips) -> None:
    def meanwhile(address: str, arguments: tuple[Any, ...]) -> None:
        if address == "/live/clip_slot/create_clip":
            double.before = None
            users_clip(double, 0, 0, "fill 3")

    double.before = meanwhile
    assert "Live refused to make a clip" in sentence(lambda: clips.write([], 4.0, "fill 3", 0))
    assert list(filled(double)) == [(0, 0)]
    assert held(double, 0, 0) == [Note(60, 0.0, 1.0, 100)]


def test_a_live_that_takes_no_more_tracks_says_so(start_live: Start, free_port: int) -> None:
    double = start_live(most_tracks=3)
    with Live(port=double.port, reply_port=free_port) as live:
        assert "Track limit" in sentence(lambda: Clips(live).write([], 4.0, "fill 3"))
        assert "no track 8" in sentence(lambda: Clips(live).write([], 4.0, "fill 3", 7))


@pytest.mark.parametrize(
    "wrong",
    [
        {"notes": [Note(128, 0, 1, 100)]},
        {"notes": [Note(60, 0, 1, 0)]},
        {"notes": [Note(60, 0, 0, 100)]},
        {"notes": [Note(60, float("nan"), 1, 100)]},
        {"notes": [Note(60, 9000, 1, 100)]},
        {"length": 0.0},
        {"length": float("inf")},
        {"loop": (2.0, 9.0)},
        {"loop": (2.0, 2.0)},
    ],
)
def test_what_no_clip_can_hold_is_refused(double: Any, clips: Clips, wrong: dict[str, Any]) -> None:
    sentence(lambda: clips.write(**{"notes": [], "length": 4.0, "name": "x", "track": 0, **wrong}))
    assert not filled(double)


@pytest.mark.parametrize("after", [0.0, 0.3, 0.8])
def test_cancelling_leaves_nothing_behind(double: Any, clips: Clips, after: float) -> None:
    def cancel(fraction: float, message: str) -> None:
        if fraction > after:
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        clips.write(scattered(3000, 64.0), 64.0, "melody 1", 0, progress=cancel)
    assert not filled(double)


def test_notes_that_the_user_adds_meanwhile_are_reported(double: Any, clips: Clips) -> None:
    def meanwhile(address: str, arguments: tuple[Any, ...]) -> None:
        if address == "/live/clip/get/notes":
            double.slot(0, 0).clip.add_new_notes([(1, 2.0, 1.0, 9, False)])

    double.before = meanwhile
    text = sentence(lambda: clips.write([Note(64, 0, 1, 90)], 4.0, "fill 3", 0))
    assert "0 notes are missing and 1 are others, the first pitch 1 at beat 2" in text
    assert not filled(double)


# Take back and try again


def test_taking_back_deletes_only_what_was_written(double: Any, clips: Clips) -> None:
    users_clip(double, 0, 0)
    before = filled(double)
    written = clips.write(scattered(500, 32.0), 32.0, "melody 1", 0)
    clips.take_back(written)
    assert filled(double) == before
    clips.take_back(written)  # it is gone already
    users_clip(double, 0, 1)
    assert "left alone" in sentence(lambda: clips.take_back(written))


@pytest.mark.parametrize("change", ["name", "notes", "loop_end", "looping"])
def test_a_clip_that_was_changed_is_not_taken_back(double: Any, clips: Clips, change: str) -> None:
    written = clips.write([Note(64, 0, 1, 90)], 4.0, "melody 1", 0)
    clip = double.slot(0, 0).clip
    if change == "notes":
        clip.add_new_notes([(64, 2.0, 1.0, 90, False)])
    else:
        setattr(clip, change, {"name": "Chorus", "loop_end": 2.0, "looping": False}[change])
    before = filled(double)
    assert "left alone" in sentence(lambda: clips.take_back(written))
    assert "left alone" in sentence(
        lambda: clips.try_again(written, [], 4.0, "melody 2", replace=True)
    )
    assert filled(double) == before


def test_trying_again_writes_beside_or_replaces_its_own(double: Any, clips: Clips) -> None:
    users_clip(double, 0, 1)
    users = filled(double)
    a = clips.write([Note(64, 0, 1, 90)], 4.0, "melody 1", 0)
    b = clips.try_again(a, [Note(65, 0, 1, 90)], 4.0, "melody 2")
    assert (a.clip.scene, b.clip.scene) == (0, 2)
    c = clips.try_again(b, [Note(66, 0, 1, 90)], 8.0, "melody 3", replace=True)
    assert c.clip.scene == 2
    assert double.slot(0, 2).clip.name == "melody 3"
    clips.take_back(a)
    clips.take_back(c)
    assert filled(double) == users


def test_a_clip_comes_back_when_its_successor_fails(double: Any, clips: Clips) -> None:
    def cancel(fraction: float, message: str) -> None:
        raise Cancelled("cancelled")

    a = clips.write([Note(64, 5, 1, 90)], 16.0, "melody 1", 0, loop=(4.0, 8.0))
    with pytest.raises(Cancelled):
        clips.try_again(a, scattered(9, 4.0), 4.0, "melody 2", replace=True, progress=cancel)
    assert clips.read(0, 0) == a.clip
    assert len(filled(double)) == 1


# What goes wrong between


@pytest.mark.parametrize("fault", ["drop_every", "duplicate_every"])
@pytest.mark.parametrize("every", [6, 13])
def test_lost_and_repeated_datagrams_change_nothing(
    start_live: Start, free_port: int, fault: str, every: int
) -> None:
    double = start_live(**{fault: every})
    users_clip(double, 0, 0)
    users = filled(double)
    notes = scattered(600, 64.0)
    with Live(port=double.port, reply_port=free_port) as live:
        clips = Clips(live)
        a = clips.write(notes, 64.0, "melody 1", 0)
        assert not difference(notes, held(double, 0, a.clip.scene))
        assert clips.read(0, a.clip.scene) == a.clip
        b = clips.try_again(a, notes[:400], 64.0, "melody 2", replace=True)
        assert not difference(notes[:400], held(double, 0, b.clip.scene))
        clips.take_back(b)
        assert filled(double) == users
        live.set_tempo(99.0)
        live.start()


def test_without_live_one_sentence_says_what_to_do(free_port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    with Live(port=port, reply_port=free_port, timeout=0.1) as live:
        assert "start Live and choose AbletonOSC" in sentence(live.probe)


def test_a_busy_live_is_waited_for_and_then_told(double: Any, free_port: int) -> None:
    with Live(port=double.port, reply_port=free_port, timeout=0.2) as live:
        double.busy = True
        assert "does not answer in time" in sentence(live.probe)
        threading.Timer(0.25, setattr, (double, "busy", False)).start()
        assert live.probe() == (12, 1)
        for _ in range(5):  # late answers to what was asked before are nobody's
            assert live.song().tempo == 120.0


def test_a_live_that_dies_while_a_clip_is_written(double: Any, free_port: int) -> None:
    def die(fraction: float, message: str) -> None:
        double.busy = fraction > 0.2

    with Live(port=double.port, reply_port=free_port, timeout=0.1) as live:
        clips = Clips(live)
        text = sentence(lambda: clips.write(scattered(2000, 64.0), 64.0, "x 1", 0, progress=die))
        assert "does not answer" in text and "unfinished" in text
        double.busy = False
        assert "unfinished" in clips.read(0, 0).name


def test_a_live_that_starts_anew_is_found_again(double: Any, live: Live) -> None:
    assert live.probe() == (12, 1)
    double.restart(0.2)
    assert live.probe() == (12, 1)


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"version": (10, 1)}, "Live 10.1 is too old"),
        ({"echo": False}, "AbletonOSC is too old"),
        ({"bundles": False}, "AbletonOSC is too old"),
    ],
)
def test_a_wrong_version_is_told(
    start_live: Start, free_port: int, settings_: dict[str, Any], words: str
) -> None:
    double = start_live(**settings_)
    with Live(port=double.port, reply_port=free_port, timeout=0.1) as live:
        assert words in sentence(live.probe)


def test_another_program_on_the_reply_port_is_told(double: Any, live: Live, free_port: int) -> None:
    text = sentence(lambda: Live(port=double.port, reply_port=free_port))
    assert str(free_port) in text and "close the other program" in text
    assert "no computer" in sentence(lambda: Live("no.such.host.invalid", reply_port=0))


def test_another_program_in_lives_place_is_told(free_port: int) -> None:
    over = threading.Event()

    def parrot() -> None:  # as a program that sends back what it does not understand
        while not over.is_set():
            try:
                other.sendto(other.recvfrom(65536)[0], ("127.0.0.1", free_port))
            except OSError:
                continue

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(0.1)
        thread = threading.Thread(target=parrot)
        thread.start()
        port = other.getsockname()[1]
        with Live(port=port, reply_port=free_port, timeout=0.1) as live:
            assert "AbletonOSC" in sentence(live.probe) or "holds" in sentence(live.probe)
            sentence(live.song)
        over.set()
        thread.join()


def fuzzed(draw: random.Random) -> bytes:
    """Bytes that are nearly OSC, or not at all."""
    text = draw.choice(
        [
            "/live/song/get/metronome",
            "/live/error",
            "/live/startup",
            "/live/song/get/tempo",
            "/",
            "",
        ]
    )
    packet = text.encode() + bytes(4 - len(text) % 4)
    tags = "," + "".join(draw.choice("ifsbTFNthd[]r$") for _ in range(draw.randrange(6)))
    packet += tags.encode() + bytes(4 - len(tags) % 4) + draw.randbytes(draw.randrange(40))
    if draw.random() < 0.3:
        packet = b"#bundle\0" + bytes(8) + struct.pack(">i", draw.randrange(-9, 99)) + packet
    if draw.random() < 0.3:
        packet = draw.randbytes(draw.randrange(200))
    cut = draw.randrange(len(packet) + 1)
    return packet[:cut] if draw.random() < 0.3 else packet


def test_ten_thousand_fuzzed_packets_crash_nothing(double: Any, live: Live, free_port: int) -> None:
    draw = random.Random(3)
    heard: list[Any] = []
    live.listen("tempo", heard.append)
    written = Clips(live).write(scattered(300, 16.0), 16.0, "melody 1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for count in range(10_000):
            packet = fuzzed(draw)
            double.utter(packet)
            stranger.sendto(packet, ("127.0.0.1", free_port))
            if not packet.startswith(b"#bundle"):  # with which one can hang Live
                stranger.sendto(packet, ("127.0.0.1", double.port))
            if count % 500 == 0:
                assert live.song().playing is False
    until(lambda: live.probe() == (12, 1))
    assert Clips(live).read(0, 0) == written.clip


def test_a_strangers_answer_is_not_taken(double: Any, live: Live, free_port: int) -> None:
    heard: list[Any] = []
    live.listen("tempo", heard.append)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        packet = b"/live/song/get/tempo\0\0\0\0,f\0\0" + struct.pack(">f", 55.0)
        stranger.sendto(packet, ("127.0.0.1", free_port))
        live.song()
        double.utter(packet.replace(struct.pack(">f", 55.0), struct.pack(">f", 66.0)))
    until(lambda: 66.0 in heard)
    assert 55.0 not in heard
