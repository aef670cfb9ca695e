"""Parts that several families share: boards, legs, pedestals, cushions, handles.

Lengths are metres. Furniture stands around the y axis, its front towards positive z.
"""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import (
    Box,
    Field,
    Lathe,
    Mirror,
    Prism,
    Radial,
    Rod,
    Sweep,
    Union,
)
from triptych.training.shape.procedural.outline import curve, oval, rectangle, solid_profile

LEGS = ("square", "tapered", "round", "splayed", "turned", "cabriole", "hairpin", "sled")


def board(dice: Dice, w: float, d: float, top: float, thick: float, form: str = "") -> Field:
    """A lying board whose upper side is at `top`: `form` is sharp, rounded, oval or squircle."""
    form = form or dice.pick("sharp", "sharp", "rounded", "squircle")
    edge = dice(0.05, 0.45) * thick
    if form == "sharp":
        return Box((0, top - thick / 2, 0), (w, thick, d), min(edge, 0.006))
    if form == "rounded":
        outline = rectangle(w, d, dice(0.03, 0.2) * min(w, d))
    else:
        outline = oval(w, d, 2.0 if form == "oval" else dice(3, 5))
    return Prism(outline, 1, top - thick, top, edge)


def turned_leg(dice: Dice, top: float, thick: float) -> np.ndarray:
    """The profile of a leg from a lathe: square or round at the top, beads and waists below."""
    r = thick / 2
    keys = [(0.0, r * dice(0.45, 0.75)), (0.04, r * dice(0.6, 0.9))]
    place = 0.04
    for _ in range(dice.count(1, 3)):
        step = (0.8 - place) * dice(0.3, 0.55)
        keys.append((place + 0.35 * step, r * dice(0.42, 0.65)))
        keys.append((place + step, r * dice(0.85, 1.0)))
        place += step
    keys += [(place + 0.04, r * dice(0.5, 0.7)), (place + 0.08, r), (1.0, r)]
    return solid_profile([(h * top, max(radius, 0.0085)) for h, radius in keys], 40)


def legs(dice: Dice, style: str, w: float, d: float, top: float, thick: float) -> Field:
    """Four legs in the corners of a w x d rectangle, up to the height `top`."""
    x, z, r = w / 2 - thick / 2, d / 2 - thick / 2, thick / 2
    one: Field
    if style == "tapered":
        one = Rod((x, 0, z), (x, top, z), dice(0.45, 0.7) * r, r, square=True, rounding=0.003)
    elif style == "round":
        one = Rod((x, 0, z), (x, top, z), dice(0.5, 1.0) * r, r)
    elif style == "splayed":
        lean = dice(0.06, 0.22) * top
        inner = max(x - lean, 0.3 * x), top, max(z - dice(0.5, 1.0) * lean, 0.3 * z)
        square = dice.chance(0.3)
        one = Rod((x, 0, z), inner, dice(0.5, 0.8) * r, r, square=square, foot=True)
    elif style == "turned":
        one = Lathe(turned_leg(dice, top, thick), (x, z))
    elif style == "cabriole":
        out = dice(0.3, 0.8) * thick
        heights = [0.0, 0.06, 0.3, 0.75, 1.0]
        away = [0.0, -0.1 * out, -1.0 * out, 0.1 * out, -0.3 * out]
        points = [(x + a, max(h * top, 0.6 * r), z + a) for h, a in zip(heights, away, strict=True)]
        widths = np.interp(np.linspace(0, 1, 14), heights, [0.75, 0.7, 0.55, 1.0, 1.1]) * r
        one = Sweep(curve(points, 14), np.maximum(widths, 0.009))
    elif style == "hairpin":
        wire, open_ = dice(0.0075, 0.011), dice(0.08, 0.16)
        foot = (w / 2 - wire, 0, d / 2 - wire)
        one = Union(
            [
                Rod(foot, (foot[0] - open_, top, foot[2] - 0.02), wire, foot=True),
                Rod(foot, (foot[0] - 0.02, top, foot[2] - open_), wire, foot=True),
            ]
        )
    elif style == "sled":
        wide = max(0.7 * r, 0.009)
        square = dice.chance(0.5)
        one = Union(
            [
                Rod(
                    (w / 2 - wide, 0, d / 2 - wide),
                    (w / 2 - wide, top, d / 2 - wide),
                    wide,
                    square=square,
                ),
                Rod(
                    (w / 2 - wide, wide, -0.001),
                    (w / 2 - wide, wide, d / 2),
                    wide,
                    square=square,
                    rounding=0.002,
                ),
            ]
        )
    else:
        one = Rod((x, 0, z), (x, top, z), r, square=True, rounding=dice(0.001, 0.3 * r))
    return Mirror(one, "xz")


