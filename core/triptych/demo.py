"""`make demo`: what ships (a photograph, a beat) through the commands, and a page with the results.

`python -m triptych.demo [FOLDER]` runs the command lines that the page prints, so that each
picture can be made again by copying the line below it.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from triptych import __version__, cli
from triptych.bundle import Bundle, find_bundles
from triptych.errors import UserError
from triptych.files import write_whole

PHOTOGRAPH = Path(__file__).parent / "data" / "bay.jpg"
BEAT = Path(__file__).parent / "data" / "beat.mid"
_SEEDS = (("landscape", 11, "A landscape"), ("coast", 10, "A coast"), ("abstract", 3, "Abstract"))
_MORE = 256  # px that the photograph is extended by on the left and on the right
_PART = (540, 120, 1020, 480)  # of the photograph: left, top, right, bottom
# A scribble over it, as shares of its width and height.
_SCRIBBLE = ((0.05, 0.35), (0.2, 0.62), (0.32, 0.3), (0.48, 0.68), (0.6, 0.33), (0.78, 0.75))
_FRESH = ("--fading", "0.9", "--yellowing", "0.9", "--noise", "0.8", "--scratches", "0.8")
# Pictures that differ most from each other, by a word of their title; others fill the gaps.
_SHOWN = (
    *("starry night", "great wave", "composition vii", "scream", "water lilies", "the kiss"),
    *("grande jatte", "red chalk", "manner of vincent"),
)


@dataclass(frozen=True)
class Figure:
    """One picture of the page: its file in the folder, what it shows, the command behind it.

    `beside` is the file of a small picture that stands beside the caption, `sound` one to be
    listened to, `drawn` the mesh or the score that the picture shows.
    """

    file: str
    title: str
    text: str = ""
    command: str = ""
    beside: str = ""
    sound: str = ""
    drawn: str = ""


@dataclass
class Section:
    """A row of figures under a heading; `wide` shows them large."""

    title: str
    text: str
    figures: list[Figure] = field(default_factory=list)
    wide: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the demo into a folder (default `out`); returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    folder = Path(words[0] if words else "out")
    begun = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PHOTOGRAPH, folder / "photograph.jpg")
        sections = [*style_sections(folder), dream_section(folder)]
        sections += [fill_section(folder), extend_section(folder), restore_section(folder)]
        sections += [larger_section(folder), synthesis_section(folder)]
        sections += [material_section(folder), shape_section(folder)]
        sections += [tune_section(folder), drum_section(folder)]
        taken = time.perf_counter() - begun
        commands = {figure.command for section in sections for figure in section.figures}
        count = len(commands - {""})  # a material's maps are of one
        note = f"Triptych {__version__} made these {count} works in {taken:.0f} seconds."
        write_whole(folder / "index.html", page(sections, note).encode())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot write the demo into {folder}: {error}.", file=sys.stderr)
        return 2
    print(f"{note}\nOpen {folder / 'index.html'} in a browser.")
    return 0


def style_sections(folder: Path) -> list[Section]:
    """Runs the style commands into `folder` and returns what the page says of them."""
    chosen = _chosen()
    presets = [preset for _, preset in chosen]
    first, second = presets[0], presets[min(1, len(presets) - 1)]
    a, b = first["name"], second["name"]

    def style(
        file: str, title: str, text: str, *options: str, beside: str = "", layers: str = "2"
    ) -> Figure:
        options = (*options, "--layers", layers)
        _run("style", folder / "photograph.jpg", folder / file, *options)
        command = ["triptych", "style", "photograph.jpg", "-o", file, *options]
        return Figure(file, title, text, shlex.join(command), beside)

    def by(preset: dict[str, Any]) -> str:
        return ", ".join(str(preset[key]) for key in ("artist", "year") if preset.get(key))

    photograph = Figure("photograph.jpg", "The photograph", "A bay, 1024 x 576 pixels, CC0.")
    styles = Section("Styles", "One small network, and a set of numbers for each style.")
    for bundle, preset in chosen:
        name = preset["name"]
        stem = name.replace("/", "-")
        beside = ""
        if preset.get("thumbnail"):
            painting = bundle.file(preset["thumbnail"])
            beside = f"painting-{stem}{painting.suffix}"
            shutil.copyfile(painting, folder / beside)
        words = ["--style", name]
        figure = style(f"style-{stem}.jpg", preset["title"], by(preset), *words, beside=beside)
        styles.figures.append(figure)
    blend = Section("A blend", f"From {first['title']} to {second['title']}, by weight.")
    for part in (100, 75, 50, 25, 0):
        mix = [f"{n}:{w / 100:g}" for n, w in ((a, part), (b, 100 - part)) if w]
        options = [word for one in mix for word in ("--mix", one)]
        title = f"{part} : {100 - part}"
        blend.figures.append(style(f"blend-{part:03}.jpg", title, "", *options))
    strength = Section("Strength", "From the photograph to the full style.")
    for value in ("0.25", "0.5", "0.75", "1"):
        words = ["--style", a, "--strength", value]
        strength.figures.append(style(f"strength-{value}.jpg", value, "", *words))
    layers = Section("Layers", "Broad strokes come first, finer ones over them.")
    for value in ("1", "2", "3"):
        layers.figures.append(style(f"layers-{value}.jpg", value, "", "--style", a, layers=value))
    colour = Section("Colours of the photograph", "The brush of the painter, the colours as shot.")
    for preset in (first, second):
        name = preset["name"]
        file = f"colour-{name.replace('/', '-')}.jpg"
        words = ["--style", name, "--keep-colour", "luminance"]
        colour.figures.append(style(file, preset["title"], "colours kept", *words))

    sheet = Section("All styles", "What the command “triptych styles” lists.", wide=True)
    if cli.main(["styles", "-o", str(folder / "styles.png"), "--overwrite"]):
        raise UserError("the demo stopped at the contact sheet: `triptych doctor` may say why.")
    sheet.figures.append(Figure("styles.png", "", "", "triptych styles -o styles.png"))
    return [
        Section("", "", [photograph], wide=True),
        styles,
        blend,
        strength,
        layers,
        colour,
        sheet,
    ]


def dream_section(folder: Path) -> Section:
    """Runs `dream` into `folder`."""
    made = Section("A dream", "What a network sees in the photograph, amplified.", wide=True)
    words = ["--motif", "eyes"]
    _run("dream", folder / "photograph.jpg", folder / "dream.jpg", *words)
    command = shlex.join(["triptych", "dream", "photograph.jpg", "-o", "dream.jpg", *words])
    made.figures.append(Figure("dream.jpg", "Eyes", "One of fourteen motifs.", command))
    return made


def fill_section(folder: Path) -> Section:
    """Runs `inpaint` on the photograph with a scribble over it into `folder`."""
    made = Section("Filled", "What is painted over is filled anew.")
    with Image.open(PHOTOGRAPH) as photograph:
        picture = photograph.convert("RGB")
    wide, high = picture.size
    mask = Image.new("L", picture.size)
    points = [(x * wide, y * high) for x, y in _SCRIBBLE]
    ImageDraw.Draw(mask).line(points, 255, max(3, wide // 32), "curve")
    mask.save(folder / "mask.png")
    picture.paste((220, 40, 40), mask=mask)
    picture.save(folder / "scribbled.png")
    words = ["--mask", "mask.png"]
    _run("inpaint", folder / "scribbled.png", folder / "filled.jpg", "--mask", folder / "mask.png")
    command = shlex.join(["triptych", "inpaint", "scribbled.png", "-o", "filled.jpg", *words])
    made.figures += [
        Figure("scribbled.png", "Painted over", ""),
        Figure("filled.jpg", "By “triptych inpaint”", "", command, beside="mask.png"),
    ]
    return made


def extend_section(folder: Path) -> Section:
    """Runs `extend` on the photograph into `folder`."""
    made = Section("Extended", "The same bay with more of it on both sides.", wide=True)
    words = ["--left", str(_MORE), "--right", str(_MORE)]
    _run("extend", folder / "photograph.jpg", folder / "extended.jpg", *words)
    command = shlex.join(["triptych", "extend", "photograph.jpg", "-o", "extended.jpg", *words])
    made.figures.append(Figure("extended.jpg", "By “triptych extend”", "", command))
    return made


def restore_section(folder: Path) -> Section:
    """Runs `restore` on a part of the photograph, aged and scratched, into `folder`."""
    made = Section("Restored", "Scratches are found and filled, grain goes, colours come back.")
    with Image.open(PHOTOGRAPH) as photograph:
        part = photograph.convert("RGB").crop(_PART)
    aged(part).save(folder / "aged.png")
    _run("restore", folder / "aged.png", folder / "restored.png", *_FRESH)
    command = shlex.join(["triptych", "restore", "aged.png", "-o", "restored.png", *_FRESH])
    made.figures += [
        Figure("aged.png", "Aged", "Faded, yellowed, grainy and scratched, by this demo."),
        Figure("restored.png", "By “triptych restore”", "", command),
    ]
    return made


def aged(picture: Image.Image) -> Image.Image:
    """The picture as an old print: faded, yellowed, grainy, scratched and dusty."""
    rng = np.random.default_rng(5)
    values = np.asarray(picture, np.float32) / 255
    values = (0.12 + 0.7 * values) * np.array([1, 0.93, 0.74], np.float32)
    values += 0.03 * rng.standard_normal((*values.shape[:2], 1), np.float32)
    made = Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))
    drawn, (wide, high) = ImageDraw.Draw(made), made.size
    for _ in range(9):
        x, y = rng.random(2) * (wide, high)
        across, bend = rng.uniform(-6, 6), rng.uniform(-0.4, 0.4)
        points = [
            (x + across * at + bend * at**2, y + 14 * at) for at in range(int(rng.integers(4, 14)))
        ]
        drawn.line(points, (236, 229, 205), int(rng.integers(1, 4)))
    for _ in range(25):
        x, y = rng.random(2) * (wide, high)
        size = rng.uniform(1, 3)
        drawn.ellipse((x - size, y - size, x + size, y + size), (236, 229, 205))
    return made


def larger_section(folder: Path) -> Section:
    """Runs `upscale` on a part of the photograph into `folder`, beside plain interpolation."""
    text = "A part of the photograph, made four times smaller and then larger again."
    made = Section("Larger", text)
    with Image.open(PHOTOGRAPH) as photograph:
        part = photograph.convert("RGB").crop(_PART)
    small = part.resize((part.width // 4, part.height // 4), Image.Resampling.BICUBIC)
    small.save(folder / "small.png")
    small.resize(part.size, Image.Resampling.BICUBIC).save(folder / "interpolated.png")
    part.save(folder / "part.png")
    words = ["--scale", "4"]
    _run("upscale", folder / "small.png", folder / "larger.png", *words)
    command = shlex.join(["triptych", "upscale", "small.png", "-o", "larger.png", *words])
    made.figures += [
        Figure("interpolated.png", "By interpolation", "Bicubic, as image editors do it."),
        Figure("larger.png", "By “triptych upscale”", "", command, beside="small.png"),
        Figure("part.png", "As it was", "What the small picture was made from."),
    ]
    return made


def synthesis_section(folder: Path) -> Section:
    """Runs `synthesize` into `folder`: seeds of three domains."""
    made = Section("From nothing", "New pictures of a domain and a seed.")
    for domain, seed, title in _SEEDS:
        options = ["--domain", domain, "--seed", str(seed)]
        target = f"{domain}.png"
        _run("synthesize", None, folder / target, *options)
        command = shlex.join(["triptych", "synthesize", "-o", target, *options])
        made.figures.append(Figure(target, title, "", command))
    return made


def material_section(folder: Path) -> Section:
    """Runs `material` into `folder`: some that are invented, one with all its maps."""
    made = Section("Materials", "Tiles without seams, with relief; made of a class and a seed.")

    def material(kind: str, *shown: tuple[str, str]) -> None:
        target = folder / kind
        options = ["--seed", "3", "-o"]
        if cli.main(["material", kind, *options, str(target), "--overwrite", "--quiet"]):
            raise UserError(f"the demo stopped at {kind}: `triptych doctor` may say why.")
        print(target)
        command = shlex.join(["triptych", "material", kind, *options, kind])
        made.figures += [Figure(f"{kind}/{map_}.png", title, "", command) for map_, title in shown]

    maps = [("colour", "Bricks"), ("normal", "The same: normals"), ("height", "The same: height")]
    material("bricks", *maps)
    for kind, title in (("marble", "Marble"), ("planks", "Planks"), ("terrazzo", "Terrazzo")):
        material(kind, ("colour", title))
    return made


def shape_section(folder: Path) -> Section:
    """Runs `shape` into `folder`: a chair, another one, what is between, one with a material."""
    made = Section("Shapes", "Solids in metres, closed and with texture coordinates, as GLB files.")
    cross = ["cross", "chair.glb", "other.glb"]
    figures = [
        ("chair", "A chair", ["chair", "--seed", "101"]),
        ("other", "Another chair", ["chair", "--seed", "105"]),
        ("crossed", "A crossing of both", cross),
        ("planked", "The same, of planks", [*cross, "--material", "planks"]),
    ]
    for name, title, words in figures:
        given = [str(folder / word) if word.endswith(".glb") else word for word in words]
        drawn = folder / f"{name}.png"
        options = ["-o", str(folder / f"{name}.glb"), "--picture", str(drawn)]
        if cli.main(["shape", *given, *options, "--overwrite", "--quiet"]):
            raise UserError(f"the demo stopped at {name}.glb: `triptych doctor` may say why.")
        print(folder / f"{name}.glb")
        command = shlex.join(["triptych", "shape", *words, "-o", f"{name}.glb"])
        made.figures.append(Figure(drawn.name, title, "", command, drawn=f"{name}.glb"))
    return made


def tune_section(folder: Path) -> Section:
    """Runs the commands that make tunes into `folder`; sounds are made where FluidSynth is."""
    made = Section("A tune", "Made note by note, in the key and metre that were asked for.")
    jig = ["melody", "--key", "D", "--metre", "6/8", "--seed", "1"]
    song = ["melody", "--key", "F", "--collection", "hymn", "--highest", "77"]
    figures: list[tuple[str, str, str, list[str], str]] = [
        ("tune", "A jig in D", "", jig, ""),
        ("longer", "How it might go on", "", ["continue"], "tune.mid"),
        ("song", "A tune in F", "", song, ""),
        ("choir", "The same in four voices", "", ["harmonise", "--collection", "hymn"], "song.mid"),
        ("strings", "With strings", "", ["accompany", "--band", "strings"], "song.mid"),
    ]
    made.figures += [_score_figure(folder, *figure) for figure in figures]
    return made


def drum_section(folder: Path) -> Section:
    """Runs the drum commands into `folder`; sounds are made where FluidSynth is."""
    made = Section(
        "Drums", "A beat on the grid, as a drummer would play it; and a drum kit from a rhythm."
    )
    shutil.copyfile(BEAT, folder / "beat.mid")
    text = "On the grid, every hit as loud as the others."
    figures: list[tuple[str, str, str, list[str]]] = [
        ("beat", "The beat", text, []),
        ("humanised", "With a drummer's feel", "", ["groove"]),
        ("funk", "Played as funk", "", ["groove", "--style", "funk", "--variation", "1"]),
        ("drumified", "A kit from the rhythm", "", ["drumify"]),
    ]
    made.figures += [_score_figure(folder, *figure, "beat.mid") for figure in figures]
    return made


def _score_figure(
    folder: Path, name: str, title: str, text: str, words: list[str], source: str
) -> Figure:
    """Runs the command `words` from the score `source` (or none), draws and plays what it makes."""
    from triptych.music import listen, midi, roll

    made, drawn, command, sound = f"{name}.mid", f"{name}.png", "", ""
    if words:
        task, *options = words
        given = [source] if source else []
        taken = folder / source if source else None
        _run(task, taken, folder / made, *options, "--plot", folder / drawn)
        command = shlex.join(["triptych", task, *given, "-o", made, *options])
    else:
        roll.piano_roll(midi.load(folder / made)).save(folder / drawn)
    if listen.fluidsynth() is not None and listen.soundfont() is not None:
        sound = f"{name}.wav"
        listen.render(midi.load(folder / made), folder / sound)
    return Figure(drawn, title, text, command, sound=sound, drawn=made)


def _run(task: str, source: Path | None, target: Path, *options: str | Path) -> None:
    given = [] if source is None else [str(source)]
    words = [task, *given, "-o", str(target), *map(str, options), "--overwrite", "--quiet"]
    if cli.main(words):
        raise UserError(f"the demo stopped at {target.name}: `triptych doctor` may say why.")
    print(target)


def _chosen() -> list[tuple[Bundle, dict[str, Any]]]:
    """Nine styles of those that are installed, the most unlike ones first."""
    known = [(bundle, preset) for bundle in find_bundles("style") for preset in bundle.card.presets]
    if not known:
        raise UserError("no style is installed: `triptych doctor` says why.")
    shown: list[tuple[Bundle, dict[str, Any]]] = []
    for word in _SHOWN:
        shown += [one for one in known if word in one[1]["title"].casefold()][:1]
    rest = [one for one in known if one not in shown]
    return (shown + rest)[: len(_SHOWN)]


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Triptych</title>
<style>
:root {{ color-scheme: light dark; --paper: #faf9f6; --ink: #201f1e; --grey: #76726c; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #191817; --ink: #eceae6; --grey: #9b968e; }}
}}
body {{ margin: 0 auto; max-width: 1240px; padding: 3rem 1.5rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 2.4rem; font-weight: 300; letter-spacing: .02em; margin: 0; }}
h2 {{ font-size: 1.4rem; font-weight: 400; margin: 3.5rem 0 0; }}
p {{ color: var(--grey); margin: .2rem 0 1.2rem; max-width: 44rem; }}
.row {{ display: grid; gap: 1.6rem 1.2rem;
  grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }}
@media (max-width: 760px) {{ .row {{ grid-template-columns: minmax(0, 1fr); }} }}
figure {{ margin: 0; }}
img {{ display: block; width: 100%; height: auto; border-radius: 3px; }}
figcaption {{ padding-top: .5rem; font-size: .92rem; line-height: 1.35; }}
figcaption {{ display: flex; gap: .7rem; }}
figcaption img {{ width: 3.6rem; height: 3.6rem; object-fit: cover; flex: none; }}
audio {{ width: 100%; height: 2rem; margin-top: .3rem; }}
figcaption span {{ color: var(--grey); display: block; }}
details {{ color: var(--grey); font-size: .8rem; margin-top: .15rem; }}
summary {{ cursor: pointer; }}
code {{ display: block; font: .78rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere;
  user-select: all; }}
a {{ color: inherit; }}
footer {{ color: var(--grey); font-size: .9rem; margin-top: 4rem; }}
</style>
<h1>Triptych</h1>
<p>Generative models inside the tools that artists already use.</p>
{body}
<footer>{note} Each says how it was made: <code>triptych about FILE</code></footer>
</html>
"""


