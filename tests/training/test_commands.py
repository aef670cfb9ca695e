"""`triptych train` and `triptych export`, as the command line calls them."""

import json
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych import cli
from triptych.bundle import get_bundle, open_bundle
from triptych.errors import Cancelled
from triptych.training import commands, loop


def error(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What the command says to a mistake, which is one line."""
    capsys.readouterr()
    assert cli.main([str(word) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_style_of_ones_own_is_a_bundle_at_once(
    waves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["train", "style", "--from", str(waves), "--name", "my-waves"]
    assert cli.main([*words, "--minutes", "5", "--set", "seed=3"]) == 0
    bundle = get_bundle("my-waves", "tiny")
    assert bundle.path == tmp_path / "user/bundles/my-waves"
    assert capsys.readouterr().out.splitlines()[-1] == str(bundle.path)
    assert bundle.card.recipe["loop"]["minutes"] == 5
    assert bundle.card.recipe["loop"]["seed"] == 3
    (run,) = (tmp_path / "user/runs").iterdir()
    assert run.name == f"my-waves-{date.today().isoformat()}"
    # A second of that name would override the first.
    assert "my-waves already" in error(capsys, *words)
    assert "my-waves already" in error(capsys, "export", run)
    shutil.rmtree(bundle.path)
    assert cli.main(["export", str(run)]) == 0
    assert open_bundle(bundle.path).card.recipe == bundle.card.recipe
    assert cli.main(["export", str(run), "--name", "other"]) == 0
    assert get_bundle("other").card.name == "other"


def test_a_run_is_resumed_and_exported(
    waves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--from", str(waves), "--licence", "CC-BY-4.0", "--set", "steps=3"]
    assert cli.main(["train", "tiny", "--name", "first", *words]) == 0
    run = tmp_path / f"runs/tiny-{date.today().isoformat()}"
    run = run.with_name(run.name.replace("tiny", "first"))
    assert f"triptych export {run}" in capsys.readouterr().out
    settings = json.loads((run / "settings.json").read_text())
    assert settings["recipe"] == "tiny"
    assert settings["settings"]["licence"] == "CC-BY-4.0"
    assert settings["loop"]["steps"] == 3
    again = commands.train("tiny", {"rate": "1e-3"}, resume=run, steps=5)
    assert (again.step, again.path) == (5, run)
    settings = json.loads((run / "settings.json").read_text())
    assert (settings["settings"]["rate"], settings["loop"]["steps"]) == (0.001, 5)
    assert cli.main(["export", str(run), "-o", "here/it"]) == 0
    bundle = open_bundle(tmp_path / "here/it")
    assert bundle.card.data[0]["licence"] == "CC-BY-4.0"
    assert cli.main(["export", str(run), "-o", "here/it"]) == 0  # asked for by its place
    assert "not of style" in error(capsys, "train", "style", "--resume", run)
    assert "holds a run" in error(capsys, "train", "tiny", *words, "-o", run)
    assert cli.main(["train", "tiny", "--name", "first", *words]) == 0
    assert run.with_name(f"{run.name}-2").is_dir()


def test_an_interrupted_run_says_how_to_go_on(
    waves: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    fit = loop.fit

    def stopped(recipe: Any, run: Any, resume: bool) -> Any:
        fit(recipe, run, resume, stop_after=2)
        run.interrupted = True
        return run

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", stopped)
        with pytest.raises(Cancelled):
            commands.train("style", sources=[waves], name="mine")
    line = capsys.readouterr().out.splitlines()[-1]
    words = line.partition("`triptych ")[2].rstrip("`").split()
    assert cli.main(words) == 0
    assert get_bundle("mine").card.recipe["steps"] == 6


def test_mistakes_are_one_sentence(
    waves: Path, tiny: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bare = tiny.pictures(tmp_path / "bare", licence="")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/settings.json").write_text("{")
    own = ["train", "style", "--from", waves]
    mistakes: list[tuple[list[Any], str]] = [
        (["train", "stile"], "did you mean 'style'"),
        ([*own, "--set", "setps=3", "--name", "x"], "did you mean 'steps'"),
        ([*own, "--set", "steps=many", "--name", "x"], "steps must be a whole number"),
        ([*own, "--set", "steps=1.5", "--name", "x"], "steps must be a whole number"),
        ([*own, "--set", "rate=NaN", "--name", "x"], "rate must be a number"),
        ([*own, "--set", "adversarial=maybe", "--name", "x"], "yes or no"),
        ([*own, "--name", "../x"], "cannot be a bundle's name"),
        ([*own, "--name", ""], "needs a name"),
        ([*own, waves / "0.png", "--name", "x"], "source must be a word"),
        (["train", "style", "--from", bare, "--name", "x"], "without a licence"),
        (["train", "style", "--from", tmp_path / "none", "--name", "x"], "does not exist"),
        (["train", "perceptual", "--from", waves], "leave --from out"),
        (["train", "tiny", "--resume", tmp_path], "is not a run"),
        (["train", "tiny", "--resume", tmp_path / "bad"], "settings.json is damaged"),
        (["export", tmp_path], "is not a run"),
        ([*own, "--name", "x", "-o", waves / "0.png"], "cannot write"),
    ]
    for words, said in mistakes:
        assert said in error(capsys, *words)
    assert not (tmp_path / "user").exists()
    assert not (tmp_path / "runs").exists()


def test_settings_take_their_fields_types():
    @dataclass
    class Kinds:
        whole: int
        part: float
        switch: bool
        word: str
        many: list[int]
        maybe: int | None

    for key, given, made in [
        ("whole", "1e3", 1000),
        ("part", 2, 2.0),
        ("switch", "yes", True),
        ("switch", 0, False),
        ("word", 7, "7"),
        ("many", "1,2", [1, 2]),
        ("many", 5, [5]),
        ("maybe", "none", None),
        ("maybe", "4", 4),
    ]:
        found = commands._fitting(key, given, Kinds.__dataclass_fields__[key].type)
        assert (found, type(found)) == (made, type(made))


def test_each_recipe_of_the_table_says_what_it_takes():
    assert {"perceptual", "style", "own-style", "artist"} <= set(commands.recipes())
    for name in ("perceptual", "style"):
        assert commands._recipe(name, {"steps": 3}).loop.steps == 3
