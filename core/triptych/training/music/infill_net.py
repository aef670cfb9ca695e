"""The network that fills in: a Transformer reads what is there, a GRU writes what is missing.

The reader (Vaswani et al. 2017, encoder) sees every note around and beside the gap at once, before
and after it and in the other parts. The writer streams as `EventNet` does, so that drawing under
constraints is the same, and looks up the reader's notes at each event.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.music.events import FIELDS, PARTS, STATE
from triptych.music.infilling import NEAR, NO_PITCH, NOTED, OFFSETS, SOUNDING, WAITS
from triptych.training.music.event_net import Heads

_HEADS = 8


class Attention(nn.Module):
    """Multi-head attention of queries (B x T x C) to notes (B x N x C), of which `present` are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.mix = nn.Linear(width, width), nn.Linear(width, width)
        self.pair = nn.Linear(width, 2 * width)

    def forward(self, queries: Tensor, notes: Tensor, present: Tensor) -> Tensor:
        q = self.query(queries).unflatten(2, (_HEADS, -1)).transpose(1, 2)
        k, v = self.pair(notes).unflatten(2, (2, _HEADS, -1)).unbind(2)
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        hidden = ((present[:, None, None, :] - 1) * 1e4).to(q.dtype)
        made = F.scaled_dot_product_attention(q, k, v, hidden)
        return self.mix(made.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A Transformer encoder's layer, normalised before (Xiong et al. 2020)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = Attention(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, notes: Tensor, present: Tensor) -> Tensor:
        normal = self.before(notes)
        notes = notes + self.drop(self.attend(normal, normal, present))
        return notes + self.drop(self.feed(self.between(notes)))


class InfillHeads(Heads):
    """Heads that are told what stands at the tick where the note may begin.

    `forward(context, chosen, place, sounding, following, last)`, see `infilling.Surroundings.at`;
    `last` counts from the pitch on, when the part is drawn.
    """

    def __init__(self, context: int, hidden: int) -> None:
        super().__init__(context, hidden)
        self.sounding = nn.Linear(SOUNDING, hidden, bias=False)
        self.following = nn.Embedding(WAITS, hidden)
        self.last = nn.Embedding(NO_PITCH + 1, hidden)

    def learned(self, name: str, *told: Tensor) -> Tensor | float:
        """What sounds and follows there, then the part's last pitch."""
        sounding, following, last = told
        if name == "time":
            return self.sounding(sounding) + self.following(following)
        return self.last(last) if name == "part" else 0.0


class InfillNet(nn.Module):
    """`read` the notes around the gap, then `step` through what fills it."""

    def __init__(self, width: int = 256, layers: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.width = width
        self.noted = nn.ModuleList(nn.Embedding(n, width) for n in NOTED.values())
        self.events = nn.ModuleList(nn.Embedding(n, width) for n in FIELDS.values())
        self.state = nn.ModuleList(nn.Embedding(n, width) for n in STATE.values())
        self.offset = nn.Embedding(OFFSETS, width)  # of bars, for reader and writer alike
        self.asked = nn.Linear(PARTS, width)
        self.until, self.ending = nn.Embedding(WAITS, width), nn.Embedding(WAITS, width)
        self.near = nn.Linear(NEAR, width, bias=False)
        self.layers = nn.ModuleList(Layer(width, dropout) for _ in range(layers))
        self.leave = nn.LayerNorm(width)
        self.enter = nn.Sequential(nn.GELU(), nn.Linear(width, width))
        self.first = nn.GRU(width, width, batch_first=True)
        self.look = Attention(width)
        self.second = nn.GRU(2 * width, width, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.heads = InfillHeads(2 * width, width)
        tables = [*self.noted, *self.events, *self.state, self.offset, self.until, self.ending]
        for table in tables:
            nn.init.normal_(table.weight, std=0.3)

    def read(self, notes: Tensor, offset: Tensor, present: Tensor, asked: Tensor) -> Tensor:
        """What is known of each note (B x N x C).

        `notes` B x N x 5 are classes (see `infilling.NOTED`), `offset` B x N their bars from the
        gap's first, `present` B x N is 1 for a note and 0 for padding, `asked` B x PARTS is 1 for
        each part that is to be written.
        """
        known = [table(notes[..., i]) for i, table in enumerate(self.noted)]
        made = torch.stack(known).sum(0) + self.offset(offset) + self.asked(asked)[:, None]
        for layer in self.layers:
            made = layer(made, present)
        return self.leave(made)

    def write(
        self,
        event: Tensor,
        state: Tensor,
        offset: Tensor,
        until: Tensor,
        ending: Tensor,
        near: Tensor,
        asked: Tensor,
        read: Tensor,
        present: Tensor,
        memory: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The context for the heads (B x T x 2C) after events B x T x 5, and the memory 2 x B x C.

        `state` B x T x 7, `offset` B x T, and `until`, `ending` (B x T) and `near` (B x T x NEAR)
        hold at each event (see `infilling.Surroundings.before`).
        """
        parts = [table(event[..., i]) for i, table in enumerate(self.events)]
        parts += [table(state[..., i]) for i, table in enumerate(self.state)]
        parts += [self.offset(offset), self.until(until), self.ending(ending), self.near(near)]
        here = torch.stack(parts).sum(0) + self.asked(asked)[:, None]
        made, one = self.first(self.drop(self.enter(here)), memory[:1])
        found = self.look(made, read, present)
        after, two = self.second(torch.cat([made, found], 2), memory[1:])
        return torch.cat([after, found], 2), torch.cat([one, two])

    def forward(
        self,
        notes: Tensor,
        noted: Tensor,
        present: Tensor,
        asked: Tensor,
        before: Tensor,
        state: Tensor,
        offset: Tensor,
        until: Tensor,
        ending: Tensor,
        near: Tensor,
        chosen: Tensor,
        place: Tensor,
        sounding: Tensor,
        following: Tensor,
        last: Tensor,
        use: Tensor,
    ) -> tuple[Tensor, ...]:
        """Logits (N x classes) of the N events of the gaps that `use` (B x T) marks.

        Teacher-forced: `chosen` is what stood there.
        """
        read = self.read(notes, noted, present, asked)
        memory = torch.zeros(2, len(before), self.width, device=before.device, dtype=read.dtype)
        told = (before, state, offset, until, ending, near)
        context, _ = self.write(*told, asked, read, present, memory)
        made = (each[use] for each in (chosen, place, sounding, following, last))
        return self.heads(self.drop(context[use]), *made)


class Reader(nn.Module):
    """`InfillNet.read` as a module of its own, for the export."""

    def __init__(self, net: InfillNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, notes: Tensor, offset: Tensor, present: Tensor, asked: Tensor) -> Tensor:
        return self.net.read(notes, offset, present, asked)


class Writer(nn.Module):
    """One step of `InfillNet.write`, for the export: all but the notes lose their time axis."""

    def __init__(self, net: InfillNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        event: Tensor,
        state: Tensor,
        offset: Tensor,
        until: Tensor,
        ending: Tensor,
        near: Tensor,
        asked: Tensor,
        read: Tensor,
        present: Tensor,
        memory: Tensor,
    ) -> tuple[Tensor, Tensor]:
        told = [each[:, None] for each in (event, state, offset, until, ending, near)]
        context, memory = self.net.write(*told, asked, read, present, memory)  # type: ignore[call-arg]
        return context[:, 0], memory
