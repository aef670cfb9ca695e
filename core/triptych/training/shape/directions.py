"""Named directions in the space of codes, found by regression on what is measured of shapes.

Within each category the codes (less what the proportions tell) are regressed on the measures
below, all at once: the slope of a measure is how the mean code changes where this measure grows
by its own standard deviation and the others stay. After Shen et al. 2020 ("Interpreting the latent
space of GANs for semantic face editing"), with continuous measures in place of two classes.
"""

from __future__ import annotations

import numpy as np

from triptych.shape.category import DIRECTIONS
from triptych.training.shape.samples import ANYWHERE, NEAR, Shapes

_RIDGE = 0.05  # of the regressions, per example


def measures(surface: np.ndarray, filled: float) -> np.ndarray:
    """What each direction is named after, of a shape in the cube.

    From surface points with normals (N x 6) and the share of its box that the shape fills.
    """
    places, normals = surface[:, :3], surface[:, 3:]
    low, high = places.min(0), places.max(0)
    at = (places - low) / np.maximum(high - low, 1e-6)
    apart = np.abs(at[:, [0, 2]] - 0.5).mean(1)  # from the middle axis
    upper, lower = at[:, 1] > 0.67, at[:, 1] < 0.33
    told = {
        "solidity": np.log(max(filled, 1e-3)),
        "top_weight": at[:, 1].mean(),
        "curves": (np.abs(normals).max(1) < 0.97).mean(),
        "flare": (apart[upper].mean() if upper.any() else 0.0)
        - (apart[lower].mean() if lower.any() else 0.0),
        "back_weight": 1 - at[:, 2].mean(),  # the front is +z
    }
    return np.array([told[one.name] for one in DIRECTIONS])


def measured(shapes: Shapes, index: int) -> np.ndarray:
    """The measures of a stored shape."""
    points, far = shapes.points(index, slice(NEAR, NEAR + ANYWHERE))
    surface = shapes.surface(index)
    low, high = surface[:, :3].min(0), surface[:, :3].max(0)
    within = ((points >= low) & (points <= high)).all(1)
    return measures(surface, float((far[within] < 0).mean()) if within.any() else 0.0)


def found(codes: np.ndarray, told: np.ndarray, proportions: np.ndarray) -> np.ndarray:
    """Directions (K x CODE) of one category from codes (N x CODE), measures (N x K) and
    proportions (N x 3).

    A step of 1 is one standard deviation of the measure.
    """
    x = codes.astype(np.float64)
    spread = np.maximum(told.std(0), 1e-9)
    known = np.concatenate([(told - told.mean(0)) / spread, proportions - proportions.mean(0)], 1)
    square = known.T @ known + _RIDGE * len(x) * np.eye(known.shape[1])
    slopes = np.linalg.solve(square, known.T @ (x - x.mean(0)))
    return np.asarray(slopes[: told.shape[1]], np.float32)
