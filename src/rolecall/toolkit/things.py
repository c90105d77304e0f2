"""Things on the target that tests act upon: how their requests are written and what became of them."""

from __future__ import annotations

import re
import secrets as random
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rolecall.evidence import Exchange
from rolecall.http.gate import Thing
from rolecall.outcomes import Inconclusive
from rolecall.spec.ids import in_path
from rolecall.spec.model import Operation, Resource

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_WHOLE = re.compile(r"^\{(\w+)\}$")


@dataclass(frozen=True)
class Fixture:
    """One thing on the target. ``name`` is unique to this run (empty when the thing was there before)."""

    resource: Resource
    id: str
    name: str
    made_by: Exchange | None = field(default=None, repr=False)
    conversation: str = ""

    def __str__(self) -> str:
        return f"{self.resource.name} {self.id}"


@dataclass(frozen=True)
class Request:
    """A request of an operation, ready to be sent by any caller.

    ``name`` is what it writes; ``thing`` what an update or a delete is about; ``inside`` what a create is made a part of.
    """

    operation: Operation
    path: str
    body: Any = None
    name: str = ""
    fixture: Fixture | None = None
    thing: Thing | None = None
    inside: Thing | None = None

    def renamed(self, name: str) -> Request:
        """The same request with another mark."""
        return replace(self, body=_replaced(self.body, self.name, name), name=name)


def _replaced(body: Any, old: str, new: str) -> Any:
    if isinstance(body, Mapping):
        return {key: _replaced(value, old, new) for key, value in body.items()}
    if isinstance(body, list):
        return [_replaced(value, old, new) for value in body]
    return body.replace(old, new) if isinstance(body, str) and old else body


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """A body with its placeholders replaced; a member whose placeholder has no value is left out."""
    if isinstance(template, Mapping):
        filled = {key: fill(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not None or template[key] is None}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if whole := _WHOLE.match(template):
        return values.get(whole.group(1))
    return fill_text(template, values)


def fill_text(template: str, values: Mapping[str, Any]) -> str:
    """A text with its placeholders replaced."""
    return _PLACEHOLDER.sub(lambda match: str(values.get(match.group(1), "")), template)


def fill_path(template: str, values: Mapping[str, Any]) -> str:
    """A path with its placeholders replaced; a value stays within its segment, or its parameter (RFC 3986 2.1).

    Raises:
        Inconclusive: a value is missing; without an id the path would be that of the whole collection.
    """
    for name in _PLACEHOLDER.findall(template):
        if not str(values.get(name, "")).strip():
            raise Inconclusive(f"what stands for {{{name}}} in {template}", "the answer that should have told it")
    return fill_text(template, {name: in_path(str(value)) for name, value in values.items()})


def with_query(path: str, query: str) -> str:
    """A path with more in its query."""
    return f"{path}{'&' if '?' in path else '?'}{query}" if query else path


def items(exchange: Exchange) -> list[dict[str, Any]]:
    """The objects of a list answer; empty when it is no list."""
    return [item for item in exchange.json if isinstance(item, dict)] if isinstance(exchange.json, list) else []


def in_address(name: str) -> str:
    """A name, or the beginning of names, as it stands in the e-mail address of what is called so."""
    return f"rolecall.{name.removeprefix('rolecall-').replace('-', '.')}"


def made_up_password() -> str:
    """A password of chance that every common policy takes: 20 characters of four kinds (AMB-21)."""
    kinds = (string.ascii_uppercase, string.ascii_lowercase, string.digits, "!@#$%^&*_-")
    letters = [random.choice(kind) for kind in kinds]
    letters += [random.choice(string.ascii_letters + string.digits) for _ in range(16)]
    random.SystemRandom().shuffle(letters)
    return "".join(letters)
