"""Tiny real bundles: graphs built with onnx, run by onnxruntime."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper

from triptych.bundle import METADATA_KEY, Card, Graph, Tensor, graph_metadata, write_card

Make = Callable[..., Path]

# A busy machine is no failure: what must be fast is timed by the tests that say so.
settings.register_profile("triptych", deadline=None)
settings.load_profile("triptych")


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "test", inputs, outputs)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(model)
    return model


def _add(times: int = 1) -> onnx.ModelProto:
    """y = x + ... + x (`times` additions of x) on float32 [n, 3]."""
    names = ["x", *(f"t{i}" for i in range(1, times)), "y"]
    nodes = [helper.make_node("Add", [a, "x"], [b]) for a, b in pairwise(names)]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    return _model(nodes, value[:1], value[1:])


def _endless() -> onnx.ModelProto:
    """`trips` products of a matrix with itself in a Loop: hours, for the trips that tests ask."""
    matrix = ["n", "n"]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("MatMul", ["m", "m"], ["product"]),
            helper.make_node("Tanh", ["product"], ["m_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("m", TensorProto.FLOAT, matrix),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("m_out", TensorProto.FLOAT, matrix),
        ],
    )
    return _model(
        [helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body)],
        [
            helper.make_tensor_value_info("trips", TensorProto.INT64, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, matrix),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, matrix)],
    )


@pytest.fixture(scope="session")
def add_graph() -> Make:
    """Writes the graph y = (times + 1) x to a path."""

    def make(path: Path, times: int = 1) -> Path:
        onnx.save(_add(times), path)
        return path

    return make


@pytest.fixture(scope="session")
def endless_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("endless") / "endless.onnx"
    onnx.save(_endless(), path)
    return path


@pytest.fixture(scope="session")
def zeros_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zeros of the shape that is asked for, however large."""
    path = tmp_path_factory.mktemp("zeros") / "zeros.onnx"
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [2])
    zeros = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])
    onnx.save(
        _model([helper.make_node("ConstantOfShape", ["shape"], ["y"])], [shape], [zeros]), path
    )
    return path


@pytest.fixture(scope="session")
def make_bundle() -> Make:
    """Writes a sound bundle with one graph, two presets and a thumbnail; returns its folder.

    `inside` changes what the ONNX file says of itself, other keywords change the card.
    """

    def make(folder: Path, inside: dict[str, Any] | None = None, **changes: Any) -> Path:
        (folder / "thumbs").mkdir(parents=True)
        (folder / "thumbs" / "wave.png").write_bytes(b"not really a picture")
        tensors = [Tensor(name, ("n", 3), "float32", (0.0, 1.0)) for name in "xy"]
        graph = Graph("add.onnx", (tensors[0],), (tensors[1],), opset=18, ir=10)
        card = Card(
            **{
                "name": folder.name,
                "version": "1.2.3",
                "task": "style",
                "title": "A test",
                "licence": "CC0-1.0",
                "graphs": {"add": graph},
                "presets": [
                    {"name": "wave", "title": "The Great Wave", "thumbnail": "thumbs/wave.png"},
                    {"name": "starry", "title": "The Starry Night", "year": 1889},
                ],
                **changes,
            }
        )
        model = _add()
        helper.set_model_props(
            model, {METADATA_KEY: graph_metadata(Card(**{**vars(card), **(inside or {})}), "add")}
        )
        onnx.save(model, folder / "add.onnx")
        write_card(folder, card)
        return folder

    return make


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder of TRIPTYCH_BUNDLES and the user's bundle folder, both empty and this test's own."""
    named, user = tmp_path / "named", tmp_path / "user"
    named.mkdir()
    (user / "bundles").mkdir(parents=True)
    monkeypatch.setenv("TRIPTYCH_BUNDLES", str(named))
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(user))
    return named, user / "bundles"
