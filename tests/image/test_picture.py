"""Picture files: what must survive, what must be refused, and no half-written file."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

from triptych.errors import UserError
from triptych.image import picture as module
from triptych.image.colour import read_profile
from triptych.image.picture import Picture, encode, load, save
from triptych.provenance import Provenance

Codes = NDArray[Any]
quick = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
depths = st.sampled_from([8, 16])


def random_codes(*shape: int, depth: int = 8, seed: int = 0) -> Codes:
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**depth, shape).astype(dtype)


def unit(codes: Codes) -> NDArray[np.float32]:
    return (codes / np.float32(np.iinfo(codes.dtype).max)).astype(np.float32)


def picture_of(codes: Codes, **options: Any) -> Picture:
    """A picture of codes H x W x 1..4 (grey, grey and alpha, RGB, RGBA)."""
    channels = codes.shape[2]
    grey, alpha = channels < 3, channels in {2, 4}
    pixels = unit(codes[..., :1].repeat(3, 2) if grey else codes[..., :3])
    depth: Literal[8, 16] = 8 if codes.dtype == np.uint8 else 16
    cover = unit(codes[..., -1]) if alpha else None
    return Picture(pixels, cover, grey=grey, depth=depth, **options)


def codes_of(picture: Picture) -> Codes:
    """The reverse of `picture_of`."""
    pixels = picture.pixels[..., :1] if picture.grey else picture.pixels
    cover = [] if picture.alpha is None else [picture.alpha[..., None]]
    dtype = np.uint8 if picture.depth == 8 else np.uint16
    top = 2**picture.depth - 1
    return np.rint(np.concatenate([pixels, *cover], axis=2) * top).astype(dtype)


# Reading


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "LAB", "F"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_every_mode_is_read(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    image = Image.fromarray(random_codes(size[1], size[0], 3))
    if mode == "I;16":
        image = Image.fromarray(random_codes(size[1], size[0], depth=16))
    elif mode == "F":
        image = Image.fromarray(unit(random_codes(size[1], size[0])))
    elif mode == "LAB":
        transform = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        lab = ImageCms.applyTransform(image, transform)
        assert lab is not None
        image = lab
    else:
        image = image.convert(mode)
    path = tmp_path / ("a.png" if mode in {"1", "L", "LA", "P", "RGB", "RGBA"} else "a.tif")
    image.save(path)
    picture = load(path)
    assert picture.pixels.shape == (size[1], size[0], 3)
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.min() >= 0
    assert picture.pixels.max() <= 1
    assert (picture.alpha is not None) == (mode in {"LA", "RGBA"})
    assert picture.grey == (mode in {"1", "L", "LA", "I;16", "F"})
    assert picture.depth == (16 if mode in {"I;16", "F"} else 8)
    if mode not in {"LAB", "CMYK", "I;16", "F"}:
        np.testing.assert_allclose(
            picture.pixels, np.asarray(image.convert("RGB")) / 255, atol=1e-6
        )
    if mode in {"LAB", "CMYK"}:
        assert picture.notes == (f"{mode} was converted to RGB",)
    save(picture, tmp_path / "b.png")
    assert np.array_equal(codes_of(load(tmp_path / "b.png")), codes_of(picture))


def test_a_transparent_palette_colour_becomes_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=1)
    image.save(tmp_path / "a.gif", transparency=1)
    for name in ("a.png", "a.gif"):
        picture = load(tmp_path / name)
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [[1, 0]]
        assert picture.pixels[0, 0].tolist() == [1, 0, 0]


def test_a_cmyk_jpeg_looks_as_pillow_shows_it(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), (200, 60, 20)).convert("CMYK")
    image.save(tmp_path / "a.jpg", quality=100)
    picture = load(tmp_path / "a.jpg")
    assert np.abs(picture.pixels[8, 8] * 255 - [200, 60, 20]).max() < 3
    assert picture.icc is None


def raw_tiff(codes: Codes, order: str, white_is_zero: bool = False, planar: bool = False) -> bytes:
    """An uncompressed TIFF file in either byte order, written by nothing that is tested here."""
    height, width, channels = codes.shape
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    tags[256], tags[257], tags[258], tags[259] = width, height, (16,) * channels, 1
    tags[262] = 0 if white_is_zero else 1 if channels < 3 else 2
    tags[277], tags[278], tags[284] = channels, height, 2 if planar else 1
    tags[273], tags[279] = 0, codes.nbytes
    if planar:
        tags[273], tags.tagtype[273] = tuple(range(0, codes.nbytes, codes[..., 0].nbytes)), 4
        tags[279] = (codes[..., 0].nbytes,) * channels
    if channels in {2, 4}:
        tags[338] = 2
    file = io.BytesIO()
    tags.save(file)
    return file.getvalue() + codes.astype(f"{order}u2").tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_of_foreign_tiff_files(tmp_path: Path, order: str, channels: int) -> None:
    codes = random_codes(9, 5, channels, depth=16)
    (tmp_path / "a.tif").write_bytes(raw_tiff(codes, order))
    picture = load(tmp_path / "a.tif")
    assert picture.depth == 16
    assert np.array_equal(codes_of(picture), codes)


def test_tiff_files_where_white_is_zero(tmp_path: Path) -> None:
    codes = random_codes(9, 5, 1, depth=16)
    (tmp_path / "a.tif").write_bytes(raw_tiff(codes, "<", white_is_zero=True))
    assert np.array_equal(codes_of(load(tmp_path / "a.tif")), 65535 - codes)


def raw_png(codes: Codes, extra: bytes = b"") -> bytes:
    """A 16-bit PNG file without filters, written by nothing that is tested here."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width, channels = codes.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in codes)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
            chunk(b"tRNS", extra) if extra else b"",
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_of_foreign_png_files(tmp_path: Path, channels: int) -> None:
    codes = random_codes(9, 5, channels, depth=16)
    (tmp_path / "a.png").write_bytes(raw_png(codes))
    assert np.array_equal(codes_of(load(tmp_path / "a.png")), codes)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_sixteen_bit_colour_becomes_alpha(tmp_path: Path, channels: int) -> None:
    codes = random_codes(3, 4, channels, depth=16)
    key = codes[1, 2].astype(">u2").tobytes()
    (tmp_path / "a.png").write_bytes(raw_png(codes, key))
    alpha = load(tmp_path / "a.png").alpha
    assert alpha is not None
    assert alpha[1, 2] == 0
    assert alpha.sum() == 11


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        picture = load(tmp_path / name)
        assert np.abs(picture.pixels - [1, 0, 0]).max() < 0.01
        assert "first" in picture.notes[0]


