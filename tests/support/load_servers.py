"""Servers for load runs: as they should be, until some request comes, or but for one in so many."""

from __future__ import annotations

import itertools
import json
import time
from base64 import urlsafe_b64decode
from typing import Any

from tests.support.miniatures import Answer, Connection, Received, json_response, response
from tests.support.token_answers import DAY, claims, document


def sound(request: Received, connection: Connection) -> None:
    """A server that is as it should be: tokens for everybody, one's own profile, and nothing in any
    list; writes are refused.
    """
    path, _, query = request.path.partition("?")
    if path == "/v2/auth/token" and (request.method == "POST" or query):
        connection.send(json_response(_tokens(_role(request))))
    elif request.method == "GET" and path.startswith("/v2/users/"):
        connection.send(json_response({"id": path.rpartition("/")[2]}))
    else:
        connection.send(json_response([]) if request.method == "GET" else response(403))


def _role(request: Received) -> str:
    """The role of the user who asks for tokens: which e-mail address it has, or what its token
    says.
    """
    if request.method == "GET":
        part = request.headers["authorization"].split(".")[1]
        return str(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))["scope"])
    body = json.loads(request.body)
    return str(body.get("email", body.get("clientId", ""))).partition("@")[0]


def _tokens(role: str) -> Any:
    user, now = role.encode().hex().ljust(24, "0"), int(time.time())
    return document(user, claims(user, scope=role, iat=now, exp=now + DAY), scope=role)


def strange_to(role: str) -> Answer:
    """A server that is as it should be, to which this role's user has another password."""

    def answer(request: Received, connection: Connection) -> None:
        if request.method == "POST" and _role(request) == role:
            connection.send(response(401))
        else:
            sound(request, connection)

    return answer


def from_the(number: int, then: Answer) -> Answer:
    """A server that is as it should be until so many requests have come."""
    counter = itertools.count(1)

    def answer(request: Received, connection: Connection) -> None:
        (sound if next(counter) < number else then)(request, connection)

    return answer


def one_in(number: int, then: Answer) -> Answer:
    """A server that is right, but for one answer in so many; the first ones are good."""
    counter = itertools.count(1)

    def answer(request: Received, connection: Connection) -> None:
        count = next(counter)
        (then if count > 20 and count % number == 0 else sound)(request, connection)

    return answer


def trickling(request: Received, connection: Connection) -> None:
    """A byte in a while, and never an end."""
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n" + 600 * b" ":
        if not connection.wait(0.2):
            return
        connection.send(bytes([byte]))
