"""The recipes `perceptual`, `style`, `artist` and `own-style`, on pictures made here."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from triptych import bundle, cli
from triptych.engine import Engine
from triptych.errors import UserError
from triptych.image.style import TASK
from triptych.image.weight_delta import graph_with, read
from triptych.training import commands, loop
from triptych.training.image import own_style, perceptual, style, style_data, style_export
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.patch_critic import PatchCritic, hinge, score
from triptych.training.image.perceptual import gram
from triptych.training.image.style_loss import (
    BLOCK_SHARE,
    BLOCK_TAPS,
    STYLE_TAPS,
    _block_statistics,
    content_target,
    style_objective,
    style_targets,
)
from triptych.training.image.style_net import StyleNet, _blurred
from triptych.training.loop import Recipe, Run

LIBRARY = style_data.LIBRARY[:3]


def leaves(seed: int, height: int = 64, width: int = 80) -> Image.Image:
    made = dead_leaves(max(height, width), np.random.default_rng(seed))
    return Image.fromarray(made[:height, :width])


@contextlib.contextmanager
def changed(**variables: str) -> Iterator[pytest.MonkeyPatch]:
    """Environment variables for a fixture that outlives a test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield patch
    torch.set_num_threads(threads)


# ----------------------------------------------------------------------------- a style of one's own


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder, after the command learned the style `mine` from two pictures."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "pictures").mkdir()
    leaves(1).save(folder / "pictures/one.png")
    leaves(2, 30, 200).save(folder / "pictures/long.jpg")
    words = ["train", "style", "--from", str(folder / "pictures"), "--name", "mine"]
    settings = "steps=16 size=64 batch=2 rate=0.03 warmup=1 ema=0.5 log_every=1"
    for setting in f"{settings} precision=32-true accelerator=cpu".split():
        words += ["--set", setting]
    user = str(folder / "user")
    with changed(TRIPTYCH_USER_DATA=user, TRIPTYCH_DATA=str(folder / "none")) as patch:
        patch.setattr(own_style, "dead_leaves", lambda _, rng: dead_leaves(96, rng))
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert cli.main(words) == 0
    assert said.getvalue().splitlines()[-1] == f"{user}/bundles/mine"
    return folder / "user"


@pytest.fixture
def mine(user: Path, monkeypatch: pytest.MonkeyPatch) -> bundle.Bundle:
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(user))
    return bundle.get_bundle("mine", "style")


def test_an_own_style_is_learned(user: Path):
    (run,) = (user / "runs").iterdir()
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    losses = [float(row["codes"]) for row in rows]
    assert len(losses) == 16
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3])


