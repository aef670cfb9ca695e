"""The session that is open in Ableton Live: tempo, metre, key, transport, and what changes.

    with Live() as live:
        live.probe()                       # or one sentence that says what to do
        live.listen("tempo", show)
        clips = Clips(live)                # of triptych_bridge.live_clips

Every order is confirmed by reading. A failure is a UserError with one sentence. Needs Live 11 and
AbletonOSC of February 2025, or newer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from triptych.errors import UserError
from triptych_bridge.osc_client import Argument, Message, NoAnswer, OscClient, Refused

OLDEST = 11  # the first Live whose clips have the note functions that AbletonOSC uses
TEMPI = (20.0, 999.0)  # beats a minute that Live takes
LISTENED = (
    *("tempo", "is_playing", "beat", "current_song_time"),
    *("signature_numerator", "signature_denominator"),
)

_CONFIRMATION = 1.5  # seconds that a change may take to show
_SENDS = 4  # of an order that gets lost
_SONG = (
    *("tempo", "signature_numerator", "signature_denominator", "is_playing"),
    *("current_song_time", "root_note", "scale_name"),
)


@dataclass(frozen=True)
class Song:
    """The session's state when it was read.

    `tempo` in beats a minute, `beat` the song's position in quarter notes, `root_note` 0..11 from
    C, `scale_name` as Live writes it ("Major", "Minor", "Dorian").
    """

    tempo: float
    numerator: int
    denominator: int
    playing: bool
    beat: float
    root_note: int
    scale_name: str


class Live:
    """Ableton Live through AbletonOSC. Arguments and errors are those of OscClient.

    `on_start` is called, on the reading thread, when Live has started anew: listeners are asked
    for again by themselves, but slots may hold other clips.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 11000,
        reply_port: int = 11001,
        timeout: float = 0.4,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self._osc = OscClient(host, port, reply_port, timeout, on_start)

    def close(self) -> None:
        """Free the port."""
        self._osc.close()

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def probe(self) -> tuple[int, int]:
        """Live's version (major, minor).

        Raises:
            UserError: Live is absent, busy or too old, or AbletonOSC is: what to do.
        """
        try:
            answer = self._osc.ask(("/live/application/get/version", ()))[0]
        except (Refused, NoAnswer) as error:
            if isinstance(error, NoAnswer) and not self._osc.ping():
                raise
            raise UserError(
                "AbletonOSC is too old: replace its folder in Live's Remote Scripts by the newest "
                "from github.com/ideoforms/AbletonOSC and start Live again."
            ) from None
        version = (whole(answer, 0), whole(answer, 1))
        if version[0] < OLDEST:
            raise UserError(
                f"Ableton Live {version[0]}.{version[1]} is too old: Live {OLDEST} or newer is "
                "needed."
            )
        return version

    def song(self) -> Song:
        """Tempo, metre, key and position now."""
        answers = self.ask(*((f"/live/song/get/{name}", ()) for name in _SONG))
        tempo, numerator, denominator, playing, beat, root, scale = answers
        return Song(
            round(number(tempo, 0), 4),  # it travels as a 32-bit float
            whole(numerator, 0),
            whole(denominator, 0),
            bool(whole(playing, 0)),
            number(beat, 0),
            whole(root, 0),
            str(scale[0]) if scale else "",
        )

    def set_tempo(self, tempo: float) -> None:
        """Set the tempo, 20..999 beats a minute."""
        if not TEMPI[0] <= tempo <= TEMPI[1]:
            raise UserError(f"Live's tempo goes from 20 to 999 beats a minute, not {tempo:g}.")
        self.achieve(
            "change the tempo",
            lambda: math.isclose(self.song().tempo, tempo, rel_tol=1e-5),
            ("/live/song/set/tempo", [float(tempo)]),
        )

    def start(self) -> None:
        """Play from the start marker."""
        self._play("start_playing", True)

    def go_on(self) -> None:
        """Play from where it stopped."""
        self._play("continue_playing", True)

    def stop(self) -> None:
        """Stop playing."""
        self._play("stop_playing", False)

    def _play(self, order: str, playing: bool) -> None:
        what = "start" if playing else "stop"
        self.achieve(what, lambda: self.song().playing == playing, (f"/live/song/{order}", ()))

    def listen(self, name: str, heard: Callable[[Any], None]) -> None:
        """Have `heard(value)` called with one of LISTENED, now and on each change.

        It runs on the thread that reads the socket: it must be brief and ask nothing. Beats and
        the song's time come up to a tick (100 ms) late.
        """
        if name not in LISTENED:
            raise ValueError(f"{name!r} is none of {LISTENED}")
        self._osc.listen(name, heard)

    def unlisten(self, name: str) -> None:
        """End `listen`."""
        self._osc.unlisten(name)

    def ask(self, *questions: Message, divisible: bool = False) -> list[tuple[Argument, ...]]:
        """As OscClient.ask, with AbletonOSC's errors as a UserError."""
        try:
            return self._osc.ask(*questions, divisible=divisible)
        except Refused as error:
            raise UserError(
                f"Live cannot tell what was asked ({error}): see that the track and the clip are "
                "still there, and that AbletonOSC is the newest."
            ) from None

    def order(self, what: str, *orders: Message) -> bool:
        """As OscClient.order, with AbletonOSC's errors as a UserError: `what` was refused."""
        try:
            return self._osc.order(*orders)
        except Refused as error:
            raise UserError(
                f"Live refused to {what} ({error}): undo what hinders it there and try again."
            ) from None

    def achieve(self, what: str, done: Callable[[], bool], *orders: Message) -> None:
        """Give these orders until `done`, which reads, says that they show.

        They are given again only where it is certain that they were lost. UserError: `what` was
        refused, or did not happen.
        """
        until = time.monotonic() + _CONFIRMATION
        sure, sends = False, 0
        while True:
            if not sure:
                sure = self.order(what, *orders)
                sends += 1
            if done():  # what was not done before this was answered is not on its way any more
                return
            if time.monotonic() > until and (sure or sends >= _SENDS):
                raise UserError(f"Live did not {what}: try again.")
            time.sleep(0.02 * sure)


def number(values: tuple[Argument, ...], place: int) -> float:
    """The finite number at this place of an answer; UserError where there is none."""
    value = values[place] if place < len(values) else None
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise UserError("Live's answer cannot be understood: replace AbletonOSC by the newest.")


def whole(values: tuple[Argument, ...], place: int) -> int:
    """The same, rounded."""
    return round(number(values, place))
