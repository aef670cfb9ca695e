"""Meshes in files, on the command line and in pictures."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from triptych import cli, provenance
from triptych.errors import UserError
from triptych.image.material import Material
from triptych.provenance import Provenance
from triptych.shape import files
from triptych.shape.mesh import Mesh
from triptych.shape.render import rendered
from triptych.shape.uv import box_projection

QUICK = ["--detail", "32", "--model", "boxes", "--quiet", "--threads", "1", "--provider", "cpu"]


def block() -> Mesh:
    made = trimesh.creation.box((0.4, 0.9, 0.5))
    vertices, faces = made.vertices.astype(np.float32), made.faces.astype(np.int32)
    return Mesh(vertices, faces, box_projection(vertices, faces), {"latent": "x", "category": "b"})


def run(*words: object) -> int:
    return cli.main(["shape", *map(str, words), *QUICK])


@pytest.mark.parametrize("ending", files.WRITABLE)
def test_files_come_back(tmp_path: Path, ending: str):
    path = tmp_path / f"a{ending}"
    notes = files.save(block(), path, Provenance("shape", seed=7))
    back = files.load(path)
    assert np.allclose(back.size, (0.4, 0.9, 0.5))
    assert back.faults() == []
    assert len(back.vertices) == 8
    assert (ending == ".glb") == (not notes)
    found = provenance.read(path)
    if ending == ".glb":
        assert (found.task, found.seed) == ("shape", 7)  # type: ignore[union-attr]
        assert back.record == block().record
    else:
        assert found is None


def test_a_glb_is_what_other_programs_expect(tmp_path: Path):
    files.save(block(), tmp_path / "a.glb", Provenance("shape"))
    data = (tmp_path / "a.glb").read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    tree = json.loads(data[20 : 20 + length])
    assert tree["asset"]["version"] == "2.0"
    material = tree["materials"][0]["pbrMetallicRoughness"]
    assert material["metallicFactor"] == 0
    (primitive,) = tree["meshes"][0]["primitives"]
    assert {"POSITION", "NORMAL", "TEXCOORD_0"} <= set(primitive["attributes"])
    opened = trimesh.load_mesh(tmp_path / "a.glb", process=False)
    assert len(opened.vertices) == 24  # split at the edges
    lengths = np.sqrt((opened.vertex_normals**2).sum(1))
    assert np.allclose(lengths, 1)


def test_no_provenance_says_nothing(tmp_path: Path):
    files.save(block(), tmp_path / "a.glb")
    assert provenance.read(tmp_path / "a.glb") is None
    assert files.load(tmp_path / "a.glb").record is None


@given(data=st.data())
def test_a_damaged_glb_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    path = tmp_path_factory.mktemp("glb") / "a.glb"
    files.save(block(), path, Provenance("shape"))
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 20))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    provenance.describe(path)
    try:
        mesh = files.load(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(mesh.faces)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.glb", b"", "damaged or no mesh"),
        ("a.obj", b"v 0 0 0\n", "no triangles|damaged"),
        ("a.txt", b"hello", "no mesh that can be read"),
        ("a.stl", b"solid\nendsolid\n", "no triangles|damaged"),
    ],
)
def test_what_is_no_mesh_is_one_sentence(tmp_path: Path, name: str, content: bytes, said: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        files.load(tmp_path / name)


def test_a_chair_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "chair.glb"
    views = ["--turntable", tmp_path / "t.webp", "--picture", tmp_path / "p.png"]
    assert run("chair", "-o", out, "--size", "0.6", "-", "1", "--seed", "3", *views) == 0
    mesh = files.load(out)
    assert mesh.size == pytest.approx((0.6, 1.0, 0.5 * (0.6 / 0.5 * 1 / 0.9) ** 0.5), rel=0.01)
    with Image.open(tmp_path / "t.webp") as film:
        assert getattr(film, "n_frames", 1) > 20
    assert provenance.read(tmp_path / "p.png").task == "shape"  # type: ignore[union-attr]
    assert cli.main(["about", str(out)]) == 0
    said = capsys.readouterr().out
    assert '"chair"' in said
    assert "boxes 1.0.0" in said
    assert run("chair", "-o", out) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_many_crossed_varied_and_alike(tmp_path: Path):
    sheet = tmp_path / "sheet.png"
    assert run("stool", "-o", tmp_path / "many", "--count", 3, "--sheet", sheet) == 0
    one, two, three = sorted((tmp_path / "many").iterdir())
    assert one.name == "stool-1.glb"
    assert provenance.read(three).seed == 2  # type: ignore[union-attr]
    with Image.open(sheet) as drawn:
        assert drawn.width > 3 * 220
    assert run("cross", one, two, "--steps", 3, "-o", tmp_path / "path") == 0
    first, _, last = (files.load(path) for path in sorted((tmp_path / "path").iterdir()))
    assert np.allclose(first.vertices, files.load(one).vertices)
    assert np.allclose(last.vertices, files.load(two).vertices)
    assert run("cross", one, two, "-o", tmp_path / "half.obj") == 0
    assert run("vary", one, "-o", tmp_path / "varied.glb", "--amount", 0.5) == 0
    assert run("like", one, two, "--rejected", three, "-o", tmp_path / "more", "--count", 2) == 0
    assert len(list((tmp_path / "more").iterdir())) == 2
    words = ["vary_shape", str(one), "-o", str(tmp_path / "b.ply"), *QUICK]
    assert cli.main(words) == 0  # as every task


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chiar", "-o", "a.glb"], "did you mean 'chair'"),
        (["chair", "-o", "a.png"], "end it in .glb"),
        (["chair", "-o", "a.glb", "--count", "3"], "need a folder"),
        (["chair", "-o", "many", "--count", "0"], "from 1 to 1000"),
        (["chair", "-o", "a.glb", "--size", "0", "1", "1"], "width must be from 0.01"),
        (["chair", "-o", "a.glb", "--size", "nan", "1", "1"], "width must be a number"),
        (["chair", "-o", "a.glb", "--size", "1", "1", "1", "--width", "2"], "give one of them"),
        (["chair", "-o", "a.glb", "--detial", "64"], "did you mean '--detail'"),
        (["vary", "none.glb", "-o", "a.glb"], "cannot read none.glb"),
        (["cross", "none.glb", "-o", "a.glb"], "MESH"),
        (["chair"], "-o/--output"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_picture_shows_the_material():
    """Green below and blue above, in stripes of 0.1 m."""
    tile = np.zeros((8, 8, 3), np.float32)
    tile[:4, :, 2], tile[4:, :, 1] = 0.8, 0.8
    plain = np.ones((8, 8), np.float32)
    stripes = Material(tile, plain, np.ones((8, 8, 3), np.float32), plain, 0.2, 0.0)
    mesh = dataclasses.replace(block(), material=stripes)
    drawn = rendered(mesh, 128, 0.0, 0.0)
    column = drawn[:, 64]
    colour = np.where(column[:, 1] > column[:, 2] + 0.1, 1, 0)
    colour += np.where(column[:, 2] > column[:, 1] + 0.1, 2, 0)
    seen = colour[colour > 0]
    assert (colour == 1).sum() > 10
    assert (colour == 2).sum() > 10
    changes = int((np.diff(seen) != 0).sum())
    assert abs(changes - mesh.size[1] / 0.1) <= 1
    assert seen[-1] == 2  # the foot is 2.25 tiles below the middle


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("")
    assert run("chair", "-o", tmp_path / "file" / "a.glb") == 2
    assert "cannot write" in capsys.readouterr().err


def test_pictures_show_the_mesh_on_its_ground():
    drawn = rendered(block(), 64)
    assert drawn.shape == (64, 64, 3)
    assert (drawn.min(), drawn.max()) >= (0, 0) and drawn.max() <= 1
    corner, middle = drawn[2, 2], drawn[32, 32]
    assert np.ptp(corner) < 0.01  # paper
    assert middle[0] > middle[2] + 0.03  # the mesh's warm grey
    # From the right side, narrower: 0.5 m deep, 0.4 m wide.
    wide = [
        np.ptp(np.nonzero((one[..., 0] - one[..., 2] > 0.03).any(0))[0])
        for one in (rendered(block(), 128, 0.0, 0.0), rendered(block(), 128, 90.0, 0.0))
    ]
    assert wide[0] < wide[1]
