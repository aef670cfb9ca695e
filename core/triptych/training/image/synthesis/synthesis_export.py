"""The bundle of synthesis, which grows: `encode` and `decode`; `map`, `generate` and `invert`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych import bundle
from triptych.training import export
from triptych.training.image.inpaint import Clamped
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import (
    CODE,
    GRID,
    LATENT,
    LEVELS,
    SMALL,
    Decoder,
    Encoder,
    Generator,
    Inverter,
    Mapping,
)

_MEAN_OF = 4096  # latents
_UNIT = (0.0, 1.0)


class Mapper(nn.Module):
    """A latent 1 x LATENT, a domain and a truncation (0..1) to a style 1 x LATENT.

    Truncation draws the style towards the domain's mean (Karras et al. 2019, appendix B).
    """

    def __init__(self, mapping: Mapping) -> None:
        super().__init__()
        self.mapping = mapping
        latent = torch.randn(_MEAN_OF, LATENT, generator=torch.Generator().manual_seed(0))
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


def _graph(
    module: nn.Module, draw: Callable[[], dict[str, Tensor]], output: str
) -> export.GraphExport:
    ranges = {"truncation": _UNIT, "small": _UNIT}
    trials = [draw() for _ in range(3)]
    return export.GraphExport(module, draw(), [output], {}, trials, ranges, named=True)


def write_codec(folder: Path, name: str, encoder: Encoder, decoder: Decoder, **facts: Any) -> Path:
    """Write a bundle of the codec alone; `facts` go into its card (data, recipe)."""
    rng = torch.Generator().manual_seed(0)
    graphs = {
        "encode": _graph(
            encoder, lambda: {"small": torch.rand(1, 3, SMALL, SMALL, generator=rng)}, "codes"
        ),
        "decode": _graph(
            Clamped(decoder),
            lambda: {"codes": torch.randn(1, CODE, GRID, GRID, generator=rng)},
            "small",
        ),
    }
    card = bundle.Card(
        name=name,
        version="1.0.0",
        task="synthesize",
        title="Pictures from nothing",
        licence="Apache-2.0",
        graphs={},
        authors=["The Triptych developers"],
        notes=f"A code of {GRID} x {GRID} cells for a picture of {SMALL} x {SMALL} px.",
        created=export.today(),
        extra={"grid": GRID, "small": SMALL},
        **facts,
    )
    return export.write_bundle(folder, card, graphs, {})


def base(folder: str) -> bundle.Bundle:
    """The bundle in `folder` that a recipe adds to; without a folder, the one that ships."""
    kind = "synthesize"
    return bundle.open_bundle(Path(folder)) if folder else bundle.get_bundle(kind, kind)


def codec(found: bundle.Bundle, device: torch.device) -> tuple[Encoder, Decoder]:
    """The encoder and the decoder of a bundle, which learn no more."""
    nets = Encoder().eval(), Decoder()
    for net, graph, prefix in zip(nets, ("encode", "decode"), ("", "net."), strict=True):
        export.load(net, found, graph, prefix)
        net.to(device).requires_grad_(False)
    return nets


def add_generator(
    folder: Path,
    found: bundle.Bundle,
    mapping: Mapping,
    generator: Generator,
    inverter: Inverter,
    made_by: dict[str, Any],
) -> Path:
    """Write the bundle `found` with this generator to `folder`."""
    rng = torch.Generator().manual_seed(0)

    def latent() -> dict[str, Tensor]:
        return {
            "latent": torch.randn(1, LATENT, generator=rng),
            "domain": torch.randint(len(DOMAINS), (1,), generator=rng),
            "truncation": torch.rand(1, generator=rng),
        }

    @torch.no_grad()
    def styles() -> dict[str, Tensor]:
        mapped = [mapping(d["latent"], d["domain"]) for d in (latent() for _ in range(LEVELS))]
        noise = torch.randn(1, 1, GRID, GRID, generator=rng)
        return {"styles": torch.stack(mapped, 1), "noise": noise}

    graphs = {
        "map": _graph(Mapper(mapping), latent, "style"),
        "generate": _graph(generator, styles, "codes"),
        "invert": _graph(
            inverter, lambda: {"codes": torch.randn(1, CODE, GRID, GRID, generator=rng)}, "styles"
        ),
    }
    known = [{"name": d.name, "label": d.label, "manner": d.manner} for d in DOMAINS]
    card = dataclasses.replace(
        found.card,
        created=export.today(),
        notes=(
            f"An adversarial network composes a picture of a domain from a seed, {SMALL} x {SMALL} "
            "px, and the style network paints it. It knows 13 to 32 pictures of each domain, all "
            "free, and what it makes resembles them."
        ),
        recipe={**found.card.recipe, "generator": made_by},
        extra={
            "grid": GRID,
            "small": SMALL,
            "latent": LATENT,
            "levels": LEVELS,
            "domains": known,
        },
    )
    return export.write_bundle(folder, card, graphs, {}, kept=found)
