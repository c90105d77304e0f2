"""Faults of what is wrapped round a thing or a list, and of how its id is called."""

from __future__ import annotations

from urllib.parse import urlencode

from rolecall.reference.alterations import change_shown
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.query import ListQuery
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def _inside(shown: list[object]) -> list[object]:
    """What stands in a list of things in ``data``: there they have no wrapping of their own."""
    return [item["data"] for item in shown if isinstance(item, dict)]


@fault("answers-in-data", finding="RESPONSE-schema")
def answers_in_data(server: Server) -> None:
    """A thing is in ``data``, and so is a list, beside what tells where it goes on."""
    change_shown(
        server,
        lambda _, one: {"data": one},
        lambda _, shown: {"data": _inside(shown), "pagination": {"total": len(shown)}},
    )


@fault("answers-under-their-name", finding="RESPONSE-schema")
def answers_under_their_name(server: Server) -> None:
    """A list is under the name of its resource, and so is a thing in ``result``."""
    change_shown(
        server,
        lambda _, one: {"success": True, "status": "ok", "result": {"item": one}, "error": None},
        lambda resource, shown: {
            resource: [item["result"]["item"] for item in shown if isinstance(item, dict)],
            "total": len(shown),
            "nextPage": "",
        },
    )


@fault("answers-as-hal", finding="RESPONSE-schema")
def answers_as_hal(server: Server) -> None:
    """A list is in ``_embedded``, and each thing links to itself, as HAL has it."""
    change_shown(
        server,
        lambda resource, one: (
            one | {"_links": {"self": {"href": f"/v2/{resource}/{one.get('id', '')}"}}}
        ),
        lambda resource, shown: {
            "_links": {"self": {"href": f"/v2/{resource}"}, "curies": []},
            "_embedded": {resource: shown},
        },
    )


@fault("answers-as-json-api", finding="RESPONSE-schema")
def answers_as_json_api(server: Server) -> None:
    """Things have their members in ``attributes``, and are in ``data``, as JSON:API has it."""

    def wrapped(resource: str, one: Document) -> object:
        attributes = {name: value for name, value in one.items() if name != "id"}
        return {"data": {"type": resource, "id": one.get("id"), "attributes": attributes}}

    change_shown(
        server,
        wrapped,
        lambda _, shown: {"data": _inside(shown), "links": {"self": "/"}},
    )


@fault("things-by-their-ids", finding="RESPONSE-schema")
def things_by_their_ids(server: Server) -> None:
    """A list is an object with each thing under its id."""
    change_shown(
        server,
        lambda _, one: one,
        lambda _, shown: {f"{item['id']}": item for item in shown if isinstance(item, dict)},
    )


@fault("members-in-pascal-case", finding="RESPONSE-schema")
def members_in_pascal_case(server: Server) -> None:
    """Members begin with a capital, as in Id and GivenName: so some frameworks write them."""
    change_shown(
        server, lambda _, one: {name[:1].upper() + name[1:]: value for name, value in one.items()}
    )


@fault("ids-in-uid", finding="RESPONSE-schema")
def ids_in_uid(server: Server) -> None:
    """A thing says its id in ``uid``."""
    change_shown(
        server,
        lambda _, one: {("uid" if name == "id" else name): value for name, value in one.items()},
    )


@fault("lists-go-on-in-the-body", finding="RESPONSE-schema")
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
