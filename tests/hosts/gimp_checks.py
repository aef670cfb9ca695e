"""Runs inside GIMP's own Python (see test_gimp.py); prints a line for each check."""

# ruff: noqa: E402
import traceback
from array import array

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
    """The status and the message of the procedure."""
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-triptych-style")
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
