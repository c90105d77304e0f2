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

    def test_what_a_link_leads_to_is_replaced(self, tmp_path: Path) -> None:
        """A symbolic link stays one, also where nothing is there yet that it leads to."""
        (tmp_path / "there").mkdir()
        for name in ("old", "none"):
            (tmp_path / name).symlink_to(tmp_path / "there" / name)
        (tmp_path / "there" / "old").write_text("old")

        for name in ("old", "none"):
            write_file(tmp_path / name, "new")

        assert all((tmp_path / name).is_symlink() for name in ("old", "none"))
        assert (tmp_path / "there" / "old").read_text() == "new"
        assert (tmp_path / "there" / "none").read_text() == "new"
        assert names(tmp_path / "there") == ["none", "old"]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
    def test_a_pipe_is_written_into(self, tmp_path: Path) -> None:
        """What is no file, such as a pipe or /dev/stdout, stays what it is, and gets the text."""
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to(tmp_path / "pipe")
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

        for name in ("pipe", "link"):
            write_file(tmp_path / name, "text")

        assert os.read(reader, 100) == b"texttext"
        os.close(reader)
        assert (tmp_path / "pipe").is_fifo()
        assert (tmp_path / "link").is_symlink()

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
