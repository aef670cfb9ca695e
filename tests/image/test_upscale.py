"""The task `upscale` on a tiny bundle with random weights, through the real engine."""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

import triptych
from triptych import batch, bundle, client, provenance
from triptych.engine import Engine, Event, Job
from triptych.errors import Cancelled, UserError
from triptych.image.picture import Picture, load, save
from triptych.image.resample import enlarge, shrink
from triptych.image.upscale import SCALES, TASK, reach
from triptych.models import models
from triptych.task import all_tasks, get_task
from triptych.training.image.explore_export import export_explore
from triptych.training.image.explore_net import ExploreNet
from triptych.training.image.upscale_export import PlainUpscale, export_upscale
from triptych.training.image.upscale_net import UpscaleNet

Floats = NDArray[Any]
DEPTH = 3
scales = pytest.mark.parametrize("scale", SCALES)


def net(seed: int = 0, detail: float = 0.05, twice: tuple[int, ...] = ()) -> UpscaleNet:
    """A network whose heads add about `detail` to what bicubic interpolation gives."""
    torch.manual_seed(seed)
    made = UpscaleNet(8, DEPTH, twice)
    for one in made.nets:
        torch.nn.init.normal_(one.head.weight, std=detail)
    return made


def explorers() -> list[ExploreNet]:
    """Networks that draw about a tenth of what a pixel can be."""
    made = [ExploreNet(one, 1, 4) for one in net(detail=0.02).nets]
    for one in made:
        torch.nn.init.normal_(one.head.weight, std=0.05)
    return made


@pytest.fixture(autouse=True, scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The only bundles: `upscale`; `plain`, which adds nothing to interpolation; `explore`, which
    draws."""
    folder = tmp_path_factory.mktemp("user")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(folder))
        patch.delenv("TRIPTYCH_BUNDLES", raising=False)
        patch.setattr(bundle, "shipped_folder", lambda: folder / "shipped")
        export_upscale(net(), folder / "shipped" / "upscale")
        export_upscale(net(detail=0.0), folder / "bundles" / "plain", name="plain")
        export_explore(explorers(), folder / "bundles" / "explore", name="explore")
        yield folder
    torch.set_num_threads(threads)


@functools.cache
def engine() -> Engine:
    return Engine(["cpu"], threads=1)


def scene(height: int, width: int, seed: int = 0) -> Floats:
    """Soft waves of colour with hard-edged boxes: H x W x 3 within 0..1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 24
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(1, 6, (3, 3))]
    picture = 0.5 + 0.2 * np.stack(waves, 2)
    for _ in range(6):
        top, left = rng.integers(height), rng.integers(width)
        picture[top : top + 9, left : left + 7] = rng.uniform(0, 1, 3)
    return picture.astype(np.float32)


def larger(picture: Floats, job: Job | None = None, **values: Any) -> Floats:
    made = TASK.run(picture, job, engine(), **values).made
    scale = values.get("scale", 2)
    assert made.shape == (scale * picture.shape[0], scale * picture.shape[1], 3)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() <= 1
    return made


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from(SCALES))
@example(1, 1, 4)
@example(1, 300, 3)
@example(131, 2, 2)
def test_any_size_grows_by_the_scale(height: int, width: int, scale: int):
    larger(scene(height, width), scale=scale, tile=64)


@settings(deadline=None, max_examples=15)
@given(st.integers(20, 200), st.integers(20, 200), st.sampled_from(SCALES), st.integers(64, 200))
def test_tiles_agree_with_the_whole(height: int, width: int, scale: int, tile: int):
    picture = scene(height, width)
    whole = larger(picture, scale=scale, tile=8192)
    np.testing.assert_allclose(larger(picture, scale=scale, tile=tile), whole, atol=1e-5)


