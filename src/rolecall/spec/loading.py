"""Reads the tables of a specification from a folder."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from rolecall.errors import UsageError
from rolecall.spec.model import (
    Operation,
    Reading,
    Requirement,
    Resource,
    Specification,
)
from rolecall.spec.permissions import PermissionTable
from rolecall.spec.requirement_rows import check_dependencies, requirement

_NAME = "web1on1_v2"
_REQUIREMENTS = "requirements.toml"


@cache
def load_specification() -> Specification:
    """Read the folder of tables.

    Raises:
        UsageError: a table is not TOML, or a requirement is not as `requirement` wants it.
    """
    folder = files("rolecall.conformance").joinpath(_NAME)
    permissions = PermissionTable.parse(_text(folder, "permissions.md"))
    catalogue = _toml(folder, "operations.toml")
    resources = {key: Resource(name=key, **entry) for key, entry in catalogue["resources"].items()}
    operations = {
        key: _operation(key, entry, resources) for key, entry in catalogue["operations"].items()
    }
    readings = {
        key: Reading(name=key, **{**entry, "choices": tuple(entry.get("choices", ()))})
        for key, entry in _toml(folder, "readings.toml").items()
    }
    requirements = dict(_requirements(_toml(folder, _REQUIREMENTS), operations, permissions))
    check_dependencies(requirements, _REQUIREMENTS)
    digests = {
        table: "sha256:" + hashlib.sha256(_text(folder, file).encode()).hexdigest()
        for table, file in (
            ("permissions", "permissions.md"),
            ("operations", "operations.toml"),
            ("requirements", _REQUIREMENTS),
            ("readings", "readings.toml"),
        )
    }
    return Specification(_NAME, permissions, operations, resources, requirements, readings, digests)


def _text(folder: Traversable, name: str) -> str:
    return folder.joinpath(name).read_text(encoding="utf-8")


def _toml(folder: Traversable, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(folder, name))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(name, f"this is not TOML: {error}") from None


def _operation(name: str, entry: dict[str, Any], resources: Mapping[str, Resource]) -> Operation:
    resource = resources[entry.pop("resource")]
    body = {"create": resource.create, "update": resource.update}.get(entry["effect"])
    return Operation(
        name=name,
        resource=resource,
        body=body,
        success=(),
        is_self="{self}" in entry["path"],
        **entry,
    )


def _requirements(
    table: Mapping[str, dict[str, Any]],
    operations: Mapping[str, Operation],
    permissions: PermissionTable,
) -> Iterator[tuple[str, Requirement]]:
    for key, row in table.items():
        entry = requirement(key, row, _REQUIREMENTS)
        if "{operation}" not in key:
            yield key, entry
            continue
        for operation in operations.values():
            statement = entry.statement.format(
                row=operation.row, roles=_allowed(permissions, operation.row)
            )
            yield (
                operation.requirement,
                replace(entry, id=operation.requirement, statement=statement),
            )


def _allowed(permissions: PermissionTable, row: str) -> str:
    """A row in words: ``every role``, or ``only bot and admin``."""
    allowed = [role for role, may in permissions.rows[row].items() if may]
    if len(allowed) == len(permissions.roles):
        return "every role"
    return "only " + " and ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))
