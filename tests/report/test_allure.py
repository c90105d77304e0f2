"""Allure's files that are not results: what Java reads of them."""

from __future__ import annotations

import re

import pytest

from rolecall.report.allure import AllureResults

_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_SHORT = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def as_java_reads(line: str) -> str:
    """The value of a line of a properties file, as java.util.Properties reads it (its documentation
    of ``load``).
    """
    value = line.encode("latin-1").decode("latin-1").partition("=")[2].lstrip(" \t\f")
    units = _ESCAPE.sub(
        lambda match: (
            chr(int(match[1][1:], 16)) if match[1][1:] else _SHORT.get(match[1], match[1])
        ),
        value,
    )
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


@pytest.mark.parametrize(
    "value",
    [
        "staging",
        "Prüfung 日本",
        r"C:\\temp\\new",
        "  led by blanks ",
        "#1 = !2 : 3",
        "👍",
        "two\nlines\tand\ta tab",
        r"\\u0041",
        "",
    ],
)
def test_the_environment_is_a_properties_file(value: str) -> None:
    """Whatever the target is called, Allure shows it so."""
    files = dict(
        AllureResults({"rolecall": "1.0", "target": value, "base_url": "http://127.0.0.1:1"}).files(
            str
        )
    )
    lines = files["environment.properties"].split("\n")

    assert len(lines) == 4
    assert as_java_reads(lines[1]) == value