@settings(deadline=None, max_examples=6)
@given(st.integers(20, 90), st.integers(20, 90), st.sampled_from(SCALES), st.integers(0, 7))
def test_the_average_is_the_same_however_the_picture_lies(
    height: int, width: int, scale: int, attitude: int
):
    picture = scene(height, width)

    def lying(values: Floats) -> Floats:
        turned = np.rot90(values, attitude % 4)
        return np.ascontiguousarray(turned[:, ::-1] if attitude > 3 else turned)

    made = larger(picture, scale=scale, average=True)
    other = larger(lying(picture), scale=scale, average=True, tile=64)
    np.testing.assert_allclose(other, lying(made), atol=1e-5)
    assert np.abs(made - larger(picture, scale=scale)).max() > 1e-3


def test_a_model_that_draws_draws_once():
    picture = scene(30, 40)
    once = larger(picture, model="explore", seed=3)
    assert np.array_equal(larger(picture, model="explore", seed=3, average=True), once)


@scales
@pytest.mark.parametrize("twice", [False, True])
def test_a_tile_reads_no_less_than_the_network_sees(scale: int, twice: bool, tmp_path: Path):
    """The card's overlap is the receptive field: a farther pixel changes nothing, the last does."""
    whole = net(detail=0.3, twice=(scale,) if twice else ())
    for one in whole.nets:
        if one.again is not None:
            torch.nn.init.constant_(one.again, 0.5)
    plain = PlainUpscale(whole.nets[SCALES.index(scale)])
    found = bundle.open_bundle(export_upscale(whole, tmp_path / "upscale"))
    x = torch.rand(1, 3, 41, 41, requires_grad=True)
    made = plain.net(x)
    middle = made[..., 20 * scale : 21 * scale, 20 * scale : 21 * scale]
    (slope,) = torch.autograd.grad(middle.abs().sum(), x)
    seen = torch.nonzero(slope.abs().sum((0, 1)) > 1e-6 * slope.abs().max())
    assert (seen - 20).abs().max() <= reach(found, scale)
    assert reach(found, scale) == DEPTH * (1 + twice) + 2


@scales
def test_a_network_that_adds_nothing_is_bicubic(scale: int):
    """And so of a flat picture: it stays flat."""
    picture = scene(30, 41)
    made, wanted = larger(picture, scale=scale, model="plain"), enlarge(picture, scale).clip(0, 1)
    inside = slice(3 * scale, -3 * scale)
    np.testing.assert_allclose(made[inside, inside], wanted[inside, inside], atol=1e-5)
    flat = np.full((20, 9, 3), 0.3, np.float32)
    np.testing.assert_allclose(larger(flat, scale=scale, model="plain"), 0.3, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from(SCALES), st.integers(0, 99))
