"""Armchairs, sofas and beds."""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import (
    Box,
    Field,
    Minus,
    Mirror,
    Placed,
    Prism,
    Rod,
    Union,
)
from triptych.training.shape.procedural.outline import curve, oval, rectangle, ribbon
from triptych.training.shape.procedural.parts import cushion, legs
from triptych.training.shape.procedural.seating import backrest, chair


def armchair(dice: Dice) -> Field:
    """An upholstered armchair, a barrel, or a chair with arms."""
    kind = dice.pick("stuffed", "stuffed", "stuffed", "barrel", "frame", "chair")
    if kind == "chair":
        return chair(dice, arms=True)
    w, d = dice(0.68, 0.95), dice(0.7, 0.9)
    if kind == "barrel":
        return _barrel(dice, w, d)
    if kind == "frame":
        return _framed(dice, w, d, 1)
    return _stuffed(dice, w, d, 1, wings=dice.chance(0.25))


def sofa(dice: Dice) -> Field:
    """A sofa of two to four seats, a corner sofa, a chaise or a settee with a wooden frame."""
    seats = dice.count(2, 4)
    w, d = 0.3 + seats * dice(0.5, 0.68), dice(0.78, 1.0)
    kind = dice.pick("stuffed", "stuffed", "stuffed", "corner", "frame", "barrel")
    if kind == "frame":
        return _framed(dice, w, d, seats)
    if kind == "barrel":
        return _barrel(dice, min(w, 1.9), d)
    made = _stuffed(dice, w, d, seats, wings=False)
    if kind == "stuffed":
        return made
    deep, wide = dice(0.5, 0.8), w / seats
    seat = _seat_height(made)
    soft = dice(0.2, 0.7)
    chaise = Union(
        [
            Box((0, (seat - 0.1) / 2 + 0.03, 0), (wide, seat - 0.16, deep + 0.1), 0.02),
            cushion((0, seat - 0.07, 0), (wide, 0.15, deep + 0.1), soft),
            Box((0, 0.04, deep / 2 - 0.02), (0.8 * wide, 0.08, 0.05), 0.004),
        ]
    )
    side = dice.pick(-1, 1)
    return Union(
        [made, Placed(chaise, (0, 0, 0), (side * (w - wide) / 2, 0, (d + deep) / 2 - 0.05))]
    )


def _seat_height(made: Field) -> float:
    return float(getattr(made, "seat", 0.42))


