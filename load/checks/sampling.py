"""Cells of the permission table that are tried again and again while a server is under load: a denial must stay one.

What is tried does no harm if it is let through: reads, and updates and deletes of things that were made for the purpose. Creates are
left to the suite, which finds and deletes what a wrong one has made.

Before the load every cell is tried once. Only those that are answered as the table says are sampled; of the others it is said that
they are not, for the suite to judge. From then on a denial that turns into permission is a violation at once (`denied-allowed`). A
permission that turns into a denial might be that of a token that is no longer good, so it is asked again: where the same token is
let in now, or a new one is denied as well, it is a violation (`allowed-denied`); where only a new token is let in, it is none.
Answers that are neither, such as 401, 404, 429 and 5xx, say nothing about permissions.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, cycle
from random import Random
from time import perf_counter
from typing import Any, Literal

from rolecall.conformance.fixtures import fill, fill_path
from rolecall.conformance.tables import Dialect, Operation, Specification
from rolecall.conformance.token_endpoint import PATH
from rolecall.load.accounts import Account
from rolecall.load.checks.invariants import Grant, Invariants, read_json
from rolecall.load.transport import wire
from rolecall.load.transport.wire import Origin, Response

#: What may be tried, in this order: what is let through wrongly spoils nothing that comes after it.
_READS, _WRITES = ("list", "fetch"), ("update", "delete")
#: The part of a token's lifetime after which a new one is fetched, and the seconds until that is tried again.
_FRESH, _PATIENCE = 0.7, 5.0

Exchange = Callable[[bytes], Response | None]


@dataclass(frozen=True)
class Cell:
    """An operation that a role tries, and whether the table allows it."""

    operation: Operation
    role: str
    allowed: bool
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.operation.name} as {self.role}"


@dataclass(frozen=True)
class Probe:
    """A request to send, and what it is about.

    Attributes:
        name: for statistics: it holds nothing that is sent.
        expected: the statuses with which the server does its work.
        suspect: the exchange that gave cause for this one.
    """

    cell: Cell
    method: str
    name: str
    request: bytes = field(repr=False)
    expected: tuple[int, ...]
    stage: Literal["first", "again", "log-in", "anew"] = "first"
    suspect: tuple[bytes, Response] | None = field(default=None, repr=False)


class _Caller:
    """Who tries the cells of a role: with what, and until when (seconds of `time.perf_counter`)."""

    def __init__(self, account: Account, grant: Grant) -> None:
        now = perf_counter()
        self.account = account
        self.grant = grant
        self.until = now + _FRESH * (grant.expires - now)


class Sampling:
    """The cells that are sampled.

    Args:
        accounts: the first of each role tries its cells; that of the highest makes the things.
        exchange: sends a request and waits for its answer, None if there is none; for `prepare` and `close` alone.

    Attributes:
        cells: what is sampled.
        others: what is not, each with the reason.
    """

    def __init__(
        self,
        origin: Origin,
        spec: Specification,
        dialect: Dialect,
        invariants: Invariants,
        accounts: Sequence[Account],
        exchange: Exchange,
        *,
        email_domain: str = "example.org",
    ) -> None:
        self.cells: list[Cell] = []
        self.others: list[str] = []
        self._origin = origin
        self._spec = spec
        self._dialect = dialect
        self._invariants = invariants
        self._accounts = {account.role: account for account in reversed(accounts)}
        self._exchange = exchange
        self._email_domain = email_domain
        self._run = f"rolecall-load-{secrets.token_hex(4)}"
        self._callers: dict[str, _Caller] = {}
        self._organization: str | None = None
        self._things: dict[str, str] = {}  # ids by resource, in the order in which they were made
        self._turns: Iterator[Cell] = iter(())

    # --- Before and after the load -----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Log in, make the things, and try every cell once."""
        for role in self._spec.roles:
            account = self._accounts.get(role)
            if account is None or not self._let_in(account, self._exchange(self._log_in(account))):
                self.others.append(f"everything as {role}: nobody of that role is logged in")
        self._look_up_organization()
        for resource in self._spec.resources:
            self._make(resource)
        for cell in self._candidates():
            answer = self._exchange(self._probe(cell).request)
            if answer is not None and self.verdict(cell, answer) is cell.allowed:
                self.cells.append(cell)
            else:
                self.others.append(f"{cell}: {answer.status if answer else 'no answer'}, not {_word(cell.allowed)}")
        self._turns = _in_turn(self.cells)

    def close(self) -> list[str]:
        """Delete the things; what could not be deleted, as ``user 5f47d8...``."""
        left = []
        for resource, id in reversed(self._things.items()):
            operation = self._spec.operations[f"delete-{resource}"]
            path = fill_path(operation.path, {"id": id})
            answers = (self._ask(operation, role, path) for role in self._at_hand(operation))
            good = (*operation.success, *self._dialect.gone)  # what let a delete through has done that already
            if not any(answer is not None and answer.status in good for answer in answers):
                left.append(f"{resource} {id}")
        self._things.clear()
        return left

    def _look_up_organization(self) -> None:
        """What the highest role's own profile says of the organization that things are made in."""
        operation = self._spec.operations["fetch-user-self"]
        for role in self._at_hand(operation)[:1]:
            answer = self._ask(operation, role, fill_path(operation.path, {"self": self._callers[role].grant.user}))
            found = _document(answer).get("organization")
            self._organization = found if isinstance(found, str) else None

    def _make(self, resource: str) -> None:
        """Make a thing that cells can be about, by the highest role that gets one."""
        operation = self._spec.operations[f"create-{resource}"]
        for role in self._at_hand(operation):
            cell = self._filled(operation, role, f"{self._run}-{resource}")
            id = _document(self._ask(operation, role, cell.path, cell.body)).get("id") if cell else None
            if isinstance(id, str) and id:
                self._things[resource] = id
                return

    def _candidates(self) -> list[Cell]:
        """All cells that can be tried, in the order in which they do."""
        cells = []
        for operation in self._spec.operations.values():
            for role in self._callers:
                effects = _READS if self._spec.allows(operation.name, role) else _READS + _WRITES
                cell = self._filled(operation, role, f"{self._run}-tried") if operation.effect in effects else None
                if cell is not None:
                    cells.append(cell)
        return sorted(cells, key=lambda cell: (_READS + _WRITES).index(cell.operation.effect))

    def _filled(self, operation: Operation, role: str, name: str) -> Cell | None:
        """A cell with its path and its body; None where there is no such thing as it is about."""
        values = {
            "id": self._things.get(operation.resource.name),
            "conversation": self._things.get("conversation"),
            "self": self._callers[role].grant.user,
            "name": name,
            "email": f"{name.replace('-', '.')}@{self._email_domain}",
            "password": secrets.token_urlsafe(18),
            "organization": self._organization,
            "participants": [{"user": caller.grant.user} for caller in self._callers.values()],
        }
        if any(f"{{{key}}}" in operation.path and not values[key] for key in ("id", "conversation")):
            return None
        allowed = self._spec.allows(operation.name, role)
        return Cell(operation, role, allowed, fill_path(operation.path, values), fill(operation.body, values))

    def _at_hand(self, operation: Operation) -> list[str]:
        """The roles that may, highest first, of those that are logged in."""
        return [role for role in self._spec.allowed_roles(operation.name) if role in self._callers]

    def _ask(self, operation: Operation, role: str, path: str, body: Any = None) -> Response | None:
        return self._exchange(self._request(operation.method, path, body, self._callers[role].grant.token))

    # --- Under load --------------------------------------------------------------------------------------------------

    def next(self) -> Probe | None:
        """The next request: of a denied cell and of an allowed one in turn, or a log-in for it; None where nothing is sampled."""
        cell = next(self._turns, None)
        if cell is None:
            return None
        caller = self._callers[cell.role]
        if perf_counter() < caller.until:
            return self._probe(cell)
        caller.until = perf_counter() + _PATIENCE
        return self._log_in_for(cell, None)

    def look(self, probe: Probe, answer: Response) -> Probe | None:
        """Look at an answer; what has to be asked next to be sure, if anything."""
        cell = probe.cell
        if probe.stage == "log-in":
            return self._logged_in(probe, answer)
        said = self.verdict(cell, answer)
        if not cell.allowed:
            if said:
                message = f"{cell} was denied before the load, and is now answered {answer.status}"
                self._invariants.violations.report("denied-allowed", message, probe.request, answer)
        elif said is False and probe.stage == "first":
            return replace(probe, stage="again", suspect=(probe.request, answer))
        elif said is False and probe.stage == "again":
            return self._log_in_for(cell, probe.suspect)
        elif probe.suspect and said is (probe.stage == "again"):
            request, denial = probe.suspect
            message = f"{cell} was allowed before the load, and was then answered {denial.status}"
            self._invariants.violations.report("allowed-denied", message, request, denial)
        return None

    def _logged_in(self, probe: Probe, answer: Response) -> Probe | None:
        if not self._let_in(self._callers[probe.cell.role].account, answer, probe.request):
            return None
        return self._probe(probe.cell, "anew" if probe.suspect else "first", probe.suspect)

    def verdict(self, cell: Cell, answer: Response) -> bool | None:
        """Whether an answer lets the caller through; None where it does not say."""
        if 200 <= answer.status < 300:
            is_empty = cell.operation.effect == "list" and self._dialect.denied_list == "empty" and read_json(answer.body) == []
            return cell.allowed or not is_empty
        if answer.status in self._dialect.denied:
            return f"{self._run}-{cell.operation.resource.name}".encode() in answer.body
        return None

    # --- Requests ----------------------------------------------------------------------------------------------------

    def _probe(
        self,
        cell: Cell,
        stage: Literal["first", "anew"] = "first",
        suspect: tuple[bytes, Response] | None = None,
    ) -> Probe:
        method, denied = cell.operation.method, self._dialect.denied
        request = self._request(method, cell.path, cell.body, self._callers[cell.role].grant.token)
        expected = cell.operation.success if cell.allowed else denied
        return Probe(cell, method, f"{cell}, {_word(cell.allowed)}", request, expected, stage, suspect)

    def _log_in_for(self, cell: Cell, suspect: tuple[bytes, Response] | None) -> Probe:
        request = self._log_in(self._callers[cell.role].account)
        return Probe(cell, "POST", f"issue (to sample as {cell.role})", request, self._dialect.issued, "log-in", suspect)

    def _let_in(self, account: Account, answer: Response | None, request: bytes = b"") -> bool:
        """Take the tokens of a log-in's answer."""
        grant = self._invariants.grant(account, answer, request or self._log_in(account)) if answer else None
        if grant is None or not grant.sound:
            return False
        try:
            self._request("GET", "/", None, grant.token)
        except ValueError:
            return False
        self._callers[account.role] = _Caller(account, grant)
        return True

    def _log_in(self, account: Account) -> bytes:
        return self._request("POST", PATH, {"email": account.email, "password": account.password})

    def _request(self, method: str, path: str, body: Any = None, token: str = "") -> bytes:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if body is None:
            return wire.request(self._origin, method, path, headers)
        return wire.request(
            self._origin, method, path, {**headers, "content-type": "application/json"}, json.dumps(body).encode()
        )


def _in_turn(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Denied and allowed cells in turn for ever, each kind in an order of chance that is always the same."""
    mixed = Random(0).sample(cells, len(cells))  # noqa: S311  # an order, no secret
    kinds = [[cell for cell in mixed if cell.allowed is allowed] for allowed in (False, True)]
    return chain.from_iterable(zip(*(cycle(kind) for kind in kinds if kind), strict=False)) if cells else iter(())


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "denied"


def _document(answer: Response | None) -> dict[str, Any]:
    """The object in an answer, the first one of a list; empty where there is none."""
    content = read_json(answer.body) if answer is not None and 200 <= answer.status < 300 else None
    if isinstance(content, list) and content:
        content = content[0]
    return content if isinstance(content, dict) else {}
