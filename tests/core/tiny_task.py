"""The `triptych` command with one small task instead of the built-in ones.

Run as a script it is that command; `TINT` declares a parameter of every kind.
"""

import sys
import time

import numpy as np

import triptych.task
from triptych.cli import main
from triptych.engine import Engine, Job
from triptych.task import Choice, Parameter, Result, Task


def tint(picture: np.ndarray, job: Job, engine: Engine, **values: object) -> Result:
    """Adds a tenth of the colour; a strength of 0 waits until it is cancelled."""
    if values["strength"] == 0:
        print("waiting", flush=True)
    while values["strength"] == 0:
        job.progress(0.5)
        time.sleep(0.01)
    job.progress(1)
    shift = {"red": (0.1, 0, 0), "blue": (0, 0, 0.1)}.get(str(values["colour"]), (0, 0.1, 0))
    used = [{"name": "tint", "version": "1.0.0", "sha256": "0" * 64}]
    return Result(np.clip(picture + np.array(shift, np.float32), 0, 1), used)


TINT = Task(
    name="tint",
    label="Tint",
    help="Give a picture a tint. It is 100% free.",
    function=tint,
    parameters=(
        Parameter(
            "colour",
            "Colour",
            "choice",
            default="red",
            help="colour of the tint",
            choices=lambda: (Choice("red", "Red"), Choice("blue", "Blue")),
            accepts_picture=True,
        ),
        Parameter(
            "strength",
            "Strength",
            "float",
            default=1.0,
            help="how much of it",
            minimum=0,
            maximum=1,
        ),
        Parameter("mix", "Mix", "blend", choices=(Choice("red", "Red"),), optional=True),
        Parameter("keep_grey", "Keep grey", "bool", default=True, help="leave greys"),
        Parameter("mask", "Mask", "mask", optional=True, help="where"),
        Parameter(
            "edge_width",
            "Edge",
            "float",
            default=0.0,
            minimum=0,
            maximum=9,
            needs="mask",
        ),
        Parameter("note", "Note", "text", default="", help="any words"),
        Parameter("rounds", "Rounds", "int", default=1, minimum=1, maximum=9, advanced=True),
        Parameter("seed", "Seed", "seed", default=0, advanced=True),
    ),
)

triptych.task._BUILT_IN = ()  # type: ignore[assignment]
triptych.task.register(TINT)

if __name__ == "__main__":
    sys.exit(main())
