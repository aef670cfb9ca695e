"""Runs inside GIMP's Python: executes what comes in on a socket, so that a test can look at images.

A request is Python source in one connection; the answer is JSON, {"value": ...} of the variable
`value` that the source left, or {"error": ...}. Names stay from request to request.
"""

# ruff: noqa: E402
import hashlib
import json
import os
import socket
import traceback
from pathlib import Path

import gi

gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp, Gio

Gegl.init(None)


def opened(path):
    """A picture file in a window of its own."""
    return shown(Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(path)))


def painted(wide, high):
    """A new image of that size with a painted layer, in a window."""
    image = Gimp.Image.new(wide, high, Gimp.ImageBaseType.RGB)
    layer = Gimp.Layer.new(
        image, "photo", wide, high, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL
    )
    image.insert_layer(layer, None, 0)
    for place, colour in enumerate(("red", "#123", "#fc4", "#28a")):
        left = place * wide // 5
        image.select_ellipse(Gimp.ChannelOps.REPLACE, left, 4, wide // 3, high - 9)
        Gimp.context_set_foreground(Gegl.Color.new(colour))
        layer.edit_fill(Gimp.FillType.FOREGROUND)
    Gimp.Selection.none(image)
    return shown(image)


def shown(image):
    """The image's number, once it has a window and nothing to undo."""
    image.undo_disable()
    while not image.undo_is_enabled():  # what loads a file disables it too, and leaves it so
        image.undo_enable()
    image.clean_all()
    Gimp.Display.new(image)
    return image.get_id()


def state(number):
    """What the image is: size, selection, and each layer's name, place and pixels."""
    image = Gimp.Image.get_by_id(number)
    told = [image.get_width(), image.get_height(), Gimp.Selection.is_empty(image)]
    for layer in image.get_layers():
        area = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
        data = layer.get_buffer().get(area, 1.0, None, Gegl.AbyssPolicy.NONE)
        told.append(
            [layer.get_name(), *layer.get_offsets()[1:], hashlib.sha256(bytes(data)).hexdigest()]
        )
    return told


def layers(number):
    """The names of the image's layers; quick, also for a large image."""
    return [layer.get_name() for layer in Gimp.Image.get_by_id(number).get_layers()]


def serve(path):
    """Answer until GIMP ends."""
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw", encoding="utf-8") as stream:
                try:
                    source = "".join(iter(stream.readline, "\0\n"))
                    globals()["value"] = None
                    exec(source, globals())
                    answer = {"value": globals()["value"]}
                except Exception:
                    answer = {"error": traceback.format_exc()}
                stream.write(json.dumps(answer) + "\n")


serve(os.environ["TRIPTYCH_INSIDE"])
