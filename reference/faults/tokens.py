"""Faults of what is taken for a valid token, and from where."""

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
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.jsontext import Document, lenient, loads
from rolecall.reference.settings import ROLES
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal, SigningKey, decode_segment
from rolecall.reference.variants import jwt_refresh_tokens, public_key_of, use_rs256

# --- the signature -----------------------------------------------------------------------------------------


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
        lambda algorithm: isinstance(algorithm, str) and algorithm != "none" and algorithm.lower() == "none",
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
        return server.verifier.algorithm_fits(header.get("alg")) and bool(given) and right.startswith(given)


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
    """The signature is checked without the scope: a token keeps its signature when its scope is edited."""
    _without_claim(server, "scope")


def _without_claim(server: Server, name: str) -> None:
    """Remember the claims of every token issued, and let one of them differ."""
    write = server.issuer.write
    holds = server.verifier.signature_holds
    issued: dict[str, Document] = {}

    @instead_of(server.issuer.write)
    def remembered(claims: Document) -> str:
        token = write(claims)
        issued[token.rsplit(".", 1)[1]] = {key: value for key, value in claims.items() if key != name}
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
    """The signature is checked without the user: a token keeps its signature when its _id is edited."""
    _without_claim(server, "_id")


@fault("accepts-any-key", finding="SEC-J04")
def accepts_any_key(server: Server) -> None:
    """A signature has to have the right length, whoever made it."""

    @instead_of(server.verifier.signature_holds)
    def long_enough(message: bytes, signature: str, header: Document) -> bool:
        return server.verifier.algorithm_fits(header.get("alg")) and len(decode_segment(signature)) == 32


@fault("weak-signing-key", finding="SEC-J07")
def weak_signing_key(server: Server) -> None:
    """Tokens are signed with the secret that stands in every example."""
    server.issuer.key = server.verifier.key = SigningKey.shared(b"secret")


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
    _foreign_key(server, lambda header: header.get("jwk"))


@fault("honours-jku", finding="SEC-J11")
def honours_jku(server: Server) -> None:
    """A token may name the place where its key is to be had."""
    _foreign_key(server, _fetched_key)


@fault("calls-jku", finding="SEC-J11")
def calls_jku(server: Server) -> None:
    """The place that a token names for its key is called, though the key is not used."""

    def called(header: Document) -> None:
        _fetched_key(header)

    _foreign_key(server, called)


def _fetched_key(header: Document) -> object:
    """The first key of the set at jku, or x5u."""
    url = header.get("jku") or header.get("x5u")
    if not isinstance(url, str) or not url.startswith("http"):
        return None
    try:
        with urllib.request.urlopen(url, timeout=0.5) as answer:
            document = json.load(answer)
            return document["keys"][0] if "keys" in document else document
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def _foreign_key(server: Server, key_of: Callable[[Document], object]) -> None:
    """Check the signature with a key that the header leads to, if it leads to one."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def persuaded(message: bytes, signature: str, header: Document) -> bool:
        key = key_of(header)
        if isinstance(key, dict):
            with contextlib.suppress(jwt.PyJWTError, ValueError, TypeError):
                foreign = jwt.PyJWK(key, algorithm=header.get("alg"))
                verified: bool = foreign.Algorithm.verify(message, foreign.key, decode_segment(signature))
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
    """A kid that is no plain name ends in a crash."""
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


@fault("widest-of-duplicate-claims", finding="SEC-J14", needs=("signing-key",))
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


@fault("refresh-jwt-as-bearer", finding="SEC-J16")
def refresh_jwt_as_bearer(server: Server) -> None:
    """Refresh tokens are JWTs, and what they were made for is not looked at."""
    jwt_refresh_tokens(server)

    @instead_of(server.verifier.check_grant)
    def unread(claims: Document) -> None:
        return None


# --- the claims --------------------------------------------------------------------------------------------


@fault("unknown-user-accepted", finding="SEC-J17", needs=("signing-key",))
def unknown_user_accepted(server: Server) -> None:
    """A signed token is good for any _id, also one that nobody has."""
    _unknown_users(server, lambda id: True)


@fault("deleted-user-accepted", finding="SEC-J20")
def deleted_user_accepted(server: Server) -> None:
    """The tokens of a deleted user live on."""
    remove = server.store.remove
    gone: set[object] = set()

    @instead_of(server.store.remove)
    def noted(resource: str, id: str) -> None:
        remove(resource, id)
        if resource == "users":
            gone.add(id)

    _unknown_users(server, lambda id: id in gone)


def _unknown_users(server: Server, accepted: Callable[[object], bool]) -> None:
    """Make a user up from the claims if there is none."""
    subject = server.verifier.subject
    fetch = server.resources.fetch

    @instead_of(server.verifier.subject)
    def made_up(claims: Document) -> Document:
        try:
            return subject(claims)
        except Refusal:
            if not isinstance(claims.get("_id"), (str, type(None))) or not accepted(claims.get("_id")):
                raise
            return {"id": str(claims.get("_id")), "role": "guest", "name": "Somebody"}

    @instead_of(server.resources.fetch)
    def fetched(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        if resource == "users" and id == principal.id and accepted(id):
            return Answer.of(200, server.resources.stored("users", id) or principal.user)
        return fetch(call, principal, resource, id)


@fault("strange-user-crashes", finding="SEC-J17", needs=("signing-key",))
def strange_user_crashes(server: Server) -> None:
    """A signed token whose _id is not a text ends in a crash."""
    subject = server.verifier.subject

    @instead_of(server.verifier.subject)
    def fragile(claims: Document) -> Document:
        if not isinstance(claims.get("_id"), str):
            raise TypeError("_id")
        return subject(claims)


@fault("disabled-user-accepted", finding="SEC-J20")
def disabled_user_accepted(server: Server) -> None:
    """The tokens of a disabled user live on."""

    @instead_of(server.verifier.subject)
    def whatever_status(claims: Document) -> Document:
        id = claims.get("_id")
        user = server.resources.stored("users", id) if isinstance(id, str) else {}
        if not user:
            raise server.verifier.invalid()
        return user


@fault("ignores-audience", finding="SEC-J18", needs=("signing-key",))
def ignores_audience(server: Server) -> None:
    """Tokens say who issued them and for whom, and those made elsewhere for others are accepted."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def addressed(user: Document) -> Document:
        return {**claims(user), "iss": "https://api.example.org", "aud": "web1on1"}


