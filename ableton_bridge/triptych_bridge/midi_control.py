"""MIDI controllers that set parameters, and programs that recall presets; both are remembered."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from triptych import bundle
from triptych.errors import UserError
from triptych.files import refusal, write_whole
from triptych_bridge.midi import CONTROL, PROGRAM

PRESETS = 128  # as many as MIDI has programs
_LEARNABLE = 120  # controllers; those from here on are channel modes


class MidiControl:
    """What the user's controllers do, kept in a JSON file in the user data folder."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or bundle.user_data() / "bridge" / "midi.json"
        self.learning: str | None = None  # the address that waits for a controller
        self.warning = ""  # one sentence, where what was kept could not be read
        self._controllers: dict[str, str] = {}  # "channel/controller", from 0: address
        self._presets: dict[str, dict[str, Any]] = {}
        self._load()

    @property
    def controllers(self) -> dict[str, str]:
        """Address by "channel/controller", the channel from 0."""
        return dict(self._controllers)

    def hear(self, message: tuple[int, ...]) -> tuple[str, float] | None:
        """The address that a message sets, and to which part (0..1) of its range.

        The first controller after `learning` was set is bound to that address. UserError where
        that cannot be kept.
        """
        if message[0] & 0xF0 != CONTROL or message[1] >= _LEARNABLE:
            return None
        key = f"{message[0] & 0x0F}/{message[1]}"
        if self.learning is not None:
            self.forget(self.learning)
            self._controllers[key], self.learning = self.learning, None
            self._save()
        place = self._controllers.get(key)
        return None if place is None else (place, message[2] / 127)

    def forget(self, place: str) -> None:
        """Let no controller set this address any more."""
        kept = {key: known for key, known in self._controllers.items() if known != place}
        if kept != self._controllers:
            self._controllers = kept
            self._save()

    @staticmethod
    def program(message: tuple[int, ...]) -> int | None:
        """The number (0..127) of the preset that a message asks for."""
        return message[1] if message[0] & 0xF0 == PROGRAM else None

    def preset(self, number: int) -> dict[str, Any]:
        """The values of a preset by address; UserError where there is none."""
        found = self._presets.get(str(number))
        if found is None:
            raise UserError(f"there is no preset {number}: save one with /triptych/preset/save.")
        return dict(found)

    def save_preset(self, number: int, values: dict[str, Any]) -> None:
        """Keep these values as preset 0..127; UserError where that cannot be."""
        if not 0 <= number < PRESETS:
            raise UserError(f"a preset has a number from 0 to {PRESETS - 1}, not {number}.")
        self._presets[str(number)] = values
        self._save()

    def _save(self) -> None:
        kept = {"controllers": self._controllers, "presets": self._presets}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refusal("write", self.path, error) from None
        write_whole(self.path, json.dumps(kept, indent=1).encode())

    def _load(self) -> None:
        try:
            kept = json.loads(self.path.read_text("utf-8"))
            controllers, presets = kept["controllers"], kept["presets"]
            if not all(isinstance(p, str) for p in controllers.values()):
                raise TypeError
            if not all(isinstance(preset, dict) for preset in presets.values()):
                raise TypeError
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            aside = self.path.with_suffix(".unreadable.json")
            with contextlib.suppress(OSError):
                self.path.replace(aside)
            self.warning = f"the MIDI assignments cannot be read, and are now in {aside.name}."
            return
        self._controllers, self._presets = controllers, presets
