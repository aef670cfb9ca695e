"""README's pictures of the beat that ships: `python docs/drums.py`."""

from __future__ import annotations

from pathlib import Path

from triptych.demo import BEAT
from triptych.music.midi import load
from triptych.music.roll import piano_roll
from triptych.task import get_task

HERE = Path(__file__).parent


def main() -> None:
    """Write docs/beat.png and docs/played.png."""
    beat = load(BEAT)
    played = get_task("groove").run(beat).made
    for name, score in (("beat", beat), ("played", played)):
        piano_roll(score).convert("P", colors=64).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
