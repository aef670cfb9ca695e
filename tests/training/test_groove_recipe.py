"""The recipe `groove`, on a data set made here: what it is told, what it learns, its bundle."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.errors import UserError
from triptych.music import kit, midi
from triptych.music.groove_model import GrooveModel
from triptych.music.kit import LEVELS, WINDOW, Known
from triptych.music.score import Score, Track, notes
from triptych.training import commands, loop
from triptych.training.loop import Recipe, Run
from triptych.training.music import groove, groove_data
from triptych.training.music.groove_net import ascending, pinball

HEAD = "drummer,style,bpm,time_signature,midi_filename,split"


def take(seed: int, metre: tuple[int, int] = (4, 4)) -> Score:
    """Eight bars: hats 20 ms late between beats and soft there, with a little noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for eighth in range(16 * metre[0]):
        between = eighth % 2
        late = (0.04 if between else 0) + rng.uniform(0, 0.01)
        rows.append((eighth / 2 + late, 0.1, 22, 50 if between else 90))
        if eighth % 2 == 0:
            rows.append((eighth / 2 + rng.uniform(0, 0.01), 0.1, 36 if eighth % 4 else 38, 100))
    return Score((Track(notes(rows), drums=True),), ((0.0, 120.0),), ((0.0, *metre),))


@pytest.fixture(autouse=True)
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Groove MIDI Dataset of six takes in TRIPTYCH_DATA."""
    path = tmp_path / "data/music/groove_midi/groove_v1_midi.tar.xz"
    path.parent.mkdir(parents=True)
    lines, files = [HEAD], {}
    for number in range(6):
        metre = (3, 4) if number == 5 else (4, 4)
        split = ("train", "train", "train", "validation", "test", "train")[number]
        style = "rock/fast" if number % 2 else "polka"
        name = f"drummer1/{number}.mid"
        files[name] = midi.encode(take(number, metre))
        lines.append(f"drummer1,{style},120,{metre[0]}-{metre[1]},{name},{split}")
    files["info.csv"] = "\n".join(lines).encode()
    with tarfile.open(path, "w:xz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    return path


def recipe(**settings: object) -> groove.GrooveRecipe:
    small = {"width": 24, "layers": 1, "steps": 30, "batch": 8, "accelerator": "cpu"}
    made = commands._recipe("groove", {**small, "warmup": 2, "ema": 0.5, **settings})
    assert isinstance(made, groove.GrooveRecipe)
    return made


def test_takes_are_on_a_grid_with_style_and_split() -> None:
    takes = groove_data.performances(recipe().sources()[0])
    assert [t.split for t in takes].count("train") == 4
    assert {t.style for t in takes} == {-1, kit.STYLES.index("rock")}
    one = takes[0].grid
    assert len(one) == 8 * 16
    assert one.hits[:, kit.PIECES.index("closed hat")].sum() == 64
    assert one.offset[2, 2] == pytest.approx(0.04 * 4, abs=0.05)
    assert one.place[16:20].tolist() == [0, 1, 2, 3]
    waltz = next(t for t in takes if t.metre == "3-4")
    assert waltz.grid.place[12] == 0
    windows = groove_data.two_bars(takes)
    assert len(windows) == 5 * 7
    assert groove_data.cut(windows).hits.shape == (35, WINDOW, 9)


def test_another_tar_is_refused(data_set: Path) -> None:
    with tarfile.open(data_set, "w:xz") as tar:
        member = tarfile.TarInfo("info.csv")
        member.size = 8
        tar.addfile(member, io.BytesIO(b"a,b\n1,2\n"))
    with pytest.raises(UserError, match="Groove"):
        recipe().setup(torch.device("cpu"))


def test_what_is_hidden_is_not_told() -> None:
    made = recipe()
    made.setup(torch.device("cpu"))
    for index in range(60):
        rng = np.random.default_rng(index)
        chosen, start = made.train[index % len(made.train)]
        each = groove.known_of([groove.told(chosen, start, made.settings, rng)])
        grid = groove_data.cut([(chosen, start)])
        known = Known(**{k: v for k, v in each.items() if k != "triplets"})
        batch = groove.inputs(grid, each)
        other = groove_data.cut([(chosen, start)])
        hidden = known.hits == 0
        other.hits = np.where(hidden, 1 - other.hits, other.hits)
        felt = grid.hits * known.hits * known.feel
        other.velocity = np.where(felt > 0, other.velocity, 0.123).astype(np.float32)
        other.offset = np.where(felt > 0, other.offset, -0.4).astype(np.float32)
        other.written = grid.written
        np.testing.assert_array_equal(kit.features(other, known), batch["features"])
        assert not (batch["unsure"] * known.hits).any()
        assert not (batch["unfelt"] * felt).any()


def test_an_example_depends_on_its_number_alone() -> None:
    made = recipe()
    made.setup(torch.device("cpu"))
    whole, half = (
        made.batch(range(8), torch.device("cpu")),
        made.batch(range(4, 8), torch.device("cpu")),
    )
    for name, values in half.items():
        assert torch.equal(whole[name][4:], values)
    assert whole["features"].shape == (8, WINDOW, kit.FEATURES)


def test_quantiles_ascend_and_the_loss_finds_them() -> None:
    raw = torch.randn(7, len(LEVELS))
    made = ascending(raw)
    assert (made.diff(dim=-1) > 0).all()
    assert torch.equal(made[:, 4], raw[:, 4])
    values = torch.rand(4000)
    right = torch.tensor(LEVELS).expand(4000, -1)
    best = pinball(values, right).mean()
    for wrong in (right + 0.1, right - 0.1, (right - 0.5) * 0.5 + 0.5):
        assert pinball(values, wrong).mean() > best


def test_f1_and_its_threshold() -> None:
    hits = np.zeros((1, 4, 9))
    hits[0, :2, 0] = 1
    logits = np.where(hits > 0, 0.1, -0.3)
    threshold, score = groove.best_threshold(logits, hits, np.ones((1, 4, 1)))
    assert score == 1 and 0.42 < threshold <= 0.525
    assert groove.f1(hits, np.ones_like(hits)) == pytest.approx(2 * 2 / (2 + 36))


def test_it_learns_exports_and_runs(tmp_path: Path) -> None:
    made: Recipe = recipe(steps=120, rate=0.02, log_every=40, dropout=0.0)
    assert isinstance(made, groove.GrooveRecipe)
    run = loop.fit(made, Run(tmp_path / "run", settings={}))
    folder = made.export(loop.averaged(made, run), run, tmp_path / "bundle")
    found = bundle.open_bundle(folder)
    assert found.card.parity["groove"]["max_abs"] <= 1e-3
    assert found.card.data[0]["licence"] == "CC-BY-4.0"
    assert "Gillick" in found.card.notes
    figures = {m["name"]: m["value"] for m in found.card.metrics}
    assert figures["validation, timing error"] < 6
    assert figures["validation, velocity error"] < 8
    model = GrooveModel(found, Engine(["cpu"], 1))
    assert -0.03 < model.ahead < 0
    score = take(9)
    grid = kit.grid_of(score, score.tracks[0].notes, 8 * 16)
    said = model.say(grid, Known.of(grid, 1, 0), Job())
    assert said.offset.shape == (128, 9, len(LEVELS))
    late = said.offset[np.arange(2, 126, 4), 2, 4].mean() - said.offset[4:126:4, 2, 4].mean()
    assert 0.08 < late < 0.22
