"""The bundle of synthesis: the graphs `map`, `compose` and `encode`, and the painter's `paint`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.training import export
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import (
    LATENT,
    LEVELS,
    SCALE,
    SMALL,
    Composer,
    Encoder,
    Mapping,
    Painter,
)

_MEAN_OF = 4096  # latents


class Mapper(nn.Module):
    """A latent 1 x LATENT, a domain and a truncation (0..1) to a style 1 x LATENT.

    Truncation draws the style towards the domain's mean (Karras et al. 2019, appendix B).
    """

    def __init__(self, mapping: Mapping) -> None:
        super().__init__()
        self.mapping = mapping
        random = torch.Generator().manual_seed(0)
        latent = torch.randn(_MEAN_OF, LATENT, generator=random)
        with torch.no_grad():
            means = [
                mapping(latent, torch.full((_MEAN_OF,), number)).mean(0)
                for number in range(mapping.domain.num_embeddings)
            ]
        self.mean: Tensor
        self.register_buffer("mean", torch.stack(means))

    def forward(self, latent: Tensor, domain: Tensor, truncation: Tensor) -> Tensor:
        mean = self.mean[domain]
        made: Tensor = mean + truncation * (self.mapping(latent, domain) - mean)
        return made


class _Composed(nn.Module):
    def __init__(self, composer: Composer) -> None:
        super().__init__()
        self.composer = composer

    def forward(self, styles: Tensor, noise: Tensor) -> Tensor:
        made: Tensor = self.composer(styles, noise).clamp(0, 1)
        return made


class _Painted(nn.Module):
    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter

    def forward(self, small: Tensor, domain: Tensor, noise: Tensor) -> Tensor:
        made: Tensor = self.painter(small, domain, noise).clamp(0, 1)
        return made


def write(
    folder: Path, name: str, mapping: Mapping, composer: Composer, encoder: Encoder, **facts: Any
) -> Path:
    """Write the bundle without its painter; `facts` go into its card (data, recipe)."""
    rng = torch.Generator().manual_seed(0)

    def latent() -> dict[str, Tensor]:
        return {
            "latent": torch.randn(1, LATENT, generator=rng),
            "domain": torch.randint(len(DOMAINS), (1,), generator=rng),
            "truncation": torch.rand(1, generator=rng),
        }

    def styles() -> dict[str, Tensor]:
        with torch.no_grad():
            mapped = [mapping(d["latent"], d["domain"]) for d in (latent() for _ in range(LEVELS))]
        noise = torch.randn(1, 1, SMALL, SMALL, generator=rng)
        return {"styles": torch.stack(mapped, 1), "noise": noise}

    def small() -> dict[str, Tensor]:
        return {"small": torch.rand(1, 3, SMALL, SMALL, generator=rng)}

    unit = (0.0, 1.0)
    parts: dict[str, tuple[nn.Module, Any, str]] = {
        "map": (Mapper(mapping), latent, "style"),
        "compose": (_Composed(composer), styles, "small"),
        "encode": (encoder, small, "styles"),
    }
    graphs = {
        key: export.GraphExport(
            module,
            draw(),
            [output],
            {},
            [draw() for _ in range(3)],
            {"truncation": unit, "small": unit},
        )
        for key, (module, draw, output) in parts.items()
    }
    card = bundle.Card(
        name=name,
        version="1.0.0",
        task="synthesize",
        title="Pictures from nothing",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        notes=(
            f"Composes pictures of {SMALL} x {SMALL} px of a few domains from a seed, by an "
            "adversarial network, and paints them four times larger. It knows a few dozen pictures "
            "of each domain, all free, and what it makes resembles them."
        ),
        created=export.today(),
        extra={
            "domains": [{"name": d.name, "label": d.label} for d in DOMAINS],
            "latent": LATENT,
            "levels": LEVELS,
            "small": SMALL,
            "scale": SCALE,
        },
        **facts,
    )
    return export.write_bundle(folder, card, graphs, {})


def add_painter(folder: Path, base: str, painter: Painter, made_by: dict[str, Any]) -> Path:
    """Write the bundle in the folder `base` with this painter to `folder`."""
    kind = "synthesize"
    found = bundle.open_bundle(Path(base)) if base else bundle.get_bundle(kind, kind)
    rng = torch.Generator().manual_seed(0)

    def given(height: int, width: int, domain: int) -> dict[str, Tensor]:
        return {
            "small": torch.rand(1, 3, height, width, generator=rng),
            "domain": torch.tensor([domain]),
            "noise": torch.randn(1, 1, height, width, generator=rng),
        }

    trials = [given(SMALL, SMALL, number) for number in range(len(DOMAINS))]
    free = {2: "height", 3: "width"}
    larger = {2: f"{SCALE}*height", 3: f"{SCALE}*width"}
    graph = export.GraphExport(
        _Painted(painter),
        trials[0],
        ["picture"],
        {"small": free, "noise": free, "picture": larger},
        [*trials, given(20, 37, 0)],
        {"small": (0.0, 1.0), "picture": (0.0, 1.0)},
    )
    card = dataclasses.replace(
        found.card, created=export.today(), recipe={**found.card.recipe, "paint": made_by}
    )
    return export.write_bundle(folder, card, {"paint": graph}, {}, kept=found)
