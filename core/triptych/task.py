"""A task: a name, typed parameters and one function, declared once for every host.

The command line, GIMP's dialog, Blender's panel and the OSC addresses are all built from
`Task.describe()`, and whatever they send goes through `Parameter.check`.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.engine import Engine, Job, default_engine
from triptych.errors import ParameterError, UserError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from triptych.music.score import Score
    from triptych.shape.mesh import Mesh

_FILES = ("picture", "mask", "score", "mesh")  # kinds of what lies in a file, or is given itself
KINDS = ("float", "int", "bool", "choice", "text", "seed", "blend", "meshes", *_FILES)
MAX_SEED = 2**31 - 1  # the largest that Blender, OSC and NumPy's legacy generator all take
_BUILT_IN = (
    "triptych.image.style",
    "triptych.image.dream",
    "triptych.image.upscale",
    "triptych.image.inpaint",
    "triptych.image.restore",
    "triptych.image.texture",
    "triptych.image.synthesis",
    "triptych.shape.shape",
    "triptych.music.melody",
    "triptych.music.phrases",
    "triptych.music.fill",
    "triptych.music.groove",
)  # modules that each hold TASKS


@dataclass(frozen=True)
class Choice:
    """One value of a choice: what is sent, what is shown, and a small picture of it.

    The value "auto" leaves it to the task: a host names no result after it.
    """

    value: str
    label: str
    help: str = ""
    thumbnail: Path | None = None


@dataclass(frozen=True)
class Parameter:
    """One typed parameter of a task.

    Kinds: "float", "int" and "seed" (within `minimum`..`maximum`), "bool", "text" (at most
    `maximum` characters), "choice" (one of `choices`), "blend" (a list of (choice, weight)),
    "picture" and "mask" (a file or an array), "score" (a MIDI file or a Score), "mesh" (a file or a
    `shape.mesh.Mesh`), "meshes" (a list of those). `choices` may be a function, for what is found
    at run time; with `accepts_picture` a choice or blend also takes any picture. An `optional`
    parameter may be None; another one whose default is None must be given.
    A whole number with `by_size` may be 0: then it is 1, and one more for each of these numbers of
    pixels that the picture's longest side passes.
    `needs` names the parameter without which this one means nothing: a host that does not show that
    one (GIMP has its selection for a mask) shows this one no more. `noun` is what an error calls
    one of the choices.
    """

    name: str
    label: str
    kind: str
    default: Any = None
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    choices: Sequence[Choice] | Callable[[], Sequence[Choice]] = ()
    optional: bool = False
    advanced: bool = False
    needs: str = ""
    accepts_picture: bool = False
    noun: str = "choice"
    by_size: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: there is no kind {self.kind!r}")
        if not self.name.isidentifier():
            raise ValueError(f"{self.name!r} cannot name a parameter")
        if self.kind == "seed":
            object.__setattr__(self, "minimum", 0 if self.minimum is None else self.minimum)
            object.__setattr__(self, "maximum", self.maximum or MAX_SEED)
        if self.kind in (*_FILES, "meshes") and self.default is not None:
            raise ValueError(f"{self.name}: a {self.kind} has no default")
        # What is found at run time may not be there yet; it is checked when it is used.
        if self.default is not None and not callable(self.choices):
            object.__setattr__(self, "default", self.check(self.default))

    def options(self) -> tuple[Choice, ...]:
        """The choices as they are now."""
        return tuple(self.choices() if callable(self.choices) else self.choices)

    def check(self, value: Any) -> Any:
        """`value` in its normal form, or ParameterError: out of range, not a number, unknown, ...

        Returns float, int, bool or str; for pictures and masks a Path or a float32 array; for a
        score a Path or a Score; for a mesh a Path or a Mesh, for meshes a list of them; for a
        choice its value (or, with `accepts_picture`, a Path or array); for a blend a list of
        (choice, weight); None where that is allowed.
        """
        if value is None or (self.kind in ("blend", "meshes") and value in ([], ())):
            if self.optional:
                return None
            raise ParameterError(self.name, " needs a value.")
        if self.kind in ("float", "int", "seed"):
            return self._number(value, whole=self.kind != "float")
        if self.kind == "bool":
            return self._bool(value)
        if self.kind == "text":
            return self._text(value)
        if self.kind == "choice":
            return self._choice(value)
        if self.kind == "blend":
            return self._blend(value)
        if self.kind == "meshes":
            values = value if isinstance(value, (list, tuple)) else [value]
            return [self._file_or_value(one) for one in values]
        return self._file_or_value(value)

    def describe(self) -> dict[str, Any]:
        """Everything a host needs to draw a control for it, as JSON."""
        return {
            "name": self.name,
            "label": self.label,
            "kind": self.kind,
            "default": [list(item) for item in self.default]
            if self.kind == "blend" and self.default is not None
            else self.default,
            "help": self.help,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "step": self.step,
            "unit": self.unit,
            "choices": [
                {
                    "value": choice.value,
                    "label": choice.label,
                    "help": choice.help,
                    "thumbnail": None if choice.thumbnail is None else str(choice.thumbnail),
                }
                for choice in self.options()
            ],
            "optional": self.optional,
            "advanced": self.advanced,
            "needs": self.needs,
            "by_size": list(self.by_size),
            "accepts_picture": self.accepts_picture,
        }

    def _number(self, value: Any, whole: bool, must: str = " must be") -> float | int:
        what = "a whole number" if whole else "a number"
        try:
            number = float(value) if isinstance(value, (str, numbers.Real)) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if isinstance(value, bool) or not math.isfinite(number) or (whole and number % 1):
            raise ParameterError(self.name, f"{must} {what}, not {_shown(value)}.")
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            unit = f" {self.unit}" if self.unit else ""
            if low is None or high is None:
                bounds = f"at least {low}" if high is None else f"at most {high}"
            else:
                bounds = f"from {low} to {high}"
            raise ParameterError(self.name, f"{must} {bounds}{unit}, not {_shown(value)}.")
        return int(number) if whole else number

    def _bool(self, value: Any) -> bool:
        numpy_bool = type(value).__name__ in ("bool", "bool_")
        if numpy_bool or (isinstance(value, (int, float)) and value in (0, 1)):
            return bool(value)
        raise ParameterError(self.name, f" must be true or false, not {_shown(value)}.")

    def _text(self, value: Any) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise ParameterError(self.name, f" must be text, not {_shown(value)}.")
        if self.maximum is not None and len(value) > self.maximum:
            raise ParameterError(self.name, f" must have at most {self.maximum:.0f} characters.")
        return value

    def _choice(self, value: Any) -> Any:
        options = self.options()
        if isinstance(value, str):
            for option in options:
                if value == option.value:
                    return value
            for option in options:
                if value.casefold() in (option.value.casefold(), option.label.casefold()):
                    return option.value
        if self.accepts_picture:
            if not isinstance(value, str):
                return self._file_or_value(value)
            if path := _file(value):
                return path
        what = f"{self.noun}{' or picture file' if self.accepts_picture else ''}"
        known = did_you_mean(str(value), (option.value for option in options))
        raise ParameterError(self.name, f": there is no {what} named {_shown(value)}{known}")

    def _blend(self, value: Any) -> list[tuple[Any, float]]:
        pairs: list[tuple[Any, Any]] = []
        with contextlib.suppress(TypeError, ValueError):
            pairs = [(choice, weight) for choice, weight in value]
        must = ": a weight must be"
        blend = [(self._choice(one), self._number(weight, False, must)) for one, weight in pairs]
        if any(weight < 0 for _, weight in blend) or not sum(weight for _, weight in blend) > 0:
            raise ParameterError(
                self.name,
                " must be a list of names with weights, of which none is below 0 and one is above.",
            )
        return blend

    def _file_or_value(self, value: Any) -> Any:
        if isinstance(value, (str, os.PathLike)):
            if path := _file(value):
                return path
            raise ParameterError(self.name, f": there is no file {_shown(os.fspath(value))}.")
        checks: dict[str, Callable[..., Any]] = {"mask": check_mask, "score": _check_score}
        checks |= {"mesh": _check_mesh, "meshes": _check_mesh}
        return checks.get(self.kind, check_picture)(value, self.name)


@dataclass(frozen=True)
class Result:
    """What a task made (pixels, a Score, a Film, a Mesh or a Material), and the bundles it used
    (`Bundle.used`), for provenance."""

    made: Any
    used: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Task:
    """A capability. `function(given, job, engine, **values)` returns a Result.

    `input` is "picture" (float32, H x W x 3, sRGB, 0..1), "score" (a `music.score.Score`), "mesh"
    (a `shape.mesh.Mesh`) or "none"; `output` is one of those but "none", "film" (an
    `image.film.Film`) or "material" (an `image.material.Material`). `model` is the task that a
    bundle's card must name for it to work with; "" if it brings its own errors. `graph` is one that
    such a bundle must have too, and `recipe` what trains it, where that is not named as the model.

    A task whose pictures have another size than they are given says how: `factor` is the parameter
    that says how many times wider and higher they become, or `origin` the two that say how many px
    from the left and from the top of the new picture the given one lies, unchanged.
    """

    name: str
    label: str
    help: str
    function: Callable[..., Result]
    parameters: tuple[Parameter, ...] = ()
    input: str = "picture"
    output: str = "picture"
    model: str = ""
    graph: str = ""
    recipe: str = ""
    factor: str = ""
    origin: tuple[str, str] | tuple[()] = ()

    def __post_init__(self) -> None:
        whole = {one.name for one in self.parameters if one.kind == "int"}
        for name in (*filter(None, [self.factor]), *self.origin):
            if name not in whole:
                raise ValueError(f"{self.name} has no whole number {name!r}")

    @property
    def missing(self) -> str:
        """Why it cannot be offered, in one sentence; "" if it can."""
        from triptych.bundle import find_bundles

        found = find_bundles(self.model) if self.model else []
        if not self.model or any(not self.graph or self.graph in b.card.graphs for b in found):
            return ""
        recipe = self.recipe or self.model
        lacks = f"{self.name} needs a model that is not installed"
        return f"{lacks}: `triptych train {recipe}` trains one."

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A checked value for every parameter, defaults filled in; UserError for the first bad."""
        parameters = {parameter.name: parameter for parameter in self.parameters}
        for name in values:
            if name not in parameters:
                known = did_you_mean(name, parameters)
                raise UserError(f"{self.name} has no parameter {name!r}{known}")
        checked = {
            name: parameter.check(values.get(name, parameter.default))
            for name, parameter in parameters.items()
        }
        for name, parameter in parameters.items():
            needed = parameter.needs
            if needed and checked[needed] is None and checked[name] != parameter.default:
                raise ParameterError(
                    name, " means nothing without ", needed, ": give ", needed, " too."
                )
        return checked

    def run(
        self,
        given: Any = None,
        job: Job | None = None,
        engine: Engine | None = None,
        **values: Any,
    ) -> Result:
        """Check `given` (of the kind that `input` names) and `values`, then do the task.

        Raises UserError (one sentence) for what does not fit, Cancelled when `job` is cancelled.
        """
        checked = self.check(values)
        if self.input == "picture":
            given = check_picture(given)
            for one in self.parameters:
                if one.by_size and checked[one.name] == 0:
                    longest = max(given.shape[:2])
                    checked[one.name] = 1 + sum(longest > size for size in one.by_size)
        elif self.input == "score":
            given = _check_score(given)
        elif self.input == "mesh":
            given = _check_mesh(given)
        job = job or Job()
        job.check()
        result = self.function(given, job, engine or default_engine(), **checked)
        job.check()
        return result

    def place(self, values: Mapping[str, Any]) -> tuple[int, int] | None:
        """The column and the row at which the given picture lies in the result; None if scaled."""
        if not self.origin:
            return None
        checked = self.check(values)
        left, top = (checked[name] for name in self.origin)
        return left, top

    def describe(self) -> dict[str, Any]:
        """The whole declaration as JSON: all that a host needs to offer the task."""
        return {
            "name": self.name,
            "label": self.label,
            "help": self.help,
            "input": self.input,
            "output": self.output,
            "factor": self.factor,
            "origin": list(self.origin),
            "parameters": [parameter.describe() for parameter in self.parameters],
        }


