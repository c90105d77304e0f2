"""Makes users for a load run through the API, on a throw-away server of our own."""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from itertools import cycle, islice, takewhile
from typing import Any

import gevent

from rolecall.errors import ExitCode, RolecallError, Unreachable
from rolecall.foreign_answers import before_the_api, not_of_the_api
from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.token_answer import read_json
from rolecall.loadgen.generator_limits import out_of
from rolecall.loadgen.lag import pauses
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.transport.outgoing import Origin, request
from rolecall.loadgen.transport.wire import Response
from rolecall.redaction import Secrets
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Dialect, Specification
from rolecall.spec.templates import fill, fill_path, made_up_password
from rolecall.target import USUAL_CHECK, Target
from rolecall.tokens import TOKEN_PATH

#: How often it is asked whether sessions coexist, and seconds between two times unless a
#: Retry-After says so, and at most.
_TRIES, _PAUSE, _LONGEST_PAUSE = 3, 1.0, 10.0
#: Statuses of a server that is not up to it just now, beside 5xx: no verdict about the request.
_PASSING = frozenset({408, 425, 429})
#: Statuses of a log-in whose e-mail or password is not that of a user.
_WRONG = frozenset({400, 401, 403, 422})
_UNREACHABLE = frozenset({"refused", "dns", "tls", "timeout"})


class NoUsers(RolecallError):
    """The target makes no users that can log in; the text says what it answered."""

    exit_code = ExitCode.INCONCLUSIVE


class _NotNow(NoUsers):
    """An answer, or none, that says nothing: another time it may be another one."""


