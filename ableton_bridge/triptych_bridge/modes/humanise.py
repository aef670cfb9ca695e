"""Humanise through: drums go in, and come out with feel two bars later."""

from __future__ import annotations

import dataclasses

from triptych.music.score import Score
from triptych_bridge.maker import Request
from triptych_bridge.midi import Note
from triptych_bridge.modes.mode import Mode
from triptych_bridge.scores import notes_of, score_of
from triptych_bridge.stage import Stage

_DELAY = 2  # bars: one is heard whole, and for one the model may think
_LAST = 0.25  # bars before its time at which a bar is played as it was heard, without feel
_DRUMS = 9


class Humanise(Mode):
    """Two bars late is in time for patterns of one or two bars, as drum machines play.

    No bar is dropped: one that the model does not make in time is played as it was.
    """

    name, label = "humanise", "Humanise through"
    help = "Drums in, drums out with feel, two bars later."
    tasks = ("groove",)

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._heard = 0.0  # the bar line up to which all was asked for
        self._waiting: list[tuple[float, list[Note], Request]] = []  # by when, what was heard

    def begin(self, bar: float) -> None:
        """Listen from the bar before this line on: it plays now, and may be a song's first."""
        self.end()
        self._heard = bar - self.stage.bar

    def end(self) -> None:
        """No more is wanted."""
        for _, _, request in self._waiting:
            request.cancel()
        self._waiting = []

    def tick(self) -> None:
        """Ask for the bar that has ended; play those as they are that were not made in time."""
        stage = self.stage
        soonest = stage.soonest + _LAST * stage.bar
        for at, raw, request in [item for item in self._waiting if item[0] <= soonest]:
            request.cancel()
            self._drop(request)
            stage.play([dataclasses.replace(n, start=n.start + at) for n in raw])
        if stage.now < self._heard + stage.bar:
            return
        begun, self._heard = self._heard, self._heard + stage.bar
        hits = stage.memory.between(begun, self._heard)
        if hits:
            self._ask(hits, begun)

    def _ask(self, hits: list[Note], begun: float) -> None:
        stage = self.stage
        channel = hits[0].channel
        raw = [dataclasses.replace(n, start=n.start - begun) for n in hits]
        drums = [dataclasses.replace(n, channel=_DRUMS) for n in raw]
        score = score_of(drums, 0.0, stage.bar, stage.tempo, stage.metre)
        at = begun + _DELAY * stage.bar

        def then(made: Score | None) -> None:
            self._drop(request)
            notes = raw
            if made is not None:
                notes = [note for track in made.tracks for note in notes_of(track, channel)]
            back = [dataclasses.replace(n, start=n.start + at, channel=channel) for n in notes]
            stage.play(back)

        request = stage.ask("groove", score, {}, then)
        self._waiting.append((at, raw, request))

    def _drop(self, request: Request) -> None:
        self._waiting = [item for item in self._waiting if item[2] is not request]
