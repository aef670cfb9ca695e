"""Ableton Live's double: a fresh one for each test, on free ports."""

import importlib.util
import socket
import sys
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
