"""A target that is started anew, or that somebody answers for: waited for, and not blamed."""

from __future__ import annotations

import pytest

from rolecall.errors import Unreachable
from rolecall.evidence import Exchange
from rolecall.http import presence
from rolecall.http.client import Client
from rolecall.outcomes import TransientFailure
from tests.support.clients import talk
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    always,
    in_turn,
    json_response,
    redirecting,
    reset,
    response,
)

OK = always(json_response({"id": "1"}))
#: While a server is started anew, what stands before it answers so.
PAGE = always(response(200, b"<html><title>Back soon</title></html>", content_type="text/html"))
NOT_FOUND = always(response(404, b"<html>404</html>", content_type="text/html; charset=utf-8"))
ELSEWHERE = redirecting(302, "/maintenance")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of a restart take no time."""
    monkeypatch.setattr(presence, "_RESTART", (0.01,) * 6)


async def around(it: Client) -> Exchange:
    """A read, a write that has no answer of the target's own, and a read again."""
    assert (await it.send("GET", "/v2/users")).ok
    with pytest.raises(TransientFailure):
        await it.send("POST", "/v2/auth/token", json={})
    return await it.send("GET", "/v2/users")


def test_a_server_that_is_started_anew() -> None:
    """Where the target has been there, broken connections of some seconds end no run."""
    with Miniature(in_turn(OK, *[reset] * 9, OK)) as server:
        assert talk(server.url, around).ok


def test_a_server_that_does_not_come_back() -> None:
    """One that stays away is given up, and every later request says so."""

    async def conversation(it: Client) -> None:
        assert (await it.send("GET", "/v2/users")).ok
        for _ in range(2):
            with pytest.raises(Unreachable, match="gives no usable answer"):
                await it.send("POST", "/v2/auth/token", json={})

    with Miniature(in_turn(OK, reset)) as server:
        talk(server.url, conversation)
    assert len(server.received) == 1 + 1 + 5 + 6


@pytest.mark.parametrize("other", [PAGE, NOT_FOUND, ELSEWHERE], ids=["page", "404", "redirect"])
def test_somebody_answers_for_the_target(other: Answer) -> None:
    """A page or a redirect is no answer of the target's where what it answered before, asked for
    again, is answered so as well; it is waited for that this passes.
    """
    with Miniature(in_turn(OK, *[other] * 4, OK)) as server:
        assert talk(server.url, around).ok
    assert len(server.received) == 1 + 4 + 1 + 1


@pytest.mark.parametrize("other", [PAGE, NOT_FOUND, ELSEWHERE], ids=["page", "404", "redirect"])
def test_a_page_of_the_target_is_its_answer(other: Answer) -> None:
    """Where the target answers other requests as before, the page counts; after a few of them it
    is not asked for each whether it does.
    """

    def answer(request: Received, connection: Connection) -> None:
        (OK if request.method == "GET" else other)(request, connection)

    async def conversation(it: Client) -> list[int]:
        assert (await it.send("GET", "/v2/users")).ok
        return [(await it.send("POST", "/v2/users", json={})).status for _ in range(20)]

    with Miniature(answer) as server:
        assert set(talk(server.url, conversation)) <= {200, 302, 404}
    assert len(server.received) == 1 + 20 + 5
