"""The worker with the small tasks of `tiny_task.py`, which print while they work."""

import sys
from types import SimpleNamespace

import numpy as np
import tiny_task  # type: ignore[import-not-found]  # noqa: F401  (registers it)

import triptych.task
from triptych import worker
from triptych.task import Parameter, Result, Task


def plain(given: None, job: object, engine: object, side: float) -> Result:
    """A material of one colour."""
    maps = {
        "colour": np.full((4, 6, 3), 0.25, np.float32),
        "height": np.arange(24, dtype=np.float32).reshape(4, 6) / 24,
    }
    return Result(SimpleNamespace(maps=maps, name="plain", side=side, depth=0.002, metallic=0))


triptych.task.register(
    Task(
        "plain",
        "Plain",
        "Make a plain material.",
        plain,
        (Parameter("side", "Side", "float", 0.5, minimum=0.1, maximum=2),),
        input="none",
        output="material",
    )
)
sys.exit(worker.main())
