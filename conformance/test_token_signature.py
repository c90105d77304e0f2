"""The token's signature and key: only what the target signed is let in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization

from rolecall.evidence import cite, recalled
from rolecall.jwt_forging import Parts, as_secrets, compact, signed_by, with_member
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.model import PUBLIC_KEY
from rolecall.toolkit.attacker import KEY_SET, Attacker
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.world import World

# --- The signature ------------------------------------------------------------------------------


@requirement("SEC-J03")
async def test_an_empty_signature_is_refused(attacker: Attacker) -> None:
    """An issued token whose signature was taken away is not let in."""
    parts = await attacker.issued()

    await attacker.expect_rejected(
        f"{parts.head}.{parts.body}.", attack="SEC-J03", statuses=attacker.unreadable
    )


@requirement("SEC-J01")
@each("form", ("with-last-dot", "without-last-dot"))
async def test_alg_none_is_refused(form: str, attacker: Attacker) -> None:
    """A token with alg none and no signature is not let in."""
    parts = await attacker.issued()
    token = compact({**parts.header, "alg": "none"}, parts.claims)

    token = token if form == "with-last-dot" else token.rstrip(".")

    await attacker.expect_rejected(token, attack="SEC-J01", statuses=attacker.unreadable)


#: The one of these that keeps the signature of the issued token.
_SIGNED = "none-with-a-signature"
#: Members `alg` of a header, as JSON text; "{alg}" is the one that the target uses.
STRANGE_ALGORITHMS: dict[str, list[str]] = {
    "None": ['"None"'],
    "NONE": ['"NONE"'],
    "nOnE": ['"nOnE"'],
    "missing": [],
    "null": ["null"],
    "array": ['["{alg}"]'],
    "number": ["0"],
    "used-and-none": ['"{alg}"', '"none"'],
    _SIGNED: ['"none"'],
}


@requirement("SEC-J02")
@each("algorithm", STRANGE_ALGORITHMS)
async def test_a_strange_alg_is_refused(algorithm: str, attacker: Attacker) -> None:
    """A token without a signature is not let in, and nothing breaks, however its alg is written;
    nor is one whose alg is none, and that has a signature.
    """
    parts = await attacker.issued()
    values = [value.replace("{alg}", parts.algorithm) for value in STRANGE_ALGORITHMS[algorithm]]
    kept = parts.signature_bytes if algorithm == _SIGNED else b""
    token = compact(with_member(parts.header, "alg", *values), parts.claims, lambda _: kept)

    await attacker.expect_rejected(
        token,
        attack="SEC-J02",
        protected_requests=[await attacker.protected_request_for(algorithm, STRANGE_ALGORITHMS)],
        statuses=attacker.unreadable,
    )


#: What can be wrong with a signature, or with the number of parts (five are an encrypted token's,
#: RFC 7516 3.1).
DAMAGES: dict[str, Callable[[Parts], str]] = {
    "last-byte-changed": Parts.with_last_byte_changed,
    "signature-of-zeros": lambda parts: parts.resigned(bytes(len(parts.signature_bytes))),
    "signature-cut-in-half": lambda parts: parts.resigned(
        parts.signature_bytes[: len(parts.signature_bytes) // 2]
    ),
    "two-parts": lambda parts: f"{parts.head}.{parts.body}",
    "four-parts": lambda parts: f"{parts.head}.{parts.body}.{parts.signature}.{parts.signature}",
    "five-parts": lambda parts: (
        f"{parts.head}.{parts.body}.{parts.signature}.{parts.body}.{parts.signature}"
    ),
}


@requirement("SEC-J04")
@each("damage", DAMAGES)
async def test_a_damaged_token_is_refused(damage: str, attacker: Attacker) -> None:
    """A token with a damaged signature, or a wrong number of parts, is rejected."""
    parts = await attacker.issued()
    token = DAMAGES[damage](parts)
    if token == f"{parts.head}.{parts.body}.{parts.signature}":
        raise Inconclusive("a signature that this damages", "ISSUE-jwt")

    await attacker.expect_rejected(
        token,
        attack="SEC-J04",
        protected_requests=[await attacker.protected_request_for(damage, DAMAGES)],
        statuses=attacker.unreadable,
    )


@requirement("SEC-J05")
async def test_an_edited_scope_is_refused(world: World, attacker: Attacker) -> None:
    """The lowest role's token with the highest scope written into it is rejected everywhere."""
    lowest, highest = await world.user(world.roles[0]), await attacker.issued()
    token = Parts.of(lowest.token).edited(scope=highest.claim("scope"))

    await attacker.expect_rejected(
        token, attack="SEC-J05", protected_requests=await attacker.protected_requests(lowest)
    )


