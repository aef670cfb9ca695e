"""Chairs and stools."""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import (
    Box,
    Ellipsoid,
    Field,
    Minus,
    Mirror,
    Placed,
    Prism,
    Radial,
    Rod,
    Shell,
    Sweep,
    Torus,
    Union,
)
from triptych.training.shape.procedural.outline import curve, oval, rectangle, ribbon
from triptych.training.shape.procedural.parts import (
    LEGS,
    board,
    cushion,
    legs,
    pedestal,
    stretchers,
)

BACKS = (
    "panel",
    "padded",
    "slats",
    "ladder",
    "spindles",
    "cross",
    "splat",
    "bowed",
    "frame",
    "hoop",
)


def chair(dice: Dice, arms: bool = False) -> Field:
    """A chair of wood, of tubes, of one bent sheet, a moulded shell or an office chair."""
    kind = dice.pick("wood", "wood", "wood", "wood", "wood", "sheet", "shell", "shell", "office")
    w, d, seat = dice(0.38, 0.52), dice(0.38, 0.5), dice(0.42, 0.48)
    if arms:
        w, d = w + 0.08, d + 0.05
    if kind == "sheet":
        return _sheet(dice, w, d, seat, arms)
    if kind in ("shell", "office"):
        return _shell(dice, w, d, seat, arms, kind == "office")
    return _wooden(dice, w, d, seat, arms)


def _wooden(dice: Dice, w: float, d: float, seat: float, arms: bool) -> Field:
    thick = dice(0.025, 0.045)
    style = dice.pick(
        "square", "tapered", "round", "splayed", "turned", "cabriole", "square", "tapered"
    )
    back_height = dice(0.32, 0.62)
    parts: list[Field] = []
    pad = dice.chance(0.45)
    deck = dice(0.018, 0.035)
    parts.append(
        board(
            dice,
            w,
            d,
            seat - (0.03 if pad else 0),
            deck,
            dice.pick("sharp", "rounded", "rounded", "squircle"),
        )
    )
    if pad:
        rise = dice(0.04, 0.08)
        parts.append(
            cushion((0, seat - 0.03 + rise / 2, 0), (w - 0.01, rise, d - 0.01), dice(0.3, 0.9))
        )
    inset = dice(0.0, 0.03)
    under = seat - 0.025
    parts.append(legs(dice, style, w - inset, d - inset, under, thick))
    if style not in ("splayed", "cabriole") and dice.chance(0.5):
        rail = dice(0.04, 0.07)
        ring_ = Box((0, under - rail / 2, 0), (w - inset - 0.01, rail, d - inset - 0.01), 0.002)
        hole = Box((0, under - rail / 2, 0), (w - inset - 0.05, 2 * rail, d - inset - 0.05))
        parts.append(Minus(ring_, hole))
        if dice.chance(0.6):
            parts.append(stretchers(dice, w - inset, d - inset, dice(0.1, 0.25), thick))
    lean = dice(4, 14)
    back = backrest(dice, dice.pick(*BACKS), w - inset, back_height, thick)
    parts.append(Placed(back, (-lean, 0, 0), (0, seat - 0.03, -d / 2 + thick / 2 + inset / 2)))
    if arms:
        parts.append(_arms(dice, w, d, seat, thick, lean))
    return Union(parts, dice.pick(0.0, 0.0, 0.008))


