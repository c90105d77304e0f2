"""Ed25519 keys (RFC 8032): made, read, and used to sign an envelope or to check its signature.

`cryptography` is imported only where a key is at hand; a run without one does not need it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolecall.dsse import Envelope, EnvelopeSignature
from rolecall.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

#: The environment variable that holds a private key's PEM, where there is no file of it.
KEY_VARIABLE = "ROLECALL_CERTIFICATE_KEY"
_MAKE_ONE = "Make a pair with: rolecall keygen"
_ASK = "Ask whoever signs for the public key: FILE.pub of rolecall keygen."
_LARGEST = 65_536  # bytes of a PEM file; a key has about 120


@dataclass(frozen=True)
class CertificateKey:
    """A private key; ``id`` is the SHA-256 of its public key (DER, SubjectPublicKeyInfo)."""

    id: str
    _key: Ed25519PrivateKey

    def sign(self, envelope: Envelope) -> Envelope:
        """The envelope with this key's signature."""
        signature = EnvelopeSignature(self.id, self._key.sign(envelope.signed_bytes))
        return replace(envelope, signatures=(*envelope.signatures, signature))

    def __repr__(self) -> str:
        return f"CertificateKey({self.id})"


@dataclass(frozen=True)
class CertificatePublicKey:
    """A public key, and its ``id``."""

    id: str
    _key: Ed25519PublicKey

    def signed(self, envelope: Envelope, signature: EnvelopeSignature) -> bool:
        """Whether this key made the signature over the envelope; its ``keyid`` is not looked at."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # only with a key

        try:
            self._key.verify(signature.signature, envelope.signed_bytes)
        except InvalidSignature:
            return False
        return True


def new_pair() -> tuple[bytes, bytes]:
    """A new private key (PKCS 8) and its public key, each as PEM.

    Raises:
        UsageError: `cryptography` is not installed.
    """
    serialization, ed25519 = _cryptography("keygen")
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def signing_key(
    file: Path | None, environ: Mapping[str, str] = os.environ
) -> CertificateKey | None:
    """The key to sign with: the file's, else the one in `KEY_VARIABLE`, else none.

    Raises:
        UsageError: it cannot be read, or is not an Ed25519 private key as PEM.
    """
    if file:
        return private_key(_read(file, "--sign", _MAKE_ONE), f"--sign {file}")
    if text := environ.get(KEY_VARIABLE):
        return private_key(text.encode(errors="replace"), KEY_VARIABLE)
    return None


def private_key(pem: bytes, where: str) -> CertificateKey:
    """The private key in a PEM text; ``where`` names the place it came from.

    Raises:
        UsageError: it is none that can sign; the key itself is not repeated.
    """
    serialization, ed25519 = _cryptography(where)
    key: Any
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise UsageError(
            where, "the private key is encrypted", "Give one without a passphrase."
        ) from None
    except Exception:  # noqa: BLE001  # its own words may repeat the key
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(where, "this is not an Ed25519 private key (PKCS 8, PEM)", _MAKE_ONE)
    return CertificateKey(_id(key.public_key(), serialization), key)


def public_key(file: Path) -> CertificatePublicKey:
    """The public key in a PEM file.

    Raises:
        UsageError: it cannot be read, or is not an Ed25519 public key as PEM.
    """
    where = f"--key {file}"
    pem = _read(file, "--key", _ASK)
    serialization, ed25519 = _cryptography(where)
    if b"PRIVATE KEY" in pem:
        raise UsageError(where, "this is a private key", "Give the public one, FILE.pub.")
    key: Any
    try:
        key = serialization.load_pem_public_key(pem)
    except Exception:  # noqa: BLE001  # whatever a library says of a file that is no key
        key = None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UsageError(where, "this is not an Ed25519 public key (PEM)", _ASK)
    return CertificatePublicKey(_id(key, serialization), key)


def _read(file: Path, option: str, hint: str) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST)
    except OSError as error:
        raise UsageError(f"{option} {file}", f"it cannot be read: {error.strerror}", hint) from None


def _id(key: Ed25519PublicKey, serialization: Any) -> str:
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def _cryptography(where: str) -> tuple[Any, Any]:
    """The two modules of `cryptography` that are used here.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            where,
            "signatures need the package cryptography, which is not installed",
            "Install it with: pip install cryptography",
        ) from None
    return serialization, ed25519