def test_reduction_is_matlabs(rows: int, columns: int, scale: int, seed: int):
    """`shrink` against a direct sum over the mirrored picture, Keys' kernel widened by `scale`."""
    picture = np.random.default_rng(seed).random((rows * scale, columns * scale, 1))

    def kernel(size: int) -> Floats:
        at = (np.arange(size // scale) + 0.5) * scale - 0.5
        source = np.arange(-4 * scale, size + 4 * scale)
        away = np.abs(at[:, None] - source) / scale
        weights = np.where(
            away <= 1,
            1.5 * away**3 - 2.5 * away**2 + 1,
            np.where(away < 2, -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2, 0),
        )
        folded = np.zeros((len(at), size))
        mirrored = np.pad(np.arange(size), 4 * scale, "symmetric")
        np.add.at(folded.T, mirrored, weights.T)
        return folded / weights.sum(1, keepdims=True)

    wanted = kernel(rows * scale) @ picture[..., 0] @ kernel(columns * scale).T
    np.testing.assert_allclose(shrink(picture, scale)[..., 0], wanted, atol=2e-6)


def test_grey_stays_grey(tmp_path: Path):
    grey = np.repeat(scene(20, 30)[..., :1], 3, 2)
    made = larger(grey, scale=3)
    assert np.array_equal(made[..., 0], made[..., 1])
    assert np.array_equal(made[..., 0], made[..., 2])
    Image.fromarray((grey[..., 0] * 255).astype(np.uint8)).save(tmp_path / "grey.png")
    run(tmp_path / "grey.png", tmp_path / "made.png")
    with Image.open(tmp_path / "made.png") as picture:
        assert picture.mode == "L"


def run(source: Path, target: Path, **values: Any) -> tuple[str, ...]:
    return batch.run_file(TASK, source, target, TASK.check(values), engine=engine())


@scales
def test_a_file_keeps_alpha_depth_profile_and_dpi(tmp_path: Path, scale: int):
    pixels = scene(24, 31)
    alpha = np.zeros((24, 31), np.float32)
    alpha[6:18, 8:24] = 1
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(Picture(pixels, alpha, depth=16, icc=icc, dpi=(300, 300)), tmp_path / "small.png")
    run(tmp_path / "small.png", tmp_path / "large.png", scale=scale)
    made = load(tmp_path / "large.png")
    assert made.pixels.shape == (24 * scale, 31 * scale, 3)
    assert made.depth == 16
    assert made.icc == icc
    assert made.dpi == pytest.approx((300, 300), abs=0.1)
    assert made.alpha is not None
    assert made.alpha.shape == made.pixels.shape[:2]
    assert made.alpha[: 3 * scale].max() == 0
    assert made.alpha[9 * scale : 15 * scale, 11 * scale : 21 * scale].min() == 1
    record = provenance.read(tmp_path / "large.png")
    assert record is not None
    assert [used["name"] for used in record.bundles] == ["upscale"]


@pytest.mark.parametrize("kind", ["u1", "f4"])
def test_a_host_gets_the_larger_picture_with_its_alpha(bundles: Path, kind: str):
    """Through a worker, whose answer tells the new size."""
    pixels, alpha = scene(20, 26), np.zeros((20, 26, 1), np.float32)
    alpha[5:15, 6:20] = 1
    codes = np.round(255 * np.concatenate([pixels, alpha], 2))
    given_ = codes.astype(np.uint8) if kind == "u1" else (codes / 255).astype("<f4")
    environment = {"TRIPTYCH_USER_DATA": str(bundles), "TRIPTYCH_THREADS": "1"}
    environment |= {"PYTHONPATH": str(Path(triptych.__file__).parents[1])}
    command = [sys.executable, "-m", "triptych.worker"]
    with (
        client.Worker(command, environment) as worker,
        client.Pixels(given_.shape, kind=kind) as sent,
    ):
        sent.data[:] = given_.tobytes()
        run = worker.run("upscale", {"scale": 3, "model": "plain"}, sent)
        assert run.wait(60)
        with run.result() as answer:
            assert tuple(answer.shape) == (60, 78, 4)
            made = np.frombuffer(bytes(answer.data), given_.dtype).reshape(answer.shape)
    values = made / np.float32(255 if kind == "u1" else 1)
    wanted = larger((codes[..., :3] / 255).astype(np.float32), scale=3, model="plain")
    np.testing.assert_allclose(values[..., :3], wanted, atol=0.51 / 255)
    assert values[:9, :, 3].max() == 0
    assert values[21:39, 24:54, 3].min() == 1


def test_exif_tells_the_new_size(tmp_path: Path):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769).update({0xA002: 30, 0xA003: 20})
    Image.fromarray((scene(20, 30) * 255).astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    run(tmp_path / "a.jpg", tmp_path / "b.jpg", scale=3)
    with Image.open(tmp_path / "b.jpg") as made:
        told = made.getexif()
        assert told[0x010F] == "Camera"
        assert [told.get_ifd(0x8769)[tag] for tag in (0xA002, 0xA003)] == [90, 60]


def test_the_models_are_choices():
    assert {choice.value for choice in models("upscale")} == {"upscale", "plain", "explore"}
    assert models("upscale")[0].value == "upscale"
    picture = scene(20, 20)
    assert np.abs(larger(picture) - larger(picture, model="plain")).mean() > 0.005
    used = TASK.run(picture, None, engine(), model="plain").used
    assert used == [bundle.get_bundle("plain").used]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scale": 5}, "scale must be from 2 to 4 times"),
        ({"scale": 2.5}, "scale must be a whole number"),
        ({"model": "plian"}, "did you mean 'plain'?"),
        ({"variety": 2}, "variety must be from 0 to 1"),
        ({"tile": 1}, "tile must be from 64 to 8192 px"),
    ],
)
def test_a_mistake_is_one_sentence(values: dict[str, Any], said: str):
    with pytest.raises(UserError) as caught:
        TASK.run(scene(9, 9), None, engine(), **values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def explored(picture: Floats, **values: Any) -> Floats:
    return larger(picture, model="explore", **values)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(SCALES), st.integers(0, 2**31 - 1))
