"""The `triptych` command: one sub-command for each task, built from its declaration alone.

Only what a command needs is imported, so that it starts at once. argparse rather than typer: the
options are data that comes from `Task.describe()`, not the signatures of functions.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from triptych import __version__
from triptych.errors import Cancelled, ParameterError, UserError, did_you_mean, one_line
from triptych.files import shown

if TYPE_CHECKING:
    from triptych.bundle import Bundle, Card
    from triptych.engine import Engine, Event, Job
    from triptych.task import Task

log = logging.getLogger("triptych")
T = TypeVar("T")
_CANCELLED = 130  # what a shell expects of a command that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: this process's) and returns its exit status.

    0 is success, 1 a finding of `doctor` or a fault in Triptych, 2 an error that the user can mend
    (one sentence on stderr), 130 cancelled.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a title that the terminal cannot show
    logging.basicConfig(handlers=[_Notes(logging.WARNING)])
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except UserError as error:
        return _fail(error)
    except (Cancelled, KeyboardInterrupt):
        print("cancelled", file=sys.stderr)
        return _CANCELLED
    except BrokenPipeError:  # `triptych styles | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail("there is not enough memory: use a smaller picture, or close other programs.")
    except Exception as error:
        if os.environ.get("TRIPTYCH_DEBUG"):
            raise
        _fail(
            f"Triptych failed in a way that it did not foresee ({type(error).__name__}: "
            f"{one_line(error)}): please report it with what TRIPTYCH_DEBUG=1 prints."
        )
        return 1


class _Notes(logging.Handler):
    """Prints warnings to what stderr is at the time: above the bar while one is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one record as a line."""
        print(f"note: {one_line(record.getMessage(), 500)}", file=sys.stderr)


def _fail(error: UserError | str) -> int:
    said = error.saying(_option) if isinstance(error, ParameterError) else error
    print(f"error: {said}", file=sys.stderr)
    return 2


def _option(parameter: str) -> str:
    """What the command line calls a parameter."""
    return "--" + parameter.replace("_", "-")


def _dispatch(words: list[str]) -> int:
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    if name in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if name in ("-V", "--version"):
        print(f"triptych {__version__}")
        return 0
    if name in _COMMANDS:
        return _COMMANDS[name](rest)
    from triptych.task import all_tasks, get_task

    known = all_tasks()
    if name in known:
        return _run_task(get_task(name), rest)
    raise UserError(f"there is no command {name!r}{did_you_mean(name, [*known, *_COMMANDS])}")


def _overview() -> str:
    from triptych.task import tasks

    rows = [(task.name, task.help) for task in tasks().values() if task.name not in _COMMANDS]
    rows += [(name, (run.__doc__ or "").partition(".")[0]) for name, run in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: triptych COMMAND ...",
            "",
            "Generative models inside the tools that artists already use.",
            "",
            *(f"  {name:<11} {help.partition('. ')[0].rstrip('.')}" for name, help in rows),
            "",
            "`triptych COMMAND --help` explains a command; `triptych --version` names this one.",
        ]
    )


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are one sentence each, and that names the nearest option."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(prog=f"triptych {name}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (`{self.prog} --help` explains)")

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Like parse_args, with options and files in any order."""
        known, extra = self.parse_known_intermixed_args(words)
        for word in extra:
            if word.startswith("-"):
                option = word.partition("=")[0]
                options = [o for o in self._option_string_actions if o.startswith("--")]
                raise UserError(f"there is no option {option}{did_you_mean(option, options)}")
        if extra:
            self.error(f"{extra[0]!r} is one argument too many")
        return known


# ---------------------------------------------------------------------------------------- tasks


