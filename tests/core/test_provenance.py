"""The record of how a file was made: written, read, kept safe from what it quotes, and signed."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych import provenance
from triptych.errors import UserError
from triptych.image.picture import Picture, load, save
from triptych.provenance import EDITED, SYNTHESISED, Provenance

ENDINGS = [".png", ".jpg", ".webp", ".tif"]
RECORD = Provenance(
    task="style",
    bundles=[{"name": "painters", "version": "1.2.0", "sha256": "ab" * 32}],
    parameters={"style": "wheat", "strength": 0.5, "mix": [["a", 0.3]], "tile": None, "keep": True},
    seed=7,
    inputs=["photo.jpg"],
)
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def a_picture(depth: Any = 8, channels: int = 3) -> Picture:
    values = np.random.default_rng(0).random((6, 7, 3)).astype(np.float32)
    alpha = values[..., 0] if channels in {2, 4} else None
    grey = channels < 3
    pixels = values[..., :1].repeat(3, axis=2) if grey else values
    return Picture(pixels, alpha, grey=grey, depth=depth)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_record_travels_in_every_format(
    tmp_path: Path, ending: str, depth: int, channels: int
) -> None:
    path = tmp_path / f"a{ending}"
    save(a_picture(depth, channels), path, RECORD)
    assert provenance.read(path) == RECORD
    assert load(path).xmp is not None


@pytest.mark.parametrize("ending", ENDINGS)
def test_any_reader_of_iptc_metadata_finds_the_source_type(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    save(a_picture(), path, Provenance("synthesis", digital_source_type=SYNTHESISED))
    packet = Image.open(path).info["xmp"]
    root = ElementTree.fromstring(packet.strip(b"\0 "))
    assert [e.text for e in root.iter(IPTC)] == [SYNTHESISED]
    assert b"Iptc4xmpExt:DigitalSourceType" in packet
    tool = next(root.iter("{http://ns.adobe.com/xap/1.0/}CreatorTool"))
    assert (tool.text or "").startswith("Triptych ")


def test_it_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    save(a_picture(), path)
    assert provenance.read(path) is None
    monkeypatch.setenv("TRIPTYCH_PROVENANCE", "Off")
    assert not provenance.enabled()
    save(a_picture(), path, RECORD)
    assert provenance.read(path) is None
    assert b"Triptych" not in path.read_bytes()


# Code points of every kind, lone surrogates (undecodable file names) among them.
hostile = st.text(st.characters(exclude_categories=[]), max_size=60)


@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(hostile, hostile, hostile, st.sampled_from(ENDINGS))
def test_hostile_names_stay_what_they_are(
    tmp_path: Path, name: str, key: str, text: str, ending: str
) -> None:
    record = Provenance(text, [{"name": name}], {key: text}, inputs=[name], generator=text)
    path = tmp_path / f"a{ending}"
    path.unlink(missing_ok=True)
    save(a_picture(), path, record)
    assert provenance.read(path) == record
    assert all(line.isprintable() for line in provenance.describe(path).split("\n"))


@pytest.mark.parametrize(
    "name",
    ["]]>", "<x:xmpmeta>", "&amp;", '"},"task":"x', "-->", "\0", "<?xpacket end?>", "\ud800"],
)
def test_names_that_try_to_leave_their_place(name: str) -> None:
    record = Provenance("style", parameters={name: name}, inputs=[name])
    packet = record.to_xmp()
    assert provenance.from_xmp(packet) == record
    assert packet.decode("utf-8").count("<?xpacket") == 2


def test_folders_are_nobodys_business() -> None:
    record = Provenance("style", inputs=["/home/ada/secret/a.png", "C:\\Users\\Ada\\b.png"])
    assert record.inputs == ["a.png", "b.png"]


def test_what_is_not_json_becomes_text_and_what_is_long_becomes_short(tmp_path: Path) -> None:
    values = {
        "path": Path("a"),
        "nan": float("nan"),
        "number": np.float32(0.5),
        "text": "ж" * 100_000,
        "many": list(range(10_000)),
    }
    record = Provenance("style", parameters=values, inputs=["n" * 5000] * 5000)
    json.loads(record.to_json())
    assert len(record.to_xmp()) < 60_000
    save(a_picture(), tmp_path / "a.jpg", record)
    assert provenance.read(tmp_path / "a.jpg") == record
    assert record.parameters["number"] == "0.5"


FOREIGN = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:mine="http://example.org/mine/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" tiff:Orientation="6"
 mine:note="kept"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture">
<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li></rdf:Seq></dc:creator></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def test_metadata_of_the_source_is_kept(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.jpg", xmp=FOREIGN)
    picture = load(tmp_path / "a.jpg")
    for ending in ENDINGS:
        path = tmp_path / f"b{ending}"
        save(picture, path, RECORD)
        save(load(path), path, RECORD)  # and again: nothing piles up
        packet = Image.open(path).info["xmp"]
        assert b"Ada" in packet
        assert b'mine:note="kept"' in packet
        assert b"Orientation" not in packet
        assert packet.count(b"DigitalSourceType>") == 2
        assert packet.count(b"digitalCapture") == 0
        assert packet.count(b"triptych:Record>") == 2
        assert provenance.read(path) == RECORD


def test_without_a_record_the_source_keeps_its_own(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.jpg", xmp=FOREIGN)
    save(load(tmp_path / "a.jpg"), tmp_path / "b.png")
    packet = Image.open(tmp_path / "b.png").info["xmp"]
    assert b"digitalCapture" in packet
    assert b"Orientation" not in packet


def test_a_packet_too_long_for_jpeg_gives_way_to_the_record(tmp_path: Path) -> None:
    long = FOREIGN.replace(b"Ada", b"Ada" * 21000)
    Image.new("RGB", (4, 3)).save(tmp_path / "a.jpg", xmp=long)
    picture = load(tmp_path / "a.jpg")
    save(picture, tmp_path / "b.jpg", RECORD)
    assert provenance.read(tmp_path / "b.jpg") == RECORD
    save(picture, tmp_path / "b.png", RECORD)
    assert b"AdaAda" in Image.open(tmp_path / "b.png").info["xmp"]


BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">&b;</rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    "packet", [b"", b"rubbish", b"<x", BOMB, b"<a/>", "<a>é</a>".encode("utf-16")]
)
def test_packets_that_are_none(tmp_path: Path, packet: bytes) -> None:
    assert provenance.from_xmp(packet) is None
    assert provenance.clean_xmp(packet) is None
    assert provenance.from_xmp(RECORD.to_xmp(packet)) == RECORD


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_packets_raise_nothing(data: st.DataObject) -> None:
    packet = bytearray(RECORD.to_xmp(FOREIGN))
    for _ in range(data.draw(st.integers(0, 6))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    packet = packet[: data.draw(st.integers(0, len(packet)))]
    found = provenance.from_xmp(bytes(packet))
    assert found is None or isinstance(found, Provenance)
    assert provenance.from_xmp(RECORD.to_xmp(bytes(packet))) == RECORD


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "[]",
        "{}",
        '{"task":1}',
        '{"task":"a","bundles":{}}',
        '{"task":"a","bundles":[1]}',
        '{"task":"a","inputs":[1]}',
        '{"task":"a","seed":"x"}',
        '{"task":"a","parameters":[]}',
        "[" * 100_000,
    ],
)
def test_json_that_is_no_record(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        Provenance.from_json(text)


def test_a_record_of_a_later_version_is_read() -> None:
    assert Provenance.from_json('{"task":"style","later":[1]}').task == "style"


def test_files_without_a_record(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    (tmp_path / "empty").write_bytes(b"")
    for path in tmp_path.iterdir():
        assert provenance.read(path) is None
        assert "no record" in provenance.describe(path)
    for name in ("missing.png", ""):
        with pytest.raises(UserError, match="cannot read"):
            provenance.read(tmp_path / name)


def test_a_record_after_the_pixels_is_found(tmp_path: Path) -> None:
    save(a_picture(16), tmp_path / "a.png", RECORD)
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"iTXt") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    last = data.index(b"IEND") - 4
    moved = data[:start] + data[end:last] + data[start:end] + data[last:]
    (tmp_path / "b.png").write_bytes(moved)
    assert provenance.read(tmp_path / "b.png") == RECORD


def test_about(tmp_path: Path) -> None:
    save(a_picture(), tmp_path / "a.png", RECORD)
    text = provenance.describe(tmp_path / "a.png")
    for word in ("Triptych", "style", "painters 1.2.0", "strength", "0.5", "7", "photo.jpg"):
        assert word in text
    assert "edited with a trained model" in text


# Content Credentials


def certificate(folder: Path, kind: str) -> tuple[Path, Path]:
    """A chain of our own (signer, root) and the signer's key, as PEM files."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    now = datetime.datetime.now(datetime.UTC)
    root_key = ec.generate_private_key(ec.SECP256R1())
    key: Any = {
        "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
    }[kind]()

    def name(text: str) -> Any:
        organisation = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Test")
        return x509.Name([organisation, x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def signed(subject: str, public: Any, is_root: bool) -> bytes:
        builder = (
            x509.CertificateBuilder(name("Root"), name(subject), public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_root, None), True)
            .add_extension(
                x509.KeyUsage(
                    not is_root, False, False, False, False, is_root, False, False, False
                ),
                True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False
            )
        )
        if not is_root:
            usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(usage, False)
        made: bytes = builder.sign(root_key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM
        )
        return made

    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(
        signed("Signer", key.public_key(), False) + signed("Root", root_key.public_key(), True)
    )
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, secret


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("P-256", ".png"), ("P-384", ".jpg"), ("RSA", ".webp"), ("Ed25519", ".tif")],
)
def test_a_signature_that_c2pa_accepts(tmp_path: Path, kind: str, ending: str) -> None:
    c2pa = pytest.importorskip("c2pa")
    chain, key = certificate(tmp_path, kind)
    path = tmp_path / f"a{ending}"
    save(a_picture(), path, RECORD)
    before = load(path).pixels
    provenance.sign(path, chain, key)
    reader = c2pa.Reader(str(path))
    assert reader.get_validation_state() == "Valid"
    # Valid, by a root that only this test knows.
    failures = reader.get_validation_results()["activeManifest"]["failure"]
    assert [failure["code"] for failure in failures] == ["signingCredential.untrusted"]
    assertions = reader.get_active_manifest()["assertions"]
    actions = next(a["data"] for a in assertions if a["label"].startswith("c2pa.actions"))
    assert actions["actions"][0]["digitalSourceType"] == EDITED
    assert json.loads(actions["actions"][0]["parameters"]["triptych.record"])["seed"] == 7
    assert provenance.read(path) == RECORD
    assert np.array_equal(load(path).pixels, before)

    # One changed byte of the pixels breaks it.
    data = bytearray(path.read_bytes())
    data[data.index(b"VP8 ") + 40 if ending == ".webp" else -30] ^= 1
    path.write_bytes(data)
    assert c2pa.Reader(str(path)).get_validation_state() == "Invalid"


def test_signing_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    save(a_picture(), path, RECORD)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "c2pa", None)
        with pytest.raises(UserError, match=r"-m pip install .*\[c2pa\]'"):
            provenance.sign(path, "chain.pem", "key.pem")
    pytest.importorskip("c2pa")
    chain, key = certificate(tmp_path, "P-256")
    other = certificate_of_another(tmp_path)
    (tmp_path / "text").write_text("no key")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "a.txt").write_text("no picture")
    for arguments, words in (
        ((path, tmp_path / "missing", key), "no such file"),
        ((path, chain, tmp_path / "text"), "PKCS #8"),
        ((path, tmp_path / "bytes", key), "not a PEM file"),
        ((path, tmp_path / "text", key), "cannot sign"),
        ((path, chain, other), "cannot sign"),
        ((tmp_path / "a.txt", chain, key), "only PNG"),
        ((tmp_path / "missing.png", chain, key), "no such file"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            provenance.sign(*arguments)
        assert str(caught.value).isprintable()
    assert path.read_bytes() == before


def certificate_of_another(folder: Path) -> Path:
    (folder / "other").mkdir()
    return certificate(folder / "other", "P-256")[1]
