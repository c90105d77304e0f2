"""Certify a server: run the suite and give a verdict on every cell and every requirement."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from rolecall.commands import add_select, add_target, say_result
from rolecall.commands.job_page import append_file_to_job_page, append_to_job_page
from rolecall.endings import end_as_ctrl_c_does
from rolecall.errors import Interrupted, RolecallError
from rolecall.harness.options import OPTIONS, Options
from rolecall.screen import harmless, has_colours, say, width_of

if TYPE_CHECKING:
    from rolecall.harness.run import Run

HELP = "run the suite against a server and give a verdict"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run."""
    # Longer than 40 lines because each option is declared in a few.
    add_target(parser)
    add_select(parser)
    for name, keywords in OPTIONS.items():
        parser.add_argument(name, **keywords)
    parser.add_argument(
        "--notify",
        metavar="CMD|URL",
        help="tell this command, or this webhook, when something changed since it was told last",
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
    end_as_ctrl_c_does()  # SIGTERM is how CI systems end a job

    from rolecall.commands.telling import check_receiver, summary_of_no_run, tell, tell_of_no_run
    from rolecall.harness.entry import run_suite
    from rolecall.harness.progress import Progress

    words = Options.of(arguments).words()
    if arguments.notify:
        check_receiver(arguments.notify)
    if arguments.select:
        words += ["-k", arguments.select]
    progress = Progress(sys.stderr, silent=arguments.json or arguments.quiet)
    try:
        finished = run_suite(words, progress)
    except (RolecallError, KeyboardInterrupt) as raised:
        error = raised if isinstance(raised, RolecallError) else Interrupted()
        summary = summary_of_no_run(error)
        append_to_job_page(summary)
        tell_of_no_run(arguments, error, summary)
        raise error from None
    try:
        return _print(arguments, finished)
    finally:  # also where it cannot be printed
        tell(arguments, finished)


def _print(arguments: argparse.Namespace, finished: Run) -> int:
    """Print what came of a run, and what else a reader should know; its exit code."""
    from rolecall.report import artefacts, terminal

    document, folder = finished.document, str(finished.context.folder)
    colour = has_colours(sys.stdout)
    code = say_result(
        arguments,
        document,
        summary=""
        if arguments.json or arguments.quiet
        else terminal.summary(document, folder, colour=colour, width=width_of(sys.stdout)),
        verdict=terminal.verdict(document, folder).splitlines()[-1],
        colour=colour,
    )
    append_file_to_job_page(finished.context.folder / artefacts.FORMATS["markdown"])
    _say_certificate(arguments, finished)
    if finished.aborted:
        say(
            f"rolecall: {harmless(finished.context.secrets.redact(finished.aborted))}",
            stream=sys.stderr,
            wraps=True,
        )
    if finished.unnoted:
        say(f"rolecall: {finished.unnoted}", stream=sys.stderr, wraps=True)
    return code


def _say_certificate(arguments: argparse.Namespace, finished: Run) -> None:
    """Say on standard error whether the run is certified, and who signed."""
    from rolecall.report.certificate import CERTIFICATE, why_not

    file, key = finished.context.folder / CERTIFICATE, finished.key
    is_loud = not (arguments.json or arguments.quiet)
    if file.exists():
        signed = f"signed by key {key.id}" if key else "sealed by digests, not signed (see --sign)"
        if is_loud:
            line = f"certificate   {harmless(str(file))}: {signed}"
            say(line, stream=sys.stderr, wraps=True)
    elif key:
        text = f"rolecall: no certificate: {why_not(finished.document)}"
        say(text, stream=sys.stderr, wraps=True)
