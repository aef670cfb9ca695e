"""The recipe `phrases`: variational autoencoders of lines and of drums, 2 and 4 bars long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.music.phrase_grid import METRES, OFF, STEPS
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run, averaged
from triptych.training.muon import MuonAdam
from triptych.training.music import phrase_data
from triptych.training.music.phrase_export import export_phrases
from triptych.training.music.phrase_net import PhraseVAE


@dataclass
class PhraseSettings:
    """Settings of the recipe `phrases`."""

    part: str = "both"  # or "lines", "drums": train only these
    joined: Path | None = None  # a run of the other part, whose network goes into the bundle too
    rate: float = 2e-3
    width: int = 144  # of the lines' network
    depth: tuple[int, ...] = (2, 2)  # blocks of encoder and decoder
    latent: int = 192
    drums_width: int = 96
    drums_depth: tuple[int, ...] = (1, 2)
    drums_latent: int = 128
    beta: float = 0.5  # weight of the KL divergence above the free bits; MusicVAE: 0.2
    free_bits: float = 48.0  # of a phrase of 2 bars, as MusicVAE
    mixed: float = 0.25  # share of examples put together of two phrases
    note: str = ""  # what else the card is to say of the run


class Examples(NamedTuple):
    """A batch of one kind: phrases (N x T tokens or N x T x 9 bits), conditions (N)."""

    phrase: Tensor
    condition: Tensor


class PhraseRecipe(Recipe):
    """Train both autoencoders; see phrase_data for what goes in and phrase_net for the networks.

    The loss is the negative log likelihood of all steps plus beta times what the KL divergence
    exceeds the free bits by (Kingma et al. 2016), in nats a quarter note.
    """

    name = "phrases"

    def __init__(self, settings: PhraseSettings | None = None) -> None:
        self.settings = settings or PhraseSettings()
        self.loop = LoopSettings(
            steps=20000, batch=128, warmup=100, ema=0.998, clip=1.0, log_every=50
        )

    def sources(self) -> list[data.Source]:
        return list(phrase_data.sources())

    def phrases(self) -> dict[str, phrase_data.Phrases]:
        """The training phrases by kind, bars and steps."""
        return phrase_data.phrases("train")

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        self.kinds = ["lines", "drums"] if self.settings.part == "both" else [self.settings.part]
        found = self.phrases()
        self.sets = {
            kind: [p for key, p in sorted(found.items()) if key.startswith(kind)]
            for kind in self.kinds
        }
        self.shares = {
            kind: np.array([len(p.steps) ** 0.75 / p.steps.shape[1] for p in sets])
            for kind, sets in self.sets.items()
        }
        self.weights = {kind: [_weights(p) for p in sets] for kind, sets in self.sets.items()}
        s = self.settings
        sizes = {
            "lines": (False, s.width, list(s.depth), s.latent),
            "drums": (True, s.drums_width, list(s.drums_depth), s.drums_latent),
        }
        return {kind: PhraseVAE(*sizes[kind]).to(device) for kind in self.kinds}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rate = self.settings.rate
        made: dict[str, torch.optim.Optimizer] = {}
        for kind, net in modules.items():
            matrices: list[nn.Parameter] = []
            others: list[nn.Parameter] = []
            for name, weight in net.named_parameters():
                inner = "blocks" in name and weight.ndim == 2
                (matrices if inner else others).append(weight)
            groups = [
                {"params": matrices, "lr": rate, "muon": True},
                {"params": others, "lr": rate},
            ]
            made[kind] = MuonAdam(groups, betas=(0.95, 0.99))
        return made

    def batch(self, indices: range, device: torch.device) -> dict[str, Examples]:
        # All examples of a step are equally long: which length, the step's number says alone.
        step = indices.start // self.loop.batch
        made = {}
        for kind in self.kinds:
            rng = np.random.default_rng((self.loop.seed, step, 1))
            share = self.shares[kind]
            chosen = rng.choice(len(share), p=share / share.sum())
            found, weights = self.sets[kind][chosen], self.weights[kind][chosen]
            rows, conditions = [], []
            for index in indices:
                rng = np.random.default_rng((self.loop.seed, index))
                phrase, condition = self._example(found, weights, rng)
                rows.append(phrase)
                conditions.append(condition)
            stacked = torch.from_numpy(np.stack(rows))
            stacked = stacked.float() if kind == "drums" else stacked.long()
            made[kind] = Examples(stacked.to(device), torch.tensor(conditions, device=device))
        return made

    def _example(
        self, found: phrase_data.Phrases, weights: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, int]:
        """One phrase, transposed, or put together of two, with its condition."""
        pick = int(np.searchsorted(weights, rng.random()))
        phrase, metre = found.steps[pick], int(found.metre[pick])
        condition = int(found.part[pick]) * len(METRES) + metre
        drums = phrase.ndim == 2
        if not drums:
            phrase = _transposed(phrase, int(rng.integers(-6, 7)))
        second = int(np.searchsorted(weights, rng.random()))
        alike = (found.part[second], found.metre[second]) == (found.part[pick], metre)
        if rng.random() < self.settings.mixed and alike:
            other = found.steps[second]
            if drums and rng.random() < 0.5:  # hands of the one, feet of the other
                phrase = np.where(rng.random(phrase.shape[1]) < 0.5, phrase, other)
            else:  # half of the one, half of the other
                if not drums:
                    other = _transposed(other, int(rng.integers(-6, 7)))
                half = len(phrase) // 2
                phrase = np.concatenate([phrase[:half], other[half:]])
        return phrase, condition

    def loss(
        self,
        part: str,
        modules: Mapping[str, nn.Module],
        batch: dict[str, Examples],
        progress: float,
    ) -> tuple[Tensor, dict[str, float]]:
        phrase, condition = batch[part]
        logits, mean, log_variance = modules[part](phrase, condition)
        logits = logits.float()
        quarters = phrase.shape[1] / STEPS
        if part == "drums":
            missed = F.binary_cross_entropy_with_logits(logits, phrase, reduction="sum")
            right = ((logits > 0) == (phrase > 0.5)).all(-1)
        else:
            missed = F.cross_entropy(logits.flatten(0, 1), phrase.flatten(), reduction="sum")
            right = logits.argmax(-1) == phrase
        divergence = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1)
        free = self.settings.free_bits * np.log(2) * quarters / 8
        beta = self.settings.beta * min(1.0, progress / 0.1)  # first learn to copy
        over = (divergence - free).clamp(min=0).mean()
        total = (missed / len(phrase) + beta * over) / quarters
        figures = {
            f"{part} accuracy": float(right.float().mean()),
            f"{part} KL": float(divergence.detach().mean() / quarters),
        }
        return total, figures

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        made = export.made_by(self, asdict(self.settings), run)
        modules, found = dict(modules), self.phrases()
        if self.settings.joined is not None:
            other, its_run = self._joined(self.settings.joined)
            modules |= averaged(other, its_run)
            made["joined"] = export.made_by(other, asdict(other.settings), its_run)
        return export_phrases(
            modules, found, folder, data=export.ledger(self.sources()), recipe=made
        )

    def _joined(self, path: Path) -> tuple[PhraseRecipe, Run]:
        """The recipe and the run of the other part."""
        saved = json.loads((path / "settings.json").read_text())
        other = PhraseRecipe(PhraseSettings(**saved["settings"]))
        other.loop = replace(other.loop, **saved["loop"])
        return other, Run(path)


def _weights(found: phrase_data.Phrases) -> np.ndarray:
    """Running sums of the phrases' chances: a set counts with the root of its size."""
    count = np.bincount(found.group, minlength=len(found.groups)).astype(float)
    chance = (1 / np.sqrt(np.maximum(count, 1)))[found.group]
    return np.cumsum(chance / chance.sum())


def _transposed(phrase: np.ndarray, by: int) -> np.ndarray:
    """The line `by` semitones higher where MIDI and the instruments go so far."""
    pitched = phrase < OFF
    if pitched.any():
        low, high = int(phrase[pitched].min()), int(phrase[pitched].max())
        if low + by < 24 or high + by > 103:
            return phrase
    return np.where(pitched, phrase.astype(int) + by, phrase)