def page(sections: Sequence[Section], note: str) -> str:
    """The HTML page: one file beside its pictures, without scripts."""
    parts = []
    for section in sections:
        if section.title:
            parts.append(f"<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>")
        count = len(section.figures)
        columns = 1 if section.wide else count if count in (2, 4, 5) else 3
        figures = "\n".join(map(_figure, section.figures))
        parts.append(f'<div class="row" style="--columns: {columns}">\n{figures}\n</div>')
    return _PAGE.format(body="\n".join(parts), note=escape(note))


def _figure(figure: Figure) -> str:
    file, title = escape(figure.file, quote=True), escape(figure.title)
    text = f"<span>{escape(figure.text)}</span>" if figure.text else ""
    command = (
        f"<details><summary>command</summary><code>{escape(figure.command)}</code></details>"
        if figure.command
        else ""
    )
    sound = ""
    if figure.sound:
        sound = f'<audio controls src="{escape(figure.sound, quote=True)}"></audio>'
    drawn = ""
    if figure.drawn:
        name = escape(figure.drawn, quote=True)
        drawn = f'<span><a href="{name}">{name}</a></span>'
    beside = f'<img src="{escape(figure.beside, quote=True)}" alt="">' if figure.beside else ""
    return (
        f'<figure><a href="{file}"><img src="{file}" alt="{escape(figure.title, quote=True)}">'
        f"</a><figcaption>{beside}<div>{title}{text}{drawn}{sound}{command}</div></figcaption></figure>"
    )


if __name__ == "__main__":
    sys.exit(main())
