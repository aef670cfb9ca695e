"""What every mode is: it hears, and orders notes ahead of time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from triptych.errors import UserError
from triptych.task import Parameter
from triptych_bridge.maker import Request
from triptych_bridge.midi import Note
from triptych_bridge.protocol import Heard
from triptych_bridge.stage import Stage


class Mode(ABC):
    """One way of playing with a musician. `tasks` are those that it needs.

    All is called from one thread, and must not wait. `tick` is called some fifty times a second
    while the song plays.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    help: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    tasks: ClassVar[tuple[str, ...]] = ()

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.request: Request | None = None  # the one that is awaited

    @abstractmethod
    def begin(self, bar: float) -> None:
        """Begin (anew), and play from this bar line on."""

    def hear(self, heard: Heard, ended: Note | None) -> None:  # noqa: B027
        """A message came in, and perhaps ended this note."""

    @abstractmethod
    def tick(self) -> None:
        """See what is to be done now."""

    def changed(self, place: str) -> None:  # noqa: B027
        """The parameter at this address was set."""

    def vary(self) -> None:
        """Play something else from now on; UserError where there is nothing to vary."""
        raise UserError(f"{self.label} has nothing to vary: choose the mode loop or accompany.")

    def take_back(self) -> None:
        """Undo the last change of what is played; UserError where there is none."""
        raise UserError(f"{self.label} has nothing to take back: choose the mode loop.")

    def end(self) -> None:
        """What was asked for is not wanted any more."""
        if self.request is not None:
            self.request.cancel()
            self.request = None
