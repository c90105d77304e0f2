"""The token itself: only what the target signed, as the target signed it, is let in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization

from rolecall.evidence import cite
from rolecall.jwt_forging import Parts, as_secrets, compact, signed_by, with_member
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.ids import unused_id
from rolecall.spec.model import PUBLIC_KEY
from rolecall.toolkit.attacker import Attacker, unissued
from rolecall.toolkit.callback_server import NOWHERE, listening
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.things import Request
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    change,
    delete_user,
    disable,
    throwaway_user,
)
from rolecall.toolkit.world import World
from rolecall.urls import is_loopback


async def real(world: World) -> Parts:
    """The highest role's token, taken apart: what everything here is made of."""
    return Parts.of((await world.user(world.highest)).token)


# --- The signature ------------------------------------------------------------------------------


@requirement("SEC-J03")
async def test_an_empty_signature_is_refused(world: World, attacker: Attacker) -> None:
    """An issued token whose signature was taken away is not let in."""
    parts = await real(world)

    await attacker.expect_rejected(
        f"{parts.head}.{parts.body}.", attack="SEC-J03", statuses=attacker.unreadable
    )


@requirement("SEC-J01")
@each("form", ("with-last-dot", "without-last-dot"))
async def test_alg_none_is_refused(form: str, world: World, attacker: Attacker) -> None:
    """A token with alg none and no signature is not let in."""
    parts = await real(world)
    token = compact({**parts.header, "alg": "none"}, parts.claims)

    token = token if form == "with-last-dot" else token.rstrip(".")

    await attacker.expect_rejected(token, attack="SEC-J01", statuses=attacker.unreadable)


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
}


@requirement("SEC-J02")
@each("algorithm", STRANGE_ALGORITHMS)
async def test_a_strange_alg_is_refused(algorithm: str, world: World, attacker: Attacker) -> None:
    """A token without a signature is not let in, and nothing breaks, however its alg is written."""
    parts = await real(world)
    values = [value.replace("{alg}", parts.algorithm) for value in STRANGE_ALGORITHMS[algorithm]]
    token = compact(with_member(parts.header, "alg", *values), parts.claims)

    await attacker.expect_rejected(token, attack="SEC-J02", statuses=attacker.unreadable)


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
async def test_a_damaged_token_is_refused(damage: str, world: World, attacker: Attacker) -> None:
    """A token with a changed or cut signature, or with too few or too many parts, is not let in,
    and nothing breaks.
    """
    parts = await real(world)
    token = DAMAGES[damage](parts)
    if token == f"{parts.head}.{parts.body}.{parts.signature}":
        raise Inconclusive("a signature that this damages", "ISSUE-jwt")

    await attacker.expect_rejected(token, attack="SEC-J04", statuses=attacker.unreadable)


@requirement("SEC-J05")
async def test_an_edited_scope_is_refused(world: World, attacker: Attacker) -> None:
    """The lowest role's token with the highest scope written into it opens nothing, not even what
    it opened before.
    """
    lowest, highest = await world.user(world.roles[0]), await real(world)
    token = Parts.of(lowest.token).edited(scope=highest.claim("scope"))

    await attacker.expect_rejected(
        token, attack="SEC-J05", protected_requests=await attacker.protected_requests(lowest)
    )


@requirement("SEC-J05")
async def test_an_edited_user_is_refused(world: World, attacker: Attacker) -> None:
    """The lowest role's token with another user's id written into it does not act as that user."""
    lowest, highest = await world.user(world.roles[0]), await real(world)
    token = Parts.of(lowest.token).edited(_id=highest.user)

    await attacker.expect_rejected(token, attack="SEC-J05")


@requirement("SEC-J06")
@each("kind", ("of-the-targets-algorithm", "RSA", "EC", "oct"))
async def test_another_key_is_refused(kind: str, world: World, attacker: Attacker) -> None:
    """An issued token's claims, signed with a key of our own of any kind, are not let in."""
    parts = await real(world)
    key = attacker.own_key(kind) if kind.isalpha() else attacker.own_key_for(parts.algorithm)
    token = compact({**parts.header, "alg": key.algorithm}, parts.claims, key.sign)

    await attacker.expect_rejected(token, attack="SEC-J06")


# --- The key ------------------------------------------------------------------------------------

