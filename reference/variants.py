"""Servers that differ without being wrong, and trouble that is nobody's verdict.

`legal`: the specification allows it. `trouble`: what networks and overloaded machines do. `lint`: a server
that looks at its client instead.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.types import Receive, Scope, Send

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.jsontext import Document, dumps, loads
from rolecall.reference.lint import Linter
from rolecall.reference.permissions import RANK
from rolecall.reference.protocol import transport_of
from rolecall.reference.query import ListQuery
from rolecall.reference.refresh import digest
from rolecall.reference.resources import RESOURCES
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal, SigningKey

Kind = Literal["legal", "trouble", "lint"]
Apply = Callable[[Server], None]


@dataclass(frozen=True)
class Variant:
    """One difference."""

    name: str
    kind: Kind
    description: str
    apply: Apply
    reading: str = ""
    """TOML for the target file, where the difference is a reading that a tester has to be told."""


VARIANTS: dict[str, Variant] = {}


def variant(name: str, kind: Kind = "legal") -> Callable[[Apply], Apply]:
    """Enter the decorated function into the list; its docstring is what readers see."""

    def enter(apply: Apply) -> Apply:
        if name in VARIANTS:
            raise ValueError(f"two variants are called {name}")
        VARIANTS[name] = Variant(name, kind, " ".join((apply.__doc__ or "").split()), apply)
        return apply

    return enter


# --- refresh tokens ----------------------------------------------------------------------------------------


@variant("refresh-tokens-rotate")
def refresh_tokens_rotate(server: Server) -> None:
    """A refresh token is good for one use; the baseline, by name."""


@variant("refresh-tokens-stay")
def refresh_tokens_stay(server: Server) -> None:
    """A refresh answers with the same refresh token again, and it goes on working."""
    _never_used_up(server)
    following = server.tokens.next_refresh_token

    @instead_of(server.tokens.next_refresh_token)
    def same(user: Document, old: str | None) -> str:
        return old or following(user, old)


@variant("refresh-tokens-reusable")
def refresh_tokens_reusable(server: Server) -> None:
    """A refresh gives a new refresh token, and the old one goes on working."""
    _never_used_up(server)


def _never_used_up(server: Server) -> None:
    @instead_of(server.refresh.usable)
    def always(row: RefreshRow) -> bool:
        return True


@variant("refresh-grace-window")
def refresh_grace_window(server: Server) -> None:
    """A refresh token that was used goes on working for 30 seconds."""

    @instead_of(server.refresh.usable)
    def a_while(row: RefreshRow) -> bool:
        return row.used is None or server.clock.now() < row.used + 30

    @instead_of(server.refresh.consume)
    def first_use(row: RefreshRow) -> None:
        if row.used is None:
            server.store.use_refresh_token(row.hash, server.clock.now())


@variant("refresh-reuse-ends-family")
def refresh_reuse_ends_family(server: Server) -> None:
    """A refresh token that is used twice kills all refresh tokens that came from it (RFC 9700, 4.14.2)."""
    family: dict[str, str] = {}
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def related(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        new = digest(loads(answer.body)["refreshToken"])
        family[new] = family.get(digest(old), new) if old else new
        return answer

    find = server.refresh.find

    @instead_of(server.refresh.find)
    def watched(token: str) -> RefreshRow:
        row = server.store.refresh_token(digest(token))
        if row is not None and row.used is not None:
            for member in [one for one, head in family.items() if head == family.get(row.hash)]:
                server.store.use_refresh_token(member, server.clock.now())
        return find(token)


@variant("opaque-refresh-tokens")
def opaque_refresh_tokens(server: Server) -> None:
    """A refresh token is a text of chance that says nothing about its user."""

    @instead_of(server.refresh.secret)
    def opaque(user: str) -> str:
        return secrets.token_urlsafe(40)

    @instead_of(server.refresh.well_formed)
    def any_form(token: str) -> bool:
        return True


@variant("jwt-refresh-tokens")
def jwt_refresh_tokens(server: Server) -> None:
    """A refresh token is a JWT with the grant type refresh_token, as older references show."""

    @instead_of(server.refresh.secret)
    def jwt(user: str) -> str:
        issued = int(server.clock.now())
        return server.issuer.write(
            {
                "_id": user,
                "scope": server.resources.stored("users", user)["role"],
                "grant_type": "refresh_token",
                "jti": secrets.token_hex(16),
                "iat": issued,
                "exp": issued + 90 * 24 * 60 * 60,
            }
        )

    @instead_of(server.refresh.well_formed)
    def any_form(token: str) -> bool:
        return True


@variant("post-refresh-refuses-authorization")
def post_refresh_refuses_authorization(server: Server) -> None:
    """POST refresh with an Authorization header is refused: the specification says without one."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def public(call: Call, body: Document) -> Answer:
        if call.header(b"authorization") is not None:
            raise Refusal(400, "No Authorization header is expected here")
        return after(call, body)


