"""Synthesis by the model that ships: seeds, sizes, sheets, strips, variations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych import cli
from triptych.engine import Engine, Job
from triptych.errors import Cancelled, UserError
from triptych.image.picture import Picture, load, save
from triptych.image.synthesis import COLUMNS, FILL, ROWS, STEPS, SYNTHESIZE
from triptych.provenance import read

ENGINE = Engine(["cpu"], threads=1)


def made(job: Job | None = None, **values: Any) -> np.ndarray:
    asked = {"size": "256", **values}
    picture = SYNTHESIZE.run(None, job, ENGINE, **asked).made
    assert isinstance(picture, np.ndarray)
    return picture


def composition(picture: np.ndarray) -> np.ndarray:
    """Without grain: the means of squares of 32 px."""
    return picture.reshape(8, 32, 8, 32, 3).mean((1, 3))


def test_a_seed_makes_the_same_again_and_another_another():
    one, same, other = (made(seed=seed) for seed in (4, 4, 5))
    assert one.shape == (256, 256, 3) and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 1
    assert np.array_equal(one, same)
    assert np.abs(one - other).mean() > 0.01


def test_domains_differ():
    one, other = (made(domain=name) for name in ("landscape", "coast"))
    assert np.abs(one - other).mean() > 0.05


def test_a_manner_is_another_painting_of_the_same_picture():
    drawn = np.random.default_rng(0).random((80, 80, 3), np.float32)
    own, style, picture = (made(seed=1, manner=m) for m in ("auto", "monet", drawn))
    for one, other in ((own, style), (own, picture), (style, picture)):
        assert np.abs(one - other).mean() > 0.01
    assert np.array_equal(own, made(seed=1, manner="vangogh-wheatfield-cypresses"))
    unlike = composition(made(seed=7))
    assert (
        np.abs(composition(own) - composition(style)).mean()
        < np.abs(composition(own) - unlike).mean()
    )
    with pytest.raises(UserError, match="did you mean 'monet'"):
        made(manner="monett")


def test_fully_truncated_all_seeds_have_one_composition():
    """Only their grain differs."""

    def apart(truncation: float) -> float:
        small = [composition(made(seed=seed, truncation=truncation)) for seed in (1, 2)]
        return float(np.abs(small[0] - small[1]).mean())

    assert apart(0.0) < apart(1.0) / 3


def test_a_strip_goes_from_one_seed_to_the_other():
    strip = made(seed=3, other=8, result="strip")
    assert strip.shape == (256, 256 * STEPS, 3)
    first, last = strip[:, :256], strip[:, -256:]
    assert np.abs(first - made(seed=3)).max() < 1e-5
    middle = strip[:, 512:768]
    whole = np.abs(first - last).mean()
    assert np.abs(first - middle).mean() < whole and np.abs(middle - last).mean() < whole


def test_a_sheet_holds_the_pictures_of_the_next_seeds():
    sheet = made(seed=6, result="sheet")
    assert sheet.shape == (256 * ROWS, 256 * COLUMNS, 3)
    assert np.array_equal(sheet[:256, 256:512], made(seed=7))


def test_all_levels_mixed_are_the_other_seeds_composition():
    own = made(seed=2)
    mixed, unlike, like = (
        composition(one) for one in (made(seed=2, other=9, mix=5), own, made(seed=9))
    )
    assert np.abs(mixed - like).mean() < np.abs(mixed - unlike).mean()
    assert np.array_equal(made(seed=2, other=9, mix=0), own)


def test_a_picture_is_varied_by_as_much_as_is_asked():
    given_ = np.random.default_rng(0).random((90, 120, 3), np.float32)
    near, far = (made(like=given_, vary=vary, seed=3) for vary in (0.0, 1.0))
    assert np.abs(far - made(seed=3)).max() < 1e-4
    assert np.abs(near - far).mean() > 0.001
    with pytest.raises(UserError, match="means nothing without"):
        made(vary=0.5)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 2**31 - 1))
def test_a_picture_of_any_size_is_covered(height: int, width: int, seed: int):
    before = np.zeros((height, width, 3), np.float32)
    covered = FILL.run(before, None, ENGINE, seed=seed).made
    assert isinstance(covered, np.ndarray) and covered.shape == before.shape
    assert np.isfinite(covered).all() and covered.min() >= 0 and covered.max() <= 1
    assert before.max() == 0


def test_cancelling():
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        made(job)


def test_it_is_a_command_whose_file_says_how_it_was_made(tmp_path: Path):
    target = tmp_path / "coast.png"
    words = ["synthesize", "-o", str(target), "--domain", "coast", "--seed", "12"]
    assert cli.main([*words, "--size", "512"]) == 0
    assert load(target).pixels.shape == (512, 512, 3)
    record = read(target)
    assert record is not None and record.seed == 12
    assert [one["name"] for one in record.bundles] == ["synthesize", "style", "upscale-crisp"]
    save(Picture(np.zeros((40, 60, 3), np.float32)), tmp_path / "in.png")
    words = ["synthesize", "-o", str(tmp_path / "near.png"), "--like", str(tmp_path / "in.png")]
    assert cli.main([*words, "--size", "256"]) == 0


def test_a_domain_that_is_not_there():
    with pytest.raises(UserError, match="did you mean 'coast'"):
        made(domain="coasts")
