"""A studio without a screen or a sound card: JACK, FluidSynth and Ardour in the root of the hosts.

All of its programs run in one namespace that lives as long as the studio, for JACK's server and
its clients meet in /dev/shm and know each other by process numbers. Triptych's Python runs in it
too, on the machine's own root and with the machine's own libraries: the wheel of python-rtmidi
brings its libjack, and asks no more of the machine than ALSA's library.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mido
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
        # Before all other programs (-R -P), and waiting for its clients in each period (-S).
        words = "jackd -R -P 80 -S -d dummy"
        self.start(*words.split(), "-r", str(RATE), "-p", str(PERIOD))
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

    def python(self) -> Path:
        """A program that runs Triptych's Python in the studio."""
        path = self.folder / "python"
        words = [*self.place.outside(), sys.executable]
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        path.chmod(0o755)
        return path

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

    def losses(self) -> int:
        """How often JACK did not get the machine in time, and its clock lost some."""
        return (self.folder / "log").read_text("utf-8", "replace").count("XRun")


class Synth:
    """FluidSynth, dry, so that a note's beginning is heard where it is."""

    port = "synth:midi_00"

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        dry = ["-R", "0", "-C", "0"]
        names = ["-o", "midi.jack.id=synth", "-o", "audio.jack.id=synth"]
        studio.start("fluidsynth", "-is", "-a", "jack", "-m", "jack", *dry, *names, SOUNDS)
        until(lambda: self.port in studio.ports(), "FluidSynth")

    @contextmanager
    def recorded(self, path: Path, seconds: int) -> Iterator[None]:
        """Write what it plays to a WAVE file, from before the block on; so many seconds in all."""
        sides = ["synth:left", "synth:right"]
        words = ["-f", f"/host{path}", "-d", str(seconds), "-b", "16", *sides]
        recorder = self.studio.start("jack_rec", *words)
        until(lambda: any(p.startswith("jackrec") for p in self.studio.ports()), "the recorder")
        yield
        assert recorder.wait(seconds + 20) == 0, self.studio.said()


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
        self.session = self.folder / "take.ardour"
        assert self.session.is_file(), studio.said()
        osc = '<Protocol name="Open Sound Control (OSC)" active='
        self.session.write_text(self.session.read_text().replace(f'{osc}"0"', f'{osc}"1"'))
        library = "/usr/lib/ardour8"
        paths = {"LD_LIBRARY_PATH": library, "ARDOUR_DLL_PATH": library}
        paths |= {"ARDOUR_DATA_PATH": "/usr/share/ardour8", "ARDOUR_CONFIG_PATH": "/etc/ardour8"}
        program = next(studio.place.root.glob("usr/lib/ardour8/hardour-*"))
        studio.start(f"{library}/{program.name}", f"/host{self.folder}", "take", **paths)
        until(lambda: "ardour:gen/midi_in 1" in studio.ports(), "Ardour's track")
        until(address.read_text, "Ardour's OSC")
        port = re.findall(r":(\d+)", address.read_text())[-1]
        self.osc = SimpleUDPClient("127.0.0.1", int(port), timeout=5)
        # Strips are MIDI tracks only: ours is 1. Answers go to where the question came from.
        self.tell("/set_surface", 0, 2, 0, 0, 0, 0, 0)

    def tell(self, address: str, *values: int) -> None:
        """Send a command."""
        self.osc.send_message(address, values)

    def stop(self, sample: int = 0) -> None:
        """Stand at a sample."""
        self.tell("/transport_stop")
        until(lambda: self.ask("/transport_speed") == 0, "Ardour's stop")
        self.tell("/locate", sample, 0)
        until(lambda: self.ask("/transport_frame") == sample, f"sample {sample} in Ardour")

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record on the track from the beginning on, for as long as the block."""
        self.stop()
        known = self.takes()
        self.tell("/strip/recenable", 1, 1)
        until(lambda: self.strip()[-1] == 1, "the track's arming")
        self.tell("/rec_enable_toggle")  # Ardour leaves it when it stops
        until(lambda: self.ask("/record_enabled") == 1, "Ardour's recording")
        self.tell("/transport_play")
        yield
        self.stop()
        self.tell("/save_state")  # the file's times are true only from then on
        until(lambda: self.takes() != known, "Ardour's take")

    def ask(self, address: str) -> Any:
        """The answer to a question."""
        self.osc.send_message(address, [])
        while data := self.osc.receive():
            message = OscMessage(data)
            if message.address == address:
                return message.params[0]
        raise AssertionError(f"Ardour does not answer {address}: {self.studio.said()}")

    def strip(self) -> list[Any]:
        """What it tells of our track."""
        self.tell("/strip/list")
        while data := self.osc.receive():
            if data.startswith(b"#reply"):  # no address for python-osc
                data = data.replace(b"#", b"/", 1)
                if len(told := OscMessage(data).params) > 4:
                    return told
        raise AssertionError(f"Ardour tells of no track: {self.studio.said()}")

    def takes(self) -> list[str]:
        """The files of the saved session's takes."""
        return re.findall(r'<Source name="([^"]+[.]mid)"', self.session.read_text("utf-8"))

    def recorded(self) -> list[tuple[float, int, int]]:
        """The beginning (beats), pitch and velocity of each note in the file of the last take."""
        [path] = self.folder.rglob(f"midifiles/{self.takes()[-1]}")
        file, at, notes = mido.MidiFile(path), 0, []
        for message in file.tracks[0]:
            at += message.time
            if message.type == "note_on" and message.velocity:
                notes.append((at / file.ticks_per_beat, message.note, message.velocity))
        return notes


def until(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)
