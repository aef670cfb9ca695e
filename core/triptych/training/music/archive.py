"""Sets of scores: a tar archive of MIDI files and tables, read in place."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from triptych.errors import UserError, one_line
from triptych.files import shown
from triptych.training.data import Source

_LARGEST = 1 << 28  # bytes of one member, unpacked


@dataclass(frozen=True)
class MusicSource(Source):
    """A tar archive (compressed or not) of scores with its licence."""

    def names(self) -> list[str]:
        """The archive's scores (.mid, or .json for a set without), sorted."""
        names = [name for name, _ in self.files(unpack=False)]
        found = [n for n in names if n.endswith(".mid")] or [n for n in names if ".json" in n]
        if not found:
            raise UserError(f"the training set {shown(self.path)} holds no score")
        return sorted(found)

    def files(self, unpack: bool = True) -> Iterator[tuple[str, bytes]]:
        """Name and content (empty without `unpack`) of each file that `keep` chooses."""
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    if not member.isfile() or not self.keep(member.name):
                        continue
                    file = archive.extractfile(member)
                    if member.size > _LARGEST:
                        raise ValueError(f"{member.name} is too large")
                    yield member.name, file.read() if unpack and file else b""
        except (OSError, tarfile.TarError, EOFError, ValueError) as error:
            raise UserError(
                f"the training set {shown(self.path)} cannot be read ({one_line(error)})"
            ) from error