def _stuffed(dice: Dice, w: float, d: float, seats: int, wings: bool) -> Field:
    foot, seat = dice(0.03, 0.16), dice(0.38, 0.46)
    arm, top, deep = dice(0.1, 0.22), dice(0.7, 0.95), dice(0.14, 0.24)
    soft = dice(0.1, 0.9)
    if wings:
        top = dice(0.98, 1.15)
    high = dice(0.52, 0.66)
    thick = dice(0.12, 0.18)
    lean = dice(3, 12)
    inner = w - 2 * arm
    parts: list[Field] = [
        Box((0, (foot + seat - 0.1) / 2, 0), (w - 0.04, seat - 0.1 - foot, d - 0.04), 0.02)
    ]
    arms = dice.pick("box", "box", "rolled", "slope", "none" if seats > 1 else "box")
    x = w / 2 - arm / 2
    if arms == "rolled":
        r = arm / 2
        parts.append(
            Mirror(
                Union(
                    [
                        Box(
                            (x - 0.01, (foot + high - r) / 2, 0),
                            (arm - 0.04, high - r - foot, d - 0.02),
                            0.02,
                        ),
                        Rod((x, high - r, -d / 2 + 0.01), (x, high - r, d / 2), r, rounding=0.02),
                    ],
                    0.02,
                )
            )
        )
    elif arms == "slope":
        line = np.array(
            [
                (-d / 2, foot),
                (d / 2, foot),
                (d / 2, high - 0.14),
                (0, high - 0.04),
                (-d / 2, high + 0.08),
            ]
        )
        parts.append(Mirror(Prism(line, 0, x - arm / 2, x + arm / 2, 0.03)))
    elif arms == "box":
        parts.append(
            Mirror(
                cushion((x, (foot + high) / 2, 0), (arm, high - foot, d), 0.6 * soft * arm / 0.2)
            )
        )
    else:
        inner = w - 0.02
    back = cushion(
        (0, (top - seat + 0.1) / 2, 0),
        (w - 0.01 if dice.chance(0.5) else inner + 0.02, top - seat + 0.1, deep),
        0.6 * soft,
    )
    rear = -d / 2 + deep / 2
    parts.append(Placed(back, (-lean / 2, 0, 0), (0, seat - 0.1, rear)))
    if wings:
        wing = [
            (-d / 2, high - 0.02),
            (d * 0.02, high - 0.02),
            (-d * 0.12, high + 0.15),
            (-d * 0.16, top - 0.05),
            (-d / 2, top),
        ]
        parts.append(Mirror(Prism(curve(wing, 16), 0, w / 2 - arm, w / 2 - arm + 0.08, 0.03)))
    each = inner / seats
    if dice.chance(0.15):
        each, seats = inner, 1
    back_pads = dice.chance(0.6)
    for index in range(seats):
        at = (index - (seats - 1) / 2) * each
        front = rear + deep / 2
        parts.append(
            cushion(
                (at, seat - thick / 2 + 0.03, (front + d / 2) / 2),
                (each - 0.006, thick, d / 2 - front + 0.015),
                soft,
            )
        )
        if back_pads:
            pad = cushion(
                (0, (top - seat) / 2 + 0.02, 0), (each - 0.01, top - seat - 0.03, 0.15), soft
            )
            parts.append(Placed(pad, (-lean, 0, 0), (at, seat + 0.01, front + 0.04)))
    if foot > 0.06:
        style = dice.pick(
            "square", "tapered", "round", "splayed", "turned" if foot > 0.1 else "round"
        )
        parts.append(legs(dice, style, w - 0.08, d - 0.08, foot + 0.03, dice(0.03, 0.05)))
    else:
        parts.append(Box((0, foot / 2 + 0.01, 0), (w - 0.1, foot + 0.02, d - 0.1)))
    made = Union(parts, dice.pick(0.0, 0.012))
    made.seat = seat + 0.03  # type: ignore[attr-defined]
    return made


def _barrel(dice: Dice, w: float, d: float) -> Field:
    """A back that goes around in a bow, as high as the arms or falling to them."""
    foot, seat, top = dice(0.02, 0.15), dice(0.38, 0.45), dice(0.66, 0.82)
    thick = dice(0.08, 0.14)
    x, z = w / 2 - thick / 2, d / 2 - thick / 2
    power = dice(2.2, 4.0)
    turn = np.linspace(-0.12, np.pi + 0.12, 30)
    unit = np.stack([np.cos(turn), -np.sin(turn)], -1)
    line = np.sign(unit) * np.abs(unit) ** (2 / power) * [x, z]
    front = np.array([[x, 0.55 * z], [-x, 0.55 * z]])
    line = np.concatenate([front[:1], line, front[1:]])
    shell: Field = Prism(ribbon(line, thick), 1, foot, top, 0.35 * thick)
    if dice.chance(0.6):
        fall = curve(
            [(d, seat + 0.12), (0.3 * d, seat + 0.16), (-0.1 * d, top - 0.1), (-0.4 * d, top)], 16
        )
        fall = np.concatenate([fall, [(-d, top + 0.2), (d, top + 0.2)]])
        shell = Minus(shell, Prism(fall, 0, -w, w))
    base = Prism(oval(w - 0.03, d - 0.03, power), 1, foot, seat - 0.1, 0.03)
    pad = Prism(
        oval(w - 1.9 * thick, d - 1.2 * thick, power) + np.array([0, 0.25 * thick]),
        1,
        seat - 0.12,
        seat + 0.02,
        dice(0.03, 0.06),
    )
    parts: list[Field] = [shell, base, pad]
    if foot > 0.05:
        style = dice.pick("round", "splayed", "tapered")
        parts.append(legs(dice, style, 0.75 * w, 0.75 * d, foot + 0.03, 0.04))
    else:
        parts.append(Prism(oval(w - 0.1, d - 0.1, power), 1, 0, foot + 0.02))
    return Union(parts)


