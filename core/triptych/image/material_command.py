"""The command `triptych material`: a folder of maps, or several and a sheet of them.

    triptych material bricks -o bricks/
    triptych material --from wall.jpg -o wall/
    triptych material planks -o planks/ --count 6 --sheet planks.png
    triptych material --sheet all.png                   one of each

Options come from the task's declaration.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from triptych import batch, cli
from triptych.engine import Engine
from triptych.errors import UserError
from triptych.files import shown
from triptych.image import picture, sheet
from triptych.image.material import MAPS, Material
from triptych.image.texture import MATERIAL
from triptych.task import get_task

_MOST = 1000  # results of one command
_CELL = 256  # px of a tile in a sheet


def run(words: list[str]) -> int:
    """Does `triptych material WORDS` and returns its exit status."""
    task = get_task(MATERIAL.name)
    parser = _parser()
    given = parser.parse(words)
    values = cli._values(task.describe(), given)
    if given.kind and given.source:
        raise UserError(f"give {given.kind} or --from {given.source}, not both.")
    chosen = given.source or given.kind
    if given.source and not given.source.is_file():
        raise UserError(f"--from: there is no file {str(given.source)!r}.")
    if given.count is not None and not 1 <= given.count <= _MOST:
        raise UserError(f"--count must be from 1 to {_MOST}, not {given.count}.")
    if given.output is None and given.sheet is None:
        raise UserError("say where to: -o FOLDER for the maps, or --sheet FILE for a picture.")
    drawn_to = given.sheet and batch.target(given.sheet, given.overwrite)
    if chosen is None:
        if given.output is not None:
            raise UserError("which material? `triptych material bricks -o FOLDER`, for example.")
        plans = [{**values, "kind": one.value} for one in task.parameters[0].options()]
    else:
        plans = [{**values, "kind": chosen}]
    checked = [
        task.check({**one, "seed": task.check(one)["seed"] + number})
        for one in plans
        for number in range(given.count or 1)
    ]
    targets = _targets(given, len(checked))
    engine, cells = cli._engine(given), []
    with cli._progress(task.label, len(checked), given.quiet) as (job, step):
        for number, (one, target) in enumerate(zip(checked, targets, strict=True)):
            step(number, target or drawn_to)
            work: Any
            if target is None:
                work = functools.partial(_made, one, job, engine)
                cells.append(_cell(cli._beside(work, job), one))
                continue
            work = functools.partial(
                batch.run_file, task, None, target, one, job, engine, given.provenance
            )
            cli._beside(work, job)
            if not given.quiet:
                print(shown(target))
            if drawn_to:
                from triptych.image.material import load

                cells.append(_cell(load(target), one))
    if drawn_to:
        picture.save(picture.Picture(sheet.contact_sheet(cells, "", 6, _CELL)), drawn_to)
        if not given.quiet:
            print(shown(drawn_to))
    return 0


def _made(values: dict[str, Any], job: Any, engine: Engine | None) -> Material:
    made: Material = get_task(MATERIAL.name).run(None, job, engine, **values).made
    return made


def _parser() -> cli._Parser:
    declared = MATERIAL.describe()
    parser = cli._Parser("material", declared["help"])
    names = ", ".join(choice["value"] for choice in declared["parameters"][0]["choices"])
    parser.add_argument("kind", nargs="?", metavar="CLASS", help=names or "such as bricks")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="IMAGE", help="a picture, made tileable"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help=f"for {', '.join(MAPS)}"
    )
    parser.add_argument("--count", type=int, metavar="N", help="so many, of as many seeds")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw them on a contact sheet")
    advanced = parser.add_argument_group("for experts")
    for parameter in declared["parameters"]:
        if parameter["name"] != "kind":
            cli._add_parameter(advanced if parameter["advanced"] else parser, parameter)
    cli._add_running(parser)
    return parser


def _targets(given: argparse.Namespace, count: int) -> list[Path | None]:
    """The folder of each result; none of them may hold a material unless it is to be replaced."""
    if given.output is None:
        return [None] * count
    made = [given.output]
    if given.count is not None:
        digits = len(str(count))
        made = [given.output / f"{number + 1:0{digits}}" for number in range(count)]
    for folder in made:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: name a folder.")
        if not given.overwrite and any((folder / f"{name}.png").exists() for name in MAPS):
            raise UserError(f"{folder} holds a material already: add --overwrite to replace it.")
    return list(made)


def _cell(made: Material, values: dict[str, Any]) -> sheet.Cell:
    """A material's colour, with its normals in a corner."""
    half = len(made.colour) // 3
    shown_maps = made.colour.copy()
    shown_maps[-half:, -half:] = made.normal[-half:, -half:]
    pixels = Image.fromarray((shown_maps * 255 + 0.5).astype(np.uint8))
    return sheet.Cell(pixels, made.name, (f"seed {values['seed']}", f"{made.side:g} m"))