# Writing and reading


@quick
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), depths, st.integers(0, 99))
@example(1, 1, 1, 8, 0)
@example(1, 1, 2, 16, 0)
@example(300, 3, 4, 16, 0)
def test_lossless_formats_keep_every_code(
    tmp_path: Path, height: int, width: int, channels: int, depth: int, seed: int
) -> None:
    codes = random_codes(height, width, channels, depth=depth, seed=seed)
    for ending in (".png", ".tif", ".tiff", ".webp")[: 4 if depth == 8 else 3]:
        path = tmp_path / f"a{ending}"
        path.unlink(missing_ok=True)
        assert save(picture_of(codes, dpi=(300, 150)), path, quality=100) == ()
        picture = load(path)
        if ending == ".webp":  # knows no grey
            expected = codes_of(Picture(picture_of(codes).pixels, picture_of(codes).alpha))
            assert np.array_equal(codes_of(picture), expected)
            continue
        assert picture.depth == depth
        assert np.array_equal(codes_of(picture), codes)
        assert picture.dpi == pytest.approx((300, 150), abs=0.02)


def test_our_sixteen_bits_as_others_read_them(tmp_path: Path) -> None:
    """The PNG decoded by hand: one zlib stream, filter 1, big-endian."""
    codes = random_codes(520, 7, 3, depth=16)
    save(picture_of(codes, xmp=b"x" * 9, icc=SRGB_ICC), tmp_path / "a.png")
    data, at, packed, names = (tmp_path / "a.png").read_bytes(), 8, b"", []
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(
            data[at + 4 : at + 8 + size]
        )
        packed += data[at + 8 : at + 8 + size] if name == b"IDAT" else b""
        names.append(name)
        at += 12 + size
    assert names[:3] == [b"IHDR", b"iCCP", b"iTXt"]
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(520, 1 + 7 * 6)
    assert (lines[:, 0] == 1).all()
    raw = np.cumsum(lines[:, 1:].reshape(520, 7, 6), axis=1, dtype=np.uint8)
    assert np.array_equal(raw.reshape(520, 7, 3, 2).view(">u2")[..., 0], codes)


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_lossy_formats_stay_near(tmp_path: Path, ending: str) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    pixels = np.stack([ramp + 0 * ramp[:, None]] * 2 + [0 * ramp + ramp[:, None]], axis=-1)
    notes = save(Picture(pixels, depth=16), tmp_path / f"a{ending}")
    assert len(notes) == 1
    assert "8 bits" in notes[0]
    picture = load(tmp_path / f"a{ending}")
    assert np.abs(picture.pixels - pixels).max() < 0.04
    assert picture.depth == 8


