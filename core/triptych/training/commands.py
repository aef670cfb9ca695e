"""What `triptych train` and `triptych export` do: find a recipe, run it, write its bundle."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from lightning_fabric.utilities import rank_zero_only
from torch import distributed

from triptych import bundle
from triptych.errors import Cancelled, UserError, did_you_mean, one_line
from triptych.files import shown
from triptych.training import loop
from triptych.training.loop import LoopSettings, Recipe, Run

RECIPES = {
    "perceptual": "triptych.training.image.distillation:PerceptualRecipe",
    "style": "triptych.training.image.style:StyleRecipe",
    "inpaint": "triptych.training.image.inpaint:InpaintRecipe",
    "restore": "triptych.training.image.restore:RestoreRecipe",
    "upscale": "triptych.training.image.upscale:UpscaleRecipe",
    "upscale-explore": "triptych.training.image.explore:ExploreRecipe",
    "synthesize-codec": "triptych.training.image.synthesis.codec:CodecRecipe",
    "synthesize": "triptych.training.image.synthesis.composing:ComposingRecipe",
    "own-style": "triptych.training.image.own_style:OwnStyleRecipe",
    "artist": "triptych.training.image.artist:ArtistRecipe",
    "phrases": "triptych.training.music.phrases:PhraseRecipe",
    "score": "triptych.training.music.score:ScoreRecipe",
    "own-score": "triptych.training.music.own_score:OwnScoreRecipe",
    "infill": "triptych.training.music.infill:InfillRecipe",
    "groove": "triptych.training.music.groove:GrooveRecipe",
    "material": "triptych.training.image.material.material:MaterialRecipe",
    "shape": "triptych.training.shape.shape:ShapeRecipe",
    "shape-coder": "triptych.training.shape.coder:CoderRecipe",
    "shape-generator": "triptych.training.shape.generator:GeneratorRecipe",
    "shape-refiner": "triptych.training.shape.refiner:RefinerRecipe",
    "shape-picture": "triptych.training.shape.from_picture:PictureRecipe",
}
"""Where each recipe is: a class made from its settings, a dataclass, alone."""

OWN = {"style": "own-style", "score": "own-score"}
"""What a recipe's name means when the user gives something of their own to learn."""


def recipes() -> list[str]:
    """The names of the recipes."""
    return list(RECIPES)


def train(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    *,
    sources: Sequence[Path] = (),
    name: str | None = None,
    licence: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    resume: Path | None = None,
    output: Path | None = None,
) -> Run:
    """Train the recipe named `recipe`, or go on with the run in the folder `resume`.

    `settings` are fields of the recipe's settings or of LoopSettings. With `sources` (pictures,
    MIDI files or folders of them, under `licence`), a recipe of OWN learns those under `name`; its
    bundle then goes to the user's bundles at once. `minutes` and `steps` count over
    resumes. `output` is the run's folder (default: runs/ in the current folder, or among the
    user's data for something of their own).

    Raises:
        UserError: one sentence, for all that the user can mend.
        Cancelled: a signal ended the run; its checkpoint is written.
    """
    given = dict(settings or {})
    given |= {k: v for k, v in (("minutes", minutes), ("steps", steps)) if v is not None}
    if sources:
        recipe = OWN.get(recipe, recipe)
    given |= _about_sources(recipe, sources, name, licence)
    if resume is not None:
        made, run = _reopened(resume, given)
        own = made.name in OWN.values()
        if made.name not in (recipe, OWN.get(recipe)):
            raise UserError(f"{shown(resume)} is a run of the recipe {made.name}, not of {recipe}")
    else:
        made = _recipe(recipe, given)
        own = made.name in OWN.values()
        run = Run(_run_folder(output, name or made.name, own))
    for source in made.sources():  # refused before anything is made
        source.names()
    target = _own_bundle(made) if own else None
    run.settings = _settings(made)
    loop.fit(made, run, resume=resume is not None)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()  # left to the exit, its threads may abort the process
    if getattr(rank_zero_only, "rank", 0):  # Fabric's number of this process
        return run
    if run.interrupted:
        print(
            f"stopped at step {run.step}: go on with "
            f"`triptych train {made.name} --resume {shown(run.path)}`"
        )
        raise Cancelled("cancelled")
    if target is None:
        print(f"trained: make the bundle with `triptych export {shown(run.path)}`")
    else:
        print(made.export(loop.averaged(made, run), run, target))
    return run


def export(run: Path, output: Path | None = None, name: str | None = None) -> Path:
    """Write the bundle of the run in the folder `run` and return its path.

    `output` is the bundle's folder, where a bundle is replaced (default: NAME among the user's
    bundles, where none may be); `name` is given to recipes that name what they learn.
    """
    made, opened = _reopened(run, {} if name is None else {"name": name})
    target = output or _own_bundle(made)
    path = made.export(loop.averaged(made, opened), opened, target)
    print(path)
    return path


