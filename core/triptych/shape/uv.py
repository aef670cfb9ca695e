"""Texture coordinates by projection from six sides, in metres: for materials that tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.shape.mesh import areas, vertex_normals

Array = NDArray[Any]

# For each axis: the axes that u and v run along; u is turned where the face looks the other way,
# so that no writing is mirrored. The grain of wood (v) runs upwards on all four sides.
_ALONG = ((2, 1), (0, 2), (0, 1))
_TURNED = np.array(((1, -1), (-1, 1), (-1, 1)), np.float32)  # u for a negative, positive normal
_FLIPPED = np.array((1, -1, 1), np.float32)  # v


def box_projection(vertices: Array, faces: Array) -> Array:
    """UVs M x 3 x 2 for each corner: one unit is a metre on the sides that face along an axis.

    A face is projected along the axis that it and its neighbours look along most: charts hold
    together, and a seam runs where that axis changes.
    """
    _, normals = areas(vertices, faces)
    look = vertex_normals(vertices, faces)[faces].sum(1) + 2 * normals
    axis = np.abs(look).argmax(1)
    up = np.take_along_axis(look, axis[:, None], 1)[:, 0] > 0
    along = np.array(_ALONG)[axis]
    corners = vertices[faces]
    rows, three = np.arange(len(faces))[:, None], np.arange(3)[None]
    u = corners[rows, three, along[:, :1]] * _TURNED[axis, up.astype(int)][:, None]
    v = corners[rows, three, along[:, 1:]] * _FLIPPED[axis][:, None]
    return np.stack([u, v], 2).astype(np.float32)
