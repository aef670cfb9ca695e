"""Shelves and cabinets."""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import Box, Field, Minus, Mirror, Prism, Rod, Union
from triptych.training.shape.procedural.parts import handle, legs


def shelf(dice: Dice) -> Field:
    """An open shelf: a case with boards, a rack on posts, a ladder, cubes or steps."""
    kind = dice.pick("case", "case", "case", "rack", "rack", "ladder", "cubes", "steps")
    w, h, d = dice(0.5, 1.4), dice(0.8, 2.1), dice(0.24, 0.42)
    t = dice(0.018, 0.032)
    rows = max(2, round(h / dice(0.28, 0.42)))
    if kind == "rack":
        return _rack(dice, w, h, d, t, rows)
    if kind == "ladder":
        return _ladder(dice, w, h, d, t, rows)
    if kind == "steps":
        return _steps(dice, t)
    columns = dice.count(1, 3) if kind == "case" else max(1, round(w / 0.36))
    if kind == "cubes":
        rows = max(1, round(h / 0.36))
        w, h = columns * 0.36 + t, rows * 0.36 + t
    foot = dice.pick(0.0, 0.05, 0.12) if kind == "case" else 0.0
    return Union(_case(dice, w, h, d, t, rows, columns, foot, kind == "case"))


def _case(
    dice: Dice,
    w: float,
    h: float,
    d: float,
    t: float,
    rows: int,
    columns: int,
    foot: float,
    free: bool,
) -> list[Field]:
    levels = np.linspace(foot + t / 2, h - t / 2, rows + 1)
    if free and rows > 2:
        levels[1:-1] += dice.rng.uniform(-0.05, 0.05, rows - 1)
    parts: list[Field] = [Mirror(Box((w / 2 - t / 2, h / 2, 0), (t, h, d), 0.002))]
    parts += [Box((0, float(y), 0), (w - t, t, d - 0.004), 0.002) for y in levels]
    closed = dice.chance(0.6)
    if closed:
        parts.append(Box((0, (h + foot) / 2, -d / 2 + 0.008), (w - t, h - foot, 0.016)))
    for index in range(1, columns):
        x = -w / 2 + t / 2 + (w - t) * index / columns
        if free and dice.chance(0.3):  # in one part of the height only
            low, high = sorted(dice.rng.choice(rows + 1, 2, replace=False).tolist())
        else:
            low, high = 0, rows
        y = (float(levels[low]), float(levels[high]))
        parts.append(Box((x, sum(y) / 2, 0), (t, y[1] - y[0], d - 0.004), 0.002))
    if free and dice.chance(0.3):
        parts.append(Box((0, h + 0.015, 0), (w + 0.06, 0.03, d + 0.04), 0.008))
    if foot and dice.chance(0.5):
        parts.append(Box((0, foot / 2 + 0.005, d / 2 - 0.02), (w - t, foot + 0.01, 0.02)))
    if free and dice.chance(0.3):  # doors below
        high = float(levels[1])
        parts.append(Box((0, (foot + high) / 2, 0), (w - t, high - foot, d - 0.02)))
        for side in (-1, 1):
            parts.append(
                Box(
                    (side * (w - t) / 4, (foot + high) / 2, d / 2 - 0.01),
                    ((w - t) / 2 - 0.012, high - foot - 0.02, 0.03),
                    0.003,
                )
            )
            parts.append(handle(dice, "knob", side * 0.04, high - 0.1, d / 2 + 0.005, False))
    if not closed and not free:
        parts.append(Box((0, h / 2, -d / 2 + 0.008), (w - t, h, 0.016)))
    return parts


def _rack(dice: Dice, w: float, h: float, d: float, t: float, rows: int) -> Field:
    thick = dice(0.02, 0.04)
    parts: list[Field] = [legs(dice, dice.pick("square", "square", "round"), w, d, h, thick)]
    first = dice(0.06, 0.2)
    last = h - dice.pick(t / 2, 0.08)
    for y in np.linspace(first, last, rows).tolist():
        parts.append(Box((0, y, 0), (w - 0.01, t, d - 0.01), 0.002))
        if dice.chance(0.3):
            parts.append(Box((0, y - t, d / 2 - thick / 2), (w - thick, 0.03, 0.015)))
    brace = dice.pick("none", "cross", "bars")
    r = max(0.25 * thick, 0.0075)
    z = -d / 2 + thick / 2
    if brace == "cross":
        parts.append(Rod((-w / 2 + thick, first, z), (w / 2 - thick, last, z), r))
        parts.append(Rod((w / 2 - thick, first, z), (-w / 2 + thick, last, z), r))
    elif brace == "bars":
        x = w / 2 - thick / 2
        back, front = -d / 2 + thick / 2, d / 2 - thick / 2
        levels = np.linspace(first, last, 2 * rows).tolist()
        parts += [Mirror(Rod((x, y, back), (x, y, front), r)) for y in levels]
    return Union(parts)


def _ladder(dice: Dice, w: float, h: float, d: float, t: float, rows: int) -> Field:
    d = d + 0.12
    r, x = dice(0.012, 0.02), w / 2 - 0.02
    back, front = -d / 2 + r, d / 2 - r
    top = back + dice(0.08, 0.16)
    parts: list[Field] = [Mirror(Rod((x, 0, front), (x, h, top), r, square=True, foot=True))]
    parts.append(Mirror(Rod((x, 0, back), (x, h, back), r, square=True)))
    for y in np.linspace(dice(0.12, 0.25), h - 0.08, rows).tolist():
        reach = front + (top - front) * y / h
        parts.append(Box((0, y, (back + reach) / 2), (w - 0.02, t, reach - back + 0.03), 0.002))
        parts.append(Box((0, y + 0.03, back), (w - 0.04, 0.05, 0.014)))
    return Union(parts)


