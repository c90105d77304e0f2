"""Credentials that are made to be revoked: how each kind is made, revoked, and cleared away.

All of them are of throw-away users, or API keys, which the highest role that may makes, and deletes
afterwards (`checks.things`); nothing else on the target is touched. No password is guessed, and no
old one is tried: that would lock accounts and addresses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import gevent

from rolecall.loadgen.administrator import PAUSE, TRIES, Administrator, NeverWatchable, Unwatchable
from rolecall.loadgen.checks.denials import Sight
from rolecall.loadgen.checks.races import outcome_of
from rolecall.loadgen.checks.things import Things, document_of, texts
from rolecall.loadgen.checks.token_answer import read_json, token_answer
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.claims import lifetime, numeric_date, role_of_scope
from rolecall.spec.ids import in_path, own_id
from rolecall.spec.model import Operation
from rolecall.spec.templates import fill, fill_path, made_up_password
from rolecall.tokens import TOKEN_PATH, claims_of, key_in

#: Seconds that a token lives which is made to expire.
_LIVES = 2
#: Seconds that a watch takes beside the bound, at the most.
_LONGEST_WATCH = 10.0


@dataclass(frozen=True)
class Credential:
    """A credential that is let in until it is revoked.

    Attributes:
        request: what shows it.
        refused: the statuses that say that it is not good any more.
        revoke: revokes it; the instant at which that was answered. Raises Unwatchable.
        ends: when it ends by itself in place of that, and how far that may be off, in seconds.
        is_shown_before: whether it can be shown before without being used up.
        is_revoked: asked where it is still let in: whether it was revoked at all.
    """

    request: bytes = field(repr=False)
    refused: frozenset[int]
    revoke: Callable[[], float] = lambda: inf
    ends: tuple[float, float] | None = None
    is_shown_before: bool = True
    is_revoked: Callable[[], bool] = lambda: True

    def sight(self, answer: Response | None) -> Sight:
        """What an answer says of it."""
        outcome = outcome_of(answer.status if answer else None)
        if outcome == "granted":
            return "let in"
        return "refused" if answer is not None and answer.status in self.refused else "unknown"


class Revocable:
    """One credential and what belongs to it, from its making until it is cleared away."""

    def __init__(self, admin: Administrator) -> None:
        self._admin = admin
        self._context = context = admin.context
        self._connection = context.connect()
        self._run = f"rolecall-load-{secrets.token_hex(4)}"
        self._password = made_up_password()
        self._keys: list[str] = []  # paths
        self._doubtful: list[str] = []
        self._things = Things(
            context.spec,
            context.dialect,
            self._run,
            self._ask_for_things,
            self._fill,
            lambda: {("user", id) for id in context.invariants.users},
            context.origin.url,
        )
        self._token = self._refresh_token = ""

    def make(self, kind: str) -> Credential:
        """A credential of a kind.

        Raises:
            Unwatchable: there is none; what was made for it is cleared away all the same.
        """
        made: Mapping[str, Callable[[], Credential]] = {
            "user-deleted": lambda: self._of_user(self._delete),
            "user-demoted": self._demoted,
            "password-changed": self._with_other_password,
            "key-deleted": self._key,
            "refreshed": lambda: self._of_user(self._refresh),
            "rotated": self._rotated,
            "expired": self._expired,
        }
        return made[kind]()

    def clear(self) -> list[str]:
        """Delete what was made; returns what could not be."""
        left = self._things.delete(lambda operation: [self._admin.account.role]) + self._doubtful
        left += [f"API key called {self._run}-key" for path in self._keys if not self._gone(path)]
        self._keys, self._doubtful = [], []
        self._connection.close()
        return left

    def _gone(self, path: str) -> bool:
        """Delete a key: whether it is gone."""
        try:
            answer = self._ask("DELETE", path)
        except Unwatchable:
            return False
        good = (*range(200, 300), *self._context.dialect.gone)
        return answer is not None and answer.status in good

    # --- The kinds ------------------------------------------------------------------------------

    def _of_user(self, revoke: Callable[[], float]) -> Credential:
        """The access token of a new user."""
        self._make_user_that_lives()
        return self._shown(self._token, revoke=revoke)

    def _shown(self, token: str, **more: Any) -> Credential:
        shown = self._admin.shown
        try:
            request = self._admin.request(shown.method, shown.path, token)
        except ValueError:
            raise NeverWatchable("it cannot stand in a header field") from None
        return Credential(request, self._context.lost_token, **more)

    def _delete(self) -> float:
        operation = self._context.spec.operations["delete-user"]
        return self._did(operation.method, self._path(operation), None)

    def _demoted(self) -> Credential:
        if self._context.dialect.denied_list == "empty":
            raise NeverWatchable(
                "a list is denied by showing nothing, which a list may have as well"
            )
        lowest = self._context.spec.roles[0]
        self._make_user_that_lives()

        def is_demoted() -> bool:
            operation = self._context.spec.operations["fetch-user"]
            user = document_of(self._ask(operation.method, self._path(operation)))
            return bool(user.get("role") == lowest)

        return self._shown(
            self._token, revoke=lambda: self._update({"role": lowest}), is_revoked=is_demoted
        )

    def _with_other_password(self) -> Credential:
        self._make_user_that_lives()
        other = made_up_password()

        def is_changed() -> bool:
            request = self._admin.log_in_request(self._email, other)
            answer = self._context.ask(self._connection, request)
            return answer is not None and answer.status in self._context.dialect.issued

        return self._shown(
            self._token, revoke=lambda: self._update({"password": other}), is_revoked=is_changed
        )

    def _refresh(self) -> float:
        return self._answered(self._refresh_request(), self._context.dialect.refreshed)

    def _refresh_request(self) -> bytes:
        body = {"refreshToken": self._refresh_token, "clientId": self._email}
        return self._admin.request("POST", TOKEN_PATH, "", body)

    def _rotated(self) -> Credential:
        self._make_user_that_lives()
        return Credential(
            self._refresh_request(),
            self._context.lost_refresh_token,
            revoke=self._refresh,
            is_shown_before=False,
        )

    def _expired(self) -> Credential:
        self._make_user()
        token = self._context.expired.ending(self._token, _LIVES) if self._context.expired else ""
        ends = numeric_date(claims_of(token), "exp") if token else None
        if ends is None:
            raise NeverWatchable(
                "none that ends soon can be made: give signing_key_env under [expiry] in the "
                "target file"
            )
        return self._shown(token, ends=self._admin.clock.here(ends))

    def _key(self) -> Credential:
        path = self._context.keys_path
        if not path:
            raise NeverWatchable("the target file has no create_path under [api_keys]")
        name = f"{self._run}-key"
        answer = self._ask("POST", path, {"name": name, "scopes": [self._admin.role]})
        document = document_of(answer)
        token = key_in(document)
        if own_id(document) and name in texts(document):  # else it may be another one's
            self._keys.append(f"{path}/{in_path(own_id(document))}")
        elif outcome_of(answer.status if answer else None) in ("granted", "unknown"):
            self._doubtful.append(f"API key called {name}, perhaps")
        if not token or not self._keys:
            raise Unwatchable(f"no API key is made, and shown under its name: {_said(answer)}")
        return self._shown(token, revoke=lambda: self._did("DELETE", self._keys[0], None))

    # --- Throw-away users -----------------------------------------------------------------------

    @property
    def _email(self) -> str:
        name = self._things.name("user").replace("-", ".")
        return f"{name}@{self._context.email_domain}"

    def _make_user(self) -> None:
        """Make a user, and log it in."""
        if not self._context.may_make("user"):
            raise NeverWatchable("[fixtures.user] create = false in the target file")
        self._things.make("user", [self._admin.account.role])
        if "user" not in self._things.ids:
            why = self._things.refused.get("user", "its creation is not shown to have made one")
            raise Unwatchable(f"no throw-away user can be made: {why}")
        request = self._admin.log_in_request(self._email, self._password)
        for attempt in range(TRIES):
            gevent.sleep(PAUSE * attempt)
            connection = self._connection
            answer = self._context.ask(connection, request)
            document = read_json(answer.body) if answer is not None else None
            found = token_answer(document)
            if answer is None or answer.status not in self._context.dialect.issued or not found:
                continue
            self._token, self._refresh_token = found.token, found.refresh_token
            issued = numeric_date(claims_of(self._token), "iat")
            self._admin.clock.note(connection.sent, connection.received, issued)
            roles, others = self._context.spec.roles, self._context.dialect.other_scopes
            if role_of_scope(found.scope, roles, others) != self._admin.role:
                raise Unwatchable(f"a user that is made as {self._admin.role} is none")
            return
        raise Unwatchable(f"a throw-away user cannot log in: {_said(answer)}")

    def _fill(self, operation: Operation, role: str, name: str) -> tuple[str, Any] | None:
        """The path and the body of a request about the user."""
        values = {
            "id": self._things.ids.get("user"),
            "name": name or self._things.name("user"),
            "email": self._email,
            "password": self._password,
            "organization": self._admin.organization,
        }
        if "{id}" in operation.path and not values["id"]:
            return None
        body = fill(operation.body, values)
        if operation.effect == "create":
            body = {**body, "role": self._admin.role}
        return fill_path(operation.path, values), body

    def _path(self, operation: Operation) -> str:
        return fill_path(operation.path, {"id": self._things.ids["user"]})

    def _update(self, members: Mapping[str, Any]) -> float:
        operation = self._context.spec.operations["update-user"]
        filled = self._fill(operation, "", "")
        assert filled is not None  # the user was made
        return self._did(operation.method, filled[0], {**filled[1], **members})

    def _make_user_that_lives(self) -> None:
        """Make a user whose tokens do not come to their own end while they are watched."""
        self._make_user()
        lives = lifetime(claims_of(self._token)) or self._context.dialect.lifetime
        if lives < self._context.deny_within + _LONGEST_WATCH:
            raise NeverWatchable(
                f"tokens live for {lives:g} s, and so may come to their own end meanwhile"
            )

    # --- Requests -------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Any = None) -> Response | None:
        return self._admin.ask(self._connection, method, path, body)

    def _ask_for_things(
        self, operation: Operation, role: str, path: str, body: Any
    ) -> Response | None:
        try:
            return self._ask(operation.method, path, body)
        except Unwatchable:
            if operation.effect == "create":  # which was not sent
                raise
            return None

    def _did(self, method: str, path: str, body: Any) -> float:
        """Ask for what revokes a credential, as the administrator: when it was answered."""
        return self._when(self._ask(method, path, body), range(200, 300))

    def _answered(self, request: bytes, good: tuple[int, ...]) -> float:
        return self._when(self._context.ask(self._connection, request), good)

    def _when(self, answer: Response | None, good: range | tuple[int, ...]) -> float:
        if answer is None or answer.status not in good:
            raise Unwatchable(f"what revokes it is {_said(answer)}")
        return self._connection.received


def _said(answer: Response | None) -> str:
    return "not answered" if answer is None else f"answered {answer.status}"
