"""What made this file: a record that leaves with everything made, and a signature over it.

In a picture the record is XMP (ISO 16684-1): `Iptc4xmpExt:DigitalSourceType` tells any reader of
IPTC photo metadata that a model had a part in it, `xmp:CreatorTool` names Triptych, and
`triptych:Record` holds the rest as JSON. A MIDI file says the same in text events, a GLB file in
its `asset.extras`. The environment variable TRIPTYCH_PROVENANCE=off switches it off. `sign` adds
Content Credentials (C2PA) to a picture with the user's own certificate.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from triptych import __version__
from triptych.errors import UserError, one_line
from triptych.files import refusal, shown, write_whole

# https://cv.iptc.org/newscodes/digitalsourcetype/
GENERATOR = f"Triptych {__version__}"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
EDITED = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
SYNTHESISED = SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSED = SOURCE_TYPES + "composite"

_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "triptych": "urn:triptych:provenance:1/",  # Exiv2 wants the slash
}
_RDF = f"{{{_NAMESPACES['rdf']}}}"
_SOURCE_TYPE = f"{{{_NAMESPACES['Iptc4xmpExt']}}}DigitalSourceType"
_CREATOR_TOOL = f"{{{_NAMESPACES['xmp']}}}CreatorTool"
_ORIENTATION = f"{{{_NAMESPACES['tiff']}}}Orientation"
_RECORD = f"{{{_NAMESPACES['triptych']}}}Record"

# A record must fit beside other metadata in one 64 KB segment of a JPEG file.
_LONGEST_TEXT = 500
_MOST_ITEMS = 24


def enabled() -> bool:
    """Whether records are written: TRIPTYCH_PROVENANCE is not off, no, false or 0."""
    return os.environ.get("TRIPTYCH_PROVENANCE", "").lower() not in {"off", "no", "false", "0"}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Provenance:
    """What made a file.

    `bundles` holds {"name", "version", "sha256"} for each model, `parameters` plain JSON values,
    `inputs` file names (their folders are dropped: they are nobody's business), `created` an
    ISO 8601 time. `digital_source_type` is EDITED for a changed picture, SYNTHESISED for one that
    was made from nothing, COMPOSED for a sheet of pictures that were there before. Long
    texts and lists are shortened.
    """

    task: str
    bundles: Sequence[Mapping[str, Any]] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    inputs: Sequence[str] = ()
    digital_source_type: str = EDITED
    generator: str = GENERATOR
    created: str = field(default_factory=_now)

    def __post_init__(self) -> None:
        for name in ("task", "digital_source_type", "generator", "created"):
            object.__setattr__(self, name, str(getattr(self, name)))
        object.__setattr__(self, "bundles", _plain(list(self.bundles)))
        object.__setattr__(self, "parameters", _plain(dict(self.parameters)))
        names = [re.split(r"[\\/]", os.fspath(name))[-1] for name in self.inputs]
        object.__setattr__(self, "inputs", _plain(names))

    def to_json(self) -> str:
        """The record as ASCII JSON: hostile names in it are escaped."""
        return json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def of_run(
        cls,
        task: str,
        values: Mapping[str, Any],
        used: Sequence[Mapping[str, Any]],
        source: str | None,
    ) -> Provenance:
        """The record of a task's run with these `values` and bundles (`Result.used`).

        `source` names the picture that it changed, "" if that has no name, None if there was none.
        """
        return cls(
            task=task,
            bundles=used,
            parameters={k: _named(v) for k, v in values.items() if v is not None and k != "seed"},
            seed=values.get("seed"),
            inputs=[source] if source else [],
            digital_source_type=SYNTHESISED if source is None else EDITED,
        )

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """The reverse of `to_json`; unknown keys are dropped.

        Raises:
            ValueError: not such a record.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or not isinstance(values.get("task"), str):
            raise ValueError("not a record of provenance")
        kinds: dict[str, Any] = {
            "bundles": list,
            "parameters": dict,
            "inputs": list,
            "seed": (int, type(None)),
        }
        for name, kind in kinds.items():
            if name in values and not isinstance(values[name], kind):
                raise ValueError(f"{name} is of the wrong kind")
        if not all(isinstance(bundle, dict) for bundle in values.get("bundles", [])):
            raise ValueError("bundles are of the wrong kind")
        if not all(isinstance(name, str) for name in values.get("inputs", [])):
            raise ValueError("inputs are of the wrong kind")
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})

    def to_xmp(self, existing: bytes | None = None) -> bytes:
        """An XMP packet with this record, added to `existing` where that packet can be read."""
        return _packet(existing, self)


