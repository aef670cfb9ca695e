import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from triptych.errors import UserError
from triptych.music import listen
from triptych.music.score import Score, Track, notes

MISSING = [
    name
    for name, found in (("FluidSynth", listen.fluidsynth()), ("a soundfont", listen.soundfont()))
    if not found
]
needs_sound = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")

BEATS = [0.5, 1.5, 3.0]
SCORE = Score((Track(notes([(beat, 0.25, 38, 120) for beat in BEATS]), drums=True),), length=4)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which neither FluidSynth nor a soundfont is; an empty folder on its PATH."""
    monkeypatch.setattr(listen, "_PROGRAMS", ())
    monkeypatch.setattr(listen, "_SOUNDFONTS", ())
    monkeypatch.setattr(listen, "user_data", lambda: tmp_path / "data")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("TRIPTYCH_SOUNDFONT", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


@needs_sound
def test_what_is_written_is_heard_when_it_should_be(tmp_path: Path) -> None:
    listen.render(SCORE, tmp_path / "beat.wav")
    with wave.open(str(tmp_path / "beat.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        rate = file.getframerate()
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert len(heard) / rate >= 2
    level = np.abs(heard.astype(float)).max(axis=1)
    assert 0.85 < level.max() / 32767 < 0.95
    for beat in BEATS:
        at = round(beat * 0.5 * rate)
        before, after = level[at - rate // 50 : at - 64], level[at : at + rate // 20]
        assert after.max() > 5 * max(before.max(), 100)


@needs_sound
def test_a_broken_soundfont_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.sf2"
    broken.write_bytes(b"RIFF....sfbk")
    monkeypatch.setenv("TRIPTYCH_SOUNDFONT", str(broken))
    with pytest.raises(UserError, match=r"no sound with .*broken\.sf2"):
        listen.render(SCORE, tmp_path / "beat.wav")
    assert not (tmp_path / "beat.wav").exists()


def test_what_is_missing_is_said(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="apt install fluidsynth"):
        listen.render(SCORE, tmp_path / "beat.wav")
    monkeypatch.setattr(listen, "fluidsynth", lambda: sys.executable)
    with pytest.raises(UserError, match=r"name its \.sf2 file"):
        listen.render(SCORE, tmp_path / "beat.wav")
    monkeypatch.setenv("TRIPTYCH_SOUNDFONT", str(tmp_path / "none.sf2"))
    with pytest.raises(UserError, match="there is no file"):
        listen.render(SCORE, tmp_path / "beat.wav")
    with pytest.raises(UserError, match="lasts 100 minutes"):
        listen.render(Score((), length=12_000), tmp_path / "beat.wav")


def test_the_users_soundfont_comes_first(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system 2"
    monkeypatch.setattr(listen, "_SOUNDFONTS", (str(tmp_path / "system*"), "~/none"))
    assert listen.soundfont() is None
    for path in (system / "Piano.sf2", system / "FluidR3_GM.sf2", system / "default-GM.sf3"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert listen.soundfont() == (None if path.stem == "Piano" else path)
    own = tmp_path / "data" / "soundfonts" / "mine.sf2"
    own.parent.mkdir(parents=True)
    own.touch()
    assert listen.soundfont() == own
    monkeypatch.setenv("TRIPTYCH_SOUNDFONT", str(system / "Piano.sf2"))
    assert listen.soundfont() == system / "Piano.sf2"


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands for the program")
def test_a_program_that_hangs_or_fails_is_ended(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some.sf2").touch()
    program = bare / "fluidsynth"

    def script(text: str) -> None:
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    script("echo no such driver >&2; exit 3")
    with pytest.raises(UserError, match=r"failed with the soundfont .*: no such driver"):
        listen._samples(b"", str(program), tmp_path / "some.sf2", 10)
    script("exec /bin/sleep 60")
    with pytest.raises(UserError, match="does not come to an end"):
        listen._samples(b"", str(program), tmp_path / "some.sf2", 0.3)
