"""The pictures that styles are learned from: the public-domain library and the paintings."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.training.image.sets import paintings


@dataclass(frozen=True)
class Work:
    """A public-domain work: where it is and why it is free."""

    name: str
    file: str
    artist: str
    title: str
    year: str
    why_free: str


def works(root: Path) -> list[Work]:
    """The style pictures with artist, title, year and the reason why they are free."""
    folder = root / "styles" / "public_domain"
    found = []
    with (folder / "index.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            label = row["rights label in source"]
            died = row["died"]
            reason = (
                f"public domain: the artist died in {died}"
                if died.isdigit()
                else (f"public domain: made {died}, artist not named")
            )
            if label:
                reason += f"; the source's label: {label}"
            found.append(
                Work(
                    Path(row["file"]).stem,
                    row["file"],
                    row["artist"],
                    row["title"],
                    row["year"],
                    reason,
                )
            )
    return found


def painting_artists(root: Path) -> dict[str, str]:
    """Artist of each painting, by `set/file`."""
    found = {}
    for source in paintings(root):
        text = source.read("index.csv").decode()
        for row in csv.DictReader(io.StringIO(text)):
            found[f"{source.path.stem}/{row['file']}"] = row["artist"]
    return found


LIBRARY = (
    "vangogh_starry_night",
    "vangogh_wheatfield_cypresses",
    "monet_water_lilies",
    "monet_parliament_fog",
    "seurat_grande_jatte",
    "klimt_kiss",
    "cezanne_mont_sainte_victoire",
    "gauguin_tahitian_women",
    "hokusai_great_wave",
    "munch_scream",
    "kandinsky_composition_vii",
    "kandinsky_improvisation_30",
    "delaunay_metzinger_divisionism",
    "klee_red_balloon",
    "marc_little_blue_horse",
    "kirchner_street",
    "mucha_champenois",
    "turner_shipwreck",
    "turner_venice",
    "elgreco_view_of_toledo",
    "rousseau_dream",
    "toulouse_lautrec_jane_avril",
    "oldmaster_red_chalk",
    "claude_seaport_etching",
    "shanshui_1",
)
"""The styles that ship, each learned as a code of its own."""


def preset_name(style: str) -> str:
    """The name by which users ask for one of LIBRARY."""
    return style.replace("_", "-")


ARTISTS = {
    "van-gogh": ("Vincent van Gogh", ("gogh",)),
    "monet": ("Claude Monet", ("monet",)),
    "rembrandt": ("Rembrandt", ("rembrandt",)),
    "cezanne": ("Paul Cezanne", ("cezanne",)),
}
"""The artists whose manner is learned: name and what their `artist` column contains."""

HELD_OUT_STYLES = 20


@dataclass(frozen=True)
class Painting:
    """One painting: its set, file, artist ("" if unknown) and picture."""

    set: str
    file: str
    artist: str
    picture: Image.Image

    @property
    def artist_key(self) -> str | None:
        """The key in ARTISTS, if it is by one of them."""
        for key, (_, needles) in ARTISTS.items():
            if any(needle in self.artist.lower() for needle in needles):
                return key
        return None


@dataclass(frozen=True)
class Split:
    """Who sees which painting.

    `styles`: for the any-picture predictor. `held_styles`: 20 never trained on. `artists`: for the
    adversarial training of each artist. `held_artists`: seen by the judge of manner alone.
    """

    styles: list[Painting]
    held_styles: list[Painting]
    artists: dict[str, list[Painting]]
    held_artists: dict[str, list[Painting]]


def _fingerprint(picture: Image.Image) -> np.ndarray:
    small = np.asarray(picture.convert("L").resize((16, 16), Image.Resampling.BOX), np.float32)
    return (small - small.mean()) / (small.std() + 1e-3)


def split(root: Path) -> Split:
    """The paintings, split without duplicates (fixed: a seeded shuffle by set and file name).

    Of each artist's works every second one is held out for the judge, unless a near copy of it is
    among the library's pictures.
    """
    found: list[Painting] = []
    prints: list[np.ndarray] = []
    library = []
    for work in works(root):
        picture = Image.open(root / "styles" / "public_domain" / work.file).convert("RGB")
        library.append(Painting("public_domain", work.file, work.artist, picture))
    names = painting_artists(root)
    others = [
        Painting(source.path.stem, name, names.get(f"{source.path.stem}/{name}", ""), picture)
        for source in paintings(root)
        for name, picture in source.pictures()
    ]
    for painting in [*library, *others]:
        mark = _fingerprint(painting.picture)
        if not any(float((mark * other).mean()) > 0.93 for other in prints):
            found.append(painting)
            prints.append(mark)
    artists: dict[str, list[Painting]] = {key: [] for key in ARTISTS}
    held_artists: dict[str, list[Painting]] = {key: [] for key in ARTISTS}
    rest = []
    for painting in found:
        key = painting.artist_key
        if key is None:
            rest.append(painting)
        elif painting.set == "public_domain":
            artists[key].append(painting)
            rest.append(painting)
        elif len(held_artists[key]) <= len(artists[key]):
            held_artists[key].append(painting)
        else:
            artists[key].append(painting)
    candidates = [p for p in rest if p.set != "public_domain" and min(p.picture.size) >= 320]
    order = np.random.default_rng(20).permutation(len(candidates))
    held = [candidates[i] for i in order[:HELD_OUT_STYLES]]
    names_held = {(p.set, p.file) for p in held}
    styles = [p for p in rest if (p.set, p.file) not in names_held]
    styles += [p for group in artists.values() for p in group if p.set != "public_domain"]
    return Split(styles, held, artists, held_artists)
