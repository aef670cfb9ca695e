"""The bundle `phrases`: what its graphs are, and the directions of its attributes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.music import phrase_grid as grid
from triptych.training import export
from triptych.training.music.phrase_data import Phrases
from triptych.training.music.phrase_net import CONDITIONS

MOST = 20_000  # phrases on which directions are fitted
RIDGE = 1e-2  # of the attributes' regression, beside latents of variance one
SPAN = 1.5  # standard deviations that a whole move goes
AXES = 48  # principal axes of the fitted prior


def export_phrases(
    modules: Mapping[str, nn.Module],
    found: Mapping[str, Phrases],
    folder: Path,
    **facts: Any,
) -> Path:
    """Write the bundle; directions come from the training phrases `found`; `facts` go into the card
    (data, recipe)."""
    graphs: dict[str, export.GraphExport] = {}
    tables: dict[str, np.ndarray] = {}
    fits: dict[str, Any] = {}
    for kind, net in modules.items():
        net.eval()
        graphs |= _graphs(kind, net)
        rows = [phrases for key, phrases in sorted(found.items()) if key.startswith(kind)]
        directions, units, fit = attribute_directions(net, kind, rows)
        tables |= {f"{kind}-directions": directions, f"{kind}-units": units}
        for phrases in rows:
            tables |= fitted_prior(net, kind, phrases)
        fits[kind] = dict(zip(grid.ATTRIBUTES, fit, strict=True))
    packed = io.BytesIO()
    np.savez_compressed(packed, **tables)  # type: ignore[arg-type]
    card = bundle.Card(
        name="phrases",
        version="1.0.0",
        task="phrases",
        title="Phrases of melody, bass and drums",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        created=export.today(),
        notes=(
            "Variational autoencoders (after MusicVAE, Roberts et al. 2018) of phrases of 2 and 4 "
            "bars in 4/4, 3/4 and 6/8 on a grid of sixteenths. Split by composer, tune or song; "
            "JSB Chorales and Groove by their own splits; Nottingham and piano-midi.de are not in. "
            "latents.npz holds, for each kind, the latent directions of density, range and "
            "syncopation (regression of the measured attribute on the latent mean over training "
            "phrases, made independent of each other), how much a whole move changes each, and a "
            "Gaussian fitted to the latent means of training phrases in C major or A minor, from "
            "which new phrases are drawn."
        ),
        extra={
            "kit": list(grid.KIT),
            "lines": list(grid.LINES),
            "metres": list(grid.METRES),
            "steps_per_quarter": grid.STEPS,
            "attributes": list(grid.ATTRIBUTES),
            "attributes_r2": fits,
        },
        **facts,
    )
    return export.write_bundle(folder, card, graphs, {"latents.npz": packed.getvalue()})


def _graphs(kind: str, net: nn.Module) -> dict[str, export.GraphExport]:
    """The encoder (to the mean and log variance) and the decoder of one kind."""
    encoder: Any = net.encoder
    decoder: Any = net.decoder
    latent = decoder.spread.in_features
    trials = [_trial(kind, latent, n, steps) for n, steps in ((1, 32), (3, 64), (2, 24), (5, 48))]
    return {
        f"{kind}-encoder": export.GraphExport(
            encoder,
            {key: trials[0][key] for key in ("phrase", "condition")},
            ["mean", "log_variance"],
            {"phrase": {0: "n", 1: "steps"}, "condition": {0: "n"}}
            | {"mean": {0: "n"}, "log_variance": {0: "n"}},
            [{key: trial[key] for key in ("phrase", "condition")} for trial in trials],
            {"phrase": (0.0, 1.0 if kind == "drums" else grid.TOKENS - 1.0)}
            | {"condition": (0.0, CONDITIONS - 1.0)},
        ),
        f"{kind}-decoder": export.GraphExport(
            decoder,
            {key: trials[0][key] for key in ("z", "condition", "where")},
            ["logits"],
            {"z": {0: "n"}, "condition": {0: "n"}, "where": {0: "quarters"}}
            | {"logits": {0: "n", 1: "decoded"}},
            [{key: trial[key] for key in ("z", "condition", "where")} for trial in trials],
            {"condition": (0.0, CONDITIONS - 1.0)},
        ),
    }


def _trial(kind: str, latent: int, n: int, steps: int) -> dict[str, Tensor]:
    if kind == "drums":
        phrase = (torch.rand(n, steps, len(grid.KIT)) < 0.2).float()
        condition = torch.randint(0, len(grid.METRES), (n,))
    else:
        phrase = torch.where(
            torch.rand(n, steps) < 0.3, torch.randint(40, 90, (n, steps)), grid.HOLD
        )
        condition = torch.randint(0, CONDITIONS, (n,))
    return {
        "phrase": phrase,
        "condition": condition,
        "z": torch.randn(n, latent),
        "where": torch.zeros(steps // grid.STEPS),
    }


@torch.no_grad()
def attribute_directions(
    net: nn.Module, kind: str, found: list[Phrases]
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Latent directions (attributes x L), what a whole move changes (attributes), R squared.

    Each attribute is regressed on the latent mean (ridge). A direction changes its own attribute's
    prediction by SPAN standard deviations and the others' not at all; of all such it is the one
    most probable under the latents' covariance.
    """
    rng = np.random.default_rng(0)
    codes, values = [], []
    count = sum(len(phrases.steps) for phrases in found)
    for phrases in found:
        share = min(1.0, MOST / count)
        picked = rng.permutation(len(phrases.steps))[: max(1, round(share * len(phrases.steps)))]
        codes.append(latents(net, kind, phrases, picked))
        values += [grid.attributes(phrases.steps[row], int(phrases.metre[row])) for row in picked]
    z, y = np.concatenate(codes).astype(float), np.stack(values)
    deviation = y.std(0) + 1e-9
    z0, y0 = z - z.mean(0), (y - y.mean(0)) / deviation
    covariance = z0.T @ z0 / len(z)
    weights = np.linalg.solve(covariance + RIDGE * np.eye(z.shape[1]), z0.T @ y0 / len(z)).T
    spread = weights @ covariance
    overlap = spread @ weights.T + 1e-6 * np.eye(len(weights))  # an attribute may be constant
    directions = SPAN * np.linalg.solve(overlap, spread)
    fit = 1 - ((y0 - z0 @ weights.T) ** 2).mean(0)
    units = SPAN * deviation
    return directions.astype(np.float32), units.astype(np.float32), [round(r, 3) for r in fit]


