"""Model bundles: a folder with `card.json`, ONNX graphs and small files that belong to them.

The card is the only thing in which training and running meet. Opening a bundle checks the card's
form and that every path stays inside the folder; a graph or file is compared with its SHA-256
(and a graph with the metadata inside it) when it is first asked for, or all at once by `verify`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import lzma
import os
import re
import tokenize
import types
import typing
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.errors import UserError, did_you_mean, one_line, warn_once

if TYPE_CHECKING:
    from numpy.typing import NDArray  # what only looks at cards starts without numpy

SCHEMA = 1
SHIPPED = "onnx_exports"  # the folder of the bundles that ship
METADATA_KEY = "triptych"  # of the JSON in an ONNX file's metadata_props
_CARD_LIMIT = 16 << 20  # bytes; far above any honest card
_UNSAFE = re.compile(r'[\\:\x00-\x1f<>"|?*]')
# What damaged files raise, beside what is built in.
_DAMAGED = zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph; a free size in `shape` is a name; `range` is (low, high)."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Graph:
    """One ONNX file of a bundle: where it is, its SHA-256, and what goes in and out."""

    file: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int
    ir: int
    sha256: str = ""


@dataclass(frozen=True)
class Card:
    """What `card.json` says. Presets, data and metrics are free-form beside their known keys."""

    name: str
    version: str
    task: str
    title: str
    licence: str
    graphs: dict[str, Graph]
    schema: int = SCHEMA
    authors: list[str] = field(default_factory=list)
    notes: str = ""
    created: str = ""
    files: dict[str, str] = field(default_factory=dict)
    presets: list[dict[str, Any]] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    parity: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bundle:
    """A bundle on disk. `listed` is the name to ask for it by, `note` why that is not its own.

    A bundle that is broken has an `error` (one sentence) and no card.
    """

    path: Path
    listed: str
    error: str | None = None
    note: str = ""
    user: bool = False
    _card: Card | None = None
    _verified: set[str] = field(default_factory=set)

    @property
    def card(self) -> Card:
        """The card; raises UserError for a broken bundle."""
        if self._card is None:
            raise UserError(self.error or f"the bundle {self.listed} has no card.")
        return self._card

    def graph(self, name: str) -> Path:
        """The verified ONNX file of a graph."""
        if name not in self.card.graphs:
            known = did_you_mean(name, self.card.graphs)
            raise UserError(f"the bundle {self.listed} has no graph {name!r}{known}")
        graph = self.card.graphs[name]
        path = self.path / graph.file
        if graph.file not in self._verified:
            path = _inside(self.path, graph.file)
            _check_metadata(_read_verified(path, graph.sha256), self.card, name, path)
            self._verified.add(graph.file)
        return path

    def file(self, relative: str) -> Path:
        """The verified path of a file that the card lists (a thumbnail, a table of codes)."""
        if relative not in self.card.files:
            known = did_you_mean(relative, self.card.files)
            raise UserError(f"the bundle {self.listed} lists no file {relative!r}{known}")
        path = _inside(self.path, relative)
        if relative not in self._verified:
            _read_verified(path, self.card.files[relative])
            self._verified.add(relative)
        return path

    def arrays(self, relative: str, *needed: str) -> Mapping[str, NDArray[Any]]:
        """The arrays of an .npz file that the card lists, read-only and unpacked once a process.

        Raises UserError where one of those that are `needed` is not among them.
        """
        found = _arrays(self.file(relative), self.card.files[relative])
        lacking = [name for name in needed if name not in found]
        if lacking:
            raise UserError(
                f"the bundle {self.listed} has no {', '.join(lacking)} in {relative}: it was made "
                "for another version of Triptych."
            )
        return found

    def verify(self) -> None:
        """Compare every graph and file with the card; UserError at the first that differs."""
        self._verified.clear()
        for name in self.card.graphs:
            self.graph(name)
        for relative in self.card.files:
            self.file(relative)

    def preset(self, name: str) -> dict[str, Any]:
        """The preset with this name or title (in any case); UserError with the nearest name."""
        wanted = name.casefold()
        for key in ("name", "title"):
            for preset in self.card.presets:
                if preset[key].casefold() == wanted:
                    return preset
        known = did_you_mean(name, (preset["name"] for preset in self.card.presets))
        raise UserError(f"the bundle {self.listed} has no preset {name!r}{known}")

    @functools.cached_property
    def used(self) -> dict[str, str]:
        """What provenance says of this bundle; the hash is the card's, which covers the rest."""
        sha256 = _sha256((self.path / "card.json").read_bytes())
        return {"name": self.card.name, "version": self.card.version, "sha256": sha256}


