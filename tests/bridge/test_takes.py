"""What was played, kept as MIDI files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triptych import cli
from triptych.music import midi
from triptych_bridge.midi import Note
from triptych_bridge.takes import Takes


def test_each_time_from_start_to_stop_is_a_file(
    session: Callable[..., Any], user: Path, tmp_path: Path
):
    said: list[str] = []
    folder = tmp_path / "takes"
    folder.mkdir()
    takes = Takes(folder, said.append)
    made = session()
    heard = made.bridge.reported

    def hear(report: Any) -> None:
        heard(report)
        takes.hear(report)

    made.bridge.reported = hear
    made.set("tempo", 300.0)
    made.set("metre", "3/4")
    made.do(made.bridge.play)
    made.wait_for(lambda: made.bridge.stage.playing)
    made.do(lambda: made.bridge.player.play([Note(2.5, 0.5, 60, 90), Note(3.25, 0.5, 36, 70, 9)]))
    made.wait_for(lambda: made.bridge.stage.now > 4)
    made.do(lambda: made.bridge.player.play([Note(5.0, 900.0, 62, 80)]))
    made.wait_for(lambda: made.bridge.stage.now > 6)
    made.do(lambda: made.bridge.locate(30.0))  # what sounds ends, and a new take begins
    made.do(lambda: made.bridge.player.play([Note(31.5, 0.25, 64, 80)]))
    made.wait_for(lambda: len(made.sent) >= 8)
    made.do(made.bridge.halt)
    made.wait_for(lambda: len(said) == 2)
    takes.close()
    names = [sentence.removeprefix("the take is ").removesuffix(".") for sentence in said]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    first, second = (midi.load(folder / name) for name in names)
    pitched, drums = first.tracks
    assert [n["pitch"] for n in pitched.notes] == [60, 62]
    assert pitched.notes["start"].tolist() == pytest.approx([2.5, 5.0], abs=0.01)
    assert pitched.notes["duration"][0] == pytest.approx(0.5, abs=0.01)
    assert 0.5 < pitched.notes["duration"][1] < 30
    assert (drums.drums, drums.notes["pitch"].tolist()) == (True, [36])
    assert first.metres[0][1:] == (3, 4)
    assert first.tempi[0][1] == pytest.approx(300)
    assert second.tracks[0].notes["start"].tolist() == pytest.approx([31.5], abs=0.01)


def test_no_folder_is_one_sentence(capsys: pytest.CaptureFixture[str], user: Path):
    words = ["--output", "none", "--input", "none", "--osc-port", "0", "--record", "nowhere"]
    assert cli.main(["bridge", *words]) == 2
    assert "no folder nowhere for takes" in capsys.readouterr().err
