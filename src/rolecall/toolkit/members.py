"""Learns which members of a body a target refuses or requires (AMB-16): the page lists none.

A server may drop what it does not know, or refuse it, and it may ask for what is not documented.
What it refuses with 400 or 422 is sent again: with the members that the answer names as missing, as
texts; then without those that it names otherwise; then with no more than what bears the run's name;
and where that is refused as well, without one after the other of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from rolecall.evidence import Exchange
from rolecall.spec.ids import walked
from rolecall.spec.loading import load_specification
from rolecall.spec.model import marked
from rolecall.spec.templates import bears
from rolecall.toolkit.things import Request

#: Statuses with which a body is refused for what is in it.
REFUSED = (400, 422)
#: Times that one create or update is sent with ever fewer members.
MOST_TRIES = 8
#: Members without which a user could not log in.
_KEPT = ("email", "password")
#: Members that say which kind of user or service it is: left out only one by one.
_KIND = ("role", "type")
#: What says that a member has to be there; "about:blank" is the type of a problem that has no other
#: (RFC 9457 4.2.1).
_REQUIRED = re.compile(
    r"(?i)requir|missing|mandatory|must be (given|present|set|provided)|lacks|empty|"
    r"(?<!about:)blank"
)
#: What says of a member that it was not there.
_MISSING = re.compile(
    rf"{_REQUIRED.pattern}|undefined|can.?t be (?:null|nil)|(?:must|may) not be (?:null|nil)|not "
    r"(?:set|given|provided|present)"
)
#: Where an error says of which member it is, beside what is wrong with it.
_PLACES = re.compile(
    r"(?i)^(?:path|field|param(?:eter)?|property|attribute|member|name|key|loc(?:ation)?|pointer|source|(?:instance|data)_?path)$"
)
_ABSENT = re.compile(r"(?i)^(?:missing|required)_?(?:\w*)$")
_NAMED_AS_MISSING = (
    re.compile(
        r"[\"'`\u2018\u201c]([A-Za-z_][\w-]*)[\"'`\u2019\u201d]\s+"
        r"(?:\w+\s+){0,2}?(?:required|missing|mandatory|must not be)"
    ),
    re.compile(r"(?i)\b([A-Za-z_]\w*)\s+(?:is|are)\s+(?:a\s+)?(?:required|missing|mandatory)"),
    re.compile(
        r"(?i)(?:required|missing|mandatory)\W+(?:\w+\W+){0,2}?[\"'`\u2018\u201c]([A-Za-z_][\w-]*)[\"'`\u2019\u201d]"
    ),
)
_NAME = re.compile(r"[A-Za-z_][\w-]{0,39}")
#: Words of errors that are no names of members.
_NO_NAME = re.compile(
    r"(?i)(?:field|property|propertie|value|parameter|member|object|message|msg|detail|error|code|hint)s?|body|this|it|reason|"
    r"description|status"
)
_QUOTED = re.compile(r"[\"'`\u2018\u201c]([A-Za-z_][\w.-]*)[\"'`\u2019\u201d]")
_WORD = re.compile(r"[A-Za-z_]\w*")
_ERRORS = re.compile(r"(?i)error|detail|field|violation|invalid|param|issue|member|problem")

Path = tuple[str, ...]


@dataclass
class Members:
    """The members that a target refused, by operation, and those it required, by resource.

    A member is refused with some texts, or, where it has none, with whatever it holds.
    """

    unknown: dict[str, dict[Path, set[str]]] = field(default_factory=dict)
    wanted: dict[str, frozenset[str]] = field(default_factory=dict)

    def understood(self, request: Request) -> Request:
        """The request with the members that the target requires, without those that it refused.

        An update writes what a create had to: it may be all that the target knows. The caller's own
        user is not written to for that.
        """
        operation = request.operation
        if operation.effect in ("create", "update") and not operation.is_self:
            request = including(request, self.wanted.get(operation.resource.name, frozenset()))
        refused = self.unknown.get(operation.name, {})
        return without(
            request,
            frozenset(
                path
                for path, values in refused.items()
                if not values or _constant(request, path) in values
            ),
        )

    def learn(self, asked: Request, taken: Request) -> None:
        """Note what had to be left out of a request, or added to it.

        Of what is the same for many things, as a role is, it may have been the value.
        """
        before, after = frozenset(places(asked.body)), frozenset(places(taken.body))
        name, resource = asked.operation.name, asked.operation.resource.name
        refused = self.unknown.setdefault(name, {})
        for path in before - after:
            value, is_any = _constant(asked, path), refused.get(path) == set()
            refused[path] = refused.get(path, set()) | {value} if value and not is_any else set()
        self.wanted[resource] = self.wanted.get(resource, frozenset()) | {
            path[0] for path in after - before if len(path) == 1
        }


def _constant(request: Request, path: Path) -> str:
    """A text of a request that was not made for it alone; else nothing."""
    value = at(request.body, path)
    return value if isinstance(value, str) and request.name not in value else ""


class Attempts:
    """One create or update, sent with other members until the target takes it."""

    def __init__(self, request: Request, answer: Exchange) -> None:
        self._first = request
        self._refused: list[tuple[Request, set[str]]] = []
        self._required: set[str] = set()
        self._missing: set[str] = set()
        self._tried: list[Any] = []
        self._barest: Any = None  # the one that has nothing but the run's name, and blames none
        self.add(request, answer)

    def add(self, request: Request, answer: Exchange) -> None:
        """Note what became of one of them."""
        self._tried.append(request.body)
        if answer.status in REFUSED and request.operation.effect in ("create", "update"):
            named, required = members_named(answer)
            self._refused.append((request, named))
            self._required |= required
            self._missing |= members_missing(answer)

    def following(self) -> Request | None:
        """The next request to send, as the answers suggest it; None when all were tried."""
        if len(self._tried) >= MOST_TRIES:
            return None
        possible = (
            other
            for asked, named in reversed(self._refused)
            for other in self._others(asked, named)
        )
        return next((other for other in possible if other.body not in self._tried), None)

    def _others(self, asked: Request, named: set[str]) -> Iterator[Request]:
        """The request with what it lacks, and with fewer members; it still bears the run's name."""
        asked = including(asked, self._missing, self._first.body)
        yield asked
        kept = self._required | self._missing | set(_KEPT)
        there = [path for path in places(asked.body) if path[-1] not in kept]
        blamed = [path for path in there if path[-1] in named]
        stays = {*marked(asked.body, asked.name), *_KIND}
        bare = [path for path in there if path[0] not in stays]
        singly: list[list[Path]] = []
        if not blamed and not bare and self._barest in (None, asked.body):
            self._barest = asked.body
            singly = [[path] for path in reversed(there) if len(path) == 1]
        for left_out in (blamed, *([path] for path in blamed), bare, *singly):
            smaller = without(asked, frozenset(left_out))
            if left_out and marked(smaller.body, smaller.name):
                yield smaller


