"""What every answer with a token must be, looked at on every answer: 8 to 10 us for each, all told.

The rules are those of the suite: the token answer's schema, `conformance.claims`, the readings of the target. What is new under load
is *who* and *how often*.

Whose tokens. The first answer to an account says who its user is, unless the account does; from then on every answer must name that
user, in its own member and in the JWT, and no two accounts have the same. A refresh token says whose it is only if its form does:
if it begins with the id of another user that is known here, or if refresh tokens of this server have begun with their user's id and
this one begins with another id.

What may come twice. The specification says of a refresh that "the new access token and refresh token should be used", and not what
becomes of the old one (AMB-08), so:

* An access token with a `jti` is known by that, one without by its whole text. A `jti` never comes twice, but in answer to the same
  refresh token: a server may answer a repeated refresh as it answered the first one (a race, a grace window). As the continuation of
  itself it does not come: a refresh gives a new token.
* Without a `jti`, two tokens of one user and one second are the same to the letter, rightly: `iat` counts whole seconds. So such a
  token may come again for the same user, and for no other. That a refresh gives a new one the suite finds out, which has the time to
  wait for the next second.
* A refresh token never comes twice in answer to log-ins: each is a session of its own (SEC-I18). In answer to a refresh it may be
  the one that was sent (a server that does not rotate), or one that was given out for the same refresh token before. Everything
  else, above all one token for two users or for two sessions, is a violation.

What may be refused. A log-in of a user who has logged in before may not, nor a refresh with the last refresh token, unless the caller
says that something may have happened meanwhile (``certain=False``: a call without an answer, a race). Whether a log-in ends the
user's other sessions is an observation only (SEC-I18-first); where it does (``sessions_coexist=False``), only the newest session of an
account is certain. 429, and the statuses of servers that are not up to it (5xx, 408, 425), are no refusals.

Tokens are decoded anew every time: the payloads of a real server differ, so to remember them would help in a benchmark only.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any

import orjson

from rolecall.conformance.claims import LIFETIME_TOLERANCE, numeric_date, role_of_scope
from rolecall.conformance.tables import Dialect, Specification
from rolecall.load.accounts import Account
from rolecall.load.checks.uniqueness import PLACES, Seen, fingerprint, own_fingerprint
from rolecall.load.checks.violations import Violations
from rolecall.load.transport.wire import Response
from rolecall.schemas import faults

_TO_BASE64 = str.maketrans("-_", "+/")
_ID = re.compile(r"[0-9a-f]{24}")
#: Statuses of a server that is not up to it just now: no verdict about the request.
_PASSING = frozenset({408, 425, 429})
_TEXT_OR_NONE = frozenset({str, type(None)})
_LONGEST = 2**53
_MOST_REMEMBERED = 256  # scopes, and heads of tokens; a server has a handful
_ACROSS = "the same one was given out to another worker; the exchanges are not at hand any more"


class Grant:
    """What an account holds after an answer with a token.

    Attributes:
        expires: when the access token ends by its own claims, on this machine's clock (seconds of `time.perf_counter`).
        sound: whether nothing was wrong with the answer. Do not go on with one that is not: it may be another user's.
    """

    __slots__ = ("account", "expires", "login", "refresh_fingerprint", "refresh_token", "scope", "sound", "token", "user")

    def __init__(
        self,
        token: str,
        refresh_token: str,
        user: str,
        scope: str,
        expires: float,
        account: Account,
        login: int,
        refresh_fingerprint: int,
        sound: bool,
    ) -> None:
        self.token = token
        self.refresh_token = refresh_token
        self.user = user
        self.scope = scope
        self.expires = expires
        self.account = account
        self.login = login
        self.refresh_fingerprint = refresh_fingerprint
        self.sound = sound


class _Known:
    """What is known of an account: its user (with the fingerprint), and how often it has logged in."""

    __slots__ = ("fingerprint", "logins", "user")

    def __init__(self, user: str, fingerprint: int) -> None:
        self.user = user
        self.fingerprint = fingerprint
        self.logins = 0


class Invariants:
    """Looks at the answers of one worker.

    Args:
        spec: the target's own, as of `Specification.for_target`.
        violations: where what is found is reported.
        tells: whether fingerprints are collected for a master (`take`).
    """

    def __init__(
        self,
        spec: Specification,
        dialect: Dialect,
        violations: Violations,
        *,
        tells: bool = False,
        sessions_coexist: bool = True,
        places: int = PLACES,
    ) -> None:
        self.violations = violations
        self.sessions_coexist = sessions_coexist
        self._roles = spec.roles
        self._other_scopes = dialect.other_scopes
        self._issued: tuple[int, ...] = dialect.issued
        self._refreshed: tuple[int, ...] = dialect.refreshed
        self._profile = spec.operations["fetch-user-self"].success
        self._shortest = dialect.lifetime - LIFETIME_TOLERANCE
        self._longest = dialect.lifetime + LIFETIME_TOLERANCE
        self._fingerprint = fingerprint if tells else own_fingerprint
        self._tokens = Seen(places, tells=tells)
        self._refresh_tokens = Seen(places, tells=tells)
        self._known: dict[str, _Known] = {}
        self._emails: dict[str, str] = {}  # by user
        self._role_of: dict[str, str] = {}  # by scope
        self._heads: set[str] = set()  # first parts of tokens that are in order
        self._names_user = False  # whether refresh tokens here begin with their user's id

    # --- Answers of the token endpoint -------------------------------------------------------------------------------

    def grant(
        self, account: Account, response: Response, request: bytes, previous: Grant | None = None, *, certain: bool = True
    ) -> Grant | None:
        """Look at the answer to a log-in, or to a refresh with the refresh token of ``previous``.

        Args:
            certain: whether a refusal is a violation.

        Returns:
            What the answer gives; None if it gives no tokens.
        """
        content = self._content(account, response, request, previous, certain)
        if content is None:
            return None
        document, claims = content
        token, refresh_token, user, scope = document["token"], document["refreshToken"], document["user"], document["scope"]
        named, lifetime = claims["_id"], _lifetime(claims)
        known = self._known.get(account.email) or self._meet(account, named, request, response)
        wrong: list[tuple[str, str]] = []
        if (
            named == user == known.user
            and self._role_of.get(scope) == account.role
            and scope == claims.get("scope")
            and self._shortest <= lifetime <= self._longest
            and refresh_token.startswith(known.user)
        ):
            self._names_user = True
        else:  # something is wrong, or in order in a less common way
            wrong += self._misfits(account, known, document, claims, refreshed=previous is not None)
        if previous is None:
            known.logins += 1
            owner = 0
        else:
            owner = previous.refresh_fingerprint
        if not self._is_new(token, claims, owner, known) or (previous and token == previous.token and "jti" in claims):
            wrong.append(("token-repeated", "the access token, or its jti, was given out before"))
        if previous is not None and refresh_token == previous.refresh_token:
            mine = owner
        else:
            mine = self._fingerprint(refresh_token)
            if not self._refresh_tokens.add(mine, owner):
                wrong.append(("refresh-token-repeated", "the refresh token was given out before, for another session"))
        for kind, message in wrong:
            self.violations.report(kind, message, request, response)
        expires = perf_counter() + lifetime
        return Grant(token, refresh_token, named, scope, expires, account, known.logins, mine, not wrong)

    def _content(
        self, account: Account, response: Response, request: bytes, previous: Grant | None, certain: bool
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The answer's document and its token's claims; None, and a report if that is due, where it gives no tokens."""
        if response.status not in (self._issued if previous is None else self._refreshed):
            if not 200 <= response.status < 300:
                self._refused(account, response, request, previous, certain)
                return None
            self.violations.report("status", f"a token was given with status {response.status}", request, response)
        document = read_json(response.body)
        if not _has_shape(document):
            self.violations.report("shape", f"the answer is wrong: {_what_is_wrong(document)}", request, response)
            return None
        claims = self._claims(document["token"])
        if claims is None:
            self.violations.report("jwt", "the token is no signed JWT with _id, iat and exp", request, response)
            return None
        return document, claims

    def own_profile(self, grant: Grant, response: Response, request: bytes, *, certain: bool = True) -> bool:
        """Look at the answer to "fetch user details (self)" with a token.

        Returns:
            Whether it is the profile of the token's user.
        """
        if response.status in self._profile:
            document = read_json(response.body)
            found = document.get("id") if isinstance(document, dict) else None
            if found == grant.user:
                return True
            message = f"the token of user {grant.user} shows {f'user {found}' if isinstance(found, str) else 'no user'}"
            self.violations.report("profile-of-another", message, request, response)
        elif certain and self._is_verdict(response.status) and self._is_newest(grant):
            self.violations.report("token-dead", f"a new access token is answered {response.status}", request, response)
        return False

    # --- What is wrong -----------------------------------------------------------------------------------------------

    def _misfits(
        self, account: Account, known: _Known, document: dict[str, Any], claims: dict[str, Any], *, refreshed: bool
    ) -> Iterator[tuple[str, str]]:
        """What does not fit the caller, as kind and message, no kind twice; nothing where all does."""
        named, user, lifetime = claims["_id"], document["user"], _lifetime(claims)
        foreign, wider = ("refreshed-another-user", "refreshed-scope") if refreshed else ("another-user", "scope")
        if named != known.user:
            yield foreign, f"the token is user {named}'s, and was asked for by user {known.user}"
            return  # all else is that user's, too
        if user != named:
            yield "user-mismatch", f"the answer's user is {user}, the JWT's {named}"
        for where, scope in (("the JWT", claims.get("scope")), ("the answer", document["scope"])):
            if self._role(scope) != account.role:
                yield wider, f"the scope in {where} is {scope!r:.100}, the user's role {account.role}"
                break
        if not self._shortest <= lifetime <= self._longest:
            yield "lifetime", f"exp - iat is {lifetime} s"
        if stranger := self._stranger(document["refreshToken"], known):
            yield foreign, f"the refresh token is user {stranger}'s, and was asked for by user {known.user}"

    def _stranger(self, refresh_token: str, known: _Known) -> str:
        """The user whom a refresh token names, if it names one and that is not the caller."""
        front, dot, rest = refresh_token.partition(".")
        if not dot or front == known.user:
            return ""
        if front.startswith("eyJ"):
            claims = _segment(rest.partition(".")[0])
            named = claims.get("_id") if isinstance(claims, dict) else None
            return named if isinstance(named, str) and named != known.user else ""
        return front if front in self._emails or (self._names_user and _ID.fullmatch(front)) else ""

    def _meet(self, account: Account, named: str, request: bytes, response: Response) -> _Known:
        """An account whose user was not seen before."""
        user = account.user or named
        known = self._known[account.email] = _Known(user, self._fingerprint(user))
        other = self._emails.setdefault(known.user, account.email)
        if other != account.email:
            message = f"user {known.user} was given to two accounts, {other} and {account.email}"
            self.violations.report("another-user", message, request, response)
        return known

    def _refused(self, account: Account, response: Response, request: bytes, previous: Grant | None, certain: bool) -> None:
        if not certain or not self._is_verdict(response.status):
            return
        if previous is None:
            if account.email in self._known:
                message = f"a user who has logged in before is answered {response.status}"
                self.violations.report("login-refused", message, request, response)
        elif self._is_newest(previous):
            message = f"a refresh with the last refresh token is answered {response.status}"
            self.violations.report("chain-broken", message, request, response)

    @staticmethod
    def _is_verdict(status: int) -> bool:
        return status < 500 and status not in _PASSING

    def _is_newest(self, grant: Grant) -> bool:
        """Whether no log-in of this worker can have ended the session."""
        return self.sessions_coexist or grant.login == self._known[grant.account.email].logins

    # --- Tokens ------------------------------------------------------------------------------------------------------

    def _claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a signed JWT that has a user, and instants in iat and exp; the signature is the suite's to check."""
        head, _, rest = token.partition(".")
        payload, _, signature = rest.partition(".")
        claims = _segment(payload)
        if (
            signature
            and "." not in signature
            and (head in self._heads or self._is_head(head))
            and type(claims) is dict
            and type(claims.get("_id")) is str
            and type(claims.get("iat")) is int
            and type(claims.get("exp")) is int
            and numeric_date(claims, "iat") is not None
            and numeric_date(claims, "exp") is not None
        ):
            return claims
        return None

    def _is_head(self, head: str) -> bool:
        """Whether this is the first part of a token with a signature algorithm."""
        document = _segment(head)
        good = isinstance(document, dict) and str(document.get("alg", "none")).lower() != "none"
        if good and len(self._heads) < _MOST_REMEMBERED:
            self._heads.add(head)
        return good

    def _is_new(self, token: str, claims: dict[str, Any], owner: int, known: _Known) -> bool:
        jti = claims.get("jti")
        if type(jti) is str and jti:
            return self._tokens.add(self._fingerprint(jti), owner)
        return self._tokens.add(self._fingerprint(token), known.fingerprint)

    def _role(self, scope: object) -> str:
        """The role that a scope stands for."""
        if not isinstance(scope, str):
            return ""
        role = self._role_of.get(scope)
        if role is None:
            role = role_of_scope(scope, self._roles, self._other_scopes)
            if len(self._role_of) < _MOST_REMEMBERED:
                self._role_of[scope] = role
        return role

    def take(self) -> dict[str, bytes]:
        """The fingerprints that are new since the last call, for `AcrossWorkers`."""
        return {"tokens": self._tokens.take(), "refresh_tokens": self._refresh_tokens.take()}


