"""What the player's process and its parent say to each other: frames of JSON on a pipe.

The frames are those of `triptych.client`. Times are seconds of `time.perf_counter`, which all
processes of a machine share; beats are quarter notes from the start of the song. Where a time may
be None, now is meant.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from triptych_bridge.lateness import Summary
from triptych_bridge.midi import Note
from triptych_bridge.scheduler import Unit

CHUNK = 256  # notes that one message may hold, so that none takes long


@dataclass(frozen=True)
class Open:
    """First of all: the ports, as `ports.open_output` and `ports.open_input` take them.

    With `echo`, all that is sent is reported too, except MIDI clock.
    """

    output: str | None
    input: str | None
    name: str = "Triptych"
    echo: bool = False


@dataclass(frozen=True)
class Schedule:
    """Play these notes of a part, after all of it from `replace_from` on was taken back."""

    notes: tuple[Note, ...]
    unit: Unit = "beats"
    part: str = ""
    replace_from: float | None = None


@dataclass(frozen=True)
class Send:
    """Send one message that is no note, such as a controller: now, or at a beat or time."""

    message: tuple[int, ...]
    at: float | None = None
    unit: Unit = "beats"
    part: str = ""


@dataclass(frozen=True)
class Follow:
    """Go by our own clock, by MIDI clock that comes in, or by Ableton Link.

    All but MIDI clock may `lead` others by MIDI clock.
    """

    source: Literal["internal", "midi", "link"]
    lead: bool = False


@dataclass(frozen=True)
class Tempo:
    """The tempo of our own clock, or of the Link session, in quarter notes a minute."""

    tempo: float
    time: float | None = None


@dataclass(frozen=True)
class Metre:
    """Beats a bar and the note that is one beat."""

    count: int
    unit: int


@dataclass(frozen=True)
class Transport:
    """Move our own clock at a time.

    start: play from a beat (default 0); continue: play from where it stands; stop; locate: jump to
    a beat; nudge: be on a beat without beginning anything anew. A Link session only starts (with
    its next bar) and stops.
    """

    action: Literal["start", "continue", "stop", "locate", "nudge"]
    beat: float | None = None
    time: float | None = None


@dataclass(frozen=True)
class Panic:
    """Forget all that waits and end all that sounds."""


@dataclass(frozen=True)
class Measure:
    """Begin the measurement of lateness anew."""


@dataclass(frozen=True)
class Close:
    """End all that sounds, and the process."""


@dataclass(frozen=True)
class Ready:
    """The ports that were opened, by name, and how the system runs the player.

    Only "real-time" keeps notes in time while other programs use all processors.
    """

    output: str | None
    input: str | None
    priority: Literal["real-time", "raised", "ordinary"] = "ordinary"


@dataclass(frozen=True)
class Failed:
    """One sentence for the user; before Ready it is the end."""

    message: str


@dataclass(frozen=True)
class Heard:
    """A message that came in; note-ons and note-offs always come in pairs."""

    message: tuple[int, ...]
    time: float
    beat: float


@dataclass(frozen=True)
class Sent:
    """A message that went out, when it was to and when it did.

    `beat` is the deadline's, `jumps` the clock's (see State).
    """

    message: tuple[int, ...]
    deadline: float
    time: float
    beat: float = 0.0
    jumps: int = 0


@dataclass(frozen=True)
class State:
    """The clock at `time`, ten times a second and whenever it starts, stops or jumps.

    `valid`: the tempo is known. `peers`: programs that share the beat by Link.
    `sounding`: notes; `pending`: events that wait; `dropped`: notes
    that came too late to be played; `histogram`: counts of `Lateness.histogram`.
    """

    time: float
    beat: float
    tempo: float
    metre: tuple[int, int]
    playing: bool
    valid: bool
    source: str
    jumps: int
    sounding: int
    pending: int
    dropped: int
    lateness: Summary
    histogram: tuple[int, ...]
    peers: int = 0


Command = Open | Schedule | Send | Follow | Tempo | Metre | Transport | Panic | Measure | Close
Report = Ready | Failed | Heard | Sent | State

COMMANDS = {kind.__name__: kind for kind in get_args(Command)}
REPORTS = {kind.__name__: kind for kind in get_args(Report)}


def to_json(message: Command | Report) -> dict[str, Any]:
    """A message as JSON."""
    told = {name: _plain(value) for name, value in vars(message).items()}
    return {"kind": type(message).__name__, **told}


def command(body: bytes) -> Command:
    """The command in a frame's body; ValueError where it is none."""
    made: Command = _message(body, COMMANDS)
    return made


def report(body: bytes) -> Report:
    """The report in a frame's body; ValueError where it is none."""
    made: Report = _message(body, REPORTS)
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, Note):
        return [value.start, value.duration, value.pitch, value.velocity, value.channel]
    if isinstance(value, Summary):
        return dataclasses.astuple(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _message(body: bytes, kinds: dict[str, Any]) -> Any:
    try:
        told = json.loads(body)
        kind = kinds[told.pop("kind")]
        made = kind(**{name: _value(name, value) for name, value in told.items()})
    except (AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"this is no message: {error}") from error
    return made


def _value(name: str, value: Any) -> Any:
    if name == "notes":
        return tuple(Note(*note) for note in value)
    if name == "lateness":
        return Summary(*value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is not finite")
    return tuple(value) if isinstance(value, list) else value
