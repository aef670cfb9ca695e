"""Lamps that stand: on the floor, on a table, on a desk."""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import (
    Box,
    Ellipsoid,
    Field,
    Lathe,
    Placed,
    Radial,
    Rod,
    Sweep,
    Torus,
    Union,
)
from triptych.training.shape.procedural.outline import curve, profile, solid_profile


def lamp(dice: Dice) -> Field:
    """A floor lamp, a table lamp, a lamp on an arm or on a bow, a tripod or a lantern."""
    kind = dice.pick("floor", "floor", "table", "table", "table", "arm", "bow", "tripod", "lantern")
    if kind == "arm":
        return _arm(dice)
    if kind == "bow":
        return _bow(dice)
    if kind == "lantern":
        return _lantern(dice)
    tall = kind != "table"
    height = dice(1.3, 1.75) if tall else dice(0.35, 0.7)
    wide = (dice(0.15, 0.26) if tall else dice(0.32, 0.5) * height / 1.6) + 0.02
    deep = dice(0.18, 0.34) if tall else dice(0.3, 0.45) * height
    stem = dice(0.0085, 0.016)
    top = height - deep
    shade, spokes = _shade(dice, top, deep, wide)
    parts: list[Field] = [shade, Rod((0, 0.01, 0), (0, top + 0.6 * deep, 0), stem)]
    parts.append(Ellipsoid((0, top + 0.55 * deep, 0), (0.032, 0.045, 0.032)))
    parts += spokes
    if kind == "tripod":
        r, reach = dice(0.011, 0.018), dice(0.24, 0.34)
        joint = top - dice(0.02, 0.12)
        leg = Rod((reach, 0, 0), (0.01, joint, 0), 0.8 * r, r, foot=True)
        parts[1] = Rod((0, joint - 0.03, 0), (0, top + 0.6 * deep, 0), stem)
        parts += [Radial(leg, 3, np.pi / 2), Rod((0, joint - 0.05, 0), (0, joint + 0.03, 0), 0.035)]
        if dice.chance(0.4):
            parts.append(Torus((0, 0.45 * joint, 0), 0.55 * reach, 0.008))
        return Union(parts)
    if tall:
        reach, rise = dice(0.11, 0.17), dice(0.015, 0.04)
        keys = [(0, reach), (rise * 0.6, reach), (rise, 0.8 * reach), (rise + 0.03, 1.5 * stem)]
        parts.append(Lathe(solid_profile([*keys, (rise + 0.1, stem)], 30)))
        if dice.chance(0.3):
            y = dice(0.4, 0.7)
            parts.append(Lathe(solid_profile([(y - 0.012, 0.2), (y + 0.012, 0.2)], 6)))
        return Union(parts)
    parts.append(_body(dice, top))
    return Union(parts)


def _shade(dice: Dice, low: float, deep: float, wide: float) -> tuple[Field, list[Field]]:
    """An open shade from the height `low` on, of the largest radius `wide`; what carries it."""
    wall = dice(0.008, 0.012)
    style = dice.pick("cone", "cone", "drum", "empire", "dome", "bell", "globe", "square")
    if style == "globe":
        r = min(wide, 0.55 * deep)
        return Ellipsoid((0, low + deep - r, 0), (r, r, r)), []
    narrow = {
        "cone": dice(0.35, 0.75),
        "drum": dice(0.92, 1.0),
        "empire": 0.6,
        "square": 0.7,
        "dome": 0.25,
        "bell": 0.4,
    }[style]
    keys = [(0.0, 1.0), (1.0, narrow)]
    if style == "dome":
        keys = [(0.0, 1.0), (0.4, 0.93), (0.75, 0.7), (0.92, 0.42), (1.0, narrow)]
    elif style in ("bell", "empire"):
        keys = [(0.0, 1.0), (0.3, 0.78), (0.7, 0.5 + 0.25 * narrow), (1.0, narrow)]
    outer = profile([(low + h * deep, r * wide) for h, r in keys], 20)
    inner = outer[::-1] - [wall, 0]
    power = 5.0 if style == "square" else 2.0
    pleats = (dice.count(18, 30), 0.004) if style == "cone" and dice.chance(0.2) else (0, 0.0)
    y = low + 0.75 * deep
    reach = float(np.interp(y, outer[:, 1], outer[:, 0])) - 0.4 * wall
    spokes = Radial(Rod((0, y, 0), (reach, y, 0), 0.006), 3 if power == 2 else 4)
    return Lathe(np.concatenate([outer, inner]), power=power, flutes=pleats), [spokes]


