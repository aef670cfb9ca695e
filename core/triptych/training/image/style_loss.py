"""The perceptual objective of style transfer, defined once for training and for the benchmark.

Content: the mean squared error of the fire5 tap against the photograph's; a tap's mean square is 1
over photographs, but not over each crop, or a flat sky would weigh more than all else.

Style: the weighted mean over four taps of two squared errors against the style: that of the Gram
matrices of the whole picture, and that of the covariances within each block of BLOCK px. The second
one asks for the brush everywhere: a picture that is a photograph here and a patch of strokes there
is not painted, though its Gram matrix as a whole may be right. A block may be as far from the
style's mean as the style's own blocks are, or a print's empty paper would have to be covered. It
does not ask for the style's colours everywhere, which would be blotches, and it is bounded, or the
busiest block would have to lose its content. The deepest tap counts less and has no blocks: on a
crop its matrix has few positions to average over, so that much of its error is chance and only
blurs the content. One weight balances all styles (after Gatys et al. 2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.training.image.perceptual import STRIDES, Taps

CONTENT_TAP = 2
STYLE_TAPS = (1.0, 1.0, 1.0, 0.3)  # weights of conv1, fire3, fire5, fire7
STYLE_WEIGHT = 3.0
BLOCK = 96  # pixels of the side of a block, about
BLOCK_TAPS = 3  # the first ones, which have enough positions in a block
BLOCK_SHARE = 0.3  # of a tap's error


def style_targets(judge: Taps, style: Tensor) -> list[Tensor]:
    """What a style picture 1 x 3 x H x W asks for: the Gram matrix of each tap, then, of each of
    the first `BLOCK_TAPS` taps, the mean covariance within blocks (1 x C x C each), then how far
    from it the blocks are (root mean square; 1 each)."""
    with torch.no_grad():
        taps = judge(style, upto=len(STYLE_TAPS))
        found = [_block_statistics(tap.float(), _side(place)) for place, tap in enumerate(taps)]
    grams, within = zip(*found, strict=True)
    within = within[:BLOCK_TAPS]
    mean = [c.mean(1) for c in within]
    spread = [(c - m).pow(2).sum((2, 3)).mean(1).sqrt() for c, m in zip(within, mean, strict=True)]
    return [*(g.mean(1) for g in grams), *mean, *spread]


def content_target(judge: Taps, picture: Tensor) -> Tensor:
    """The content tap of photographs N x 3 x H x W."""
    with torch.no_grad():
        return judge(picture, upto=CONTENT_TAP + 1)[CONTENT_TAP]


def _side(place: int) -> float:
    """The side of a block in positions of the tap at this place."""
    return BLOCK / STRIDES[place] if place < BLOCK_TAPS else math.inf


def _block_statistics(tap: Tensor, side: float) -> tuple[Tensor, Tensor]:
    """Gram matrices and covariances (N x B x C x C each) of the tap's blocks of about `side` x
    `side` positions. The few positions that no block takes are left out (fewer than there are
    blocks on that side), so that the whole picture's Gram matrix is the mean of the blocks'."""
    rows, columns = (max(1, round(size / side)) for size in tap.shape[2:])
    high, wide = tap.shape[2] // rows, tap.shape[3] // columns
    blocks = tap[..., : rows * high, : columns * wide]
    blocks = blocks.unflatten(3, (columns, wide)).unflatten(2, (rows, high))
    flat = blocks.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)  # N x B x positions x C
    mean = flat.mean(2, keepdim=True)
    centred = flat - mean
    within = (centred.transpose(2, 3) @ centred).float() / (high * wide)
    return within + mean.float().transpose(2, 3) * mean.float(), within


def _gram_error(found: Tensor, wanted: Tensor) -> Tensor:
    """The squared error of N x C x C relative to what is wanted: N."""
    return (found - wanted).pow(2).sum((1, 2)) / wanted.pow(2).sum((1, 2))


def _within_error(found: Tensor, wanted: Tensor, spread: Tensor) -> Tensor:
    """The mean over blocks of the squared error of N x B x C x C against N x C x C beyond the
    squared `spread` (N), relative to the sum of both squares, so that a block's error is at most 1:
    N."""
    wanted = wanted.unsqueeze(1)
    size = found.pow(2).sum((2, 3)) + wanted.pow(2).sum((2, 3))
    beyond = (found - wanted).pow(2).sum((2, 3)) - spread.pow(2).unsqueeze(1)
    return (beyond.relu() / (size + 1e-8)).mean(1)


def style_terms(
    taps: Sequence[Tensor], content: Tensor, wanted: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """(content term, style term), each of shape N, of pictures with these taps.

    `content` is `content_target` of the photographs, `wanted` is `style_targets` of the styles; no
    `wanted` leaves the style term 0.
    """
    content_term = (taps[CONTENT_TAP] - content).float().pow(2).mean((1, 2, 3))
    style_term = torch.zeros_like(content_term)
    for place in range(len(STYLE_TAPS) if wanted else 0):
        grams, within = _block_statistics(taps[place], _side(place))
        error = _gram_error(grams.mean(1), wanted[place])
        if place < BLOCK_TAPS:
            mean, spread = wanted[len(STYLE_TAPS) + place :: BLOCK_TAPS]
            blocks = _within_error(within, mean, spread)
            error = (1 - BLOCK_SHARE) * error + BLOCK_SHARE * blocks
        style_term = style_term + STYLE_TAPS[place] / sum(STYLE_TAPS) * error
    return content_term, style_term


def style_objective(
    judge: Taps, made: Tensor, content: Tensor, wanted: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """(total, content term, style term), each of shape N, for N pictures."""
    content_term, style_term = style_terms(judge(made, upto=len(STYLE_TAPS)), content, wanted)
    return content_term + STYLE_WEIGHT * style_term, content_term, style_term
