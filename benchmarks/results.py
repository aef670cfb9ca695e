"""Where the benchmarks put what they find: a section each in RESULTS.md, figures in the cards."""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from triptych import bundle

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
OUT = HERE.parent / "out"
TITLE = "# What was measured\n\nEach section is written by the script that it names.\n"


def parser(description: str, bundle_name: str = "style") -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    made.add_argument("--no-write", action="store_true", help="print only; leave RESULTS.md alone")
    made.add_argument(
        "--card", action="store_true", help=f"also write the figures into {bundle_name}'s card"
    )
    return made


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; floats are shown with three significant digits."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def publish(options: argparse.Namespace, title: str, body: str, key: str = "") -> None:
    """Print the section `title` and put it in the place of its last version in RESULTS.md."""
    key = key or Path(sys.argv[0]).stem
    words = [Path(w).name if Path(w).is_absolute() else w for w in sys.argv[1:]]
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
    where = f"{date.today()}, {processor()}, threads: {options.threads}, `{command}`"
    text = f"## {title}\n\n{where}\n\n{body.strip()}\n"
    print(text, flush=True)
    if options.no_write:
        return
    start, stop = f"<!-- {key} -->\n", f"<!-- /{key} -->\n"
    whole = RESULTS.read_text() if RESULTS.exists() else TITLE
    before, found, rest = whole.partition(start)
    after = rest.partition(stop)[2] if found else ""
    aside = RESULTS.with_suffix(".new")
    aside.write_text(f"{before if found else before + chr(10)}{start}{text}{stop}{after}")
    aside.replace(RESULTS)


def card_metrics(
    options: argparse.Namespace, found: bundle.Bundle, figures: dict[str, tuple[float, str]]
) -> None:
    """With --card: put `figures` (name: value, unit) into the bundle's card, with their script."""
    if not options.card:
        return
    test = f"benchmarks/{Path(sys.argv[0]).name}"
    # As it is now: another benchmark may have written into it since this one began.
    card = bundle.open_bundle(found.path, verify=False).card
    kept = [metric for metric in card.metrics if metric["name"] not in figures]
    new = [
        {"name": name, "value": float(f"{value:.4g}"), "unit": unit, "test": test}
        for name, (value, unit) in figures.items()
    ]
    bundle.write_card(found.path, dataclasses.replace(card, metrics=kept + new))


def processor() -> str:
    """The CPU's name and the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name} ({cores} cores)"


def verdict(holds: bool) -> str:
    """How a bar was met."""
    return "yes" if holds else "**no**"
