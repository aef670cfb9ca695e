"""The real command, as a subprocess, on real files; `tiny_task.py` is it with one small task."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.bundle import Card, write_card

HERE = Path(__file__).parent
TINY = [sys.executable, str(HERE / "tiny_task.py")]
REAL = [sys.executable, "-m", "triptych"]
Run = subprocess.CompletedProcess[str]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """Runs a command in an empty folder, with no bundles but those that a test names."""

    def run(*words: object, command: list[str] = TINY, **variables: str) -> Run:
        return subprocess.run(
            [*command, *map(str, words)],
            cwd=tmp_path,
            env=environment(tmp_path, **variables),
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def environment(folder: Path, **variables: str) -> dict[str, str]:
    fixed = {"TRIPTYCH_USER_DATA": str(folder / "user"), "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
    path = [variables.pop("PYTHONPATH", ""), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), **fixed, **variables}


def picture(path: Path, size: tuple[int, int] = (40, 24), value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value,) * 3).save(path)
    return path


def one_error(done: Run) -> str:
    """The only line on stderr, which is an error that tells what to do."""
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def styles(folder: Path, name: str = "brushes") -> Path:
    """A folder with a style bundle of two styles and no graph: enough to be listed."""
    bundle = folder / "bundles" / name
    picture(bundle / "wave.png", (60, 40))
    presets = [
        {"name": "wave", "title": "A Wave", "artist": "Hokusai", "year": "1831"},
        {"name": "cafe", "title": "Café, a night in the long, long title", "artist": "Cézanne"},
    ]
    presets[0]["thumbnail"] = "wave.png"
    card = Card(
        name=name,
        version="1.2.3",
        task="style",
        title="Brushes",
        licence="CC0-1.0",
        graphs={},
        presets=[dict(preset) for preset in presets],
        data=[{"name": "paintings", "licence": "public domain", "items": 2}],
        metrics=[{"name": "speed", "value": 3, "unit": "s", "test": "benchmarks/speed.py"}],
    )
    write_card(bundle, card)
    return bundle


def test_a_picture_goes_through_the_task_and_says_how(run: Callable[..., Run], tmp_path: Path):
    picture(tmp_path / "in.png")
    done = run("tint", "in.png", "-o", "out.png", "--colour", "blue", "--mix", "red:0.5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out.png\n", "")
    made = np.asarray(Image.open(tmp_path / "out.png"))
    assert made[0, 0].tolist() == [100, 100, 126]
    about = run("about", "out.png").stdout
    for said in ("Triptych", "tint 1.0.0", "blue", '["red", 0.5]', "in.png"):
        assert said in about


def test_without_provenance_nothing_is_said(run: Callable[..., Run], tmp_path: Path):
    picture(tmp_path / "in.png")
    run("tint", "in.png", "-o", "out.png", "--no-provenance")
    assert "no record" in run("about", "out.png").stdout
    run("tint", "in.png", "-o", "off.png", TRIPTYCH_PROVENANCE="off")
    assert "no record" in run("about", "off.png").stdout


def test_help_shows_what_the_declaration_says(run: Callable[..., Run]):
    done = run("tint", "--help")
    text = " ".join(done.stdout.split())
    assert done.returncode == 0
    for said in (
        "It is 100% free.",
        "--colour NAME_OR_IMAGE colour of the tint (red, blue; default: red)",
        "--strength N how much of it (0 to 1; default: 1)",
        "--mix NAME:WEIGHT",
        "--keep-grey, --no-keep-grey leave greys (default: yes)",
        "--mask IMAGE",
        "for experts: --rounds N Rounds (1 to 9; default: 1) --seed N",
    ):
        assert said in text
    assert "tint        Give a picture a tint\n" in run("--help").stdout


def test_a_folder_and_files_become_a_folder(run: Callable[..., Run], tmp_path: Path):
    picture(tmp_path / "photos/a.jpg")
    picture(tmp_path / "photos/b.bmp")
    (tmp_path / "photos/notes.txt").write_text("no picture")
    picture(tmp_path / "other/a.jpg")
    (tmp_path / "bad.png").write_text("just text")
    (tmp_path / "empty.png").write_bytes(b"")
    done = run("tint", "photos", "bad.png", "other/a.jpg", "empty.png", "-o", "made")
    assert done.returncode == 2
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == [
        "a-2.jpg",
        "a.jpg",
        "b.png",
    ]
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert all(line.startswith("error: ") for line in errors)
    assert "bad.png" in errors[0]
    assert "empty.png" in errors[1]


def test_nothing_is_replaced_without_leave(run: Callable[..., Run], tmp_path: Path):
    before = picture(tmp_path / "in.png").read_bytes()
    assert "--overwrite" in one_error(run("tint", "in.png", "-o", "in.png"))
    assert (tmp_path / "in.png").read_bytes() == before
    assert run("tint", "in.png", "-o", "in.png", "--overwrite", "--quiet").stdout == ""
    assert (tmp_path / "in.png").read_bytes() != before


@pytest.mark.parametrize("option", ["--mask", "--colour"])
def test_what_an_option_names_is_not_replaced(run: Callable[..., Run], tmp_path: Path, option: str):
    picture(tmp_path / "in.png")
    before = picture(tmp_path / "other.png").read_bytes()
    done = run("tint", "in.png", option, "other.png", "-o", "./other.png", "--overwrite")
    assert f"{option} names other.png too" in one_error(done)
    assert (tmp_path / "other.png").read_bytes() == before


def test_an_output_that_ends_in_a_slash_is_a_folder(run: Callable[..., Run], tmp_path: Path):
    picture(tmp_path / "in.png")
    assert run("tint", "in.png", "-o", "new/").returncode == 0
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["in.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tint", "in.png", "-o", "x.png", "--colour", "gren"], "'red'"),
        (["tint", "in.png", "-o", "x.png", "--mix", "rad:1"], "--mix: there is no choice"),
        (["tint", "in.png", "-o", "x.png", "--keep-gray", "--mask", "in.png"], "'--keep-grey'"),
        (
            ["tint", "in.png", "-o", "x.png", "--edge-width", "wide"],
            "--edge-width must be a number",
        ),
        (
            ["tint", "in.png", "-o", "x.png", "--edge-width", "2"],
            "--edge-width means nothing without --mask: give --mask too",
        ),
        (["tint", "in.png", "-o", "none/x.png"], "there is no folder none"),
        (["tint", "in.png", "-o", "none/new/"], "there is no folder none"),
        (["tint", "in.png", "none.png", "-o", "new"], "none.png"),
        (["styles", "-o", "none/sheet.png"], "there is no folder none"),
        (["tint", "in.png", "-o", "x.png", "--strength", "2"], "from 0 to 1"),
        (["tint", "in.png", "-o", "x.png", "--strength", "nan"], "number"),
        (["tint", "in.png", "-o", "x.png", "--strength", "much"], "number"),
        (["tint", "in.png", "-o", "x.png", "--mix", "red"], "NAME:0.5"),
        (["tint", "in.png", "-o", "x.png", "--mix", ":1"], "NAME:0.5"),
        (["tint", "in.png", "-o", "x.png", "--mask", "none.png"], "none.png"),
        (["tint", "in.png", "-o", "x.png", "--stength", "1"], "'--strength'"),
        (["tint", "in.png", "-o", "x.png", "--provider", "cud"], "'cuda'"),
        (["tint", "in.png", "-o", "x.gif"], ".png"),
        (["tint", "in.png"], "-o/--output"),
        (["tint", "in.png", "in.png", "-o", "x.png"], "folder"),
        (["tint", "none.png", "-o", "x.png"], "none.png"),
        (["tint", "empty", "-o", "x"], "no picture"),
        (["tint", "in.png", "-o", "in.png/x.png"], "in.png/x.png"),
        (["tnit", "in.png"], "'tint'"),
        (["about", "none.png"], "none.png"),
        (["models", "show"], "which bundle"),
        (["models", "show", "none"], "none"),
        (["train", "style", "--set", "steps"], "KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_sentence(
    run: Callable[..., Run], tmp_path: Path, words: list[str], said: str
):
    picture(tmp_path / "in.png")
    (tmp_path / "empty").mkdir()
    assert said in one_error(run(*words))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "in.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_ends_cleanly(tmp_path: Path):
    picture(tmp_path / "in.png")
    command = [*TINY, "tint", "in.png", "-o", "out.png", "--strength", "0", "--quiet"]
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert (child.returncode, said) == (130, "cancelled\n")
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


def test_styles_are_listed_and_drawn(run: Callable[..., Run], tmp_path: Path):
    folder = str(styles(tmp_path).parent)
    listed = run("styles", command=REAL, TRIPTYCH_BUNDLES=folder).stdout
    rows = [" ".join(line.split()) for line in listed.splitlines()]
    assert "wave A Wave Hokusai 1831" in rows
    done = run("styles", "-o", "sheet.png", command=REAL, TRIPTYCH_BUNDLES=folder)
    assert done.stdout == "sheet.png\n"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 400
    about = run("about", "sheet.png").stdout
    assert "composed of other pictures" in about
    assert "brushes 1.2.3" in about
    again = ("styles", "-o", "sheet.png", "--overwrite", "--no-provenance")
    assert run(*again, command=REAL, TRIPTYCH_BUNDLES=folder).returncode == 0
    assert "no record" in run("about", "sheet.png").stdout


def test_models_are_listed_shown_and_verified(run: Callable[..., Run], tmp_path: Path):
    bundle = styles(tmp_path)
    broken = styles(tmp_path, "broken")
    (broken / "card.json").write_text("{")
    folder = str(bundle.parent)

    def models(*words: str) -> Run:
        return run("models", *words, command=REAL, TRIPTYCH_BUNDLES=folder)

    done = models()
    assert done.returncode == 2
    assert any(line.split()[:2] == ["brushes", "1.2.3"] for line in done.stdout.splitlines())
    assert "broken" in done.stderr
    shown = models("show", "brushes").stdout
    for said in ("CC0-1.0", "Hokusai", "paintings", "speed: 3 s (benchmarks/speed.py)"):
        assert said in shown
    assert models("verify", "brushes").returncode == 0
    (bundle / "wave.png").write_bytes(b"other")
    assert "wave.png" in one_error(models("verify", "brushes"))


def test_training_without_torch_names_the_extra(run: Callable[..., Run], tmp_path: Path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no', name='torch')\n")
    done = run("train", "style", command=REAL, PYTHONPATH=str(tmp_path))
    assert re.search(r"`\S+ -m pip install .*\[train\]'`", one_error(done))


def test_a_fault_of_ours_is_one_sentence_too(run: Callable[..., Run], tmp_path: Path):
    picture(tmp_path / "in.png")
    code = "import tiny_task, sys; sys.exit(tiny_task.main())"
    fault = "tiny_task.TINT.function.__code__ = (lambda p, j, e, **v: 1 / 0).__code__; "
    command = [sys.executable, "-c", code.replace("sys.exit", fault + "sys.exit", 1)]
    done = run("tint", "in.png", "-o", "x.png", command=command, PYTHONPATH=str(HERE))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "ZeroDivisionError" in line
    assert "TRIPTYCH_DEBUG=1" in line


def test_the_command_imports_little():
    code = (
        "import json, sys; before = set(sys.modules); import triptych.cli; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "onnxruntime", "PIL", "rich", "torch", "platformdirs", "asyncio"}
    assert not heavy & set(json.loads(done.stdout))