def backrest(dice: Dice, style: str, w: float, h: float, thick: float) -> Field:
    """A back standing upright on y = 0, around z = 0: as wide as `w` and about as high as `h`."""
    x, r = w / 2 - thick / 2, thick / 2
    square = dice.chance(0.5)

    def rail(low: float, high: float, bow: float, deep: float = 0.02) -> Field:
        across = np.linspace(-x, x, 9)
        line = np.stack([across, -bow * (1 - (across / x) ** 2)], -1)
        return Prism(ribbon(line, deep), 1, low, high, 0.25 * deep)

    posts = Mirror(
        Rod((x, -0.02, 0), (x, h, 0), r, dice(0.6, 1.0) * r, square=square, rounding=0.003)
    )
    bow = dice.pick(0.0, dice(0.015, 0.05))
    top = dice(0.05, 0.1)
    if style == "panel":
        low = dice.pick(0.0, 0.08)
        form = dice.pick(rectangle(w, h - low, dice(0.01, 0.12)), oval(w, h - low, dice(2.4, 4)))
        plate = Prism(form + np.array([0, (h + low) / 2]), 2, -0.012, 0.012, 0.008)
        return Union([plate, posts]) if low else plate
    if style == "padded":
        low, deep = dice.pick(0.0, 0.1), dice(0.04, 0.09)
        pad = cushion((0, (h + low) / 2, 0), (w, h - low, deep), dice(0.2, 0.9))
        return Union([pad, Mirror(Rod((0.7 * x, -0.02, 0), (0.7 * x, low + 0.05, 0), 0.6 * r))])
    if style == "bowed":
        deep = dice(0.018, 0.035)
        return Union([posts, rail(h * dice(0.35, 0.55), h, max(bow, 0.04), deep)])
    if style == "hoop":
        return _hoop(dice, w, h, r)
    parts: list[Field] = [posts, rail(h - top, h, bow)]
    if style == "slats":
        count, low = dice.count(3, 7), dice(0.0, 0.12)
        wide = dice(0.25, 0.6) * 2 * x / count
        places = (np.arange(count) + 0.5) / count * 2 - 1
        for place in places[places > -0.01]:
            at, back = float(place * x), float(-bow * (1 - place**2))
            slat = Box((at, (h + low) / 2 - 0.02, back), (wide, h - low - 0.02, 0.016), 0.003)
            parts.append(Mirror(slat) if at > 1e-3 else slat)
        if low:
            parts.append(rail(low - 0.02, low + 0.02, bow))
    elif style == "ladder":
        count = dice.count(2, 5)
        tall = dice(0.35, 0.65) * (h - top) / count
        for index in range(count):
            low = (h - top) * (index + 0.5) / count - tall / 2 + 0.02
            parts.append(rail(low, low + tall, bow, 0.018))
    elif style == "spindles":
        count, thin = dice.count(3, 8), dice(0.0075, 0.011)
        for place in (np.arange(count) + 0.5) / count * 2 - 1:
            at = float(place * x)
            parts.append(Rod((at, -0.02, 0), (at, h - top / 2, float(-bow * (1 - place**2))), thin))
    elif style == "cross":
        low, thin = dice(0.05, 0.12), dice(0.009, 0.014)
        parts.append(rail(low - 0.025, low + 0.025, 0.0))
        parts.append(Mirror(Rod((-x, low, 0), (x, h - top, 0), thin, square=square)))
        parts.append(Mirror(Rod((x, low, 0), (-x, h - top, 0), thin, square=square)))
    elif style == "splat":
        keys = [
            (-0.02, 0.5),
            (0.2, dice(0.2, 0.5)),
            (0.5, dice(0.5, 1.0)),
            (0.75, dice(0.3, 0.6)),
            (1, 0.7),
        ]
        side = curve([(half * 0.12, level * (h - top / 2)) for level, half in keys], 16)
        form = np.concatenate([side, (side * [-1, 1])[::-1]])
        parts.append(Prism(form, 2, -0.009, 0.009, 0.003))
    else:
        low = dice(0.06, 0.14)
        parts.append(rail(low - 0.025, low + 0.025, 0.0))
        parts.append(Box((0, (h + low) / 2, 0), (2 * x, h - low, 0.014), 0.002))
    return Union(parts)