@variant("post-refresh-ignores-authorization")
def post_refresh_ignores_authorization(server: Server) -> None:
    """POST refresh does not look at a stale Authorization header; the baseline, by name."""


# --- tokens ------------------------------------------------------------------------------------------------


@variant("scope-cascade")
def scope_cascade(server: Server) -> None:
    """The scope of a token lists all that the role includes, in the token and in the answer."""

    @instead_of(server.issuer.scope)
    def cascade(user: Document) -> str:
        return " ".join(ROLES[: RANK[user["role"]] + 1])


@variant("scope-cascade-in-jwt-only")
def scope_cascade_in_jwt_only(server: Server) -> None:
    """The token lists all that the role includes; the answer names the role."""
    scope_cascade(server)
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def role(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        answer.body = dumps(loads(answer.body) | {"scope": user["role"]}).encode()
        return answer


@variant("extra-claims")
def extra_claims(server: Server) -> None:
    """A token says more than it has to."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def more(user: Document) -> Document:
        return {
            "ver": 2,
            **claims(user),
            "sid": secrets.token_hex(8),
            "nbf": int(server.clock.now()),
            "features": ["chat"],
        }


@variant("issuer-and-audience")
def issuer_and_audience(server: Server) -> None:
    """Time-based tokens say who issued them and for whom, and both are checked."""
    issuer, audience = "https://api.example.org", "web1on1"
    claims = server.issuer.claims
    check = server.verifier.check_grant

    @instead_of(server.issuer.claims)
    def addressed(user: Document) -> Document:
        return {**claims(user), "iss": issuer, "aud": audience}

    @instead_of(server.verifier.check_grant)
    def addressee(claims: Document) -> None:
        check(claims)
        if claims.get("iss") != issuer or claims.get("aud") != audience:
            raise server.verifier.invalid()


@variant("no-jti")
def no_jti(server: Server) -> None:
    """Time-based tokens have no jti."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def fewer(user: Document) -> Document:
        return {name: value for name, value in claims(user).items() if name != "jti"}


@variant("four-claims")
def four_claims(server: Server) -> None:
    """Time-based tokens say no more than the specification's example: _id, scope, iat, exp."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def few(user: Document) -> Document:
        document = claims(user)
        return {name: document[name] for name in ("_id", "scope", "iat", "exp")}

    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def five_fields(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        document = loads(answer.body)
        names = ("tokenType", "token", "refreshToken", "user", "scope")
        answer.body = dumps({name: document[name] for name in names}).encode()
        return answer


KEY_SET = "/.well-known/jwks.json"


@variant("rs256")
def use_rs256(server: Server) -> None:
    """Tokens are signed with RS256; the public key is at /.well-known/jwks.json."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = SigningKey("RS256", private, private.public_key())
    server.issuer.key = server.verifier.key = key
    server.forgeable = False
    document = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
    unknown = server.dispatcher.unknown

    @instead_of(server.dispatcher.unknown)
    async def key_set(call: Call) -> Answer:
        if call.path == KEY_SET and call.verb == "GET":
            return Answer.of(200, {"keys": [{**document, "use": "sig", "alg": "RS256"}]})
        return await unknown(call)


def public_key_of(server: Server) -> list[bytes]:
    """The public key of a server with RS256, in the forms that an attacker would try as a secret."""
    public = server.verifier.key.verify_with
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    jwk = RSAAlgorithm.to_jwk(public).encode()
    return [pem, pem.strip(), der, jwk]


@variant("leeway-of-30-seconds")
def leeway_of_30_seconds(server: Server) -> None:
    """A token is good for half a minute after its end, for clocks that differ (RFC 7519, 4.1.4)."""
    expired = server.verifier.expired

    @instead_of(server.verifier.expired)
    def lenient(exp: int) -> bool:
        return expired(exp + 30)


@variant("scheme-with-case")
def scheme_with_case(server: Server) -> None:
    """The scheme has to be spelled Bearer, as the specification spells it."""

    @instead_of(server.bearer.is_bearer)
    def exactly(scheme: str) -> bool:
        return scheme == "Bearer"


@variant("first-of-two-headers")
def first_of_two_headers(server: Server) -> None:
    """Of two Authorization headers the first counts, everywhere."""
    headers = server.bearer.headers

    @instead_of(server.bearer.headers)
    def first(call: Call) -> list[str]:
        return headers(call)[:1]


@variant("last-of-two-headers")
def last_of_two_headers(server: Server) -> None:
    """Of two Authorization headers the last counts, everywhere."""
    headers = server.bearer.headers

    @instead_of(server.bearer.headers)
    def last(call: Call) -> list[str]:
        return headers(call)[-1:]


@variant("scope-of-current-role")
def scope_of_current_role(server: Server) -> None:
    """What a time-based token may do follows the user's role at once, downwards."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def current(claims: Document) -> Principal:
        one = person(claims)
        if one.credential == "api-key":
            return one
        scopes = frozenset(scope for scope in one.scopes if RANK[scope] <= RANK[one.user["role"]])
        return Principal(one.user, scopes, one.credential, claims)


# --- statuses and bodies -----------------------------------------------------------------------------------


@variant("created-200")
def created_200(server: Server) -> None:
    """A create is answered 200."""
    created = server.resources.created

    @instead_of(server.resources.created)
    def ok(document: object) -> Answer:
        answer = created(document)
        answer.status = 200
        return answer


@variant("deleted-200")
def deleted_200(server: Server) -> None:
    """A delete is answered 200 with nothing in the body."""

    @instead_of(server.resources.deleted)
    def ok() -> Answer:
        return Answer(200)


def _bodies(server: Server, change: Callable[[object], object]) -> None:
    """Change every JSON body."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def changed(call: Call, answer: Answer) -> Answer:
        if answer.body and answer.media_type == "application/json":
            answer.body = dumps(change(loads(answer.body))).encode()
        return await after(call, answer)


@variant("extra-fields")
def extra_fields(server: Server) -> None:
    """Every object has members that nobody asked for."""

    def more(value: object) -> object:
        if isinstance(value, list):
            return [more(one) for one in value]
        if isinstance(value, dict):
            return {"_links": {"self": "/"}, **value, "revision": 7, "note": None}
        return value

    _bodies(server, more)


@variant("other-key-order")
def other_key_order(server: Server) -> None:
    """The members of every object come in another order."""

    def turned(value: object) -> object:
        if isinstance(value, list):
            return [turned(one) for one in value]
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in sorted(value, reverse=True)}
        return value

    _bodies(server, turned)


