"""Live: how long one event takes, drawn and taken in, on one thread.

The model plays on for as long as asked under the constraints of `triptych melody`; each event is
one draw of its five fields and one step of the network.
"""

from __future__ import annotations

import time

import numpy as np
import results

from triptych import bundle
from triptych.engine import Engine
from triptych.music import events
from triptych.music.constraints import Constraints
from triptych.music.event_model import EventModel, Sampling
from triptych.music.events import EVENT, TICKS, Bars
from triptych.music.melody import told
from triptych.music.score import Score
from triptych.music.theory import Key

BAR = 4 * TICKS
WANTED = 5.0  # ms, the 95th percentile


def main() -> None:
    """Measure and publish."""
    options = results.parser(__doc__ or "", "score")
    options.add_argument("--events", type=int, default=1000)
    options.set_defaults(threads=1)
    given = options.parse_args()
    model = bundle.get_bundle("score", "score")
    bars = 4 * given.events
    frame = Score(length=4.0 * bars)
    stream = EventModel(
        model, Engine(["cpu"], given.threads), Bars.of(frame), told(0, Key(0), 120.0)
    )
    wishes = Constraints(0, bars * BAR, frozenset({events.part_of(0, 0)}), Key(0).classes)
    rng, made = np.random.default_rng(0), np.zeros(0, EVENT)
    took: list[float] = []
    while len(took) < given.events:
        start = time.perf_counter()
        event = stream.draw(wishes, Sampling(), rng, made[-16:])
        assert event is not None
        stream.feed(event)
        took.append(1000 * (time.perf_counter() - start))
        made = np.append(made, np.array([event], EVENT))
    middle, late, worst = np.percentile(took[20:], [50, 95, 99])
    rows = [("median", middle), ("95 % within", late), ("99 % within", worst)]
    verdict = "yes" if late < WANTED else "**no**"
    results.publish(
        given,
        "Live: one event of the score model",
        f"{results.table(('ms an event', ''), rows)}\n\n{given.events} events; wanted: 95 % within "
        f"{WANTED:g} ms: {verdict}.",
    )
    results.card_metrics(given, model, {"an event, 95 % within": (late, "ms")})


if __name__ == "__main__":
    main()
