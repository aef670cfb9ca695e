"""The bundle of upscaling: one graph per scale, its convolutions re-parameterised to plain ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from triptych import bundle
from triptych.training import export
from triptych.training.image.upscale_net import SCALES, RepConv, UpscaleNet


class PlainUpscale(nn.Module):
    """The network for one scale as it is run: plain convolutions only, result within 0..1."""

    def __init__(self, net: UpscaleNet, scale: int) -> None:
        super().__init__()
        self.net = UpscaleNet(net.entry.out_channels, len(net.trunk))
        self.net.load_state_dict(net.state_dict())
        for place, conv in enumerate(self.net.trunk):
            assert isinstance(conv, RepConv)
            self.net.trunk[place] = plain(conv)
        for place, other in enumerate(SCALES):
            if other != scale:
                self.net.heads[place] = nn.Identity()
        self.scale = scale

    def forward(self, picture: Tensor) -> Tensor:
        made = self.net.head(self.scale, self.net.features(picture), picture)
        return made.clamp(0, 1)


@torch.no_grad()
def plain(conv: RepConv) -> nn.Conv2d:
    """The plain convolution that `conv` is."""
    made = nn.Conv2d(len(conv.bias), len(conv.bias), 3, padding=1)
    made.weight.copy_(conv.kernel())
    assert made.bias is not None
    made.bias.copy_(conv.bias)
    return made


def parameters(net: UpscaleNet, scale: int) -> int:
    """Learned numbers in the graph of one scale."""
    return sum(p.numel() for p in PlainUpscale(net, scale).parameters())


def multiply_adds(net: UpscaleNet, scale: int) -> float:
    """Multiplications with an addition for an output of 1280 x 720 px, in 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        PlainUpscale(net, scale)(torch.zeros(1, 3, 24, 32))
    return counter.get_total_flops() / 2 * (1280 * 720 / scale**2) / (24 * 32) / 1e9


def export_upscale(
    net: UpscaleNet,
    folder: Path,
    name: str = "upscale",
    title: str = "Upscaling, faithful",
    notes: str = "",
    **facts: Any,
) -> Path:
    """Write the bundle with the graphs x2, x3 and x4; `facts` go into its card."""
    free = {2: "height", 3: "width"}
    graphs = {}
    for scale in SCALES:
        trials = [{"picture": torch.rand(1, 3, h, w)} for h, w in ((48, 48), (37, 64), (5, 90))]
        trials[0]["picture"] = F.interpolate(
            torch.rand(1, 3, 6, 6), size=(48, 48), mode="bicubic"
        ).clamp(0, 1)
        graphs[f"x{scale}"] = export.GraphExport(
            PlainUpscale(net, scale),
            trials[0],
            ["larger"],
            {"picture": free, "larger": {2: f"{scale}*height", 3: f"{scale}*width"}},
            trials,
            {"picture": (0.0, 1.0), "larger": (0.0, 1.0)},
        )
    card = bundle.Card(
        name=name,
        version="1.0.0",
        task="upscale",
        title=title,
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        created=export.today(),
        notes=notes
        or (
            "Makes pictures 2, 3 and 4 times larger, as near to the original as it can be known "
            "(trained for a small error, not for looks). One trunk of plain 3x3 convolutions "
            "and one pixel-shuffle head per scale, on what bicubic interpolation lacks."
        ),
        extra={
            "overlap": net.reach,
            "parameters": {f"x{scale}": parameters(net, scale) for scale in SCALES},
            "multiply_adds": {f"x{scale}": round(multiply_adds(net, scale), 2) for scale in SCALES},
        },
        **facts,
    )
    return export.write_bundle(folder, card, graphs, {})
