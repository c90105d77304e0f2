"""One module per subcommand."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from rolecall.screen import no_command, say

#: Of an expression that selects: as many as pytest reads with room to spare.
_MOST_PIECES, _DEEPEST = 1_500, 50


def add_target(parser: argparse.ArgumentParser, read: Callable[[str], Path] = Path) -> None:
    """The target file, which may be left out; ``read`` makes a path of what was typed."""
    parser.add_argument(
        "target",
        nargs="?",
        type=read,
        metavar="TARGET",
        help="target file (default: the embedded server)",
    )


def add_select(parser: argparse.ArgumentParser) -> None:
    """The part of the suite that is wanted."""
    parser.add_argument(
        "--select",
        type=_expression,
        metavar="EXPR",
        help="only tests of these requirements, operations or roles, such as "
        '"list-users and guest" (as pytest\'s -k)',
    )


def _expression(text: str) -> str:
    if not text.strip():  # as of a variable that is not set: all would be selected
        raise argparse.ArgumentTypeError("it is empty, and selects nothing")
    pieces = re.findall(r"[()]|[^\s()]+", text)
    depths = accumulate({"(": 1, ")": -1}.get(piece, 0) for piece in pieces)
    # pytest reads it by functions that call themselves, and breaks where it is long
    if len(pieces) > _MOST_PIECES or max(depths) > _DEEPEST:
        raise argparse.ArgumentTypeError(
            f"it has more than {_MOST_PIECES:,} words and parentheses, or more than {_DEEPEST} "
            "parentheses in each other: select a requirement, an operation or a role"
        )
    return text


def add_run(parser: argparse.ArgumentParser, dest: str) -> None:
    """The finished run that the command is about."""
    parser.add_argument(
        dest,
        type=_run_folder,
        metavar="RUN",
        help="the folder of a finished run, or its id under reports/runs",
    )


def _run_folder(text: str) -> Path:
    from rolecall.finished_run import find_run
    from rolecall.harness.options import DEFAULT_OUT

    return find_run(text, DEFAULT_OUT)


def say_result(
    arguments: argparse.Namespace,
    document: Mapping[str, Any],
    *,
    summary: str,
    verdict: str,
    colour: bool = False,
) -> int:
    """Print what came of a run: the document with ``--json``, its verdict with ``--quiet``, or else
    the summary; its exit code.
    """
    if arguments.json:
        say_document(document)
    else:
        say(verdict if arguments.quiet else summary, colour=colour)
    return int(document["exit_code"])


def say_document(document: object) -> None:
    """Print a document as JSON."""
    # DEL is the only character beyond ASCII's signs that JSON leaves.
    text = json.dumps(document, indent=1).replace("\x7f", "\\u007f")
    say(no_command(text, "\\u{:04x}"))
