"""Vases, bottles, goblets, bowls: profiles of splines, turned."""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import Box, Field, Lathe, Mirror, Rod, Sweep, Union
from triptych.training.shape.procedural.outline import curve, hollow_profile, profile, solid_profile


def vase(dice: Dice) -> Field:
    """A vase: bellied, slender, a cylinder, a flask, an amphora; round, square or fluted."""
    h = dice(0.14, 0.55)
    wide = h * dice(0.18, 0.42)
    style = dice.pick(
        "belly", "belly", "shoulder", "slender", "trumpet", "straight", "double", "amphora"
    )
    foot, neck, lip = dice(0.4, 0.75), dice(0.25, 0.6), dice(0.0, 0.25)
    keys = {
        "belly": [(0, foot), (dice(0.3, 0.55), 1), (0.82, neck), (1, neck + lip)],
        "shoulder": [(0, 0.8 * foot), (dice(0.6, 0.78), 1), (0.9, neck), (1, neck + lip)],
        "slender": [(0, 0.9), (0.12, 1), (0.5, 0.6), (0.85, 0.5 * neck), (1, 0.5 * neck + lip)],
        "trumpet": [(0, 0.6), (0.06, 0.55), (0.3, 0.35), (0.7, 0.5), (1, 1.0)],
        "straight": [(0, dice(0.7, 1)), (0.03, dice(0.8, 1)), (0.97, 1), (1, 0.97)],
        "double": [(0, foot), (0.25, 1), (0.48, 0.45), (0.68, 0.7), (0.9, 0.35), (1, 0.4 + lip)],
        "amphora": [
            (0, 0.4),
            (0.05, 0.32),
            (0.1, 0.3),
            (0.55, 1),
            (0.75, 0.55),
            (0.92, 0.4),
            (1, 0.55),
        ],
    }[style]
    wall = max(0.045 * h, 0.006)
    power = dice.pick(2.0, 2.0, 2.0, 2.0, 3.0, 6.0)
    flutes = (dice.count(6, 20), dice(0.02, 0.06) * wide) if dice.chance(0.2) else (0, 0.0)
    outer = [(level * h, max(r * wide, 2 * wall)) for level, r in keys]
    body = Lathe(hollow_profile(outer, wall, 1.5 * wall, 34), power=power, flutes=flutes)
    if not (style == "amphora" or (style in ("belly", "shoulder") and dice.chance(0.15))):
        return body
    at = profile(outer, 60)

    def side(level: float) -> float:
        return float(np.interp(level * h, at[:, 1], at[:, 0]))

    high, low, thick = dice(0.86, 0.94), dice(0.6, 0.72), max(0.024 * h, 0.006)
    out = max(side(high), side(low)) + dice(0.1, 0.3) * wide
    line = [
        (side(high) - 0.3 * wall, high * h, 0),
        (out, (high + 0.01) * h, 0),
        (out, (low + high) / 2 * h, 0),
        (side(low) - 0.3 * wall, low * h, 0),
    ]
    return Union([body, Mirror(Sweep(curve(line, 14), thick))], 0.5 * wall)


