"""Frames: what a generator paints along a picture's border because the border is there."""

from __future__ import annotations

from torch import Tensor

MARGIN = 64  # pixels on each side of a picture's middle: whole cells of the generator's grid


def framed(made: Tensor, middle: Tensor) -> Tensor:
    """How much more the middle's border (a third of the margin) changes than its inside when the
    middle is stylised alone, N, in units of the pictures.

    `made` are stylised pictures, N x 3 x H x W; `middle` is what lies a margin inside them. Where a
    picture ends is no part of the subject, and a brush does there what it would do anywhere.
    """
    margin = (made.shape[-1] - middle.shape[-1]) // 2
    change = (middle - made[..., margin:-margin, margin:-margin]).abs().mean(1)
    strip = margin // 3
    inside = change[:, strip:-strip, strip:-strip]
    border = (change.sum((1, 2)) - inside.sum((1, 2))) / (change[0].numel() - inside[0].numel())
    return (border - inside.mean((1, 2)).detach()).clamp(min=0)
