"""One module per subcommand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from rolecall.screen import say


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
    say(json.dumps(document, indent=1).replace("\x7f", "\\u007f"))
