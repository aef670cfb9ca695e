"""The player's process, `python -m triptych_bridge.player`: ports, clock and scheduler.

It computes nothing, so that nothing can delay it: notes come ahead of time from its parent, as
`protocol` says. When its parent is gone it ends what sounds, and itself.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from triptych.client import FrameError, read_frame, write_frame
from triptych.errors import UserError, one_line
from triptych_bridge import ports, protocol
from triptych_bridge.clock import Clock, ClockMaster, ClockSlave, InternalClock
from triptych_bridge.lateness import Lateness
from triptych_bridge.link import LinkClock
from triptych_bridge.midi import RESET, HeldNotes, Tokenizer
from triptych_bridge.priority import Priority, hurry
from triptych_bridge.scheduler import Scheduler

_REPORT = 0.1  # seconds between two reports of the clock's state
_LEAST = 1e-5  # seconds: waiting for less costs more
_BACKLOG = 10_000  # reports that may wait for a parent that does not read
_GRACE = 1.0  # seconds that a parent has to close us once SIGTERM is there


@dataclass(frozen=True, slots=True)
class _Incoming:
    """Bytes from the MIDI input, and when they came."""

    time: float
    data: bytes


class Player:
    """The loop that plays; `inbox` takes commands and input from any thread, None ends it.

    `tell` is called with each report and must not block. Times are of `time.perf_counter`.
    """

    def __init__(self, tell: Callable[[protocol.Report], None]) -> None:
        self.inbox: queue.SimpleQueue[protocol.Command | _Incoming | None] = queue.SimpleQueue()
        self._tell = tell
        self._internal = InternalClock()
        self._slave = ClockSlave()
        self._link: LinkClock | None = None
        self._clock: Clock = self._internal
        self._master: ClockMaster | None = None
        self._scheduler = Scheduler(self._clock)
        self._lateness = Lateness()
        self._tokens, self._held = Tokenizer(), HeldNotes()
        self._output: ports.Output | None = None
        self._input: ports.Input | None = None
        self._echo = False
        self._reported = -1.0  # when the state was told last
        self._polled = 0.0
        self._jumps: tuple[str, int] | None = None  # of the clock that was told of last

    def open(self, wanted: protocol.Open, priority: Priority = "ordinary") -> None:
        """Open the ports, and tell of them; UserError where that cannot be."""
        self._echo = wanted.echo
        if wanted.output is not None:
            self._output = ports.open_output(wanted.output, wanted.name)
        if wanted.input is not None:
            own = self._output.name if self._output else None
            self._input = ports.open_input(self.hear, wanted.input, wanted.name, own)
        self._tell(
            protocol.Ready(
                self._output.name if self._output else None,
                self._input.name if self._input else None,
                priority,
            )
        )

    def run(self) -> None:
        """Play until None comes out of the inbox; then, or after any failure, nothing sounds."""
        try:
            while True:
                now = time.perf_counter()
                self._clock.poll(now)
                self._polled = now
                self._play(now)
                self._report(now)
                wait = self._next_time() - time.perf_counter()
                try:
                    item = self.inbox.get(wait > _LEAST, wait if wait > _LEAST else None)
                except queue.Empty:
                    continue
                if item is None:
                    return
                self._take(item)
        finally:
            self.close()

    def close(self) -> None:
        """End all that sounds and the clock that others follow, and close the ports."""
        now = time.perf_counter()
        stop = self._master.close(now) if self._master else []
        for message in [*(message for _, message in stop), *self._scheduler.panic()]:
            self._send(now, message)
        if self._link:
            self._link.close()
        if self._input:
            self._input.close()
        if self._output:
            time.sleep(0.05)  # JACK sends with its next period
            self._output.close()
        self._input = self._output = None

    # --------------------------------------------------------------------------------- the loop

    def _next_time(self) -> float:
        master = self._master.next_time() if self._master else float("inf")
        look = min(self._reported + _REPORT, self._polled + self._clock.patience)
        return min(master, self._scheduler.next_time(), look)

    def _play(self, now: float) -> None:
        """Send what is due: clock before notes where both are due at one time."""
        due = self._master.due(now) if self._master else []
        due += self._scheduler.due(now)
        due.sort(key=lambda pair: pair[0])  # stable
        for deadline, message in due:
            self._send(deadline, message)

    def _send(self, deadline: float, message: bytes) -> None:
        if self._output:
            try:
                self._output.send(message)
            except UserError as error:
                self._output = None
                self._tell(protocol.Failed(str(error)))
        if message[0] >= 0xF0:
            return
        sent = time.perf_counter()
        self._lateness.add(sent - deadline)
        if self._echo:
            clock = self._clock
            beat = clock.beat_at(deadline)
            self._tell(protocol.Sent(tuple(message), deadline, sent, beat, clock.jumps))

    def _report(self, now: float) -> None:
        """Tell the clock's state, where it jumped or it is time to."""
        clock = self._clock
        source = {self._internal: "internal", self._slave: "midi"}.get(clock, "link")
        jumps = (source, clock.jumps)
        if jumps == self._jumps and now < self._reported + _REPORT:
            return
        self._reported, self._jumps = now, jumps
        self._tell(
            protocol.State(
                time=now,
                beat=clock.beat_at(now),
                tempo=clock.tempo,
                metre=clock.metre,
                playing=clock.playing,
                valid=self._slave.valid if clock is self._slave else True,
                source=source,
                jumps=clock.jumps,
                sounding=len(self._scheduler.sounding),
                pending=self._scheduler.pending,
                dropped=self._scheduler.dropped,
                lateness=self._lateness.summary(),
                histogram=tuple(self._lateness.histogram()),
                peers=self._link.peers if self._link else 0,
            )
        )

    # ------------------------------------------------------------------------- what comes in

    def hear(self, data: bytes) -> None:
        """Take bytes of the MIDI input; from any thread, which the port has its own of."""
        self.inbox.put(_Incoming(time.perf_counter(), data))

    def _take(self, item: protocol.Command | _Incoming) -> None:
        try:
            if isinstance(item, _Incoming):
                self._listen(item)
            else:
                self._obey(item)
        except UserError as error:
            self._tell(protocol.Failed(str(error)))
        except (TypeError, ValueError) as error:
            self._tell(protocol.Failed(f"the player does not understand: {one_line(error)}."))

    def _listen(self, incoming: _Incoming) -> None:
        for message in self._tokens.feed(incoming.data):
            if message[0] >= 0xF0 and message[0] != RESET:
                self._slave.feed(incoming.time, message)
                continue
            beat = self._clock.beat_at(incoming.time)
            for told in self._held.feed(message):
                self._tell(protocol.Heard(tuple(told), incoming.time, beat))

    def _obey(self, told: protocol.Command) -> None:
        now = time.perf_counter()
        scheduler = self._scheduler
        if isinstance(told, protocol.Schedule):
            if told.replace_from is not None:
                scheduler.clear(told.replace_from, told.unit, told.part)
            scheduler.schedule(told.notes, told.unit, told.part)
        elif isinstance(told, protocol.Send):
            if told.at is None:
                scheduler.send(bytes(told.message), now, "seconds", told.part)
            else:
                scheduler.send(bytes(told.message), told.at, told.unit, told.part)
        elif isinstance(told, protocol.Transport):
            self._move(told, now if told.time is None else told.time)
        elif isinstance(told, protocol.Tempo):
            clock = self._link or self._internal
            clock.set_tempo(now if told.time is None else told.time, told.tempo)
        elif isinstance(told, protocol.Metre):
            for known in filter(None, (self._internal, self._slave, self._link)):
                known.metre = (told.count, told.unit)
        elif isinstance(told, protocol.Follow):
            self._follow(told, now)
        elif isinstance(told, protocol.Measure):
            self._lateness.clear()
        elif isinstance(told, protocol.Panic):
            for message in scheduler.panic():
                self._send(now, message)
        elif isinstance(told, protocol.Close):
            self.inbox.put(None)
        else:
            raise ValueError("the ports are open already")

    def _move(self, told: protocol.Transport, at: float) -> None:
        if self._link is not None:
            if told.action in ("start", "continue"):
                self._link.start(at)
            elif told.action == "stop":
                self._link.stop(at)
            else:
                raise ValueError(f"{told.action} is not for Link")
            return
        clock = self._internal
        if told.action == "start":
            clock.start(at, told.beat or 0.0)
        elif told.action == "continue":
            clock.start(at)
        elif told.action == "stop":
            clock.stop(at)
        elif told.beat is None:
            raise ValueError(f"{told.action} needs a beat")
        elif told.action == "locate":
            clock.locate(at, told.beat)
        else:
            clock.nudge(at, told.beat)

    def _follow(self, told: protocol.Follow, now: float) -> None:
        if self._master:
            for deadline, message in self._master.close(now):
                self._send(deadline, message)
            self._master = None
        before, self._link = self._link, None
        if before:
            before.close()
        clock: Clock = self._internal
        if told.source == "midi":
            clock = self._slave
        elif told.source == "link":
            clock = self._link = LinkClock(self._internal.tempo, self._internal.metre)
        self._master = ClockMaster(clock) if told.lead and clock is not self._slave else None
        if clock is not self._clock:
            self._clock = clock
            self._scheduler.follow(clock)


