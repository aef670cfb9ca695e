"""Picture files in and out, with all that must survive: alpha, bit depth, colour, EXIF, dpi.

Pillow reads and writes everything here. It holds no more than 8 bits of a colour channel, so
16-bit colour is read by decoding the file twice, once for the high and once for the low bytes, and
written by the few lines at the end of this file. Measured on 12 megapixels of 16-bit RGB PNG, one
core: this reads in 1.8 s and writes in 2 s without a dependency; pypng reads in 16.5 s and is no
longer kept up; imagecodecs reads in 0.6 s but brings 45 MB; tifffile cannot read LZW without it.
"""

from __future__ import annotations

import io
import math
import os
import stat
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from triptych import provenance as origin
from triptych.errors import UserError, one_line
from triptych.files import refusal, shown, write_whole
from triptych.image import colour
from triptych.image.resample import resized

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8] | NDArray[np.uint16]

# Formats that are read; others that Pillow knows start programs (EPS) or hold no picture.
READABLE = (
    *("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"),
    *("JPEG2000", "PPM", "TGA", "PSD", "ICO", "DDS"),
)
WRITABLE = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_LONGEST_SIDE = {"JPEG": 65535, "WEBP": 16383}
_JPEG_SEGMENT = 65502
_STRIP = 256  # rows that are converted at a time: what keeps an 8K picture under 3 GB

_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769
# What describes a photograph. Everything else in a TIFF directory describes the old file's layout.
_EXIF_KEPT = {0x010E, 0x010F, 0x0110, _ORIENTATION, 0x0131, 0x0132, 0x013B, 0x8298}
_EXIF_KEPT |= {_EXIF_IFD, 0x8825, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F}


@dataclass(frozen=True)
class Picture:
    """A picture and what must survive its treatment.

    pixels: H x W x 3 float32, sRGB-encoded, 0..1, upright, not multiplied by alpha.
    alpha: H x W float32, 0..1 (1 is opaque), or None.
    grey: whether it was a grey picture; it is written as one as long as it stays grey.
    depth: bits of a channel, 8 or 16.
    icc: the embedded colour profile, None where codes are sRGB.
    exif, xmp: metadata blocks, already set upright. dpi: horizontal, vertical.
    format: Pillow's name of the file's format, None for a picture that was made here.
    notes: sentences for the user about what could not be kept.
    source: with a profile other than sRGB, the codes in that profile, H x W x C (C 1 or 3); they
        carry the colours outside of sRGB back to where the picture is unchanged.
    """

    pixels: Floats
    alpha: Floats | None = None
    grey: bool = False
    depth: Literal[8, 16] = 8
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    format: str | None = None
    notes: tuple[str, ...] = ()
    source: Codes | None = field(default=None, repr=False)

    def with_pixels(self, pixels: Floats, alpha: Floats | None = None) -> Picture:
        """This picture with other pixels (and another alpha, if given); all the rest is kept.

        Raises:
            ValueError: not H x W x 3, or of another size than the alpha that is kept.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise ValueError(f"pixels must be H x W x 3, not {pixels.shape}")
        alpha = self.alpha if alpha is None else alpha
        if alpha is not None and alpha.shape != pixels.shape[:2]:
            raise ValueError(f"alpha is {alpha.shape}, the pixels are {pixels.shape[:2]}")
        same_size = pixels.shape == self.pixels.shape
        if same_size:
            return replace(self, pixels=pixels, alpha=alpha)
        exif = self.exif
        if exif:  # it tells the size
            told = Image.Exif()
            told.load(exif)
            exif = _exif_block(told, pixels.shape[1], pixels.shape[0])
        return replace(self, pixels=pixels, alpha=alpha, exif=exif, source=None)

    def with_size_of(self, pixels: Floats, place: tuple[int, int] | None = None) -> Picture:
        """This picture with other pixels, of any size; see `fitted` for the alpha and `place`."""
        height, width = pixels.shape[:2]
        if self.alpha is None or self.alpha.shape == (height, width):
            return self.with_pixels(pixels)
        return self.with_pixels(pixels, fitted(self.alpha, height, width, place))


def fitted(alpha: Floats, height: int, width: int, place: tuple[int, int] | None = None) -> Floats:
    """An alpha at another size: height x width float32, 0..1.

    It is scaled (bicubic), or put at `place` (column, row) with all that is around it opaque.
    """
    if place is None:
        return resized(alpha[..., None], (height, width), "BICUBIC")[..., 0]
    (left, top), (high, wide) = place, alpha.shape
    made = np.ones((height, width), np.float32)
    made[top : top + high, left : left + wide] = alpha
    return made


def load(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file (any of READABLE); the first frame of an animation.

    Raises:
        UserError: missing, a folder, empty, no picture, damaged, too large.
    """
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"cannot read {shown(path)}: it is not an ordinary file.")
            if status.st_size == 0:
                raise UserError(f"cannot read {shown(path)}: the file is empty.")
            return _decode(file, path)
    except OSError as error:
        raise refusal("read", path, error) from None


