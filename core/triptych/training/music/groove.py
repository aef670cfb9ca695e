"""The recipe `groove`: how drummers play, learned by hiding parts of what they played."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych import bundle
from triptych.music import kit
from triptych.music.kit import LEVELS, STYLES, WINDOW, Grid, Known, features
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.music import groove_data, sets
from triptych.training.music.groove_data import Performance
from triptych.training.music.groove_net import GrooveNet, pinball

_MIDDLE = len(LEVELS) // 2


@dataclass
class GrooveSettings:
    """Settings of the recipe `groove`."""

    rate: float = 2e-3
    width: int = 128
    layers: int = 2
    dropout: float = 0.25
    humanise: float = 0.6  # share of examples in which all hits are known
    drumify: float = 0.25  # in which a rhythm is known; in the rest, some pieces are


class GrooveRecipe(Recipe):
    """One network learns all tasks: what is known differs from example to example.

    Two bars of a take of the training split, from any beat on. Style is hidden in 3 of 10.
    """

    name = "groove"

    def __init__(self, settings: GrooveSettings | None = None) -> None:
        self.settings = settings or GrooveSettings()
        self.loop = LoopSettings(
            steps=6000, batch=64, precision="32-true", warmup=200, clip=1.0, picture_every=300
        )

    def sources(self) -> list[data.Source]:
        source = sets.groove(data.data_root())
        return [dataclasses.replace(source, note=f"{source.note}; its training split")]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        takes = groove_data.performances(self.sources()[0])
        self.train = [
            (take, start)
            for take in takes
            if take.split == "train"
            for start in range(0, len(take.grid) - WINDOW + 1, kit.STEPS)
            if take.grid.hits[start : start + WINDOW].any()
        ]
        self.valid = groove_data.two_bars([t for t in takes if t.split == "validation"])
        s = self.settings
        return {"net": GrooveNet(s.width, s.layers, s.dropout)}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rate = self.settings.rate
        return {"net": torch.optim.AdamW(modules["net"].parameters(), rate, weight_decay=0.01)}

    def batch(self, indices: range, device: torch.device) -> dict[str, Tensor]:
        chosen, known = [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            take, start = self.train[int(rng.integers(len(self.train)))]
            chosen.append((take, start))
            known.append(told(take, start, self.settings, rng))
        grid = groove_data.cut(chosen)
        made = inputs(grid, known_of(known))
        return {name: torch.from_numpy(value).to(device) for name, value in made.items()}

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        hits, velocity, offset = modules["net"](batch["features"])
        unsure = batch["unsure"]
        each = F.binary_cross_entropy_with_logits(hits, batch["hits"], reduction="none")
        losses = {
            "hits": (each * unsure).sum() / unsure.sum().clamp(min=1),
            "velocity": _mean(pinball(batch["velocity"], velocity), batch["unfelt"]) * 127,
            "timing": _mean(pinball(batch["offset"], offset), batch["unfelt"]) * 1000,
        }
        total = losses["hits"] + losses["velocity"] / 20 + losses["timing"] / 15
        return total, {name: float(value.detach()) for name, value in losses.items()}

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """Mean absolute errors of humanising, and drumify's F1, on the validation windows."""
        takes = self.valid
        if not takes:
            return {}
        grid = groove_data.cut(takes)
        styles = np.array([take.style for take, _ in takes])
        known = dataclasses.replace(Known.of(grid, 1, 0), style=styles)
        _, velocity, offset = net(torch.from_numpy(features(grid, known)))
        seconds = offset[..., _MIDDLE].numpy()
        hit = grid.hits > 0
        late = np.abs(seconds - grid.offset * 15 / grid.tempo[..., None])[hit].mean()
        loud = np.abs(velocity[..., _MIDDLE].numpy() - grid.velocity)[hit].mean()
        tap = kit.tapped(grid)
        known = dataclasses.replace(
            Known.of(grid, 0, 0), style=styles, tap=tap, tapped=np.ones_like(tap[..., 0])
        )
        logits, _, _ = net(torch.from_numpy(features(grid, known)))
        threshold, f1 = best_threshold(logits.numpy(), grid.hits, tap[..., :1])
        return {
            "timing error": float(late * 1000),
            "velocity error": float(loud * 127),
            "drumify F1": f1,
            "threshold": threshold,
        }

    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        figures = self.validate(modules["net"])
        print("validation:", "  ".join(f"{k} {v:.4g}" for k, v in figures.items()), flush=True)
        return None

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["net"].cpu().float().eval()
        figures = self.validate(net)
        threshold = figures.pop("threshold", 0.5)
        trials = [{"features": torch.rand(n, WINDOW, kit.FEATURES)} for n in (2, 1, 16)]
        outputs = ["hits", "velocity", "offset"]
        free = {name: {0: "n"} for name in ("features", *outputs)}
        units = {"timing error": "ms", "velocity error": "of 127"}
        card = bundle.Card(
            name="groove",
            version="1.0.0",
            task="groove",
            title="A drummer's feel",
            licence="Apache-2.0",
            graphs={},
            authors=["The Triptych developers"],
            notes=(
                "Velocity, microtiming and missing hits of drums, two bars at a time. Learned from "
                "the training split of the Groove MIDI Dataset by Jon Gillick, Adam Roberts, Jesse "
                "Engel, Douglas Eck and David Bamman (Google LLC), CC BY 4.0."
            ),
            created=export.today(),
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
            metrics=[
                {
                    "name": f"validation, {name}",
                    "value": round(value, 3),
                    "unit": units.get(name, ""),
                    "test": "two-bar windows of the validation split",
                }
                for name, value in figures.items()
            ],
            extra={
                "levels": list(LEVELS),
                "styles": list(STYLES),
                "threshold": threshold,
                "ahead": groove_data.ahead({id(t): t for t, _ in self.train}.values()),
            },
        )
        graph = export.GraphExport(net, trials[0], outputs, free, trials)
        return export.write_bundle(folder, card, {"groove": graph}, {})


