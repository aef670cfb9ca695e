"""Colour profiles: pixels of any ordinary RGB or grey profile to sRGB and back, at full precision.

Pillow's ImageCms converts 8-bit pixels only, so the profiles that pictures carry in practice
(three primaries and three curves, "matrix/TRC": Adobe RGB, Display P3, ProPhoto, Rec. 2020; one
curve for grey) are computed here after ICC.1:2022, sections 10.6 (curveType), 10.18
(parametricCurveType) and F.3. ImageCms still reads the primaries and converts everything else.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

Floats = NDArray[np.float32]

# Linear sRGB to the profile connection space: CIE XYZ adapted to D50 (ICC.1, IEC 61966-2-1).
_SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
_LEVELS = 65536


def srgb_to_linear(values: NDArray[Any]) -> NDArray[Any]:
    """sRGB code values 0..1 to linear light 0..1 (IEC 61966-2-1), any shape."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: NDArray[Any]) -> NDArray[Any]:
    """Linear light 0..1 to sRGB code values 0..1 (IEC 61966-2-1), any shape."""
    curved = 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055
    return np.where(values <= 0.0031308, values * 12.92, curved)


@dataclass(frozen=True)
class Profile:
    """A matrix/TRC or grey profile that is not sRGB.

    `to_linear`: one row of 65536 values for each channel (1 or 3), code to linear light 0..1.
    `from_linear`: the same for the way back, indexed by the square root of the light, where the
    steps of every usual curve are of one size. `matrix`: linear profile RGB to linear sRGB.
    """

    to_linear: Floats
    from_linear: Floats
    matrix: Floats | None

    def decode(self, codes: NDArray[np.uint8] | NDArray[np.uint16]) -> Floats:
        """Codes H x W x C (C 1 or 3) in this profile to sRGB H x W x 3, clipped to 0..1."""
        index = codes.astype(np.uint16) * np.uint16(257 if codes.dtype == np.uint8 else 1)
        linear = _look_up(self.to_linear, index)
        if self.matrix is not None:
            linear = np.clip(linear @ self.matrix.T, 0, 1)
        srgb = linear_to_srgb(linear).astype(np.float32)
        return np.ascontiguousarray(np.broadcast_to(srgb, (*srgb.shape[:2], 3)))

    def encode(self, srgb: Floats) -> Floats:
        """sRGB H x W x 3, 0..1, to code values 0..1 in this profile, H x W x C."""
        linear = srgb_to_linear(srgb[..., : len(self.to_linear)])
        if self.matrix is not None:
            linear = np.clip(linear @ np.linalg.inv(self.matrix).T, 0, 1)
        index = np.rint(np.sqrt(linear) * (_LEVELS - 1)).astype(np.uint16)
        return _look_up(self.from_linear, index)


def _look_up(tables: Floats, index: NDArray[np.uint16]) -> Floats:
    return np.stack([table[index[..., c]] for c, table in enumerate(tables)], axis=-1)


def read_profile(icc: bytes, channels: int) -> Profile | None:
    """The profile as numbers, or None where it is sRGB and codes can be used as they are.

    `channels` is 3 for RGB, 1 for grey pixels.

    Raises:
        ValueError: not a matrix/TRC profile for so many channels (or not a profile at all).
    """
    try:
        cms = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile
        space, is_matrix = cms.xcolor_space.strip(), cms.is_matrix_shaper
        colorants = (cms.red_colorant, cms.green_colorant, cms.blue_colorant)
        tags = _tags(icc)
        if channels == 3 and space == "RGB" and is_matrix and None not in colorants:
            primaries = np.array([colorant[0] for colorant in colorants if colorant]).T
            matrix = np.linalg.inv(_SRGB_TO_XYZ) @ primaries
            np.linalg.inv(matrix)
            curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        elif channels == 1 and space == "GRAY":
            matrix, curves = None, [_curve(tags[b"kTRC"])]
        else:
            raise ValueError(f"a {space} profile that is not made of primaries and curves")
    except (OSError, KeyError, IndexError, struct.error, np.linalg.LinAlgError) as error:
        raise ValueError(f"not a usable colour profile: {error}") from None

    to_linear = np.clip(np.stack(curves), 0, 1)
    codes = np.linspace(0, 1, _LEVELS)
    like_srgb = np.abs(to_linear - srgb_to_linear(codes)).max() < 0.005
    if like_srgb and (matrix is None or np.abs(matrix - np.eye(3)).max() < 0.005):
        return None
    # np.interp needs rising abscissae; a curve that falls somewhere is flattened there.
    back = [np.interp(codes**2, np.maximum.accumulate(curve), codes) for curve in to_linear]
    return Profile(
        to_linear.astype(np.float32),
        np.stack(back).astype(np.float32),
        None if matrix is None else matrix.astype(np.float32),
    )


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * i) for i in range(min(count, 200))]
    return {name: icc[offset : offset + size] for name, offset, size in entries}


def _curve(tag: bytes) -> NDArray[np.float64]:
    """A curveType or parametricCurveType element as 65536 values."""
    x = np.linspace(0, 1, _LEVELS)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        points = np.array(struct.unpack_from(f">{count}H", tag, 12), np.float64)
        if count == 1:
            return np.asarray(x ** (points[0] / 256))
        return np.asarray(np.interp(x, np.linspace(0, 1, count), points / 65535))
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        number = (1, 3, 4, 5, 7)[kind]
        given = [v / 65536 for v in struct.unpack_from(f">{number}i", tag, 12)]
        g, a, b, c, d, e, f = given + [0.0] * (7 - number)
        if kind == 0:
            a, b, d = 1.0, 0.0, -1.0
        elif kind in (1, 2):
            # Below -b/a these two are the constant c (kind 2) or 0; above, e carries that c.
            c, d, e, f = 0.0, -b / a if a else 0.0, c, c
        power = np.maximum(a * x + b, 0) ** g + e
        return np.asarray(np.where(x >= d, power, c * x + f))
    raise ValueError("a colour curve of an unknown kind")