def _hoop(dice: Dice, w: float, h: float, r: float) -> Field:
    """A bent bow with spindles in it (Windsor)."""
    x = w / 2 - r
    arch = curve(
        [
            (-x, -0.02, 0),
            (-0.98 * x, 0.55 * h, 0),
            (-0.6 * x, 0.92 * h, 0),
            (0, h - r, 0),
            (0.6 * x, 0.92 * h, 0),
            (0.98 * x, 0.55 * h, 0),
            (x, -0.02, 0),
        ],
        20,
    )
    parts: list[Field] = [Sweep(arch, max(0.75 * r, 0.011))]
    count, thin = dice.count(4, 8), dice(0.0075, 0.01)
    for place in (np.arange(count) + 0.5) / count * 2 - 1:
        top = float(np.interp(place * x, arch[:, 0], arch[:, 1]))
        parts.append(Rod((float(0.85 * place * x), -0.02, 0), (float(place * x), top, 0), thin))
    return Union(parts)


def _arms(dice: Dice, w: float, d: float, seat: float, thick: float, lean: float) -> Field:
    """Arms on a wooden chair: posts in front, bars back to the backrest."""
    height, r = dice(0.18, 0.26), max(0.45 * thick, 0.011)
    x, front = w / 2 - r, d / 2 - dice(0.03, 0.1)
    rear = -d / 2 + thick / 2 - np.tan(np.radians(lean)) * height
    style = dice.pick("flat", "round", "curved")
    top = seat + height
    post = Rod((x, seat - 0.05, front), (x, top, front), r, square=style == "flat", rounding=0.002)
    if style == "flat":
        bar: Field = Box(
            (x, top, (front + 0.02 + rear) / 2), (2.4 * r, 0.02, front + 0.04 - rear), 0.004
        )
    elif style == "round":
        bar = Rod((x, top, rear), (x, top, front + 0.02), r)
    else:
        line = [
            (x - 0.01, top + 0.03, rear),
            (x, top - 0.01, 0),
            (x, top + 0.01, front),
            (x, top - 0.02, front + 0.05),
        ]
        bar = Sweep(curve(line, 12), 1.1 * r)
    return Mirror(Union([post, bar]))


def _sheet(dice: Dice, w: float, d: float, seat: float, arms: bool) -> Field:
    """Seat and back of one bent sheet, on tubes or legs."""
    h, thick = dice(0.32, 0.5), dice(0.018, 0.03)
    line = [
        (d / 2, seat - 0.03),
        (d / 2 - 0.04, seat),
        (0, seat - dice(0.0, 0.03)),
        (-d / 2 + 0.06, seat),
        (-d / 2, seat + 0.08),
        (-d / 2 - dice(0.03, 0.1), seat + h),
    ]
    parts: list[Field] = [Prism(ribbon(curve(line, 26), thick), 0, -w / 2, w / 2, 0.4 * thick)]
    r = dice(0.0095, 0.014)
    x = w / 2 - r
    style = dice.pick("cantilever", "legs", "sled")
    if style == "cantilever":
        side = [
            (x, seat - 0.01, -d / 2 + 0.1),
            (x, seat - 0.015, d / 2 - 0.06),
            (x, seat - 0.07, d / 2),
            (x, 0.07, d / 2),
            (x, r, d / 2 - 0.06),
            (x, r, -d / 2),
        ]
        parts.append(Mirror(Sweep(curve(side, 26), r)))
        parts.append(Rod((-x, r, -d / 2), (x, r, -d / 2), r))
    else:
        name = "sled" if style == "sled" else dice.pick("splayed", "round", "tapered")
        parts.append(legs(dice, name, w, d, seat - 0.01, 2.6 * r))
        parts.append(Box((0, seat - 0.03, 0), (w - 0.06, 0.03, d - 0.12), 0.004))
    if arms:
        top = seat + dice(0.18, 0.24)
        loop = [
            (x, seat - 0.02, d / 2 - 0.1),
            (x + 0.01, top - 0.06, d / 2 - 0.08),
            (x + 0.01, top, d / 2 - 0.13),
            (x, top + 0.01, -d / 2 - 0.03),
        ]
        parts.append(Mirror(Sweep(curve(loop, 16), 1.2 * r)))
    return Union(parts)


