"""A double of Ableton Live with AbletonOSC, over real UDP, as unforgiving as the real ones.

It looks at its socket once a tick (Live: 100 ms); an exception ends that tick's work, so what lies
behind waits for the next; every answer goes to the sender's address at one fixed port; orders are
not acknowledged; an answer of more than 9216 bytes is never sent; times are 32-bit floats on the
wire; notes of one pitch never overlap; without a range, pitch 127 is not among a clip's notes.
Texts of errors are AbletonOSC's.
"""

from __future__ import annotations

import bisect
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage, ParseError

LARGEST = 9216  # bytes of a datagram (macOS)
Handler = Callable[[tuple[Any, ...]], Any]
NUMBER = (int, float)


class Vector(list[Any]):
    """A list as Live's own are: with its own text for an index that is out of range."""

    def __getitem__(self, index: Any) -> Any:
        try:
            return super().__getitem__(index)
        except IndexError:
            raise IndexError("Index out of range") from None


class Clip:
    def __init__(self, length: float, midi: bool = True) -> None:
        self.name, self.color, self.muted, self.legato = "", 0x1A2F96, False, False
        self.looping, self._loop = True, [0.0, length]
        self.start_marker, self.end_marker = 0.0, length
        self.launch_quantization, self.velocity_amount = 0, 0.0
        self.is_midi_clip, self.is_audio_clip = midi, not midi
        self.is_playing, self.playing_position = False, 0.0
        self.pitches: dict[int, list[list[Any]]] = {}  # of each pitch its notes by start

    @property
    def length(self) -> float:
        return self.loop_end - self.loop_start

    @property
    def loop_start(self) -> float:
        return self._loop[0]

    @loop_start.setter
    def loop_start(self, value: float) -> None:
        if value >= self.loop_end:
            raise RuntimeError("Invalid loop start")
        self._loop[0] = value

    @property
    def loop_end(self) -> float:
        return self._loop[1]

    @loop_end.setter
    def loop_end(self, value: float) -> None:
        if value <= self.loop_start:
            raise RuntimeError("Invalid loop end")
        self._loop[1] = value

    @property
    def notes(self) -> list[tuple[Any, ...]]:
        """All notes, sorted by pitch and start."""
        return [(p, *note) for p in sorted(self.pitches) for note in self.pitches[p]]

    def fire(self) -> None:
        self.is_playing = True

    def stop(self) -> None:
        self.is_playing = False

    def add_new_notes(self, notes: list[tuple[Any, ...]]) -> None:
        for pitch, start, duration, velocity, mute in notes:
            types = (pitch, int), (start, float), (duration, float), (mute, int)
            for value, kind in (*types, (velocity, NUMBER)):
                checked(value, kind)
            if not 0 <= pitch <= 127 or duration <= 0 or not 1 <= velocity <= 127:
                raise RuntimeError("Invalid note")
            held = self.pitches.setdefault(pitch, [])
            place = bisect.bisect_left(held, start, key=lambda note: note[0])
            if place < len(held) and held[place][0] == start:
                del held[place]
            if place > 0:
                before = held[place - 1]
                before[1] = min(before[1], start - before[0])
            if place < len(held):
                duration = min(duration, held[place][0] - start)
            held.insert(place, [start, duration, float(velocity), bool(mute)])

    def get_notes_extended(self, pitch: int, pitches: int, start: float, span: float) -> list[Any]:
        self.check_window(pitch, pitches, start, span)
        return [
            (p, *note)
            for p in sorted(self.pitches)
            if pitch <= p < pitch + pitches
            for note in self.within(p, start, span)
        ]

    def remove_notes_extended(self, pitch: int, pitches: int, start: float, span: float) -> None:
        self.check_window(pitch, pitches, start, span)
        for p in range(pitch, min(pitch + pitches, 128)):
            gone = self.within(p, start, span)
            self.pitches[p] = [note for note in self.pitches.get(p, []) if note not in gone]

    def within(self, pitch: int, start: float, span: float) -> list[list[Any]]:
        held = self.pitches.get(pitch, [])
        first = bisect.bisect_left(held, start, key=lambda note: note[0])
        return held[first : bisect.bisect_left(held, start + span, key=lambda note: note[0])]

    @staticmethod
    def check_window(pitch: Any, pitches: Any, start: Any, span: Any) -> None:
        for value, kind in (pitch, int), (pitches, int), (start, NUMBER), (span, NUMBER):
            checked(value, kind)

    def duplicate_loop(self) -> None:
        length = self.length
        copies = [(p, n[0] + length, *n[1:]) for p, n in ((n[0], n[1:]) for n in self.notes)]
        self.add_new_notes([note for note in copies if note[1] < self.loop_end + length])
        self.loop_end += length

    def copy(self) -> Clip:
        made = Clip(0.0)
        made.__dict__.update(self.__dict__)
        made._loop = list(self._loop)
        made.pitches = {p: [list(note) for note in held] for p, held in self.pitches.items()}
        return made


