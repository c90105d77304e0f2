"""The specification as data: permissions, operations, requirements and readings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rolecall.errors import UsageError, suggest
from rolecall.evidence import Exchange
from rolecall.spec.permissions import PermissionTable

TOKEN = "token"  # noqa: S105  # the name of a kind of credential
API_KEY = "api-key"
CREDENTIALS = (TOKEN, API_KEY)
#: The levels of requirements that count for the verdict.
DECIDING = ("must", "derived")
#: Which reading holds the success statuses of each effect.
READING_OF_SUCCESS = {
    "list": "read",
    "fetch": "read",
    "create": "created",
    "update": "updated",
    "delete": "deleted",
}
#: What a target may lack, or a run may not be given: the values of `capability` in
#: requirements.toml.
API_KEYS, SIGNING_KEY, PUBLIC_KEY = "api-keys", "signing-key", "public-key"
THROWAWAY_USER, SECOND_USER, INTRUSIVE = "throwaway-user", "second-user", "intrusive"
LAST_MINUTE = "clock-or-signing-key"
CAPABILITIES = (
    API_KEYS,
    SIGNING_KEY,
    PUBLIC_KEY,
    THROWAWAY_USER,
    SECOND_USER,
    INTRUSIVE,
    LAST_MINUTE,
)


@dataclass(frozen=True)
class Resource:
    """A kind of thing the API keeps: its collection, and the bodies that make and change one."""

    name: str
    collection: str
    create: Mapping[str, Any]
    update: Mapping[str, Any]
    list: str = ""
    parent: str = ""


@dataclass(frozen=True)
class Operation:
    """One thing a caller can do. ``effect`` is list, fetch, create, update or delete; ``success``
    the good statuses.

    ``is_self``: it is about the caller's own user, whatever a target's path for that looks like.
    """

    name: str
    row: str
    resource: Resource
    effect: str
    method: str
    path: str
    body: Mapping[str, Any] | None
    success: tuple[int, ...]
    is_self: bool

    @property
    def requirement(self) -> str:
        """The id of the requirement that this operation's cells prove."""
        return f"PERM-{self.name}"

    @property
    def is_whole_list(self) -> bool:
        """Whether it lists all things of a kind, and not those in another thing."""
        return self.effect == "list" and "{" not in self.path


@dataclass(frozen=True)
class Cell:
    """An operation x a role x a kind of credential, and whether the table allows it."""

    operation: str
    role: str
    credential: str
    allowed: bool

    def __repr__(self) -> str:
        return f"{self.operation}-{self.role}-{self.credential}"

    @property
    def expected(self) -> str:
        """``allow`` or ``deny``."""
        return "allow" if self.allowed else "deny"


@dataclass(frozen=True)
class Requirement:
    """One testable statement; a derived one says by which ``step`` it follows from the page."""

    id: str
    level: str
    feature: str
    clause: str
    statement: str
    depends: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    capability: str = ""
    step: str = ""

    @property
    def decides(self) -> bool:
        """Whether it counts for the verdict."""
        return self.level in DECIDING


@dataclass(frozen=True)
class Reading:
    """How one gap of the specification is read; ``default`` is None where there is no choice."""

    name: str
    statement: str
    default: Any = None
    ambiguity: str = ""
    choices: tuple[str, ...] = ()


