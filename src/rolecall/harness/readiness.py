"""What a look at a target shows before a run: the preflight, some reads, and nothing written."""

from __future__ import annotations

import tempfile
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from rolecall.error_words import ABSENT
from rolecall.errors import RolecallError, Unreachable
from rolecall.evidence import Exchange
from rolecall.harness.context import RunContext
from rolecall.harness.options import Options
from rolecall.harness.preflight import Preflight
from rolecall.harness.untestable import untestable
from rolecall.outcomes import Inconclusive, NotTested
from rolecall.spec.claims import LIFETIME_TOLERANCE, role_of_scope
from rolecall.spec.model import Operation
from rolecall.spec.templates import fill_path
from rolecall.token_bank import BankedToken, SpoiledBank, TokenBank
from rolecall.tokens import TOKEN_PATH, Caller, Grant, claims_of
from rolecall.toolkit.attacker import skew, unissued
from rolecall.toolkit.clock import time_of_target
from rolecall.toolkit.expiry_ways import MARGIN
from rolecall.toolkit.refresh_tokens import altered_beginning

_NO_TOKEN = "this-is-no-token"  # noqa: S105  # as it says


def readiness(target: Path | None) -> dict[str, Any]:
    """Look at a target, and say what a run should know of it. Only log-ins and reads are sent.

    The document has ``target`` (name, base_url), ``requests``, ``seconds``, ``accounts`` (name,
    email, scope, ``lifetime`` in seconds or None), ``clock`` (the least and the greatest number of
    seconds by which the target's is ahead of ours), ``refresh_token`` (its form), ``remarks``
    (sentences), ``suggestions`` (``saw``, and the ``setting`` that would read it so) and
    ``untestable`` (``what``, and what to ``give``). No secret is in it.

    Raises:
        UsageError: the target file is wrong, or a log-in is refused.
        Unreachable: nothing answers, or there is no token endpoint.
        RolecallError: the embedded server does not start.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rolecall-check-") as folder:
        context = RunContext.open(Options(target=target, out=Path(folder), read_only=True))
        try:
            document: dict[str, Any] = context.scheduler.do(Readiness(context).document())
        except RolecallError as error:
            redacted = context.secrets.redact
            for name in ("what", "hint"):
                if hasattr(error, name):
                    setattr(error, name, redacted(getattr(error, name)))
            raise
        finally:
            context.scheduler.do(context.world.close())
            context.stack.close()
    document["requests"] = len(context.evidence.exchanges)
    document["seconds"] = round(time.monotonic() - began, 3)
    redacted_document: dict[str, Any] = context.secrets.redacted(document)
    return redacted_document


class Readiness:
    """The questions that are asked of a target, and what its answers suggest."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._world = context.world
        self._preflight = Preflight(context.world)
        self._suggestions: list[dict[str, str]] = []
        self._remarks: list[str] = []

    async def document(self) -> dict[str, Any]:
        """All of it; the raises are those of `Preflight.run`."""
        await self._preflight.run()
        grants = self._preflight.grants
        if not grants:
            where = f"{self._world.target.base_url}{TOKEN_PATH}"
            raise Unreachable(where, f"gave no account a token ({self._world.client.last_status})")
        self._remarks += self._preflight.remarks()
        for name in self._world.target.accounts.keys() - grants.keys():
            self._remarks.append(f"[accounts.{name}] got no token: the run will say why")
        for name, grant in grants.items():
            self._look_at_grant(name, grant)
        await self._look_at_reads()
        await self._look_at_strangers()
        await self._look_at_expired()
        first = next(iter(grants.values()), None)
        target = self._world.target
        return {
            "target": {"name": target.name, "base_url": target.base_url},
            "accounts": [
                _account(self._world.account(name).email, name, grants[name]) for name in grants
            ],
            "clock": [round(seconds, 1) for seconds in skew(first.exchange)] if first else None,
            "refresh_token": form_of(first) if first else "none",
            "remarks": self._remarks,
            "suggestions": self._suggestions,
            "untestable": list(untestable(self._world.spec, target, self._first_evidence())),
        }

    # --- Log-ins --------------------------------------------------------------------------------

    def _look_at_grant(self, name: str, grant: Grant) -> None:
        dialect = self._world.dialect
        status = grant.exchange.status
        self._expect(status in dialect.issued, f"a log-in is answered {status}", "issued", [status])
        lifetime = grant.lifetime
        if lifetime is None:
            self._remark("a token does not say when it ends (exp and iat): the run will judge it")
        elif abs(lifetime - dialect.lifetime) > LIFETIME_TOLERANCE:
            self._suggest(f"tokens live {lifetime:g} s", "lifetime", f"{lifetime:g}")
        if not grant.refresh_token:
            self._remark("a log-in is answered without a refreshToken: the run will judge it")
        for where, scope in grant.scopes.items():
            self._look_at_scope(name, where, scope)

    def _look_at_scope(self, name: str, where: str, scope: object) -> None:
        roles, known = self._world.roles, self._world.dialect.other_scopes
        if self._world.role_of_scope(scope):
            return
        others = (
            [word for word in scope.split(" ") if word not in (*roles, *known)]
            if isinstance(scope, str)
            else []
        )
        if others and role_of_scope(scope, roles, (*known, *others)):
            names = ", ".join(f'"{word}"' for word in (*known, *others))
            self._suggest(
                f"the scope of {where} names {', '.join(others)} as well",
                "other_scopes",
                f"[{names}]",
            )
        else:
            self._remark(
                f"[accounts.{name}]: {where} has scope {scope!r}, which is not the scope of a role"
            )

    # --- Reads ----------------------------------------------------------------------------------

    async def _look_at_reads(self) -> None:
        """Every list, as the highest role that may, and one that the lowest role may not."""
        lists = [
            operation
            for operation in self._world.spec.operations.values()
            if operation.effect == "list" and "{conversation}" not in operation.path
        ]
        read = self._world.dialect.read
        for operation in lists:
            answer = await self._ask(operation, self._world.highest)
            if not answer:
                continue
            if answer.ok:
                status = answer.status
                self._expect(
                    status in read, f"{operation.name} is answered {status}", "read", [status]
                )
            elif answer.status in ABSENT:
                self._suggest(
                    f"{operation.method} {operation.path} is answered {answer.status}",
                    f"[operations.{operation.name}] path",
                    '"/v2/..."',
                )
            else:
                self._remark(
                    f"{operation.name} as {self._world.highest} is answered {answer.status}: the "
                    "run will judge it"
                )
        lowest = self._world.roles[0]
        denied = [entry for entry in lists if not self._world.spec.allows(entry.name, lowest)]
        for operation in denied[:1]:
            self._look_at_denied(operation, lowest, await self._ask(operation, lowest))

    def _look_at_denied(self, operation: Operation, role: str, answer: Exchange | None) -> None:
        if answer is None or self._world.dialect.denies_as_specified(operation, answer):
            return
        saw = f"{operation.name} as {role}, who may not, is answered {answer.status}"
        if 400 <= answer.status < 500:
            self._suggest(saw, "denied", f"[{answer.status}]")
        elif answer.ok and answer.json == []:
            self._suggest(f"{saw} with an empty list", "denied_list", '"empty"')
        else:
            self._remark(f"{saw}: the run will judge it")

    async def _look_at_strangers(self) -> None:
        """A read without a token, one with an altered token, and one with what is no token."""
        operation = self._world.spec.operations["fetch-user-self"]
        highest = await self._caller(self._world.highest)
        if highest is None or not highest.user:
            return
        altered = unissued(altered_beginning(highest.token))
        for setting, strangers in (
            ("anonymous", ((None, "a request without a token"), (altered, "an altered token"))),
            ("malformed", ((unissued(_NO_TOKEN), "a bearer token that is not a JWT"),)),
        ):
            statuses = set(getattr(self._world.dialect, setting))
            unread: dict[int, str] = {}
            for caller, what in strangers:
                answer = await self._read(operation, caller, highest.user)
                if answer and 400 <= answer.status < 500:
                    unread |= {} if answer.status in statuses else {answer.status: what}
                elif answer and answer.status:
                    self._remark(f"{what} is answered {answer.status}: the run will judge it")
            saw = ", ".join(f"{what} is answered {status}" for status, what in unread.items())
            self._expect(not unread, saw, setting, sorted(statuses | set(unread)))

    # --- Expiry ---------------------------------------------------------------------------------

    async def _look_at_expired(self) -> None:
        """What a token that has expired is answered, where one can be had without waiting."""
        highest = await self._caller(self._world.highest)
        if highest is None:
            return
        expired = self._banked(highest) or await self._made(highest)
        if expired is None:
            return
        operation = self._world.spec.operations["fetch-user-self"]
        answer = await self._read(operation, expired, expired.user)
        if answer and 400 <= answer.status < 500:
            self._expect(
                answer.status in self._world.dialect.expired,
                f"an expired token is answered {answer.status}",
                "expired",
                [answer.status],
            )
        elif answer and answer.status:
            self._remark(f"an expired token is answered {answer.status}: the run will judge it")

    @cached_property
    def _deposits(self) -> list[BankedToken] | None:
        """What is in the bank; None where there is none, or where it cannot be used."""
        target = self._world.target
        if not target.expiry.bank:
            return None
        try:
            return TokenBank.of(target.expiry, target.base_url).deposits()
        except SpoiledBank as reason:
            self._remark(str(reason))
            return None

    def _banked(self, highest: Caller) -> Caller | None:
        """An expired token of an earlier night."""
        now = time_of_target(highest.grant).earliest(time.monotonic())
        for deposit in self._deposits or ():
            if deposit.expires < now - MARGIN:
                self._context.secrets.add(deposit.token, "token")
                return Caller(deposit.role, "expired token", deposit.token, deposit.user)
        return None

    async def _made(self, highest: Caller) -> Caller | None:
        """An expired token that is made here with the target's key."""
        options = self._world.target.expiry
        if not options.signing_key:
            return None
        expires = int(time_of_target(highest.grant).earliest(time.monotonic())) - 2 * MARGIN
        try:
            await self._context.attacker.target_key()
            made = self._context.expiry.forge(
                highest, issued=expires - self._world.dialect.lifetime, expires=expires
            )
        except (NotTested, Inconclusive) as reason:
            self._remark(str(reason))
            return None
        self._context.secrets.add(made.token, "token")
        return made

    def _first_evidence(self) -> str:
        """When the bank will have an expired token, if it has none yet."""
        if self._deposits is None:
            return ""
        ends = min((deposit.expires for deposit in self._deposits), default=None)
        if ends is None:
            return "the bank is empty: the first run fills it, and one a day later proves expiry"
        left = ends + MARGIN - time.time()
        return f"the first token in the bank ends in {left / 3600:.1f} h" if left > 0 else ""

    # --- How it is asked ------------------------------------------------------------------------

    async def _caller(self, role: str) -> Caller | None:
        try:
            return await self._world.user(role)
        except (Inconclusive, NotTested):
            return None

    async def _ask(self, operation: Operation, role: str) -> Exchange | None:
        """The answer to a list as a role; None where there is none."""
        caller = await self._caller(role)
        if caller is None:
            return None
        return await self._read(operation, caller, caller.user)

    async def _read(
        self, operation: Operation, caller: Caller | None, user: str
    ) -> Exchange | None:
        """The answer to a list, or to a look at a ``user``; None where there is none."""
        path = fill_path(operation.path, {"self": user})
        try:
            answer = await self._world.send(operation.method, path, caller)
        except (Inconclusive, NotTested) as reason:
            self._remark(f"no answer: {reason}")
            return None
        return answer if answer.status else None

    def _expect(self, is_so: bool, saw: str, setting: str, statuses: list[int]) -> None:
        if not is_so:
            self._suggest(saw, setting, str(statuses))

    def _suggest(self, saw: str, setting: str, value: str) -> None:
        where = setting if setting.startswith("[") else f"[dialect] {setting}"
        suggestion = {"saw": saw, "setting": f"{where} = {value}"}
        if suggestion["setting"] not in [entry["setting"] for entry in self._suggestions]:
            self._suggestions.append(suggestion)

    def _remark(self, sentence: str) -> None:
        if sentence not in self._remarks:
            self._remarks.append(sentence)


def _account(email: str, name: str, grant: Grant) -> dict[str, Any]:
    return {"name": name, "email": email, "scope": grant.scope, "lifetime": grant.lifetime}


def form_of(grant: Grant) -> str:
    """The form of a refresh token, in words (AMB-20)."""
    token = grant.refresh_token
    if not token:
        return "none"
    if claims_of(token):
        return f"a JWT of {len(token)} characters"
    parts = f"{token.count('.') + 1} parts, " if "." in token else ""
    return f"opaque, {parts}{len(token)} characters"
