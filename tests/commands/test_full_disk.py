"""Where there is no room for what a command prints or writes, it says so, and is no success."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from rolecall.__main__ import main
from tests.conftest import Watched

FULL = Path("/dev/full")  # a file of a disk that is full (Linux)

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


def said_to_a_full_disk(*words: str | Path) -> tuple[int, str]:
    """The exit code of a command whose output has no room, and what it says on standard error."""
    with FULL.open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "rolecall", *map(str, words)]
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "words",
    [["serve", "--list-faults"], ["completion", "bash"], ["--version"], ["certify", "--help"]],
    ids=" ".join,
)
def test_output_without_room(words: list[str]) -> None:
    """A command that would succeed ends with exit code 6 and one line, without a traceback."""
    code, said = said_to_a_full_disk(*words)

    assert code == 6, said
    assert "No space left on device" in said
    assert len(said.splitlines()) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        ["verify", "RUN", "--json"],
        ["show", "RUN", "1"],
        ["report", "RUN", "--format", "csv", "--out", "-"],
        ["report", "RUN", "--format", "markdown", "--out", "-"],
    ],
    ids=" ".join,
)
def test_what_is_said_of_a_run_without_room(words: list[str], certified: Watched) -> None:
    """The same of what is printed of a run."""
    folder = str(certified.finished.folder)
    test_output_without_room([folder if word == "RUN" else word for word in words])


def test_a_failure_without_room(tmp_path: Path) -> None:
    """A command that fails keeps its exit code, and says that its output is not whole."""
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    code, said = said_to_a_full_disk("verify", tmp_path)

    assert code == 1
    assert "standard output could not be written: No space left on device" in said


def test_no_half_of_a_key(tmp_path: Path) -> None:
    """A key for which there is no room leaves no file, so that the command can be run again."""
    command = [sys.executable, "-m", "rolecall", "keygen", "--out", "key"]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (60, 60))
    ended = subprocess.run(
        command, cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "it cannot be written: File too large" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_pair_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the public key cannot be written, the private one goes again."""
    (tmp_path / "key.pub").symlink_to("/nowhere/key.pub")
    monkeypatch.setattr(Path, "is_symlink", lambda _: False)  # as one that is made just now

    assert main(["keygen", "--out", str(tmp_path / "key")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["key.pub"]
