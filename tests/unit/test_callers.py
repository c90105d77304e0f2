"""Who sends requests: a token that ends while its request waits is not held against the target."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.evidence import Exchange
from rolecall.outcomes import TransientFailure
from rolecall.spec.loading import load_specification
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.callers import Callers
from rolecall.toolkit.new_keys import NewKeys
from rolecall.toolkit.preconditions import Preconditions
from tests.support.exchanges import exchange
from tests.support.token_answers import claims, jwt

MINUTES = 300


def caller(age: float, **of: Any) -> Caller:
    """A caller whose log-in is so many seconds old, with a token for five minutes."""
    token = jwt(claims(exp=1_700_000_000 + MINUTES) | of)
    login = time.monotonic() - age
    body = json.dumps({"token": token}).encode()
    return Caller(
        "guest",
        "token",
        token,
        "u1",
        "",
        Grant.of(exchange("POST", body=body, started=login - 0.1, finished=login)),
    )


def send(of: Caller | None, *, status: int, waits: float) -> Exchange:
    """A request that is answered after a while, as the clock says."""
    spec = load_specification()

    async def answer(method: str, path: str, **options: Any) -> Exchange:
        return exchange(method, status=status, finished=time.monotonic() + waits)

    callers: Any = object.__new__(Callers)
    callers.dialect, callers.client = spec.dialect({}, "tests"), SimpleNamespace(send=answer)
    callers._new_keys = NewKeys(callers.dialect)
    callers._preconditions = Preconditions()
    sent: Exchange = asyncio.run(callers.send("GET", "/v2/users", of))
    return sent


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_ended_while_its_request_waited(status: int) -> None:
    """A refusal of a request that was asked for in time, and answered after its token's end, is
    trouble, and no finding.
    """
    with pytest.raises(TransientFailure, match="an answer before the token's end"):
        send(caller(MINUTES - 30), status=status, waits=60)


@pytest.mark.parametrize(
    ("age", "status", "waits"),
    [(10, 403, 60), (MINUTES - 30, 200, 60), (MINUTES - 30, 404, 60), (MINUTES + 5, 403, 60)],
    ids=["answered-in-time", "let-in", "another-answer", "asked-when-it-had-ended"],
)
def test_what_is_an_answer_all_the_same(age: float, status: int, waits: float) -> None:
    """An answer in time, one that the end did not decide, and one to a token that is presented
    because it ended, all count.
    """
    assert send(caller(age), status=status, waits=waits).status == status


@pytest.mark.parametrize(
    "of", [None, Caller("guest", "API key", "k", "u1"), caller(MINUTES - 30, exp=10**400)]
)
def test_who_has_no_end(of: Caller | None) -> None:
    """Anonymous requests, API keys and tokens without an end are answered at any time."""
    assert send(of, status=403, waits=60).status == 403
