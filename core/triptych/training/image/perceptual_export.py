"""The bundle `perceptual`: written by its recipe, read by every training that judges pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from triptych import bundle
from triptych.training import export
from triptych.training.image.perceptual import TAPS, PerceptualNet


def load_perceptual(folder: Path | None = None) -> PerceptualNet:
    """Our perceptual network from the bundle in `folder`, or from the one that ships; frozen."""
    found = bundle.open_bundle(folder) if folder else bundle.get_bundle("perceptual")
    net = PerceptualNet()
    stored = export.weights(found.graph("features"))
    net.load_state_dict({k: v for k, v in stored.items() if k.startswith("stages")}, strict=False)
    return net.requires_grad_(False).eval()


def export_perceptual(net: nn.Module, folder: Path, **facts: Any) -> Path:
    """Write the bundle; `facts` go into its card (data, recipe)."""
    shapes = [(1, 128, 128), (1, 96, 160), (2, 256, 192)]
    trials = [{"picture": torch.rand(n, 3, h, w)} for n, h, w in shapes]
    graph = export.GraphExport(
        net,
        trials[0],
        list(TAPS),
        {"picture": {0: "n", 2: "height", 3: "width"}}
        | {tap: {0: "n", 2: f"height_{tap}", 3: f"width_{tap}"} for tap in TAPS},
        trials,
        {"picture": (0.0, 1.0)},
    )
    card = bundle.Card(
        name="perceptual",
        version="1.0.0",
        task="perceptual",
        title="Perceptual features for training",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        created=export.today(),
        notes=(
            "A small network of our own, trained from random weights to reproduce four feature "
            "maps of SqueezeNet 1.1 (Iandola et al. 2016; ImageNet weights by its authors, BSD), "
            "so that styles can be learned offline. The teacher does not ship."
        ),
        extra={"taps": list(TAPS)},
        **facts,
    )
    return export.write_bundle(folder, card, {"features": graph}, {})
