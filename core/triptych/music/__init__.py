"""Music: scores, melodies, drums and groove; read, made and written as MIDI."""
