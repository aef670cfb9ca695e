"""The task `style` on the bundles that ship, through the real engine."""

from __future__ import annotations

import functools
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from triptych import bundle
from triptych.engine import Engine, Event, Job
from triptych.errors import Cancelled, UserError
from triptych.image.style import TASK, paint, style_choices, styles
from triptych.image.weight_delta import graph_with, read

Floats = NDArray[Any]
A, B = "hokusai-great-wave", "vangogh-wheatfield-cypresses"
OWN = "oldmaster-red-chalk"  # has a weight delta
LUMA = np.array([0.299, 0.587, 0.114])
CHROMA = np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]).T  # I and Q of NTSC


@pytest.fixture(autouse=True, scope="module")
def only_what_ships(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(tmp_path_factory.mktemp("user")))
        patch.delenv("TRIPTYCH_BUNDLES", raising=False)
        yield


@functools.cache
def engine() -> Engine:
    return Engine(["cpu"], threads=1)


def scene(height: int, width: int, seed: int = 0) -> Floats:
    """Soft waves of colour with hard-edged boxes: H x W x 3 in 0.1..0.9, whole 8-bit codes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 96
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(1, 6, (3, 3))]
    picture = 0.5 + 0.2 * np.stack(waves, 2)
    for _ in range(12):
        top, left = rng.integers(height), rng.integers(width)
        picture[top : top + 40, left : left + 30] = rng.uniform(0.1, 0.9, 3)
    return (np.round(picture * 255) / 255).astype(np.float32)


def painted(picture: Floats, job: Job | None = None, **values: Any) -> Floats:
    made = TASK.run(picture, job, engine(), **values).made
    assert made.shape == picture.shape
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() <= 1
    return made


def refused(picture: Floats, **values: Any) -> str:
    """What the task says to a mistake, which is one line."""
    with pytest.raises(UserError) as caught:
        TASK.run(picture, None, engine(), **values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def apart(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).mean())


@pytest.fixture(scope="module")
def before() -> Floats:
    return scene(120, 168)


@pytest.fixture(scope="module")
def full(before: Floats) -> Floats:
    return painted(before, style=A)


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 150), st.integers(1, 150))
@example(1, 1)
@example(1, 700)
@example(131, 2)
def test_any_size_is_kept(height: int, width: int):
    painted(scene(height, width), style=A)


def test_one_colour_is_a_picture_too():
    for value in (0, 1):
        painted(np.full((9, 70, 3), value, np.float32), style=A, keep_colour="linear")


def test_a_style_changes_the_picture_and_not_the_callers_array(before: Floats):
    kept = before.copy()
    one, other = painted(before, style=A), painted(before, style=B)
    assert np.array_equal(before, kept)
    assert apart(one, before) > 0.02
    assert apart(one, other) > 0.02


def test_the_same_input_gives_the_same_bits(before: Floats, full: Floats):
    assert np.array_equal(painted(before, style=A), full)
    again = TASK.run(before, None, Engine(["cpu"], threads=1), style=A).made
    assert np.array_equal(again, full)


def test_another_seed_lays_other_strokes_in_the_same_style(before: Floats, full: Floats):
    other = painted(before, style=A, seed=1)
    assert np.array_equal(painted(before, style=A, seed=0), full)
    assert 1e-4 < apart(other, full) < apart(before, full) / 2


def test_strength_zero_is_the_picture_itself(before: Floats):
    assert np.array_equal(painted(before, style=A, strength=0), before)


@settings(deadline=None, max_examples=6)
@given(st.floats(0, 1))
@example(1e-9)
def test_strength_is_a_straight_line(strength: float):
    picture = scene(48, 64)
    expected = picture + strength * (painted(picture, style=A) - picture)
    made = painted(picture, style=A, strength=strength)
    np.testing.assert_allclose(made, expected, atol=1e-6)


def test_a_black_mask_keeps_every_bit_and_a_white_one_none(before: Floats, full: Floats):
    black, white = np.zeros(before.shape[:2], np.float32), np.ones(before.shape[:2], np.float32)
    for feather in (0, 20):
        assert np.array_equal(painted(before, style=A, mask=black, feather=feather), before)
        made = painted(before, style=A, mask=white, feather=feather)
        np.testing.assert_allclose(made, full, atol=1e-6)


def test_a_soft_edge_blends(before: Floats, full: Floats, tmp_path: Path):
    mask = np.zeros(before.shape[:2], np.float32)
    mask[:, 84:] = 1
    hard = painted(before, style=A, mask=mask)
    assert np.array_equal(hard[:, :84], before[:, :84])
    np.testing.assert_allclose(hard[:, 84:], full[:, 84:], atol=1e-6)
    soft = painted(before, style=A, mask=mask, feather=24)
    share = ((soft - before) * (full - before)).sum((0, 2)) / ((full - before) ** 2).sum((0, 2))
    assert np.array_equal(soft[:, :40], before[:, :40])
    np.testing.assert_allclose(soft[:, 130:], full[:, 130:], atol=1e-6)
    assert (np.diff(share) > -1e-4).all()
    assert ((share > 0.05) & (share < 0.95)).sum() > 10
    assert 0.3 < share[84] < 0.7
    # The same as a file, and half as large.
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    assert np.array_equal(painted(before, style=A, mask=tmp_path / "mask.png"), hard)
    small = painted(before, style=A, mask=mask[::2, ::2])
    assert np.array_equal(small[:, :76], before[:, :76])
    np.testing.assert_allclose(small[:, 92:], full[:, 92:], atol=0.02)


def test_a_mask_of_another_shape_is_refused_before_the_work(before: Floats):
    def seen(event: Event) -> None:
        assert "tile" not in event.message

    said = "100 x 100 pixels and the picture 168 x 120"
    with pytest.raises(UserError, match=said):
        TASK.run(before, Job(seen), engine(), style=A, mask=np.ones((100, 100), np.float32))
    assert "H x W" in refused(before, mask=np.ones(before.shape, np.float32))


def test_luminance_keeps_the_chroma(before: Floats, full: Floats):
    made = painted(before, style=A, keep_colour="luminance")
    inside = ((made > 0) & (made < 1)).all(2)
    assert inside.mean() > 0.5
    np.testing.assert_allclose((made @ CHROMA)[inside], (before @ CHROMA)[inside], atol=1e-5)
    np.testing.assert_allclose((made @ LUMA)[inside], (full @ LUMA)[inside], atol=1e-3)


def test_linear_keeps_mean_and_covariance():
    before = scene(256, 320)
    plain = painted(before, style=A).reshape(-1, 3)
    made = painted(before, style=A, keep_colour="linear").reshape(-1, 3)
    wanted = before.reshape(-1, 3)

    def off(values: Floats) -> tuple[float, float]:
        covariance = np.abs(np.cov(values.T) - np.cov(wanted.T)).max()
        return float(np.abs(values.mean(0) - wanted.mean(0)).max()), float(covariance)

    assert off(made)[0] < 0.02
    assert off(made)[1] < 0.15 * float(np.cov(wanted.T).max())  # what is clipped is lost
    assert off(made) < off(plain)


def test_a_blend_of_one_is_that_style(before: Floats, full: Floats):
    assert np.array_equal(painted(before, style=B, mix=[(A, 1)]), full)
    assert np.array_equal(painted(before, style=A, mix=[]), full)
    assert np.array_equal(painted(before, style=A, mix=[(A, 0.25)]), full)


def test_a_blend_of_two_lies_between(before: Floats, full: Floats):
    other = painted(before, style=B)
    half = painted(before, mix=[(A, 0.5), (B, 0.5)])
    assert np.array_equal(painted(before, mix=[(B, 0.5), (A, 0.5)]), half)
    assert np.array_equal(painted(before, mix=[(A, 3), (B, 3)]), half)
    assert np.array_equal(painted(before, style=A, mix=[(B, 0.5)]), half)
    assert 0.005 < apart(half, full) < apart(full, other)
    assert 0.005 < apart(half, other) < apart(full, other)
    near = painted(before, style=A, mix=[(B, 0.1)])
    assert apart(near, full) < apart(half, full)


def test_any_picture_is_a_style(before: Floats, tmp_path: Path):
    picture = scene(90, 130, seed=7)
    Image.fromarray((picture * 255 + 0.5).astype(np.uint8)).save(tmp_path / "mine.png")
    result = TASK.run(before, None, engine(), style=picture)
    made = painted(before, style=tmp_path / "mine.png")
    np.testing.assert_allclose(result.made, made, atol=1e-5)
    assert np.array_equal(painted(before, style=str(tmp_path / "mine.png")), made)
    assert np.array_equal(painted(before, mix=[(tmp_path / "mine.png", 1)]), made)
    assert [used["name"] for used in result.used] == ["style"]
    assert apart(made, painted(before, style=1 - picture)) > 0.02


@pytest.mark.parametrize("size", [(1, 1), (40, 3000), (1500, 7), (65, 64)])
def test_a_style_picture_of_any_size(size: tuple[int, int]):
    painted(scene(24, 40), style=scene(*size))


@pytest.mark.parametrize("size", [(300, 560), (70, 600)])
def test_tiles_show_no_seam_and_no_other_border(size: tuple[int, int]):
    before = scene(*size)
    whole = painted(before, style=A, tile=8192)
    for tile in (256, 512):
        assert np.abs(painted(before, style=A, tile=tile) - whole).max() <= 2 / 255


def test_scale_is_the_size_of_the_brush():
    """Larger strokes have less fine detail: mean difference between neighbouring pixels."""

    def detail(picture: Floats) -> float:
        lines = [np.abs(np.diff(picture, axis=axis)).mean() for axis in (0, 1)]
        return float(sum(lines))

    large = scene(256, 384)
    details = [detail(painted(large, style=B, scale=s)) for s in (1, 2, 4)]
    assert details == sorted(details, reverse=True)
    for scale in (0.25, 0.7, 8):
        for size in ((1, 1), (5, 3), (33, 50)):
            painted(scene(*size), style=A, scale=scale)


def test_layers_are_painted_one_over_another():
    large = scene(256, 384)
    broad = painted(painted(large, style=B, scale=4), style=B, scale=2)
    np.testing.assert_allclose(
        painted(large, style=B, layers=3), painted(broad, style=B), atol=1e-6
    )
    finer = painted(large, style=B, layers=2, scale=0.5)
    np.testing.assert_allclose(
        finer, painted(painted(large, style=B), style=B, scale=0.5), atol=1e-6
    )
    for size in ((1, 1), (5, 3)):
        assert painted(scene(*size), style=A, layers=4, scale=8).shape == (*size, 3)


def test_a_large_picture_has_more_layers():
    for size, layers in ((1448, 1), (1449, 2), (2897, 3)):
        large = scene(16, size)
        np.testing.assert_array_equal(
            painted(large, style=B), painted(large, style=B, layers=layers)
        )


def test_an_unknown_style_suggests_the_nearest(before: Floats):
    assert f"did you mean {A!r}?" in refused(before, style="hokusai-graet-wave")
    assert f"did you mean {B!r}?" in refused(before, mix=[("vangogh-weatfield-cypreses", 1)])
    assert "there is no style or picture file named 'none.png'" in refused(before, style="none.png")


def test_a_picture_that_is_none_is_refused(before: Floats, tmp_path: Path):
    hole = before.copy()
    hole[3, 4, 1] = np.nan
    assert "NaN" in refused(hole, style=A)
    assert "NaN" in refused(before, style=hole)
    (tmp_path / "text.png").write_text("no picture")
    for value in ({"style": tmp_path / "text.png"}, {"mask": tmp_path / "text.png"}):
        assert "text.png" in refused(before, **value)


def test_progress_rises_to_one(before: Floats):
    events: list[Event] = []
    painted(scene(300, 280), Job(events.append), style=A, tile=256, keep_colour="linear")
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert "tile 4 of 4" in [event.message for event in events]


def test_cancelling_stops_inside_the_graph():
    painting = threading.Event()
    ended: list[type] = []

    def seen(event: Event) -> None:
        if "tile" in event.message:
            painting.set()

    job = Job(seen)
    picture = np.tile(scene(100, 100), (20, 20, 1))

    def work() -> None:
        try:
            ended.append(type(TASK.run(picture, job, engine(), style=A, tile=8192)))
        except Cancelled:
            ended.append(Cancelled)

    worker = threading.Thread(target=work)
    worker.start()
    assert painting.wait(60)
    time.sleep(0.1)  # into the one tile, which takes more than a second
    began = time.monotonic()
    job.cancel()
    worker.join(60)
    assert time.monotonic() - began < 0.5
    assert ended == [Cancelled]


def test_what_made_it_is_told(before: Floats):
    (used,) = TASK.run(before, None, engine(), style=A).used
    shipped = bundle.get_bundle("style")
    assert used == {"name": "style", "version": shipped.card.version, "sha256": used["sha256"]}
    assert TASK.run(before, None, engine(), style=A, strength=0).used == [used]


def test_a_style_paints_with_weights_of_its_own(before: Floats, full: Floats):
    """They change what is painted, in a blend by their share, and nothing that is painted after."""
    base = bundle.get_bundle("style")
    place = [preset["name"] for preset in base.card.presets].index(OWN)
    code = base.arrays("codes.npz")["codes"][place : place + 1].astype(np.float32)
    own = painted(before, style=OWN)
    shared = paint(base, before, code, 0, engine(), Job(), 1280)
    assert apart(shared, own) > 0.005
    assert np.array_equal(painted(before, style=A, mix=[(OWN, 1)]), own)
    assert np.array_equal(painted(before, style=A), full)
    distances = [apart(painted(before, style=A, mix=[(OWN, w)]), own) for w in (0.1, 0.5, 0.9)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] > 0
    assert np.array_equal(painted(before, style=OWN, seed=0), own)


def test_weights_of_a_style_s_own_fit_the_network():
    base = bundle.get_bundle("style")
    owners = [row for row, preset in enumerate(base.card.presets) if preset.get("delta")]
    assert owners
    for row in owners:
        delta = read(base, row)
        for graph in ("measure", "render"):
            places = base.card.extra["weights"][graph]
            assert delta.keys() >= places.keys()
            variant = graph_with(base, graph, delta)
            assert variant.content is not None
            content, file = variant.content(), base.graph(graph).read_bytes()
            assert len(content) == len(file)
            for name, (offset, count) in places.items():
                old, new = (np.frombuffer(x, "<f2", count, offset) for x in (file, content))
                assert np.isfinite(new).all()
                assert 0 < np.abs(new - old).mean() < np.abs(old).mean(), name
            weights = sum(2 * count for _, count in places.values())
            apart_bytes = sum(a != b for a, b in zip(content, file, strict=True))
            assert 0.5 * weights < apart_bytes <= weights


def codes_alone() -> list[str]:
    """Two styles of the library that are a code, with no weights of their own."""
    presets = bundle.get_bundle("style").card.presets
    return [preset["name"] for preset in presets if not preset.get("delta")][:2]


def own_bundle(folder: Path, name: str, presets: list[str], **extra: Any) -> Path:
    """A bundle of styles for the network that ships, with the codes of `codes_alone`."""
    base = bundle.get_bundle("style")
    folder = folder / name
    folder.mkdir()
    with np.load(base.file("codes.npz")) as stored:
        names = [preset["name"] for preset in base.card.presets]
        places = [names.index(style) for style in codes_alone()]
        codes = stored["codes"][places][: len(presets)]
    np.savez(folder / "codes.npz", codes=codes)
    extra = {"base": "style", "base_sha256": base.card.graphs["render"].sha256} | extra
    card = bundle.Card(
        name=name,
        version="1.0.0",
        task="style",
        title=name,
        licence="CC0-1.0",
        graphs={},
        presets=[{"name": preset, "title": preset.title()} for preset in presets],
        extra=extra,
    )
    bundle.write_card(folder, card)
    return folder


def test_a_bundle_of_ones_own_overrides_nothing(
    before: Floats, full: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first, second = (painted(before, style=name) for name in codes_alone())
    monkeypatch.setenv("TRIPTYCH_BUNDLES", str(tmp_path))
    own_bundle(tmp_path, "mine", [A, "new"])
    names = [choice.value for choice in style_choices()]
    assert names[-2:] == [f"mine/{A}", "new"]
    assert len(set(names)) == len(names) == len(styles())
    assert np.array_equal(painted(before, style=A), full)
    assert np.array_equal(painted(before, style=f"mine/{A}"), first)
    result = TASK.run(before, None, engine(), style="new")
    assert np.array_equal(result.made, second)
    assert [used["name"] for used in result.used] == ["style", "mine"]
    shutil.rmtree(tmp_path / "mine")
    own_bundle(tmp_path, "mine", ["twin", "twin", "twin"])  # two names at most can be told apart
    assert [choice.value for choice in style_choices()][-2:] == ["twin", "mine/twin"]


def test_codes_that_do_not_fit_are_refused(
    before: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TRIPTYCH_BUNDLES", str(tmp_path))
    own_bundle(tmp_path, "old", ["old"], base_sha256="0" * 64)
    assert "another version of the style network" in refused(before, style="old")
    own_bundle(tmp_path, "short", ["one", "two", "three"])  # codes for two
    assert "does not hold the code of three" in refused(before, style="three")
    (tmp_path / "short/codes.npz").write_bytes(b"damaged")
    assert "codes.npz" in refused(before, style="one")


def test_weights_that_do_not_fit_are_refused(
    before: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TRIPTYCH_BUNDLES", str(tmp_path))
    step, steps = np.float32(1e-3), np.ones(3, np.int8)
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "none": ({"net.down.weight": steps}, "holds no weights in delta.npz"),
        "short": ({"net.down.weight": steps, "net.down.weight.step": step}, "do not fit"),
    }
    for kind, (arrays, told) in cases.items():
        folder = own_bundle(tmp_path, kind, [kind])
        np.savez(folder / "delta.npz", **arrays)
        card = bundle.open_bundle(folder, verify=False).card
        card.presets[0]["delta"] = "delta.npz"
        bundle.write_card(folder, card)
        assert told in refused(before, style=kind)
        (folder / "delta.npz").write_bytes(b"damaged")
        assert "delta.npz" in refused(before, style=kind)
    card.presets[0]["delta"] = "none.npz"
    bundle.write_card(folder, card)
    assert "none.npz" in refused(before, style=kind)