def _shell(dice: Dice, w: float, d: float, seat: float, arms: bool, office: bool) -> Field:
    """A moulded bucket: seat, back and low sides in one, on legs or a star with castors."""
    h, thick = dice(0.34, 0.5), dice(0.018, 0.03)
    if office and dice.chance(0.5):
        deep = dice(0.05, 0.09)
        back = cushion((0, 0.09 + h / 2, 0), (0.92 * w, h, 0.7 * deep), dice(0.4, 0.9))
        shell: Field = Union(
            [
                cushion((0, seat - deep / 2, 0), (w, deep, d), dice(0.4, 0.9)),
                Placed(back, (-dice(4, 12), 0, 0), (0, seat, -d / 2 + 0.02)),
                Rod((0, seat - 0.04, -d / 4), (0, seat - 0.02, -d / 2 - 0.03), 0.02),
                Rod((0, seat - 0.02, -d / 2 - 0.03), (0, seat + 0.25, -d / 2 - 0.05), 0.018),
            ],
            0.01,
        )
    else:
        shell = _bucket(dice, w, d, seat, h, thick, arms)
    parts = [shell]
    if office:
        parts.append(_star(dice, seat - 0.03))
        if arms:
            x, top = w / 2 + 0.01, seat + dice(0.16, 0.22)
            parts.append(
                Mirror(
                    Union(
                        [
                            Rod((x, seat - 0.03, -0.03), (x, top, -0.03), 0.014),
                            Box((x, top, 0), (0.06, 0.03, 0.24), 0.012),
                            Rod((0, seat - 0.03, -0.03), (x, seat - 0.03, -0.03), 0.014),
                        ]
                    )
                )
            )
    elif dice.chance(0.25):
        parts.append(pedestal(dice, 0.5 * w, seat - 0.01, dice(0.04, 0.06)))
    else:
        name = dice.pick("splayed", "splayed", "round", "tapered", "sled", "hairpin")
        parts.append(legs(dice, name, 0.9 * w, 0.9 * d, seat - 0.005, dice(0.026, 0.036)))
        parts.append(Box((0, seat - 0.02, 0), (0.75 * w, 0.025, 0.75 * d), 0.006))
    return Union(parts)


def _bucket(
    dice: Dice, w: float, d: float, seat: float, h: float, thick: float, arms: bool
) -> Field:
    """A thin shell that rises from a low front over the sides to the back."""
    middle, inner = thick / 2, w / 2 - thick / 2
    pan = Box((0, seat + 0.15 + middle, 0.02), (2 * inner, 0.3, d - thick - 0.02), dice(0.09, 0.14))
    rest = Box((0, h / 2 + 0.1, 0), (2 * inner * dice(0.85, 1.0), h + 0.2, 0.24), dice(0.08, 0.119))
    back = Placed(rest, (-dice(6, 14), 0, 0), (0, seat - 0.03, -d / 2 + 0.12))
    hollow = Shell(Union([pan, back], dice(0.04, 0.1)), thick)
    low, high = dice(0.02, 0.05), dice(0.14, 0.2) if arms else dice(0.05, 0.12)
    rim = [(0.7 * d, seat + low), (0.3 * d, seat + low), (0.05 * d, seat + high)]
    rim += [(-0.2 * d, seat + high + 0.06), (-0.32 * d, seat + 0.75 * h)]
    line = curve([*rim, (-0.42 * d, seat + h), (-1.5 * d, seat + h + 0.04)], 26)
    form = np.concatenate([line, [(-1.5 * d, 0), (0.7 * d, 0)]])
    kept = Prism(form, 0, -w, w)
    made = _Within(hollow, kept)
    made.outline = Box((0, seat + h / 2, -0.1), (w, h + 0.1, d + 0.2)).outline
    made.loose = True
    return made


