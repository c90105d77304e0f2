"""Access tokens: how they are written and how they are checked.

"Token permissions are described as a space-delimited OAuth 2.0 Access Token Scope string inside the
JWT token." "Bearer tokens are time-based tokens that expire after 24 hours."
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.algorithms import get_default_algorithms

from rolecall.reference.clock import Clock
from rolecall.reference.errors import Refusal, unauthorized
from rolecall.reference.settings import ROLES, Dialect
from rolecall.reference.store import Store
from rolecall.reference.strict_json import Document, NotJson, dumps, loads

LIFETIME = 24 * 60 * 60
SAFE_INTEGER = 2**53
A_YEAR = 366 * LIFETIME

ACCESS = "access_token"
API_KEY = "api_key"

DISABLED = frozenset({"inactive", "disabled", "blocked", "suspended"})
"""A user with one of these in `status` cannot log in, and the user's tokens no longer work."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def encode_segment(data: bytes) -> str:
    """base64url without padding (RFC 7515, section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_segment(text: str) -> bytes:
    """The bytes of a segment that is spelled in the one right way."""
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_segment(data) != text:
        raise ValueError("not canonical base64url")
    return data


class SigningKey:
    """The one algorithm, and its key."""

    def __init__(self, algorithm: str, sign_with: Any, verify_with: Any) -> None:
        self.algorithm = algorithm
        self.sign_with = sign_with
        self.verify_with = verify_with
        self._implementation = get_default_algorithms()[algorithm]

    @classmethod
    def shared(cls, secret: bytes) -> SigningKey:
        """HS256 under a secret."""
        return cls("HS256", secret, secret)

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        return self._implementation.sign(message, self.sign_with)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's."""
        try:
            return self._implementation.verify(message, self.verify_with, signature)
        except jwt.PyJWTError:
            return False


def compact(key: SigningKey, claims: Document, header: Document | None = None) -> str:
    """A signed token in compact form."""
    head = {"alg": key.algorithm, "typ": "JWT"} if header is None else header
    message = f"{encode_segment(dumps(head).encode())}.{encode_segment(dumps(claims).encode())}"
    return f"{message}.{encode_segment(key.sign(message.encode()))}"


@dataclass(frozen=True)
class Principal:
    """On whose behalf a request is made, and what it may do."""

    user: Document
    scopes: frozenset[str]
    credential: str  # "token" or "api-key"
    claims: Document

    @property
    def id(self) -> str:
        """The user's id."""
        return str(self.user["id"])


class Expired(Refusal):
    """The token was good once."""


class TokenIssuer:
    """Writes tokens."""

    def __init__(self, key: SigningKey, clock: Clock) -> None:
        self.key = key
        self.clock = clock

    def lifetime(self) -> int:
        """How long a time-based token lives, in seconds."""
        return LIFETIME

    def scope(self, user: Document) -> str:
        """The role: "Time-based tokens have the scope correspond to the role of the User"."""
        return str(user["role"])

    def claims(self, user: Document) -> Document:
        """What a time-based token says."""
        issued = int(self.clock.now())
        return {
            "_id": user["id"],
            "organization": user.get("organization"),
            "scope": self.scope(user),
            "grant_type": ACCESS,
            "jti": secrets.token_hex(16),
            "iat": issued,
            "exp": issued + self.lifetime(),
        }

    def key_claims(self, user: Document, scopes: list[str], jti: str) -> Document:
        """What an API key says; it is not time-based, so it has no exp."""
        return {
            "_id": user["id"],
            "organization": user.get("organization"),
            "scope": " ".join(scopes),
            "grant_type": API_KEY,
            "jti": jti,
            "iat": int(self.clock.now()),
        }

    def write(self, claims: Document) -> str:
        """The token for these claims."""
        return compact(self.key, claims)


