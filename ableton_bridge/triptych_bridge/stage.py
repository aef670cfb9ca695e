"""What a mode plays on: the song's place, what was heard, notes on order, notes to be played."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triptych.errors import UserError
from triptych.music import midi
from triptych.music.score import Score
from triptych.task import MAX_SEED
from triptych_bridge.maker import Request
from triptych_bridge.midi import Note
from triptych_bridge.protocol import State
from triptych_bridge.scores import Memory
from triptych_bridge.settings import Settings, address

Then = Callable[[Score | None], None]
"""Told the score that was made, or None where none was; the reason was shown."""

_MARGIN = 0.05  # seconds that notes take on their way to the player, at most
_LEAST, _UNKNOWN = 0.15, 1.0  # seconds of lead at least, and while no request has come back
_SPARE = 1.5  # times the longest of the last requests


class Stage:
    """Times are beats of the song (quarter notes) where seconds are not said.

    `ask` orders notes (as Maker.ask does; what comes of it goes to `delivered`), `play` hands notes
    to the player (as PlayerProcess.play, without a part), `say` shows one sentence.
    """

    def __init__(
        self,
        settings: Settings,
        ask: Callable[[str, Mapping[str, Any], bytes | None], Request],
        play: Callable[[Sequence[Note], float | None], None],
        say: Callable[[str], None],
    ) -> None:
        self.settings, self.memory = settings, Memory()
        self.say = say
        self.state: State | None = None
        self.late = 0  # notes and bars that came too late, and were not played
        self._ask, self._play = ask, play
        self._seconds: deque[float] = deque(maxlen=5)  # that the last requests took
        self._waiting: dict[Request, Then] = {}
        self._asked = 0

    # ------------------------------------------------------------------------------------ time

    @property
    def playing(self) -> bool:
        """Whether the beat moves."""
        return self.state is not None and self.state.playing

    @property
    def now(self) -> float:
        """The beat now."""
        if self.state is None:
            return 0.0
        passed = time.perf_counter() - self.state.time if self.state.playing else 0.0
        return self.state.beat + self.beats(passed)

    @property
    def tempo(self) -> float:
        """Quarter notes a minute."""
        return 120.0 if self.state is None else self.state.tempo

    @property
    def metre(self) -> tuple[int, int]:
        """Beats a bar and the note that is one beat."""
        return (4, 4) if self.state is None else self.state.metre

    @property
    def bar(self) -> float:
        """Quarter notes a bar."""
        count, unit = self.metre
        return 4.0 * count / unit

    def beats(self, seconds: float) -> float:
        """How many beats pass in so many seconds."""
        return seconds * self.tempo / 60.0

    @property
    def soonest(self) -> float:
        """The first beat at which what is played now is not late."""
        return self.now + self.beats(_MARGIN)

    def next_bar(self, beat: float) -> float:
        """The first bar line at this beat or after it."""
        return math.ceil(beat / self.bar - 1e-6) * self.bar

    @property
    def lead(self) -> float:
        """Seconds before which notes should be asked for, by how long the last ones took."""
        longest = max(self._seconds) if self._seconds else _UNKNOWN
        return max(_LEAST, _SPARE * longest) + _MARGIN

    # ----------------------------------------------------------------------------------- notes

    def seed(self, task: str) -> int:
        """A seed for the next request: the one that was set, and then others by turns."""
        self._asked += 1
        chosen: int = self.settings.get(address(task, "seed"))
        return (chosen + self._asked - 1) % (MAX_SEED + 1)

    def ask(self, task: str, score: Score | None, values: Mapping[str, Any], then: Then) -> Request:
        """Order a score from a task, with the values that were set and, above those, `values`."""
        given = None if score is None else midi.encode(score)
        request = self._ask(task, self.settings.of_task(task) | dict(values), given)
        self._waiting[request] = then
        return request

    @property
    def waiting(self) -> int:
        """How many requests are under way."""
        return len(self._waiting)

    def delivered(self, request: Request) -> None:
        """Pass on what came of a request."""
        then = self._waiting.pop(request, None)
        if then is None:
            return
        made = None
        if request.midi is not None:
            self._seconds.append(request.seconds)
            try:
                made = midi.decode(request.midi, "what the model made")
            except UserError as error:
                self.say(str(error))
        elif request.error:
            self.say(request.error)
        if not request.cancelled.is_set():
            then(made)

    def play(self, notes: Sequence[Note], replace_from: float | None = None) -> None:
        """Have notes played, in place of all from `replace_from` on; late ones are left out."""
        first = self.soonest
        timely = [note for note in notes if note.start >= first] if self.playing else []
        if self.playing:
            self.late += len(notes) - len(timely)
        self._play(timely, replace_from)
