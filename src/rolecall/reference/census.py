"""A census of what is on a server, which shows whether a test left everything as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolecall.reference.app import Server
from rolecall.reference.resources import RESOURCES
from rolecall.reference.strict_json import loads

#: Log-ins that a tester may try an account with: that succeed, that are refused, and that are
#: refused in a row. More may lock it.
MOST_GRANTED, MOST_REFUSED, MOST_IN_A_ROW = 15, 4, 2
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_TOKEN_PATH = "/v2/auth/token"  # noqa: S105  # not a secret
_OVERRIDES = (b"x-http-method-override", b"x-http-method", b"x-method-override")


@dataclass
class _LogIns:
    """The log-ins that an account was tried with: those that succeeded, those that were refused,
    the longest row of refusals.
    """

    granted: int = 0
    refused: int = 0
    in_a_row: int = 0
    longest: int = 0

    def note(self, status: int) -> None:
        if 200 <= status < 300:
            self.granted += 1
            self.in_a_row = 0
        elif 400 <= status < 500 and status != 429:
            self.refused += 1
            self.in_a_row += 1
            self.longest = max(self.longest, self.in_a_row)

    @property
    def are_too_many(self) -> bool:
        return (
            self.granted > MOST_GRANTED
            or self.refused > MOST_REFUSED
            or self.longest > MOST_IN_A_ROW
        )


class Census:
    """What was on a server when the census was taken, and which requests would have harmed it.

    A request is harmful by what it says, whatever it is answered: one that would change or delete a
    thing that was there before, but for updates of the accounts' users, which may be borrowed; or
    that would change a whole collection.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._users = {credentials.id for credentials in server.accounts.values()}
        self._before = self._everything()
        self.harm: list[str] = []
        self._log_ins = {
            credentials.email.lower(): _LogIns() for credentials in server.accounts.values()
        }

    def watched(self, app: ASGIApp) -> ASGIApp:
        """An application whose requests are looked at."""

        async def watching(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self._look(
                    scope["method"],
                    scope["path"],
                    scope["query_string"].decode("latin-1"),
                    scope["headers"],
                )
                if scope["method"] == "POST" and scope["path"].endswith(_TOKEN_PATH):
                    receive, send = self._counting(receive, send)
            await app(scope, receive, send)

        return watching

    def damage(self) -> list[str]:
        """What is not as it was, and the requests that would have done harm."""
        now = self._everything()
        changed = [
            f"{key}: {was} -> {now.get(key)}"
            for key, was in self._before.items()
            if now.get(key) != was
        ]
        return changed + self.harm

    def left(self) -> list[str]:
        """What was added and is still there."""
        return [key for key in self._everything() if key not in self._before]

    def log_ins_beyond_budget(self) -> list[str]:
        """The accounts that were logged in, or refused, more often than a run may."""
        return [
            f"log-ins of {email}: {used}"
            for email, used in self._log_ins.items()
            if used.are_too_many
        ]

    def _counting(self, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """The same, and who is tried with a password is counted with what is answered."""
        body = bytearray()

        async def receiving() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and (used := self._tried(bytes(body))):
                used.note(message["status"])
            await send(message)

        return receiving, sending

    def _tried(self, body: bytes) -> _LogIns | None:
        """The log-ins of the account that a body names beside a password, or None."""
        try:
            document = loads(body)
        except (ValueError, RecursionError):
            return None
        email = (
            document.get("email") if isinstance(document, dict) and "password" in document else None
        )
        return self._log_ins.get(email.strip().lower()) if isinstance(email, str) else None

    def _everything(self) -> dict[str, Any]:
        store = self._server.store
        things: dict[str, Any] = {"clock": self._server.clock.offset}
        for resource in RESOURCES:
            for text in store.containing(resource):
                document = loads(text.encode())
                document.pop("updatedAt", None)
                things[f"{resource}/{document['id']}"] = document
        for text in store.api_keys():
            key = loads(text.encode())
            things[f"api-keys/{key['id']}"] = key
        for user in self._users:
            account = store.account(user)
            things[f"account {user}"] = (account.email, account.password) if account else None
        return things

    def _look(self, method: str, path: str, query: str, headers: list[tuple[bytes, bytes]]) -> None:
        overrides = any(name.lower() in _OVERRIDES for name, _ in headers) or any(
            name == "_method" for name, _ in parse_qsl(query)
        )
        path = urlsplit(path).path.removeprefix(self._server.prefix)
        if (method in _SAFE and not overrides) or path in (_TOKEN_PATH, "/__clock"):
            return
        segments = [unquote(segment) for segment in path.split("/")][2:]
        if len(segments) == 2 and segments[1]:
            key = f"{segments[0]}/{segments[1]}"
            if key in self._before and not (
                segments[1] in self._users and method == "PATCH" and not overrides
            ):
                self.harm.append(f"{method} {path}: it was there before")
        elif (method != "POST" or overrides) and len(segments) <= 2:
            self.harm.append(f"{method} {path}: a whole collection")
