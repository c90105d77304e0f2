"""Certify a server: run the suite and give a verdict on every cell and every requirement."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rolecall.commands import say_result
from rolecall.endings import end_as_ctrl_c_does
from rolecall.screen import harmless, has_colours, say, width_of
from rolecall.whole_files import NotWrittenWhole

HELP = "run the suite against a server and give a verdict"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run."""
    # Longer than 40 lines because each option is described where it is added.
    parser.add_argument(
        "target",
        nargs="?",
        type=Path,
        metavar="TARGET",
        help="target file (default: the embedded server)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the run's folder is made (default: reports/runs)",
    )
    parser.add_argument(
        "--select",
        metavar="EXPR",
        help="only these requirements, operations or roles (as pytest's -k)",
    )
    parser.add_argument(
        "--rate", type=float, metavar="N", help="requests per second, instead of the target file's"
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help="requests in flight, instead of the target file's",
    )
    parser.add_argument("--read-only", action="store_true", help="send nothing that would write")
    parser.add_argument(
        "--intrusive", action="store_true", help="also what may lock an account out or takes long"
    )
    parser.add_argument(
        "--junit-inconclusive",
        choices=("skipped", "error"),
        help="what an inconclusive test is in junit.xml (default: skipped)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print results.json and nothing else")
    how.add_argument(
        "--quiet", action="store_true", help="print one line with the verdict and nothing else"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the suite and print what came of it.

    Raises:
        UsageError: an option or the target file is wrong.
        RolecallError: the run could not be brought to its end.
    """
    from rolecall.harness.context import Options
    from rolecall.harness.entry import run_suite
    from rolecall.harness.progress import Progress
    from rolecall.report import artefacts, terminal

    Options(rate=arguments.rate, concurrency=arguments.concurrency).check()
    end_as_ctrl_c_does()  # SIGTERM is how CI systems end a job
    finished = run_suite(
        _options(arguments), Progress(sys.stderr, silent=arguments.json or arguments.quiet)
    )
    document, folder = finished.document, str(finished.context.folder)
    colour = has_colours(sys.stdout)
    code = say_result(
        arguments,
        document,
        summary=terminal.summary(document, folder, colour=colour, width=width_of(sys.stdout)),
        verdict=terminal.verdict(document, folder).splitlines()[-1],
        colour=colour,
    )
    append_to_job_page(finished.context.folder / artefacts.FORMATS["markdown"])
    if finished.aborted:
        say(
            f"rolecall: {harmless(finished.context.secrets.redact(finished.aborted))}",
            stream=sys.stderr,
        )
    return code


def append_to_job_page(summary: Path) -> None:
    """Append a run's summary to what GitHub shows of a job, where there is one (``summary`` is not
    there if it could not be written).

    Raises:
        NotWrittenWhole: the file that $GITHUB_STEP_SUMMARY names cannot be written.
    """
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if not page or not summary.exists():
        return
    try:
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(f"{summary.read_text(encoding='utf-8')}\n")
    except OSError as error:
        raise NotWrittenWhole(page, error.strerror or type(error).__name__) from None


def _options(arguments: argparse.Namespace) -> list[str]:
    words: list[str] = []
    for option in ("target", "out", "rate", "concurrency", "junit_inconclusive"):
        value = getattr(arguments, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    words += [
        f"--{option.replace('_', '-')}"
        for option in ("read_only", "intrusive")
        if getattr(arguments, option)
    ]
    if arguments.select:
        words += ["-k", arguments.select]
    return words
