"""Requests with verbatim header fields: on their own connection, and kept as evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rolecall.errors import Unreachable
from rolecall.evidence import Evidence, Exchange
from rolecall.http.client import Client
from rolecall.outcomes import TransientFailure
from rolecall.redaction import Secrets
from rolecall.target import Account, Target
from tests.support.gates import OpenGate
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    always,
    in_turn,
    json_response,
    response,
    silent,
)

FINE = always(json_response({"fine": True}))


def talk(
    server: Miniature, conversation: Callable[[Client], Awaitable[Any]], **settings: Any
) -> Any:
    """Let a conversation with a miniature take place."""

    async def main() -> Any:
        account = Account("guest", "guest", "guest@example.org", "guest-password")
        settings.setdefault("timeout", 5.0)
        target = Target("miniature", server.url, {"guest": account}, **settings)
        client = Client(target, Evidence(), Secrets(), OpenGate())
        try:
            return await conversation(client)
        finally:
            await client.close()

    return asyncio.run(main())


async def raw(client: Client, *values: bytes) -> Exchange:
    """A GET with these Authorization fields, whose names differ in their first letter's case."""
    fields = list(zip(("Authorization", "authorization"), values, strict=False))
    return await client.send_raw(
        "GET", "/v2/users?limit=1", fields, caller="nobody", attack="SEC-H08"
    )


def cut(request: Received, connection: Connection) -> None:
    """Close without a word."""
    connection.cut()


def test_bytes_arrive_as_they_are() -> None:
    """Control characters, and two fields of one name, are on the wire."""
    heads: list[bytes] = []

    def answer(request: Received, connection: Connection) -> None:
        heads.append(request.headers["authorization"].encode("latin-1"))
        connection.send(json_response(request.path))

    with Miniature(answer) as server:
        exchange = talk(server, lambda client: raw(client, b"Bearer one", b"Bearer t\x01w\xe9o"))

    assert [b"Bearer t\x01w\xe9o"] == heads
    assert (200, "/v2/users?limit=1") == (exchange.status, exchange.json)
    assert ("Bearer one", "Bearer t\x01w\xe9o") == (
        exchange.request_headers["Authorization"],
        exchange.request_headers["authorization"],
    )
    assert "x-rolecall-attack" not in server.received[0].headers


def test_attacks_are_marked_for_who_asks() -> None:
    """A server of this machine is told which requests are attacks if its target file says so; no
    other request bears a mark, and without the setting none does.
    """

    async def asks(client: Client) -> None:
        await client.send("GET", "/v2/users", caller="guest", attack="SEC-H08")
        await client.send("GET", "/v2/users", caller="guest")
        await raw(client, b"Bearer one")

    marks = []
    for given in (True, False):
        with Miniature(always(response(200))) as server:
            talk(server, asks, mark_attacks=given)
        marks.append([one.headers.get("x-rolecall-attack") for one in server.received])
    assert marks == [["SEC-H08", None, "SEC-H08"], [None, None, None]]


def test_nobody_else_uses_the_connection() -> None:
    """Before and after it others go on connections of their own."""

    async def three(client: Client) -> None:
        await client.send("GET", "/v2/users")
        await raw(client, b"Bearer one")
        await client.send("GET", "/v2/users")

    with Miniature(FINE) as server:
        talk(server, three)

    assert [1, 2, 1] == [request.connection for request in server.received]


def test_a_closed_connection_is_a_refusal() -> None:
    """A target that is alive and closes the connection instead of answering has refused."""

    def answer(request: Received, connection: Connection) -> None:
        (cut if "authorization" in request.headers else FINE)(request, connection)

    with Miniature(answer) as server:
        exchange = talk(server, lambda client: raw(client, b"Bearer one"))

    assert 0 == exchange.status
    assert "closed" in exchange.error


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(response(200, b'[{"id": "1"}]', content_length="14"), id="a byte is missing"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", id="half a head"),
        pytest.param(b"H", id="one byte"),
        pytest.param(b'<html>[{"id": "1"}]', id="no HTTP"),
        pytest.param(response(200, b"[]", content_encoding="gzip"), id="no gzip"),
        pytest.param(response(200, b"[]", content_encoding="br"), id="a coding that is not read"),
        pytest.param(
            response(200, b"2\r\n[]\r\n", content_length="", transfer_encoding="chunked"),
            id="no last chunk",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"\r\n", id="too many fields"),
    ],
)
def test_an_answer_that_had_begun_is_no_refusal(begun: bytes) -> None:
    """A connection that ends in the middle of an answer, or with one that cannot be read, has
    refused nothing: who knows what is in it.
    """

    def answer(request: Received, connection: Connection) -> None:
        if "authorization" in request.headers:
            connection.send(begun)
            connection.cut()
        else:
            FINE(request, connection)

    with Miniature(answer) as server, pytest.raises(TransientFailure):
        talk(server, lambda client: raw(client, b"Bearer one"))


@pytest.mark.parametrize("status", [400, 431])
def test_a_refusal_that_a_reset_overtakes_is_one(status: int) -> None:
    """A client error whose body is lost, as of a server that refuses before it has read the
    request, is that refusal.
    """

    def answer(request: Received, connection: Connection) -> None:
        if "authorization" in request.headers:
            connection.send(response(status, b"too", content_length="300"))
            connection.reset()
        else:
            FINE(request, connection)

    with Miniature(answer) as server:
        exchange = talk(server, lambda client: raw(client, b"Bearer one"))

    # the reset may overtake the status line, too: then it was closed, and refused
    assert exchange.status in (0, status)


def test_one_that_had_begun_before() -> None:
    """A connection that is closed without a word is not a refusal either where an earlier try had
    got the beginning of an answer.
    """
    beginning = always(response(200, b'[{"id": "1"}]', content_length="14"))

    def answer(request: Received, connection: Connection) -> None:
        if "authorization" in request.headers:
            turns(request, connection)
            connection.cut()
        else:
            FINE(request, connection)

    turns = in_turn(beginning, cut)
    with Miniature(answer) as server, pytest.raises(TransientFailure):
        talk(server, lambda client: raw(client, b"Bearer one"))


def test_a_dead_target_is_none() -> None:
    """A target that closes every connection is not there."""
    with Miniature(cut) as server, pytest.raises(Unreachable):
        talk(server, lambda client: raw(client, b"Bearer one"))


@pytest.mark.parametrize(
    ("answer", "settings"), [(always(response(503)), {}), (in_turn(silent, FINE), {"timeout": 0.3})]
)
def test_trouble_is_no_refusal(answer: Answer, settings: dict[str, Any]) -> None:
    """A target that is away, or says nothing, has refused nothing."""
    with Miniature(answer) as server, pytest.raises(TransientFailure):
        talk(server, lambda client: raw(client, b"Bearer one"), **settings)


def test_a_long_field_is_kept_short() -> None:
    """Of a field of a million characters the evidence has the beginning and the length."""
    with Miniature(FINE) as server:
        exchange = talk(server, lambda client: raw(client, b"Bearer " + b"a" * 1_000_000))

    assert "(1,000,007 characters)" in exchange.request_headers["Authorization"]
    assert 1_000_007 == len(server.received[0].headers["authorization"])
    assert len(exchange.request_headers["Authorization"]) < 100
