"""Forged tokens are made as intended, which PyJWT, an independent library, confirms."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rolecall.evidence import Exchange
from rolecall.jwt_forging import (
    Parts,
    as_secrets,
    compact,
    own_key_for,
    own_keys,
    part,
    signed_by,
    with_member,
)
from rolecall.outcomes import Inconclusive
from rolecall.toolkit.attacker import skew
from rolecall.toolkit.callback_server import listening

SECRET = "a-secret-of-more-than-sixty-four-bytes-so-that-no-library-warns-of-it!!"
CLAIMS = {"_id": "599e1fcd9da1c72645c95886", "scope": "guest", "iat": 1503620624, "exp": 4102444800}
TOKEN = jwt.encode(CLAIMS, SECRET, "HS256")


class TestMade:
    """What is put together rightly is a token."""

    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    def test_a_secret_signs(self, algorithm: str) -> None:
        """A token with a secret is verified by PyJWT."""
        token = compact(
            {"alg": algorithm, "typ": "JWT"}, CLAIMS, signed_by(algorithm, SECRET.encode())
        )

        assert CLAIMS == jwt.decode(token, SECRET, [algorithm])

    @pytest.mark.parametrize("kind", ["RSA", "EC", "oct"])
    def test_a_key_of_ours_signs(self, kind: str) -> None:
        """A token with a key of ours is verified by PyJWT with the key that its header would bring
        along.
        """
        key = own_keys()[kind]
        token = compact({"alg": key.algorithm}, CLAIMS, key.sign)

        assert CLAIMS == jwt.decode(token, jwt.PyJWK(dict(key.jwk), key.algorithm), [key.algorithm])

    @pytest.mark.parametrize(
        ("algorithm", "kind"), [("PS512", "RSA"), ("ES256", "EC"), ("HS512", "oct"), ("", "oct")]
    )
    def test_a_key_fits_the_algorithm(self, algorithm: str, kind: str) -> None:
        """The key of ours is of the kind that the algorithm has."""
        assert own_keys()[kind] is own_key_for(algorithm)

    def test_a_pem_signs(self) -> None:
        """A private key may be given as PEM, and what is none is told at once."""
        private = rsa.generate_private_key(65537, 2048)
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        token = compact({"alg": "RS256"}, CLAIMS, signed_by("RS256", pem))

        assert CLAIMS == jwt.decode(token, private.public_key(), ["RS256"])
        with pytest.raises((ValueError, TypeError, jwt.PyJWTError)):
            signed_by("RS256", b"no key")

    def test_a_member_in_any_form(self) -> None:
        """A member is left out, written as given, or written twice."""
        document = {"alg": "HS256", "typ": "JWT"}

        assert b'{"typ":"JWT"}' == with_member(document, "alg").replace(b" ", b"")
        assert float("inf") == json.loads(with_member(document, "exp", "1e400"))["exp"]
        assert b'{"typ":"JWT","alg":"HS256","alg":"none"}' == with_member(
            document, "alg", '"HS256"', '"none"'
        )


class TestTakenApart:
    """An issued token, and what can be done to it."""

    def test_nothing_gets_lost(self) -> None:
        """The parts together are the token again, and say what it says."""
        parts = Parts.of(TOKEN)

        assert (
            f"{parts.head}.{parts.body}.{parts.signature}"
            == TOKEN
            == parts.resigned(parts.signature_bytes)
        )
        assert ("HS256", CLAIMS) == (parts.algorithm, parts.claims)

    @pytest.mark.parametrize("token", ["", "a.b", "opaque", f"{part([])}.{part({})}.x", "é.é.é"])
    def test_no_jwt(self, token: str) -> None:
        """A token that is not a JWT cannot be tampered with, which is inconclusive."""
        with pytest.raises(Inconclusive):
            Parts.of(token)

    def test_edited(self) -> None:
        """Claims change, and the signature stays."""
        edited = Parts.of(Parts.of(TOKEN).edited(scope="admin"))

        assert {**CLAIMS, "scope": "admin"} == edited.claims
        assert TOKEN.rpartition(".")[2] == edited.signature

    def test_a_public_key_as_secret(self) -> None:
        """The forms of a public key are those that it is published in."""
        public = rsa.generate_private_key(65537, 2048).public_key()
        forms = as_secrets(public)

        assert public == serialization.load_pem_public_key(forms["pem"])
        assert public == serialization.load_der_public_key(forms["der"])
        assert public == jwt.PyJWK(json.loads(forms["jwk"]), "RS256").key


class TestAround:
    """The listener, and the clocks."""

    def test_the_listener_counts_its_callers(self) -> None:
        """A caller gets the document, and is counted."""

        async def main() -> tuple[bool, Any, bool]:
            async with listening({"keys": []}) as listener:
                before = await listener.was_called()
                document = await asyncio.to_thread(
                    lambda: json.load(urllib.request.urlopen(f"{listener.url}/keys"))
                )
                return before, document, await listener.was_called()

        assert (False, {"keys": []}, True) == asyncio.run(main())

    @pytest.mark.parametrize("ahead", [0, -600, 7])
    def test_skew(self, ahead: int) -> None:
        """A Date header tells by how much a clock is ahead, to the second that it is written in."""
        exchange = Exchange(1, "GET", "http://example.org", {}, b"", "nobody")
        exchange.finished = exchange.started + 0.1
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + ahead))
        exchange.headers = [("Date", date)]

        low, high = skew(exchange)

        assert low - 0.1 <= ahead <= high + 0.1
        assert high - low < 1.2

    def test_no_date_no_skew(self) -> None:
        """Without a Date header nothing is said against a clock."""
        assert (0.0, 0.0) == skew(Exchange(1, "GET", "http://example.org", {}, b"", "nobody"))
