"""The plug-in in a real GIMP 3; what is checked there stands in `gimp_checks.py`."""

import re
from pathlib import Path
from typing import Any

import pytest

CHECKS = Path(__file__).with_name("gimp_checks.py")
NAMES = re.findall(r"^def check_(\w+)", CHECKS.read_text(), re.MULTILINE)


@pytest.fixture(scope="session")
def results(gimp: Any) -> dict[str, str]:
    """What GIMP said to each check."""
    text = gimp.console(CHECKS)
    assert "CHECKS END" in text, text[-3000:]
    return dict(re.findall(r"^CHECK (\w+): (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_in_gimp(results: dict[str, str], name: str):
    assert results.get(name) == "ok"