def _body(dice: Dice, top: float) -> Field:
    """The foot and body of a table lamp: a turned vase, a ball, a block or a candlestick."""
    style = dice.pick("vase", "vase", "gourd", "ball", "block", "column")
    body, r = dice(0.6, 0.92) * top, dice(0.3, 0.5) * top
    r = min(r, 0.14)
    if style == "ball":
        rad = min(0.5 * body, 0.13)
        return Union(
            [
                Ellipsoid((0, rad + 0.02, 0), (rad, rad, rad)),
                Lathe(solid_profile([(0, 0.7 * rad), (0.025, 0.65 * rad)], 6)),
            ]
        )
    if style == "block":
        return Union(
            [
                Box((0, body / 2, 0), (1.3 * r, body, 1.3 * r), dice(0.005, 0.04)),
                Box((0, 0.01, 0), (1.6 * r, 0.02, 1.6 * r), 0.004),
            ]
        )
    if style == "column":
        keys = [
            (0, r),
            (0.02, r),
            (0.05, 0.4 * r),
            (0.3, 0.22 * r),
            (0.5, 0.35 * r),
            (0.8, 0.18 * r),
            (1, 0.3 * r),
        ]
    elif style == "gourd":
        keys = [
            (0, 0.6 * r),
            (0.25, r),
            (0.5, 0.5 * r),
            (0.7, 0.68 * r),
            (0.9, 0.3 * r),
            (1, 0.15 * r),
        ]
    else:
        keys = [(0, 0.55 * r), (0.06, 0.6 * r), (dice(0.3, 0.6), r), (0.85, 0.35 * r), (1, 0.2 * r)]
    flutes = (dice.count(8, 16), 0.05 * r) if dice.chance(0.2) else (0, 0.0)
    return Lathe(solid_profile([(h * body, max(v, 0.012)) for h, v in keys], 44), flutes=flutes)


def _head(dice: Dice, deep: float, wide: float) -> Field:
    """A small reflector whose mouth is at the origin's height and looks down."""
    keys = [(0, wide), (0.5 * deep, 0.85 * wide), (0.85 * deep, 0.5 * wide), (deep, 0.25 * wide)]
    outer = profile(keys, 18)
    hollow = np.concatenate(
        [outer, [[0, deep]], [[0, deep - 0.012]], outer[::-1] * [1, 0.9] - [0.01, 0]]
    )
    hollow[:, 0] = np.maximum(hollow[:, 0], 0)
    return Lathe(hollow)


def _arm(dice: Dice) -> Field:
    reach, r = dice(0.08, 0.12), dice(0.0075, 0.011)
    elbow = (0.0, dice(0.28, 0.4), -dice(0.05, 0.18))
    hand = (0.0, elbow[1] + dice(0.02, 0.18), elbow[2] + dice(0.25, 0.38))
    deep, wide = dice(0.09, 0.14), dice(0.06, 0.09)
    head = Placed(
        _head(dice, deep, wide), (dice(-25, 25), 0, 0), (0, hand[1] - 0.75 * deep, hand[2] + 0.02)
    )
    base = Lathe(
        solid_profile([(0, reach), (0.022, reach), (0.03, 0.3 * reach), (0.05, 1.5 * r)], 20)
    )
    joints = [Ellipsoid(at, (1.9 * r, 1.9 * r, 1.9 * r)) for at in (elbow, hand)]
    if dice.chance(0.5):
        bars: list[Field] = [Rod((0, 0.02, 0), elbow, r), Rod(elbow, hand, r)]
    else:
        bars = [
            Sweep(
                curve(
                    [
                        (0, 0.02, 0),
                        (0, 0.2, -0.03),
                        elbow,
                        (0, hand[1] + 0.06, hand[2] - 0.1),
                        hand,
                    ],
                    22,
                ),
                r,
            )
        ]
        joints = []
    return Union([base, head, *bars, *joints])


def _bow(dice: Dice) -> Field:
    height, out, r = dice(1.6, 2.0), dice(0.6, 1.1), dice(0.011, 0.018)
    line = [
        (0, 0.03, 0),
        (0, 0.6 * height, 0),
        (0.25 * out, 0.93 * height, 0),
        (0.7 * out, height, 0),
        (out, 0.8 * height, 0),
    ]
    deep, wide = dice(0.15, 0.24), dice(0.13, 0.22)
    head = Placed(_head(dice, deep, wide), (0, 0, 0), (out, 0.8 * height - 0.9 * deep, 0))
    if dice.chance(0.5):
        base: Field = Lathe(solid_profile([(0, 0.16), (0.045, 0.16)], 6))
    else:
        base = Box((0, 0.04, 0), (0.26, 0.08, 0.2), 0.006)
    return Union([base, Sweep(curve(line, 30), r), head])


def _lantern(dice: Dice) -> Field:
    w, h, r = dice(0.14, 0.26), dice(0.28, 0.5), dice(0.008, 0.013)
    x = w / 2 - r
    count = 4
    posts = Radial(Rod((1.38 * x, 0.02, 0), (1.38 * x, h, 0), r, square=True), count, np.pi / 4)
    base = Box((0, 0.015, 0), (w, 0.03, w), 0.004)
    roof = Lathe(
        solid_profile(
            [(h, 0.75 * w), (h + 0.02, 0.7 * w), (h + 0.4 * w, 0.12 * w), (h + 0.5 * w, 0.1 * w)],
            24,
        ),
        power=dice.pick(2.0, 6.0),
    )
    candle = Lathe(
        solid_profile(
            [(0.02, 0.22 * w), (0.5 * h, 0.22 * w), (0.52 * h, 0.05 * w), (0.6 * h, 0.03 * w)], 24
        )
    )
    ring_ = Placed(Torus((0, 0, 0), 0.16 * w, 0.007), (90, 0, 0), (0, h + 0.62 * w, 0))
    return Union([posts, base, roof, candle, ring_])