def open_bundle(path: str | Path, verify: bool = True) -> Bundle:
    """Open the bundle in the folder `path`.

    Raises UserError, one sentence, when it is missing, corrupt, of another schema, or does not
    match its card. `verify=False` leaves the hashes to the first use of each file.
    """
    folder = Path(path).absolute()
    card = _read_card(folder)
    bundle = Bundle(folder, listed=card.name, _card=card)
    if verify:
        bundle.verify()
    return bundle


def find_bundles(task: str | None = None) -> list[Bundle]:
    """All bundles: those that ship, those in the folders of TRIPTYCH_BUNDLES, the user's.

    With `task`, the sound bundles of that task. Without, also the broken ones, each with its
    `error`. A name that is taken already is listed as `user/NAME`: nothing overrides silently.
    """
    found: dict[str, Bundle] = {}
    for folder, user in _bundle_folders():
        try:
            bundle = open_bundle(folder, verify=False)
        except UserError as error:
            bundle = Bundle(folder, listed=folder.name, error=str(error))
        bundle.user = user
        name, number = bundle.listed, 1
        while bundle.listed in found:
            bundle.listed = f"user/{name}" if number == 1 else f"user/{name}-{number}"
            bundle.note = f"a bundle named {name} was there before: use this one as {bundle.listed}"
            number += 1
        found[bundle.listed] = bundle
    return [b for b in found.values() if task is None or (not b.error and b.card.task == task)]


def get_bundle(name: str, task: str | None = None) -> Bundle:
    """The bundle listed as `name`; UserError with the nearest name, or with what is wrong."""
    bundles = {bundle.listed: bundle for bundle in find_bundles()}
    bundle = bundles.get(name)
    if bundle is None or (task and not bundle.error and bundle.card.task != task):
        known = [key for key, b in bundles.items() if b.error or task in (None, b.card.task)]
        kind = f"{task} bundle" if task else "bundle"
        raise UserError(f"there is no {kind} named {name!r}{did_you_mean(name, known)}")
    if bundle.error:
        raise UserError(bundle.error)
    if f"user/{name}" in bundles:
        warn_once(f"{name} is the bundle that was there first; yours is user/{name}")
    return bundle


def user_data() -> Path:
    """The folder for what the user adds: TRIPTYCH_USER_DATA, or the system's place for it."""
    named = os.environ.get("TRIPTYCH_USER_DATA")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_data_dir("triptych", appauthor=False))