class Slot:
    def __init__(self, midi: bool) -> None:
        self.clip: Clip | None = None
        self.midi, self.is_group_slot, self.is_playing, self.is_triggered = (
            midi,
            False,
            False,
            False,
        )

    @property
    def has_clip(self) -> bool:
        return self.clip is not None

    def create_clip(self, length: Any) -> None:
        checked(length, NUMBER)
        if not self.midi:
            raise RuntimeError("Clips can only be created on MIDI tracks.")
        if self.clip:
            raise RuntimeError("Clip slot is not empty")
        if length <= 0:
            raise RuntimeError("Invalid length")
        self.clip = Clip(float(length))

    def delete_clip(self) -> None:
        if self.clip is None:
            raise RuntimeError("No clip in this slot")
        self.clip = None

    def fire(self) -> None:
        if self.clip:
            self.clip.fire()

    def stop(self) -> None:
        if self.clip:
            self.clip.stop()


class Track:
    def __init__(self, name: str, midi: bool, scenes: int) -> None:
        self.name, self.has_midi_input, self.has_audio_input = name, midi, not midi
        self.color, self.mute, self.solo, self.arm, self.is_foldable = 0, False, False, False, False
        self.clip_slots = Vector(Slot(midi) for _ in range(scenes))


class Scene:
    def __init__(self) -> None:
        self.name, self.tempo = "", -1.0


class Song:
    """Live's own side: what a session holds, and its transport."""

    def __init__(self, tracks: str, scenes: int, most_tracks: int) -> None:
        names = {"m": "MIDI", "a": "Audio"}
        self.scenes = Vector(Scene() for _ in range(scenes))
        self.tracks = Vector(
            Track(f"{place + 1}-{names[kind]}", kind == "m", scenes)
            for place, kind in enumerate(tracks)
        )
        self.most_tracks = most_tracks
        self._tempo, self.signature_numerator, self.signature_denominator = 120.0, 4, 4
        self.root_note, self.scale_name = 0, "Major"
        self.metronome, self.groove_amount, self.clip_trigger_quantization = False, 0.0, 4
        self.is_ableton_link_enabled, self.can_undo, self.can_redo = False, False, False
        self.is_playing, self.current_song_time = False, 0.0
        self.selected = [0, 0]

    @property
    def tempo(self) -> float:
        return self._tempo

    @tempo.setter
    def tempo(self, value: Any) -> None:
        checked(value, NUMBER)
        if not 20 <= value <= 999:
            raise RuntimeError("Invalid tempo")
        self._tempo = float(value)

    def start_playing(self) -> None:
        self.is_playing, self.current_song_time = True, 0.0

    def continue_playing(self) -> None:
        self.is_playing = True

    def stop_playing(self) -> None:
        self.is_playing = False

    def stop_all_clips(self) -> None:
        for track in self.tracks:
            for slot in track.clip_slots:
                slot.stop()

    def tap_tempo(self) -> None:
        pass

    def jump_by(self, beats: float) -> None:
        self.current_song_time = max(self.current_song_time + beats, 0.0)

    def create_midi_track(self, index: int) -> None:
        if len(self.tracks) >= self.most_tracks:
            raise RuntimeError("Track limit reached")
        track = Track(f"{len(self.tracks) + 1}-MIDI", True, len(self.scenes))
        self.tracks.insert(len(self.tracks) if index == -1 else index, track)

    def delete_track(self, index: int) -> None:
        del self.tracks[index]

    def create_scene(self, index: int) -> None:
        at = len(self.scenes) if index == -1 else index
        self.scenes.insert(at, Scene())
        for track in self.tracks:
            track.clip_slots.insert(at, Slot(track.has_midi_input))