def _run_task(task: Task, words: list[str]) -> int:
    declared = task.describe()
    parser = _Parser(declared["name"], declared["help"])
    from triptych.media import MEDIA

    reads, writes = MEDIA.get(declared["input"]), MEDIA[declared["output"]]
    if reads:
        inputs = f"{reads.noun} or folder"
        parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help=inputs)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help=f"{writes.noun} to write" + ("; a folder when IN is several files" if reads else ""),
    )
    for name, view in writes.views.items():
        option = f"v_{name}"
        parser.add_argument(f"--{name}", dest=option, type=Path, metavar="FILE", help=view.help)
    advanced = parser.add_argument_group("for experts")
    for parameter in declared["parameters"]:
        _add_parameter(advanced if parameter["advanced"] else parser, parameter)
    _add_running(parser)
    given = parser.parse(words)
    values = task.check(_values(declared, given))

    from triptych import batch

    pairs: list[tuple[Path | None, Path]]
    if reads:
        pairs = list(batch.plan(task, given.inputs, given.output, given.overwrite))
    else:
        pairs = [(None, batch.target(Path(given.output), given.overwrite, writes))]
    views = {
        name: batch.view_target(name, path, given.overwrite, writes)
        for name in writes.views
        if (path := getattr(given, f"v_{name}")) is not None
    }
    if views and len(pairs) > 1:
        raise UserError(f"--{next(iter(views))} shows one result: name one file.")
    engine = _engine(given)
    failed = 0
    with _progress(declared["label"], len(pairs), given.quiet) as (job, step):
        for number, (source, target) in enumerate(pairs):
            step(number, source or target)

            run = functools.partial(
                batch.run_file, task, source, target, values, job, engine, given.provenance, views
            )
            try:
                notes = _beside(run, job)
            except UserError as error:
                failed += 1
                _fail(error)
                continue
            for note in notes:
                log.warning("%s: %s", shown(source or target), note)
            if not given.quiet:
                print(shown(target))
    return 2 if failed else 0


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Adds the options of how a task is run."""
    running = parser.add_argument_group("running")
    running.add_argument("--overwrite", action="store_true", help="replace files that exist")
    _add_provenance(running)
    running.add_argument("--provider", metavar="NAME", help="cuda, directml, coreml or cpu")
    running.add_argument("--threads", type=int, metavar="N", help="threads on the CPU")
    running.add_argument("--quiet", action="store_true", help="print errors only")


def _add_provenance(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--no-provenance",
        dest="provenance",
        action="store_false",
        help="do not write into the file how it was made",
    )


def _values(declared: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """The values of a task's parameters that the command line gives; sets what is printed."""
    if given.quiet:
        log.setLevel(logging.ERROR)
    return {
        parameter["name"]: _value(parameter, getattr(given, "p_" + parameter["name"]))
        for parameter in declared["parameters"]
        if hasattr(given, "p_" + parameter["name"])
    }


def _engine(given: argparse.Namespace) -> Engine | None:
    """The engine that the command line asks for, if it does."""
    if not given.provider and given.threads is None:
        return None
    from triptych.engine import Engine

    return Engine([given.provider] if given.provider else None, given.threads)


def _add_parameter(parser: argparse._ActionsContainer, declared: dict[str, Any]) -> None:
    """Adds the option of one declared parameter; its default stays with the declaration."""
    option = _option(declared["name"])
    kind = declared["kind"]
    options: dict[str, Any] = {
        "dest": "p_" + declared["name"],
        "default": argparse.SUPPRESS,
        "help": _help(declared),
    }
    if kind == "bool":
        parser.add_argument(option, action=argparse.BooleanOptionalAction, **options)
        return
    if kind == "blend":
        options |= {"action": "append", "metavar": "NAME:WEIGHT"}
    elif kind == "choice":
        options["metavar"] = "NAME_OR_IMAGE" if declared["accepts_picture"] else "NAME"
    elif kind in ("float", "int", "seed"):
        options["metavar"] = "N"
    elif kind in ("picture", "mask", "score", "mesh", "meshes"):
        metavar = {"score": "MIDI", "mesh": "MESH", "meshes": "MESH"}.get(kind, "IMAGE")
        options |= {"type": Path, "metavar": metavar, "nargs": "+" if kind == "meshes" else None}
    else:
        options["metavar"] = kind.upper()
    parser.add_argument(option, **options)


