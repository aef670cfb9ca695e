"""The recipe `style`: one network for the library's styles and for any picture as style."""

from __future__ import annotations

import dataclasses
import hashlib
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
from triptych.errors import UserError
from triptych.image.style import BORDER
from triptych.training import data, export
from triptych.training.image import sets, style_data
from triptych.training.image.blotches import blotches, usual_steps
from triptych.training.image.frames import MARGIN, framed
from triptych.training.image.mazes import BLOCK as MAZE_SIDE
from triptych.training.image.mazes import gridded
from triptych.training.image.patch_critic import PatchCritic, hinge, score
from triptych.training.image.perceptual import PerceptualNet, SqueezeNet, Taps
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.image.repetition import BLOCK as BLOCK_SIDE
from triptych.training.image.repetition import repetition
from triptych.training.image.style_export import export_style, load_style, recoded, with_delta
from triptych.training.image.style_loss import (
    BLOCK,
    BLOCK_TAPS,
    STYLE_WEIGHT,
    content_target,
    style_targets,
    style_terms,
)
from triptych.training.image.style_net import StyleModel, StyleStatistics
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.muon import MuonAdam

REPEATED = 0.2  # of `repetition`: what a painting has
ALIGNED = 0.03  # of `gridded`, at most: more in a painting is the threads of its canvas
STYLE_SIDE = 512  # pixels of a style picture's short side: what the styles' brush size refers to


@dataclass
class StyleSettings:
    """Settings of the recipe `style`."""

    rate: float = 3e-3  # of the generator's convolutions and the library's corrections
    size: int = 256  # pixels of a crop's side
    any_share: float = 0.3  # share of examples whose style is not of the library
    variants: int = 4  # augmented versions of each painting
    smooth: float = 1.0  # weight of `rougher`
    adversarial: float = 0.06  # weight of the library's adversarial term
    stamps: float = 5.0  # weight of `stamped`
    blotches: float = 20.0  # weight of `blotches`
    mazes: float = 3.0  # weight of what runs along the grid beyond photograph and style
    frames: float = 0.0  # weight of `framed`; stylises the middle of each picture again
    vivid: float = 0.4  # share of photographs in duller or stronger colours than their own
    critic_rate: float = 1e-3
    perceptual: str = ""  # folder of the perceptual network's bundle; empty: the one that ships
    start: str = ""  # folder of a style bundle to start from
    corrections_alone: bool = False  # learn the library's corrections; the networks stay
    weight_delta: bool = False  # learn a weight delta and the code of one style (`only`)
    only: str = ""  # styles of the library to learn, with commas between; empty: all
    regular_share: float = 1.0  # of the steps that ask the regular terms, which take half the time


class StyleBank:
    """Style statistics and targets, computed once for every style picture in use."""

    def __init__(self, count: int, statistics: int) -> None:
        self.statistics = torch.zeros(count, statistics)
        self.wanted: list[list[Tensor]] = []

    def targets(self, rows: list[int], device: torch.device) -> list[Tensor]:
        """`style_targets` of these styles, each N x C x C."""
        return [
            torch.stack(one).to(device).float()
            for one in zip(*(self.wanted[r] for r in rows), strict=True)
        ]


