# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user prefers: threads, provider, models, provenance."""

import os
from pathlib import Path
from typing import Any

import bpy

from .words import _

PROVIDERS = (
    ("auto", _("Automatic"), _("The fastest that works")),
    ("cpu", "CPU", ""),
    ("cuda", "CUDA", ""),
    ("directml", "DirectML", ""),
    ("coreml", "Core ML", ""),
)  # of the core's engine


class TRIPTYCH_PG_folder(bpy.types.PropertyGroup):
    """A folder with models."""

    path: bpy.props.StringProperty(name=_("Folder"), subtype="DIR_PATH")


class TRIPTYCH_AP_preferences(bpy.types.AddonPreferences):
    """The preferences of the extension."""

    bl_idname = __package__

    threads: bpy.props.IntProperty(
        name=_("Threads"),
        description=_("Of the processor that are used; 0 is one for each core"),
        min=0,
        max=1024,
    )
    provider: bpy.props.EnumProperty(
        name=_("Runs on"), description=_("What the networks run on"), items=PROVIDERS
    )
    provenance: bpy.props.BoolProperty(
        name=_("Provenance"),
        description=_("Keep with each object which model, parameters and seed made it"),
        default=True,
    )
    folders: bpy.props.CollectionProperty(type=TRIPTYCH_PG_folder)

    def draw(self, context: bpy.types.Context) -> None:
        """The preferences' controls."""
        layout = self.layout
        layout.use_property_split = True
        for name in ("threads", "provider", "provenance"):
            layout.prop(self, name)
        layout.label(text=_("Folders with more models"))
        for number, one in enumerate(self.folders):
            row = layout.row(align=True)
            row.prop(one, "path", text="")
            row.operator(TRIPTYCH_OT_folder.bl_idname, text="", icon="REMOVE").number = number
        layout.operator(TRIPTYCH_OT_folder.bl_idname, text=_("Add"), icon="ADD").number = -1


class TRIPTYCH_OT_folder(bpy.types.Operator):
    """Changes the list of folders with models."""

    bl_idname = "triptych.folder"
    bl_label = _("Folder with models")
    bl_description = _("Add a folder with models, or take it out")
    bl_options = {"INTERNAL"}

    number: bpy.props.IntProperty(default=-1)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Change the list."""
        folders = current().folders
        if self.number < 0:
            folders.add()
        else:
            folders.remove(self.number)
        return {"FINISHED"}


def current() -> Any:
    """The preferences as they are."""
    return bpy.context.preferences.addons[__package__].preferences


def folder() -> Path:
    """The only folder that is written to."""
    return Path(bpy.utils.extension_path_user(__package__, path="", create=True))


def environment() -> dict[str, str]:
    """What the preferences mean for a worker."""
    chosen = current()
    told = {"TRIPTYCH_PROVENANCE": "on" if chosen.provenance else "off"}
    if chosen.threads:
        told["TRIPTYCH_THREADS"] = str(chosen.threads)
    if chosen.provider != "auto":
        told["TRIPTYCH_PROVIDER"] = chosen.provider
    paths = [bpy.path.abspath(one.path) for one in chosen.folders if one.path]
    if paths:
        told["TRIPTYCH_BUNDLES"] = os.pathsep.join(paths)
    return told


CLASSES = (TRIPTYCH_PG_folder, TRIPTYCH_OT_folder, TRIPTYCH_AP_preferences)