class _Within(Minus):
    """What of a field lies in another."""

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.maximum(self.field(x, y, z), self.hole(x, y, z))


def _star(dice: Dice, top: float) -> Field:
    """The five-armed foot of an office chair, with castors or glides."""
    reach, r = dice(0.27, 0.33), dice(0.014, 0.02)
    low = 0.06
    arm = Rod((0, low + 0.03, 0), (reach, low, 0), 1.2 * r, 0.8 * r)
    castor = Union(
        [
            Rod((reach - 0.01, 0.025, -0.018), (reach - 0.01, 0.025, 0.018), 0.025),
            Rod((reach - 0.01, 0.03, 0), (reach - 0.01, low, 0), 0.009),
        ]
    )
    column = Rod((0, low, 0), (0, top, 0), dice(0.02, 0.03))
    return Union([Radial(Union([arm, castor]), 5, np.pi / 2), column])


def stool(dice: Dice) -> Field:
    """A stool: low, for a bar, with three or four legs, on a pedestal, or a pouf."""
    kind = dice.pick("legs", "legs", "legs", "three", "pedestal", "pouf", "bench")
    tall = dice.chance(0.4) and kind != "pouf"
    top, w = (dice(0.62, 0.78) if tall else dice(0.38, 0.5)), dice(0.3, 0.42)
    d = w if dice.chance(0.6) else w * dice(0.7, 0.95)
    if kind == "pouf":
        w = d = dice(0.38, 0.55)
        height = dice(0.36, 0.46)
        if dice.chance(0.4):
            return cushion((0, height / 2, 0), (w, height, d), dice(0.1, 0.5))
        return Prism(oval(w, d, dice.pick(2.0, 4.0)), 1, 0, height, dice(0.02, 0.1))
    if kind == "bench":
        w, d = dice(0.8, 1.4), dice(0.3, 0.42)
    thick = dice(0.028, 0.045)
    form = (
        dice.pick("oval", "oval", "rounded", "sharp", "squircle") if kind != "bench" else "rounded"
    )
    if form == "oval":
        d = w
    seat = board(dice, w, d, top, dice(0.02, 0.045), form)
    if dice.chance(0.3):
        hollow = Ellipsoid((0, top + 0.05, 0), (0.6 * w, 0.062, 0.6 * d))
        seat = Minus(seat, hollow)
    parts: list[Field] = [seat]
    if dice.chance(0.3):
        parts = [seat, cushion((0, top + 0.01, 0), (0.98 * w, 0.06, 0.98 * d), 0.8)]
        if form == "oval":
            parts[1] = Prism(oval(0.98 * w, 0.98 * d), 1, top - 0.01, top + 0.04, 0.022)
    under = top - 0.015
    if kind == "pedestal":
        parts.append(pedestal(dice, 0.5 * w, under, dice(0.04, 0.06)))
        return Union(parts)
    if kind == "three":
        out, r = 0.5 * w, thick / 2
        leg = Rod((out, 0, 0), (dice(0.4, 0.8) * out, under, 0), 0.7 * r, r, foot=True)
        parts.append(Radial(leg, 3, np.pi / 2))
        if tall:
            parts.append(Torus((0, 0.3, 0), 0.85 * out, 0.009))
        return Union(parts)
    style = dice.pick(*LEGS)
    inner = 0.75 if form == "oval" else 0.97
    lw, ld = (w * inner, d * inner) if style != "splayed" else (w, d)
    parts.append(legs(dice, style, lw, ld, under, thick))
    if style in ("square", "round", "tapered", "turned") and (tall or dice.chance(0.5)):
        parts.append(stretchers(dice, lw, ld, dice(0.1, 0.28), thick))
    return Union(parts)
