"""``replay.json``: the target of a run without its secrets, and made again from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from rolecall.jwt_forging import signed_by
from rolecall.redaction import Secrets
from rolecall.replay.document import replay_document, target_of
from rolecall.replay.stand_ins import StandIns
from rolecall.target import Account, ApiKeyOptions, ExpiryOptions, Target

TARGET = Target(
    "a target",
    "http://target.example",
    {"guest": Account("guest", "guest", "guest@example.org", "password-of-the-guest")},
    api_keys=ApiKeyOptions("/v2/apikeys", tokens={"guest": "key-of-the-guest-0123456789"}),
    expiry=ExpiryOptions(
        Path("/home/somebody/bank"), "", "no PEM", "RS256", "print --secret", 5.0, "bank-key"
    ),
    dialect={"expired": [401]},
)


def written(target: Target, **tests: Any) -> dict[str, Any]:
    """What is read again of a document of this target."""
    secrets = Secrets()
    for value, kind in target.secrets:
        secrets.add(value, kind)
    facts = {"run": "1", "started": 1.0, "monotonic": 1.0, "read_only": False, "intrusive": False}
    document = replay_document(facts, target, tests, secrets)
    read: dict[str, Any] = json.loads(json.dumps(document))
    return read


def test_no_secret_and_no_place_of_the_operators_machine_is_written() -> None:
    """Passwords and keys are labels; the bank's path and key and the command are left out."""
    text = json.dumps(written(TARGET, a_test=[("said", "password-of-the-guest")]))
    for hidden in ("password-of", "key-of", "no PEM", "somebody", "--secret", "bank-key"):
        assert hidden not in text


def test_the_target_is_made_again() -> None:
    """All settings are as before, with stand-ins for the secrets; so is a key that did not fit."""
    document = written(TARGET)
    again = target_of(StandIns(document["labels"]).filled(document["target"]))
    assert again.accounts["guest"].password not in ("", "password-of-the-guest")
    assert again.expiry.bank
    assert again.expiry.wait == 5.0
    with pytest.raises(jwt.InvalidKeyError):
        signed_by("RS256", again.expiry.signing_key.encode())
    accounts = {"guest": replace(again.accounts["guest"], password="password-of-the-guest")}
    keys, expiry = TARGET.api_keys, TARGET.expiry
    assert replace(again, accounts=accounts, api_keys=keys, expiry=expiry) == TARGET


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "PS512", "ES384", "EdDSA"])
def test_a_key_is_made_for_the_algorithm(algorithm: str) -> None:
    """Where the real key fitted, so does the one of the replay."""
    key = "a key of no server, long enough for HMAC" if algorithm == "HS256" else ""
    if not key:
        document = written(TARGET)
        document["target"]["expiry"] |= {"signing_key": "<private key>", "algorithm": algorithm}
    else:
        expiry = ExpiryOptions(signing_key=key, algorithm=algorithm)
        document = written(replace(TARGET, expiry=expiry))
        assert key not in json.dumps(document)
    made = target_of(document["target"]).expiry.signing_key
    assert signed_by(algorithm, made.encode())(b"a message")
