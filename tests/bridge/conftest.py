"""Ableton Live's double, and the bridge with models that have learned nothing."""

import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine is no failure: the benchmarks time what must be in time.
settings.register_profile("triptych", deadline=None)
settings.load_profile("triptych")


def beside(name: str) -> Any:
    """A module of this folder; pytest imports none from a test's folder."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def ableton_double() -> Any:
    return beside("ableton_double").AbletonDouble


@pytest.fixture
def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.bind(("", 0))
        port: int = trial.getsockname()[1]
    return port


@pytest.fixture
def start_live(ableton_double: Any, free_port: int) -> Iterator[Callable[..., Any]]:
    """Starts a double of Live that answers to `free_port`."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Any:
            return stack.enter_context(ableton_double(free_port, **{"tick": 0.002, **settings}))

        yield start


LONG = 60.0  # seconds: only a hang takes as long


class Session:
    """A bridge without ports at work in a thread, what it sent and what it said."""

    def __init__(self, **arguments: Any) -> None:
        from triptych_bridge.bridge import Bridge

        self.reports: list[Any] = []
        self.said: list[str] = []
        self.bridge = Bridge(None, None, echo=True, **arguments)
        self.bridge.reported = self.reports.append
        self.bridge.said = self.said.append
        self._thread = threading.Thread(target=self.bridge.run)
        self._thread.start()

    def do(self, order: Callable[[], None]) -> None:
        """Have the bridge do it, and wait until it has."""
        done = threading.Event()
        self.bridge.post(order)
        self.bridge.post(done.set)
        assert done.wait(LONG)

    def set(self, place: str, value: Any) -> None:
        self.do(lambda: self.bridge.set(f"/triptych/{place}", value))

    def hear(self, *message: int) -> None:
        """What the player would report if this came in now."""
        from triptych_bridge.protocol import Heard

        bridge = self.bridge
        heard = Heard(message, time.perf_counter(), bridge.stage.now)
        self.do(lambda: bridge._take(heard))

    def play_phrase(self, pitches: list[int], beats: float = 0.5, channel: int = 0) -> None:
        """Notes of so many beats, one after the other, as a musician plays them."""
        for pitch in pitches:
            self.hear(0x90 | channel, pitch, 90)
            time.sleep(beats * 60 / self.bridge.stage.tempo)
            self.hear(0x80 | channel, pitch, 64)

    @property
    def sent(self) -> list[Any]:
        return [r for r in list(self.reports) if type(r).__name__ == "Sent"]

    @property
    def begun(self) -> list[tuple[float, int]]:
        """Beat and pitch of each note that was begun; for a steady tempo."""
        state = self.bridge.stage.state
        assert state is not None
        return [
            (state.beat + (r.deadline - state.time) * state.tempo / 60, r.message[1])
            for r in self.sent
            if r.message[0] & 0xF0 == 0x90
        ]

    def wait_for(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + LONG
        while not true():
            assert time.monotonic() < end, f"it did not happen; said: {self.said[-3:]}"
            time.sleep(0.01)

    def close(self) -> None:
        """End it; every note must have ended."""
        self.bridge.stop()
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        self.bridge.close()
        sounding: set[tuple[int, int]] = set()
        for report in self.sent:
            kind, key = report.message[0] & 0xF0, (report.message[0] & 0xF, report.message[1])
            if kind == 0x90:
                assert key not in sounding
                sounding.add(key)
            elif kind == 0x80:
                sounding.remove(key)
        assert not sounding
        assert not [said for said in self.said if "mistake" in said]


@pytest.fixture
def session() -> Iterator[Callable[..., Session]]:
    """Starts bridges; at the end all notes of each must have ended."""
    with ExitStack() as stack:

        def start(**arguments: Any) -> Session:
            made = Session(**arguments)
            stack.callback(made.close)
            return made

        yield start


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user data folder of its own."""
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user data folder with the bundles `wild` (score) and `gaps` (infill)."""
    import torch

    from triptych.training.loop import Run
    from triptych.training.music.event_net import EventNet
    from triptych.training.music.infill import InfillRecipe, InfillSettings
    from triptych.training.music.infill_net import InfillNet
    from triptych.training.music.score import ScoreRecipe, ScoreSettings

    class SmallScore(ScoreRecipe):
        def sources(self) -> list[Any]:
            return []

        def validate(self, net: torch.nn.Module) -> dict[str, float]:
            return {}

    class SmallInfill(InfillRecipe):
        def sources(self) -> list[Any]:
            return []

        def validate(self, net: torch.nn.Module) -> dict[str, float]:
            return {}

    folder = tmp_path_factory.mktemp("user")
    torch.manual_seed(0)
    run = Run(folder / "run")
    SmallScore(ScoreSettings("wild")).export(
        {"net": EventNet(32, 1)}, run, folder / "bundles" / "wild"
    )
    SmallInfill(InfillSettings("gaps")).export(
        {"net": InfillNet(32, 1)}, run, folder / "bundles" / "gaps"
    )
    return folder


MODELS = {"melody": "wild", "continue": "wild", "infill": "gaps", "accompany": "gaps"}


@pytest.fixture
def playing(
    wild: Path, session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Session]:
    """Starts bridges that play at 240 bpm with those models."""
    monkeypatch.setenv("TRIPTYCH_USER_DATA", str(wild))

    def start(**arguments: Any) -> Session:
        made = session(**arguments)
        for task, model in MODELS.items():
            made.set(f"{task}/model", model)
        made.set("tempo", 240.0)
        made.do(made.bridge.play)
        made.wait_for(lambda: made.bridge.stage.playing)
        return made

    return start
