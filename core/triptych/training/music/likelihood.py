"""The likelihood benchmark: what comes next in a piano roll, frame by frame.

A frame is which of 88 keys sound (column k is MIDI pitch 21 + k). A piece's likelihood is the sum
over keys of -log p of frame t given the frames before it, in nats; a figure is the mean over all
frames of all pieces but each piece's first (Boulanger-Lewandowski et al., ICML 2012, section 6).

One network gives two figures: one logit per key from the past alone (keys independent given the
past), and a chain over the frame's keys from low to high (joint). It never ships.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.io import loadmat
from torch import Tensor, nn

from triptych.errors import UserError
from triptych.training import data
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

KEYS = 88
LAGS = 512  # frames; repeats further apart than this look alike
METRES = (2, 3, 4, 16, 24, 64)  # the frame's number modulo these tells the beat and the section
UNSEEN = (
    6e-6  # the probability of a key outside the network's span: no training piece comes near it
)
SETS = {"jsb": "JSB_Chorales.mat", "nottingham": "Nottingham.mat"}
SPLITS = {"train": "traindata", "valid": "validdata", "test": "testdata"}


def read_pieces(name: str, split: str) -> list[np.ndarray]:
    """The pieces of a split ("train", "valid", "test") of "jsb" or "nottingham": T x 88, 0 or 1."""
    path = data.data_root() / "music" / "polyphonic_benchmark" / SETS[name]
    if not path.is_file():
        raise UserError(f"the benchmark's file {path.name} is not in the data folder")
    return [np.asarray(piece, np.float32) for piece in loadmat(path)[SPLITS[split]][0]]


class Repeats(nn.Module):
    """Attention over the piece's own past that looks up what came next there.

    Frame t asks frames s < t, by content and by a learned bias for the lag t - s; their values are
    frame s + 1 itself and the state there. One more place, empty, takes what finds no match.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.lag = nn.Parameter(torch.zeros(heads, LAGS))

    def forward(self, states: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """B x T x H states, B x T x P frames; B x T x H states found, B x heads x T x P frames."""
        size, length, _ = states.shape
        split = (size, length, self.heads, -1)
        q, k, v = (
            f(states).view(split).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        at = torch.arange(length, device=states.device)
        lag = at[:, None] - at
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        scores = scores.float() + self.lag[:, lag.clamp(0, LAGS - 1)]
        scores = scores.masked_fill(lag <= 0, -torch.inf)
        scores = F.pad(scores, (0, 1))  # the empty place
        found = scores.softmax(-1)[..., :-1].to(v.dtype)
        later = found[..., :-1]  # place s holds the value of s + 1
        states = (later @ v[:, :, 1:]).transpose(1, 2).reshape(size, length, -1)
        return states, later @ frames[:, None, 1:].to(v.dtype)


class FrameNet(nn.Module):
    """The next frame's keys from all frames before it.

    An LSTM over frames and its `Repeats` say where in the piece we are; convolutions shared by all
    keys see each key's neighbourhood in pitch and recent time, so that what is learned in one
    register serves in all (Johnson 2017, "Generating Polyphonic Music Using Tied Parallel
    Networks"). The joint figure comes from a GRU over the frame's keys from low to high, as in the
    biaxial network there.

    Covers the keys from `low` up to, not including, `high` (indices of the 88).
    """

    def __init__(
        self,
        low: int,
        high: int,
        hidden: int = 256,
        channels: int = 64,
        heads: int = 4,
        recent: int = 8,
        blocks: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.low, self.high, self.recent = low, high, recent
        span = high - low
        self.embed = nn.Linear(span, hidden)
        self.beat = nn.ModuleList(nn.Embedding(metre, hidden) for metre in METRES)
        self.tonic = nn.Embedding(12, hidden)
        self.degree = nn.Embedding(12, channels)
        self.time = nn.LSTM(hidden, hidden, batch_first=True)
        self.repeats = Repeats(hidden, heads)
        self.mix = nn.Linear(2 * hidden, hidden)
        self.to_keys = nn.Linear(hidden, span * 8)
        self.per_key = nn.Conv2d(8, channels, 1)
        self.to_all = nn.Linear(hidden, channels)
        self.near = nn.Conv2d(1, channels, (recent, 25), padding=(0, 12))
        self.copied = nn.Conv2d(heads, channels, (1, 25), padding=(0, 12))
        self.register = nn.Parameter(torch.zeros(channels, 1, span))
        self.blocks = nn.ModuleList(
            nn.Conv2d(channels, channels, (1, 13), padding=(0, 6)) for _ in range(blocks)
        )
        self.alone = nn.Conv2d(channels, 1, 1)
        self.below = nn.Conv2d(1, channels, (1, 25))
        self.chain = nn.GRU(channels, channels)
        self.together = nn.Linear(channels, 1)
        self.dropout = nn.Dropout(dropout)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fast on a CPU
        for table in (*self.beat, self.tonic, self.degree):
            nn.init.normal_(table.weight, std=0.1)
        for last in (self.alone, self.together):
            nn.init.constant_(last.bias, -3)  # type: ignore[arg-type]  # most keys are silent

    def context(self, frames: Tensor, first: Tensor, shift: Tensor) -> Tensor:
        """What the frames up to t say of each key of frame t + 1.

        `frames` is B x T x span; `first` the number in its piece of each one's first frame, `shift`
        by how many semitones it was transposed (B). The result is B x channels x T x span.
        """
        size, length, span = frames.shape
        number = first[:, None] + torch.arange(length, device=frames.device) + 1
        x = self.embed(self.dropout(frames)) + self.tonic(shift % 12)[:, None]
        for metre, beat in zip(METRES, self.beat, strict=True):
            x = x + beat(number % metre)
        states = self.dropout(self.time(self.dropout(F.relu(x)))[0])
        found, copied = self.repeats(states, frames)
        states = self.dropout(F.relu(self.mix(torch.cat([states, found], -1))))
        keys = self.to_keys(states).view(size, length, span, 8).permute(0, 3, 1, 2)
        roll = F.pad(frames[:, None], (0, 0, self.recent - 1, 0))
        x = self.per_key(keys) + self.near(roll) + self.copied(copied) + self.register
        x = x + self.to_all(states).transpose(1, 2)[..., None]
        at = torch.arange(self.low, self.high, device=frames.device)
        x = x + self.degree((at - shift[:, None]) % 12).transpose(1, 2)[:, :, None]
        for block in self.blocks:
            x = x + block(self._drop(F.relu(x)))
        return self._drop(F.relu(x))

    def _drop(self, x: Tensor) -> Tensor:
        """Dropout that is the same for all keys of a frame (B x C x T x span)."""
        return x * self.dropout(x.new_ones(*x.shape[:3], 1))

    def independent(self, context: Tensor) -> Tensor:
        """Logits of the next frame's keys from the past alone, B x T x span."""
        return self.alone(context)[:, 0]

    def joint(self, context: Tensor, following: Tensor) -> Tensor:
        """Logits of the keys of `following` (B x T x span), each given also the keys below it."""
        size, channels, length, span = context.shape
        x = F.relu(context + self.below(F.pad(following[:, None], (25, -1))))
        x = self.chain(x.permute(3, 0, 2, 1).reshape(span, size * length, channels))[0]
        return self.together(x).view(span, size, length).permute(1, 2, 0)

    def marginals(self, context: Tensor, samples: int, random: torch.Generator) -> Tensor:
        """Each key's probability in the chain, B x T x span: again from the past alone.

        The mean, over so many frames drawn from the chain, of the key's probability given the
        lower keys drawn. Unlike `independent`, it knows what makes a chord.
        """
        size, channels, length, span = context.shape
        near = context.permute(3, 0, 2, 1).flatten(1, 2) + self.below.bias  # type: ignore[operator]
        reach = self.below.weight[:, 0, 0]  # channels x 25
        count = samples * size * length
        state = near.new_zeros(count, channels)
        drawn = near.new_zeros(count, reach.shape[1] + span)  # silence below the lowest key
        found = []
        for key in range(span):
            below = drawn[:, key : key + reach.shape[1]] @ reach.T
            x = F.relu(near[key].repeat(samples, 1) + below)
            state = torch.gru_cell(x, state, *self.chain.all_weights[0])
            p = self.together(state)[:, 0].float().sigmoid()
            chance = torch.rand(p.shape, generator=random, device=p.device)
            drawn[:, key + reach.shape[1]] = (chance < p).to(drawn.dtype)
            found.append(p.view(samples, size, length).mean(0))
        return torch.stack(found, -1)

    def forward(self, frames: Tensor, first: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Both logits (independent, joint) of frames[:, 1:]."""
        context = self.context(frames[:, :-1], first, shift)
        return self.independent(context), self.joint(context, frames[:, 1:])


@dataclass
class LikelihoodSettings:
    """What a run of the benchmark's recipe may change."""

    data: str = "jsb"  # or "nottingham"
    rate: float = 1e-2  # of matrices; 0.3 of it for all else
    decay: float = 0.1  # of matrices
    dropout: float = 0.3
    hidden: int = 256
    channels: int = 64
    heads: int = 4
    recent: int = 8  # frames that the convolutions see
    blocks: int = 2
    crop: int = 257  # frames of an example; shorter pieces are padded
    shift: int = 0  # semitones; examples are transposed by up to so many, up or down


class LikelihoodRecipe(Recipe):
    """Trains `FrameNet` on the training split, both figures at once.

    Nearly all pieces of both files stand in C (major or minor). A piece that was transposed is
    given with its shift, so that what is known of its key stays known.
    """

    name = "likelihood"

    def __init__(self, settings: LikelihoodSettings | None = None) -> None:
        self.settings = settings or LikelihoodSettings()
        self.loop = LoopSettings(steps=500, batch=12, warmup=20, ema=0.98, clip=1.0)

    def sources(self) -> list[data.Source]:
        path = data.data_root() / "music" / "polyphonic_benchmark" / SETS[self.settings.data]
        return [data.open_source(path, "for evaluation only", title=path.stem)]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        self.pieces = read_pieces(s.data, "train")
        low, high = span(self.pieces, s.shift)
        net = FrameNet(low, high, s.hidden, s.channels, s.heads, s.recent, s.blocks, s.dropout)
        return {"net": net}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        weights = dict(modules["net"].named_parameters())
        tables = (
            "beat.",
            "tonic.",
            "degree.",
            "repeats.lag",
            "register",
        )  # looked up, not matrices
        dense = {k for k, v in weights.items() if v.ndim > 1 and not k.startswith(tables)}
        groups = [
            {
                "params": [v for k, v in weights.items() if (k in dense) is muon],
                "lr": self.settings.rate * (1 if muon else 0.3),
                "muon": muon,
            }
            for muon in (True, False)
        ]
        return {"net": MuonAdam(groups, (0.9, 0.99), self.settings.decay)}

    def batch(self, indices: range, device: torch.device) -> tuple[Tensor, ...]:
        """Frames (B x T x span), their mask from the second on, first frames' numbers, shifts."""
        crop, most = self.settings.crop, self.settings.shift
        low, high = span(self.pieces, most)
        lengths = np.array([len(piece) for piece in self.pieces])
        chosen, first, shifts = [], [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            piece = self.pieces[rng.choice(len(lengths), p=lengths / lengths.sum())]
            start = int(rng.integers(max(1, len(piece) - crop + 1)))
            shift = int(rng.integers(-most, most + 1))
            chosen.append(np.roll(piece[start : start + crop], shift, 1)[:, low:high])
            first.append(start)
            shifts.append(shift)
        frames, mask = padded(chosen)
        given = frames, mask, torch.tensor(first), torch.tensor(shifts)
        return tuple(t.to(device) for t in given)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        frames, mask, first, shift = batch
        both = [nats(logits, frames[:, 1:]) for logits in modules["net"](frames, first, shift)]
        independent, joint = ((value * mask).sum() / mask.sum() for value in both)
        figures = {"independent": independent.item(), "joint": joint.item()}
        return (independent + joint) / 10, figures

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        raise UserError("the likelihood benchmark's network is not exported")


def span(pieces: Sequence[np.ndarray], shift: int = 0) -> tuple[int, int]:
    """The keys that the pieces reach when transposed by so much, and two more on either side.

    From the first up to, not including, the last.
    """
    margin = shift + 2
    used = np.flatnonzero(np.max([piece.max(0) for piece in pieces], 0))
    return max(0, int(used[0]) - margin), min(KEYS, int(used[-1]) + 1 + margin)


def padded(pieces: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Pieces of different lengths as one tensor B x T x keys; the mask of its frames from 2 on."""
    longest = max(len(piece) for piece in pieces)
    frames = torch.zeros(len(pieces), longest, pieces[0].shape[1])
    mask = torch.zeros(len(pieces), longest - 1)
    for i, piece in enumerate(pieces):
        frames[i, : len(piece)] = torch.from_numpy(piece)
        mask[i, : len(piece) - 1] = 1
    return frames, mask


def nats(logits: Tensor, frames: Tensor) -> Tensor:
    """The sum over keys of -log p of frames, B x T."""
    return F.binary_cross_entropy_with_logits(logits.float(), frames, reduction="none").sum(-1)


def ordered(pieces: Sequence[np.ndarray], frames: int) -> Iterator[list[np.ndarray]]:
    """Groups of pieces of about one length, each of about so many frames."""
    group: list[np.ndarray] = []
    for piece in sorted(pieces, key=len):
        if group and len(piece) * (len(group) + 1) > frames:
            yield group
            group = []
        group.append(piece)
    yield group


@torch.no_grad()
def likelihood(
    nets: Sequence[FrameNet],
    pieces: Sequence[np.ndarray],
    shifts: Sequence[int] = (0,),
    samples: int = 0,
    frames: int = 2048,
) -> tuple[float, float]:
    """Nats a frame of T x 88 pieces, (independent, joint); about so many `frames` at a time.

    Each key's probability is the mean of its conditional probabilities over `nets` and over the
    piece transposed by each of `shifts`: the keys stay independent in the first figure, and the
    second stays a chain. With `samples`, a network's independent probability is the mean of its
    own and of the chain's marginal.
    """
    device = next(nets[0].parameters()).device
    random = torch.Generator(device).manual_seed(0)
    for net in nets:
        net.eval()
    sums, count = np.zeros(2), 0.0
    for group in ordered(pieces, frames):
        x, mask = (t.to(device) for t in padded(group))
        first = torch.zeros(len(group), dtype=torch.long, device=device)
        chance = torch.zeros(2, *x[:, 1:].shape, dtype=torch.float64, device=device)
        for net, shift in itertools.product(nets, shifts):
            moved = x.roll(shift, -1)[..., net.low : net.high]
            context = net.context(moved[:, :-1], first, first + shift)
            alone = net.independent(context).float().sigmoid()
            if samples:
                alone = (alone + net.marginals(context, samples, random)) / 2
            joint = net.joint(context, moved[:, 1:]).float().sigmoid()
            for i, p in enumerate((alone, joint)):
                every = F.pad(p.double(), (net.low, KEYS - net.high), value=UNSEEN)
                chance[i] += every.roll(-shift, -1)
        chance /= len(nets) * len(shifts)
        surprise = -torch.where(x[:, 1:] > 0, chance, 1 - chance).log().sum(-1)
        sums += (surprise * mask).sum((1, 2)).cpu().numpy()
        count += float(mask.sum())
    return float(sums[0] / count), float(sums[1] / count)


def baselines(name: str) -> tuple[float, float]:
    """Nats a frame of two counts on the training split: each key alone, each key given its last.

    Both begin counting at one (Laplace) and score the test split by the protocol.
    """
    train, test = read_pieces(name, "train"), read_pieces(name, "test")
    before, after = _pairs(train)
    counts = [((after * (before == v)).sum(0) + 1) / ((before == v).sum(0) + 2) for v in (0, 1)]
    everywhere = (np.concatenate(train).sum(0) + 1) / (sum(map(len, train)) + 2)
    before, after = _pairs(test)
    chances = (everywhere, np.where(before > 0, counts[1], counts[0]))
    alone, given = (-np.log(np.where(after > 0, p, 1 - p)).sum(1).mean() for p in chances)
    return float(alone), float(given)


def _pairs(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All frames but the pieces' last ones, and the frame after each."""
    return np.concatenate([x[:-1] for x in pieces]), np.concatenate([x[1:] for x in pieces])
