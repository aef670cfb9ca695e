# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface's languages, from the core's catalogues."""

import gettext
from pathlib import Path

import bpy

from . import client
from .declared import _

__all__ = ["LOCALE", "_", "follow", "register", "say", "unregister"]

LOCALE = Path(__file__).resolve().parent / "locale"
_NAMES = {"zh_CN": "zh_HANS"}  # what Blender calls a language otherwise
_CONTEXTS = ("*", "Operator")  # in which Blender looks a label up


def say(text: str, **values: object) -> str:
    """A sentence in the interface's language."""
    return bpy.app.translations.pgettext_iface(text).format(**values)


def follow() -> None:
    """Let the client speak the interface's language."""
    spoken = bpy.app.translations.locale
    back = {theirs: ours for ours, theirs in _NAMES.items()}
    translate = bpy.context.preferences.view.use_translate_interface
    client.speak(LOCALE, [back.get(spoken, spoken)] if spoken and translate else ["en"])


def register() -> None:
    """Tell Blender the texts of all languages."""
    texts = {}
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/triptych.mo")):
        with path.open("rb") as file:
            # Nothing public lists what a catalogue holds.
            held = gettext.GNUTranslations(file)._catalog
        said = {(c, one): text for one, text in held.items() if one for c in _CONTEXTS}
        language = path.parents[1].name
        for name in {language, _NAMES.get(language, language)}:
            texts[name] = said
    bpy.app.translations.register(__package__, texts)


def unregister() -> None:
    """Take them back."""
    bpy.app.translations.unregister(__package__)
