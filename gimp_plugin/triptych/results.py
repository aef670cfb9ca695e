"""Where results go in GIMP: into a layer, a larger canvas, a new image; and what says so."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import client
import gi
import pixels
from client import translated

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp, Gio  # noqa: E402

_ = translated  # by this name for what stands here, so that the catalogue finds it


def place_result(
    image: Gimp.Image, drawable: Gimp.Drawable, area: Any, made: client.Pixels, how: str, name: str
) -> None:
    """Bring a result of the same size into the image."""
    if how == "replace" or not isinstance(drawable, Gimp.Layer):
        pixels.write(drawable, area, made)
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
        pixels.write(layer, area, made)
        if saved is not None:
            image.select_item(Gimp.ChannelOps.REPLACE, saved)
            image.remove_channel(saved)
            layer.add_mask(mask)
    else:
        pixels.write(layer, area, made)


def refuse_to_replace(drawable: Gimp.Drawable) -> None:
    """Raises WorkerError for what cannot be painted into."""
    if drawable.is_group():
        raise client.WorkerError(
            _("A layer group cannot be painted into: choose a new layer as the result.")
        )
    refuse_locked(drawable)


def refuse_to_extend(drawable: Gimp.Drawable) -> None:
    """Raises WorkerError for what cannot grow by itself."""
    if drawable.is_group() or not isinstance(drawable, Gimp.Layer):
        raise client.WorkerError(_("Only a layer can be extended, no group, mask or channel."))
    refuse_locked(drawable)


def refuse_locked(drawable: Gimp.Drawable) -> None:
    """Raises WorkerError for a layer whose pixels are locked."""
    if drawable.get_lock_content():
        raise client.WorkerError(_("The layer's pixels are locked: unlock them first."))


def extend(
    image: Gimp.Image,
    layer: Gimp.Layer,
    made: client.Pixels,
    left: int,
    top: int,
    record: str | None,
) -> None:
    """Let canvas and layer grow to hold a result in which the layer lies at (left, top).

    This is one step to undo. The layer's own pixels are not touched, and every other layer stays
    where it is on them.
    """
    (height, width), old = made.shape[:2], pixels.bounds(layer)
    right, bottom = width - left - old.width, height - top - old.height
    sides = (
        Gegl.Rectangle.new(0, 0, width, top),
        Gegl.Rectangle.new(0, top + old.height, width, bottom),
        Gegl.Rectangle.new(0, top, left, old.height),
        Gegl.Rectangle.new(left + old.width, top, right, old.height),
    )
    image.undo_group_start()
    try:
        whole = image.get_width() + left + right, image.get_height() + top + bottom
        image.resize(*whole, left, top)
        layer.resize(width, height, left, top)
        for side in (one for one in sides if one.width and one.height):
            pixels.write_part(layer, side, made)
            if (mask := layer.get_mask()) is not None:  # what is added is to be seen
                pixels.whiten(mask, side)
        if record is not None:
            describe_origin(image, record)
    finally:
        image.undo_group_end()


def enlarged(
    image: Gimp.Image, drawable: Gimp.Drawable, made: client.Pixels, record: str | None
) -> Gimp.Image:
    """A new image of a result, otherwise like the one that the drawable is of."""
    height, width = made.shape[:2]
    grey = drawable.is_gray()
    base = Gimp.ImageBaseType.GRAY if grey else Gimp.ImageBaseType.RGB
    new = Gimp.Image.new_with_precision(width, height, base, image.get_precision())
    try:
        new.undo_disable()
        profile = image.get_color_profile()
        if profile is not None and profile.is_gray() == grey:  # a mask in colour has another
            new.set_color_profile(profile)
        _found, across, down = image.get_resolution()
        new.set_resolution(across, down)
        new.set_unit(image.get_unit())
        if (known := image.get_metadata()) is not None:
            new.set_metadata(known)
        if record is not None:
            describe_origin(new, record)
        times = f"x{width / drawable.get_width():g}"
        if (file := titled(image, times)) is not None:
            new.set_file(file)
        kinds = {
            (False, False): Gimp.ImageType.RGB_IMAGE,
            (False, True): Gimp.ImageType.RGBA_IMAGE,
            (True, False): Gimp.ImageType.GRAY_IMAGE,
            (True, True): Gimp.ImageType.GRAYA_IMAGE,
        }
        name, kind = f"{drawable.get_name()} {times}", kinds[grey, drawable.has_alpha()]
        layer = Gimp.Layer.new(new, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
        new.insert_layer(layer, None, 0)
        pixels.write_part(layer, pixels.bounds(layer), made)
        new.undo_enable()
    except BaseException:
        new.delete()
        raise
    return new


def titled(image: Gimp.Image, words: str) -> Gio.File | None:
    """A file that is not there yet, after which an image that comes of this one can be called: GIMP
    knows no other title. None where this one has none."""
    file = image.get_file() or image.get_imported_file() or image.get_exported_file()
    if file is None or not file.get_path():
        return None
    path, number = Path(file.get_path()), 1
    open_ones = {one.get_path() for other in Gimp.get_images() if (one := other.get_file())}
    while True:
        again = f" ({number})" if number > 1 else ""
        found = path.with_name(f"{path.stem} {words}{again}.xcf")
        if not found.exists() and str(found) not in open_ones:
            return Gio.File.new_for_path(str(found))
        number += 1


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
