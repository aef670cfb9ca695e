"""Training data: a folder, a zip, a tar or one file, never without its licence.

Nothing of the data is committed. `TRIPTYCH_DATA` names the folder that holds the sets; inside a
checkout the default is `../shared/data` where that exists.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from triptych.errors import UserError, one_line
from triptych.files import refusal, shown

ENDINGS = {
    "picture": {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"},
    "MIDI file": {".mid", ".midi"},
    "mesh": {".glb", ".gltf", ".obj"},
    "table": {".json", ".jsonl", ".csv", ".mat"},
}
"""What a set may hold, and by which endings it is known."""
_LICENCE_FILES = ("source", "licence", "license", "copying")  # .md, .txt or nothing
_LARGEST = 1 << 30  # bytes of one file, unpacked; far above any honest one


def data_root() -> Path:
    """The folder that holds the training sets; UserError when there is none."""
    named = os.environ.get("TRIPTYCH_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "data"
    if not root.is_dir():
        raise UserError(
            "no training data found: set TRIPTYCH_DATA to the folder that holds the sets "
            "which the recipe's card names"
        )
    return root


@dataclass(frozen=True)
class Source:
    """One set of training files with its licence.

    `path` is a folder, a zip, a tar or a single file; `licence` is an SPDX name or a short phrase;
    `origin` says where others get it; `kind` (of ENDINGS) is what it holds; `keep` chooses files by
    name. A blank licence is refused.
    """

    path: Path
    licence: str
    title: str = ""
    origin: str = ""
    note: str = ""
    kind: str = "picture"
    keep: Callable[[str], bool] = field(default=lambda name: True, compare=False)

    def __post_init__(self) -> None:
        if not self.licence.strip():
            raise UserError(
                f"{shown(self.path)} comes without a licence: put a SOURCE.md or LICENSE beside "
                "it or name the licence with --licence"
            )

    def names(self) -> list[str]:
        """The set's files, sorted; UserError when the set is missing or has none.

        Hidden files (and what macOS hides in a zip) are left out.
        """
        if _is_zip(self.path):
            with _archive(self.path) as archive:
                names = archive.namelist()
        elif _is_tar(self.path):
            with _tar(self.path) as tar:
                names = [member.name for member in tar if member.isfile()]
        elif self.path.is_file():
            names = [self.path.name]
        elif self.path.is_dir():
            files = (p for p in self.path.rglob("*") if p.is_file())
            names = [p.relative_to(self.path).as_posix() for p in files]
        else:
            raise UserError(f"the training set {shown(self.path)} does not exist")
        found = sorted(name for name in names if self._wanted(name))
        if not found:
            raise UserError(f"the training set {shown(self.path)} holds no {self.kind}")
        return found

    def read(self, name: str) -> bytes:
        """The bytes of one file of the set; UserError when it cannot be read.

        A tar is read from its beginning for each: use `files` for many.
        """
        if _is_tar(self.path):
            with _tar(self.path) as tar:
                try:
                    stream = tar.extractfile(name)
                except KeyError:
                    stream = None
                if stream is None:
                    raise UserError(f"{shown(self.path.name)} holds no file {shown(name)}")
                return stream.read(_LARGEST)
        if _is_zip(self.path):
            with _archive(self.path) as archive:
                return _unpacked(self.path, archive, name)
        path = self.path if self.path.is_file() else self.path / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise refusal("read", path, error) from error

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Each of the set's files, in the order in which they lie there."""
        if _is_tar(self.path):
            with _tar(self.path) as tar:
                for member in tar:
                    if member.isfile() and self._wanted(member.name):
                        stream = tar.extractfile(member)
                        assert stream is not None
                        yield member.name, stream.read(_LARGEST)
        elif _is_zip(self.path):
            with _archive(self.path) as archive:  # once: its table of contents may be long
                for name in self.names():
                    yield name, _unpacked(self.path, archive, name)
        else:
            for name in self.names():
                yield name, self.read(name)

    def pictures(self) -> Iterator[tuple[str, Image.Image]]:
        """Each picture, upright, as RGB, on white; UserError names one that cannot be read."""
        for name, data in self.files():
            yield name, self._decoded(name, data)

    def _wanted(self, name: str) -> bool:
        path = PurePosixPath(name)
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        return path.suffix.lower() in ENDINGS[self.kind] and not hidden and self.keep(name)

    def _decoded(self, name: str, data: bytes) -> Image.Image:
        try:
            picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
            if picture.mode.startswith("I"):  # Pillow would cut 16 bits off at white
                picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
            if picture.has_transparency_data:
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture.convert("RGBA"))
            return picture.convert("RGB")
        except Exception as error:  # decoders raise anything on broken files
            where = "" if name == self.path.name else f" in {shown(self.path.name)}"
            # what Pillow says of bytes that are no picture names a place in memory
            why = "" if isinstance(error, UnidentifiedImageError) else f" ({one_line(error)})"
            raise UserError(
                f"{shown(name)}{where} is not a readable picture{why}: mend it or take it out"
            ) from error

    def card(self) -> dict[str, object]:
        """What a bundle's card says of this set."""
        return {
            "name": self.path.stem,
            "title": self.title or self.path.stem,
            "licence": self.licence,
            "source": self.origin,
            "items": len(self.names()),
            "note": self.note,
        }


