"""Quality: the network against optimising the pixels themselves (Gatys et al. 2016).

One objective, `style_loss.style_objective` judged by SqueezeNet 1.1 in float32, on 20 Kodak
photographs at 512 px. For every style: the objective of what the task makes, and how many
evaluations L-BFGS needs, from noise and from the photograph, until its picture is as good.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results
import subjects
import torch
from torch import Tensor

from triptych import bundle
from triptych.engine import Engine
from triptych.training.image.perceptual import Taps
from triptych.training.image.style_loss import (
    BLOCK,
    BLOCK_SHARE,
    CONTENT_TAP,
    STYLE_TAPS,
    STYLE_WEIGHT,
    content_target,
    style_objective,
    style_targets,
)

STARTS = ("noise", "photograph")
BARS = {"library": {"noise": 100, "photograph": 20}, "any": {"noise": 50, "photograph": 10}}
SCALE = 1e6  # of the objective inside L-BFGS: its fixed thresholds are made for such a size
OBJECTIVE = (
    f"{STYLE_WEIGHT:g}x{','.join(f'{w:g}' for w in STYLE_TAPS)}/{CONTENT_TAP}"
    f" blocks {BLOCK_SHARE:g} of {BLOCK} beyond their spread"
)
NEAR = 1.1  # the clamped picture (1 % better at best) is judged once the free one is so near


@dataclass(frozen=True)
class Pair:
    """A style on a photograph, by their places."""

    style: int
    photograph: int


@dataclass
class Work:
    """What a worker process needs: the same in each, so it is made anew there."""

    options: argparse.Namespace

    def __post_init__(self) -> None:
        torch.set_num_threads(self.options.threads)
        self.found = bundle.get_bundle("style", "style")
        self.styles = _styles(self.options, self.found)
        self.photographs = subjects.photographs(self.options.photographs, self.options.size)
        self.judge = subjects.judge()
        self.engine = Engine(["cpu"], threads=self.options.threads)
        self._wanted: dict[int, list[Tensor]] = {}

    def wanted(self, style: int) -> list[Tensor]:
        """What the style asks for."""
        if style not in self._wanted:
            x = subjects.as_tensor(self.styles[style].picture)
            self._wanted = {style: style_targets(self.judge, x)}  # one is enough, and 1.3 MB
        return self._wanted[style]

    def forward(self, pair: Pair) -> dict[str, float]:
        """The objective of the task's picture and its two terms."""
        photograph = self.photographs[pair.photograph]
        made = subjects.stylised(self.engine, photograph, self.styles[pair.style].given)
        x = subjects.as_tensor(made).clamp(0, 1)
        content = content_target(self.judge, subjects.as_tensor(photograph))
        with torch.no_grad():
            terms = style_objective(self.judge, x, content, self.wanted(pair.style))
        return dict(zip(("objective", "content", "style"), map(float, terms), strict=True))

    def optimise(self, pair: Pair, start: str, target: float) -> list[list[float | None]]:
        """(free, clamped) objective at each evaluation, until the clamped one is at `target`."""
        photograph = subjects.as_tensor(self.photographs[pair.photograph])
        if start == "noise":
            generator = torch.Generator().manual_seed(pair.photograph)
            begin = torch.rand(photograph.shape, generator=generator)
        else:
            begin = photograph
        content = content_target(self.judge, photograph)
        cap = self.options.cap_noise if start == "noise" else self.options.cap_photograph
        search = None if self.options.plain else "strong_wolfe"
        return lbfgs(self.judge, begin, content, self.wanted(pair.style), target, cap, search)


class _DoneError(Exception):
    """The target is met, or the evaluations are used up."""


def lbfgs(
    judge: Taps,
    begin: Tensor,
    content: Tensor,
    wanted: Sequence[Tensor],
    target: float,
    cap: int,
    search: str | None,
) -> list[list[float | None]]:
    """L-BFGS on the pixels: per evaluation (forward and backward) the objective of the free
    pixels and, once that is near the target, of the pixels clamped to 0..1.

    Ends when the clamped picture is at `target` or better, or after `cap` evaluations.
    """
    x = begin.clone().requires_grad_()
    trace: list[list[float | None]] = []

    def evaluate() -> Tensor:
        if len(trace) >= cap:
            raise _DoneError
        x.grad = None
        total = style_objective(judge, x, content, wanted)[0]
        free, clamped = float(total.detach()), None
        if free <= NEAR * target:
            with torch.no_grad():
                clamped = float(style_objective(judge, x.clamp(0, 1), content, wanted)[0])
        trace.append([free, clamped])
        if clamped is not None and clamped <= target:
            raise _DoneError
        loss = SCALE * total.sum()
        loss.backward()
        return loss

    try:
        while True:  # where the optimiser gives up, it starts anew from there
            torch.optim.LBFGS(
                [x],
                lr=1,
                max_iter=cap,
                max_eval=10 * cap,
                history_size=20,
                line_search_fn=search,
                tolerance_grad=0,
                tolerance_change=0,
            ).step(evaluate)
    except _DoneError:
        pass
    return trace


