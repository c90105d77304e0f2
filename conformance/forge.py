"""Tokens as an attacker makes them: any header, any claims, any signature, put together rightly or wrongly."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from rolecall.outcomes import Inconclusive

Sign = Callable[[bytes], bytes]
_PARTS = 3
_MAKING = threading.Lock()


def part(content: Any) -> str:
    """One part of a token: base64url of a document's JSON; bytes stand for themselves."""
    data = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(message: bytes) -> bytes:
    """No signature at all."""
    return b""


def compact(header: Any, claims: Any, sign: Sign = unsigned) -> str:
    """A token in the usual form (RFC 7515 3.1); header and claims are documents, or bytes that no writer writes."""
    message = f"{part(header)}.{part(claims)}"
    return f"{message}.{part(sign(message.encode()))}"


def signed_by(algorithm: str, key: Any) -> Sign:
    """Signs with an algorithm of RFC 7518: an HS one with any bytes at all, others with a private key or its PEM.

    Raises:
        ValueError, TypeError, jwt.PyJWTError: the key is none of this algorithm.
    """
    if algorithm.startswith("HS"):
        return lambda message: hmac.digest(key, message, f"sha{algorithm.removeprefix('HS')}")
    implementation = jwt.get_algorithm_by_name(algorithm)
    prepared = implementation.prepare_key(key)
    return lambda message: implementation.sign(message, prepared)


def with_member(document: Mapping[str, Any], name: str, *values: str) -> bytes:
    """A document's JSON with a member whose values are JSON text as given: one, several, or none of them."""
    others = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in document.items() if key != name]
    return f"{{{','.join(others + [f'{json.dumps(name)}:{value}' for value in values])}}}".encode()


@dataclass(frozen=True)
class Parts:
    """An issued token, taken apart: its three parts as text, and the documents in the first two."""

    head: str
    body: str
    signature: str = field(repr=False)
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @classmethod
    def of(cls, token: str) -> Parts:
        """Take a token apart.

        Raises:
            Inconclusive: it is no JWT.
        """
        try:
            head, body, signature = token.split(".")
            header, claims = (json.loads(_bytes(text)) for text in (head, body))
        except ValueError:
            raise Inconclusive("a JWT to tamper with", "ISSUE-jwt") from None
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise Inconclusive("a JWT to tamper with", "ISSUE-jwt")
        return cls(head, body, signature, header, claims)

    def claim(self, name: str) -> str:
        """A claim that is a text.

        Raises:
            Inconclusive: it is missing, or something else.
        """
        value = self.claims.get(name)
        if not isinstance(value, str):
            raise Inconclusive(f"a text as {name} in the token", "ISSUE-jwt")
        return value

    @property
    def algorithm(self) -> str:
        """The algorithm that the header names."""
        return str(self.header.get("alg"))

    @property
    def signature_bytes(self) -> bytes:
        """The signature itself."""
        return _bytes(self.signature)

    def edited(self, **claims: Any) -> str:
        """The token with other claims under the old signature."""
        return f"{self.head}.{part({**self.claims, **claims})}.{self.signature}"

    def resigned(self, signature: bytes) -> str:
        """The token with another signature."""
        return f"{self.head}.{self.body}.{part(signature)}"


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class OwnKey:
    """A key that no target knows: how it signs, and how its public half is written in a header."""

    algorithm: str
    sign: Sign = field(repr=False)
    jwk: Mapping[str, Any] = field(repr=False)


def own_keys() -> Mapping[str, OwnKey]:
    """One key of each kind, by its kind in a JWK (RFC 7518 6.1). Takes a tenth of a second: not on an event loop."""
    with _MAKING:  # a second thread would make keys of its own, and who shows one key would sign with another
        return _own_keys()


@cache
def _own_keys() -> Mapping[str, OwnKey]:
    random, oval = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    secret = secrets.token_bytes(32)
    return {
        "RSA": OwnKey("RS256", signed_by("RS256", random), RSAAlgorithm.to_jwk(random.public_key(), as_dict=True)),
        "EC": OwnKey("ES256", signed_by("ES256", oval), ECAlgorithm.to_jwk(oval.public_key(), as_dict=True)),
        "oct": OwnKey("HS256", signed_by("HS256", secret), {"kty": "oct", "k": part(secret)}),
    }


def own_key_for(algorithm: str) -> OwnKey:
    """The key of one's own that a token of this algorithm could be signed with."""
    return own_keys()[{"R": "RSA", "P": "RSA", "E": "EC"}.get(algorithm[:1], "oct")]


def as_secrets(key: Any) -> Mapping[str, bytes]:
    """A public key in the forms that a confused verifier would take for the secret of an HS algorithm."""
    spki, pem, der = (
        serialization.PublicFormat.SubjectPublicKeyInfo,
        serialization.Encoding.PEM,
        serialization.Encoding.DER,
    )
    text = key.public_bytes(pem, spki)
    writer = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else ECAlgorithm
    return {
        "pem": text,
        "pem-stripped": text.strip(),
        "der": key.public_bytes(der, spki),
        "jwk": writer.to_jwk(key).encode(),
    }
