"""Variants of what a token says, how it is signed and how it is read."""

from __future__ import annotations

import json
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from rolecall.reference.alterations import look_scopes_up, role_of_user
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.permissions import RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import LIFETIME, SigningKey
from rolecall.reference.variants.registry import variant


@variant("scope-cascade")
def scope_cascade(server: Server) -> None:
    """The scope of a token lists all that the role includes, in the token and in the answer."""

    @instead_of(server.issuer.scope)
    def cascade(user: Document) -> str:
        return " ".join(ROLES[: RANK[user["role"]] + 1])


@variant("scope-cascade-in-jwt-only")
def scope_cascade_in_jwt_only(server: Server) -> None:
    """The token lists all that the role includes; the answer names the role."""
    scope_cascade(server)
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def role(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        answer.body = dumps(loads(answer.body) | {"scope": user["role"]}).encode()
        return answer


@variant("times-with-fractions")
def times_with_fractions(server: Server) -> None:
    """Iat and exp have fractions of a second, as lcobucci/jwt writes them: "non-integer values can
    be represented" in a NumericDate (RFC 7519 2).
    """
    claims, instant = server.issuer.claims, server.verifier.instant

    @instead_of(server.issuer.claims)
    def precise(user: Document) -> Document:
        whole = claims(user)
        return {**whole, "iat": whole["iat"] + 0.25, "exp": whole["exp"] + 0.25}

    @instead_of(server.verifier.instant)
    def either(value: object) -> int:
        return int(value) if isinstance(value, float) else instant(value)


@variant("extra-claims")
def extra_claims(server: Server) -> None:
    """A token says more than it has to."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def more(user: Document) -> Document:
        return {
            "ver": 2,
            **claims(user),
            "sid": secrets.token_hex(8),
            "nbf": int(server.clock.now()),
            "features": ["chat"],
        }


@variant("issuer-and-audience")
def issuer_and_audience(server: Server) -> None:
    """Time-based tokens say who issued them and for whom, and both are checked."""
    issuer, audience = "https://api.example.org", "web1on1"
    claims = server.issuer.claims
    check = server.verifier.check_grant

    @instead_of(server.issuer.claims)
    def addressed(user: Document) -> Document:
        return {**claims(user), "iss": issuer, "aud": audience}

    @instead_of(server.verifier.check_grant)
    def addressee(claims: Document) -> None:
        check(claims)
        if claims.get("iss") != issuer or claims.get("aud") != audience:
            raise server.verifier.invalid()


@variant("signatures-without-foreign-letters")
def signatures_without_foreign_letters(server: Server) -> None:
    """Letters beyond ASCII are passed over where a signature is decoded, as by Ruby's unpack: its
    bytes are right.
    """
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def of_ascii(message: bytes, signature: str, header: Document) -> bool:
        return holds(message, signature.encode("ascii", "ignore").decode(), header)


@variant("no-jti")
def no_jti(server: Server) -> None:
    """Time-based tokens have no jti."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def fewer(user: Document) -> Document:
        return {name: value for name, value in claims(user).items() if name != "jti"}


@variant("four-claims")
def four_claims(server: Server) -> None:
    """Time-based tokens say no more than the specification's example: _id, scope, iat, exp."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def few(user: Document) -> Document:
        document = claims(user)
        return {name: document[name] for name in ("_id", "scope", "iat", "exp")}

    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def five_fields(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        document = loads(answer.body)
        names = ("tokenType", "token", "refreshToken", "user", "scope")
        answer.body = dumps({name: document[name] for name in names}).encode()
        return answer


KEY_SET = "/.well-known/jwks.json"


@variant("rs256")
def use_rs256(server: Server) -> None:
    """Tokens are signed with RS256; the public key is at /.well-known/jwks.json."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = SigningKey("RS256", private, private.public_key())
    server.issuer.key = server.verifier.key = key
    server.forgeable = False
    document = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
    unknown = server.dispatcher.unknown

    @instead_of(server.dispatcher.unknown)
    async def key_set(call: Call) -> Answer:
        if call.path == KEY_SET and call.verb == "GET":
            return Answer.of(200, {"keys": [{**document, "use": "sig", "alg": "RS256"}]})
        return await unknown(call)


def public_key_of(server: Server) -> list[bytes]:
    """The public key of a server with RS256, in the forms that an attacker tries as a secret."""
    public = server.verifier.key.verify_with
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    jwk = RSAAlgorithm.to_jwk(public).encode()
    return [pem, pem.strip(), der, jwk]


@variant("leeway-of-30-seconds")
def leeway_of_30_seconds(server: Server) -> None:
    """A token is good for half a minute after its end, for clocks that differ (RFC 7519, 4.1.4)."""
    expired = server.verifier.expired

    @instead_of(server.verifier.expired)
    def lenient(exp: int) -> bool:
        return expired(exp + 30)


@variant("a-day-at-most")
def a_day_at_most(server: Server) -> None:
    """However far away the exp of a token is, the token ends 24 hours after its iat."""
    check = server.verifier.check_times

    @instead_of(server.verifier.check_times)
    def capped(claims: Document) -> None:
        exp, iat = claims.get("exp"), claims.get("iat")
        if isinstance(exp, (int, float)) and isinstance(iat, int) and exp > iat + LIFETIME:
            claims = {**claims, "exp": iat + LIFETIME}
        check(claims)


@variant("scheme-with-case")
def scheme_with_case(server: Server) -> None:
    """The scheme has to be spelled Bearer, as the specification spells it."""

    @instead_of(server.bearer.is_bearer)
    def exactly(scheme: str) -> bool:
        return scheme == "Bearer"


@variant("first-of-two-headers")
def first_of_two_headers(server: Server) -> None:
    """Of two Authorization headers the first counts, everywhere."""
    headers = server.bearer.headers

    @instead_of(server.bearer.headers)
    def first(call: Call) -> list[str]:
        return headers(call)[:1]


@variant("last-of-two-headers")
def last_of_two_headers(server: Server) -> None:
    """Of two Authorization headers the last counts, everywhere."""
    headers = server.bearer.headers

    @instead_of(server.bearer.headers)
    def last(call: Call) -> list[str]:
        return headers(call)[-1:]


@variant("scope-of-current-role")
def scope_of_current_role(server: Server) -> None:
    """What a time-based token may do follows the user's role at once, downwards."""
    look_scopes_up(
        server,
        lambda one: frozenset(
            scope for scope in one.scopes if RANK[scope] <= RANK[one.user["role"]]
        ),
    )


@variant("rights-of-current-role")
def rights_of_current_role(server: Server) -> None:
    """What a time-based token may do is looked up: what its user's role may now, whatever the
    token says.
    """
    look_scopes_up(server, role_of_user)
