"""Groove: timing and velocity of humanised drums, drumify's hits, against baselines.

The windows are those of Gillick et al. 2019 ("Learning to Groove with Inverse Sequence
Transformations", ICML): two bars of the Groove MIDI Dataset's test split, one bar apart, in 4/4.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from results import card_metrics, parser, publish, table, verdict

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.music import kit
from triptych.music.groove_model import GrooveModel, Said
from triptych.music.kit import LEVELS, Grid, Known
from triptych.training import data
from triptych.training.music import groove_data, sets
from triptych.training.music.groove import f1
from triptych.training.music.groove_data import Performance

BAR = 18.8  # ms; the best sequence-to-sequence figure of Gillick et al. 2019, table 2
_MIDDLE = len(LEVELS) // 2
_LONGEST = 20  # takes
Windows = list[tuple[Performance, int]]


def main() -> None:
    """Measure, and write the section."""
    options = parser(__doc__ or "", "groove").parse_args()
    takes = groove_data.performances(sets.groove(data.data_root()))
    train, valid, test = (
        groove_data.two_bars([t for t in takes if t.split == split])
        for split in ("train", "validation", "test")
    )
    found = bundle.get_bundle("groove")
    model = GrooveModel(found, Engine(["cpu"], options.threads))
    rows, figures = humanise(model, train, valid, test)
    more_rows, more = drumify(model, train, test)
    spread = evenness(model, test)
    best = figures["humanise, timing error"][0]
    given = "hits, tempo and style label are given, not who drums"
    body = (
        f"{len(test)} windows of {len({t.name for t, _ in test})} takes, "
        f"{int(sum(t.grid.hits[s : s + kit.WINDOW].sum() for t, s in test))} hits.\n\n"
        f"Humanise ({given}; mean absolute errors over all hits; bar: timing at most {BAR} ms, "
        f"met: {verdict(best <= BAR)}):\n\n"
        + table(["what", "timing, ms", "velocity, of 127"], rows)
        + "\n\nDrumify (the rhythm as one channel with velocity and offset, tempo and style label "
        "are given; hits of nine pieces over all cells; bar: above nearest neighbour, met: "
        f"{verdict(more['drumify, F1'][0] > more['drumify, F1 of nearest neighbour'][0])}):\n\n"
        + table(["what", "precision", "recall", "F1"], more_rows)
        + "\n\nHow even (mean absolute differences between hits, in the first 16 bars of the "
        "longest takes of the test split; what is drawn shall be as uneven as what was played):\n\n"
        + table(
            [
                "what",
                "two hits on a step, ms",
                "neighbours of a piece, ms",
                "a bar later, ms",
                "neighbours, of 127",
                "a bar later, of 127",
            ],
            spread,
        )
    )
    publish(options, "Groove", body)
    card_metrics(options, found, figures | more)


def humanise(
    model: GrooveModel, train: Windows, valid: Windows, test: Windows
) -> tuple[list[list[object]], dict[str, tuple[float, str]]]:
    """The table's rows, and figures for the card."""
    grid, learned = groove_data.cut(test), groove_data.cut(train)
    styles = np.array([take.style for take, _ in test])
    known = dataclasses.replace(Known.of(grid, 1, 0), style=styles)
    unnamed = dataclasses.replace(known, style=np.full(len(test), -1))
    like = dataclasses.replace(known, like=np.stack([_elsewhere(t, s) for t, s in test]))
    shown = (grid.hits * (np.random.default_rng(0).random(grid.hits.shape) < 0.5)).astype("f4")
    hit = learned.hits > 0
    middle = np.zeros((2, 9), np.float32)
    for piece in range(9):
        there = hit[..., piece]
        middle[:, piece] = (
            np.mean(learned.velocity[..., piece][there]),
            np.median((learned.offset * _seconds(learned))[..., piece][there]),
        )
    flat = np.full(grid.hits.shape, learned.velocity[hit].mean(), np.float32)
    nothing = np.zeros_like(flat)
    by_piece = np.broadcast_to(middle[:, None, None], (2, *grid.hits.shape))
    made = _median(model.windows(grid, known, Job()))
    valid_grid = groove_data.cut(valid)
    valid_known = dataclasses.replace(
        Known.of(valid_grid, 1, 0), style=np.array([take.style for take, _ in valid])
    )
    cases = {
        "on the grid; mean velocity": (flat, nothing),
        "each piece's mean velocity, median offset": (
            by_piece[0],
            by_piece[1] / _seconds(grid),
        ),
        "**network**": made,
        "network, style not given": _median(model.windows(grid, unnamed, Job())),
        "network, given how other bars of the take are played": _median(
            model.windows(grid, like, Job())
        ),
    }
    rows: list[list[object]] = [[name, *_errors(grid, *case)] for name, case in cases.items()]
    halved = dataclasses.replace(known, feel=shown)
    said = _median(model.windows(grid, halved, Job()))
    hidden = dataclasses.replace(grid, hits=grid.hits - shown)
    rows.append(["network, given half of the hits' feel (errors of the rest)"])
    rows[-1] += _errors(hidden, *said)
    said = _median(model.windows(valid_grid, valid_known, Job()))
    rows.append(["network, on the validation split", *_errors(valid_grid, *said)])
    timing, velocity = _errors(grid, *made)
    still, plain = _errors(grid, flat, nothing)
    return rows, {
        "humanise, timing error": (timing, "ms"),
        "humanise, timing error on the grid": (still, "ms"),
        "humanise, velocity error": (velocity, "of 127"),
        "humanise, velocity error of the mean": (plain, "of 127"),
    }


