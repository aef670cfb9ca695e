"""Which port is chosen, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.errors import UserError
from triptych_bridge import ports
from triptych_bridge.handle import PlayerProcess

ALSA = ["Midi Through:Midi Through Port-0 14:0", "Triptych out:midi 129:0", "Keys:out 130:0"]
JACK = ["system:midi_capture_1", "Triptych out:midi", "ardour:Triptych out"]
WINDOWS = ["Keys 0", "loopMIDI Port 1", "loopMIDI Port 1 2"]
OWN = ["Triptych out"]


def test_a_port_is_found_by_a_part_of_its_name():
    assert ports.choose("keys", ALSA, OWN) == 2
    assert ports.choose("capture", JACK, OWN) == 0
    assert ports.choose("Keys", ["Keys 2", "Keys"], OWN) == 1


def test_our_own_output_is_never_an_input():
    for listed in (ALSA, JACK[:2], ["Triptych out"]):
        with pytest.raises(UserError, match="hear itself"):
            ports.choose("Triptych", listed, OWN)
    assert ports.choose("Triptych", JACK, OWN) == 2  # another program's port of that name


def test_a_port_that_is_not_there_is_named_with_its_neighbours():
    with pytest.raises(UserError, match=r"'Kays'; choose from Keys:out 130:0, Midi"):
        ports.choose("Kays", ALSA, OWN)
    with pytest.raises(UserError, match="there is none at all"):
        ports.choose("Keys", ["Triptych out"], OWN)


def test_loopmidi_takes_the_place_of_virtual_ports():
    assert ports.choose_loop(WINDOWS, []) == 1
    # An output's number in the list differs from that of the same port as an input.
    assert ports.choose_loop(WINDOWS, ["loopMIDI Port 3"]) == 2
    with pytest.raises(UserError, match="only one port"):
        ports.choose_loop(WINDOWS[:2], ["loopMIDI Port 0"])
    with pytest.raises(UserError, match="install loopMIDI"):
        ports.choose_loop(WINDOWS[:1], [])


def test_without_a_midi_system_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    if Path("/dev/snd/seq").exists():
        pytest.skip("there is an ALSA sequencer")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "there-is-no-such-server")
    with pytest.raises(UserError, match=r"there is no MIDI system here: [^.]*[.]$"):
        ports.list_ports()
    with pytest.raises(UserError, match=r"there is no MIDI system here: [^.]*[.]$"):
        PlayerProcess()
