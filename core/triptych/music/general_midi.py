"""The names of General MIDI's programs and drums (MMA, General MIDI System Level 1)."""

PROGRAMS = (
    *("Grand Piano", "Bright Piano", "Electric Grand", "Honky-tonk Piano", "Electric Piano 1"),
    *("Electric Piano 2", "Harpsichord", "Clavinet", "Celesta", "Glockenspiel", "Music Box"),
    *("Vibraphone", "Marimba", "Xylophone", "Tubular Bells", "Dulcimer", "Drawbar Organ"),
    *("Percussive Organ", "Rock Organ", "Church Organ", "Reed Organ", "Accordion", "Harmonica"),
    *("Bandoneon", "Nylon Guitar", "Steel Guitar", "Jazz Guitar", "Clean Guitar"),
    *("Muted Guitar", "Overdriven Guitar", "Distorted Guitar", "Guitar Harmonics"),
    *("Acoustic Bass", "Fingered Bass", "Picked Bass", "Fretless Bass", "Slap Bass 1"),
    *("Slap Bass 2", "Synth Bass 1", "Synth Bass 2", "Violin", "Viola", "Cello", "Contrabass"),
    *("Tremolo Strings", "Pizzicato Strings", "Harp", "Timpani", "Strings 1", "Strings 2"),
    *("Synth Strings 1", "Synth Strings 2", "Choir Aahs", "Voice Oohs", "Synth Voice"),
    *("Orchestra Hit", "Trumpet", "Trombone", "Tuba", "Muted Trumpet", "French Horn", "Brass"),
    *("Synth Brass 1", "Synth Brass 2", "Soprano Sax", "Alto Sax", "Tenor Sax", "Baritone Sax"),
    *("Oboe", "English Horn", "Bassoon", "Clarinet", "Piccolo", "Flute", "Recorder"),
    *("Pan Flute", "Blown Bottle", "Shakuhachi", "Whistle", "Ocarina", "Square Lead"),
    *("Saw Lead", "Calliope Lead", "Chiff Lead", "Charang Lead", "Voice Lead", "Fifths Lead"),
    *("Bass and Lead", "New Age Pad", "Warm Pad", "Polysynth Pad", "Choir Pad", "Bowed Pad"),
    *("Metallic Pad", "Halo Pad", "Sweep Pad", "Rain", "Soundtrack", "Crystal", "Atmosphere"),
    *("Brightness", "Goblins", "Echoes", "Sci-fi", "Sitar", "Banjo", "Shamisen", "Koto"),
    *("Kalimba", "Bagpipe", "Fiddle", "Shanai", "Tinkle Bell", "Agogo", "Steel Drums"),
    *("Woodblock", "Taiko", "Melodic Tom", "Synth Drum", "Reverse Cymbal", "Fret Noise"),
    *("Breath Noise", "Seashore", "Bird", "Telephone", "Helicopter", "Applause", "Gunshot"),
)
"""The name of each program, from 0."""

DRUMS = dict(
    enumerate(
        (
            *("Kick 2", "Kick", "Side Stick", "Snare", "Clap", "Snare 2", "Low Floor Tom"),
            *("Closed Hat", "High Floor Tom", "Pedal Hat", "Low Tom", "Open Hat"),
            *("Low-Mid Tom", "High-Mid Tom", "Crash", "High Tom", "Ride", "China", "Ride Bell"),
            *("Tambourine", "Splash", "Cowbell", "Crash 2", "Vibraslap", "Ride 2", "High Bongo"),
            *("Low Bongo", "Mute Conga", "High Conga", "Low Conga", "High Timbale"),
            *("Low Timbale", "High Agogo", "Low Agogo", "Cabasa", "Maracas", "Short Whistle"),
            *("Long Whistle", "Short Guiro", "Long Guiro", "Claves", "High Woodblock"),
            *("Low Woodblock", "Mute Cuica", "Open Cuica", "Mute Triangle", "Open Triangle"),
        ),
        start=35,
    )
)
"""The name of each drum by its pitch, 35..81."""
