"""Expired tokens that are sent under load, and which answers to them are violations.

They come by the ways of ``[expiry]`` in the target file:

===========  =======================================================================================
bank         issued on an earlier night, and put in the bank by ``rolecall certify``
signing key  made with the target's key; one made alike that has not expired is let in
clock        issued before the target's clock was moved past their end (`rolecall.loadgen.clock`)
===========  =======================================================================================

``command`` and ``wait`` are left to the suite. A token is used only where it was refused as expired
before the load: what is not is the suite's to judge. From then on, who lets it in breaks
EXPIRY-403. So does who refuses it with another status that is about tokens (401), unless the
token's session may have been ended since: a server need not look at a token's end before it looks
whether it was revoked. Overload (429, 5xx) and all else say nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import jwt

from rolecall.errors import UsageError
from rolecall.jwt_forging import compact, signed_by
from rolecall.loadgen.checks.sessions import Holder, SessionGrant
from rolecall.spec.claims import lifetime, numeric_date
from rolecall.target import ExpiryOptions
from rolecall.token_bank import TokenBank
from rolecall.tokens import claims_of, header_of

#: Seconds by which a token is past its end before it counts as expired, as in the suite
#: (`conformance.expiry`).
MARGIN = 62
#: Seconds; a token that lives no longer is waited for.
_SOON = 10
BANK, KEY, CLOCK = "bank", "signing key", "clock"
_OR_GIVE = "give bank or signing_key_env under [expiry] in the target file"
_GIVE = "give bank, signing_key_env or clock_url under [expiry] in the target file"


@dataclass(frozen=True)
class Kept:
    """An expired token that was issued before the run."""

    role: str
    user: str
    email: str
    token: str = field(repr=False)
    way: str = CLOCK


@dataclass(frozen=True)
class Left:
    """The tokens that expired when the clock was moved, or why there are none."""

    tokens: tuple[Kept, ...] = ()
    why_not: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write it to a file that only its owner reads."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` has written.

        Raises:
            UsageError: it is not there, or it is something else.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                tuple(Kept(**token) for token in found["tokens"]), tuple(map(str, found["why_not"]))
            )
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise UsageError(
                str(path), f"this is not a file of expired tokens: {type(error).__name__}"
            ) from None


class Presented:
    """One use of an expired token, from its sending on."""

    def __init__(
        self, token: str, user: str, may_be_refused: Callable[[], bool], seen: Callable[[], None]
    ) -> None:
        self.token = token
        self.user = user
        self._may_be_refused = may_be_refused
        #: To be called where it was answered as an expired token is.
        self.seen = seen

    @property
    def may_be_refused(self) -> bool:
        """Whether there is a lawful reason why it may be refused otherwise than as expired now."""
        return self._may_be_refused()

    def unanswered(self, *, left: bool) -> None:
        """It got no answer: that changes nothing."""


class ExpiredTokens:
    """The sources of expired tokens.

    Args:
        options: ``[expiry]`` of the target file.
        base_url: under which the bank keeps its tokens.
        left: what has expired because the clock was moved.

    Attributes:
        why_not: of each way that leads nowhere, why.
    """

    def __init__(self, options: ExpiryOptions, base_url: str, left: Left = Left()) -> None:
        self._options = options
        self._base_url = base_url
        self._kept = {(token.way, token.role): token for token in left.tokens}
        self._certain: dict[
            str, int
        ] = {}  # log-ins of an account, by e-mail, that have not ended its expired session
        self._made: dict[str, tuple[SessionGrant, str]] = {}
        self.why_not = list(left.why_not)

    def ways(
        self, callers: Mapping[str, SessionGrant], let_in: Callable[[SessionGrant, str], bool]
    ) -> list[tuple[str, str]]:
        """The sources that work, each with a role.

        Args:
            callers: who is logged in, by role.
            let_in: whether a token of this grant's user is let in.
        """
        if self._options.bank:
            self._open_bank(callers)
        found = [(way, role) for way, role in self._kept if role in callers]
        if self._options.signing_key and callers and self._key_fits(callers, let_in):
            found += [(KEY, role) for role in callers]
        if not found and not self.why_not:
            self.why_not.append(self._nothing_given(callers))
        return found

    def _nothing_given(self, callers: Mapping[str, SessionGrant]) -> str:
        if not callers:
            return "no role is logged in"
        if self._options.clock_url:
            return (
                "the clock is moved by the rolecall load that begins a run, for its own "
                f"processes alone; {_OR_GIVE}"
            )
        if self._options.command or self._options.wait:
            return f"command and wait under [expiry] are for certify only; {_GIVE}"
        return f"the target file names no source of them; {_GIVE}"

    def _open_bank(self, callers: Mapping[str, SessionGrant]) -> None:
        """Take the newest token of each role that has expired."""
        now = min((_issued(grant) for grant in callers.values()), default=0.0)
        try:
            deposits = TokenBank.of(self._options, self._base_url).deposits()
        except UsageError as error:
            self.why_not.append(str(error))
            return
        expired = [deposit for deposit in deposits if deposit.expires < now - MARGIN]
        for deposit in sorted(expired, key=lambda deposit: deposit.expires):
            self._kept[BANK, deposit.role] = Kept(
                deposit.role, deposit.user, deposit.email, deposit.token, BANK
            )
        if not expired:
            self.why_not.append(
                "the bank holds no expired token of this target: run rolecall certify today, and "
                "this tomorrow"
            )

    def _key_fits(
        self, callers: Mapping[str, SessionGrant], let_in: Callable[[SessionGrant, str], bool]
    ) -> bool:
        """Whether the target takes an unexpired token made with the key."""
        try:  # with each, since a session may have ended, or an answer be lost
            fits = any(
                let_in(
                    grant,
                    self._forged_like(grant.token, max(1, min(2 * MARGIN, grant.lifetime // 4))),
                )
                for grant in callers.values()
            )
        except (ValueError, TypeError, jwt.PyJWTError):
            self.why_not.append(
                "the key of [expiry] signing_key_env does not fit the algorithm "
                f"{self._options.algorithm}"
            )
            return False
        if not fits:
            self.why_not.append(
                "the target does not take tokens made with the key of [expiry] signing_key_env "
                "and algorithm"
            )
        return fits

    def _forged_like(self, token: str, earlier: float) -> str:
        """A token like this one, issued so many seconds earlier."""
        algorithm, claims = self._options.algorithm, claims_of(token)
        times = {name: int(claims[name] - earlier) for name in ("iat", "exp")}
        return compact(
            header_of(token) | {"alg": algorithm},
            claims | times,
            signed_by(algorithm, self._options.signing_key.encode()),
        )

    def ending(self, token: str, seconds: float) -> str:
        """A token like this one that ends so many seconds after this one was issued: this one where
        it lives no longer, else one made with the key; empty without a key that fits.
        """
        lives = lifetime(claims_of(token))
        if lives is None or lives <= _SOON:
            return token if lives else ""
        try:
            return self._forged_like(token, lives - seconds) if self._options.signing_key else ""
        except (ValueError, TypeError, jwt.PyJWTError):
            return ""

    def present(
        self, way: str, role: str, grant: SessionGrant, holder_of: Callable[[str], Holder | None]
    ) -> Presented:
        """The role's expired token of a way, to be sent now.

        Args:
            grant: what the role is logged in with.
            holder_of: what is known of an account, by its e-mail.
        """
        if way == KEY:
            before, token = self._made.get(role, (None, ""))
            if before is not grant:
                token = self._forged_like(grant.token, grant.lifetime + 2 * MARGIN)
                self._made[role] = grant, token
            return Presented(token, grant.user, lambda: grant.may_be_refused, lambda: None)
        kept = self._kept[way, role]
        holder = holder_of(kept.email)
        over = holder.logins.over if holder else 0

        def may_be_refused() -> bool:
            known = holder or holder_of(kept.email)
            certain = self._certain.get(kept.email, 0)
            return (
                known is None
                or known.shared
                or known.lone
                or known.logins.begun > certain
                or bool(known.reuses.begun)
            )

        def seen() -> None:
            self._certain[kept.email] = max(over, self._certain.get(kept.email, 0))

        return Presented(kept.token, kept.user, may_be_refused, seen)


def _issued(grant: SessionGrant) -> float:
    """When a grant's token was issued, by the target's clock: its time is that, or later."""
    issued = numeric_date(claims_of(grant.token), "iat")
    return time.time() if issued is None else issued
