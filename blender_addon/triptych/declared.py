# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks that are offered here, as the core describes them; nothing here knows Blender.

The build writes the descriptions into `tasks.json`; where a worker knows other ones (a model was
added), they are kept in the user's folder for Blender's next start.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Task = Mapping[str, Any]
Parameter = Mapping[str, Any]

FILE = "tasks.json"
OUTPUTS = ("mesh", "material")
VALUES = ("float", "int", "seed", "bool", "text", "choice")  # kinds that are properties


def _(text: str) -> str:
    """A text as it stands; it is marked for the catalogues, and translated where it is shown."""
    return text


GIVEN: Parameter = {
    "name": "picture",
    "label": _("Picture"),
    "kind": "picture",
    "help": _("What it is made from."),
    "default": None,
    "minimum": None,
    "maximum": None,
    "unit": "",
    "choices": [],
    "optional": False,
    "advanced": False,
}  # what a task starts from that starts from a picture
FILE_INSTEAD: Parameter = {
    **GIVEN,
    "label": _("Or this file"),
    "help": _("A picture file, instead of what is chosen"),
    "optional": True,
}
_HERE = Path(__file__).resolve().parent


def offered(tasks: Sequence[Task]) -> list[Task]:
    """Those of these tasks that make a mesh or a material of what there is here."""
    return [one for one in tasks if one["output"] in OUTPUTS and one["input"] != "score"]


def read(user: Path) -> list[Task]:
    """The tasks as they were when last asked for; the user's folder knows best."""
    for path in (_kept(user), _HERE / FILE):
        with suppress(OSError, ValueError, KeyError, TypeError):
            return offered(json.loads(path.read_text("utf-8")))
    return []


def keep(tasks: Sequence[Task], user: Path) -> None:
    """Write down what a worker says, if it is news."""
    if offered(tasks) == read(user):
        return
    path = _kept(user)
    aside = path.with_suffix(".new")
    with suppress(OSError):  # without, the descriptions of the build stay
        user.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(offered(tasks)), "utf-8")
        aside.replace(path)


def _kept(user: Path) -> Path:
    """Where this build's descriptions are brought up to date; another build has another place."""
    return user / f"tasks-{zlib.crc32((_HERE / FILE).read_bytes()):08x}.json"


def properties(task: Task) -> list[Parameter]:
    """The parameters that a user sets; those of a kind that cannot be set here keep a default."""
    found = [GIVEN] if task["input"] == "picture" else []
    for one in task["parameters"]:
        if one["kind"] in (*VALUES, "picture"):
            found.append(one)
        if one["kind"] == "choice" and one["accepts_picture"]:
            found.append({**FILE_INSTEAD, "name": f"{one['name']}_file", "instead": one["name"]})
    return found


def needed(task: Task, kind: str) -> list[Parameter]:
    """The parameters of a kind that must be given."""
    return [one for one in task["parameters"] if one["kind"] == kind and not one["optional"]]


def spare(task: Task, kind: str) -> list[Parameter]:
    """The parameters of a kind that may be given."""
    return [one for one in task["parameters"] if one["kind"] == kind and one["optional"]]


def seed(task: Task) -> str:
    """The parameter by which results differ; "" where there is none."""
    return next((one["name"] for one in task["parameters"] if one["kind"] == "seed"), "")


def start(parameter: Parameter) -> float:
    """Where a number starts that has no default: in the middle of its range, as ratios go."""
    low, high = parameter["minimum"], parameter["maximum"]
    return math.sqrt(low * high) if low and high else low or 0.0


def title(task: Task, values: Mapping[str, Any], shape: Mapping[str, Any] | None) -> str:
    """What a result is called: what was chosen first, or its category, or the task."""
    for one in task["parameters"]:
        if one["kind"] == "choice" and not one["advanced"]:
            for choice in one["choices"]:
                if choice["value"] == values.get(one["name"]):
                    return str(choice["label"])
    category = (shape or {}).get("category")
    return str(category).capitalize() if category else str(task["label"])


def scaled(shape: Mapping[str, Any], factors: Sequence[float]) -> dict[str, Any]:
    """What a shape was made from, for the shape at another size (x, y up, z)."""
    size = [side * factor for side, factor in zip(shape["size"], factors, strict=True)]
    return {**shape, "size": size}
