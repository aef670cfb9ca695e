"""Tasks on the clips of Ableton Live's double, by OSC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from triptych_bridge.control import Control
from triptych_bridge.live import Live
from triptych_bridge.live_orders import LiveOrders
from triptych_bridge.maker import Maker

Start = Callable[..., Any]
NOTES = [(60 + i % 5, i / 2, 0.5, 90, False) for i in range(8)]


def test_a_clip_is_continued_beside_it_tried_again_and_taken_back(
    playing: Start, start_live: Start, free_port: int, wild: Path
):
    double = start_live()
    slots = double.song.tracks[0].clip_slots
    slots[0].create_clip(4.0)
    slots[0].clip.add_new_notes(NOTES)
    made = playing()
    maker = Maker(threads=None)
    connection = Live(port=double.port, reply_port=free_port)
    live = LiveOrders(made.bridge, maker, connection)
    control = Control(made.bridge, orders=live.orders)
    live.tell = control.tell

    def order(name: str, *arguments: Any) -> str:
        before = len(made.said)
        made.do(lambda: control._obey(f"/triptych/live/{name}", arguments, ("127.0.0.1", 9)))
        made.wait_for(lambda: len(made.said) > before)
        return str(made.said[-1])

    assert "nothing was made" in order("try_again")
    assert "nothing to take back" in order("take_back")
    assert "a task is needed" in order("run")
    assert "did you mean 'continue'" in order("run", "continu")
    made.set("continue/bars", 1)
    assert order("run", "continue") == "continue seed 0 is in track 1, scene 2 of Live."
    assert slots[1].clip.name == "continue seed 0"
    assert slots[1].clip.length == 8
    kept = sorted((n[1], n[0]) for n in slots[1].clip.notes if n[1] < 4)
    assert kept == [(note[1], note[0]) for note in NOTES]
    assert "continue seed 1" in order("try_again")
    assert "continue seed 1 was taken back" in order("take_back")
    assert slots[1].has_clip
    assert not slots[2].has_clip
    assert len(slots[0].clip.notes) == len(NOTES)
    control.close()
    live.close()
    connection.close()
    maker.close()