@variant("indented-bodies")
def indented_bodies(server: Server) -> None:
    """Bodies are written for people: indented, not in ASCII, the type with a charset."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def pretty(call: Call, answer: Answer) -> Answer:
        if answer.body and answer.media_type == "application/json":
            document = json.loads(answer.body)
            answer.body = (
                json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            )
            answer.media_type = "application/json; charset=utf-8"
        return await after(call, answer)


@variant("other-error-bodies")
def other_error_bodies(server: Server) -> None:
    """Errors are described as RFC 9457 has it; the specification does not say how."""

    @instead_of(server.refusal)
    def problem(refusal: Refusal) -> Answer:
        document = {"type": "about:blank", "title": refusal.message, "status": refusal.status}
        return Answer(
            refusal.status, dumps(document).encode(), dict(refusal.headers), "application/problem+json"
        )


@variant("looks-before-it-asks")
def looks_before_it_asks(server: Server) -> None:
    """What is not there is answered 404 before the permission is looked at; the order is nowhere said."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def existing_first(call: Call, principal: Principal, operation: str) -> bool:
        if call.id is not None:
            server.resources.existing(principal, call.resource, call.id)
        return permitted(call, principal, operation)


@variant("reads-before-it-asks")
def reads_before_it_asks(server: Server) -> None:
    """A body that is wrong is answered 400 before the permission is looked at; the order is nowhere said."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def body_first(call: Call, principal: Principal, operation: str) -> bool:
        if call.method in ("POST", "PATCH"):
            body = call.json()
            bodies = body if isinstance(body, list) and call.resource == "messages" else [body]
            for one in bodies:
                members = server.resources.members(one)
                server.resources.check_types(members)
                if call.method == "POST":
                    server.resources.check_required(RESOURCES[call.resource], members)
        return permitted(call, principal, operation)


@variant("conversations-of-participants")
def conversations_of_participants(server: Server) -> None:
    """Below bot, only its participants reach a conversation; to others it is not there."""

    @instead_of(server.resources.sees_all)
    def all_but_conversations(principal: Principal, resource: str) -> bool:
        return resource != "conversations" or server.permissions.rank(principal.scopes) >= RANK["bot"]

    @instead_of(server.resources.visible)
    def own(principal: Principal, resource: str, document: Document) -> bool:
        return all_but_conversations(principal, resource) or any(
            one.get("user") == principal.id for one in document.get("participants", [])
        )


@variant("list-limit-10")
def list_limit_10(server: Server) -> None:
    """A list has ten things at most, and a Link to the next."""

    @instead_of(server.resources.page_size)
    def ten(query: ListQuery) -> int:
        return min(query.limit, 10)


# --- the wire ----------------------------------------------------------------------------------------------


def _headers(server: Server, change: Callable[[Call, Answer], None]) -> None:
    """Change headers of every answer."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def changed(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        change(call, answer)
        return answer