#: Secrets that stand in tutorials, and in the specification's own examples.
WEAK_SECRETS = (
    *(
        "",
        " ",
        "secret",
        "Secret",
        "SECRET",
        "secretkey",
        "secret-key",
        "secret_key",
        "your-secret-key",
        "my-secret-key",
    ),
    *(
        "your-256-bit-secret",
        "your-384-bit-secret",
        "your-512-bit-secret",
        "shhhhh",
        "shhh",
        "key",
        "jwt",
        "jwtsecret",
    ),
    *(
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
    ),
    *(
        "testing",
        "admin",
        "root",
        "1234",
        "123456",
        "12345678",
        "qwerty",
        "hs256",
        "keyboard cat",
        "development",
        "example",
    ),
    *(
        "web1on1",
        "web1on1.chat",
        "api.web1on1.chat",
        "chatshipper",
        "chipchat",
        "example.org",
        "admin@example.org",
    ),
    *(
        "t0pZ3kR3t",
        "94c70d470e391bdc16a8d8363b5d4891",
        "599e1fcd9da1c72645c95886",
        "undefined",
        "null",
        "None",
    ),
    "28167e54e423275c0d948ce2efcaa481d4ab229ea53800502c26adae924a217f924fe2ba343d78ac",
)


@requirement("SEC-J07")
async def test_no_weak_secret_signs_the_tokens(world: World) -> None:
    """None of some sixty secrets that everybody would try has signed an issued token; nothing is
    sent for this.
    """
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

    for secret in (*WEAK_SECRETS, host, world.target.name):
        if signed_by(parts.algorithm, secret.encode())(message) == parts.signature_bytes:
            raise Finding(
                "tokens signed with a key that nobody guesses",
                f"the key is {secret!r}",
                caller.grant.exchange,
            )


#: Where a public key is looked for when the operator gave no private one.
KEY_SET = "/.well-known/jwks.json"


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
    with contextlib.suppress(jwt.PyJWTError, ValueError, TypeError):
        keys = jwt.PyJWKSet.from_dict(published.document).keys
        named = [key for key in keys if key.key_id and key.key_id == parts.header.get("kid")]
        return next(key.key for key in named or keys if hasattr(key.key, "public_bytes"))
    raise NotTested(
        "the target's public key: give its private one (PEM) in signing_key_env under [expiry]",
        PUBLIC_KEY,
    )


@requirement("SEC-J08")
@each("form", ("pem", "pem-stripped", "der", "jwk"))
async def test_the_public_key_is_no_secret(form: str, world: World, attacker: Attacker) -> None:
    """Where tokens are signed with a private key, one whose HMAC is keyed with the public key is
    not let in.
    """
    parts = await real(world)
    secret = as_secrets(await public_key(parts, world))[form]
    token = compact({**parts.header, "alg": "HS256"}, parts.claims, signed_by("HS256", secret))

    await attacker.expect_rejected(token, attack="SEC-J08")


#: Algorithms that work with one and the same key (RFC 7518 3.1).
FAMILIES = (("HS256", "HS384", "HS512"), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))


@requirement("SEC-J09")
async def test_one_key_has_one_algorithm(world: World, attacker: Attacker) -> None:
    """A token that the target's own key signed with another algorithm is not let in."""
    key = await attacker.target_key()
    parts = await real(world)
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


# --- The header ---------------------------------------------------------------------------------


@requirement("SEC-J10")
@each("kind", ("RSA", "EC", "oct"))
async def test_an_embedded_key_is_not_used(kind: str, world: World, attacker: Attacker) -> None:
    """A token that brings the key for its own signature in its header is not let in."""
    parts, key = await real(world), attacker.own_key(kind)
    token = compact(
        {**parts.header, "alg": key.algorithm, "jwk": dict(key.jwk)}, parts.claims, key.sign
    )

    await attacker.expect_rejected(token, attack="SEC-J10")


REFERENCES = ("jku", "x5u")


async def referring(reference: str, url: str, world: World, attacker: Attacker) -> str:
    """A token whose header says that its key is to be had at an address."""
    parts, key = await real(world), attacker.own_key("RSA")
    header = {**parts.header, "alg": key.algorithm, reference: f"{url}{KEY_SET}", "kid": "rolecall"}
    return compact(header, parts.claims, key.sign)