class AcrossWorkers:
    """What the master looks at: whether two workers were given the same."""

    def __init__(self, violations: Violations, places: int = 2 * PLACES) -> None:
        self._violations = violations
        self._tokens = Seen(places)
        self._refresh_tokens = Seen(places)

    def merge(self, delta: Mapping[str, bytes]) -> None:
        """Take in what a worker's `Invariants.take` has said."""
        for _ in range(self._tokens.merge(delta["tokens"])):
            self._violations.report("token-repeated", "an access token, or its jti, was given out twice", history=_ACROSS)
        for _ in range(self._refresh_tokens.merge(delta["refresh_tokens"])):
            self._violations.report("refresh-token-repeated", "a refresh token was given out twice", history=_ACROSS)


def read_json(body: bytes) -> Any:
    """The JSON in a body, None if it is none; as `Exchange.json` reads it, and two and a half times as fast.

    Only whole numbers of more than 64 bits come out otherwise, as floats.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # other encodings, NaN, half characters: it is stricter than Python, which decides
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _segment(text: str) -> Any:
    """The JSON in a part of a JWT, None if there is none (base64url without padding, RFC 7515 2)."""
    if "-" in text or "_" in text:  # seldom: JSON in ASCII has them only for some >, ? and ~
        text = text.translate(_TO_BASE64)
    try:
        return read_json(a2b_base64(text + "=="))
    except ValueError:
        return None


def _lifetime(claims: dict[str, Any]) -> int:
    """Seconds from iat to exp; what no float holds comes out as the longest that one does, to the second."""
    lifetime: int = claims["exp"] - claims["iat"]
    return lifetime if -_LONGEST <= lifetime <= _LONGEST else max(-_LONGEST, min(lifetime, _LONGEST))


def _has_shape(document: Any) -> bool:
    """Whether an answer is as schemas/token.schema.json has it."""
    if type(document) is not dict or document.get("tokenType") != "Bearer":
        return False
    token, refresh_token, get = document.get("token"), document.get("refreshToken"), document.get
    user, scope = get("user"), get("scope")
    return (
        type(token) is type(refresh_token) is type(user) is type(scope) is str
        and bool(token and refresh_token and user and scope)
        and type(get("organization")) in _TEXT_OR_NONE
        and type(get("expiresAt")) in _TEXT_OR_NONE
    )


def _what_is_wrong(document: Any) -> str:
    return "; ".join(faults("token", document)) if document is not None else "it is not JSON"