def stretchers(dice: Dice, w: float, d: float, height: float, thick: float) -> Field:
    """Bars that hold four legs together: around, or as an H."""
    r, x, z = max(0.3 * thick, 0.008), w / 2 - thick / 2, d / 2 - thick / 2
    square = dice.chance(0.5)
    sides: list[Field] = [
        Mirror(Rod((x, height, -z), (x, height, z), r, square=square, rounding=0.002))
    ]
    if dice.chance(0.5):
        sides.append(Rod((-x, height, 0), (x, height, 0), r, square=square, rounding=0.002))
    else:
        up = height + dice.pick(0.0, 0.05)
        bar = Rod((-x, up, z), (x, up, z), r, square=square, rounding=0.002)
        sides.append(Mirror(bar, "z"))
    return Union(sides)


def pedestal(dice: Dice, reach: float, top: float, thick: float) -> Field:
    """A column with a round base, or with three to five feet, that go out to `reach`."""
    style = dice.pick("disc", "tulip", "feet", "arched", "block")
    if style == "disc":
        rise, r = dice(0.012, 0.03), thick / 2
        keys = [(0, reach), (rise, reach * 0.98), (rise + 0.02, 1.3 * r), (0.5 * top, r), (top, r)]
        return Lathe(solid_profile(keys, 44))
    if style == "tulip":
        waist = dice(0.3, 0.7) * top
        keys = [(0, reach), (0.012, reach), (0.25 * waist, 0.35 * reach), (waist, 0.5 * thick)]
        return Lathe(solid_profile([*keys, (top, dice(0.8, 2.2) * thick)], 44))
    if style == "block":
        return Union(
            [
                Box((0, 0.02, 0), (1.5 * reach, 0.04, 1.5 * reach), 0.006),
                Rod((0, 0, 0), (0, top, 0), dice(0.5, 1.0) * thick, square=True, rounding=0.004),
            ]
        )
    column = Lathe(_column(dice, top, thick))
    count, r = dice.count(3, 5), dice(0.28, 0.5) * thick
    if style == "feet":
        low = max(r, 0.012)
        foot: Field = Rod((0, low + 0.3 * r, 0), (reach - low, low, 0), low, 0.7 * low)
    else:
        ends = [(0, 0.35 * top, 0), (0.45 * reach, 0.28 * top, 0), (0.8 * reach, r, 0)]
        foot = Sweep(
            curve([*ends, (reach - 0.8 * r, 0.8 * r, 0)], 10), np.linspace(1.1, 0.8, 10) * r
        )
    return Union([column, Radial(foot, count, np.pi / 2)], 0.01)


def _column(dice: Dice, top: float, thick: float) -> np.ndarray:
    low, r = 0.06 * top if top > 0.3 else 0.02, thick / 2
    if dice.chance(0.5):
        return solid_profile([(low, r), (top, r)], 8)
    keys = [(low, r), (0.25 * top, 1.5 * r), (0.45 * top, 0.8 * r), (0.8 * top, r), (top, 1.4 * r)]
    return solid_profile(keys, 40)


def cushion(
    centre: tuple[float, float, float], size: tuple[float, float, float], soft: float
) -> Field:
    """A stuffed box; `soft` from 0 to 1 rounds it."""
    return Box(centre, size, 0.5 * min(size) * (0.25 + 0.73 * soft))


def handle(dice: Dice, style: str, x: float, y: float, z: float, wide: bool) -> Field:
    """A handle on a front at `z`: a knob or a bar (`wide`: lying, else upright)."""
    if style == "knob":
        r = dice(0.011, 0.018)
        return Union(
            [
                Rod((x, y, z - 0.01), (x, y, z + 0.02), 0.6 * r),
                Box((x, y, z + 0.024), (2 * r, 2 * r, 1.4 * r), 0.68 * r),
            ]
        )
    long, r = dice(0.05, 0.09), dice(0.0055, 0.008)
    dx, dy = (long, 0.0) if wide else (0.0, long)
    at = z + 0.025
    return Union(
        [
            Rod((x - dx, y - dy, at), (x + dx, y + dy, at), r),
            Rod((x - 0.8 * dx, y - 0.8 * dy, z - 0.01), (x - 0.8 * dx, y - 0.8 * dy, at), r),
            Rod((x + 0.8 * dx, y + 0.8 * dy, z - 0.01), (x + 0.8 * dx, y + 0.8 * dy, at), r),
        ]
    )
