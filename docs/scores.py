"""README's piano rolls: `python docs/scores.py`."""

from __future__ import annotations

from pathlib import Path

from PIL.Image import Dither

from triptych.demo import BEAT
from triptych.music.midi import load
from triptych.music.roll import piano_roll
from triptych.task import get_task

HERE = Path(__file__).parent


def main() -> None:
    """Write docs/tune.png, choir.png, beat.png and played.png."""
    beat = load(BEAT)
    played = get_task("groove").run(beat).made
    tune = get_task("melody").run(key="D", metre="6/8", seed=1).made
    song = get_task("melody").run(key="F", collection="hymn", highest=77, seed=0).made
    choir = get_task("harmonise").run(song, collection="hymn", seed=1).made
    figures = {"tune": tune, "choir": choir, "beat": beat, "played": played}
    for name, score in figures.items():
        piano_roll(score).quantize(64, dither=Dither.NONE).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
