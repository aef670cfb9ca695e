"""The bundles of style transfer: the network with its library, and codes learned later."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image
from torch import Tensor, nn

from triptych import bundle
from triptych.image.weight_delta import read
from triptych.training import data, export
from triptych.training.image import style_data
from triptych.training.image.perceptual import PerceptualNet
from triptych.training.image.style_net import StyleModel, StyleNet, StylePredictor, StyleStatistics

THUMBNAIL = 128  # pixels
NOTES = (
    "One feed-forward network for a library of styles, any picture as style, and blends. "
    "A style is a code: the scales and shifts of the network's normalisations."
)
DELTA_NOTES = f"{NOTES} Some of the library's have a weight delta beside it."
DELTA_STEP = 0.25  # of a weight delta's spread: what it is rounded to
OVERLAP = 104  # pixels around a tile that its result depends on, see StyleNet


class _Measure(nn.Module):
    def __init__(self, net: StyleNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor, grain: Tensor, code: Tensor) -> Tensor:
        return self.net.measure(picture, code, grain)


class _Render(nn.Module):
    def __init__(self, net: StyleNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor, grain: Tensor, affine: Tensor) -> Tensor:
        return self.net.render(picture, affine, grain)


class _Predict(nn.Module):
    def __init__(self, statistics: StyleStatistics, predictor: StylePredictor) -> None:
        super().__init__()
        self.statistics = statistics
        self.predictor = predictor

    def forward(self, style: Tensor) -> Tensor:
        return self.predictor(self.statistics(style))


def thumbnail(picture: Image.Image) -> bytes:
    """A square thumbnail of a style as WebP."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    stream = io.BytesIO()
    square.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS).save(stream, "WEBP", quality=80)
    return stream.getvalue()


def codes_file(codes: np.ndarray) -> bytes:
    """Codes K x C as the bytes of an .npz."""
    stream = io.BytesIO()
    np.savez_compressed(stream, codes=codes.astype(np.float16))
    return stream.getvalue()


def preset(work: style_data.Work) -> dict[str, Any]:
    """What the card says of a library style."""
    name = style_data.preset_name(work.name)
    return {
        "name": name,
        "title": work.title,
        "artist": work.artist,
        "year": work.year,
        "why_free": work.why_free,
        "thumbnail": f"thumbnails/{name}.webp",
    }


def export_style(
    model: StyleModel,
    statistics: StyleStatistics,
    codes: Tensor,
    library: Sequence[Image.Image],
    folder: Path,
    **facts: Any,
) -> Path:
    """Write the bundle `style`: the graphs measure, render and predict, the library's codes
    (K x `code_size`, with the K pictures that they are of); `facts` go into its card.
    """
    size = model.net.code_size
    shapes = [(128, 128), (96, 160), (200, 104)]
    canvases = [
        {"picture": torch.rand(1, 3, h, w), "grain": torch.rand(1, 1, h, w)} for h, w in shapes
    ]
    code = codes[:1].half().float()
    with torch.no_grad():
        affine = model.net.measure(code=code, **canvases[0])
    free = {2: "height", 3: "width"}
    styles = [torch.rand(1, 3, h, w) for h, w in [(256, 320), (512, 512), (96, 64)]]
    graphs = {
        "measure": export.GraphExport(
            _Measure(model.net),
            canvases[0] | {"code": code},
            ["affine"],
            {"picture": free, "grain": free},
            [canvas | {"code": code} for canvas in canvases],
            {"picture": (0.0, 1.0), "grain": (0.0, 1.0)},
        ),
        "render": export.GraphExport(
            _Render(model.net),
            canvases[0] | {"affine": affine},
            ["stylised"],
            {"picture": free, "grain": free, "stylised": free},
            [canvas | {"affine": affine} for canvas in canvases],
            {"picture": (0.0, 1.0), "grain": (0.0, 1.0), "stylised": (0.0, 1.0)},
        ),
        "predict": export.GraphExport(
            _Predict(statistics, model.predictor),
            {"style": styles[0]},
            ["code"],
            {"style": free},
            [{"style": s} for s in styles],
            {"style": (0.0, 1.0)},
        ),
    }
    works = {work.name: work for work in style_data.works(data.data_root())}
    presets = [preset(works[name]) for name in style_data.LIBRARY]
    files = {
        p["thumbnail"]: thumbnail(picture) for p, picture in zip(presets, library, strict=True)
    }
    files["codes.npz"] = codes_file(codes.numpy())
    card = bundle.Card(
        name="style",
        version="1.0.0",
        task="style",
        title="Painting styles",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        created=export.today(),
        notes=NOTES,
        presets=presets,
        extra={"code_size": size, "multiple": 8, "overlap": OVERLAP},
        **facts,
    )
    return export.write_bundle(folder, card, graphs, files)


def recoded(
    start: Path, codes: Mapping[int, np.ndarray], folder: Path, recipe: dict[str, Any]
) -> Path:
    """Write the style bundle in `start` with other codes (by their places) to `folder`.

    Its graphs stay, so what was learned for them stays right; so do the card's figures, until they
    are measured again.
    """
    base = bundle.open_bundle(start)
    card = dataclasses.replace(base.card, created=export.today(), recipe=recipe)
    files = {"codes.npz": _codes_with(base, codes)}
    return export.write_bundle(folder, card, {}, files, kept=base)


