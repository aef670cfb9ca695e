"""Runs inside GIMP's own Python (see test_gimp.py); prints a line for each check."""

# ruff: noqa: E402
import contextlib
import json
import os
import signal
import threading
import time
import traceback
from array import array
from pathlib import Path

import gi

gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp, Gio

Gegl.init(None)
WIDE, HIGH = 72, 56
PIXELS = "R'G'B'A float"
BASES = {
    "rgb": (Gimp.ImageBaseType.RGB, Gimp.ImageType.RGB_IMAGE, Gimp.ImageType.RGBA_IMAGE),
    "grey": (Gimp.ImageBaseType.GRAY, Gimp.ImageType.GRAY_IMAGE, Gimp.ImageType.GRAYA_IMAGE),
}
PRECISIONS = {
    "u8": Gimp.Precision.U8_NON_LINEAR,
    "u16": Gimp.Precision.U16_NON_LINEAR,
    "u32": Gimp.Precision.U32_LINEAR,
    "half": Gimp.Precision.HALF_NON_LINEAR,
    "float": Gimp.Precision.FLOAT_LINEAR,
}


def picture(base="rgb", precision="u8", alpha=False, layers=1):
    """An image with `layers` painted layers, which lie a little outside of it."""
    kind = BASES[base]
    image = Gimp.Image.new_with_precision(WIDE, HIGH, kind[0], PRECISIONS[precision])
    for number in range(layers):
        layer = Gimp.Layer.new(
            image,
            f"photo {number}",
            WIDE,
            HIGH,
            kind[1 + alpha],
            100.0,
            Gimp.LayerMode.NORMAL,
        )
        image.insert_layer(layer, None, 0)
        layer.set_offsets(3 + number, -2)
        for place, colour in enumerate(("red", "#123", "#fc4", "#28a")):
            image.select_ellipse(Gimp.ChannelOps.REPLACE, 18 * place - 6, 4, 34, 44)
            Gimp.context_set_foreground(Gegl.Color.new(colour))
            layer.edit_fill(Gimp.FillType.FOREGROUND)
        Gimp.Selection.none(image)
    return image


def run(image, drawables, **values):
    """The status and the message of the procedure of `task`, or of style transfer."""
    name = values.pop("task", "style")
    procedure = Gimp.get_pdb().lookup_procedure(f"plug-in-triptych-{name}")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", drawables)
    for name, value in values.items():
        config.set_property(name.replace("_", "-"), value)
    result = procedure.run(config)
    return result.index(0), Gimp.get_pdb().get_last_error()


def works(image, drawables, **values):
    status, error = run(image, drawables, **values)
    assert status == Gimp.PDBStatusType.SUCCESS, error


def raw(drawable):
    """The pixels as they are stored: (bytes, bytes of a pixel)."""
    area = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    data = bytes(drawable.get_buffer().get(area, 1.0, None, Gegl.AbyssPolicy.NONE))
    return data, len(data) // (area.width * area.height)


def selected(image, layer):
    """How far each of the layer's pixels is selected, 0..1."""
    _, x, y = layer.get_offsets()
    area = Gegl.Rectangle.new(x, y, layer.get_width(), layer.get_height())
    data = image.get_selection().get_buffer().get(area, 1.0, "Y float", Gegl.AbyssPolicy.NONE)
    return array("f", bytes(data))


def replaced(base, precision, alpha, feather):
    """A feathered selection: nothing changes outside, something does inside."""
    image = picture(base, precision, alpha)
    (layer,) = image.get_layers()
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 20, 12, 36, 30)
    if feather:
        Gimp.Selection.feather(image, 6)
    mask = selected(image, layer)
    before, size = raw(layer)
    works(image, [layer], result="replace")
    after, _ = raw(layer)
    assert len(image.get_layers()) == 1
    assert len(mask) == WIDE * HIGH
    changed = 0
    for place, weight in enumerate(mask):
        same = before[place * size : (place + 1) * size] == after[place * size : (place + 1) * size]
        assert weight or same, f"pixel {place} outside of the selection changed"
        changed += not same
    assert changed > 300, changed


