"""The recipe `upscale-explore`: several plausible enlargements of one picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
from triptych.training.image import sets, upscale_data
from triptych.training.image.explore_export import PlainExplore, export_explore
from triptych.training.image.explore_net import DRAWN, LIKELIEST, OWN, Explorer
from triptych.training.image.patch_critic import PatchCritic, score, told_apart
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.upscale import as_array, as_batch
from triptych.training.image.upscale_export import load_upscale
from triptych.training.image.upscale_net import SCALES, UpscaleNet
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

_EDGE = 3  # px of a small crop whose result is not judged: there the network sees its padding
_SHIFT = 8  # px by which pictures lie otherwise before the judge, whose strides leave a grid else
_WINDOW = 16  # px of the windows whose texture is compared
_CELLS = 8  # small pixels of the windows in which no pattern may stand still
_SHOWN = 48  # px of a small picture in the sample


@dataclass
class ExploreSettings:
    """Settings of the recipe `upscale-explore`."""

    start: str = ""  # folder of the crisp bundle that it explores; empty: the one that ships
    width: int = 48  # that bundle's
    depth: int = 6  # that bundle's
    decoder: int = 2  # convolutions of the decoder's trunk
    latent: int = 8  # channels
    patch: int = 32  # pixels of a small crop's side
    rate: float = 2e-3
    colour: float = 0.2  # weight of the three colours' error beside that of luminance
    perceptual: float = 0.03  # weight of the features' error
    texture: float = 0.2  # weight of the error of a drawn picture's texture
    adversarial: float = 0.01  # weight of the critic's judgement of a drawn picture
    pattern: float = 1.0  # weight against what stands still on the small picture's grid
    critic_rate: float = 1e-3
    nats: float = 0.25  # of the latent that cost nothing, for each pixel that interpolation lacks
    divergence: float = 0.02  # weight of a nat more
    apart: float = 0.5  # share of the distance between two draws that counts
    drawn: float = 0.5  # share of crops of which two are drawn
    likeliest: float = 0.1  # share of crops that are made without a latent


class ExploreRecipe(Recipe):
    """Train all scales at once: a third of each batch is of each scale.

    A crop is made by its own latent, as the encoder has it: then its distance from the original
    counts, in colours and in SqueezeNet's features, and the latents' divergence from the prior
    beyond some free nats (Kingma et al. 2016). Or two are drawn from the prior: then the energy
    score counts (Gneiting & Raftery 2007), their distance from the original less half of that
    between them, which is least where they differ as the originals of one small picture do. Of
    the latter a little less is taken off: rare and violent draws cost the score nothing, and show.
    What is drawn shall also have the original's texture in windows (Sajjadi et al. 2017,
    "EnhanceNet") and please a patch critic. All are made consistent with the small picture before.
    """

    name = "upscale-explore"

    def __init__(self, settings: ExploreSettings | None = None) -> None:
        self.settings = settings or ExploreSettings()
        self.loop = LoopSettings(
            steps=10**6, minutes=60, batch=6, warmup=50, ema=0.995, log_every=50
        )

    def sources(self) -> list[data.Source]:
        return sets.photographs(data.data_root())

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        self.drawn, self.valid = [], []
        for scale in SCALES:
            train, valid = upscale_data.load(self.sources(), scale, s.patch)
            self.drawn.append(upscale_data.Pairs(train, scale, s.patch))
            self.valid.append(valid[2 % len(valid)])
        crisp = UpscaleNet(s.width, s.depth)
        load_upscale(crisp, Path(s.start or bundle.get_bundle("upscale-crisp", "upscale").path))
        self.judge: Taps = SqueezeNet()
        self.judge.to(device)
        self.made: list[list[list[Tensor]]] = []  # the taps of what was drawn, for the critic
        modules = {"model": Explorer(crisp.nets, s.decoder, s.latent), "critic": PatchCritic(1)}
        return {name: module.to(device) for name, module in modules.items()}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        weights = [p for p in modules["model"].parameters() if p.requires_grad]
        rate = self.settings.rate
        groups = [
            {"params": [p for p in weights if p.ndim > 1], "lr": rate, "muon": True},
            {"params": [p for p in weights if p.ndim == 1], "lr": rate / 3},
        ]
        return {
            "model": MuonAdam(groups, betas=(0.9, 0.99)),
            "critic": torch.optim.Adam(
                modules["critic"].parameters(), self.settings.critic_rate, betas=(0.5, 0.99)
            ),
        }

    def batch(self, indices: range, device: torch.device) -> Any:
        small: list[list[Any]] = [[] for _ in SCALES]
        large: list[list[Any]] = [[] for _ in SCALES]
        for index in indices:
            which = index % len(SCALES)
            rng = np.random.default_rng((self.loop.seed, index))
            before, after = self.drawn[which].draw(rng)
            small[which].append(before)
            large[which].append(after)
        rng = np.random.default_rng((self.loop.seed, indices.start, 1))
        s = self.settings
        chances = [1 - s.drawn - s.likeliest, s.drawn, s.likeliest]  # of OWN, DRAWN, LIKELIEST
        kinds = [torch.from_numpy(rng.choice(3, len(x), p=chances)).to(device) for x in small]
        return (
            [as_batch(x, device) for x in small],
            [as_batch(x, device) for x in large],
            kinds,
            rng.integers(_SHIFT, size=2).tolist(),
        )

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        small, large, kinds, shift = batch
        critic = modules["critic"]
        if part == "critic":
            true = [_judged(x, scale, shift) for x, scale in zip(large, SCALES, strict=True)]
            return told_apart(critic, self.judge, true, self.made.pop(0)), {}
        s, total, taps = self.settings, small[0].new_zeros(()), []
        figures: dict[str, float] = {}
        made = modules["model"](small, large, kinds)
        for scale, wanted, kind, (first, second, nats) in zip(
            SCALES, large, kinds, made, strict=True
        ):
            three = [_judged(x, scale, shift) for x in (first, second, wanted)]
            near, between, drawn = self._distances(*three)
            taps.append([tap.detach() for tap in drawn[0]])
            counted = torch.where(kind == DRAWN, near.mean(0) - s.apart / 2 * between, near[0])
            nats = nats.mean()
            judged = -score(critic(drawn[0])).mean()
            rough = texture(*drawn)
            still = sum(pattern(x, wanted, scale) for x in (first, second))
            total = total + counted.mean() + s.pattern * still
            total = total + s.texture * rough + s.adversarial * judged
            total = total + s.divergence * F.relu(nats - s.nats * (scale**2 - 1))
            parts = {"nats": nats, "texture": rough, "pattern": still, "judged": judged}
            for name, which, values in (
                ("own", OWN, near[0]),
                ("drawn", DRAWN, near[0]),
                ("between", DRAWN, between),
                ("likeliest", LIKELIEST, near[0]),
            ):
                if (kind == which).any():
                    parts[name] = values[kind == which].mean()
            figures |= {f"{name}{scale}": float(value.detach()) for name, value in parts.items()}
        self.made.append(taps)
        return total / len(SCALES), figures

    def _distances(
        self, first: Tensor, second: Tensor, wanted: Tensor
    ) -> tuple[Tensor, Tensor, tuple[list[Tensor], list[Tensor]]]:
        """The distances of both from the originals, 2 x N, and between them, N; the taps of the
        second and of the originals."""
        with torch.no_grad():
            true = self.judge(wanted)
        halves = [tap.chunk(2) for tap in self.judge(torch.cat([first, second]))]
        one, two = ([half[side] for half in halves] for side in (0, 1))
        near = [self._distance(first, wanted, one, true), self._distance(second, wanted, two, true)]
        return torch.stack(near), self._distance(first, second, one, two), (two, true)

    def _distance(
        self, one: Tensor, other: Tensor, taps: list[Tensor], others: list[Tensor]
    ) -> Tensor:
        """How far N pictures are from N others, in colours and features: N."""
        apart = one - other
        luma = torch.einsum("nchw,c->nhw", apart, torch.from_numpy(upscale_data.LUMA).to(apart))
        seen = [(a - b).abs().mean((1, 2, 3)) for a, b in zip(taps, others, strict=True)]
        colours = self.settings.colour * apart.abs().mean((1, 2, 3))
        return luma.abs().mean((1, 2)) + colours + self.settings.perceptual * sum(seen)

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """Per scale: interpolation, the likeliest picture, three drawn ones, the original."""
        model = modules["model"]
        assert isinstance(model, Explorer)
        rows, told = [], []
        for net, pair in zip(model.nets, self.valid, strict=True):
            top, left = ((side - _SHOWN) // 2 for side in pair.small.shape[:2])
            small = pair.small[top:, left:][:_SHOWN, :_SHOWN]
            large = pair.large[net.scale * top :, net.scale * left :]
            large = large[: net.scale * len(small), : net.scale * small.shape[1]]
            x = as_batch([small], next(net.parameters()).device)
            always = torch.Generator().manual_seed(5)
            noise = torch.randn(4, net.latent, *x.shape[2:], generator=always).to(x.device)
            noise[0] = 0
            plain = PlainExplore(net)
            made = [plain(x, one[None]) for one in noise]
            told.append(f"x{net.scale} {255 * torch.cat(made[1:]).std(0).mean():.2f}")
            smooth = F.pixel_shuffle(net.base.smooth(x), net.scale)
            cells = [upscale_data.as_bytes(255 * as_array(one)) for one in (smooth, *made)]
            rows.append([*cells, large])
        print("deviation of drawn pictures, in codes: " + ", ".join(told), flush=True)
        side = 288
        sheet = Image.new("RGB", (6 * side, len(rows) * side))
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                shown = Image.fromarray(cell).resize((side, side), Image.Resampling.NEAREST)
                sheet.paste(shown, (column * side, row * side))
        return sheet

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        model = modules["model"].cpu().float()
        assert isinstance(model, Explorer)
        return export_explore(
            model.nets,
            folder,
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
        )


def _judged(pictures: Tensor, scale: int, shift: Sequence[int]) -> Tensor:
    """What is judged of large crops: not their edges, and not always from the same pixel."""
    edge, (down, right) = scale * _EDGE, shift
    return pictures[..., edge + down : -edge, edge + right : -edge]


def texture(made: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """How far the Gram matrices of the finer taps are apart, window by window."""
    found = []
    for one, other, stride in zip(made[:2], wanted[:2], (2, 4), strict=True):
        side = _WINDOW // stride
        grams = []
        for taps in (one, other):
            windows = taps.unfold(2, side, side).unfold(3, side, side)
            flat = windows.permute(0, 2, 3, 1, 4, 5).flatten(4)
            grams.append(flat @ flat.mT / flat.shape[-1])
        found.append((grams[0] - grams[1]).abs().mean())
    return torch.stack(found).sum()


def pattern(made: Tensor, wanted: Tensor, scale: int) -> Tensor:
    """What stands still in large crops on the small picture's grid.

    In windows, how far the mean of each of a small pixel's s*s is from the original's; and, over
    all, how much steeper steps at some of them are than at others.
    """
    edge = scale * _EDGE
    made, wanted = (x[..., edge:-edge, edge:-edge] for x in (made, wanted))
    phases = F.pixel_unshuffle(made - wanted, scale)
    still = F.avg_pool2d(phases, _CELLS, _CELLS // 2).abs().mean()
    for axis in (2, 3):
        steps = made.diff(dim=axis).abs()
        size = steps.shape[axis] // scale * scale
        cells = steps.narrow(axis, 0, size).unflatten(axis, (-1, scale))
        mean = cells.movedim(axis + 1, 0).flatten(1).mean(1)
        still = still + (mean - mean.mean()).abs().mean()
    return still
