"""The perceptual objective of style transfer, defined once for training and for the benchmark.

Content: the relative squared error of the fire5 tap against the photograph's. Style: the mean over
the five taps of the Gram matrices' relative squared error against the style's. Both are free of
units, so one weight balances all styles (Gatys et al. 2016, with each term relative).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.training.image.perceptual import Taps, gram

CONTENT_TAP = 2
STYLE_WEIGHT = 5.0


def style_targets(judge: Taps, style: Tensor) -> list[Tensor]:
    """Gram matrices (1 x C x C each) of a style picture 1 x 3 x H x W."""
    with torch.no_grad():
        return [gram(tap.float()) for tap in judge(style)]


def content_target(judge: Taps, picture: Tensor) -> Tensor:
    """The content tap of photographs N x 3 x H x W."""
    with torch.no_grad():
        return judge(picture, upto=CONTENT_TAP + 1)[CONTENT_TAP]


def style_terms(
    taps: Sequence[Tensor], content: Tensor, grams: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """(content term, style term), each of shape N, of pictures with these taps."""
    difference = (taps[CONTENT_TAP] - content).float()
    content_term = difference.pow(2).mean((1, 2, 3)) / content.float().pow(2).mean((1, 2, 3))
    style_term = torch.zeros_like(content_term)
    for tap, wanted in zip(taps, grams, strict=True):
        error = (gram(tap) - wanted).pow(2).sum((1, 2)) / wanted.pow(2).sum((1, 2))
        style_term = style_term + error / len(taps)
    return content_term, style_term


def style_objective(
    judge: Taps, made: Tensor, content: Tensor, grams: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """(total, content term, style term), each of shape N, for N pictures."""
    content_term, style_term = style_terms(judge(made), content, grams)
    return content_term + STYLE_WEIGHT * style_term, content_term, style_term
