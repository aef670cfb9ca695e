"""What the classes of tiles are like as materials, by what such things commonly measure.

None of it can be learned from 128 px of colour: sides and depths are those of the trade (a brick's
course is 75 mm high), roughnesses those that renderers' libraries list for such surfaces.
"""

from __future__ import annotations

import re

from triptych.image.material import Substance

_TABLE = """
Asphalt            2.0   3     0.90 0
Bamboo             1.0   8     0.55 0
Bark               1.0  15     0.90 0
Bricks             1.8   8     0.85 0
Cardboard          0.5   0.5   0.85 0
Carpet             1.0   4     0.95 0
Chainmail          0.2   3     0.40 1
Chipboard          0.6   0.5   0.75 0
Clay               1.0   3     0.85 0
Concrete           2.0   2     0.80 0
Cork               0.4   1     0.85 0
CorrugatedSteel    2.0   8     0.45 1
DiamondPlate       0.6   2     0.40 1
Fabric             0.3   0.8   0.90 0
GlazedTerracotta   1.0   1     0.20 0
Granite            1.0   0     0.25 0
Grass              2.0  25     0.90 0
Gravel             1.5  15     0.90 0
Ground             2.0  20     0.95 0
Marble             1.2   0     0.15 0
Metal              1.0   0.3   0.35 1
Moss               1.0  12     0.95 0
Onyx               1.0   0     0.12 0
Paint              1.0   0.3   0.45 0
Paper              0.4   0.2   0.85 0
PavingStones       2.0  10     0.80 0
Planks             2.0   6     0.70 0
Plaster            2.0   2     0.85 0
Plastic            0.5   0.2   0.40 0
Rock               2.0  50     0.85 0
Rocks              1.5  40     0.85 0
RoofingTiles       2.0  25     0.75 0
Rubber             0.6   0.6   0.85 0
Rust               1.0   0.8   0.85 0
Snow               2.0  15     0.75 0
Terrazzo           1.0   0     0.25 0
ThatchedRoof       2.0  30     0.95 0
Tiles              1.2   2     0.25 0
Travertine         1.2   0.8   0.35 0
Wallpaper          1.0   0.2   0.80 0
Wood               1.0   0.8   0.55 0
WoodFloor          2.0   1     0.45 0
WoodSiding         2.5  12     0.65 0
"""  # class, side in m, depth in mm, roughness, metallic

NOT_OFFERED = {
    "Foil": "a plain colour: its look is all in maps that the set lacks",
    "Logs": "a single tile",
    "Net": "holes that the set shows as dark cloth",
    "Porcelain": "a plain colour",
    "Road": "its markings break where a tile is laid anew",
    "SolarPanel": "its grid breaks where a tile is laid anew",
    "Tatami": "its borders break where a tile is laid anew",
}
"""Classes that are learned from but not offered, and why."""


def substances() -> list[Substance]:
    """The classes that are offered, by name."""
    made = []
    for line in _TABLE.strip().splitlines():
        name, side, depth, roughness, metallic = line.split()
        made.append(
            Substance(
                slug(name),
                re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize(),
                float(side),
                float(depth) / 1000,
                float(roughness),
                float(metallic),
            )
        )
    return made


def slug(name: str) -> str:
    """A class's name as users write it: PavingStones becomes paving-stones."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