class Dialect:
    """The readings in force, as attributes: ``dialect.expired`` is a tuple of statuses."""

    def __init__(self, readings: Mapping[str, Reading], chosen: Mapping[str, Any]) -> None:
        self._readings = readings
        defaults = {
            name: reading.default
            for name, reading in readings.items()
            if reading.default is not None
        }
        self.values = defaults | dict(chosen)
        for name, value in self.values.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Any reading of readings.toml."""

    def allows(self, operation: Operation, exchange: Exchange) -> bool:
        """Whether an answer grants the request: a success, but not an empty list that denies."""
        return exchange.ok and not self._denies_by_showing_nothing(operation, exchange)

    def denies(self, operation: Operation, exchange: Exchange) -> bool:
        """Whether an answer denies the request: a client error, or an empty list that denies."""
        return 400 <= exchange.status < 500 or self._denies_by_showing_nothing(operation, exchange)

    def denies_as_specified(
        self, operation: Operation, exchange: Exchange, *, anonymous: bool = False
    ) -> bool:
        """Whether an answer is a denial with the dialect's statuses, or its empty list."""
        statuses = self.anonymous if anonymous else self.denied
        return exchange.status in statuses or self._denies_by_showing_nothing(operation, exchange)

    def _denies_by_showing_nothing(self, operation: Operation, exchange: Exchange) -> bool:
        return (
            self.denied_list == "empty"
            and operation.effect == "list"
            and exchange.ok
            and exchange.listed == []
        )

    @property
    def departures(self) -> dict[str, Any]:
        """The readings that are not the default."""
        return {
            name: value
            for name, value in self.values.items()
            if value != self._readings[name].default
        }