def barely(request: Request) -> Request:
    """A create with only what holds the run's name, and what a user logs in with."""
    bears = marked(request.body, request.name)
    return without(
        request, frozenset(path for path in places(request.body) if path[0] not in (*bears, *_KEPT))
    )


def including(request: Request, names: Iterable[str], values: Any = None) -> Request:
    """A request with more members: their ``values``, else texts that hold the run's name.

    A user that has to have a role gets the lowest.
    """
    if not isinstance(request.body, Mapping) or not request.name:
        return request
    known = {
        "role": load_specification().roles[0],
        **(values if isinstance(values, Mapping) else {}),
    }
    more = {
        name: known.get(name, request.name) for name in sorted(names) if name not in request.body
    }
    return replace(request, body={**request.body, **more}) if more else request


def without(request: Request, left_out: frozenset[Path]) -> Request:
    """A request without some members of its body, nor objects that lose all of theirs."""
    if not left_out or not isinstance(request.body, Mapping):
        return request
    body = _without(request.body, (), left_out)
    return request if body == request.body else replace(request, body=body)


def _without(body: Mapping[str, Any], at: Path, left_out: frozenset[Path]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if (*at, name) not in left_out}
    smaller = {
        name: _without(value, (*at, name), left_out) if isinstance(value, Mapping) else value
        for name, value in kept.items()
    }
    return {name: value for name, value in smaller.items() if value != {} or kept[name] == {}}


def places(body: Any, at: Path = ()) -> Iterator[Path]:
    """Where the values of a body are: the members that lead to each; a list is one value."""
    for name, value in body.items() if isinstance(body, Mapping) else ():
        if isinstance(value, Mapping) and value:
            yield from places(value, (*at, name))
        yield (*at, name)


def names_in(body: object, name: str, path: Path = ()) -> Iterator[tuple[str, Path]]:
    """Where a body has a name: what stands before it, and the members that lead there."""
    if isinstance(body, Mapping):
        for member, value in body.items():
            yield from names_in(value, name, (*path, member))
    elif isinstance(body, str) and name in body:
        yield body.partition(name)[0], path


def shows_name(document: object, name: str) -> bool:
    """Whether any text of a document, at any depth, bears a name (AMB-16)."""
    return any(isinstance(value, str) and bears(value, name) for value in walked(document))


