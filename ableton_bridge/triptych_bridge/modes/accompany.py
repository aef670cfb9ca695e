"""Accompany: each bar is written while the one before it is played, from what was heard."""

from __future__ import annotations

import dataclasses
from typing import Any

from triptych.music.score import Score, Track
from triptych.task import Parameter
from triptych_bridge.midi import Note
from triptych_bridge.modes.mode import Mode
from triptych_bridge.scores import notes_of, score_of, track_of
from triptych_bridge.settings import address
from triptych_bridge.stage import Stage

_EARLY = 0.15  # seconds before the last moment at which a bar is asked for
_DRUMS = 9


class Accompany(Mode):
    """Its first bar is of the task `accompany`, which says who plays; the next are of `infill`,
    which sees what was played before. A bar that comes too late is left out."""

    name, label = "accompany", "Accompany"
    help = "Play along, bar by bar, with what is heard."
    tasks = ("accompany", "infill")
    parameters = (
        Parameter(
            "heard_bars",
            "Bars heard",
            "int",
            4,
            "How many of the last bars are listened to.",
            minimum=1,
            maximum=8,
            unit="bars",
        ),
    )

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._planned = 0.0  # the bar line up to which all is decided
        self._band: list[tuple[int, Track]] = []  # channels, and tracks without their notes
        self._played: list[Note] = []

    def begin(self, bar: float) -> None:
        """Begin with a new band."""
        self.end()
        self._planned, self._band, self._played = bar, [], []

    def changed(self, place: str) -> None:
        """Another band, or another kind of it, begins with the next bar."""
        if place.startswith(address("accompany", "")):
            self.vary()

    def vary(self) -> None:
        """Let the band begin anew."""
        self.end()
        self._band = []

    def tick(self) -> None:
        """Ask for the next bar when its time has come."""
        stage = self.stage
        if self.request is not None:
            return
        ahead = stage.beats(stage.lead)
        bar = max(self._planned, stage.next_bar(stage.now + ahead))
        if bar - stage.now > ahead + stage.beats(_EARLY) + stage.bar * (not self._band):
            return
        span = stage.settings.get(address(self.name, "heard_bars")) * stage.bar
        low = max(bar - span, 0.0)
        heard = stage.memory.between(low, stage.now)
        if any(note.channel != _DRUMS for note in heard):
            self._ask(heard, low, bar)

    def _ask(self, heard: list[Note], low: float, bar: float) -> None:
        stage = self.stage
        score = score_of(heard, low, bar + stage.bar - low, stage.tempo, stage.metre)
        count = len(score.tracks)
        values: dict[str, Any]
        if not self._band:
            task, values = "accompany", {"seed": stage.seed("accompany")}
        else:
            task = "infill"
            own = [
                dataclasses.replace(
                    track,
                    notes=track_of(
                        [n for n in self._played if n.channel == channel and low <= n.start < bar],
                        low,
                        "",
                        channel,
                    ).notes,
                )
                for channel, track in self._band
            ]
            score = score.with_tracks([*score.tracks, *own])
            places = range(count + 1, count + 1 + len(own))
            values = {
                "first_bar": round((bar - low) / stage.bar) + 1,
                "bars": 1,
                "tracks": ", ".join(map(str, places)),
                "seed": stage.seed("infill"),
            }

        def then(made: Score | None) -> None:
            self.request = None
            self._planned = bar + stage.bar
            if made is None or not stage.playing:
                return
            self._take(made.tracks[count:], low, bar)

        self.request = stage.ask(task, score, values, then)

    def _take(self, tracks: tuple[Track, ...], low: float, bar: float) -> None:
        stage = self.stage
        if not self._band:
            pitched = iter([channel for channel in range(16) if channel != _DRUMS])
            self._band = [(_DRUMS if t.drums else next(pitched, 0), t) for t in tracks]
        if stage.soonest > bar:
            stage.late += 1
            stage.say("a bar of the accompaniment came too late: use a smaller model or less band.")
            return
        notes = []
        for (channel, _), track in zip(self._band, tracks, strict=False):
            notes += notes_of(track, channel, bar - low, bar - low + stage.bar, bar)
        stage.play(notes, bar)
        oldest = bar - 16 * stage.bar
        self._played = [n for n in self._played if n.start >= oldest] + notes
