"""One module per subcommand."""

from __future__ import annotations

import os
import sys


def say(text: str) -> None:
    """Print a text at once. When nobody reads our output any more, the work goes on: its exit code still counts."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
