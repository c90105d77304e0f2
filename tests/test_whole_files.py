"""Files and folders are there whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rolecall import whole_files
from rolecall.run_folder import make_folder
from rolecall.whole_files import NotWrittenWhole, write_file, write_folder


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def full(*_: Any, **__: Any) -> None:
    """What a file system says that has no room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestFile:
    """A single file."""

    def test_it_takes_the_place_of_the_old_one(self, tmp_path: Path) -> None:
        """The new text stands there, to the byte, and nothing beside it."""
        (tmp_path / "a.csv").write_text("old")

        write_file(tmp_path / "a.csv", "ü\r\n\ud800")

        assert (tmp_path / "a.csv").read_bytes() == "ü\r\n\\ud800".encode()
        assert names(tmp_path) == ["a.csv"]

    def test_a_full_disk_leaves_what_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there is room for the name but not for the text, the old file stays as it was."""
        (tmp_path / "a.txt").write_text("old")
        monkeypatch.setattr(os, "fsync", full)

        with pytest.raises(NotWrittenWhole, match=r"a\.txt could not be written: No space left"):
            write_file(tmp_path / "a.txt", "new")

        assert (tmp_path / "a.txt").read_text() == "old"
        assert names(tmp_path) == ["a.txt"]

    def test_ctrl_c_leaves_nothing_beside_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl-C while a file is written leaves no half of it."""

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_file(tmp_path / "a.txt", "new")

        assert names(tmp_path) == []


class TestFolder:
    """A folder of many files."""

    def test_it_takes_the_place_of_the_old_one(self, tmp_path: Path) -> None:
        """Files of the old folder are gone, and what a killed process left is, too."""
        write_folder(tmp_path / "results", {"old.json": "1"})
        (tmp_path / ".results.new").mkdir()
        (tmp_path / ".results.new" / "half.json").write_text("{")

        write_folder(tmp_path / "results", {"new.json": "2"})

        assert names(tmp_path) == ["results"]
        assert names(tmp_path / "results") == ["new.json"]

    def test_a_full_disk_leaves_what_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where not every file has room, the old folder stays whole."""
        write_folder(tmp_path / "results", {"old.json": "1"})
        monkeypatch.setattr(whole_files, "_store", full)

        with pytest.raises(NotWrittenWhole, match="results could not be written: No space left"):
            write_folder(tmp_path / "results", {"new.json": "2"})

        assert names(tmp_path) == ["results"]
        assert names(tmp_path / "results") == ["old.json"]


def test_a_runs_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    """Others on the machine do not get to read what a target answered."""
    folder = make_folder(tmp_path / "runs" / "1")

    assert folder.stat().st_mode & 0o777 == 0o700
