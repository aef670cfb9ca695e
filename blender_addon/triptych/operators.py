# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user can do: an operator for each task, and those that choose, adjust and keep."""

from typing import Any

import bpy

from . import candidates, client, declared, properties, runs, solids
from .engine import Made, Order
from .words import _, say

ASSET_SIDE = 256  # pixels of an asset's preview
tasks: dict[str, declared.Task] = {}  # by name; filled when the extension is enabled


# ------------------------------------------------------------------------------------------- orders


def ordered(context: bpy.types.Context, task: declared.Task, owner: Any, scale: bool) -> Order:
    """What is wanted of a task with the properties of `owner` and what is selected.

    `scale` says whether the selected objects' scale counts. Raises WorkerError where something is
    missing.
    """
    active = context.active_object
    chosen = [one for one in context.selected_objects if one != active]
    if active is not None and active.select_get():
        chosen.insert(0, active)
    order = _order(context, task, owner)
    try:
        if task["input"] == "mesh":
            order.mesh = _taken(context, order, chosen, _("Select a mesh first."), scale)
        for one in declared.needed(task, "mesh"):
            text = _("Select two meshes: the active one comes first.")
            order.values[one["name"]] = _taken(context, order, chosen, text, scale)
        for one in declared.needed(task, "meshes"):
            found = candidates.liked(1)
            text = _("Mark a candidate as liked, or select a mesh.")
            while chosen and not candidates.liked(1):
                found.append(_taken(context, order, chosen, text, scale))
            if not found:
                raise client.WorkerError(say(text))
            order.values[one["name"]] = found
        for one in declared.spare(task, "meshes"):
            order.values[one["name"]] = candidates.liked(-1)
    except BaseException:
        for pixels in order.shared:
            pixels.close()
        raise
    return order


def again(
    context: bpy.types.Context, thing: bpy.types.Object, told: dict[str, Any] | None = None
) -> Order:
    """What an object was made by, with the values `told` or else those of its properties."""
    made = solids.made_from(thing)
    if made is None:
        raise client.WorkerError(say(_("{name} was not made by Triptych."), name=thing.name))
    task = tasks.get(made["task"])
    if task is None:
        raise client.WorkerError(
            say(_("The model that made {name} is not installed."), name=thing.name)
        )
    order = _order(context, task, getattr(thing.triptych, task["name"]), told)
    inputs = dict(made["inputs"])
    order.mesh = order.mesh or inputs.pop("mesh", None)
    order.values |= inputs
    wanted = [one["name"] for kind in ("mesh", "meshes") for one in declared.needed(task, kind)]
    if (task["input"] == "mesh" and order.mesh is None) or not set(wanted) <= set(inputs):
        raise client.WorkerError(
            say(_("{name} was made from a mesh that is not kept: make it anew."), name=thing.name)
        )
    return order


def _order(
    context: bpy.types.Context,
    task: declared.Task,
    owner: Any,
    told: dict[str, Any] | None = None,
) -> Order:
    """An order with the values that are properties; pictures are read."""
    if told is None:
        told = properties.values(task, owner, solids.metres(context.scene))
    order = Order(task["name"], dict(told), told=told, output=task["output"])
    for one in declared.properties(task):
        if one["kind"] != "picture":
            continue
        path = order.values.pop(one["name"], None)
        if path is None:
            if not one["optional"]:
                raise client.WorkerError(say(_("Choose a picture first.")))
            continue
        pixels = solids.picture(path)
        order.shared.append(pixels)
        if one is declared.GIVEN:
            order.mesh = pixels
        else:
            order.values[one.get("instead", one["name"])] = pixels
    return order


def _taken(
    context: bpy.types.Context,
    order: Order,
    chosen: list[bpy.types.Object],
    otherwise: str,
    scale: bool,
) -> Any:
    """The next of the chosen objects as a mesh; WorkerError with a text if there is none."""
    if not chosen:
        raise client.WorkerError(say(otherwise))
    mesh, shared = solids.source(context, chosen.pop(0), scale)
    order.shared += shared
    return mesh


def _settings(context: bpy.types.Context, task: declared.Task) -> Any:
    return getattr(context.scene.triptych, task["name"])


