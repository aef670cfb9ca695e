"""`triptych style` as a subprocess: what needs the real task and the bundles that ship."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from triptych import bundle, provenance
from triptych.image.picture import Picture, load, save

STYLE = [sys.executable, "-m", "triptych", "style", "--provider", "cpu"]
STYLE += ["--threads", "1", "--style", "klimt-kiss"]
Run = subprocess.CompletedProcess[str]
posix = pytest.mark.skipif(os.name == "nt", reason="limits and signals of POSIX")


def environment(folder: Path) -> dict[str, str]:
    """This process's, with no bundles but those that ship."""
    core = str(Path(bundle.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [core, os.environ.get("PYTHONPATH", "")]))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TRIPTYCH")}
    own = {"TRIPTYCH_USER_DATA": str(folder / "user"), "PYTHONPATH": paths, "PYTHONUTF8": "1"}
    return {**kept, **own, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def style(tmp_path: Path) -> Callable[..., Run]:
    """Runs `triptych style` in a folder of this test; `limit` is called in the child."""

    def run(*words: object, limit: Callable[[], Any] | None = None) -> Run:
        return subprocess.run(
            [*STYLE, *map(str, words)],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=limit,
        )

    return run


def photo(path: Path, width: int = 72, height: int = 40, mode: str = "RGB", **kept: Any) -> Path:
    y, x = np.mgrid[:height, :width]
    codes = np.stack([x * 3 % 256, y * 5 % 256, (x + y) * 2 % 256], 2).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(codes).convert(mode).save(path, **kept)
    return path


def one_error(done: Run) -> str:
    """The only line on stderr, which is an error that tells what to do."""
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_bad_files_do_not_stop_the_others(style: Callable[..., Run], tmp_path: Path):
    photo(tmp_path / "in/good.png")
    photo(tmp_path / "in/one.png", 1, 1)
    photo(tmp_path / "in/last.webp", lossless=True)
    (tmp_path / "in/empty.png").write_bytes(b"")
    (tmp_path / "in/letter.png").write_text("Dear friend")
    (tmp_path / "in/half.jpg").write_bytes(photo(tmp_path / "whole.jpg").read_bytes()[:700])
    done = style("in", "-o", "out")
    assert done.returncode == 2
    assert files(tmp_path / "out") == ["good.png", "last.webp", "one.png"]
    assert done.stdout.split() == ["out/good.png", "out/last.webp", "out/one.png"]
    errors = done.stderr.splitlines()
    for name, line in zip(("empty.png", "half.jpg", "letter.png"), errors, strict=True):
        assert line.startswith("error: ")
        assert name in line
    for name in files(tmp_path / "out"):
        with Image.open(tmp_path / "out" / name) as made, Image.open(tmp_path / "in" / name) as was:
            assert made.size == was.size


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in.png", "-o", "x.png", "--style", "klimt-kis"], "did you mean 'klimt-kiss'?"),
        (["in.png", "-o", "x.png", "--style", "in.txt"], "in.txt"),
        (["in.png", "-o", "x.png", "--mix", "klimt-kis:1"], "did you mean 'klimt-kiss'?"),
        (["in.png", "-o", "x.png", "--mask", "square.png"], "the mask has 50 x 50 pixels"),
        (["in.txt", "-o", "x.png"], "in.txt"),
    ],
)
def test_a_mistake_is_one_sentence(
    style: Callable[..., Run], tmp_path: Path, words: list[str], said: str
):
    photo(tmp_path / "in.png")
    photo(tmp_path / "square.png", 50, 50)
    (tmp_path / "in.txt").write_text("no picture")
    assert said in one_error(style(*words))
    assert files(tmp_path) == ["in.png", "in.txt", "square.png"]


def without_root() -> None:
    """Leave a child of root no right to write where the permissions forbid it (Linux)."""
    if sys.platform == "linux":
        drop_from_bounding_set, dac_override = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
        ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


@posix
def test_a_folder_that_cannot_be_written(style: Callable[..., Run], tmp_path: Path):
    photo(tmp_path / "in.png")
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0o555)
    line = one_error(style("in.png", "-o", "locked/x.png", limit=without_root))
    assert "cannot write locked/x.png: permission is denied" in line
    line = one_error(style("in.png", "-o", "locked/new/", limit=without_root))
    assert "cannot write locked/new/in.png: permission is denied" in line
    assert files(tmp_path) == ["in.png"]


@posix
def test_a_full_disk_leaves_nothing_half(style: Callable[..., Run], tmp_path: Path):
    import resource

    photo(tmp_path / "in.png", 200, 160)
    before = photo(tmp_path / "kept.png").read_bytes()

    def full() -> None:  # a write beyond this fails as one to a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    line = one_error(style("in.png", "-o", "kept.png", "--overwrite", limit=full))
    assert "cannot write kept.png" in line
    assert "choose another disk" in line
    assert files(tmp_path) == ["in.png", "kept.png"]
    assert (tmp_path / "kept.png").read_bytes() == before