async def key_set(attacker: Attacker) -> dict[str, Any]:
    """The document at that address."""
    key = attacker.own_key("RSA")
    return {"keys": [{**key.jwk, "kid": "rolecall", "use": "sig", "alg": key.algorithm}]}


@requirement("SEC-J11-denied")
@each("reference", REFERENCES)
async def test_a_key_from_elsewhere_is_not_used(
    reference: str, world: World, attacker: Attacker
) -> None:
    """A token that names the address of the key for its own signature is not let in."""
    async with listening(await key_set(attacker)) as listener:
        url = listener.url if is_loopback(world.target.base_url) else NOWHERE
        token = await referring(reference, url, world, attacker)

        await attacker.expect_rejected(token, attack="SEC-J11-denied")


@requirement("SEC-J11")
@each("reference", REFERENCES)
async def test_an_address_in_a_token_is_not_called(
    reference: str, world: World, attacker: Attacker
) -> None:
    """The address that a token names for its key is not called."""
    if not is_loopback(world.target.base_url):
        raise NotTested("a listener that the target can reach: only where both are on this machine")
    async with listening(await key_set(attacker)) as listener:
        token = await referring(reference, listener.url, world, attacker)
        protected_request = (await attacker.protected_requests())[0]

        answer = await world.perform(protected_request, unissued(token), attack="SEC-J11")

        if await listener.was_called():
            raise Finding(f"nobody calls the address in {reference}", "it was called", answer)


#: Members `kid`, and the secrets that a server would then check with.
KEY_IDS: dict[str, tuple[Any, bytes]] = {
    "path-to-an-empty-file": ("../../../../../../../../dev/null", b""),
    "empty-file": ("/dev/null", b""),
    "sql": ("x' UNION SELECT 'rolecall' -- ", b"rolecall"),
    "sql-sleep": ("x'; SELECT pg_sleep(5); -- ", b""),
    "nosql": ('{"$ne": null}', b""),
    "object": ({"$ne": None}, b""),
    "command": ("x; sleep 5 #", b""),
    "four-kilobytes": ("k" * 4096, b""),
}
_ASLEEP = 5.0  # seconds, which some of them ask for


@requirement("SEC-J12")
@each("kid", KEY_IDS)
async def test_a_key_id_is_only_an_id(kid: str, world: World, attacker: Attacker) -> None:
    """A kid that is a path, a query, a command, an object or very long finds no key, and breaks or
    delays nothing.
    """
    parts = await real(world)
    value, secret = KEY_IDS[kid]
    token = compact(
        {**parts.header, "alg": "HS256", "kid": value}, parts.claims, signed_by("HS256", secret)
    )
    too_long = (413, 431) if kid == "four-kilobytes" else ()

    answers = await attacker.expect_rejected(
        token, attack="SEC-J12", statuses=(*attacker.unreadable, *too_long)
    )

    if all(answer.finished - answer.started >= _ASLEEP for answer in answers):
        raise Finding("an answer at once", f"{_ASLEEP:g} s of sleep, as the kid asks", answers[-1])


@requirement("SEC-J13")
async def test_a_critical_extension_is_not_passed_over(world: World, attacker: Attacker) -> None:
    """A well signed token with an extension that has to be understood, and cannot be, is not let
    in.
    """
    admin = await world.user(world.highest)
    extension = "https://rolecall.invalid/unheard-of"
    token = await attacker.made(admin, header={"crit": [extension], extension: True})

    await attacker.expect_rejected(token, attack="SEC-J13", statuses=attacker.unreadable)


# --- The form -----------------------------------------------------------------------------------


def flattened(parts: Parts) -> str:
    """The flattened JSON serialisation (RFC 7515 7.2.2)."""
    return json.dumps(
        {"payload": parts.body, "protected": parts.head, "signature": parts.signature}
    )


def general(parts: Parts) -> str:
    """The general JSON serialisation (RFC 7515 7.2.1)."""
    signatures = [{"protected": parts.head, "signature": parts.signature}]
    return json.dumps({"payload": parts.body, "signatures": signatures})


def within(text: str, stranger: str) -> str:
    """A part with characters in the middle that do not belong there."""
    return f"{text[: len(text) // 2]}{stranger}{text[len(text) // 2 :]}"