def _help(declared: dict[str, Any]) -> str:
    facts = []
    low, high, unit = declared["minimum"], declared["maximum"], declared["unit"]
    if low is not None and high is not None and declared["kind"] not in ("seed", "text"):
        facts.append(f"{low:g} to {high:g}{' ' + unit if unit else ''}")
    choices = [choice["value"] for choice in declared["choices"] or ()]
    if 0 < len(choices) <= 8:
        facts.append(", ".join(choices))
    if declared["default"] not in (None, "", []):
        default = declared["default"]
        shown = {True: "yes", False: "no"}[default] if isinstance(default, bool) else default
        facts.append(f"default: {shown:g}" if isinstance(shown, float) else f"default: {shown}")
    text = str(declared["help"] or declared["label"])
    return (text + (f" ({'; '.join(facts)})" if facts else "")).replace("%", "%%")


def _value(declared: dict[str, Any], words: Any) -> Any:
    """What the words of the command line mean for this parameter."""
    if declared["kind"] != "blend":
        return words
    blend = []
    for word in words:
        name, _, weight = word.rpartition(":")
        try:
            blend.append((name, float(weight)))
        except ValueError:
            name = ""
        if not name:
            option = _option(declared["name"])
            raise UserError(f"{option} {word} has no weight: write {option} NAME:0.5, for example.")
    return blend


@contextlib.contextmanager
def _progress(
    label: str, count: int, quiet: bool
) -> Iterator[tuple[Job, Callable[[int, Path], None]]]:
    """A job whose progress a bar shows on a terminal, and what to call before each file."""
    from triptych.engine import Job

    if quiet or not sys.stderr.isatty():
        yield Job(), lambda number, path: None
        return
    import rich.console
    import rich.progress

    columns = (
        "{task.description}",
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    console = rich.console.Console(stderr=True)
    # What is printed meanwhile appears above the bar, unless it goes into a pipe.
    above = sys.stdout.isatty()
    with rich.progress.Progress(
        *columns, console=console, transient=True, redirect_stdout=above
    ) as bar:
        shown = bar.add_task(label, total=count)
        begun = 0

        def step(number: int, path: Path) -> None:
            nonlocal begun
            begun = number
            title = f"{path.name} ({number + 1}/{count})" if count > 1 else path.name
            bar.update(shown, completed=number, description=rich.markup.escape(title))

        def event(event: Event) -> None:
            bar.update(shown, completed=begun + event.fraction)

        yield Job(event), step


def _beside(work: Callable[[], T], job: Job) -> T:
    """Runs `work` beside the main thread, which alone hears Ctrl-C and then cancels `job`.

    A signal's handler waits until the main thread runs Python again; inside a graph it does not.
    """
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        while not future.done():
            try:
                wait([future], timeout=0.2)  # Windows hears no signal in an endless wait
            except KeyboardInterrupt:
                job.cancel()
        return future.result()


# --------------------------------------------------------------------------------- other commands


def _shape(words: list[str]) -> int:
    """Make a solid of a category, cross two, or vary one."""
    from triptych.shape import command

    return command.run(words)


def _material(words: list[str]) -> int:
    """Make a tileable material of a class, or of a picture."""
    from triptych.image import material_command

    return material_command.run(words)


def _styles(words: list[str]) -> int:
    """List the styles, or draw them on a contact sheet."""
    parser = _Parser("styles", "List the styles: name, title, artist, year.")
    parser.add_argument("-o", "--output", type=Path, metavar="SHEET", help="draw them into a PNG")
    parser.add_argument("--overwrite", action="store_true", help="replace a sheet that exists")
    _add_provenance(parser)
    given = parser.parse(words)
    from triptych.image.style import styles

    rows = [(name, owner, owner.card.presets[place]) for name, (owner, place) in styles().items()]
    if not rows:
        raise UserError("no style is installed: `triptych doctor` says why.")

    def facts(preset: dict[str, Any]) -> list[str]:
        return [str(preset.get(key) or "") for key in ("title", "artist", "year")]

    if given.output is None:
        table = [[name, *facts(preset)] for name, _, preset in rows]
        _print_table([("NAME", "TITLE", "ARTIST", "YEAR"), *table])
        return 0
    from triptych import batch
    from triptych.image import picture, sheet
    from triptych.provenance import COMPOSED, Provenance

    target = batch.target(given.output, given.overwrite)
    cells = []
    for name, bundle, preset in rows:
        title, artist, year = facts(preset)
        thumbnail = preset.get("thumbnail")
        by = ", ".join(part for part in (artist, year) if part)
        path = bundle.file(thumbnail) if thumbnail else None
        cells.append(sheet.Cell(path, title, (by, f"--style {name}")))
    owners = {owner.listed: owner.used for _, owner, _ in rows}
    record = Provenance("styles", list(owners.values()), digital_source_type=COMPOSED)
    drawn = picture.Picture(sheet.contact_sheet(cells, "Styles"))
    picture.save(drawn, target, record if given.provenance else None)
    print(target)
    return 0


def _models(words: list[str]) -> int:
    """List, show or verify the model bundles."""
    parser = _Parser("models", "List, show or verify the model bundles.")
    parser.add_argument("action", nargs="?", default="list", choices=("list", "show", "verify"))
    parser.add_argument("name", nargs="?", help="one bundle (show needs it; verify: default all)")
    given = parser.parse(words)
    if given.action == "show":
        if not given.name:
            raise UserError("which bundle? `triptych models` lists them, show NAME shows one.")
        print(_card_text(_bundle(given.name)))
        return 0
    bundles = [_bundle(given.name)] if given.name else _bundles()
    if not bundles:
        raise UserError("no model bundle is installed: `triptych doctor` says why.")
    if given.action == "list":
        head = ("NAME", "VERSION", "TASK", "LICENCE", "PRESETS", "SIZE", "TITLE")
        _print_table([head, *(_summary(b) for b in bundles if not b.error)])
    failed = 0
    for bundle in bundles:
        try:
            if bundle.error:
                raise UserError(bundle.error)
            if given.action == "verify":
                bundle.verify()
                print(f"{bundle.listed}: as its card says")
        except UserError as error:
            failed += 1
            _fail(f"{bundle.listed}: {error}")
        if bundle.note:
            print(f"note: {bundle.note}", file=sys.stderr)
    return 2 if failed else 0


def _bundles() -> list[Bundle]:
    from triptych.bundle import find_bundles

    return find_bundles()


def _bundle(name: str) -> Bundle:
    from triptych.bundle import get_bundle

    return get_bundle(name)


def _summary(bundle: Bundle) -> list[str]:
    card = bundle.card
    size = sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file())
    presets = str(len(card.presets) or "")
    megabytes = f"{size / 1e6:.1f} MB"
    return [bundle.listed, card.version, card.task, card.licence, presets, megabytes, card.title]


