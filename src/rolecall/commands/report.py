"""Make a report of a finished run, in any format, from what is in the run's folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rolecall.screen import say

HELP = "make a report of a finished run, in any format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, the format, and where to."""
    from rolecall.report.artefacts import FORMATS

    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "--format", required=True, choices=FORMATS, help=f"what to make: {', '.join(FORMATS)}"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where to, - for standard output (default: a file in the run's folder)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the report and say where it is.

    Raises:
        UsageError: the folder is not that of a finished run.
        NotWrittenWhole: the file system refused.
    """
    from rolecall.finished_run import FinishedRun
    from rolecall.report import artefacts
    from rolecall.whole_files import write_file

    finished = FinishedRun.read(arguments.run_folder)
    text = artefacts.text(arguments.format, finished.results, finished.evidence)
    if arguments.out == "-":
        sys.stdout.write(text)
        return 0
    path = Path(arguments.out or finished.folder / artefacts.FORMATS[arguments.format])
    write_file(path, text)
    say(str(path))
    return 0
