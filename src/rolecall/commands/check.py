"""Look at a target before a run: log in with every account, read a little, write nothing.

Says what is wrong with the target file, how the server reads the gaps of the specification, and
what a run will not be able to test.
"""

from __future__ import annotations

import argparse
import shlex

from rolecall.commands import add_target, say_document
from rolecall.screen import harmless, say

HELP = "look at a target without writing anything to it, in seconds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The target, and how to print."""
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found.

    Raises:
        UsageError: the target file is wrong, or a log-in is refused.
        Unreachable: nothing answers, or there is no token endpoint.
    """
    from rolecall.harness.readiness import readiness
    from rolecall.report import readiness_text

    document = readiness(arguments.target)
    if arguments.json:
        say_document(document)
    else:
        target = f" {shlex.quote(harmless(str(arguments.target)))}" if arguments.target else ""
        say(readiness_text.text(document, f"rolecall certify{target}"), wraps=True)
    return 0
