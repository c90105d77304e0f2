"""Cells of the permission table, tried again and again under load: a denial must stay a denial.

What is tried does no harm if it is let through: reads, and updates and deletes of things that were
made for the purpose. Creates are left to the suite, which finds and deletes what a wrong one has
made.

Before the load every cell is tried once. Only those that are answered as the table says are
sampled; of the others it is said that they are not, for the suite to judge. From then on a denial
that turns into permission is a violation at once (`denied-allowed`). A permission that turns into a
denial might be that of a token that is no longer good, so it is asked again: where the same token
is let in now, or a new one is denied as well that is certainly good (`sessions`), it is a violation
(`allowed-denied`); where only a new token is let in, it is none. Answers that are neither, such as
404, 429 and 5xx, say nothing about permissions; nor does 401, after which the role logs in anew at
once.

What is allowed has to be shown (`allowed-not-shown`): where a fetch or a list showed our thing
before the load, a success that shows another one, or an error, says that the role may and gives it
nothing; nor is a list empty in which our thing is, nor does it hold our thing of another kind.
Which members of a thing are shown is the server's affair, and so is what comes first in a list.
Where our thing is called as an update that was denied would have called it, that update was carried
out (`denied-allowed`).

Denied reads are tried in other shapes as well (`shapes`). A shape that was refused before the load
with a status of another meaning, as a path that leads nowhere is, counts as open only where its
answer shows what is denied. And what each role may read is asked with expired tokens (`expired`),
where there are some, without a token, and with a forged one (`strangers`).

Where there are several accounts of a role, the one that tries its cells is not logged in by the
load: on a server with one session for each user, its token would be dead most of the time.

Longer than 400 lines because what is tried before the load and under it shares callers and things.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from time import perf_counter
from typing import Any, Literal
from urllib.parse import quote, unquote

import gevent

from rolecall.foreign_answers import is_foreign
from rolecall.http.conditional import WantedFields
from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks import strangers
from rolecall.loadgen.checks.expired import ExpiredTokens, Presented
from rolecall.loadgen.checks.guesses import WrongPasswords
from rolecall.loadgen.checks.invariants import Invariants
from rolecall.loadgen.checks.probes import Probe, SampledCaller, in_turn
from rolecall.loadgen.checks.races import outcome_of
from rolecall.loadgen.checks.sessions import LoginSession, SessionGrant
from rolecall.loadgen.checks.shapes import AFTER_GOOD, SampledCell, dressed, shaped, shapes_of
from rolecall.loadgen.checks.things import Things, document_of, told
from rolecall.loadgen.checks.token_answer import read_json
from rolecall.loadgen.lag import pauses
from rolecall.loadgen.transport import outgoing
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.ids import id_text, own_id, texts_in
from rolecall.spec.model import Dialect, Operation, Specification
from rolecall.spec.templates import fill, fill_path, made_up_password
from rolecall.target import ExpiryOptions
from rolecall.tokens import TOKEN_PATH

#: What may be tried, in this order: what is let through wrongly spoils nothing that comes after it.
_READS, _WRITES = ("list", "fetch"), ("update", "delete")
#: Seconds until a log-in for a role is tried again that did not succeed.
_PATIENCE = 5.0
#: Seconds for shapes before the load; what is not ready after two minutes is taken for dead.
_LONGEST = 30.0
_PASSED_OVER = 16  # cells whose roles are being logged in anew
_TRIES = 3  # of what may be repeated, before and after the load
#: Seconds: of a token that lives shorter, a new one is needed to see whether the key fits.
_SHORT = 60

Exchange = Callable[[bytes], Response | None]


class Sampling:
    """The cells that are sampled.

    Args:
        accounts: one of each role, which tries its cells; that of the highest makes the things.
        exchange: sends a request and waits for its answer, None if there is none; for `prepare` and
            `close` alone.

    Attributes:
        cells: what is sampled of the table as it stands there.
        shaped: denied reads in other shapes.
        expired: what is asked with expired tokens.
        strange: what is asked without a good token.
        others: what is not sampled, each with the reason.
        not_tested: what is not tested at all, with the reason.
        guesses: log-ins with a wrong password.
    """

    _made_user = ("", "")  # e-mail and password
    _is_spoilt = False  # whether a write that is denied was let in, which may have deleted things
    _known_at = 0.0  # when the things are known everywhere (`time.perf_counter`; AMB-17)

    def __init__(
        self,
        origin: Origin,
        spec: Specification,
        dialect: Dialect,
        invariants: Invariants,
        accounts: Iterable[LoadAccount],
        exchange: Exchange,
        *,
        email_domain: str = "example.org",
        expired: ExpiredTokens | None = None,
        may_make: Callable[[str], bool] = lambda resource: True,
        alone: bool = True,
    ) -> None:
        self._may_make = may_make
        self.cells: list[SampledCell] = []
        self.shaped: list[SampledCell] = []
        self.expired: list[SampledCell] = []
        self.strange: list[SampledCell] = []
        self.others: list[str] = []
        self.not_tested: list[str] = []
        self._tokens = expired or ExpiredTokens(ExpiryOptions(), origin.url)
        self._origin, self._wanted = origin, WantedFields()
        self._spec, self._dialect = spec, dialect
        self._invariants = invariants
        self._accounts = {account.role: account for account in accounts}
        self._exchange = exchange
        self._email_domain, self._patience = email_domain, dialect.consistency
        self.guesses = WrongPasswords(invariants.violations, self._log_in_with, alone=alone)
        self._run = f"rolecall-load-{secrets.token_hex(4)}"
        self._callers: dict[str, SampledCaller] = {}
        self._organization: Any = None  # its id as the target writes it: a number, where it is one
        self._things = Things(
            spec, dialect, self._run, self._ask, self._fill, self._untouchable, origin.url
        )
        self._turns: Iterator[SampledCell] = iter(())
        #: Statuses that say that the token is not good, or no longer.
        self.lost_token = frozenset((*dialect.anonymous, *dialect.expired))
        #: Statuses with which somebody without a good token is refused.
        self._refusals = (*dialect.anonymous, *dialect.malformed, *dialect.denied)

    # --- Before and after the load --------------------------------------------------------------

    def prepare(self) -> None:
        """Log in, make the things, and try every cell once."""
        for role in self._spec.roles:
            account = self._accounts.get(role)
            if account is None or not self._renew(account):
                self.others.append(f"everything as {role}: no account of that role is logged in")
        self._look_up_organization()
        for resource in self._spec.resources:
            if not self._may_make(resource):
                self.others.append(f"a {resource}: [fixtures.{resource}] create = false")
            elif self._at_hand(self._spec.operations[f"delete-{resource}"]):
                self._things.make(
                    resource, self._at_hand(self._spec.operations[f"create-{resource}"])
                )
                if resource in self._things.refused and resource not in self._things.ids:
                    self.others.append(f"a {resource}: {self._things.refused[resource]}")
            else:
                self.others.append(f"a {resource}: no role that may delete one is logged in")
        self._known_at = perf_counter() + self._dialect.consistency
        if "user" in self._things.ids:
            self.guesses.know(*self._made_user)
        for cell in self._candidates():
            answer = self._ask(cell.operation, cell.role, cell.path, cell.body)
            if answer is not None and self.verdict(cell, answer) is cell.allowed:
                shown = cell.allowed and self._shows_ours(cell, answer)
                self.cells.append(replace(cell, shown=shown))
            else:
                self._is_spoilt |= cell.operation.effect in _WRITES
                self.others.append(
                    f"{cell}: {answer.status if answer else 'no answer'}, not {_word(cell.allowed)}"
                )
        self._try_expired()
        self._try_strangers()
        self._try_shapes(perf_counter() + _LONGEST)
        kinds = (
            [cell for cell in self.cells if cell.allowed is allowed] for allowed in (False, True)
        )
        self._turns = in_turn([*kinds, self.shaped, self.expired, self.strange])

    def close(self) -> list[str]:
        """Delete the things; returns what could not be deleted, as ``user 5f47d8...``."""
        return self._things.delete(self._at_hand)

    def _renew(self, account: LoadAccount) -> bool:
        """Log in, and wait for it: whether that succeeded."""
        request = self._log_in(account)
        for _ in range(_TRIES):
            session = self._invariants.log_in(account)
            answer = self._exchange(request)
            if answer is None:
                session.unanswered(left=True)
            elif self._let_in(session, answer, request):
                return True
            elif outcome_of(answer.status) == "refused":
                return False
        return False

    def _ask(self, operation: Operation, role: str, path: str, body: Any = None) -> Response | None:
        """Send a request and wait for its answer; repeat it without one, unless it is a create."""
        may, answer, is_renewed = self._spec.allows(operation.name, role), None, False
        for _ in range(_TRIES):
            caller, sent = self._caller(role), self._wanted.fields(operation.method)
            answer = self._exchange_as(
                caller, self._request(operation.method, path, body, caller.grant.token)
            )
            if answer is None or outcome_of(answer.status) == "unknown":
                if operation.effect == "create":
                    break
                continue
            if self._wanted.lacks(operation.method, answer.status, sent, told(answer)):
                continue
            # It may be the token that was refused: 401 says so, and what is allowed to the role
            # leaves little else.
            is_lost = answer.status in self.lost_token and answer.status not in self._dialect.denied
            if not is_lost and not (
                may and answer.status in self.lost_token and caller.grant.may_be_refused
            ):
                break
            if is_renewed or not self._renew(caller.account):
                break
            is_renewed = True
        return answer

    def _exchange_as(self, caller: SampledCaller, request: bytes) -> Response | None:
        """Send a request with a caller's token, and again as long as that may not be known
        everywhere yet (AMB-17).
        """
        answer, grant = self._exchange(request), caller.grant
        refusals = self.lost_token.difference(self._dialect.denied)
        for pause in pauses():
            if answer is None or answer.status not in refusals or grant.may_be_refused:
                break
            if perf_counter() + pause > grant.asked + self._patience:
                self._patience /= 2  # as for things that are not shown
                break
            gevent.sleep(pause)
            answer = self._exchange(request)
        return answer

    def _caller(self, role: str) -> SampledCaller:
        """Who tries the cells of a role, logged in anew if need be."""
        caller = self._callers[role]
        return (
            self._callers[role] if caller.has_to_renew and self._renew(caller.account) else caller
        )

    def _try(self, cell: SampledCell) -> Response | None:
        """Send a cell's request, after the one before it, and wait for the answer."""
        answer = None
        for _ in range(_TRIES):
            caller = self._caller(cell.role)
            if cell.after:
                self._exchange(
                    self._request_of(cell.after, self._caller(cell.after.role).grant.token)
                )
            presented = self._present(cell) if cell.way else None
            answer = (
                self._exchange(self._request_of(cell, presented.token))
                if presented
                else self._exchange_as(caller, self._request_of(cell, caller.grant.token))
            )
            if answer is not None and outcome_of(answer.status) != "unknown":
                if presented and answer.status in self._dialect.expired:
                    presented.seen()
                break
        return answer

    def _try_shapes(self, until: float) -> None:
        """Try denied reads in other shapes until this moment, and keep those that are refused."""
        reads = [cell for cell in self.cells if cell.operation.effect in _READS]
        openers: dict[str, SampledCell] = {}
        for cell in reads:
            if cell.allowed:
                openers.setdefault(cell.path, cell)
        denied = [(cell, openers.get(cell.path)) for cell in reads if not cell.allowed]
        for cell in shaped(denied, quote(id_text(self._organization), safe="")):
            if perf_counter() > until:
                self.others.append(
                    f"denied reads in more shapes: those before took {_LONGEST:g} s, and the load "
                    "was to begin"
                )
                break
            if (
                cell.method == "HEAD"
                and cell.operation.effect == "list"
                and self._dialect.denied_list == "empty"
            ):
                continue  # an empty list has the head of a full one
            answer = self._try(cell)
            if answer is not None and self.verdict(cell, answer) is False:
                self.shaped.append(cell)
            elif (
                answer is not None
                and outcome_of(answer.status) == "refused"
                and cell.method != "HEAD"
            ):
                self.shaped.append(replace(cell, refused=answer.status))
            else:
                self.others.append(
                    f"{cell}: {answer.status if answer else 'no answer'}, not denied"
                )

    def _try_expired(self) -> None:
        """Ask with expired tokens what their roles may read, and keep what is refused as such."""
        for caller in list(self._callers.values()):
            if caller.grant.lifetime < _SHORT:  # what is made of it with the key lives even shorter
                self._renew(caller.account)
        grants = {role: self._caller(role).grant for role in self._callers}
        refused = []
        for way, role in self._tokens.ways(grants, self._lets_in):
            for cell in self._with_expired(way, role):
                answer = self._try(cell)
                if answer is not None and answer.status in self._dialect.expired:
                    self.expired.append(cell)
                else:
                    refused.append(
                        f"{cell}: {answer.status if answer else 'no answer'} before the load, not "
                        "refused as expired"
                    )
        if not self.expired:
            self.not_tested.append(
                f"expired tokens: {'; '.join([*self._tokens.why_not, *refused[:1]])}"
            )
        else:
            self.others += [f"more expired tokens: {why}" for why in self._tokens.why_not]
        self.others += refused

    def _try_strangers(self) -> None:
        """Ask without a good token for what the roles may read, and keep what is refused."""
        for index, role in enumerate(self._callers):
            may = [cell for cell in self.cells if cell.role == role and cell.allowed]
            for cell in strangers.asked_by_strangers(may, index):
                answer = self._try(cell)
                if answer is not None and outcome_of(answer.status) == "refused":
                    self.strange.append(cell)
                else:
                    status = answer.status if answer else "no answer"
                    self.others.append(f"{cell}: {status} before the load, not refused")

    def _with_expired(self, way: str, role: str) -> Iterator[SampledCell]:
        """The own profile, a list and a fetch, plainly and in a few shapes."""
        index = list(self._callers).index(role)
        may = [cell for cell in self.cells if cell.role == role and cell.allowed]
        user = self._present(
            SampledCell(
                self._spec.operations["fetch-user-self"], role, allowed=True, path="", way=way
            )
        ).user
        for plain in may:
            if plain.operation.is_self:
                filled = self._fill(plain.operation, role, "", user)
                if filled:
                    cell = replace(plain, path=filled[0], way=way)
                    yield from (cell, replace(cell, shape=AFTER_GOOD, after=plain))
        for effect in _READS:
            others = [
                cell
                for cell in may
                if cell.operation.effect == effect and not cell.operation.is_self
            ]
            for plain in others[index % len(others) :][:1] if others else ():
                cell = replace(plain, way=way)
                yield from (cell, replace(cell, shape=AFTER_GOOD, after=plain))
                yield from (
                    dressed(cell, shape)
                    for shape in shapes_of(cell, None)
                    if shape.shape in ("HEAD", "with limit=1")
                )

    def _lets_in(self, grant: SessionGrant, token: str) -> bool:
        """Whether a token is let in as the user of a grant."""
        operation = self._spec.operations["fetch-user-self"]
        request = self._request(
            operation.method, fill_path(operation.path, {"self": grant.user}), None, token
        )
        answers = (self._exchange(request) for _ in range(_TRIES))
        return any(answer is not None and answer.status in operation.success for answer in answers)

    def _present(self, cell: SampledCell) -> Presented:
        """What a cell is tried with now, in place of its role's good token."""
        if not cell.is_expired:
            return strangers.credential(cell.way, self._callers[cell.role].grant)
        return self._tokens.present(
            cell.way, cell.role, self._callers[cell.role].grant, self._invariants.holder
        )

    def _untouchable(self) -> set[tuple[str, str]]:
        """What was there before: the accounts' users, and their organization."""
        users = {caller.grant.user for caller in self._callers.values()} | self._invariants.users
        return {("user", id) for id in users} | {("organization", id_text(self._organization))}

    def _look_up_organization(self) -> None:
        """Take the organization that things are made in from the highest role's profile."""
        operation = self._spec.operations["fetch-user-self"]
        for role in self._at_hand(operation)[:1]:
            answer = self._ask(
                operation, role, fill_path(operation.path, {"self": self._callers[role].grant.user})
            )
            found = document_of(answer).get("organization")
            self._organization = found if id_text(found) else None

    def _candidates(self) -> list[SampledCell]:
        """All cells that can be tried, in the order in which they do."""
        cells = []
        for operation in self._spec.operations.values():
            for role in self._callers:
                effects = _READS if self._spec.allows(operation.name, role) else _READS + _WRITES
                cell = (
                    self._filled(operation, role, self._tried)
                    if operation.effect in effects
                    else None
                )
                if cell is not None:
                    cells.append(cell)
        return sorted(cells, key=lambda cell: (_READS + _WRITES).index(cell.operation.effect))

    def _filled(self, operation: Operation, role: str, name: str) -> SampledCell | None:
        """A cell with its path and its body; None where the thing that it needs is missing."""
        filled = self._fill(operation, role, name)
        return (
            SampledCell(operation, role, self._spec.allows(operation.name, role), *filled)
            if filled
            else None
        )

    def _fill(
        self, operation: Operation, role: str, name: str, user: str = ""
    ) -> tuple[str, Any] | None:
        """The path and the body of a request, as this user or as the role's own; None as above."""
        ids = self._things.ids
        values = {
            "id": ids.get(operation.resource.name),
            "conversation": ids.get("conversation"),
            "self": user or self._callers[role].grant.user,
            "name": name,
            "email": f"{name.replace('-', '.')}@{self._email_domain}",
            "password": made_up_password(),
            "organization": self._organization,
            "participants": [{"user": caller.grant.user} for caller in self._callers.values()],
        }
        if any(
            f"{{{key}}}" in operation.path and not values[key] for key in ("id", "conversation")
        ):
            return None
        if name == self._things.name("user"):
            self._made_user = values["email"], values["password"]
        return fill_path(operation.path, values), fill(operation.body, values)

    def _at_hand(self, operation: Operation) -> list[str]:
        """The roles that may, highest first, of those that are logged in."""
        return [role for role in self._spec.allowed_roles(operation.name) if role in self._callers]

    # --- Under load -----------------------------------------------------------------------------

    def next(self) -> Probe | None:
        """The next request, or a log-in for it; None where nothing is sampled.

        In turn it is that of a denied cell, of an allowed one, of a denied one in another shape,
        one with an expired token, and one without a good token.
        """
        for cell in islice(self._turns, _PASSED_OVER):
            caller = self._callers[cell.role]
            if not caller.has_to_renew:
                return self._before(cell, cell.after) if cell.after else self._probe(cell)
            if not caller.is_renewing:
                return self._log_in_for(cell, None)
        return None

    def look(self, probe: Probe, answer: Response) -> Probe | None:
        """Check an answer; returns the next request that is needed to be sure."""
        if probe.stage == "log-in":
            return self._logged_in(probe, answer)
        if probe.stage == "before":
            return self._after(probe.cell, answer)
        if probe.presented is None:
            return self._look_at_cell(probe, answer)
        if probe.cell.is_expired:
            self._look_at_expired(probe.cell, probe.presented, probe.request, answer)
        elif strangers.shows(answer):
            message = (
                f"{probe.cell} was refused before the load, and is now answered {answer.status}"
            )
            kind = strangers.KINDS[probe.cell.way]
            self._invariants.violations.report(kind, message, probe.request, answer)
        return None

    def _after(self, cell: SampledCell, answer: Response) -> Probe | None:
        """The cell, once the request before it was let in."""
        if 200 <= answer.status < 300:
            return self._probe(cell)
        return (
            self._renewal(cell.after) if cell.after and answer.status in self.lost_token else None
        )

    def _look_at_cell(self, probe: Probe, answer: Response) -> Probe | None:
        cell = probe.cell
        said = self.verdict(cell, answer)
        is_lost = answer.status in self.lost_token and answer.status != cell.refused
        if said is None and probe.stage == "first" and is_lost and not probe.is_renewed:
            return self._renewal(cell)
        if not cell.allowed:
            if said:
                self._is_spoilt |= cell.operation.effect in _WRITES
                shown = "" if 200 <= answer.status < 300 else ", with the thing in it"
                message = (
                    f"{cell} was denied before the load, and is now answered {answer.status}{shown}"
                )
                self._invariants.violations.report("denied-allowed", message, probe.request, answer)
        elif said and not self._is_spoilt and self._tried.encode() in answer.body:
            message = (
                f"{cell} shows the name that a denied update was to give: it was refused, and "
                "carried out all the same"
            )
            self._invariants.violations.report("denied-allowed", message, probe.request, answer)
        elif said and cell.shown and not self._still_shows(cell, answer):
            message = (
                f"{cell} showed what was asked for before the load, and is now answered "
                f"{answer.status} without it"
            )
            self._invariants.violations.report("allowed-not-shown", message, probe.request, answer)
        elif said is False and probe.stage == "first":
            return replace(probe, stage="again", suspect=(probe.request, answer))
        elif said is False and probe.stage == "again":
            return self._log_in_for(cell, probe.suspect)
        elif probe.suspect and (
            said if probe.stage == "again" else said is False and not self._is_excused(probe)
        ):
            request, denial = probe.suspect
            message = f"{cell} was allowed before the load, and was then answered {denial.status}"
            self._invariants.violations.report("allowed-denied", message, request, denial)
        return None

    def _look_at_expired(
        self, cell: SampledCell, presented: Presented, request: bytes, answer: Response
    ) -> None:
        dialect, kind = self._dialect, ""
        if _is_foreign(cell, answer):
            return
        if answer.status in dialect.expired:
            presented.seen()
        elif 200 <= answer.status < 300:
            kind = "expired-let-in"
        elif (
            answer.status in (*dialect.anonymous, *dialect.malformed, *dialect.denied)
            and not presented.may_be_refused
        ):
            kind = "expired-otherwise"
        if kind:
            message = (
                f"{cell} was refused as expired before the load, and is now answered "
                f"{answer.status}"
            )
            self._invariants.violations.report(kind, message, request, answer)

    @staticmethod
    def _is_excused(probe: Probe) -> bool:
        """Whether the token may have been ended since it was fetched."""
        return probe.grant is None or probe.grant.may_be_refused

    def _logged_in(self, probe: Probe, answer: Response) -> Probe | None:
        caller, session = self._callers[probe.cell.role], probe.login
        assert session is not None  # it is a log-in
        if not self._let_in(session, answer, probe.request):
            caller.patience = perf_counter() + _PATIENCE
            return None
        return replace(
            self._probe(probe.cell, "anew" if probe.suspect else "first", probe.suspect),
            is_renewed=True,
        )

    def verdict(self, cell: SampledCell, answer: Response) -> bool | None:
        """Whether an answer lets the caller through; None where it does not tell."""
        if cell.refused and answer.status not in self._dialect.denied:
            return True if 200 <= answer.status < 300 and self._shows(cell, answer) else None
        if cell.allowed != (200 <= answer.status < 300) and _is_foreign(cell, answer):
            return None  # a page of somebody before the server neither lets in nor denies
        if 200 <= answer.status < 300:
            is_empty = (
                cell.operation.effect == "list"
                and self._dialect.denied_list == "empty"
                and read_json(answer.body) == []
            )
            return cell.allowed or not is_empty
        if answer.status in self._dialect.denied:
            return self._shows_thing(cell, answer)
        return None

    @property
    def _tried(self) -> str:
        """What an update is to call a thing."""
        return f"{self._run}-tried"

    def _shows_thing(self, cell: SampledCell, answer: Response) -> bool:
        return f"{self._run}-{cell.operation.resource.name}".encode() in answer.body

    def _shows_ours(self, cell: SampledCell, answer: Response) -> bool:
        """Whether an answer shows our thing: a fetch its name or its id, a list, which is an array,
        its name.
        """
        if cell.operation.effect == "list":
            return self._shows_thing(cell, answer) and isinstance(read_json(answer.body), list)
        if self._shows_thing(cell, answer):
            return True
        id = unquote(cell.path.partition("?")[0].rpartition("/")[2])
        # JSON may write with escapes what an id holds beside letters and digits
        return id.encode() in answer.body or own_id(read_json(answer.body)) == id

    def _still_shows(self, cell: SampledCell, answer: Response) -> bool:
        """Whether a success may show what it showed before the load.

        Others make things, so that ours need not be on the first page of a list, but no page of it
        is empty; and what is not known everywhere yet may be missing for a moment. A web page is of
        somebody before the server, as of a gateway while the server is replaced.
        """
        if (
            self._is_spoilt
            or perf_counter() < self._known_at
            or self._shows_ours(cell, answer)
            or answer.status not in cell.operation.success
            or answer.is_foreign
        ):
            return True
        listed = read_json(answer.body) if cell.operation.effect == "list" else None
        return isinstance(listed, list) and any(listed) and not self._is_of_others(cell, listed)

    def _is_of_others(self, cell: SampledCell, listed: list[Any]) -> bool:
        """Whether a list holds our thing of another kind: it is the answer to another question.

        By its id alone that is not known: numbers are ids of things of any kind.
        """
        ours = {
            id: self._things.name(resource)
            for resource, id in self._things.ids.items()
            if resource != cell.operation.resource.name
        }
        return any(
            name in text
            for thing in listed
            if (name := ours.get(own_id(thing), ""))
            for _, text in texts_in(thing)
        )

    def _shows(self, cell: SampledCell, answer: Response) -> bool:
        """Whether an answer shows our thing, or as a list any things."""
        listed = read_json(answer.body) if cell.operation.effect == "list" else None
        return self._shows_thing(cell, answer) or (
            isinstance(listed, list) and any(map(own_id, listed))
        )

    # --- Requests -------------------------------------------------------------------------------

    def _probe(
        self,
        cell: SampledCell,
        stage: Literal["first", "anew"] = "first",
        suspect: tuple[bytes, Response] | None = None,
    ) -> Probe:
        grant = self._callers[cell.role].grant
        if cell.way:
            presented = self._present(cell)
            request = self._request_of(cell, presented.token)
            expected = self._dialect.expired if cell.is_expired else self._refusals
            return Probe(cell, cell.method, f"{cell}", request, expected, presented=presented)
        request = self._request_of(cell, grant.token)
        refused = (*self._dialect.denied, cell.refused) if cell.refused else self._dialect.denied
        expected = cell.operation.success if cell.allowed else refused
        method = cell.method or cell.operation.method
        return Probe(
            cell,
            method,
            f"{cell}, {_word(cell.allowed)}",
            request,
            expected,
            stage,
            suspect,
            grant=grant,
        )

    def _before(self, cell: SampledCell, first: SampledCell) -> Probe:
        """The same request, sent first by a role that may."""
        grant = self._callers[first.role].grant
        request, operation = self._request_of(first, grant.token), first.operation
        return Probe(
            cell,
            operation.method,
            f"{first}, allowed",
            request,
            operation.success,
            "before",
            grant=grant,
        )

    def _renewal(self, cell: SampledCell) -> Probe | None:
        """A log-in for a cell whose token was refused, unless one is under way."""
        return None if self._callers[cell.role].is_renewing else self._log_in_for(cell, None)

    def _log_in_for(self, cell: SampledCell, suspect: tuple[bytes, Response] | None) -> Probe:
        account = self._callers[cell.role].account
        self._callers[cell.role].begun = perf_counter()
        request, session = self._log_in(account), self._invariants.log_in(account)
        return Probe(
            cell,
            "POST",
            f"issue (to sample as {cell.role})",
            request,
            self._dialect.issued,
            "log-in",
            suspect,
            session,
        )

    def _let_in(self, session: LoginSession, answer: Response, request: bytes) -> bool:
        """Take the tokens of a log-in's answer."""
        grant = self._invariants.logged_in(session, answer, request)
        if grant is None or not grant.sound:
            return False
        self._callers[grant.account.role] = SampledCaller(grant.account, grant)
        return True

    def _log_in(self, account: LoadAccount) -> bytes:
        return self._log_in_with(account.email, account.password)

    def _log_in_with(self, email: str, password: str) -> bytes:
        return self._request("POST", TOKEN_PATH, {"email": email, "password": password})

    def _request_of(self, cell: SampledCell, token: str) -> bytes:
        return self._request(
            cell.method or cell.operation.method, cell.path, cell.body, token, cell.headers
        )

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = "",
        more: Mapping[str, str] = {},
    ) -> bytes:
        more = {**self._wanted.fields(method), **more}
        return outgoing.json_request(self._origin, method, path, body, token, more)


def _is_foreign(cell: SampledCell, answer: Response) -> bool:
    return is_foreign(answer.status, answer.text, answer.body, head=cell.method == "HEAD")


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "denied"