def test_an_own_style_is_listed_and_works(mine: bundle.Bundle, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["styles"]) == 0
    assert "mine" in [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    before = np.asarray(leaves(3), np.float32) / 255
    engine = Engine(["cpu"], threads=1)
    result = TASK.run(before, None, engine, style="mine")
    assert [used["name"] for used in result.used] == ["style", "mine"]
    made = result.made
    guessed = TASK.run(before, None, engine, style=np.asarray(leaves(1), np.float32) / 255).made
    assert np.abs(made - before).mean() > 0.02
    assert np.abs(made - guessed).mean() > 0.005  # it is not only what the predictor says
    assert np.array_equal(TASK.run(before, None, engine, mix=[("mine", 1)]).made, made)


def test_an_own_style_without_a_licence_is_private(mine: bundle.Bundle):
    card = mine.card
    assert (card.licence, card.data[0]["items"]) == ("private: not stated", 2)
    assert card.data[0]["licence"] == "private: not stated"
    assert card.presets[0] == {
        "name": "mine",
        "title": "Mine",
        "artist": "",
        "year": "",
        "why_free": "learned by the user",
        "thumbnail": "thumbnails/mine.webp",
    }
    assert card.recipe["settings"]["source"] == ["pictures"]  # where they lie is nobody's business
    with Image.open(mine.file("thumbnails/mine.webp")) as thumbnail:
        assert thumbnail.size == (128, 128)


def test_a_licence_beside_the_pictures_is_kept(tmp_path: Path):
    leaves(1).save(tmp_path / "one.png")
    (tmp_path / "LICENSE").write_text("Licence: CC-BY-4.0\n")
    for source in (tmp_path, tmp_path / "one.png"):
        settings = own_style.OwnStyleSettings(source=[str(source)])
        (found,) = own_style.OwnStyleRecipe(settings).sources()
        assert found.licence == "Licence: CC-BY-4.0"


def test_a_style_for_another_network_is_refused(
    mine: bundle.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(mine.path, tmp_path / "bundles/old")
    card = json.loads((tmp_path / "bundles/old/card.json").read_text())
    card["name"] = card["presets"][0]["name"] = "old"
    card["extra"]["base_sha256"] = "0" * 64
    (tmp_path / "bundles/old/card.json").write_text(json.dumps(card))
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"was learned for another version .* learn it again"):
        TASK.run(np.zeros((8, 8, 3), np.float32), None, Engine(["cpu"], threads=1), style="old")


# -------------------------------------------------------------- the recipes that need training sets


def zipped(path: Path, pictures: dict[str, Image.Image], index: str = "") -> None:
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, picture in pictures.items():
            stream = io.BytesIO()
            picture.save(stream, "PNG")
            archive.writestr(name, stream.getvalue())
        if index:
            archive.writestr("index.csv", index)


def stand_ins(root: Path) -> None:
    """Small sets laid out as the real ones: photographs, textures, styles, paintings, weights."""
    seeds = iter(range(10, 100))
    for name in ("cid22_512", "clic2025_1024", "ocean_cc0_1024"):
        zipped(root / f"photos/{name}/{name}.zip", {"a.png": leaves(next(seeds))})
    zipped(root / "textures/ambientcg128/ambientcg128.zip", {"a.png": leaves(next(seeds))})
    for name in ("oldmasters_to_1930", "more_pd"):
        rows, pictures = ["file,artist"], {}
        for artist in ("Vincent van Gogh", "Claude Monet", "Rembrandt van Rijn", "Paul Cezanne"):
            file = f"{artist.split()[-1].lower()}.png"
            pictures[file] = leaves(next(seeds))
            rows.append(f"{file},{artist}")
        zipped(root / f"paintings/{name}/{name}.zip", pictures, "\n".join(rows))
    folder = root / "styles/public_domain"
    folder.mkdir(parents=True)
    rows = ["file,artist,died,title,year,rights label in source"]
    for name in LIBRARY:
        leaves(next(seeds)).save(folder / f"{name}.jpg")
        rows.append(f"{name}.jpg,Someone,1890,A title,1889,")
    (folder / "index.csv").write_text("\n".join(rows))
    fires = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128)}
    fires |= {9: (256, 48, 192), 10: (384, 48, 192)}
    shapes = {"features.0": (64, 3, 3, 3)}
    for number, (inputs, squeeze, expand) in fires.items():
        layer = f"features.{number}"
        shapes[f"{layer}.squeeze"] = (squeeze, inputs, 1, 1)
        shapes[f"{layer}.expand1x1"] = (expand, squeeze, 1, 1)
        shapes[f"{layer}.expand3x3"] = (expand, squeeze, 3, 3)
    rng = np.random.default_rng(0)
    weights: dict[str, Any] = {}
    for name, shape in shapes.items():
        size = (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.weight"] = rng.normal(0, size, shape).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    (root / "weights/squeezenet1_1").mkdir(parents=True)
    np.savez(root / "weights/squeezenet1_1/squeezenet_v1.1_features.npz", **weights)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the stand-ins, with a short library of small styles."""
    folder = tmp_path_factory.mktemp("sets")
    stand_ins(folder)
    with changed(TRIPTYCH_DATA=str(folder), TRIPTYCH_CACHE=str(folder / "cache")) as patch:
        patch.setattr(style_data, "LIBRARY", LIBRARY)
        patch.setattr(style, "STYLE_SIDE", 64)
        patch.setattr("triptych.training.image.artist.STYLE_SIDE", 64)
        yield folder


def two_steps(name: str, folder: Path, **settings: Any) -> tuple[Recipe, Run, Path]:
    """The recipe after two steps and an export: itself, its run and its bundle."""
    common = {"steps": 2, "batch": 2, "accelerator": "cpu", "size": 48, "log_every": 1}
    recipe = commands._recipe(name, common | settings)
    run = Run(folder / f"run-{name}")
    loop.fit(recipe, run)
    made = recipe.export(loop.averaged(recipe, run), run, folder / name)
    return recipe, run, made


@pytest.fixture(scope="module")
def trained(sets: Path) -> dict[str, tuple[Recipe, Run, Path]]:
    """Our features, a style network on them, and painters' manners for it."""
    features = two_steps("perceptual", sets, precision="32-true")
    network = two_steps("style", sets, perceptual=str(features[2]), variants=2)
    artists = two_steps("artist", sets, base=str(network[2]))
    return {"perceptual": features, "style": network, "artist": artists}


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("perceptual", {"net", "features", "grams"}),
        ("style", {"model", "critic", "content", "style", "rough", "adversarial"}),
        ("artist", {"critic", "codes", "content", "style", "adversarial"}),
    ],
)
def test_each_recipe_trains_and_exports(
    trained: dict[str, tuple[Recipe, Run, Path]], name: str, figures: set[str]
):
    recipe, run, folder = trained[name]
    assert run.step == 2
    rows = list(csv.DictReader((run.path / "metrics.csv").read_text().splitlines()))
    assert figures <= rows[0].keys()
    assert all(np.isfinite(float(rows[0][figure])) for figure in figures)
    if name != "perceptual":
        with Image.open(run.path / "sample.png") as sample:
            assert sample.width > 500
    card = bundle.open_bundle(folder).card
    assert card.recipe["steps"] == 2
    assert len(card.data) == len(recipe.sources()) > 3
    assert all(source["licence"] and source["source"] for source in card.data)
    assert all(graph["max_abs"] <= 1e-3 for graph in card.parity.values())


