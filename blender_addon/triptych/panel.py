# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar's page, and Add > Mesh > Triptych; drawn from the tasks' declarations."""

from typing import Any

import bpy

from . import candidates, declared, operators, runs, solids
from .properties import USE, asked
from .words import _, say

_THUMBNAIL = 5.0  # of the interface's unit


def _parameters(layout: bpy.types.UILayout, task: declared.Task, owner: Any) -> None:
    """The controls of a task, those for experts below."""
    shown = [one for one in declared.properties(task) if _matters(one)]
    for one in shown:
        if not one["advanced"]:
            _control(layout, one, owner)
    expert = [one for one in shown if one["advanced"]]
    if expert:
        header, body = layout.panel(f"triptych_{task['name']}_expert", default_closed=True)
        header.label(text=_("More"))
        if body is not None:
            for one in expert:
                _control(body, one, owner)


def _matters(one: declared.Parameter) -> bool:
    return one["kind"] != "choice" or len(one["choices"]) > 1


def _control(layout: bpy.types.UILayout, one: declared.Parameter, owner: Any) -> None:
    name = one["name"]
    if not asked(one):
        layout.prop(owner, name)
        return
    row = layout.row(heading=one["label"])
    row.prop(owner, USE + name, text="")
    value = row.row()
    value.enabled = getattr(owner, USE + name)
    value.prop(owner, name, text="")


class Sidebar:
    """Where the panels are."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Triptych"


class TRIPTYCH_PT_make(Sidebar, bpy.types.Panel):
    """Makes new things."""

    bl_idname = "TRIPTYCH_PT_make"
    bl_label = _("Make")

    def draw(self, context: bpy.types.Context) -> None:
        """The task, its parameters and its candidates."""
        layout = self.layout
        if not operators.tasks:
            layout.label(text=_("No model is installed."))
            return
        settings = context.scene.triptych
        task = operators.tasks[settings.page]
        layout.prop(settings, "page", text="")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        _parameters(column, task, getattr(settings, task["name"]))
        if runs.current is not None:
            row = layout.row(align=True)
            row.progress(factor=runs.current.fraction, text=_("At work"))
            row.operator(operators.TRIPTYCH_OT_cancel.bl_idname, text="", icon="X")
        else:
            self._buttons(layout, task, settings)
        if candidates.shown:
            self._candidates(layout)

    def _buttons(self, layout: bpy.types.UILayout, task: declared.Task, settings: Any) -> None:
        name = f"triptych.{task['name']}"
        row = layout.row(align=True)
        row.operator(name, text=_("Make one")).from_panel = True
        if task["input"] == "mesh":
            one = row.operator(name, text=_("In place"))
            one.from_panel = one.in_place = True
        row = layout.row(align=True)
        made = row.operator(operators.TRIPTYCH_OT_candidates.bl_idname, text=_("Candidates"))
        made.task = task["name"]
        if declared.seed(task):
            row.prop(settings, "count", text="")
            other = row.operator(
                operators.TRIPTYCH_OT_candidates.bl_idname, text="", icon="FILE_REFRESH"
            )
            other.task, other.more = task["name"], True

    def _candidates(self, layout: bpy.types.UILayout) -> None:
        grid = layout.grid_flow(columns=2, even_columns=True, even_rows=True, align=False)
        for number, one in enumerate(candidates.shown):
            box = grid.column(align=True).box().column(align=True)
            box.template_icon(icon_value=one.icon, scale=_THUMBNAIL)
            row = box.row(align=True)
            place = operators.TRIPTYCH_OT_place.bl_idname
            row.operator(place, text=_("Place")).number = number
            for mark, icon in ((1, "HEART"), (-1, "X")):
                pressed = one.mark == mark
                like = row.operator(
                    operators.TRIPTYCH_OT_like.bl_idname, text="", icon=icon, depress=pressed
                )
                like.number, like.mark = number, mark
        row = layout.row(align=True)
        for task in operators.tasks.values():
            if declared.needed(task, "meshes"):
                more = row.operator(
                    operators.TRIPTYCH_OT_candidates.bl_idname, text=task["label"], icon="HEART"
                )
                more.task = task["name"]
        row.operator(operators.TRIPTYCH_OT_discard.bl_idname, text="", icon="TRASH")


class TRIPTYCH_PT_object(Sidebar, bpy.types.Panel):
    """Changes what was made."""

    bl_idname = "TRIPTYCH_PT_object"
    bl_label = _("This object")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether the active object was made here."""
        thing = context.active_object
        return thing is not None and solids.MADE in thing

    def draw(self, context: bpy.types.Context) -> None:
        """Its parameters, and what can be done with it."""
        thing = context.active_object
        task = operators.tasks.get(thing[solids.MADE].get("task"))
        layout = self.layout
        if task is None:
            layout.label(
                text=say(_("The model that made {name} is not installed."), name=thing.name)
            )
            return
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        _parameters(column, task, getattr(thing.triptych, task["name"]))
        if any(abs(part - 1) > 1e-4 for part in thing.matrix_world.to_scale()):
            layout.label(text=_("Sizes are those before the object's scale."), icon="INFO")
        column = layout.column(align=True)
        column.enabled = runs.current is None
        column.operator(operators.TRIPTYCH_OT_adjust.bl_idname, icon="FILE_REFRESH")
        column.operator(operators.TRIPTYCH_OT_mark_asset.bl_idname, icon="ASSET_MANAGER")


class TRIPTYCH_MT_add(bpy.types.Menu):
    """The entries of Add > Mesh > Triptych."""

    bl_idname = "TRIPTYCH_MT_add"
    bl_label = "Triptych"

    def draw(self, context: bpy.types.Context) -> None:
        """What each task makes that needs nothing to start from."""
        for task in operators.tasks.values():
            needs = [*declared.needed(task, "mesh"), *declared.needed(task, "meshes")]
            if task["input"] != "none" or needs or declared.needed(task, "picture"):
                continue
            name = f"triptych.{task['name']}"
            chosen = [one for one in task["parameters"] if one["kind"] == "choice"]
            if not chosen or chosen[0]["advanced"]:
                self.layout.operator(name)
                continue
            for choice in chosen[0]["choices"]:
                one = self.layout.operator(name, text=choice["label"])
                setattr(one, chosen[0]["name"], choice["value"])


def add_menu(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    """The entry in Add > Mesh."""
    menu.layout.menu(TRIPTYCH_MT_add.bl_idname, icon="MOD_REMESH")


CLASSES = (TRIPTYCH_PT_make, TRIPTYCH_PT_object, TRIPTYCH_MT_add)
