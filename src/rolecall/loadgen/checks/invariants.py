"""Checks every answer with a token: 8 to 10 us for each.

The rules are those of the suite: the token answer's schema, `conformance.claims`, the readings of
the target. What is new under load is *who* and *how often*.

Whose tokens. The account says who its user is, or most of its log-ins do (`owners`); every answer
must name that user, in its own member and in the JWT, and no two accounts have the same. A refresh
token says whose it is only if its form does: if it begins with the id of another user that is known
here, or if refresh tokens of this server have begun with their user's id and this one begins with
another id.

What may come twice. The specification says of a refresh that "the new access token and refresh
token should be used", and not what becomes of the old one (AMB-08), so:

* An access token with a `jti` is known by that, one without by its whole text. It may come again in
  answer to the same refresh token: a server may answer a repeated refresh as it answered the first
  one (a race, a grace window). `iat` counts whole seconds, so two tokens of one user and one second
  may be the same to the letter. A token whose `iat` is not past was issued now, whatever its `jti`:
  some servers give all tokens of a user one.
* An old token is one of which the server's clock, which the other tokens show, had gone on by
  `_ONE_SECOND` before it was asked for: it was not issued now. A refresh gives a *new* access
  token, so an old one that comes again is a violation (`token-repeated`). Tokens that are so old
  when they are new here show that the server has several clocks, and this rule is dropped.
* No sentence says that a log-in gives a new access token, or a session of its own: SEC-I18 is
  advice, and so are an old token, a `jti` and a refresh token that come again for the same user
  (`session-repeated`). A session that shares its refresh token is not gone on with.
* A refresh token of two users is a violation (`refresh-token-repeated`): "the payload consists of
  the refreshToken and a clientId being the user or bot email", and it can be only one's. In answer
  to a refresh it may be the one that was sent (a server that does not rotate), or one that was
  given out for the same refresh token before.

What may be refused. Each refusal that becomes a violation breaks a sentence of the specification,
and is one only where nothing lawful explains it; `sessions` keeps account of that, and has the
argument:

* a log-in (`login-refused`): "To obtain an access token, make a POST request ... Response: 200 OK".
  Wrong credentials would explain it, so the account has to have been let in before. Limits on
  guessing and on load would, too: 429, 423, 5xx, 408 and 425 are no refusals, nor is 409, of
  another log-in of the user that is under way (RFC 9110 15.5.10). Here and below a web page or a
  redirect is none either (`outcome_of_answer`).
* a refresh (`chain-broken`): "we can create new access tokens by using the refresh token". Another
  refresh of the session explains it, or another log-in of the account, a second use of a refresh
  token, the end of the refresh token's life; by GET, of the access token's.
* a token (`token-dead`, `allowed-denied`): "We can make protected api calls with the accessToken".
  The same explains it, and a refresh that was sent since, even if its answer never came.
* in a race: see `races`.

Tokens are decoded anew every time: the payloads of a real server differ, so to remember them would
help in a benchmark only.

Longer than 400 lines because the argument above belongs to the code, and the code is one state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf
from time import perf_counter
from typing import Any

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.owners import TELLING, Owners
from rolecall.loadgen.checks.races import outcome_of_answer
from rolecall.loadgen.checks.seen_tokens import (
    PLACES,
    USER_BITS,
    SeenTokens,
    fingerprint,
    own_fingerprint,
)
from rolecall.loadgen.checks.server_clocks import ServerClocks
from rolecall.loadgen.checks.sessions import (
    Harmless,
    Holder,
    LoginSession,
    Path,
    Refresh,
    SessionGrant,
)
from rolecall.loadgen.checks.token_answer import (
    Claims,
    TokenAnswer,
    is_unicode,
    jwt_claims,
    jwt_segment,
    read_json,
    shown,
    token_answer,
    token_answer_in,
    what_is_wrong,
    what_is_wrong_with_the_body,
)
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.claims import LIFETIME_TOLERANCE, role_of_scope
from rolecall.spec.ids import own_id
from rolecall.spec.model import Dialect, Specification

_ID = re.compile(r"[0-9a-f]{24}")
#: Seconds by which a token is older than those of the second in which it was asked for: one for
#: `iat`, which is whole, and one for us.
_ONE_SECOND = 2.0
_CONFLICT = 409
_FEW = 20  # one in so many
#: Scopes, and heads of tokens; a server has a handful of short ones.
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 256, 1024

_SHARED = ("session-repeated", "the refresh token was given out before, for another session")
_OF_TWO_USERS = ("refresh-token-repeated", "the refresh token was given to another user before")
_OLD = ("token-repeated", "the refresh gave an access token that was given out before")
_SAME_LOGIN = ("session-repeated", "the log-in gave an access token that was given out before")
_SAME_JTI = ("session-repeated", "the access token, or its jti, was given out before")
_ELSEWHERE = (
    " on another connection than the one on which it was given: several processes, or machines, "
    "may not share what they know"
)
#: What does not keep a client from going on with the tokens.
_HARMLESS = frozenset({_SAME_LOGIN, _SAME_JTI})


def _repeated(age: int, *, refreshed: bool) -> tuple[str, str]:
    """What is wrong with a token that is known: the kind, and the message.

    Args:
        age: seconds for which it has been there; 0 where it was issued now, as far as is known.
        refreshed: whether a refresh gave it.
    """
    if not age:
        return _SAME_JTI
    return _OLD if refreshed else _SAME_LOGIN


class Invariants:
    """Looks at the answers of one worker.

    Args:
        spec: the target's own, as of `Specification.for_target`.
        violations: where what is found is reported.
        tells: whether fingerprints are collected for a master (`take`).
        sessions_coexist: False where a log-in is known to end the user's other sessions.
        shared_accounts: whether other workers log in as the same accounts.
    """

    def __init__(
        self,
        spec: Specification,
        dialect: Dialect,
        violations: Violations,
        *,
        tells: bool = False,
        sessions_coexist: bool = True,
        shared_accounts: bool = False,
        places: int = PLACES,
    ) -> None:
        self.violations = violations
        self._lone = not sessions_coexist
        self._shared = shared_accounts
        self._roles = spec.roles
        self._other_scopes = dialect.other_scopes
        self._issued: tuple[int, ...] = dialect.issued
        self._refreshed: tuple[int, ...] = dialect.refreshed
        self._profile = spec.operations["fetch-user-self"].success
        self._shortest = dialect.lifetime - LIFETIME_TOLERANCE
        self._longest = dialect.lifetime + LIFETIME_TOLERANCE
        self._fingerprint = fingerprint if tells else own_fingerprint
        self._tokens = SeenTokens(places, tells=tells)
        self._refresh_tokens = SeenTokens(places, tells=tells)
        self._owners = Owners(violations, self._fingerprint, tells=tells)
        self._harmless = Harmless()
        self._server_clocks = ServerClocks()
        self._holders: dict[str, Holder] = {}  # by e-mail
        self._role_of: dict[str, str] = {}  # by scope
        self._heads: set[str] = set()  # first parts of tokens that are in order
        self._names_user = False  # whether refresh tokens here begin with their user's id
        self._clock = -inf  # how far the server's clock is ahead of ours, at least
        self._newest = -(2**63)  # the latest `iat`
        self._all = self._old = 0  # tokens: all, and those that were old when they were new here

    @property
    def users(self) -> set[str]:
        """The users whom the accounts were given."""
        return set(self._owners.accounts)

    def holder(self, email: str) -> Holder | None:
        """What is known of an account; None where it has not been logged in here."""
        return self._holders.get(email)

    # --- Before the sending ---------------------------------------------------------------------

    def log_in(self, account: LoadAccount) -> LoginSession:
        """Note that a log-in is sent now; `logged_in` or `LoginSession.unanswered` is to follow."""
        holder = self._holders.get(account.email)
        if holder is None:
            holder = Holder(account, self._harmless, lone=self._lone, shared=self._shared)
            self._holders[account.email] = holder
        return LoginSession(holder)

    @staticmethod
    def refresh(grant: SessionGrant, path: Path, *, racing: bool = False) -> Refresh:
        """Note that a refresh is sent now; `refreshed` or `Refresh.unanswered` is to follow."""
        return Refresh(grant, path, racing=racing)

    # --- Answers of the token endpoint ----------------------------------------------------------

    def logged_in(
        self, session: LoginSession, response: Response, request: bytes
    ) -> SessionGrant | None:
        """Check the answer to a log-in; None if it gives no tokens."""
        if response.status not in self._issued and not self._answers_login(
            session, response, request
        ):
            return None
        session.opened()
        return self._granted(session, None, response, request)

    def refreshed(
        self, refresh: Refresh, response: Response, request: bytes, *, judged: bool = True
    ) -> SessionGrant | None:
        """Check the answer to a refresh; None if it gives no tokens.

        Args:
            judged: whether a refusal is a violation where nothing explains it; not in a race, which
                is judged as a whole.
        """
        if response.status not in self._refreshed and not self._answers_refresh(
            refresh, response, request, judged
        ):
            return None
        refresh.granted()
        return self._granted(refresh.previous.session, refresh, response, request)

    def _granted(
        self, session: LoginSession, refresh: Refresh | None, response: Response, request: bytes
    ) -> SessionGrant | None:
        """Look at an answer that should give tokens."""
        # Longer than 40 lines because every answer comes through here, and calls cost time.
        content = self._content(response, request)
        if content is None:
            session.holder.unnamed += refresh is None
            return None
        given, claims = content
        token, refresh_token = given.token, given.refresh_token
        named, lifetime = claims.user, claims.exp - claims.iat
        holder = session.holder
        if not holder.user:
            self._owners.meet(holder, named, request, response)
        wrong: list[tuple[str, str]] = []
        if (
            named == given.user == holder.user
            and self._role_of.get(given.scope) == holder.account.role
            and given.scope == claims.scope
            and self._shortest <= lifetime <= self._longest
            and refresh_token.startswith(holder.prefix)
        ):
            self._names_user = True
        else:  # something is wrong, or in order in a less common way
            wrong += self._misfits(holder, given, claims, refresh)
        if refresh is None:
            previous, owner, asked, latest = None, holder.mark, session.sent, 0
        else:
            previous, asked, latest = refresh.previous, refresh.asked, refresh.latest
            owner = previous.refresh_fingerprint & ~USER_BITS | holder.mark
        if not self._is_new(token, claims, owner, holder, asked):
            age = self._age(claims, asked)
            lifetime -= age
            wrong.append(_repeated(age, refreshed=previous is not None))
        if previous is not None and refresh_token == previous.refresh_token:
            mine = previous.refresh_fingerprint
        else:
            mine = self._fingerprint(refresh_token)
            if not self._refresh_tokens.add(mine, owner):
                is_own = self._refresh_tokens.is_of_user(mine, owner)
                wrong.append(_SHARED if is_own else _OF_TWO_USERS)
        for kind, message in wrong:
            if message:  # else it is told already
                self.violations.report(kind, message, request, response)
        return SessionGrant(
            token,
            refresh_token,
            named,
            session,
            latest,
            asked,
            lifetime,
            mine,
            not wrong or all(found in _HARMLESS for found in wrong),
        )

    def _answers_login(self, session: LoginSession, response: Response, request: bytes) -> bool:
        """Check an unexpected status of a log-in: whether to look for tokens all the same."""
        outcome, holder = outcome_of_answer(response), session.holder
        if outcome == "granted":
            self.violations.report(
                "status", f"a token was given with status {response.status}", request, response
            )
            return True
        if outcome != "refused" or response.status == _CONFLICT:
            session.unanswered(left=outcome == "unknown")
            return False
        holder.logins.end()
        holder.unnamed += 1
        if holder.user:
            message = f"a user who has logged in before is answered {response.status}"
            self.violations.report("login-refused", message, request, response)
        else:
            holder.refused = response.status
        return False

    @property
    def refused(self) -> dict[str, int]:
        """The accounts that were never let in, by e-mail, each with the status that refused it
        last: their passwords may be wrong.
        """
        return {
            email: holder.refused
            for email, holder in self._holders.items()
            if holder.refused and not holder.user
        }

    def _answers_refresh(
        self, refresh: Refresh, response: Response, request: bytes, judged: bool
    ) -> bool:
        """Check an unexpected status of a refresh, as `_answers_login` does."""
        outcome = outcome_of_answer(response)
        if outcome == "granted":
            self.violations.report(
                "status", f"a token was given with status {response.status}", request, response
            )
            return True
        if outcome != "refused":
            refresh.unanswered(left=outcome == "unknown")
            return False
        if judged and not refresh.may_be_refused:
            message = f"a refresh with the last refresh token is answered {response.status}"
            self.violations.report("chain-broken", message, request, response)
        refresh.previous.session.end()
        return False

    def _content(self, response: Response, request: bytes) -> tuple[TokenAnswer, Claims] | None:
        """The answer's members and its token's claims; None, and a report, without tokens."""
        given = token_answer_in(response.body)
        if given is None:  # it is none, or is written in a less common way
            document = read_json(response.body)
            given = token_answer(document)
            if given is None:
                message = f"the answer is wrong: {what_is_wrong(document)}"
                self.violations.report("shape", message, request, response)
                return None
            if not is_unicode(given.refresh_token, given.user, given.scope):
                message = "a text in the answer holds half a character (RFC 8259 8.2)"
                self.violations.report("shape", message, request, response)
                return None
        claims = self._claims(given.token)
        if claims is None:
            self.violations.report(
                "jwt", "the token is not a signed JWT with _id, iat and exp", request, response
            )
            return None
        return given, claims

    def own_profile(
        self,
        grant: SessionGrant,
        response: Response,
        request: bytes,
        *,
        judged: bool = True,
        elsewhere: bool = False,
    ) -> bool:
        """Check the answer to "fetch user details (self)"; `LoginSession.use` came before.

        Args:
            judged: whether a refusal is a violation where nothing explains it.
            elsewhere: whether the token was given on another connection.

        Returns:
            Whether it is the profile of the token's user.
        """
        if response.status in self._profile:
            document = read_json(response.body)
            found = own_id(document)
            if message := what_is_wrong_with_the_body("fetch-user-self", response, document):
                self.violations.report("body", message, request, response)
                if not found:
                    return False
            if found == grant.user:
                if grant.sound:  # else it is another session's
                    grant.session.let_in(refreshed=False, read=True)
                return True
            kind = "profile-of-another" if found else "allowed-not-shown"
            message = (
                f"the token of user {grant.user} shows {f'user {found}' if found else 'no user'}"
            )
            self.violations.report(kind, message, request, response)
        elif judged and outcome_of_answer(response) == "refused" and not grant.may_be_refused:
            where = _ELSEWHERE if elsewhere else ""
            message = f"a new access token is answered {response.status}{where}"
            self.violations.report("token-dead", message, request, response)
        return False

    def compare_clocks(self, grant: SessionGrant, response: Response, request: bytes) -> None:
        """Look at the time at which a refreshed token says that it was issued, now that it came."""
        claims = self._claims(grant.token)
        if claims is None or not grant.sound:
            return
        apart = self._server_clocks.difference(int(claims.iat), grant.asked, perf_counter())
        if apart:
            message = (
                f"two tokens say that they were issued {apart} s further apart than they were: the "
                "server has several clocks, and one of the two does not end 24 hours after it was "
                "issued"
            )
            self.violations.report("lifetime", message, request, response)

    # --- What is wrong --------------------------------------------------------------------------

    def _misfits(
        self, holder: Holder, given: TokenAnswer, claims: Claims, refresh: Refresh | None
    ) -> Iterator[tuple[str, str]]:
        """What does not fit the caller, as kind and message; each kind once. What is told already
        has no message.
        """
        named, lifetime = claims.user, claims.exp - claims.iat
        foreign, wider = (
            ("refreshed-another-user", "refreshed-scope") if refresh else ("another-user", "scope")
        )
        if named != holder.user:
            if refresh and named == refresh.previous.user:
                message = ""  # what is wrong was the log-in: the refresh keeps its user
            elif refresh:
                message = f"the token is user {named}'s, and was asked for by user {holder.user}"
            else:
                message = self._owners.contradiction(holder, named)
            if named != holder.user:
                yield foreign, message
                return  # all else is that user's, too
        if given.user != named:
            yield "user-mismatch", f"the answer's user is {given.user}, the JWT's {named}"
        for where, scope in (("the JWT", claims.scope), ("the answer", given.scope)):
            if self._role(scope) != holder.account.role:
                yield (
                    wider,
                    (
                        f"the scope in {where} is {shown(scope)}, the user's role "
                        f"{holder.account.role}"
                    ),
                )
                break
        if not self._shortest <= lifetime <= self._longest:
            yield "lifetime", f"exp - iat is {lifetime} s"
        if stranger := self._stranger(given.refresh_token, holder):
            yield (
                foreign,
                f"the refresh token is user {stranger}'s, and was asked for by user {holder.user}",
            )

    def _stranger(self, refresh_token: str, holder: Holder) -> str:
        """The other user that a refresh token names; empty where it names none.

        A front that is short may be anything, and be some user's id by coincidence: numbers are
        both.
        """
        front, dot, rest = refresh_token.partition(".")
        named: Any = front
        if front.startswith("eyJ"):
            claims = jwt_segment(rest.partition(".")[0])
            named = claims.get("_id") if isinstance(claims, dict) else None
        if not dot or not isinstance(named, str) or len(named) < TELLING:
            return ""
        if named == holder.user:
            self._names_user = True
            return ""
        return (
            named
            if named in self._owners.accounts or (self._names_user and _ID.fullmatch(named))
            else ""
        )

    # --- Tokens ---------------------------------------------------------------------------------

    def _claims(self, token: str) -> Claims | None:
        """The claims of a signed JWT with a user, iat and exp; its signature is not verified.

        A JWT is three parts in base64url without padding, and nothing else (RFC 7515 2 and 3.1).
        """
        try:
            head, payload, signature = token.split(".")
        except ValueError:
            return None
        claims = jwt_claims(payload)
        if (
            claims
            and (head in self._heads or self._is_head(head))
            # Letters, digits, - and _, as an identifier of Python's is: four times as fast as an
            # expression.
            and signature
            and f"_{signature.replace('-', '_')}".isidentifier()
            and signature.isascii()
            and len(signature) % 4 != 1
        ):
            return claims
        return None

    def _is_head(self, head: str) -> bool:
        """Whether this is the first part of a token with a signature algorithm."""
        document = jwt_segment(head)
        algorithm = document.get("alg") if isinstance(document, dict) else None
        good = isinstance(algorithm, str) and algorithm.lower() not in ("none", "")
        if good and len(self._heads) < _MOST_REMEMBERED and len(head) < _LONGEST_REMEMBERED:
            self._heads.add(head)
        return good

    def _is_new(self, token: str, claims: Claims, owner: int, holder: Holder, asked: float) -> bool:
        """Whether a token, or its jti, is not known, or may come again.

        Args:
            asked: when the first request was sent that may have got it (`time.perf_counter`).
        """
        jti = claims.jti
        self._all += 1
        if type(jti) is str and jti:
            is_new = self._tokens.add(self._fingerprint(jti), owner)
            if claims.iat != self._newest and self._is_old(int(claims.iat), asked):
                self._old += is_new
            return is_new
        text = self._fingerprint(token)
        if not self._is_old(int(claims.iat), asked):
            return self._tokens.add(text, holder.fingerprint)
        if not self._tokens.knows(text):
            self._old += 1
            return True
        has_one_clock = self._old * _FEW <= self._all
        return not has_one_clock and self._tokens.add(text, holder.fingerprint)

    def _is_old(self, issued: int, asked: float) -> bool:
        """Whether a token of this `iat` was there before it was asked for; it may show the clock.

        What comes later in a second shows less of it than the first one.
        """
        if issued > self._newest:
            self._newest = issued
            self._clock = max(self._clock, issued - perf_counter())
        return issued + _ONE_SECOND <= asked + self._clock

    def _age(self, claims: Claims, asked: float) -> int:
        """Seconds for which an old token has been there already; 0 where that is not certain."""
        age = asked + self._clock - claims.iat
        has_one_clock = self._old * _FEW <= self._all
        return int(age) if has_one_clock and age >= _ONE_SECOND else 0

    def _role(self, scope: object) -> str:
        """The role that a scope stands for."""
        if not isinstance(scope, str):
            return ""
        role = self._role_of.get(scope)
        if role is None:
            role = role_of_scope(scope, self._roles, self._other_scopes)
            if len(self._role_of) < _MOST_REMEMBERED and len(scope) < _LONGEST_REMEMBERED:
                self._role_of[scope] = role
        return role

    def take(self) -> dict[str, bytes]:
        """The fingerprints since the last call, for `AcrossWorkers`; users with their accounts."""
        return {
            "tokens": self._tokens.take(),
            "refresh_tokens": self._refresh_tokens.take(),
            "users": self._owners.take(),
        }