@requirement("SEC-J05")
async def test_an_edited_user_is_refused(world: World, attacker: Attacker) -> None:
    """The lowest role's token with another user's id written into it does not act as that user."""
    lowest, highest = await world.user(world.roles[0]), await attacker.issued()
    token = Parts.of(lowest.token).edited(_id=highest.user)

    await attacker.expect_rejected(token, attack="SEC-J05")


KINDS_OF_KEYS = ("of-the-targets-algorithm", "of-another-hash", "RSA", "EC", "oct")

#: What a token says that was issued elsewhere: a server may leave its signature to a gateway, or
#: to whoever issued it (the type is that of RFC 9068 2.1).
FROM_ELSEWHERE = {"iss": "https://rolecall.invalid/", "aud": "rolecall"}
TYPE_ELSEWHERE = "at+jwt"


@requirement("SEC-J06")
@each("kind", KINDS_OF_KEYS)
async def test_another_key_is_refused(kind: str, attacker: Attacker) -> None:
    """An issued token's claims, signed with a key of our own of any kind, are not let in.

    One of them says that it was issued elsewhere: it is let in no more than the others.
    Where the target signs with a secret, that of another one ("oct") is what everybody tries first:
    a key that stands in the code beside the right one.
    """
    parts = await attacker.issued()
    if kind == "oct" and parts.algorithm.startswith("HS"):
        await expect_no_everyday_secret(attacker, parts)
        return
    if kind == "of-another-hash":  # one that a table of verifiers may have no entry for
        other = "HS256" if parts.algorithm == "HS512" else "HS512"
        token = compact({**parts.header, "alg": other}, parts.claims, signed_by(other, OUR_SECRET))
    elif kind == "RSA":
        key = attacker.own_key(kind)
        header = {**parts.header, "alg": key.algorithm, "typ": TYPE_ELSEWHERE}
        token = compact(header, {**parts.claims, **FROM_ELSEWHERE}, key.sign)
    else:
        key = attacker.own_key(kind) if kind.isalpha() else attacker.own_key_for(parts.algorithm)
        token = parts.forged_with(key)

    one = await attacker.protected_request_for(kind, KINDS_OF_KEYS)
    is_like_the_targets = kind == KINDS_OF_KEYS[0]
    await attacker.expect_rejected(
        token, attack="SEC-J06", protected_requests=None if is_like_the_targets else [one]
    )


OUR_SECRET = b"a secret of ours, that no server has, and long enough for every hash there is"

#: What a secret is where somebody forgot to set one: the text of examples, and nothing at all.
EVERYDAY = (b"secret", b"")


async def expect_no_everyday_secret(attacker: Attacker, parts: Parts) -> None:
    """Each protected request rejects a token that is signed with an everyday secret; it is SEC-J07
    where that is the key.
    """
    message = f"{parts.head}.{parts.body}".encode()
    signatures = [signed_by(parts.algorithm, secret)(message) for secret in EVERYDAY]
    wrong = [made for made in signatures if made != parts.signature_bytes]
    for number, request in enumerate(await attacker.protected_requests()):
        token = parts.resigned(wrong[number % len(wrong)])
        await attacker.expect_rejected(token, attack="SEC-J06", protected_requests=[request])


# --- The key -----------------------------------------------------------------------------------

#: Secrets that stand in tutorials, and in the specification's own examples.
WEAK_SECRETS = (
    "",
    " ",
    "keyboard cat",
    *[
        "secret",
        "Secret",
        "SECRET",
        "secretkey",
        "secret-key",
        "secret_key",
        "your-secret-key",
        "my-secret-key",
        "your-256-bit-secret",
        "your-384-bit-secret",
        "your-512-bit-secret",
        "shhhhh",
        "shhh",
        "key",
        "jwt",
        "jwtsecret",
        "jwt-secret",
        "jwt_secret",
        "token",
        "password",
        "passw0rd",
        "changeme",
        "change-me",
        "change_me",
        "default",
        "test",
        "testing",
        "admin",
        "root",
        "1234",
        "123456",
        "12345678",
        "qwerty",
        "hs256",
        "development",
        "example",
        "web1on1",
        "web1on1.chat",
        "api.web1on1.chat",
        "chatshipper",
        "chipchat",
        "example.org",
        "admin@example.org",
        "t0pZ3kR3t",
        "94c70d470e391bdc16a8d8363b5d4891",
        "599e1fcd9da1c72645c95886",
        "undefined",
        "null",
        "None",
        "28167e54e423275c0d948ce2efcaa481d4ab229ea53800502c26adae924a217f924fe2ba343d78ac",
    ],
)