class TokenVerifier:
    """Reads tokens, and refuses what is not a valid one. Each method is one decision."""

    def __init__(self, key: SigningKey, clock: Clock, store: Store, dialect: Dialect) -> None:
        self.key = key
        self.clock = clock
        self.store = store
        self.dialect = dialect

    def principal(self, token: str) -> Principal:
        """On whose behalf the token speaks, or a refusal."""
        claims = self.checked_claims(token)
        if claims.get("grant_type") == API_KEY:
            self.check_api_key(claims)
        else:
            self.check_grant(claims)
            self.check_times(claims)
        return self.person(claims)

    def person(self, claims: Document) -> Principal:
        """The user whom checked claims name, and the rights they give."""
        credential = "api-key" if claims.get("grant_type") == API_KEY else "token"
        return Principal(self.subject(claims), self.scopes(claims), credential, claims)

    def checked_claims(self, token: str) -> Document:
        """The claims of a token whose form and signature are right."""
        try:
            head, payload, signature = self.split(token)
            header = self.document(head)
            self.check_header(header)
            signed = self.signature_holds(f"{head}.{payload}".encode(), signature, header)
            claims = self.document(payload)
        except ValueError:
            raise self.invalid() from None
        if not signed:
            raise unauthorized("invalid signature")
        return claims

    def split(self, token: str) -> tuple[str, str, str]:
        """The three parts of a compact JWS (RFC 7515, section 3.1)."""
        head, payload, signature = token.split(".")
        return head, payload, signature

    def document(self, segment: str) -> Document:
        """The JSON object in a part; no member may be there twice (RFC 7519, section 4)."""
        document = self.parse(decode_segment(segment))
        if not isinstance(document, dict):
            raise NotJson("not an object")
        return document

    def parse(self, data: bytes) -> Any:
        """The JSON in a part."""
        return loads(data)

    def check_header(self, header: Document) -> None:
        """Extensions that have to be understood are not (RFC 7515, section 4.1.11)."""
        if "crit" in header:
            raise NotJson("critical extension")

    def algorithm_fits(self, algorithm: object) -> bool:
        """Exactly one algorithm is accepted, whatever the header asks for (RFC 8725 3.1)."""
        return algorithm == self.key.algorithm

    def signature_holds(self, message: bytes, signature: str, header: Document) -> bool:
        """Whether the token was signed by this server."""
        return self.algorithm_fits(header.get("alg")) and self.key.verify(
            message, decode_segment(signature)
        )

    def check_grant(self, claims: Document) -> None:
        """A token made for something else is not good here (RFC 8725, section 3.12)."""
        if claims.get("grant_type", ACCESS) != ACCESS:
            raise self.invalid()

    def check_api_key(self, claims: Document) -> None:
        """An API key works until it is revoked."""
        jti = claims.get("jti")
        if not isinstance(jti, str) or self.store.api_key(jti) is None:
            raise self.invalid()

    def check_times(self, claims: Document) -> None:
        """The token's time: "Bearer tokens are time-based tokens that expire after 24 hours"."""
        if "exp" not in claims:
            self.endless()
        else:
            exp = self.instant(claims["exp"])
            if exp > self.clock.now() + A_YEAR:  # milliseconds, most likely
                raise self.invalid()
            if self.expired(exp):
                raise self.expiry()
        if "nbf" in claims and self.premature(self.instant(claims["nbf"])):
            raise unauthorized("jwt not active")

    def endless(self) -> None:
        """A time-based token without exp."""
        raise self.invalid()

    def instant(self, value: object) -> int:
        """A NumericDate; this server writes whole seconds and reads nothing else."""
        if type(value) is not int or abs(value) > SAFE_INTEGER:
            raise self.invalid()
        return value

    def expired(self, exp: int) -> bool:
        """Over "on or after" the instant (RFC 7519, section 4.1.4)."""
        return self.clock.now() >= exp

    def premature(self, nbf: int) -> bool:
        """Before the instant (RFC 7519, section 4.1.5)."""
        return self.clock.now() < nbf

    def expiry(self) -> Expired:
        """What an expired token "will result in": 403 Permission Denied; the vendor's client
        expects 401.
        """
        if self.dialect == "sdk":
            return Expired(401, "jwt expired", unauthorized("").headers)
        return Expired(403, "Permission Denied")

    def subject(self, claims: Document) -> Document:
        """The user, who has to exist and not to be disabled."""
        id = claims.get("_id")
        body = self.store.get("users", id) if isinstance(id, str) else None
        if body is None:
            raise self.invalid()
        user: Document = loads(body.encode())
        if user.get("status") in DISABLED:
            raise self.invalid()
        return user

    def scopes(self, claims: Document) -> frozenset[str]:
        """Scope tokens between single spaces, compared exactly (RFC 6749, section 3.3)."""
        scope = claims.get("scope")
        if not isinstance(scope, str):
            raise self.invalid()
        names = scope.split(" ")
        if "" in names:
            raise self.invalid()
        return frozenset(name for name in names if name in ROLES)

    def invalid(self) -> Exception:
        """Not a token of this server."""
        return unauthorized("invalid token")
