"""A recipe of a few weights: a picture's crops through a small network and back.

As a script it is the command `triptych` with this recipe, for tests in processes of their own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych import bundle
from triptych.training import commands, data, export
from triptych.training.loop import LoopSettings, Recipe, Run

SIZE = 16


@dataclass
class TinySettings:
    source: str = ""
    licence: str = ""
    name: str = "tiny"
    rate: float = 0.01
    dropout: float = 0.0
    adversarial: bool = False
    pause: float = 0.0  # seconds per step


class TinyRecipe(Recipe):
    name = "tiny"

    def __init__(self, settings: TinySettings | None = None) -> None:
        self.settings = settings or TinySettings()
        self.loop = LoopSettings(
            steps=6, batch=4, precision="32-true", warmup=2, ema=0.9, log_every=1, accelerator="cpu"
        )

    def sources(self) -> list[data.Source]:
        return [data.open_source(Path(self.settings.source), self.settings.licence or None)]

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        self.pictures = [np.asarray(p) for s in self.sources() for _, p in s.pictures()]
        net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
        if not self.settings.adversarial:
            return {"net": net}
        return {"net": net, "judge": nn.Conv2d(3, 1, 4, stride=4)}

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        rate = self.settings.rate
        return {k: torch.optim.Adam(v.parameters(), rate) for k, v in modules.items()}

    def batch(self, indices: range, device: torch.device) -> Tensor:
        crops = []
        for index in indices:
            rng = np.random.default_rng((self.loop.seed, index))
            picture = self.pictures[int(rng.integers(len(self.pictures)))]
            crops.append(data.crop(picture, SIZE, rng).transpose(2, 0, 1) / np.float32(255))
        return torch.from_numpy(np.stack(crops)).to(device)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        time.sleep(self.settings.pause)
        if part == "judge":
            with torch.no_grad():
                made = modules["net"](batch)
            return F.softplus(modules["judge"](made) - modules["judge"](batch)).mean(), {}
        made = modules["net"](F.dropout(batch, self.settings.dropout))
        error = (made - (1 - batch)).float().pow(2).mean()
        if not self.settings.adversarial:
            return error, {"error": float(error.detach())}
        return error + 0.1 * F.softplus(-modules["judge"](made)).mean(), {}

    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        assert not any(module.training for module in modules.values())
        made = modules["net"](torch.rand(1, 3, SIZE, SIZE))[0].clamp(0, 1)
        return Image.fromarray((made.permute(1, 2, 0).numpy() * 255).astype(np.uint8))

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        trials = [{"x": torch.rand(1, 3, h, w)} for h, w in ((16, 16), (9, 21))]
        free = {0: "n", 2: "height", 3: "width"}
        graph = export.GraphExport(
            modules["net"], trials[0], ["y"], {"x": free, "y": free}, trials, {"x": (0.0, 1.0)}
        )
        card = bundle.Card(
            name=self.settings.name,
            version="0.1.0",
            task="tiny",
            title="Tiny",
            licence="CC0-1.0",
            graphs={},
            created=export.today(),
            data=export.ledger(self.sources()),
            recipe=export.made_by(self, asdict(self.settings), run),
        )
        return export.write_bundle(folder, card, {"net": graph}, {"notes.txt": b"tiny"})


class OwnTiny(TinyRecipe):
    """Takes the place of the recipe that learns the user's own style."""

    name = "own-style"


def pictures(folder: Path, licence: str = "Licence: CC0-1.0") -> Path:
    """A folder of three small pictures and what they are free under."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:24, 0:32] / 32
    for number in range(3):
        waves = [np.sin(3 * (number + 1) * (x + k * y)) / 2 + 0.5 for k in range(3)]
        values = (np.stack(waves, 2) * 255).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{number}.png")
    if licence:
        (folder / "SOURCE.md").write_text(f"# Waves\n\n- {licence}\n")
    return folder


def main() -> Any:
    from triptych.cli import main

    sys.modules["tiny_recipe"] = sys.modules["__main__"]
    commands.RECIPES["tiny"] = "tiny_recipe:TinyRecipe"
    return main()


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
