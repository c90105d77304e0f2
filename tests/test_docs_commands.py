"""Every command in the documentation exists, with its options, and prints what is shown."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from rolecall.__main__ import COMMANDS, _parser
from rolecall.report import load_terminal
from rolecall.target import parse_target
from tests.report.test_load_page import search
from tests.support.command import ROLES, environment
from tests.support.documentation import (
    PAGES,
    ROOT,
    WRITTEN,
    blocks,
    commands,
    shown_in,
    without_redirection,
    words,
)

#: What a reader types beside our own commands.
OF_OTHERS = {"cat", "cd", "docker", "git", "grep", "ssh", "export", "gh", "twine"}
#: What a page writes where a reader puts a name of their own, and what is parsed in its place.
FILLED_IN = {"YOUR-SCENARIO": "session", "YOUR-FORMAT": "csv"}
GUIDE = ROOT / "docs" / "what-others-could-not-do.md"


@cache
def help_of(*command: str) -> str:
    """What a program says that its options are."""
    finished = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout


@cache
def options_of_the_locustfile() -> str:
    """What the locustfile adds to Locust's options, in a process of its own: Locust patches the one
    that imports it.
    """
    code = (
        "from locust.argument_parser import get_empty_argument_parser; from rolecall.loadgen "
        "import options;"
        "parser = get_empty_argument_parser(); options.add_arguments(parser, "
        "include_in_web_ui=False); print(parser.format_help())"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def check_rolecall(*given: str) -> None:
    """The real parser takes the words; a subcommand's name alone only names it."""
    if len(given) == 1 and given[0] in COMMANDS:
        return
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            _parser(list(given)).parse_args(list(given))
        except SystemExit as end:
            assert not end.code, said.getvalue()