def test_corrections_are_learned_alone(
    trained: dict[str, tuple[Recipe, Run, Path]], sets: Path, tmp_path: Path
):
    perceptual, start = (str(trained[name][2]) for name in ("perceptual", "style"))
    more = {"start": start, "corrections_alone": True, "only": "monet-water-lilies"}
    more |= {"any_share": 0.0}
    _, _, folder = two_steps("style", tmp_path, perceptual=perceptual, variants=2, **more)
    (before, _, codes), (after, _, learned) = (
        style_export.load_style(Path(one)) for one in (start, str(folder))
    )
    for name, weight in before.net.state_dict().items():
        assert torch.equal(weight, after.net.state_dict()[name])
    changed = (codes != learned).any(1)
    assert [LIBRARY[row] for row in np.flatnonzero(changed)] == ["monet_water_lilies"]
    # what was learned for this network, as painters are, goes on working
    graphs = [bundle.open_bundle(Path(one)).card.graphs for one in (start, folder)]
    assert graphs[0] == graphs[1]


def test_a_weight_delta_is_of_one_style_alone(
    trained: dict[str, tuple[Recipe, Run, Path]],
    sets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(style, "MARGIN", 8)
    perceptual, start = (str(trained[name][2]) for name in ("perceptual", "style"))
    more: dict[str, Any] = {"start": start, "weight_delta": True, "only": "monet-water-lilies"}
    more |= {"any_share": 0.0, "adversarial": 0.0, "regular_share": 0.5, "frames": 1.0}
    more |= {"rate": 0.1, "warmup": 1}  # far enough to be more than rounding
    recipe, run, folder = two_steps("style", tmp_path, perceptual=perceptual, variants=2, **more)
    assert "frames" in (run.path / "metrics.csv").read_text()
    before, after = (bundle.open_bundle(one) for one in (start, folder))
    assert before.card.graphs == after.card.graphs
    place = LIBRARY.index("monet_water_lilies")
    changed = [
        row
        for row in range(len(LIBRARY))
        if read(after, row)
        or (before.arrays("codes.npz")["codes"] != after.arrays("codes.npz")["codes"])[row].any()
    ]
    assert changed == [place]
    assert after.card.recipe["deltas"]["monet-water-lilies"]["steps"] == 2
    assert after.card.recipe["steps"] == before.card.recipe["steps"]
    # what was learned is what is read again and what ONNX Runtime paints with
    learned = loop.averaged(recipe, run)["model"].net
    assert isinstance(learned, StyleNet)
    shared, _, _ = style_export.load_style(after.path)
    again, _, codes = style_export.load_style(after.path, "monet-water-lilies")
    code, grain = torch.from_numpy(codes[place : place + 1]), torch.rand(1, 1, 64, 96)
    picture = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        x, y, z = (net.eval()(picture, code, grain) for net in (learned, again.net, shared.net))
        affine = again.net.measure(picture, code, grain)
    assert 0 < (x - y).abs().mean() < 0.3 * (x - z).abs().mean()
    engine, inputs = Engine(["cpu"], 1), {"picture": picture.numpy(), "grain": grain.numpy()}
    found: dict[str, np.ndarray] = {}
    for graph, style_input in (("measure", {"code": code}), ("render", {"affine": affine})):
        variant = graph_with(after, graph, read(after, place))
        given = inputs | {name: value.numpy() for name, value in style_input.items()}
        found |= engine.run(variant, given)
    assert np.abs(found["affine"] - affine.numpy()).max() < 1e-3
    assert np.abs(found["stylised"] - y.numpy()).max() < 1e-3
    # and it can be learned on, the code with its weights
    more = {"start": str(folder), "only": "monet-water-lilies", "any_share": 0.0}
    more |= {"perceptual": perceptual, "variants": 2}
    with pytest.raises(UserError, match="weight_delta=true"):
        style.StyleRecipe(style.StyleSettings(corrections_alone=True, **more)).setup(
            torch.device("cpu")
        )
    second = style.StyleRecipe(style.StyleSettings(weight_delta=True, **more))
    net = second.setup(torch.device("cpu"))["model"].net
    assert isinstance(net, StyleNet)
    for name, weight in again.net.named_parameters():
        assert torch.equal(weight, net.get_parameter(name))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"start": ""}, "needs start"),
        ({"only": ""}, "one style"),
        ({"any_share": 0.3}, "any_share=0"),
        ({"frames": 1.0, "size": 192}, "size=256"),
    ],
)
def test_settings_of_a_weight_delta_that_do_not_go_together_are_refused(
    sets: Path, settings: dict[str, Any], told: str
):
    given: dict[str, Any] = {"start": "style", "weight_delta": True, "only": "monet-water-lilies"}
    recipe = style.StyleRecipe(style.StyleSettings(**given | {"any_share": 0.0} | settings))
    with pytest.raises(UserError, match=told):
        recipe.setup(torch.device("cpu"))


