"""The recipe `infill`: the model that fills gaps, harmonises and accompanies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.music import infilling
from triptych.music.events import FIELDS, PARTS, STATE, VOICES, Bars
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.music import score_data
from triptych.training.music.infill_net import InfillNet, Reader, Writer
from triptych.training.music.score import (
    Drawn,
    field_losses,
    home,
    inputs,
    some_held,
    transposed,
)
from triptych.training.music.score_data import Piece

LONGEST_GAP = 128  # events
GROUP = 8  # examples padded to the same length


@dataclass
class InfillSettings:
    """Settings of the recipe `infill`."""

    name: str = "infill"  # of the bundle
    rate: float = 1e-3
    width: int = 256
    layers: int = 3
    dropout: float = 0.1
    balance: float = 0.5  # 1 draws a collection by its notes, 0 each alike


class InfillRecipe(Recipe):
    """A gap in a random piece, and what stood in it, given what stands around it.

    A gap is some bars in all parts, some bars in some parts, or all parts beside one (see `gap`).
    """

    name = "infill"

    def __init__(self, settings: InfillSettings | None = None) -> None:
        self.settings = settings or InfillSettings()
        self.loop = LoopSettings(steps=30000, batch=16, warmup=300, ema=0.998, clip=1.0)

    def sources(self) -> list[data.Source]:
        return score_data.all_sources(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        every = score_data.pieces(data.data_root())
        self.drawn = Drawn([p for p in every if p.split == "train"], self.settings.balance)
        self.valid = [
            example(piece, np.random.default_rng((9, number)))
            for number, piece in enumerate(some_held([p for p in every if p.split == "valid"]))
        ]
        s = self.settings
        return {"net": InfillNet(s.width, s.layers, s.dropout)}

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
            made.append(example(self.drawn(rng), rng))
        return [{k: t.to(device) for k, t in group.items()} for group in grouped(made)]

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        losses = _losses(modules["net"], batch)
        total = torch.stack(list(losses.values())).sum()
        return total, {name: float(value.detach()) for name, value in losses.items()}

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """Nats per event in the gaps of the validation pieces, by field."""
        net.eval()
        losses = _losses(net, grouped(self.valid))
        net.train()
        return {name: float(value) for name, value in losses.items()}

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["net"].cpu().float().eval()
        assert isinstance(net, InfillNet)
        figures = self.validate(net)
        card = bundle.Card(
            name=self.settings.name,
            version="1.0.0",
            task="infill",
            title="What is missing, given what is there",
            licence="Apache-2.0",
            graphs={},
            authors=["The Triptych developers"],
            notes="Fills bars, harmonises and accompanies: a Transformer reads, a GRU writes.",
            created=export.today(),
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
            metrics=[
                {
                    "name": f"validation, {name}",
                    "value": round(value, 4),
                    "unit": "nats an event",
                    "test": "a gap in each of 64 held-out pieces",
                }
                for name, value in figures.items()
            ],
        )
        return export.write_bundle(folder, card, graphs(net), {})


def _losses(net: nn.Module, groups: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    made = []
    for batch in groups:
        wanted, use = batch["wanted"], batch["known"][..., 0] > 0
        logits = net(
            *(batch[k] for k in ("notes", "noted", "present", "asked", "before", "state")),
            *(batch[k] for k in ("offset", "until", "ending", "near")),
            *(wanted[..., :4], batch["place"]),
            *(batch[k] for k in ("sounding", "following", "last")),
            use,
        )
        made.append((*logits, wanted[use], batch["known"][use]))
    *logits, wanted, known = (torch.cat(each) for each in zip(*made, strict=True))
    return field_losses(logits, wanted, known)


def gap(piece: Piece, rng: np.random.Generator) -> tuple[int, int, set[int], bool]:
    """A gap in a piece: its first bar, how many, the parts, and whether it stands alone.

    Of pieces with several parts, a third of the gaps are of all parts, a third of some, a third of
    all but one (mostly the first voice: a melody to harmonise). One that stands alone has nothing
    before and after it.
    """
    bars = piece.bars.count
    many = np.unique(piece.events["part"])
    kind = int(rng.integers(3)) if len(many) > 1 else 0
    count = int(min(rng.choice([1, 2, 4] if kind == 0 else [2, 4, 8]), bars))
    first = int(rng.integers(bars - count + 1))
    if kind == 0:
        return first, count, set(many.tolist()), False
    if kind == 1:
        size = int(rng.integers(1, len(many)))
        parts = set(rng.choice(many, size, replace=False).tolist())
    else:
        leads = [p for p in many.tolist() if p % VOICES == 0 and p < PARTS - 1] or many.tolist()
        kept = int(rng.choice(leads if rng.random() < 0.7 else many))
        parts = set(many.tolist()) - {kept}
    return first, count, parts, bool(rng.random() < 0.5)


def example(piece: Piece, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A gap with all that the net is given and asked (see `InfillNet` and `score.example`)."""
    first, count, parts, alone = gap(piece, rng)
    starts = piece.bars.starts
    low, high = int(starts[first]), int(starts[first + count])
    ticks = piece.events["tick"]
    begin = int(starts[max(first - (0 if alone else infilling.BEFORE), 0)])
    end = int(starts[min(first + count + (0 if alone else infilling.BEFORE), piece.bars.count)])
    window = piece.events[np.searchsorted(ticks, begin) : np.searchsorted(ticks, end)]
    shift, minor = home(window, piece.minor)
    window = transposed(window, shift)
    inside = (window["tick"] >= low) & (window["tick"] < high)
    missing = inside & np.isin(window["part"], list(parts))
    target = window[missing]
    while len(target) >= LONGEST_GAP and count > 1:  # too much at once: fewer bars
        count -= 1
        high = int(starts[first + count])
        target = target[target["tick"] < high]
    target = target[: LONGEST_GAP - 1]
    around = window[~missing]
    around = infilling.nearest(around, low, high)
    inner = Bars(starts[first : first + count + 1], piece.bars.metres[first : first + count])
    length = len(target) + 1
    made = inputs(target, low, piece, minor, length, ended=True, bars=inner)
    at = np.concatenate([[low], target["tick"]]).astype(np.int64)
    made["offset"] = infilling.offsets(piece.bars, at, first)
    beside = infilling.Surroundings(around, frozenset(parts))
    counts = np.arange(length)
    following = made.pop("ticks")
    made |= beside.before(at, target, counts)
    made |= beside.at(following, target, counts, made["wanted"][:, 1])
    made["notes"] = infilling.noted(around, piece.bars)
    made["noted"] = infilling.offsets(piece.bars, around["tick"].astype(np.int64), first)
    made["present"] = np.ones(len(around), np.float32)
    made["asked"] = infilling.asked(parts)
    return made


