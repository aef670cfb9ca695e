"""What a GLB file says of itself: `asset.extras`, read without its geometry.

A record of how a mesh was made stands there under RECORD (`Provenance`), what it can be made from
again under SHAPE.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

MAGIC = b"glTF"
RECORD, SHAPE = "triptych", "triptych_shape"
_MOST_BYTES = 64 << 20  # of JSON


def extras(file: IO[bytes]) -> dict[str, Any]:
    """`asset.extras` of the GLB in `file` (from its start); empty where there is none.

    The container: glTF 2.0, section 4.4: a header of 12 bytes, then chunks, the first of JSON.
    """
    head = file.read(20)
    if len(head) < 20 or not head.startswith(MAGIC):
        return {}
    length, kind = struct.unpack("<I4s", head[12:])
    if kind != b"JSON" or length > _MOST_BYTES:
        return {}
    try:
        found = json.loads(file.read(length))["asset"]["extras"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
