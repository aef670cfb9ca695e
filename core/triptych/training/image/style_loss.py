"""The perceptual objective of style transfer, defined once for training and for the benchmark.

Content: the mean squared error of the fire5 tap against the photograph's; a tap's mean square is 1
over photographs, but not over each crop, or a flat sky would weigh more than all else.

Style: the weighted mean over four taps of the Gram matrices' squared error against the style's,
relative to the style's, half of it for the whole picture and half for each block of BLOCK px: a
picture that is a photograph here and a patch of brush strokes there is not painted, though its Gram
matrix as a whole may be right. The deepest tap is left out and the next one counts less: on a crop
their Gram matrices have few positions to average over, so that most of their error is chance and
only blurs the content. One weight balances all styles (after Gatys et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.training.image.perceptual import STRIDES, Taps, gram

CONTENT_TAP = 2
STYLE_TAPS = (1.0, 1.0, 1.0, 0.3)  # weights of conv1, fire3, fire5, fire7
STYLE_WEIGHT = 3.0
BLOCK = 96  # pixels of the side of a block, about
BLOCK_TAPS = 3  # the first ones, which have enough positions in a block


def style_targets(judge: Taps, style: Tensor) -> list[Tensor]:
    """Gram matrices (1 x C x C each) of a style picture 1 x 3 x H x W."""
    with torch.no_grad():
        return [gram(tap.float()) for tap in judge(style, upto=len(STYLE_TAPS))]


def content_target(judge: Taps, picture: Tensor) -> Tensor:
    """The content tap of photographs N x 3 x H x W."""
    with torch.no_grad():
        return judge(picture, upto=CONTENT_TAP + 1)[CONTENT_TAP]


def _gram_error(tap: Tensor, wanted: Tensor) -> Tensor:
    return (gram(tap) - wanted).pow(2).sum((1, 2)) / wanted.pow(2).sum((1, 2))


def _block_error(tap: Tensor, wanted: Tensor, side: float) -> Tensor:
    """The mean of the Gram errors of blocks of about `side` x `side` positions, of shape N."""
    rows, columns = (max(1, round(size / side)) for size in tap.shape[2:])
    high, wide = tap.shape[2] // rows, tap.shape[3] // columns
    blocks = tap[..., : rows * high, : columns * wide]
    blocks = blocks.unflatten(3, (columns, wide)).unflatten(2, (rows, high))
    blocks = blocks.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    count = rows * columns
    wanted = wanted.expand(tap.shape[0], -1, -1).repeat_interleave(count, 0)
    return _gram_error(blocks, wanted).unflatten(0, (-1, count)).mean(1)


def style_terms(
    taps: Sequence[Tensor], content: Tensor, grams: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """(content term, style term), each of shape N, of pictures with these taps."""
    content_term = (taps[CONTENT_TAP] - content).float().pow(2).mean((1, 2, 3))
    style_term = torch.zeros_like(content_term)
    for place, (tap, wanted) in enumerate(zip(taps[: len(STYLE_TAPS)], grams, strict=False)):
        error = _gram_error(tap, wanted)
        if place < BLOCK_TAPS:
            error = 0.5 * error + 0.5 * _block_error(tap, wanted, BLOCK / STRIDES[place])
        style_term = style_term + STYLE_TAPS[place] / sum(STYLE_TAPS) * error
    return content_term, style_term


def style_objective(
    judge: Taps, made: Tensor, content: Tensor, grams: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """(total, content term, style term), each of shape N, for N pictures."""
    content_term, style_term = style_terms(judge(made, upto=len(STYLE_TAPS)), content, grams)
    return content_term + STYLE_WEIGHT * style_term, content_term, style_term
