"""Musical time: where the beat is at a time, and when a beat will be.

Times are seconds of `time.perf_counter`, given by the caller: nothing here reads a clock of the
machine. Beats are quarter notes counted from the start of the song, and tempo is quarter notes a
minute. MIDI clock is that of the MIDI 1.0 specification: 24 clocks (0xF8) a quarter note, start,
continue, stop and the song position in sixteenths.
"""

from __future__ import annotations

import math
from collections import deque

SLOWEST, FASTEST = 1.0, 999.0  # quarter notes a minute
PPQN = 24  # MIDI clocks a quarter note
SONG_POSITION, CLOCK, START, CONTINUE, STOP = 0xF2, 0xF8, 0xFA, 0xFB, 0xFC

_CLOCKS_PER_SIXTEENTH = PPQN // 4
_LAST_POSITION = 0x3FFF  # sixteenths: 14 bits
_SILENCE = 0.25  # seconds without a clock after which the master is lost
# The least squares line reaches back over about four beats, longer than which no player's tempo is
# one number; after a change of tempo over as many clocks as it took to see it, within these.
_LONG, _FEWEST, _MOST = 4 * PPQN, 3, PPQN
# The mean error over so many clocks betrays a new tempo when it is above one deviation, where a
# single clock counts for four at most.
_MEAN_OVER, _STRAY = 12, 4.0
_JITTER, _LEAST = 0.1, 0.005  # clocks: the deviation of a master as yet unknown, and at least


class Clock:
    """What every clock tells; a subclass moves `_time`, `_beat`, `_tempo` and `_playing`.

    `jumps` counts starts, stops and jumps: what was known of the beat's place no longer holds.
    `patience` is how many seconds at most may lie between two calls of `poll`.
    """

    patience = math.inf

    def __init__(self, tempo: float = 120.0, metre: tuple[int, int] = (4, 4)) -> None:
        self._time = 0.0  # of `_beat`
        self._beat = 0.0
        self._tempo = _limited(tempo)
        self._playing = False
        self.metre = metre
        self.jumps = 0

    @property
    def tempo(self) -> float:
        """Quarter notes a minute, 1..999."""
        return self._tempo

    @property
    def playing(self) -> bool:
        """Whether the beat moves."""
        return self._playing

    @property
    def metre(self) -> tuple[int, int]:
        """Beats a bar and the note that is one beat, such as (6, 8)."""
        return self._metre

    @metre.setter
    def metre(self, metre: tuple[int, int]) -> None:
        count, unit = metre
        if not (1 <= count <= 99 and unit in (1, 2, 4, 8, 16, 32)):
            raise ValueError(f"{count}/{unit} is no metre")
        self._metre = count, unit

    @property
    def bar_length(self) -> float:
        """Quarter notes a bar."""
        count, unit = self._metre
        return 4.0 * count / unit

    def beat_at(self, time: float) -> float:
        """The beat at a time; where the clock stands, while it stands."""
        if not self.playing:
            return self._beat
        return self._beat + (time - self._time) * self._tempo / 60.0

    def time_at(self, beat: float) -> float:
        """The time of a beat, as far as is known now; infinite while the clock stands."""
        if not self.playing:
            return math.inf
        return self._time + (beat - self._beat) * 60.0 / self._tempo

    def poll(self, time: float) -> None:
        """Let the clock see that time has passed."""


class InternalClock(Clock):
    """Our own clock, and that of a host that tells its tempo and position otherwise than by MIDI.

    Every call takes the time that it is true of, which may lie in the past.
    """

    def start(self, time: float, beat: float | None = None) -> None:
        """Play from a beat (default: where it stands)."""
        self._anchor(time, self.beat_at(time) if beat is None else beat)
        self._playing = True
        self.jumps += 1

    def stop(self, time: float) -> None:
        """Stand still on the beat of that time."""
        self._anchor(time, self.beat_at(time))
        self._playing = False
        self.jumps += 1

    def locate(self, time: float, beat: float) -> None:
        """Be on this beat at that time, playing or not."""
        self._anchor(time, beat)
        self.jumps += 1

    def nudge(self, time: float, beat: float) -> None:
        """Be on this beat at that time, so near to where it was that nothing need be begun anew."""
        self._anchor(time, beat)

    def set_tempo(self, time: float, tempo: float) -> None:
        """Change the tempo (limited to 1..999) from that time on; the beat does not jump."""
        self._anchor(time, self.beat_at(time))
        self._tempo = _limited(tempo)

    def _anchor(self, time: float, beat: float) -> None:
        self._time, self._beat = time, beat


