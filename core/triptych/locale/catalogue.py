"""The catalogues of texts: `python -m triptych.locale.catalogue` brings them up to date.

Collects every text that a host shows (the tasks' descriptions, the client's sentences, the
plug-ins' own words), adds what is new to each `LANGUAGE/LC_MESSAGES/triptych.po`, drops what is
gone, and compiles it. Needs Babel (in the extra `test`) and a source checkout.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import triptych
from triptych import bundle, client, install
from triptych.task import all_tasks

KEYWORDS = {"_": None}  # the function that takes a text to translate


def texts() -> dict[str, list[tuple[str, int]]]:
    """Every text, with the files (and lines) that it stands in."""
    found: dict[str, list[tuple[str, int]]] = {}
    for text in filter(None, _described()):
        found.setdefault(text, [])
    plug_ins = (install.source(), install.plug_in_source("blender_addon"))
    own = [path for folder in plug_ins for path in sorted(folder.glob("*.py"))]
    for path in (Path(client.__file__), *own):
        for line, message, _, _ in extract_from_file("python", path, KEYWORDS):
            if isinstance(message, str):
                found.setdefault(message, []).append((path.name, line))
    return found


def _described() -> Iterator[str]:
    """What the descriptions of the tasks say. Users' own styles keep their names."""
    for task in all_tasks().values():  # a model that is missing may come
        painted = task.input == task.output == "picture"
        if not painted and task.output not in ("mesh", "material"):  # no host offers it
            continue
        yield from (task.label, task.help)
        for parameter in task.parameters:
            yield from (parameter.label, parameter.help, parameter.unit)
            for choice in parameter.options():
                own = choice.value == "auto" or _ships(choice.thumbnail)
                if own or not callable(parameter.choices):
                    yield from (
                        choice.label,
                        choice.help if any(map(str.isalpha, choice.help)) else "",
                    )


def _ships(thumbnail: Path | None) -> bool:
    return thumbnail is not None and thumbnail.is_relative_to(bundle.shipped_folder())


def updated(path: Path) -> Catalog:
    """The catalogue of a .po file with exactly the texts that there are now."""
    with path.open("rb") as file:
        old = read_po(file, domain="triptych")
    new = Catalog(
        old.locale,
        domain="triptych",
        project="Triptych",
        version=triptych.__version__,
        last_translator="The Triptych developers",
        language_team="none",
        msgid_bugs_address="none",
        header_comment="# Brought up to date by `python -m triptych.locale.catalogue`.",
        fuzzy=False,
    )
    new.creation_date, new.revision_date = old.creation_date, old.revision_date
    for text, places in sorted(texts().items()):
        known = old.get(text)
        new.add(text, known.string if known else "", sorted({(name, 0) for name, _ in places}))
    return new


def main() -> None:
    """Update and compile every catalogue."""
    for path in install.LOCALE.glob("*/LC_MESSAGES/triptych.po"):
        catalogue = updated(path)
        for target, write in ((path, write_po), (path.with_suffix(".mo"), write_mo)):
            stream = io.BytesIO()
            write(stream, catalogue)
            target.write_bytes(stream.getvalue())
        missing = [m.id for m in catalogue if m.id and not m.string]
        print(f"{path.parent.parent.name}: {len(catalogue)} texts, {len(missing)} not translated")


if __name__ == "__main__":
    main()
