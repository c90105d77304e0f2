"""Makes tokens as an attacker does: any header, any claims, any signature."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from rolecall.outcomes import Inconclusive
from rolecall.spec.ids import id_text

Sign = Callable[[bytes], bytes]
#: The primes of an RSA key: finding some takes up to half a second. They are known to all who read
#: this, as suits a key that opens nothing: a target that trusts a key which the token itself brings
#: trusts any.
_PRIMES = (
    int(
        "c3c60de0beab25210602a274029333d0626ec1ce736776c91fcbfe5f9c6b24f3"
        "4f008e630916b76add9ddda35967530ff2434e4abcc80d69573ec23b3925a8e7"
        "72bfd25a117621ab6389cda2abab2233aa6a78639bbba99ad75353c2d8f96a60"
        "8a085ac5e475a20b4f143b7359b07bbff33d719ce39b56691b18005bb9a6010f",
        16,
    ),
    int(
        "c13f378229af96475fada50453e0802d13cafa5670677b41c589510ca617e6f1"
        "6cb6413ab42a2f711cc6de4459a10ec9071fef007e637220cd23cc42cf180fdc"
        "e8104c4197d80df1b93d4cb5eb1c596aea27eae687ff48e219677e500cc7028c"
        "8b50ad0099099912cb9a449e7d15b3a853762ed27d455b2a6bad8f795d99e1ad",
        16,
    ),
)


def part(content: Any) -> str:
    """One part of a token: base64url of a document's JSON; bytes stand for themselves."""
    data = (
        content
        if isinstance(content, bytes)
        else json.dumps(content, separators=(",", ":")).encode()
    )
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(message: bytes) -> bytes:
    """No signature at all."""
    return b""


def compact(header: Any, claims: Any, sign: Sign = unsigned) -> str:
    """A token in the usual form (RFC 7515 3.1); header and claims are documents, or bytes that no
    writer writes.
    """
    message = f"{part(header)}.{part(claims)}"
    return f"{message}.{part(sign(message.encode()))}"


def signed_by(algorithm: str, key: Any) -> Sign:
    """Signs with an algorithm of RFC 7518: an HS one with any bytes at all, others with a private
    key or its PEM.

    Raises:
        ValueError, TypeError, jwt.PyJWTError: the key is none of this algorithm.
    """
    if algorithm.startswith("HS"):
        return lambda message: hmac.digest(key, message, f"sha{algorithm.removeprefix('HS')}")
    implementation = jwt.get_algorithm_by_name(algorithm)
    prepared = implementation.prepare_key(key)
    return lambda message: implementation.sign(message, prepared)


def with_member(document: Mapping[str, Any], name: str, *values: str) -> bytes:
    """A document's JSON with a member that has these JSON texts as values: none, one or several."""
    others = [
        f"{json.dumps(key)}:{json.dumps(value)}" for key, value in document.items() if key != name
    ]
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
            Inconclusive: it is not a JWT.
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
    def user(self) -> str | int | float:
        """The claim ``_id`` as it stands there: an id is a string or a number.

        Raises:
            Inconclusive: it is missing, or something else.
        """
        value: str | int | float = self.claims.get("_id", "")
        if not id_text(value):
            raise Inconclusive("a user's id as _id in the token", "ISSUE-jwt")
        return value

    @property
    def algorithm(self) -> str:
        """The algorithm that the header names."""
        return str(self.header.get("alg"))

    @property
    def signature_bytes(self) -> bytes:
        """The signature itself.

        Raises:
            Inconclusive: what stands in its place is not base64url.
        """
        try:
            return _bytes(self.signature)
        except ValueError:
            raise Inconclusive(
                "a signature to tamper with: its part of the token is not base64url", "ISSUE-jwt"
            ) from None

    def with_last_byte_changed(self) -> str:
        """The token with a signature whose last byte is another.

        Raises:
            Inconclusive: it has no signature at all.
        """
        if not self.signature_bytes:
            raise Inconclusive("a signature to change: the token has none", "ISSUE-jwt")
        return self.resigned(self.signature_bytes[:-1] + bytes([self.signature_bytes[-1] ^ 1]))

    def edited(self, **claims: Any) -> str:
        """The token with other claims under the old signature."""
        return f"{self.head}.{part({**self.claims, **claims})}.{self.signature}"

    def forged_with(self, key: OwnKey) -> str:
        """The same claims under a key of one's own, which the header's ``alg`` is that of."""
        return compact({**self.header, "alg": key.algorithm}, self.claims, key.sign)

    def resigned(self, signature: bytes) -> str:
        """The token with another signature."""
        return f"{self.head}.{self.body}.{part(signature)}"


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class OwnKey:
    """A key that no target knows: how it signs, and how its public half is written in a header,
    also as a certificate that it has signed itself (RFC 7515 4.1.6).
    """

    algorithm: str
    sign: Sign = field(repr=False)
    jwk: Mapping[str, Any] = field(repr=False)
    certificates: tuple[str, ...] = field(default=(), repr=False)


@cache
def own_keys() -> Mapping[str, OwnKey]:
    """One key of each kind, by its kind in a JWK (RFC 7518 6.1)."""
    random, oval, secret = (
        _rsa_key(),
        ec.generate_private_key(ec.SECP256R1()),
        secrets.token_bytes(32),
    )
    return {
        "RSA": OwnKey(
            "RS256",
            signed_by("RS256", random),
            RSAAlgorithm.to_jwk(random.public_key(), as_dict=True),
            (_certificate(random),),
        ),
        "EC": OwnKey(
            "ES256", signed_by("ES256", oval), ECAlgorithm.to_jwk(oval.public_key(), as_dict=True)
        ),
        "oct": OwnKey("HS256", signed_by("HS256", secret), {"kty": "oct", "k": part(secret)}),
    }


def _rsa_key() -> rsa.RSAPrivateKey:
    p, q = _PRIMES
    exponent = 65537
    d = pow(exponent, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    # looking for what they are takes as long as finding them
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _certificate(key: rsa.RSAPrivateKey) -> str:
    """A certificate of the key by the key itself, as a header holds it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rolecall.invalid")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def own_key_for(algorithm: str) -> OwnKey:
    """The key of one's own that a token of this algorithm could be signed with."""
    return own_keys()[{"R": "RSA", "P": "RSA", "E": "EC"}.get(algorithm[:1], "oct")]


def as_secrets(key: Any) -> Mapping[str, bytes]:
    """A public key in the forms that a confused verifier takes for an HS algorithm's secret."""
    spki, pem, der = (
        serialization.PublicFormat.SubjectPublicKeyInfo,
        serialization.Encoding.PEM,
        serialization.Encoding.DER,
    )
    text = key.public_bytes(pem, spki)
    is_rsa = isinstance(key, rsa.RSAPublicKey)
    jwk = RSAAlgorithm.to_jwk(key) if is_rsa else ECAlgorithm.to_jwk(key)
    return {
        "pem": text,
        "pem-stripped": text.strip(),
        "der": key.public_bytes(der, spki),
        "jwk": jwk.encode(),
    }
