"""The command `triptych bridge`: everything put together, until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from triptych.errors import UserError
from triptych.files import shown
from triptych_bridge import ports
from triptych_bridge.bridge import METRE, MODE, TEMPO, Bridge, Source
from triptych_bridge.control import Control
from triptych_bridge.display import drawn
from triptych_bridge.live import Live
from triptych_bridge.live_orders import LiveOrders
from triptych_bridge.maker import Maker
from triptych_bridge.takes import Takes
from triptych_bridge.watch import Watch

OSC_PORT = 9600
_LOOK = 0.1  # seconds between two looks at the state
_NO_PORT = "none"  # asks for no port
_JOINED = (
    "the bridge is in the Link session: start a program whose Start Stop Sync is on, or send "
    "/triptych/play."
)
_WATCHED = 600.0  # seconds that a file may take


@dataclass(frozen=True)
class Options:
    """As the command line gives them; None leaves a parameter as it is declared.

    `output` and `input` are names of ports, "virtual" or "none"; `settings` are "GROUP/NAME=VALUE";
    `feedback` is HOST:PORT of those who are told of all changes.
    """

    output: str = ports.VIRTUAL
    input: str = ports.VIRTUAL
    mode: str | None = None
    clock: str = "internal"
    lead: bool = False
    tempo: str | None = None
    metre: str | None = None
    osc_host: str = "127.0.0.1"
    osc_port: int = OSC_PORT
    feedback: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    watch: Path | None = None
    task: str = "continue"
    record: Path | None = None
    live: bool = False
    display: bool = True


def list_ports() -> int:
    """Print the MIDI ports that can be opened; UserError where there is no MIDI system."""
    inputs, outputs = ports.list_ports()
    for kind, names in (("inputs", inputs), ("outputs", outputs)):
        print(f"{kind}:")
        for name in names or ["(none)"]:
            print(f"  {name}")
    return 0


def run(options: Options) -> int:
    """Play until Ctrl-C or SIGTERM; the exit status. UserError for what cannot be begun."""
    if options.clock not in get_args(Source):
        raise UserError(
            f"there is no clock {options.clock!r}: choose internal, midi, link or live."
        )
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        live = None
        if options.live or options.clock == "live":
            live = stack.enter_context(Live())
        bridge = Bridge(
            None if options.output == _NO_PORT else options.output,
            None if options.input == _NO_PORT else options.input,
            cast(Source, options.clock),
            options.lead,
            echo=options.record is not None,
            live=live if options.clock == "live" else None,
        )
        if options.record is not None:
            _record(options.record, bridge, stack)
        stack.callback(bridge.close)
        for place, value in _wanted(options):
            bridge.set(place, value)
        orders = {}
        watch = None
        if options.watch is not None or options.live:
            maker = Maker(threads=None, limit=_WATCHED)  # files must not keep the music waiting
            stack.callback(maker.close)
        if options.watch is not None:
            watch = stack.enter_context(
                contextlib.closing(_watch(options.watch, options.task, bridge, maker))
            )
        in_live = None
        if options.live and live is not None:
            in_live = stack.enter_context(contextlib.closing(LiveOrders(bridge, maker, live)))
            orders = in_live.orders
        control = Control(bridge, options.osc_host, options.osc_port, _peers(options), orders)
        stack.callback(control.close)
        if in_live is not None:
            in_live.tell = control.tell
        thread = threading.Thread(target=_run, args=(bridge, over), daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(bridge.stop)
        if bridge.clock == "internal":
            bridge.post(bridge.play)
        elif bridge.clock == "link":
            _later(bridge, _JOINED)
        with _until_told(over), _shown(options, bridge, control, watch) as show:
            while not over.wait(_LOOK):
                show()
    if bridge.failure:
        raise UserError(bridge.failure)
    return 0


def _run(bridge: Bridge, over: threading.Event) -> None:
    try:
        bridge.run()
    finally:
        over.set()


def _wanted(options: Options) -> Iterator[tuple[str, Any]]:
    """Addresses and values of what the options set; the mode last, which needs the others."""
    for word in options.settings:
        place, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"--set {word} has no value: write --set GROUP/NAME=VALUE.")
        yield f"/triptych/{place.strip('/')}", _value(value)
    for place, given in ((TEMPO, options.tempo), (METRE, options.metre), (MODE, options.mode)):
        if given is not None:
            yield place, given


def _value(text: str) -> Any:
    """A value as a word of the command line says it."""
    return {"true": True, "yes": True, "false": False, "no": False}.get(text.casefold(), text)


def _peers(options: Options) -> list[tuple[str, int]]:
    found = []
    for word in options.feedback:
        host, _, port = word.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise UserError(f"--feedback {word} is no HOST:PORT, such as 192.168.1.20:9000.")
        found.append((host, int(port)))
    return found


def _watch(folder: Path, task: str, bridge: Bridge, maker: Maker) -> Watch:
    known = {t.name for t in bridge.settings.tasks.values() if t.input == "score"}
    if task not in known:
        raise UserError(
            f"--task {task} takes no MIDI file: choose from {', '.join(sorted(known))}."
        )

    def chosen() -> tuple[str, Mapping[str, Any]]:
        return task, bridge.settings.of_task(task)

    return Watch(folder, maker.make, chosen, lambda text: _later(bridge, text))


def _record(folder: Path, bridge: Bridge, stack: contextlib.ExitStack) -> None:
    """Keep what is played; the last take is written when the bridge has closed."""
    try:
        takes = Takes(folder, lambda text: _later(bridge, text))
    except BaseException:
        bridge.close()
        raise
    bridge.reported = takes.hear

    def end() -> None:
        takes.say = print  # the bridge's own display is over
        takes.close()

    stack.callback(end)


def _later(bridge: Bridge, text: str) -> None:
    bridge.post(lambda: bridge.say(text))


@contextlib.contextmanager
def _until_told(over: threading.Event) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM set `over`; in the main thread alone can that be."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = [signal.SIGINT, signal.SIGTERM]
    before = {kind: signal.signal(kind, lambda *_: over.set()) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextlib.contextmanager
def _shown(
    options: Options, bridge: Bridge, control: Control, watch: Watch | None
) -> Iterator[Any]:
    """What draws the state; without a terminal, or a display, each sentence is a line."""
    folder = shown(watch.folder) if watch else None
    port = control.server.port
    if options.display and sys.stdout.isatty():
        import rich.live

        with rich.live.Live(drawn(bridge.status, port, folder), auto_refresh=False) as live:
            yield lambda: live.update(drawn(bridge.status, port, folder), refresh=True)
        return
    ready = bridge.player.ready
    assert ready is not None
    print(
        f"MIDI out: {ready.output or 'none'}; MIDI in: {ready.input or 'none'}; OSC: port {port}",
        flush=True,
    )
    if bridge.status.advice:
        print(bridge.status.advice, flush=True)
    bridge.said = lambda sentence: print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)
    yield lambda: None