@variant("gzip")
def gzipped(server: Server) -> None:
    """Bodies are compressed for clients that can read them so."""

    def compress(call: Call, answer: Answer) -> None:
        if answer.body and "gzip" in (call.header(b"accept-encoding") or ""):
            answer.body = gzip.compress(answer.body, 1)
            answer.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}

    _headers(server, compress)


@variant("chunked")
def chunked(server: Server) -> None:
    """Bodies come in pieces, and nobody says how long they will be."""

    @instead_of(server.wire.send)
    async def in_pieces(call: Call, answer: Answer, send: Send) -> None:
        headers = [one for one in server.wire.headers(call, answer) if one[0] != b"content-length"]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        middle = len(answer.body) // 2
        for piece in (answer.body[:middle], answer.body[middle:]):
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@variant("connection-close")
def connection_close(server: Server) -> None:
    """Every connection is closed after one answer."""
    _headers(server, lambda call, answer: answer.headers.update(Connection="close"))


@variant("lower-case-headers")
def lower_case_headers(server: Server) -> None:
    """Header names are written in lower case; the baseline, by name."""


@variant("no-date")
def no_date(server: Server) -> None:
    """Answers have no Date, as of a server without a clock (RFC 9110, 6.6.1)."""
    headers = server.wire.headers

    @instead_of(server.wire.headers)
    def undated(call: Call, answer: Answer) -> list[tuple[bytes, bytes]]:
        return [one for one in headers(call, answer) if one[0] != b"date"]


