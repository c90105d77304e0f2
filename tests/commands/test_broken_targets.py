"""Target files that are broken by chance: one message and exit code 2, never a traceback."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from rolecall.__main__ import LONGEST_MESSAGE, main
from rolecall.errors import ExitCode, UsageError
from rolecall.harness.context import _check_target
from rolecall.spec.loading import load_specification
from rolecall.target import load_target
from tests.support.broken_targets import ENVIRONMENT, WHOLE, broken, written

SPEC = load_specification()
FILES = 400
#: Of these the whole command is asked.
SAMPLE = range(0, FILES, 50)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where target files are written."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "target.toml"


def read(file: Path) -> None:
    """Read a target file as a run does before it sends anything.

    Raises:
        UsageError: it is wrong.
    """
    target = load_target(file, SPEC.roles)
    _check_target(SPEC, target, SPEC.dialect(target.dialect, target.source), is_replayed=False)


def test_the_file_is_good_before_it_is_broken(file: Path) -> None:
    """What the broken files are made of is a good one: each is refused for what was broken."""
    file.write_text(written(WHOLE), encoding="utf-8")

    read(file)


def test_a_broken_file_is_a_mistake_with_a_place(file: Path) -> None:
    """Of 400 broken files each is refused as a mistake of its own, which names the file, or is
    still good; no secret of theirs is repeated.
    """
    refused = 0
    secrets = re.compile("password-of|key-of|" + "|".join(map(re.escape, ENVIRONMENT.values())))
    for number in range(FILES):
        file.write_bytes(broken(random.Random(number)))
        try:
            read(file)
        except UsageError as error:
            refused += 1
            assert error.where.startswith(str(file)), number
            assert error.what, number
            assert not secrets.search(str(error)), number

    assert refused > FILES // 2


@pytest.mark.parametrize("number", SAMPLE)
def test_the_command_says_it_in_one_message(
    number: int, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`rolecall certify` on a broken file prints one message and ends with exit code 2; where the
    file is good all the same, no server is there: exit code 4.
    """
    file.write_bytes(broken(random.Random(number)))

    code = main(["certify", str(file), "--out", "runs", "--select", "ISSUE-status", "--quiet"])

    said = capsys.readouterr()
    assert code in (ExitCode.USAGE, ExitCode.UNREACHABLE), said.err
    assert said.err.count("rolecall: ") == 1, said.err
    assert "Traceback" not in said.err
    assert len(said.err) < LONGEST_MESSAGE + 200
