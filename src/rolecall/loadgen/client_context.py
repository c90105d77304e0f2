"""What the clients of one process share: the target, the accounts, and the checks of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import quote
from weakref import WeakSet

from gevent.lock import RLock

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.denials import Denials
from rolecall.loadgen.checks.expired import ExpiredTokens
from rolecall.loadgen.checks.invariants import Invariants
from rolecall.loadgen.checks.races import Races
from rolecall.loadgen.checks.sampling import Sampling
from rolecall.loadgen.checks.sessions import SessionGrant
from rolecall.loadgen.checks.token_answer import read_json, what_is_wrong_with_the_body
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.lag import Lag
from rolecall.loadgen.measure.recorder import Entry, Recorder
from rolecall.loadgen.roster import Roster
from rolecall.loadgen.transport import outgoing
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.ids import in_path
from rolecall.spec.model import Dialect, Specification
from rolecall.spec.templates import fill_path
from rolecall.tokens import TOKEN_PATH
from rolecall.transit import Transit

if TYPE_CHECKING:
    from rolecall.loadgen.deny_scenario import Revocations

#: Seconds for a connection that is opened beside what is measured.
_SOON = 1.0
#: What is told in the end of the cells: those sampled, those with expired tokens, those not sampled
#: and what is not tested with the reason; and what is left behind.
SAMPLED = ("cells", "expired", "others", "not_tested", "left")


class LoadConnection(WireConnection):
    """A connection on which what is sent is measured.

    Attributes:
        entry: the row in which the exchange counts that has no end yet; None without one, and once
            the end of the run has counted it.
        due: when that exchange was due.
        failed: whether one had no answer since this was last looked at.
    """

    def __init__(
        self, origin: Origin, *, timeout: float, verify: bool | str | Transit = True
    ) -> None:
        super().__init__(origin, timeout=timeout, verify=verify)
        self.entry: Entry | None = None
        self.due = 0.0
        self.failed = False

    def open(self) -> None:
        """Open it beside what is measured; where that does not succeed at once, the next exchange
        tries it again, and is measured.
        """
        self.deadline = perf_counter() + min(self._timeout, _SOON)
        with suppress(Failure):
            self._connect()


class ClientContext:
    """A target, some of its users, and the judges of its answers.

    Args:
        spec: the target's own tables (`Specification.for_target`).
        timeout: seconds for one exchange.
        sessions_coexist: False where a log-in is known to end the user's other sessions.
        shared_accounts: whether other processes log in as the same accounts.
        looks: whether answers are looked at; without, only their status is (``--no-invariants``).
        expired: where expired tokens come from.
        keys_path: where API keys are made; empty where that is not known.
        idle_accounts: accounts that are no part of the load.
        deny_within: seconds after which a revoked credential that is let in is late.
    """

    def __init__(
        self,
        origin: Origin,
        spec: Specification,
        dialect: Dialect,
        accounts: Sequence[LoadAccount],
        *,
        timeout: float,
        verify: bool | str | Transit = True,
        sessions_coexist: bool = True,
        shared_accounts: bool = False,
        tells: bool = False,
        looks: bool = True,
        racers: int = 5,
        email_domain: str = "example.org",
        expired: ExpiredTokens | None = None,
        may_make: Callable[[str], bool] = lambda resource: True,
        keys_path: str = "",
        idle_accounts: Sequence[LoadAccount] = (),
        deny_within: float = 5.0,
    ) -> None:
        # Longer than 40 lines because it lists all that clients share, with what each thing is for.
        self.origin = origin
        self.spec = spec
        self.dialect = dialect
        self.looks = looks
        self.violations = Violations(
            [(account.password, "password") for account in (*accounts, *idle_accounts)]
        )
        self.invariants = Invariants(
            spec,
            dialect,
            self.violations,
            tells=tells,
            sessions_coexist=sessions_coexist,
            shared_accounts=shared_accounts,
        )
        self.races = Races(self.violations)
        self.denials = Denials()
        #: The credentials that are revoked beside the load, if they are.
        self.revocations: Revocations | None = None
        self.racers = racers
        self.alone = not tells
        self.recorder = Recorder(0.0)
        self.email_domain = email_domain
        self.expired = expired
        self.may_make = may_make
        self.keys_path = keys_path
        self.idle_accounts = idle_accounts
        self.deny_within = deny_within
        self._sampling: Sampling | None = None
        self._sampling_begins = RLock()
        self._timeout = timeout
        self._verify = verify
        #: Every account in turn, each with the request that logs it in; or held by a client.
        self.logins = Roster([(account, self._issue(account)) for account in accounts])
        #: Statuses with which a server refuses a token that is not good, or no longer; and a
        #: refresh token.
        self.lost_token = frozenset(
            (*dialect.anonymous, *dialect.expired, *dialect.malformed, *dialect.denied)
        )
        self.lost_refresh_token = self.lost_token | frozenset(dialect.refused)
        #: By name; asked for by `entry`, unless they are there.
        self.entries: dict[str, Entry] = {}
        self._connections: WeakSet[LoadConnection] = WeakSet()
        #: Whether what is measured is over: nothing is sent any more, by those who are in the
        #: middle of a step, either.
        self.is_over = False
        #: Requests beside the load, which are in no figure: of set-up and of tidying up.
        self.beside = 0
        #: How many tokens were given out that may be tried at once.
        self.tokens = 0
        #: How long what was given on one connection may be unknown on another one.
        self.lag = Lag(dialect.consistency)
        #: When one of the clients is to come over a new connection next (`time.perf_counter`).
        self.anew_at = 0.0
        #: Numbers for clients that are not to do all the same at the same time.
        self.numbers = count()
        #: The e-mails of the accounts that took part in what is measured.
        self.used: set[str] = set()
        self._refresh_get = self._template("GET", f"{TOKEN_PATH}?refreshToken=~1", bearer="~2")
        self._reads: dict[str, tuple[bytes, ...]] = {}
        self._lists: dict[str, tuple[str, ...]] = {}
        self._done: set[tuple[str, str]] = set()

    def begin(self, recorder: Recorder) -> None:
        """Measure with this recorder from now on."""
        self.recorder = recorder
        self.violations.started = recorder.start
        self.entries = {}
        self.is_over = False
        self.used.clear()
        for connection in self._connections:
            connection.entry = None

    def give_up(self) -> None:
        """Fail what is under way as `unanswered`, with the time that it was waited for."""
        now, self.is_over = perf_counter(), True
        for connection in list(self._connections):
            entry, connection.entry = connection.entry, None  # its greenlet sees that it is counted
            if entry is not None:
                entry.failure("unanswered", connection.due, connection.sent, now)
                connection.close()

    @property
    def is_under_way(self) -> bool:
        """Whether there are exchanges that have no end yet."""
        return any(connection.entry is not None for connection in self._connections)

    def entry(self, method: str, name: str) -> Entry:
        """The row that a request counts in; ``name`` says what for, and repeats nothing sent."""
        found = self.entries[name] = self.recorder.entry(method, name)
        return found

    def connect(self) -> LoadConnection:
        """A new connection to the target."""
        connection = LoadConnection(self.origin, timeout=self._timeout, verify=self._verify)
        self._connections.add(connection)
        return connection

    def ask(self, connection: WireConnection, request: bytes) -> Response | None:
        """Send a request beside the load; None where there is no answer."""
        self.beside += 1
        try:
            return connection.exchange(request)
        except Failure:
            return None

    @property
    def sampling(self) -> Sampling:
        """The cells that are tried under load; the first access finds out which."""
        with self._sampling_begins:
            if self._sampling is None:
                connection = self.connect()
                self._sampling = Sampling(
                    self.origin,
                    self.spec,
                    self.dialect,
                    self.invariants,
                    self.logins.reserve(),
                    partial(self.ask, connection),
                    email_domain=self.email_domain,
                    expired=self.expired,
                    may_make=self.may_make,
                    alone=self.alone,
                )
                self._sampling.prepare()
        return self._sampling

    def tidy(self) -> dict[str, list[str]]:
        """Delete what was made; tell what was sampled, what not, and what is left."""
        left = self.revocations.close() if self.revocations else []
        with self._sampling_begins:  # a run may be over before they are prepared
            sampling = self._sampling
            if sampling is None:
                return {name: [] for name in SAMPLED} | {"left": left}
            cells = [*sampling.cells, *sampling.shaped, *sampling.strange]
            found = (
                list(map(str, cells)),
                list(map(str, sampling.expired)),
                sampling.others,
                sampling.not_tested,
                sampling.close(),
            )
            return dict(zip(SAMPLED, found, strict=True))

    # --- Requests -------------------------------------------------------------------------------

    def _issue(self, account: LoadAccount) -> bytes:
        """A log-in with e-mail and password."""
        body = {"email": account.email, "password": account.password}
        return outgoing.json_request(self.origin, "POST", TOKEN_PATH, body)

    def refresh_get(self, grant: SessionGrant) -> bytes:
        """A refresh before expiry: the refresh token in the query, the access token as bearer."""
        return self._fill(self._refresh_get, quote(grant.refresh_token, safe=""), grant.token)

    def refresh_post(self, grant: SessionGrant) -> bytes:
        """A refresh after expiry: refresh token and e-mail in the body, no Authorization."""
        body = {"refreshToken": grant.refresh_token, "clientId": grant.account.email}
        return outgoing.json_request(self.origin, "POST", TOKEN_PATH, body)

    def read(self, operation: str, grant: SessionGrant) -> bytes:
        """An operation without a body, on the caller's own user where it is about one."""
        template = self._reads.get(operation)
        if template is None:
            it = self.spec.operations[operation]
            template = self._reads[operation] = self._template(
                it.method, fill_path(it.path, {"self": "~1"}), bearer="~2"
            )
        return self._fill(template, in_path(grant.user), grant.token)

    # --- What a role may read -------------------------------------------------------------------

    def lists(self, role: str) -> tuple[str, ...]:
        """The lists that a role may read with nothing but a token."""
        found = self._lists.get(role)
        if found is None:
            found = self._lists[role] = tuple(
                name
                for name, operation in self.spec.operations.items()
                if operation.is_whole_list and self.spec.allows(name, role)
            )
        return found

    def allowed(
        self, operation: str, grant: SessionGrant, response: Response, request: bytes
    ) -> None:
        """Check the answer to an allowed read: it is JSON, and what was allowed once is not denied
        later.

        The end of the token, which is answered 403 as well, would explain it.
        """
        cell = operation, grant.account.role
        if response.status in self.spec.operations[operation].success:
            grant.session.let_in(refreshed=False, read=True)
            self._done.add(cell)
            document = read_json(response.body)
            if message := what_is_wrong_with_the_body(operation, response, document):
                self.violations.report("body", message, request, response)
        elif (
            response.status in self.dialect.denied
            and cell in self._done
            and not grant.may_be_refused
            and not response.is_foreign
        ):
            message = f"{operation} as {cell[1]} was allowed, and is now answered {response.status}"
            self.violations.report("allowed-denied", message, request, response)

    def _template(self, method: str, path: str, bearer: str) -> tuple[bytes, ...]:
        """A request in pieces; two texts go between them, the second is the bearer token."""
        text = outgoing.request(self.origin, method, path, {"authorization": f"Bearer {bearer}"})
        before, _, rest = text.partition(b"~1") if b"~1" in text else (b"", b"", text)
        return (before, *rest.split(b"~2"))

    @staticmethod
    def _fill(template: tuple[bytes, ...], first: str, token: str) -> bytes:
        before, between, after = template
        text = token.encode()  # a JWT, which can stand in a header
        return b"".join((before, first.encode() if before else b"", between, text, after))
