"""Faults of headers and of the form of answers."""

from __future__ import annotations

from rolecall.reference.alterations import change_shown
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("no-challenge", finding="SEC-H10")
def no_challenge(server: Server) -> None:
    """A 401 does not say what would be accepted."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def silent(call: Call, answer: Answer) -> Answer:
        answer.headers.pop("WWW-Authenticate", None)
        return await after(call, answer)


@fault("redirects-to-http", finding="SEC-H11")
def redirects_to_http(server: Server) -> None:
    """A request for a form is redirected to another host, together with its token."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def elsewhere(call: Call) -> Answer:
        given = await answer(call)
        if call.verb == "GET" and call.resource == "forms" and given.status == 200:
            return Answer(307, b"", {"Location": f"http://legacy.example.org{call.path}"})
        return given


@fault("slash-redirected-elsewhere", finding="SEC-H11")
def slash_redirected_elsewhere(server: Server) -> None:
    """A path with a slash at its end is redirected to the one without, on another host."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def moved(call: Call) -> Answer | None:
        if call.path.endswith("/"):
            return Answer(
                308, b"", {"Location": f"http://legacy.example.org{call.path.rstrip('/')}"}
            )
        return await before(call)


@fault("clock-half-a-minute-ahead", finding="SEC-T11")
def clock_half_a_minute_ahead(server: Server) -> None:
    """The server's clock is half a minute ahead."""
    server.clock.advance(30)


@fault("reflects-origin", finding="SEC-H12")
def reflects_origin(server: Server) -> None:
    """Any web page may call with the user's credentials."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def open_to_all(call: Call, answer: Answer) -> Answer:
        origin = call.header(b"origin")
        if origin:
            answer.headers["Access-Control-Allow-Origin"] = origin[:200]
            answer.headers["Access-Control-Allow-Credentials"] = "true"
        return await after(call, answer)


@fault("lists-as-text", finding="RESPONSE-json")
def lists_as_text(server: Server) -> None:
    """A list is said to be plain text."""
    listing = server.resources.listing

    @instead_of(server.resources.listing)
    def mislabelled(call: Call, principal: Principal, resource: str) -> Answer:
        answer = listing(call, principal, resource)
        answer.media_type = "text/plain"
        return answer


@fault("lists-in-an-envelope", finding="RESPONSE-schema")
def lists_in_an_envelope(server: Server) -> None:
    """A list is an object with the array in it."""
    listing = server.resources.listing

    @instead_of(server.resources.listing)
    def wrapped(call: Call, principal: Principal, resource: str) -> Answer:
        answer = listing(call, principal, resource)
        answer.body = b'{"data":' + answer.body + b"}"
        return answer


@fault("dates-as-numbers", finding="RESPONSE-schema")
def dates_as_numbers(server: Server) -> None:
    """CreatedAt and updatedAt are numbers."""
    change_shown(server, lambda _, one: one | {"createdAt": 1503620624, "updatedAt": 1503620624})
