"""From a run to a bundle that the engine runs as PyTorch does."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.engine import Engine
from triptych.errors import UserError
from triptych.training import export
from triptych.training.loop import Recipe, Run, averaged, fit

Make = Callable[..., Recipe]


class Scaled(nn.Module):
    """y = weight x + (what only PyTorch adds)"""

    def __init__(self, weight: Tensor, apart: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_buffer("known", torch.ones(3, dtype=torch.bool))
        self.apart = apart

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + (0.0 if torch.onnx.is_in_onnx_export() else self.apart)


def write(folder: Path, module: nn.Module, version: str = "1.0.0") -> Path:
    x = {"x": torch.rand(2, 16)}
    graph = export.GraphExport(module, x, ["y"], {"x": {0: "n"}, "y": {0: "n"}}, [x])
    card = bundle.Card(folder.name, version, "tiny", "Tiny", "CC0-1.0", {})
    return export.write_bundle(folder, card, {"g": graph}, {})


def test_a_run_becomes_a_bundle_that_runs(recipe: Make, tmp_path: Path):
    made = recipe()
    run = fit(made, Run(tmp_path / "run"))
    modules = averaged(recipe(), Run(run.path))
    path = made.export(modules, run, tmp_path / "bundles/tiny")
    found = bundle.open_bundle(path)
    assert found.card.recipe["steps"] == 6
    assert found.card.recipe["settings"]["source"] == "waves"  # no path of this machine
    assert found.card.data[0]["licence"] == "Licence: CC0-1.0"
    assert found.card.data[0]["items"] == 3
    assert found.card.parity["net"]["max_abs"] <= 1e-3
    assert len(found.card.parity["net"]["shapes"]) == 2
    graph = found.card.graphs["net"]
    assert graph.inputs[0] == bundle.Tensor("x", ("n", 3, "height", "width"), "float32", (0, 1))
    assert graph.outputs[0].shape == ("n", 3, "height", "width")
    x = np.random.default_rng(0).random((2, 3, 11, 17), np.float32)
    ran = Engine(["cpu"], threads=1).run(found.graph("net"), {"x": x})["y"]
    with torch.no_grad():
        wanted = modules["net"](torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ran, wanted, atol=1e-5)
    model = onnx.load(found.graph("net"))
    assert model.ir_version <= 10
    assert model.opset_import[0].version <= 18


def test_weights_are_stored_in_half_precision_where_it_holds_them(tmp_path: Path):
    weight = torch.linspace(-1, 1, 16 * 16).reshape(16, 16)
    module = Scaled(weight.clone())
    found = bundle.open_bundle(write(tmp_path / "small", module))
    kinds = {t.data_type for t in onnx.load(found.graph("g")).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    (stored,) = export.weights(found.graph("g")).values()
    torch.testing.assert_close(stored, weight.half().float(), atol=0, rtol=0)
    torch.testing.assert_close(module.weight.data, stored, atol=0, rtol=0)

    large = weight.clone()
    large[0, 0] = 1e5  # more than float16 has
    (stored,) = export.weights(write(tmp_path / "large", Scaled(large)) / "g.onnx").values()
    torch.testing.assert_close(stored, large, atol=0, rtol=0)


@pytest.mark.parametrize("apart", [0.01, float("nan")])
def test_a_graph_that_differs_is_not_exported(tmp_path: Path, apart: float):
    folder = write(tmp_path / "it", Scaled(torch.eye(16)))
    with pytest.raises(UserError, match="differs from PyTorch"):
        write(folder, Scaled(torch.eye(16), apart), "2.0.0")
    assert bundle.open_bundle(folder).card.version == "1.0.0"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    write(folder, Scaled(torch.eye(16)), "2.0.0")
    assert bundle.open_bundle(folder).card.version == "2.0.0"


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/work.txt").write_text("dear")
    with pytest.raises(UserError, match="holds no bundle"):
        write(tmp_path / "mine", Scaled(torch.eye(16)))
    assert (tmp_path / "mine/work.txt").read_text() == "dear"
    (tmp_path / "file").write_text("dear")
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "file/it", Scaled(torch.eye(16)))


def test_a_full_disk_leaves_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write(tmp_path / "it", Scaled(torch.eye(16)))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("triptych.bundle.os.fsync", full)
    with pytest.raises(UserError, match="disk is full"):
        write(folder, Scaled(torch.eye(16)), "2.0.0")
    assert bundle.open_bundle(folder).card.version == "1.0.0"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