def check_make(*given: str) -> None:
    """The Makefile has each target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV)", ".venv")
    for target in given:
        assert "=" in target or re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), (
            f"make {target}"
        )


def check_tox(*given: str) -> None:
    """tox.ini has each environment."""
    if not given:
        return
    assert given[:2] == ("run", "-e")
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    for name in given[2].split(","):
        assert f"[testenv:{name}]" in tox or re.fullmatch(r"py3\d\d", name), f"tox run -e {name}"


def check_options(text: str, given: tuple[str, ...]) -> None:
    """Each option is one of those that the help names, and each path is there."""
    for word in given:
        if re.match(r"--?[a-z]", word):
            assert re.search(rf"(?<![\w-]){re.escape(word.split('=')[0])}\b", text), (
                f"unknown option {word}"
            )
        if (
            "/" in word
            and not word.startswith(("http", "-"))
            and "::" not in word
            and word.endswith(".py")
        ):
            assert (ROOT / word).exists(), f"no such file: {word}"


def check_python(*given: str) -> None:
    """A module is run by name, or a file that is there."""
    if given[0] == "-m":
        known = {"pip", "build", "pytest", "venv", "rolecall", "http.server", "tests.mutants"}
        assert given[1] in known, given[1]
    else:
        assert (ROOT / given[0]).exists(), f"no such file: {given[0]}"


CHECKS: dict[str, Callable[..., object]] = {
    "rolecall": check_rolecall,
    "make": check_make,
    "tox": check_tox,
    "pytest": lambda *given: check_options(help_of("pytest", "conformance"), given),
    "locust": lambda *given: check_options(help_of("locust") + options_of_the_locustfile(), given),
    "python": check_python,
    "python3": check_python,
    "pip": lambda *given: check_options(help_of("pip", "install"), given),
    "ruff": lambda *given: None,
    "pre-commit": lambda *given: None,
}


@pytest.mark.parametrize(
    "page", [page for page in WRITTEN if commands(page)], ids=lambda page: page.name
)
def test_commands_are_understood(page: Path) -> None:
    """Each command of the page is one of ours, which takes its options, or a tool's that a reader
    has.
    """
    for line in commands(page):
        for command in words(line):
            name, *given = [FILLED_IN.get(word, word) for word in without_redirection(command)]
            if name not in OF_OTHERS:
                assert name in CHECKS, f"{page.name}: {line}: unknown command {name}"
                CHECKS[name](*given)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_can_be_read(page: Path) -> None:
    """Each piece of Python on the page is Python."""
    for block in blocks(page, "python"):
        ast.parse(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_toml_can_be_read(page: Path) -> None:
    """Each piece of TOML on the page is TOML, and what is a target file is one that is taken."""
    for block in blocks(page, "toml"):
        document = tomllib.loads(block.text)
        if "target" in document:
            missing = [role for role in ROLES if role not in document.get("accounts", {})]
            text = block.text + "".join(
                f'\n[accounts.{role}]\nemail = "{role}@example.org"\npassword = "x"\n'
                for role in missing
            )
            names = re.findall(r'_env = "(\w+)"', text)
            parse_target(
                text,
                ROLES,
                source=page.name,
                environ=dict.fromkeys(names, "a value of twenty letters"),
            )


class TestOutput:
    """What is shown as output is printed; numbers may differ."""

    @staticmethod
    def run(command: str, folder: Path) -> str:
        """What a command prints, to either of its streams."""
        line = re.sub(
            r"^(\.venv/bin/)?rolecall\b", shlex.quote(sys.executable) + " -m rolecall", command
        )
        assert line != command or command.startswith("grep "), (
            f"{command}: only our own commands are run here"
        )
        finished = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment(COLUMNS="200"),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return f"{finished.stderr}{finished.stdout}exit {finished.returncode}{os.linesep}"

    def test_of_a_search(self) -> None:
        """docs/capacity.md shows a search as the terminal does: the same columns, and the same
        words before the same lines.
        """
        printed = load_terminal.capacity(search(), "runs/1").splitlines()
        (block,) = blocks(ROOT / "docs" / "capacity.md", "text")
        shown = block.text.splitlines()
        labels = {line.split()[0] for line in printed if line[0].isalpha()}

        assert printed[0] in shown
        assert labels <= {line.split()[0] for line in shown if line[0].isalpha()}

    @pytest.mark.long
    def test_of_certify_in_the_readme(self, tmp_path: Path) -> None:
        """README shows what `make certify` prints, in the order of a terminal."""
        shown, *_ = blocks(ROOT / "README.md", "text")

        assert [] == shown_in(shown.text.splitlines(), self.run("rolecall certify 2>&1", tmp_path))

    @pytest.mark.long
    @pytest.mark.parametrize(
        ("command", "shown"),
        [
            (command, lines)
            for page in WRITTEN
            if page != GUIDE
            for block in blocks(page, "console")
            for command, lines in block.session
            if lines
        ],
        ids=lambda value: re.sub(r"\W+", "-", value)[:40] if isinstance(value, str) else "",
    )
    def test_of_other_pages(self, command: str, shown: list[str], tmp_path: Path) -> None:
        """A console that shows output shows what its command prints."""
        printed = self.run(command, tmp_path)
        missing = shown_in(shown, printed)

        if missing and "INVALID" in printed:
            pytest.skip(f"this machine was too busy: {missing}")
        assert [] == missing, printed

    @pytest.mark.nightly
    def test_of_what_others_could_not_do(self, tmp_path: Path) -> None:
        """The commands of the page, run in order in one folder, print what it shows."""
        too_busy = []
        for command, shown in (
            entry for block in blocks(GUIDE, "console") for entry in block.session
        ):
            printed = self.run(command, tmp_path)
            missing = shown_in(shown, printed)
            if missing and re.search("INVALID|the baseline is invalid", printed):
                too_busy.append(command)
            else:
                assert [] == missing, f"{command}\n{printed}"
        if too_busy:
            pytest.skip(f"this machine was too busy for {too_busy}; the others were as shown")