def told(
    take: Performance, start: int, settings: GrooveSettings, rng: np.random.Generator
) -> dict[str, Any]:
    """What is told of one window: the fields of Known without N, and `triplets`."""
    steps = slice(start, start + WINDOW)
    hits = take.grid.hits[steps]
    task = rng.random()
    tap, tapped = np.zeros((WINDOW, 3), np.float32), np.zeros(WINDOW, np.float32)
    shown = np.ones((WINDOW, 9), np.float32)
    felt = np.zeros((WINDOW, 9), np.float32)
    if task < settings.humanise:
        if rng.random() < 0.4:
            felt = _random(rng, rng.random())
    elif task < settings.humanise + settings.drumify:
        tap, tapped = _rhythm(take.grid, steps, rng)
        if rng.random() < 0.7:
            shown = _random(rng, rng.random() * (rng.random() < 0.4))
    else:
        pieces = rng.random(9) < rng.random()
        shown = np.maximum(pieces, _random(rng, rng.random() * (rng.random() < 0.4)))
        felt = shown * (rng.random() < 0.7)
        if rng.random() < 0.3:
            tap, tapped = _rhythm(take.grid, steps, rng)
    like = np.zeros((WINDOW, 27), np.float32)
    if rng.random() < 0.3:
        like = _elsewhere(take.grid, start, rng)
    return {
        "hits": shown.astype(np.float32),
        "feel": (felt * hits).astype(np.float32),
        "tap": tap,
        "tapped": tapped,
        "like": like,
        "style": take.style if rng.random() < 0.7 else -1,
        "triplets": rng.random() < 0.2,
    }


def known_of(each: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What `told` says of several windows, stacked."""
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def inputs(grid: Grid, known: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the loss takes: `features`, what is wanted, and where it is not known.

    `offset` is in seconds. Where a rhythm is all there is, only its steps are unsure.
    """
    thirds = known.pop("triplets")[:, None, None] & (grid.place % 2 == 1)[..., None]
    grid.written = np.rint(grid.offset * 3).clip(-1, 1) / 3 * thirds * grid.hits
    told = Known(**known)
    open_step = np.where(told.tapped == 1, told.tap[..., 0], 1)[..., None]
    return {
        "features": features(grid, told),
        "hits": grid.hits,
        "velocity": grid.velocity,
        "offset": (grid.offset * 15 / grid.tempo[..., None]).astype(np.float32),
        "unsure": ((1 - told.hits) * open_step).astype(np.float32),
        "unfelt": grid.hits * told.hits * (1 - told.feel),
    }


def best_threshold(logits: np.ndarray, hits: np.ndarray, tap: np.ndarray) -> tuple[float, float]:
    """The probability from which on to hit so that F1 (on tapped steps) is highest; that F1."""
    likely = 1 / (1 + np.exp(-logits))
    found = [(f1(hits, (likely >= t) * tap), t) for t in np.arange(0.2, 0.7, 0.025)]
    score, threshold = max(found)
    return float(threshold), float(score)


def f1(hits: np.ndarray, made: np.ndarray) -> float:
    """The harmonic mean of precision and recall over all cells of all windows."""
    right = float((hits * made).sum())
    return 2 * right / max(float(hits.sum() + made.sum()), 1.0)


def _rhythm(grid: Grid, steps: slice, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The window as one channel; flat in 3 of 10, without some steps (and so told) in 3 of 10."""
    tap, tapped = kit.tapped(grid.part(steps)), np.ones(WINDOW, np.float32)
    if rng.random() < 0.3:
        tap[:, 1] = tap[:, 0] * kit.FLAT
        tap[:, 2] = 0
    if rng.random() < 0.3:
        tap *= (rng.random((WINDOW, 1)) >= rng.random()).astype(np.float32)
        tapped *= 0.5
    return tap, tapped


def _elsewhere(grid: Grid, start: int, rng: np.random.Generator) -> np.ndarray:
    """How the same take plays in other bars than the window's, by the step's place: WINDOW x 27."""
    before, after = start, len(grid) - start - WINDOW
    length = kit.PLACES * int(rng.integers(1, 9))
    if max(before, after) < kit.PLACES:
        return np.zeros((WINDOW, 27), np.float32)
    if rng.random() * (before + after) < before:
        low = max(0, start - length)
        chosen = slice(low, start)
    else:
        chosen = slice(start + WINDOW, min(len(grid), start + WINDOW + length))
    return kit.pattern(grid.part(chosen))[grid.place[start : start + WINDOW] % kit.PLACES]


def _random(rng: np.random.Generator, share: float) -> np.ndarray:
    return (rng.random((WINDOW, 9)) < share).astype(np.float32)


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    return (each * weight).sum() / weight.sum().clamp(min=1)
