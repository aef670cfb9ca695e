"""The recipe `inpaint`: the network that fills holes and guesses what extends a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych import bundle
from triptych.training import data, export
from triptych.training.image import sets
from triptych.training.image.holes import any_hole
from triptych.training.image.inpaint_net import STRIDE, InpaintNet
from triptych.training.image.patch_critic import PatchCritic, hinge, score
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.style import as_picture, as_tensor, content_pictures
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

COARSE = 8  # times smaller: what a guess knows of the truth
OVERLAP = 128  # pixels that a filled pixel looks at most, nearly


@dataclass
class InpaintSettings:
    """Settings of the recipe `inpaint`."""

    name: str = "inpaint"  # of the bundle
    rate: float = 3e-3  # of the convolutions
    critic_rate: float = 1e-3
    size: int = 192  # pixels of a crop's side
    width: int = 24
    guessed: float = 0.4  # share of examples with a coarse guess in the hole
    paintings: float = 0.3  # share of examples from paintings
    perceptual: float = 0.25  # weight of the perceptual distance
    adversarial: float = 0.02  # weight of the patch discriminator, from `adversarial_from` on
    adversarial_from: float = 0.3  # share of the training
    start: str = ""  # folder of a bundle to start from; empty: random weights


class InpaintRecipe(Recipe):
    """Fill holes of all kinds in crops of photographs and paintings.

    Loss: the absolute difference in the hole, the distance between the taps of SqueezeNet 1.1 (of
    the picture with the fill in it), and a patch discriminator on these taps.
    """

    name = "inpaint"

    def __init__(self, settings: InpaintSettings | None = None) -> None:
        self.settings = settings or InpaintSettings()
        self.loop = LoopSettings(steps=60000, batch=4, warmup=100, ema=0.998, clip=1.0)

    def sources(self) -> list[data.Source]:
        root = data.data_root()
        return [*sets.photographs(root), *sets.free_paintings(root)]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        root = data.data_root()
        self.judge: Taps = SqueezeNet()
        if self.loop.precision.startswith("bf16"):
            self.judge.to(torch.bfloat16)
        self.judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.photographs = content_pictures(sets.photographs(root))
        self.paintings = content_pictures(sets.free_paintings(root))
        self.filled: list[list[Tensor]] = []
        net = InpaintNet(self.settings.width)
        if self.settings.start:
            export.load(net, bundle.open_bundle(Path(self.settings.start)), "fill", "net.")
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return {"net": net, "critic": PatchCritic(1).to(device)}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        s = self.settings
        weights = list(modules["net"].parameters())
        dense = [p for p in weights if p.ndim == 4 and p.shape[1] > 1]
        others = [p for p in weights if p.ndim != 4 or p.shape[1] == 1]
        groups = [
            {"params": dense, "lr": s.rate, "muon": True},
            {"params": others, "lr": s.rate / 3},
        ]
        return {
            "net": MuonAdam(groups, betas=(0.9, 0.99)),
            "critic": torch.optim.Adam(modules["critic"].parameters(), s.critic_rate, (0.5, 0.99)),
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        pictures, holes, guessed, noise = [], [], [], []
        size = self.settings.size
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            painted = rng.random() < self.settings.paintings
            group = self.paintings if painted else self.photographs
            pictures.append(as_tensor(any_crop(group[int(rng.integers(len(group)))], size, rng)))
            holes.append(torch.from_numpy(any_hole(size, size, rng))[None, None].float())
            guessed.append(float(rng.random() < self.settings.guessed))
            drawn = rng.standard_normal((3, size // COARSE, size // COARSE), np.float32)
            noise.append(torch.from_numpy(drawn))
        truth, hole = torch.cat(pictures), torch.cat(holes)
        told = torch.tensor(guessed)[:, None, None, None] * hole
        like = torch.channels_last
        given = truth * (1 - hole) + hole * (0.5 + told * (guess(truth, torch.stack(noise)) - 0.5))
        return tuple(t.to(device, memory_format=like) for t in (given, hole, told, truth))

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        given, hole, told, truth = batch
        critic, s = modules["critic"], self.settings
        late = progress >= s.adversarial_from
        if part == "critic":
            false = self.filled.pop(0)
            if not late:
                return sum(p.sum() for p in critic.parameters()) * 0.0, {}  # type: ignore[return-value]
            with torch.no_grad():
                true = self.judge(truth)
            return hinge(critic(true), critic(false)).mean(), {}
        made = modules["net"](given, hole, told)
        whole = truth + hole * (made - truth)
        share = hole.mean((1, 2, 3)).clamp(min=0.02)
        plain = ((made - truth).abs() * hole).mean((1, 2, 3)) / share
        taps = self.judge(whole)
        with torch.no_grad():
            wanted = self.judge(truth)
        each = [F.l1_loss(a.float(), b.float()) for a, b in zip(taps, wanted, strict=True)]
        apart = torch.stack(each).sum()
        total = 2 * plain.mean() + 0.3 * F.l1_loss(made, truth) + s.perceptual * apart
        figures = {"plain": float(plain.detach().mean()), "taps": float(apart.detach())}
        if late:
            liked = -score(critic(taps)).mean()
            total = total + s.adversarial * liked
            figures["adversarial"] = float(liked.detach())
        self.filled.append([tap.detach() for tap in taps])
        return total, figures

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        net, size = modules["net"], 256
        device = next(net.parameters()).device
        sheet = Image.new("RGB", (6 * size, 2 * size))
        for place in range(6):
            rng = np.random.default_rng((7, place))
            group = self.paintings if place % 3 == 2 else self.photographs
            truth = as_tensor(any_crop(group[(place * 37) % len(group)], size, rng)).to(device)
            hole = torch.from_numpy(any_hole(size, size, rng))[None, None].float().to(device)
            given = truth * (1 - hole) + 0.5 * hole
            made = given + hole * (net(given, hole, torch.zeros_like(hole)) - given)
            for row, picture in enumerate((given, made)):
                sheet.paste(as_picture(picture), (place * size, row * size))
        return sheet

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["net"].cpu().float().eval()
        card = bundle.Card(
            name=self.settings.name,
            version="1.0.0",
            task=self.name,
            title="What could stand in a hole",
            licence="Apache-2.0",
            graphs={},
            authors=["The Triptych developers"],
            notes="Fills holes in photographs and paintings, and guesses what extends them.",
            created=export.today(),
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
            extra={"multiple": STRIDE, "overlap": OVERLAP, "coarse": COARSE},
        )
        return export.write_bundle(folder, card, {"fill": graph(net)}, {})


def guess(pictures: Tensor, noise: Tensor) -> Tensor:
    """What a coarse fill could have been: the truth without its detail, a little off.

    `noise` (N x 3, of the coarse size) is standard normal.
    """
    small = F.avg_pool2d(pictures, COARSE) + 0.03 * noise
    made = F.interpolate(small, scale_factor=float(COARSE), mode="bilinear")
    return made.clamp(0, 1)


class Clamped(nn.Module):
    """A network whose pictures stay within 0..1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor, *more: Tensor) -> Tensor:
        made: Tensor = self.net(picture, *more).clamp(0, 1)
        return made