@torch.no_grad()
def latents(net: nn.Module, kind: str, phrases: Phrases, rows: np.ndarray) -> np.ndarray:
    """The latent means of some rows of phrases."""
    made = []
    for at in range(0, len(rows), 512):
        part = rows[at : at + 512]
        steps = torch.from_numpy(phrases.steps[part])
        condition = phrases.part[part].astype(int) * len(grid.METRES) + phrases.metre[part]
        encoder: Any = net.encoder
        typed = steps.float() if kind == "drums" else steps.long()
        made.append(encoder(typed, torch.from_numpy(condition).long())[0].numpy())
    return np.concatenate(made)


def fitted_prior(net: nn.Module, kind: str, phrases: Phrases) -> dict[str, np.ndarray]:
    """The mean (L) and the principal axes (AXES x L) of latent means, for each part that is there.

    Lines are transposed to C major or A minor, for a Gaussian over all keys is in none of them.
    """
    rng = np.random.default_rng(1)
    steps = phrases.steps.shape[1]
    made: dict[str, np.ndarray] = {}
    for part in np.unique(phrases.part):
        rows = rng.permutation(np.flatnonzero(phrases.part == part))[: MOST // 4]
        chosen = phrases.steps[rows]
        if kind == "lines":
            chosen = np.stack([in_c(phrase) for phrase in chosen])
        none = np.zeros(len(rows), int)
        plain = Phrases(chosen, phrases.metre[rows], phrases.part[rows], none, ())
        z = latents(net, kind, plain, np.arange(len(rows))).astype(float)
        _, long, axes = np.linalg.svd(z - z.mean(0), full_matrices=False)
        factor = long[:AXES, None] / np.sqrt(len(z)) * axes[:AXES]
        key = f"{kind}-{part}-{steps}"
        made |= {f"{key}-mean": z.mean(0).astype(np.float16)}
        made |= {f"{key}-axes": factor.astype(np.float16)}
    return made


def in_c(tokens: np.ndarray) -> np.ndarray:
    """A line moved by at most six semitones to where it fits C major or A minor best."""
    pitched = tokens < grid.OFF
    pitches = tokens[pitched].astype(int)
    scale, triads = np.zeros(12), np.zeros(12)
    scale[[0, 2, 4, 5, 7, 9, 11]], triads[[0, 4, 7, 9]] = 1.0, 0.3
    fit = scale + triads
    by = max(range(-6, 6), key=lambda d: (fit[(pitches + d) % 12].sum(), -abs(d)))
    moved = tokens.astype(int)
    moved[pitched] = (pitches + by).clip(0, 127)
    return moved
