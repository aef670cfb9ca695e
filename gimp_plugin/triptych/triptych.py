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
from xml.etree import ElementTree

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib, GObject  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import client  # noqa: E402
from client import translated  # noqa: E402

_ = translated  # by this name for what stands here, so that the catalogue finds it
client.speak(HERE / "locale", GLib.get_language_names())

# As the worker takes them; GEGL converts from and to whatever the layer is.
PIXELS = {"f4": "R'G'B'A float", "u1": "R'G'B'A u8"}
STRIP = 256  # rows that are copied at a time
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
    """The tasks that make a picture of a picture of its size, as they were when last asked for."""
    try:
        tasks = json.loads((HERE / "tasks.json").read_text("utf-8"))
        painting = [task for task in tasks if task["input"] == task["output"] == "picture"]
        return [task for task in painting if not task.get("resizes")]  # a layer keeps its size
    except (OSError, ValueError, KeyError, TypeError):
        return []


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
                opened.append(read(layer, bounds(layer), alpha=False))
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


# ----------------------------------------------------------------------------------------- pixels


def bounds(drawable: Gimp.Drawable) -> Any:
    """The whole of a drawable as a rectangle."""
    from gi.repository import Gegl

    return Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())


def strips(rectangle: Any) -> Iterator[Any]:
    """The rectangle in strips of rows."""
    from gi.repository import Gegl

    for top in range(0, rectangle.height, STRIP):
        rows = min(STRIP, rectangle.height - top)
        yield Gegl.Rectangle.new(rectangle.x, rectangle.y + top, rectangle.width, rows)


def kind_of(drawable: Gimp.Drawable) -> str:
    """The kind of pixels that holds the drawable's without loss: a quarter of the memory for 8-bit
    layers in sRGB."""
    image = drawable.get_image()
    small = image.get_precision() == Gimp.Precision.U8_NON_LINEAR
    layer = isinstance(drawable, Gimp.Layer)  # a mask or channel is linear
    return "u1" if small and layer and image.get_color_profile() is None else "f4"


def read(drawable: Gimp.Drawable, rectangle: Any, alpha: bool = True) -> client.Pixels:
    """A part of a drawable, for the worker."""
    from gi.repository import Gegl

    kind = kind_of(drawable) if alpha else "f4"
    form = PIXELS[kind] if alpha else "R'G'B' float"
    shape = (rectangle.height, rectangle.width, 4 if alpha else 3)
    pixels = client.Pixels(shape, settings()["folder"], kind)
    buffer, place = drawable.get_buffer(), 0
    for strip in strips(rectangle):
        data = buffer.get(strip, 1.0, form, Gegl.AbyssPolicy.CLAMP)
        pixels.data[place : place + len(data)] = data
        place += len(data)
    return pixels


def read_selection(drawable: Gimp.Drawable, rectangle: Any) -> client.Pixels | None:
    """How far each pixel of that part of a drawable is selected; None where nothing is."""
    from gi.repository import Gegl

    image = drawable.get_image()
    _found, left, top = drawable.get_offsets()
    if Gimp.Selection.is_empty(image):
        return None
    buffer, place, some = image.get_selection().get_buffer(), 0, False
    pixels = client.Pixels((rectangle.height, rectangle.width), settings()["folder"])
    for strip in strips(rectangle):
        there = Gegl.Rectangle.new(strip.x + left, strip.y + top, strip.width, strip.height)
        data = bytes(buffer.get(there, 1.0, "Y float", Gegl.AbyssPolicy.NONE))
        pixels.data[place : place + len(data)] = data
        place += len(data)
        some = some or data.count(0) < len(data)
    if some:
        return pixels
    pixels.close()
    return None


def write(drawable: Gimp.Drawable, rectangle: Any, pixels: client.Pixels) -> None:
    """Put the pixels into that part of a drawable, as far as the selection lets."""
    shadow, place = drawable.get_shadow_buffer(), 0
    for strip in strips(rectangle):
        size = 4 * client.KINDS[pixels.kind] * strip.width * strip.height
        shadow.set(strip, PIXELS[pixels.kind], bytes(pixels.data[place : place + size]))
        place += size
    shadow.flush()
    drawable.merge_shadow(True)
    drawable.update(rectangle.x, rectangle.y, rectangle.width, rectangle.height)


