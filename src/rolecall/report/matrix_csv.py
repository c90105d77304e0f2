"""``matrix.csv``: every cell of the permission table, for a spreadsheet (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from rolecall.screen import harmless

#: The columns, as members of a cell in results.json.
COLUMNS = ("operation", "role", "credential", "expected", "outcome", "status", "reason")
#: What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), and the wide
#: forms of the same signs.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def write(results: Mapping[str, Any]) -> str:
    """The text of the file: a line with the names of the columns, and one for each cell.

    Every value is in quotation marks, ends of lines in it are visible escapes, and what would be a
    formula begins with an apostrophe, which spreadsheets read as "this is text".
    """
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_value(cell[column]) for column in COLUMNS] for cell in results["cells"])
    return file.getvalue()


def _value(value: str | int | None) -> str:
    text = "" if value is None else str(value)
    return harmless(f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text)
