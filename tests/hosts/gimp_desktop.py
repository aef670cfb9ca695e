"""Runs beside GIMP, in its root: a screen, a window manager, GIMP's window, and hands for them.

Requests are lines of JSON on stdin, {"do": method of Desktop, "with": [arguments]}; each is
answered by a line, {"value": ...} or {"error": ...}. What is on the screen is found as a screen
reader finds it (AT-SPI), and used by pointer and keys. All ends with stdin.
"""

# ruff: noqa: E402
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

SIZE = "1280x900"
PLACE = ("windowmove", "0", "0", "windowsize", "1276", "874")  # of GIMP's window
ASIDE = (2, 2)  # nothing there says anything
PATIENCE = 120.0  # seconds for anything to appear
LOOK = 0.05  # seconds between looks
GIMPRC = """(config-version "{version}")
(show-welcome-dialog no)
(plug-in-path "{plug_ins}:${{gimp_plug_in_dir}}/plug-ins")
(save-session-info no)
(confirm-on-close no)
(theme-color-scheme light)
"""


class Desktop:
    """The screen and what can be done on it."""

    def __init__(self):
        self._programs = []
        words = ["Xvfb", "-screen", "0", f"{SIZE}x24", "-nolisten", "tcp", "-displayfd"]
        os.environ["DISPLAY"] = f":{self._serving(*words)}"
        words = ["dbus-daemon", "--session", "--nofork", "--print-address"]
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = self._serving(*words)
        self._start(["openbox"])
        self.folder = Path(tempfile.mkdtemp(prefix="window-"))
        self._inside = str(self.folder / "inside")
        self._log = (self.folder / "gimp.log").open("wb")

    def _start(self, words, **more):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._programs.append(subprocess.Popen(words, **{**quiet, **more}))

    def _serving(self, *words):
        """Start a server which says where it listens to the file whose number is its last word."""
        read, write = os.pipe()
        self._start([*words, str(write)], pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as told:
            return told.readline().strip()

    # ----------------------------------------------------------------------------------- GIMP

    def open_gimp(self, inside, plug_ins, environment):
        """Start GIMP with a configuration of its own; it takes Python by `gimp` afterwards."""
        home = self.folder / "GIMP"
        home.mkdir()
        version = subprocess.check_output(["gimp", "--version"], text=True).split()[-1]
        (home / "gimprc").write_text(GIMPRC.format(version=version, plug_ins=plug_ins))
        code = f"exec(compile(open('{inside}').read(), 'inside', 'exec'))"
        words = ["gimp", "--no-splash", "--batch-interpreter", "python-fu-eval", "-b", code]
        told = {"GIMP3_DIRECTORY": str(home), "TRIPTYCH_INSIDE": self._inside, **environment}
        env = {**os.environ, **told}
        self._start(words, env=env, stdout=self._log, stderr=self._log)
        self._wait(lambda: self._asked("value = 1"), "GIMP's Python")
        self._xdotool("search", "--sync", "--onlyvisible", "--class", "^gimp", *PLACE)

    def gimp(self, source):
        """Execute Python in GIMP; what it left in `value`."""
        answer = self._asked(source)
        if answer is None:
            raise RuntimeError("GIMP does not listen: " + self.log())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def _asked(self, source):
        with socket.socket(socket.AF_UNIX) as speaker:
            try:
                speaker.connect(self._inside)
            except OSError:
                return None
            with speaker.makefile("rw", encoding="utf-8") as stream:
                stream.write(source + "\n\0\n")
                stream.flush()
                return json.loads(stream.readline())

    def log(self):
        """The end of what GIMP has printed."""
        return (self.folder / "gimp.log").read_text(errors="replace")[-4000:]

    def processes(self, pattern):
        """The numbers of the running processes with this in their command lines."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                with suppress(OSError):
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if re.search(pattern, words):
                        found.append(int(folder.name))
        return found

    def ended(self, pattern):
        """Wait until no such process is left; the seconds that took."""
        began = time.monotonic()
        self._wait(lambda: not self.processes(pattern), f"the end of {pattern}")
        return time.monotonic() - began

    # ----------------------------------------------------------------------------- the screen

    def _wait(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not (got := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f"waited in vain for {what}")
            time.sleep(LOOK)
        return got

    def _nodes(self, window):
        """What shows in the windows of that title."""
        while GLib.MainContext.default().iteration(False):  # what has changed since
            pass
        desktop = Atspi.get_desktop(0)
        for number in range(desktop.get_child_count()):
            with suppress(GLib.Error):  # it has gone, or works and does not answer
                program = desktop.get_child_at_index(number)
                for place in range(program.get_child_count() if program is not None else 0):
                    frame = program.get_child_at_index(place)
                    if frame is not None and re.search(window, frame.get_name() or ""):
                        yield from self._below(frame)

    def _below(self, node):
        yield node
        for place in range(node.get_child_count()):
            child = node.get_child_at_index(place)
            if child is not None and child.get_state_set().contains(Atspi.StateType.SHOWING):
                yield from self._below(child)

    def seen(self, window, role, name):
        """What shows of that role and name: [{"name", "box", "states"}], boxes on the screen."""
        found = []
        with suppress(GLib.Error, AttributeError):  # it may go while it is looked at
            for node in self._nodes(window):
                told = (node.get_role_name(), node.get_name() or "")
                if re.fullmatch(role, told[0]) and re.search(name, told[1]):
                    box = node.get_extents(Atspi.CoordType.SCREEN)
                    states = [one.value_nick for one in node.get_state_set().get_states()]
                    place = [box.x, box.y, box.width, box.height]
                    found.append({"name": told[1], "box": place, "states": states})
        return found

    def found(self, window, role, name):
        """The first of them, as soon as there is one that can be used."""

        def usable():
            return [one for one in self.seen(window, role, name) if "sensitive" in one["states"]]

        return self._wait(usable, f"{role} {name!r} in {window!r}")[0]

    def gone(self, window):
        """Wait until no window of that title is left."""
        self._wait(lambda: not list(self._nodes(window)), f"the end of {window!r}")

    def tree(self, window):
        """All that shows there, for whoever writes a test."""
        return [
            [node.get_role_name(), node.get_name(), str(node.get_extents(0).x)]
            for node in self._nodes(window)
        ]

    def point(self, x, y):
        """Move the pointer there, by way of the place beside it: menus follow its moves."""
        self._xdotool("mousemove", str(x - 1), str(y), "mousemove", str(x), str(y))

    def click(self, x, y):
        """Press the pointer's button there."""
        self.point(x, y)
        self._xdotool("click", "1")

    def drag(self, x, y, across, down):
        """Move what is there with the pointer's button pressed, and leave across it, before a
        tooltip hides it."""
        self.point(x, y)
        moves = [("mousemove_relative", "--", str(across // 4), str(down // 4))] * 4
        self._xdotool("mousedown", "1", *sum(moves, ()), "mouseup", "1")
        self.point(x, y)
        self.point(*ASIDE)

    def write(self, text):
        """Type a text."""
        self._xdotool("type", "--delay", "60", text)

    def key(self, *keys):
        """Press keys, one after the other."""
        self._xdotool("key", "--delay", "60", *keys)

    def _xdotool(self, *words):
        done = subprocess.run(["xdotool", *words], capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise RuntimeError(f"xdotool {words}: {done.stdout}{done.stderr}")

    def picture(self, path):
        """Save the screen as PNG."""
        self._shot(0, 0, *map(int, SIZE.split("x"))).savev(path, "png", [], [])

    def look(self, box):
        """What that part of the screen is, as a number for comparing."""
        return hash(self._shot(*box).get_pixels())

    def changed(self, box, before):
        """Wait until that part looks otherwise; the seconds that took."""
        began = time.monotonic()
        self._wait(lambda: self.look(box) != before, f"a change in {box}")
        return time.monotonic() - began

    def _shot(self, x, y, width, height):
        root = Gdk.get_default_root_window()
        return Gdk.pixbuf_get_from_window(root, x, y, width, height)

    def close(self):
        """End all programs."""
        for program in reversed(self._programs):
            program.kill()
            program.wait()


desktop = Desktop()

import gi  # after the screen is there

gi.require_version("Atspi", "2.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Atspi, Gdk, GLib

Atspi.set_timeout(500, 500)  # milliseconds: a plug-in that paints answers nothing

try:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": getattr(desktop, request["do"])(*request["with"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
finally:
    desktop.close()
