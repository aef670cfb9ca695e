"""Nothing is played."""

from __future__ import annotations

from triptych_bridge.modes.mode import Mode


class Off(Mode):
    """Silence."""

    name, label, help = "off", "Off", "Listen, and play nothing."

    def begin(self, bar: float) -> None:
        """Nothing begins."""

    def tick(self) -> None:
        """Nothing is to be done."""
