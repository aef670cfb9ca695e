"""Plants in pots, trees and rocks."""

from __future__ import annotations

import numpy as np

from triptych.training.shape.procedural.dice import Dice
from triptych.training.shape.procedural.field import (
    Ellipsoid,
    Facets,
    Field,
    Lathe,
    Placed,
    Radial,
    Rough,
    Sweep,
    Union,
)
from triptych.training.shape.procedural.outline import curve, hollow_profile, solid_profile


def pot(dice: Dice) -> Field:
    """A flower pot with earth in it and mostly a plant."""
    wide, h = dice(0.08, 0.2), dice(0.12, 0.34)
    style = dice.pick("cone", "cone", "rim", "round", "square", "tall", "footed")
    forms: dict[str, list[tuple[float, float]]] = {
        "cone": [(0, dice(0.6, 0.8)), (1, 1)],
        "rim": [(0, 0.65), (0.72, 0.88), (0.74, 1), (1, 1)],
        "round": [(0, 0.55), (0.4, 1), (0.8, 0.95), (1, 0.8)],
        "square": [(0, 0.8), (1, 1)],
        "tall": [(0, 0.9), (1, 1)],
        "footed": [(0, 0.6), (0.06, 0.6), (0.1, 0.45), (0.5, 0.85), (0.95, 1), (1, 1)],
    }
    power = dice(5, 9) if style == "square" else 2.0
    outer = [(level * h, r * wide) for level, r in forms[style]]
    wall = max(0.08 * wide, 0.008)
    body = Lathe(hollow_profile(outer, wall, 0.02, 30), power=power)
    soil = 0.86 * h
    inner = 0.9 * float(np.interp(soil, *np.transpose(outer)))
    parts: list[Field] = [
        body,
        Lathe(solid_profile([(0.01, 0.5 * wide), (soil, inner)], 8), power=power),
    ]
    plant = dice.pick("none", "leaves", "leaves", "bush", "cactus", "blades", "tree", "succulent")
    if plant == "leaves":
        parts += _fronds(dice, soil, dice(0.25, 0.6), inner)
    elif plant == "bush":
        r = dice(0.8, 1.4) * wide
        parts.append(
            Rough(
                Ellipsoid((0, soil + 0.8 * r, 0), (r, dice(0.8, 1.2) * r, r)),
                0.2 * r,
                0.6 * r,
                dice.rng,
            )
        )
        parts.append(Sweep(np.array([[0, soil - 0.02, 0], [0, soil + 0.5 * r, 0]]), 0.012))
    elif plant == "cactus":
        parts += _cactus(dice, soil, 0.45 * inner, dice(0.15, 0.5))
    elif plant == "blades":
        for ring_, count in ((0.25, 3), (0.6, 5)):
            tall, out = dice(0.25, 0.6), ring_ * inner
            line = [
                (out, soil - 0.02, 0),
                (out + 0.01, soil + 0.5 * tall, 0),
                (out + dice(0.01, 0.08), soil + tall, 0),
            ]
            widths = [0.012, 0.016, 0.015, 0.012, 0.008, 0.005]
            parts.append(Radial(Sweep(curve(line, 6), widths), count, dice(0, 6)))
    elif plant == "succulent":
        for level in range(3):
            r, up = (0.75 - 0.2 * level) * wide, dice(15, 30) + 20 * level
            leaf = Ellipsoid((0.5 * r, 0, 0), (0.55 * r, 0.014, 0.2 * r))
            turned = Placed(leaf, (0, 0, up), (0, soil + 0.01 * level, 0))
            parts.append(Radial(turned, 8 - 2 * level, 0.4 * level))
    elif plant == "tree":
        tall, r = dice(0.3, 0.7), dice(0.12, 0.22)
        bend = dice(-0.04, 0.04)
        parts.append(
            Sweep(
                curve([(0, soil - 0.02, 0), (bend, soil + 0.5 * tall, 0), (0, soil + tall, 0)], 8),
                0.012,
            )
        )
        parts.append(Rough(Ellipsoid((0, soil + tall, 0), (r, r, r)), 0.2 * r, 0.6 * r, dice.rng))
    return Union(parts)


def _fronds(dice: Dice, soil: float, long: float, inner: float) -> list[Field]:
    """Broad leaves on stalks, in rings, the inner ones steeper."""
    parts: list[Field] = []
    broad = dice(0.22, 0.45)
    for turn in range(dice.count(2, 3)):
        steep = 75 - 22 * turn - dice(0, 10)
        reach = long * (1 - 0.12 * turn)
        away, up = np.cos(np.radians(steep)), np.sin(np.radians(steep))
        end = np.array([0.6 * reach * away, soil + 0.6 * reach * up, 0])
        bend = 0.5 * end + np.array([0, 0.55 * soil, 0])
        root = np.array([0.1 * inner, soil - 0.02, 0])
        stalk = Sweep(curve(np.stack([root, bend, end]), 6), 0.0065)
        leaf = Ellipsoid((0, 0, 0), (0.3 * reach, 0.011, 0.3 * reach * broad))
        droop = dice(20, 50)
        tip = end + np.array([0.22 * reach * away, 0.12 * reach * up, 0])
        blade = Placed(leaf, (0, 0, steep - droop), tip.tolist())
        parts.append(Radial(Union([stalk, blade]), dice.count(3, 6), dice(0, 6)))
    return parts


