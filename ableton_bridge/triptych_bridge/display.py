"""The bridge's state in the terminal, drawn anew a few times a second."""

from __future__ import annotations

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from triptych_bridge.bridge import Source, Status

_EDGES = ("0.5", "1", "2", "3", "5")  # ms, of Lateness.histogram
_CLOCKS: dict[Source, str] = {
    "internal": "internal clock",
    "midi": "MIDI clock",
    "link": "Ableton Link",
    "live": "Ableton Live's clock",
}
_WIDTH = 24  # characters of the longest bar


def drawn(status: Status, osc_port: int, watched: str | None) -> Panel:
    """A panel with ports, tempo, place, mode, notes, lateness and the last sentence."""
    state = status.state
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()

    def row(name: str, text: str) -> None:
        table.add_row(name, Text(text))

    row("MIDI out", status.output or "none")
    row("MIDI in", status.input or "none")
    row("OSC", f"UDP port {osc_port}")
    if watched:
        row("folder", watched)
    row("mode", status.mode + (" (making notes)" if status.making else ""))
    if state is not None:
        count, unit = state.metre
        tempo = f"{state.tempo:.1f} bpm" if state.valid else "no clock comes in"
        row("tempo", f"{tempo}, {count}/{unit}, {_CLOCKS[status.clock]}")
        if status.clock == "link":
            row("Link", f"{state.peers} other programs" if state.peers else "nobody else yet")
        place = f"{status.bar}.{int(status.beat)}"
        row("place", place if state.playing else f"{place} (stopped)")
        row("notes", f"{status.held} held, {state.sounding} sounding, {state.pending} to come")
        if status.late or state.dropped:
            row("too late", f"{status.late + state.dropped} left out")
        if status.restarts:
            row("model", f"restarted {status.restarts} times")
    rows: list[Table | Text] = [table]
    if state is not None and state.lateness.count:
        rows += [Text(""), _histogram(status)]
    if status.advice:
        rows += [Text(""), Text(status.advice, style="dim")]
    if status.sentence:
        rows += [Text(""), Text(status.sentence)]
    return Panel(Group(*rows), title="Triptych", subtitle="Ctrl-C ends")


def _histogram(status: Status) -> Table:
    """How late messages left, in ms."""
    assert status.state is not None
    counts, summary = status.state.histogram, status.state.lateness
    names = [f"< {_EDGES[0]} ms", *(f"< {edge} ms" for edge in _EDGES[1:]), f"≥ {_EDGES[-1]} ms"]
    table = Table.grid(padding=(0, 2))
    table.add_row(
        Text("late", style="dim"),
        Text(f"p99 {summary.p99 * 1e3:.2f} ms, worst {summary.worst * 1e3:.2f} ms"),
    )
    for name, count in zip(names, counts, strict=False):
        table.add_row(
            Text(name, style="dim"),
            Text("█" * -(-count * _WIDTH // max(*counts, 1)) + f" {count}"),
        )
    return table
