"""The tasks `dream` and `dream_zoom` on the bundle that ships, through the real engine."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from triptych import bundle, cli, provenance
from triptych.demo import PHOTOGRAPH
from triptych.engine import Engine, Event, Job
from triptych.errors import Cancelled, UserError
from triptych.image import film
from triptych.image.dream import TASK, ZOOM, motif_choices, motif_vectors
from triptych.image.overlay import to_network
from triptych.image.picture import Picture, load, save
from triptych.training.image.dream_step import LAYERS, DreamStep
from triptych.training.image.perceptual import CHANNELS, TAPS
from triptych.training.image.perceptual_export import load_perceptual

Floats = NDArray[Any]
QUICK: dict[str, Any] = {"octaves": 2, "steps": 2}


@pytest.fixture(autouse=True, scope="module")
def only_what_ships(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(tmp_path_factory.mktemp("user")))
        patch.delenv("TRIPTYCH_BUNDLES", raising=False)
        yield


@functools.cache
def engine() -> Engine:
    return Engine(["cpu"], threads=1)


@functools.cache
def photograph(height: int = 120, width: int = 176) -> Floats:
    with Image.open(PHOTOGRAPH) as opened:
        codes = np.asarray(opened.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))
    return codes.astype(np.float32) / 255


def dreamt(picture: Floats, job: Job | None = None, **values: Any) -> Floats:
    made = TASK.run(picture, job, engine(), **{**QUICK, **values}).made
    assert made.shape == picture.shape
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() <= 1
    return made


def apart(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).mean())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 130), (128, 63)])
def test_the_exported_gradient_is_autograds(layer: str, height: int, width: int):
    step = DreamStep(load_perceptual(), layer)
    picture = torch.from_numpy(to_network(photograph(height, width))).requires_grad_()
    channels = CHANNELS[TAPS.index(layer)]
    vectors, energy = torch.eye(channels)[5:9], torch.tensor([0.2])
    x = (picture - 0.45) * 4
    for part in step.layers:
        x = part(x)
    a = (x / step.scale)[0].flatten(1)
    total = (vectors @ a).max(0).values.sum() + energy[0] / 2 * F.relu(a).square().sum()
    (wanted,) = torch.autograd.grad(total, picture)
    inputs = {"picture": picture.detach(), "vectors": vectors, "energy": energy}
    graph = bundle.get_bundle("dream").graph(layer)
    ran = engine().run(graph, {name: value.numpy() for name, value in inputs.items()})
    objective, gradient = step(**inputs)
    for found in (gradient.numpy(), ran["gradient"]):
        np.testing.assert_allclose(found, wanted[0].numpy(), atol=1e-3)
    for value in (float(objective), float(ran["objective"][0])):
        assert value == pytest.approx(float(total.detach()) / a.shape[1], abs=1e-3)


@pytest.mark.parametrize("motif", ["eyes", "scales", "honeycomb"])
def test_what_is_dreamt_of_rises_tenfold(motif: str):
    base, features = bundle.get_bundle("dream"), bundle.get_bundle("perceptual")
    layer, vectors, _ = motif_vectors(base, motif)

    def seen(picture: Floats) -> float:
        taps = engine().run(features.graph("features"), {"picture": to_network(picture)})
        a = taps[layer][0]
        return float((vectors @ a.reshape(len(a), -1)).max(0).mean())

    before = photograph(216, 384)
    assert seen(dreamt(before, motif=motif, octaves=3, steps=10)) > 10 * seen(before)


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 150), st.integers(1, 150))
@example(1, 1)
@example(1, 400)
@example(131, 2)
def test_any_size_is_kept(height: int, width: int):
    dreamt(photograph(height, width), steps=1)


def test_one_colour_is_a_picture_too():
    for value in (0, 1):
        dreamt(np.full((40, 70, 3), value, np.float32))


def test_the_same_seed_gives_the_same_bits_and_leaves_the_callers_array():
    before = photograph()
    kept = before.copy()
    made = dreamt(before, seed=3)
    assert np.array_equal(before, kept)
    assert np.array_equal(made, dreamt(before, seed=3))
    assert apart(made, before) > 0.01
    assert apart(made, dreamt(before, seed=4)) > 0.001


def test_strength_zero_is_the_picture_itself_and_more_is_more():
    before = photograph()
    assert np.array_equal(dreamt(before, strength=0), before)
    assert apart(dreamt(before, strength=0.5), before) < apart(dreamt(before, strength=2), before)


def test_without_colour_only_light_and_dark_change():
    before = photograph() * 0.4 + 0.3  # nothing is clipped
    change = dreamt(before, colour=0, steps=1, octaves=1) - before
    np.testing.assert_allclose(change.max(2), change.min(2), atol=1e-5)
    assert np.ptp(dreamt(before, colour=1, steps=1, octaves=1) - before, axis=2).max() > 1e-3


def test_motifs_and_guides_give_other_dreams():
    before = photograph()
    eyes, arches = (dreamt(before, motif=name) for name in ("eyes", "arches"))
    assert apart(eyes, arches) > 0.005
    guide = np.tile(np.eye(8, dtype=np.float32).repeat(8, 0).repeat(8, 1)[..., None], (2, 2, 3))
    result = TASK.run(before, None, engine(), motif="eyes", guide=guide, **QUICK)
    assert apart(result.made, eyes) > 0.005
    assert [used["name"] for used in result.used] == ["dream", "perceptual"]


@pytest.mark.parametrize("motif", [choice.value for choice in motif_choices()])
def test_every_motif_has_a_thumbnail_and_changes_the_picture(motif: str):
    choice = next(c for c in motif_choices() if c.value == motif)
    assert choice.thumbnail is not None
    with Image.open(choice.thumbnail) as thumbnail:
        assert thumbnail.size == (128, 128)
        assert np.asarray(thumbnail.convert("L")).std() > 5
    before = photograph(64, 80)
    assert apart(dreamt(before, motif=motif, octaves=1), before) > 0.005


def test_a_mask_keeps_every_bit_outside():
    before = photograph()
    mask = np.zeros(before.shape[:2], np.float32)
    mask[:, 90:] = 1
    made = dreamt(before, mask=mask)
    assert np.array_equal(made[:, :90], before[:, :90])
    np.testing.assert_allclose(made[:, 90:], dreamt(before)[:, 90:], atol=1e-6)
    soft = dreamt(before, mask=mask, feather=30)
    assert 0 < apart(soft[:, 84:90], before[:, 84:90]) < apart(made[:, 90:], before[:, 90:])
    with pytest.raises(UserError, match="mask"):
        dreamt(before, mask=np.zeros((50, 50), np.float32))


def test_tiles_show_no_seam():
    before = photograph(560, 600)
    whole = dreamt(before, octaves=1, tile=1152)
    made = dreamt(before, octaves=1, tile=512)
    # The step is exact but for rounding, which a ReLU or a maximum near a tie makes larger.
    assert np.quantile(np.abs(made - whole), 0.999) < 2 / 255
    assert apart(made, whole) < 0.1 / 255


def test_progress_rises_and_cancelling_stops():
    seen: list[Event] = []
    dreamt(photograph(), Job(seen.append))
    fractions = [event.fraction for event in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    job = Job(lambda event: job.cancel() if event.fraction > 0.3 else None)
    with pytest.raises(Cancelled):
        dreamt(photograph(), job)


def test_a_file_keeps_alpha_depth_and_grey(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pixels = np.repeat(photograph().mean(2, keepdims=True), 3, 2)
    alpha = np.linspace(0, 1, pixels.shape[1], dtype=np.float32) * np.ones((len(pixels), 1), "f4")
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    save(Picture(pixels, alpha=alpha, grey=True, depth=16), source)
    words = ["dream", str(source), "-o", str(target), "--steps", "2", "--colour", "0"]
    assert cli.main([*words, "--threads", "1", "--quiet"]) == 0
    made = load(target)
    assert (made.depth, made.grey) == (16, True)
    assert made.alpha is not None
    np.testing.assert_allclose(made.alpha, alpha, atol=1e-4)
    assert "eyes" in provenance.describe(target)


def journey(**values: Any) -> film.Film:
    quick = {"frames": 3, "octaves": 1, "steps": 4, "side": 96, "turn": 1.0}
    made = ZOOM.run(photograph(), None, engine(), **{**quick, **values}).made
    assert isinstance(made, film.Film)
    return made


def test_a_journey_goes_nearer():
    made = journey(strength=0.001, zoom=10)
    assert [frame.shape for frame in made.frames] == [(65, 96, 3)] * 3
    first, last = (frame.astype(np.float32) for frame in (made.frames[0], made.frames[-1]))
    inner = Image.fromarray(made.frames[0]).crop((8, 6, 88, 59)).resize((96, 65))
    turned = np.asarray(inner.rotate(-2), np.float32)
    middle = (slice(12, -12), slice(12, -12))
    assert apart(last[middle], turned[middle]) < apart(last[middle], first[middle])


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_a_journey_is_an_animation_that_says_how_it_was_made(tmp_path: Path, ending: str):
    source, target = tmp_path / "in.png", tmp_path / f"out.{ending}"
    save(Picture(photograph(64, 80)), source)
    words = ["dream_zoom", str(source), "-o", str(target), "--frames", "3", "--steps", "2"]
    assert cli.main([*words, "--octaves", "1", "--rate", "10", "--threads", "1", "--quiet"]) == 0
    with Image.open(target) as opened:
        assert (opened.n_frames, opened.size) == (3, (80, 64))  # type: ignore[attr-defined]
        opened.seek(1)
        opened.load()
        assert opened.info["duration"] == pytest.approx(100)
    assert "dream_zoom" in provenance.describe(target)


@pytest.mark.skipif(sys.platform == "win32", reason="a program of two lines")
def test_ffmpeg_makes_an_mp4_or_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    frames = [np.full((5, 7, 3), value, np.uint8) for value in (10, 200)]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="ffmpeg"):
        film.save(film.Film(frames, 12), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        "data = sys.stdin.buffer.read()\n"
        "pathlib.Path(sys.argv[-1]).write_text(f'{len(data)} {sys.argv[1:-1]}')\n"
    )
    program.chmod(0o755)
    film.save(film.Film(frames, 12), tmp_path / "out.mp4")
    told = (tmp_path / "out.mp4").read_text()
    assert told.startswith(f"{2 * 5 * 7 * 3} ")
    assert "7x5" in told
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such codec')\n")
    with pytest.raises(UserError, match="no such codec"):
        film.save(film.Film(frames, 12), tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_text() == told