def test_a_style_that_the_library_lacks_cannot_be_learned_alone(sets: Path):
    recipe = style.StyleRecipe(style.StyleSettings(only="monet-water-lilies, monet-haystacks"))
    with pytest.raises(UserError, match="monet-haystacks"):
        recipe._learned()


@pytest.mark.parametrize("name", ["perceptual", "style", "artist"])
def test_a_batch_depends_on_its_indices_alone(
    trained: dict[str, tuple[Recipe, Run, Path]], name: str
):
    def flat(batch: Any) -> list[torch.Tensor]:
        if isinstance(batch, torch.Tensor):
            return [batch]
        return [tensor for part in batch for tensor in flat(part)]

    recipe, device = trained[name][0], torch.device("cpu")
    batch, again = (flat(recipe.batch(range(4, 6), device)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
    assert batch[0].shape == (2, 3, 48, 48)
    assert 0 <= batch[0].min() < batch[0].max() <= 1
    assert not torch.equal(batch[0], flat(recipe.batch(range(6, 8), device))[0])
    (second,) = (flat(recipe.batch(range(5, 6), device))[0],)
    assert torch.equal(second[0], batch[0][1])


def test_the_library_and_the_painters_are_presets(
    trained: dict[str, tuple[Recipe, Run, Path]],
):
    network = bundle.open_bundle(trained["style"][2])
    assert [p["name"] for p in network.card.presets] == [n.replace("_", "-") for n in LIBRARY]
    assert network.card.presets[0]["why_free"] == "public domain: the artist died in 1890"
    artists = bundle.open_bundle(trained["artist"][2])
    assert [p["name"] for p in artists.card.presets] == list(style_data.ARTISTS)
    assert artists.card.extra["base_sha256"] == network.card.graphs["render"].sha256


def test_no_painting_is_both_learned_and_held_out(sets: Path):
    split = style_data.split(sets)
    for key in style_data.ARTISTS:
        assert (len(split.artists[key]), len(split.held_artists[key])) == (1, 1)
    seen = {(p.set, p.file) for p in split.styles}
    held = {(p.set, p.file) for group in split.held_artists.values() for p in group}
    held |= {(p.set, p.file) for p in split.held_styles}
    assert not seen & held


def test_without_the_sets_a_recipe_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "none"))
    for name in ("perceptual", "style", "artist"):
        with pytest.raises(UserError, match="set TRIPTYCH_DATA to the folder"):
            commands._recipe(name, {}).sources()
    with pytest.raises(UserError, match="set TRIPTYCH_DATA to the folder"):
        perceptual.SqueezeNet()


