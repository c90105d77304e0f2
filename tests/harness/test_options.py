"""The table of a run's options, from which two parsers are made."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

import pytest

from rolecall.errors import UsageError
from rolecall.harness.options import OPTIONS, PYTEST_OPTIONS, Options


def parsed(*words: str) -> Options:
    """Options as pytest's parser, which has all of them, reads them."""
    parser = argparse.ArgumentParser()
    for name, keywords in (OPTIONS | PYTEST_OPTIONS).items():
        parser.add_argument(name, **keywords)
    return Options.of(parser.parse_args(words))


def test_each_option_is_a_field() -> None:
    """An option that no field holds, or a field without an option, would be lost on the way."""
    names = {name.removeprefix("--").replace("-", "_") for name in OPTIONS | PYTEST_OPTIONS}

    assert names == {field.name for field in fields(Options)}


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(rate=0.0),
        Options(
            target=Path("a target.toml"),
            out=Path("-out"),
            rate=2.5,
            concurrency=3,
            read_only=True,
            intrusive=True,
            no_reports=True,
            serve_option=("--variant=one", "--fault=two"),
        ),
    ],
    ids=["none", "no limit", "all"],
)
def test_what_the_command_was_given_reaches_pytest(options: Options) -> None:
    """Options survive the way from the command to pytest's parser, whatever they begin with."""
    there = parsed(*options.words())

    assert replace(there, serve_option=tuple(there.serve_option)) == options


def test_what_is_not_given_is_not_passed_on() -> None:
    """A default is no word, and a parser that has not all options leaves the others at theirs."""
    assert Options.of(argparse.Namespace(rate=None)) == Options()
    assert Options().words() == []


@pytest.mark.parametrize("words", [["--rate=-1"], ["--rate=nan"], ["--concurrency=0"]])
def test_what_no_run_can_have_is_refused(words: list[str]) -> None:
    """An option out of bounds is refused by its name as soon as it is read."""
    with pytest.raises(UsageError, match=words[0].partition("=")[0]):
        parsed(*words)
