"""A run in front of a real terminal (a pseudo-terminal of 80 columns), and in front of a pipe."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.command import environment

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

ESCAPE = "\x1b["


PART = ("certify", "--select", "ISSUE-status", "--out", "runs")


def on_a_terminal(folder: Path, words: Sequence[str] = PART, **variables: str) -> str:
    """What a command writes to a terminal of 80 columns and 24 lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = environment(**variables)
    if "NO_COLOR" not in variables:
        del env["NO_COLOR"]
    for name in ("COLUMNS", "LINES"):
        env.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "rolecall", *words],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
    )
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the terminal is gone with its last writer
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    process.wait(60)
    return b"".join(pieces).decode("utf-8")


def rows(said: str) -> list[str]:
    """The rows that stay, without their colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    return [line.rpartition("\r")[2] for line in plain.replace("\r\n", "\n").split("\n")]


@pytest.mark.long
@pytest.mark.parametrize(
    ("variables", "colours"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
    ids=["xterm", "NO_COLOR", "dumb"],
)
def test_escapes_are_for_terminals_that_know_them(
    variables: dict[str, str], colours: bool, tmp_path: Path
) -> None:
    """A terminal gets colours, and none with NO_COLOR (no-color.org) or TERM=dumb; lines are no
    longer than it is wide.
    """
    said = on_a_terminal(tmp_path, **variables)

    assert (ESCAPE in said) is colours
    lines = rows(said)
    assert any(line.startswith("verdict       PART PASSED") for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_message_is_wrapped_between_words(tmp_path: Path) -> None:
    """A message of a wrong command line is within the terminal's width, and has no cut words."""
    words = ["load", "issuance", "--users", "1"]
    words += ["--accounts", "no/such/folder/of/a/team/accounts.csv"]

    lines = rows(on_a_terminal(tmp_path, words, TERM="xterm"))

    assert lines[0].startswith("rolecall: no/such/folder/of/a/team/accounts.csv")
    assert max(map(len, lines)) <= 80
    assert "No such file or directory" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (["frobnicate"], "'completion')"),
        (["load", "nothing"], "'mixed')"),
        (["init", "target.toml", "--no-input"], "rolecall check target.toml"),
        (["serve", "--list-variants"], ""),
        (["serve", "--list-faults"], ""),
    ],
    ids=["command", "scenario", "init", "variants", "faults"],
)
def test_long_lists_are_wrapped(words: list[str], ends: str, tmp_path: Path) -> None:
    """What a message or a catalogue lists is within the terminal's width, to its last word."""
    lines = rows(on_a_terminal(tmp_path, words, TERM="xterm"))

    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).rstrip().endswith(ends)


@pytest.mark.long
def test_the_certificate_is_told_of_between_words(tmp_path: Path) -> None:
    """The line that names the certificate is wrapped, too: its path alone takes most of a row."""
    words = ["certify", "--out", "reports/runs"]

    lines = rows(on_a_terminal(tmp_path, words, TERM="xterm"))

    assert any(line.startswith("certificate   reports/runs/") for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.long
def test_a_pipe_gets_none(tmp_path: Path) -> None:
    """A pipe gets no escapes whatever TERM says, and lines that are not wrapped."""
    env = environment(TERM="xterm", COLUMNS="40")
    del env["NO_COLOR"]
    done = subprocess.run(
        [sys.executable, "-m", "rolecall", *PART],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        check=True,
    )

    assert b"\x1b" not in done.stdout + done.stderr
    assert b"note          only a part of the suite was selected; " in done.stdout
    assert max(map(len, done.stdout.splitlines())) > 80
