"""Faults of the signature of a token: each way to forge one."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import jwt

from rolecall.reference.app import Server
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import SigningKey, decode_segment
from rolecall.reference.variants.refreshing import jwt_refresh_tokens
from rolecall.reference.variants.tokens import public_key_of, use_rs256


def _no_signature_for(server: Server, unsigned: Callable[[object], bool]) -> None:
    """Ask for no signature if the header names such an algorithm."""
    holds = server.verifier.signature_holds
    split = server.verifier.split

    @instead_of(server.verifier.split)
    def two_or_three(token: str) -> tuple[str, str, str]:
        return split(token if token.count(".") != 1 else f"{token}.")

    @instead_of(server.verifier.signature_holds)
    def trusting(message: bytes, signature: str, header: Document) -> bool:
        return unsigned(header.get("alg")) or holds(message, signature, header)


@fault("accepts-alg-none", finding="SEC-J01")
def accepts_alg_none(server: Server) -> None:
    """A token whose header says alg none is taken at its word."""
    _no_signature_for(server, lambda algorithm: algorithm == "none")


@fault("accepts-alg-none-in-other-letters", finding="SEC-J02")
def accepts_alg_none_in_other_letters(server: Server) -> None:
    """Alg none is refused as spelled in the book, and taken at its word as None, NONE or nOnE."""
    _no_signature_for(
        server,
        lambda algorithm: (
            isinstance(algorithm, str) and algorithm != "none" and algorithm.lower() == "none"
        ),
    )


@fault("accepts-missing-alg", finding="SEC-J02")
def accepts_missing_alg(server: Server) -> None:
    """A header without alg, or with alg null, needs no signature."""
    _no_signature_for(server, lambda algorithm: algorithm is None)


@fault("strange-alg-crashes", finding="SEC-J02")
def strange_alg_crashes(server: Server) -> None:
    """An alg that is not a text ends in a crash."""
    fits = server.verifier.algorithm_fits

    @instead_of(server.verifier.algorithm_fits)
    def fragile(algorithm: object) -> bool:
        if not isinstance(algorithm, str):
            raise TypeError("unhashable type")
        return fits(algorithm)


@fault("ignores-signature", finding="SEC-J03")
def ignores_signature(server: Server) -> None:
    """The signature is not looked at, as long as the header names the right algorithm."""

    @instead_of(server.verifier.signature_holds)
    def unseen(message: bytes, signature: str, header: Document) -> bool:
        return server.verifier.algorithm_fits(header.get("alg"))


@fault("accepts-empty-signature", finding="SEC-J03")
def accepts_empty_signature(server: Server) -> None:
    """A signature that is not there is not checked."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def forgiving(message: bytes, signature: str, header: Document) -> bool:
        return signature == "" or holds(message, signature, header)