def check_registered_and_described():
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-triptych-style")
    assert procedure.get_menu_paths() == ["<Image>/Filters/Triptych"]
    assert "painting" in procedure.get_blurb()
    arguments = {one.name: one for one in procedure.get_arguments()}
    for name in (
        "style",
        "style-file",
        "style-layer",
        "mix",
        "strength",
        "scale",
        "seed",
        "result",
    ):
        assert arguments[name].get_blurb(), name
    assert "mask" not in arguments
    assert "feather" not in arguments
    strength = arguments["strength"]
    assert (strength.minimum, strength.maximum, strength.default_value) == (0, 1, 1)


def check_rgb_8_bit():
    replaced("rgb", "u8", False, True)


def check_rgb_16_bit_alpha():
    replaced("rgb", "u16", True, True)


def check_rgb_32_bit_integer():
    replaced("rgb", "u32", False, False)


def check_rgb_half():
    replaced("rgb", "half", True, False)


def check_rgb_float_linear():
    replaced("rgb", "float", True, True)


def check_grey_8_bit_alpha():
    replaced("grey", "u8", True, True)


def check_grey_float():
    replaced("grey", "float", False, True)


def check_indexed():
    image = picture()
    image.convert_indexed(
        Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, ""
    )
    (layer,) = image.get_layers()
    before = raw(layer)
    works(image, [layer], result="replace")
    assert raw(layer) != before
    assert layer.is_indexed()


def check_a_new_layer_is_the_default():
    image = picture(alpha=True)
    (layer,) = image.get_layers()
    before = raw(layer)
    works(image, [layer], style="hokusai-great-wave")
    top, below = image.get_layers()
    assert (below.get_id(), raw(below)) == (layer.get_id(), before)
    assert "Hokusai" in top.get_name()
    assert top.get_offsets() == layer.get_offsets()
    assert raw(top) != before


def check_a_new_layer_with_the_selection_as_its_mask():
    image = picture()
    (layer,) = image.get_layers()
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 20, 12, 36, 30)
    wanted = selected(image, layer)
    works(image, [layer], result="masked-layer")
    top, _ = image.get_layers()
    mask = top.get_mask()
    area = Gegl.Rectangle.new(0, 0, WIDE, HIGH)
    found = mask.get_buffer().get(area, 1.0, "Y float", Gegl.AbyssPolicy.NONE)
    assert array("f", bytes(found)) == wanted
    assert selected(image, layer) == wanted, "the selection changed"


def check_several_layers():
    image = picture(layers=3)
    chosen = image.get_layers()[:2]
    before = [raw(layer) for layer in image.get_layers()]
    works(image, chosen, result="replace")
    after = [raw(layer) for layer in image.get_layers()]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


def check_a_layer_in_a_group():
    image = picture()
    (layer,) = image.get_layers()
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    works(image, [layer])
    assert len(group.get_children()) == 2


def check_a_whole_group_and_a_locked_layer():
    image = picture()
    (layer,) = image.get_layers()
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    works(image, [group])
    assert len(image.get_layers()) == 2
    status, error = run(image, [group], result="replace")
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert "group" in error
    layer.set_lock_content(True)
    before = raw(layer)
    status, error = run(image, [layer], result="replace")
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert "locked" in error
    assert raw(layer) == before


def check_a_layer_mask_is_painted_into():
    image = picture(alpha=True)
    (layer,) = image.get_layers()
    mask = layer.create_mask(Gimp.AddMaskType.COPY)
    layer.add_mask(mask)
    before, kept = raw(mask), raw(layer)
    works(image, [mask])
    assert raw(mask) != before
    assert raw(layer) == kept
    assert len(image.get_layers()) == 1


