"""The bridge at work: the player, the maker of notes, the mode and the parameters in one loop.

All of it happens on the thread that calls `run`; other threads `post` what is to be done there.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from triptych.errors import UserError, one_line
from triptych.music.melody import parse_metre
from triptych.task import Choice, Parameter, all_tasks
from triptych_bridge import link
from triptych_bridge.clock import FASTEST, SLOWEST
from triptych_bridge.handle import PlayerProcess
from triptych_bridge.live import Live
from triptych_bridge.live_clock import LiveClock
from triptych_bridge.maker import COMMAND, Maker, Request
from triptych_bridge.midi import Note
from triptych_bridge.midi_control import MidiControl
from triptych_bridge.modes import MODES, Mode
from triptych_bridge.ports import VIRTUAL
from triptych_bridge.priority import advice
from triptych_bridge.protocol import (
    Command,
    Failed,
    Follow,
    Heard,
    Metre,
    Panic,
    Report,
    State,
    Tempo,
    Transport,
)
from triptych_bridge.settings import Settings, address, offered
from triptych_bridge.stage import Stage

log = logging.getLogger("triptych")

_TICK = 0.02  # seconds between two looks of the mode
_PART = "music"
_EVER = -1e9  # a beat before all others
_BACKLOG = 4096  # things to be done that may wait

MODE, TEMPO, METRE, LOCK = (
    *(address("", "mode"), address("", "tempo"), address("", "metre")),
    address("loop", "lock"),
)
OWN = (
    Parameter(
        "mode",
        "Mode",
        "choice",
        "off",
        "How the bridge plays.",
        choices=[Choice(mode.name, mode.label, mode.help) for mode in MODES.values()],
        noun="mode",
    ),
    Parameter(
        "tempo",
        "Tempo",
        "float",
        120.0,
        "Of the bridge's own clock, or of the Link session.",
        minimum=SLOWEST,
        maximum=FASTEST,
        unit="bpm",
    ),
    Parameter("metre", "Metre", "text", "4/4", "Such as 3/4 or 6/8.", maximum=8),
)


Source = Literal["internal", "midi", "link", "live"]
_LEADS = {
    "midi": "the DAW leads by MIDI clock",
    "live": "Ableton Live leads",
}


@dataclass(frozen=True)
class Status:
    """What a display shows; `bar` counts from 1, `beat` from 1 within the bar in quarter notes.

    `clock`: whose beat it goes by; `late`: notes that came too late, and were not played;
    `restarts`: of the worker; `advice`: what would let it keep time better, or empty.
    """

    output: str | None
    input: str | None
    mode: str
    clock: Source
    state: State | None
    bar: int
    beat: float
    held: int
    late: int
    restarts: int
    making: bool
    sentence: str
    advice: str


class Bridge:
    """Plays until `stop`; arguments are those of PlayerProcess and Maker.

    `clock` is whose beat it goes by, for "live" that of `live`; `lead`: other programs follow ours
    by MIDI clock. On the
    bridge's thread, `changed` is called with the address and value of what has changed, `said` with
    each sentence for the user, and `moved` ten times a second; on another thread, `reported` with
    each report of the player. UserError where the ports cannot be opened.
    """

    def __init__(
        self,
        output: str | None = VIRTUAL,
        input: str | None = VIRTUAL,
        clock: Source = "internal",
        lead: bool = False,
        command: Sequence[str] = COMMAND,
        echo: bool = False,
        live: Live | None = None,
    ) -> None:
        if clock == "link":
            link.library()  # before anything is started
        if (clock == "live") != (live is not None):
            raise ValueError("the clock of Live needs Live, and no other does")
        self.clock = clock
        self.changed: Callable[[str, Any], None] = lambda place, value: None
        self.said: Callable[[str], None] = lambda sentence: None
        self.moved: Callable[[], None] = lambda: None
        self.reported: Callable[[Report], None] = lambda report: None
        self.sentence = ""
        self.settings = Settings(
            {"": OWN, **{mode.name: mode.parameters for mode in MODES.values()}},
            offered(all_tasks().values()),
        )
        self.midi = MidiControl()
        self._todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._over = threading.Event()
        self.failure = ""  # why it ended by itself
        self._jumps: tuple[str, int] | None = None
        self.maker = Maker(command)
        self.stage = Stage(self.settings, self._ask, self._play, self.say)
        self._modes: dict[str, Mode] = {name: mode(self.stage) for name, mode in MODES.items()}
        self._mode = self._modes["off"]
        try:
            self.player = PlayerProcess(output, input, on_report=self._report, echo=echo)
            self.player.send(Follow("internal" if clock == "live" else clock, lead))
        except BaseException:
            self.maker.close()
            raise
        self._leader = LiveClock(live, self._lead, self._tell) if live else None
        if self.midi.warning:
            self.say(self.midi.warning)

    # -------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Play until `stop` is called, or the player has gone; `failure` then says why."""
        ticked = 0.0
        while not self._over.is_set():
            with contextlib.suppress(queue.Empty):
                self._guarded(self._todo.get(timeout=_TICK))
            if time.monotonic() - ticked >= _TICK:
                ticked = time.monotonic()
                if self._leader is not None:
                    self._guarded(self._leader.poll)
                if self.stage.playing:
                    self._guarded(self._mode.tick)

    def stop(self) -> None:
        """End `run`; from any thread."""
        self._over.set()

    def close(self) -> None:
        """End what sounds, and the processes."""
        self._over.set()
        if self._leader is not None:
            with contextlib.suppress(UserError):  # the network may have gone
                self._leader.close()
        self.player.close()
        self.maker.close()

    def post(self, do: Callable[[], None]) -> bool:
        """Have something done on the bridge's thread; whether there was room for it."""
        if self._todo.qsize() >= _BACKLOG:
            return False
        self._todo.put(do)
        return True

    def _guarded(self, do: Callable[[], None]) -> None:
        """Nothing that goes wrong ends the music."""
        try:
            do()
        except UserError as error:
            self.say(str(error))
        except Exception as error:
            log.exception("the bridge made a mistake")
            self.say(
                f"Triptych made a mistake ({type(error).__name__}: {one_line(error)}): please "
                "report it."
            )

    # ------------------------------------------------------------------------------- orders

    def set(self, place: str, value: Any) -> None:
        """Set the parameter at an address; UserError: no such address, or not its kind of value."""
        value = self.settings.check(place, value)
        if place == MODE:
            self._switch(value)
        elif place == TEMPO:
            if self.clock in _LEADS:
                raise UserError(f"{_LEADS[self.clock]}: change the tempo there.")
            self.player.send(Tempo(value))
        elif place == METRE:
            if self.clock == "live":
                raise UserError("Ableton Live leads: change the metre there.")
            self.player.send(Metre(*parse_metre(value)))
        self.settings.set(place, value)
        self._mode.changed(place)
        self.changed(place, value)

    def play(self) -> None:
        """Let the song play from its start; UserError where a DAW's clock leads."""
        self._move(Transport("start"))

    def go_on(self) -> None:
        """Let it play from where it stands."""
        self._move(Transport("continue"))

    def halt(self) -> None:
        """Let it stop; what sounds ends."""
        self._move(Transport("stop"))

    def locate(self, beat: float) -> None:
        """Jump to a beat (quarter notes from the start, 0..1,000,000)."""
        if not 0 <= beat <= 1e6:
            raise UserError(f"a place in the song is from 0 to 1000000 beats, not {beat:g}.")
        self._move(Transport("locate", float(beat)))

    def panic(self) -> None:
        """End all that sounds and forget all that waits; the mode begins anew with the next bar."""
        self.player.send(Panic())
        self._begin()

    def vary(self) -> None:
        """Let the mode play something else; UserError where it cannot."""
        self._mode.vary()

    def take_back(self) -> None:
        """Undo the mode's last change; UserError where there is none."""
        self._mode.take_back()
        self.changed(LOCK, self.settings.get(LOCK))

    def recall(self, number: int) -> None:
        """Set what preset 0..127 holds; UserError where there is none, or not all of it fits."""
        wrong = []
        values = self.midi.preset(number)
        for place in sorted(values, key=lambda place: place == MODE):  # the mode comes last
            try:
                self.set(place, values[place])
            except UserError as error:
                wrong.append(str(error))
        if wrong:
            raise UserError(f"preset {number} does not fit wholly: {wrong[0]}")

    def save_preset(self, number: int) -> None:
        """Keep all values that were set as preset 0..127."""
        self.midi.save_preset(number, self.settings.all_set())

    def learn(self, place: str) -> None:
        """Bind the next controller that is moved to an address; UserError where none fits it."""
        self.settings.scaled(place, 0.0)
        self.midi.learning = place
        self.say(f"move the controller that shall set {place}.")

    def say(self, sentence: str) -> None:
        """Show the user one sentence."""
        self.sentence = sentence
        self.said(sentence)

    @property
    def status(self) -> Status:
        """What there is to show; from any thread."""
        stage, ready = self.stage, self.player.ready
        beat = stage.now
        return Status(
            output=ready.output if ready else None,
            input=ready.input if ready else None,
            mode=self._mode.label,
            clock=self.clock,
            state=stage.state,
            bar=int(beat // stage.bar) + 1,
            beat=beat % stage.bar + 1,
            held=stage.memory.held,
            late=stage.late,
            restarts=self.maker.restarts,
            making=stage.waiting > 0,
            sentence=self.sentence,
            advice="" if ready is None else advice(ready.priority),
        )

    # --------------------------------------------------------------------------------- inside

    def _switch(self, name: str) -> None:
        """Play in another mode from the next bar line on."""
        mode = self._modes[name]
        for task in mode.tasks:
            if task not in self.settings.tasks:
                raise UserError(
                    f"{mode.label} needs the task {task}, which this Triptych does not have yet: "
                    "install a newer one."
                )
        if mode is not self._mode:
            self._mode.end()
            self._mode = mode
            self._begin()

    def _begin(self) -> None:
        """Let the mode begin with the next bar, up to which what was planned is played."""
        bar = self.stage.next_bar(self.stage.soonest)
        self._play([], bar)
        self._mode.begin(bar)

    def _move(self, transport: Transport) -> None:
        if self.clock in _LEADS:
            raise UserError(f"{_LEADS[self.clock]}: start and stop it there.")
        if self.clock == "link" and transport.action == "locate":
            raise UserError("Ableton Link shares no place in a song: start it, or stop it.")
        self.player.send(transport)

    def _lead(self, command: Command) -> None:
        """What Live tells, to the player; called on Live's threads."""
        with contextlib.suppress(UserError):  # that the player has gone is told elsewhere
            self.player.send(command)

    def _tell(self, sentence: str) -> None:
        self.post(lambda: self.say(sentence))

    def _ask(self, task: str, values: Mapping[str, Any], given: bytes | None) -> Request:
        def deliver(request: Request) -> None:
            self._todo.put(functools.partial(self.stage.delivered, request))

        return self.maker.ask(task, values, given, deliver)

    def _play(self, notes: Sequence[Note], replace_from: float | None) -> None:
        self.player.play(notes, part=_PART, replace_from=replace_from)

    def _report(self, report: Report) -> None:
        """Called on the player's thread."""
        self.reported(report)
        if isinstance(report, Failed) and not self.player_alive:
            self.failure = report.message
            self._over.set()
        self._todo.put(functools.partial(self._take, report))

    @property
    def player_alive(self) -> bool:
        """Whether the player runs."""
        player = getattr(self, "player", None)  # its first reports come before it is ours
        return player is None or player.alive

    def _take(self, report: Report) -> None:
        if isinstance(report, State):
            self._follow(report)
            self.moved()
        elif isinstance(report, Heard):
            self._hear(report)
        elif isinstance(report, Failed):
            self.say(report.message)

    def _follow(self, state: State) -> None:
        self.stage.state = state
        jumps = state.source, state.jumps
        if jumps != self._jumps:
            self._jumps = jumps
            self.stage.memory.clear()
            self._play([], _EVER)  # what was planned was meant for another place
            self._mode.begin(self.stage.next_bar(self.stage.soonest))

    def _hear(self, heard: Heard) -> None:
        number = self.midi.program(heard.message)
        if number is not None:
            self.recall(number)
            return
        place = self.midi.hear(heard.message)
        if place is not None:
            self.set(place[0], self.settings.scaled(*place))
            return
        ended = self.stage.memory.hear(heard)
        if self.stage.playing:
            self._mode.hear(heard, ended)
