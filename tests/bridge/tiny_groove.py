"""A task `groove` that delays every hit by a twentieth of a beat; run as a script, its worker."""

from __future__ import annotations

import sys
from typing import Any

import triptych.task
from triptych import worker
from triptych.engine import Engine, Job
from triptych.music.score import Score, Track
from triptych.task import Result, Task


def groove(given: Score, job: Job, engine: Engine, **values: Any) -> Result:
    tracks = []
    for track in given.tracks:
        late = track.notes.copy()
        late["start"] += 0.05
        tracks.append(Track(late, track.name, track.program, track.drums))
    return Result(given.with_tracks(tracks))


GROOVE = Task("groove", "Groove", "Give drums feel.", groove, (), "score", "score")

if __name__ == "__main__":
    triptych.task.register(GROOVE)
    sys.exit(worker.main())
