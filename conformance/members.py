"""Members of bodies that a target does not know (AMB-16): the page does not list the members of its resources.

A server may drop what it does not know, or refuse it. What it refuses with 400 or 422 is sent again without the members that the
answer does not name as required: first without those that it names, then with no more than what bears the run's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rolecall.conformance.fixtures import Request
from rolecall.conformance.tables import marked
from rolecall.evidence import Exchange

#: Statuses with which a body is refused for what is in it.
REFUSED = (400, 422)
#: Times that one create or update is sent with ever fewer members.
MOST_TRIES = 8
#: Members without which a user could not log in.
_KEPT = ("email", "password")
_REQUIRED = re.compile(r"(?i)requir|missing|mandatory|must be (given|present|set|provided)|lacks|empty|blank")
_QUOTED = re.compile(r"[\"'`\u2018\u201c]([A-Za-z_][\w.-]*)[\"'`\u2019\u201d]")
_WORD = re.compile(r"[A-Za-z_]\w*")
_ERRORS = re.compile(r"(?i)error|detail|field|violation|invalid|param|issue|member|problem")

Path = tuple[str, ...]


@dataclass
class Members:
    """Which members of its bodies a target was seen to refuse, by operation."""

    unknown: dict[str, frozenset[Path]] = field(default_factory=dict)

    def understood(self, request: Request) -> Request:
        """The request without what the target was seen to refuse in it."""
        return without(request, self.unknown.get(request.operation.name, frozenset()))

    def learn(self, asked: Request, taken: Request) -> None:
        """Note what had to be left out of a request until the target took it."""
        left_out = frozenset(places(asked.body)) - frozenset(places(taken.body))
        name = asked.operation.name
        self.unknown[name] = self.unknown.get(name, frozenset()) | left_out


class Attempts:
    """One create or update, sent with ever fewer members until the target takes it."""

    def __init__(self, request: Request, answer: Exchange) -> None:
        self._refused: list[tuple[Request, set[str]]] = []
        self._required: set[str] = set()
        self._tried: list[Any] = []
        self.add(request, answer)

    def add(self, request: Request, answer: Exchange) -> None:
        """Note what became of one of them."""
        self._tried.append(request.body)
        if answer.status in REFUSED and request.operation.effect in ("create", "update"):
            named, required = members_named(answer)
            self._refused.append((request, named))
            self._required |= required

    def following(self) -> Request | None:
        """What to send next, as the answers suggest it, the newest first; None when there is nothing more to try."""
        if len(self._tried) >= MOST_TRIES:
            return None
        possible = (smaller for asked, named in reversed(self._refused) for smaller in self._fewer(asked, named))
        return next((smaller for smaller in possible if smaller.body not in self._tried), None)

    def _fewer(self, asked: Request, named: set[str]) -> Iterator[Request]:
        """The request with fewer members; it still bears the run's name."""
        there = [path for path in places(asked.body) if path[-1] not in self._required and path[-1] not in _KEPT]
        blamed = [path for path in there if path[-1] in named]
        bare = [path for path in there if path[0] not in marked(asked.body, asked.name)]
        for left_out in (blamed, *([path] for path in blamed), bare):
            smaller = without(asked, frozenset(left_out))
            if left_out and marked(smaller.body, smaller.name):
                yield smaller


def without(request: Request, left_out: frozenset[Path]) -> Request:
    """A request without some members of its body, and without objects that lose all of theirs."""
    if not left_out or not isinstance(request.body, Mapping):
        return request
    body = _without(request.body, (), left_out)
    return request if body == request.body else replace(request, body=body)


def _without(body: Mapping[str, Any], at: Path, left_out: frozenset[Path]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if (*at, name) not in left_out}
    smaller = {
        name: _without(value, (*at, name), left_out) if isinstance(value, Mapping) else value for name, value in kept.items()
    }
    return {name: value for name, value in smaller.items() if value != {} or kept[name] == {}}


def places(body: Any, at: Path = ()) -> Iterator[Path]:
    """Where the values of a body are: the members that lead to each; a list is one value."""
    for name, value in body.items() if isinstance(body, Mapping) else ():
        if isinstance(value, Mapping) and value:
            yield from places(value, (*at, name))
        yield (*at, name)


def members_named(answer: Exchange) -> tuple[set[str], set[str]]:
    """The words of an error that may be names of members, and those of them that it says are required."""
    named: set[str] = set()
    required: set[str] = set()
    left: list[tuple[Any, bool]] = [(answer.json if answer.json is not None else answer.text, False)]
    while left:
        value, is_by_member = left.pop()
        inner = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
        said = [value] if isinstance(value, str) else [text for text in inner if isinstance(text, str)]
        if isinstance(value, Mapping):
            left += [(member, bool(_ERRORS.search(name))) for name, member in value.items() if not isinstance(member, str)]
            if is_by_member:
                for name, member in value.items():
                    (required if _REQUIRED.search(f"{member}") else named).add(name.rpartition(".")[2])
        elif isinstance(value, list):
            left += [(member, False) for member in value]
            said = [] if any(isinstance(member, str) for member in value) else said
        words = {word.rpartition(".")[2] for text in said for word in _QUOTED.findall(text) or _WORD.findall(text)}
        (required if any(_REQUIRED.search(text) for text in said) else named).update(words)
    return named, required
