import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from triptych.training import commands
from triptych.training.loop import Recipe


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module `tiny_recipe`, beside this file."""
    path = Path(__file__).with_name("tiny_recipe.py")
    spec = importlib.util.spec_from_file_location("tiny_recipe", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_recipe"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def own_places(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The recipe in the table, folders of this test alone, one thread (sums in the same order)."""
    monkeypatch.setitem(commands.RECIPES, "tiny", "tiny_recipe:TinyRecipe")
    monkeypatch.setitem(commands.RECIPES, "own-style", "tiny_recipe:OwnTiny")
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def waves(tiny: ModuleType, tmp_path: Path) -> Path:
    """A folder with three pictures and a licence."""
    folder: Path = tiny.pictures(tmp_path / "waves")
    return folder


@pytest.fixture
def recipe(tiny: ModuleType, waves: Path) -> Callable[..., Recipe]:
    """Makes the tiny recipe; keywords are its settings or the loop's."""

    def make(**settings: Any) -> Recipe:
        return commands._recipe("tiny", {"source": str(waves), **settings})

    return make
