"""What is printed fits the terminal; a file gets whole lines."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import struct
import termios

import pytest

from rolecall.commands import say_document
from rolecall.screen import harmless, say

TEXT = "target        a server with a name of many words, which is somewhere else"


@pytest.mark.parametrize("columns", [40, 60])
def test_a_terminal_gets_lines_that_fit(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and values are wrapped between words, the values below each other."""
    monkeypatch.setenv("COLUMNS", str(columns))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w") as terminal:
        say(TEXT, stream=terminal, wraps=True)
        lines = os.read(ours, 4096).decode().splitlines()
    os.close(ours)

    assert len(lines) > 1
    assert all(len(line) <= columns for line in lines)
    assert {line[:14] for line in lines} == {"target        ", " " * 14}
    assert " ".join(line[14:] for line in lines) == TEXT[14:]


def test_a_file_gets_whole_lines() -> None:
    """What is no terminal has no width."""
    file = io.StringIO()

    say(TEXT, stream=file, wraps=True)

    assert file.getvalue() == f"{TEXT}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "400: ##vso[task.setvariable variable=PATH]x",
            r"400: \x23#vso[task.setvariable variable=PATH]x",
        ),
        ("said ##[error]no", r"said \x23#[error]no"),
        ("##teamcity[buildStatus text='x']", r"\x23#teamcity[buildStatus text='x']"),
        ("::stop-commands::t", r"\x3a:stop-commands::t"),
        ("a ::error file=a,line=1::no", r"a \x3a:error file=a,line=1::no"),
    ],
)
def test_a_targets_word_is_no_command_to_a_ci_system(text: str, shown: str) -> None:
    """What Azure Pipelines, GitHub or TeamCity would carry out in a job's log is shown escaped."""
    file = io.StringIO()

    say(harmless(text), stream=file)

    assert file.getvalue() == f"{shown}\n"


@pytest.mark.parametrize(
    "text", ["## Heading", "test_a.py::test_it[a::b]", "[::1]:80", "::ffff:1.2.3.4"]
)
def test_what_is_no_command_stays(text: str) -> None:
    """Headings, names of tests and addresses are printed as they are."""
    assert harmless(text) == text


def test_a_document_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A JSON document on standard output holds no such command, and says the same."""
    say_document({"said": "##vso[task.complete]"})
    printed = capsys.readouterr().out

    assert "##vso" not in printed
    assert json.loads(printed) == {"said": "##vso[task.complete]"}
