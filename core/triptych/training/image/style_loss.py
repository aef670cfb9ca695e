"""The perceptual objective of style transfer, defined once for training and for the benchmark.

Content: the mean squared error of the fire5 tap against the photograph's; a tap's mean square is 1
over photographs, but not over each crop, or a flat sky would weigh more than all else. Style: the
weighted mean over four taps of the Gram matrices' squared error against the style's, relative to
the style's. So one weight balances all styles (Gatys et al. 2016, with each term relative). The
deepest tap is left out and the next one counts less: on a crop their Gram matrices have few
positions to average over, so that most of their error is chance and only blurs the content.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.training.image.perceptual import Taps, gram

CONTENT_TAP = 2
STYLE_TAPS = (1.0, 1.0, 1.0, 0.3)  # weights of conv1, fire3, fire5, fire7
STYLE_WEIGHT = 3.0


def style_targets(judge: Taps, style: Tensor) -> list[Tensor]:
    """Gram matrices (1 x C x C each) of a style picture 1 x 3 x H x W."""
    with torch.no_grad():
        return [gram(tap.float()) for tap in judge(style, upto=len(STYLE_TAPS))]


def content_target(judge: Taps, picture: Tensor) -> Tensor:
    """The content tap of photographs N x 3 x H x W."""
    with torch.no_grad():
        return judge(picture, upto=CONTENT_TAP + 1)[CONTENT_TAP]


def style_terms(
    taps: Sequence[Tensor], content: Tensor, grams: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """(content term, style term), each of shape N, of pictures with these taps."""
    content_term = (taps[CONTENT_TAP] - content).float().pow(2).mean((1, 2, 3))
    style_term = torch.zeros_like(content_term)
    for weight, tap, wanted in zip(STYLE_TAPS, taps, grams, strict=False):
        error = (gram(tap) - wanted).pow(2).sum((1, 2)) / wanted.pow(2).sum((1, 2))
        style_term = style_term + weight * error / sum(STYLE_TAPS)
    return content_term, style_term


def style_objective(
    judge: Taps, made: Tensor, content: Tensor, grams: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """(total, content term, style term), each of shape N, for N pictures."""
    content_term, style_term = style_terms(judge(made, upto=len(STYLE_TAPS)), content, grams)
    return content_term + STYLE_WEIGHT * style_term, content_term, style_term
