"""The errors that a user may see, and the words that they share."""

from __future__ import annotations

import difflib
import functools
import logging
from collections.abc import Callable, Iterable


class UserError(Exception):
    """Something the user can mend: one sentence that says what is wrong and what to do."""


class ParameterError(UserError):
    """A value that a task's parameter does not take.

    Every second one of `words`, from the first on, is the name of a parameter, of which each host
    has its own: `saying(called)` is the sentence with `called(name)` for each.
    """

    def __init__(self, *words: str) -> None:
        super().__init__("".join(words))
        self.words = words

    def saying(self, called: Callable[[str], str]) -> str:
        """The sentence with the host's names."""
        return "".join(word if place % 2 else called(word) for place, word in enumerate(self.words))


class Cancelled(Exception):
    """The job was cancelled; whatever it was making is to be dropped."""


def one_line(error: object, limit: int = 200) -> str:
    """The first line of an error's text with control characters removed, at most `limit` long."""
    text = str(error).strip().partition("\n")[0]
    return "".join(c if c.isprintable() else " " for c in text)[:limit]


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """The end of a sentence that names the nearest of `known`, or lists them, or says nothing."""
    by_key = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(wrong.casefold(), by_key, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {by_key[near[0]]!r}?"
    names = sorted(by_key.values())
    if not names:
        return ""
    return f"; choose from {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"


@functools.cache
def warn_once(line: str) -> None:
    """Tell the user something beside the work, once per process (stderr, unless a host logs)."""
    logging.getLogger("triptych").warning(line)