def at(document: object, path: Path) -> object:
    """What stands at the end of a path of members; None where there is nothing."""
    for member in path:
        document = _member(document, member) if isinstance(document, Mapping) else None
    return document


def _member(document: Mapping[str, object], name: str) -> object:
    """A member by its name, however it is written: ``givenName``, ``given_name``, ``GivenName``."""
    if name in document:
        return document[name]
    letters = _letters(name)
    return next((document[other] for other in document if _letters(other) == letters), None)


@lru_cache(4096)
def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def texts_at(document: object, path: Path) -> Iterator[str]:
    """The text at the end of a path of members, if there is one."""
    if isinstance(found := at(document, path), str):
        yield found


#: Members that say that a thing was deleted, by what they hold, and states in which it is.
_PUT_AWAY = re.compile(
    r"(?:is_?|was_?)?(?:deleted|archived|removed|trashed|discarded|deactivated|erased|anonymi[sz]ed)"
    r"(?:_?(?:at|on|date|time|by))?"
)
_STATE = re.compile(r"_?(?:status|state|lifecycle(?:_?state)?)")


def is_put_away(thing: object) -> bool:
    """Whether a thing that is shown says of itself that it was deleted: some servers keep what was,
    and show it so.
    """
    return isinstance(thing, Mapping) and any(
        (_PUT_AWAY.fullmatch(name.lower()) and value not in (None, False, "", 0))
        or (_STATE.fullmatch(name.lower()) and _PUT_AWAY.fullmatch(f"{value}".lower()))
        for name, value in thing.items()
    )


def members_missing(answer: Exchange) -> set[str]:
    """The members that an error says are missing, in the ways of the common libraries."""
    found: set[str] = set()
    left: list[tuple[Any, bool]] = [
        (answer.json if answer.json is not None else answer.text, False)
    ]
    while left:
        value, is_by_member = left.pop()
        if isinstance(value, str):
            found.update(name for pattern in _NAMED_AS_MISSING for name in pattern.findall(value))
        elif isinstance(value, list):
            left += [(inner, False) for inner in value]
        elif isinstance(value, Mapping):
            says = any(isinstance(text, str) and _MISSING.search(text) for text in value.values())
            for name, inner in value.items():
                if (says and _PLACES.match(name)) or _ABSENT.match(name):
                    found.update(_last_parts(inner, each=not says))
                elif is_by_member and any(map(_MISSING.search, _texts(inner))):
                    found.add(name)
                left.append((inner, bool(_ERRORS.search(name))))
    return {name for name in found if _NAME.fullmatch(name) and not _NO_NAME.fullmatch(name)}


def _texts(value: Any) -> list[str]:
    return [
        text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
    ]


def _last_parts(value: Any, *, each: bool) -> Iterator[str]:
    """The member that a place in a document leads to: ``body.title``, ``/title``, ``["body",
    "title"]``; of a list of names all.
    """
    if isinstance(value, str):
        yield re.split(r"[./\[\]]+", value.strip("./[]"))[-1]
    elif isinstance(value, list) and value:
        for text in value if each else value[-1:]:
            yield from _last_parts(text, each=False) if isinstance(text, str) else ()
    elif isinstance(value, Mapping):
        yield from (
            part
            for inner in value.values()
            if isinstance(inner, str)
            for part in _last_parts(inner, each=False)
        )


def members_named(answer: Exchange) -> tuple[set[str], set[str]]:
    """The words of an error that may be members, and those that it says are required."""
    named: set[str] = set()
    required: set[str] = set()
    left: list[tuple[Any, bool]] = [
        (answer.json if answer.json is not None else answer.text, False)
    ]
    while left:
        value, is_by_member = left.pop()
        inner = (
            list(value.values())
            if isinstance(value, Mapping)
            else value
            if isinstance(value, list)
            else []
        )
        said = (
            [value] if isinstance(value, str) else [text for text in inner if isinstance(text, str)]
        )
        if isinstance(value, Mapping):
            left += [
                (member, bool(_ERRORS.search(name)))
                for name, member in value.items()
                if not isinstance(member, str)
            ]
            if is_by_member:
                for name, member in value.items():
                    (required if _REQUIRED.search(f"{member}") else named).add(
                        name.rpartition(".")[2]
                    )
        elif isinstance(value, list):
            left += [(member, False) for member in value]
            said = [] if any(isinstance(member, str) for member in value) else said
        words = {
            word.rpartition(".")[2]
            for text in said
            for word in _QUOTED.findall(text) or _WORD.findall(text)
        }
        (required if any(_REQUIRED.search(text) for text in said) else named).update(words)
    return named, required