def reached(trace: Sequence[Sequence[float | None]], target: float, cap: int) -> float | None:
    """After how many evaluations of `trace` the target is met: inf if not within the cap.

    None if the trace, made for another target, does not tell.
    """
    for count, (free, clamped) in enumerate(trace[:cap], 1):
        if clamped is not None and clamped <= target:
            return count
        if clamped is None and free is not None and free <= NEAR * target:
            return None
    return math.inf if len(trace) >= cap else None


class Store:
    """What was found so far, in a file of JSON lines, so that an interruption loses nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # the line that an interruption cut
                self.known[entry["key"]] = entry["value"]

    def put(self, key: str, value: Any) -> None:
        """Remember `value`, now and in the file."""
        self.known[key] = value
        with self.path.open("a") as out:
            out.write(json.dumps({"key": key, "value": value}) + "\n")


def _styles(options: argparse.Namespace, found: bundle.Bundle) -> list[subjects.Style]:
    if options.any:
        return subjects.held_out()[: options.styles]
    return subjects.library(found)[: options.styles]


def _version(found: bundle.Bundle) -> str:
    """Changes whenever the network, a code or a weight delta does, not with the card's text."""
    parts = [graph.sha256 for graph in found.card.graphs.values()]
    parts += [sha256 for name, sha256 in found.card.files.items() if name.endswith(".npz")]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


_work: Work | None = None


def _begin(options: argparse.Namespace) -> None:
    global _work
    _work = Work(options)


def _do(job: tuple[str, Pair, str, float]) -> tuple[str, Any]:
    """One piece of work in a worker process: (key, pair, start or "", target)."""
    key, pair, start, target = job
    assert _work is not None
    return key, _work.optimise(pair, start, target) if start else _work.forward(pair)


def _all(
    jobs: list[tuple[str, Pair, str, float]], store: Store, options: argparse.Namespace
) -> None:
    """Do the jobs, in order, in `--workers` processes, keeping each result as it comes."""
    if not jobs:
        return

    def keep(found: Iterator[tuple[str, Any]]) -> None:
        for count, (key, value) in enumerate(found, 1):
            store.put(key, value)
            told = value["objective"] if isinstance(value, dict) else f"{len(value)} evaluations"
            print(f"{count}/{len(jobs)} {key}: {told}", flush=True)

    if options.workers == 1:
        _begin(options)
        keep(map(_do, jobs))
    else:
        context = multiprocessing.get_context("spawn")
        with context.Pool(options.workers, _begin, (options,)) as pool:
            keep(pool.imap(_do, jobs))