_registered: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Add a task to those that every host offers; ValueError when its name is taken."""
    if _registered.get(task.name, task) is not task:
        raise ValueError(f"there is a task {task.name!r} already")
    _registered[task.name] = task
    return task


def tasks() -> dict[str, Task]:
    """The tasks that can be offered, by name: the built-in ones (imported now) and those
    registered, but none whose model is missing."""
    return {name: task for name, task in all_tasks().items() if not task.missing}


def all_tasks() -> dict[str, Task]:
    """The tasks by name, also those whose model is missing: it may come."""
    for module in _BUILT_IN:
        for task in importlib.import_module(module).TASKS:
            register(task)
    return dict(_registered)


def get_task(name: str) -> Task:
    """The task of this name; UserError with the nearest name, or if its model is missing."""
    known = all_tasks()
    if name not in known:
        raise UserError(f"there is no task {name!r}{did_you_mean(name, known)}")
    if known[name].missing:
        raise UserError(known[name].missing)
    return known[name]


def check_picture(value: Any, name: str = "the picture") -> np.ndarray:
    """`value` as float32 H x W x 3 within 0..1, or UserError: wrong shape, type, range, NaN."""
    return _check_array(value, name, "H x W x 3", lambda s: len(s) == 3 and s[2] == 3)


def check_mask(value: Any, name: str = "the mask") -> np.ndarray:
    """`value` as float32 H x W within 0..1, or UserError."""
    return _check_array(value, name, "H x W", lambda s: len(s) == 2)


def _check_score(value: Any, name: str = "the score") -> Score:
    from triptych.music.score import check_score

    return check_score(value, name)


def _check_mesh(value: Any, name: str = "the mesh") -> Mesh:
    from triptych.shape.mesh import check_mesh

    return check_mesh(value, name)


def _check_array(
    value: Any, name: str, form: str, fits: Callable[[tuple[int, ...]], bool]
) -> np.ndarray:
    import numpy as np

    if not isinstance(value, np.ndarray):
        raise UserError(f"{name} must be a NumPy array ({form}), not {_shown(value)}.")
    if not fits(value.shape):
        raise UserError(f"{name} must have the shape {form}, not {list(value.shape)}.")
    if 0 in value.shape:
        raise UserError(f"{name} is empty: give one of at least 1 x 1 pixels.")
    if value.dtype.kind != "f":
        raise UserError(f"{name} must be float32 from 0 to 1, not {value.dtype}: scale it first.")
    low, high = float(value.min()), float(value.max())  # NaN comes through both, without a copy
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"{name} has pixels that are not finite (NaN or infinite): repair it.")
    if low < -1e-3 or high > 1 + 1e-3:
        raise UserError(f"{name} has values from {low:g} to {high:g}: scale them to 0..1.")
    pixels = value.astype(np.float32, copy=False)
    return pixels if low >= 0 and high <= 1 else pixels.clip(0, 1)


def _file(value: str | os.PathLike[str]) -> Path | None:
    try:
        path = Path(value)
        return path if path.is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
