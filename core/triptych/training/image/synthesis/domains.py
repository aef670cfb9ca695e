"""The domains of synthesis: which of the free pictures are of each, and crops of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from triptych.training import data
from triptych.training.image import sets
from triptych.training.image.synthesis.nets import SMALL
from triptych.training.image.upscale import as_batch

Bytes = NDArray[np.uint8]

_SHORT = 512  # px of a picture's short side, at most


@dataclass(frozen=True)
class Domain:
    """What pictures are of.

    `files` are words that name its pictures (a file's stem), `held` those of them that are never
    trained on; a crop's side is a share of the picture's short side within `zoom`, and it may lie
    in any of eight attitudes if `turned`, else in two. `manner` is the style that suits it.
    """

    name: str
    label: str
    manner: str
    files: str
    held: str
    zoom: tuple[float, float]
    turned: bool = False

    def stems(self, held: bool) -> frozenset[str]:
        """The stems of the files to train on, or of those that are held out."""
        out = frozenset(self.held.split())
        return out if held else frozenset(self.files.split()) - out


DOMAINS = (
    Domain(
        "landscape",
        "Painted landscape",
        "vangogh-wheatfield-cypresses",
        "017060 017070 121020 127010 127020 128010 128020 128030 131010 131030 131040 132030 "
        "137010 137030 137040 138010 gogh_vg_olive gogh_vg_houses gogh_vg_wheat_field "
        "lumora_camille_pissarro lumora_antoine_watteau lumora_millais lumora_monet-2 "
        "lumora_monet-3 lumora_monet lumora_paul_cezanne lumora_renoir met_435809 met_437853 "
        "cezanne_mont_sainte_victoire turner_shipwreck vangogh_starry_night whistler_nocturne "
        "monet_water_lilies monet_bridge_lily_pond vangogh_wheatfield_cypresses "
        "hokusai_great_wave lumora_wassily_kandisnsky-2",
        "128020 137030 lumora_monet-3 131030 gogh_vg_olive lumora_millais",
        (0.6, 1.0),
    ),
    Domain(
        "coast",
        "Sea and coast",
        "vangogh-wheatfield-cypresses",
        "105518 1424246 144200 157398 164041 164201 172787 188029 286758 35626 373409 386148 "
        "417083 417351 434614 472309 539681 566459 568347 574021 575717 587015 69762 533678 "
        "3363331 1001682 1147124",
        "164201 35626 574021 434614",
        (0.6, 1.0),
    ),
    Domain(
        "abstract",
        "Abstract composition",
        "kandinsky-composition-vii",
        "lumora_wassily_kandisnsky lumora_robert_delaunay lumora_franz_marc "
        "kandinsky_composition_vii kandinsky_improvisation_30 klee_red_balloon "
        "marc_little_blue_horse mondrian_composition_vii malevich_knife_grinder "
        "delaunay_metzinger_divisionism lumora_kirchner 2693208 2693212 2471234 2156881 1910225",
        "lumora_franz_marc kandinsky_improvisation_30 2693212",
        (0.35, 0.8),
        True,
    ),
    Domain(
        "brushwork",
        "Brushwork",
        "van-gogh",
        "012070 014030 014050 016010 017040 017060 018040 018050 018060 018080 018090 019110 "
        "019130 021020 021030 021050 021070 gogh_vg_olive gogh_vg_houses gogh_vg_wheat_field "
        "gogh_vg_self lumora_camille_pissarro lumora_monet-2 lumora_monet-3 lumora_monet "
        "lumora_paul_cezanne lumora_renoir lumora_renoir-2 lumora_franz_marc met_436965 "
        "met_671456 cezanne_basket_of_apples cezanne_mont_sainte_victoire monet_water_lilies "
        "monet_bridge_lily_pond munch_scream vangogh_starry_night vangogh_night_cafe",
        "016010 lumora_monet-3 018040 gogh_vg_olive 021070 lumora_franz_marc",
        (0.3, 0.5),
    ),
)
"""The domains, in the order of their numbers."""


def sources(root: Path) -> list[data.Source]:
    """The sets of all domains' pictures."""
    return _holding(root, _any_of([domain.stems(False) for domain in DOMAINS]))


def _any_of(groups: Sequence[frozenset[str]]) -> frozenset[str]:
    return groups[0].union(*groups[1:])


def _holding(root: Path, stems: frozenset[str]) -> list[data.Source]:
    """The free sets, of each only the files of these stems; those without any are left out."""

    def wanted(name: str) -> bool:
        return PurePosixPath(name).stem in stems

    free = [*sets.photographs(root), *sets.free_paintings(root), sets.style_source(root)]
    return [
        dataclasses.replace(source, keep=wanted)
        for source in free
        if any(map(wanted, source.names()))
    ]


def load(root: Path, held: bool = False) -> list[list[Bytes]]:
    """The pictures of each of DOMAINS, to train on or held out."""
    found: list[list[Bytes]] = [[] for _ in DOMAINS]
    wanted = [domain.stems(held) for domain in DOMAINS]
    for source in _holding(root, _any_of(wanted)):
        for name, picture in source.pictures():
            if min(picture.size) > _SHORT:
                picture = data.fit(picture, _SHORT)
            for group, names in zip(found, wanted, strict=True):
                if PurePosixPath(name).stem in names:
                    group.append(np.asarray(picture))
    return found


def crop(pictures: Sequence[Bytes], domain: Domain, side: int, rng: np.random.Generator) -> Bytes:
    """A crop side x side x 3 of one of a domain's pictures."""
    picture = Image.fromarray(pictures[int(rng.integers(len(pictures)))])
    span = rng.uniform(*domain.zoom) * min(picture.size)
    left, top = (rng.random() * (length - span) for length in picture.size)
    box = (left, top, left + span, top + span)
    made: Any = picture.resize((side, side), Image.Resampling.LANCZOS, box, reducing_gap=2.0)
    made = np.asarray(made)
    if domain.turned:
        made = np.rot90(made, int(rng.integers(4)))
    return made[:, ::-1] if rng.random() < 0.5 else made


def small(groups: Sequence[Sequence[Bytes]], count: int, seed: int) -> list[NDArray[np.uint8]]:
    """`count` crops of SMALL px of each of DOMAINS."""
    rng = np.random.default_rng(seed)
    return [
        np.stack([crop(group, domain, SMALL, rng) for _ in range(count)])
        for group, domain in zip(groups, DOMAINS, strict=True)
    ]


def drawn(
    crops: Sequence[NDArray[np.uint8]], indices: range, seed: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Examples of these indices, the domains in turn: pictures N x 3 x SMALL x SMALL, domains N."""
    found, which = [], []
    for index in indices:
        rng = np.random.default_rng((seed, index))
        domain = index % len(DOMAINS)
        picture = crops[domain][int(rng.integers(len(crops[domain])))]
        found.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
        which.append(domain)
    return as_batch(found, device), torch.tensor(which, device=device)
