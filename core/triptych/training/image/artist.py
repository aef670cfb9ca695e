"""The recipe `artist`: a painter's manner, learned adversarially from a body of work.

The generator is the style network with a code per artist; a patch discriminator (`patch_critic`)
sees crops of the artist's paintings. It is trained with the hinge loss rather than WGAN-GP: the
gradient penalty needs a second backward pass through the features, three times the work on a CPU,
and guards against an instability that frozen features do not show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from triptych import bundle
from triptych.training import data, export
from triptych.training.image import sets, style_data
from triptych.training.image.own_style import Codes
from triptych.training.image.patch_critic import PatchCritic, hinge, score
from triptych.training.image.perceptual import Taps
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.image.style import (
    STYLE_SIDE,
    as_picture,
    as_tensor,
    content_pictures,
    stamped,
)
from triptych.training.image.style_export import load_style, write_codes
from triptych.training.image.style_loss import (
    STYLE_TAPS,
    STYLE_WEIGHT,
    content_target,
    style_targets,
    style_terms,
)
from triptych.training.loop import LoopSettings, Recipe, Run


@dataclass
class ArtistSettings:
    """Settings of the recipe `artist`."""

    adversarial: float = 0.6  # weight of the adversarial term; 0 for the ablation
    style: float = 0.35  # share of the style term that is kept
    rate: float = 5e-3
    critic_rate: float = 1e-3
    stamps: float = 3.0  # weight of `stamped`
    size: int = 192  # pixels of a crop's side
    base: str = ""  # folder of the style network's bundle; empty: the one that ships
    start: str = ""  # folder of a bundle whose codes are where to start; empty: the predictor's


class ArtistRecipe(Recipe):
    """Learn a code for each artist of `style_data.ARTISTS` against one patch discriminator.

    Loss of the codes: content, a share of the style term towards the artist's mean targets,
    and the hinge generator term. Every second painting of an artist is never seen here.
    """

    name = "artist"

    def __init__(self, settings: ArtistSettings | None = None) -> None:
        self.settings = settings or ArtistSettings()
        self.loop = LoopSettings(steps=4000, batch=4, warmup=30, ema=0.995, picture_every=200)

    def sources(self) -> list[data.Source]:
        root = data.data_root()
        return [*sets.photographs(root), sets.style_source(root), *sets.paintings(root)]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        root = data.data_root()
        model, statistics, _ = load_style(self._base())
        self.judge: Taps = load_perceptual()
        self.works = style_data.split(root).artists
        self.crops = {
            k: [np.asarray(data.fit(p.picture, 400)) for p in v] for k, v in self.works.items()
        }
        known = _codes(Path(self.settings.start)) if self.settings.start else {}
        codes, self.wanted = [], []
        with torch.no_grad():
            for artist, paintings in self.works.items():
                xs = [as_tensor(data.fit(p.picture, STYLE_SIDE)) for p in paintings]
                guess = torch.cat([model.predictor(statistics(x)) for x in xs]).mean(0)
                codes.append(known.get(artist, guess))
                wanted = [style_targets(self.judge, x) for x in xs]
                self.wanted.append([torch.cat(one).mean(0) for one in zip(*wanted, strict=True)])
        self.contents = content_pictures(sets.photographs(root))
        if self.loop.precision.startswith("bf16"):
            self.judge.to(torch.bfloat16)
        self.judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        net = model.net
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return {
            "critic": PatchCritic(len(self.works)).to(device),
            "codes": Codes(net, torch.stack(codes)).to(device),
        }

    def _base(self) -> Path | None:
        return Path(self.settings.base) if self.settings.base else None

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        critic = torch.optim.Adam(
            modules["critic"].parameters(), self.settings.critic_rate, betas=(0.5, 0.99)
        )
        codes = torch.optim.Adam(
            modules["codes"].parameters(), self.settings.rate, betas=(0.5, 0.99)
        )
        return {"critic": critic, "codes": codes}

    def batch(self, indices: range, device: torch.device) -> Any:
        photos, paintings, which = [], [], []
        keys = list(self.crops)
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            content = self.contents[int(rng.integers(len(self.contents)))]
            photos.append(data.crop(content, self.settings.size, rng))
            artist = index % len(keys)
            works = self.crops[keys[artist]]
            crop = data.crop(works[int(rng.integers(len(works)))], self.settings.size, rng)
            shade = crop * rng.uniform(0.9, 1.1) + rng.uniform(-10, 10)
            paintings.append(np.clip(shade, 0, 255).astype(np.uint8))
            which.append(artist)
        return (
            torch.cat([as_tensor(p) for p in photos]).to(device, memory_format=torch.channels_last),
            torch.cat([as_tensor(p) for p in paintings]).to(
                device, memory_format=torch.channels_last
            ),
            torch.tensor(which, device=device),
        )

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        photos, paintings, which = batch
        settings = self.settings
        if part == "critic":
            with torch.no_grad():
                false = self.judge(modules["codes"](photos, which))
                true = self.judge(paintings)
            critic = modules["critic"]
            return hinge(critic(true, which), critic(false, which)).mean(), {}
        made = modules["codes"](photos, which)
        each = (self.wanted[artist] for artist in which.tolist())
        wanted = [torch.stack(one).to(photos.device) for one in zip(*each, strict=True)]
        taps = self.judge(made, upto=len(STYLE_TAPS))
        content, style = style_terms(taps, content_target(self.judge, photos), wanted)
        total = (content + settings.style * STYLE_WEIGHT * style).mean()
        total = total + settings.stamps * stamped(made, photos)
        figures = {"content": float(content.detach().mean()), "style": float(style.detach().mean())}
        if settings.adversarial:
            adversarial = -score(modules["critic"](taps, which)).mean()
            figures["adversarial"] = float(adversarial.detach())
            total = total + settings.adversarial * adversarial
        return total, figures

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        count = len(self.works)
        sheet = Image.new("RGB", (4 * 256, count * 256))
        device = next(modules["codes"].parameters()).device
        for artist in range(count):
            for place in range(4):
                content = self.contents[place * 31 % len(self.contents)]
                x = as_tensor(content[: content.shape[0] // 8 * 8, : content.shape[1] // 8 * 8])
                made = modules["codes"](x.to(device), torch.tensor([artist], device=device))
                tile = as_picture(made).resize((256, 256), Image.Resampling.LANCZOS)
                sheet.paste(tile, (place * 256, artist * 256))
        return sheet

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        learned = modules["codes"]
        assert isinstance(learned, Codes)
        presets, pictures = [], []
        for key, works in self.works.items():
            artist = style_data.ARTISTS[key][0]
            presets.append(
                {
                    "name": key,
                    "title": f"The manner of {artist}",
                    "artist": artist,
                    "year": "",
                    "why_free": f"learned from {len(works)} public-domain paintings",
                    "thumbnail": f"thumbnails/{key}.webp",
                }
            )
            pictures.append(works[-1].picture)
        return write_codes(
            folder,
            folder.name,
            "Manners of painters",
            presets,
            learned.codes.detach().cpu().float().numpy(),
            pictures,
            self._base(),
            licence="Apache-2.0",
            authors=["The Triptych developers"],
            notes="Codes learned adversarially from bodies of work, not from single pictures.",
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, dataclasses.asdict(self.settings), run),
        )


def _codes(folder: Path) -> dict[str, Tensor]:
    """The codes of a bundle of styles, by name."""
    found = bundle.open_bundle(folder)
    codes = torch.from_numpy(found.arrays("codes.npz")["codes"].astype(np.float32))
    return {preset["name"]: code for preset, code in zip(found.card.presets, codes, strict=True)}
