"""The ways in which the bridge plays with a musician."""

from triptych_bridge.modes.accompany import Accompany
from triptych_bridge.modes.call_and_response import CallAndResponse
from triptych_bridge.modes.humanise import Humanise
from triptych_bridge.modes.loop import Loop
from triptych_bridge.modes.mode import Mode
from triptych_bridge.modes.off import Off

MODES: dict[str, type[Mode]] = {
    mode.name: mode for mode in (Off, CallAndResponse, Accompany, Loop, Humanise)
}

__all__ = ["MODES", "Mode"]