def as_tensor(picture: Image.Image | np.ndarray) -> Tensor:
    """An RGB picture as 1 x 3 x H x W, 0..1."""
    values = np.asarray(picture, np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def as_picture(tensor: Tensor) -> Image.Image:
    """The first picture of N x 3 x H x W, 0..1."""
    values = tensor[0].detach().float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray((values * 255 + 0.5).astype(np.uint8))


def augmented(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Another style from a painting: a part of it, at another scale, in other colours."""
    side = int(rng.integers(STYLE_SIDE, round(1.6 * STYLE_SIDE)))
    values = np.asarray(data.fit(picture, side))
    values = data.crop(values, min(STYLE_SIDE, min(values.shape[:2])), rng)
    x = values.astype(np.float32) / 255
    if rng.random() < 0.6:
        x = x[..., rng.permutation(3)]
    if rng.random() < 0.15:
        x = 1 - x
    x = np.clip((x - 0.5) * rng.uniform(0.8, 1.3) + 0.5 + rng.uniform(-0.1, 0.1, 3), 0, 1)
    return (x * 255).astype(np.uint8)


def content_pictures(sources: list[data.Source], short_side: int = 512) -> list[np.ndarray]:
    """The photographs, at most `short_side` pixels on the short side."""
    found = []
    for source in sources:
        for _, picture in source.pictures():
            if min(picture.size) > short_side:
                picture = data.fit(picture, short_side)
            found.append(np.asarray(picture))
    return found


def roughness(pictures: Tensor) -> Tensor:
    """What a checkerboard has more of than a painting, N x 3: diagonal detail (Haar HH), a tenth of
    the total variation, and a pattern that stands still on the generator's 8-pixel grid."""
    across = pictures[..., 1:] - pictures[..., :-1]
    down = pictures[..., 1:, :] - pictures[..., :-1, :]
    diagonal = across[..., 1:, :] - across[..., :-1, :]
    height, width = (side // 8 * 8 for side in pictures.shape[2:])
    cells = pictures[..., :height, :width].unflatten(3, (-1, 8)).unflatten(2, (-1, 8))
    phases = cells.mean((2, 4)).flatten(2).float()
    pattern = (phases - phases.mean(2, keepdim=True)).abs().mean((1, 2))
    detail = [part.abs().mean((1, 2, 3)).float() for part in (diagonal, across, down)]
    return torch.stack([detail[0], 0.1 * (detail[1] + detail[2]), 6 * pattern], 1)


def rougher(made: Tensor, pictures: Tensor, usual: Tensor) -> Tensor:
    """How much rougher N stylised pictures are than their styles' paintings (`usual`, N x 3), N.

    Detail as in the painting is wanted; what seems to stand still on the grid may be that of the
    photograph.
    """
    with torch.no_grad():
        standing = torch.maximum(roughness(pictures)[:, 2:], usual[:, 2:])
        allowed = torch.cat([usual[:, :2], standing], 1)
    return F.relu(roughness(made) - allowed).sum(1)


def stamped(made: Tensor, pictures: Tensor) -> Tensor:
    """How much more the stylised pictures repeat themselves than the pictures and a painting do;
    0 for those that are too small to tell."""
    if min(made.shape[2:]) < BLOCK_SIDE:
        return made.new_zeros(())
    with torch.no_grad():
        allowed = repetition(pictures).clamp(min=REPEATED)
    return F.relu(repetition(made) - allowed).mean()


def mazes(made: Tensor, pictures: Tensor, usual: Tensor) -> Tensor:
    """How much more the strokes of N stylised pictures run along the grid than their photographs'
    and their styles' (`usual`, N x 2: upright, level) do, N; 0 for those too small to tell."""
    if min(made.shape[2:]) < MAZE_SIDE:
        return made.new_zeros(len(made))
    with torch.no_grad():
        allowed = torch.maximum(gridded(pictures), usual.unsqueeze(2))
    return F.relu(gridded(made) - allowed).sum(1).mean(1)


def _stylised(model: nn.Module, pictures: Tensor, *others: Tensor) -> Tensor:
    """The pictures stylised as the task does it, with mirrored pixels around them that are cut off.
    Else the network is rewarded for the colours that it can put on a border."""
    wide = F.pad(pictures, (BORDER,) * 4, mode="reflect")
    made: Tensor = model(wide, *others)[..., BORDER:-BORDER, BORDER:-BORDER]
    return made


def recoloured(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The photograph H x W x 3 (8 bits) in duller or stronger colours: a sea may be any blue."""
    x = picture.astype(np.float32)
    grey = x.mean(2, keepdims=True)
    made = grey + (x - grey) * np.float32(np.exp(rng.uniform(-0.7, 0.9)))
    return np.clip(made, 0, 255).astype(np.uint8)


class StyleRecipe(Recipe):
    """Train the generator, the predictor and the library's corrections together.

    Examples take a style of the library or (a share `any_share`) any painting, also in other
    colours and scales. Loss: `style_loss` judged by SqueezeNet 1.1, and for the library's styles a
    patch discriminator of each painting (see `patch_critic`), which sees the grids
    and blotches that Gram matrices do not.
    """

    name = "style"

    def __init__(self, settings: StyleSettings | None = None) -> None:
        self.settings = settings or StyleSettings()
        self.loop = LoopSettings(steps=40000, batch=4, warmup=200, ema=0.998, clip=1.0)

    def sources(self) -> list[data.Source]:
        root = data.data_root()
        return [*sets.photographs(root), sets.style_source(root), *sets.paintings(root)]

    def features(self) -> PerceptualNet:
        """Our perceptual network, from its bundle."""
        return load_perceptual(Path(self.settings.perceptual) if self.settings.perceptual else None)

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        root = data.data_root()
        self.learned = self._learned()
        self._check()
        self.judge: Taps = SqueezeNet()
        self.contents = content_pictures(sets.photographs(root))
        delta_of = self._names()[self.learned[0]] if self.settings.weight_delta else None
        start = load_style(Path(self.settings.start), delta_of) if self.settings.start else None
        self.statistics = start[1] if start else StyleStatistics(self.features())
        self.bank = self._bank(root)
        if self.loop.precision.startswith("bf16"):  # autocast would cast its frozen weights anew
            self.judge.to(torch.bfloat16)
        self.judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        model = StyleModel(self.statistics.size, len(style_data.LIBRARY))
        if start:
            model.net.load_state_dict(start[0].net.state_dict())
            model.predictor.load_state_dict(start[0].predictor.state_dict())
            with torch.no_grad():
                known = model.predictor(self.bank.statistics[: len(model.corrections)])
                model.corrections.copy_(torch.from_numpy(start[2]) - known)
        if self.settings.corrections_alone:
            model.net.requires_grad_(False)
        if self.settings.corrections_alone or self.settings.weight_delta:
            model.predictor.requires_grad_(False)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.painted: list[list[Tensor]] = []
        return {"model": model, "critic": PatchCritic(len(style_data.LIBRARY)).to(device)}

    @staticmethod
    def _names() -> list[str]:
        return [style_data.preset_name(name) for name in style_data.LIBRARY]

    def _learned(self) -> list[int]:
        """Places of the library's styles that examples are drawn of."""
        names = self._names()
        wanted = [name.strip() for name in self.settings.only.split(",") if name.strip()] or names
        if unknown := [name for name in wanted if name not in names]:
            raise UserError(f"the library has no style {unknown[0]}: see `triptych styles`")
        return [names.index(name) for name in wanted]

    def _check(self) -> None:
        """Refuse settings that do not go together."""
        s = self.settings
        for setting in ("corrections_alone", "weight_delta"):
            if getattr(s, setting) and not s.start:
                raise UserError(f"{setting} needs start: the folder of a bundle of styles")
        if s.frames and s.size < 4 * MARGIN:
            raise UserError(f"frames needs size={4 * MARGIN} at least: a middle to stylise")
        if s.weight_delta and (len(self.learned) != 1 or s.any_share):
            raise UserError("weight_delta needs only=STYLE, one style, and any_share=0")
        if s.corrections_alone:
            presets = bundle.open_bundle(s.start).card.presets
            if own := [presets[row]["name"] for row in self.learned if presets[row].get("delta")]:
                raise UserError(f"{own[0]} has weights of its own: learn it with weight_delta=true")

    def _bank(self, root: Path) -> StyleBank:
        held = ("spread", BLOCK, BLOCK_TAPS, STYLE_SIDE, self.settings.variants, style_data.LIBRARY)
        mark = hashlib.sha256(repr(held).encode())
        for value in self.statistics.features.state_dict().values():
            mark.update(value.numpy().tobytes())
        cache = data.cache_folder() / f"style-bank-{mark.hexdigest()[:16]}.pt"
        pictures = [
            Image.open(root / "styles" / "public_domain" / f"{n}.jpg").convert("RGB")
            for n in style_data.LIBRARY
        ]
        self.library_pictures = pictures
        self.paintings = [np.asarray(data.fit(p, STYLE_SIDE)) for p in pictures]
        tensors = [as_tensor(p) for p in self.paintings]
        self.rough = torch.cat([roughness(t) for t in tensors])
        self.steps = torch.stack([usual_steps(t) for t in tensors])
        self.alignment = torch.cat([gridded(t).mean(2).clamp(0, ALIGNED) for t in tensors])
        if cache.is_file():
            saved = torch.load(cache, weights_only=True)
        else:
            styles = list(self.paintings)
            for index, painting in enumerate(style_data.split(root).styles):
                styles.append(np.asarray(data.fit(painting.picture, STYLE_SIDE)))
                for variant in range(self.settings.variants - 1):
                    rng = np.random.default_rng((17, index, variant))
                    styles.append(augmented(painting.picture, rng))
            raw, wanted = [], []
            with torch.no_grad():
                for style in styles:
                    x = as_tensor(style)
                    raw.append(self.statistics.raw(x))
                    wanted.append([t[0].half() for t in style_targets(self.judge, x)])
            saved = {"raw": torch.cat(raw), "wanted": wanted}
            torch.save(saved, cache)
        raw = saved["raw"]
        self.statistics.mean.copy_(raw.mean(0))
        self.statistics.deviation.copy_(raw.std(0) + 1e-4)
        bank = StyleBank(len(raw), self.statistics.size)
        bank.statistics = ((raw - raw.mean(0)) / (raw.std(0) + 1e-4)).clamp(-5, 5)
        bank.wanted = saved["wanted"]
        return bank

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        model, rate = modules["model"], self.settings.rate
        assert isinstance(model, StyleModel)
        net = list(model.net.parameters())
        groups = [
            {"params": [p for p in net if p.ndim > 1], "lr": rate, "muon": True},
            {"params": [p for p in net if p.ndim == 1], "lr": rate / 3},
            {"params": list(model.predictor.parameters()), "lr": rate / 10},
            {"params": [model.corrections], "lr": rate},
        ]
        if self.settings.corrections_alone:
            groups = groups[-1:]
        if self.settings.weight_delta:
            groups = [groups[0], groups[-1]]
        optimizers: dict[str, torch.optim.Optimizer] = {"model": MuonAdam(groups, (0.9, 0.99))}
        if self.settings.adversarial:
            optimizers["critic"] = torch.optim.Adam(
                modules["critic"].parameters(), self.settings.critic_rate, betas=(0.5, 0.99)
            )
        return optimizers

    def batch(self, indices: range, device: torch.device) -> Any:
        library = len(style_data.LIBRARY)
        crops, rows, paintings = [], [], []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            content = self.contents[int(rng.integers(len(self.contents)))]
            crop = data.crop(content, self.settings.size, rng)
            any_picture = rng.random() < self.settings.any_share
            if any_picture:
                rows.append(int(rng.integers(library, len(self.bank.wanted))))
            else:
                rows.append(self.learned[int(rng.integers(len(self.learned)))])
            painting = self.paintings[rows[-1] % library]  # one of any picture is not looked at
            paintings.append(data.crop(painting, self.settings.size, rng))
            crops.append(recoloured(crop, rng) if rng.random() < self.settings.vivid else crop)
        pictures = torch.cat([as_tensor(c) for c in crops])
        places = torch.tensor([r if r < library else -1 for r in rows])
        return (
            pictures.to(device, memory_format=torch.channels_last),
            self.bank.statistics[rows].to(device),
            places.to(device),
            self.bank.targets(rows, device),
            # of any picture's roughness nothing is known: as little as may be is right
            (self.rough[[r % library for r in rows]] * (places >= 0)[:, None]).to(device),
            self.steps[[r % library for r in rows]].to(device),
            self.alignment[[r % library for r in rows]].to(device),
            torch.cat([as_tensor(p) for p in paintings]).to(
                device, memory_format=torch.channels_last
            ),
        )

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        pictures, statistics, places, wanted, usual, steps, alignment, paintings = batch
        known, critic = places >= 0, modules["critic"]
        if part == "critic":
            with torch.no_grad():
                true = self.judge(paintings)
            which, false = places.clamp(min=0), self.painted.pop(0)
            return (hinge(critic(true, which), critic(false, which)) * known).mean(), {}
        made = _stylised(modules["model"], pictures, statistics, places)
        # The generator's 4-pixel grid must not stand still on the judge's 2-pixel grid: a pattern
        # that only fits one alignment of the two would pay, and shows as a checkerboard.
        dy, dx = torch.randint(0, 4, (2,)).tolist()
        taps = self.judge(made[..., dy:, dx:])
        content, style = style_terms(
            taps, content_target(self.judge, pictures[..., dy:, dx:]), wanted
        )
        total = content + STYLE_WEIGHT * style
        figures = {"content": float(content.detach().mean()), "style": float(style.detach().mean())}
        if known.any() and not known.all():
            figures["library"] = float(total.detach()[known].mean())
            figures["any"] = float(total.detach()[~known].mean())
        loss, s = total.mean(), self.settings
        if s.regular_share == 1 or float(torch.rand(())) < s.regular_share:
            terms = {
                "rough": s.smooth * rougher(made, pictures, usual).mean(),
                "stamps": s.stamps * stamped(made, pictures),
                "blotches": s.blotches * (blotches(made, pictures, steps) * known).mean(),
                "mazes": s.mazes * (mazes(made, pictures, alignment) * known).mean(),
            }
            if s.frames:
                middle = pictures[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
                middle = _stylised(modules["model"], middle, statistics, places)
                terms["frames"] = s.frames * framed(made, middle).mean()
            loss = loss + sum(terms.values()) / s.regular_share
            figures |= {name: float(term.detach()) for name, term in terms.items()}
        if s.adversarial:
            self.painted.append([tap.detach() for tap in taps])
            adversarial = (-score(critic(taps, places.clamp(min=0))) * known).mean()
            loss = loss + s.adversarial * adversarial
            figures["adversarial"] = float(adversarial.detach())
        return loss, figures

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        model = modules["model"]
        device = next(model.parameters()).device
        library = len(style_data.LIBRARY)
        sheet = Image.new("RGB", (6 * 192, 8 * 192))
        for place in range(48):
            content = self.contents[(place * 37) % len(self.contents)][:384, :384]
            stride = (len(self.bank.wanted) - library) // (48 - library)
            row = place if place < library else library + stride * (place - library)
            index = torch.tensor([place if place < library else -1], device=device)
            x = as_tensor(content).to(device)
            x = x[:, :, : x.shape[2] // 8 * 8, : x.shape[3] // 8 * 8]
            made = model(x, self.bank.statistics[row : row + 1].to(device), index)
            tile = as_picture(made).resize((192, 192), Image.Resampling.LANCZOS)
            sheet.paste(tile, (place % 6 * 192, place // 6 * 192))
        return sheet

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        model = modules["model"].cpu().float()
        assert isinstance(model, StyleModel)
        count = len(style_data.LIBRARY)
        with torch.no_grad():
            codes = model.codes(self.bank.statistics[:count], torch.arange(count))
        made_by = export.made_by(self, dataclasses.asdict(self.settings), run)
        start = Path(self.settings.start)
        if self.settings.weight_delta:
            (row,) = self.learned
            return with_delta(start, row, codes[row].numpy(), model.net, folder, made_by)
        if self.settings.corrections_alone:
            rows = {row: codes[row].numpy() for row in self.learned}
            return recoded(start, rows, folder, made_by)
        return export_style(
            model,
            self.statistics,
            codes,
            self.library_pictures,
            folder,
            data=export.ledger(self.sources()),
            recipe=made_by,
        )
