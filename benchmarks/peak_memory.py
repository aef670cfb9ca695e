"""The peak memory of a real command on a large picture."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from triptych.demo import PHOTOGRAPH


def add_size(parser: argparse.ArgumentParser) -> None:
    """The options of the large picture."""
    parser.add_argument("--width", type=int, default=7680)
    parser.add_argument("--height", type=int, default=4320)


def command(
    options: argparse.Namespace, task: str, *words: str, factor: int = 1, added: int = 0
) -> tuple[int, float]:
    """Peak resident memory in bytes and the seconds of `triptych task` on the photograph that
    ships, enlarged, as a JPEG. To be called first: a child's peak starts at what its parent holds.

    The result has the size that `options` tell, the picture given is `factor` times smaller and
    `added` px narrower.
    """
    with tempfile.TemporaryDirectory() as place:
        source, out = Path(place) / "large.jpg", Path(place) / "out.jpg"
        size = (options.width, options.height)
        given = (size[0] // factor - added, size[1] // factor)
        Image.open(PHOTOGRAPH).resize(given, Image.Resampling.BICUBIC).save(source, quality=92)
        line = [sys.executable, "-m", "triptych", task, str(source), "-o", str(out)]
        line += ["--threads", str(options.threads), *words]
        start = time.perf_counter()
        child = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)  # its own rusage, not that of all children
        seconds = time.perf_counter() - start
        if status != 0:
            raise RuntimeError(f"the command ended with {os.waitstatus_to_exitcode(status)}")
        if Image.open(out).size != size:
            raise RuntimeError("the command wrote a picture of another size")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return usage.ru_maxrss * unit, seconds
