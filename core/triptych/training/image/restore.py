"""The recipe `restore`: networks that find damage, take noise away and judge aged colours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych import bundle
from triptych.errors import UserError
from triptych.image.restore import THUMBNAIL, Tone, freshened
from triptych.training import data, export
from triptych.training.image import damage, sets
from triptych.training.image.inpaint import Clamped, any_crop
from triptych.training.image.restore_net import PARTS, STRIDE, RestoreNet
from triptych.training.image.style import as_picture, as_tensor, content_pictures
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

_PREFIXES = dict(zip(PARTS, ("net.", "net.", ""), strict=True))  # of weights in the graphs
OVERLAP = 96  # pixels that a judged pixel looks at most, nearly


@dataclass
class RestoreSettings:
    """Settings of the recipe `restore`."""

    name: str = "restore"  # of the bundle
    rate: float = 3e-3  # of the convolutions
    size: int = 160  # pixels of a crop's side
    paintings: float = 0.5  # share of examples from paintings
    find_width: int = 24
    clean_width: int = 32
    start: str = ""  # folder of a bundle to start from; empty: random weights
    learns: tuple[str, ...] = PARTS  # the networks that are trained; the others stay as they start


class RestoreRecipe(Recipe):
    """Learn from damage that is made (see `damage`) on free photographs and paintings.

    Loss: cross-entropy and overlap (Dice) of the damage found, the absolute difference of the
    cleaned picture, the absolute difference of the four numbers of the tone.
    """

    name = "restore"

    def __init__(self, settings: RestoreSettings | None = None) -> None:
        self.settings = settings or RestoreSettings()
        self.loop = LoopSettings(steps=40000, batch=4, warmup=100, ema=0.998, clip=1.0)

    def sources(self) -> list[data.Source]:
        root = data.data_root()
        return [*sets.photographs(root), *sets.free_paintings(root)]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        root = data.data_root()
        self.photographs = content_pictures(sets.photographs(root))
        self.paintings = content_pictures(sets.free_paintings(root))
        net = RestoreNet(self.settings.find_width, self.settings.clean_width)
        if self.settings.start:
            started = bundle.open_bundle(Path(self.settings.start))
            for name, prefix in _PREFIXES.items():
                export.load(net.get_submodule(name), started, name, prefix)
        self.learns = [name for name in PARTS if name in self.settings.learns]
        if not self.learns or not set(self.settings.learns) <= set(PARTS):
            raise UserError(f"learns: one or more of {', '.join(PARTS)}")
        if len(self.learns) < len(PARTS) and not self.settings.start:
            raise UserError("where some networks learn, start must be a bundle that has the others")
        for name in PARTS:
            net.get_submodule(name).requires_grad_(name in self.learns)
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return {"net": net}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        weights = [p for p in modules["net"].parameters() if p.requires_grad]
        rate = self.settings.rate
        groups = [
            {"params": [p for p in weights if p.ndim == 4], "lr": rate, "muon": True},
            {"params": [p for p in weights if p.ndim != 4], "lr": rate / 3},
        ]
        return {"net": MuonAdam(groups, betas=(0.9, 0.99))}

    def batch(self, indices: range, device: torch.device) -> Any:
        made = [self._example(index) for index in indices]
        stacked = (torch.cat(each) for each in zip(*made, strict=True))
        like = torch.channels_last
        return tuple(
            t.to(device, memory_format=like) if t.ndim == 4 else t.to(device) for t in stacked
        )

    def _example(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng((self.loop.seed, index))
        painted = rng.random() < self.settings.paintings
        group = self.paintings if painted else self.photographs
        whole = group[int(rng.integers(len(group)))]
        truth = any_crop(whole, self.settings.size, rng).astype(np.float32) / 255
        tone = damage.any_tone(rng)
        base = damage.aged(truth, tone)
        over = damage.overlaid(base, rng)
        damaged = damage.saved(damage.noisy(over.picture, rng), rng)
        grainy = damage.noisy(base, rng)
        coded = damage.saved(grainy, rng)
        amounts = np.where(rng.random(2) < 0.4, 1, rng.random(2)).astype(np.float32)
        wanted = base + (1 - amounts[0]) * (grainy - base) + (1 - amounts[1]) * (coded - grainy)
        small = Image.fromarray(whole).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        thumbnail = damage.aged(np.asarray(small, np.float32) / 255, tone)
        pictures = (damaged, over.shares, coded, wanted, thumbnail)
        tensors = [
            torch.from_numpy(p.astype(np.float32).transpose(2, 0, 1))[None] for p in pictures
        ]
        return (*tensors, torch.from_numpy(amounts)[None], torch.tensor([astuple(tone)]))

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        damaged, shares, coded, wanted, thumbnail, amounts, tone = batch
        told = modules["net"](damaged, coded, amounts, thumbnail, self.learns)
        told = {name: made.float() for name, made in told.items()}
        total, figures = damaged.new_zeros(()), {}
        if "find" in told:
            # what hides a quarter is worth filling
            true = (shares * 2).clamp(max=1)
            likely = torch.sigmoid(told["find"])
            entropy = F.binary_cross_entropy_with_logits(told["find"], true)
            both = (likely * true).sum((0, 2, 3))
            all_ = (likely + true).sum((0, 2, 3))
            dice = 1 - (2 * both + 50) / (all_ + 50)
            total = total + entropy + 0.3 * dice.mean()
            figures["found"] = float(entropy.detach())
            for kind, d in zip(damage.KINDS, dice.detach(), strict=True):
                figures[f"dice_{kind}"] = float(d)
        if "clean" in told:
            apart = F.l1_loss(told["clean"], wanted)
            total = total + 10 * apart
            figures["clean"] = float(apart.detach())
            figures["unclean"] = float(F.l1_loss(coded, wanted))
        if "tone" in told:
            tone_apart = F.l1_loss(told["tone"], tone)
            total = total + tone_apart
            figures["tone"] = float(tone_apart.detach())
        return total, figures

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Damaged pictures, what was found, cleaned, with fresh colours, and the originals."""
        net = modules["net"]
        device = next(net.parameters()).device
        size = self.settings.size
        sheet = Image.new("RGB", (6 * size, 8 * size))
        for row in range(8):
            made = self._example(10**9 + row)
            damaged, shares, coded, _, thumbnail = (t.to(device) for t in made[:5])
            told = net(damaged, coded, torch.ones(1, 2, device=device), thumbnail)
            found, clean = torch.sigmoid(told["find"]), told["clean"]
            values = np.ascontiguousarray(clean[0].permute(1, 2, 0).cpu().numpy())
            tone = Tone(*told["tone"][0].tolist())
            fresh = as_tensor(255 * freshened(values, tone, 1.0, 1.0))
            for column, one in enumerate((damaged, shares, found, coded, clean, fresh)):
                sheet.paste(as_picture(one), (column * size, row * size))
        return sheet

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        net = modules["net"].cpu().float().eval()
        assert isinstance(net, RestoreNet)
        card = bundle.Card(
            name=self.settings.name,
            version="1.0.0",
            task="restore",
            title="What time did to a picture",
            licence="Apache-2.0",
            graphs={},
            authors=["The Triptych developers"],
            notes="Finds scratches, stains and cracks, takes noise and JPEG blocks away, and "
            "judges how far colours have faded and yellowed.",
            created=export.today(),
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
            extra={"multiple": STRIDE, "overlap": OVERLAP},
        )
        return export.write_bundle(folder, card, graphs(net), {})