class ProvisionedServer:
    """The target before the load: no proxy, no redirect, every request bounded."""

    def __init__(self, target: Target) -> None:
        tables = load_specification()
        self.dialect: Dialect = tables.dialect(target.dialect, target.source)
        self.spec: Specification = tables.for_target(target.operations, self.dialect, target.source)
        self.target = target
        self.bearer = ""
        #: Seconds to wait before the same is asked again.
        self.pause = _PAUSE
        self._origin = Origin.of(target.base_url)
        self._connection = WireConnection(
            self._origin, timeout=target.timeout, verify=target.transit
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def ask(self, method: str, path: str, body: Any) -> Response:
        """Send a request, with a JSON body if there is one.

        Raises:
            Unreachable: there is no server, or none that answers.
            NoUsers: there is no whole answer.
        """
        headers = {"authorization": f"Bearer {self.bearer}"} if self.bearer else {}
        headers |= {} if body is None else {"content-type": "application/json"}
        try:
            message = request(
                self._origin,
                method,
                path,
                headers,
                None if body is None else json.dumps(body).encode(),
            )
        except ValueError as error:
            raise NoUsers(
                f"{self.target.base_url}: {method} {path.partition('?')[0]} cannot be asked: "
                f"{error}"
            ) from None
        try:
            self._connection.close()  # a server may close it unsaid, and the next request be lost
            response = self._connection.exchange(message)
        except Failure as failure:
            if lacking := out_of(failure.kind):
                raise NoUsers(lacking) from None
            if failure.kind in _UNREACHABLE:
                raise Unreachable(self.target.base_url, f"cannot be reached: {failure}") from None
            raise _NotNow(
                f"{self.target.base_url}: {method} {path} was not answered: {failure}"
            ) from None
        self.pause = min(response.seconds_to_wait, _LONGEST_PAUSE)
        return response

    def document(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """The object that a request is answered with.

        Raises:
            NoUsers: it is answered with anything else, or not to the end.
            Unreachable: there is no server, or none that answers.
        """
        return self._object_in(self.ask(method, path, body), f"{method} {path}")

    def _object_in(self, response: Response, request: str) -> dict[str, Any]:
        document = read_json(response.body) if 200 <= response.status < 300 else None
        if not isinstance(document, dict):
            kind = _NotNow if _is_passing(response.status) else NoUsers
            body = " with a body that is no JSON object" if response.status < 300 else ""
            raise kind(f"{self.target.base_url}: {request} was answered {response.status}{body}")
        return document

    def made(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """As `document`, on a server of our own: sent again as long as it answers 401, since the
        bearer is new and may not be known everywhere yet (AMB-17).
        """
        waits = takewhile(lambda pause: pause < self.dialect.consistency, pauses())
        while (response := self.ask(method, path, body)).status == 401 and (wait := next(waits, 0)):
            gevent.sleep(wait)
        return self._object_in(response, f"{method} {path}")

    def issue(self, email: str, password: str) -> Response:
        """The answer to a log-in.

        Raises:
            Unreachable, NoUsers: as for `ask`.
        """
        return self.ask("POST", TOKEN_PATH, {"email": email, "password": password})

    def log_in(self, name: str) -> dict[str, Any]:
        """The answer with tokens to an account's log-in.

        Raises:
            UsageError: e-mail or password are refused.
            NoUsers: it is not such an answer.
            Unreachable: there is no server, or none that answers.
        """
        account = self.target.accounts[name]
        response = self.issue(account.email, account.password)
        if what := not_of_the_api(response.status, response.text, response.body):
            raise Unreachable(f"{self.target.base_url}{TOKEN_PATH}", self._redacted(what))
        if response.status in _WRONG:
            before = self._redacted(before_the_api(response.text, response.body))
            raise self.target.refused_log_in(name, response.status, USUAL_CHECK + before)
        answer = self._object_in(response, f"POST {TOKEN_PATH} for {account.email}")
        if not isinstance(answer.get("token"), str) or not isinstance(
            answer.get("refreshToken"), str
        ):
            raise NoUsers(f"{self.target.base_url} gives {account.email} no tokens")
        return answer

    def _redacted(self, words: str) -> str:
        """The server's words without the target file's secrets: it may repeat what it was sent."""
        secrets = Secrets()
        for value, kind in self.target.secrets:
            secrets.add(value, kind)
        return secrets.redact(words)


def make_users(target: Target, count: int) -> list[LoadAccount]:
    """Make users with random passwords, as the highest role, of all roles in turn; 200 take about
    a second.

    Raises:
        NoUsers: a user cannot be made.
        Unreachable: there is no server, or none that answers.
    """
    run = secrets.token_hex(4)
    with closing(ProvisionedServer(target)) as server:
        spec = server.spec
        operation = spec.operations["create-user"]
        admin = server.log_in(spec.roles[-1])
        server.bearer = admin["token"]
        accounts = []
        for number, role in enumerate(islice(cycle(spec.roles), count), 1):
            email, password = (
                f"rolecall.load.{run}.{number}@{target.email_domain}",
                made_up_password(),
            )
            values = {
                "name": f"rolecall-load-{run}-{number}",
                "email": email,
                "password": password,
                "organization": admin.get("organization"),
            }
            body = {**fill(operation.body, values), "role": role}
            answer = server.made(operation.method, fill_path(operation.path, values), body)
            if answer.get("role", role) != role:
                raise NoUsers(f"{target.base_url} made a user of role {role} one of another role")
            accounts.append(LoadAccount(email, password, role, str(answer.get("id", ""))))
    return accounts


def sessions_coexist(target: Target) -> bool | None:
    """Whether a log-in leaves the user's other sessions alone (SEC-I18-first).

    Returns:
        None where that cannot be known: the refresh that would tell is neither granted nor refused,
            however often it is asked for.

    Raises:
        NoUsers: the first account cannot log in.
        Unreachable: there is no server, or none that answers.
    """
    name = next(iter(target.accounts))
    with closing(ProvisionedServer(target)) as server:
        for attempt in range(_TRIES):
            if attempt:
                # a refresh without an answer may have been carried out: all is begun anew
                gevent.sleep(server.pause)
            try:
                first = server.log_in(name)
                server.log_in(name)
            except _NotNow:
                if attempt == _TRIES - 1:
                    raise
                continue
            goes_on = _goes_on(server, first["refreshToken"], target.accounts[name].email)
            if goes_on is not None:
                return goes_on
    return None


def _goes_on(server: ProvisionedServer, refresh_token: str, email: str) -> bool | None:
    """Whether a session can be refreshed; None where the answer does not tell."""
    try:
        status = server.ask(
            "POST", TOKEN_PATH, {"refreshToken": refresh_token, "clientId": email}
        ).status
    except (NoUsers, Unreachable):
        return None
    if status in server.dialect.refreshed or 200 <= status < 300:
        return True
    return False if status in server.dialect.refused and not _is_passing(status) else None


def _is_passing(status: int) -> bool:
    return status >= 500 or status in _PASSING
