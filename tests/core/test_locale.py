"""The catalogues of the hosts' texts: complete, up to date, and read by the client."""

import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.mofile import read_mo

from triptych import client, install
from triptych.locale import catalogue

CATALOGUES = sorted(install.LOCALE.glob("*/LC_MESSAGES/triptych.po"))


@pytest.fixture
def english() -> Iterator[None]:
    """The client speaks English again afterwards."""
    yield
    client.speak(install.LOCALE, ["en"])


def fields(text: str) -> set[str]:
    """The places in a text that are filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.parent.name)
def test_a_catalogue_is_complete(path: Path):
    held = {m.id: m.string for m in catalogue.updated(path) if m.id}
    assert len(held) > 80
    for text, said in held.items():
        assert said, f"not translated: {text}"
        assert fields(str(text)) == fields(str(said)), text
    with path.with_suffix(".mo").open("rb") as file:
        compiled = {m.id: m.string for m in read_mo(file) if m.id}
    assert compiled == held, "run `python -m triptych.locale.catalogue`"


def test_the_client_speaks_the_language_that_it_is_told(english: None):
    client.speak(install.LOCALE, ["zh_CN.UTF-8", "zh_CN", "zh"])
    assert client.translated("Strength") == "强度"
    assert client.translated("") == ""
    with pytest.raises(client.WorkerError, match="无法启动"):
        client.Worker(["no such program"])
    client.speak(install.LOCALE, ["xx"])
    assert client.translated("Strength") == "Strength"
