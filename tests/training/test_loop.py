"""The loop on a tiny recipe: a run is the same run however it is cut, spread or watched."""

import csv
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from triptych.errors import UserError
from triptych.training.loop import Recipe, Run, averaged, fit

Make = Callable[..., Recipe]
SCRIPT = str(Path(__file__).with_name("tiny_recipe.py"))


def saved(run: Run) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run.checkpoint, weights_only=True)
    return state


def rows(path: Path) -> list[dict[str, float]]:
    with (path / "metrics.csv").open() as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def assert_same(one: dict[str, Any], other: dict[str, Any], within: float = 0.0) -> None:
    """Weights, their averages and the optimisers' state agree; `within` 0: in every bit."""
    assert one["step"] == other["step"]
    for key in ("modules", "average", "optimizers"):
        torch.testing.assert_close(one[key], other[key], atol=within, rtol=0)


def child(*words: object) -> list[str]:
    return [SCRIPT, *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}


def test_cut_and_resumed_is_uninterrupted(recipe: Make, tmp_path: Path):
    whole = fit(recipe(dropout=0.2), Run(tmp_path / "whole"))
    cut = Run(tmp_path / "cut")
    fit(recipe(dropout=0.2, picture_every=1), cut, stop_after=2)
    assert saved(cut)["step"] == 2
    fit(recipe(dropout=0.2), Run(cut.path), resume=True, stop_after=1)
    again = fit(recipe(dropout=0.2), Run(cut.path), resume=True)
    assert_same(saved(again), saved(whole))
    assert again.seconds > cut.seconds > 0
    # The log and the picture of each step did not disturb it either.
    without_time = [[{**row, "seconds": 0} for row in rows(r.path)] for r in (whole, again)]
    assert without_time[0] == without_time[1]
    assert [row["step"] for row in rows(cut.path)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint(
    recipe: Make, waves: Path, tmp_path: Path, number: signal.Signals
):
    words = ["--from", waves, "-o", tmp_path / "run", "--set", "pause=0.1", "--set", "steps=80"]
    running = subprocess.Popen(
        [sys.executable, *child("train", "tiny", *words)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout
    while "step 3" not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(number)
    said, wrong = running.communicate(timeout=60)
    assert (running.returncode, wrong) == (130, "cancelled\n")
    run = Run(tmp_path / "run")
    step = saved(run)["step"]
    assert 3 <= step < 80
    assert f"stopped at step {step}: go on with `triptych train tiny --resume" in said
    # Interrupted there and resumed here, it is the uninterrupted run.
    fit(recipe(steps=80), run, resume=True, stop_after=5)
    whole = fit(recipe(steps=80), Run(tmp_path / "whole"), stop_after=step + 5)
    assert_same(saved(run), saved(whole))


def test_signals_are_as_before(recipe: Make, tmp_path: Path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    fit(recipe(), Run(tmp_path / "run"))
    with pytest.raises(UserError):
        fit(recipe(rate=1e30), Run(tmp_path / "other"))
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_accumulated_is_the_large_batch(recipe: Make, tmp_path: Path):
    settings = {"adversarial": True, "clip": 0.5}
    large = fit(recipe(**settings), Run(tmp_path / "large"))
    small = fit(recipe(**settings, accumulate=4), Run(tmp_path / "small"))
    assert_same(saved(large), saved(small), within=1e-5)


def test_two_processes_are_one(recipe: Make, waves: Path, tmp_path: Path):
    settings = {"adversarial": True, "clip": 0.5, "accumulate": 2, "batch": 8, "log_every": 2}
    one = fit(recipe(**settings), Run(tmp_path / "one"))
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [
            *[sys.executable, *launcher],
            *child("train", "tiny", "--from", waves, "-o", tmp_path / "two", *words),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 6") == 1
    assert done.stdout.count("trained") == 1
    assert_same(saved(one), saved(Run(tmp_path / "two")), within=1e-5)
    for alone, spread in zip(rows(one.path), rows(tmp_path / "two"), strict=True):
        assert alone["net"] == pytest.approx(spread["net"], abs=1e-5)
        assert alone["judge"] == pytest.approx(spread["judge"], abs=1e-5)


def test_bf16_learns(recipe: Make, tmp_path: Path):
    fit(recipe(precision="bf16-mixed", steps=40, rate=0.02), Run(tmp_path / "run"))
    losses = [row["net"] for row in rows(tmp_path / "run")]
    assert losses[-1] < 0.5 * losses[0]


def test_bf16_rounds_no_input(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = recipe(precision="bf16-mixed", steps=1)
    seen: set[torch.dtype] = set()
    setup = made.setup

    def watched(device: torch.device) -> dict[str, torch.nn.Module]:
        modules = setup(device)
        for module in modules.values():
            module.register_forward_pre_hook(lambda _, given: seen.update(x.dtype for x in given))
        return modules

    monkeypatch.setattr(made, "setup", watched)
    fit(made, Run(tmp_path / "run"))
    assert seen == {torch.float32}


def test_the_average_follows_the_weights(recipe: Make, tmp_path: Path):
    made, run = recipe(ema=0.5, steps=20), Run(tmp_path / "run")
    torch.manual_seed(0)
    start = made.setup(torch.device("cpu"))["net"].state_dict()
    average = {f"net.{key}": value for key, value in start.items()}
    for step in range(1, 13):
        fit(recipe(ema=0.5, steps=20), run, resume=step > 1, stop_after=1)
        now = saved(run)
        decay = min(0.5, step / (step + 10))
        average = {k: decay * v + (1 - decay) * now["modules"][k] for k, v in average.items()}
        torch.testing.assert_close(now["average"], average)
    averages = averaged(recipe(), run)["net"].state_dict()
    torch.testing.assert_close({f"net.{k}": v for k, v in averages.items()}, average)


def test_the_log_and_the_picture(recipe: Make, tmp_path: Path):
    fit(recipe(steps=7, log_every=3, dropout=0.1), Run(tmp_path / "run"))
    fit(recipe(steps=7, dropout=0.1), Run(tmp_path / "each"))
    found, each = rows(tmp_path / "run"), rows(tmp_path / "each")
    assert [row["step"] for row in found] == [3, 6, 7]
    for row, part in zip(found, (each[:3], each[3:6], each[6:]), strict=True):
        assert row["net"] == pytest.approx(sum(r["net"] for r in part) / len(part))
    with Image.open(tmp_path / "run/progress.png") as curves:
        assert curves.width == 2 * curves.height
    with Image.open(tmp_path / "run/sample.png") as sample:
        assert sample.size == (16, 16)


def test_a_time_limit_counts_what_was_before(recipe: Make, tmp_path: Path):
    settings = {"steps": 10**6, "minutes": 0.01, "log_every": 10**6, "checkpoint_every": 10**6}
    run = fit(recipe(**settings), Run(tmp_path / "run"))
    assert 0.6 <= run.seconds < 5
    assert fit(recipe(**settings), Run(run.path), resume=True).step == run.step


def test_a_full_disk_leaves_the_checkpoint(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = fit(recipe(), Run(tmp_path / "run"), stop_after=2)
    before = run.checkpoint.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("triptych.files.os.fsync", full)
        with pytest.raises(UserError, match="disk is full"):
            fit(recipe(log_every=100), Run(run.path), resume=True)
    assert run.checkpoint.read_bytes() == before
    assert not list(run.path.glob(".*"))


def test_a_loss_that_is_no_number_is_one_sentence(recipe: Make, tmp_path: Path):
    run = fit(recipe(), Run(tmp_path / "run"), stop_after=2)
    with pytest.raises(UserError, match=r"no longer a number at step [3-6]:") as caught:
        fit(recipe(rate=1e30), run, resume=True)
    assert "\n" not in str(caught.value)
    assert saved(run)["step"] == 2
    assert fit(recipe(), run, resume=True).step == 6  # a sound rate again


def test_a_checkpoint_that_does_not_fit(recipe: Make, tmp_path: Path):
    run = Run(tmp_path / "run")
    with pytest.raises(UserError, match="no checkpoint"):
        fit(recipe(), run, resume=True)
    fit(recipe(), run, stop_after=1)
    with pytest.raises(UserError, match="other settings"):
        fit(recipe(adversarial=True), run, resume=True)
    run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        fit(recipe(), run, resume=True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 5, "accumulate": 2}, "multiple of 2"),
        ({"steps": 0}, "steps is 0"),
        ({"precision": "bf17"}, "precision"),
        ({"accelerator": "abacus"}, "accelerator"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"minutes": -1.0}, "minutes is -1"),
    ],
)
def test_settings_that_do_not_fit(
    recipe: Make, tmp_path: Path, settings: dict[str, Any], said: str
):
    with pytest.raises(UserError, match=said):
        fit(recipe(**settings), Run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
