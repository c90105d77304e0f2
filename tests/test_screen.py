"""What is printed fits the terminal; a file gets whole lines."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios

import pytest

from rolecall.screen import say

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
