"""The files that are made from a run's two documents: what it found, and every exchange of it.

A run writes some of them at its end; ``rolecall report`` makes any of them again, from the
documents in a run's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rolecall.report import badge, har, junit, matrix_csv, report_page, sarif, summary

Documents = Mapping[str, Any]
#: Makes the text of a file of results.json and of evidence.har (as documents).
Writer = Callable[[Documents, Documents], str]

#: By file name: what a run writes.
WRITERS: Mapping[str, Writer] = {
    "junit.xml": junit.write,
    "report.html": report_page.write,
    "summary.md": lambda results, evidence: summary.write(results),
}
#: By file name: what is only made when somebody asks for it.
ON_REQUEST: Mapping[str, Writer] = {
    "results.sarif": sarif.write,
    "matrix.csv": lambda results, evidence: matrix_csv.write(results),
    "badge.svg": lambda results, evidence: badge.write(results),
    "evidence.har": lambda results, evidence: har.write(evidence),
}
_NAMES = {"junit.xml": "junit", "summary.md": "markdown", "badge.svg": "badge"}
#: By the name that ``rolecall report --format`` takes: the file that it stands for; files are named
#: by their suffix where that says it.
FORMATS: Mapping[str, str] = {
    _NAMES.get(file, file.rpartition(".")[2]): file for file in (*WRITERS, *ON_REQUEST)
}


def texts(
    results: Documents, evidence: Documents, *, inconclusive: str = junit.INCONCLUSIVE[0]
) -> dict[str, str]:
    """The text of every file that a run writes, by its name; ``inconclusive`` as in junit.write."""
    writers: dict[str, Writer] = {
        **WRITERS,
        "junit.xml": partial(junit.write, inconclusive=inconclusive),
    }
    return {name: write(results, evidence) for name, write in writers.items()}


def text(format: str, results: Documents, evidence: Documents) -> str:
    """The text of the file that a name of FORMATS stands for."""
    writers = {**ON_REQUEST, **WRITERS}
    return writers[FORMATS[format]](results, evidence)