def drumify(
    model: GrooveModel, train: Windows, test: Windows
) -> tuple[list[list[object]], dict[str, tuple[float, str]]]:
    """The table's rows, and figures for the card."""
    grid, learned = groove_data.cut(test), groove_data.cut(train)
    styles = np.array([take.style for take, _ in test])
    tap = kit.tapped(grid)
    known = dataclasses.replace(
        Known.of(grid, 0, 0), style=styles, tap=tap, tapped=np.ones_like(tap[..., 0])
    )
    likely = 1 / (1 + np.exp(-model.windows(grid, known, Job()).hits))
    made = (likely >= model.threshold) * tap[..., :1]
    rhythm = _flat(tap[..., :1])
    pool = kit.tapped(learned)
    nearest = _nearest(rhythm, _flat(pool[..., :1]))
    closer = _nearest(_flat(tap[..., :2]), _flat(pool[..., :2]))
    usual = np.zeros_like(grid.hits)
    usual[..., kit.PIECES.index("closed hat")] = tap[..., 0]
    cases = {
        "**network**": made,
        "nearest training window by its rhythm": learned.hits[nearest],
        "the same, on the rhythm's steps only": learned.hits[nearest] * tap[..., :1],
        "nearest training window by rhythm and velocity": learned.hits[closer],
        "a closed hat for every note": usual,
    }
    rows: list[list[object]] = []
    for name, hits in cases.items():
        right = float((grid.hits * hits).sum())
        shares = right / hits.sum(), right / grid.hits.sum()
        rows.append([name, *(float(s) for s in shares), f1(grid.hits, hits)])
    neighbour = max(float(str(row[3])) for row in rows[1:4])
    return rows, {
        "drumify, F1": (f1(grid.hits, made), ""),
        "drumify, F1 of nearest neighbour": (neighbour, ""),
    }


def evenness(model: GrooveModel, test: Windows) -> list[list[object]]:
    """How much hits differ from each other: as played, and as drawn with some variations."""
    takes = sorted({t.name: t for t, _ in test}.values(), key=lambda t: -len(t.grid))[:_LONGEST]
    real = [take.grid.part(slice(0, 16 * kit.PLACES)) for take in takes]
    rows: list[list[object]] = [["drummers", *_differences(real)]]
    for variation in (0.0, 0.5, 1.0):
        drawn = [
            model.feel(
                dataclasses.replace(grid, written=np.zeros_like(grid.hits)),
                Known.of(grid, 1, 0, take.style),
                variation,
                np.random.default_rng(number),
                Job(),
            )
            for number, (take, grid) in enumerate(zip(takes, real, strict=True))
        ]
        rows.append([f"network, variation {variation:g}", *_differences(drawn)])
    return rows


def _differences(grids: list[Grid]) -> list[float]:
    """Mean absolute differences; the columns of `evenness`."""
    found: list[list[np.ndarray]] = [[], [], [], [], []]
    for grid in grids:
        hit, late = grid.hits > 0, grid.offset * _seconds(grid) * 1000
        loud = grid.velocity * 127
        two = hit.sum(1) == 2
        found[0].append(np.diff(late[two][hit[two]].reshape(-1, 2), axis=1).ravel())
        for piece in range(9):
            at = np.flatnonzero(hit[:, piece])
            near = np.diff(at) <= kit.STEPS
            again = at[np.isin(at + kit.PLACES, at)]
            for values, columns in ((late[:, piece], (1, 2)), (loud[:, piece], (3, 4))):
                found[columns[0]].append(np.diff(values[at])[near])
                found[columns[1]].append(values[again + kit.PLACES] - values[again])
    return [float(np.abs(np.concatenate(column)).mean()) for column in found]


def _errors(grid: Grid, velocity: np.ndarray, offset: np.ndarray) -> tuple[float, float]:
    """Mean absolute errors over all hits: of timing in ms, of velocity of 127."""
    hit = grid.hits > 0
    late = np.abs(offset - grid.offset) * _seconds(grid)
    loud = np.abs(velocity - grid.velocity)
    return float(late[hit].mean() * 1000), float(loud[hit].mean() * 127)


def _median(said: Said) -> tuple[np.ndarray, np.ndarray]:
    return said.velocity[..., _MIDDLE], said.offset[..., _MIDDLE]


def _seconds(grid: Grid) -> np.ndarray:
    """The length of each step."""
    return np.asarray(15 / grid.tempo[..., None])


def _elsewhere(take: Performance, start: int) -> np.ndarray:
    """How the take plays in all bars but the window's."""
    grid, end = take.grid, start + kit.WINDOW
    hits = grid.hits.copy()
    hits[start:end] = 0
    pattern = kit.pattern(dataclasses.replace(grid, hits=hits))
    return np.asarray(pattern[grid.place[start:end] % kit.PLACES])


def _flat(windows: np.ndarray) -> np.ndarray:
    return windows.reshape(len(windows), -1)


def _nearest(wanted: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """The row of `pool` nearest to each of `wanted`, by Euclidean distance."""
    apart = (pool**2).sum(1) - 2 * wanted @ pool.T
    return np.asarray(apart.argmin(1))


if __name__ == "__main__":
    main()
