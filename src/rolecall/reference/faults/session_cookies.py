"""Faults of sessions that are begun beside tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from secrets import token_hex

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

_OPENED = "rolecall.session"


def _in_sessions(server: Server, counts: Callable[[Call], bool]) -> None:
    """Answer each request with a good token with a session of its caller, by whose cookie the
    caller is known where that ``counts``.
    """
    sessions: dict[str, Principal] = {}
    authenticate, after = server.guard.authenticate, server.wire.after

    @instead_of(server.guard.authenticate)
    def known(call: Call) -> Principal:
        cookie = re.search(r"(?:^|; )JSESSIONID=(\w+)", call.header(b"cookie") or "")
        if cookie and cookie[1] in sessions and counts(call):
            return sessions[cookie[1]]
        principal = authenticate(call)
        call.scope[_OPENED] = id = token_hex(16)
        sessions[id] = principal
        return principal

    @instead_of(server.wire.after)
    async def with_session(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        if _OPENED in call.scope:
            answer.headers["Set-Cookie"] = f"JSESSIONID={call.scope[_OPENED]}; Path=/; HttpOnly"
        return answer


@fault("session-of-a-request", finding="SEC-H05")
def session_of_a_request(server: Server) -> None:
    """A request with a good token begins a session, whose cookie needs no token any more: nobody
    has told the framework to keep none.

    Modelled on github.com/auth0-samples/auth0-spring-security5-api-sample/issues/8.
    """
    _in_sessions(server, lambda call: call.header(b"authorization") is None)


@fault("session-beside-a-token", finding="SEC-H05")
def session_beside_a_token(server: Server) -> None:
    """A token is looked at where nobody is known yet: beside the cookie of a session any other
    token will do, if there is one.
    """
    _in_sessions(server, lambda call: call.header(b"authorization") is not None)