def _decode(file: IO[bytes], path: str | os.PathLike[str]) -> Picture:
    try:
        # Large pictures are our trade: Pillow warns of them; its limit, twice that, still holds.
        with warnings.catch_warnings(action="ignore"), _grey_alpha_tiff():
            return _read(file)
    except (UserError, KeyboardInterrupt):
        raise
    except UnidentifiedImageError:
        raise UserError(
            f"{shown(path)} is not a picture that can be read (PNG, JPEG, WebP, TIFF, GIF, ...)."
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UserError(
            f"{shown(path)} says it has more than {limit} million pixels; make it smaller first."
        ) from None
    except MemoryError:
        raise UserError(
            f"{shown(path)} does not fit into memory; close programs or make it smaller first."
        ) from None
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        raise UserError(f"{shown(path)} is damaged: {one_line(error)}") from None


@contextmanager
def _grey_alpha_tiff() -> Iterator[None]:
    """Let Pillow open TIFF files of 16-bit grey with alpha, as four bands of 8 bits: its bytes."""
    layouts = TiffImagePlugin.OPEN_INFO
    added: dict[Any, tuple[str, str]] = {
        (prefix, 1, (1,), 1, (16, 16), extra): ("RGBA", "RGBA")
        for prefix in (b"II", b"MM")
        for extra in ((), (0,), (2,))
    }
    added = {key: modes for key, modes in added.items() if key not in layouts}
    layouts.update(added)
    try:
        yield
    finally:
        for key in added:
            layouts.pop(key, None)


def _read(file: IO[bytes]) -> Picture:
    notes: list[str] = []
    image: Image.Image = Image.open(file, formats=READABLE)
    format = image.format
    if getattr(image, "n_frames", 1) > 1 and format in {"GIF", "WEBP", "PNG", "TIFF", "AVIF"}:
        notes.append("it has several frames or pages: only the first was read")
    icc: bytes | None = image.info.get("icc_profile") or None

    codes, alpha = _deep_codes(file, image, notes)
    if codes is None:
        if image.mode in {"CMYK", "LAB"}:
            notes.append(f"{image.mode} was converted to RGB")
            image, icc = _to_srgb(image, icc), None
        codes, alpha = _plain_codes(image)

    # Only now: Pillow turns a TIFF file upright itself while it loads.
    exif = image.getexif()
    orientation = exif.get(_ORIENTATION, 1)
    codes, alpha = (
        _upright(codes, orientation),
        alpha if alpha is None else _upright(alpha, orientation),
    )
    height, width, channels = codes.shape

    profile = None
    if icc:
        try:
            profile = colour.read_profile(icc, channels)
        except ValueError:
            converted = _by_cms(codes, icc)
            if converted is not None:
                notes.append("its unusual colour profile was converted to sRGB")
                codes = converted
            icc = None
    depth: Literal[8, 16] = 16 if codes.dtype == np.uint16 else 8
    pixels = np.empty((height, width, 3), np.float32)
    for rows in _strips(height):
        strip = codes[rows]
        pixels[rows] = profile.decode(strip) if profile else _to_unit(strip)
    return Picture(
        pixels,
        None if alpha is None else _to_unit(alpha),
        grey=channels == 1,
        depth=depth,
        icc=icc,
        exif=_exif_block(exif, width, height),
        xmp=origin.clean_xmp(_xmp_bytes(image)),
        dpi=_dpi(image),
        format="JPEG" if format == "MPO" else format,
        notes=tuple(notes),
        source=codes if profile else None,
    )


def _deep_codes(
    file: IO[bytes], image: Image.Image, notes: list[str]
) -> tuple[Codes | None, Codes | None]:
    """Codes H x W x C and alpha H x W of a picture with 16 bits a channel, else None, None."""
    mode = image.mode
    if mode.startswith("I;16"):
        codes = np.asarray(image).astype(np.uint16)[..., None]
        if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
            codes = 65535 - codes  # white is zero, which Pillow leaves so at 16 bits
    elif mode == "I":
        codes = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)[..., None]
    elif mode == "F":
        values = np.asarray(image)
        if not np.isfinite(values).all():
            raise ValueError("it holds values that are not numbers")
        if values.min() < 0 or values.max() > 1:
            notes.append("values outside of 0 to 1 were cut off")
        codes = np.rint(np.clip(values, 0, 1) * np.float32(65535)).astype(np.uint16)[..., None]
    else:
        return _deep_colour(file, image, notes)
    return codes, _transparent(image, codes)


