#!/usr/bin/env python3
"""Triptych's picture tasks as GIMP filters (GIMP 3.0 and later).

Nothing is declared here: every procedure, argument and control comes from the core's tasks, whose
descriptions the installer (`triptych install gimp`) and each worker write into `tasks.json`. GIMP's
Python has no packages, so this file needs `gi` and the client beside it alone; the work is done by
a worker in the interpreter that `worker.json` names.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib, GObject  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import client  # noqa: E402
from client import translated  # noqa: E402

_ = translated  # by this name for what stands here, so that the catalogue finds it
client.speak(HERE / "locale", GLib.get_language_names())

POLL = 0.05  # seconds
MNEMONICS = set("abcdefghijklmnopqrstuvwxyz")
RESULTS = (
    ("new-layer", _("New layer above"), _("Keep the layer and put the result above it")),
    (
        "masked-layer",
        _("New layer with a mask"),
        _("The whole result above, the selection as its mask"),
    ),
    ("replace", _("Replace the layer"), _("Paint into the layer itself")),
)


def described() -> list[dict[str, Any]]:
    """The tasks that make a picture of a picture, as they were when last asked for."""
    try:
        return filters(json.loads((HERE / "tasks.json").read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return []


def filters(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of these tasks that make a picture of a picture."""
    return [task for task in tasks if task["input"] == task["output"] == "picture"]


def resizes(task: dict[str, Any]) -> bool:
    """Whether the result has another size than the layer."""
    return bool(task["factor"] or task["origin"])