def _card_text(bundle: Bundle) -> str:
    card: Card = bundle.card
    lines = [f"{card.title} ({bundle.listed} {card.version}, task {card.task}, {card.licence})"]
    lines += [card.notes] if card.notes else []
    lines += [f"folder   {bundle.path}", f"authors  {', '.join(card.authors)}"]
    lines += [f"created  {card.created}"] if card.created else []
    for name, graph in card.graphs.items():
        ends = [
            ", ".join(f"{t.name} {t.dtype}[{', '.join(map(str, t.shape))}]" for t in tensors)
            for tensors in (graph.inputs, graph.outputs)
        ]
        lines.append(f"graph    {name}: {ends[0]} -> {ends[1]} (opset {graph.opset})")
    for preset in card.presets:
        facts = [str(preset.get(key) or "") for key in ("name", "title", "artist", "year")]
        why = f" ({preset['why_free']})" if preset.get("why_free") else ""
        lines.append(f"preset   {', '.join(fact for fact in facts if fact)}{why}")
    for source in card.data:
        said = [f"{source[key]}" for key in ("licence", "source") if source.get(key)]
        count = f"{source.get('items', '?')} items"
        lines.append(f"data     {source.get('name', '?')}: {', '.join([count, *said])}")
    for metric in card.metrics:
        value = f"{metric.get('name')}: {metric.get('value')} {metric.get('unit') or ''}".rstrip()
        lines.append(f"metric   {value}" + (f" ({metric['test']})" if metric.get("test") else ""))
    for graph_name, parity in card.parity.items():
        lines.append(f"parity   {graph_name}: {json.dumps(parity)}")
    if card.recipe:
        lines.append(f"recipe   {json.dumps(card.recipe, ensure_ascii=False)}")
    return "\n".join(lines)


