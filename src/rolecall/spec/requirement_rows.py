"""Reads a row of requirements.toml strictly: who adds one is told what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rolecall.errors import UsageError, suggest
from rolecall.spec.model import CAPABILITIES, Requirement

LEVELS = ("must", "derived", "hardening", "observe")
_MEMBERS = {member.name for member in fields(Requirement)} - {"id"}
_LISTS = {"depends", "cases"}
_NEEDED = ("level", "feature", "clause", "statement")
#: The members with a fixed choice of words.
_WORDS = {"level": LEVELS, "capability": ("", *CAPABILITIES)}


def requirement(id: str, row: Mapping[str, Any], file: str) -> Requirement:
    """The requirement that a row of ``file`` is.

    Raises:
        UsageError: a member is unknown, missing, or not what it must be; it says which, and where.
    """
    if not isinstance(row, dict):
        raise UsageError(f"{file}, {id}", "this must be a table", f"Begin it with [{id}].")
    for name, value in row.items():
        where = f"{file}, [{id}] {name}"
        if name not in _MEMBERS:
            raise UsageError(where, f"unknown member {name!r}", suggest(name, sorted(_MEMBERS)))
        _check_kind(name, value, where)
        if name in _WORDS and value not in _WORDS[name]:
            known = filter(None, _WORDS[name])
            raise UsageError(where, f"unknown {name} {value!r}", suggest(value, known))
    for name in _NEEDED:
        if not row.get(name):
            raise UsageError(f"{file}, [{id}] {name}", "this is missing")
    members: dict[str, Any] = {k: tuple(v) if k in _LISTS else v for k, v in row.items()}
    return Requirement(id=id, **members)


def check_dependencies(requirements: Mapping[str, Requirement], file: str) -> None:
    """See that each requirement depends only on others that are there.

    Raises:
        UsageError: one does not.
    """
    for id, entry in requirements.items():
        for other in entry.depends:
            if other == id or other not in requirements:
                what = "itself" if other == id else f"{other!r}, which is not in this file"
                raise UsageError(
                    f"{file}, [{id}] depends", f"it depends on {what}", suggest(other, requirements)
                )


def _check_kind(name: str, value: object, where: str) -> None:
    if name not in _LISTS:
        if not isinstance(value, str):
            raise UsageError(where, "this must be a string")
    elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(where, "this must be an array of strings")
