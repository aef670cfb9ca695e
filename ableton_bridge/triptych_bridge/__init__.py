"""The bridge between Triptych and a DAW: MIDI ports, clock, OSC, Ableton Live."""