def check_the_descriptions_follow_the_worker():
    """A style that was learned since is there from the next dialog on, and at GIMP's next start."""
    folder = Path(Gimp.directory()) / "plug-ins" / "triptych"
    told = json.loads((folder / "tasks.json").read_text())
    (style,) = [one for one in told[0]["parameters"] if one["name"] == "style"]
    dropped = style["choices"].pop()
    (folder / "tasks.json").write_text(json.dumps(told))
    os.utime(folder / "triptych.py", (1, 1))
    image = picture()
    works(image, image.get_layers())
    (style,) = [
        one
        for one in json.loads((folder / "tasks.json").read_text())[0]["parameters"]
        if one["name"] == "style"
    ]
    assert style["choices"][-1] == dropped
    assert (folder / "triptych.py").stat().st_mtime > 1


def check_strength_zero_changes_nothing():
    image = picture("rgb", "u16")
    (layer,) = image.get_layers()
    before = raw(layer)
    works(image, [layer], result="replace", strength=0.0)
    assert raw(layer) == before


def check_a_layer_as_style():
    image = picture(layers=2)
    top, below = image.get_layers()
    before = raw(top)
    works(image, [top], result="replace", style_layer=below)
    assert raw(top) != before


def check_a_file_that_is_no_picture():
    image = picture()
    (layer,) = image.get_layers()
    before = raw(layer)
    status, error = run(image, [layer], style_file=Gio.File.new_for_path("/etc/hostname"))
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert "hostname" in error, error
    assert "\n" not in error
    assert raw(layer) == before
    assert len(image.get_layers()) == 1


def check_a_selection_beside_the_layer():
    image = picture()
    (layer,) = image.get_layers()
    layer.set_offsets(60, 0)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 10, 10)
    status, error = run(image, [layer])
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert "selection" in error


def check_colours_beyond_srgb_are_kept_where_nothing_is_painted():
    """In a wide profile, half of what there is is not of sRGB."""
    image = picture("rgb", "u16")
    image.convert_color_profile(
        Gimp.ColorProfile.new_rgb_adobe(), Gimp.ColorRenderingIntent.RELATIVE_COLORIMETRIC, True
    )
    (layer,) = image.get_layers()
    vivid = Gegl.Color.new("black")
    vivid.set_rgba_with_space(0.0, 1.0, 0.0, 1.0, layer.get_format())
    Gimp.context_set_foreground(vivid)
    layer.edit_fill(Gimp.FillType.FOREGROUND)
    profile = image.get_color_profile()
    before = raw(layer)
    red, green, blue = array("H", before[0])[:3]
    assert max(red, blue) < 100 < 65000 < green  # sRGB has no such green
    works(image, [layer], result="replace", strength=0.0)
    assert raw(layer) == before
    works(image, [layer], result="replace")
    assert raw(layer) != before
    assert image.get_color_profile().is_equal(profile)


def check_a_profile_of_the_image_is_respected():
    """The same colours in another profile are painted alike."""
    made = []
    for profile in (None, Gimp.ColorProfile.new_rgb_adobe()):
        image = picture("rgb", "float")
        (layer,) = image.get_layers()
        if profile is not None:
            intent = Gimp.ColorRenderingIntent.RELATIVE_COLORIMETRIC
            image.convert_color_profile(profile, intent, False)
        works(image, [layer], result="replace")
        area = Gegl.Rectangle.new(0, 0, WIDE, HIGH)
        data = layer.get_buffer().get(area, 1.0, PIXELS, Gegl.AbyssPolicy.NONE)
        made.append(array("f", bytes(data)))
    worst = max(abs(a - b) for a, b in zip(*made, strict=True))
    assert worst < 0.02, worst


def check_the_image_says_how_it_was_made():
    image = picture()
    known = "<metadata><tag name='Exif.Image.Artist'>A. Painter</tag></metadata>"
    image.set_metadata(Gimp.Metadata.deserialize(known))
    works(image, image.get_layers(), style="klimt-kiss", seed=7)
    works(image, image.get_layers()[:1], style="munch-scream", seed=8)
    told = image.get_metadata().serialize()
    assert "A. Painter" in told
    assert told.count("compositeWithTrainedAlgorithmicMedia") >= 1
    assert "munch-scream" in told
    assert "klimt-kiss" not in told
    target = Path(os.environ.get("TRIPTYCH_OUT", "/tmp")) / "triptych-check.png"
    export = Gimp.get_pdb().lookup_procedure("file-png-export")
    config = export.create_config()
    config.set_property("image", image)
    config.set_property("file", Gio.File.new_for_path(str(target)))
    config.set_property("include-xmp", True)
    assert export.run(config).index(0) == Gimp.PDBStatusType.SUCCESS
    assert b"urn:triptych:provenance:1/" in target.read_bytes()


