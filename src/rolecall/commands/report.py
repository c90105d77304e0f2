"""Make a report of a finished run, in any format, from what is in the run's folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rolecall.commands import add_run
from rolecall.errors import UsageError
from rolecall.screen import say

if TYPE_CHECKING:
    from rolecall.finished_run import FinishedRun

HELP = "make a report of a finished run, in any format"
#: Formats that are folders: Allure's results, and the page that Allure makes of them.
ALLURE, ALLURE_HTML = "allure", "allure-html"
PAGE = "allure-report"
_MOST_RUNS = 50  # among which the one before is looked for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, the format, and where to."""
    from rolecall.report.artefacts import FORMATS

    formats = [*FORMATS, ALLURE, ALLURE_HTML]
    add_run(parser, "run_folder")
    parser.add_argument(
        "--format",
        required=True,
        choices=formats,
        metavar="NAME",
        help=f"what to make: {', '.join(formats)}",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where to, - for standard output (default: a file in the run's folder)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the report and say where it is.

    Raises:
        UsageError: the folder is not that of a finished run, Allure is not installed, or --out is
            a folder that holds something else.
        NotWrittenWhole: the file system refused.
        RolecallError: Allure failed.
    """
    from rolecall.finished_run import EVIDENCE, FinishedRun
    from rolecall.report import artefacts
    from rolecall.whole_files import write_file

    is_folder = arguments.format in (ALLURE, ALLURE_HTML)
    if is_folder and arguments.out == "-":
        raise UsageError("--out -", f"{arguments.format} is a folder", "Name one.")
    if is_folder and arguments.out is not None:
        _see_that_nothing_is_lost(Path(arguments.out))
    finished = FinishedRun.read(arguments.run_folder)
    try:
        if is_folder:
            say(str(_allure(finished, arguments.format, arguments.out)))
            return 0
        text = artefacts.text(arguments.format, finished.results, finished.evidence)
    except (KeyError, TypeError, AttributeError, ValueError):
        evidence = str(arguments.run_folder / EVIDENCE)
        raise UsageError(evidence, "it is not as rolecall writes it", "Run it again.") from None
    if arguments.out == "-":
        sys.stdout.write(text)
        return 0
    path = Path(arguments.out or finished.folder / artefacts.FORMATS[arguments.format])
    write_file(path, text)
    say(str(path))
    return 0


def _see_that_nothing_is_lost(folder: Path) -> None:
    """Look at the folder that the report takes the place of.

    Raises:
        UsageError: there is something in it that was not made here.
    """
    from rolecall.allure_cli import MARK

    try:
        if not folder.is_symlink() and (not folder.exists() or not any(folder.iterdir())):
            return
        settings = folder / "environment.properties"
        is_ours = (folder / MARK).is_file() or (
            settings.is_file() and settings.read_bytes().startswith(b"rolecall=")
        )
    except OSError:
        is_ours = False
    if folder.is_symlink() or not is_ours:
        what = "it is there already, and is not a report that rolecall made"
        raise UsageError(f"--out {folder}", what, "Name a folder that is not there yet.")


def _allure(finished: FinishedRun, format: str, out: str | None) -> Path:
    """Allure's results, and its page of them if that is asked for; the folder that was made."""
    from rolecall import allure_cli
    from rolecall.report import allure
    from rolecall.whole_files import write_folder

    command = allure_cli.find() if format == ALLURE_HTML else None
    results = finished.folder / allure.FOLDER
    if command is None:
        results = Path(out) if out else results
    write_folder(results, dict(allure.files(finished.results, finished.evidence)))
    if command is None:
        return results
    page = Path(out) if out else finished.folder / PAGE
    command.render(results, page, finished.folder, _before(finished))
    return page


def _before(finished: FinishedRun) -> Path | None:
    """The newest earlier run of the same target of which Allure has made a page."""
    from rolecall.allure_cli import has_history
    from rolecall.finished_run import RESULTS, FinishedRun

    folder = finished.folder.resolve()
    earlier = sorted(path for path in folder.parent.iterdir() if path.name < folder.name)
    for path in reversed(earlier[-_MOST_RUNS:]):
        if has_history(path) and (path / RESULTS).is_file():
            try:
                target = FinishedRun.read(path).results["target"]["name"]
            except UsageError:
                continue
            if target == finished.results["target"]["name"]:
                return path
    return None
