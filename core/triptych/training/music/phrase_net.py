"""The phrases' variational autoencoder: a Transformer over quarter notes on either side of z.

As MusicVAE (Roberts et al. 2018) it codes a phrase of 2 or 4 bars in one Gaussian vector; its
decoder is not recurrent but writes all steps at once, which is fast and knows no drift.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.music.phrase_grid import KIT, LINES, METRES, STEPS, TOKENS

QUARTERS = 16  # at most, in a phrase
CONDITIONS = len(LINES) * len(METRES)  # part * 3 + metre


class Block(nn.Module):
    """Self-attention and a gated feed-forward layer, normalised before (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.each = heads, width // heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        split = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, self.each)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        weight = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(self.each), -1)
        x = x + self.out((weight @ v).transpose(1, 2).reshape(n, t, width))
        gate, value = self.up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.gelu(gate) * value)


class Encoder(nn.Module):
    """Phrase and condition to mean and log variance of z (each N x latent).

    Lines are tokens N x T (int64), drums bits N x T x 9 (float32); T is a multiple of 4; what is
    beyond 64 steps is not read. `condition` (N, int64) is part * 3 + metre.
    """

    def __init__(self, drums: bool, width: int, depth: int, latent: int) -> None:
        super().__init__()
        self.drums = drums
        if drums:
            self.embed: nn.Module = nn.Linear(STEPS * len(KIT), width)
        else:
            self.embed = nn.Embedding(STEPS * TOKENS, width)
            nn.init.normal_(self.embed.weight, std=0.5 / math.sqrt(STEPS))
        self.place = nn.Parameter(0.1 * torch.randn(QUARTERS, width))
        self.condition = nn.Embedding(CONDITIONS, width)
        self.blocks = nn.Sequential(*(Block(width, max(2, width // 48)) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.narrow = nn.Linear(width, width // 2)
        self.gather = nn.Linear(QUARTERS * (width // 2), 2 * latent)
        self.inner = width // 2

    def forward(self, phrase: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        phrase = phrase[:, : STEPS * QUARTERS]
        n, quarters = phrase.shape[0], phrase.shape[1] // STEPS
        if self.drums:
            x = self.embed(phrase.reshape(n, quarters, STEPS * len(KIT)))
        else:
            slot = TOKENS * torch.arange(STEPS, device=phrase.device)
            x = self.embed(phrase.reshape(n, quarters, STEPS) + slot).sum(2)
        x = x + self.place[:quarters] + self.condition(condition)[:, None]
        x = self.narrow(self.norm(self.blocks(x)))
        # what a shorter phrase has not counts as zero
        weight = self.gather.weight.view(-1, QUARTERS, self.inner)[:, :quarters]
        z = torch.einsum("ntc,ztc->nz", x, weight) + self.gather.bias
        mean, log_variance = z.chunk(2, -1)
        return mean, log_variance.clamp(-10, 4)


class Decoder(nn.Module):
    """z (N x latent), condition (N) and where (quarters, only its length counts) to logits.

    Lines: N x T x 130; drums: N x T x 9, each a hit's log odds; T = 4 quarters.
    """

    def __init__(self, drums: bool, width: int, depth: int, latent: int) -> None:
        super().__init__()
        self.classes = len(KIT) if drums else TOKENS
        self.spread = nn.Linear(latent, QUARTERS * (width // 2))
        self.inner = width // 2
        self.widen = nn.Linear(width // 2, width)
        self.place = nn.Parameter(0.1 * torch.randn(QUARTERS, width))
        self.condition = nn.Embedding(CONDITIONS, width)
        self.blocks = nn.Sequential(*(Block(width, max(2, width // 48)) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, STEPS * self.classes)

    def forward(self, z: Tensor, condition: Tensor, where: Tensor) -> Tensor:
        n, quarters = z.shape[0], where[:QUARTERS].shape[0]
        x = self.spread(z).view(n, QUARTERS, self.inner)[:, :quarters]
        x = self.widen(x) + self.place[:quarters] + self.condition(condition)[:, None]
        x = self.head(self.norm(self.blocks(x)))
        return x.reshape(n, quarters * STEPS, self.classes)


class PhraseVAE(nn.Module):
    """Encoder and decoder; calling it samples z and returns logits, mean, log variance."""

    def __init__(
        self, drums: bool, width: int, depth: tuple[int, int] | list[int], latent: int
    ) -> None:
        super().__init__()
        self.encoder = Encoder(drums, width, depth[0], latent)
        self.decoder = Decoder(drums, width, depth[1], latent)

    def forward(self, phrase: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(phrase, condition)
        mean, log_variance = mean.float(), log_variance.float()
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        where = torch.zeros(phrase.shape[1] // STEPS, device=z.device)
        return self.decoder(z, condition, where), mean, log_variance
