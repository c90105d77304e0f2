"""One module per subcommand."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any


def say(text: str) -> None:
    """Print a text at once. When nobody reads our output any more, the work goes on: its exit code still counts."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say_result(arguments: argparse.Namespace, document: Mapping[str, Any], *, summary: str, verdict: str) -> int:
    """Print what came of a run: the document with ``--json``, its verdict with ``--quiet``, or else the summary; its exit code."""
    if arguments.json:
        say(json.dumps(document, indent=1))
    else:
        say(verdict if arguments.quiet else summary)
    return int(document["exit_code"])
