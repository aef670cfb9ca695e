"""Files through a task: which file becomes which, and one file from reading to writing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from triptych.engine import Engine, Job
from triptych.errors import ParameterError, UserError
from triptych.files import refusal, shown
from triptych.media import MEDIA, Medium
from triptych.provenance import Provenance
from triptych.task import Task


def plan(
    task: Task, inputs: Iterable[Path], output: str | Path, overwrite: bool
) -> list[tuple[Path, Path]]:
    """Pairs of (source, target) for the task's files named by `inputs`, files or folders.

    One file goes to `output` itself unless that is a folder (it exists as one, or ends in a
    separator); several go into the folder `output` under their own names, as PNG or MIDI where the
    source's format cannot be written. Two sources of one name get targets that differ.

    Raises UserError for a file that is not there, an empty folder, a format that cannot be written,
    a target whose folder is not there (the folder `output` itself is made) and one that exists when
    `overwrite` is false.
    """
    inputs = list(inputs)
    reads, writes = MEDIA[task.input], MEDIA[task.output]
    separators = tuple(s for s in (os.sep, os.altsep) if s)
    folder = isinstance(output, str) and output.endswith(separators)  # a Path forgets it
    output = Path(output)
    sources: list[Path] = []
    for path in inputs:
        try:
            if path.is_dir():
                found = sorted(p for p in path.iterdir() if p.suffix.lower() in reads.readable)
                if not found:
                    raise UserError(f"the folder {path} holds no {reads.noun}: name another one.")
                sources += found
            else:
                path.stat()  # what is not there is said before the work on the others
                sources.append(path)
        except OSError as error:
            raise refusal("read", path, error) from None
        except ValueError:  # a name that no file can have is refused when it is read
            sources.append(path)
    several = len(inputs) > 1 or inputs[0].is_dir()
    if several or folder or output.is_dir():
        if not folder and output.suffix.lower() in writes.writable and not output.is_dir():
            raise UserError(f"several {reads.noun}s need a folder, but -o names the file {output}.")
        targets = _inside(output, sources, writes)
    else:
        targets = [output]
    _check_folder(output.parent, output)
    return [(s, _free(t, overwrite, writes)) for s, t in zip(sources, targets, strict=True)]


def _inside(folder: Path, sources: Iterable[Path], writes: Medium) -> list[Path]:
    taken: set[str] = set()
    targets = []
    for source in sources:
        suffix = source.suffix if source.suffix.lower() in writes.writable else writes.default
        name, count = source.stem + suffix, 1
        while name.casefold() in taken:
            count += 1
            name = f"{source.stem}-{count}{suffix}"
        taken.add(name.casefold())
        targets.append(folder / name)
    return targets


def target(
    path: Path, overwrite: bool, writes: Medium = MEDIA["picture"], new_folder: bool = False
) -> Path:
    """`path` if it may be written: the medium's ending, in a folder that is there (or, with
    `new_folder`, a new one in such a folder), and nothing of that name in it unless `overwrite`.
    """
    _check_folder(path.parent.parent if new_folder else path.parent, path)
    return _free(path, overwrite, writes)


def _free(path: Path, overwrite: bool, writes: Medium) -> Path:
    if path.suffix.lower() not in writes.writable:
        raise UserError(f"{path.name} has no ending of a {writes.noun}: {writes.advice}.")
    return _not_there(path, overwrite)


def _not_there(path: Path, overwrite: bool) -> Path:
    try:
        taken = not overwrite and path.exists()
    except OSError as error:
        raise refusal("write", path, error) from None
    if taken:
        raise UserError(f"{path} exists already: add --overwrite to replace it.")
    return path


def _check_folder(folder: Path, path: Path) -> None:
    """UserError unless `folder`, where `path` is to be, is there: a slip would make another one."""
    try:
        there = folder.is_dir()
    except OSError as error:
        raise refusal("write", path, error) from None
    if not there:
        raise UserError(
            f"cannot write {shown(path)}: there is no folder {shown(folder)}; make it first, or "
            "correct its name."
        )


def run_file(
    task: Task,
    source: Path | None,
    target: Path,
    values: Mapping[str, Any],
    job: Job | None = None,
    engine: Engine | None = None,
    provenance: bool = True,
    views: Mapping[str, Path] | None = None,
    finish: Callable[[Any], Any] | None = None,
) -> tuple[str, ...]:
    """Reads `source` (None for a task that starts from nothing), runs `task`, writes `target`.

    The folder of `target` is made, but none above it. `values` are as `Task.run` takes them; with
    `provenance` the file says how it was made. `views` names the files of other forms of the result
    (see `Medium`). `finish` turns what the task made into what is written. Returns notes on what
    could not be kept, a sentence each.

    Raises UserError for a file that cannot be read or written, or that `values` name too (a mask is
    not lost); Cancelled; `target` is then as it was.
    """
    for name, value in values.items():
        if any(_same(file, target) for file in _files(value)):
            raise ParameterError(name, f" names {target} too: write to another file.")
    try:  # before the work, not after it
        target.parent.mkdir(exist_ok=True)
        if not os.access(target.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise refusal("write", target, error) from None
    given, opened = (None, None) if source is None else MEDIA[task.input].load(source)
    result = task.run(given, job, engine, **values)
    origin = None if source is None else source.name
    record = Provenance.of_run(task.name, values, result.used, origin) if provenance else None
    # What a file of one kind says besides does not fit into one of another.
    kept = opened if task.input == task.output else None
    made = result.made if finish is None else finish(result.made)
    notes = MEDIA[task.output].save(made, kept, target, record, task.place(values))
    for name, path in (views or {}).items():
        MEDIA[task.output].views[name].save(made, path, record)
    return notes


def _files(value: Any) -> list[Path]:
    """The files that a parameter's value names."""
    if isinstance(value, (list, tuple)):
        return [file for item in value for file in _files(item)]
    return [value] if isinstance(value, Path) else []


def view_target(name: str, path: Path, overwrite: bool, writes: Medium) -> Path:
    """`path` if this view of a result may be written there."""
    ending = writes.views[name].ending
    if path.suffix.lower() != ending:
        raise UserError(f"--{name} {path.name} must end in {ending}.")
    _check_folder(path.parent, path)
    return _not_there(path, overwrite)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