class ClockSlave(Clock):
    """Follows the MIDI clock of a master.

    The filter is a second-order delay-locked loop (Adriaensen 2005, "Using a DLL to filter time").
    Its gains begin as those of a least squares line through all clocks so far, which no fixed
    bandwidth can match over the first beats, and stop narrowing after four beats. When the clocks
    are off to one side in the mean, the tempo has changed, and the line begins there. With jitter
    evenly distributed over a tenth of an interval, the tempo's error after two beats is 0.03 %
    (root mean square).
    """

    def __init__(self, tempo: float = 120.0, metre: tuple[int, int] = (4, 4)) -> None:
        super().__init__(tempo, metre)
        self._next = 0  # the number of the clock to come, counted from the start of the song
        self._running = False  # between start or continue and stop
        self._heard = -math.inf  # when the last clock came
        self._begun = False  # start or continue came, its first clock not yet
        self._forget()

    @property
    def valid(self) -> bool:
        """Whether there is a master whose tempo is known: from its second clock on."""
        return self._length > 0

    def poll(self, time: float) -> None:
        """See whether the master is lost: silent for 1/4 s, and for longer than two clocks."""
        longest = 2 * self._period if self.valid else 60.0 / SLOWEST / PPQN
        if self._length < 0 or time - self._heard <= max(_SILENCE, longest):
            return
        self._forget()
        if self._playing:
            self._stand()

    def feed(self, time: float, message: bytes) -> None:
        """Take one message of the master; other messages than those of MIDI clock do nothing."""
        self.poll(time)
        status = message[0]
        if status == CLOCK:
            self._clock(time)
        elif status == START:
            self._begin(0)
        elif status == CONTINUE:
            self._begin(self._next)
        elif status == STOP:
            self._running = self._begun = False
            self._stand()
        elif status == SONG_POSITION and len(message) == 3:
            # Some masters jump by it while they play, though the specification says otherwise.
            sixteenth = message[1] | message[2] << 7
            self._next = sixteenth * _CLOCKS_PER_SIXTEENTH
            self._stand()
            self._begun = self._running

    def _begin(self, number: int) -> None:
        self._next = number
        self._running = self._begun = True
        self._stand()

    def _stand(self) -> None:
        """Stand where the next clock will be."""
        self._playing = False
        self._beat = self._next / PPQN
        self.jumps += 1

    def _clock(self, time: float) -> None:
        self._heard = time
        self._filter(time)
        if not self._running:
            return
        self._time, self._beat = self._filtered, self._next / PPQN
        self._next += 1
        if not self._playing:  # the first since start, or since the master was lost
            self._playing, self._begun = True, False
            self.jumps += 1

    # ------------------------------------------------------------------------------- the filter

    def _forget(self) -> None:
        """Begin the line anew with the next clock; the tempo stands until there are two."""
        self._length = -1  # of the line that the filter amounts to, in clocks
        self._filtered = 0.0
        self._variance = _JITTER**2  # of the clocks' jitter, in squared clocks
        self._off = 0.0  # the mean error, in deviations
        self._one_side = 0  # clocks in turn that were late, or else early
        self._recent: deque[float] = deque(maxlen=_MOST + 1)

    @property
    def _period(self) -> float:
        return 60.0 / (PPQN * self._tempo)

    def _filter(self, time: float) -> None:
        """Move `_filtered`, the time of this clock without its jitter, and the tempo."""
        self._length = min(self._length + 1, _LONG)
        self._recent.append(time)
        if self._length == 0:
            self._filtered = time
            return
        period = self._period
        expected = self._filtered + period
        error = time - expected
        if self._begun and abs(error) > period / 4:  # masters may begin their clocks anew
            self._length = min(self._length, _MOST)
            self._filtered = time
            self._recent.clear()
        elif len(self._recent) > _FEWEST and self._changed(error / period):
            self._fit()
        else:
            n = self._length
            self._filtered = expected + error * 2 * (2 * n + 1) / ((n + 1) * (n + 2))
            self._set_period(period + error * 6 / ((n + 1) * (n + 2)))

    def _changed(self, error: float) -> bool:
        """Whether the errors (clocks) up to this one show that the tempo is another."""
        deviation = math.sqrt(self._variance)
        limited = min(max(error / deviation, -_STRAY), _STRAY)
        self._one_side = self._one_side + 1 if limited * self._off > 0 else 1
        self._off += (limited - self._off) / _MEAN_OVER
        self._variance += (max(limited**2 * self._variance, _LEAST**2) - self._variance) / PPQN
        return abs(self._off) > 1

    def _fit(self) -> None:
        """Begin the line anew with the clocks since the errors went to one side."""
        length = min(max(self._one_side, _FEWEST), len(self._recent) - 1)
        recent = list(self._recent)[-length - 1 :]
        middle = length / 2
        mean = sum(recent) / len(recent)
        over = sum((i - middle) ** 2 for i in range(len(recent)))
        slope = sum((i - middle) * time for i, time in enumerate(recent)) / over
        self._length, self._off, self._one_side = length, 0.0, 0
        self._filtered = mean + slope * middle
        self._set_period(slope)

    def _set_period(self, period: float) -> None:
        self._tempo = _limited(60.0 / PPQN / max(period, 1e-9))


