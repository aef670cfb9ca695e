"""The demo with a style task and a bundle of our own, and its page."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych import bundle, demo, task
from triptych.engine import Engine, Job
from triptych.task import Choice, Parameter, Result, Task


def darken(picture: np.ndarray, job: Job, engine: Engine, **values: object) -> Result:
    return Result(picture / 2, [])


@pytest.fixture
def styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundles/brushes"
    folder.mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(folder / "night.png")
    presets = [
        {"name": "other", "title": "<Other>", "artist": "A & B"},
        {"name": "night", "title": "The Starry Night", "year": "1889", "thumbnail": "night.png"},
    ]
    card = bundle.Card("brushes", "1.0.0", "style", "S", "CC0-1.0", {}, presets=presets)
    bundle.write_card(folder, card)
    monkeypatch.setattr(bundle, "_bundle_folders", lambda: [(folder, False)])
    choices = tuple(Choice(str(preset["name"]), str(preset["title"])) for preset in presets)
    parameters = (
        Parameter("style", "Style", "choice", default="night", choices=choices),
        Parameter("mix", "Mix", "blend", choices=choices, optional=True),
        Parameter("strength", "Strength", "float", default=1.0, minimum=0, maximum=1),
        Parameter("keep_colour", "Keep colour", "bool", default=False),
    )
    monkeypatch.setattr(task, "_BUILT_IN", ())
    monkeypatch.setattr(task, "_registered", {})
    task.register(Task("style", "Style", "Style a picture.", darken, parameters))
    monkeypatch.setattr(demo, "PHOTOGRAPH", tmp_path / "photograph.jpg")
    Image.new("RGB", (64, 36), (200, 200, 200)).save(tmp_path / "photograph.jpg")
    return tmp_path


def test_the_page_shows_what_was_made(styles: Path, capsys: pytest.CaptureFixture[str]):
    out = styles / "out"
    for _ in range(2):  # again into the same folder
        assert demo.main([str(out)]) == 0
    page = (out / "index.html").read_text("utf-8")
    shown = set(re.findall(r'src="([^"]+)"', page))
    assert shown == {path.name for path in out.iterdir()} - {"index.html"}
    assert shown >= {"photograph.jpg", "style-night.jpg", "painting-night.png", "styles.png"}
    assert page.index("The Starry Night") < page.index("&lt;Other&gt;")
    assert "A &amp; B" in page
    assert "triptych style photograph.jpg -o strength-0.5.jpg --style night" in page
    assert "Open " in capsys.readouterr().out


def test_a_folder_that_cannot_be_made(styles: Path, capsys: pytest.CaptureFixture[str]):
    assert demo.main([str(styles / "photograph.jpg/out")]) == 2
    assert capsys.readouterr().err.startswith("error: cannot write the demo")


def test_the_photograph_ships():
    with Image.open(Path(sys.modules["triptych"].__path__[0]) / "data/bay.jpg") as photograph:
        assert photograph.size == (1024, 576)