def test_jpeg_lays_transparency_on_white(tmp_path: Path) -> None:
    black = np.zeros((16, 16, 3), np.float32)
    alpha = np.zeros((16, 16), np.float32)
    alpha[:, 8:] = 1
    notes = save(Picture(black, alpha), tmp_path / "a.jpg")
    assert "white" in notes[0]
    made = load(tmp_path / "a.jpg").pixels
    assert made[8, 2].min() > 0.97
    assert made[8, 13].max() < 0.03
    assert save(Picture(black, np.ones_like(alpha)), tmp_path / "b.jpg") == ()


def test_a_grey_picture_is_written_grey_until_it_has_colour(tmp_path: Path) -> None:
    grey = picture_of(random_codes(6, 6, 1))
    for ending in (".png", ".jpg", ".tif"):
        save(grey, tmp_path / f"a{ending}")
        assert Image.open(tmp_path / f"a{ending}").mode == "L"
        coloured = grey.with_pixels(grey.pixels * np.array([1, 0.5, 0.2], np.float32))
        save(coloured, tmp_path / f"b{ending}")
        assert Image.open(tmp_path / f"b{ending}").mode == "RGB"


def test_with_pixels_keeps_the_rest() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    block = exif.tobytes()
    picture = picture_of(random_codes(4, 5, 4), dpi=(72, 72), exif=block, format="PNG")
    other = picture.with_pixels(np.zeros((4, 5, 3), np.float32))
    assert other.alpha is picture.alpha
    assert (other.dpi, other.exif, other.format) == ((72, 72), block, "PNG")
    with pytest.raises(ValueError, match="alpha"):
        picture.with_pixels(np.zeros((8, 10, 3), np.float32))
    larger = picture.with_pixels(np.zeros((8, 10, 3), np.float32), np.ones((8, 10), np.float32))
    assert larger.pixels.shape == (8, 10, 3)
    fitting = picture.with_size_of(np.zeros((8, 10, 3), np.float32))
    assert fitting.alpha is not None
    assert fitting.alpha.shape == (8, 10)
    assert picture.with_size_of(picture.pixels).alpha is picture.alpha
    extended = picture.with_size_of(np.zeros((8, 10, 3), np.float32), (3, 2)).alpha
    assert extended is not None and picture.alpha is not None
    assert np.array_equal(extended[2:6, 3:8], picture.alpha)
    assert extended.sum() == pytest.approx(80 - 20 + picture.alpha.sum())
    with pytest.raises(ValueError, match="H x W x 3"):
        picture.with_pixels(np.zeros((4, 5), np.float32))


# EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "deep.png", "deep.tif"])
def test_every_orientation_is_set_upright(tmp_path: Path, orientation: int, name: str) -> None:
    codes = random_codes(4, 6, 4)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0131] = orientation, "Maker", "Program"
    exif.get_ifd(0x8769).update({0xA002: 6, 0xA003: 4, 0x9003: "2020:01:01 00:00:00"})
    exif.get_ifd(0x8825).update({1: "N"})
    image = Image.fromarray(codes)
    path = tmp_path / name
    if name.startswith("deep"):
        codes = codes.astype(np.uint16) * 257
        path.write_bytes(
            encode(picture_of(codes, exif=exif.tobytes()), module.WRITABLE[path.suffix])[0]
        )
    else:
        image.save(path, exif=exif.tobytes(), lossless=True, exact=True)
    upright = image.copy()
    upright.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(upright)
    assert upright is not None
    picture = load(path)
    seen = codes_of(picture) // (257 if picture.depth == 16 else 1)
    assert np.array_equal(seen, np.asarray(upright))
    for ending in (".png", ".jpg", ".webp", ".tif"):
        out = tmp_path / f"out{ending}"
        save(picture, out)
        again = Image.open(out)
        assert again.size == upright.size
        read = again.getexif()
        assert read.get(0x0112, 1) == 1
        assert read[0x010F] == "Maker"
        assert read.get_ifd(0x8769)[0x9003] == "2020:01:01 00:00:00"
        assert read.get_ifd(0x8769)[0xA002] == upright.width
        assert read.get_ifd(0x8825)[1] == "N"


def test_the_old_thumbnail_does_not_travel_on(tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(small, "JPEG")
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0x9003: "2020:01:01 00:00:00"})
    exif._ifds[1] = {513: small.getvalue(), 514: len(small.getvalue()), 259: 6}
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    picture = load(tmp_path / "a.jpg")
    assert picture.exif is not None
    assert b"Maker" in picture.exif
    assert b"\xff\xd8" not in picture.exif


# Colour profiles: made by hand, because ImageCms can only make sRGB, Lab and XYZ.

Primaries = tuple[tuple[float, float, float], ...]
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def parametric(kind: int, *values: float) -> bytes:
    return struct.pack(">4s4xH2x", b"para", kind) + fixed(*values)


def sampled(*values: float) -> bytes:
    codes = [round(value * 65535) for value in values]
    return struct.pack(f">4s4xI{len(codes)}H", b"curv", len(codes), *codes)


def gamma(value: float) -> bytes:
    return struct.pack(">4s4xIH2x", b"curv", 1, round(value * 256))


SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
CURVES = {
    "gamma 2.2": gamma(2.2),
    "gamma 1.8": gamma(1.8),
    "line": struct.pack(">4s4xI", b"curv", 0),
    "samples": sampled(*(np.linspace(0, 1, 64) ** 2.0)),
    "para 0": parametric(0, 2.0),
    "para 1": parametric(1, 2.0, 1.0, 0.0),
    "para 2": parametric(2, 2.0, 1.0, 0.0, 0.0),
    "sRGB": SRGB_CURVE,
    "para 4": parametric(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0),
}


def profile(curve: bytes, primaries: Primaries | None) -> bytes:
    """A display profile (ICC 4.2) of three primaries and one curve, or a grey one."""

    def text(value: str) -> bytes:
        data = value.encode("utf-16-be")
        return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(data), 28) + data

    white = fixed(0.9642, 1.0, 0.8249)
    tags = {b"desc": text("Test"), b"cprt": text("CC0!"), b"wtpt": b"XYZ \0\0\0\0" + white}
    for name, primary in zip(b"rgb", primaries or (), strict=False):
        tags[bytes([name]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*primary)
        tags[bytes([name]) + b"TRC"] = curve
    if primaries is None:
        tags[b"kTRC"] = curve
    directory, data, offset = b"", b"", 132 + 12 * len(tags)
    for tag, value in tags.items():
        padded = value + b"\0" * (-len(value) % 4)
        directory += struct.pack(">4sII", tag, offset, len(value))
        data, offset = data + padded, offset + len(padded)
    space = b"RGB " if primaries else b"GRAY"
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x", offset, 0x04200000, b"mntr", space, b"XYZ ", b"acsp"
    )
    header = (header + white).ljust(128, b"\0")
    return header + struct.pack(">I", len(tags)) + directory + data


SRGB_ICC = profile(SRGB_CURVE, SRGB)
WIDE = profile(gamma(2.2), ADOBE_RGB)


