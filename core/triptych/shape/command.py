"""The command `triptych shape`: the tasks on shapes under one name, several results at a time.

    triptych shape CATEGORY -o chair.glb            the task `shape`
    triptych shape --from a.png -o chair.glb        `shape_from_picture`
    triptych shape vary A -o other.glb              `vary_shape`
    triptych shape cross A B --steps 5 -o folder/   `cross_shapes`
    triptych shape like A B --rejected C -o more/   `shape_like`

Options come from the tasks' declarations; `triptych vary_shape` and the others work too.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from triptych import batch, cli
from triptych.engine import Engine
from triptych.errors import UserError
from triptych.files import shown
from triptych.media import MEDIA
from triptych.shape.mesh import Mesh
from triptych.task import Task, get_task

log = logging.getLogger("triptych")

_WORDS = {"vary": "vary_shape", "cross": "cross_shapes", "like": "shape_like"}
_SIZE = ("width", "depth", "height")
_FROM = "--from"
_MOST = 1000  # results of one command


def run(words: list[str]) -> int:
    """Does `triptych shape WORDS` and returns its exit status."""
    word = words[0] if words and words[0] in _WORDS else ""
    seen = not word and any(w == _FROM or w.startswith(f"{_FROM}=") for w in words)
    task = get_task("shape_from_picture" if seen else _WORDS.get(word, "shape"))
    parser = _parser(task, word)
    given = parser.parse(words[1:] if word else words)
    values = cli._values(task.describe(), given)
    if task.name == "shape":
        values["category"] = given.category
    elif seen:
        values |= {"image": given.image, "category": given.category}
    elif task.name == "shape_like":
        values["favourites"] = given.meshes
    elif task.name == "cross_shapes":
        values["other"] = given.meshes[1]
    if given.size:
        if taken := [name for name in _SIZE if name in values]:
            raise UserError(f"--size says what --{taken[0]} says: give one of them.")
        values |= {name: side for name, side in zip(_SIZE, given.size, strict=True) if side != "-"}
    values = task.check(values)
    source = given.meshes[0] if task.input == "mesh" else None
    plan = _plan(task, given, values)
    return _make(task, source, plan, given)


def _parser(task: Task, word: str) -> cli._Parser:
    declared = task.describe()
    parser = cli._Parser(f"shape {word}".rstrip(), declared["help"])
    hidden = {"category", "image", "other", "favourites"}
    if task.name in ("shape", "shape_from_picture"):
        seen = task.name != "shape"
        said = "what it shows" if seen else "such as chair; or vary, cross"
        parser.add_argument("category", metavar="CATEGORY", help=said, nargs="?" if seen else None)
        said = "the picture" if seen else "the shape in this picture; CATEGORY may be left out"
        parser.add_argument(_FROM, dest="image", type=Path, metavar="IMAGE", help=said)
    else:
        count: Any = {"vary_shape": 1, "cross_shapes": 2}.get(task.name, "+")
        parser.add_argument("meshes", nargs=count, type=Path, metavar="MESH", help="made by shape")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="OUT", help="mesh; folder for several"
    )
    many, what = ("steps", "steps from the first to the second")
    if task.name != "cross_shapes":
        many, what = ("count", "so many, of as many seeds")
    parser.add_argument(f"--{many}", dest="count", type=int, metavar="N", help=what)
    parser.add_argument(
        "--size",
        nargs=3,
        metavar=("W", "D", "H"),
        help='width, depth and height in metres; "-" where it follows',
    )
    parser.add_argument(
        "--material",
        metavar="NAME_OR_FOLDER",
        help="such as bricks, or a folder that `triptych material` wrote; for GLB",
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw them on a contact sheet")
    for name, view in MEDIA["mesh"].views.items():
        parser.add_argument(
            f"--{name}", dest=f"v_{name}", type=Path, metavar="FILE", help=view.help
        )
    advanced = parser.add_argument_group("for experts")
    for parameter in declared["parameters"]:
        if parameter["name"] not in hidden:
            cli._add_parameter(advanced if parameter["advanced"] else parser, parameter)
    cli._add_running(parser)
    return parser


def _plan(
    task: Task, given: argparse.Namespace, values: dict[str, Any]
) -> list[tuple[dict[str, Any], Path, str]]:
    """What is made: the values, the file and what a sheet says of each."""
    writes = MEDIA["mesh"]
    if given.count is None:
        return [(values, batch.target(given.output, given.overwrite, writes), "")]
    crossing = task.name == "cross_shapes"
    least = 2 if crossing else 1
    if not least <= given.count <= _MOST:
        name = "steps" if crossing else "count"
        raise UserError(f"--{name} must be from {least} to {_MOST}, not {given.count}.")
    if given.output.suffix.lower() in writes.writable and not given.output.is_dir():
        raise UserError(f"several meshes need a folder, but -o names the file {given.output}.")
    made = []
    for number in range(given.count):
        if crossing:
            share = number / (given.count - 1)
            one, said = {**values, "share": share}, f"{1 - share:.0%} : {share:.0%}"
        else:
            one = {**values, "seed": values["seed"] + number}
            said = f"seed {one['seed']}"
        stem = values.get("category") or task.name.partition("_")[0]
        path = given.output / f"{stem}-{number + 1:0{len(str(given.count))}}.glb"
        made.append(
            (task.check(one), batch.target(path, given.overwrite, writes, new_folder=True), said)
        )
    return made


def _make(
    task: Task,
    source: Path | None,
    plan: list[tuple[dict[str, Any], Path, str]],
    given: argparse.Namespace,
) -> int:
    views = {}
    for name in MEDIA["mesh"].views:
        if path := getattr(given, f"v_{name}"):
            views[name] = batch.view_target(name, path, given.overwrite, MEDIA["mesh"])
    if views and len(plan) > 1:
        raise UserError(f"--{next(iter(views))} shows one result: leave out --count and --steps.")
    sheet = given.sheet and batch.target(given.sheet, given.overwrite)
    engine, failed, drawn = cli._engine(given), 0, []
    dress = _dresser(given.material, engine) if given.material else None
    with cli._progress(task.label, len(plan), given.quiet) as (job, step):
        for number, (values, target, said) in enumerate(plan):
            step(number, target)
            work = functools.partial(
                batch.run_file, task, source, target, values, job, engine, given.provenance, views
            )
            if dress:
                work = functools.partial(work, finish=functools.partial(dress, values=values))
            try:
                notes = cli._beside(work, job)
            except UserError as error:
                failed += 1
                cli._fail(error)
                continue
            for note in notes:
                log.warning("%s: %s", shown(target), note)
            if not given.quiet:
                print(shown(target))
            drawn.append((target, said))
    if sheet and drawn:
        _draw(drawn, sheet)
        if not given.quiet:
            print(shown(sheet))
    return 2 if failed else 0


def _dresser(named: str, engine: Engine | None) -> Callable[..., Mesh]:
    """What gives a mesh the material of this name (of the mesh's seed) or in this folder."""
    from triptych.image import material

    if Path(named).is_dir():
        found = material.load(Path(named))
        return lambda mesh, values: dataclasses.replace(mesh, material=found)
    make = get_task("material")
    make.check({"kind": named})  # before the work

    def dressed(mesh: Mesh, values: dict[str, Any]) -> Mesh:
        made = make.run(None, None, engine, kind=named, seed=values.get("seed", 0)).made
        return dataclasses.replace(mesh, material=made)

    return dressed


def _draw(drawn: list[tuple[Path, str]], target: Path) -> None:
    """A contact sheet of meshes in files."""
    from PIL import Image

    from triptych.image import picture, sheet
    from triptych.shape import files
    from triptych.shape.render import rendered

    cells = []
    for path, said in drawn:
        mesh = files.load(path)
        pixels = Image.fromarray((rendered(mesh, 220) * 255 + 0.5).astype(np.uint8))
        width, height, depth = mesh.size
        sides = f"{width:.2f} x {depth:.2f} x {height:.2f} m"
        cells.append(sheet.Cell(pixels, path.name, tuple(filter(None, (sides, said)))))
    picture.save(picture.Picture(sheet.contact_sheet(cells)), target)
