"""Call and response: a phrase is heard, and answered in time by one that is as long."""

from __future__ import annotations

import math

from triptych.music.score import Score
from triptych.task import Choice, Parameter
from triptych_bridge.midi import NOTE_ON, Note
from triptych_bridge.modes.mode import Mode
from triptych_bridge.protocol import Heard
from triptych_bridge.scores import notes_of, score_of
from triptych_bridge.settings import address
from triptych_bridge.stage import Stage

_OVER = 0.1  # beats by which a phrase may last beyond a beat without being counted longer


class CallAndResponse(Mode):
    """A phrase ends at a rest. Who plays on is not interrupted: an answer to come is dropped."""

    name, label = "call_and_response", "Call and response"
    help = "Listen for a phrase and answer it, in time and as long."
    tasks = ("continue",)
    parameters = (
        Parameter(
            "rest",
            "Rest",
            "float",
            1.0,
            "How long a rest ends a phrase.",
            minimum=0.25,
            maximum=16.0,
            step=0.25,
            unit="quarter notes",
        ),
        Parameter(
            "answer_on",
            "Answer on",
            "choice",
            "beat",
            "Where an answer begins.",
            choices=(Choice("beat", "The next beat"), Choice("bar", "The next bar")),
        ),
    )

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._start: float | None = None  # the beat at which the phrase began
        self._last = 0.0  # when it was last played on

    def begin(self, bar: float) -> None:
        """Wait for a phrase."""
        self.end()
        self._start = None

    def hear(self, heard: Heard, ended: Note | None) -> None:
        """Follow the phrase."""
        if heard.message[0] & 0xF0 == NOTE_ON:
            self.end()
            if self._start is None:
                self._start = heard.beat
            self._last = heard.beat
        elif ended is not None:
            self._last = heard.beat

    def tick(self) -> None:
        """Answer once the rest is long enough."""
        rest: float = self.stage.settings.get(address(self.name, "rest"))
        if self._start is None or self.stage.memory.held:
            return
        if self.stage.now - self._last >= rest:
            self._answer(self._start)
            self._start = None

    def _answer(self, start: float) -> None:
        stage = self.stage
        heard = stage.memory.between(start - 1e-6, stage.now)
        origin = math.floor(start / stage.bar) * stage.bar
        phrase = max(1.0, math.ceil(self._last - math.floor(start) - _OVER))
        whole = max(1, math.ceil((self._last - origin) / stage.bar)) * stage.bar
        score = score_of(heard, origin, whole, stage.tempo, stage.metre)
        bars = math.ceil(phrase / stage.bar)
        channels = sorted({note.channel for note in heard})

        def then(made: Score | None) -> None:
            self.request = None
            if made is None or not stage.playing:
                return
            step = stage.bar if stage.settings.get(address(self.name, "answer_on")) == "bar" else 1
            # Made too late for one beat or bar, it waits for the next.
            at = math.ceil(stage.soonest / step) * step
            notes = [
                note
                for track, channel in zip(made.tracks, channels, strict=False)
                for note in notes_of(track, channel, whole, whole + phrase, at)
            ]
            stage.play(notes, at)

        values = {"bars": bars, "seed": stage.seed("continue")}
        self.request = stage.ask("continue", score, values, then)
