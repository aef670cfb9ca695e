"""The bundle `dream`: the gradient steps of our perceptual network, and motifs to dream of.

`python -m triptych.training.image.dream_export [FOLDER]` makes it from the bundle `perceptual`.
Nothing is trained: a motif is a handful of channels, found by looking at what each one dreams of.
"""

from __future__ import annotations

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.image.dream import RATE, Climb, motif_vectors
from triptych.image.resample import resampled, resized
from triptych.training import data, export
from triptych.training.image import sets
from triptych.training.image.dream_step import LAYERS, DreamStep
from triptych.training.image.perceptual import CHANNELS, STRIDES, TAPS, PerceptualNet
from triptych.training.image.perceptual_export import load_perceptual

THUMBNAIL = 128  # pixels
QUIETEST = 0.05  # of `loudness`: a channel that all but never speaks is not made to shout
# What reaches a place's features, twice: a gradient passes there and back.
OVERLAPS = {"fire3": 24, "fire5": 64, "fire7": 144}

# name, title, layer, channels (none: all that the layer sees)
MOTIFS: tuple[tuple[str, str, str, tuple[int, ...]], ...] = (
    ("eyes", "Eyes", "fire7", (52, 90, 150, 210, 318, 325)),
    ("snouts", "Eyes and snouts", "fire7", (257, 291, 307, 367, 369, 241)),
    ("fur", "Fur", "fire7", (148, 349, 343, 365)),
    ("scales", "Scales and pebbles", "fire7", (10, 51, 85, 86, 102, 32)),
    ("arches", "Arches", "fire7", (39, 174, 280, 382, 186)),
    ("drapery", "Drapery", "fire7", (29, 106, 110, 182, 336)),
    ("webs", "Webs and twigs", "fire7", (79, 104, 57, 329, 219)),
    ("weave", "Basketwork", "fire7", (21, 17, 113, 165, 362)),
    ("coils", "Coils", "fire7", (8, 108, 133, 164, 137)),
    ("honeycomb", "Honeycomb", "fire5", (14, 42, 66, 68)),
    ("strokes", "Brush strokes", "fire5", (18, 100, 128, 165, 176)),
    ("fine", "All fine texture", "fire3", ()),
    ("middle", "All shapes of middle size", "fire5", ()),
    ("large", "All large shapes", "fire7", ()),
)


@torch.no_grad()
def loudness(net: PerceptualNet, count: int = 48) -> dict[str, list[float]]:
    """Root mean square of every channel of each layer over photographs, C each."""
    total = [torch.zeros(c) for c in CHANNELS]
    places = [0] * len(TAPS)
    for source in sets.photographs(data.data_root())[:1]:
        for _, picture in list(source.pictures())[:count]:
            values = np.asarray(picture, np.float32) / 255
            taps = net(torch.from_numpy(values.transpose(2, 0, 1).copy())[None])
            for index, tap in enumerate(taps):
                total[index] += tap[0].square().sum((1, 2))
                places[index] += tap[0, 0].numel()
    return {
        name: [round(max(float(v), QUIETEST), 3) for v in (t / n).sqrt()]
        for name, t, n in zip(TAPS, total, places, strict=True)
    }


def presets() -> list[dict[str, Any]]:
    """The motifs for the card."""
    return [
        {
            "name": name,
            "title": title,
            "layer": layer,
            "channels": list(channels),
            "energy": 0.0 if channels else 1.0,
        }
        for name, title, layer, channels in MOTIFS
    ]


def export_dream(folder: Path) -> Path:
    """Write the bundle, from the bundle `perceptual` that ships."""
    source, net = bundle.get_bundle("perceptual"), load_perceptual()
    loud = loudness(net)
    graphs = {layer: _graph(net, layer) for layer in LAYERS}
    card = bundle.Card(
        name="dream",
        version="1.0.0",
        task="dream",
        title="Dreams",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        created=export.today(),
        notes=(
            "The gradient of what layers of our perceptual network see (bundle perceptual "
            f"{source.card.version}), as forward passes. Motifs are channels that were named after "
            "what they dream of, by eye."
        ),
        presets=presets(),
        data=source.card.data,
        recipe=source.card.recipe,
        extra={
            "base_sha256": source.card.graphs["features"].sha256,
            "layers": {
                layer: {
                    "overlap": OVERLAPS[layer],
                    "multiple": max(8, stride),
                    "loudness": loud[layer],
                }
                for layer, stride in zip(TAPS, STRIDES, strict=True)
                if layer in LAYERS
            },
        },
    )
    folder = export.write_bundle(folder, card, graphs, {})
    _draw_thumbnails(folder)
    return folder


def _graph(net: PerceptualNet, layer: str) -> export.GraphExport:
    channels = CHANNELS[TAPS.index(layer)]
    # Seeded: where two values are equal but for rounding, the gradient may go either way.
    rng = torch.Generator().manual_seed(0)
    trials = [
        {
            "picture": torch.rand(1, 3, height, width, generator=rng),
            "vectors": torch.eye(channels)[3 : 3 + count],
            "energy": torch.tensor([energy]),
        }
        for height, width, count, energy in (
            (128, 128, 5, 0.0),
            (96, 160, 1, 0.0),
            (131, 150, 2, 0.1),
        )
    ]
    return export.GraphExport(
        DreamStep(net, layer),
        trials[0],
        ["objective", "gradient"],
        {
            "picture": {2: "height", 3: "width"},
            "vectors": {0: "k"},
            "gradient": {1: "height", 2: "width"},
        },
        trials,
        {"picture": (0.0, 1.0)},
        named=True,  # the turned kernels of the way back are the same weights
    )


def _draw_thumbnails(folder: Path) -> None:
    """Draw what each motif makes of soft noise, by the task's own code, and list it in the card."""
    opened, engine, drawn = bundle.open_bundle(folder), Engine(["cpu"], threads=1), 2 * THUMBNAIL
    noise = np.random.default_rng(0).normal(0, 1, (drawn // 16, drawn // 16, 3)).astype(np.float32)
    soft = resampled(0.5 + 0.12 * noise, (drawn, drawn), "BICUBIC").clip(0, 1)
    told = []
    (folder / "thumbnails").mkdir(exist_ok=True)
    for preset in opened.card.presets:
        layer, vectors, energy = motif_vectors(opened, preset["name"])
        climb = Climb(opened, layer, vectors, energy, 1.2 * RATE, 0.5, 16, 1152)
        made = resized(climb.dreamt(soft, 3, 1.6, 16, 0, engine, Job()), (THUMBNAIL, THUMBNAIL))
        stream = io.BytesIO()
        Image.fromarray((made * 255 + 0.5).astype(np.uint8)).save(stream, "WEBP", quality=80)
        place = f"thumbnails/{preset['name']}.webp"
        (folder / place).write_bytes(stream.getvalue())
        told.append({**preset, "thumbnail": place})
    bundle.write_card(folder, dataclasses.replace(opened.card, presets=told))


if __name__ == "__main__":
    print(export_dream(Path(sys.argv[1]) if sys.argv[1:] else bundle.shipped_folder() / "dream"))
