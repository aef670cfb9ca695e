"""The demo with the models that ship, on a small photograph, and its page."""

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from triptych import demo


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small photograph, which the demo takes."""
    with Image.open(demo.PHOTOGRAPH) as photograph:
        photograph.resize((96, 54)).save(tmp_path / "photograph.jpg")
    monkeypatch.setattr(demo, "PHOTOGRAPH", tmp_path / "photograph.jpg")
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path / "user"))
    return tmp_path


def test_the_page_shows_what_was_made(small: Path, capsys: pytest.CaptureFixture[str]):
    out = small / "out"
    for _ in range(2):  # again into the same folder
        assert demo.main([str(out)]) == 0
    page = (out / "index.html").read_text("utf-8")
    shown = set(re.findall(r'src="([^"]+)"', page))
    scores = {path.name for path in out.glob("*.mid")}
    solids = {path.name for path in out.glob("*.glb")}
    files = {path.name for path in out.iterdir() if path.is_file()}
    assert {name for name in shown if "/" not in name} == files - {"index.html"} - scores - solids
    assert all((out / name).is_file() for name in shown)
    assert shown >= {"photograph.jpg", "style-vangogh-starry-night.jpg", "styles.png"}
    assert shown >= {"coast.png", "landscape.png", "abstract.png"}
    assert shown >= {"dream.jpg", "small.png", "larger.png"}
    assert shown >= {"scribbled.png", "filled.jpg", "mask.png"}
    assert shown >= {"extended.jpg", "aged.png", "restored.png"}
    assert shown >= {"bricks/colour.png", "bricks/normal.png", "marble/colour.png"}
    assert shown >= {"beat.png", "humanised.png", "drumified.png"}
    assert solids == {"chair.glb", "other.glb", "crossed.glb", "planked.glb"}
    assert shown >= {"chair.png", "crossed.png", "planked.png"}
    assert scores >= {"beat.mid", "humanised.mid", "drumified.mid"}
    assert scores >= {"tune.mid", "choir.mid", "strings.mid"}
    assert any(name.startswith("colour-") for name in shown)
    assert "The Starry Night" in page
    assert "triptych material bricks --seed 3 -o bricks" in page
    assert "triptych groove beat.mid -o humanised.mid" in page
    assert "triptych style photograph.jpg -o strength-0.5.jpg --style" in page
    assert "Open " in capsys.readouterr().out


def test_a_folder_that_cannot_be_made(small: Path, capsys: pytest.CaptureFixture[str]):
    assert demo.main([str(small / "photograph.jpg/out")]) == 2
    assert capsys.readouterr().err.startswith("error: cannot write the demo")


def test_the_photograph_ships():
    with Image.open(Path(sys.modules["triptych"].__path__[0]) / "data/bay.jpg") as photograph:
        assert photograph.size == (1024, 576)
