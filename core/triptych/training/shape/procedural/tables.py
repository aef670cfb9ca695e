"""Tables and desks."""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import Box, Field, Minus, Mirror, Prism, Rod, Union
from triptych.training.shape.procedural.outline import rectangle
from triptych.training.shape.procedural.parts import (
    LEGS,
    board,
    handle,
    legs,
    pedestal,
    stretchers,
)


def table(dice: Dice) -> Field:
    """A dining, coffee, side or bar table on legs, a pedestal, trestles or slabs."""
    use = dice.pick("dining", "dining", "coffee", "side", "bar")
    top = {
        "dining": dice(0.7, 0.78),
        "coffee": dice(0.32, 0.48),
        "side": dice(0.45, 0.65),
        "bar": dice(0.95, 1.1),
    }[use]
    w, d = {
        "dining": (dice(0.8, 2.2), dice(0.75, 1.0)),
        "coffee": (dice(0.7, 1.3), dice(0.45, 0.75)),
        "side": (dice(0.35, 0.55), dice(0.35, 0.5)),
        "bar": (dice(0.55, 0.8), dice(0.5, 0.7)),
    }[use]
    d = min(w, d)
    thick = dice(0.018, 0.045)
    base = dice.pick("legs", "legs", "legs", "legs", "pedestal", "trestle", "slabs", "cross")
    form = dice.pick("sharp", "sharp", "rounded", "oval", "squircle")
    if base == "pedestal" and dice.chance(0.7):
        form = "oval"
        d = w = min(w, 1.3)
    parts: list[Field] = [board(dice, w, d, top, thick, form)]
    under, leg = top - 0.6 * thick, dice(0.03, 0.045 if use == "side" else 0.085)
    if base == "pedestal" and w < 2.2 * d:
        parts.append(pedestal(dice, dice(0.3, 0.42) * d, under, dice(0.05, 0.1)))
    elif base == "trestle":
        parts.append(_trestles(dice, w, d, under, leg))
    elif base == "slabs":
        wide = dice(0.02, 0.05)
        x = w / 2 - dice(0.0, 0.15) * w - wide / 2
        slab = rectangle(0.9 * d, under, 0.0) + np.array([0, under / 2])
        if dice.chance(0.4):
            slab = np.array([(0.25 * d, 0), (0.45 * d, under), (-0.45 * d, under), (-0.25 * d, 0)])
        parts.append(Mirror(Prism(slab, 0, x - wide / 2, x + wide / 2)))
        if dice.chance(0.6):
            parts.append(
                Box((0, dice(0.15, 0.9) * under, 0), (2 * x, dice(0.03, 0.1), 0.025), 0.003)
            )
    elif base == "cross":
        r = max(0.35 * leg, 0.012)
        x, z = 0.4 * w, 0.42 * d
        square = dice.chance(0.7)
        parts += [
            Mirror(Rod((x, 0, at), (x, under, -at), r, square=square, foot=True)) for at in (z, -z)
        ]
        parts.append(Rod((-x, under / 2, 0), (x, under / 2, 0), 0.8 * r, square=square))
        parts.append(Mirror(Box((x, under - 0.015, 0), (0.05, 0.03, 2 * z), 0.003)))
    else:
        parts += _four(dice, w, d, under, leg, form)
    return Union(parts, dice.pick(0.0, 0.0, 0.006))


def _four(dice: Dice, w: float, d: float, under: float, leg: float, form: str) -> list[Field]:
    style = dice.pick(*LEGS)
    inner = 0.68 if form == "oval" else dice(0.86, 0.99)
    lw, ld = w * inner, d * inner
    made: list[Field] = [legs(dice, style, lw, ld, under, leg)]
    if style in ("square", "tapered", "turned", "round", "cabriole") and dice.chance(0.75):
        apron, deep = dice(0.05, 0.12), 0.022
        rail = Box((0, under - apron / 2, ld / 2 - leg / 2), (lw - 0.5 * leg, apron, deep), 0.002)
        side = Box((lw / 2 - leg / 2, under - apron / 2, 0), (deep, apron, ld - 0.5 * leg), 0.002)
        made += [Mirror(rail, "z"), Mirror(side)]
        if dice.chance(0.3):
            body = Box((0, under - apron / 2, 0), (lw - leg, apron, ld - leg))
            front = Box(
                (0, under - apron / 2, ld / 2 - leg / 2 + 0.014),
                (0.5 * lw, apron - 0.02, 0.02),
                0.003,
            )
            made += [
                body,
                front,
                handle(dice, "knob", 0, under - apron / 2, ld / 2 - leg / 2 + 0.024, True),
            ]
    if style not in ("hairpin", "sled", "splayed", "cabriole"):
        extra = dice.pick("none", "none", "bars", "shelf")
        if extra == "bars":
            made.append(stretchers(dice, lw, ld, dice(0.1, 0.25) * under / 0.7, leg))
        elif extra == "shelf":
            level = dice(0.12, 0.3) * under
            made.append(Box((0, level, 0), (lw - 0.4 * leg, 0.02, ld - 0.4 * leg), 0.003))
    return made


