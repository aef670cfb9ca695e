"""Our perceptual network against its teacher SqueezeNet 1.1, on photographs it never saw.

Per tap: relative error and cosine of the features and of their Gram matrices. Then whether both
put stylised pictures in the same order of the style objective.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

import numpy as np
import results
import subjects
import torch
from torch import Tensor

from triptych import bundle
from triptych.engine import Engine
from triptych.training.image.perceptual import TAPS, PerceptualNet, Taps, gram
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.image.style_loss import (
    STYLE_TAPS,
    STYLE_WEIGHT,
    content_target,
    style_targets,
    style_terms,
)

STRENGTHS = (0.0, 0.5)  # besides the full style: pictures of which we know that they are worse


def main() -> None:
    """Measure, then write the section and the figures."""
    made = results.parser("Our perceptual network against SqueezeNet 1.1.", "perceptual")
    made.add_argument("--photographs", type=int, default=24, help="for the features")
    made.add_argument("--rank-photographs", type=int, default=3, help="that are stylised")
    made.add_argument("--styles", type=int, default=None, help="only the first so many styles")
    made.add_argument("--size", type=int, default=subjects.SIZE, help="of a photograph, in px")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    teacher, ours = subjects.judge(), load_perceptual()
    with torch.no_grad():
        rows = agreement(teacher, ours, options)
        orders = ranks(teacher, ours, options)
    head = ("tap", "features: error", "cosine", "Gram: error", "cosine")
    means = [float(np.mean([float(row[i]) for row in rows])) for i in range(1, 5)]
    within, pooled = statistics.median(orders[0]), orders[1]
    body = f"""On {options.photographs} Kodak photographs at {options.size} px (relative error:
norm of the difference over the teacher's norm; means over photographs):

{results.table(head, [*rows, ["**mean**", *means]])}

Rank correlation (Spearman) of the style objective between both judges: median {within:.3f}, lowest
{min(orders[0]):.3f} over {len(orders[0])} orders, each of all pictures made from one photograph
(every style at full strength, its own style also at {" and ".join(map(str, STRENGTHS))}) by their
distance from one style; {pooled:.3f} over all pictures, each judged by its own style."""
    results.publish(options, "The perceptual network against its teacher", body)
    figures = {
        "features: relative error, mean of taps": (means[0], ""),
        "features: cosine, mean of taps": (means[1], ""),
        "Gram matrices: relative error, mean of taps": (means[2], ""),
        "Gram matrices: cosine, mean of taps": (means[3], ""),
        "rank correlation of the style objective": (within, "Spearman, median"),
    }
    results.card_metrics(options, bundle.get_bundle("perceptual"), figures)


def agreement(
    teacher: Taps, ours: PerceptualNet, options: argparse.Namespace
) -> list[list[str | float]]:
    """A row for each tap: its name, error and cosine of features, of Gram matrices."""
    found: list[list[tuple[float, ...]]] = [[] for _ in TAPS]
    for photograph in subjects.photographs(options.photographs, options.size):
        x = subjects.as_tensor(photograph)
        for place, (a, b) in enumerate(zip(teacher(x), ours(x), strict=True)):
            found[place].append((*apart(a, b), *apart(gram(a), gram(b))))
    return [
        [name, *(float(v) for v in np.mean(values, 0))]
        for name, values in zip(TAPS, found, strict=True)
    ]


def apart(wanted: Tensor, made: Tensor) -> tuple[float, float]:
    """Relative error and cosine."""
    error = (made - wanted).norm() / wanted.norm()
    return float(error), float(torch.cosine_similarity(made.flatten(), wanted.flatten(), dim=0))


def ranks(
    teacher: Taps, ours: PerceptualNet, options: argparse.Namespace
) -> tuple[list[float], float]:
    """Rank correlations: one per photograph and style, and one over all pictures."""
    engine = Engine(["cpu"], threads=options.threads)
    styles = subjects.library(bundle.get_bundle("style", "style"))[: options.styles]
    judges: list[Taps] = [teacher, ours]
    wanted = [[style_targets(j, subjects.as_tensor(s.picture)) for s in styles] for j in judges]
    orders: list[float] = []
    own: list[list[float]] = [[], []]
    for photograph in subjects.photographs(options.rank_photographs, options.size):
        x = subjects.as_tensor(photograph)
        # scores[judge][picture][style]; `owner` says in which style a picture was made, and how
        scores: list[list[list[float]]] = [[], []]
        contents = [content_target(j, x) for j in judges]
        owner: list[tuple[int, float]] = []
        for place, style in enumerate(styles):
            full = subjects.as_tensor(subjects.stylised(engine, photograph, style.given))
            for strength in (1.0, *STRENGTHS):
                made = x + strength * (full - x)
                owner.append((place, strength))
                for i, judge in enumerate(judges):
                    taps = judge(made, upto=len(STYLE_TAPS))
                    row = [objective(taps, contents[i], target) for target in wanted[i]]
                    scores[i].append(row)
        for place in range(len(styles)):
            chosen = [n for n, (p, s) in enumerate(owner) if s == 1 or p == place]
            a, b = ([scores[i][n][place] for n in chosen] for i in range(2))
            orders.append(spearman(a, b))
        for n, (place, strength) in enumerate(owner):
            if strength == 1:
                for i in range(2):
                    own[i].append(scores[i][n][place])
    return orders, spearman(*own)


def objective(taps: Sequence[Tensor], content: Tensor, target: Sequence[Tensor]) -> float:
    """The style objective of the picture with these taps."""
    content_term, style_term = style_terms(taps, content, target)
    return float(content_term + STYLE_WEIGHT * style_term)


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """The rank correlation of two lists without ties."""
    first, second = (np.argsort(np.argsort(v)) for v in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


if __name__ == "__main__":
    main()
