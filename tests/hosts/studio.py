"""A studio without a screen or a sound card: JACK, FluidSynth and Ardour in the root of the hosts.

All of its programs run in one namespace that lives as long as the studio, for JACK's server and
its clients meet in /dev/shm and know each other by process numbers. Triptych's Python runs in it
too, on the machine's own root and with the machine's own libraries: the wheel of python-rtmidi
brings its libjack, and asks no more of the machine than ALSA's library.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient

if TYPE_CHECKING:
    from tests.hosts.roots import Lasting

PACKAGES = "jackd2 jack-example-tools fluidsynth timgm6mb-soundfont ardour"
SOUNDS = "/usr/share/sounds/sf2/TimGM6mb.sf2"
RATE, PERIOD = 48000, 256
SESSION = """
AudioEngine:set_backend("JACK", "", "")
AudioEngine:start(0)
session = create_session("{folder}", "take", 48000)
midi, audio = ARDOUR.DataType("midi"), ARDOUR.DataType("audio")
session:new_midi_track(
    ARDOUR.ChanCount(midi, 1), ARDOUR.ChanCount(audio, 2), true, ARDOUR.PluginInfo(), nil, nil,
    1, "gen", 0xffffffff, ARDOUR.TrackMode.Normal, true)
session:save_state("")
close_session()
"""
SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour><Config><Option name="send-midi-clock" value="1"/></Config></Ardour>
"""


class Studio:
    """A JACK server and what is plugged into it."""

    def __init__(self, place: Lasting, folder: Path) -> None:
        self.place, self.folder = place, folder
        self.log = (folder / "log").open("w")
        # Before all other programs (-R), and waiting for its clients in each period (-S).
        self.start("jackd", "-R", "-S", "-d", "dummy", "-r", str(RATE), "-p", str(PERIOD))
        until(lambda: "system:playback_1" in self.ports(), "JACK's server")

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a program of the root; what it says goes to the log."""
        return subprocess.Popen(
            [*self.place.way(), *words],
            env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": f"/host{self.folder}", **environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            text=True,
        )

    def run(self, *words: str) -> str:
        """What a program of the root prints; it must succeed."""
        done = self.place.enter(*words, seconds=60)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}{self.said()}"
        return done.stdout

    def python(self, *words: str) -> Script:
        """Start a Python script with Triptych's Python."""
        return Script([*self.place.outside(), sys.executable, *words])

    def ports(self) -> list[str]:
        """What can be connected."""
        return self.place.enter("jack_lsp").stdout.splitlines()

    def connect(self, source: str, target: str) -> None:
        """Lead a port into another, when both are there."""
        until(lambda: {source, target} <= set(self.ports()), f"the ports {source}, {target}")
        self.run("jack_connect", source, target)

    def said(self) -> str:
        """The end of the log."""
        return (self.folder / "log").read_text("utf-8", "replace")[-3000:]


class Script:
    """A running script that prints lines of JSON."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.told: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, line: str = "") -> None:
        """Send it a line."""
        print(line, file=self.process.stdin, flush=True)

    def wait(self, key: str, value: Any = None, seconds: float = 20) -> dict[str, Any]:
        """The next line that has this key, and this value if one is given."""
        while True:
            line = self._lines.get(timeout=seconds)
            assert line, f"the script ended with {self.process.wait()} before it told of {key}"
            told = json.loads(line)
            self.told.append(told)
            if key in told and value in (None, told[key]):
                return told

    def close(self) -> None:
        """End its input, and with it the script."""
        self.process.communicate(timeout=20)


class Synth:
    """FluidSynth, dry, so that a note's beginning can be heard exactly."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        settings = "synth.reverb.active=0 synth.chorus.active=0 midi.jack.id=synth audio.jack.id=synth"
        words = [word for setting in settings.split() for word in ("-o", setting)]
        studio.start("fluidsynth", "-is", "-a", "jack", "-m", "jack", *words, SOUNDS)
        until(lambda: any(p.startswith("synth:") for p in studio.ports()), "FluidSynth")

    def ports(self) -> list[str]:
        return [p for p in self.studio.ports() if p.startswith("synth")]


class Ardour:
    """Ardour with one MIDI track."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.folder = studio, studio.folder / "take"
        script = studio.folder / "session.lua"
        script.write_text(SESSION.format(folder=f"/host{self.folder}"))
        home = studio.folder / ".config" / "ardour8"
        home.mkdir(parents=True)
        (home / "config").write_text(SETTINGS)
        address = home / "osc_url"
        address.touch()  # it writes only to a file that it finds
        studio.start("ardour8-lua", f"/host{script}").wait(60)  # it may crash at its very end
        session = self.folder / "take.ardour"
        assert session.is_file(), studio.said()
        osc = '<Protocol name="Open Sound Control (OSC)" active='
        session.write_text(session.read_text().replace(f'{osc}"0"', f'{osc}"1"'))
        library = "/usr/lib/ardour8"
        paths = {"LD_LIBRARY_PATH": library, "ARDOUR_DLL_PATH": library}
        paths |= {"ARDOUR_DATA_PATH": "/usr/share/ardour8", "ARDOUR_CONFIG_PATH": "/etc/ardour8"}
        program = next(studio.place.root.glob("usr/lib/ardour8/hardour-*"))
        studio.start(f"{library}/{program.name}", f"/host{self.folder}", "take", **paths)
        until(lambda: "ardour:gen/midi_in 1" in studio.ports(), "Ardour's track")
        until(address.read_text, "Ardour's OSC")
        port = re.findall(r":(\d+)", address.read_text())[-1]
        self.osc = SimpleUDPClient("127.0.0.1", int(port), timeout=5)
        self.osc.send_message("/set_surface", [0, 31, 0, 0, 0, 0, 0])  # answers where we ask

    def ask(self, address: str) -> Any:
        """The answer to a question."""
        self.osc.send_message(address, [])
        while data := self.osc.receive():
            message = OscMessage(data)
            if message.address == address:
                return message.params[0]
        raise AssertionError(f"Ardour does not answer {address}: {self.studio.said()}")


def until(true: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)
