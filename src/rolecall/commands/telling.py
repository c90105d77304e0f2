"""What `rolecall certify --notify` tells: the notice of a run, or of one that did not begin."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from rolecall import history
from rolecall.errors import RolecallError
from rolecall.harness.notifying import Notice, Told, check_receiver, notify
from rolecall.report import artefacts
from rolecall.report.notice import ended, flaky_of, state_of, state_without_run
from rolecall.screen import harmless, say

if TYPE_CHECKING:
    from rolecall.harness.run import Run

__all__ = ["check_receiver", "summary_of_no_run", "tell", "tell_of_no_run"]


def tell(arguments: argparse.Namespace, finished: Run) -> None:
    """Tell of a finished run, if that was asked for; what fails there is said, and is no more."""
    if not arguments.notify:
        return
    document, context = finished.document, finished.context
    lines, _ = history.read(arguments.out)
    summary = context.folder / artefacts.FORMATS["markdown"]
    notice = Notice(
        state_of(document, flaky_of(lines, document["target"])),
        summary.read_text(encoding="utf-8") if summary.exists() else "",
        {name: document["target"][name] for name in ("name", "base_url")},
        document["run"],
        str(context.folder),
    )
    secrets = {value for value, _ in context.target.secrets}
    _say(notify(arguments.notify, arguments.out, _told(arguments), notice, secrets))


def summary_of_no_run(error: RolecallError) -> str:
    """In Markdown, what a job's page and a receiver get where a run did not begin."""
    words = "\n".join(f"    {harmless(line)}" for line in str(error).splitlines())
    return f"## ❗ Rolecall: {ended(int(error.exit_code)) or 'no run'}\n\n{words}\n"


def tell_of_no_run(arguments: argparse.Namespace, error: RolecallError, summary: str) -> None:
    """Tell of a run that did not begin, or left no results."""
    if not arguments.notify:
        return
    notice = Notice(state_without_run(int(error.exit_code)), summary)
    _say(notify(arguments.notify, arguments.out, _told(arguments), notice))


def _told(arguments: argparse.Namespace) -> Told:
    file = str(arguments.target.resolve()) if arguments.target else ""
    return Told(file, arguments.select or "", arguments.read_only)


def _say(failure: str) -> None:
    if failure:
        say(f"rolecall: {harmless(failure)}", stream=sys.stderr, wraps=True)