@requirement("SEC-J07")
async def test_no_weak_secret_signs_the_tokens(world: World) -> None:
    """No well-known secret has signed an issued token; nothing is sent for this."""
    caller = await world.user(world.highest)
    parts = Parts.of(caller.token)
    cite(caller.grant.exchange, "answer")
    if not parts.algorithm.startswith("HS"):
        raise NotApplicable(
            f"there is no secret to guess: the target signs with {parts.algorithm}, which has a "
            "private key"
        )
    message, host = (
        f"{parts.head}.{parts.body}".encode(),
        urlsplit(world.target.base_url).hostname or "",
    )

    guesses = (*WEAK_SECRETS, host, world.target.name)
    # Which one it is, not the key itself, which the report does not show.
    right = recalled(
        "which guess is the key",
        lambda: [
            number
            for number, secret in enumerate(guesses)
            if signed_by(parts.algorithm, secret.encode())(message) == parts.signature_bytes
        ],
    )
    if right:
        raise Finding(
            "tokens signed with a key that cannot be guessed",
            f"the key is {guesses[right[0]]!r}",
            caller.grant.exchange,
        )


async def public_key(parts: Parts, world: World) -> Any:
    """The key that checks the target's signatures: from the operator's private one, or where such
    keys are published.

    Raises:
        NotApplicable: there is no such key.
        NotTested: it is nowhere to be had.
    """
    if parts.algorithm.startswith("HS"):
        cite((await world.user(world.highest)).grant.exchange, "answer")
        raise NotApplicable(
            f"the target signs with {parts.algorithm}: it has no public key that could be taken "
            "for a secret"
        )
    with contextlib.suppress(ValueError, TypeError):
        given = world.target.expiry.signing_key.encode()
        return serialization.load_pem_private_key(given, None).public_key()
    published = await world.send("GET", KEY_SET, None, attack="SEC-J08")
    with contextlib.suppress(jwt.PyJWTError, ValueError, TypeError, AttributeError):
        keys = jwt.PyJWKSet.from_dict(published.json).keys  # it is no thing in a wrapping
        named = [key for key in keys if key.key_id and key.key_id == parts.header.get("kid")]
        return next(key.key for key in named or keys if hasattr(key.key, "public_bytes"))
    raise NotTested(
        "the target's public key: give its private one (PEM) in signing_key_env under [expiry]",
        PUBLIC_KEY,
    )


@requirement("SEC-J08")
@each("form", ("pem", "pem-stripped", "der", "jwk"))
async def test_the_public_key_is_no_secret(form: str, world: World, attacker: Attacker) -> None:
    """A token whose HMAC is keyed with the target's public key is rejected."""
    parts = await attacker.issued()
    secret = as_secrets(await public_key(parts, world))[form]
    token = compact({**parts.header, "alg": "HS256"}, parts.claims, signed_by("HS256", secret))

    await attacker.expect_rejected(token, attack="SEC-J08")


#: Algorithms that work with one and the same key (RFC 7518 3.1).
FAMILIES = (("HS256", "HS384", "HS512"), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))


@requirement("SEC-J09")
async def test_one_key_has_one_algorithm(world: World, attacker: Attacker) -> None:
    """A token that the target's own key signed with another algorithm is not let in."""
    key = await attacker.target_key()
    parts = await attacker.issued()
    others = [
        name
        for family in FAMILIES
        if key.algorithm in family
        for name in family
        if name != key.algorithm
    ]
    if not others:
        cite((await world.user(world.highest)).grant.exchange, "answer")
        raise NotApplicable(f"{key.algorithm} is the only algorithm for its kind of key")

    for algorithm in others:
        token = compact(
            {**parts.header, "alg": algorithm}, parts.claims, signed_by(algorithm, key.secret)
        )
        await attacker.expect_rejected(token, attack="SEC-J09")
