"""The ``rolecall`` command: parses, calls the subcommand, and turns errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import sys
import textwrap
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from rolecall import __version__
from rolecall.commands.help_texts import epilog
from rolecall.errors import NO_ROOM, ExitCode, RolecallError, Unreachable, UsageError, place_of
from rolecall.screen import harmless, output_lost, say, width_of, wrapped_line, write
from rolecall.wording import shortened

LONGEST_MESSAGE = 4_000  # characters of an error: it may repeat a value of a file
_HELP = 78  # columns, as argparse's own texts on a small terminal
#: Subcommands; each is a module of `rolecall.commands` with HELP, add_arguments(parser) and
#: run(arguments) -> int.
COMMANDS = (
    "init",
    "check",
    "certify",
    "plan",
    "load",
    "capacity",
    "selftest",
    "serve",
    "report",
    "show",
    "diff",
    "keygen",
    "verify",
    "rejudge",
    "cleanup",
    "prune",
    "requirements",
    "completion",
)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    return _unless_lost(_run(argv))


def _unless_lost(code: int) -> int:
    """The exit code of a command, which is not 0 where what it printed is not whole."""
    if why := output_lost():
        text = f"rolecall: standard output could not be written: {why}. What it shows is not whole."
        say(text, stream=sys.stderr, wraps=True)
    return code or (ExitCode.HARNESS_ERROR if why else code)


def _run(argv: list[str] | None) -> int:
    """Run one subcommand; its errors become messages."""
    words = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a target's words may be of any characters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _refuse_empty(words)
        arguments = _parser(words).parse_args(words)
        return int(arguments.run(arguments))
    except RolecallError as error:
        # some of it may be a target's
        text = harmless(str(error)) if isinstance(error, Unreachable) else str(error)
        say(f"rolecall: {shortened(text, LONGEST_MESSAGE)}", stream=sys.stderr, wraps=True)
        return int(error.exit_code)
    except KeyboardInterrupt:
        say("rolecall: interrupted", stream=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left. Verdicts are printed by `say`, which never gets here.
        return 0
    except Exception as error:  # noqa: BLE001  # Python's own exit code, 1, would blame the target
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            text = f"rolecall: {error.strerror}, in {place_of(error)}"
            say(text, stream=sys.stderr, wraps=True)
            return int(ExitCode.HARNESS_ERROR)
        # Not the exception's own words: they may hold a secret.
        broke = (
            f"rolecall: the harness broke: {type(error).__name__} in {place_of(error)}: a "
            "bug, please report it\n"
        )
        say(
            "".join([broke, *traceback.format_tb(error.__traceback__)]).rstrip("\n"),
            stream=sys.stderr,
        )
        return int(ExitCode.HARNESS_ERROR)


class _Parser(argparse.ArgumentParser):
    """Knows whether its help was printed: argparse itself forgets the error of a full disk."""

    def _print_message(self, message: str, file: Any = None) -> None:
        write(message, file or sys.stderr)

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong with the words, no wider than a terminal; exit."""
        self.print_usage(sys.stderr)
        text = f"{self.prog}: error: {message}"
        say("\n".join(wrapped_line(text, width_of(sys.stderr), "", "  ")), stream=sys.stderr)
        self.exit(int(ExitCode.USAGE))


def _refuse_empty(words: list[str]) -> None:
    """Refuse a word without a text, as a shell makes of a variable that is not set: `Path` would
    take it for the current folder, and an option would be without effect.

    Raises:
        UsageError: there is one; the message names its option.
    """
    for before, word in zip(["", *words], words, strict=False):
        if not word:
            where = before if before.startswith("--") else "an argument"
        elif word.startswith("--") and word.endswith("="):
            where = word[:-1]
        else:
            continue
        raise UsageError(where, "it is empty", "Is a variable of the shell not set?")


def _parser(words: list[str] | None = None) -> argparse.ArgumentParser:
    """The parser of these words; without any, the one with the options of every command."""
    parser = _Parser(
        prog="rolecall",
        description="Proves whether a server implements the Web1on1 REST API's authentication "
        "page.",
        epilog="Begin with `rolecall certify`: it brings a server of its own. `rolecall init` "
        "writes a file that describes yours. `rolecall COMMAND --help` shows examples.",
    )
    parser.set_defaults(run=lambda arguments: _show_help(parser))  # where no command is given
    parser.add_argument("--version", action="version", version=f"rolecall {__version__}")
    wanted = next((word for word in words or () if not word.startswith("-")), "")
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name in COMMANDS:
        command = import_module(f"rolecall.commands.{name}")
        subparser = subparsers.add_parser(
            name,
            help=command.HELP,
            description=_paragraphs(command.__doc__ or ""),
            epilog=epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if words is None:
            with contextlib.suppress(UsageError):  # load without Locust has no options
                command.add_arguments(subparser)
        elif name == wanted:  # only the command at hand pays for what its options need to import
            command.add_arguments(subparser)
        subparser.set_defaults(run=command.run, every_command=_parser)
    return parser


def _paragraphs(text: str) -> str:
    """A module's docstring as the description of its command."""
    return "\n\n".join(textwrap.fill(part, _HELP) for part in text.split("\n\n"))


def _show_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return int(ExitCode.USAGE)


#: New objects between two searches for garbage, and how many of these go by before the next older
#: generation is searched. What a command imports and a run records lives to its end: looking
#: through it all the time is a tenth of the work, and stops every request for 0.1 s.
_GARBAGE = (100_000, 10, 1000)


def _fill_closed_streams() -> None:
    """Open the null device where the parent process has closed a standard stream: else the first
    file that is opened would take its place, and what a child process writes.
    """
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # POSIX: the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # pytest wants one
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # to the end
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)


def script() -> NoReturn:
    """The command as a process of its own, which leaves at once: to free all that a run has
    recorded takes a tenth of its time.
    """
    gc.set_threshold(*_GARBAGE)
    _fill_closed_streams()
    try:
        code = main()
    except SystemExit as end:  # of argparse: a help text, the version, a mistake
        code = _unless_lost(end.code if isinstance(end.code, int) else int(ExitCode.USAGE))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    script()