def wide_profile() -> bytes:
    """A profile that is not sRGB: sRGB's with the primaries of red and green exchanged."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return icc.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")


def test_what_a_picture_has_survives(style: Callable[..., Run], tmp_path: Path):
    """Left half of each picture: masked, so that its codes must be those that were there."""
    height, width = 36, 60
    half = np.zeros((height, width), np.uint8)
    half[:, width // 2 :] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    rng = np.random.default_rng(0)
    deep = Picture(
        (rng.integers(0, 65536, (height, width, 3)) / 65535).astype(np.float32),
        (rng.integers(0, 65536, (height, width)) / 65535).astype(np.float32),
        depth=16,
    )
    folder = tmp_path / "in"
    folder.mkdir()
    save(deep, folder / "deep.png")
    save(deep, folder / "deep.tif")
    photo(folder / "grey.png", width, height, "L")
    photo(folder / "wide.png", width, height, icc_profile=wide_profile())
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # to be turned a quarter to the right
    photo(folder / "turned.png", height, width, exif=exif)
    for keep in ("no", "luminance"):
        out = tmp_path / keep
        words = ["--mask", "mask.png", "--keep-colour", keep, "-o", out]
        done = style("in", *words, "--quiet")
        assert (done.returncode, done.stderr) == (0, "")
        for name in files(folder):
            before, after = load(folder / name), load(out / name)
            assert after.pixels.shape == (height, width, 3)
            assert after.depth == before.depth
            assert after.icc == before.icc
            levels = 65535 if before.depth == 16 else 255
            off = np.abs(after.pixels - before.pixels).max((0, 2)) * levels
            assert off[: width // 2].max() < 0.51, name
            assert off[width // 2 :].min() > 1, name
            if before.alpha is not None:
                assert after.alpha is not None
                assert np.array_equal(after.alpha, before.alpha)
        # In colours, a grey picture is one no more; painted in light and dark, it stays one.
        assert load(out / "grey.png").grey == (keep == "luminance")
        with Image.open(out / "turned.png") as turned:
            assert turned.getexif().get(0x0112, 1) == 1
            assert turned.getexif()[0x010F] == "Maker"


def test_the_file_says_how_it_was_made(style: Callable[..., Run], tmp_path: Path):
    photo(tmp_path / "in.png")
    photo(tmp_path / "other.png", 50, 50)
    words = ["--mix", "other.png:0.25", "--strength", "0.5", "--keep-colour", "linear"]
    assert style("in.png", "-o", "out.jpg", *words).returncode == 0
    record = provenance.read(tmp_path / "out.jpg")
    assert record is not None
    assert (record.task, record.inputs) == ("style", ["in.png"])
    used = bundle.open_bundle(bundle.shipped_folder() / "style", verify=False).used
    assert record.bundles == [used]
    assert used["version"]
    assert record.digital_source_type == provenance.EDITED
    said = {"style": "klimt-kiss", "mix": [["other.png", 0.25]], "strength": 0.5}
    assert said.items() <= dict(record.parameters).items()
    assert record.parameters["keep_colour"] == "linear"
    assert style("in.png", "-o", "out.png", "--no-provenance").returncode == 0
    assert provenance.read(tmp_path / "out.png") is None
    assert b"riptych" not in (tmp_path / "out.png").read_bytes()


@posix
def test_ctrl_c_leaves_what_is_done_and_nothing_half(tmp_path: Path):
    photo(tmp_path / "a.png", 8, 8)
    photo(tmp_path / "b.png", 1000, 1000)  # 4000 x 4000 at a quarter of the brush: seconds
    words = ["a.png", "b.png", "-o", "out", "--scale", "0.25"]
    child = subprocess.Popen(
        [*STYLE, *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "out/a.png\n"
    time.sleep(0.5)  # into a graph
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (130, "cancelled\n")
    assert files(tmp_path) == ["a.png", "b.png", "out/a.png"]


def test_the_styles_that_ship_are_listed_and_drawn(tmp_path: Path):
    def styles(*words: str) -> str:
        command = [sys.executable, "-m", "triptych", "styles", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=True
        )
        return done.stdout.decode()

    listed = styles().splitlines()
    assert len(listed) > 24
    assert any("klimt-kiss" in line and "Klimt" in line for line in listed)
    assert styles("-o", "sheet.png").strip() == "sheet.png"
    with Image.open(io.BytesIO((tmp_path / "sheet.png").read_bytes())) as sheet:
        colours = sheet.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 5000  # the thumbnails are on it
