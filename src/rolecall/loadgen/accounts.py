"""The accounts that a load run logs in, from a target or CSV file; each worker has a share."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

from rolecall.errors import UsageError
from rolecall.spec.loading import load_specification
from rolecall.target import Target
from rolecall.text_files import ACCOUNTS, read_text

COLUMNS = ("email", "password", "role")
#: Of the files that spreadsheets write where the comma is in numbers.
_NOT_COMMAS = "Part the columns by commas, not by semicolons or tabs. "
_FIRST_LINE = f"The first line names the columns: {','.join(COLUMNS)}."


@dataclass(frozen=True)
class LoadAccount:
    """A user; ``role`` is its tokens' scope, ``user`` its id, empty where that is not known."""

    email: str
    password: str = field(repr=False)
    role: str
    user: str = ""


def from_target(target: Target) -> list[LoadAccount]:
    """The accounts of a target file."""
    return [
        LoadAccount(account.email, account.password, account.role)
        for account in target.accounts.values()
    ]


def read_csv(path: Path, roles: Sequence[str] | None = None) -> list[LoadAccount]:
    """The accounts of a CSV file (RFC 4180, UTF-8) with the columns email, password and role.

    Raises:
        UsageError: the file cannot be read, or an entry is not an account; the message says in
            which line, and repeats no password.
    """
    try:
        text = read_text(path, ACCOUNTS)
    except OSError as error:
        raise UsageError(str(path), f"this cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(str(path), "this is not UTF-8", "Save it as CSV UTF-8.") from None
    rows = _rows(StringIO(text, newline=""), str(path))
    accounts = list(_accounts(rows, str(path), roles or load_specification().roles))
    if not accounts:
        raise UsageError(str(path), "it has no accounts", _FIRST_LINE)
    return accounts


def _accounts(
    rows: Iterator[tuple[str, list[str]]], source: str, roles: Sequence[str]
) -> Iterator[LoadAccount]:
    """The accounts of numbered rows; messages repeat no value, which may be a password."""
    where, header = next(rows, (source, []))
    columns = [name.strip().lower() for name in header]
    if sorted(columns) != sorted(COLUMNS):
        hint = _NOT_COMMAS if len(header) == 1 and re.search(r"[;\t]", header[0]) else ""
        raise UsageError(
            where,
            "the first line must name the columns email, password and role",
            hint + _FIRST_LINE,
        )
    lines: dict[str, str] = {}
    for where, row in rows:
        if len(row) != len(columns):
            raise UsageError(
                where,
                f"the line must have {len(columns)} fields, not {len(row)}",
                "Quote a field that holds a comma or a quote.",
            )
        entry = dict(zip(columns, row, strict=True))
        email, password, role = entry["email"].strip(), entry["password"], entry["role"].strip()
        if not email or not password:
            raise UsageError(where, f"the {'password' if email else 'email'} is empty")
        if role not in roles:
            raise UsageError(where, "the role is unknown", f"Known: {', '.join(roles)}.")
        if email in lines:
            raise UsageError(
                where,
                f"the email is that of {lines[email]}",
                "Each account needs an email of its own.",
            )
        lines[email] = where
        yield LoadAccount(email, password, role)


def _rows(file: TextIO, source: str) -> Iterator[tuple[str, list[str]]]:
    """The rows that are not empty, each with where it ends: ``users.csv:17``."""
    reader = csv.reader(file, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{source}:{reader.line_num}", f"this is not CSV: {error}") from None
        if row is None:
            return
        if any(value.strip() for value in row):
            yield f"{source}:{reader.line_num}", row


def share(accounts: Sequence[LoadAccount], worker: int, workers: int) -> list[LoadAccount]:
    """One worker's accounts (workers count from 0), with the roles in turn: a few clients are of
    several roles, whatever order a file has. It shares one where there are too few.
    """
    dealt = [account for role in _by_role(accounts) for account in role]
    mine = dealt[worker::workers] or [dealt[worker % len(dealt)]]
    turns = zip_longest(*_by_role(mine))
    return [account for turn in turns for account in turn if account is not None]


def _by_role(accounts: Sequence[LoadAccount]) -> list[list[LoadAccount]]:
    """The accounts of each role, in the order in which they come."""
    roles: dict[str, list[LoadAccount]] = {}
    for account in accounts:
        roles.setdefault(account.role, []).append(account)
    return list(roles.values())


def are_shared(accounts: Sequence[LoadAccount], worker: int, workers: int) -> bool:
    """Whether another worker has this worker's account as well, since accounts are too few."""
    return worker % len(accounts) + len(accounts) < workers