@example(1, 1, 4, 0)
@example(1, 60, 3, 1)
def test_what_is_drawn_reduces_to_what_was_given(height: int, width: int, scale: int, seed: int):
    """Also of a picture that reaches black and white, which here is a large one made smaller."""
    large = 1.3 * scene(scale * height, scale * width, seed % 1000) - 0.15
    small = np.round(255 * shrink(large.clip(0, 1), scale).clip(0, 1)) / np.float32(255)
    made = explored(small, scale=scale, seed=seed)
    assert np.abs(shrink(made, scale) - small).max() <= 1 / 255


@settings(deadline=None, max_examples=10)
@given(st.integers(20, 150), st.integers(20, 150), st.sampled_from(SCALES), st.integers(64, 130))
def test_tiles_draw_what_the_whole_draws(height: int, width: int, scale: int, tile: int):
    picture = scene(height, width)
    whole = explored(picture, scale=scale, seed=7, tile=8192)
    made = explored(picture, scale=scale, seed=7, tile=tile)
    np.testing.assert_allclose(made, whole, atol=0.25 / 255)


def test_another_seed_draws_another_picture():
    picture = scene(30, 40)
    one, two = (explored(picture, seed=seed) for seed in (1, 2))
    assert np.abs(one - two).mean() > 0.01
    assert np.array_equal(one, explored(picture, seed=1))
    likeliest = explored(picture, seed=1, variety=0)
    assert np.array_equal(likeliest, explored(picture, seed=2, variety=0))
    nearer = explored(picture, seed=1, variety=0.2)
    assert 0 < np.abs(nearer - likeliest).mean() < np.abs(one - likeliest).mean()


def test_who_does_not_draw_does_not_look_at_the_seed():
    picture = scene(20, 30)
    assert np.array_equal(larger(picture, seed=1), larger(picture, seed=2, variety=0.5))


def test_grey_is_drawn_grey():
    grey = np.repeat(scene(20, 30)[..., :1], 3, 2)
    made = explored(grey)
    assert np.array_equal(made[..., 0], made[..., 1])
    assert np.array_equal(made[..., 0], made[..., 2])


def test_without_a_model_it_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert get_task("upscale") is all_tasks()["upscale"]
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path))
    monkeypatch.setattr(bundle, "shipped_folder", lambda: tmp_path)
    with pytest.raises(UserError, match="upscale needs a model that is not installed"):
        get_task("upscale")


def test_the_callers_array_is_not_changed_and_the_same_input_gives_the_same_bits():
    picture = scene(40, 50)
    kept = picture.copy()
    assert np.array_equal(larger(picture), larger(picture))
    assert np.array_equal(picture, kept)


def test_progress_rises_to_one():
    events: list[Event] = []
    larger(scene(100, 90), Job(events.append), tile=64)
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert "tile 4 of 4" in [event.message for event in events]


def test_cancelling_stops_the_work():
    begun = threading.Event()
    ended: list[type] = []
    job = Job(lambda event: begun.set() if "tile 2" in event.message else None)
    picture = np.tile(scene(100, 100), (20, 20, 1))

    def work() -> None:
        try:
            ended.append(type(TASK.run(picture, job, engine(), scale=4, tile=64)))
        except Cancelled:
            ended.append(Cancelled)

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(60)
    at = time.monotonic()
    job.cancel()
    worker.join(60)
    assert time.monotonic() - at < 1
    assert ended == [Cancelled]