def grouped(examples: list[dict[str, np.ndarray]]) -> list[dict[str, Tensor]]:
    """Examples as padded batches of `GROUP`, those of like size together: less is padding."""
    ordered = sorted(examples, key=lambda e: len(e["before"]) + len(e["notes"]))
    return [padded(ordered[i : i + GROUP]) for i in range(0, len(ordered), GROUP)]


def padded(examples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    """Examples as one batch: each kind is as long as the longest of it."""
    made = {}
    for key in examples[0]:
        arrays = [e[key] for e in examples]
        longest = max(len(a) for a in arrays) if key != "asked" else PARTS
        longest = max(longest, 1)
        whole = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in zip(whole, arrays, strict=True):
            row[: len(array)] = array
        made[key] = torch.from_numpy(whole)
    return made


def graphs(net: InfillNet) -> dict[str, export.GraphExport]:
    """The graphs of the model: `read`, `step` and `heads`."""
    rng = torch.Generator().manual_seed(0)
    width = net.width

    def classes(shape: tuple[int, ...], sizes: list[int]) -> Tensor:
        columns = [torch.randint(0, size, shape, generator=rng) for size in sizes]
        return torch.stack(columns, dim=-1)

    def reads(count: int) -> dict[str, Tensor]:
        return {
            "notes": classes((1, count), list(infilling.NOTED.values())),
            "offset": classes((1, count), [infilling.OFFSETS])[..., 0],
            "present": torch.ones(1, count),
            "asked": (torch.rand(1, PARTS, generator=rng) < 0.1).float(),
        }

    def steps(count: int) -> dict[str, Tensor]:
        return {
            "event": classes((1,), list(FIELDS.values())),
            "state": classes((1,), list(STATE.values())),
            "offset": classes((1,), [infilling.OFFSETS])[..., 0],
            "until": classes((1,), [infilling.WAITS])[..., 0],
            "ending": classes((1,), [infilling.WAITS])[..., 0],
            "near": (torch.rand(1, infilling.NEAR, generator=rng) < 0.03).float(),
            "asked": (torch.rand(1, PARTS, generator=rng) < 0.1).float(),
            "read": torch.randn(1, count, width, generator=rng),
            "present": torch.ones(1, count),
            "memory": torch.randn(2, 1, width, generator=rng) * 0.5,
        }

    def draws(count: int) -> dict[str, Tensor]:
        return {
            "context": torch.randn(count, 2 * width, generator=rng) * 0.5,
            "chosen": classes((count,), list(FIELDS.values())[:-1]),
            "place": classes((count,), [STATE["place"]])[..., 0],
            "sounding": (torch.rand(count, infilling.SOUNDING, generator=rng) < 0.03).float(),
            "following": classes((count,), [infilling.WAITS])[..., 0],
            "last": classes((count,), [infilling.NO_PITCH + 1])[..., 0],
        }

    free = {k: {1: "notes"} for k in ("notes", "offset", "present", "known")}
    return {
        "read": export.GraphExport(
            Reader(net), reads(7), ["known"], free, [reads(1), reads(50), reads(256)]
        ),
        "step": export.GraphExport(
            Writer(net),
            steps(7),
            ["context", "after"],
            {"read": {1: "notes"}, "present": {1: "notes"}},
            [steps(1), steps(50), steps(256)],
        ),
        "heads": export.GraphExport(
            net.heads,
            draws(2),
            list(FIELDS),
            {k: {0: "n"} for k in (*draws(1), *FIELDS)},
            [draws(1), draws(3), draws(8)],
        ),
    }