def _scopes(server: Server, understand: Callable[[object], set[str]]) -> None:
    """Understand the scope claim in another way."""

    @instead_of(server.verifier.scopes)
    def understood(claims: Document) -> frozenset[str]:
        return frozenset(understand(claims.get("scope")))


@fault("scope-by-substring", finding="SEC-A04", needs=("signing-key",))
def scope_by_substring(server: Server) -> None:
    """A scope is there if its name occurs in the claim: an administrator is an admin."""
    _scopes(server, lambda scope: {role for role in ROLES if role in str(scope)})


@fault("scope-by-beginning", finding="SEC-A04", needs=("signing-key",))
def scope_by_beginning(server: Server) -> None:
    """A scope is there if a word of the claim begins with its name."""
    _scopes(
        server,
        lambda scope: {
            role for role in ROLES if any(word.startswith(role) for word in str(scope).split(" "))
        },
    )


@fault("scope-without-case", finding="SEC-A04", needs=("signing-key",))
def scope_without_case(server: Server) -> None:
    """Admin is admin."""
    _scopes(server, lambda scope: set(str(scope).lower().split(" ")))


@fault("scope-separated-by-anything", finding="SEC-A04", needs=("signing-key",))
def scope_separated_by_anything(server: Server) -> None:
    """Scopes may be separated by commas, tabs and the like."""
    _scopes(server, lambda scope: set(re.split(r"\W+", str(scope))))


@fault("unknown-scope-is-admin", finding="SEC-A04", needs=("signing-key",))
def unknown_scope_is_admin(server: Server) -> None:
    """A scope that nobody knows has no limit."""
    _scopes(
        server,
        lambda scope: (
            set(str(scope).split(" "))
            | ({"admin"} if any(name not in ROLES for name in str(scope).split(" ")) else set())
        ),
    )


@fault("missing-scope-is-admin", finding="SEC-A04", needs=("signing-key",))
def missing_scope_is_admin(server: Server) -> None:
    """A token with no scope at all has no limit."""
    _scopes(server, lambda scope: set(str(scope).split(" ")) if scope else {"admin"})


@fault("scope-array-accepted", finding="SEC-A04", needs=("signing-key",))
def scope_array_accepted(server: Server) -> None:
    """The claim may be an array as well."""
    _scopes(
        server,
        lambda scope: {str(one) for one in scope} if isinstance(scope, list) else set(str(scope).split(" ")),
    )


# --- where the token is carried ----------------------------------------------------------------------------