# ----------------------------------------------------------------------- networks and the objective


def pictures(count: int, height: int = 64, width: int = 80) -> torch.Tensor:
    return torch.cat([style.as_tensor(leaves(i, height, width)) for i in range(count)])


@torch.no_grad()
def test_measure_and_render_are_the_forward_pass():
    torch.manual_seed(0)
    net, x = StyleNet(), pictures(2)
    code = net.plain_code() + 0.2 * torch.randn(2, net.code_size)
    grain = torch.rand(2, 1, *x.shape[2:])
    made = net(x, code, grain)
    rendered = net.render(x, net.measure(x, code, grain), grain)
    torch.testing.assert_close(rendered, made, atol=1e-5, rtol=0)
    assert made.shape == x.shape
    assert not torch.allclose(made[:1], net(x[:1], code[1:], grain[:1]), atol=1e-3)
    # Each picture has its own statistics: one alone is stylised as in company.
    torch.testing.assert_close(net(x[1:], code[1:], grain[1:]), made[1:], atol=1e-5, rtol=0)


@torch.no_grad()
def test_what_ships_is_read_back_for_training():
    """PyTorch with the weights from the bundle paints as ONNX Runtime does."""
    model, statistics, codes = style_export.load_style(None)
    base, engine = bundle.get_bundle("style"), Engine(["cpu"], threads=1)
    x = pictures(1)
    grain = torch.rand(1, 1, *x.shape[2:])
    canvas = {"picture": x.numpy(), "grain": grain.numpy()}
    for code in (torch.from_numpy(codes[:1]), model.predictor(statistics(x))):
        made = model.net(x, code, grain).numpy()
        affine = engine.run(base.graph("measure"), canvas | {"code": code.numpy()})["affine"]
        ran = engine.run(base.graph("render"), canvas | {"affine": affine})
        assert np.abs(ran["stylised"] - made).max() <= 1e-3
    ran = engine.run(base.graph("predict"), {"style": x.numpy()})
    np.testing.assert_allclose(ran["code"], code.numpy(), atol=1e-3)


