"""``--help`` of every command: examples that are understood, exit codes, a page that is there."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from rolecall.__main__ import COMMANDS, _parser, main
from rolecall.commands.help_texts import TEXTS
from rolecall.errors import ExitCode

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_codes_and_a_page(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the options stand commands to copy, what each exit code means, and where more is."""
    with pytest.raises(SystemExit) as end:
        _parser([command]).parse_args([command, "--help"])
    said = capsys.readouterr().out

    assert not end.value.code
    assert re.search(rf"^examples:\n  rolecall {command}", said, re.MULTILINE)
    assert re.search(r"^exit code:\n  0 ", said, re.MULTILINE)
    (page,) = re.findall(r"^more: (.+)$", said, re.MULTILINE)
    assert (ROOT / page).is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_understood(command: str) -> None:
    """Each example is of its command, and the parser takes all of its options."""
    for example in TEXTS[command].examples:
        words = shlex.split(example)
        assert command == words[0]
        _parser(words).parse_args(words)


@pytest.mark.parametrize("command", COMMANDS)
def test_exit_codes_are_ours(command: str) -> None:
    """A help text names no exit code that no command has."""
    assert set(TEXTS[command].codes) <= {int(code) for code in ExitCode}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_is_what_was_said_of_it(command: str) -> None:
    """What the parser keeps of a command for itself is no option's value: without words each option
    has its own default.
    """
    alone = argparse.ArgumentParser()
    import_module(f"rolecall.commands.{command}").add_arguments(alone)
    kept = {"run", "every_command"}

    assert not kept & {option.dest for option in alone._actions}
    words = shlex.split(TEXTS[command].examples[0])
    assert set(vars(_parser(words).parse_args(words))) == kept | {
        option.dest for option in alone._actions if option.dest != "help"
    }


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Who types `rolecall` alone sees all commands and where to begin; it is still an error."""
    assert main([]) == 2
    said = capsys.readouterr()

    assert not said.out
    assert "Begin with `rolecall certify`" in said.err
    assert [] == [name for name in COMMANDS if f"\n    {name}" not in said.err]
