"""How late the bridge's notes leave while a model runs at full load in another process.

The player gets sixteenths of a drum kit, a bass and chords a bar ahead, at 120 quarter notes a
minute, and measures from each message's deadline to the return of the port's send. The load is a
graph that ships, run without pause on --threads threads.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import results

from triptych_bridge.handle import PlayerProcess
from triptych_bridge.midi import Note
from triptych_bridge.protocol import Measure, State, Tempo, Transport

BAR = 0.003  # seconds: p99 at most
TEMPO, BEATS = 120.0, 4
SIZE = 512  # px of the picture that the load looks at
WARM = 2.0  # seconds that are not measured


def load(threads: int, runs: Synchronized[int]) -> None:
    """Run a graph for ever, and count."""
    import numpy as np

    from triptych import bundle
    from triptych.engine import Engine

    graph = bundle.get_bundle("perceptual", "perceptual").graph("features")
    picture = np.random.default_rng(0).random((1, 3, SIZE, SIZE), np.float32)
    engine = Engine(["cpu"], threads)
    while True:
        engine.run(graph, {"picture": picture})
        runs.value += 1


def bar(number: int) -> list[Note]:
    """A bar of three parts, in beats."""
    first = float(number * BEATS)
    notes = [Note(first + i / 4, 0.2, 42, channel=9) for i in range(4 * BEATS)]
    notes += [Note(first + i / 2, 0.45, 36 + i % 5) for i in range(2 * BEATS)]
    notes += [Note(first, 3.9, pitch, channel=1) for pitch in (60, 64, 67)]
    return notes


def measure(seconds: float, output: str | None) -> tuple[State, str]:
    """Play for so long; what the player then says, and its priority."""
    with PlayerProcess(output, None) as player:
        player.send(Tempo(TEMPO))
        player.play(bar(0))
        player.send(Transport("start"))
        start, number, warm = time.perf_counter(), 1, False
        while (now := time.perf_counter() - start) < WARM + seconds:
            if now >= WARM and not warm:
                warm = True
                player.send(Measure())
            while number * BEATS * 60 / TEMPO < now + BEATS * 60 / TEMPO:
                player.play(bar(number))
                number += 1
            time.sleep(0.05)
        if player.state is None or player.ready is None:
            raise RuntimeError("the player said nothing")
        return player.state, player.ready.priority


def row(what: str, state: State, bar: bool) -> tuple[Any, ...]:
    """A row of the table."""
    late = state.lateness
    figures = [f"{1000 * v:.2f}" for v in (late.p50, late.p95, late.p99, late.worst)]
    return (what, late.count, *figures, results.verdict(late.p99 < BAR) if bar else "")


def main() -> None:
    """Measure at rest and under load, then write the section."""
    parser = results.parser("The lateness of the bridge's notes.")
    parser.set_defaults(threads=1)
    parser.add_argument("--minutes", type=float, default=10, help="under load (default 10)")
    parser.add_argument("--output", help="the MIDI output: virtual or a port's name (default none)")
    options = parser.parse_args()
    seconds = 60 * options.minutes
    context = multiprocessing.get_context("spawn")
    runs = context.Value("q", 0)
    rest, _ = measure(seconds / 6, options.output)
    model = context.Process(target=load, args=(options.threads, runs), daemon=True)
    model.start()
    try:
        while runs.value == 0 and model.is_alive():
            time.sleep(0.05)
        before, begun = runs.value, time.perf_counter()
        busy, priority = measure(seconds, options.output)
        if not model.is_alive():
            raise RuntimeError("the load has ended")
        rate = (runs.value - before) / (time.perf_counter() - begun)
    finally:
        model.kill()
    head = ("", "messages", "p50, ms", "p95, ms", "p99, ms", "worst, ms", f"p99 < {1e3 * BAR:g} ms")
    rows = [
        row(f"model at rest, {seconds / 6:.0f} s", rest, False),
        row(f"model at full load, {seconds:.0f} s", busy, True),
    ]
    edges = ("0.5", "1", "2", "3", "5")
    counts = ", ".join(f"{n} under {e} ms" for n, e in zip(busy.histogram, edges, strict=False))
    port = options.output or "none (the time to hand a message to the system is not in it)"
    body = f"""Lateness of notes that were scheduled a bar ahead; the load ran {rate:.1f} times a
second. The player's priority: {priority}. MIDI output: {port}. Notes dropped:
{rest.dropped + busy.dropped}.

{results.table(head, rows)}

Under load, counted from the edge before: {counts}, {busy.histogram[-1]} above."""
    results.publish(options, "The bridge's lateness", body)


if __name__ == "__main__":
    main()
