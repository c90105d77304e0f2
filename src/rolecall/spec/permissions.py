"""The permission table, read from Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ROW = re.compile(r"^\|(.+)\|$")


@dataclass(frozen=True)
class PermissionTable:
    """The permission table: ``rows[permission][role]`` is True for ``+``; ``roles`` ascend."""

    roles: tuple[str, ...]
    rows: Mapping[str, Mapping[str, bool]]

    @classmethod
    def parse(cls, text: str) -> PermissionTable:
        """Read the Markdown table of ``permissions.md``."""
        cells = [
            [cell.strip() for cell in match.group(1).split("|")]
            for line in text.splitlines()
            if (match := _ROW.match(line))
        ]
        header, rows = cells[0], cells[2:]
        roles = tuple(header[1:])
        for row in rows:
            if len(row) != len(header) or not set(row[1:]) <= {"+", "-"}:
                raise ValueError(f"not a row of the permission table: {row}")
        return cls(
            roles,
            {
                row[0]: dict(zip(roles, (mark == "+" for mark in row[1:]), strict=True))
                for row in rows
            },
        )
