"""The kinds of file that tasks read and write: pictures, films, scores, meshes; materials, which
are folders of maps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.errors import UserError
from triptych.image.picture import WRITABLE
from triptych.provenance import Provenance

MIDI = (".mid", ".midi")
Place = tuple[int, int] | None


@dataclass(frozen=True)
class Medium:
    """How a kind of thing lies in files.

    `noun` is what an error calls it; `readable` are the endings that are taken from a folder (a
    file that is named may have any), `writable` those that can be written, of which `default` takes
    the place of another; `advice` names them. `load(path)` gives what a task takes, and what
    `save(made, loaded, path, record, place)` needs to keep the rest of the file (None where a task
    started from nothing; `place` is that of `Task.place`); it returns a sentence for each thing
    that could not be kept. `views` are other
    forms in which a result can be seen or heard, by name.
    """

    noun: str
    readable: Collection[str]
    writable: Collection[str]
    default: str
    advice: str
    load: Callable[[Path], tuple[Any, Any]]
    save: Callable[[Any, Any, Path, Provenance | None, Place], tuple[str, ...]]
    views: Mapping[str, View] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """Another form of a result, written beside it by `save(made, path, record)`."""

    help: str
    ending: str
    save: Callable[[Any, Path, Provenance | None], None]


def _load_picture(path: Path) -> tuple[Any, Any]:
    from triptych.image import picture

    opened = picture.load(path)
    return opened.pixels, opened


def _save_picture(
    made: Any, opened: Any, path: Path, record: Provenance | None, place: Place
) -> tuple[str, ...]:
    from triptych.image import picture

    whole = picture.Picture(made) if opened is None else opened.with_size_of(made, place)
    return whole.notes + picture.save(whole, path, record)


def _load_film(path: Path) -> tuple[Any, Any]:
    raise UserError(f"{path.name}: films are written, not read.")


def _save_film(
    made: Any, opened: Any, path: Path, record: Provenance | None, place: Place
) -> tuple[str, ...]:
    from triptych.image import film

    film.save(made, path, record)
    return ()


def _load_score(path: Path) -> tuple[Any, Any]:
    from triptych.music import midi

    return midi.load(path), None


def _save_score(
    made: Any, opened: Any, path: Path, record: Provenance | None, place: Place
) -> tuple[str, ...]:
    from triptych.music import midi

    midi.save(made, path, record)
    return ()


def _plot(made: Any, path: Path, record: Provenance | None) -> None:
    import numpy as np

    from triptych.image import picture
    from triptych.music.roll import piano_roll

    pixels = np.asarray(piano_roll(made).convert("RGB"), np.float32) / np.float32(255)
    picture.save(picture.Picture(pixels), path, record)


def _listen(made: Any, path: Path, record: Provenance | None) -> None:
    from triptych.music.listen import render

    render(made, path)


def _load_mesh(path: Path) -> tuple[Any, Any]:
    from triptych.shape import files

    return files.load(path), None


def _save_mesh(
    made: Any, opened: Any, path: Path, record: Provenance | None, place: Place
) -> tuple[str, ...]:
    from triptych.shape import files

    return files.save(made, path, record)


def _draw(made: Any, path: Path, record: Provenance | None) -> None:
    from triptych.image import picture
    from triptych.shape.render import rendered

    picture.save(picture.Picture(rendered(made, 768)), path, record)


def _turn(made: Any, path: Path, record: Provenance | None) -> None:
    from triptych.image import film
    from triptych.shape.render import turntable

    film.save(turntable(made), path, record)


def _load_material(path: Path) -> tuple[Any, Any]:
    from triptych.image import material

    return material.load(path), None


def _save_material(
    made: Any, opened: Any, path: Path, record: Provenance | None, place: Place
) -> tuple[str, ...]:
    from triptych.image import material

    material.save(made, path, record)
    return ()


MEDIA = {
    "picture": Medium(
        "picture",
        frozenset({*WRITABLE, ".bmp", ".gif", ".avif", ".jp2", ".ppm", ".tga", ".psd"}),
        tuple(WRITABLE),
        ".png",
        "end it in .png, .jpg, .webp or .tif",
        _load_picture,
        _save_picture,
    ),
    "film": Medium(
        "film",
        frozenset(),
        (".webp", ".png", ".mp4"),
        ".webp",
        "end it in .webp, .png or .mp4",
        _load_film,
        _save_film,
    ),
    "score": Medium(
        "MIDI file",
        frozenset({*MIDI, ".kar", ".rmi"}),
        MIDI,
        ".mid",
        "end it in .mid",
        _load_score,
        _save_score,
        {
            "plot": View("draw it as a piano roll", ".png", _plot),
            "listen": View("play it into a sound file (needs fluidsynth)", ".wav", _listen),
        },
    ),
    "mesh": Medium(
        "mesh",
        frozenset({".glb", ".obj", ".ply", ".stl", ".gltf", ".off"}),
        (".glb", ".obj", ".ply", ".stl"),
        ".glb",
        "end it in .glb, .obj, .ply or .stl",
        _load_mesh,
        _save_mesh,
        {
            "picture": View("draw it", ".png", _draw),
            "turntable": View("draw it from all sides, as a film", ".webp", _turn),
        },
    ),
    "material": Medium(
        "material",
        frozenset(),
        ("",),
        "",
        "name a folder, without an ending",
        _load_material,
        _save_material,
    ),
}
"""By what a task's `input` or `output` says."""
