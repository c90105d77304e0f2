"""Checks requests for what the specification does not have, instead of answering them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from rolecall.reference.call import Call
from rolecall.reference.query import CONTROLS
from rolecall.reference.resources import LISTS, OBJECTS, RESOURCES, TEXTS
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, NotJson, loads

ATTACK = b"x-rolecall-attack"

_REQUIREMENT = re.compile(r"[A-Z]+-[A-Za-z0-9.-]+")
_PATH = re.compile(r"/v2/([a-z]+)(?:/([0-9a-f]{24})(/messages)?)?")
_BEARER = re.compile(r"Bearer [A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}")
_METHODS = {False: ("GET", "POST"), True: ("GET", "PATCH", "DELETE")}


class Linter:
    """Counts requests, attacks and offences."""

    def __init__(self) -> None:
        self.requests = 0
        self.attacks: Counter[str] = Counter()
        self.offences: Counter[str] = Counter()

    def report(self) -> Document:
        """The counts."""
        return {
            "requests": self.requests,
            "attacks": dict(self.attacks),
            "offences": dict(self.offences),
        }

    def look(self, call: Call) -> str | None:
        """What is wrong with a request, if anything."""
        if call.path.startswith("/__"):
            return None
        self.requests += 1
        attack = call.header(ATTACK)
        if attack is not None and _REQUIREMENT.fullmatch(attack):
            self.attacks[attack] += 1
            return None
        offence = "an attack that names no requirement" if attack is not None else offence_of(call)
        if offence is not None:
            self.offences[f"{call.method} {shape(call.path)}: {offence}"] += 1
        return offence


def shape(path: str) -> str:
    """A path with ids left out."""
    return re.sub(r"[0-9a-f]{24}", "{id}", path)[:120]


def offence_of(call: Call) -> str | None:
    """The first thing in a request that the specification does not have."""
    if call.header(b"cookie") is not None:
        return "a cookie"
    if call.path == "/v2/auth/token":
        return _token_offence(call)
    if not (
        len(call.header_values(b"authorization")) == 1 and _BEARER.fullmatch(_authorization(call))
    ):
        return "not one Authorization header with a bearer token"
    if call.path == "/v2/apikeys" or call.path.startswith("/v2/apikeys/"):
        return _key_offence(call)
    return _resource_offence(call)


def _authorization(call: Call) -> str:
    return call.header(b"authorization") or ""


def _token_offence(call: Call) -> str | None:
    if call.method == "GET":
        return _get_refresh_offence(call)
    return (
        _token_post_offence(call) if call.method == "POST" else "a method other than GET and POST"
    )


def _get_refresh_offence(call: Call) -> str | None:
    if not _BEARER.fullmatch(_authorization(call)):
        return "GET refresh without a bearer token"
    names = [name for name, _ in call.query]
    return None if names == ["refreshToken"] else "a query other than one refreshToken"


def _token_post_offence(call: Call) -> str | None:
    if call.header(b"authorization") is not None:
        return "an Authorization header where the specification has none"
    if call.query:
        return "a query"
    body = _body(call)
    if not isinstance(body, dict) or set(body) not in (
        {"email", "password"},
        {"refreshToken", "clientId"},
    ):
        return "a body that is neither of the two"
    return (
        None
        if all(isinstance(value, str) and value for value in body.values())
        else "members that are no texts"
    )


def _key_offence(call: Call) -> str | None:
    if call.method in ("GET", "DELETE"):
        return _without_body(call)
    if call.method != "POST" or call.path != "/v2/apikeys":
        return "a method that is not for keys"
    body = _body(call)
    if not isinstance(body, dict) or not set(body) <= {"name", "scopes", "user"}:
        return "members that a key does not have"
    scopes = body.get("scopes")
    if not isinstance(scopes, list) or not scopes or not all(scope in ROLES for scope in scopes):
        return "scopes that are not one or more of the four"
    return None


def _resource_offence(call: Call) -> str | None:
    found = _PATH.fullmatch(call.path)
    if found is None or found[1] not in RESOURCES or (found[3] and found[1] != "conversations"):
        return "a path that there is not"
    resource, item = ("messages", False) if found[3] else (found[1], found[2] is not None)
    if call.method not in (("POST",) if found[3] else _METHODS[item]):
        return "a method that there is not"
    if call.method == "GET":
        return _without_body(call) or _query_offence(call, resource, item=item)
    if call.query:
        return "a query on a write"
    return _without_body(call) if call.method == "DELETE" else _write_offence(call, resource)


def _query_offence(call: Call, resource: str, *, item: bool) -> str | None:
    names = {name for name, _ in call.query}
    if item and not names <= {"select", "populate"}:
        return "a filter on a single thing"
    needed = RESOURCES[resource].list_needs
    if not item and needed and not names & needed:
        return "a list of messages without one of the filters it needs"
    known = (
        CONTROLS
        | TEXTS
        | {"id", "type", "role", "status", "createdAt", "updatedAt", "email", "user"}
    )
    strange = [
        name for name in names if name.split(".")[0] not in known | OBJECTS | LISTS | {"category"}
    ]
    return f"an unknown parameter {strange[0][:40]}" if strange else None


def _without_body(call: Call) -> str | None:
    return "a body where none belongs" if call.body else None


def _write_offence(call: Call, resource: str) -> str | None:
    body = _body(call)
    bodies = (
        body
        if isinstance(body, list) and resource == "messages" and call.method == "POST"
        else [body]
    )
    for document in bodies:
        if not isinstance(document, dict) or not document:
            return "a body that is not an object with members"
        if call.method == "POST" and not all(
            document.get(name) for name in RESOURCES[resource].required
        ):
            return "a create without what it needs"
        for name, value in document.items():
            if not re.fullmatch(r"[A-Za-z]+", name) or name in ("id", "createdAt", "updatedAt"):
                return f"a member {name[:40]}"
            wrong = (
                (name in TEXTS and not isinstance(value, str))
                or (name in OBJECTS and not isinstance(value, dict))
                or (name in LISTS and not isinstance(value, list))
            )
            if wrong:
                return f"a member {name} of the wrong type"
    return None


def _body(call: Call) -> Any:
    """The body, or None if it is not JSON that says so."""
    if (call.header(b"content-type") or "").partition(";")[0].strip() != "application/json":
        return None
    try:
        return loads(call.body)
    except NotJson:
        return None
