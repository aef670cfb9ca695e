"""The pixels of GIMP's drawables: read for the worker, and written back."""

from collections.abc import Iterator

import client
import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp  # noqa: E402

# As the worker takes them; GEGL converts from and to whatever the layer is.
FORMATS = {"f4": "R'G'B'A float", "u1": "R'G'B'A u8"}
STRIP = 256  # rows that are copied at a time


def bounds(drawable: Gimp.Drawable) -> Gegl.Rectangle:
    """The whole of a drawable as a rectangle."""
    return Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())


def strips(rectangle: Gegl.Rectangle) -> Iterator[Gegl.Rectangle]:
    """The rectangle in strips of rows."""
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


def read(
    drawable: Gimp.Drawable, rectangle: Gegl.Rectangle, folder: str | None, alpha: bool = True
) -> client.Pixels:
    """A part of a drawable, for the worker; see `client.Pixels` for the folder."""
    kind = kind_of(drawable) if alpha else "f4"
    form = FORMATS[kind] if alpha else "R'G'B' float"
    shape = (rectangle.height, rectangle.width, 4 if alpha else 3)
    pixels = client.Pixels(shape, folder, kind)
    buffer, place = drawable.get_buffer(), 0
    for strip in strips(rectangle):
        data = buffer.get(strip, 1.0, form, Gegl.AbyssPolicy.CLAMP)
        pixels.data[place : place + len(data)] = data
        place += len(data)
    return pixels


def read_selection(
    drawable: Gimp.Drawable, rectangle: Gegl.Rectangle, folder: str | None
) -> client.Pixels | None:
    """How far each pixel of that part of a drawable is selected; None where nothing is."""
    image = drawable.get_image()
    if Gimp.Selection.is_empty(image):
        return None
    _found, left, top = drawable.get_offsets()
    buffer, place, some = image.get_selection().get_buffer(), 0, False
    pixels = client.Pixels((rectangle.height, rectangle.width), folder)
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


def write(drawable: Gimp.Drawable, rectangle: Gegl.Rectangle, made: client.Pixels) -> None:
    """Put the pixels into that part of a drawable, as far as the selection lets."""
    shadow, place = drawable.get_shadow_buffer(), 0
    for strip in strips(rectangle):
        size = 4 * client.KINDS[made.kind] * strip.width * strip.height
        shadow.set(strip, FORMATS[made.kind], bytes(made.data[place : place + size]))
        place += size
    shadow.flush()
    drawable.merge_shadow(True)
    drawable.update(rectangle.x, rectangle.y, rectangle.width, rectangle.height)


def write_part(drawable: Gimp.Drawable, part: Gegl.Rectangle, made: client.Pixels) -> None:
    """Put a part of the pixels of a whole drawable where it belongs, whatever is selected.

    This is no step to undo: it is for a drawable that an undo step has made or resized.
    """
    buffer, size = drawable.get_buffer(), 4 * client.KINDS[made.kind]
    row = made.shape[1] * size
    for strip in strips(part):
        starts = (y * row + strip.x * size for y in range(strip.y, strip.y + strip.height))
        data = b"".join(made.data[start : start + strip.width * size] for start in starts)
        buffer.set(strip, FORMATS[made.kind], data)
    buffer.flush()
    drawable.update(part.x, part.y, part.width, part.height)


def whiten(drawable: Gimp.Drawable, part: Gegl.Rectangle) -> None:
    """Fill a part with white, as `write_part` does."""
    buffer = drawable.get_buffer()
    buffer.set_color(part, Gegl.Color.new("white"))
    buffer.flush()
    drawable.update(part.x, part.y, part.width, part.height)
