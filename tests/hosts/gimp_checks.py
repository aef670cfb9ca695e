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
KNOWN = "<metadata><tag name='Exif.Image.Artist'>A. Painter</tag></metadata>"
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


def run(image, drawables, task="style", **values):
    """The status and the message of the task's procedure, and the image that it made, if any."""
    procedure = Gimp.get_pdb().lookup_procedure(f"plug-in-triptych-{task}")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", drawables)
    for name, value in values.items():
        config.set_property(name.replace("_", "-"), value)
    result = procedure.run(config)
    made = result.index(1) if result.length() > 1 else None
    return result.index(0), Gimp.get_pdb().get_last_error(), made


def works(image, drawables, **values):
    status, error, made = run(image, drawables, **values)
    assert status == Gimp.PDBStatusType.SUCCESS, error
    return made


def fails(words, image, drawables, **values):
    """It is refused in one sentence with these words, and nothing has changed."""
    before = state(image)
    status, error, _ = run(image, drawables, **values)
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert words in error, error
    assert "\n" not in error
    assert state(image) == before


def state(image):
    """Sizes, places and pixels of an image and its layers."""
    layers = [(one.get_name(), *one.get_offsets()[1:], raw(one)) for one in image.get_layers()]
    return image.get_width(), image.get_height(), layers


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
    fails("group", image, [group], result="replace")
    layer.set_lock_content(True)
    fails("locked", image, [layer], result="replace")


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
    file = Gio.File.new_for_path("/etc/hostname")
    fails("hostname", image, image.get_layers(), style_file=file)


def check_a_selection_beside_the_layer():
    image = picture()
    (layer,) = image.get_layers()
    layer.set_offsets(60, 0)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 10, 10)
    fails("selection", image, [layer])


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


def levels(drawable, area=None):
    """RGBA of a drawable or a part of it, 0..255 in a list."""
    area = area or Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    data = drawable.get_buffer().get(area, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)
    return list(bytes(data))


def upscaled(base, precision, alpha, scale):
    """A new image of that many times the size and otherwise like the old one, which stays."""
    image = picture(base, precision, alpha, layers=2)
    image.set_resolution(240, 120)
    image.set_metadata(Gimp.Metadata.deserialize(KNOWN))
    if base == "rgb":
        profile = Gimp.ColorProfile.new_rgb_adobe()
        image.convert_color_profile(profile, Gimp.ColorRenderingIntent.PERCEPTUAL, False)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 10, 10)  # which limits nothing
    before = state(image)
    made = works(image, image.get_layers()[1:], task="upscale", scale=scale)
    assert state(image) == before
    assert (made.get_width(), made.get_height()) == (scale * WIDE, scale * HIGH)
    assert made.get_precision() == image.get_precision()
    assert made.get_base_type() == image.get_base_type()
    profiles = made.get_color_profile(), image.get_color_profile()
    assert profiles[0].is_equal(profiles[1]) if base == "rgb" else profiles == (None, None)
    assert made.get_resolution()[1:] == (240, 120)
    assert Gimp.Selection.is_empty(made)
    assert made.is_dirty()
    told = made.get_metadata().serialize()
    assert "A. Painter" in told
    assert "upscale" in told
    assert "upscale" not in image.get_metadata().serialize()
    (layer,) = made.get_layers()
    assert layer.has_alpha() == alpha
    assert layer.get_name() == f"photo 0 x{scale}"
    small = Gimp.Layer.new_from_drawable(layer, image)  # as large as it was, it is the old one
    image.insert_layer(small, None, 0)
    small.scale(WIDE, HIGH, False)
    pairs = list(zip(levels(small), levels(image.get_layers()[2]), strict=True))
    assert sum(abs(a - b) for a, b in pairs) / len(pairs) < 8, pairs[:20]
    if alpha:
        assert 0 < sum(a < 255 for a in levels(layer)[3::4]) < scale * WIDE * scale * HIGH
    made.delete()


def check_upscaling_rgb_with_a_profile():
    upscaled("rgb", "u16", True, 3)


def check_upscaling_grey():
    upscaled("grey", "float", False, 2)


def check_upscaling_8_bit_in_srgb_with_alpha():
    image = picture(alpha=True)
    made = works(image, image.get_layers(), task="upscale", scale=4)
    assert (made.get_width(), made.get_height()) == (4 * WIDE, 4 * HIGH)
    assert made.get_color_profile() is None
    assert made.get_layers()[0].has_alpha()


def check_upscaling_indexed_a_mask_and_a_group():
    image = picture()
    (layer,) = image.get_layers()
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(mask)
    made = works(image, [mask], task="upscale")
    assert made.get_base_type() == Gimp.ImageBaseType.GRAY
    assert set(levels(made.get_layers()[0])) == {255}
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    made = works(image, [group], task="upscale")
    assert made.get_layers()[0].get_name() == "group x2"
    dither, palette = Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE
    image.convert_indexed(dither, palette, 16, False, False, "")
    made = works(image, [layer], task="upscale")
    assert made.get_base_type() == Gimp.ImageBaseType.RGB
    assert made.get_width() == 2 * WIDE