#: Other ways to write an issued token. In these its header or claims are written otherwise than
#: they were signed.
SPELLINGS: dict[str, Callable[[Parts], str]] = {
    "flattened-json": flattened,
    "general-json": general,
    "padding-behind-the-header": lambda parts: f"{parts.head}=.{parts.body}.{parts.signature}",
    "padding-behind-the-claims": lambda parts: f"{parts.head}.{parts.body}=.{parts.signature}",
    "space-in-the-claims": lambda parts: (
        f"{parts.head}.{within(parts.body, ' ')}.{parts.signature}"
    ),
    "tab-in-the-claims": lambda parts: (
        f"{parts.head}.{within(parts.body, chr(9))}.{parts.signature}"
    ),
    "other-characters-in-the-claims": lambda parts: (
        f"{parts.head}.{within(parts.body, '!*')}.{parts.signature}"
    ),
}

#: The same signature, written in other ways.
SIGNATURES: dict[str, Callable[[Parts], str]] = {
    "padding": lambda parts: f"{parts.signature}{'=' * (-len(parts.signature) % 4 or 4)}",
    "space": lambda parts: within(parts.signature, " "),
    "other-characters": lambda parts: within(parts.signature, "!*$~"),
}


@requirement("SEC-J15")
@each("spelling", SPELLINGS)
async def test_a_token_has_one_spelling(spelling: str, world: World, attacker: Attacker) -> None:
    """An issued token in JSON form, or with characters in it that do not belong there, is not let
    in.
    """
    token = SPELLINGS[spelling](await real(world))

    await attacker.expect_rejected(token, attack="SEC-J15", statuses=attacker.unreadable)


@requirement("SEC-J15-signature")
@each("spelling", SIGNATURES)
async def test_a_signature_has_one_spelling(
    spelling: str, world: World, attacker: Attacker
) -> None:
    """An issued token whose signature has padding, or characters that do not belong there, is not
    let in.
    """
    parts = await real(world)
    token = f"{parts.head}.{parts.body}.{SIGNATURES[spelling](parts)}"

    await attacker.expect_rejected(token, attack="SEC-J15-signature", statuses=attacker.unreadable)


# --- The claims ---------------------------------------------------------------------------------


async def twice(first: str, second: str, world: World, attacker: Attacker) -> tuple[str, Request]:
    """A well signed token of the lowest role with two scopes, and a door that only the highest one
    opens.
    """
    lowest = await world.user(world.roles[0])
    scopes = {
        role: json.dumps(Parts.of((await world.user(role)).token).claim("scope"))
        for role in (first, second)
    }
    body = with_member(Parts.of(lowest.token).claims, "scope", scopes[first], scopes[second])
    token = await attacker.made(lowest, body=body)
    protected_request = await attacker.protected_request(
        attacker.reserved[0], await world.user(world.highest)
    )
    if not protected_request:
        raise Inconclusive(
            "a list that only the highest role may see", attacker.reserved[0].requirement
        )
    return token, protected_request


@requirement("SEC-J14-never-wider")
async def test_of_two_scopes_the_first_never_counts(world: World, attacker: Attacker) -> None:
    """A token with two scopes, first the highest and then the lowest, does not have the rights of
    the first.
    """
    token, protected_request = await twice(world.highest, world.roles[0], world, attacker)

    answer = await world.perform(protected_request, unissued(token), attack="SEC-J14-never-wider")

    await attacker.expect_denied(answer, protected_request, await world.user(world.roles[0]))


@requirement("SEC-J14")
async def test_what_becomes_of_two_scopes(world: World, attacker: Attacker, judge: Judge) -> None:
    """A token with two scopes, first the lowest and then the highest: what counts is written down."""
    token, protected_request = await twice(world.roles[0], world.highest, world, attacker)

    answer = await world.perform(protected_request, unissued(token), attack="SEC-J14")

    judge.note(
        "of two scopes in one token "
        f"{'the last counts' if answer.ok else f'the last does not count ({answer.status})'}"
    )


#: Claims `_id` that are nobody's, as JSON text; "{user}" is the id of a user that there is.
NOBODY: dict[str, list[str]] = {
    "unknown": ['"{unknown}"'],
    "empty": ['""'],
    "missing": [],
    "null": ["null"],
    "array": ['["{user}"]'],
    "object": ['{"$ne":null}'],
    "number": ["0"],
}