def test_codes_are_written_and_read(tmp_path: Path):
    base = bundle.get_bundle("style")
    codes = np.random.default_rng(0).normal(0, 1, (2, base.card.extra["code_size"]))
    presets = [{"name": n, "title": n, "thumbnail": f"{n}.webp"} for n in ("one", "two")]
    painted = [leaves(1), leaves(2)]
    folder = style_export.write_codes(
        tmp_path / "some", "some", "Some", presets, codes, painted, None, licence="CC0-1.0"
    )
    found = bundle.open_bundle(folder)
    with np.load(found.file("codes.npz")) as stored:
        np.testing.assert_allclose(stored["codes"], codes, atol=2e-3)
    assert found.card.extra["base_sha256"] == base.card.graphs["render"].sha256


def test_the_objective_is_zero_for_what_is_wanted():
    from triptych.training.image.perceptual_export import load_perceptual

    judge, x = load_perceptual(), pictures(3)
    photo, other, wanted = x[:1], x[1:2], x[2:]
    content, targets = content_target(judge, photo), style_targets(judge, wanted)
    with torch.no_grad():
        terms = [style_objective(judge, made, content, targets) for made in (photo, wanted, other)]
    (_, same, off), (_, far, styled), (total, one, two) = (map(float, t) for t in terms)
    assert same == pytest.approx(0, abs=1e-9)
    assert styled == pytest.approx(0, abs=1e-9)
    assert min(off, far, one, two) > 0.01
    assert total > one
    # Each picture of a batch has the terms that it has alone.
    with torch.no_grad():
        both = style_objective(judge, torch.cat([photo, other]), content, targets)
    assert both[2].tolist() == pytest.approx([off, two], rel=1e-3)


@torch.no_grad()
def test_a_flat_picture_has_no_checkerboard():
    """Without grain, far from the border, any generator's weights paint a flat picture flat."""
    for seed in range(3):
        torch.manual_seed(seed)
        net = StyleNet()
        code = net.plain_code() + 0.5 * torch.randn(1, net.code_size)
        affine = net.measure(pictures(1, 256, 256), code, torch.rand(1, 1, 256, 256))
        flat, still = torch.full((1, 3, 256, 256), 0.4), torch.full((1, 1, 256, 256), 0.5)
        made = net.render(flat, affine, still)[..., 112:144, 112:144]
        assert float(made.amax((2, 3)).sub(made.amin((2, 3))).max()) < 1e-4


@torch.no_grad()
def test_the_coarse_grids_highest_frequency_does_not_pass():
    """One motif at every second position of the grid cannot be printed."""
    x = torch.rand(1, 1, 12, 12).expand(1, 4, 12, 12)
    board = (torch.arange(12)[:, None] + torch.arange(12)) % 2 * 2.0 - 1
    stripes = (torch.arange(12) % 2 * 2.0 - 1).expand(12, 12)
    for motif in (board, stripes, stripes.T):
        apart = (_blurred(x + motif) - _blurred(x))[..., 1:-1, 1:-1]
        assert float(apart.abs().max()) < 1e-6
    flat = torch.full_like(x, 0.3)
    torch.testing.assert_close(_blurred(flat), flat)


def test_blocks_may_differ_as_the_styles_own_do():
    """A print with empty paper does not ask for its lines everywhere."""
    from triptych.training.image.perceptual_export import load_perceptual

    judge, lines = load_perceptual(), pictures(1, 192, 192)
    paper = torch.ones_like(lines)
    paper[..., :96, :96] = lines[..., :96, :96]
    wanted = style_targets(judge, paper)
    even = [w if w.ndim > 1 else torch.zeros_like(w) for w in wanted]
    with torch.no_grad():
        content = content_target(judge, paper)
        own, strict = (float(style_objective(judge, paper, content, w)[2]) for w in (wanted, even))
    assert own < strict / 2


