"""Folders that change places, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.files import put_folder


def folder(path: Path, word: str) -> Path:
    path.mkdir()
    (path / f"{word}.txt").write_text(word)
    return path


def test_a_folder_takes_the_place_of_another(tmp_path: Path):
    target, aside = folder(tmp_path / "one", "old"), folder(tmp_path / "two", "new")
    put_folder(aside, target)
    assert [path.name for path in target.iterdir()] == ["new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    put_folder(folder(tmp_path / "three", "first"), tmp_path / "nowhere")
    assert (tmp_path / "nowhere/first.txt").is_file()


def test_what_fails_leaves_what_was_there(tmp_path: Path):
    target = folder(tmp_path / "one", "old")
    with pytest.raises(OSError):
        put_folder(tmp_path / "missing", target)
    assert (target / "old.txt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