def _raw(call: Call, answer: Answer, headers: list[tuple[bytes, bytes]], version: str) -> bytes:
    """An answer as bytes, past uvicorn."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    body = b"" if call.method == "HEAD" or answer.status == 204 else answer.body
    return f"HTTP/{version} {answer.status} \r\n".encode() + lines + b"\r\n" + body


async def _hang_up(call: Call, data: bytes, abort: bool = False) -> None:
    """Write what is given, close the connection, and wait until uvicorn has seen it."""
    transport = transport_of(call.scope)
    transport.write(data)
    if abort:
        transport.abort()
    else:
        transport.close()
    while (await call.receive())["type"] != "http.disconnect":
        pass


@variant("http-1.0")
def http_1_0(server: Server) -> None:
    """Answers are HTTP/1.0, and end where the connection does."""

    @instead_of(server.wire.send)
    async def until_the_end(call: Call, answer: Answer, send: Send) -> None:
        headers = [one for one in server.wire.headers(call, answer) if one[0] != b"content-length"]
        await _hang_up(call, _raw(call, answer, [*headers, (b"connection", b"close")], "1.0"))


@variant("title-case-headers")
def title_case_headers(server: Server) -> None:
    """Header names are written With-Capitals, on connections that are closed after one answer."""

    @instead_of(server.wire.send)
    async def titled(call: Call, answer: Answer, send: Send) -> None:
        headers = [(name.title(), value) for name, value in server.wire.headers(call, answer)]
        await _hang_up(call, _raw(call, answer, [*headers, (b"Connection", b"close")], "1.1"))


def _delay(server: Server, seconds: float) -> None:
    before = server.wire.before

    @instead_of(server.wire.before)
    async def later(call: Call) -> Answer | None:
        if not call.path.startswith("/__"):
            await asyncio.sleep(seconds)
        return await before(call)


@variant("latency-80ms")
def latency_80ms(server: Server) -> None:
    """Every answer takes 80 ms longer."""
    _delay(server, 0.08)


@variant("latency-50ms")
def latency_50ms(server: Server) -> None:
    """Every answer takes 50 ms longer."""
    _delay(server, 0.05)


@variant("rate-limit-20")
def rate_limit_20(server: Server) -> None:
    """More than 20 requests in a second are answered 429, with Retry-After."""
    before = server.wire.before
    recent: deque[float] = deque()

    @instead_of(server.wire.before)
    async def limited(call: Call) -> Answer | None:
        now = time.monotonic()
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if call.path.startswith("/__"):
            return await before(call)
        if len(recent) >= 20:
            return server.refusal(Refusal(429, "Too many requests", {"Retry-After": "1"}))
        recent.append(now)
        return await before(call)


@variant("clock-five-seconds-ahead")
def clock_five_seconds_ahead(server: Server) -> None:
    """The server's clock is five seconds ahead."""
    server.clock.advance(5)


@variant("clock-five-seconds-behind")
def clock_five_seconds_behind(server: Server) -> None:
    """The server's clock is five seconds behind."""
    server.clock.advance(-5)


# --- trouble -----------------------------------------------------------------------------------------------