def check_an_upscaled_image_has_a_title_of_its_own():
    image = picture()
    folder = Path(os.environ.get("TRIPTYCH_OUT", "/tmp"))
    image.set_file(Gio.File.new_for_path(str(folder / "bay at noon.xcf")))
    (folder / "bay at noon x2.xcf").write_text("of the user's")
    titles = []
    for _ in range(2):
        made = works(image, image.get_layers(), task="upscale", scale=2)
        titles.append(Path(made.get_file().get_path()).name)
    assert titles == ["bay at noon x2 (2).xcf", "bay at noon x2 (3).xcf"]
    (folder / "bay at noon x2.xcf").unlink()


def check_tasks_that_resize_take_one_layer():
    image = picture(layers=2)
    fails("choose one layer", image, image.get_layers(), task="upscale")
    fails("choose one layer", image, image.get_layers(), task="extend", left=8)
    arguments = Gimp.get_pdb().lookup_procedure("plug-in-triptych-upscale").get_arguments()
    assert {"scale", "model"} <= {one.name for one in arguments}
    assert "result" not in {one.name for one in arguments}


def extended(base, precision, alpha):
    """Canvas and layer grow; what was there lies where it lay, to the last bit."""
    image = picture(base, precision, alpha, layers=2)
    image.add_vguide(20)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 5, 5, 10, 10)  # which limits nothing
    top, below = image.get_layers()
    before, other, size = raw(top), raw(below), raw(top)[1]
    works(image, [top], task="extend", left=16, top=8, right=4)
    assert (image.get_width(), image.get_height()) == (WIDE + 20, HIGH + 8)
    assert (top.get_width(), top.get_height()) == (WIDE + 20, HIGH + 8)
    assert [one.get_id() for one in image.get_layers()] == [top.get_id(), below.get_id()]
    assert top.get_offsets()[1:] == (4, -2)
    assert below.get_offsets()[1:] == (3 + 16, -2 + 8)
    assert raw(below) == other
    assert image.get_guide_position(image.find_next_guide(0)) == 36
    found, *box = Gimp.Selection.bounds(image)[1:]
    assert (found, *box) == (True, 21, 13, 31, 23)
    after, wide = raw(top)[0], (WIDE + 20) * size
    kept = [after[(8 + y) * wide + 16 * size :][: WIDE * size] for y in range(HIGH)]
    assert b"".join(kept) == before[0]
    pixels = levels(top)
    border = [pixels[4 * x : 4 * x + 4] for x in range(8 * (WIDE + 20))]  # the rows above
    assert {one[3] for one in border} == {255}
    across = WIDE + 20
    added = {
        tuple(pixels[4 * x : 4 * x + 4])
        for x in range(across * (HIGH + 8))
        if x < 8 * across or not 16 <= x % across < 16 + WIDE
    }
    assert len(added) > 20  # painted, not filled
    assert "extend" in image.get_metadata().serialize()


def check_extending_8_bit():
    extended("rgb", "u8", False)


def check_extending_16_bit_alpha():
    extended("rgb", "u16", True)


def check_extending_grey_float():
    extended("grey", "float", True)


def check_what_is_added_shows_through_a_layer_mask():
    image = picture()
    (layer,) = image.get_layers()
    mask = layer.create_mask(Gimp.AddMaskType.BLACK)
    layer.add_mask(mask)
    fails("Only a layer", image, [mask], task="extend", left=8)
    works(image, [layer], task="extend", left=8)
    rows = levels(mask)
    assert mask.get_width() == WIDE + 8
    assert rows[0] == rows[4 * 7] == 255
    assert rows[4 * 8] == 0


def check_what_cannot_be_extended():
    image = picture()
    (layer,) = image.get_layers()
    fails("nothing is to be added", image, [layer], task="extend")
    layer.set_lock_content(True)
    fails("locked", image, [layer], task="extend", right=8)
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    fails("Only a layer", image, [group], task="extend", right=8)


def check_the_image_says_how_it_was_made():
    image = picture()
    image.set_metadata(Gimp.Metadata.deserialize(KNOWN))
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
    files, old = shared(), workers()

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
    fails("worker stopped", image, [layer], result="replace")
    killer.join()
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
    with another_worker(*command):
        fails(words, image, image.get_layers(), result="replace")


def check_the_selection_is_filled():
    image = picture(alpha=True)
    (layer,) = image.get_layers()
    fails("Select what is to be filled", image, [layer], task="inpaint", result="replace")
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
