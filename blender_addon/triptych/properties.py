# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's properties for the parameters of tasks, and back."""

from collections.abc import Mapping
from typing import Any

import bpy

from . import declared
from .words import _

SETTINGS = "TRIPTYCH_PG_settings"
USE = "use_"  # before the name of an optional parameter: whether it is given


def annotations(task: declared.Task) -> dict[str, Any]:
    """A property for each parameter that is one here; two for an optional one."""
    made = {}
    for one in declared.properties(task):
        if asked(one):
            text = {"name": one["label"], "description": one["help"]}
            made[USE + one["name"]] = bpy.props.BoolProperty(**text, default=False)
        made[one["name"]] = _property(one)
    return made


def asked(parameter: declared.Parameter) -> bool:
    """Whether it is a number or a choice that may be left out."""
    return (
        parameter["optional"]
        and parameter["default"] is None
        and parameter["kind"] in ("float", "int", "choice")
    )


def _property(one: declared.Parameter) -> Any:
    kind, default = one["kind"], one["default"]
    told: dict[str, Any] = {"name": one["label"], "description": one["help"]}
    low, high = one["minimum"], one["maximum"]
    if kind in ("float", "int", "seed"):
        told["default"] = declared.start(one) if default is None else default
        told |= {"soft_min": low, "soft_max": high}
        if one["unit"] == "m":
            told["unit"] = "LENGTH"  # in the scene's units, so that the core alone has limits
        else:
            told |= {"min": low, "max": high}
    told = {key: value for key, value in told.items() if value is not None}
    if kind == "float":
        return bpy.props.FloatProperty(**told, step=100 * (one["step"] or 0.01))
    if kind in ("int", "seed"):
        whole = {key: round(v) if isinstance(v, float) else v for key, v in told.items()}
        return bpy.props.IntProperty(**whole, step=round(one["step"] or 1))
    if kind == "bool":
        return bpy.props.BoolProperty(**told, default=bool(default))
    if kind == "text":
        return bpy.props.StringProperty(**told, default=default or "", maxlen=int(high or 0))
    if kind == "picture":
        return bpy.props.StringProperty(**told, subtype="FILE_PATH")
    items = [(item["value"], item["label"], item["help"]) for item in one["choices"]]
    known = [item[0] for item in items]
    chosen = default if default in known else next(iter(known), None)
    return bpy.props.EnumProperty(**told, items=items, default=chosen)


def given(owner: Any, one: declared.Parameter) -> bool:
    """Whether an optional parameter has a value: as its box says, or because a script set it."""
    if not asked(one):
        return True
    if owner.is_property_set(USE + one["name"]):
        return bool(getattr(owner, USE + one["name"]))
    return bool(owner.is_property_set(one["name"]))


def values(task: declared.Task, owner: Any, metres: float) -> dict[str, Any]:
    """The parameters' values as the core takes them; `metres` is the length of a scene's unit.

    Pictures are names of files.
    """
    found = {}
    for one in declared.properties(task):
        value = getattr(owner, one["name"])
        if not given(owner, one) or (one["kind"] == "picture" and not value):
            continue
        if one["kind"] == "picture":
            value = bpy.path.abspath(value)
        # Blender keeps 32 bits: what was written as 0.3 is to be 0.3 again.
        elif one["kind"] == "float":
            value = float(f"{value:.7g}")
            value = float(f"{value * metres:.7g}") if one["unit"] == "m" else value
        found[one["name"]] = value
    return found


def fill(task: declared.Task, owner: Any, told: Mapping[str, Any], metres: float) -> None:
    """Set the properties to values of the core."""
    for one in declared.properties(task):
        name = one["name"]
        if asked(one):
            setattr(owner, USE + name, name in told)
        if name in told:
            value = told[name]
            setattr(owner, name, value / metres if one["unit"] == "m" else value)


def groups(tasks: list[declared.Task]) -> list[type]:
    """A group of properties for each task, and last the group that holds them all."""
    made: list[type] = []
    held: dict[str, Any] = {
        "page": bpy.props.EnumProperty(
            name=_("Task"), items=[(one["name"], one["label"], one["help"]) for one in tasks]
        ),
        "count": bpy.props.IntProperty(
            name=_("Count"), description=_("So many candidates"), default=4, min=1, max=16
        ),
    }
    for task in tasks:
        name = f"TRIPTYCH_PG_{task['name']}"
        group = type(name, (bpy.types.PropertyGroup,), {"__annotations__": annotations(task)})
        made.append(group)
        held[task["name"]] = bpy.props.PointerProperty(type=group)
    return [*made, type(SETTINGS, (bpy.types.PropertyGroup,), {"__annotations__": held})]