def _named(value: Any) -> Any:
    """A parameter's value for the record: of a file its name alone, else what it is."""
    if isinstance(value, (list, tuple)):
        return [_named(item) for item in value]
    if isinstance(value, os.PathLike):
        return Path(value).name
    if hasattr(value, "tracks"):
        return "a score"
    if hasattr(value, "faces"):
        return "a mesh"
    return "a picture" if hasattr(value, "shape") else value


def _plain(value: Any) -> Any:
    """`value` as short, plain JSON data; what is not JSON (paths, arrays) becomes text."""
    if isinstance(value, Mapping):
        items = list(value.items())[:_MOST_ITEMS]
        return {str(_plain(str(key))): _plain(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value[:_MOST_ITEMS]]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    text = value if isinstance(value, str) else one_line(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def clean_xmp(existing: bytes | None) -> bytes | None:
    """A source picture's packet for a picture that is already turned upright, or None."""
    return _packet(existing, None) if _parse(existing) is not None else None


def _parse(packet: bytes | None) -> ElementTree.Element | None:
    """The x:xmpmeta (or rdf:RDF) element of an XMP packet, None where there is none to be had."""
    # No XMP has a document type; one could only be there to blow up the parser.
    if not packet or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return None
    try:
        source = io.BytesIO(packet.strip(b"\0 \n\r\t"))
        for _, (prefix, uri) in ElementTree.iterparse(source, events=["start-ns"]):
            # Keeps the packet's own prefixes; reserved ones (ns0) are refused and renamed.
            if prefix and not re.fullmatch(r"ns\d+|xml", prefix) and uri not in _NAMESPACES:
                ElementTree.register_namespace(prefix, uri)
        root = ElementTree.fromstring(packet.strip(b"\0 \n\r\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    return root if root.find(f".//{_RDF}RDF") is not None or root.tag == f"{_RDF}RDF" else None


def _packet(existing: bytes | None, record: Provenance | None) -> bytes:
    root = _parse(existing)
    for prefix, uri in _NAMESPACES.items():
        ElementTree.register_namespace(prefix, uri)
    if root is None:
        root = ElementTree.Element(f"{{{_NAMESPACES['x']}}}xmpmeta")
        ElementTree.SubElement(root, f"{_RDF}RDF")
    rdf = root if root.tag == f"{_RDF}RDF" else root.find(f".//{_RDF}RDF")
    assert rdf is not None
    stale = [_ORIENTATION] + ([_SOURCE_TYPE, _CREATOR_TOOL, _RECORD] if record else [])
    for description in rdf.findall(f"{_RDF}Description"):
        for name in stale:
            description.attrib.pop(name, None)
            for element in description.findall(name):
                description.remove(element)
    if record:
        description = ElementTree.SubElement(rdf, f"{_RDF}Description", {f"{_RDF}about": ""})
        for name, text in (
            (_SOURCE_TYPE, record.digital_source_type),
            (_CREATOR_TOOL, record.generator),
            (_RECORD, record.to_json()),
        ):
            # Characters that XML cannot hold; the JSON has none.
            ElementTree.SubElement(description, name).text = re.sub(
                "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text
            )
    body: bytes = ElementTree.tostring(root, encoding="utf-8")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
        + body
        + b'\n<?xpacket end="w"?>'
    )


def from_xmp(packet: bytes | None) -> Provenance | None:
    """The record in an XMP packet, None where there is none that can be read."""
    root = _parse(packet)
    if root is None:
        return None
    for element in root.iter():
        text = element.text if element.tag == _RECORD else element.attrib.get(_RECORD)
        if text:
            try:
                return Provenance.from_json(text)
            except (ValueError, TypeError, RecursionError):
                return None
    return None


def read(path: str | os.PathLike[str]) -> Provenance | None:
    """The record that a picture, a MIDI file or a GLB file carries, or None.

    Raises:
        UserError: the file cannot be opened. (A file of another kind just has no record.)
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(12)
            file.seek(0)
            if head.startswith(b"MThd") or head.endswith(b"RMID"):
                from triptych.music import midi

                return midi.record(file.read(midi.MOST_BYTES))
            if head.startswith(b"glTF"):
                return _from_glb(file)
            return from_xmp(_xmp_of(file))
    except OSError as error:
        raise refusal("read", path, error) from None


def _from_glb(file: Any) -> Provenance | None:
    from triptych.shape import glb

    try:
        return Provenance.from_json(json.dumps(glb.extras(file).get(glb.RECORD)))
    except (ValueError, TypeError, RecursionError):
        return None


def _xmp_of(file: Any) -> bytes | None:
    from PIL import Image, TiffImagePlugin

    try:
        start = file.read(8)
        if start[:4] in {b"II*\0", b"MM\0*"}:
            # The directory alone: it can be read even where Pillow cannot read the pixels.
            tags = TiffImagePlugin.ImageFileDirectory_v2(start)
            file.seek(tags.next)
            with warnings.catch_warnings(action="ignore"):
                tags.load(file)
            return bytes(tags[700])
        file.seek(0)
        with Image.open(file, formats=("PNG", "JPEG", "WEBP")) as image:
            packet = image.info.get("xmp")
            if packet is None and image.format == "PNG":
                image.load()  # some programs write it after the pixels
                packet = image.info.get("xmp")
    except Exception:  # Pillow's decoders raise anything on bytes that were never a picture
        return None
    return packet.encode() if isinstance(packet, str) else packet


def describe(path: str | os.PathLike[str]) -> str:
    """What `triptych about` prints for a file: lines of text, safe for a terminal.

    Raises:
        UserError: the file cannot be opened.
    """
    record = read(path)
    if record is None:
        return f"{shown(path)}: no record of how it was made."
    how = {
        EDITED: "edited with a trained model",
        SYNTHESISED: "made by a trained model",
        COMPOSED: "composed of other pictures",
    }
    lines = [
        ("made by", record.generator),
        ("created", record.created),
        ("task", record.task),
        ("kind", how.get(record.digital_source_type, record.digital_source_type)),
        *(("from", name) for name in record.inputs),
        *(
            ("model", f"{b.get('name')} {b.get('version')} (sha256 {b.get('sha256')})")
            for b in record.bundles
        ),
        *((f"  {name}", json.dumps(value)) for name, value in record.parameters.items()),
        *([("seed", str(record.seed))] if record.seed is not None else []),
    ]
    return "\n".join([shown(path), *(f"  {shown(key):<12} {shown(text)}" for key, text in lines)])


# The object identifiers of the keys that C2PA allows, as they stand in a PKCS #8 file.
_ALGORITHMS = {
    "2a8648ce3d030107": "es256",
    "2b81040022": "es384",
    "2b81040023": "es512",
    "2a864886f70d010101": "ps256",
    "2a864886f70d01010a": "ps256",
    "06032b6570": "ed25519",
}


def sign(
    path: str | os.PathLike[str],
    certificate: str | os.PathLike[str],
    key: str | os.PathLike[str],
    timestamp_url: str | None = None,
) -> None:
    """Sign a picture in place with Content Credentials (C2PA 2), by the user's own certificate.

    `certificate` is a PEM file with the chain, the signer's own first; `key` an unencrypted
    PKCS #8 PEM file of its private key (EC P-256/384/521, RSA or Ed25519). The claim holds the
    record that the file carries. Nothing is sent anywhere unless `timestamp_url` names an RFC 3161
    service.

    Raises:
        UserError: c2pa-python is missing, the file or the key cannot be read or does not fit.
    """
    try:
        import c2pa
    except ImportError:
        from triptych.doctor import pip_self

        raise UserError(
            f"signing needs c2pa-python; install it with: {pip_self('[c2pa]')}"
        ) from None
    parts = []
    for name in (certificate, key):
        try:
            parts.append(Path(name).read_text("ascii"))
        except OSError as error:
            raise refusal("read", name, error) from None
        except ValueError:
            raise UserError(f"{shown(name)} is not a PEM file.") from None
    record = read(path)
    source_type = record.digital_source_type if record else EDITED
    action = {
        "action": "c2pa.created",
        "digitalSourceType": source_type,
        "softwareAgent": {"name": record.generator if record else GENERATOR},
    }
    if record:
        action["parameters"] = {"triptych.record": record.to_json()}
    manifest = {
        "claim_generator_info": [{"name": GENERATOR}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    kinds = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
    kinds |= {".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff"}
    kind = kinds.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"cannot sign {shown(path)}: only PNG, JPEG, WebP and TIFF can be signed.")
    signed = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo(
            _algorithm(parts[1], key),
            parts[0].encode(),
            parts[1].encode(),
            timestamp_url.encode() if timestamp_url else None,
        )
        source = io.BytesIO(Path(path).read_bytes())
        c2pa.Builder(json.dumps(manifest)).sign(c2pa.Signer.from_info(info), kind, source, signed)
    except c2pa.C2paError as error:
        raise UserError(f"cannot sign {shown(path)}: {one_line(error)}") from None
    write_whole(path, signed.getbuffer())


def _algorithm(pem: str, key: str | os.PathLike[str]) -> str:
    found = re.search(r"-----BEGIN PRIVATE KEY-----(.*?)-----END", pem, re.DOTALL)
    try:
        der = base64.b64decode(found[1]).hex() if found else ""
    except ValueError:
        der = ""
    for identifier, name in _ALGORITHMS.items():
        if identifier in der[:80]:
            return name
    raise UserError(
        f"{shown(key)} is not an unencrypted PKCS #8 key of a kind that C2PA allows; "
        "convert it with: openssl pkcs8 -topk8 -nocrypt"
    )
