"""Training sets: with a licence or not at all, and one sentence for each that is broken."""

import io
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from triptych.errors import UserError
from triptych.training import data


def zipped(folder: Path, path: Path, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"set/{file.name}")
        for name, content in more.items():
            archive.writestr(name, content)
    return path


def test_a_folder_a_zip_and_a_picture_are_sets(waves: Path, tmp_path: Path):
    folder = data.open_source(waves, title="Waves", origin="computed")
    assert folder.licence == "Licence: CC0-1.0"
    assert folder.card() == {
        "name": "waves",
        "title": "Waves",
        "licence": "Licence: CC0-1.0",
        "source": "computed",
        "items": 3,
        "note": "",
    }
    (tmp_path / "alone").mkdir()
    packed = data.open_source(zipped(waves, tmp_path / "alone/waves.ZIP"))
    single = data.open_source(waves / "0.png")
    read = [[np.asarray(p) for _, p in s.pictures()] for s in (folder, packed, single)]
    assert [len(pictures) for pictures in read] == [3, 3, 1]
    np.testing.assert_array_equal(read[0], read[1])
    np.testing.assert_array_equal(read[0][0], read[2][0])
    assert packed.licence == folder.licence == single.licence
    assert packed.read("set/0.png") == folder.read("0.png")
    assert data.open_source(waves, keep=lambda name: name == "1.png").names() == ["1.png"]


def test_without_a_licence_a_set_is_refused(tiny: ModuleType, tmp_path: Path):
    folder = tiny.pictures(tmp_path / "bare", licence="")
    (tmp_path / "alone").mkdir()
    packed = zipped(folder, tmp_path / "alone/bare.zip")
    for path in (folder, folder / "0.png", packed):
        for licence in (None, "", "  "):
            with pytest.raises(UserError, match=r"without a licence.*--licence"):
                data.open_source(path, licence)
    with pytest.raises(UserError, match="without a licence"):
        data.Source(folder, " ")
    assert data.open_source(folder, "CC-BY-4.0").licence == "CC-BY-4.0"
    (folder / "LICENSE").write_text("\n")
    with pytest.raises(UserError, match="without a licence"):
        data.open_source(folder)
    (folder / "LICENSE").write_text("Free for all\nNo size, no licence: tiles\nLicence: short\n")
    assert data.open_source(folder).licence == "Licence: short"
    (folder / "Source.md").write_text("# CC0 by me")
    assert data.open_source(folder).licence == "CC0 by me"


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/out.png", "a/../../out.png", "..\\out.png", "C:/out.png"]
)
def test_a_zip_that_climbs_out_is_refused(waves: Path, tmp_path: Path, name: str):
    path = zipped(waves, tmp_path / "bad.zip", **{name: (waves / "0.png").read_bytes()})
    with pytest.raises(UserError, match="unsafe path"):
        data.open_source(path, "CC0-1.0").names()


def test_what_a_mac_hides_is_no_picture(waves: Path, tmp_path: Path):
    more = {"__MACOSX/set/._0.png": b"fork", "set/.1.png": b"hidden"}
    assert len(data.open_source(zipped(waves, tmp_path / "a.zip", **more)).names()) == 3


def broken_zip(folder: Path, path: Path) -> Path:
    content = bytearray(zipped(folder, path).read_bytes())
    content[200] ^= 0xFF  # inside the first picture: its checksum is wrong
    path.write_bytes(content)
    return path


def test_broken_sets_are_one_sentence(waves: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.png").write_text("just text")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/a.png").write_bytes((waves / "0.png").read_bytes()[:100])
    (tmp_path / "alone.png").write_text("just text")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing/a.jpg").write_bytes(b"")
    for path, said in {
        tmp_path / "none": "does not exist",
        tmp_path / "empty": "holds no picture",
        tmp_path / "text.zip": "not a readable zip",
        tmp_path / "bad": "a.png in bad is not a readable picture",
        tmp_path / "alone.png": "^alone.png is not a readable picture: mend it",
        tmp_path / "cut": "a.png in cut is not a readable picture",
        tmp_path / "nothing": "a.jpg in nothing is not a readable picture",
        broken_zip(waves, tmp_path / "flipped.zip"): "cannot be unpacked",
    }.items():
        with pytest.raises(UserError, match=said) as caught:
            list(data.open_source(path, "CC0-1.0").pictures())
        assert "\n" not in str(caught.value)
        assert "object at" not in str(caught.value)


def test_pictures_arrive_upright_as_rgb_on_white(tmp_path: Path):
    turned = Image.new("RGB", (8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "b.png")
    Image.fromarray(np.full((4, 4), 0x8040, np.uint16)).save(tmp_path / "c.png")
    found = dict(data.open_source(tmp_path, "CC0-1.0").pictures())
    assert {p.mode for p in found.values()} == {"RGB"}
    assert found["a.jpg"].size == (4, 8)
    assert found["b.png"].getpixel((0, 0)) == (255, 255, 255)
    assert found["c.png"].getpixel((0, 0)) == (0x80, 0x80, 0x80)


def test_crops_and_sizes():
    rng = np.random.default_rng(0)
    picture = np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3)
    assert data.crop(picture, 16, rng).shape == (16, 16, 3)
    assert data.crop(picture, 2, rng).shape == (2, 2, 3)
    assert data.fit(Image.new("RGB", (30, 20)), 10).size == (15, 10)


def test_folders_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "none"))
    with pytest.raises(UserError, match="TRIPTYCH_DATA"):
        data.data_root()
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    assert data.data_root() == tmp_path
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "new/cache"))
    assert data.cache_folder().is_dir()
    (tmp_path / "file").write_bytes(io.BytesIO().getvalue())
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot write"):
        data.cache_folder()