def _cactus(dice: Dice, soil: float, r: float, tall: float) -> list[Field]:
    count, deep = dice.count(6, 12), 0.12 * r
    if dice.chance(0.35):
        ball = [
            (-0.1 * r, 0.5 * r),
            (0.5 * r, 1.6 * r),
            (1.4 * r, 1.9 * r),
            (2.3 * r, 1.4 * r),
            (2.7 * r, 0.4 * r),
        ]
        return [
            Lathe(solid_profile([(soil + y, v) for y, v in ball], 30), flutes=(count, 2 * deep))
        ]
    keys = [
        (soil - 0.02, 0.9 * r),
        (soil + 0.3 * tall, r),
        (soil + 0.85 * tall, 0.95 * r),
        (soil + tall, 0.5 * r),
        (soil + tall + 0.25 * r, 0.05 * r),
    ]
    parts: list[Field] = [Lathe(solid_profile(keys, 30), flutes=(count, deep))]
    for side in (-1, 1):
        if dice.chance(0.6):
            low, thin = soil + dice(0.3, 0.6) * tall, 0.55 * r
            out = side * (r + 1.6 * thin)
            line = [
                (0, low, 0),
                (0.8 * out, low, 0),
                (out, low + 0.06, 0),
                (out, low + dice(0.3, 0.5) * tall, 0),
            ]
            parts.append(Sweep(curve(line, 12), thin))
    return parts


def tree(dice: Dice) -> Field:
    """A tree: with a crown of leaves, bare, a conifer, a cypress, a palm."""
    kind = dice.pick("leafy", "leafy", "leafy", "bare", "conifer", "conifer", "cypress", "palm")
    h = dice(3.0, 9.0)
    if kind == "conifer":
        return _conifer(dice, h)
    if kind == "cypress":
        low, wide = 0.06 * h, dice(0.1, 0.16) * h
        keys = [(low, 0.3 * wide), (0.25 * h, wide), (0.6 * h, 0.75 * wide), (h, 0.03 * wide)]
        crown = Rough(Lathe(solid_profile(keys, 30)), 0.2 * wide, 1.2 * wide, dice.rng)
        return Union([crown, Sweep(np.array([[0, -0.1, 0], [0, 0.4 * h, 0]]), 0.025 * h)])
    if kind == "palm":
        return _palm(dice, h)
    tips, wood = _branches(dice, h, bare=kind == "bare")
    if kind == "bare":
        return Union(wood, 0.01 * h)
    parts: list[Field] = []
    r = dice(0.13, 0.2) * h
    for tip in tips:
        size = r * dice(0.75, 1.25)
        ball = Ellipsoid(tip, (size, size * dice(0.65, 0.95), size))
        parts.append(ball)
    crown = Rough(Union(parts, 0.25 * r), 0.14 * r, 0.7 * r, dice.rng)
    return Union([crown, *wood], 0.01 * h)


def _branches(dice: Dice, h: float, bare: bool) -> tuple[list[list[float]], list[Field]]:
    """Trunk and branches, forking twice; also where they end."""
    rng, base = dice.rng, dice(0.022, 0.04) * h
    fork = dice(0.3, 0.5) * h
    lean = rng.normal(0, 0.04 * h, (2, 2))
    line = [(0, -0.05 * h, 0), (lean[0, 0], 0.5 * fork, lean[0, 1]), (lean[1, 0], fork, lean[1, 1])]
    wood: list[Field] = [Sweep(curve(line, 7), np.linspace(1.25, 0.8, 7) * base)]
    wood.append(
        Lathe(
            solid_profile(
                [(-0.05 * h, 2 * base), (0.015 * h, 1.7 * base), (0.06 * h, 1.05 * base)], 12
            )
        )
    )
    tips: list[list[float]] = []
    start = np.array(line[-1])

    def grow(start: np.ndarray, towards: np.ndarray, long: float, r: float, depth: int) -> None:
        bent = towards + rng.normal(0, 0.25, 3) + [0, 0.25, 0]
        middle = start + 0.5 * long * towards
        end = middle + 0.5 * long * bent / np.linalg.norm(bent)
        wood.append(Sweep(curve(np.stack([start, middle, end]), 5), np.linspace(r, 0.6 * r, 5)))
        if depth == 0:
            tips.append(end.tolist())
            return
        for _ in range(2):
            turn = bent / np.linalg.norm(bent) + rng.normal(0, 0.5, 3)
            grow(end, turn / np.linalg.norm(turn), 0.7 * long, 0.62 * r, depth - 1)

    count = dice.count(3, 5)
    phase = dice(0, 6)
    for index in range(count):
        turn, steep = phase + 2 * np.pi * index / count, np.radians(dice(25, 60))
        towards = np.array(
            [np.cos(turn) * np.cos(steep), np.sin(steep), np.sin(turn) * np.cos(steep)]
        )
        grow(start, towards, 0.26 * h, 0.6 * base, 2 if bare else 1)
    grow(start, np.array([0.0, 1.0, 0.0]), 0.28 * h, 0.65 * base, 2 if bare else 1)
    return tips, wood


