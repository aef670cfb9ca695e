"""Sound for a score, by FluidSynth and a General MIDI soundfont where they are installed."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from triptych.bundle import user_data
from triptych.errors import UserError, one_line
from triptych.files import shown, write_whole
from triptych.music import midi
from triptych.music.score import Score, check_score

SAMPLE_RATE = 44100
LONGEST = 1800.0
"""The longest piece that is rendered, in seconds: 318 MB."""

# A program that a desktop started does not have the shell's PATH.
_PROGRAMS = ("/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin", r"C:\tools\fluidsynth\bin")
_SOUNDFONTS = (
    *("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts"),
    *("/usr/local/share/soundfonts", "/opt/homebrew/share/soundfonts"),
    *("~/.local/share/soundfonts", "~/.local/share/sounds/sf2"),
    *("~/Library/Audio/Sounds/Banks", "/Library/Audio/Sounds/Banks"),
    *("~/Documents/SoundFonts", "~/Music/SoundFonts", r"C:\soundfonts"),
    *("/usr/share/mscore*/sound", "/Applications/MuseScore*.app/Contents/Resources/sound"),
    r"C:\Program Files\MuseScore*\sound",
)
# Others lie there too, of a piano alone for example.
_GENERAL = re.compile(r"gm|general|fluid|musescore|ms.basic|sgm|arachno|titanic", re.IGNORECASE)


def fluidsynth() -> str | None:
    """The path of the FluidSynth program, None where it is not installed."""
    places = [os.environ.get("PATH", os.defpath), *_PROGRAMS]
    return shutil.which("fluidsynth", path=os.pathsep.join(places))


def soundfont() -> Path | None:
    """The General MIDI soundfont to play with, None where there is none.

    The environment variable TRIPTYCH_SOUNDFONT names one (.sf2, .sf3); else the user's own in the
    folder `soundfonts` of Triptych's data comes before those in the usual places.

    Raises:
        UserError: TRIPTYCH_SOUNDFONT names no file.
    """
    named = os.environ.get("TRIPTYCH_SOUNDFONT")
    if named:
        if not Path(named).is_file():
            raise UserError(
                f"TRIPTYCH_SOUNDFONT names {shown(named)}, where there is no file: correct it."
            )
        return Path(named)
    own = user_data() / "soundfonts"
    return next((path for path in _fonts(own) if path.is_file()), None)


def _fonts(own: Path) -> Iterator[Path]:
    """Soundfonts, the best first: the user's, then the system's choice, then any general one."""
    yield from sorted(own.glob("*.sf[23]"))
    found: list[Path] = []
    for place in _SOUNDFONTS:
        folder = Path(place).expanduser()
        if folder.is_absolute():  # not Windows' places elsewhere
            pattern = str(folder.relative_to(folder.anchor))
            found += sorted(Path(folder.anchor).glob(f"{pattern}/*.sf[23]"))
    general = [path for path in found if _GENERAL.search(path.stem)]
    yield from sorted(general, key=lambda path: not path.stem.lower().startswith("default"))


def render(score: Score, path: str | os.PathLike[str]) -> None:
    """Write how a score sounds as a WAV file (stereo, 16 bits, 44.1 kHz); all or nothing.

    The loudest moment is just below full scale.

    Raises:
        UserError: FluidSynth or a soundfont is missing, or fails; the piece lasts longer than
            LONGEST; the file cannot be written.
    """
    check_score(score)
    lasts = float(score.seconds(score.length))
    if lasts > LONGEST:
        raise UserError(
            f"the score lasts {lasts / 60:.0f} minutes; at most {LONGEST / 60:.0f} can be heard: "
            "cut it."
        )
    program, font = fluidsynth(), soundfont()
    if program is None:
        raise UserError(
            "listening needs FluidSynth: install it (Debian, Ubuntu: `apt install fluidsynth`; "
            "macOS: `brew install fluid-synth`; Windows: `choco install fluidsynth`)."
        )
    if font is None:
        raise UserError(
            "listening needs a General MIDI soundfont: install one (Debian, Ubuntu: `apt install "
            "fluid-soundfont-gm`) or name its .sf2 file in the variable TRIPTYCH_SOUNDFONT."
        )
    samples = _samples(midi.encode(score), program, font, timeout=60 + lasts)
    peak = float(np.abs(samples).max(initial=0))
    if score.count and peak < 1e-5:  # it goes on without a soundfont that it cannot read
        raise UserError(
            f"FluidSynth makes no sound with {shown(font)}: name another soundfont in the variable "
            "TRIPTYCH_SOUNDFONT."
        )
    samples *= 0.9 * 32767 / max(peak, 1e-5)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(samples.astype("<i2").tobytes())
    write_whole(path, file.getbuffer())


def _samples(data: bytes, program: str, font: Path, timeout: float) -> np.ndarray:
    """float32, left and right in turn."""
    with tempfile.TemporaryDirectory(prefix="triptych-") as folder:
        source, sound = Path(folder, "score.mid"), Path(folder, "score.raw")
        source.write_bytes(data)
        options = ["-n", "-i", "-q", "-r", str(SAMPLE_RATE), "-T", "raw", "-O", "float"]
        # Else it plays with a soundfont of its own where it cannot read the one that is asked for.
        options += ["-E", "little", "-F", str(sound), "-o", "synth.default-soundfont="]
        try:
            done = subprocess.run(
                [program, *options, str(font.absolute()), str(source)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,  # it takes about a tenth of what the piece lasts
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except subprocess.TimeoutExpired:
            raise UserError("FluidSynth does not come to an end: try another soundfont.") from None
        except OSError as error:
            raise UserError(f"FluidSynth cannot be started: {one_line(error)}.") from None
        if done.returncode or not sound.is_file():
            said = one_line(done.stderr or done.stdout) or f"status {done.returncode}"
            raise UserError(f"FluidSynth failed with the soundfont {shown(font)}: {said}")
        return np.fromfile(sound, "<f4")
