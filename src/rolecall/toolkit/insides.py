"""Things that stand inside of other answers: a mention, an excerpt, or the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.evidence import Exchange
from rolecall.spec.ids import own_id, walked
from rolecall.spec.model import TOKEN
from rolecall.tokens import claims_of, user_of
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.things import items
from rolecall.toolkit.world import World

#: Members that a reference to a thing may well carry, besides its id.
_REFERENCE = ("id", "_id", "name", "displayName", "role", "type", "organization", "url")


def objects(document: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a document, at any depth."""
    return (value for value in walked(document) if isinstance(value, dict))


def beyond_a_reference(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says that no reference to it would say."""
    return {
        name: value
        for name, value in document.items()
        if name not in _REFERENCE and value not in (None, "", [], {})
    }


def exposed(answer: Exchange, documents: list[dict[str, Any]]) -> list[str]:
    """What an answer shows of one of these documents beyond a reference to it."""
    inside = list(objects(answer.json))
    shown = [
        [name for name, value in beyond_a_reference(document).items() if inner.get(name) == value]
        for document in documents
        for inner in inside
        if own_id(document) == own_id(inner) != ""
    ]
    return max(shown, key=len, default=[])


# --- In plain answers --------------------------------------------------------------------------

#: What a conversation consists of and is made with: to show it is to show the conversation.
_PARTS = ("message", "contact", "form")
#: What stands for a thing where it is mentioned: who it is, in words and as a picture.
_MENTION = ("givenName", "familyName", "avatar", "logo", "links", "_links")


def substance(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says that neither names the thing, nor dates it."""
    return {
        name: value
        for name, value in beyond_a_reference(document).items()
        if name not in _MENTION and not name.endswith("At")
    }


class Fetched:
    """What fetches of the run told of things, and whom they were denied to."""

    def __init__(self, responses: Responses, world: World) -> None:
        self._world = world
        #: By kind and id: the members, each with all values that it was seen to have.
        self._told: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self._denied: dict[tuple[str, str], Exchange] = {}
        opened = set()
        for exchange, operation in responses.answered("fetch"):
            kind, (role, own) = operation.resource.name, _sender(exchange)
            if exchange.ok and (id := own_id(exchange.document)):
                self._note(kind, id, exchange.document)
                opened |= {(role, kind)} if id != own else set()
            elif exchange.status in world.dialect.denied:
                self._denied.setdefault((role, kind), exchange)
        self._denied = {key: answer for key, answer in self._denied.items() if key not in opened}

    def _note(self, kind: str, id: str, document: Mapping[str, Any]) -> None:
        told = self._told.setdefault((kind, id), {})
        for name, value in substance(document).items():
            if value not in told.setdefault(name, []):
                told[name].append(value)

    def denied_to(self, role: str) -> dict[str, Exchange]:
        """The resources of which a role may see nothing, with a refusal that it was given."""
        shown = {
            operation.resource.name
            for operation in self._world.spec.operations.values()
            if operation.effect in ("list", "fetch")
            and not operation.is_self
            and self._world.spec.allows(operation.name, role)
        }
        return {
            kind: refusal
            for (who, kind), refusal in self._denied.items()
            if who == role and kind not in shown and kind not in _PARTS
        }

    def knows(self, kind: str, id: str) -> bool:
        """Whether a fetch showed a thing of this kind by this id."""
        return (kind, id) in self._told

    def tell_enough(self) -> bool:
        """Whether anything was told by which a thing could be told from an excerpt of it."""
        return any(len(told) > 1 for (kind, _), told in self._told.items() if kind not in _PARTS)

    def is_whole(self, kind: str, inner: Mapping[str, Any]) -> bool:
        """Whether an object says nearly all that was told of a thing of this kind: no excerpt
        does.
        """
        told = self._told.get((kind, own_id(inner)), {})
        shown = [name for name, values in told.items() if inner.get(name) in values]
        return len(shown) > 1 and 4 * len(shown) >= 3 * len(told)


def _sender(exchange: Exchange) -> tuple[str, str]:
    """The role that sent a request with a time-based token, and its user; else nobody."""
    role, _, credential = exchange.caller.partition(" (")
    if credential != f"{TOKEN})":
        return "", ""
    bearer = exchange.request_headers.get("authorization", "").partition(" ")[2]
    return role, user_of(claims_of(bearer))


def allowed_parts(
    responses: Responses, world: World, fetched: Fetched
) -> Iterator[tuple[Exchange, str, str, list[Mapping[str, Any]]]]:
    """What plain answers show to roles that may see it: the answer, the role and its user, and what
    has an id of each of the things.
    """
    for exchange, operation in responses.answered("list", "fetch", "create", "update"):
        role, own = _sender(exchange)
        if exchange.ok and role in world.roles and world.spec.allows(operation.name, role):
            for thing in items(exchange) or [exchange.document]:
                if not operation.is_self or own_id(thing) == own:
                    is_strange = operation.effect == "list" and not fetched.knows(
                        operation.resource.name, own_id(thing)
                    )
                    yield exchange, role, own, list(parts(thing, is_strange=is_strange))


def parts(thing: Mapping[str, Any], *, is_strange: bool = False) -> Iterator[Mapping[str, Any]]:
    """The objects inside of a thing that have an id; itself as well, where it ``is_strange`` in a
    list, and may be of another kind.

    A number as an id does not tell, which things of two kinds may have; nor does a fetch, which may
    find whatever has the id.
    """
    if is_strange and (id := own_id(thing)) and not id.isdigit():
        yield thing
    yield from (inner for inner in objects(list(thing.values())) if own_id(inner))