def open_source(
    path: Path,
    licence: str | None = None,
    *,
    title: str = "",
    origin: str = "",
    note: str = "",
    kind: str = "picture",
    keep: Callable[[str], bool] | None = None,
) -> Source:
    """A set at `path`; its licence is `licence` or a licence file in or beside it.

    Raises UserError for a set without a licence: nothing is trained on it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"the training set {shown(path)} does not exist")
    licence = one_line(licence or "") or _licence_line(_licence_file(path))
    if keep is None:
        return Source(path, licence, title, origin, note, kind)
    return Source(path, licence, title, origin, note, kind, keep)


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def _is_tar(path: Path) -> bool:
    return path.suffix.lower() in (".tar", ".xz", ".gz", ".tgz", ".bz2") and path.is_file()


@contextlib.contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    """The tar, opened; UserError when it is damaged. Nothing of it is unpacked to the disk."""
    try:
        with tarfile.open(path) as tar:
            yield tar
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(
            f"{shown(path.name)} is not a readable tar ({one_line(error)}): fetch it again"
        ) from error


def _archive(path: Path) -> zipfile.ZipFile:
    """The zip, opened; UserError when it is damaged or names a place outside itself.

    Nothing is ever unpacked to the disk, but such a zip was made to harm.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(
            f"{shown(path.name)} is not a readable zip ({one_line(error)}): pack it again"
        ) from error
    for name in archive.namelist():
        parts = name.replace("\\", "/").split("/")
        if parts[0] == "" or ":" in parts[0] or ".." in parts:
            archive.close()
            raise UserError(
                f"{shown(path.name)} holds the unsafe path {shown(name)[:80]}: it is not used"
            )
    return archive


def _unpacked(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        if archive.getinfo(name).file_size > _LARGEST:
            raise ValueError("it is too large")
        return archive.read(name)
    except Exception as error:  # a wrong checksum, a password, a method that is not known, ...
        raise UserError(
            f"{shown(name)} in {shown(path.name)} cannot be unpacked ({one_line(error)}): "
            "pack it again"
        ) from error


def _licences(names: Iterable[str]) -> list[str]:
    """Those of the names that are licence files, the most telling first."""
    paths = [PurePosixPath(name) for name in sorted(names)]
    kinds = [p for p in paths if p.suffix.lower() in ("", ".md", ".txt")]
    found = [p for p in kinds if p.stem.lower() in _LICENCE_FILES]
    return [str(p) for p in sorted(found, key=lambda p: _LICENCE_FILES.index(p.stem.lower()))]


def _licence_file(path: Path) -> str:
    """The text of a licence file in or beside the set; empty when there is none."""
    folder = path if path.is_dir() else path.parent
    beside = {file.name: file for file in folder.iterdir() if file.is_file()}
    for name in _licences(beside):
        return beside[name].read_text(errors="replace")
    if _is_zip(path):
        with _archive(path) as archive:
            for name in _licences(archive.namelist()):
                return _unpacked(path, archive, name).decode(errors="replace")
    return ""


def _licence_line(text: str) -> str:
    """The line that begins with the licence, or else speaks of it, or else the first."""
    lines = [one_line(line.strip(" -*#\t")) for line in text.splitlines()]
    lines = [line for line in lines if line]
    begins = [line for line in lines if re.match("licen[cs]e", line, re.IGNORECASE)]
    speaks = [line for line in lines if re.search("licen[cs]ed under", line, re.IGNORECASE)]
    return (begins or speaks or lines or [""])[0]


def fit(picture: Image.Image, short_side: int) -> Image.Image:
    """The picture scaled so that its short side has `short_side` pixels (Lanczos)."""
    scale = short_side / min(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def crop(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random `size` x `size` crop, mirrored half of the time; mirrored outwards if too small."""
    height, width = picture.shape[:2]
    if height < size or width < size:
        pad = ((0, max(0, size - height)), (0, max(0, size - width)), (0, 0))
        picture = np.pad(picture, pad, mode="symmetric")
        height, width = picture.shape[:2]
    top = int(rng.integers(height - size + 1))
    left = int(rng.integers(width - size + 1))
    out = picture[top : top + size, left : left + size]
    return out[:, ::-1] if rng.random() < 0.5 else out


def cache_folder() -> Path:
    """Where what can be computed again is kept (TRIPTYCH_CACHE, or the system's place for it)."""
    from platformdirs import user_cache_dir

    folder = Path(os.environ.get("TRIPTYCH_CACHE", user_cache_dir("triptych")))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal("write", folder, error) from error
    return folder