def shipped_folder() -> Path:
    """Where the bundles that ship are: inside the installed package, or in the checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / SHIPPED
    return packaged if packaged.is_dir() else here.parents[1] / SHIPPED


def write_card(folder: str | Path, card: Card) -> Card:
    """Write `card` as `folder/card.json` and return it with the hashes of what is there.

    Every file in the folder that is neither a graph nor hidden is listed in `files`. The card is
    checked as on opening and written aside, so that a bundle is never left with half a card.
    """
    folder = Path(folder)
    graphs = {
        name: dataclasses.replace(graph, sha256=_sha256(_inside(folder, graph.file).read_bytes()))
        for name, graph in card.graphs.items()
    }
    own = {"card.json", *(graph.file for graph in graphs.values())}
    others = (path for path in sorted(folder.rglob("[!.]*")) if path.is_file())
    files = {
        relative: _sha256(path.read_bytes())
        for path in others
        if (relative := path.relative_to(folder).as_posix()) not in own
    }
    card = dataclasses.replace(card, graphs=graphs, files=files)
    text = json.dumps(dataclasses.asdict(card), indent=1, ensure_ascii=False, allow_nan=False)
    _parse_card(text, folder)
    aside = folder / ".card.json.new"
    with aside.open("w", encoding="utf-8") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    aside.replace(folder / "card.json")
    return card


def graph_metadata(card: Card, graph: str) -> str:
    """What the ONNX file of `graph` carries under METADATA_KEY: JSON that repeats the card."""
    return json.dumps({**_identity(card, graph), "title": card.title, "licence": card.licence})


def _identity(card: Card, graph: str) -> dict[str, Any]:
    return {
        "schema": card.schema,
        "name": card.name,
        "version": card.version,
        "task": card.task,
        "graph": graph,
    }


def _bundle_folders() -> Iterator[tuple[Path, bool]]:
    """Every folder with a card, and whether it is the user's; those that ship come first."""
    named = os.environ.get("TRIPTYCH_BUNDLES", "").split(os.pathsep)
    roots = [(shipped_folder(), False), *((Path(root), True) for root in named if root)]
    for root, user in [*roots, (user_data() / "bundles", True)]:
        try:
            folders = sorted(folder for folder in root.iterdir() if (folder / "card.json").exists())
        except OSError:
            continue  # a folder that is not there holds no bundles
        yield from ((folder, user) for folder in folders)


def _read_card(folder: Path) -> Card:
    path = folder / "card.json"
    try:
        if not path.is_file():
            raise UserError(f"there is no bundle in {folder}: it has no card.json.")
        if path.stat().st_size > _CARD_LIMIT:
            raise UserError(f"{path} is too large to be a card: install the bundle again.")
        text = path.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}).") from error
    card = _parse_card(text, folder.name)
    for relative in [*(graph.file for graph in card.graphs.values()), *card.files]:
        _check_inside(folder, relative)
    return card


