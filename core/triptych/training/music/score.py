"""The recipe `score`: the recurrent model that makes and continues pieces."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych import bundle
from triptych.music import events
from triptych.music.events import END, FIELDS, START, STATE, Bars
from triptych.music.theory import estimate_key
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.music import score_data
from triptych.training.music.event_net import EventNet, Step
from triptych.training.music.score_data import Piece

_ALONE = 0.35  # of the examples are of one part alone


@dataclass
class ScoreSettings:
    """Settings of the recipe `score`."""

    name: str = "score"  # of the bundle
    rate: float = 2e-3
    width: int = 384
    layers: int = 2
    dropout: float = 0.1
    length: int = 128  # events of an example
    balance: float = 0.5  # 1 draws a collection by its notes, 0 each alike


class ScoreRecipe(Recipe):
    """Teacher-forced next-event prediction; each example begins at a random bar of a piece.

    Some are of one part alone. Every window is transposed to C major or A minor by its own notes,
    since pieces modulate.
    """

    name = "score"

    def __init__(self, settings: ScoreSettings | None = None) -> None:
        self.settings = settings or ScoreSettings()
        self.loop = LoopSettings(steps=30000, batch=32, warmup=200, ema=0.998, clip=1.0)

    def sources(self) -> list[data.Source]:
        return score_data.all_sources(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        every = score_data.pieces(data.data_root())
        self.drawn = Drawn([p for p in every if p.split == "train"], self.settings.balance)
        self.valid = [
            example(piece, self.settings.length, np.random.default_rng((9, number)))
            for number, piece in enumerate(some_held([p for p in every if p.split == "valid"]))
        ]
        s = self.settings
        return {"net": EventNet(s.width, s.layers, s.dropout)}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        return {
            "net": torch.optim.AdamW(
                modules["net"].parameters(), self.settings.rate, (0.9, 0.98), weight_decay=0.01
            )
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        made = []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            made.append(example(self.drawn(rng), self.settings.length, rng))
        return {k: t.to(device) for k, t in stacked(made).items()}

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        losses = self._losses(modules["net"], batch)
        total = torch.stack(list(losses.values())).sum()
        return total, {name: float(value.detach()) for name, value in losses.items()}

    def _losses(self, net: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        wanted = batch["wanted"]
        logits = net(batch["before"], batch["state"], wanted[..., :4], batch["place"])
        return field_losses(logits, wanted, batch["known"])

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """Nats per event on the validation pieces, by field."""
        net.eval()
        losses = self._losses(net, stacked(self.valid))
        net.train()
        return {name: float(value) for name, value in losses.items()}

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["net"].cpu().float().eval()
        assert isinstance(net, EventNet)
        figures = self.validate(net)
        card = bundle.Card(
            name=self.settings.name,
            version="1.0.0",
            task="score",
            title="Pieces, note by note",
            licence="Apache-2.0",
            graphs={},
            authors=["The Triptych developers"],
            notes="A recurrent model of scores: generates and continues pieces, bar by bar.",
            created=export.today(),
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
            metrics=[
                {
                    "name": f"validation, {name}",
                    "value": round(value, 4),
                    "unit": "nats an event",
                    "test": "64 held-out pieces",
                }
                for name, value in figures.items()
            ],
        )
        return export.write_bundle(folder, card, graphs(net), {})


class Drawn:
    """Pieces drawn at random by their number of notes; rare collections more often.

    A collection's share is its share of the notes to the power `balance`.
    """

    def __init__(self, pieces: Sequence[Piece], balance: float) -> None:
        self.pieces = pieces
        sizes = np.array([len(p.events) for p in pieces], float)
        kinds = np.array([p.collection for p in pieces])
        whole = np.bincount(kinds, sizes, len(events.COLLECTIONS))
        shares = sizes * (whole[kinds].clip(1) ** (balance - 1))
        self._cumulative = np.cumsum(shares / shares.sum())

    def __call__(self, rng: np.random.Generator) -> Piece:
        place = int(np.searchsorted(self._cumulative, rng.random()))
        return self.pieces[min(place, len(self.pieces) - 1)]


def some_held(held: Sequence[Piece], count: int = 64) -> list[Piece]:
    """A few of the held-out pieces, of all collections alike."""
    return [held[int(i)] for i in np.linspace(0, len(held) - 1, min(count, len(held)))]


def graphs(net: EventNet) -> dict[str, export.GraphExport]:
    """The graphs of the model: `step` and `heads`."""
    rng = torch.Generator().manual_seed(0)

    def classes(count: int, sizes: list[int]) -> Tensor:
        return torch.stack(
            [torch.randint(0, size, (count,), generator=rng) for size in sizes], dim=1
        )

    def steps(count: int) -> dict[str, Tensor]:
        memory = torch.randn(net.recurrent.num_layers, count, net.recurrent.hidden_size) * 0.5
        return {
            "event": classes(count, list(FIELDS.values())),
            "state": classes(count, list(STATE.values())),
            "memory": memory,
        }

    def draws(count: int) -> dict[str, Tensor]:
        return {
            "context": torch.randn(count, net.recurrent.hidden_size) * 0.5,
            "chosen": classes(count, list(FIELDS.values())[:-1]),
            "place": classes(count, [STATE["place"]])[:, 0],
        }

    return {
        "step": export.GraphExport(
            Step(net),
            steps(2),
            ["context", "after"],
            {
                **{k: {0: "n"} for k in ("event", "state", "context")},
                **{k: {1: "n"} for k in ("memory", "after")},
            },
            [steps(1), steps(3), steps(8)],
            named=True,
        ),
        "heads": export.GraphExport(
            net.heads,
            draws(2),
            list(FIELDS),
            {k: {0: "n"} for k in ("context", "chosen", "place", *FIELDS)},
            [draws(1), draws(3), draws(8)],
            named=True,
        ),
    }


def field_losses(logits: Sequence[Tensor], wanted: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Cross entropy of each field in nats, over the events for which it means something."""
    losses = {}
    for index, (name, made) in enumerate(zip(FIELDS, logits, strict=True)):
        use = known[..., index]
        each = F.cross_entropy(
            made.flatten(0, -2).float(), wanted[..., index].flatten(), reduction="none"
        )
        losses[name] = (each * use.flatten()).sum() / use.sum().clamp(min=1)
    return losses