def _about(words: list[str]) -> int:
    """Say how a file was made."""
    parser = _Parser("about", "Print how Triptych made a file: models, parameters and seed.")
    parser.add_argument("file", type=Path, metavar="FILE")
    given = parser.parse(words)
    from triptych import provenance

    print(provenance.describe(given.file))
    return 0


def _sign(words: list[str]) -> int:
    """Sign pictures with Content Credentials (C2PA)."""
    parser = _Parser("sign", "Sign pictures in place with your own certificate (C2PA).")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--certificate", required=True, type=Path, metavar="PEM")
    parser.add_argument("--key", required=True, type=Path, metavar="PEM")
    parser.add_argument("--timestamp", metavar="URL", help="ask this RFC 3161 service for the time")
    given = parser.parse(words)
    from triptych import provenance

    for file in given.files:
        provenance.sign(file, given.certificate, given.key, given.timestamp)
    return 0


def _doctor(words: list[str]) -> int:
    """Examine the installation and say what mends it."""
    _Parser("doctor", "Examine the installation; exit status 1 when something is wrong.").parse(
        words
    )
    from triptych import doctor

    log.setLevel(logging.ERROR)  # its findings say it better
    findings = doctor.examine()
    print(doctor.report(findings))
    return 1 if any(finding.wrong for finding in findings) else 0


def _install(words: list[str]) -> int:
    """Install the plug-in of a host: gimp or blender."""
    parser = _Parser("install", "Install Triptych's plug-in in a host, or take it out again.")
    parser.add_argument("host", choices=("gimp", "blender"), help="which host")
    parser.add_argument("--uninstall", action="store_true", help="take the plug-in out")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="the host's folder for plug-ins (Blender: extensions), if it is not found",
    )
    parser.add_argument(
        "--build", action="store_true", help="blender: write the zips for all systems into dist"
    )
    given = parser.parse(words)
    if given.host == "blender":
        return _install_blender(given)
    if given.build:
        raise UserError("--build makes Blender's extension: run `triptych install blender --build`")
    from triptych import install

    found = [install.Gimp("", given.folder)] if given.folder else install.gimps()
    if not found:
        raise UserError(
            "no GIMP 3 was found: start GIMP once, or name its plug-in folder with --folder (GIMP "
            "shows it under Edit > Preferences > Folders > Plug-ins)."
        )
    for gimp in found:
        for line in (install.uninstall_gimp if given.uninstall else install.install_gimp)(gimp):
            print(line)
    return 0


def _install_blender(given: argparse.Namespace) -> int:
    from triptych import blender

    if given.build:
        for path in blender.build(given.folder or Path("dist"), list(blender.PLATFORMS)):
            print(path)
        return 0
    found = [blender.Blender("", given.folder)] if given.folder else blender.blenders()
    if not found:
        raise UserError(
            "no Blender 4.2 or later was found: start Blender once, or name its folder for "
            "extensions with --folder."
        )
    if given.uninstall:
        lines = [line for one in found for line in blender.uninstall(one)]
    else:
        lines = blender.install_all(found)
    print("\n".join(dict.fromkeys(lines)))
    return 0


