"""Reads the tables of a specification from a folder."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from rolecall.spec.model import (
    Operation,
    Reading,
    Requirement,
    Resource,
    Specification,
)
from rolecall.spec.permissions import PermissionTable


@cache
def load_specification(name: str = "web1on1_v2") -> Specification:
    """Read the folder of tables of this name."""
    folder = files("rolecall.conformance").joinpath(name)
    permissions = PermissionTable.parse(_text(folder, "permissions.md"))
    catalogue = tomllib.loads(_text(folder, "operations.toml"))
    resources = {key: Resource(name=key, **entry) for key, entry in catalogue["resources"].items()}
    operations = {
        key: _operation(key, entry, resources) for key, entry in catalogue["operations"].items()
    }
    readings = {
        key: Reading(name=key, **{**entry, "choices": tuple(entry.get("choices", ()))})
        for key, entry in tomllib.loads(_text(folder, "readings.toml")).items()
    }
    requirements = dict(
        _requirements(tomllib.loads(_text(folder, "requirements.toml")), operations, permissions)
    )
    digests = {
        table: "sha256:" + hashlib.sha256(_text(folder, file).encode()).hexdigest()
        for table, file in (
            ("permissions", "permissions.md"),
            ("operations", "operations.toml"),
            ("requirements", "requirements.toml"),
            ("readings", "readings.toml"),
        )
    }
    return Specification(name, permissions, operations, resources, requirements, readings, digests)


def _text(folder: Traversable, name: str) -> str:
    return folder.joinpath(name).read_text(encoding="utf-8")


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
        entry: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        if "{operation}" not in key:
            yield key, Requirement(id=key, **entry)
            continue
        for operation in operations.values():
            filled = entry | {
                "statement": entry["statement"].format(
                    row=operation.row, roles=_allowed(permissions, operation.row)
                )
            }
            yield operation.requirement, Requirement(id=operation.requirement, **filled)


def _allowed(permissions: PermissionTable, row: str) -> str:
    """A row in words: ``every role``, or ``only bot and admin``."""
    allowed = [role for role, may in permissions.rows[row].items() if may]
    if len(allowed) == len(permissions.roles):
        return "every role"
    return "only " + " and ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))