def _anonymous(server: Server, applies: Callable[[Call], bool]) -> None:
    """Let an admin's rights stand in for a token that is not there."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def anybody(call: Call) -> Principal:
        if call.header(b"authorization") is None and applies(call):
            return _somebody(server, "admin")
        return authenticate(call)


def _somebody(server: Server, role: str) -> Principal:
    user = server.resources.stored("users", server.accounts[role].id)
    return Principal(user, frozenset({role}), "token", {})


@fault("anonymous-reads", finding="AUTH-required")
def anonymous_reads(server: Server) -> None:
    """Without a token everything can be read."""
    _anonymous(server, lambda call: call.verb == "GET" and call.resource != "")


@fault("anonymous-writes", finding="AUTH-required")
def anonymous_writes(server: Server) -> None:
    """Without a token everything can be changed."""
    _anonymous(server, lambda call: call.verb != "GET" and call.resource != "")


@fault("anonymous-lists-knowledge", finding="AUTH-required")
def anonymous_lists_knowledge(server: Server) -> None:
    """Knowledge items are listed to the public."""
    _anonymous(server, lambda call: call.verb == "GET" and call.resource == "kbitems" and call.id is None)


@fault("anonymous-200-empty", finding="AUTH-required")
def anonymous_200_empty(server: Server) -> None:
    """Without a token a list is answered 200 with nothing in it."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def nothing(call: Call) -> Answer:
        if call.header(b"authorization") is None and call.verb == "GET" and call.id is None:
            return Answer(200, b"[]")
        return await answer(call)


@fault("anonymous-redirected", finding="AUTH-required")
def anonymous_redirected(server: Server) -> None:
    """Without a token the answer is a redirect to a login page elsewhere."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def redirected(call: Call) -> Principal:
        if call.header(b"authorization") is None:
            raise Refusal(302, "Log in", {"Location": "http://login.example.org/"})
        return authenticate(call)


@fault("anonymous-crashes", finding="AUTH-required")
def anonymous_crashes(server: Server) -> None:
    """A missing header ends in a crash."""
    header = server.bearer.header

    @instead_of(server.bearer.header)
    def fragile(values: list[str]) -> str | None:
        if not values:
            raise Refusal(500, "Internal server error")
        return header(values)


@fault("anonymous-write-applies", finding="AUTH-required")
def anonymous_write_applies(server: Server) -> None:
    """A create without a token is refused with 401, and done."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def too_late(call: Call) -> Answer:
        if (
            call.header(b"authorization") is None
            and call.method == "POST"
            and call.resource in ("contacts", "forms")
        ):
            await server.resources.create(call, _somebody(server, "admin"), call.resource)
        return await answer(call)


@fault("any-scheme", finding="SEC-H02")
def any_scheme(server: Server) -> None:
    """The token may come under any scheme: Basic, Token, JWT."""

    @instead_of(server.bearer.is_bearer)
    def whatever(scheme: str) -> bool:
        return True


@fault("no-scheme", finding="SEC-H02")
def no_scheme(server: Server) -> None:
    """The token may come without a scheme."""
    header = server.bearer.header

    @instead_of(server.bearer.header)
    def completed(values: list[str]) -> str | None:
        value = header(values)
        return f"Bearer {value}" if value and " " not in value and "." in value else value


