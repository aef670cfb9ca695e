"""What `gimp.py` measures inside GIMP's own Python; prints a line of JSON."""

# ruff: noqa: E402
import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp

Gegl.init(None)
PLUG_IN = Path(Gimp.directory()) / "plug-ins" / "triptych"
sys.path.insert(0, str(PLUG_IN))

plug_in = importlib.import_module("triptych")  # the plug-in's program, not the core


def picture(width, height):
    """An image with one layer that is full of detail."""
    image = Gimp.Image.new(width, height, Gimp.ImageBaseType.RGB)
    layer = Gimp.Layer.new(
        image, "photo", width, height, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL
    )
    image.insert_layer(layer, None, 0)
    layer.edit_fill(Gimp.FillType.PATTERN)
    return image, layer


def style(image, layer):
    """The seconds of the filter as a user runs it: its own process, a worker of its own."""
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-triptych-style")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    config.set_property("result", "replace")
    start = time.perf_counter()
    status = procedure.run(config).index(0)
    seconds = time.perf_counter() - start
    assert status == Gimp.PDBStatusType.SUCCESS, Gimp.get_pdb().get_last_error()
    return seconds


def cold(rounds):
    """A cold run on 512 x 512 px."""
    return [style(*picture(512, 512)) for _ in range(rounds)]


def warm(rounds):
    """(whole round trip, the task's own) seconds at 1024 x 1024 px, the worker already there."""
    image, layer = picture(1024, 1024)
    area = plug_in.bounds(layer)
    found = []
    with plug_in.start() as worker:
        for _ in range(rounds + 1):
            start = time.perf_counter()
            given = plug_in.read(layer, area)
            run = worker.run("style", {}, given)
            while not run.wait(plug_in.POLL):
                pass
            made = run.result()
            plug_in.place_result(image, layer, area, made, "replace", "")
            given.close()
            made.close()
            found.append((time.perf_counter() - start, run.seconds))
    return found[1:]  # the first run opens the model


def peaks(width, height):
    """The largest resident memory in bytes of the worker and of the plug-in's process."""
    image, layer = picture(width, height)
    seen = {"worker": 0, "plug-in": 0}
    over = threading.Event()

    def watch():
        while not over.wait(0.05):
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit() and int(folder.name) != os.getpid():
                    note(folder)

    def note(folder):
        try:
            words = (folder / "cmdline").read_bytes()
            status = (folder / "status").read_text()
        except OSError:
            return
        if b"triptych.worker" in words:
            who = "worker"
        elif b"triptych/triptych.py" in words:
            who = "plug-in"
        else:
            return
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                seen[who] = max(seen[who], 1024 * int(line.split()[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        seconds = style(image, layer)
    finally:
        over.set()
        watcher.join()
    return {**seen, "seconds": seconds}


def main():
    """Measure all."""
    found = {
        "cold": cold(7),
        "warm": warm(9),
        "peaks": peaks(7680, 4320),
        "version": Gimp.version(),
    }
    print("FOUND", json.dumps(found), flush=True)


main()
