"""The bundle of upscaling: one graph per scale, its convolutions re-parameterised to plain ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from triptych import bundle
from triptych.errors import UserError
from triptych.training import export
from triptych.training.image.upscale_net import RepConv, ScaleNet, UpscaleNet

_BORDER = 4  # mirrored px around the picture: with all that the network sees it is no better


class PlainUpscale(nn.Module):
    """A network as it is run: plain convolutions only, result within 0..1."""

    def __init__(self, net: ScaleNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        for place, conv in enumerate(self.net.trunk):
            assert isinstance(conv, RepConv)
            self.net.trunk[place] = plain(conv)

    def forward(self, picture: Tensor) -> Tensor:
        made: Tensor = self.net(picture).clamp(0, 1)
        return made


@torch.no_grad()
def plain(conv: RepConv) -> nn.Conv2d:
    """The plain convolution that `conv` is."""
    made = nn.Conv2d(len(conv.bias), len(conv.bias), 3, padding=1)
    made.weight.copy_(conv.kernel())
    assert made.bias is not None
    made.bias.copy_(conv.bias)
    return made


def parameters(net: ScaleNet) -> int:
    """Learned numbers in the graph."""
    return sum(p.numel() for p in PlainUpscale(net).parameters())


def multiply_adds(net: ScaleNet) -> float:
    """Multiplications with an addition for an output of 1280 x 720 px, in 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        PlainUpscale(net)(torch.zeros(1, 3, 24, 32))
    return counter.get_total_flops() / 2 * (1280 * 720 / net.scale**2) / (24 * 32) / 1e9


NOTES = {
    False: (
        "Makes pictures 2, 3 and 4 times larger, as near to the original as can be known (trained "
        "for a small error, not for looks)."
    ),
    True: (
        "Makes pictures 2, 3 and 4 times larger and draws the detail that is likely there; for "
        "pictures with some blur, noise or JPEG blocks. What it adds may not have been there."
    ),
}
FORM = (
    " Plain 3x3 convolutions and a pixel shuffle, a network for each scale, add what bicubic "
    "interpolation lacks."
)


def export_upscale(
    net: UpscaleNet, folder: Path, crisp: bool = False, name: str = "", **facts: Any
) -> Path:
    """Write the bundle with the graphs x2, x3 and x4; `facts` go into its card."""
    nets = net.nets
    free = {2: "height", 3: "width"}
    smooth = F.interpolate(torch.rand(1, 3, 6, 6), size=(48, 48), mode="bicubic").clamp(0, 1)
    trials = [{"picture": smooth}]
    trials += [{"picture": torch.rand(1, 3, h, w)} for h, w in ((37, 64), (5, 90))]
    graphs = {
        f"x{one.scale}": export.GraphExport(
            PlainUpscale(one),
            trials[0],
            ["larger"],
            {"picture": free, "larger": {2: f"{one.scale}*height", 3: f"{one.scale}*width"}},
            trials,
            {"picture": (0.0, 1.0), "larger": (0.0, 1.0)},
        )
        for one in nets
    }
    card = bundle.Card(
        name=name or ("upscale-crisp" if crisp else "upscale"),
        version="1.0.0",
        task="upscale",
        title="Crisp" if crisp else "Faithful",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        created=export.today(),
        notes=NOTES[crisp] + FORM,
        extra={
            "overlap": {f"x{one.scale}": one.reach for one in nets},
            "border": _BORDER,
            "parameters": {f"x{one.scale}": parameters(one) for one in nets},
            "multiply_adds": {f"x{one.scale}": round(multiply_adds(one), 2) for one in nets},
        },
        **facts,
    )
    return export.write_bundle(folder, card, graphs, {})


@torch.no_grad()
def load_upscale(net: UpscaleNet, folder: Path) -> None:
    """Give `net` the weights of the bundle in `folder`, which must be of its width and depth.

    A network that goes through its trunk twice may start from one that does not.
    """
    found = bundle.open_bundle(folder)
    for one in net.nets:
        stored = export.weights(found.graph(f"x{one.scale}"))
        layers: dict[str, Any] = {"entry": one.entry, "head": one.head}
        layers |= {f"trunk.{place}": conv for place, conv in enumerate(one.trunk)}
        again = stored.get("net.again")
        if again is not None and one.again is None:
            raise UserError(
                f"the network of {found.listed} for x{one.scale} goes through its trunk twice: set "
                "twice as its card says"
            )
        for name, layer in layers.items():
            weight, bias = stored.get(f"net.{name}.weight"), stored.get(f"net.{name}.bias")
            if weight is None or bias is None or weight.shape != layer.weight.shape:
                raise UserError(
                    f"the bundle {found.listed} is of a network of another width or depth: set "
                    "width and depth as its card says"
                )
            if isinstance(layer, RepConv):
                layer.point.zero_()
                layer.weight.zero_()
                weight = weight - layer.kernel()
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        if again is not None and one.again is not None:
            one.again.copy_(again)
