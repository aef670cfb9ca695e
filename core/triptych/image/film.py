"""Short films: animated WebP and PNG by Pillow, MP4 by ffmpeg where it is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych import provenance as origin
from triptych.errors import UserError, one_line
from triptych.files import write_whole


@dataclass(frozen=True)
class Film:
    """Frames H x W x 3 uint8 (sRGB), all of one size, and how many are shown in a second."""

    frames: Sequence[NDArray[np.uint8]]
    rate: int


def save(film: Film, path: Path, record: origin.Provenance | None = None) -> None:
    """Write a film as its name's ending says; all or nothing. MP4 says how it was made in its
    comment, the others in XMP.

    Raises:
        UserError: MP4 without ffmpeg, a full disk, an unwritable folder, ...
    """
    if record is not None and not origin.enabled():
        record = None
    encode = _mp4 if path.suffix.lower() == ".mp4" else _animation
    write_whole(path, encode(film, path.suffix.lower(), record))


def _animation(film: Film, ending: str, record: origin.Provenance | None) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    first, *rest = (Image.fromarray(frame) for frame in film.frames)
    options: dict[str, object] = {"save_all": True, "append_images": rest, "loop": 0}
    options["duration"] = 1000 / film.rate
    if ending == ".webp":
        options |= {"quality": 85, "method": 4, "duration": round(1000 / film.rate)}
        if record is not None:
            options["xmp"] = record.to_xmp()
    elif record is not None:
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", record.to_xmp().decode())
        options["pnginfo"] = info
    file = io.BytesIO()
    first.save(file, ending[1:].upper(), **options)
    return file.getvalue()


def _mp4(film: Film, ending: str, record: origin.Provenance | None) -> bytes:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise UserError("MP4 needs ffmpeg, which is not installed: end the name in .webp or .png.")
    height, width = film.frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / f"film{ending}"
        words = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        words += ["-s", f"{width}x{height}", "-r", str(film.rate), "-i", "pipe:0"]
        # Players want 4:2:0, and that wants even sides.
        words += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]
        words += ["-movflags", "+faststart"]
        if record is not None:
            words += ["-metadata", f"comment={record.to_json()}"]
        data = b"".join(frame.tobytes() for frame in film.frames)
        done = subprocess.run([*words, str(made)], input=data, capture_output=True, check=False)
        if done.returncode:
            raise UserError(f"ffmpeg failed: {one_line(done.stderr.decode(errors='replace'))}")
        return made.read_bytes()