def stacked(examples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    """Examples as one batch."""
    return {k: torch.from_numpy(np.stack([e[k] for e in examples])) for k in examples[0]}


def example(piece: Piece, length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A window of at most `length` events from a random bar on, with all that the net is given.

    `before` (T x 5) and `wanted` (T x 5) are classes, `state` (T x 7) what holds after `before`,
    `place` (T) the place in the bar of `wanted`, `known` (T x 5) 1 where `wanted` means something.
    """
    if rng.random() < _ALONE:
        piece = one_part(piece, rng)
    low = _first_bar(piece, length, rng)
    start = int(piece.bars.starts[low])
    array = piece.events[np.searchsorted(piece.events["tick"], start) :]
    whole = len(array) < length
    array = array[: length - 1 if whole else length]
    shift, minor = home(array, piece.minor)
    return inputs(transposed(array, shift), start, piece, minor, length, ended=whole)


def one_part(piece: Piece, rng: np.random.Generator) -> Piece:
    """One of a piece's parts alone, mostly the highest: the tune, as `melody` is asked for one.

    A part of a few notes is not a tune: then the piece stays whole.
    """
    pitched = piece.events[piece.events["part"] != events.DRUMS]
    parts = np.unique(pitched["part"])
    if len(parts) < 2:
        return piece
    heights = [pitched["pitch"][pitched["part"] == part].mean() for part in parts]
    chosen = parts[np.argmax(heights)] if rng.random() < 0.7 else rng.choice(parts)
    alone = piece.events[piece.events["part"] == chosen]
    return dataclasses.replace(piece, events=alone) if len(alone) >= 16 else piece


def _first_bar(piece: Piece, length: int, rng: np.random.Generator) -> int:
    """A bar from which on there is music; the first one half of the time in short pieces."""
    if rng.random() < 0.2 or len(piece.events) < 16:
        return 0
    last = int(piece.events["tick"][-min(len(piece.events), max(16, length // 2))])
    return int(rng.integers(0, np.searchsorted(piece.bars.starts, last, "right")))


def home(array: np.ndarray, minor: bool) -> tuple[int, bool]:
    """The shift that brings EVENTs to C major or A minor by their own notes; whether to minor.

    `minor` is said of an array without pitched notes.
    """
    pitched = array[array["part"] != events.DRUMS]
    if not len(pitched):
        return 0, minor
    key = estimate_key(events.notes_of(pitched))
    return events.shift_to_c(key), key.minor


def transposed(array: np.ndarray, shift: int) -> np.ndarray:
    """EVENTs shifted by semitones; drums stay."""
    array = array.copy()
    pitched = array["part"] != events.DRUMS
    array["pitch"][pitched] = events.folded(array["pitch"][pitched] + shift)
    return array


def inputs(
    array: np.ndarray,
    start: int,
    piece: Piece,
    minor: bool,
    length: int,
    ended: bool,
    bars: Bars | None = None,
) -> dict[str, np.ndarray]:
    """What the net is given for these EVENTs, padded to `length`; see `example`.

    Beside that `ticks` (T) are those of `wanted`. `bars` stand for the piece's own.
    """
    bars = bars or piece.bars
    count = len(array)
    wanted = np.zeros((length, 5), np.int64)
    known = np.zeros((length, 5), np.float32)
    ticks = np.concatenate([[start], array["tick"]]).astype(np.int64)
    wanted[:count, 0] = np.diff(ticks).clip(0, events.LONGEST_STEP)
    for index, name in enumerate(("part", "pitch", "duration", "velocity"), 1):
        wanted[:count, index] = array[name]
    known[:count] = 1
    known[:count, 4] = piece.dynamics
    if ended and count < length:
        wanted[count, 0], known[count, 0] = END, 1
    before = np.zeros((length, 5), np.int64)
    before[0, 1] = START
    before[1:] = wanted[:-1]
    if not piece.dynamics:  # a flat velocity is no velocity: 0, which no note has
        before[:, 4] = 0
    at = np.full(length + 1, ticks[-1])
    at[: count + 1] = ticks
    at, following = at[:-1], at[1:]
    told = bars.state(at)
    told |= {"collection": np.full(length, piece.collection), "minor": np.full(length, minor)}
    told["pace"] = np.full(length, piece.pace)
    state = np.stack([told[name] for name in STATE], 1).astype(np.int64)
    place = bars.state(following)["place"].astype(np.int64)
    return {
        "before": before,
        "wanted": wanted,
        "state": state,
        "place": place,
        "known": known,
        "ticks": following,
    }