@functools.lru_cache(maxsize=64)  # every run of a task looks through all bundles: only read it
def _parse_card(text: str, name: str) -> Card:
    """The card in `text` of the bundle `name`, every field of the right type."""

    def not_json(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    wrong = f"the card of the bundle {name} is not valid"
    try:
        raw = json.loads(text, parse_constant=not_json)
        text.encode()
        json.dumps(raw, ensure_ascii=False).encode()  # refuses lone surrogates, which cannot print
    except (ValueError, RecursionError) as error:
        raise UserError(f"{wrong} JSON ({one_line(error)}): install it again.") from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if type(schema) is int and schema != SCHEMA:
        raise UserError(
            f"the bundle {name} has the card schema {schema} and this Triptych reads "
            f"{SCHEMA}: {'update Triptych' if schema > SCHEMA else 'export the bundle again'}."
        )
    try:
        card: Card = _typed(raw, Card, "the card")
        if schema is None:
            raise ValueError("'schema' is missing")
        for label, value, form in (("name", card.name, _NAME), ("version", card.version, _VERSION)):
            if not form.fullmatch(value):
                raise ValueError(f"{label} {value[:80]!r} is not of the form {form.pattern}")
        for position, preset in enumerate(card.presets):
            for key in ("name", "title"):
                _typed(preset.get(key), str, f"presets[{position}].{key}")
            if preset.get("thumbnail") and preset["thumbnail"] not in card.files:
                raise ValueError(f"presets[{position}].thumbnail is not among the files")
    except (ValueError, OverflowError) as error:
        raise UserError(f"{wrong}: {one_line(error)}.") from error
    return card


def _typed(value: Any, kind: Any, where: str) -> Any:
    """`value` (from JSON) as the type `kind`; ValueError that says where it does not fit."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        fields = _typed(value, dict[str, Any], where)
        hints = typing.get_type_hints(kind)
        kwargs = {
            f.name: _typed(fields[f.name], hints[f.name], f"{where}.{f.name}")
            for f in dataclasses.fields(kind)
            if f.name in fields
        }
        for f in dataclasses.fields(kind):
            no_default = f.default is f.default_factory is dataclasses.MISSING
            if f.name not in kwargs and no_default:
                raise ValueError(f"{where} lacks {f.name!r}")
        return kind(**kwargs)  # type: ignore[operator]
    if origin in (types.UnionType, typing.Union):  # Python 3.14 made them one
        for choice in arguments:
            try:
                return _typed(value, choice, where)
            except ValueError:
                continue
    elif origin is dict and isinstance(value, dict):
        return {key: _typed(v, arguments[1], f"{where}[{key!r}]") for key, v in value.items()}
    elif origin in (list, tuple) and isinstance(value, list):
        if origin is list or arguments[-1] is Ellipsis:
            return origin(_typed(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value))
        if len(value) == len(arguments):
            return tuple(_typed(v, a, where) for v, a in zip(value, arguments, strict=True))
    elif kind is float and type(value) in (int, float):
        return float(value)
    elif type(value) is kind or (kind is types.NoneType and value is None):
        return value
    raise ValueError(f"{where} must be {getattr(kind, '__name__', kind)}, not {value!r:.60}")


def _inside(folder: Path, relative: str) -> Path:
    """`folder / relative`, refused when it is absolute, climbs out, or is a link to elsewhere."""
    _check_inside(folder, relative)
    return folder / relative


def _check_inside(folder: Path, relative: str) -> None:
    # Every run looks at all files of all bundles, hence strings: a Path for each takes long.
    parts = relative.split("/")
    if not all(parts) or {".", ".."} & set(parts) or _UNSAFE.search(relative):
        raise UserError(f"the bundle {folder.name} names the unsafe path {relative[:80]!r}.")
    steps = (f"{folder}/{'/'.join(parts[: count + 1])}" for count in range(len(parts)))
    if not any(map(os.path.islink, steps)):
        return
    try:
        leaves = not (folder / relative).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise UserError(f"{relative[:80]!r} in {folder.name} cannot be followed.") from error
    if leaves:
        raise UserError(f"the bundle {folder.name} has a link that leaves it: {relative[:80]!r}.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_verified(path: Path, sha256: str) -> bytes:
    try:
        if not path.is_file():
            raise UserError(f"the file {path} of a bundle is missing: install the bundle again.")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"the file {path} cannot be read ({one_line(error)}).") from error
    if _sha256(data) != sha256:
        raise UserError(f"{path} is damaged or does not belong to its card: install it again.")
    return data


@functools.lru_cache(maxsize=8)
def _arrays(path: Path, sha256: str) -> Mapping[str, NDArray[Any]]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
    except (OSError, EOFError, ValueError, RuntimeError, TypeError, *_DAMAGED) as error:
        raise UserError(f"{path} holds no arrays ({one_line(error)}): export it again.") from error
    for values in found.values():
        values.flags.writeable = False
    return types.MappingProxyType(found)


def _check_metadata(model: bytes, card: Card, graph: str, path: Path) -> None:
    """Raise UserError unless the ONNX file says of itself what the card says of it."""
    try:
        inside = json.loads(_metadata_props(model)[METADATA_KEY])
        same = {key: inside.get(key) for key in _identity(card, graph)} == _identity(card, graph)
    except (ValueError, KeyError, AttributeError, RecursionError):
        same = False
    if not same:
        raise UserError(f"{path} says inside that it is not {card.name} {card.version}.")


def _metadata_props(model: bytes) -> dict[str, str]:
    """`metadata_props` of a serialised ModelProto, without the onnx package or a session.

    Only protobuf's outer layer is read: field 14 holds the entries, each a key (1) and value (2).
    """
    entries = (dict(_fields(entry)) for number, entry in _fields(model) if number == 14)
    return {entry[1].decode(): entry.get(2, b"").decode() for entry in entries}


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message, in order; ValueError when malformed."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("not an ONNX file")
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or (varint() if kind == 2 else len(data) + 1)
        if size > len(data) - at:
            raise ValueError("not an ONNX file")
        if kind == 2:
            yield tag >> 3, data[at : at + size]
        at += size
