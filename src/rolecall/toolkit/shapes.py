"""Shapes of a denied request: other ways to ask for the same, and which test tries which.

The permission table knows no exception but oneself, so what it denies is denied in each of these
shapes. Each denied row meets each shape that suits it, and each role that it is denied to meets as
many of them as the rows allow; ``--intrusive`` asks for all combinations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlencode

from rolecall.spec.loading import load_specification
from rolecall.spec.model import Specification
from rolecall.spec.templates import fill, with_query
from rolecall.toolkit.things import Request

_READS, _WRITES = ("list", "fetch"), ("create", "update", "delete")

#: A moment at which every token of today was still to be issued: whoever takes the sender's clock
#: for the own finds none that has expired.
LONG_AGO = "Wed, 01 Jan 2020 00:00:00 GMT"


@dataclass(frozen=True)
class Shape:
    """One way to ask for the same: ``name`` is for reports, ``case`` the row of the catalogue.

    ``queries`` are what is added to the query, by the resource that is asked for ("" for all
    others). ``media_types`` are those that resources take turns with. ``body`` says what becomes of
    the body: ``"same"``, ``"nothing"`` (none, or an empty object, in turns), ``"form"`` (its texts
    as a form), ``"list"`` (of one), or ``"besides"`` (one where none belongs); where there are
    ``members``, they are the body, by the resource as well, and where there are ``updated`` ones,
    the body of an update. An exception for a role is mostly one for the next below those that may:
    ``is_near`` shapes are tried by that one.
    """

    name: str
    case: str
    effects: tuple[str, ...]
    queries: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    media_types: tuple[str, ...] = ()
    body: str = "same"
    members: Mapping[str, Any] = field(default_factory=dict)
    updated: Mapping[str, Any] = field(default_factory=dict)
    is_near: bool = False

    def query(self, resource: str) -> str:
        """What is added to the query for a resource."""
        return self.queries.get(resource, self.queries.get("", ""))


def _narrow(name: str, query: str, **queries: str) -> Shape:
    return Shape(name, "SEC-E03", ("list",), {"": query, **queries})


#: Parameters that mean nothing at most servers: how an answer is to look, what is to be in it, for
#: whom it is, and what a write is to do besides.
_PARAMETERS = (
    "_=1&verbose=true&format=json&role={highest}&scope={highest}"
    "&userId={admin}&as={admin}&admin=true&debug=true&internal=1"
    "&q=rolecall&search=rolecall&page=1&count=true&callback=rolecall&jsonp=rolecall"
    "&force=true&dryRun=true&soft=true"
    "&fields=id&include=organization&expand=organization&embed=organization&view=summary"
    "&deleted=true&includeDeleted=true&public=true&preview=true&export=true&distinct=id"
    "&lang=en&pretty=true&v=1&version=1&api-version=1&async=true&self=true&me=true"
)

#: Header fields that mean nothing here: of browsers, the vendor's own client, proxies and other
#: versions of an API, of whom a request is said to be made for, and of what has seen it already.
_FIELDS = {
    "user-agent": "chipchat/0.7.18",
    "x-requested-with": "XMLHttpRequest",
    "access-control-request-method": "GET",
    "accept-language": "en",
    "purpose": "prefetch",
    "sec-purpose": "prefetch",
    "sec-fetch-mode": "cors",
    "sec-fetch-site": "same-origin",
    "x-internal-request": "true",
    "x-debug": "true",
    "upgrade": "websocket",
    "via": "1.1 gateway",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "date": LONG_AGO,
    "x-date": LONG_AGO,
    "api-version": "1",
    "x-api-version": "1",
    "accept-version": "1",
    "x-organization": "{organization}",
    "x-organization-id": "{organization}",
    "x-tenant-id": "{organization}",
    "x-hub-signature": "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "idempotency-key": "{name}",
    "accept": "text/csv, application/vnd.web1on1.v1;q=0.9, text/html;q=0.9, "
    "application/xml;q=0.9, */*;q=0.1",
    "content-type": "application/json; charset=utf-8",
}

#: {id}: the thing that is there; {self}: the caller; {organization}: the caller's; {email}: the
#: caller's address; {highest}: the role that may most; {admin}: the user of an account with it.
SHAPES: tuple[Shape, ...] = (
    _narrow("with an id filter", "id={id}"),
    _narrow(
        "of the own organization",
        "organization={organization}",
        **{
            "organization": "organization={organization}&parent={organization}",
            "organization-group": "organizations={organization}",
        },
    ),
    _narrow(
        "of oneself",
        "user={self}",
        user="id={self}&email={email}",
        conversation="participants.user={self}",
        contact="owner={self}",
    ),
    _narrow(
        "one at a time, no more than its id, populated",
        "limit=1&offset=1&sort=-createdAt&select=id&populate=organization",
    ),
    _narrow(
        "searched for, active, since a date",
        "name=~rolecall&status=active&createdAt=%3E%3D2020-01-01&updatedAt=%3E%3D2020-01-01"
        "&type=chat",
    ),
    Shape("selected and populated", "SEC-E17", ("fetch",), {"": "select=id&populate=organization"}),
    Shape(
        "with the own id as a parameter",
        "SEC-E04",
        ("fetch",),
        {"": "user={self}&organization={organization}", "user": "organization={organization}"},
    ),
    Shape(
        "with parameters that mean nothing, a role and a user among them, as another media type",
        "SEC-E17",
        (*_READS, *_WRITES),
        {"": _PARAMETERS},
        _FIELDS,
        updated={
            "organization": {"displayName": "{name}"},
            "organization-group": {"description": "{name}"},
            "user": {"familyName": "{name}"},
            "conversation": {"participants": [{"user": "{self}"}]},
            "message": {"contentType": "text/html"},
            "contact": {"meta": {"note": "{name}"}},
            "knowledge-item": {"content": "{name}"},
            "form": {"fields": [{"name": "{name}", "key": "question"}]},
            "service": {"params": {"url": "https://rolecall.invalid/{name}", "events": []}},
        },
    ),
    Shape(
        "in part, with a body",
        "SEC-E08",
        _READS,
        headers={
            "range": "bytes=0-0",
            "if-none-match": "*",
            "if-modified-since": LONG_AGO,
            "accept": "text/event-stream, application/json;q=0.9, */*;q=0.1",
        },
        body="besides",
    ),
    Shape("as plain text", "SEC-E17", ("create",), headers={"content-type": "text/plain"}),
    Shape(
        "as plain text or a merge patch",
        "SEC-E17",
        ("update",),
        media_types=("text/plain", "application/merge-patch+json"),
    ),
    Shape(
        "as a form",
        "SEC-E17",
        ("create", "update"),
        headers={
            "content-type": "application/x-www-form-urlencoded",
            "if-match": "*",
            "prefer": "return=representation",
        },
        body="form",
    ),
    Shape("in a list", "SEC-E17", ("create",), body="list"),
    Shape("with nothing in its body", "SEC-E17", ("update",), body="nothing"),
    Shape(
        "of its status, a note or a tag alone",
        "SEC-E10",
        ("update",),
        members={
            "": {"meta": {"note": "{name}"}},
            "conversation": {"status": "closed"},
            "contact": {"tags": ["{name}"]},
            "form": {"tags": ["{name}"]},
            "service": {"status": "inactive"},
        },
        is_near=True,
    ),
    Shape(
        "with a body",
        "SEC-E17",
        ("delete",),
        headers={"connection": "close", "if-match": "*"},
        body="besides",
    ),
)


@dataclass(frozen=True)
class Attempt:
    """A role that may not, and the shape in which it asks all the same."""

    role: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.role}, {self.shape.name}"


def denied(spec: Specification, operation: str) -> list[str]:
    """The roles that may not, the lowest first."""
    return [role for role in spec.roles if not spec.allows(operation, role)]


T = TypeVar("T")


def in_turn(names: Sequence[T], key: str) -> T:
    """One of some things, chosen by a key such as a resource or an operation."""
    spec = load_specification()
    keys = list(spec.resources) if key in spec.resources else list(spec.operations)
    return names[keys.index(key) % len(names)]


def attempts(operation: str, *, everything: bool) -> list[Attempt]:
    """The roles and shapes in which a denied operation is tried: by the cover, or all of them."""
    spec = load_specification()
    if not everything:
        return list(_cover()[operation])
    shapes = [shape for shape in SHAPES if spec.operations[operation].effect in shape.effects]
    return [Attempt(role, shape) for role in denied(spec, operation) for shape in shapes]


@cache
def _cover() -> dict[str, tuple[Attempt, ...]]:
    """Each denied operation in each of its shapes, by a role that has met this operation and this
    shape least often.

    A role that is denied little meets the shapes that are left at the last operation that is denied
    to it: so every operation, every role and every shape have met in pairs.
    """
    spec, met = load_specification(), Counter[tuple[str, str]]()
    found: dict[str, list[Attempt]] = {name: [] for name in spec.operations}
    fitting = [
        (operation.name, shape)
        for operation in spec.operations.values()
        for shape in SHAPES
        if operation.effect in shape.effects and not operation.is_self
    ]
    for name, shape in fitting:
        if roles := denied(spec, name)[-1 if shape.is_near else 0 :]:
            rarest = min(
                (met[name, role], met[shape.name, role], number)
                for number, role in enumerate(roles)
            )
            found[name].append(Attempt(roles[rarest[2]], shape))
            met.update([(name, roles[rarest[2]]), (shape.name, roles[rarest[2]])])
    for name, shape in reversed(fitting):
        for role in denied(spec, name):
            if not met[shape.name, role]:
                found[name].append(Attempt(role, shape))
                met[shape.name, role] += 1
    return {name: tuple(chosen) for name, chosen in found.items()}


def dressed(
    request: Request, shape: Shape, values: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """The path of a request in a shape, and its header fields and body."""
    resource = request.operation.resource.name
    path = with_query(request.path, _filled(shape.query(resource), values))
    values = {**values, "name": request.name}
    options: dict[str, Any] = {"headers": _fields(shape.headers, values), "json": request.body}
    if shape.media_types:
        options["headers"]["content-type"] = in_turn(shape.media_types, resource)
    if shape.members or (shape.updated and request.operation.effect == "update"):
        by_resource = shape.members or shape.updated
        members = by_resource.get(resource, by_resource.get("", request.body))
        options["json"] = fill(members, values)
    elif shape.body == "nothing":
        options["json"] = in_turn((None, {}), resource)
    elif shape.body == "besides":
        options["json"] = {"name": request.name, "id": request.thing.id if request.thing else ""}
    elif shape.body == "list":
        options["json"] = [request.body]
    elif shape.body == "form":
        options |= {"json": None, "content": urlencode(dict(_texts(request.body))).encode()}
    if options["json"] is None and "content" not in options:
        options["headers"].pop("content-type", None)
    return path, options


def _fields(headers: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Header fields with what is known of their values; those whose value is unknown are left
    out.
    """
    filled = {
        name: values.get(value[1:-1], "") if value.startswith("{") else value
        for name, value in headers.items()
    }
    return {name: value for name, value in filled.items() if value}


def _filled(query: str, values: Mapping[str, str]) -> str:
    """A query with what is known of its values; parameters whose value is unknown are left out."""
    parts = [part.split("=", 1) for part in query.split("&") if part]
    filled = [
        (name, values.get(value[1:-1], "") if value.startswith("{") else value)
        for name, value in parts
    ]
    return "&".join(f"{name}={value}" for name, value in filled if value)


def _texts(body: Any, front: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a body as the fields of a form: ``profile[name]=...``."""
    for name, value in body.items() if isinstance(body, Mapping) else ():
        key = f"{front}[{name}]" if front else name
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, Mapping):
            yield from _texts(value, key)