def by_lcms(codes: Codes, icc: bytes) -> Codes:
    made = ImageCms.profileToProfile(
        Image.fromarray(codes),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    return np.asarray(made)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("primaries", [SRGB, ADOBE_RGB, PROPHOTO])
def test_colours_are_those_of_lcms(tmp_path: Path, curve: str, primaries: Primaries) -> None:
    codes = random_codes(32, 32, 3)
    icc = profile(CURVES[curve], primaries)
    Image.fromarray(codes).save(tmp_path / "a.png", icc_profile=icc)
    picture = load(tmp_path / "a.png")
    assert picture.icc == icc
    # lcms itself works with 8-bit steps here, which steep curves spread.
    assert np.abs(picture.pixels * 255 - by_lcms(codes, icc)).max() < 2.5
    assert (picture.source is None) == (primaries is SRGB and curve in {"sRGB", "para 4"})


@quick
@given(
    st.sampled_from(sorted(CURVES)),
    st.sampled_from([ADOBE_RGB, PROPHOTO, SRGB, None]),
    depths,
    st.booleans(),
    st.sampled_from([".png", ".tif", ".webp"]),
)
def test_an_untouched_picture_keeps_every_code_in_any_profile(
    tmp_path: Path,
    curve: str,
    primaries: Primaries | None,
    depth: int,
    alpha: bool,
    ending: str,
) -> None:
    if ending == ".webp":
        depth = 8
    codes = random_codes(9, 8, (3 if primaries else 1) + alpha, depth=depth)
    icc = profile(CURVES[curve], primaries)
    given = Picture(np.zeros((9, 8, 3), np.float32), icc=icc)
    # Written as plain codes with the profile beside them, as any other program does.
    plain = picture_of(codes)
    kind = module.WRITABLE[ending]
    data, _ = encode(plain, kind, quality=100)
    path = tmp_path / f"a{ending}"
    if ending == ".webp" or depth == 8:
        image = Image.open(io.BytesIO(data))
        if ending == ".webp" and primaries is None:
            return  # WebP knows no grey
        image.save(path, icc_profile=given.icc, lossless=True, exact=True)
    elif ending == ".png":
        insert = struct.pack(">I", len(b := b"x\0\0" + zlib.compress(icc))) + b"iCCP" + b
        insert += struct.pack(">I", zlib.crc32(b"iCCP" + b))
        path.write_bytes(bytes(data[:33]) + insert + bytes(data[33:]))
    else:
        path.write_bytes(encode(Picture(**(vars(plain) | {"icc": icc})), "TIFF")[0])
        # `encode` took the pixels for sRGB, so start from what it wrote.
        codes = np.empty(0)
    picture = load(path)
    assert picture.icc == icc
    save(picture, tmp_path / f"b{ending}", quality=100)
    again = load(tmp_path / f"b{ending}")
    assert again.icc == icc
    first, second = (p if p.source is None else picture_of(p.source) for p in (picture, again))
    assert np.array_equal(codes_of(first), codes_of(second))
    if codes.size:
        assert np.array_equal(codes_of(first)[..., 0], codes[..., 0])


def test_changed_pixels_arrive_in_the_wide_profile(tmp_path: Path) -> None:
    codes = random_codes(16, 16, 3)
    Image.fromarray(codes).save(tmp_path / "a.png", icc_profile=WIDE)
    picture = load(tmp_path / "a.png")
    target = unit(random_codes(16, 16, 3, seed=1))
    save(picture.with_pixels(target), tmp_path / "b.png")
    seen = by_lcms(np.asarray(Image.open(tmp_path / "b.png")), WIDE) / 255
    far = np.abs(target - picture.pixels).max(axis=-1) > 0.25
    assert far.sum() > 100
    assert np.abs(seen - target)[far].max() < 0.03


def test_a_small_change_of_a_colour_outside_of_srgb_is_a_small_change(tmp_path: Path) -> None:
    codes = np.zeros((1, 50, 3), np.uint8)
    codes[..., 1] = 255  # Adobe RGB's green lies far outside of sRGB
    Image.fromarray(codes).save(tmp_path / "a.png", icc_profile=WIDE)
    picture = load(tmp_path / "a.png")
    darker = picture.pixels * np.linspace(1, 0.5, 50, dtype=np.float32)[None, :, None]
    save(picture.with_pixels(darker), tmp_path / "b.png")
    made = np.asarray(Image.open(tmp_path / "b.png")).astype(int)
    assert made[0, 0].tolist() == [0, 255, 0]
    assert np.abs(np.diff(made[0], axis=0)).max() <= 16


def test_a_grey_picture_that_gets_colour_drops_its_grey_profile(tmp_path: Path) -> None:
    icc = profile(gamma(1.8), None)
    Image.fromarray(random_codes(8, 8)).save(tmp_path / "a.png", icc_profile=icc)
    picture = load(tmp_path / "a.png")
    assert picture.icc == icc
    target = unit(random_codes(8, 8, 3))
    save(picture.with_pixels(target), tmp_path / "b.png")
    again = load(tmp_path / "b.png")
    assert again.icc is None
    assert np.abs(again.pixels - target).max() < 0.003


@pytest.mark.parametrize("space", ["LAB", "XYZ"])
def test_a_profile_that_fits_no_picture_is_dropped(tmp_path: Path, space: Any) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    codes = random_codes(4, 4, 3)
    for bad in (icc, b"rubbish", WIDE[:200], profile(gamma(2.2), None)):
        Image.fromarray(codes).save(tmp_path / "a.png", icc_profile=bad)
        picture = load(tmp_path / "a.png")
        assert picture.icc is None
        assert np.array_equal(codes_of(picture), codes)


def test_pillows_own_srgb_profile_is_srgb() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_profile(icc, 3) is None


@settings(deadline=None, max_examples=150)
@given(st.integers(0, len(WIDE) - 1), st.integers(0, 255), st.integers(1, len(WIDE)))
def test_damaged_profiles_raise_nothing_but_value_error(at: int, value: int, length: int) -> None:
    damaged = bytearray(WIDE)
    damaged[at] = value
    with contextlib.suppress(ValueError):
        read_profile(bytes(damaged[:length]), 3)


# What is refused


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello, I am a text")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "post.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n")
    expected = {
        "text.png": "not a picture",
        "empty.png": "empty",
        "post.eps": "not a picture",
        "missing.png": "no such file",
        "": "folder",
        "text.png/inside.png": "not a folder",
    }
    for name, words in expected.items():
        with pytest.raises(UserError, match=words) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_hostile_name_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb.png"
    path.write_text("text")
    with pytest.raises(UserError) as caught:
        load(path)
    assert str(caught.value).isprintable()


def test_a_decompression_bomb(tmp_path: Path) -> None:
    data = bytearray(raw_png(random_codes(1, 1, 3, depth=16)))
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match="million pixels"):
        load(tmp_path / "a.png")