def _every(server: Server, nth: int, happen: Callable[[Call], Answer | None]) -> None:
    """Let something happen to every nth request, before anything is done about it."""
    before = server.wire.before
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.before)
    async def troubled(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and next(seen) % nth == 0:
            return happen(call)
        return await before(call)


@variant("every-15th-503", "trouble")
def every_15th_503(server: Server) -> None:
    """Every fifteenth request is answered 503, and not done."""
    _every(server, 15, lambda call: server.refusal(Refusal(503, "Service unavailable")))


@variant("random-503", "trouble")
def random_503(server: Server) -> None:
    """One request in twenty, by chance, is answered 503, and not done."""
    before = server.wire.before
    dice = random.Random(1503)

    @instead_of(server.wire.before)
    async def unlucky(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and dice.random() < 0.05:
            return server.refusal(Refusal(503, "Service unavailable"))
        return await before(call)


@variant("every-15th-503-retry-after", "trouble")
def every_15th_503_retry_after(server: Server) -> None:
    """Every fifteenth request is answered 503 with Retry-After, and not done."""
    _every(
        server,
        15,
        lambda call: server.refusal(Refusal(503, "Service unavailable", {"Retry-After": "1"})),
    )


@variant("every-15th-502", "trouble")
def every_15th_502(server: Server) -> None:
    """Every fifteenth request is answered 502 with a page of some proxy, and not done."""
    _every(server, 15, lambda call: Answer(502, b"<h1>Bad gateway</h1>", media_type="text/html"))


def _broken(server: Server, nth: int, how: Callable[[Call, Answer], tuple[bytes, bool]]) -> None:
    """Do every nth request, and break the connection instead of answering it in full."""
    send_whole = server.wire.send
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.send)
    async def breaking(call: Call, answer: Answer, send: Send) -> None:
        if call.path.startswith("/__") or next(seen) % nth:
            await send_whole(call, answer, send)
        else:
            data, abort = how(call, answer)
            await _hang_up(call, data, abort)


@variant("resets-now-and-then", "trouble")
def resets_now_and_then(server: Server) -> None:
    """Every fortieth request is done, and the connection reset instead of answered."""
    _broken(server, 40, lambda call, answer: (b"", True))


@variant("cut-off-now-and-then", "trouble")
def cut_off_now_and_then(server: Server) -> None:
    """Every fortieth answer ends in the middle of its body."""

    def half(call: Call, answer: Answer) -> tuple[bytes, bool]:
        whole = _raw(call, answer, server.wire.headers(call, answer), "1.1")
        return whole[: len(whole) - max(1, len(answer.body) // 2)], False

    _broken(server, 40, half)


@variant("truncated-json-now-and-then", "trouble")
def truncated_json_now_and_then(server: Server) -> None:
    """Every fortieth answer holds half its JSON, and its length agrees."""
    after = server.wire.after
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.after)
    async def half(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        if not call.path.startswith("/__") and next(seen) % 40 == 0:
            answer.body = answer.body[: len(answer.body) // 2]
        return answer


@variant("wrong-content-type", "trouble")
def wrong_content_type(server: Server) -> None:
    """Good JSON is said to be text/html."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def mislabelled(call: Call, answer: Answer) -> Answer:
        answer.media_type = "text/html; charset=utf-8"
        return await after(call, answer)


@variant("clock-ten-minutes-ahead", "trouble")
def clock_ten_minutes_ahead(server: Server) -> None:
    """The server's clock is ten minutes ahead."""
    server.clock.advance(600)


@variant("clock-ten-minutes-behind", "trouble")
def clock_ten_minutes_behind(server: Server) -> None:
    """The server's clock is ten minutes behind."""
    server.clock.advance(-600)


@variant("slow", "trouble")
def slow(server: Server) -> None:
    """Every fiftieth request takes two seconds."""
    before = server.wire.before
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.before)
    async def dragging(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and next(seen) % 50 == 0:
            await asyncio.sleep(2)
        return await before(call)


@variant("hangs-now-and-then", "trouble")
def hangs_now_and_then(server: Server) -> None:
    """Every three-hundredth request is never answered."""
    before = server.wire.before
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.before)
    async def hanging(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and next(seen) % 300 == 0:
            while (await call.receive())["type"] != "http.disconnect":
                pass
        return await before(call)


@variant("random-prefix", "trouble")
def random_prefix(server: Server) -> None:
    """Everything is under a prefix of chance, which only the target file knows."""
    server.prefix = prefix = f"/{secrets.token_hex(4)}"
    app = server.app

    async def under_prefix(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        known = path.startswith(f"{prefix}/")
        inner = path.removeprefix(prefix) if known else "/"
        await app({**scope, "path": inner, "root_path": prefix}, receive, send)

    server.app = under_prefix


# --- the client looked at ----------------------------------------------------------------------------------


@variant("lint", "lint")
def lint(server: Server) -> None:
    """A request outside the specification is refused with 400 and the reason, unless X-Rolecall-Attack says
    which requirement it attacks; GET /__lint counts.
    """
    linter = Linter()
    before = server.wire.before

    @instead_of(server.wire.before)
    async def looked_at(call: Call) -> Answer | None:
        if call.path == "/__lint":
            return Answer.of(200, linter.report())
        offence = linter.look(call)
        if offence is not None:
            return server.refusal(Refusal(400, f"Lint: {offence}"))
        return await before(call)