def main() -> None:
    """Measure, then write the section and the figures."""
    made = results.parser("The network against L-BFGS on the same objective.")
    made.set_defaults(threads=1)
    made.add_argument("--any", action="store_true", help="20 pictures never trained on as styles")
    made.add_argument("--pairs", type=int, default=20, help="photographs per style for L-BFGS")
    made.add_argument("--photographs", type=int, default=20, help="photographs in all")
    made.add_argument("--styles", type=int, default=None, help="only the first so many styles")
    made.add_argument("--size", type=int, default=subjects.SIZE, help="of a photograph, in px")
    made.add_argument("--cap-noise", type=int, default=200, help="evaluations from noise")
    made.add_argument("--cap-photograph", type=int, default=60, help="from the photograph")
    made.add_argument("--plain", action="store_true", help="L-BFGS without a line search")
    made.add_argument("--workers", type=int, default=1, help="processes, each with --threads")
    made.add_argument(
        "--store", type=Path, default=results.OUT / "style_quality.jsonl", help="partial results"
    )
    made.add_argument("--report", action="store_true", help="only report what the store holds")
    options = made.parse_args()
    found = bundle.get_bundle("style", "style")
    names = [style.name for style in _styles(options, found)]
    store, version = Store(options.store), _version(found)

    def forward_key(pair: Pair) -> str:
        return f"{OBJECTIVE} {version} {names[pair.style]} on {pair.photograph} at {options.size}"

    def trace_key(pair: Pair, start: str) -> str:
        search = "plain" if options.plain else "wolfe"
        where = f"{names[pair.style]} on {pair.photograph} at {options.size}"
        return f"{OBJECTIVE} {search} {where} from {start}"

    count = options.photographs
    every = [Pair(s, p) for s in range(len(names)) for p in range(count)]
    # every style takes other photographs, so that all are used however few pairs there are
    some = [
        Pair(s, (7 * s + turn) % count)
        for turn in range(min(options.pairs, count))
        for s in range(len(names))
    ]
    if not options.report:
        missing = [(forward_key(p), p, "", 0.0) for p in every if forward_key(p) not in store.known]
        _all(missing, store, options)
        jobs = []
        for pair in some:
            target = store.known[forward_key(pair)]["objective"]
            for start in STARTS:
                key = trace_key(pair, start)
                if reached(store.known.get(key, []), target, _cap(options, start)) is None:
                    jobs.append((key, pair, start, target))
        _all(jobs, store, options)

    judged: list[dict[str, Any]] = []
    for pair in every:
        if forward_key(pair) in store.known:
            one = {"place": pair.style, **store.known[forward_key(pair)]}
            for start in STARTS if pair in some else ():
                trace = store.known.get(trace_key(pair, start), [])
                one[start] = reached(trace, one["objective"], _cap(options, start))
            judged.append(one)
    report(options, found, names, judged)


def report(
    options: argparse.Namespace,
    found: bundle.Bundle,
    names: Sequence[str],
    judged: Sequence[dict[str, Any]],
) -> None:
    """Print and write the table and the medians."""

    def counts(start: str, place: int | None = None) -> list[float]:
        chosen = [one for one in judged if place is None or one["place"] == place]
        return [one[start] for one in chosen if one.get(start) is not None]

    def shown(values: Sequence[float], start: str) -> str:
        if not values:
            return "-"
        middle = statistics.median_low(values)
        return f"> {_cap(options, start)}" if math.isinf(middle) else f"{middle:.0f}"

    def mean(key: str, place: int | None = None) -> float:
        return float(np.mean([o[key] for o in judged if place is None or o["place"] == place]))

    terms = ("objective", "content", "style")
    rows: list[list[Any]] = [
        [name, *(mean(t, place) for t in terms), *(shown(counts(s, place), s) for s in STARTS)]
        for place, name in enumerate(names)
        if any(one["place"] == place for one in judged)
    ]
    rows.append(["**all**", *(mean(t) for t in terms), *(shown(counts(s), s) for s in STARTS)])
    kind = "any" if options.any else "library"
    head = ["style", *terms, *(f"evaluations from {s}" for s in STARTS)]
    lines = [results.table(head, rows), ""]
    pairs = len(counts(STARTS[0]))
    lines.append(
        f"{len(judged)} pictures judged at {options.size} px (content + {STYLE_WEIGHT:g} x style); "
        f"L-BFGS ({'lr 1, no' if options.plain else 'strong Wolfe'} line search, history 20) on "
        f"{pairs} pairs of style and photograph; medians of the evaluations after which it is as "
        "good as the network."
    )
    figures = {f"{kind}: objective": (mean("objective"), "")}
    for start in STARTS:
        values, bar = counts(start), BARS[kind][start]
        if values:
            middle = statistics.median_low(values)
            of = [statistics.median_low(c) for i in range(len(names)) if (c := counts(start, i))]
            told = [bar <= min(m, _cap(options, start)) for m in of]
            holds = bar <= min(middle, _cap(options, start))
            lines.append(
                f"\nFrom {'the photograph' if start == 'photograph' else start}: median "
                f"{shown(values, start)}, wanted at least {bar}: {results.verdict(holds)}; "
                f"{sum(told)} of {len(of)} styles reach it."
            )
            unit = "L-BFGS evaluations"
            if math.isinf(middle):
                middle, unit = _cap(options, start), "L-BFGS evaluations at least"
            figures[f"{kind}: as good as L-BFGS from {start} after"] = (middle, unit)
    title = "Style quality: " + ("any picture as style" if options.any else "the library")
    key = f"style_quality_{kind}" + ("_plain" if options.plain else "")
    results.publish(options, title, "\n".join(lines), key)
    if not options.plain:
        results.card_metrics(options, found, figures)


def _cap(options: argparse.Namespace, start: str) -> int:
    cap: int = options.cap_noise if start == "noise" else options.cap_photograph
    return cap


if __name__ == "__main__":
    main()
