"""From PyTorch to a bundle: the ONNX graphs, their parity with PyTorch, the card.

Graphs are exported at opset 18 with the weights stored in half precision, matrices in 8 bits where
that is asked for; ONNX Runtime widens them once, when it opens the graph.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from triptych import bundle
from triptych.engine import Engine
from triptych.errors import UserError
from triptych.files import put_folder, refusal, shown
from triptych.training.data import Source
from triptych.training.loop import Recipe, Run

OPSET, IR = 18, 10


@dataclass
class GraphExport:
    """A module to export as one graph.

    `inputs` are examples by name, `free` the names of an input's free axes, `ranges` what a value
    may be. `trials` are more inputs on which ONNX must agree with PyTorch. With `named` every
    weight keeps its name and shape, so that `weights` can read it again: what PyTorch would compute
    from weights alone (a GRU's gates in another order) ONNX Runtime then does when it opens them.
    With `int8` the weights of dense layers and of convolutions are stored as int8 with a step for
    each row.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    free: dict[str, dict[int, str]]
    trials: Sequence[dict[str, Tensor]]
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    named: bool = False
    int8: bool = False


def shrink(model: onnx.ModelProto, int8: bool = False) -> None:
    """Store the float32 weights of `model` as float16, each behind a cast back.

    Small ones and those that float16 cannot hold stay as they are; with `int8` large
    weights of several dimensions are stored as int8.
    """
    graph, nodes, steps = model.graph, [], []
    for index, tensor in enumerate(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        name = tensor.name
        if int8 and _is_matrix(values.shape):
            rounded, step = as_int8(torch.from_numpy(values.copy()))
            stored = numpy_helper.from_array(rounded.numpy(), f"{name}.int8")
            steps.append(numpy_helper.from_array(step.numpy(), f"{name}.step"))
            wide = helper.make_node("Cast", [stored.name], [f"{name}.wide"], to=TensorProto.FLOAT)
            nodes += [wide, helper.make_node("Mul", [wide.output[0], steps[-1].name], [name])]
        elif _halves(values.size, float(np.abs(values).max(initial=0))):
            stored = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
            nodes.append(helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT))
        else:
            continue
        graph.initializer[index].CopyFrom(stored)
    graph.initializer.extend(steps)
    for position, node in enumerate(nodes):
        graph.node.insert(position, node)


def _is_matrix(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and min(shape[0], math.prod(shape[1:])) >= 32


def npz(arrays: Mapping[str, Any]) -> bytes:
    """An .npz file of arrays, a seventh smaller than NumPy's own for it is packed by LZMA."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, values in arrays.items():
            one = io.BytesIO()
            np.save(one, np.asarray(values))
            told = zipfile.ZipInfo(f"{name}.npy")  # of no date: the same arrays, the same file
            file.writestr(told, one.getvalue(), zipfile.ZIP_LZMA)
    return stream.getvalue()


def as_int8(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (N x ...) as int8 with a step for each row (N x 1...)."""
    ways = tuple(range(1, matrix.ndim))
    step = (matrix.abs().amax(ways, keepdim=True) / 127).clamp(min=1e-12)
    return (matrix / step).round().to(torch.int8), step


def _halves(size: int, largest: float) -> bool:
    return size >= 64 and largest < 65504


def weights(path: Path) -> dict[str, Tensor]:
    """The weights in an exported graph, by their names in the PyTorch module."""
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    found = {}
    for name, values in stored.items():
        if name.endswith(".step") and f"{name.removesuffix('.step')}.int8" in stored:
            continue
        if name.endswith(".int8"):
            values = values.astype(np.float32) * stored[f"{name.removesuffix('.int8')}.step"]
        elif values.dtype == np.float16:
            values = values.astype(np.float32)
        own = name.removesuffix(".half").removesuffix(".int8")
        found[own] = torch.from_numpy(values.copy())
    return found


@torch.no_grad()
def load(net: nn.Module, found: bundle.Bundle, graph: str, prefix: str = "") -> None:
    """Give `net` the weights of one of a bundle's graphs, in which it is named `prefix`; UserError
    when they are not of its shapes."""
    stored = weights(found.graph(graph))
    for name, value in net.state_dict().items():
        if name.endswith(".num_batches_tracked"):  # no weight, and in no graph
            continue
        given = stored.get(prefix + name)
        if given is None or given.shape != value.shape:
            raise UserError(
                f"the bundle {found.listed} is of a network of another width: set what its card "
                "says"
            )
        value.copy_(given)


def export_graph(graph: GraphExport, path: Path) -> bundle.Graph:
    """Write `graph` to `path`; returns what the card says of it."""
    module = graph.module.eval()
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            module,
            tuple(graph.inputs.values()),
            path,
            dynamo=False,  # keeps free sizes that are multiples of 8, which the other path loses
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=graph.outputs,
            dynamic_axes=graph.free,
            do_constant_folding=not graph.named,
        )
        made = module(*graph.inputs.values())
    model = onnx.load(path)
    model.ir_version = IR
    model.graph.ClearField("value_info")
    shrink(model, graph.int8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    made = (made,) if isinstance(made, Tensor) else made
    ends = [*graph.inputs.items(), *zip(graph.outputs, made, strict=True)]
    tensors = [
        bundle.Tensor(
            name,
            tuple(graph.free.get(name, {}).get(axis, size) for axis, size in enumerate(t.shape)),
            str(t.dtype).removeprefix("torch."),
            graph.ranges.get(name),
        )
        for name, t in ends
    ]
    count = len(graph.inputs)
    return bundle.Graph(path.name, tuple(tensors[:count]), tuple(tensors[count:]), OPSET, IR)


@torch.no_grad()
def parity(graph: GraphExport, path: Path) -> dict[str, Any]:
    """The largest absolute difference between PyTorch and ONNX Runtime over `graph.trials`."""
    engine, worst, shapes = Engine(["cpu"]), 0.0, []
    for trial in graph.trials:
        made = graph.module(*trial.values())
        made = (made,) if isinstance(made, Tensor) else made
        ran = engine.run(path, {k: v.numpy() for k, v in trial.items()})
        for name, wanted in zip(graph.outputs, made, strict=True):
            apart = float(np.abs(wanted.numpy() - ran[name]).max())
            worst = worst if apart <= worst else apart  # a NaN is the worst
        shapes.append([list(v.shape) for v in trial.values()])
    return {"max_abs": worst, "shapes": shapes}


def write_bundle(
    folder: Path,
    card: bundle.Card,
    graphs: Mapping[str, GraphExport],
    files: Mapping[str, bytes],
    kept: bundle.Bundle | None = None,
) -> Path:
    """Write a whole bundle to `folder`, aside first, and put it in the place of what was there.

    Of the bundle `kept` all other graphs and files go along as they are. Half-precision rounding
    is part of the model, so the modules' weights are rounded before the parity is measured.

    Raises:
        UserError: PyTorch and ONNX differ by more than 1e-3; `folder` holds something that is not
            a bundle; it cannot be written. What was there is then still there.
    """
    folder = folder.absolute()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "card.json").is_file():
        raise UserError(f"{shown(folder)} is not empty and holds no bundle: choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as place:
            aside = Path(place) / folder.name
            aside.mkdir()
            _fill(aside, card, graphs, files, kept)
            put_folder(aside, folder)
    except OSError as error:
        raise refusal("write", folder, error) from error
    return folder


def _fill(
    folder: Path,
    card: bundle.Card,
    graphs: Mapping[str, GraphExport],
    files: Mapping[str, bytes],
    kept: bundle.Bundle | None,
) -> None:
    """Write the bundle's files into the empty `folder` and open it to see that it is sound."""
    described, agreement = {}, {}
    held: dict[str, bytes] = {}
    if kept is not None:
        for name in (name for name in kept.card.graphs if name not in graphs):
            described[name], agreement[name] = kept.card.graphs[name], kept.card.parity[name]
            shutil.copy2(kept.graph(name), folder / f"{name}.onnx")
        held = {name: kept.file(name).read_bytes() for name in kept.card.files}
    for name, graph in graphs.items():
        for value in graph.module.state_dict().values():
            if value.dtype != torch.float32 or not value.numel():
                continue
            if graph.int8 and _is_matrix(value.shape):
                rounded, step = as_int8(value)
                value.copy_(rounded * step)
            elif _halves(value.numel(), float(value.abs().max())):
                value.copy_(value.half().float())
        path = folder / f"{name}.onnx"
        described[name] = export_graph(graph, path)
        agreement[name] = parity(graph, path)
        if not agreement[name]["max_abs"] <= 1e-3:
            raise UserError(
                f"the graph {name} differs from PyTorch by {agreement[name]['max_abs']:.2g}: "
                "it was not exported"
            )
    card = dataclasses.replace(card, graphs=described, parity=agreement)
    for name in described:
        path = folder / f"{name}.onnx"
        model = onnx.load(path)
        helper.set_model_props(model, {bundle.METADATA_KEY: bundle.graph_metadata(card, name)})
        onnx.save(model, path)
    for relative, content in {**held, **files}.items():
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_bytes(content)
    bundle.write_card(folder, card)
    bundle.open_bundle(folder)


def made_by(recipe: Recipe, settings: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """What the card says of the training, and of the same recipe's in the bundle that it started
    from, as that is now; of a path only its last part."""
    told = {
        "name": recipe.name,
        "settings": {key: _told(value) for key, value in settings.items()},
        "loop": dataclasses.asdict(recipe.loop),
        "steps": run.step,
        "minutes": round(run.seconds / 60, 1),
    }
    if start := settings.get("start"):
        whole = bundle.open_bundle(start, verify=False).card.recipe
        parts = (part for part in (whole, *whole.values()) if isinstance(part, dict))
        before = [part for part in parts if part.get("name") == recipe.name]
        told |= {"before": before[0]} if before else {}
    return told


def _told(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    path = isinstance(value, Path) or (isinstance(value, str) and Path(value).is_absolute())
    return Path(value).name if path else value


def ledger(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """The card's list of training data."""
    return [source.card() for source in sources]


def today() -> str:
    """The date for a card: YYYY-MM-DD."""
    return date.today().isoformat()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        yield
