"""The priority of the thread that plays, and what to do where the system refuses it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from typing import Literal

Priority = Literal["real-time", "raised", "ordinary"]

_REAL_TIME = 10  # of the real-time scheduler: above ordinary programs, below audio
_NICE = -10
_SWITCH = 1e-4  # seconds after which a thread lets another run


def hurry() -> Priority:
    """Ask the system to run this thread before others, where it allows that."""
    sys.setswitchinterval(_SWITCH)
    gc.collect()
    gc.freeze()
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.winmm.timeBeginPeriod(1)  # waits end within 1 ms instead of 16
        kernel = ctypes.windll.kernel32
        high = kernel.SetPriorityClass(kernel.GetCurrentProcess(), 0x80)
        return "raised" if high else "ordinary"
    return _raise()


def allowed() -> Priority:
    """What `hurry` would get, by trying it in a thread that ends at once; Linux and macOS only."""
    found: list[Priority] = []
    thread = threading.Thread(target=lambda: found.append(_raise(nicer=False)))
    thread.start()
    thread.join()
    return found[0]


def advice(priority: Priority) -> str:
    """One sentence on what lets notes be in time with this priority; empty where nothing need be.

    Only Linux can be asked for more.
    """
    if sys.platform != "linux" or priority == "real-time":
        return ""
    return (
        "notes may be late while other programs are busy, as this user may not have real-time "
        f"priority: run `{MENDING}` and log in again."
    )


MENDING = (
    "echo '@audio - rtprio 95' | sudo tee /etc/security/limits.d/audio.conf && "
    "sudo usermod -aG audio $USER"
)
"""The command that lets a user of Linux have real-time priority, from the next login on."""


def _raise(nicer: bool = True) -> Priority:
    with contextlib.suppress(OSError, AttributeError):
        # Not for the threads to come, which can wait.
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(_REAL_TIME))
        return "real-time"
    with contextlib.suppress(OSError):
        if nicer:
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)
            return "raised"
    return "ordinary"