def graph(net: nn.Module) -> export.GraphExport:
    """The graph `fill`; its sides are multiples of STRIDE."""
    rng = torch.Generator().manual_seed(0)

    def inputs(height: int, width: int) -> dict[str, Tensor]:
        hole = (torch.rand(1, 1, height, width, generator=rng) < 0.3).float()
        return {
            "picture": torch.rand(1, 3, height, width, generator=rng),
            "hole": hole,
            "guessed": hole * (torch.rand(1, generator=rng) < 0.5).float(),
        }

    sides = {2: "height", 3: "width"}
    return export.GraphExport(
        Clamped(net),
        inputs(64, 96),
        ["filled"],
        dict.fromkeys(("picture", "hole", "guessed", "filled"), sides),
        [inputs(64, 96), inputs(64, 64), inputs(128, 72)],
        dict.fromkeys(("picture", "hole", "guessed", "filled"), (0.0, 1.0)),
    )


def any_crop(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A part of a picture, sometimes of a smaller copy of it, sometimes mirrored."""
    short = min(picture.shape[:2])
    if short > size:
        side = int(rng.integers(size, short + 1))
        picture = np.asarray(data.fit(Image.fromarray(picture), side))
    made = data.crop(picture, size, rng)
    return made[:, ::-1] if rng.random() < 0.5 else made