def _conifer(dice: Dice, h: float) -> Field:
    tiers, wide = dice.count(3, 6), dice(0.18, 0.3) * h
    low = dice(0.08, 0.16) * h
    keys: list[tuple[float, float]] = [(low, 0.25 * wide)]
    rise = (h - low) / tiers
    for tier in range(tiers):
        out = wide * (1 - tier / tiers) ** 0.9
        bottom = low + tier * rise
        keys += [
            (bottom + 0.06 * rise, out),
            (bottom + 0.15 * rise, 0.93 * out),
            (bottom + 0.98 * rise, 0.42 * out),
        ]
    keys[-1] = (h, 0.01 * wide)
    flutes = (dice.count(7, 13), 0.05 * wide)
    crown: Field = Lathe(solid_profile(keys, 64), flutes=flutes)
    if dice.chance(0.6):
        crown = Rough(crown, 0.05 * wide, 0.5 * wide, dice.rng, 2)
    trunk = Sweep(np.array([[0, -0.1, 0], [0, 0.5 * h, 0]]), 0.025 * h)
    return Union([crown, trunk])


def _palm(dice: Dice, h: float) -> Field:
    out = dice(-0.18, 0.18) * h
    line = curve([(0, -0.05 * h, 0), (0.15 * out, 0.4 * h, 0), (out, 0.85 * h, 0)], 10)
    trunk = Sweep(line, np.linspace(0.03, 0.018, 10) * h)
    long = dice(0.26, 0.36) * h
    leaves: list[Field] = []
    for steep, count, phase in ((0.5, dice.count(5, 7), 0.0), (-0.1, dice.count(5, 7), 0.5)):
        tip = [
            (0, 0, 0),
            (0.45 * long, 0.3 * steep * long + 0.1 * long, 0),
            (long, (steep - 0.55) * long, 0),
        ]
        spine = curve(tip, 9)
        widths = np.array([0.3, 0.7, 1, 1, 0.95, 0.85, 0.65, 0.45, 0.2]) * 0.085 * long
        leaf = _Flat(Sweep(spine * [1, 2.5, 1], widths), 2.5)
        leaves.append(Radial(leaf, count, phase))
    crown = Placed(Union(leaves), (0, 0, 0), (out, 0.85 * h, 0))
    return Union([trunk, crown])


class _Flat(Field):
    """A field pressed flat along y, `times` over; its distances are bounds."""

    costly = True

    def __init__(self, field: Field, times: float) -> None:
        self.field, self.times = field, times
        self.outline = field.outline.copy()
        self.outline[:, 1] /= times

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return self.field(x, y * self.times, z) / (0.6 * self.times)


def rock(dice: Dice) -> Field:
    """A boulder, a pebble, a slab or a shard."""
    style = dice.pick("boulder", "boulder", "pebble", "slab", "shard")
    size = dice(0.15, 1.2)
    stretch = {
        "boulder": (1, dice(0.6, 0.9), dice(0.7, 1)),
        "pebble": (1, dice(0.4, 0.7), dice(0.65, 1)),
        "slab": (1, dice(0.2, 0.4), dice(0.6, 1)),
        "shard": (dice(0.45, 0.7), 1, dice(0.4, 0.7)),
    }[style]
    if style == "pebble":
        made: Field = Ellipsoid((0, 0, 0), [size * s for s in stretch])
        made = Rough(made, 0.1 * size, 1.3 * size, dice.rng, 2)
    else:
        normals = dice.rng.standard_normal((dice.count(11, 20), 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.concatenate([normals, np.eye(3), -np.eye(3)])
        offsets = (
            np.linalg.norm(normals * stretch, axis=1)
            * size
            * dice.rng.uniform(0.7, 1, len(normals))
        )
        made = Facets(normals, offsets, dice(0.02, 0.15) * size)
        made = Rough(made, dice(0.03, 0.09) * size, dice(0.5, 0.9) * size, dice.rng, 4)
    sunk = -dice(0.55, 0.8) * size * stretch[1]
    return Placed(made, (0, dice(0, 360), 0), (0, -sunk, 0))
