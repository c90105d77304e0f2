"""Sends forged tokens to protected endpoints and checks that each is rejected."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from rolecall.evidence import Exchange, cite
from rolecall.jwt_forging import OwnKey, Parts, Sign, compact, own_key_for, own_keys, signed_by
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.pausing import this_moment
from rolecall.spec.ids import identifiers
from rolecall.spec.model import SIGNING_KEY, Operation
from rolecall.tokens import Caller
from rolecall.toolkit.clock import TOO_FAR_APART, by_issue, date_of
from rolecall.toolkit.expectations import any_of, is_turned_away
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.target_time import target_time
from rolecall.toolkit.things import Request
from rolecall.toolkit.turns import after_one_who_may
from rolecall.toolkit.world import World

#: Where servers publish their public keys, by custom.
KEY_SET = "/.well-known/jwks.json"


@dataclass(frozen=True)
class TargetKey:
    """The key that the target signs with."""

    algorithm: str
    sign: Sign = field(repr=False)
    secret: bytes = field(repr=False)


def no_key(reason: str) -> NotTested:
    """The reason why nothing can be signed as the target signs."""
    return NotTested(reason, SIGNING_KEY)


#: The statuses of a server to which a header, or a request, is too long.
TOO_LONG = (413, 431)


class Attacker:
    """Sends forged tokens in requests that an issued token was seen to open."""

    def __init__(self, world: World) -> None:
        self._world = world

    # --- Protected requests ---------------------------------------------------------------------

    @property
    def reserved(self) -> list[Operation]:
        """The reads that the highest role alone may do; the first is a list."""
        spec = self._world.spec
        return [
            operation
            for operation in spec.operations.values()
            if operation.effect in ("list", "fetch")
            and spec.allowed_roles(operation.name) == (self._world.highest,)
        ]

    async def protected_requests(self, caller: Caller | None = None) -> list[Request]:
        """A fetch of the caller's own user, and a list that only the highest role may read.

        Raises:
            Inconclusive: neither is open to the real token.
        """
        highest = await self._world.user(self._world.highest)
        wanted = (
            (self._world.spec.operations["fetch-user-self"], caller or highest),
            (self.reserved[0], highest),
        )
        protected_requests = []
        for operation, owner in wanted:
            with contextlib.suppress(NotTested):
                if protected_request := await self.protected_request(operation, owner):
                    protected_requests.append(protected_request)
        if not protected_requests:
            raise Inconclusive(
                "a request that an issued token opens",
                "PERM-fetch-user-self, PERM-list-services",
            )
        return protected_requests

    async def protected_request_for(self, spelling: str, spellings: Iterable[str]) -> Request:
        """One of the two, by turns: for what is tried in many spellings."""
        protected_requests = await self.protected_requests()
        return protected_requests[list(spellings).index(spelling) % len(protected_requests)]

    @shared_setup
    async def forger(self) -> Caller | None:
        """Has the highest role's claims under a key of ours; None where all is open (SEC-J06)."""
        highest = await self._world.user(self._world.highest)
        parts, own = Parts.of(highest.token), self._world.spec.operations["fetch-user-self"]
        forger = unissued(parts.forged_with(own_key_for(parts.algorithm)))
        own_user = await self._world.request(own, highest)
        is_open = (await self._world.perform(own_user, forger, attack="AUTH-required")).ok
        return None if is_open else forger

    async def protected_request_of_everybody(self) -> Request:
        """A fetch that every role may do: it opens to any token that is accepted at all.

        Raises:
            Inconclusive: it is open to no issued token.
        """
        signs = self._world.signs_of_life(self._world.roles[0])
        operation = next(operation for operation in signs if not operation.is_self)
        for role in self._world.roles:
            if protected_request := await self.protected_request(
                operation, await self._world.user(role)
            ):
                return protected_request
        raise Inconclusive("a request that every role may do", operation.requirement)

    async def protected_request(self, operation: Operation, owner: Caller) -> Request | None:
        """The request of a read, if its owner was seen to be allowed it; else None."""
        control = await self._world.reads(owner, operation.name)
        if not self._world.dialect.allows(operation, control):
            return None
        cite(control, "control")
        return await self._world.request(operation, owner)

    # --- What must not be let in ----------------------------------------------------------------

    async def expect_rejected(
        self,
        token: str = "",
        *,
        attack: str,
        headers: Mapping[str, str] | None = None,
        protected_requests: Iterable[Request] | None = None,
        statuses: tuple[int, ...] = (),
    ) -> list[Exchange]:
        """Each protected request rejects a token, or ``headers``; the issued token still works.

        A refusal may be answered with any of ``statuses``; by default as a request without a valid
        token is.

        Raises:
            Finding: one opens, or the answer is not a refusal.
        """
        answers = []
        caller = unissued(token) if token else None
        for protected_request in (
            await self.protected_requests() if protected_requests is None else protected_requests
        ):
            answer = await self._world.perform(
                protected_request, caller, attack=attack, headers=headers
            )
            try:
                self.check_rejected(answer, protected_request, statuses)
            except Finding:
                lowest, spec = self._world.roles[0], self._world.spec
                is_shown = 400 <= answer.status < 500 and _sees(answer, protected_request)
                if is_shown and not spec.allows(protected_request.operation.name, lowest):
                    await self._expect_shut(protected_request, await self._world.user(lowest))
                raise
            answers.append(answer)
        await self._world.alive(await self._world.user(self._world.highest), answers[-1].finished)
        return answers

    def check_rejected(
        self, answer: Exchange, protected_request: Request, statuses: tuple[int, ...] = ()
    ) -> None:
        """The answer is a refusal, and shows nothing of the protected thing.

        Raises:
            Finding: it is let in, or the answer is none of ``statuses``.
        """
        cite(answer, "answer")
        statuses = statuses or self._world.dialect.anonymous
        expected = f"{any_of(sorted(set(statuses)))}: not let in"
        if answer.ok:
            who = (
                f" as user {answer.document.get('id')!r}"
                if protected_request.operation.is_self
                else ""
            )
            raise Finding(expected, f"{answer.status}: let in{who}", answer)
        if 300 <= answer.status < 400:
            raise Finding(expected, f"{answer.status}: a redirect is not a refusal", answer)
        if answer.status >= 500:
            raise Finding(expected, f"{answer.status}: a server error is not a refusal", answer)
        self._expect_no_sight(answer, protected_request)
        if answer.status not in statuses and not is_turned_away(answer):
            raise Finding(expected, f"{answer.status}", answer)

    def judge_denied(self, answer: Exchange, protected_request: Request) -> None:
        """The answer denies what the token's own role may not do, or rejects the token.

        Raises:
            Finding: it is let in, or the answer is not a refusal.
        """
        dialect = self._world.dialect
        if dialect.denies_as_specified(protected_request.operation, answer):
            self._expect_no_sight(answer, protected_request)
            cite(answer, "answer")
        else:
            self.check_rejected(answer, protected_request, (*self.unreadable, *dialect.denied))

    async def expect_denied(
        self, answer: Exchange, protected_request: Request, plainly: Caller
    ) -> None:
        """Check as `judge_denied` does, if the same request is denied without the attack.

        Raises:
            Finding: it is let in, and the same request by ``plainly``, who may not, is refused,
                right after one who may as well, and with another status.
            Inconclusive: that is let in, too.
        """
        try:
            self.judge_denied(answer, protected_request)
        except Finding:
            usual = await self._expect_shut(protected_request, plainly)
            if not 400 <= answer.status == usual.status < 500 or _sees(answer, protected_request):
                raise

    async def _expect_shut(self, protected_request: Request, plainly: Caller) -> Exchange:
        """Who may not is refused plainly, and shown nothing.

        Raises:
            Inconclusive: it is let in, or shown the thing, which is the finding of its cell.
        """
        usual = await after_one_who_may(self._world, protected_request, plainly)
        is_open = self._world.dialect.allows(protected_request.operation, usual)
        if is_open or _sees(usual, protected_request):
            raise Inconclusive(
                f"{protected_request.operation.name} denied to {plainly}: {usual}",
                protected_request.operation.requirement,
            ) from None
        return usual

    @staticmethod
    def _expect_no_sight(answer: Exchange, protected_request: Request) -> None:
        if _sees(answer, protected_request):
            raise Finding(
                f"a refusal that shows nothing of {protected_request.fixture}",
                f"{answer.status} with it in the body",
                answer,
            )

    @property
    def unreadable(self) -> tuple[int, ...]:
        """The statuses with which a token that is not a JWT may be refused."""
        statuses: tuple[int, ...] = self._world.dialect.malformed
        return statuses

    @property
    def not_valid_or_long(self) -> tuple[int, ...]:
        """The statuses with which a JWT may be refused that is not valid, and longer than those of
        the target (RFC 6585 5).
        """
        return (*self._world.dialect.anonymous, *TOO_LONG)

    # --- Tokens and keys ------------------------------------------------------------------------

    async def issued(self) -> Parts:
        """The highest role's token, taken apart: what forged tokens are made of."""
        return Parts.of((await self._world.user(self._world.highest)).token)

    def own_key(self, kind: str) -> OwnKey:
        """A key of ours, by its kind in a JWK: RSA, EC or oct."""
        return own_keys()[kind]

    def own_key_for(self, algorithm: str) -> OwnKey:
        """A key of ours that a token of this algorithm could be signed with."""
        return own_key_for(algorithm)

    @shared_setup
    async def target_key(self) -> TargetKey:
        """The key that the target signs with, proven by a token made with it that is let in.

        Raises:
            NotTested: it is not given, or is not the one in use.
        """
        options = self._world.target.expiry
        if not options.signing_key:
            raise no_key(
                "no signing key: give signing_key_env (and algorithm) under [expiry] in the "
                "target file"
            )
        caller = await self._world.user(self._world.highest)
        parts = Parts.of(caller.token)
        if parts.algorithm != options.algorithm:
            raise no_key(
                f"[expiry] algorithm is {options.algorithm}, but the target signs with "
                f"{parts.algorithm}"
            )
        secret = options.signing_key.encode()
        try:
            key = TargetKey(options.algorithm, signed_by(options.algorithm, secret), secret)
            token = self._made(key, parts)
        except (ValueError, TypeError, jwt.PyJWTError):
            raise no_key(
                "signing_key_env under [expiry] does not name a private key for "
                f"{options.algorithm}"
            ) from None
        protected_request = (await self.protected_requests())[0]
        control = await self._world.perform(
            protected_request, Caller(caller.role, "made token", token, caller.user)
        )
        if not control.ok:
            raise no_key(
                "the key under [expiry] is not the one in use: an untampered token made with it "
                f"is refused ({control})"
            )
        return key

    async def made(
        self,
        caller: Caller,
        *,
        header: Mapping[str, Any] | None = None,
        body: bytes = b"",
        without: str = "",
        **claims: Any,
    ) -> str:
        """A token like a caller's, with other claims or header, signed with the target's own key.

        ``body`` are the claims as JSON text, where no writer writes such JSON; ``without`` names a
        claim to leave out.

        Raises:
            NotTested: as for `target_key`.
        """
        key = await self.target_key()
        return self._made(
            key, Parts.of(caller.token), header=header, body=body, without=without, claims=claims
        )

    @staticmethod
    def _made(
        key: TargetKey,
        parts: Parts,
        *,
        header: Mapping[str, Any] | None = None,
        body: bytes = b"",
        without: str = "",
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        # A second earlier than the real one: what is let in must have been made here.
        times = {
            name: value - 1
            for name, value in parts.claims.items()
            if name in ("iat", "exp") and type(value) is int
        }
        content = {**parts.claims, **times, **(claims or {})}
        content.pop(without, None)
        return compact({**parts.header, **(header or {})}, body or content, key.sign)

    # --- Time -----------------------------------------------------------------------------------

    async def now(self) -> float:
        """The target's time at least, by the clock that it writes into tokens.

        Raises:
            NotTested: as for `target_key`: whoever asks wants to sign for that time.
            Inconclusive: its clock and ours are too far apart, and its tokens do not show it.
        """
        await self.target_key()
        grant = (await self._world.user(self._world.highest)).grant
        low, high = skew(grant.exchange)
        far = low > TOO_FAR_APART or high < -TOO_FAR_APART
        now = await target_time(self._world, grant)
        if now.is_vague or (far and by_issue(grant) is None):
            raise Inconclusive(
                "the time of the target: its Date header is "
                f"{(low + high) / 2:+.0f} s from ours, and its tokens do not show it",
                "SEC-T11",
            )
        return now.earliest(this_moment())


def _sees(answer: Exchange, protected_request: Request) -> bool:
    """Whether an answer holds the id of the protected thing."""
    fixture = protected_request.fixture
    return fixture is not None and fixture.id in identifiers(answer.json)


def unissued(token: str) -> Caller:
    """A caller who has nothing but a token that the target did not issue."""
    return Caller("nobody", "made-up token", token, "")


def skew(exchange: Exchange) -> tuple[float, float]:
    """Seconds by which the target's clock is ahead of ours, at least and at most; else (0, 0).

    A Date header (RFC 9110 6.6.1) is in whole seconds, and was written between request and answer.
    """
    date = date_of(exchange)
    if date is None:
        return 0.0, 0.0
    wall = exchange.at - exchange.started
    return date - (wall + exchange.finished), date + 1 - (wall + exchange.started)
