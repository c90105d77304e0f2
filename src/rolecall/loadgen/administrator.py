"""Who makes throw-away users and keys beside the load, and deletes them again."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

import gevent
from gevent.lock import RLock

from rolecall.http.conditional import WantedFields
from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.sessions import SessionGrant
from rolecall.loadgen.checks.things import document_of, told
from rolecall.loadgen.client_context import ClientContext
from rolecall.loadgen.transport import outgoing
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.ids import id_text
from rolecall.spec.model import Operation
from rolecall.spec.templates import fill_path
from rolecall.tokens import TOKEN_PATH

#: How often a request is sent again, and seconds before that: at the least, and at the most.
TRIES, PAUSE, _LONGEST_PAUSE = 3, 0.3, 5.0
_REPEATED = frozenset({"GET", "DELETE"})


class Unwatchable(Exception):
    """A credential cannot be made, or not be revoked; the text says why."""


class NeverWatchable(Unwatchable):
    """The same, and it would be of no use to try again."""


class ServerClock:
    """The target's clock beside ours, as narrow as the whole seconds of some ``iat`` tell it."""

    def __init__(self) -> None:
        self._ahead = -inf, inf

    def note(self, sent: float, received: float, issued: float | None) -> None:
        """Take when a token was asked for, and what it says of its own issue."""
        if issued is None:
            return
        low, high = self._ahead
        least, most = issued - received, issued + 1 - sent
        both = max(low, least), min(high, most)
        # else it was set meanwhile, or there are several
        self._ahead = both if both[0] <= both[1] else (least, most)

    def here(self, instant: float) -> tuple[float, float]:
        """An instant of that clock by ours, and by how much it may be off."""
        low, high = self._ahead
        return instant - (low + high) / 2, (high - low) / 2


class Administrator:
    """The account that makes what is revoked, and revokes it; several greenlets may ask.

    Args:
        account: of the highest role that may make users.
        role: what throw-away users are; it may read ``shown``, which the lowest role may not.
    """

    def __init__(
        self, context: ClientContext, account: LoadAccount, role: str, shown: Operation
    ) -> None:
        self.context = context
        self.account = account
        self.role = role
        self.shown = shown
        self.clock = ServerClock()
        self.organization: Any = None  # its id as the target writes it
        self._grant: SessionGrant | None = None
        self._logging_in = RLock()
        self._wanted = WantedFields()

    def look_up_organization(self, connection: WireConnection) -> None:
        """Take the organization that users are made in from the own profile."""
        operation = self.context.spec.operations["fetch-user-self"]
        path = fill_path(operation.path, {"self": self._logged_in(connection).user})
        found = document_of(self.ask(connection, operation.method, path)).get("organization")
        self.organization = found if id_text(found) else None

    def ask(
        self, connection: WireConnection, method: str, path: str, body: Any = None
    ) -> Response | None:
        """Send a request, and again where the token was refused, or it came too soon (429); what
        reads or deletes, also where there is no answer.

        Raises:
            Unwatchable: the account cannot log in; nothing was sent.
        """
        dialect, answer = self.context.dialect, None
        for _ in range(TRIES):
            grant, sent = self._logged_in(connection), self._wanted.fields(method)
            answer = self.context.ask(connection, self.request(method, path, grant.token, body))
            if answer is None:
                if method not in _REPEATED:
                    break
            elif answer.status == 429:
                gevent.sleep(min(max(answer.seconds_to_wait, PAUSE), _LONGEST_PAUSE))
            elif self._wanted.lacks(method, answer.status, sent, told(answer)):
                continue
            elif answer.status in (*dialect.anonymous, *dialect.expired):
                self._grant = None if self._grant is grant else self._grant
            else:
                break
        return answer

    def _logged_in(self, connection: WireConnection) -> SessionGrant:
        """A grant that is fresh."""
        with self._logging_in:
            for _ in range(TRIES):
                if self._grant is not None and self._grant.is_fresh:
                    return self._grant
                self._grant = self._log_in(connection)
        raise Unwatchable("the account that makes users cannot log in")

    def _log_in(self, connection: WireConnection) -> SessionGrant | None:
        """Log in; the invariants are told, since that may end other sessions of the account."""
        context, account = self.context, self.account
        request = self.log_in_request(account.email, account.password)
        session = context.invariants.log_in(account)
        answer = context.ask(connection, request)
        if answer is None:
            session.unanswered(left=True)
            return None
        return context.invariants.logged_in(session, answer, request)

    def log_in_request(self, email: str, password: str) -> bytes:
        """A log-in."""
        return self.request("POST", TOKEN_PATH, "", {"email": email, "password": password})

    def request(self, method: str, path: str, token: str = "", body: Any = None) -> bytes:
        """A request as it is sent."""
        more = self._wanted.fields(method)
        return outgoing.json_request(self.context.origin, method, path, body, token, more)


def administrator(context: ClientContext) -> Administrator:
    """The highest of the accounts that may make users, one that the load leaves alone if there is
    one, and what the users that it makes read.

    Raises:
        Unwatchable: there is none, or no role reads what the lowest does not.
    """
    spec = context.spec
    may = spec.allowed_roles("create-user")
    accounts = {account.role: account for account in context.idle_accounts}
    if accounts.keys().isdisjoint(may):
        accounts = {account.role: account for account in context.logins.reserve()}
    makers = [role for role in may if role in accounts]
    if not makers:
        raise Unwatchable("no account here is of a role that may make users")
    for role, name in _shown(context):
        return Administrator(context, accounts[makers[0]], role, spec.operations[name])
    raise Unwatchable("no role but the highest may read a list that the lowest may not")


def _shown(context: ClientContext) -> Iterator[tuple[str, str]]:
    """Lists that a role may read and the lowest may not, the lower roles first."""
    lowest, *higher = context.spec.roles
    for role in higher:
        yield from (
            (role, name) for name in context.lists(role) if not context.spec.allows(name, lowest)
        )