def bottle(dice: Dice) -> Field:
    """A bottle: for wine, spirits, beer, medicine, milk, perfume; with a stopper or a cap."""
    kind = dice.pick("wine", "burgundy", "spirit", "medicine", "milk", "flask", "soap")
    h, wide = dice(0.2, 0.34), dice(0.032, 0.05)
    power = 2.0
    neck = dice(0.3, 0.42)
    if kind == "wine":
        keys = [
            (0, 0.95),
            (0.02, 1),
            (0.6, 1),
            (0.7, 0.8),
            (0.76, neck),
            (0.94, neck),
            (0.945, neck + 0.06),
            (1, neck + 0.05),
        ]
    elif kind == "burgundy":
        keys = [
            (0, 0.95),
            (0.02, 1),
            (0.42, 1),
            (0.6, 0.7),
            (0.75, neck),
            (0.96, neck),
            (1, neck + 0.06),
        ]
    elif kind == "spirit":
        wide, power = dice(0.04, 0.06), dice.pick(2.0, 4.0, 6.0)
        keys = [
            (0, 0.96),
            (0.03, 1),
            (0.62, 1),
            (0.7, 0.75),
            (0.74, neck),
            (0.85, neck),
            (0.86, neck + 0.12),
            (1, neck + 0.12),
        ]
    elif kind == "medicine":
        h, wide = dice(0.09, 0.16), dice(0.025, 0.04)
        keys = [
            (0, 0.96),
            (0.03, 1),
            (0.6, 1),
            (0.7, 0.6),
            (0.75, 0.5),
            (0.77, 0.62),
            (0.98, 0.62),
            (1, 0.58),
        ]
    elif kind == "milk":
        keys = [(0, 0.92), (0.03, 1), (0.5, 1), (0.75, 0.55), (0.9, 0.5), (0.92, 0.6), (1, 0.58)]
    elif kind == "flask":
        h, wide = dice(0.15, 0.28), dice(0.06, 0.1)
        keys = [(0, 0.6), (0.2, 0.97), (0.35, 1), (0.6, 0.5), (0.7, 0.25), (0.95, 0.22), (1, 0.3)]
    else:
        h, wide, power = dice(0.14, 0.2), dice(0.03, 0.045), dice.pick(2.0, 4.0)
        keys = [(0, 0.97), (0.02, 1), (0.7, 1), (0.78, 0.7), (0.8, 0.35), (0.9, 0.35), (1, 0.33)]
    outer = [(level * h, r * wide) for level, r in keys]
    rim = outer[-1][1]
    body: Field
    if dice.chance(0.4) and kind not in ("soap", "medicine"):
        wall = max(0.1 * wide, 0.0045)
        wall = min(wall, 0.6 * rim)
        body = Lathe(hollow_profile(outer, wall, 0.015, 44), power=power)
    else:
        body = Lathe(solid_profile(outer, 56), power=power)
    if kind == "soap":
        spout = h + 0.035
        return Union(
            [
                body,
                Rod((0, h - 0.01, 0), (0, spout, 0), 0.0055),
                Sweep(
                    curve([(0, spout, 0), (0, spout + 0.005, 0.03), (0, spout - 0.004, 0.05)], 8),
                    0.006,
                ),
            ]
        )
    if dice.chance(0.35):
        style = dice.pick("cork", "ball", "cap")
        up = dice(0.015, 0.03)
        stop = {
            "cork": [(h - 0.02, 0.7 * rim), (h + up, 0.85 * rim)],
            "ball": [
                (h - 0.02, 0.6 * rim),
                (h + 0.004, 0.6 * rim),
                (h + 0.3 * up + 0.004, 1.2 * rim),
                (h + up, 1.2 * rim),
                (h + 1.4 * up, 0.3 * rim),
            ],
            "cap": [(h - 0.02, 1.15 * rim), (h + 0.006, 1.15 * rim), (h + 0.008, 1.05 * rim)],
        }[style]
        return Union([body, Lathe(solid_profile(stop, 24))])
    return body