def _deep_colour(
    file: IO[bytes], image: Image.Image, notes: list[str]
) -> tuple[Codes | None, Codes | None]:
    raw = _raw_mode(image)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    if tags and tags.get(258) == (16, 16):
        # What _grey_alpha_tiff let in: libtiff turns the bytes to the machine's order.
        order = {b"II": "<u2", b"MM": ">u2"}[tags.prefix] if _codec(image) == "raw" else "=u2"
        pairs = np.asarray(image).view(order).astype(np.uint16)
        return pairs[..., :1], pairs[..., 1]
    if tags and tags.get(284) == 2 and max(tags.get(258, (8,))) > 8:
        raise UserError(
            "a 16-bit TIFF file that is stored plane by plane cannot be read; save it interleaved."
        )
    if not (tags or image.format == "PNG") or ";16" not in raw:
        return None, None
    name, _, order = raw.partition(";")
    if name not in {"RGB", "RGBA", "LA"}:
        notes.append("its 16 bits were reduced to 8")
        return None, None
    if name == "LA":
        # Pillow unpacks this to four bands of 8 bits, which are just the four bytes.
        _set_raw_mode(image, "RGBA")
        codes: NDArray[np.uint16] = np.asarray(image).view(">u2").astype(np.uint16)
        return codes[..., :1], codes[..., 1]
    # "16N" is the machine's order; the other order's unpacker gives the other byte of each pair.
    big = order == "16B" or (order == "16N" and sys.byteorder == "big")
    codes = np.asarray(image).astype(np.uint16)
    codes <<= 8
    file.seek(0)
    low = Image.open(file, formats=READABLE)
    _set_raw_mode(low, f"{name};16{'L' if big else 'B'}")
    codes |= np.asarray(low)
    if name == "RGBA":
        return codes[..., :3], codes[..., 3]
    return codes, _transparent(image, codes)


def _codec(image: Image.Image) -> str:
    return str(image.tile[0].codec_name)  # type: ignore[attr-defined]


def _raw_mode(image: Image.Image) -> str:
    if not getattr(image, "tile", None):
        return ""
    args = image.tile[0].args  # type: ignore[attr-defined]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _set_raw_mode(image: Image.Image, raw: str) -> None:
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
        for tile in image.tile  # type: ignore[attr-defined]
    ]


def _transparent(image: Image.Image, codes: NDArray[np.uint16]) -> Codes | None:
    """The alpha of a picture without one in which a single colour is transparent."""
    key = image.info.get("transparency")
    if not isinstance(key, (int, tuple)):
        return None
    return np.where((codes == np.array(key)).all(axis=-1), 0, 65535).astype(np.uint16)