@dataclass(frozen=True)
class Specification:
    """All tables of one folder."""

    name: str
    permissions: PermissionTable
    operations: Mapping[str, Operation]
    resources: Mapping[str, Resource]
    requirements: Mapping[str, Requirement]
    readings: Mapping[str, Reading]
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles in ascending order."""
        return self.permissions.roles

    def allows(self, operation: str, role: str) -> bool:
        """What the table says of a role and an operation."""
        return self.permissions.rows[self.operations[operation].row][role]

    def allowed_roles(self, operation: str) -> tuple[str, ...]:
        """The roles that may, highest first."""
        return tuple(role for role in reversed(self.roles) if self.allows(operation, role))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell: operations x kinds of credential x roles."""
        return tuple(
            Cell(operation, role, credential, self.allows(operation, role))
            for operation in self.operations
            for credential in CREDENTIALS
            for role in self.roles
        )

    def for_target(
        self, overrides: Mapping[str, Mapping[str, Any]], dialect: Dialect, source: str
    ) -> Specification:
        """The same tables with a target's own methods, paths, bodies and success statuses.

        Raises:
            UsageError: an override names an operation or a setting that is not there, or has the
                wrong type.
        """
        operations = {
            name: replace(
                operation, success=tuple(getattr(dialect, READING_OF_SUCCESS[operation.effect]))
            )
            for name, operation in self.operations.items()
        }
        for name, override in overrides.items():
            where = f"{source}, [operations.{name}]"
            if name not in operations:
                raise UsageError(where, f"unknown operation {name!r}", suggest(name, operations))
            operations[name] = _override(operations[name], override, where)
        return replace(self, operations=operations)

    def dialect(self, chosen: Mapping[str, Any], source: str) -> Dialect:
        """The readings that a target file chose, checked.

        Raises:
            UsageError: a reading is unknown or its value has the wrong form.
        """
        choosable = {
            name: reading for name, reading in self.readings.items() if reading.default is not None
        }
        for name, value in chosen.items():
            where = f"{source}, [dialect] {name}"
            if name not in choosable:
                raise UsageError(where, f"unknown reading {name!r}", suggest(name, choosable))
            reading = self.readings[name]
            if reading.choices and value not in reading.choices:
                raise UsageError(
                    where, f"this must be one of {', '.join(reading.choices)}, not {value!r}"
                )
            if reading.default == [] and not (
                isinstance(value, list) and all(isinstance(name, str) for name in value)
            ):
                raise UsageError(where, f"this must be a list of names, not {value!r}")
            if reading.default and isinstance(reading.default, list):
                _check_statuses(value, where, reading.default[0] // 100)
            if isinstance(reading.default, int) and (type(value) is not int or value <= 0):
                raise UsageError(where, f"this must be a whole number of seconds, not {value!r}")
        return Dialect(self.readings, chosen)


def _check_override(override: Any, where: str) -> None:
    """Check the settings that a target file has for an operation, one by one."""
    kinds: dict[str, type] = {"method": str, "path": str, "body": dict, "success": list}
    if not isinstance(override, dict):
        raise UsageError(where, "this must be a table")
    for key, value in override.items():
        if key not in kinds:
            raise UsageError(f"{where} {key}", "unknown setting", suggest(key, kinds))
        if not isinstance(value, kinds[key]):
            raise UsageError(f"{where} {key}", f"this must be {_FORM[key]}, not {value!r}")
        if key == "success":
            _check_statuses(value, f"{where} {key}", 2)
        if key == "path":
            _check_path(str(value), f"{where} {key}")
        if key == "method" and value not in _METHODS:
            raise UsageError(
                f"{where} {key}",
                f"unknown HTTP method {value!r}",
                f"Known: {', '.join(_METHODS)}.",
            )
        for name in re.findall(r"\{(\w+)\}", f"{value}"):
            if name not in _PLACEHOLDERS:
                raise UsageError(
                    f"{where} {key}",
                    f"unknown placeholder {{{name}}}",
                    f"Known: {{{'}, {'.join(_PLACEHOLDERS)}}}.",
                )


def _override(operation: Operation, override: Any, where: str) -> Operation:
    _check_override(override, where)
    changes: dict[str, Any] = {k: tuple(v) if k == "success" else v for k, v in override.items()}
    changed = replace(operation, **changes)
    if changed.effect in ("create", "update") and not marked(changed.body, "{name}"):
        member = ", ".join(
            f"{key} = {value!r}"
            for key, value in (operation.body or {}).items()
            if marked({key: value}, "{name}")
        )
        raise UsageError(
            f"{where} body",
            "no member that can be read back holds {name}, so the run could not tell whether "
            "this was done",
            f'Write "{{name}}" into a member that the target shows again, as in the default: '
            f"{member}.".replace("'", '"'),
        )
    return changed


def marked(body: Any, marker: str) -> dict[str, Any]:
    """The members of a body that hold a marker and are shown when the thing is read."""
    members = body if isinstance(body, Mapping) else {}
    return {
        key: value
        for key, value in members.items()
        if key not in NOT_READ_BACK and _holds(value, marker)
    }


def _holds(value: Any, marker: str) -> bool:
    if isinstance(value, Mapping):
        return any(_holds(inner, marker) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_holds(inner, marker) for inner in value)
    return isinstance(value, str) and marker in value


#: Written but not read back under the same name: a conversation's first messages are resources of
#: their own.
NOT_READ_BACK = ("messages", "password")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: What a request can be filled with; operations.toml says what each is.
_PLACEHOLDERS = (
    "id",
    "self",
    "conversation",
    "name",
    "organization",
    "email",
    "password",
    "participants",
)
_FORM = {
    "method": "an HTTP method",
    "path": "a path",
    "body": "a table",
    "success": "a list of HTTP statuses",
}


#: What can stand in a request line (RFC 9112 3.2.1): no fragment, and nothing that ends it.
_PATH = re.compile(r"[!\"$-~]+")


def _check_path(path: str, where: str) -> None:
    if not path.startswith("/"):
        raise UsageError(where, "a path must begin with /, after the target's base_url")
    if not _PATH.fullmatch(path):
        raise UsageError(
            where,
            f"{path!r} cannot stand in a request",
            "Write spaces and letters beyond ASCII percent-encoded, such as %C3%BC for \u00fc.",
        )


def _check_statuses(value: Any, where: str, kind: int) -> None:
    """Refuse what is no list of statuses of a kind: 2 for successes, 4 for refusals. A success that
    counts for a refusal would let everybody in.

    Raises:
        UsageError: it is none.
    """
    if (
        not isinstance(value, list)
        or not value
        or not all(type(status) is int and 100 <= status <= 599 for status in value)
    ):
        raise UsageError(where, f"this must be a list of HTTP statuses, not {value!r}")
    if others := [status for status in value if status // 100 != kind]:
        said = {2: "a success (200 to 299)", 4: "a refusal (400 to 499)"}[kind]
        raise UsageError(where, f"{others[0]} is not {said}, and nothing else can be meant here")