def checked(value: Any, kinds: type | tuple[type, ...]) -> None:
    """Live's functions take only the types that they are declared with."""
    if not isinstance(value, kinds):
        raise TypeError("Python argument types did not match C++ signature")


def encoded(address: str, arguments: tuple[Any, ...]) -> bytes:
    """An OSC message; not by python-osc, so that the client's own encoding is no measure of it."""
    tags, form, values = ",", ">", []
    for value in arguments:
        if value is None or isinstance(value, bool):
            tags += "N" if value is None else "T" if value else "F"
        elif isinstance(value, str):
            text = padded(value)
            tags, form = tags + "s", f"{form}{len(text)}s"
            values.append(text)
        else:
            tag = "i" if isinstance(value, int) else "f"
            tags, form = tags + tag, form + tag
            values.append(value)
    return padded(address) + padded(tags) + struct.pack(form, *values)


def padded(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + bytes(-len(data) % 4)


SONG_METHODS = (
    *("start_playing", "continue_playing", "stop_playing", "stop_all_clips", "tap_tempo"),
    *("jump_by", "create_midi_track", "delete_track", "create_scene"),
)
SONG_READ = ("can_undo", "can_redo", "is_playing")
SONG_WRITE = (
    *("tempo", "current_song_time", "signature_numerator", "signature_denominator", "root_note"),
    *("scale_name", "groove_amount", "clip_trigger_quantization", "metronome"),
    "is_ableton_link_enabled",
)
CLIP_METHODS = ("fire", "stop", "duplicate_loop")
CLIP_READ = ("length", "is_midi_clip", "is_audio_clip", "is_playing", "playing_position")
CLIP_WRITE = (
    *("name", "color", "loop_start", "loop_end", "looping", "start_marker", "end_marker", "muted"),
    *("launch_quantization", "legato", "velocity_amount"),
)
TRACK_READ = ("has_midi_input", "has_audio_input", "is_foldable")
TRACK_WRITE = ("name", "color", "mute", "solo", "arm")


class AbletonDouble:
    """Live on a UDP port of its own, answering to `reply_port`, until `close`.

    `tick` in seconds. `drop_every` and `duplicate_every` lose and repeat about every Nth datagram
    in either direction. `echo` false is AbletonOSC before January 2025, `bundles` before April
    2023.
    """

    def __init__(
        self,
        reply_port: int,
        tick: float = 0.1,
        tracks: str = "mma",
        scenes: int = 8,
        version: tuple[int, int] = (12, 1),
        port: int = 0,
        drop_every: int = 0,
        duplicate_every: int = 0,
        echo: bool = True,
        bundles: bool = True,
        most_tracks: int = 64,
        tells_too_long: bool = False,
    ) -> None:
        self.reply_port, self.tick, self.version = reply_port, tick, version
        self.drop_every, self.duplicate_every = drop_every, duplicate_every
        self.echo, self.bundles, self.tells_too_long = echo, bundles, tells_too_long
        self.song = Song(tracks, scenes, most_tracks)
        self.busy = False  # Live shows a dialog, or loads: no ticks
        self.seen: list[str] = []  # every address, in order
        self.longest = 0  # bytes of the longest answer
        self.before: Callable[[str, tuple[Any, ...]], None] | None = None  # the user's hand
        self._random, self._left = random.Random(5), drop_every or duplicate_every
        self._lock = threading.RLock()
        self._listeners: dict[tuple[str, tuple[Any, ...]], list[Any]] = {}
        self._beat: int | None = None
        self._handlers = dict(self._built())
        self._open(port)
        self.port = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> AbletonDouble:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def restart(self, away: float = 0.0) -> None:
        """Live quits and starts again after so many seconds, with the same set."""
        with self._lock:
            self._socket.close()
            time.sleep(away)
            self._listeners.clear()
            self._beat = None
            self._open(self.port)

    def utter(self, packet: bytes) -> None:
        """Send these bytes as if AbletonOSC had."""
        self._socket.sendto(packet, ("127.0.0.1", self.reply_port))

    def slot(self, track: int, scene: int) -> Slot:
        found: Slot = self.song.tracks[track].clip_slots[scene]
        return found

    def _open(self, port: int) -> None:
        self._socket = self._bound(port)
        self._socket.setblocking(False)
        self._remote = ("127.0.0.1", self.reply_port)
        self._send("/live/startup", ())
        self._send("/live/application/get/average_process_usage", ())

    def _bound(self, port: int) -> socket.socket:
        """A socket at a port, or at any (0) but that of the answers, or it would answer itself."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", port))
        if port or made.getsockname()[1] != self.reply_port:
            return made
        with made:
            return self._bound(port)

    def _run(self) -> None:
        then = time.monotonic()
        while not self._over.wait(self.tick):
            with self._lock:
                now = time.monotonic()
                if self.busy:
                    continue
                if self.song.is_playing:
                    self.song.current_song_time += (now - then) * self.song.tempo / 60
                then = now
                self._process()
                self._push()

    def _process(self) -> None:
        try:
            while True:
                packet, sender = self._socket.recvfrom(65536)
                for _ in range(self._copies()):
                    self._remote = (sender[0], self.reply_port)
                    self._packet(packet, self._remote)
        except BlockingIOError:
            pass
        except OSError as error:  # an answer was too long
            if self.tells_too_long:
                self._error(f"Socket error: {error}")
        except Exception as error:
            self._error(f"Error handling OSC message: {error}")

    def _packet(self, packet: bytes, sender: tuple[str, int]) -> None:
        try:
            if self.bundles and OscBundle.dgram_is_bundle(packet):
                self._bundle(OscBundle(packet), sender)
            else:
                self._message(OscMessage(packet), sender)
        except ParseError as error:
            self._error(f"Error parsing OSC message: {error}")

    def _bundle(self, bundle: OscBundle, sender: tuple[str, int]) -> None:
        for content in bundle:
            if isinstance(content, OscBundle):
                self._bundle(content, sender)
            else:
                self._message(content, sender)

    def _message(self, message: OscMessage, sender: tuple[str, int]) -> None:
        address, arguments = message.address, tuple(message.params)
        self.seen.append(address)
        if self.before is not None:
            self.before(address, arguments)
        if address in self._handlers:
            answer = self._handlers[address](arguments)
            if answer is not None:
                self._send(address, answer, sender)
        elif "*" in address:
            pattern = address.replace("*", "[^/]+")
            for known, handler in list(self._handlers.items()):
                if re.match(pattern, known):
                    try:
                        answer = handler(arguments)
                    except (ValueError, AttributeError):
                        continue
                    if answer is not None:
                        self._send(known, answer, sender)
        else:
            self._error(f"Unknown OSC address: {address}")

    def _error(self, text: str) -> None:
        self._send("/live/error", (text,))

    def _send(
        self, address: str, arguments: tuple[Any, ...], to: tuple[str, int] | None = None
    ) -> None:
        packet = encoded(address, arguments)
        self.longest = max(self.longest, len(packet))
        if len(packet) > LARGEST:
            raise OSError(40, "Message too long")
        for _ in range(self._copies()):
            self._socket.sendto(packet, to or self._remote)

    def _copies(self) -> int:
        every = self.drop_every or self.duplicate_every
        self._left -= 1
        if not every or self._left > 0:
            return 1
        # Not quite regular, or one message of a dialogue that repeats would be lost each time.
        self._left = self._random.randint(every // 2 + 1, every + every // 2)
        return 0 if self.drop_every else 2

    def _push(self) -> None:
        for (address, ids), held in self._listeners.items():
            value = held[0]()
            if value != held[1]:
                held[1] = value
                self._send(address, (*ids, value))
        beat = int(self.song.current_song_time)
        if self._beat is not None and beat != self._beat:
            self._beat = beat
            self._send("/live/song/get/beat", (beat,))

    def _built(self) -> Iterator[tuple[str, Handler]]:
        """Every address with what it does."""
        song = self.song
        yield "/live/test", lambda given: self._send("/live/test", ("ok",))
        yield "/live/application/get/version", lambda given: self.version
        for name in SONG_METHODS:
            yield f"/live/song/{name}", partial(self._call, "song", name)
        for name in (*SONG_READ, *SONG_WRITE):
            yield f"/live/song/get/{name}", partial(self._get, "song", name)
            yield f"/live/song/start_listen/{name}", partial(self._start, "song", name)
            yield f"/live/song/stop_listen/{name}", partial(self._stop, "song", name)
        for name in SONG_WRITE:
            yield f"/live/song/set/{name}", partial(self._set, "song", name)
        yield "/live/song/start_listen/beat", lambda given: self._listen_beat(True)
        yield "/live/song/stop_listen/beat", lambda given: self._listen_beat(False)
        yield "/live/song/get/num_tracks", lambda given: (len(song.tracks),)
        yield "/live/song/get/num_scenes", lambda given: (len(song.scenes),)
        yield "/live/song/get/track_names", self._track_names
        yield "/live/song/get/track_data", self._track_data
        for name in (*TRACK_READ, *TRACK_WRITE):
            yield f"/live/track/get/{name}", partial(self._get, "track", name)
        for name in TRACK_WRITE:
            yield f"/live/track/set/{name}", partial(self._set, "track", name)
        for name in ("name", "length", "color"):
            yield f"/live/track/get/clips/{name}", partial(self._clips_of_track, name)
        for name in ("create_clip", "delete_clip", "fire", "stop"):
            yield f"/live/clip_slot/{name}", partial(self._call, "clip_slot", name)
        for name in ("has_clip", "is_group_slot", "is_playing", "is_triggered"):
            yield f"/live/clip_slot/get/{name}", partial(self._get, "clip_slot", name)
            yield f"/live/clip_slot/start_listen/{name}", partial(self._start, "clip_slot", name)
            yield f"/live/clip_slot/stop_listen/{name}", partial(self._stop, "clip_slot", name)
        yield "/live/clip_slot/duplicate_clip_to", self._duplicate
        for name in CLIP_METHODS:
            yield f"/live/clip/{name}", partial(self._call, "clip", name)
        for name in (*CLIP_READ, *CLIP_WRITE):
            yield f"/live/clip/get/{name}", partial(self._get, "clip", name)
        for name in CLIP_WRITE:
            yield f"/live/clip/set/{name}", partial(self._set, "clip", name)
        yield "/live/clip/get/notes", self._get_notes
        yield "/live/clip/add/notes", self._add_notes
        yield "/live/clip/remove/notes", self._remove_notes
        yield "/live/view/get/selected_clip", lambda given: tuple(song.selected)
        yield "/live/view/get/selected_track", lambda given: (song.selected[0],)
        yield "/live/view/get/selected_scene", lambda given: (song.selected[1],)
        yield "/live/view/set/selected_clip", self._select

    def _target(
        self, kind: str, given: tuple[Any, ...]
    ) -> tuple[Any, tuple[int, ...], tuple[Any, ...]]:
        """What an address is about, the ids that are echoed, and the other arguments."""
        if kind == "song":
            return self.song, (), given
        if kind == "track":
            return self.song.tracks[int(given[0])], (int(given[0]),), given[1:]
        slot = self.slot(int(given[0]), int(given[1]))
        target = slot if kind == "clip_slot" else slot.clip
        return target, (int(given[0]), int(given[1])), given[2:]

    def _call(self, kind: str, name: str, given: tuple[Any, ...]) -> None:
        target, _, rest = self._target(kind, given)
        getattr(target, name)(*rest)

    def _get(self, kind: str, name: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
        target, ids, rest = self._target(kind, given)
        value = getattr(target, name)
        return (*ids, value, *rest) if self.echo else (*ids, value)

    def _set(self, kind: str, name: str, given: tuple[Any, ...]) -> None:
        target, _, rest = self._target(kind, given)
        before = getattr(target, name)
        kinds = {float: NUMBER, bool: (bool, int), int: (int,), str: (str,)}
        checked(rest[0], kinds[type(before)])
        setattr(target, name, type(before)(rest[0]))

    def _start(self, kind: str, name: str, given: tuple[Any, ...]) -> None:
        target, _, _ = self._target(kind, given)
        address, value = f"/live/{kind}/get/{name}", getattr(target, name)
        self._listeners[address, given] = [partial(getattr, target, name), value]
        self._send(address, (*given, value))

    def _stop(self, kind: str, name: str, given: tuple[Any, ...]) -> None:
        self._listeners.pop((f"/live/{kind}/get/{name}", given), None)

    def _clips_of_track(self, name: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
        track, ids, _ = self._target("track", given)
        return (*ids, *(getattr(slot.clip, name, None) for slot in track.clip_slots))

    def _listen_beat(self, on: bool) -> None:
        self._beat = int(self.song.current_song_time) if on else None

    def _select(self, given: tuple[Any, ...]) -> None:
        self.song.selected = list(given[:2])

    def _track_names(self, given: tuple[Any, ...]) -> tuple[Any, ...]:
        first, last = given or (0, -1)
        last = len(self.song.tracks) if last == -1 else last
        return tuple(self.song.tracks[place].name for place in range(first, last))

    def _track_data(self, given: tuple[Any, ...]) -> tuple[Any, ...]:
        first, last, *names = given
        last = len(self.song.tracks) if int(last) == -1 else int(last)
        values: list[Any] = []
        for track in (self.song.tracks[place] for place in range(int(first), last)):
            for name in names:
                kind, attribute = name.split(".")
                if kind == "track":
                    values.append(getattr(track, attribute))
                for slot in track.clip_slots:
                    if kind == "clip":
                        values.append(getattr(slot.clip, attribute) if slot.clip else None)
                    if kind == "clip_slot":
                        values.append(getattr(slot, attribute))
        return tuple(values)

    def _duplicate(self, given: tuple[Any, ...]) -> None:
        source = self.slot(int(given[0]), int(given[1])).clip
        if source is None:
            raise RuntimeError("No clip in this slot")
        self.slot(given[2], given[3]).clip = source.copy()

    @staticmethod
    def _window(order: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(given) not in (0, 4):
            raise ValueError(
                f"Invalid number of arguments for /clip/{order}/notes. "
                "Either 0 or 4 arguments must be passed."
            )
        return given or (0, 127, -8192, 16384)

    def _get_notes(self, given: tuple[Any, ...]) -> tuple[Any, ...]:
        clip, ids, rest = self._target("clip", given)
        notes = clip.get_notes_extended(*self._window("get", rest))
        return (*ids, *(value for note in notes for value in note))

    def _remove_notes(self, given: tuple[Any, ...]) -> None:
        clip, _, rest = self._target("clip", given)
        clip.remove_notes_extended(*self._window("remove", rest))

    def _add_notes(self, given: tuple[Any, ...]) -> None:
        clip, _, rest = self._target("clip", given)
        notes = []
        for first in range(0, len(rest), 5):
            pitch, start, duration, velocity, mute = rest[first : first + 5]
            notes.append((pitch, start, duration, velocity, mute))
        clip.add_new_notes(notes)
