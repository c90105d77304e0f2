"""``replay.json``: what a replay of a run has to know besides its exchanges.

Passwords and keys stand there as their labels; of tokens there is the form, of which a replay makes
others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from rolecall.jwt_forging import signed_by
from rolecall.ready_made import ReadyMade
from rolecall.redaction import Secrets
from rolecall.target import Account, ApiKeyOptions, ExpiryOptions, Target

FORMAT = 2
#: In place of a key: one that the algorithm takes, or one that it does not.
_FITS, _UNFIT = "<private key>", "<no key for this algorithm>"
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}


def replay_document(
    facts: Mapping[str, Any],
    target: Target,
    tests: Mapping[str, Sequence[tuple[str, Any]]],
    secrets: Secrets,
) -> dict[str, Any]:
    """The document.

    Args:
        facts: ``run`` (its id), ``started`` (seconds since 1970) and ``monotonic`` (the same
            moment), ``read_only``, ``intrusive``.
        tests: by id, in the order of the run, what each test learnt beside its exchanges.
    """
    return {
        "format": FORMAT,
        **facts,
        "target": _target_as_json(target, secrets),
        "labels": secrets.shapes(),
        "tests": {
            test: [[what, secrets.redacted(value)] for what, value in kept]
            for test, kept in tests.items()
        },
    }


def _target_as_json(target: Target, secrets: Secrets) -> dict[str, Any]:
    document = asdict(target)
    for account in document["accounts"].values():
        account["password"] = secrets.label_of(account["password"])
    tokens = document["api_keys"]["tokens"]
    document["api_keys"]["tokens"] = {role: secrets.label_of(tokens[role]) for role in tokens}
    expiry = document["expiry"]
    expiry["bank"] = "(the token bank)" if expiry["bank"] else ""
    expiry["bank_key"] = ""
    expiry["command"] = "(the operator's program)" if expiry["command"] else ""
    if expiry["signing_key"]:
        expiry["signing_key"] = _FITS if _fits(target.expiry) else _UNFIT
    document["verify_tls"] = True
    document["client_cert"] = document["client_key"] = ""
    document["proxy"] = None
    return document


def _fits(expiry: ExpiryOptions) -> bool:
    try:
        signed_by(expiry.algorithm, expiry.signing_key.encode())
    except (ValueError, TypeError, jwt.PyJWTError):
        return False
    return True


def target_of(document: Mapping[str, Any]) -> Target:
    """The target of a document whose labels have been replaced; its signing key is a new one.

    Raises:
        KeyError, TypeError, ValueError: something is missing in it, or of another type.
    """
    expiry = dict(document["expiry"])
    expiry["bank"] = Path(expiry["bank"]) if expiry["bank"] else None
    if expiry["signing_key"] == _FITS:
        expiry["signing_key"] = _new_key(expiry["algorithm"])
    accounts = {name: Account(**account) for name, account in document["accounts"].items()}
    fixtures = {name: ReadyMade(**given) for name, given in document.get("fixtures", {}).items()}
    target = Target(**{**document, "accounts": accounts, "fixtures": fixtures})
    return replace(
        target, api_keys=ApiKeyOptions(**document["api_keys"]), expiry=ExpiryOptions(**expiry)
    )


def _new_key(algorithm: str) -> str:
    """A key for an algorithm, as a target file gives it: what it signed is answered as the real one
    was, since the answers are those of then.
    """
    if algorithm.startswith("HS"):
        return "a key of a replay, whose signatures no server checks: long enough for every HMAC"
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if algorithm in _CURVES:
        key = ec.generate_private_key(_CURVES[algorithm]())
    elif algorithm == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()
