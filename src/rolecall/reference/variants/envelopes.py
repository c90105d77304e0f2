"""Variants of what is wrapped round a thing or a list, and of how members are called."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import RESOURCES
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant


def _shown(
    server: Server,
    one: Callable[[str, Document], object],
    many: Callable[[str, list[object]], object] = lambda _, shown: shown,
) -> None:
    """Change every thing that is shown, and every list of them, both by their resource."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def changed(call: Call, answer: Answer) -> Answer:
        if call.resource in RESOURCES and answer.status in (200, 201) and answer.body:
            document = loads(answer.body)
            answer.body = dumps(
                many(call.resource, [_inside(one(call.resource, item)) for item in document])
                if isinstance(document, list)
                else one(call.resource, document)
            ).encode()
        return await after(call, answer)


def _inside(shown: object) -> object:
    """What stands in a list: a thing in a wrapping of its own is taken out of it."""
    wrapped = isinstance(shown, dict) and set(shown) == {"data"}
    return shown["data"] if wrapped and isinstance(shown, dict) else shown


@variant("answers-in-data")
def answers_in_data(server: Server) -> None:
    """A thing is in ``data``, and so is a list, beside what tells where it goes on."""
    _shown(
        server,
        lambda _, one: {"data": one},
        lambda _, shown: {"data": shown, "pagination": {"total": len(shown), "next": None}},
    )


@variant("answers-under-their-name")
def answers_under_their_name(server: Server) -> None:
    """A list is under the name of its resource, and so is a thing in ``result``."""
    _shown(
        server,
        lambda _, one: {"success": True, "status": "ok", "result": {"item": one}, "error": None},
        lambda resource, shown: {
            resource: [item["result"]["item"] for item in shown if isinstance(item, dict)],
            "total": len(shown),
            "nextPage": "",
        },
    )


@variant("answers-as-hal")
def answers_as_hal(server: Server) -> None:
    """A list is in ``_embedded``, and each thing links to itself, as HAL has it."""
    _shown(
        server,
        lambda resource, one: (
            one | {"_links": {"self": {"href": f"/v2/{resource}/{one.get('id', '')}"}}}
        ),
        lambda resource, shown: {
            "_links": {"self": {"href": f"/v2/{resource}"}, "curies": []},
            "_embedded": {resource: shown},
        },
    )


@variant("answers-as-json-api")
def answers_as_json_api(server: Server) -> None:
    """Things have their members in ``attributes``, and are in ``data``, as JSON:API has it."""

    def wrapped(resource: str, one: Document) -> object:
        attributes = {name: value for name, value in one.items() if name != "id"}
        return {"data": {"type": resource, "id": one.get("id"), "attributes": attributes}}

    _shown(
        server,
        wrapped,
        lambda _, shown: {"data": shown, "links": {"self": "/"}, "meta": {"total": len(shown)}},
    )


@variant("things-by-their-ids")
def things_by_their_ids(server: Server) -> None:
    """A list is an object with each thing under its id."""
    _shown(
        server,
        lambda _, one: one,
        lambda _, shown: {f"{item['id']}": item for item in shown if isinstance(item, dict)},
    )


@variant("members-in-snake-case")
def members_in_snake_case(server: Server) -> None:
    """Members are shown in snake_case, such as given_name, and taken in both ways."""

    def renamed(document: object) -> object:
        if isinstance(document, dict):
            return {
                re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower(): renamed(value)
                for name, value in document.items()
            }
        return [renamed(item) for item in document] if isinstance(document, list) else document

    _shown(server, lambda _, one: renamed(one))


@variant("members-in-pascal-case")
def members_in_pascal_case(server: Server) -> None:
    """Members begin with a capital, as in Id and GivenName: so some frameworks write them."""
    _shown(
        server, lambda _, one: {name[:1].upper() + name[1:]: value for name, value in one.items()}
    )


@variant("ids-in-uid")
def ids_in_uid(server: Server) -> None:
    """A thing says its id in ``uid``."""
    _shown(
        server,
        lambda _, one: {("uid" if name == "id" else name): value for name, value in one.items()},
    )


@variant("dates-in-seconds")
def dates_in_seconds(server: Server) -> None:
    """CreatedAt and updatedAt are seconds since 1970, and an organization is shown with its name.

    The page says nothing of the members of resources.
    """

    def timed(_: str, one: Document) -> Document:
        dates = {
            name: int(datetime.fromisoformat(value).timestamp())
            for name in ("createdAt", "updatedAt")
            if isinstance(value := one.get(name), str)
        }
        inside = one.get("organization")
        return one | dates | ({"organization": {"id": inside, "name": "one"}} if inside else {})

    _shown(server, timed)


@variant("addresses-are-signed")
def addresses_are_signed(server: Server) -> None:
    """A thing has an address for its picture, signed with the second in which it was asked for."""
    _shown(
        server,
        lambda _, one: one | {"picture": f"/pictures/1?signed={datetime.now(UTC):%Y%m%dT%H%M%SZ}"},
    )


@variant("lists-go-on-in-the-body")
def lists_go_on_in_the_body(server: Server) -> None:
    """A list has ten things at most, and the address of the next page in its body; an offset is not
    looked at.
    """
    listing = server.resources.listing

    @instead_of(server.resources.page_size)
    def ten(query: ListQuery) -> int:
        return min(query.limit, 10)

    @instead_of(server.resources.listing)
    def paged(call: Call, principal: Principal, resource: str) -> Answer:
        asked = [(name, value) for name, value in call.query if name not in ("page", "offset")]
        page = next((int(value) for name, value in call.query if name == "page"), 0)
        call.query = [*asked, ("offset", f"{10 * page}")]
        answer = listing(call, principal, resource)
        more = answer.headers.pop("Link", "")
        following = f"{call.path}?{urlencode([*asked, ('page', page + 1)])}" if more else None
        answer.body = dumps({"items": loads(answer.body), "next": following}).encode()
        return answer