def shown(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters that make sense in GIMP, whose selection is the mask."""
    hidden = {one["name"] for one in task["parameters"] if one["kind"] == "mask"}
    for parameter in task["parameters"]:
        if parameter["name"] not in hidden and parameter["needs"] not in hidden:
            yield parameter


def nick(label: str, used: set[str]) -> str:
    """A label with a mnemonic that is still free; behind it where its script has no such letters,
    as GTK's programs do it."""
    for place, letter in enumerate(label):
        if letter.lower() in MNEMONICS - used:
            used.add(letter.lower())
            return f"{label[:place]}_{label[place:]}"
    free = sorted(MNEMONICS - used)
    if label.isascii() or not free:
        return label
    used.add(free[0])
    return f"{label}(_{free[0].upper()})"


# ----------------------------------------------------------------------------------- declarations


def declare(procedure: Gimp.Procedure, task: dict[str, Any]) -> None:
    """Give the procedure the arguments of the task's parameters."""
    flags, used = GObject.ParamFlags.READWRITE, set("rlshco")  # which the buttons have
    for one in shown(task):
        name, kind, text = one["name"].replace("_", "-"), one["kind"], translated(one["help"])
        label = nick(translated(one["label"]), used)
        low, high, value = one["minimum"], one["maximum"], one["default"]
        if one["unit"]:
            text = f"{text} ({translated(one['unit'])})"
        if kind == "float":
            procedure.add_double_argument(name, label, text, low, high, value, flags)
        elif kind in ("int", "seed"):
            procedure.add_int_argument(name, label, text, int(low), int(high), value, flags)
        elif kind == "bool":
            procedure.add_boolean_argument(name, label, text, value, flags)
        elif kind == "text":
            procedure.add_string_argument(name, label, text, value, flags)
        elif kind == "choice":
            procedure.add_choice_argument(name, label, text, choice(one), value, flags)
            if one["accepts_picture"]:
                pictures(procedure, name, used)
        elif kind == "blend":
            choices = choice(one, none=True)
            procedure.add_choice_argument(name, label, text, choices, "none", flags)
            label = nick(_("Weight"), used)
            procedure.add_double_argument(
                f"{name}-weight", label, _("How much of it there is"), 0.0, 1.0, 0.5, flags
            )
        elif kind == "picture":
            pictures(procedure, name, used)
    if task["factor"]:
        text = _("The image that is made")
        procedure.add_image_return_value("new-image", _("New image"), text, False, flags)
    if resizes(task):
        return  # where that goes is no choice
    results = Gimp.Choice.new()
    for number, (value, label, text) in enumerate(RESULTS):
        results.add(value, number, label, text)
    label, text = nick(_("Result"), used), _("Where the result goes")
    procedure.add_choice_argument("result", label, text, results, RESULTS[0][0], flags)


def choice(one: dict[str, Any], none: bool = False) -> Gimp.Choice:
    """The values of a choice, with their titles."""
    made = Gimp.Choice.new()
    if none:
        made.add("none", 0, _("None"), "")
    for number, option in enumerate(one["choices"], 1):
        made.add(option["value"], number, translated(option["label"]), translated(option["help"]))
    return made


def pictures(procedure: Gimp.Procedure, name: str, used: set[str]) -> None:
    """The arguments by which a picture can be given instead: a layer, or a file."""
    flags = GObject.ParamFlags.READWRITE
    procedure.add_drawable_argument(
        f"{name}-layer",
        nick(_("Or this layer"), used),
        _("A layer as picture, instead of a file or what is chosen"),
        True,
        flags,
    )
    text = (
        f"{name}-file",
        nick(_("Or this file"), used),
        _("A picture file, instead of what is chosen"),
    )
    try:
        action = Gimp.FileChooserAction.OPEN
        procedure.add_file_argument(*text, action, True, None, flags)
    except (AttributeError, TypeError):  # before these arguments existed
        procedure.add_file_argument(*text, flags)


def values_of(task: dict[str, Any], config: Any, opened: list[client.Pixels]) -> dict[str, Any]:
    """The parameters' values as the worker takes them; pixels of layers are added to `opened`."""
    values: dict[str, Any] = {}
    for one in shown(task):
        name, kind = one["name"].replace("_", "-"), one["kind"]
        if kind == "picture" or (one["accepts_picture"] and kind == "choice"):
            layer, file = config.get_property(f"{name}-layer"), config.get_property(f"{name}-file")
            if layer is not None:
                opened.append(read(layer, alpha=False))
                values[one["name"]] = opened[-1]
                continue
            if file is not None and file.get_path():
                values[one["name"]] = file.get_path()
                continue
            if kind == "picture":
                continue
        value = config.get_property(name)
        if kind == "blend":
            if value != "none" and config.get_property(f"{name}-weight") > 0:
                values[one["name"]] = [(value, config.get_property(f"{name}-weight"))]
        else:
            values[one["name"]] = value
    return values


def filled(task: dict[str, Any]) -> str:
    """The parameter that takes the selection: a mask that the task cannot do without. The task is
    shown the whole layer then, to go by what is around."""
    masks = (one for one in task["parameters"] if one["kind"] == "mask" and not one["optional"])
    return next((one["name"] for one in masks), "")


# ------------------------------------------------------------------------------------------ runs


def settings() -> dict[str, Any]:
    """What the installer wrote down: how a worker is started, and where pixels can be shared."""
    try:
        written = json.loads((HERE / "worker.json").read_text("utf-8"))
        return {key: written[key] for key in ("command", "environment", "folder")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise client.WorkerError(
            _("Triptych is not set up for GIMP: run `triptych install gimp`.")
        ) from error


def start() -> client.Worker:
    """A worker, as the installer wrote down. The descriptions are kept if they are news."""
    worker = client.Worker(**settings())
    if filters(worker.tasks) != described():
        temporary = HERE / f"tasks.{os.getpid()}"
        try:
            temporary.write_text(json.dumps(worker.tasks), "utf-8")
            temporary.replace(HERE / "tasks.json")
            os.utime(__file__)  # GIMP asks anew at its next start
        except OSError:  # installed for all users: the installer keeps them
            temporary.unlink(missing_ok=True)
    return worker


def paint(
    worker: client.Worker,
    task: dict[str, Any],
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Any,
) -> None:
    """Do the task on each drawable, in one undo step; nothing is changed until its result is there.

    Raises WorkerError, RunCancelled.
    """
    import results
    from gi.repository import Gegl

    how = config.get_property("result")
    if how == "replace":
        for drawable in drawables:
            results.refuse_to_replace(drawable)
    opened: list[client.Pixels] = []
    made_of: list[tuple[Gimp.Drawable, Any, client.Pixels]] = []
    record = None
    try:
        values = values_of(task, config, opened)
        for number, drawable in enumerate(drawables):
            found, x, y, width, height = drawable.mask_intersect()
            if not found:
                raise client.WorkerError(
                    _("The selection lies outside of the layer: select a part of it.")
                )
            area = Gegl.Rectangle.new(x, y, width, height)
            if filled(task):
                area = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
                selection = read_selection(drawable, area)
                if selection is None:
                    raise client.WorkerError(_("Select what is to be filled first."))
                opened.append(selection)
                values[filled(task)] = selection
            given = read(drawable, area)
            opened.append(given)
            run = worker.run(task["name"], values, given)
            made = awaited(run, number, len(drawables))
            if how == "replace" and made.data == given.data:
                made.close()  # converting it back would round
            else:
                made_of.append((drawable, area, made))
                record = run.record
            given.close()
        if not made_of:
            return
        name = layer_name(task, config)
        Gimp.progress_end()  # from here on it cannot be cancelled, which would leave half a layer
        image.undo_group_start()
        try:
            for drawable, area, made in made_of:
                results.place_result(image, drawable, area, made, how, name)
            if record is not None:
                results.describe_origin(image, record)
        finally:
            image.undo_group_end()
    finally:
        for pixels in (*opened, *(made for _, _, made in made_of)):
            pixels.close()
    Gimp.displays_flush()


def resize(
    worker: client.Worker,
    task: dict[str, Any],
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Any,
) -> Gimp.Image:
    """Do a task that changes the size, on one whole drawable, whatever is selected.

    Gives the new image of what was scaled; what was extended grows in its own image, in one undo
    step. Raises WorkerError, RunCancelled.
    """
    import results

    if len(drawables) != 1:
        raise client.WorkerError(_("This filter changes the size: choose one layer for it."))
    (drawable,) = drawables
    if task["origin"]:
        results.refuse_to_extend(drawable)
    opened: list[client.Pixels] = []
    try:
        values = values_of(task, config, opened)
        opened.append(read(drawable))
        run = worker.run(task["name"], values, opened[-1])
        made = awaited(run)
        opened.append(made)
        Gimp.progress_end()  # as in `paint`
        if task["factor"]:
            image = results.enlarged(image, drawable, made, run.record)
        else:
            place = [values[name] for name in task["origin"]]
            results.extend(image, drawable, made, *place, run.record)
    finally:
        for one in opened:
            one.close()
    Gimp.displays_flush()
    return image


def awaited(run: client.Run, number: int = 0, count: int = 1) -> client.Pixels:
    """The result of a run, one of several, once it is there; GIMP shows how far it is."""
    while not run.wait(POLL):
        Gimp.progress_update((number + run.fraction) / count)
    return run.result()


def read(drawable: Gimp.Drawable, area: Any = None, alpha: bool = True) -> client.Pixels:
    """A drawable, or a part of it, for the worker."""
    import pixels

    area = pixels.bounds(drawable) if area is None else area
    return pixels.read(drawable, area, settings()["folder"], alpha)


def read_selection(drawable: Gimp.Drawable, area: Any) -> client.Pixels | None:
    """How far a part of a drawable is selected, for the worker; None where nothing is."""
    import pixels

    return pixels.read_selection(drawable, area, settings()["folder"])


def layer_name(task: dict[str, Any], config: Any) -> str:
    """What the result is called: the title of its first choice, or the task."""
    for one in shown(task):
        if one["kind"] == "choice" and one["accepts_picture"]:
            name = one["name"].replace("_", "-")
            layer, file = config.get_property(f"{name}-layer"), config.get_property(f"{name}-file")
            if layer is not None:
                return str(layer.get_name())
            if file is not None:
                return str(file.get_basename())
            value = config.get_property(name)
            if value != "auto":  # the task's own choice
                labels = {o["value"]: translated(o["label"]) for o in one["choices"]}
                return labels.get(value, value)
    return translated(task["label"])


class Triptych(Gimp.PlugIn):
    """One procedure for each task."""

    def do_query_procedures(self) -> list[str]:
        """The procedures' names; this is asked at GIMP's start and starts no worker."""
        return [procedure_name(task) for task in described()]

    def do_set_i18n(self, _name: str) -> Any:
        """GIMP has nothing to translate: what it gets is in the user's language already."""
        return False

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """The procedure of a task, with its arguments and its place in the menu."""
        task = next(one for one in described() if procedure_name(one) == name)
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, task)
        procedure.set_image_types("*")
        mask = Gimp.ProcedureSensitivityMask.DRAWABLE
        if not resizes(task):
            mask |= Gimp.ProcedureSensitivityMask.DRAWABLES
        procedure.set_sensitivity_mask(mask)
        procedure.set_menu_label(nick(translated(task["label"]), set()) + "...")
        procedure.add_menu_path("<Image>/Filters/Triptych")
        procedure.set_documentation(translated(task["help"]), translated(task["help"]), name)
        procedure.set_attribution("The Triptych developers", "Apache-2.0", "2026")
        declare(procedure, task)
        return procedure

    def run(
        self,
        procedure: Gimp.Procedure,
        mode: Gimp.RunMode,
        image: Gimp.Image,
        drawables: list[Gimp.Drawable],
        config: Any,
        task: dict[str, Any],
    ) -> Any:
        """Do the task, after its dialog when GIMP asks for one."""
        gi.require_version("Gegl", "0.4")
        from gi.repository import Gegl

        Gegl.init(None)
        status = Gimp.PDBStatusType
        try:
            worker = None
            if mode == Gimp.RunMode.INTERACTIVE:
                from dialog import Dialog

                dialog = Dialog(procedure, config, task, drawables[0], sys.modules[__name__])
                wanted, worker = dialog.run(), dialog.worker
                if not wanted:
                    if worker is not None:
                        worker.close()
                    return procedure.new_return_values(status.CANCEL, GLib.Error())
            Gimp.progress_init(translated(task["label"]))
            with worker or start() as used:
                if resizes(task):
                    new = resize(used, task, image, drawables, config)
                else:
                    paint(used, task, image, drawables, config)
            if task["factor"]:
                if mode != Gimp.RunMode.NONINTERACTIVE:
                    Gimp.Display.new(new)
                done = GObject.Value(status, status.SUCCESS), GObject.Value(Gimp.Image, new)
                return Gimp.ValueArray.new_from_values(list(done))
        except client.RunCancelled:
            return procedure.new_return_values(status.CANCEL, GLib.Error())
        except client.WorkerError as error:
            problem = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), str(error), 0)
            return procedure.new_return_values(status.EXECUTION_ERROR, problem)
        return procedure.new_return_values(status.SUCCESS, GLib.Error())


def procedure_name(task: dict[str, Any]) -> str:
    """What the task is called in GIMP's procedure database."""
    return f"plug-in-triptych-{task['name'].replace('_', '-')}"


if __name__ == "__main__":
    Gimp.main(Triptych.__gtype__, sys.argv)
