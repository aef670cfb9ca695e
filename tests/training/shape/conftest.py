"""What the recipes that add to a bundle of shapes begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from triptych.training import commands, loop
from triptych.training.loop import Run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle of networks that have learned next to nothing, of six shapes."""
    folder = tmp_path_factory.mktemp("base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_CACHE", str(folder / "cache"))
        small = {"shapes": 6, "held_out": 2, "real": False, "steps": 2, "precision": "32-true"}
        path = folder
        for name, more in (
            ("shape", {"width": 8, "points": 256, "batch": 2}),
            (
                "shape-coder",
                {"base": str(folder / "shape"), "batch": 4, "nodes": 64, "pixels": 12},
            ),
        ):
            made = commands._recipe(name, {**small, **more})
            run = loop.fit(made, Run(folder / f"run-{name}"))
            path = made.export(loop.averaged(made, run), run, folder / name)
        yield path
