"""A census of what is on a server: whoever tests it has to leave everything that was there before as it was."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from rolecall.reference.app import Server
from rolecall.reference.jsontext import loads
from rolecall.reference.resources import RESOURCES

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_TOKEN_PATH = "/v2/auth/token"  # noqa: S105  # not a secret
_OVERRIDES = (b"x-http-method-override", b"x-http-method", b"x-method-override")


class Census:
    """What was on a server when the census was taken, and which requests would have harmed it since.

    A request is harmful by what it says, whatever it is answered: one that would change or delete a thing that was there
    before, but for updates of the accounts' users, which may be borrowed; or that would change a whole collection.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._users = {credentials.id for credentials in server.accounts.values()}
        self._before = self._everything()
        self.harm: list[str] = []

    def watched(self, app: ASGIApp) -> ASGIApp:
        """An application whose requests are looked at."""

        async def watching(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self._look(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), scope["headers"])
            await app(scope, receive, send)

        return watching

    def damage(self) -> list[str]:
        """What is not as it was, and the requests that would have done harm."""
        now = self._everything()
        changed = [f"{key}: {was} -> {now.get(key)}" for key, was in self._before.items() if now.get(key) != was]
        return changed + self.harm

    def _everything(self) -> dict[str, Any]:
        store = self._server.store
        things: dict[str, Any] = {"clock": self._server.clock.offset}
        for resource in RESOURCES:
            for text in store.containing(resource):
                document = loads(text.encode())
                document.pop("updatedAt", None)
                things[f"{resource}/{document['id']}"] = document
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
            if key in self._before and not (segments[1] in self._users and method == "PATCH" and not overrides):
                self.harm.append(f"{method} {path}: it was there before")
        elif (method != "POST" or overrides) and len(segments) <= 2:
            self.harm.append(f"{method} {path}: a whole collection")
