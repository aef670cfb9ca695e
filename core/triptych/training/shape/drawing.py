"""Pictures of several kinds from the layers of a rendering: photographs, drawings, silhouettes."""

from __future__ import annotations

import numpy as np

KINDS = ("photograph", "drawing", "silhouette")


def drawn(layers: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A picture (H x W x 3, float32, 0..1) of layers (7 x S x S, 0..1; see `pictures.LAYERS`).

    H and W are a little more than S: the thing stands anywhere on a plain ground.
    """
    layers = _placed(layers, rng)
    mask = layers[3]
    if kind == "photograph":
        picture = _photograph(layers, rng)
    elif kind == "drawing":
        picture = _drawing(layers, rng)
    else:
        ground, ink = _two_tones(rng)
        picture = ground + mask[..., None] * (ink - ground)
    noise = rng.choice((0.0, 0.004, 0.012, 0.025))
    if noise:
        picture = picture + noise * rng.standard_normal(picture.shape, np.float32)
    return picture.clip(0, 1).astype(np.float32)


def _placed(layers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    low, high = rng.integers(1, 14, (2, 2))
    sides = ((0, 0), (low[0], high[0]), (low[1], high[1]))
    layers = np.array(layers, np.float32)
    layers[:3] *= layers[3] > 0  # what shines in from the next cell
    fade = np.minimum(1, np.arange(layers.shape[1]) / 8)  # a shadow ends before the cell does
    layers[4] *= np.minimum.outer(np.minimum(fade, fade[::-1]), np.minimum(fade, fade[::-1]))
    return np.pad(layers, sides)


def _photograph(layers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    colour, mask, shadow = layers[:3].transpose(1, 2, 0) ** 2, layers[3], layers[4]
    if rng.random() < 0.3:
        colour = np.repeat(colour.mean(2, keepdims=True), 3, 2)
    tone = rng.uniform(0.55, 1.0) if rng.random() < 0.75 else rng.uniform(0.02, 0.5)
    ground = tone * (1 - rng.uniform(0, 0.25) * rng.random(3))
    if rng.random() < 0.15:
        ground = tone * rng.random(3)
    height, width = mask.shape
    slope = rng.normal(0, 0.06, 2)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    lit = (1 + slope[0] * x + slope[1] * y)[..., None] * ground
    lit = lit * (1 - rng.uniform(0, 0.85) * shadow)[..., None]
    exposure = rng.uniform(0.6, 1.4)
    made = exposure * colour + (1 - mask)[..., None] * lit
    return made.clip(0, 1) ** (1 / rng.uniform(1.9, 2.5))


def _drawing(layers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    mask, contour, crease = layers[3], layers[5], layers[6]
    outline = np.maximum(mask - _least(mask), 0)
    strong = np.maximum(outline, (contour > rng.uniform(0.15, 0.6)) * 1.0)
    weak = np.maximum(contour, crease) > rng.uniform(0.1, 0.5)
    share = rng.choice((0.0, 0.4, 0.8, 1.0))
    lines = np.maximum(strong, share * weak)
    if rng.random() < 0.35:  # a broad pen
        lines = _most(lines)
    if rng.random() < 0.5:  # an unsteady hand
        lines = _shaken(lines, rng)
        mask = mask if rng.random() < 0.5 else _shaken(mask, rng)
    ground, ink = _two_tones(rng)
    tone = rng.choice((0.0, 0.0, 0.0, rng.uniform(0.05, 0.4)))
    paper = ground + tone * mask[..., None] * (ink - ground)
    strength = rng.uniform(0.7, 1.0)
    return paper + strength * lines.clip(0, 1)[..., None] * (ink - paper)


def _two_tones(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A ground and an ink that differ clearly, mostly dark on light."""
    light = rng.uniform(0.75, 1.0) * (1 - 0.15 * rng.random(3))
    dark = rng.uniform(0.0, 0.4) * (1 - 0.7 * rng.random(3) * (rng.random() < 0.4))
    return (light, dark) if rng.random() < 0.88 else (dark, light)


def _neighbours(plane: np.ndarray) -> list[np.ndarray]:
    wide = np.pad(plane, 1, mode="edge")
    height, width = plane.shape
    ways = ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1))
    return [wide[y : y + height, x : x + width] for y, x in ways]


def _least(plane: np.ndarray) -> np.ndarray:
    return np.minimum.reduce(_neighbours(plane))


def _most(plane: np.ndarray) -> np.ndarray:
    return np.maximum.reduce(_neighbours(plane))


def _shaken(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The plane, each place moved by up to about a pixel, smoothly."""
    height, width = plane.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase, often = rng.uniform(0, 2 * np.pi, 4), rng.uniform(0.05, 0.3, 4)
    reach = rng.uniform(0.3, 1.1)
    across = x + reach * np.sin(often[0] * y + phase[0] + 2 * np.sin(often[1] * x + phase[1]))
    down = y + reach * np.sin(often[2] * x + phase[2] + 2 * np.sin(often[3] * y + phase[3]))
    column = np.rint(across).astype(int).clip(0, width - 1)
    row = np.rint(down).astype(int).clip(0, height - 1)
    return plane[row, column]