def _keep_settings(context: bpy.types.Context, thing: bpy.types.Object, order: Order) -> None:
    """Set an object's properties to what it was made with, so that it can be adjusted."""
    task = tasks[order.task]
    owner = getattr(thing.triptych, task["name"])
    properties.fill(task, owner, order.told, solids.metres(context.scene))


def _refuse_to_add(context: bpy.types.Context, task: declared.Task) -> None:
    if task["output"] == "material":
        solids.refuse_to_cover(context)
    else:
        solids.refuse_to_add(context)


def _add(context: bpy.types.Context, made: Made) -> None:
    name = bpy.app.translations.pgettext_data(_title(made))
    if made.order.output == "material":
        solids.cover(context, made, name)
    else:
        _keep_settings(context, solids.add(context, made, name), made.order)


def _title(made: Made) -> str:
    shape = made.content.shape if made.order.output == "mesh" else None
    return declared.title(tasks[made.order.task], made.order.told, shape)


# ---------------------------------------------------------------------------------------- operators


class Make(runs.Work):
    """The operator of a task: a new object, or another mesh for the active one."""

    task: declared.Task
    in_place = False
    from_panel = False
    _name = ""

    def orders(self, context: bpy.types.Context) -> list[Order]:
        """One, with this operator's properties or the panel's."""
        if self.in_place:
            solids.refuse_to_change(context.active_object)
            self._name = context.active_object.name
        else:
            _refuse_to_add(context, self.task)
        owner = _settings(context, self.task) if self.from_panel else self.properties
        return [ordered(context, self.task, owner, scale=not self.in_place)]

    def apply(self, context: bpy.types.Context, made: list[Made]) -> None:
        """Into the scene."""
        if self.in_place:
            _renew(context, self._name, made[0])
        else:
            _refuse_to_add(context, self.task)
            _add(context, made[0])


def _renew(context: bpy.types.Context, name: str, made: Made) -> None:
    thing = bpy.data.objects.get(name)  # the user may have worked on, or undone its making
    solids.refuse_to_change(thing)
    solids.renew(context, thing, made)
    _keep_settings(context, thing, made.order)


def operator(task: declared.Task) -> type:
    """The operator of a task, with its parameters as properties."""
    hidden = {"options": {"HIDDEN", "SKIP_SAVE"}, "default": False}
    fields = properties.annotations(task)
    fields["from_panel"] = bpy.props.BoolProperty(**hidden)
    if task["input"] == "mesh":
        fields["in_place"] = bpy.props.BoolProperty(
            name=_("In place"), description=_("Give the active object another mesh"), default=False
        )
    return type(
        f"TRIPTYCH_OT_{task['name']}",
        (Make, bpy.types.Operator),
        {
            "__annotations__": fields,
            "__doc__": task["help"],
            "bl_idname": f"triptych.{task['name']}",
            "bl_label": task["label"],
            "bl_options": {"UNDO"},
            "task": task,
        },
    )


class TRIPTYCH_OT_candidates(runs.Work, bpy.types.Operator):
    """Make several results to choose from."""

    bl_idname = "triptych.candidates"
    bl_label = _("Candidates")
    bl_description = _("Make several results to choose from")
    bl_options = {"REGISTER"}

    task: bpy.props.StringProperty(name=_("Task"))
    more: bpy.props.BoolProperty(
        name=_("Others"), description=_("Go on to the next seeds"), options={"SKIP_SAVE"}
    )

    def orders(self, context: bpy.types.Context) -> list[Order]:
        """One for each seed."""
        task = tasks.get(self.task or context.scene.triptych.page)
        if task is None:
            raise client.WorkerError(say(_("There is no task {name!r}."), name=self.task))
        count, seed = context.scene.triptych.count, declared.seed(task)
        owner = _settings(context, task)
        if self.more and seed:
            setattr(owner, seed, getattr(owner, seed) + count)
        first = ordered(context, task, owner, scale=True)
        first.preview = candidates.SIDE
        made = [first]
        for number in range(1, count if seed else 1):
            next_ = {seed: first.values[seed] + number}
            made.append(
                Order(
                    first.task,
                    {**first.values, **next_},
                    first.mesh,
                    first.preview,
                    first.output,
                    told={**first.told, **next_},
                )
            )
        return made

    def apply(self, context: bpy.types.Context, made: list[Made]) -> None:
        """Into the panel."""
        candidates.show(made, [_title(one) for one in made])
        made.clear()