def workers():
    """The processes that are Triptych's workers."""
    found = set()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and b"triptych.worker" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def shared():
    """The files through which pixels are shared."""
    return {path.name for path in Path("/dev/shm").glob("triptych-*")}


def check_a_worker_that_is_killed_at_work():
    image = Gimp.Image.new(2500, 2000, Gimp.ImageBaseType.RGB)
    layer = Gimp.Layer.new(
        image, "large", 2500, 2000, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL
    )
    image.insert_layer(layer, None, 0)
    layer.fill(Gimp.FillType.WHITE)
    before, files, old = raw(layer), shared(), workers()

    def kill():
        while not (new := workers() - old):
            time.sleep(0.02)
        while not any(Path("/dev/shm").glob("triptych-*.pixels")):
            time.sleep(0.02)
        time.sleep(0.3)
        for process in new:
            os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    status, error = run(image, [layer], result="replace")
    killer.join()
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert "worker stopped" in error, error
    assert raw(layer) == before
    assert len(image.get_layers()) == 1
    assert shared() == files
    small = picture()
    works(small, small.get_layers())  # and GIMP and the plug-in live on


@contextlib.contextmanager
def another_worker(*command):
    """The plug-in as if the installer had written this command down."""
    written = Path(Gimp.directory()) / "plug-ins" / "triptych" / "worker.json"
    kept = written.read_text()
    written.write_text(json.dumps({**json.loads(kept), "command": command}))
    try:
        yield
    finally:
        written.write_text(kept)


def refused(words, *command):
    """The one sentence that a worker of this kind gets."""
    image = picture()
    before = raw(image.get_layers()[0])
    with another_worker(*command):
        status, error = run(image, image.get_layers(), result="replace")
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert words in error, error
    assert "\n" not in error
    assert raw(image.get_layers()[0]) == before


def check_the_selection_is_filled():
    image = picture(alpha=True)
    (layer,) = image.get_layers()
    status, error = run(image, [layer], task="inpaint", result="replace")
    assert status != Gimp.PDBStatusType.SUCCESS
    assert "Select what is to be filled" in error, error
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 20, 12, 24, 20)
    mask = selected(image, layer)
    before, size = raw(layer)
    works(image, [layer], task="inpaint", result="replace")
    after, _ = raw(layer)
    changed = 0
    for place, weight in enumerate(mask):
        same = before[place * size : (place + 1) * size] == after[place * size : (place + 1) * size]
        assert weight or same, f"pixel {place} outside of the selection changed"
        changed += not same
    assert changed > 300, changed


def check_a_worker_that_is_missing():
    refused("cannot be started", "/nowhere/python", "-m", "triptych.worker")


def check_a_worker_that_prints_rubbish():
    refused("rubbish", "sh", "-c", "echo Hello there; sleep 5")


def check_a_worker_that_dies_at_its_start():
    refused("no module named triptych", "sh", "-c", "echo no module named triptych >&2; exit 1")


def check_a_worker_of_another_version():
    body = '{"jsonrpc":"2.0","id":1,"result":{"protocol":99}}'
    refused(
        "another version",
        "sh",
        "-c",
        f"read asked; printf 'Content-Length: {len(body)}\\r\\n\\r\\n%s' '{body}'; sleep 5",
    )


for name, check in list(globals().items()):
    if name.startswith("check_"):
        try:
            check()
            said = "ok"
        except Exception as error:
            trace = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__} in line {trace.lineno}: {error}".replace("\n", " ")
        print(f"CHECK {name.removeprefix('check_')}: {said}", flush=True)
print("CHECKS END", flush=True)
