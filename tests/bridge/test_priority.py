"""Real-time priority: tried, and where it is refused, said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import triptych
import triptych_bridge
from triptych import doctor
from triptych_bridge import priority

PATHS = [str(Path(p.__file__ or "").parents[1]) for p in (triptych, triptych_bridge)]
TRIED = "from triptych_bridge import priority as p; a = p.allowed(); print(a, p.advice(a))"


def tried(**options: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", TRIED],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
        **options,  # type: ignore[call-overload]
    ).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")
def test_what_the_doctor_says_is_what_the_player_gets():
    (found,) = (f for f in doctor.examine() if f.subject == "real-time priority")
    assert (priority.allowed() == "real-time") == (not found.mend)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER  # trying leaves nothing behind


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become nobody"
)
def test_who_is_refused_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch):
    code = f"import os; os.setgid(65534); os.setuid(65534)\n{TRIED}"
    # Imported before, for nobody may not read every folder.
    code = f"import triptych_bridge.priority\n{code}"
    monkeypatch.setattr(f"{__name__}.TRIED", code)
    said = tried()
    assert said.startswith("ordinary notes may be late")
    assert "rtprio" in said
    assert said.count("\n") == 1


def test_who_has_it_is_told_nothing():
    assert priority.advice("real-time") == ""
