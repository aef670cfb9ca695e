"""Orders for Ableton Live: a task is done on the selected clip, and written beside it.

    /triptych/live/run TASK      the selected clip through a task, into the next empty slot
    /triptych/live/try_again     the same with another seed, into the next empty slot
    /triptych/live/take_back     delete the clip that was written last

Live answers slowly, and a model may take long: all is done on a thread of its own, and what came
of it is told by /triptych/live/done, or /triptych/error, and one sentence.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from triptych.errors import UserError, did_you_mean
from triptych.music import midi
from triptych.music import score as core
from triptych.music.score import Score, Track
from triptych.task import MAX_SEED
from triptych_bridge.bridge import Bridge
from triptych_bridge.live import Live, Song
from triptych_bridge.live_clips import Clip, Clips, Note, Written
from triptych_bridge.maker import Maker
from triptych_bridge.settings import address

_END = 5.0  # seconds for what is under way


class LiveOrders:
    """Obeys for `bridge`, with the values that are set there; `maker` does the tasks.

    `tell` is called with an OSC address and a sentence, from the bridge's thread. Live itself may
    be started later.
    """

    def __init__(self, bridge: Bridge, maker: Maker, live: Live) -> None:
        self._bridge, self._maker, self._live = bridge, maker, live
        self._clips = Clips(self._live)
        self.tell: Callable[..., None] = lambda address, *arguments: None
        self._given: tuple[Clip, str] | None = None  # the last clip and task
        self._written: list[Written] = []
        self._tries = 0
        self._todo: queue.SimpleQueue[Callable[[], str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def orders(self) -> dict[str, Callable[[tuple[Any, ...]], None]]:
        """What Control is to add to its own."""
        return {
            "live/run": self._order_run,
            "live/try_again": lambda _: self._todo.put(self.try_again),
            "live/take_back": lambda _: self._todo.put(self.take_back),
        }

    def close(self) -> None:
        """End it, after what is under way."""
        self._todo.put(None)
        self._thread.join(_END)

    def run(self, task: str) -> str:
        """Do a task on the selected clip; a sentence that says where the result is.

        UserError: no clip is selected, Live does not answer, the task cannot be done.
        """
        known = {t.name for t in self._bridge.settings.tasks.values() if t.input == "score"}
        if task not in known:
            raise UserError(f"there is no task {task[:40]!r} for a clip{did_you_mean(task, known)}")
        self._given, self._tries = (self._clips.read_selected(), task), 0
        return self._make()

    def try_again(self) -> str:
        """Do the last task again with another seed, beside the clips that are there."""
        self._tries += 1
        return self._make()

    def take_back(self) -> str:
        """Delete the clip that was written last, unless it was changed since."""
        if not self._written:
            raise UserError("there is nothing to take back in Live.")
        self._clips.take_back(self._written[-1])
        return f"{self._written.pop().clip.name} was taken back."

    def _order_run(self, arguments: Sequence[Any]) -> None:
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise UserError("a task is needed, such as continue.")
        task = arguments[0]
        self._todo.put(lambda: self.run(task))

    def _work(self) -> None:
        while (do := self._todo.get()) is not None:
            try:
                place, text = "/triptych/live/done", do()
            except UserError as error:
                place, text = "/triptych/error", str(error)
            self._bridge.post(lambda place=place, text=text: self._told(place, text))  # type: ignore[misc]

    def _told(self, place: str, text: str) -> None:
        self._bridge.say(text)
        self.tell(place, text)

    def _make(self) -> str:
        if self._given is None:
            raise UserError("nothing was made in Live yet: send /triptych/live/run and a task.")
        clip, task = self._given
        song, settings = self._live.song(), self._bridge.settings
        values = settings.of_task(task)
        if any(p.name == "seed" for p in settings.tasks[task].parameters):
            seed = settings.get(address(task, "seed")) + self._tries
            values["seed"] = seed % (MAX_SEED + 1)
        name = " ".join([task, *(f"seed {values[key]}" for key in ("seed",) if key in values)])
        made = midi.decode(self._maker.make(task, values, midi.encode(_score(clip, song))))
        notes = [
            Note(pitch, start, duration, velocity)
            for track in made.tracks
            for start, duration, pitch, velocity in track.notes.tolist()
        ]
        written = self._clips.write(notes, made.length, name, clip.track, clip.scene + 1)
        self._written.append(written)
        place = written.clip
        return f"{name} is in track {place.track + 1}, scene {place.scene + 1} of Live."


def _score(clip: Clip, song: Song) -> Score:
    """What a clip plays in its loop."""
    low, high = clip.loop
    rows = [
        (n.start - low, min(n.duration, high - n.start), n.pitch, n.velocity)
        for n in clip.notes
        if not n.mute and low <= n.start < high
    ]
    metre = (0.0, song.numerator, song.denominator)
    track = Track(core.notes(rows), clip.name or "Clip")
    return Score((track,), ((0.0, song.tempo),), (metre,), length=high - low)