def test_what_blocks_lack_is_bounded():
    """A block far too busy costs no more than an empty one: its content need not go."""
    from triptych.training.image.perceptual_export import load_perceptual

    judge, photo = load_perceptual(), pictures(1)
    calm = style_targets(judge, 0.5 + 0.02 * (pictures(2)[1:] - 0.5))
    content = content_target(judge, photo)
    with torch.no_grad():
        total = float(style_objective(judge, photo, content, calm)[2])
        grams = [gram(tap) for tap in judge(photo)]
        most = 0.0
        for place, (weight, g, w) in enumerate(zip(STYLE_TAPS, grams, calm, strict=False)):
            error = float((g - w).pow(2).sum() / w.pow(2).sum())
            if place < BLOCK_TAPS:
                error = (1 - BLOCK_SHARE) * error + BLOCK_SHARE
            most += weight / sum(STYLE_TAPS) * error
    assert 2 < total <= 1.02 * most


@given(
    high=st.integers(8, 60),
    wide=st.integers(8, 60),
    side=st.integers(4, 30),
    seed=st.integers(0, 9),
)
def test_blocks_are_parts_of_the_tap(high: int, wide: int, side: int, seed: int):
    tap = torch.rand(2, 3, high, wide, generator=torch.Generator().manual_seed(seed))
    grams, within = _block_statistics(tap, side)
    rows, columns = max(1, round(high / side)), max(1, round(wide / side))
    assert grams.shape == within.shape == (2, rows * columns, 3, 3)
    tall, broad = high // rows, wide // columns
    taken = tap[..., : rows * tall, : columns * broad]
    torch.testing.assert_close(grams.mean(1), gram(taken), atol=1e-4, rtol=1e-4)
    row, column = rows - 1, columns // 2
    part = taken[..., row * tall : (row + 1) * tall, column * broad : (column + 1) * broad]
    covariance = torch.cov(part[1].flatten(1), correction=0)
    torch.testing.assert_close(within[1, row * columns + column], covariance, atol=1e-4, rtol=1e-4)


def test_the_critic_scores_each_picture_as_its_own_subject():
    torch.manual_seed(0)
    critic = PatchCritic(3)
    taps = [torch.rand(2, c, 8, 8) for c in perceptual.CHANNELS]
    both = critic(taps, torch.tensor([2, 0]))
    alone = critic([t[:1] for t in taps], torch.tensor([2]))
    for one, other in zip(both, alone, strict=True):
        torch.testing.assert_close(one[:1], other)
    others = critic(taps, torch.tensor([1, 1]))
    assert all(not torch.allclose(a, b) for a, b in zip(both, others, strict=True))
    assert score(both).shape == (2,)


def test_hinge_is_zero_where_both_are_told_apart():
    sure, wrong = [torch.full((2, 4, 4), 1.5)], [torch.full((2, 4, 4), -1.5)]
    assert hinge(sure, wrong).tolist() == [0, 0]
    assert hinge(wrong, sure).tolist() == pytest.approx([5, 5])


def test_roughness_is_what_a_checkerboard_has():
    board = torch.arange(32).view(1, 1, -1, 1) + torch.arange(32)
    board = (board % 2).float().expand(1, 3, 32, 32)
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    assert float(style.roughness(board).sum()) > 10 * float(style.roughness(ramp).sum()) > 0


def test_detail_is_too_rough_only_beyond_the_paintings():
    rng = torch.Generator().manual_seed(0)
    picture, made = (0.5 + 0.1 * torch.randn(2, 3, 64, 64, generator=rng) for _ in range(2))
    as_rough = style.roughness(made)
    assert style.rougher(made, picture, as_rough).tolist() == [0, 0]
    assert (style.rougher(made, picture, 0.5 * as_rough) > 0.1 * as_rough[:, 0]).all()


def test_dead_leaves_are_drawn_from_the_seed_alone():
    one, again, other = (dead_leaves(70, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (70, 70, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert all(dead_leaves(96, np.random.default_rng(seed)).std() > 3 for seed in range(8))
    assert dead_leaves(3, np.random.default_rng(0)).shape == (3, 3, 3)