class _Reporter:
    """Writes reports from a thread of its own: a parent that does not read holds nothing up."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._waiting: queue.SimpleQueue[protocol.Report | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def tell(self, report: protocol.Report) -> None:
        """Write a report when there is time; dropped where too many wait."""
        if self._waiting.qsize() < _BACKLOG:
            self._waiting.put(report)

    def close(self, seconds: float = 1.0) -> None:
        """Write what waits, for as long as that."""
        self._waiting.put(None)
        self._thread.join(seconds)

    def _write(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the parent is gone
            while (report := self._waiting.get()) is not None:
                write_frame(self._sink, protocol.to_json(report))


def _commands(source: IO[bytes], player: Player, tell: Callable[[protocol.Report], None]) -> None:
    """Put what the parent says into the player's inbox, until it is gone."""
    try:
        while (body := read_frame(source)) is not None:
            try:
                player.inbox.put(protocol.command(body))
            except ValueError as error:
                tell(protocol.Failed(f"the player does not understand: {one_line(error)}."))
    except (FrameError, OSError, ValueError):
        pass  # where the next frame starts cannot be known
    player.inbox.put(None)


def main() -> int:
    """Serve stdin and stdout; the exit code."""
    sink = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a MIDI library prints must not come between the frames
    if sys.platform == "win32":
        import msvcrt

        for stream in (sys.stdin.fileno(), sink.fileno()):
            msvcrt.setmode(stream, os.O_BINARY)
    reporter = _Reporter(sink)
    player = Player(reporter.tell)

    def end(*_: Any) -> None:
        # A service or a shell tells the whole group; the parent, too, then closes us in order.
        grace = threading.Timer(_GRACE, player.inbox.put, (None,))
        grace.daemon = True
        grace.start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who then closes us
    try:
        body = read_frame(sys.stdin.buffer)
        told = protocol.command(body or b"{}")
        if not isinstance(told, protocol.Open):
            raise ValueError("the ports come first")
        player.open(told, hurry())
    except (UserError, FrameError, ValueError) as error:
        reporter.tell(protocol.Failed(str(error)))
        reporter.close()
        return 1
    arguments = (sys.stdin.buffer, player, reporter.tell)
    threading.Thread(target=_commands, args=arguments, daemon=True).start()
    player.run()
    reporter.close()
    sys.stderr.flush()
    os._exit(0)  # the thread that reads stdin may wait there for ever


if __name__ == "__main__":
    sys.exit(main())