def _trestles(dice: Dice, w: float, d: float, under: float, leg: float) -> Field:
    x, r = w / 2 * dice(0.6, 0.85), max(0.4 * leg, 0.014)
    z = 0.4 * d
    style = dice.pick("a", "a", "column", "x")
    parts: list[Field] = [Box((x, under - 0.02, 0), (2.2 * r, 0.04, 0.85 * d), 0.003)]
    if style == "column":
        foot = rectangle(0.85 * d, 0.06, 0.02) + np.array([0, 0.03])
        parts.append(Prism(foot, 0, x - 1.3 * r, x + 1.3 * r))
        parts.append(Box((x, under / 2, 0), (2 * r, under, dice(0.1, 0.3) * d), 0.004))
    elif style == "x":
        parts += [Rod((x, 0, at), (x, under, -at), r, square=True, foot=True) for at in (z, -z)]
    else:
        top = dice(0.05, 0.5) * z
        leg_ = Rod((x, 0, z), (x, under, top), r, square=True, foot=True)
        level = dice(0.2, 0.4) * under
        parts += [Mirror(leg_, "z"), Box((x, level, 0), (1.4 * r, 0.04, 1.7 * z), 0.003)]
    made: list[Field] = [Mirror(Union(parts))]
    if dice.chance(0.7):
        made.append(Box((0, dice(0.25, 0.5) * under, 0), (2 * x, dice(0.05, 0.1), 0.028), 0.003))
    return Union(made)


def desk(dice: Dice) -> Field:
    """A desk: drawers at one or both sides, a frame, a screen behind, shelves above."""
    w, d, top = dice(1.0, 1.8), dice(0.5, 0.8), dice(0.71, 0.77)
    thick = dice(0.02, 0.04)
    parts: list[Field] = [board(dice, w, d, top, thick, dice.pick("sharp", "sharp", "rounded"))]
    under, wide = top - 0.7 * thick, dice(0.32, 0.45)
    grip = dice.pick("knob", "bar", "bar")
    sides = dice.pick("left", "right", "both", "none", "shallow")
    leg = dice(0.03, 0.06)
    style = dice.pick("square", "tapered", "round", "sled", "hairpin", "splayed", "turned")
    if sides in ("none", "shallow"):
        parts.append(legs(dice, style, w - 0.02, d - 0.02, under, leg))
        tall = dice(0.08, 0.14)
        if sides == "shallow":
            count = dice.count(1, 3)
            parts += _drawers(
                dice, 0, w - 2 * leg - 0.04, under - tall, under, d - 0.06, count, 1, grip
            )
        else:
            parts.append(Box((0, under - 0.03, 0), (w - 2 * leg, 0.05, 0.03), 0.003))
            parts.append(
                Mirror(
                    Box(
                        (w / 2 - leg / 2 - 0.01, under - 0.025, 0),
                        (0.025, 0.04, d - leg - 0.02),
                        0.003,
                    )
                )
            )
    else:
        foot = dice.pick(0.0, 0.0, dice(0.06, 0.2))
        rows = dice.count(2, 4)
        for side in (-1, 1):
            x = side * (w / 2 - wide / 2 - 0.015)
            if sides == "both" or (side < 0) == (sides == "left"):
                parts += _drawers(dice, x, wide, foot, under, d - 0.05, 1, rows, grip)
                if foot:
                    for sx in (-1, 1):
                        post = Rod(
                            (x + sx * (wide / 2 - 0.03), 0, d / 2 - 0.07),
                            (x + sx * (wide / 2 - 0.03), foot + 0.01, d / 2 - 0.07),
                            0.014,
                            0.02,
                        )
                        parts.append(Mirror(post, "z"))
            elif dice.chance(0.5):
                slab = side * (w / 2 - 0.03)
                parts.append(Box((slab, under / 2, 0), (dice(0.02, 0.04), under, d - 0.04), 0.002))
            else:
                for z in (-1, 1):
                    at = (side * (w / 2 - leg), z * (d / 2 - leg))
                    parts.append(
                        Rod(
                            (at[0], 0, at[1]),
                            (at[0], under, at[1]),
                            0.3 * leg + 0.005,
                            leg / 2,
                            square=True,
                        )
                    )
        if dice.chance(0.6):
            tall = dice(0.25, 0.5)
            parts.append(Box((0, under - tall / 2, -d / 2 + 0.06), (w - 0.06, tall, 0.02), 0.002))
    if dice.chance(0.25):
        parts += _hutch(dice, w, d, top)
    return Union(parts)


def _drawers(
    dice: Dice,
    x: float,
    w: float,
    low: float,
    high: float,
    d: float,
    columns: int,
    rows: int,
    grip: str,
) -> list[Field]:
    """A chest below a board: its body, the fronts that stand out a little, and their handles."""
    made: list[Field] = [Box((x, (low + high) / 2, 0), (w, high - low, d), 0.002)]
    each, tall = w / columns, (high - low) / rows
    proud = dice.pick(0.012, 0.016)
    for column in range(columns):
        for row in range(rows):
            at, y = x + (column - (columns - 1) / 2) * each, low + (row + 0.5) * tall
            made.append(Box((at, y, d / 2), (each - 0.016, tall - 0.016, 2 * proud), 0.003))
            made.append(handle(dice, grip, at, y + 0.1 * tall, d / 2 + proud, True))
    return made


def _hutch(dice: Dice, w: float, d: float, top: float) -> list[Field]:
    tall, deep = dice(0.25, 0.6), dice(0.18, 0.26)
    z = -d / 2 + deep / 2
    block = Box((0, top + tall / 2 - 0.005, z), (w, tall, deep), 0.002)
    count = dice.count(2, 4)
    each = (w - 0.02) / count
    made: Field = block
    for index in range(count):
        at = (index - (count - 1) / 2) * each
        hole = Box((at, top + tall / 2 - 0.005, z + 0.015), (each - 0.02, tall - 0.03, deep))
        made = Minus(made, hole)
    return [made]