class _Likely(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        return torch.sigmoid(self.net(picture))


def graphs(net: RestoreNet) -> dict[str, export.GraphExport]:
    """The graphs `find`, `clean` and `tone`."""
    rng = torch.Generator().manual_seed(0)
    sides = {2: "height", 3: "width"}
    shapes = ((64, 96), (64, 64), (128, 72))

    def picture(height: int, width: int) -> Tensor:
        return torch.rand(1, 3, height, width, generator=rng)

    seen = [{"picture": picture(*shape)} for shape in shapes]
    asked = [
        {"picture": picture(*shape), "amounts": torch.rand(1, 2, generator=rng)} for shape in shapes
    ]
    small = [{"thumbnail": picture(THUMBNAIL, THUMBNAIL)} for _ in range(3)]
    unit = (0.0, 1.0)
    return {
        "find": export.GraphExport(
            _Likely(net.find),
            seen[0],
            ["damage"],
            {"picture": sides, "damage": sides},
            seen,
            {"picture": unit, "damage": unit},
        ),
        "clean": export.GraphExport(
            Clamped(net.clean),
            asked[0],
            ["cleaned"],
            {"picture": sides, "cleaned": sides},
            asked,
            {"picture": unit, "amounts": unit, "cleaned": unit},
        ),
        "tone": export.GraphExport(net.tone, small[0], ["tone"], {}, small, {"thumbnail": unit}),
    }