@requirement("SEC-J17")
@each("user", NOBODY)
async def test_a_token_of_nobody_is_refused(user: str, world: World, attacker: Attacker) -> None:
    """A well signed token whose user is unknown, empty or no text is not let in, and nothing
    breaks.
    """
    admin = await world.user(world.highest)
    parts = Parts.of(admin.token)
    real_id = str(parts.user)
    unknown = unused_id(real_id)
    values = [
        value.replace("{user}", real_id).replace("{unknown}", unknown) for value in NOBODY[user]
    ]
    token = await attacker.made(admin, body=with_member(parts.claims, "_id", *values))

    await attacker.expect_rejected(token, attack="SEC-J17", statuses=attacker.unreadable)


@requirement("SEC-J18")
@each("claim", ("iss", "aud"))
async def test_a_token_for_others_is_refused(claim: str, world: World, attacker: Attacker) -> None:
    """Where tokens say who issued them, or for whom, a well signed one that says otherwise is not
    let in.
    """
    admin = await world.user(world.highest)
    if claim not in Parts.of(admin.token).claims:
        cite(admin.grant.exchange, "answer")
        raise NotApplicable(f"the target's tokens have no {claim}")
    others: dict[str, Any] = {claim: "https://rolecall.invalid"}
    token = await attacker.made(admin, **others)

    await attacker.expect_rejected(token, attack="SEC-J18")


# --- The user behind the token ------------------------------------------------------------------


async def rights(user: ThrowawayUser, world: World) -> Mapping[str, Request]:
    """The reads that a made-up user is seen to have a right to, with their requests.

    Raises:
        Inconclusive: there is none.
    """
    found = {}
    for operation in world.spec.operations.values():
        if operation.effect == "list" or (operation.is_self and operation.effect == "fetch"):
            if not world.spec.allows(operation.name, user.caller.role):
                continue
            request = await world.request(operation, user.caller)
            if world.dialect.allows(operation, await world.perform(request, user.caller)):
                found[operation.name] = request
    if not found:
        raise Inconclusive("a right that a user has", "the cells that are allowed")
    return found


@requirement("SEC-J19")
async def test_how_long_an_old_scope_lasts(world: World, judge: Judge) -> None:
    """When a user's role is lowered, what the token from before may still do is written down."""
    lower, higher = world.roles[:2]
    user = await throwaway_user(world, higher)
    lost = {
        name: request
        for name, request in (await rights(user, world)).items()
        if not world.spec.allows(name, lower)
    }
    if not lost:
        raise Inconclusive(f"a read that {higher} may and {lower} may not", "the permission table")
    await change(world, user, role=lower)

    answers = [await world.perform(request, user.caller) for request in lost.values()]

    kept = any(
        world.dialect.allows(request.operation, answer)
        for request, answer in zip(lost.values(), answers, strict=True)
    )
    judge.cite(*answers)
    judge.note(
        f"a token {'keeps its scope' if kept else 'loses its scope at once'} when its user's role "
        "is lowered"
    )


async def expect_dead(
    user: ThrowawayUser, before: Mapping[str, Request], what: str, world: World, attack: str
) -> None:
    """A user's old token opens nothing of what it opened before."""
    for request in before.values():
        answer = cite(await world.perform(request, user.caller, attack=attack), "answer")
        if answer.ok:
            raise Finding(
                f"the token of a user who was {what} opens nothing",
                f"{answer.status}: let in",
                answer,
            )


@requirement("SEC-J17-deleted")
async def test_a_deleted_users_token_dies(world: World) -> None:
    """The token of a user opens nothing any more once the user was deleted."""
    user = await throwaway_user(world, world.roles[1])
    before = await rights(user, world)
    await delete_user(world, user)

    await expect_dead(user, before, "deleted", world, "SEC-J17-deleted")


@requirement("SEC-J20")
@each("status", ("inactive", "disabled"))
async def test_a_disabled_users_token_dies(status: str, world: World) -> None:
    """Where a status keeps a user from logging in, the token from before opens nothing any more
    either.
    """
    user = await throwaway_user(world, world.roles[1])
    before = await rights(user, world)
    await disable(world, user, status)

    await expect_dead(user, before, f"made {status}", world, "SEC-J20")
