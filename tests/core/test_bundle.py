import copy
import hashlib
import io
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.bundle import (
    SCHEMA,
    Bundle,
    find_bundles,
    get_bundle,
    open_bundle,
    shipped_folder,
    write_card,
)
from triptych.engine import Engine
from triptych.errors import UserError

Make = Callable[..., Path]


def read(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text("utf-8"))
    return card


def change(folder: Path, **changes: Any) -> None:
    """Change keys of the card on disk, as a clumsy or hostile hand would; ... removes one."""
    card = {key: v for key, v in {**read(folder), **changes}.items() if v is not ...}
    (folder / "card.json").write_text(json.dumps(card), "utf-8")


def refusal(path: Path) -> str:
    """The one sentence with which opening `path` is refused."""
    with pytest.raises(UserError) as error:
        open_bundle(path)
    sentence = str(error.value)
    assert sentence and "\n" not in sentence and len(sentence) < 1000
    return sentence


@pytest.fixture
def sound(tmp_path: Path, make_bundle: Make) -> Path:
    return make_bundle(tmp_path / "sound")


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, make_bundle: Make) -> Path:
    """A bundle for the tests that spoil it again and again (each writes what it needs anew)."""
    return make_bundle(tmp_path_factory.mktemp("hostile") / "victim")


def test_a_bundle_opens_and_its_graph_runs(sound: Path) -> None:
    bundle = open_bundle(sound)
    assert (bundle.card.name, bundle.card.version, bundle.card.task) == ("sound", "1.2.3", "style")
    assert bundle.card.graphs["add"].inputs[0].shape == ("n", 3)
    assert bundle.card.graphs["add"].inputs[0].range == (0.0, 1.0)
    assert bundle.file("thumbs/wave.png").read_bytes() == b"not really a picture"
    x = np.ones((2, 3), np.float32)
    y = Engine(["cpu"], threads=1).run(bundle.graph("add"), {"x": x})["y"]
    np.testing.assert_array_equal(y, 2 * x)


def test_a_card_survives_writing_and_reading(sound: Path) -> None:
    card = open_bundle(sound).card
    before = (sound / "card.json").read_bytes()
    assert write_card(sound, card) == card
    assert (sound / "card.json").read_bytes() == before
    assert list(card.files) == ["thumbs/wave.png"]


def test_what_was_used_is_named_with_the_hash_of_its_card(sound: Path) -> None:
    sha256 = hashlib.sha256((sound / "card.json").read_bytes()).hexdigest()
    used = {"name": "sound", "version": "1.2.3", "sha256": sha256}
    assert open_bundle(sound).used == used