@fault("bare-bearer-is-guest", finding="SEC-H02")
def bare_bearer_is_guest(server: Server) -> None:
    """The word Bearer with nothing behind it makes a guest."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def welcoming(call: Call) -> Principal:
        if (call.header(b"authorization") or "").strip().lower() == "bearer":
            return _somebody(server, "guest")
        return authenticate(call)


def _token_from(server: Server, elsewhere: Callable[[Call], str | None]) -> None:
    """Take the token from another place if there is no header."""
    token = server.bearer.token

    @instead_of(server.bearer.token)
    def found(call: Call) -> str:
        if call.header(b"authorization") is None and (other := elsewhere(call)):
            return other
        return token(call)


@fault("token-in-query", finding="SEC-H05")
def token_in_query(server: Server) -> None:
    """The token may stand in the query as access_token or token."""

    def query(call: Call) -> str | None:
        found = [value for name, value in call.query if name in ("access_token", "token")]
        call.query = [pair for pair in call.query if pair[0] not in ("access_token", "token")]
        return found[0] if found else None

    _token_from(server, query)


@fault("token-in-cookie", finding="SEC-H05")
def token_in_cookie(server: Server) -> None:
    """The token may come as a cookie of any name."""
    _token_from(
        server,
        lambda call: next(
            iter(re.findall(r"=\"?([\w-]+\.[\w-]+\.[\w-]+)", call.header(b"cookie") or "")), None
        ),
    )


@fault("token-in-body", finding="SEC-H05")
def token_in_body(server: Server) -> None:
    """The token may stand in the body as access_token or token, in a form or in JSON."""

    def body(call: Call) -> str | None:
        found = re.search(rb"(?:access_token|token)\"?\s*[=:]\s*\"?([\w-]+\.[\w-]+\.[\w-]+)", call.body)
        return found[1].decode() if found else None

    _token_from(server, body)


@fault("two-headers-differ", finding="SEC-H06")
def two_headers_differ(server: Server) -> None:
    """Of two Authorization headers lists take the first and everything else the last."""

    @instead_of(server.bearer.headers)
    def one_of_them(call: Call) -> list[str]:
        values = call.header_values(b"authorization")
        return values[:1] if call.id is None else values[-1:]


@fault("long-token-crashes", finding="SEC-H07")
def long_token_crashes(server: Server) -> None:
    """A token of more than 4096 characters ends in a crash."""
    tidy = server.bearer.tidy

    @instead_of(server.bearer.tidy)
    def fragile(token: str) -> str:
        if len(token) > 4096:
            raise MemoryError("token")
        return tidy(token)


@fault("foreign-characters-crash", finding="SEC-H08")
def foreign_characters_crash(server: Server) -> None:
    """A token with characters beyond ASCII ends in a crash."""
    tidy = server.bearer.tidy

    @instead_of(server.bearer.tidy)
    def fragile(token: str) -> str:
        if not token.isascii():
            raise ValueError("ordinal not in range(128)")
        return tidy(token)


@fault("token-echoed-in-header", finding="SEC-H08")
def token_echoed_in_header(server: Server) -> None:
    """A token that is refused comes back in a header."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def echoing(call: Call) -> Principal:
        try:
            return authenticate(call)
        except Refusal as refusal:
            refusal.headers["X-Token"] = (call.header(b"authorization") or "")[:2000]
            raise


@fault("trusts-user-headers", finding="SEC-H09")
def trusts_user_headers(server: Server) -> None:
    """X-User-Id, X-Forwarded-User and X-Role say who is calling, as behind a gateway that is not there."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def gullible(call: Call) -> Principal:
        one = authenticate(call)
        role = call.header(b"x-role") or call.header(b"x-user-role")
        id = call.header(b"x-user-id") or call.header(b"x-forwarded-user")
        user = server.resources.stored("users", id) if id else one.user
        if not user:
            account = server.store.account_by_email(str(id))
            user = server.resources.stored("users", account.id) if account else one.user
        scopes = frozenset({role if role in ROLES else user["role"]}) if role or id else one.scopes
        return Principal(user, scopes, one.credential, one.claims)


@fault("trusts-original-url", finding="SEC-H09")
def trusts_original_url(server: Server) -> None:
    """X-Original-URL and X-Rewrite-URL change the path after the permissions were looked at."""
    perform = server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def rewritten(call: Call, principal: Principal, operation: str) -> Answer:
        path = call.header(b"x-original-url") or call.header(b"x-rewrite-url") or ""
        found = re.fullmatch(r"(?:https?://[^/]+)?/v2/([a-z]+)(?:/([0-9a-f]{24}))?(?:\?.*)?", path)
        if found:
            call.resource, call.id = found[1], found[2]
            operation = server.dispatcher.operation(call, principal)
        return await perform(call, principal, operation)


@fault("acts-as-another", finding="ISSUE-identity")
def acts_as_another(server: Server) -> None:
    """A time-based token of a guest acts as the guest who was made first."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def mixed_up(claims: Document) -> Principal:
        one = person(claims)
        if one.credential == "api-key" or one.scopes != frozenset({"guest"}):
            return one
        return _somebody(server, "guest")


@fault("invalid-signature-is-guest", finding="SEC-J03")
def invalid_signature_is_guest(server: Server) -> None:
    """A token that is not valid makes its user a guest instead of nobody."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def lenient_guard(call: Call) -> Principal:
        try:
            return authenticate(call)
        except Refusal as refusal:
            if refusal.status != 401 or call.header(b"authorization") is None:
                raise
            with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
                payload = (call.header(b"authorization") or "").split(".")[1]
                claims = loads(decode_segment(payload), lenient)
                user = server.resources.stored("users", str(claims["_id"]))
                if user:
                    return Principal(user, frozenset({"guest"}), "token", claims)
            raise
