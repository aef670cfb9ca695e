"""The bundles that ship: sound, small, readable by old runtimes, and honest about their data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from triptych import bundle
from triptych.engine import Engine

SHIPPED = sorted(card.parent for card in bundle.shipped_folder().glob("*/card.json"))
STYLES = [folder for folder in SHIPPED if bundle.open_bundle(folder, False).card.task == "style"]
PAINTERS = {"van-gogh", "monet", "rembrandt", "cezanne"}


def every(folders: list[Path]) -> Any:
    return pytest.mark.parametrize("folder", folders, ids=lambda folder: folder.name)


def weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def presets() -> list[tuple[bundle.Bundle, dict[str, Any]]]:
    found = [bundle.open_bundle(folder, verify=False) for folder in STYLES]
    return [(owner, preset) for owner in found for preset in owner.card.presets]


def test_what_the_readme_promises_is_there():
    assert {"style", "artists", "perceptual"} <= {folder.name for folder in SHIPPED}
    library = bundle.get_bundle("style", "style").card.presets
    assert len(library) >= 24
    assert all(preset["year"] for preset in library)
    manners = {preset["name"] for preset in bundle.get_bundle("artists", "style").card.presets}
    assert manners >= PAINTERS


def test_all_of_style_transfer_is_under_20_megabytes():
    parts = [*STYLES, bundle.shipped_folder() / "perceptual"]
    assert sum(weight(folder) for folder in parts) < 20e6


@every(SHIPPED)
def test_a_bundle_is_as_its_card_says(folder: Path):
    opened = bundle.open_bundle(folder)
    assert opened.card.name == folder.name
    assert weight(folder) < 12.5e6
    card = opened.card
    listed = {"card.json", *card.files, *(graph.file for graph in card.graphs.values())}
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert present == listed


@every(SHIPPED)
def test_a_card_tells_where_it_comes_from(folder: Path):
    card = bundle.open_bundle(folder, verify=False).card
    assert card.licence == "Apache-2.0"
    assert card.authors
    assert card.notes
    assert card.created
    assert card.data
    for source in card.data:
        for key in ("name", "title", "licence", "source"):
            assert source[key].strip(), source
        assert source["items"] > 0
    for key in ("name", "settings", "loop", "steps", "minutes"):
        assert key in card.recipe
    assert card.recipe["steps"] > 0


def strings(value: Any) -> Iterator[str]:
    """Every text in a piece of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@every(SHIPPED)
def test_no_place_on_the_machine_that_trained_is_in_it(folder: Path):
    for text in strings(json.loads((folder / "card.json").read_text(encoding="utf-8"))):
        assert not PurePosixPath(text).is_absolute()
        assert not PureWindowsPath(text).is_absolute()
    for path in folder.glob("*.onnx"):
        model = onnx.load(path)
        assert not model.doc_string
        assert not any(node.doc_string for node in model.graph.node)  # where its source lies
        assert [entry.key for entry in model.metadata_props] == [bundle.METADATA_KEY]


@every(SHIPPED)
def test_graphs_run_on_old_runtimes_and_agree_with_pytorch(folder: Path):
    card = bundle.open_bundle(folder, verify=False).card
    assert card.parity.keys() == card.graphs.keys()
    for name, graph in card.graphs.items():
        assert card.parity[name]["max_abs"] <= 1e-3
        assert len(card.parity[name]["shapes"]) >= 3
        model = onnx.load(folder / graph.file)
        onnx.checker.check_model(model)
        assert model.ir_version == graph.ir <= 10
        (opset,) = model.opset_import  # no operators but ONNX's own
        assert (opset.domain, opset.version) == ("", graph.opset)
        assert opset.version <= 18
        for declared, given in (
            (graph.inputs, model.graph.input),
            (graph.outputs, model.graph.output),
        ):
            assert [tensor.name for tensor in declared] == [value.name for value in given]
            for tensor, value in zip(declared, given, strict=True):
                dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
                assert tensor.dtype == str(dtype)
        ends = (*graph.inputs, *graph.outputs)
        if (card.task, name) == ("shape", "picture"):
            continue  # its planes are of a cut-out (`shape/subject.py`), no colours
        pictures = [t for t in ends if len(t.shape) == 4 and t.shape[1] == 3]
        assert all(tensor.range == (0, 1) for tensor in pictures)


@every(SHIPPED)
def test_a_graph_gives_what_its_card_declares(folder: Path):
    opened, engine = bundle.open_bundle(folder), Engine(["cpu"], threads=1)
    rng = np.random.default_rng(0)
    for name, graph in opened.card.graphs.items():
        sizes: dict[str, int] = {}
        for tensor in graph.inputs:
            sizes |= {s: 64 + 8 * len(sizes) for s in tensor.shape if isinstance(s, str)}

        def shape(wanted: tuple[int | str, ...], sizes: dict[str, int] = sizes) -> list[Any]:
            return [s if isinstance(s, int) else sizes.get(s) for s in wanted]

        inputs = {t.name: _drawn(rng, t, shape(t.shape)) for t in graph.inputs}
        outputs = engine.run(opened.graph(name), inputs)
        assert outputs.keys() == {tensor.name for tensor in graph.outputs}
        for tensor in graph.outputs:
            made = outputs[tensor.name]
            assert np.isfinite(made).all()
            for size, wanted in zip(made.shape, shape(tensor.shape), strict=True):
                assert wanted in (None, size)  # None: a size that only the graph knows
            if tensor.range:
                assert tensor.range[0] <= made.min() <= made.max() <= tensor.range[1]


def _drawn(rng: np.random.Generator, tensor: bundle.Tensor, shape: list[Any]) -> np.ndarray:
    """Values that the card allows an input."""
    low, high = tensor.range or (0, 1)
    if tensor.dtype.startswith("int"):
        return rng.integers(int(low), int(high) + 1, shape, tensor.dtype)
    return rng.uniform(low, high, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("owner", "preset"), presets(), ids=lambda v: v.get("name") if isinstance(v, dict) else ""
)
def test_a_style_says_whose_it_is_and_why_it_is_free(owner: bundle.Bundle, preset: dict[str, Any]):
    for key in ("name", "title", "artist", "why_free"):
        assert preset[key].strip()
    assert "public" in preset["why_free"]
    with Image.open(owner.file(preset["thumbnail"])) as thumbnail:
        assert thumbnail.size == (128, 128)
        assert np.asarray(thumbnail.convert("L")).std() > 5


def test_every_style_has_a_name_of_its_own_and_a_code():
    names = [preset["name"] for _, preset in presets()]
    assert len(set(names)) == len(names)
    base = bundle.get_bundle("style", "style").card
    for folder in STYLES:
        opened = bundle.open_bundle(folder)
        with np.load(opened.file("codes.npz"), allow_pickle=False) as stored:
            codes = stored["codes"].astype(np.float32)
        assert codes.shape == (len(opened.card.presets), base.extra["code_size"])
        assert np.isfinite(codes).all()
        wanted = opened.card.extra.get("base_sha256", base.graphs["render"].sha256)
        assert wanted == base.graphs["render"].sha256


def test_a_card_is_json_that_a_person_can_read():
    for folder in SHIPPED:
        text = (folder / "card.json").read_text(encoding="utf-8")
        assert json.loads(text)["schema"] == bundle.SCHEMA
        assert text.count("\n") > 20