def _plain_codes(image: Image.Image) -> tuple[Codes, Codes | None]:
    """Codes H x W x C and alpha H x W of a picture with up to 8 bits a channel."""
    grey = image.mode in {"1", "L", "LA", "La"}
    alpha = image.mode[-1] in "Aa" or "transparency" in image.info
    codes = np.asarray(image.convert(("L" if grey else "RGB") + ("A" if alpha else "")))
    if not alpha:
        return (codes[..., None] if grey else codes), None
    return codes[..., :-1], codes[..., -1]


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK by its profile, or naively without one; LAB by definition."""
    try:
        if image.mode == "LAB":
            source: Any = ImageCms.createProfile("LAB")
        elif icc:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        else:
            return image.convert("RGB")
        made = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    assert made is not None
    made.info = image.info
    return made


def _by_cms(codes: Codes, icc: bytes) -> Codes | None:
    """Codes by a profile that only ImageCms understands, as 8-bit sRGB; None if it does not."""
    eight = (codes >> 8 if codes.dtype == np.uint16 else codes).astype(np.uint8)
    image = Image.fromarray(eight[..., 0] if codes.shape[2] == 1 else eight)
    try:
        made = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    srgb = np.asarray(made)
    return srgb[..., :1] if codes.shape[2] == 1 else srgb


def _upright(array: Any, orientation: int) -> Any:
    """Apply an EXIF orientation 1..8 (EXIF 2.32, 4.6.4) to an array H x W (x C)."""
    if orientation in {5, 6, 7, 8}:
        array = array.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        array = array[::-1]
    if orientation in {2, 3, 6, 7}:
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _to_unit(codes: Codes) -> Floats:
    return np.multiply(codes, np.float32(1 / np.iinfo(codes.dtype).max), dtype=np.float32)


def _strips(height: int) -> Iterator[slice]:
    return (slice(top, top + _STRIP) for top in range(0, height, _STRIP))


def _exif_block(exif: Image.Exif, width: int, height: int) -> bytes | None:
    """What describes the photograph, set upright, without the old thumbnail."""
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag in _EXIF_KEPT and tag not in {_EXIF_IFD, 0x8825}:
            kept[tag] = value
    for tag in (_EXIF_IFD, 0x8825):
        values = dict(exif.get_ifd(tag))
        if tag == _EXIF_IFD:
            values.pop(0xA005, None)
            sizes = {0xA002: width, 0xA003: height}
            values |= {key: size for key, size in sizes.items() if key in values}
        if values:
            kept.get_ifd(tag).update(values)
            kept[tag] = values
    if _ORIENTATION in kept:
        kept[_ORIENTATION] = 1
    try:
        return kept.tobytes() if len(kept) else None
    except (ValueError, TypeError, struct.error, OverflowError):
        return None  # values of kinds that EXIF does not have: damaged


def _xmp_bytes(image: Image.Image) -> bytes | None:
    packet = image.info.get("xmp")
    return packet.encode() if isinstance(packet, str) else packet


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(v) and 0 < v < 1e6 for v in (x, y)) else None


def save(
    picture: Picture,
    path: str | os.PathLike[str],
    provenance: origin.Provenance | None = None,
    quality: int = 95,
) -> tuple[str, ...]:
    """Write a picture as PNG, JPEG, WebP or TIFF, as the name's ending says; all or nothing.

    `provenance` is written into the file unless TRIPTYCH_PROVENANCE=off. `quality` 1..100 is for
    JPEG and WebP; WebP at 100 is lossless. PNG and TIFF keep 16 bits, alpha survives in all but
    JPEG, where the picture is laid on white.

    Returns:
        Notes for the user about what the format could not hold.

    Raises:
        UserError: an unknown ending, a picture too large for the format, values that are not
            numbers, a full disk, an unwritable folder, ...
    """
    format = WRITABLE.get(Path(path).suffix.lower())
    if format is None:
        raise UserError(
            f"cannot write {shown(path)}: give it a name that ends in {', '.join(WRITABLE)}."
        )
    data, notes = encode(picture, format, provenance, quality)
    write_whole(path, data)
    return notes


def encode(
    picture: Picture,
    format: str,
    provenance: origin.Provenance | None = None,
    quality: int = 95,
) -> tuple[memoryview, tuple[str, ...]]:
    """The bytes of a picture file of a format in WRITABLE, and notes, as for `save`."""
    notes: list[str] = []
    height, width, _ = picture.pixels.shape
    longest = _LONGEST_SIDE.get(format, 2**31 - 1)
    if max(height, width) > longest:
        raise UserError(
            f"{format} holds at most {longest} px a side, this picture has {width} x {height}: "
            "choose PNG or TIFF."
        )
    alpha = picture.alpha
    if format == "JPEG" and alpha is not None:
        if alpha.min() < 1:
            notes.append("JPEG holds no transparency: the picture was laid on white")
        else:
            alpha = None
    depth = picture.depth
    if depth == 16 and format in {"JPEG", "WEBP"}:
        notes.append(f"{format} holds 8 bits a channel: the other 8 were rounded off")
        depth = 8
    codes, icc = _codes(picture, alpha, depth, lay_on_white=format == "JPEG")

    xmp = picture.xmp
    if provenance is not None and origin.enabled():
        xmp = provenance.to_xmp(picture.xmp)
        if format == "JPEG" and len(xmp) > _JPEG_SEGMENT:
            xmp = provenance.to_xmp()
    if format == "JPEG" and xmp and len(xmp) > _JPEG_SEGMENT:
        xmp = None
    exif = picture.exif
    if format == "JPEG" and exif and len(exif) > 65533:
        exif = None

    file = io.BytesIO()
    meta = {"icc_profile": icc, "exif": exif, "xmp": xmp, "dpi": picture.dpi}
    if format == "PNG" and depth == 16:
        _write_deep_png(file, codes, meta)
    elif format == "TIFF":
        _write_tiff(file, codes, meta)
    else:
        image = Image.fromarray(codes[..., 0] if codes.shape[2] == 1 else codes)
        if codes.shape[2] == 2:
            image = Image.frombytes("LA", (width, height), codes.tobytes())
        del codes
        options: dict[str, Any] = {key: value for key, value in meta.items() if value}
        if format == "PNG" and xmp:
            info = PngInfo()
            info.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode())
            options["pnginfo"] = info
        elif format == "JPEG":
            options |= {"quality": quality, "optimize": False}
            options["subsampling"] = 0 if quality >= 90 else 2
        elif format == "WEBP":
            options.pop("dpi", None)
            options |= {"quality": quality, "lossless": quality == 100, "exact": True}
        image.save(file, format, **options)
    return file.getbuffer(), tuple(notes)


def _codes(
    picture: Picture, alpha: Floats | None, depth: int, lay_on_white: bool
) -> tuple[Codes, bytes | None]:
    """Codes H x W x (1..4) to be written and the profile that they are in."""
    pixels, source = picture.pixels, picture.source
    height, width, _ = pixels.shape
    grey = picture.grey and _is_grey(pixels, depth)
    icc = picture.icc if grey or not picture.grey else None
    profile = None
    if icc and source is not None:
        profile = colour.read_profile(icc, source.shape[2])
    elif icc and (grey or not picture.grey):
        try:
            profile = colour.read_profile(icc, 1 if grey else 3)
        except ValueError:
            icc = None
    colours = 1 if grey else 3
    keep_alpha = alpha is not None and not lay_on_white
    top = 2**depth - 1
    codes = np.empty((height, width, colours + keep_alpha), np.uint8 if depth == 8 else np.uint16)
    for rows in _strips(height):
        strip = pixels[rows]
        if not np.isfinite(strip).all():
            raise UserError("the picture holds values that are not numbers (NaN or infinite).")
        if profile:
            strip = _in_profile(profile, strip, None if source is None else source[rows])
        strip = np.clip(strip[..., :colours], 0, 1)
        if alpha is not None:
            cover = np.clip(alpha[rows, :, None], 0, 1)
            if not np.isfinite(cover).all():
                raise UserError("the alpha holds values that are not numbers (NaN or infinite).")
            if lay_on_white:
                strip = strip * cover + (1 - cover)
            else:
                codes[rows, :, colours:] = np.rint(cover * top)
        codes[rows, :, :colours] = np.rint(strip * top)
    return codes, icc


def _is_grey(pixels: Floats, depth: int) -> bool:
    """Whether all three channels are the same but for rounding."""
    near = 0.5 / (2**depth - 1)
    return all(bool((np.ptp(pixels[rows], axis=-1) <= near).all()) for rows in _strips(len(pixels)))


def _in_profile(profile: colour.Profile, srgb: Floats, source: Codes | None) -> Floats:
    """sRGB in the picture's own profile. Colours outside of sRGB come back with `source`.

    What clipping to sRGB took away from a pixel is given back in full where the pixel is unchanged
    and less the more it was changed (none at a quarter of the range), so that no edge appears.
    """
    made = profile.encode(np.clip(srgb, 0, 1))
    if source is None:
        return made
    clipped = profile.decode(source)
    lost = _to_unit(source) - profile.encode(clipped)
    change = np.abs(srgb - clipped).max(axis=-1, keepdims=True)
    return np.asarray(made + lost * np.maximum(1 - 4 * change, 0), np.float32)


def _write_deep_png(file: IO[bytes], codes: Codes, meta: dict[str, Any]) -> None:
    """A PNG file (ISO/IEC 15948) of 16 bits a channel, filter "Sub" on every row."""

    def chunk(name: bytes, data: bytes) -> None:
        check = zlib.crc32(data, zlib.crc32(name))
        file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", check))

    height, width, channels = codes.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    if meta["icc_profile"]:
        chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(meta["icc_profile"]))
    if meta["dpi"]:
        chunk(b"pHYs", struct.pack(">IIB", *(round(v / 0.0254) for v in meta["dpi"]), 1))
    if meta["xmp"]:
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + meta["xmp"])
    if meta["exif"]:
        chunk(b"eXIf", meta["exif"].removeprefix(b"Exif\0\0"))
    pack = zlib.compressobj(4)
    for rows in _strips(height):
        raw = codes[rows].astype(">u2").view(np.uint8).reshape(-1, width, 2 * channels)
        lines = np.empty((len(raw), 1 + width * 2 * channels), np.uint8)
        lines[:, 0] = 1
        lines[:, 1:] = np.diff(raw, axis=1, prepend=np.uint8(0)).reshape(len(raw), -1)
        chunk(b"IDAT", pack.compress(lines.tobytes()))
    chunk(b"IDAT", pack.flush())
    chunk(b"IEND", b"")


def _write_tiff(file: IO[bytes], codes: Codes, meta: dict[str, Any]) -> None:
    """A TIFF 6.0 file, Deflate with horizontal differencing.

    Of 8 bits a channel as well: Pillow's own writer loses EXIF where it is given XMP.
    """
    height, width, channels = codes.shape
    strips = []
    for rows in _strips(height):
        steps = np.diff(codes[rows], axis=1, prepend=codes.dtype.type(0))
        strips.append(zlib.compress(steps.astype(f"<u{codes.itemsize}").tobytes(), 4))
    sizes = [len(strip) for strip in strips]
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    tags[256], tags[257], tags[258] = width, height, (8 * codes.itemsize,) * channels
    tags[259], tags[317] = 8, 2
    tags[262], tags[277], tags[284] = (1 if channels < 3 else 2), channels, 1
    # Pillow adds the place where its directory ends to the first, so they are counted from there.
    tags[273], tags.tagtype[273] = (0, *accumulate(sizes[:-1])), 4
    tags[278], tags[279] = _STRIP, tuple(sizes)
    tags[339] = (1,) * channels
    if channels in {2, 4}:
        tags[338] = 2  # alpha that the colours are not multiplied by
    if meta["dpi"]:
        (tags[282], tags[283]), tags[296] = meta["dpi"], 2
    if meta["icc_profile"]:
        tags[34675] = meta["icc_profile"]
    if meta["xmp"]:
        tags[700], tags.tagtype[700] = meta["xmp"], 1
    if meta["exif"]:
        exif = Image.Exif()
        exif.load(meta["exif"])
        for tag, value in exif.items():
            tags[tag] = exif.get_ifd(tag) if tag in {_EXIF_IFD, 0x8825} else value
    tags.save(file)
    file.writelines(strips)
