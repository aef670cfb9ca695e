"""The network of the score models: a recurrent net over events, whose fields are drawn in turn.

As in Notochord (Shepardson, Armitage & Magnusson 2022) a step is a whole note, and the fields of
the next one are predicted in a chain: each head sees the state and what was drawn before it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.music.events import FIELDS, STATE

NAMES = tuple(FIELDS)


class Heads(nn.Module):
    """Logits of each field of the next event, given the context and the fields before it.

    `forward(context N x C, chosen N x 4, place N)`: `chosen` holds time, part, pitch and duration
    (what is not drawn yet may be anything), `place` the place in the bar that `time` leads to.
    """

    def __init__(self, context: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.ModuleDict({k: nn.Linear(context, hidden) for k in FIELDS})
        self.leave = nn.ModuleDict({k: nn.Linear(hidden, n) for k, n in FIELDS.items()})
        self.seen = nn.ModuleDict({k: nn.Embedding(FIELDS[k], hidden) for k in NAMES[:-1]})
        self.place = nn.Embedding(STATE["place"], hidden)

    def forward(
        self, context: Tensor, chosen: Tensor, place: Tensor, *told: Tensor
    ) -> tuple[Tensor, ...]:
        made, known = [], torch.zeros_like(self.enter["time"](context))
        for index, name in enumerate(NAMES):
            made.append(self.leave[name](F.gelu(self.enter[name](context) + known)))
            if index < len(NAMES) - 1:
                known = known + self.seen[name](chosen[..., index])
            if name == "time":
                known = known + self.place(place)
            known = known + self.learned(name, *told)
        return tuple(made)

    def learned(self, name: str, *told: Tensor) -> Tensor | float:
        """What a head of another kind is told (N x hidden) once the field `name` is drawn."""
        return 0.0


class EventNet(nn.Module):
    """GRU over events. `step` is what runs: one event in, the context for the heads out."""

    def __init__(self, width: int = 384, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.events = nn.ModuleList(nn.Embedding(n, width) for n in FIELDS.values())
        self.state = nn.ModuleList(nn.Embedding(n, width) for n in STATE.values())
        self.enter = nn.Sequential(nn.GELU(), nn.Linear(width, width))
        self.recurrent = nn.GRU(
            width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        self.drop = nn.Dropout(dropout)
        self.heads = Heads(width, width // 2)
        for table in [*self.events, *self.state]:
            nn.init.normal_(table.weight, std=0.3)

    def embed(self, events: Tensor, state: Tensor) -> Tensor:
        """The input for each event (... x 5 classes) with its state (... x 7 classes)."""
        parts = [table(events[..., i]) for i, table in enumerate(self.events)]
        parts += [table(state[..., i]) for i, table in enumerate(self.state)]
        return self.enter(torch.stack(parts).sum(0))

    def forward(
        self, before: Tensor, state: Tensor, chosen: Tensor, place: Tensor
    ) -> tuple[Tensor, ...]:
        """Logits of every next event (B x T) from those `before` (B x T x 5), teacher-forced."""
        context, _ = self.recurrent(self.drop(self.embed(before, state)))
        return self.heads(self.drop(context), chosen, place)

    def step(self, event: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One event (N x 5) with its state (N x 7) and memory (L x N x C): context and memory."""
        context, memory = self.recurrent(self.embed(event, state)[:, None], memory)
        return context[:, 0], memory


class Step(nn.Module):
    """`EventNet.step` as a module of its own, for the export."""

    def __init__(self, net: EventNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, event: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.net.step(event, state, memory)