def _about_sources(
    recipe: str, sources: Sequence[Path], name: str | None, licence: str | None
) -> dict[str, Any]:
    """What the command's options say to a recipe that learns something of the user's own."""
    found: dict[str, Any] = {}
    known = {field.name for field in dataclasses.fields(_settings_type(_recipe_type(recipe)))}
    if sources:
        found["source"] = [str(path.absolute()) for path in sources]
    if licence is not None:
        found["licence"] = licence
    for key, option in (("source", "--from"), ("licence", "--licence")):
        if key in found and key not in known:
            raise UserError(f"the recipe {recipe} has its own data: leave {option} out")
    if name is not None and "name" in known:
        found["name"] = name
    return found


def _run_folder(output: Path | None, name: str, own: bool) -> Path:
    if output is not None:
        if (output / "checkpoint.pt").exists() or (output / "settings.json").exists():
            raise UserError(
                f"{shown(output)} holds a run already: go on with --resume or name another folder"
            )
        return output.absolute()
    runs = (bundle.user_data() if own else Path.cwd()) / "runs"
    first = path = runs / f"{name}-{date.today().isoformat()}"
    number = 1
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def _own_bundle(recipe: Recipe) -> Path:
    """Where the recipe's bundle goes among the user's; UserError when the name cannot be."""
    name = str(_settings(recipe).get("name", recipe.name))
    if not name:
        raise UserError("what is learned needs a name: add --name NAME")
    if not bundle._NAME.fullmatch(name):
        raise UserError(
            f"{name[:80]!r} cannot be a bundle's name: use up to 64 letters, digits, '.', '_', '-'"
        )
    target = bundle.user_data() / "bundles" / name
    if target.exists():
        raise UserError(
            f"you have a bundle {name} already: choose another --name or delete {shown(target)}"
        )
    return target


def _reopened(folder: Path, changes: Mapping[str, Any]) -> tuple[Recipe, Run]:
    """The recipe and the run of a folder, with what is now asked for otherwise."""
    path = folder / "settings.json"
    if not path.is_file():
        raise UserError(f"{shown(folder)} is not a run: it has no settings.json")
    try:
        saved = json.loads(path.read_text())
        name, given = saved["recipe"], {**saved["loop"], **saved["settings"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{shown(path)} is damaged ({one_line(error)})") from error
    return _recipe(str(name), {**given, **changes}), Run(folder.absolute())


def _recipe_type(name: str) -> type[Recipe]:
    if name not in RECIPES:
        raise UserError(f"there is no recipe {name!r}{did_you_mean(name, RECIPES)}")
    module, _, member = RECIPES[name].partition(":")
    found: type[Recipe] = getattr(importlib.import_module(module), member)
    return found


def _settings_type(recipe: type[Recipe]) -> type[Any]:
    """The dataclass of the recipe's settings: what its constructor takes."""
    hints = typing.get_type_hints(recipe.__init__)
    hints.pop("return", None)
    kind = next(iter(hints.values()))
    kinds = [kind, *typing.get_args(kind)]  # X | None
    return next(k for k in kinds if isinstance(k, type) and dataclasses.is_dataclass(k))


def _settings(recipe: Recipe) -> dict[str, Any]:
    return dataclasses.asdict(recipe.settings)  # type: ignore[attr-defined]


def _recipe(name: str, given: Mapping[str, Any]) -> Recipe:
    """The recipe with the settings in `given`, some its own and some the loop's."""
    kind = _recipe_type(name)
    own = typing.get_type_hints(_settings_type(kind))
    shared = typing.get_type_hints(LoopSettings)
    for key in given:
        if key not in own and key not in shared:
            raise UserError(
                f"the recipe {name} has no setting {key!r}{did_you_mean(key, [*own, *shared])}"
            )
    values = {key: _fitting(key, value, (own | shared)[key]) for key, value in given.items()}
    constructor: Any = kind
    mine = {k: v for k, v in values.items() if k in own}
    try:
        recipe: Recipe = constructor(_settings_type(kind)(**mine))
    except TypeError as error:  # a setting without a default
        raise UserError(f"the recipe {name} needs more settings ({one_line(error)})") from error
    rest = {k: v for k, v in values.items() if k not in own}
    recipe.loop = dataclasses.replace(recipe.loop, **rest)
    return recipe


def _fitting(key: str, value: Any, kind: Any) -> Any:
    """`value` (JSON or a word) as the type `kind` of the setting `key`; UserError if it is none."""
    options = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None or (value == "none" and types.NoneType in options):
            return None
        kind = next(option for option in options if option is not types.NoneType)
        return _fitting(key, value, kind)
    if origin in (list, tuple):
        items = value.split(",") if isinstance(value, str) else value
        items = items if isinstance(items, list | tuple) else [items]
        return origin(_fitting(key, item, options[0]) for item in items)
    if kind is bool:
        words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
        found = words.get(str(value).lower())
        if found is not None:
            return found
    elif kind in (int, float) and isinstance(value, int | float | str):
        try:
            number = float(value)
            if math.isfinite(number) and (kind is float or number == int(number)):
                return kind(number)
        except ValueError:
            pass
    elif kind is str and isinstance(value, list) and len(value) == 1:
        return _fitting(key, value[0], kind)
    elif kind is str and isinstance(value, str | int | float):
        return str(value)
    elif kind is Path and isinstance(value, str | Path):
        return Path(value)
    said = {bool: "yes or no", int: "a whole number", float: "a number"}.get(kind, "a word")
    raise UserError(f"the setting {key} must be {said}, not {value!r:.60}")
