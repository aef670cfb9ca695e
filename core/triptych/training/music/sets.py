"""The free music that the recipes train on, with its licences and where it comes from."""

from __future__ import annotations

from pathlib import Path

from triptych.training import data


def _midi(path: Path, licence: str, title: str, origin: str, note: str = "") -> data.Source:
    return data.open_source(path, licence, title=title, origin=origin, note=note, kind="MIDI file")


def irish(root: Path) -> data.Source:
    """Irish dance tunes, one voice each."""
    return _midi(
        root / "music/irish_cre/cre_midi.tar.xz",
        "CC-BY-4.0",
        "Ceol Rince na hEireann: Irish dance tunes",
        "github.com/polifonia-project/folk_ngram_analysis, cre_corpus",
        "Polifonia project (Danny Diamond et al.); transcribed by Bill Black",
    )


def hymnal(root: Path) -> data.Source:
    """Hymns, a track for each voice."""
    return _midi(
        root / "music/open_hymnal/open_hymnal_abc.tar.xz",
        "public domain",
        "Open Hymnal",
        "github.com/mzealey/openhymnal (openhymnal.org)",
    )


def chorales(root: Path) -> data.Source:
    """Bach's chorales on a grid of sixteenths, four voices; the training split."""
    return data.open_source(
        root / "music/jsb_chorales/jsb_chorales_json.tar.xz",
        "public domain",
        title="JSB Chorales, training split",
        origin="github.com/czhuang/JSB-Chorales-dataset",
        note="J. S. Bach; encoded by M. Allan and C. Williams; split by N. Boulanger-Lewandowski",
        kind="table",
        keep=lambda name: name.endswith("Jsb16thSeparated.json"),
    )


def lieder(root: Path) -> data.Source:
    """Songs of the 19th century: voice and piano."""
    return _midi(
        root / "music/openscore_lieder/openscore_lieder_midi_lyrics.tar.xz",
        "CC0-1.0",
        "OpenScore Lieder Corpus",
        "github.com/OpenScore/Lieder",
        "openscore.cc; musescore.com/openscore-lieder-corpus",
    )


def quartets(root: Path) -> data.Source:
    """String quartets, a track for each instrument."""
    return _midi(
        root / "music/openscore_string_quartets/openscore_string_quartets_midi.tar.xz",
        "CC0-1.0",
        "OpenScore String Quartets",
        "github.com/OpenScore/StringQuartets",
    )


def mutopia(root: Path) -> data.Source:
    """Classical, baroque, romantic, ragtime and folk pieces."""
    return _midi(
        root / "music/mutopia/mutopia_midi.tar.xz",
        "public domain and CC-BY-2.5/3.0/4.0",
        "Mutopia Project",
        "github.com/MutopiaProject/MutopiaProject (mutopiaproject.org)",
        "rendered with LilyPond; CC BY pieces credit their maintainers, whom the set's index names",
    )


def freedoom(root: Path) -> data.Source:
    """Rock, metal, electronic and ambient music for a whole band."""
    return _midi(
        root / "music/freedoom_music/freedoom_midi.tar.xz",
        "BSD-3-Clause",
        "Freedoom soundtrack",
        "github.com/freedoom/freedoom, musics",
        "contributors to the Freedoom project, named in its CREDITS-MUSIC",
    )


def lmms(root: Path) -> data.Source:
    """Electronic music."""
    return _midi(
        root / "music/lmms_electronic/lmms_demos_midi.tar.xz",
        "CC-BY, BSD and Artistic-2.0",
        "LMMS demo projects",
        "github.com/LMMS/lmms, data/projects",
        "converted from projects (modified); the author begins each file's name",
    )


def groove(root: Path) -> data.Source:
    """Drumming with its velocity and timing."""
    return _midi(
        root / "music/groove_midi/groove_v1_midi.tar.xz",
        "CC-BY-4.0",
        "Groove MIDI Dataset v1.0.0",
        "magenta.tensorflow.org/datasets/groove",
        "Jon Gillick, Adam Roberts, Jesse Engel, Douglas Eck, David Bamman (Google LLC)",
    )
