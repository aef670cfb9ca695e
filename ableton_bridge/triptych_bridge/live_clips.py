"""Clips of Ableton Live's session view: read one, write one where nothing is, take it back.

A clip is written under a name of its own and gets its real one last, so that what is half-written
can be told from anything of the user's, and is removed again. Live keeps no two notes of one pitch
that overlap (a later one shortens the earlier, an equal start replaces it): `fitted` does the same
before anything is sent, so that all that is sent must come back.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import secrets
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from triptych.errors import UserError, one_line
from triptych_bridge.live import Live, number, whole
from triptych_bridge.osc_client import Argument, CutShort, Message

TOLERANCE = 1e-4  # beats: Live's times travel as 32-bit floats
EARLIEST, LATEST = -8192.0, 8192.0  # beats that a clip's notes may start at

_CHUNK = 250  # notes in one order: 5 kB, well below osc_client.LARGEST
_PAGE = 200  # notes that a page is to hold; from 438 on an answer is too long
_FIRST_PAGE = 16.0  # beats
_MOST = 300  # notes in an answer that are asked for at once
_LEAST_PAGE = 1 / 64  # beats; below, a page is divided by pitch
_ROUNDS = 5  # of sending what did not arrive

Progress = Callable[[float, str], None]
"""Told the fraction done (0..1) and what is done; what it raises cancels (see Job.progress)."""


class Note(NamedTuple):
    """MIDI pitch 0..127, start and duration in beats (quarter notes), velocity 1..127."""

    pitch: int
    start: float
    duration: float
    velocity: int
    mute: bool = False


@dataclass(frozen=True)
class Clip:
    """A clip that was read: where it lies, its length and loop in beats, its notes by start.

    Of a clip that loops, `length` is the loop's.
    """

    track: int
    scene: int
    name: str
    length: float
    loop: tuple[float, float]
    looping: bool
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Written:
    """A clip that was written, as Live holds it; `length` is the one asked for.

    Of the notes given, `shortened` were cut where the same pitch begins again, and `replaced` left
    out as the same pitch begins at the same time.
    """

    clip: Clip
    length: float
    shortened: int = 0
    replaced: int = 0


@dataclass(frozen=True)
class Difference:
    """What of the notes expected is `missing`, and what is there `besides`."""

    missing: tuple[Note, ...]
    besides: tuple[Note, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.besides)

    def __str__(self) -> str:
        found = self.missing or self.besides
        first = f"pitch {found[0].pitch} at beat {found[0].start:g}" if found else "none"
        return (
            f"{len(self.missing)} notes are missing and {len(self.besides)} are others, "
            f"the first {first}"
        )


class Clips:
    """The clips of `live`. Whatever fails raises UserError, and leaves no clip of ours behind."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def selected(self) -> tuple[int, int]:
        """The selected slot: track and scene, from 0."""
        answer = self._live.ask(("/live/view/get/selected_clip", ()))[0]
        return whole(answer, 0), whole(answer, 1)

    def read_selected(self, progress: Progress | None = None) -> Clip:
        """The clip in the selected slot, which must hold MIDI."""
        return self.read(*self.selected(), progress)

    def read(self, track: int, scene: int, progress: Progress | None = None) -> Clip:
        """The MIDI clip in this slot. UserError where there is none, or it holds audio."""
        at = [track, scene]
        if not self._holds(track, scene):
            raise UserError("there is no clip in that slot of Live: select a MIDI clip.")
        if not whole(self._live.ask(("/live/clip/get/is_midi_clip", at))[0], 0):
            raise UserError("that clip of Live holds audio: select a MIDI clip.")
        name, length, start, end, looping = self._live.ask(
            *(
                (f"/live/clip/get/{what}", at)
                for what in ("name", "length", "loop_start", "loop_end", "looping")
            )
        )
        loop = (number(start, 0), number(end, 0))
        notes = self._notes(track, scene, loop[1], 0, progress)
        return Clip(
            *(track, scene, _text(name), number(length, 0), loop, bool(whole(looping, 0))),
            tuple(notes),
        )

    def write(
        self,
        notes: Iterable[Note],
        length: float,
        name: str,
        track: int | None = None,
        scene: int = 0,
        loop: tuple[float, float] | None = None,
        progress: Progress | None = None,
    ) -> Written:
        """Write a new clip into the first empty slot of a track, from `scene` on.

        Without an empty slot it goes into a new scene, without a track (or into one that takes no
        MIDI) into a new MIDI track. `length` in beats; `loop` is its whole unless it is given.
        `name` says what made it: the task and the seed. The notes are read back and compared.
        """
        plan = _Plan(notes, length, name, loop)
        return self._write_at(*self._place(track, scene), plan, progress)

    def take_back(self, written: Written) -> None:
        """Delete a clip that was written, if it still is there and as it was written.

        Nothing is done where its slot is empty. UserError where the slot holds anything else.
        """
        track, scene = at = written.clip.track, written.clip.scene
        if not self._holds(track, scene):
            return
        what = f"delete the clip {written.clip.name!r}"
        if not self._unchanged(written.clip):
            raise UserError(
                f"the clip {written.clip.name!r} was changed or moved in Live, so it is left "
                "alone: delete it there."
            )
        order: Message = ("/live/clip_slot/delete_clip", at)
        self._live.achieve(what, lambda: not self._holds(track, scene), order)

    def try_again(
        self,
        written: Written,
        notes: Iterable[Note],
        length: float,
        name: str,
        loop: tuple[float, float] | None = None,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Written:
        """Write another clip into the next empty slot of the same track, to compare the two.

        With `replace` it takes the place of `written`, if that is as it was written; it comes back
        if the other cannot be written.
        """
        track, scene = written.clip.track, written.clip.scene
        if not replace:
            return self.write(notes, length, name, track, scene + 1, loop, progress)
        plan = _Plan(notes, length, name, loop)
        self.take_back(written)
        try:
            return self._write_at(track, scene, plan, progress)
        except BaseException:
            old = written.clip
            with contextlib.suppress(UserError):
                self._write_at(
                    track, scene, _Plan(old.notes, written.length, old.name, old.loop), None
                )
            raise

    def _place(self, track: int | None, scene: int) -> tuple[int, int]:
        """An empty slot, made if there is none."""
        tracks = self._count("tracks")
        if track is not None and not 0 <= track < tracks:
            raise UserError(f"Live has no track {track + 1}: choose one of its {tracks}.")
        if track is None or not whole(
            self._live.ask(("/live/track/get/has_midi_input", [track]))[0], 0
        ):
            track = self._new("tracks", "create_midi_track")
        question: Message = ("/live/song/get/track_data", [track, track + 1, "clip_slot.has_clip"])
        filled = self._live.ask(question)[0]
        empty = [place for place, clip in enumerate(filled) if not clip]
        if not empty:
            return track, self._new("scenes", "create_scene")
        return track, next((place for place in empty if place >= scene), empty[0])

    def _count(self, what: str) -> int:
        return whole(self._live.ask((f"/live/song/get/num_{what}", ()))[0], 0)

    def _new(self, what: str, order: str) -> int:
        """Make one more of the tracks or scenes, at the end; its number."""
        before = self._count(what)
        message: Message = (f"/live/song/{order}", [-1])
        self._live.achieve(f"make more {what}", lambda: self._count(what) > before, message)
        return before

    def _write_at(self, track: int, scene: int, plan: _Plan, progress: Progress | None) -> Written:
        mark = f"{plan.name} (unfinished {secrets.token_hex(4)})"
        names = [mark]  # that the clip has, if it is ours
        tell = progress or (lambda fraction, message: None)
        try:
            self._create(track, scene, plan.length, mark)
            self._set(track, scene, plan.shape)
            self._fill(track, scene, plan, tell)
            names.append(plan.name)
            self._set(track, scene, {"name": plan.name})
            length = self._live.ask(("/live/clip/get/length", [track, scene]))[0]
            tell(1.0, "written")
        except BaseException as error:
            self._remove(track, scene, names, error)
            raise
        notes = tuple(plan.fitted.notes)
        clip = Clip(track, scene, plan.name, number(length, 0), plan.loop, True, notes)
        return Written(clip, plan.length, plan.fitted.shortened, plan.fitted.replaced)

    def _create(self, track: int, scene: int, length: float, mark: str) -> None:
        """An empty clip that is marked as ours. One order: a slot that is taken ends it there."""
        at = [track, scene]
        orders: list[Message] = [
            ("/live/clip_slot/create_clip", [*at, length]),
            ("/live/clip/set/name", [*at, mark]),
        ]

        def ours() -> bool:
            if not self._holds(track, scene):
                return False
            if self._name(track, scene) != mark:
                raise UserError("another clip came into the empty slot of Live: try again.")
            return True

        self._live.achieve("make a clip in an empty slot", ours, *orders)

    def _set(self, track: int, scene: int, values: Mapping[str, Argument]) -> None:
        """Set properties of a clip, in this order, and see that they are set."""
        at = [track, scene]
        orders = [(f"/live/clip/set/{what}", [*at, value]) for what, value in values.items()]
        questions = [(f"/live/clip/get/{what}", at) for what in values]

        def done() -> bool:
            return all(map(_same, self._live.ask(*questions), values.values()))

        self._live.achieve("set the clip's name and loop", done, *orders)

    def _fill(self, track: int, scene: int, plan: _Plan, tell: Progress) -> None:
        """Send the notes until all have arrived."""

        def reading(fraction: float, message: str) -> None:
            tell(0.5 + 0.5 * fraction, message)

        missing: Sequence[Note] = plan.fitted.notes
        for _ in range(_ROUNDS):
            for first in range(0, len(missing), _CHUNK):
                tell(0.5 * first / len(missing), "writing")
                chunk = missing[first : first + _CHUNK]
                values = [value for note in chunk for value in note]
                self._live.order("take notes", ("/live/clip/add/notes", [track, scene, *values]))
            found = self._notes(track, scene, plan.length, len(plan.fitted.notes), reading)
            left = difference(plan.fitted.notes, found)
            if not left:
                return
            if not left.missing:
                break
            missing = left.missing
        raise UserError(f"the clip did not arrive in Live as it was sent ({left}): try again.")

    def _remove(self, track: int, scene: int, names: Sequence[str], reason: BaseException) -> None:
        """Delete what was half-written, if it is ours; say so where that cannot be done."""
        try:
            if self._holds(track, scene) and self._name(track, scene) in names:
                order: Message = ("/live/clip_slot/delete_clip", [track, scene])
                self._live.achieve("remove it", lambda: not self._holds(track, scene), order)
        except UserError:
            if isinstance(reason, UserError):
                raise UserError(
                    f"{str(reason).rstrip('.')}; if a clip named 'unfinished' is left in Live, "
                    "delete it there."
                ) from None

    def _holds(self, track: int, scene: int) -> bool:
        answer = self._live.ask(("/live/clip_slot/get/has_clip", [track, scene]))[0]
        return bool(whole(answer, 0))

    def _name(self, track: int, scene: int) -> str:
        return _text(self._live.ask(("/live/clip/get/name", [track, scene]))[0])

    def _unchanged(self, clip: Clip) -> bool:
        if self._name(clip.track, clip.scene) != clip.name:
            return False
        now = self.read(clip.track, clip.scene)
        same = abs(now.length - clip.length) < TOLERANCE and now.looping == clip.looping
        return same and not difference(clip.notes, now.notes)

    def _notes(
        self, track: int, scene: int, end: float, likely: int, progress: Progress | None
    ) -> list[Note]:
        """All notes of a clip, sorted by start, in pages whose answers are short enough.

        `end` is the beat up to which most are, `likely` how many there may be (0: not known).
        """
        # Seldom is anything before the start or behind the end: few pages do for most clips.
        span = _paged(end * _PAGE / likely) if likely else _FIRST_PAGE
        first = LATEST if 0 < likely <= _MOST else min(span, LATEST)
        try:
            notes = self._window(track, scene, (0, 128), EARLIEST, first - EARLIEST)
            start = first
        except CutShort:
            notes = self._page(track, scene, (0, 128), EARLIEST, -EARLIEST)
            start = 0.0
        while start < LATEST:
            if progress is not None:
                progress(min(start / max(end, 1.0), 1.0), "reading")
            if start >= end:
                span = LATEST - start
            page = self._page(track, scene, (0, 128), start, span)
            notes += page
            start += span
            span *= min(max(_PAGE / max(len(page), 1), 1 / 8), 8.0)
            span = min(_paged(span), LATEST - start)
        return sorted(notes, key=_by_start)

    def _page(
        self, track: int, scene: int, pitches: tuple[int, int], start: float, span: float
    ) -> list[Note]:
        """The notes that start in a window of time and pitch, in as many questions as they need."""
        low, count = pitches
        try:
            return self._window(track, scene, pitches, start, span)
        except CutShort:
            if span > _LEAST_PAGE:
                parts = [(pitches, start + span * i / 4, span / 4) for i in range(4)]
            elif count > 1:
                half = count // 2
                parts = [(p, start, span) for p in ((low, half), (low + half, count - half))]
            else:
                raise UserError("that clip of Live is too dense to be read: split it.") from None
            return [note for part in parts for note in self._page(track, scene, *part)]

    def _window(
        self, track: int, scene: int, pitches: tuple[int, int], start: float, span: float
    ) -> list[Note]:
        """The notes that start in a window. Raises CutShort where they may be too many."""
        window = [track, scene, *pitches, start, span]
        answer = self._live.ask(("/live/clip/get/notes", window), divisible=True)[0]
        if len(answer) % 5:
            raise UserError("Live's answer cannot be understood: replace AbletonOSC by the newest.")
        notes = [_received(answer[place : place + 5]) for place in range(0, len(answer), 5)]
        # Notes that only reach into the window belong to the page in which they start.
        low, high = start - TOLERANCE, start + span + TOLERANCE
        return [note for note in notes if low <= note.start <= high]


class _Plan:
    """What is to be written, checked and as Live will hold it."""

    def __init__(
        self,
        notes: Iterable[Note],
        length: float,
        name: str,
        loop: tuple[float, float] | None,
    ) -> None:
        given = list(notes)
        for note in given:
            _check(note)
        if not TOLERANCE < length <= LATEST:
            raise UserError(f"a clip cannot be {length:g} beats long: choose up to {LATEST:g}.")
        self.length = _float32(length)
        self.loop = (0.0, self.length) if loop is None else (_float32(loop[0]), _float32(loop[1]))
        if not 0 <= self.loop[0] < self.loop[1] <= self.length:
            raise UserError("the loop must lie within the clip.")
        self.shape: dict[str, Argument] = {"looping": True, "loop_end": self.loop[1]}
        self.shape |= {"loop_start": self.loop[0], "start_marker": self.loop[0]}
        self.shape |= {"end_marker": self.length}
        self.name = one_line(name, limit=120)
        self.fitted = fitted(given)


class Fitted(NamedTuple):
    """Notes sorted by start, and how many were `shortened` and how many `replaced` by another."""

    notes: list[Note]
    shortened: int
    replaced: int


def fitted(notes: Iterable[Note]) -> Fitted:
    """The notes as Live will hold them: 32-bit times, no two of a pitch that overlap.

    A note ends where the next of its pitch begins; of two that begin within TOLERANCE of each
    other the one given last stays.
    """
    by_pitch: dict[int, list[Note]] = defaultdict(list)
    for pitch, start, duration, velocity, mute in notes:
        note = Note(int(pitch), _float32(start), _float32(duration), int(velocity), bool(mute))
        by_pitch[note.pitch].append(note)
    kept: list[Note] = []
    shortened = replaced = 0
    for group in by_pitch.values():
        following: Note | None = None
        # Backwards; the sort is stable, so that of equal starts the last given comes first.
        for note in sorted(group, key=_by_start)[::-1]:
            if following is None or note.start + note.duration <= following.start:
                following = note
            elif following.start - note.start < TOLERANCE:
                replaced += 1
                continue
            else:
                shortened += 1
                room = _float32(following.start - note.start)
                if note.start + room > following.start:  # one step of 32 bits down
                    room = _float32(room * (1 - 2**-23))
                following = note._replace(duration=room)
            kept.append(following)
    return Fitted(sorted(kept, key=_by_start), shortened, replaced)


def difference(expected: Iterable[Note], found: Iterable[Note]) -> Difference:
    """What tells two bags of notes apart; times within TOLERANCE are the same."""
    missing, besides = [], []
    there: dict[int, list[Note]] = defaultdict(list)
    for note in sorted(found, key=_by_start):
        there[note.pitch].append(note)
    for note in sorted(expected, key=_by_start):
        candidates = there[note.pitch]
        place = bisect.bisect_left(candidates, note.start - TOLERANCE, key=lambda n: n.start)
        while place < len(candidates) and candidates[place].start <= note.start + TOLERANCE:
            if _alike(candidates[place], note):
                del candidates[place]
                break
            place += 1
        else:
            missing.append(note)
    for rest in there.values():
        besides += rest
    return Difference(tuple(missing), tuple(besides))


def _alike(one: Note, other: Note) -> bool:
    near = abs(one.duration - other.duration) <= TOLERANCE
    return near and (one.velocity, one.mute) == (other.velocity, other.mute)


def _by_start(note: Note) -> tuple[float, int]:
    return note.start, note.pitch


def _check(note: Note) -> None:
    if not 0 <= note.pitch <= 127 or not 1 <= note.velocity <= 127:
        raise UserError(
            f"pitch {note.pitch} with velocity {note.velocity} is no MIDI note: pitches go from 0 "
            "to 127, velocities from 1 to 127."
        )
    longest = LATEST - EARLIEST
    if not EARLIEST <= note.start < LATEST or not TOLERANCE <= note.duration <= longest:
        raise UserError(
            f"a note at beat {note.start:g} of {note.duration:g} beats does not fit into a clip."
        )


def _received(values: tuple[Argument, ...]) -> Note:
    velocity = min(max(whole(values, 3), 1), 127)
    return Note(
        *(whole(values, 0), number(values, 1), number(values, 2), velocity),
        mute=bool(whole(values, 4)),
    )


def _paged(span: float) -> float:
    """A multiple that is exact as a 32-bit float: no note falls between two windows."""
    return max(math.floor(span / _LEAST_PAGE), 1) * _LEAST_PAGE


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _same(found: tuple[Argument, ...], value: Argument) -> bool:
    if isinstance(value, str):
        return _text(found) == value
    return abs(number(found, 0) - float(value or 0)) < TOLERANCE


def _text(values: tuple[Argument, ...]) -> str:
    return str(values[0]) if values else ""