class ClockMaster:
    """Makes the MIDI clock of a clock of ours, while that plays.

    Start comes at beat 0, and song position and continue everywhere else, on a sixteenth; a jump is
    a stop and another beginning.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jumps = clock.jumps
        self._next: int | None = None  # the number of the clock to come; None while it stands
        self._opening: list[bytes] = []  # what comes before that clock

    def next_time(self) -> float:
        """When `due` will have something: seconds, infinite where that is not known."""
        if self._jumps != self._clock.jumps:
            return -math.inf
        return math.inf if self._next is None else self._clock.time_at(self._next / PPQN)

    def due(self, time: float) -> list[tuple[float, bytes]]:
        """The messages to be sent by `time`, each after the time that it belongs to, in order."""
        found: list[tuple[float, bytes]] = []
        earliest = -math.inf
        if self._jumps != self._clock.jumps:
            self._jumps = self._clock.jumps
            if self._next is not None and not self._opening:
                found.append((time, bytes([STOP])))
                earliest = time  # for what follows it
            self._next, self._opening = None, []
            if self._clock.playing:
                self._open(self._clock.beat_at(time))
        while self._next is not None and (at := self.next_time()) <= time:
            messages = [*self._opening, bytes([CLOCK])]
            found += [(max(at, earliest), message) for message in messages]
            self._opening = []
            self._next += 1
        return found

    def close(self, time: float) -> list[tuple[float, bytes]]:
        """The last message, where one is needed."""
        playing = self._next is not None and not self._opening
        self._next, self._opening = None, []
        return [(time, bytes([STOP]))] if playing else []

    def _open(self, beat: float) -> None:
        # A little late, as every message is, is not a sixteenth later.
        position = max(0, math.ceil(beat * 4 - 0.25))
        self._next = position * _CLOCKS_PER_SIXTEENTH
        if position == 0:
            self._opening = [bytes([START])]
        else:
            self._opening = [bytes([CONTINUE])]
            if position <= _LAST_POSITION:
                told = bytes([SONG_POSITION, position & 0x7F, position >> 7])
                self._opening.insert(0, told)


def _limited(tempo: float) -> float:
    return min(max(tempo, SLOWEST), FASTEST)