def with_delta(
    start: Path,
    place: int,
    code: np.ndarray,
    net: StyleNet,
    folder: Path,
    recipe: Mapping[str, Any],
) -> Path:
    """Write the style bundle in `start` to `folder` with another code of the style at `place` (see
    `recoded`) and, as its weight delta, what `net` has more than the bundle's network."""
    base = bundle.open_bundle(start)
    shared = export.weights(base.graph("render"))
    places = {graph: _weight_places(base.graph(graph)) for graph in ("measure", "render")}
    arrays: dict[str, np.ndarray] = {}
    for weight in places["render"]:
        delta = net.get_parameter(weight.removeprefix("net.")).detach() - shared[weight]
        step = DELTA_STEP * float(delta.std()) + 1e-12
        arrays[weight] = (delta / step).round().clamp(-127, 127).to(torch.int8).numpy()
        arrays[f"{weight}.step"] = np.asarray(step, np.float32)
    presets = [dict(one) for one in base.card.presets]
    name = presets[place]["name"]
    presets[place]["delta"] = file = f"deltas/{name}.npz"
    deltas = dict(base.card.recipe.get("deltas", {}))
    told = {key: recipe[key] for key in ("settings", "loop", "steps", "minutes")}
    deltas[name] = told | ({"before": deltas[name]} if name in deltas else {})
    card = dataclasses.replace(
        base.card,
        created=export.today(),
        notes=DELTA_NOTES,
        presets=presets,
        recipe=base.card.recipe | {"deltas": deltas},
        extra=base.card.extra | {"weights": places},
    )
    files = {"codes.npz": _codes_with(base, {place: code}), file: export.npz(arrays)}
    return export.write_bundle(folder, card, {}, files, kept=base)


def _codes_with(base: bundle.Bundle, codes: Mapping[int, np.ndarray]) -> bytes:
    """The bundle's file of codes with other ones at these places."""
    held = base.arrays("codes.npz")["codes"].astype(np.float32)
    for place, code in codes.items():
        held[place] = code
    return codes_file(held)


def _weight_places(graph: Path) -> dict[str, tuple[int, int]]:
    """Where the convolutions' weights are in a graph's file, in bytes from its beginning, and how
    many there are."""
    content, found = graph.read_bytes(), {}
    for tensor in onnx.load(graph).graph.initializer:
        if tensor.name.endswith(".weight.half"):
            if content.count(tensor.raw_data) != 1:
                raise RuntimeError(f"{graph.name} does not hold {tensor.name} once")
            place = content.index(tensor.raw_data), len(tensor.raw_data) // 2
            found[tensor.name.removesuffix(".half")] = place
    return found


def load_style(
    folder: Path | None, style: str | None = None
) -> tuple[StyleModel, StyleStatistics, np.ndarray]:
    """Generator and predictor, style statistics and the library's codes of a style bundle; with
    the name of a `style`, the generator has that one's weight delta.

    `folder` None: the bundle that ships. The corrections are what the codes add to the
    predictor's for the thumbnails' originals; they are left at zero here.
    """
    found = bundle.open_bundle(folder) if folder else bundle.get_bundle("style", "style")
    predict, render = (export.weights(found.graph(g)) for g in ("predict", "render"))
    statistics = StyleStatistics(PerceptualNet())
    _take(statistics, predict, "statistics.")
    codes = found.arrays("codes.npz")["codes"].astype(np.float32)
    model = StyleModel(statistics.size, len(codes))
    _take(model.predictor, predict, "predictor.")
    _take(model.net, render, "net.")
    names = [preset["name"] for preset in found.card.presets]
    delta = read(found, names.index(style)) if style else {}
    with torch.no_grad():
        for name, values in delta.items():
            weight = model.net.get_parameter(name.removeprefix("net."))
            changed = weight.flatten() + torch.from_numpy(values)
            weight.copy_(changed.half().float().view_as(weight))  # as in the graph
    return model, statistics, codes


def _take(module: nn.Module, stored: dict[str, Tensor], prefix: str) -> None:
    """Copy `stored` weights into `module`; what a seed gives (projections) is not stored."""
    own = module.state_dict()
    for key, value in own.items():
        if prefix + key in stored:
            value.copy_(stored[prefix + key])
        elif not re.search(r"projection\d|upper|plain|scale", key):
            raise RuntimeError(f"the exported graph lacks {prefix}{key}")


def write_codes(
    folder: Path,
    name: str,
    title: str,
    presets: Sequence[dict[str, Any]],
    codes: np.ndarray,
    pictures: Sequence[Image.Image],
    base: Path | None,
    **facts: Any,
) -> Path:
    """Write a bundle of styles (K x C codes) for the style network in the bundle `base`.

    `base` None: the bundle that ships.
    """
    network = bundle.open_bundle(base) if base else bundle.get_bundle("style", "style")
    files = {p["thumbnail"]: thumbnail(i) for p, i in zip(presets, pictures, strict=True)}
    files["codes.npz"] = codes_file(codes)
    card = bundle.Card(
        name=name,
        version="1.0.0",
        task="style",
        title=title,
        graphs={},
        created=export.today(),
        presets=list(presets),
        extra={"base": "style", "base_sha256": network.card.graphs["render"].sha256},
        **facts,
    )
    return export.write_bundle(folder, card, {}, files)