def test_planes_of_sixteen_bits_are_refused_and_not_misread(tmp_path: Path) -> None:
    codes = random_codes(3, 4, 3, depth=16)
    (tmp_path / "a.tif").write_bytes(raw_tiff(codes, "<", planar=True))
    with pytest.raises(UserError, match="interleaved"):
        load(tmp_path / "a.tif")


def test_values_that_are_not_numbers(tmp_path: Path) -> None:
    values = np.full((3, 3), np.nan, np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match="not numbers"):
        load(tmp_path / "a.tif")
    pixels = np.zeros((3, 3, 3), np.float32)
    for bad in (float("nan"), float("inf")):
        pixels[1, 1, 1] = bad
        with pytest.raises(UserError, match="not numbers"):
            save(Picture(pixels), tmp_path / "b.png")
    with pytest.raises(UserError, match="not numbers"):
        save(Picture(np.zeros_like(pixels), values), tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def sample_files() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8769).update({0xA002: 6})
    files = {}
    for depth in (8, 16):
        wide = picture_of(random_codes(12, 9, 4, depth=depth), exif=exif.tobytes(), icc=WIDE)
        for kind in ("PNG", "TIFF", "JPEG", "WEBP"):
            files[f"{kind}{depth}"] = bytes(encode(wide, kind, Provenance("style"))[0])
    file = io.BytesIO()
    Image.fromarray(random_codes(12, 9)).save(file, "GIF")
    return files | {"GIF": file.getvalue()}


SAMPLES = sample_files()


