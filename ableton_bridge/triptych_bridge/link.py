"""Ableton Link: the beat that all programs of a local network share.

Link shares tempo, the phase within a bar and, with programs whose "Start Stop Sync" is on, start
and stop; it shares no place in a song, so a song begins at beat 0 with the bar in which the session
starts. The package LinkPython-extern holds Ableton's own library, which is under the GPL.
"""

from __future__ import annotations

import math
import time as system
from typing import Any

from triptych.errors import UserError, one_line
from triptych_bridge.clock import Clock

_LOOK = 0.01  # seconds between two looks at the session
_JUMP = 0.02  # beats: by less than that a session's drift is followed, and nothing begins anew


class LinkClock(Clock):
    """The beat of a Link session, which it joins at once.

    UserError where Link is not installed. Times are of `time.perf_counter`.
    """

    patience = _LOOK

    def __init__(self, tempo: float = 120.0, metre: tuple[int, int] = (4, 4)) -> None:
        super().__init__(tempo, metre)
        self._link = library().Link(self.tempo)
        self._micros = self._link.clock().micros
        self._link.startStopSyncEnabled = True
        self._link.enabled = True
        self._origin: tuple[int, float, float] | None = None  # start, bar's length, beat 0

    @property
    def peers(self) -> int:
        """How many other programs take part."""
        return int(self._link.numPeers())

    def poll(self, time: float) -> None:
        """Follow the session."""
        state = self._link.captureAppSessionState()
        at = self._at(time)
        expected = self.beat_at(time)
        self._tempo = float(state.tempo())
        if not state.isPlaying():
            if self._playing:
                self._time, self._beat, self._playing = time, max(expected, 0.0), False
                self._origin = None
                self.jumps += 1
            return
        bar, begun = self.bar_length, int(state.timeForIsPlaying())
        key = begun, bar
        if self._origin is None or self._origin[:2] != key:
            # All start together, with the first bar of the session that begins then or later.
            first = math.ceil(state.beatAtTime(begun, bar) / bar - 1e-3) * bar
            self._origin = (*key, first)
        self._beat = state.beatAtTime(at, bar) - self._origin[2]
        self._time = time
        if not self._playing or abs(self._beat - expected) > _JUMP:
            self._playing = True
            self.jumps += 1

    def start(self, time: float) -> None:
        """Let the session play, all who take part in start and stop, from the next bar on."""
        state = self._link.captureAppSessionState()
        state.setIsPlayingAndRequestBeatAtTime(True, self._at(time), 0.0, self.bar_length)
        self._link.commitAppSessionState(state)

    def stop(self, time: float) -> None:
        """Let it stop."""
        state = self._link.captureAppSessionState()
        state.setIsPlaying(False, self._at(time))
        self._link.commitAppSessionState(state)

    def set_tempo(self, time: float, tempo: float) -> None:
        """Set the session's tempo; Link limits it to 20..999."""
        state = self._link.captureAppSessionState()
        state.setTempo(tempo, self._at(time))
        self._link.commitAppSessionState(state)

    def close(self) -> None:
        """Leave the session."""
        self._link.enabled = False

    def _at(self, time: float) -> int:
        """A time as Link counts it: its clock may drift from ours, so anew each time."""
        return int(self._micros() + (time - system.perf_counter()) * 1e6)


def library() -> Any:
    """Ableton's library; UserError where it is not installed."""
    try:
        import link
    except ImportError as error:
        from triptych.doctor import pip_self

        raise UserError(
            f"Ableton Link is not installed ({one_line(error)}): run `{pip_self('[link]')}`; its "
            "library is under the GPL."
        ) from error
    return link
