"""The bundle of *explore*: one graph per scale, from a picture and a latent."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych import bundle
from triptych.training import export
from triptych.training.image.consistent import Consistent
from triptych.training.image.explore_net import ROUNDS, ExploreNet
from triptych.training.image.upscale_export import plain
from triptych.training.image.upscale_net import RepConv


class PlainExplore(nn.Module):
    """A network as it is run: plain convolutions, the result consistent and within 0..1."""

    def __init__(self, net: ExploreNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        for trunk in (self.net.base.trunk, self.net.trunk):
            for place, conv in enumerate(trunk):
                assert isinstance(conv, RepConv)
                trunk[place] = plain(conv)
        self.consistent = Consistent(net.scale, ROUNDS[net.scale])

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        made: Tensor = self.consistent(self.net(picture, noise), picture)
        return made


NOTES = (
    "Makes pictures 2, 3 and 4 times larger and draws detail that may have been there, another for "
    "each seed; made smaller again, the result is the picture that was given. For clean pictures. "
    "Four times larger and with all variety, stone, sand and cloth may look hatched. "
    "A conditional variational autoencoder on the features of the crisp network: a decoder of "
    "plain 3x3 convolutions for each scale, and rounds of back-projection."
)


def export_explore(
    nets: Sequence[ExploreNet], folder: Path, name: str = "upscale-explore", **facts: Any
) -> Path:
    """Write the bundle with the graphs x2, x3 and x4; `facts` go into its card."""
    smooth = F.interpolate(torch.rand(1, 3, 6, 6), size=(48, 48), mode="bicubic").clamp(0, 1)
    pictures = [smooth, torch.rand(1, 3, 37, 64), torch.rand(1, 3, 5, 90)]
    free = {2: "height", 3: "width"}
    graphs = {}
    for net in nets:
        trials = [
            {"picture": one, "noise": torch.randn(1, net.latent, *one.shape[2:])}
            for one in pictures
        ]
        graphs[f"x{net.scale}"] = export.GraphExport(
            PlainExplore(net),
            trials[0],
            ["larger"],
            {
                "picture": free,
                "noise": free,
                "larger": {2: f"{net.scale}*height", 3: f"{net.scale}*width"},
            },
            trials,
            {"picture": (0.0, 1.0), "larger": (0.0, 1.0)},
        )
    card = bundle.Card(
        name=name,
        version="1.0.0",
        task="upscale",
        title="Explore",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        created=export.today(),
        notes=NOTES,
        extra={
            "overlap": nets[0].reach + 16,
            "border": 0,
            "parameters": {
                f"x{net.scale}": sum(p.numel() for p in PlainExplore(net).parameters())
                for net in nets
            },
        },
        **facts,
    )
    return export.write_bundle(folder, card, graphs, {})