def _bridge(words: list[str]) -> int:
    """Play with a DAW by MIDI and OSC."""
    parser = _Parser("bridge", "Play with a DAW: MIDI ports, clock, OSC, a watched folder.")
    parser.add_argument("--output", metavar="PORT", help='a MIDI port; default: our own; "none"')
    parser.add_argument("--input", metavar="PORT", help='a MIDI port; default: our own; "none"')
    parser.add_argument("--list-ports", action="store_true", help="print the MIDI ports and end")
    parser.add_argument("--mode", metavar="NAME", help="how to play, such as loop")
    parser.add_argument("--clock", metavar="WHOSE", help="internal (default), midi, link or live")
    parser.add_argument(
        "--lead", action="store_true", default=None, help="send MIDI clock, for others to follow"
    )
    parser.add_argument("--tempo", metavar="BPM", help="of the bridge's own clock")
    parser.add_argument("--metre", metavar="N/N", help="such as 3/4")
    parser.add_argument("--osc-host", metavar="HOST", help="where to listen; default: localhost")
    parser.add_argument("--osc-port", type=int, metavar="N", help="UDP port to listen on")
    parser.add_argument(
        "--feedback", action="append", metavar="HOST:PORT", help="tell all changes there too"
    )
    parser.add_argument(
        "--set", dest="settings", action="append", metavar="GROUP/NAME=VALUE", help="a parameter"
    )
    parser.add_argument("--watch", type=Path, metavar="FOLDER", help="answer MIDI files put there")
    parser.add_argument("--task", metavar="NAME", help="that answers them; default: continue")
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER", help="keep what is played there, as MIDI files"
    )
    parser.add_argument("--live", action="store_true", default=None, help="work in Ableton Live")
    parser.add_argument(
        "--no-display", dest="display", action="store_false", default=None, help="lines only"
    )
    given = parser.parse(words)
    try:
        from triptych_bridge import app
    except ModuleNotFoundError as error:
        if error.name != "triptych_bridge":
            raise
        raise UserError("the bridge is not installed: run `pip install triptych`.") from error
    if given.list_ports:
        return app.list_ports()
    options = {key: value for key, value in vars(given).items() if value is not None}
    del options["list_ports"]
    for name in ("feedback", "settings"):
        if name in options:
            options[name] = tuple(options[name])
    return app.run(app.Options(**options))


def _train(words: list[str]) -> int:
    """Train a model, or a style of your own."""
    parser = _Parser("train", "Train a model from a recipe; `train style --from` learns a style.")
    parser.add_argument("recipe", metavar="RECIPE", help="such as style")
    parser.add_argument(
        "--from", dest="sources", nargs="+", type=Path, metavar="PATH", help="pictures to learn"
    )
    parser.add_argument("--name", help="name of what is learned")
    parser.add_argument("--licence", metavar="SPDX", help="licence of the pictures")
    parser.add_argument("--minutes", type=float, metavar="N", help="stop after so many minutes")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with an earlier run")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="setting"
    )
    given = parser.parse(words)
    settings = dict(_setting(word) for word in given.settings)
    options = {key: value for key, value in vars(given).items() if value is not None}
    del options["recipe"], options["settings"]
    with _training() as commands:
        commands.train(given.recipe, settings, **options)
    return 0


def _setting(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not key or not equals:
        raise UserError(f"--set {word} has no value: write --set KEY=VALUE.")
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def _export(words: list[str]) -> int:
    """Export a training run to a bundle."""
    parser = _Parser("export", "Export a training run to ONNX with its card.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the bundle")
    parser.add_argument("--name", help="name of the bundle")
    given = parser.parse(words)
    options = {key: value for key, value in vars(given).items() if value is not None}
    with _training() as commands:
        commands.export(options.pop("run"), **options)
    return 0


@contextlib.contextmanager
def _training() -> Iterator[Any]:
    """`triptych.training.commands`, which needs the packages of the extra `train`."""
    try:
        import importlib

        yield importlib.import_module("triptych.training.commands")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("triptych"):
            raise
        from triptych.doctor import pip_self

        mend = pip_self("[train]")
        raise UserError(
            f"training needs {error.name}, which is not installed: run `{mend}`."
        ) from error


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "shape": _shape,
    "material": _material,
    "styles": _styles,
    "models": _models,
    "about": _about,
    "sign": _sign,
    "doctor": _doctor,
    "install": _install,
    "bridge": _bridge,
    "train": _train,
    "export": _export,
}
