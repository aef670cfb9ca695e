"""The recipe `own-style`: a user's style, learned from a few pictures on the user's machine.

Only the style's code is learned; the network stays as it ships (Dumoulin et al. 2017, section 3.2,
add styles to a trained network in this way). The judge is our own perceptual network and the
photographs may be made by `dead_leaves`, so nothing needs to be fetched.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from triptych.errors import UserError
from triptych.training import data, export
from triptych.training.image.blotches import blotches, usual_steps
from triptych.training.image.dead_leaves import dead_leaves
from triptych.training.image.mazes import gridded
from triptych.training.image.perceptual import SqueezeNet, Taps
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.image.sets import photographs
from triptych.training.image.style import (
    STYLE_SIDE,
    as_picture,
    as_tensor,
    content_pictures,
    mazes,
    stamped,
)
from triptych.training.image.style_export import load_style, write_codes
from triptych.training.image.style_loss import content_target, style_objective, style_targets
from triptych.training.image.style_net import StyleNet
from triptych.training.loop import LoopSettings, Recipe, Run

MAX_PICTURES = 32


class Codes(nn.Module):
    """K codes, to be learned, of a style network that stays as it is."""

    def __init__(self, net: StyleNet, codes: Tensor) -> None:
        super().__init__()
        self.codes = nn.Parameter(codes.clone())
        self._net = (net.requires_grad_(False),)  # in a tuple: its weights are not this module's

    def forward(self, picture: Tensor, which: Tensor) -> Tensor:
        return self._net[0](picture, self.codes[which])


@dataclass
class OwnStyleSettings:
    """Settings of the recipe `own-style`."""

    source: list[str] = field(default_factory=list)  # pictures, folders or zips
    name: str = ""
    title: str = ""
    artist: str = ""
    licence: str = ""  # of the pictures; empty: what lies beside them, else private
    photos: str = ""  # a folder of photographs to learn on; empty: those at hand, else made ones
    made_photos: bool = False  # learn on made pictures in any case
    base: str = ""  # folder of the style network's bundle; empty: the one that ships
    judge: str = "perceptual"  # our own network, or "squeezenet" for comparison
    rate: float = 8e-3
    size: int = 192  # pixels of a crop's side
    stamps: float = 3.0  # weight of `stamped`
    blotches: float = 20.0  # weight of `blotches`
    mazes: float = 3.0  # weight of `mazes`


class OwnStyleRecipe(Recipe):
    """Learn a code from one or several pictures: the objective of the library's styles, with the
    mean of the pictures' targets as target, from the predictor's guess on.
    """

    name = "own-style"

    def __init__(self, settings: OwnStyleSettings | None = None) -> None:
        self.settings = settings or OwnStyleSettings()
        self.loop = LoopSettings(
            steps=20000, minutes=10, batch=4, warmup=10, ema=0.99, picture_every=200
        )

    def sources(self) -> list[data.Source]:
        if not self.settings.source:
            raise UserError("name the pictures of your style: --from PICTURE_OR_FOLDER")
        return [self._source(Path(path)) for path in self.settings.source]

    def _source(self, path: Path) -> data.Source:
        if self.settings.licence or not path.exists():
            return data.open_source(path, self.settings.licence or None)
        with contextlib.suppress(UserError):
            return data.open_source(path)
        # One's own pictures need no licence to be learned from; the card says that none is known.
        return data.Source(path, "private: not stated", note="for the user's own use")

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        model, statistics, _ = load_style(self._base())
        own = self.settings.judge != "squeezenet"
        self.judge: Taps = load_perceptual() if own else SqueezeNet()
        self.pictures = [p for s in self.sources() for _, p in s.pictures()][:MAX_PICTURES]
        codes, wanted, steps, alignment = [], [], [], []
        with torch.no_grad():
            for picture in self.pictures:
                x = as_tensor(_bounded(picture))
                codes.append(model.predictor(statistics(x)))
                wanted.append(style_targets(self.judge, x))
                steps.append(usual_steps(x))
                alignment.append(gridded(x).mean(2).clamp(min=0))
        self.steps = torch.stack(steps).mean(0, keepdim=True)
        self.alignment = torch.cat(alignment).mean(0, keepdim=True)
        self.wanted = [torch.stack(one).mean(0) for one in zip(*wanted, strict=True)]
        self.contents = self._contents()
        if self.loop.precision.startswith("bf16"):
            self.judge.to(torch.bfloat16)
        self.judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        net = model.net
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return {"codes": Codes(net, torch.stack(codes).mean(0)).to(device)}

    def _contents(self) -> list[np.ndarray]:
        if self.settings.photos:
            return content_pictures([data.Source(Path(self.settings.photos), "private")])
        if not self.settings.made_photos:
            with contextlib.suppress(UserError):  # a user's machine has no data folder
                return content_pictures(photographs(data.data_root()))
        return [dead_leaves(512, np.random.default_rng((5, i))) for i in range(48)]

    def _base(self) -> Path | None:
        return Path(self.settings.base) if self.settings.base else None

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rate = self.settings.rate
        return {"codes": torch.optim.Adam(modules["codes"].parameters(), rate, betas=(0.9, 0.99))}

    def batch(self, indices: range, device: torch.device) -> Any:
        crops = []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            content = self.contents[int(rng.integers(len(self.contents)))]
            crops.append(data.crop(content, self.settings.size, rng))
        pictures = torch.cat([as_tensor(c) for c in crops])
        return pictures.to(device, memory_format=torch.channels_last)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        made = modules["codes"](batch, torch.zeros(len(batch), dtype=torch.long))
        wanted = [w.to(batch.device) for w in self.wanted]
        total, content, style = style_objective(
            self.judge, made, content_target(self.judge, batch), wanted
        )
        figures = {"content": float(content.detach().mean()), "style": float(style.detach().mean())}
        settings = self.settings
        regular = settings.stamps * stamped(made, batch)
        sudden = blotches(made, batch, self.steps.to(batch.device).expand(len(batch), -1))
        maze = mazes(made, batch, self.alignment.to(batch.device).expand(len(batch), -1))
        regular = regular + settings.blotches * sudden.mean() + settings.mazes * maze.mean()
        figures |= {"blotches": float(sudden.detach().mean()), "mazes": float(maze.detach().mean())}
        return total.mean() + regular, figures

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        sheet = Image.new("RGB", (3 * 256, 256))
        device = next(modules["codes"].parameters()).device
        for place in range(3):
            content = self.contents[place * 7 % len(self.contents)]
            x = as_tensor(content[: content.shape[0] // 8 * 8, : content.shape[1] // 8 * 8])
            tile = as_picture(modules["codes"](x.to(device), torch.zeros(1, dtype=torch.long)))
            sheet.paste(tile.resize((256, 256), Image.Resampling.LANCZOS), (place * 256, 0))
        return sheet

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        settings = self.settings
        name = settings.name or folder.name
        title = settings.title or name.replace("-", " ").capitalize()
        preset = {
            "name": name,
            "title": title,
            "artist": settings.artist,
            "year": "",
            "why_free": "learned by the user",
            "thumbnail": f"thumbnails/{name}.webp",
        }
        learned = modules["codes"]
        assert isinstance(learned, Codes)
        codes = learned.codes.detach().cpu().float().numpy()
        return write_codes(
            folder,
            name,
            title,
            [preset],
            codes,
            self.pictures[:1],
            self._base(),
            licence=self.sources()[0].licence,
            notes="A user's own style: a code for the style network that ships.",
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(settings), run),
        )


def _bounded(picture: Image.Image) -> Image.Image:
    """The picture at most 1 : 2 in shape, at the styles' size."""
    longest = 2 * min(picture.size)
    left, top = max(0, picture.width - longest) // 2, max(0, picture.height - longest) // 2
    right, bottom = left + min(picture.width, longest), top + min(picture.height, longest)
    return data.fit(picture.crop((left, top, right, bottom)), STYLE_SIDE)
