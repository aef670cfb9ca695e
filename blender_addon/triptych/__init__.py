# SPDX-License-Identifier: GPL-3.0-or-later
"""Triptych's tasks that make meshes, in Blender 4.2 and later.

Nothing is declared here: operators, properties and panels come from the core's tasks, as
`tasks.json` describes them. Nothing heavy runs here either: the work is done by a worker, a process
of Blender's own Python with the packages and the models that this extension brings.
"""

import bpy

from . import candidates, declared, operators, panel, preferences, properties, runs, words

_made: list[type] = []  # the classes that depend on the tasks


def register() -> None:
    """Offer everything."""
    words.register()
    tasks = declared.read(preferences.folder())
    operators.tasks.update({task["name"]: task for task in tasks})
    _made.extend([*properties.groups(tasks), *map(operators.operator, tasks)])
    for one in (*preferences.CLASSES, *_made, *operators.CLASSES, *panel.CLASSES):
        bpy.utils.register_class(one)
    settings = next(one for one in _made if one.__name__ == properties.SETTINGS)
    for owner in (bpy.types.Scene, bpy.types.Object):
        owner.triptych = bpy.props.PointerProperty(type=settings)
    bpy.types.VIEW3D_MT_mesh_add.append(panel.add_menu)
    bpy.app.timers.register(runs.idle, first_interval=runs.REST, persistent=True)


def unregister() -> None:
    """Take everything back."""
    if bpy.app.timers.is_registered(runs.idle):
        bpy.app.timers.unregister(runs.idle)
    runs.engine.close()
    candidates.clear()
    bpy.types.VIEW3D_MT_mesh_add.remove(panel.add_menu)
    for owner in (bpy.types.Scene, bpy.types.Object):
        del owner.triptych
    for one in reversed((*preferences.CLASSES, *_made, *operators.CLASSES, *panel.CLASSES)):
        bpy.utils.unregister_class(one)
    _made.clear()
    operators.tasks.clear()
    words.unregister()
