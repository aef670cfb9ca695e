"""Warps: maps of a shape's box onto itself that move planes along each axis.

A deformation of the space around a shape (as in Sederberg and Parry 1986, "Free-form deformation of
solid geometric models") keeps it closed; where each axis is mapped on its own, boards and posts
stay straight and level, and only stand elsewhere or become thicker.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TERMS = 2  # sines along each axis
_STEEPEST = 0.5  # how much a warp stretches or squeezes at most
_NEAR = 0.05  # of the cube's half side: distances from a surface that tell where it is
_ROUNDS = 4  # of least squares
_STEP = 0.01  # of a numerical slope
_RIDGE = 0.05  # of the mean square of these slopes: what is hardly seen moves little


def none() -> Array:
    """The warp (3 x TERMS) that leaves all where it is."""
    return np.zeros((3, TERMS), np.float32)


def warped(vertices: Array, warp: Array) -> Array:
    """Vertices (N x 3) moved inside their own box, which stays; left and right move alike."""
    if not warp.any() or not len(vertices):
        return vertices
    low, high = vertices.min(0), vertices.max(0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-9)
    places = (vertices - middle) / half
    for axis in range(3):
        places[:, axis] += _terms(places[:, axis], axis) @ warp[axis]
    made: Array = (middle + places * half).astype(vertices.dtype)
    return made


def sound(warp: Array) -> Array:
    """The warp, weaker on an axis where it would squeeze too much or even fold, to six decimals."""
    order = np.arange(1, TERMS + 1) * np.array([[np.pi], [np.pi / 2], [np.pi / 2]])
    steepest = (np.abs(warp) * order).sum(1, keepdims=True)
    over = steepest > 1.0001 * _STEEPEST  # what was made sound is sound
    made = np.where(over, warp * _STEEPEST / np.maximum(steepest, 1e-9), warp)
    return np.asarray(made.round(6), np.float32)


def towards(known: Array, drawn: Array, nodes: int) -> Array:
    """The warp that makes a known shape most like one that is drawn, by least squares.

    Both are signed distances (1 x nodes^3, x slowest) at the nodes of a grid over the box.
    """
    start, goal = (np.tanh(far.reshape(nodes, nodes, nodes) / _NEAR) for far in (known, drawn))
    along = np.linspace(-1, 1, nodes)

    def apart(warp: Array) -> Array:
        """What the goal is, where the start's nodes are moved to, beside the start."""
        made = goal
        for axis in range(3):
            between = _weights(along + _terms(along, axis) @ warp[axis], nodes)
            made = np.moveaxis(np.tensordot(between, made, (1, axis)), 0, axis)
        return (made - start).ravel()

    warp = np.zeros((3, TERMS))
    for _ in range(_ROUNDS):
        here = apart(warp)
        steps = _STEP * np.eye(warp.size).reshape(-1, *warp.shape)
        slopes = np.stack([(apart(warp + step) - here) / _STEP for step in steps])
        square = slopes @ slopes.T
        ridge = _RIDGE * np.trace(square) / len(square)
        pull = slopes @ here + ridge * warp.ravel()
        change = np.linalg.solve(square + (ridge + 1e-6) * np.eye(len(square)), pull)
        warp = sound(warp - change.reshape(warp.shape)).astype(float)
    return warp.astype(np.float32)


def _terms(places: Array, axis: int) -> Array:
    """The sines (N x TERMS) at places (N) of [-1, 1]; from left to right they are odd."""
    angle = np.pi * (places if axis == 0 else (places + 1) / 2)
    made: Array = np.sin(angle[:, None] * np.arange(1, TERMS + 1))
    return made


def _weights(places: Array, nodes: int) -> Array:
    """The weights (N x nodes) of linear interpolation at places (N) of [-1, 1]."""
    cell = (places.clip(-1, 1) + 1) * (nodes - 1) / 2
    made: Array = (1 - np.abs(cell[:, None] - np.arange(nodes))).clip(0)
    return made