@settings(quick, max_examples=250)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_files_are_read_or_refused_but_raise_nothing_else(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    damaged = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    path = tmp_path / "a"
    path.write_bytes(damaged)
    try:
        picture = load(path)
    except UserError as error:
        assert str(error).isprintable()
    else:
        assert np.isfinite(picture.pixels).all()
        encode(picture, "PNG")


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(SAMPLES[name][: len(SAMPLES[name]) // 2])
    with pytest.raises(UserError):
        load(tmp_path / "a")


# Where it cannot be written


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SMALL = picture_of(random_codes(4, 4, 3))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file/out.png", "not a folder"),
        ("missing/out.png", "no such file or folder"),
        ("folder.png", "it is a folder"),
        ("x" * 300 + ".png", "too long"),
        ("out.xyz", "name that ends in"),
        ("out", "name that ends in"),
    ],
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=words):
        save(SMALL, tmp_path / name)
    assert leftovers(tmp_path) == ["file", "folder.png"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_that_refuses_even_root() -> None:
    with pytest.raises(UserError, match="cannot write"):
        save(SMALL, "/proc/out.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    with pytest.raises(UserError, match="permission"):
        save(SMALL, tmp_path / "closed" / "out.png")


LIMITED = """
import resource, sys
import numpy as np
from triptych.errors import UserError
from triptych.image.picture import Picture, save
picture = Picture(np.random.default_rng(0).random((200, 200, 3)).astype(np.float32))
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
for name in sys.argv[1:]:
    try:
        save(picture, name)
    except UserError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_a_file_that_grows_too_large_leaves_nothing(tmp_path: Path) -> None:
    names = [tmp_path / f"a{ending}" for ending in (".png", ".jpg", ".webp", ".tif")]
    names[0].write_text("what was there before")
    core = str(Path(module.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *names],
        env=os.environ | {"PYTHONPATH": core},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("larger than the system allows") == 4, done.stdout + done.stderr
    assert leftovers(tmp_path) == ["a.png"]
    assert names[0].read_text() == "what was there before"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    mount = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True
        )
        if sys.platform == "linux"
        else None
    )
    if mount is None or mount.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        path = tmp_path / "a.png"
        save(SMALL, path)
        before = path.read_bytes()
        with pytest.raises(UserError, match="disk is full"):
            save(picture_of(random_codes(200, 200, 3)), path)
        assert path.read_bytes() == before
        assert leftovers(tmp_path) == ["a.png"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_the_systems_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full disk without being root: what is written goes to the device that is always full."""
    real_open = Path.open

    def to_full(path: Path, mode: str = "r", *args: Any) -> Any:
        if path.suffix == ".part":
            real_open(path, mode).close()
            return real_open(Path("/dev/full"), "wb", 0)
        return real_open(path, mode, *args)

    monkeypatch.setattr(Path, "open", to_full)
    with pytest.raises(UserError, match="disk is full"):
        save(SMALL, tmp_path / "a.png")
    assert leftovers(tmp_path) == []


def test_links_and_permissions_of_a_replaced_file_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "real.png"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link = tmp_path / "link.png"
    link.symlink_to(target)
    save(SMALL, link)
    assert link.is_symlink()
    assert np.array_equal(codes_of(load(target)), codes_of(SMALL))
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("kind", "side"), [("JPEG", 65536), ("WEBP", 16384)])
def test_pictures_that_a_format_cannot_hold(kind: str, side: int) -> None:
    with pytest.raises(UserError, match="choose PNG or TIFF"):
        encode(Picture(np.zeros((1, side, 3), np.float32)), kind)


LARGE = """
import sys
import numpy as np
from triptych.image.picture import Picture, encode, load, save
from triptych.image.tiles import tile_map
picture = load(sys.argv[1])
made = tile_map(picture.pixels, lambda piece: 1 - piece, 512, 32)
save(picture.with_pixels(made), sys.argv[1] + ".png")
# ru_maxrss would not do: it starts from that of the process that started this one.
print(next(x.split()[1] for x in open("/proc/self/status") if x.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")
def test_an_8k_picture_takes_its_pixels_and_little_more(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.linear_gradient("L").resize((7680, 4320)).convert("RGB").save(path)
    core = str(Path(module.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LARGE, path],
        env=os.environ | {"PYTHONPATH": core, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) / 1024 < 1300  # MiB; the float pixels, in and out, are 760
