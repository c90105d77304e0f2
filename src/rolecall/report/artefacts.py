"""The files that are made from a run's two documents: what it found, and every exchange of it.

A run writes them at its end, and ``rolecall report`` makes any of them again from a run's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rolecall.report import junit, report_page

Documents = Mapping[str, Any]

#: By file name: what makes its text of results.json and of evidence.har (as documents).
WRITERS: Mapping[str, Callable[[Documents, Documents], str]] = {
    "junit.xml": lambda results, evidence: junit.write(dict(results)),
    "report.html": report_page.write,
}


def texts(results: Documents, evidence: Documents) -> dict[str, str]:
    """Every file's text, by its name."""
    return {name: write(results, evidence) for name, write in WRITERS.items()}