def goblet(dice: Dice) -> Field:
    """A goblet, a wine glass, a chalice, a flute, a cup on a foot."""
    h, wide = dice(0.14, 0.26), dice(0.03, 0.05)
    stem = dice(0.3, 0.55)
    thin, base = dice(0.0042, 0.007), dice(0.75, 1.0)
    bowl = dice.pick("wine", "balloon", "flute", "martini", "cup")
    shape = {
        "wine": [(0.1, 0.4), (0.45, 1), (1, 0.78)],
        "balloon": [(0.08, 0.45), (0.35, 1), (1, 0.62)],
        "flute": [(0.1, 0.35), (0.4, 0.6), (1, 0.62)],
        "martini": [(0.1, 0.15), (0.5, 0.62), (1, 1.25)],
        "cup": [(0.06, 0.6), (0.25, 0.9), (1, 1.0)],
    }[bowl]
    low = stem * h
    foot = [
        (0, base * wide),
        (0.004, base * wide),
        (0.012, 0.35 * base * wide),
        (min(0.03, 0.35 * low), thin),
    ]
    middle = [(0.7 * low, thin)]
    if bowl == "cup" or dice.chance(0.4):
        knob = dice(1.6, 2.8) * thin
        middle = [
            (0.4 * low, 1.1 * thin),
            (0.5 * low, knob),
            (0.6 * low, 1.1 * thin),
            (0.85 * low, thin),
        ]
    outer = [*foot, *middle, *((low + level * (h - low), r * wide) for level, r in shape)]
    wall = max(0.06 * wide, 0.0032)
    line = profile(outer, 70)
    cut = low + 0.06 * (h - low)
    cup = line[line[:, 1] > cut]
    along = np.gradient(cup, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    inner = cup + wall * np.stack([-along[:, 1], along[:, 0]], -1)
    inner = inner[(inner[:, 0] > 0.1 * wall) & (inner[:, 1] > cut)]
    inner[-1, 1] = h
    polygon = np.concatenate([line, inner[::-1], [[0, float(inner[0, 1])], [0, 0]]])
    return Lathe(polygon, power=dice.pick(2.0, 2.0, 2.0, 4.0) if bowl == "cup" else 2.0)


def bowl(dice: Dice) -> Field:
    """A bowl, a dish, a plate, a cup, a trough; on a foot or flat."""
    style = dice.pick("bowl", "bowl", "bowl", "dish", "deep", "square", "cup", "footed")
    wide = dice(0.06, 0.18)
    h = wide * dice(0.6, 1.1)
    foot = dice(0.4, 0.65)
    keys = [(0, foot), (0.06, foot), (0.3, dice(0.7, 0.85)), (0.7, 0.93), (1, 1.0)]
    power = 2.0
    if style == "dish":
        h = wide * dice(0.22, 0.4)
        keys = [(0, 0.55), (0.15, 0.6), (0.5, 0.72), (0.85, dice(0.85, 0.95)), (1, 1.0)]
    elif style == "deep":
        h = wide * dice(1.0, 1.6)
        keys = [(0, foot), (0.3, 0.95), (0.6, 1.0), (0.85, 0.88), (1, dice(0.8, 0.95))]
    elif style == "square":
        power = dice(3, 8)
        keys = [(0, 0.8), (0.2, 0.85), (1, 1.0)]
    elif style == "cup":
        wide, h = dice(0.038, 0.05), dice(0.07, 0.11)
        keys = [(0, 0.75), (0.1, 0.9), (0.5, 1), (1, 1)]
    elif style == "footed":
        keys = [(0, 0.5), (0.05, 0.5), (0.18, 0.25), (0.3, 0.3), (0.5, 0.75), (1, 1.0)]
    wall = max(0.055 * wide, 0.0045)
    base = wall if style != "footed" else max(0.3 * h, wall)
    flutes = (dice.count(8, 24), 0.03 * wide) if dice.chance(0.15) else (0, 0.0)
    outer = [(level * h, r * wide) for level, r in keys]
    body: Field = Lathe(hollow_profile(outer, wall, base, 34), power=power, flutes=flutes)
    if style == "cup" and dice.chance(0.8):
        ear = [
            (wide - 0.003, 0.82 * h, 0),
            (wide + 0.022, 0.8 * h, 0),
            (wide + 0.024, 0.42 * h, 0),
            (wide - 0.003, 0.28 * h, 0),
        ]
        return Union([body, Sweep(curve(ear, 14), 0.005)], 0.002)
    if style == "deep" and dice.chance(0.4):
        grip = [
            (0.93 * wide, 0.75 * h, 0.03),
            (1.2 * wide, 0.78 * h, 0.022),
            (1.2 * wide, 0.78 * h, -0.022),
            (0.93 * wide, 0.75 * h, -0.03),
        ]
        return Union([body, Mirror(Sweep(curve(grip, 12), max(0.05 * wide, 0.005)))], 0.003)
    if style in ("bowl", "dish") and dice.chance(0.12):
        fruit = [
            Box((float(x), 0.55 * h, float(z)), (0.5 * wide,) * 3, 0.249 * wide)
            for x, z in dice.rng.uniform(-0.35, 0.35, (4, 2)) * wide
        ]
        return Union([body, *fruit])
    return body