def _framed(dice: Dice, w: float, d: float, seats: int) -> Field:
    """A visible wooden frame with loose cushions."""
    seat, thick = dice(0.36, 0.42), dice(0.03, 0.05)
    arm, lean = dice(0.54, 0.64), dice(8, 18)
    style = dice.pick("square", "round", "tapered")
    parts: list[Field] = [legs(dice, style, w, d, arm, thick)]
    wide = dice(1.0, 2.2) * thick
    parts.append(Mirror(Box((w / 2 - wide / 2, arm, 0), (wide, 0.024, d), 0.005)))
    rail = dice(0.035, 0.06)
    bar = Box((0, seat - 0.09, d / 2 - thick / 2), (w - 0.02, rail, 0.025), 0.003)
    parts.append(Mirror(bar, "z"))
    side = Box((w / 2 - thick / 2, seat - 0.09, 0), (0.025, rail, d - 0.02), 0.003)
    parts.append(Mirror(side))
    parts.append(Box((0, seat - 0.085, 0), (w - thick, 0.018, d - thick)))
    inner, h, soft = w - 2 * thick, dice(0.38, 0.52), dice(0.2, 0.9)
    rest = backrest(dice, dice.pick("slats", "ladder", "frame"), inner, h, thick)
    parts.append(Placed(rest, (-lean, 0, 0), (0, seat - 0.06, -d / 2 + 0.07)))
    for index in range(seats):
        each = inner / seats
        at = (index - (seats - 1) / 2) * each
        parts.append(cushion((at, seat - 0.01, 0.03), (each - 0.01, 0.13, d - 0.1), soft))
        pad = cushion((0, h / 2 + 0.05, 0.08), (each - 0.02, h - 0.02, 0.12), soft)
        parts.append(Placed(pad, (-lean, 0, 0), (at, seat - 0.02, -d / 2 + 0.07)))
    return Union(parts)


def bed(dice: Dice) -> Field:
    """A bed with mattress and pillows: single, double, with posts, or two above one another."""
    double = dice.chance(0.6)
    w, d = (dice(1.4, 1.85) if double else dice(0.85, 1.1)), dice(1.95, 2.15)
    if not double and dice.chance(0.25):
        return _bunk(dice, w, d)
    low = dice(0.18, 0.34)
    thick = dice(0.03, 0.08)
    parts = _mattress(dice, w - 0.06, d - 0.08, low, double)
    rail = dice(0.08, 0.2)
    parts.append(
        Minus(
            Box((0, low, 0), (w, rail, d), 0.008),
            Box((0, low + 0.06, 0), (w - 0.06, rail, d - 0.06)),
        )
    )
    parts.append(Box((0, low - 0.02, 0), (w - 0.04, 0.03, d - 0.04)))
    head = dice(0.75, 1.2)
    posts = dice.chance(0.15)
    if posts:
        style, tall = dice.pick("square", "turned", "round"), dice(1.7, 2.1)
        parts.append(legs(dice, style, w + 0.04, d + 0.04, tall, dice(0.05, 0.08)))
        if dice.chance(0.6):
            bar = Box((0, tall - 0.03, d / 2 - 0.02), (w, 0.045, 0.045), 0.004)
            parts.append(Mirror(bar, "z"))
            parts.append(Mirror(Box((w / 2 - 0.02, tall - 0.03, 0), (0.045, 0.045, d), 0.004)))
    elif dice.chance(0.2):
        parts.append(Box((0, low / 2, 0), (w - 0.12, low, d - 0.12), 0.004))
    else:
        style = dice.pick("square", "tapered", "turned", "round")
        parts.append(legs(dice, style, w - 0.01, d - 0.01, low, dice(0.05, 0.09)))
    parts.append(_headboard(dice, w, head, -d / 2 - thick / 2 + 0.02, thick))
    if dice.chance(0.35):
        parts.append(_headboard(dice, w, dice(0.45, 0.7), d / 2 + thick / 2 - 0.02, thick))
    return Union(parts)