class TRIPTYCH_OT_place(bpy.types.Operator):
    """Put this candidate at the 3D cursor."""

    bl_idname = "triptych.place"
    bl_label = _("Place")
    bl_description = _("Put this candidate at the 3D cursor")
    bl_options = {"UNDO"}

    number: bpy.props.IntProperty(name=_("Number"), min=0)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add it."""
        try:
            if self.number >= len(candidates.shown):
                raise client.WorkerError(say(_("There is no such candidate: make some first.")))
            made = candidates.shown[self.number].made
            _refuse_to_add(context, tasks[made.order.task])
            _add(context, made)
        except client.WorkerError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class TRIPTYCH_OT_like(bpy.types.Operator):
    """Mark this candidate: more like it, or nothing like it."""

    bl_idname = "triptych.like"
    bl_label = _("Like")
    bl_description = _("Mark this candidate: more like it, or nothing like it")
    bl_options = {"INTERNAL"}

    number: bpy.props.IntProperty(min=0)
    mark: bpy.props.IntProperty(min=-1, max=1, default=1)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set the mark, or take it back."""
        if self.number >= len(candidates.shown):
            return {"CANCELLED"}
        one = candidates.shown[self.number]
        one.mark = 0 if one.mark == self.mark else self.mark
        runs.redraw(context)
        return {"FINISHED"}


class TRIPTYCH_OT_discard(bpy.types.Operator):
    """Show no candidates any more."""

    bl_idname = "triptych.discard"
    bl_label = _("Discard")
    bl_description = _("Show no candidates any more")
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget them."""
        candidates.clear()
        runs.redraw(context)
        return {"FINISHED"}


class TRIPTYCH_OT_adjust(runs.Work, bpy.types.Operator):
    """Regenerates in place: transform, modifiers, parents and materials stay."""

    bl_idname = "triptych.adjust"
    bl_label = _("Adjust")
    bl_description = _(
        "Make the active object's mesh anew, with its parameters as they are now; all else stays"
    )
    bl_options = {"UNDO"}

    _name = ""

    def orders(self, context: bpy.types.Context) -> list[Order]:
        """What it was made by."""
        thing = context.active_object
        solids.refuse_to_change(thing)
        self._name = thing.name
        return [again(context, thing)]

    def apply(self, context: bpy.types.Context, made: list[Made]) -> None:
        """Into the object, wherever it is now."""
        _renew(context, self._name, made[0])


class TRIPTYCH_OT_mark_asset(runs.Work, bpy.types.Operator):
    """Mark the active object as an asset, with a preview and tags."""

    bl_idname = "triptych.mark_asset"
    bl_label = _("Mark as asset")
    bl_description = _("Mark the active object as an asset, with a preview and tags")
    bl_options = {"UNDO"}

    _name = ""

    def orders(self, context: bpy.types.Context) -> list[Order]:
        """What it was made by, for its picture."""
        thing = context.active_object
        if thing is None or not thing.is_editable:
            raise client.WorkerError(say(_("Select a mesh first.")))
        self._name = thing.name
        order = again(context, thing, (solids.made_from(thing) or {}).get("values"))
        order.preview = ASSET_SIDE
        return [order]

    def apply(self, context: bpy.types.Context, made: list[Made]) -> None:
        """Mark it."""
        thing = bpy.data.objects.get(self._name)
        if thing is None:
            raise client.WorkerError(say(_("{name} is not there any more."), name=self._name))
        thing.asset_mark()
        candidates.draw(thing.preview_ensure(), made[0])
        shape = made[0].content.shape or {}
        for tag in filter(None, ("Triptych", shape.get("category"))):
            thing.asset_data.tags.new(tag, skip_if_exists=True)


class TRIPTYCH_OT_cancel(bpy.types.Operator):
    """End what Triptych is at."""

    bl_idname = "triptych.cancel"
    bl_label = _("Cancel")
    bl_description = _("End what Triptych is at")
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask for the end."""
        if runs.current is not None:
            runs.current.cancel()
        return {"FINISHED"}


CLASSES = (
    TRIPTYCH_OT_candidates,
    TRIPTYCH_OT_place,
    TRIPTYCH_OT_like,
    TRIPTYCH_OT_discard,
    TRIPTYCH_OT_adjust,
    TRIPTYCH_OT_mark_asset,
    TRIPTYCH_OT_cancel,
)
