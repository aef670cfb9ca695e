"""The GIMP plug-in: round trip, cold run, what it adds to GIMP's start, and memory at 8K.

Runs in the GIMP that the host tests make (tests/hosts/conftest.py; Linux and root).
"""

from __future__ import annotations

import importlib.util
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import results

HERE = Path(__file__).resolve().parent
BAR_ROUND, BAR_COLD, BAR_START, BAR_BYTES = 0.060, 1.5, 0.3, 3 << 30
STARTS = 9  # of GIMP, with and without a plug-in that is new to it


def main() -> None:
    """Measure, then write the section."""
    options = results.parser("The GIMP plug-in.").parse_args()
    gimp = hosts().prepared()
    text = gimp.console(HERE / "gimp_inside.py")
    told = re.search("^FOUND (.*)$", text, re.MULTILINE)
    if told is None:
        raise RuntimeError(text)
    found = json.loads(told[1])
    over = statistics.median(whole - task for whole, task in found["warm"])
    own = statistics.median(task for _, task in found["warm"])
    cold = statistics.median(found["cold"])
    asked = query(gimp)
    worker, plug_in = (found["peaks"][who] / 2**30 for who in ("worker", "plug-in"))
    pixels = 7680 * 4320 * 4 / 2**30
    rows: list[tuple[Any, ...]] = [
        (
            f"round trip of a 1024 x 1024 px layer, warm worker, over the task's own {own:.3f} s",
            f"{1000 * over:.0f} ms",
            f"{1000 * BAR_ROUND:.0f} ms",
            results.verdict(over <= BAR_ROUND),
        ),
        (
            "the filter on 512 x 512 px, its process and its worker started for it",
            f"{cold:.2f} s",
            f"{BAR_COLD:g} s",
            results.verdict(cold <= BAR_COLD),
        ),
        (
            "GIMP's start when it asks the plug-in what it has, over a start when it knows",
            f"{asked:.2f} s",
            f"{BAR_START:g} s",
            results.verdict(asked <= BAR_START),
        ),
        (
            "a layer of 7680 x 4320 px: peak resident memory of the worker",
            f"{worker:.2f} GiB",
            f"{BAR_BYTES / 2**30:g} GiB",
            results.verdict(worker * 2**30 <= BAR_BYTES),
        ),
        (
            f"the same of the plug-in, of which its pixels (RGBA, 8 bits) are {pixels:.2f} GiB",
            f"{plug_in:.2f} GiB",
            "",
            "",
        ),
    ]
    body = f"""GIMP {found["version"]}, no window; medians.

{results.table(("what", "measured", "wanted at most", ""), rows)}"""
    results.publish(options, "The GIMP plug-in", body)


def hosts() -> Any:
    """The host tests' own module, which makes a GIMP."""
    path = HERE.parent / "tests" / "hosts" / "conftest.py"
    spec = importlib.util.spec_from_file_location("hosts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hosts"] = module  # where its data classes look themselves up
    spec.loader.exec_module(module)
    return module


def query(gimp: Any) -> float:
    """The seconds by which GIMP's start is longer when the plug-in has changed."""
    program, found = gimp.plug_in / "triptych.py", {True: [], False: []}  # type: ignore[var-annotated]
    for number in range(2 * STARTS):
        changed = number % 2 == 0
        if changed:
            program.touch()
        start = time.perf_counter()
        done = gimp.enter("gimp-console", "--no-interface", "--quit")
        found[changed].append(time.perf_counter() - start)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
    return statistics.median(found[True]) - statistics.median(found[False])


if __name__ == "__main__":
    main()