def _steps(dice: Dice, t: float) -> Field:
    cell, count, d = dice(0.3, 0.4), dice.count(2, 4), dice(0.26, 0.36)
    parts: list[Field] = []
    w = count * cell
    for column in range(count):
        for row in range(count - column):
            x, y = -w / 2 + (column + 0.5) * cell, (row + 0.5) * cell + t / 2
            box = Box((x, y, 0), (cell + t, cell + t, d), 0.002)
            parts.append(Minus(box, Box((x, y, 0.016), (cell - t, cell - t, d))))
    return Union(parts)


def cabinet(dice: Dice) -> Field:
    """A cabinet: sideboard, chest of drawers, wardrobe, cupboard, night stand or filing cabinet."""
    use = dice.pick("sideboard", "chest", "wardrobe", "cupboard", "night", "file")
    w, h, d, columns, rows = {
        "sideboard": (dice(1.1, 1.9), dice(0.55, 0.9), dice(0.38, 0.5), dice.count(2, 4), 1),
        "chest": (
            dice(0.6, 1.2),
            dice(0.7, 1.2),
            dice(0.4, 0.52),
            dice.count(1, 2),
            dice.count(3, 5),
        ),
        "wardrobe": (dice(0.8, 1.8), dice(1.75, 2.2), dice(0.5, 0.62), dice.count(2, 3), 1),
        "cupboard": (dice(0.7, 1.2), dice(1.1, 1.9), dice(0.36, 0.48), 2, 2),
        "night": (dice(0.38, 0.55), dice(0.42, 0.65), dice(0.34, 0.45), 1, dice.count(1, 3)),
        "file": (dice(0.38, 0.48), dice(0.6, 1.35), dice(0.45, 0.6), 1, dice.count(2, 4)),
    }[use]
    foot = dice.pick(0.0, dice(0.05, 0.1), dice(0.1, 0.22)) if use != "file" else 0.0
    body = h - foot
    grip = dice.pick("knob", "bar", "bar", "none")
    t = 0.02
    core: Field = Box((0, foot + body / 2, 0), (w, body, d), dice.pick(0.002, 0.006, 0.015))
    parts: list[Field] = []
    each, tall = (w - 2 * t) / columns, (body - 2 * t) / rows
    proud = dice.pick(-0.008, 0.012, 0.016)
    open_at = dice.count(0, columns * rows - 1) if dice.chance(0.35) and use != "file" else -1
    framed = dice.chance(0.4)
    for column in range(columns):
        for row in range(rows):
            x = (column - (columns - 1) / 2) * each
            y = foot + t + (row + 0.5) * tall
            if column * rows + row == open_at:
                hole = Box((x, y, 0.03), (each - 0.02, tall - 0.02, d))
                core = Minus(core, hole)
                if tall > 0.4:
                    parts.append(Box((x, y, 0), (each, 0.02, d - 0.04)))
                continue
            split = 1
            if rows == 1 and use != "night" and dice.chance(0.35):
                split = dice.count(2, 4)
            for part in range(split):
                high = tall / split
                at = y + (part - (split - 1) / 2) * high
                size = (each - 0.014, high - 0.014, 2 * abs(proud))
                panel = Box((x, at, d / 2), size, 0.003)
                if proud < 0:  # let in, with a groove around
                    groove = Minus(
                        panel, Box((x, at, d / 2), (size[0] - 0.016, size[1] - 0.016, 1), 0.002)
                    )
                    core = Minus(core, groove)
                else:
                    if framed and min(size[:2]) > 0.2:
                        panel_hole = Box(
                            (x, at, d / 2 + proud), (size[0] - 0.11, size[1] - 0.11, 0.016)
                        )
                        parts.append(Minus(panel, panel_hole))
                    else:
                        parts.append(panel)
                drawer = rows > 2 or split > 1 or use in ("file", "night", "chest")
                front = d / 2 + max(proud, 0.0)
                if grip != "none" and drawer:
                    parts.append(handle(dice, grip, x, at + 0.1 * high, front, True))
                elif grip != "none":
                    side = 1 if column % 2 == 0 else -1
                    parts.append(
                        handle(dice, grip, x + side * (each / 2 - 0.045), at, front, False)
                    )
    parts.append(core)
    if dice.chance(0.45):
        over = dice(0.015, 0.035)
        parts.append(Box((0, h + 0.012, 0), (w + 2 * over, 0.026, d + 2 * over), dice(0.002, 0.01)))
    if foot > 0.09:
        style = dice.pick("square", "tapered", "round", "splayed", "turned", "hairpin", "cabriole")
        parts.append(legs(dice, style, w - 0.04, d - 0.04, foot + 0.01, dice(0.03, 0.05)))
    elif foot:
        if dice.chance(0.5):
            parts.append(Box((0, foot / 2, 0), (w - 0.06, foot + 0.02, d - 0.06), 0.002))
        else:
            cut = np.array(
                [
                    (w / 2, 0),
                    (w / 2, foot),
                    (-w / 2, foot),
                    (-w / 2, 0),
                    (-0.4 * w, 0),
                    (-0.34 * w, 0.8 * foot),
                    (0.34 * w, 0.8 * foot),
                    (0.4 * w, 0),
                ]
            )
            parts.append(Prism(cut, 2, -d / 2, d / 2))
    return Union(parts)