def place_result(
    image: Gimp.Image, drawable: Gimp.Drawable, area: Any, made: client.Pixels, how: str, name: str
) -> None:
    """Bring the result into the image."""
    if how == "replace" or not isinstance(drawable, Gimp.Layer):
        write(drawable, area, made)
        return
    layer = Gimp.Layer.new(
        image,
        name,
        drawable.get_width(),
        drawable.get_height(),
        drawable.type_with_alpha(),
        100.0,
        Gimp.LayerMode.NORMAL,
    )
    _found, x, y = drawable.get_offsets()
    layer.set_offsets(x, y)
    parent = drawable.get_parent()
    image.insert_layer(layer, parent, image.get_item_position(drawable))
    if how == "masked-layer":
        mask = layer.create_mask(Gimp.AddMaskType.SELECTION)
        saved = None if Gimp.Selection.is_empty(image) else Gimp.Selection.save(image)
        Gimp.Selection.none(image)
        write(layer, area, made)
        if saved is not None:
            image.select_item(Gimp.ChannelOps.REPLACE, saved)
            image.remove_channel(saved)
            layer.add_mask(mask)
    else:
        write(layer, area, made)


def describe_origin(image: Gimp.Image, record: str) -> None:
    """Say in the image's metadata how it was made, as the files that the core writes do; GIMP
    exports it as XMP. There is no introspection of tags without GExiv2, hence GIMP's own XML."""
    kind = json.loads(record)["digital_source_type"]
    tags = {"Xmp.iptcExt.DigitalSourceType": kind, "Xmp.triptych.Record": record}
    known = image.get_metadata()
    root = ElementTree.fromstring(known.serialize() if known is not None else "<metadata/>")
    namespace = {"prefix": "triptych", "url": "urn:triptych:provenance:1/"}
    for old in [one for one in root if one.get("name") in tags or one.attrib == namespace]:
        root.remove(old)
    for name, text in tags.items():
        if namespace["prefix"] in name:
            ElementTree.SubElement(root, "namespace", namespace)
        ElementTree.SubElement(root, "tag", {"name": name}).text = text
    # GIMP passes over a namespace that is written as an empty element.
    text = ElementTree.tostring(root, "unicode", short_empty_elements=False)
    image.set_metadata(Gimp.Metadata.deserialize(text))


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
    if worker.tasks != described():
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
    how = config.get_property("result")
    if how == "replace":
        for drawable in drawables:
            refuse_to_replace(drawable)
    opened: list[client.Pixels] = []
    results: list[tuple[Gimp.Drawable, Any, client.Pixels]] = []
    record = None
    try:
        values = values_of(task, config, opened)
        for number, drawable in enumerate(drawables):
            found, x, y, width, height = drawable.mask_intersect()
            if not found:
                raise client.WorkerError(
                    _("The selection lies outside of the layer: select a part of it.")
                )
            from gi.repository import Gegl

            area = Gegl.Rectangle.new(x, y, width, height)
            if filled(task):
                area = bounds(drawable)
                selection = read_selection(drawable, area)
                if selection is None:
                    raise client.WorkerError(_("Select what is to be filled first."))
                opened.append(selection)
                values[filled(task)] = selection
            given = read(drawable, area)
            opened.append(given)
            run = worker.run(task["name"], values, given)
            while not run.wait(POLL):
                Gimp.progress_update((number + run.fraction) / len(drawables))
            made = run.result()
            if how == "replace" and made.data == given.data:
                made.close()  # converting it back would round
            else:
                results.append((drawable, area, made))
                record = run.record
            given.close()
        if not results:
            return
        name = layer_name(task, config)
        Gimp.progress_end()  # from here on it cannot be cancelled, which would leave half a layer
        image.undo_group_start()
        try:
            for drawable, area, made in results:
                place_result(image, drawable, area, made, how, name)
            if record is not None:
                describe_origin(image, record)
        finally:
            image.undo_group_end()
    finally:
        for pixels in (*opened, *(made for _, _, made in results)):
            pixels.close()
    Gimp.displays_flush()


def refuse_to_replace(drawable: Gimp.Drawable) -> None:
    """Raises WorkerError for what cannot be painted into."""
    if drawable.is_group():
        raise client.WorkerError(
            _("A layer group cannot be painted into: choose a new layer as the result.")
        )
    if drawable.get_lock_content():
        raise client.WorkerError(_("The layer's pixels are locked: unlock them first."))


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
            return next(
                (translated(o["label"]) for o in one["choices"] if o["value"] == value), value
            )
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
        procedure.set_sensitivity_mask(
            Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES
        )
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
                paint(used, task, image, drawables, config)
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
