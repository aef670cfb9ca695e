"""The recipe `own-score`: the score model that ships, taught a folder of the user's own MIDI."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.errors import UserError, warn_once
from triptych.files import shown
from triptych.music import midi
from triptych.music.events import COLLECTIONS
from triptych.training import data, export
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.music import score_data
from triptych.training.music.event_net import EventNet
from triptych.training.music.score import Drawn, example, field_losses, graphs, stacked
from triptych.training.music.score_data import Piece


@dataclass
class OwnScoreSettings:
    """Settings of the recipe `own-score`."""

    source: list[str] = field(default_factory=list)  # MIDI files, folders, zips or tars
    name: str = ""
    licence: str = ""  # of the music; empty: what lies beside it, else private
    base: str = ""  # folder of the score model's bundle; empty: the one that ships
    rate: float = 5e-4
    dropout: float = 0.3  # few pieces are soon known by heart
    length: int = 96  # events of an example


class OwnScoreRecipe(Recipe):
    """All weights learn on, at a low rate.

    The pieces pass as that kind of music (`COLLECTIONS`) as which the model that ships expects them
    most; the new model is asked for by that kind.
    """

    name = "own-score"

    def __init__(self, settings: OwnScoreSettings | None = None) -> None:
        self.settings = settings or OwnScoreSettings()
        self.loop = LoopSettings(
            steps=5000, minutes=5, batch=24, warmup=20, ema=0.98, clip=1.0, picture_every=200
        )

    def sources(self) -> list[data.Source]:
        if not self.settings.source:
            raise UserError("name the music to learn: --from FOLDER_OF_MIDI")
        return [self._source(Path(path)) for path in self.settings.source]

    def _source(self, path: Path) -> data.Source:
        if self.settings.licence or not path.exists():
            return data.open_source(path, self.settings.licence or None, kind="MIDI file")
        with contextlib.suppress(UserError):
            return data.open_source(path, kind="MIDI file")
        # One's own music needs no licence to be learned from; the card says that none is known.
        note = "for the user's own use"
        return data.Source(path, "private: not stated", note=note, kind="MIDI file")

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        base = self.settings.base
        opened = bundle.open_bundle(base) if base else bundle.get_bundle("score", "score")
        net = load_event_net(opened, self.settings.dropout)
        pieces = list(self._pieces())
        if not pieces:
            raise UserError("none of the MIDI files has 24 notes or more: give longer ones.")
        self.collection = self._likest(net, pieces)
        pieces = [dataclasses.replace(p, collection=self.collection) for p in pieces]
        self.drawn = Drawn(pieces, 1.0)
        return {"net": net}

    def _pieces(self) -> list[Piece]:
        found = []
        for source in self.sources():
            for name, content in source.files():
                try:
                    score = midi.decode(content, name)
                except UserError as error:
                    warn_once(f"left out: {error}")
                    continue
                piece = score_data.piece_of(name, score, 0, "train")
                if piece is None:
                    warn_once(f"left out: {shown(name)} is too short or too long to learn from")
                else:
                    found.append(piece)
        return found

    @torch.no_grad()
    def _likest(self, net: EventNet, pieces: list[Piece]) -> int:
        """The collection as which the model expects these pieces most."""
        net.eval()
        found = []
        for place in range(len(COLLECTIONS)):
            asked = [dataclasses.replace(p, collection=place) for p in pieces[:24]]
            rngs = [np.random.default_rng((3, n)) for n in range(len(asked))]
            batch = stacked([example(p, 64, r) for p, r in zip(asked, rngs, strict=True)])
            found.append(float(torch.stack(list(_losses(net, batch).values())).sum()))
        net.train()
        return int(np.argmin(found))

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        net = modules["net"]
        return {
            "net": torch.optim.AdamW(
                net.parameters(), self.settings.rate, (0.9, 0.98), weight_decay=0.05
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
        losses = _losses(modules["net"], batch)
        total = torch.stack(list(losses.values())).sum()
        return total, {name: float(value.detach()) for name, value in losses.items()}

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["net"].cpu().float().eval()
        assert isinstance(net, EventNet)
        name = self.settings.name
        kind = COLLECTIONS[self.collection]
        card = bundle.Card(
            name=name,
            version="1.0.0",
            task="score",
            title=f"{name}, as {kind}",
            licence=self.sources()[0].licence,
            graphs={},
            notes=f"A user's own music; ask for it as the kind of music {kind!r}.",
            created=export.today(),
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
            extra={"collection": kind},
        )
        return export.write_bundle(folder, card, graphs(net), {})


def _losses(net: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wanted = batch["wanted"]
    logits = net(batch["before"], batch["state"], wanted[..., :4], batch["place"])
    return field_losses(logits, wanted, batch["known"])


def load_event_net(opened: bundle.Bundle, dropout: float = 0.1) -> EventNet:
    """The network of a score bundle, from its graphs."""
    step = {
        key.removeprefix("net."): value
        for key, value in export.weights(opened.graph("step")).items()
    }
    heads = export.weights(opened.graph("heads"))
    layers = len([key for key in step if key.startswith("recurrent.weight_ih")])
    net = EventNet(step["events.0.weight"].shape[1], layers, dropout)
    net.load_state_dict(step | {f"heads.{key}": value for key, value in heads.items()})
    return net
