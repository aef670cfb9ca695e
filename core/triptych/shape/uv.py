"""Texture coordinates by projection from six sides, in metres: for materials that tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.shape.mesh import areas

Array = NDArray[Any]

# For each axis: the axes that u and v run along; u is turned where the face looks the other way,
# so that no writing is mirrored. The grain of wood (v) runs upwards on all four sides.
_ALONG = ((2, 1), (0, 2), (0, 1))
_TURNED = np.array(((-1, 1), (1, 1), (1, -1)), np.float32)  # u for a negative, positive normal
_FLIPPED = np.array((1, -1, 1), np.float32)  # v


def box_projection(vertices: Array, faces: Array) -> Array:
    """UVs M x 3 x 2 for each corner: one unit is a metre on the sides that face along an axis.

    A face is projected along the axis that it and its neighbours look along most: charts hold
    together, and a seam runs where that axis changes.
    """
    size, normals = areas(vertices, faces)
    weighted = size[:, None] * normals
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(w, 3), len(vertices)) for w in weighted.T], 1
    )
    total /= np.maximum(np.sqrt((total**2).sum(1)), 1e-30)[:, None]
    look = total[faces].sum(1) + 2 * normals
    axis = np.abs(look).argmax(1)
    up = np.take_along_axis(look, axis[:, None], 1)[:, 0] > 0
    along = np.array(_ALONG)[axis]
    corners = vertices[faces]
    rows, three = np.arange(len(faces))[:, None], np.arange(3)[None]
    u = corners[rows, three, along[:, :1]] * _TURNED[axis, up.astype(int)][:, None]
    v = corners[rows, three, along[:, 1:]] * _FLIPPED[axis][:, None]
    return np.stack([u, v], 2).astype(np.float32)