def _headboard(dice: Dice, w: float, top: float, z: float, thick: float) -> Field:
    style = dice.pick("board", "arched", "padded", "bars", "panels")
    low = dice.pick(0.0, 0.2)
    if style == "padded":
        return Union(
            [
                cushion(
                    (0, (top + 0.15) / 2, z), (w + 0.04, top - 0.15, thick + 0.05), dice(0.2, 0.8)
                ),
                Mirror(Box((0.4 * w, 0.12, z), (0.05, 0.24, thick))),
            ]
        )
    if style == "bars":
        r, x = dice(0.014, 0.025), w / 2 - 0.03
        parts: list[Field] = [
            Mirror(Rod((x, 0, z), (x, top, z), 1.2 * r)),
            Rod((-x, top - r, z), (x, top - r, z), r),
            Rod((-x, 0.35 * top, z), (x, 0.35 * top, z), r),
        ]
        count = dice.count(5, 12)
        parts += [
            Rod((float(at), 0.35 * top, z), (float(at), top - r, z), max(0.5 * r, 0.009))
            for at in np.linspace(-x, x, count + 2)[1:-1]
        ]
        return Union(parts)
    if style == "arched":
        rise = dice(0.08, 0.25)
        across = np.linspace(w / 2, -w / 2, 22)
        arc = top - rise + rise * np.cos(across / w * np.pi) ** dice.pick(0.5, 1.0)
        form = np.concatenate([np.stack([across, arc], -1), [(-w / 2, low), (w / 2, low)]])
        made: Field = Prism(form, 2, z - thick / 2, z + thick / 2, 0.006)
    else:
        form = rectangle(w, top - low, dice.pick(0.0, 0.02, 0.1)) + np.array([0, (top + low) / 2])
        made = Prism(form, 2, z - thick / 2, z + thick / 2, 0.006)
        if style == "panels":
            count = dice.count(2, 4)
            each = w / count
            for index in range(count):
                at = (index - (count - 1) / 2) * each
                hole = Box((at, 0.66 * top, z + thick / 2), (each - 0.08, 0.5 * top, 0.02))
                made = Minus(made, hole)
    if low:
        made = Union(
            [made, Mirror(Box((0.45 * w, low / 2 + 0.02, z), (0.06, low + 0.06, thick), 0.004))]
        )
    return made


def _mattress(dice: Dice, w: float, d: float, low: float, double: bool) -> list[Field]:
    thick = dice(0.18, 0.28)
    top = low + thick
    parts: list[Field] = [Box((0, low + thick / 2, 0), (w, thick, d), dice(0.03, 0.06))]
    if dice.chance(0.8):
        count = dice.pick(2, 2, 3) if double else 1
        for index in range(count):
            at = (index - (count - 1) / 2) * (w / count)
            size = (min(0.7, w / count - 0.04), dice(0.1, 0.15), 0.42)
            pillow = cushion((0, 0, 0), size, 0.9)
            parts.append(Placed(pillow, (dice(8, 25), 0, 0), (at, top + 0.045, -d / 2 + 0.27)))
    if dice.chance(0.6):
        long = dice(0.55, 0.75) * d
        cover = Box((0, top - 0.09, d / 2 - long / 2 + 0.02), (w + 0.05, 0.27, long), 0.05)
        parts.append(cover)
    return parts


def _bunk(dice: Dice, w: float, d: float) -> Field:
    top, thick = dice(1.5, 1.8), dice(0.05, 0.08)
    parts: list[Field] = [legs(dice, "square", w, d, top, thick)]
    for low in (dice(0.25, 0.35), top - 0.45):
        parts.append(Box((0, low, 0), (w - 0.02, 0.1, d - 0.02), 0.004))
        parts += _mattress(dice, w - 2 * thick, d - 2 * thick, low + 0.03, False)[:2]
    rail = Box((0, top - 0.06, 0), (0.025, 0.08, d - 0.05), 0.003)
    parts.append(Mirror(Placed(rail, (0, 0, 0), (w / 2 - thick / 2, 0, 0))))
    for z in (-1, 1):
        for y in (0.5, top - 0.2, top - 0.06):
            parts.append(Box((0, y, z * (d / 2 - thick / 2)), (w - 0.05, 0.07, 0.025), 0.003))
    x = w / 2 + 0.01
    rungs: list[Field] = [
        Rod((x, y, d / 4 - 0.2), (x, y, d / 4 + 0.2), 0.014)
        for y in np.arange(0.25, top - 0.3, 0.27).tolist()
    ]
    rungs += [
        Rod((x, 0, d / 4 + s), (x, top - 0.1, d / 4 + s), 0.018, square=True) for s in (-0.2, 0.2)
    ]
    return Union([*parts, *rungs])