def test_presets_are_found_by_name_or_title_and_a_slip_names_the_nearest(sound: Path) -> None:
    bundle = open_bundle(sound)
    assert bundle.preset("Wave") == bundle.preset("the great wave") == bundle.card.presets[0]
    with pytest.raises(UserError, match="did you mean 'starry'"):
        bundle.preset("stary")
    with pytest.raises(UserError, match="choose from starry, wave"):
        bundle.preset("zzzzzz")
    with pytest.raises(UserError, match="no graph 'sub'"):
        bundle.graph("sub")
    with pytest.raises(UserError, match="lists no file"):
        bundle.file("card.json")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: shutil.rmtree(f), "no bundle"),
        (lambda f: (f / "card.json").unlink(), "no card.json"),
        (lambda f: (f / "card.json").write_text("{'name': 1}"), "not valid JSON"),
        (lambda f: (f / "card.json").write_bytes(b"\xff\xfe{}"), "cannot be read"),
        (lambda f: (f / "card.json").write_text("[" * 100_000), "not valid JSON"),
        (lambda f: (f / "card.json").write_text("[]"), "must be dict"),
        (lambda f: (f / "card.json").write_bytes(b" " * (17 << 20)), "too large"),
        (lambda f: change(f, schema=SCHEMA + 1), "update Triptych"),
        (lambda f: change(f, schema=0), "export the bundle again"),
        (lambda f: change(f, schema=...), "'schema' is missing"),
        (lambda f: change(f, schema="1"), "schema must be int"),
        (lambda f: change(f, licence=...), "lacks 'licence'"),
        (lambda f: change(f, title=3), "title must be str"),
        (lambda f: change(f, version="new"), "version 'new'"),
        (lambda f: change(f, name="../sound"), "name '../sound'"),
        (lambda f: change(f, presets=[{"name": "x"}]), "presets[0].title"),
        (
            lambda f: change(f, presets=[{"name": "x", "title": "X", "thumbnail": "no.png"}]),
            "thumb",
        ),
        (lambda f: change(f, metrics=[{"value": float("nan")}]), "NaN is not JSON"),
        (lambda f: change(f, task="upscale"), "says inside"),
        (lambda f: change(f, version="1.2.4"), "says inside"),
        (lambda f: (f / "add.onnx").unlink(), "missing"),
        (lambda f: (f / "thumbs" / "wave.png").unlink(), "missing"),
        (lambda f: (f / "thumbs" / "wave.png").write_bytes(b"other"), "damaged"),
        (lambda f: ((f / "add.onnx").unlink(), (f / "add.onnx").mkdir()), "missing"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(
    sound: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(sound)
    assert says in refusal(sound)


@pytest.mark.parametrize("key", ["name", "version", "task", "schema"])
def test_a_graph_that_says_it_is_another_bundle_is_refused(
    tmp_path: Path, make_bundle: Make, key: str
) -> None:
    folder = make_bundle(tmp_path / "b", inside={key: 2 if key == "schema" else "other"})
    assert "says inside" in refusal(folder)


@given(data=st.data())
def test_a_graph_cut_or_changed_at_any_byte_is_refused(victim: Path, data: st.DataObject) -> None:
    path = victim / "add.onnx"
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    try:
        path.write_bytes(whole[:at])
        assert "damaged" in refusal(victim)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        assert "damaged" in refusal(victim)
    finally:
        path.write_bytes(whole)
    open_bundle(victim)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_bytes_that_are_no_model_are_refused_even_with_the_right_hash(
    victim: Path, tail: bytes, kept: int
) -> None:
    path, card = victim / "add.onnx", victim / "card.json"
    whole, written = path.read_bytes(), card.read_bytes()
    try:
        path.write_bytes(whole[: min(kept, len(whole) // 2)] + tail)
        write_card(victim, open_bundle(victim, verify=False).card)
        assert "says inside" in refusal(victim)
    finally:
        path.write_bytes(whole)
        card.write_bytes(written)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def places_of(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    if not isinstance(value, dict | list):
        return []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [(value, key) for key, _ in items] + [p for _, v in items for p in places_of(v)]


@settings(max_examples=200)
@given(data=st.data(), value=json_values, remove=st.booleans())
def test_a_hostile_card_is_refused_or_read_but_never_worse(
    victim: Path, data: st.DataObject, value: Any, remove: bool
) -> None:
    path = victim / "card.json"
    written = path.read_bytes()
    card = json.loads(written)
    container, key = data.draw(st.sampled_from(places_of(card)))
    if remove:
        del container[key]
    else:
        container[key] = value
    try:
        path.write_text(json.dumps(card))
        try:
            bundle = open_bundle(victim)
        except UserError as error:
            assert "\n" not in str(error)
            str(error).encode()
        else:
            json.dumps(bundle.card.presets).encode()
    finally:
        path.write_bytes(written)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_card_are_refused(victim: Path, content: bytes) -> None:
    path = victim / "card.json"
    written = path.read_bytes()
    try:
        path.write_bytes(content)
        refusal(victim)
    finally:
        path.write_bytes(written)


climbing = [
    "/etc/passwd",
    "../secret",
    "a/../../secret",
    "..",
    ".",
    "",
    "/",
    "a//b",
    "./x",
    "~/../x",
]
windows = ["C:\\x", "C:x", "..\\secret", "\\\\host\\share", "NUL:", "file://x", "a\0b", "x\n"]
hostile_paths = st.sampled_from([*climbing, *windows]) | st.text(max_size=30)


@given(hostile_paths, st.sampled_from(["graph", "file"]))
def test_no_path_of_a_card_leaves_its_folder(victim: Path, relative: str, where: str) -> None:
    path = victim / "card.json"
    (victim.parent / "secret").write_bytes(b"secret")
    sha256 = hashlib.sha256(b"secret").hexdigest()
    written = path.read_bytes()
    card = json.loads(written)
    if where == "graph":
        card["graphs"]["add"].update(file=relative, sha256=sha256)
    else:
        card["files"][relative] = sha256
    try:
        path.write_text(json.dumps(card))
        refusal(victim)
    finally:
        path.write_bytes(written)


@pytest.mark.parametrize("link", ["add.onnx", "thumbs"])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, sound: Path, link: str) -> None:
    (sound / link).rename(tmp_path / "outside")
    (sound / link).symlink_to(tmp_path / "outside")
    assert "link that leaves it" in refusal(sound)


def test_a_loop_of_links_and_a_pipe_are_refused(sound: Path) -> None:
    graph = sound / "add.onnx"
    graph.unlink()
    graph.symlink_to("add.onnx")
    refusal(sound)
    graph.unlink()
    os.mkfifo(graph)  # reading one would wait for ever
    assert "missing" in refusal(sound)


def test_links_inside_the_folder_and_to_the_folder_are_fine(tmp_path: Path, sound: Path) -> None:
    (sound / "add.onnx").rename(sound / "real.onnx")
    (sound / "add.onnx").symlink_to("real.onnx")
    (tmp_path / "alias").symlink_to(sound)
    open_bundle(tmp_path / "alias").verify()


def test_a_card_is_written_whole_or_not_at_all(sound: Path) -> None:
    card = copy.deepcopy(open_bundle(sound).card)
    before = sorted(sound.rglob("*")), (sound / "card.json").read_bytes()
    card.presets.append({"name": "no title"})
    with pytest.raises(UserError, match="title"):
        write_card(sound, card)
    assert (sorted(sound.rglob("*")), (sound / "card.json").read_bytes()) == before


def test_hashes_are_left_to_the_first_use(sound: Path) -> None:
    (sound / "add.onnx").write_bytes(b"other")
    bundle = open_bundle(sound, verify=False)
    assert bundle.file("thumbs/wave.png").exists()
    with pytest.raises(UserError, match="damaged"):
        bundle.graph("add")
    with pytest.raises(UserError, match="damaged"):
        bundle.verify()


def test_arrays_are_read_as_they_were_written_and_cannot_be_changed(sound: Path) -> None:
    codes = np.arange(12, dtype=np.float16).reshape(3, 4)
    np.savez_compressed(sound / "codes.npz", codes=codes)
    write_card(sound, open_bundle(sound, verify=False).card)
    stored = open_bundle(sound).arrays("codes.npz")["codes"]
    assert stored.dtype == codes.dtype and np.array_equal(stored, codes)
    with pytest.raises(ValueError, match="read-only"):
        stored[0] = 0
    np.savez_compressed(sound / "codes.npz", codes=codes + 1)  # exported anew
    write_card(sound, open_bundle(sound, verify=False).card)
    assert np.array_equal(open_bundle(sound).arrays("codes.npz")["codes"], codes + 1)


def test_arrays_that_are_needed_are_there_or_missed(sound: Path) -> None:
    np.savez_compressed(sound / "codes.npz", codes=np.zeros(3))
    write_card(sound, open_bundle(sound, verify=False).card)
    assert set(open_bundle(sound).arrays("codes.npz", "codes")) == {"codes"}
    with pytest.raises(UserError, match=r"has no axes in codes\.npz"):
        open_bundle(sound).arrays("codes.npz", "codes", "axes")


def arrays_refused_or(spoilt: bytes, victim: Path) -> Any:
    """The arrays of the bundle `victim` with these bytes as their file; None where it refuses."""
    (victim / "codes.npz").write_bytes(spoilt)
    write_card(victim, open_bundle(victim, verify=False).card)
    try:
        return open_bundle(victim).arrays("codes.npz")
    except UserError as error:
        assert "codes.npz" in str(error) and "\n" not in str(error)
        return None
    finally:
        (victim / "codes.npz").unlink()
        write_card(victim, open_bundle(victim, verify=False).card)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_array_file_is_refused_even_with_the_right_hash(
    victim: Path, data: st.DataObject
) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, codes=np.arange(100.0))
    whole = stream.getvalue()
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    byte = data.draw(st.integers(0, 255))
    stored = arrays_refused_or(
        whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :], victim
    )
    if stored is not None:  # a byte of a date, say
        assert all(np.array_equal(one, np.arange(100.0)) for one in stored.values())


def test_what_is_no_archive_of_arrays_is_refused(victim: Path) -> None:
    plain, objects, header = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(plain, np.arange(3))
    np.savez(objects, codes=np.array([{}], object))
    with zipfile.ZipFile(header, "w") as archive:
        archive.writestr("codes.npy", plain.getvalue().replace(b"(3,)", b"(3,("))
    for stream in (plain, objects, header, io.BytesIO(b"")):
        assert arrays_refused_or(stream.getvalue(), victim) is None


def mine(task: str | None = None) -> dict[str, Bundle]:
    """The bundles that this test made (the checkout ships some too)."""
    shipped = shipped_folder().resolve()
    return {
        bundle.listed: bundle
        for bundle in find_bundles(task)
        if not bundle.path.resolve().is_relative_to(shipped)
    }


def test_bundles_are_found_in_the_named_and_the_users_folders(
    places: tuple[Path, Path], make_bundle: Make
) -> None:
    named, user = places
    make_bundle(named / "alpha")
    make_bundle(user / "beta", task="upscale")
    assert list(mine()) == ["alpha", "beta"]
    assert list(mine("upscale")) == ["beta"]
    assert get_bundle("alpha").path == named / "alpha"
    with pytest.raises(UserError, match="did you mean 'alpha'"):
        get_bundle("alfa")
    with pytest.raises(UserError, match="no style bundle named 'beta'"):
        get_bundle("beta", "style")


def test_a_users_bundle_overrides_nothing_silently(
    places: tuple[Path, Path], make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "triptych")  # a command told to be quiet may have run before
    named, user = places
    make_bundle(named / "same", version="1.0.0")
    make_bundle(user / "same", version="2.0.0")
    (user / "same").rename(user / "copy")  # the card's name counts, not the folder's
    make_bundle(user / "same", version="3.0.0")
    versions = {name: bundle.card.version for name, bundle in mine().items()}
    assert versions == {"same": "1.0.0", "user/same": "2.0.0", "user/same-2": "3.0.0"}
    assert "user/same" in mine()["user/same"].note and not mine()["same"].note
    assert get_bundle("same").card.version == "1.0.0"
    assert "yours is user/same" in caplog.text
    assert get_bundle("user/same").card.version == "2.0.0"


def test_a_users_bundle_does_not_replace_one_that_ships(
    places: tuple[Path, Path], make_bundle: Make
) -> None:
    shipped = [bundle for bundle in find_bundles() if not bundle.user and not bundle.error]
    name = shipped[0].listed
    make_bundle(places[1] / name)
    assert get_bundle(name).path == shipped[0].path
    assert get_bundle(f"user/{name}").path == places[1] / name


def test_a_broken_bundle_is_listed_with_its_error_and_breaks_no_other(
    places: tuple[Path, Path], make_bundle: Make
) -> None:
    named, user = places
    make_bundle(named / "good")
    make_bundle(user / "bad")
    (user / "bad" / "card.json").write_text("{")
    (user / "not-a-bundle").mkdir()
    found = mine()
    assert list(found) == ["good", "bad"]
    assert found["bad"].error and "not valid JSON" in found["bad"].error
    assert list(mine("style")) == ["good"]
    with pytest.raises(UserError, match="not valid JSON"):
        get_bundle("bad")
    with pytest.raises(UserError, match="not valid JSON"):
        found["bad"].graph("add")


def test_every_bundle_that_ships_is_sound() -> None:
    for bundle in find_bundles():
        if not bundle.user:
            assert bundle.error is None
            bundle.verify()
