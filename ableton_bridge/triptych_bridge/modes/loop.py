"""Loop: some bars that come again and renew themselves at the loop point."""

from __future__ import annotations

from typing import Any

from triptych.errors import UserError
from triptych.music.score import Score
from triptych.task import Parameter
from triptych_bridge.midi import Note
from triptych_bridge.modes.mode import Mode
from triptych_bridge.scores import notes_of, score_of, track_of
from triptych_bridge.settings import address
from triptych_bridge.stage import Stage

_AHEAD = 0.5  # seconds before the loop point at which the next turn is handed to the player
_TAKEN_BACK = 32  # turns that can be
_ATTEMPTS = 4  # to make a first loop


class Loop(Mode):
    """What is asked for while one turn plays is played from the next loop point on; until it is
    there, the loop stays as it is."""

    name, label = "loop", "Loop"
    help = "Some bars that renew themselves at the loop point."
    tasks = ("melody", "infill")
    parameters = (
        Parameter("bars", "Bars", "int", 4, "How long it is.", minimum=1, maximum=32, unit="bars"),
        Parameter(
            "amount",
            "Amount",
            "float",
            0.5,
            "The part of the bars that is new each time; at 1 all of it is new.",
            minimum=0.0,
            maximum=1.0,
            step=0.05,
        ),
        Parameter("lock", "Lock", "bool", False, "Keep the loop as it is."),
    )

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._notes: list[Note] | None = None  # from beat 0 on
        self._length = 0.0
        self._earlier: list[tuple[list[Note], float]] = []
        self._next = 0.0  # the loop point to come
        self._failures = 0  # to make the first loop, one after the other

    def begin(self, bar: float) -> None:
        """Play the loop from this bar line on; the one that there was, if its length fits."""
        self._next, self._failures = bar, 0
        if self._notes is not None and self._length != self._wanted():
            self.end()
            self._notes = None

    def changed(self, place: str) -> None:
        """Where the loop's length was set, or what it is made of, it is made anew."""
        self._failures = 0
        if place == address(self.name, "bars") and self._length != self._wanted():
            self._renew(whole=True)
        elif place == address(self.name, "lock") and self._value("lock") and self._notes:
            self.end()

    def vary(self) -> None:
        """Renew it at the next loop point, locked or not."""
        self._renew(whole=self._notes is None)

    def take_back(self) -> None:
        """Play the loop before this one from the next loop point on, and lock it."""
        if not self._earlier:
            raise UserError("there is no earlier loop to take back to: let it renew itself first.")
        self.end()
        self._notes, self._length = self._earlier.pop()
        self.stage.settings.set(address(self.name, "lock"), True)

    def tick(self) -> None:
        """Hand over the next turn when it is near, and ask for the one behind it."""
        stage = self.stage
        if self._notes is None:
            if self.request is None and self._failures < _ATTEMPTS:
                self._renew(whole=True)
            return
        if stage.soonest > self._next:
            self._next = stage.next_bar(stage.soonest)
        if self._next - stage.now > stage.beats(_AHEAD):
            return
        turn = [
            Note(self._next + n.start, n.duration, n.pitch, n.velocity, n.channel)
            for n in self._notes
        ]
        stage.play(turn, self._next)
        self._next += self._length
        if not self._value("lock") and self.request is None and self._value("amount") > 0:
            self._renew(whole=self._length != self._wanted())

    def _value(self, name: str) -> Any:
        return self.stage.settings.get(address(self.name, name))

    def _wanted(self) -> float:
        return float(self._value("bars") * self.stage.bar)

    def _renew(self, whole: bool) -> None:
        """Ask for a new loop, or for one with some bars new."""
        self.end()
        stage, bars = self.stage, self._value("bars")
        length = self._wanted()
        if whole or self._value("amount") >= 1 or not self._notes or length != self._length:
            top, bottom = stage.metre
            values = {"bars": bars, "metre": f"{top}/{bottom}", "seed": stage.seed("melody")}
            self.request = stage.ask("melody", None, values, lambda made: self._take(made, length))
            return
        score = score_of([], 0.0, length, stage.tempo, stage.metre)
        score = score.with_tracks([track_of(self._notes, 0.0, "Loop", 0)])
        seed = stage.seed("infill")
        count = max(1, round(self._value("amount") * bars))
        first = seed % (bars - count + 1) + 1  # other bars by turns
        values = {"first_bar": first, "bars": count, "tracks": "1", "seed": seed}
        self.request = stage.ask("infill", score, values, lambda made: self._take(made, length))

    def _take(self, made: Score | None, length: float) -> None:
        self.request = None
        if made is None or not made.tracks:
            self._failures += 1  # a seed may give no note: the next is another
            return
        self._failures = 0
        if self._notes is not None:
            self._earlier = [*self._earlier[1 - _TAKEN_BACK :], (self._notes, self._length)]
        self._notes, self._length = notes_of(made.tracks[0], 0, 0.0, length), length