@fault("signature-compared-by-its-beginning", finding="SEC-J04")
def signature_compared_by_its_beginning(server: Server) -> None:
    """A signature that was cut short matches as far as it goes."""

    @instead_of(server.verifier.signature_holds)
    def beginning(message: bytes, signature: str, header: Document) -> bool:
        given = base64.urlsafe_b64decode(signature[: len(signature) // 4 * 4])
        right = server.verifier.key.sign(message)
        return (
            server.verifier.algorithm_fits(header.get("alg"))
            and bool(given)
            and right.startswith(given)
        )


@fault("last-byte-of-signature-ignored", finding="SEC-J04")
def last_byte_of_signature_ignored(server: Server) -> None:
    """The last byte of a signature may be any."""

    @instead_of(server.verifier.signature_holds)
    def short(message: bytes, signature: str, header: Document) -> bool:
        given, right = decode_segment(signature), server.verifier.key.sign(message)
        return server.verifier.algorithm_fits(header.get("alg")) and given[:-1] == right[:-1]


@fault("accepts-more-parts", finding="SEC-J04")
def accepts_more_parts(server: Server) -> None:
    """What follows the third part of a token is not looked at."""

    @instead_of(server.verifier.split)
    def first_three(token: str) -> tuple[str, str, str]:
        head, payload, signature, *_ = token.split(".")
        return head, payload, signature


@fault("strange-token-crashes", finding="SEC-J04")
def strange_token_crashes(server: Server) -> None:
    """A token without three parts ends in a crash."""
    split = server.verifier.split

    @instead_of(server.verifier.split)
    def fragile(token: str) -> tuple[str, str, str]:
        if token.count(".") != 2:
            raise IndexError("list index out of range")
        return split(token)


@fault("accepts-edited-scope", finding="SEC-J05")
def accepts_edited_scope(server: Server) -> None:
    """The signature is checked without the scope: a token with an edited scope is accepted."""
    _without_claim(server, "scope")


def _without_claim(server: Server, name: str) -> None:
    """Remember the claims of every token issued, and let one of them differ."""
    write = server.issuer.write
    holds = server.verifier.signature_holds
    issued: dict[str, Document] = {}

    @instead_of(server.issuer.write)
    def remembered(claims: Document) -> str:
        token = write(claims)
        issued[token.rsplit(".", 1)[1]] = {
            key: value for key, value in claims.items() if key != name
        }
        return token

    @instead_of(server.verifier.signature_holds)
    def tolerant(message: bytes, signature: str, header: Document) -> bool:
        if holds(message, signature, header):
            return True
        claims = loads(decode_segment(message.decode().split(".")[1]))
        rest = {key: value for key, value in claims.items() if key != name}
        return signature in issued and issued[signature] == rest


@fault("accepts-edited-user", finding="SEC-J05")
def accepts_edited_user(server: Server) -> None:
    """The signature is checked without the user: a token with an edited _id is accepted."""
    _without_claim(server, "_id")


@fault("accepts-any-key", finding="SEC-J04")
def accepts_any_key(server: Server) -> None:
    """A signature needs the right length, and nothing else is checked."""

    @instead_of(server.verifier.signature_holds)
    def long_enough(message: bytes, signature: str, header: Document) -> bool:
        return (
            server.verifier.algorithm_fits(header.get("alg"))
            and len(decode_segment(signature)) == 32
        )


@fault("algorithm-without-key-unchecked", finding="SEC-J06")
def algorithm_without_key_unchecked(server: Server) -> None:
    """With an algorithm for which the server has no key, any signature is accepted."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def keyless(message: bytes, signature: str, header: Document) -> bool:
        if header.get("alg") in ("RS256", "ES256"):
            return bool(signature)
        return holds(message, signature, header)


@fault("weak-signing-key", finding="SEC-J07")
def weak_signing_key(server: Server) -> None:
    """Tokens are signed with the secret that stands in every example."""
    server.issuer.key = server.verifier.key = SigningKey.shared(b"secret")


@fault("second-key-in-the-code", finding="SEC-J06")
def second_key_in_the_code(server: Server) -> None:
    """A token is checked with the configured key, and then with that of the examples."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def either(message: bytes, signature: str, header: Document) -> bool:
        second = SigningKey.shared(b"secret")
        return holds(message, signature, header) or second.verify(
            message, decode_segment(signature)
        )


@fault("accepts-public-key-as-secret", finding="SEC-J08")
def accepts_public_key_as_secret(server: Server) -> None:
    """Tokens are signed with RS256; one with HS256 is checked with the public key as the secret."""
    use_rs256(server)
    holds = server.verifier.signature_holds
    secrets = public_key_of(server)

    @instead_of(server.verifier.signature_holds)
    def confused(message: bytes, signature: str, header: Document) -> bool:
        if header.get("alg") != "HS256":
            return holds(message, signature, header)
        given = decode_segment(signature)
        return any(SigningKey.shared(secret).verify(message, given) for secret in secrets)


@fault("algorithm-of-the-header", finding="SEC-J09", needs=("signing-key",))
def algorithm_of_the_header(server: Server) -> None:
    """The header chooses the algorithm: HS384 and HS512 will do under the same key."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def obliging(message: bytes, signature: str, header: Document) -> bool:
        algorithm = header.get("alg")
        if algorithm in ("HS384", "HS512"):
            secret = server.verifier.key.verify_with
            return SigningKey(algorithm, secret, secret).verify(message, decode_segment(signature))
        return holds(message, signature, header)


@fault("honours-embedded-jwk", finding="SEC-J10")
def honours_embedded_jwk(server: Server) -> None:
    """A token may bring its own key in the header."""
    check_with_foreign_key(server, lambda header: header.get("jwk"))


@fault("honours-jku", finding="SEC-J11-denied")
def honours_jku(server: Server) -> None:
    """A token may name the place where its key is to be had."""
    check_with_foreign_key(server, _fetched_key)


@fault("calls-jku", finding="SEC-J11")
def calls_jku(server: Server) -> None:
    """The place that a token names for its key is called, though the key is not used."""

    def called(header: Document) -> None:
        _fetched_key(header)

    check_with_foreign_key(server, called)


def _fetched_key(header: Document) -> object:
    """The first key of the set at jku, or x5u."""
    url = header.get("jku") or header.get("x5u")
    if not isinstance(url, str) or not url.startswith("http"):
        return None
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310  # that is the fault
            document = json.load(answer)
            return document["keys"][0] if "keys" in document else document
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def check_with_foreign_key(server: Server, key_of: Callable[[Document], object]) -> None:
    """Check the signature with a key that the header leads to, if it leads to one."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def persuaded(message: bytes, signature: str, header: Document) -> bool:
        key = key_of(header)
        if isinstance(key, dict):
            with contextlib.suppress(jwt.PyJWTError, ValueError, TypeError):
                foreign = jwt.PyJWK(key, algorithm=header.get("alg"))
                verified: bool = foreign.Algorithm.verify(
                    message, foreign.key, decode_segment(signature)
                )
                return verified
        return holds(message, signature, header)


@fault("kid-is-a-path", finding="SEC-J12")
def kid_is_a_path(server: Server) -> None:
    """The kid names a file with the key; an empty file is an empty key."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def from_file(message: bytes, signature: str, header: Document) -> bool:
        kid = header.get("kid")
        if isinstance(kid, str) and kid.endswith("/dev/null"):
            return SigningKey.shared(b"").verify(message, decode_segment(signature))
        return holds(message, signature, header)


@fault("strange-kid-crashes", finding="SEC-J12")
def strange_kid_crashes(server: Server) -> None:
    """A kid that is not a plain name ends in a crash."""
    check = server.verifier.check_header

    @instead_of(server.verifier.check_header)
    def fragile(header: Document) -> None:
        kid = header.get("kid", "")
        if not isinstance(kid, str) or not re.fullmatch(r"[\w-]{0,64}", kid):
            raise KeyError("kid")
        check(header)


@fault("ignores-crit", finding="SEC-J13", needs=("signing-key",))
def ignores_crit(server: Server) -> None:
    """A header that says what has to be understood is not understood, and the token accepted."""

    @instead_of(server.verifier.check_header)
    def unread(header: Document) -> None:
        return None


@fault("widest-of-duplicate-claims", finding="SEC-J14-never-wider", needs=("signing-key",))
def widest_of_duplicate_claims(server: Server) -> None:
    """If a token has two scopes, all of them count."""

    def together(pairs: list[tuple[str, Any]]) -> Document:
        document = dict(pairs)
        scopes = [str(value) for name, value in pairs if name == "scope"]
        return document | {"scope": " ".join(scopes)} if len(scopes) > 1 else document

    decoder = json.JSONDecoder(object_pairs_hook=together)

    @instead_of(server.verifier.parse)
    def parse(data: bytes) -> Any:
        return loads(data, decoder)


@fault("accepts-json-serialisation", finding="SEC-J15")
def accepts_json_serialisation(server: Server) -> None:
    """A token in the JSON serialisation is taken as well."""
    split = server.verifier.split

    @instead_of(server.verifier.split)
    def either(token: str) -> tuple[str, str, str]:
        if not token.startswith("{"):
            return split(token)
        parts = loads(token.encode("latin-1"))
        if "signatures" in parts:
            parts |= parts["signatures"][0]
        return str(parts.get("protected")), str(parts.get("payload")), str(parts.get("signature"))


@fault("lenient-base64", finding="SEC-J15")
def lenient_base64(server: Server) -> None:
    """Characters that do not belong into a token are dropped before it is read."""
    split = server.verifier.split

    @instead_of(server.verifier.split)
    def cleaned(token: str) -> tuple[str, str, str]:
        return split(re.sub(r"[^A-Za-z0-9_.-]", "", token))


@fault("padding-behind-a-signature", finding="SEC-J15-signature")
def padding_behind_a_signature(server: Server) -> None:
    """Padding behind a signature is forgiven."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def unpadded(message: bytes, signature: str, header: Document) -> bool:
        return holds(message, signature.rstrip("="), header)


@fault("refresh-jwt-as-bearer", finding="REFRESH-token-kinds")
def refresh_jwt_as_bearer(server: Server) -> None:
    """Refresh tokens are JWTs, and what they were made for is not looked at."""
    jwt_refresh_tokens(server)

    @instead_of(server.verifier.check_grant)
    def unread(claims: Document) -> None:
        return None
