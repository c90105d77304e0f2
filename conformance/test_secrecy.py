"""Secrecy: what no answer of the run may show: tokens, secrets, and the inside of the server."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from itertools import zip_longest
from urllib.parse import parse_qs, unquote, urlsplit

from rolecall.bounds import KEPT, SEARCHED
from rolecall.evidence import Exchange, cite, recalled
from rolecall.fields import elements
from rolecall.jwts import is_jwt, jwts_in
from rolecall.outcomes import Finding, NotApplicable, NotTested
from rolecall.pausing import let_others_go_on
from rolecall.spec.claims import numeric_date
from rolecall.spec.ids import texts_in, walked
from rolecall.tokens import TOKEN_PATH, Grant, claims_of, header_of
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import SUMMARY, each, requirement
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.world import World

# --- Not cached ---------------------------------------------------------------------------------


@requirement("SEC-I13", phase=SUMMARY)
async def test_token_answers_are_not_kept(responses: Responses) -> None:
    """Every answer with a token in it forbids to store it."""
    for exchange in granted(responses):
        said = ", ".join(exchange.header_lines("cache-control"))
        if "no-store" not in elements([said]):
            raise Finding(
                "Cache-Control: no-store on a token answer",
                f"Cache-Control: {said}" if said else "none",
                exchange,
            )


def granted(responses: Responses) -> list[Exchange]:
    """The answers of the token endpoint that grant something."""
    found = [
        exchange
        for exchange in responses.all()
        if exchange.ok and _is_token_endpoint(exchange) and Grant.of(exchange).token
    ]
    if not found:
        raise NotTested("the run saw no token answer")
    return [cite(exchange) if exchange is found[-1] else exchange for exchange in found]


def _is_token_endpoint(exchange: Exchange) -> bool:
    return urlsplit(exchange.url).path.endswith(TOKEN_PATH)


# --- Not shown ---------------------------------------------------------------------------------

_SHORTEST = 8  # characters: what is shorter stands in a text by chance
_MEMBERS = ("password", "refreshToken", "token")


def members(body: bytes) -> dict[str, str]:
    """The secrets that a body holds by name; it may be no JSON at all."""
    try:
        document = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {name: document[name] for name in _MEMBERS if isinstance(document.get(name), str)}


def bearer(exchange: Exchange) -> str:
    """The credential in a request's Authorization header."""
    return exchange.request_headers.get("authorization", "").partition(" ")[2].strip()


def in_the_url(exchange: Exchange) -> str:
    """The refresh token in a request's URL, where the specification puts it."""
    return next(iter(parse_qs(urlsplit(exchange.url).query).get("refreshToken", [])), "")


def true_secrets(responses: Responses, world: World) -> set[str]:
    """What really opens something: passwords and tokens taken or given in this run, and those of
    the target file.
    """
    known = {secret for secret, _ in world.target.secrets}
    for exchange in responses.all():
        if exchange.ok:
            known |= {
                *members(exchange.request_body).values(),
                *members(exchange.body).values(),
                bearer(exchange),
            }
    # A password that is a word stands in many a text by chance.
    return {secret for secret in known if len(secret) >= _SHORTEST and not secret.isalpha()}


def failures(responses: Responses) -> list[Exchange]:
    """The answers that say that something was not done; one without a body tells nothing.

    Raises:
        NotTested: there is none.
    """
    found = [exchange for exchange in responses.all() if exchange.status >= 400]
    if not found:
        raise NotTested("the run saw no error")
    cite(found[-1])
    return found


async def failures_in_turn(responses: Responses) -> AsyncIterator[Exchange]:
    """The same; others have their turns before a large one, which takes long to read."""
    for exchange in failures(responses):
        if exchange.length > KEPT:
            await let_others_go_on()
        yield exchange


#: What may be the signature of a token: 32 bytes and more, in base64url.
_SIGNATURE = re.compile(r"[\w-]{43,}", re.ASCII)


@requirement("SEC-I14", phase=SUMMARY)
async def test_errors_tell_no_secrets(responses: Responses, world: World) -> None:
    """No error repeats a password, token or refresh token."""
    secrets = true_secrets(responses, world)
    signatures = {secret.rpartition(".")[2] for secret in secrets if any(jwts_in(secret))}
    async for exchange in failures_in_turn(responses):
        text = readable(exchange)
        for what, secret in (*members(exchange.request_body).items(), ("token", bearer(exchange))):
            if secret in secrets and secret not in unquote(exchange.url) and tells(text, secret):
                raise Finding(
                    "an error without secrets",
                    f"{exchange.status} with the {what} of its request in it"
                    f"{place_of(secret, exchange.json)}",
                    exchange,
                )
        if any(
            token in secrets and token != bearer(exchange) and token not in exchange.url
            for token in jwts_in(text)
        ):
            raise Finding(
                "an error without secrets", f"{exchange.status} with a token in it", exchange
            )
        sent = (
            f"{bearer(exchange)} {exchange.request_body.decode('utf-8', 'replace')} {exchange.url}"
        )
        if any(
            signature in signatures and signature not in sent
            for signature in _SIGNATURE.findall(text)
        ):
            raise Finding(
                "an error without secrets",
                f"{exchange.status} with the right signature of a token in it",
                exchange,
            )


#: Members that are named of the way to one, at most: a body may be of any depth.
_NAMED = 12


def place_of(secret: str, body: object) -> str:
    """Where a JSON body holds a secret, as ", at detail.0.input"; nothing, where that is not so."""
    place = next((place for place, text in texts_in(body) if place and tells(text, secret)), ())
    way = ".".join(map(str, place[:_NAMED])) + "..." * (len(place) > _NAMED)
    return f", at {way}" if way else ""


def readable(exchange: Exchange) -> str:
    """All that a body says, as its reader gets it: the text as it was sent, and its JSON strings
    with the escapes undone.

    JSON writers differ in what they escape (RFC 8259 7), and a string may hold JSON, HTML or a URL
    that is escaped once more.
    """
    said = [exchange.text, *(value for value in walked(exchange.json) if isinstance(value, str))]
    said += [key for value in walked(exchange.json) if isinstance(value, dict) for key in value]
    return "\n".join(dict.fromkeys(form for text in said for form in unescaped(text)))


def unescaped(text: str) -> Iterator[str]:
    """A text, and what it stands for where it is HTML, a JSON string or percent-encoded, or any of
    these within another.
    """
    yield text
    ways = (html.unescape, unquote, _out_of_json)
    once = {undo(text) for undo in ways} - {text}
    yield from once
    yield from {undo(form) for form in once for undo in ways} - once


def _out_of_json(text: str) -> str:
    """A text with the escapes of JSON strings undone (RFC 8259 7), wherever they stand."""
    plain = _JSON_ESCAPE.sub(
        lambda match: chr(int(match[1], 16)) if match[1] else _SHORT.get(match[2], match[2]), text
    )
    # two halves make one character
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def tells(text: str, secret: str) -> bool:
    """Whether a text holds a secret: of a JWT it is the signature that matters."""
    essence = secret.rpartition(".")[2] if is_jwt(secret) else secret
    return essence in text


#: What only a look into the server can tell. Each repetition has an end: a target may send
#: megabytes that nearly match.
INSIDE = {
    "stack-trace": r"Traceback \(most recent call last\)|File \"[^\"]{1,500}\", line \d+"
    r"|^[ \t]{0,40}at "
    r".{1,200}:\d+\)?$"
    r"|\w\.(?:java|kt|php|rb|go|cs|py|js|ts):\d+",
    "query": r"\bSELECT\b.{1,200}\bFROM\b|\bINSERT INTO\b|\bUPDATE\b.{1,100}\bSET\b|\bDELETE "
    r"FROM\b",
    "database": r"SQLSTATE|\bORA-\d{5}|\bER_[A-Z_]{4,}|sqlite3?\.|psycopg"
    r"|Sequelize\w{0,40}Error|Mongo\w{0,40}Error|\bE11000\b",
    "file-path": r"(?<![\w/.])/(?:home|usr|var|srv|opt|app|root|etc|tmp)/[\w.-]+(?:/[\w.-]+)*"
    r"|\b[A-Z]:\\[\w.-]+",
    "internal-host": r"\b[\w-]{1,63}\.(?:internal|local|lan|corp|svc)\b|ECONNREFUSED"
    r"|\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b",
}


def ends_of(text: str) -> str:
    """A text, of a long one its beginning and its end: a trace stands in one of them."""
    half = SEARCHED // 2
    return text if len(text) <= SEARCHED else f"{text[:half]}\n{text[-half:]}"


@requirement("SEC-I14-traces", phase=SUMMARY)
@each("what", INSIDE)
async def test_errors_do_not_show_the_inside(what: str, responses: Responses) -> None:
    """No error of the run shows a stack trace, a query, a file of the server or the host
    behind it.
    """
    pattern = re.compile(INSIDE[what], re.MULTILINE)
    async for exchange in failures_in_turn(responses):
        text = ends_of(exchange.text).replace("\\n", "\n").replace('\\"', '"')
        said = asked(exchange)
        for found in dict.fromkeys(match.group() for match in pattern.finditer(text)):
            if found not in said:
                shown = f"{exchange.status} with {found.strip()[:60]!r} ({what.replace('-', ' ')})"
                raise Finding(
                    "an error that does not show the inside of the server", shown, exchange
                )


def asked(exchange: Exchange) -> str:
    """All that a request said, in plain words: an answer that repeats it tells nothing new."""
    body = exchange.request_body.decode("utf-8", "replace")
    said = (
        exchange.url,
        unquote(exchange.url),
        exchange.request_headers,
        header_of(bearer(exchange)),
        body,
    )
    return " ".join(map(str, said))


#: Headers that hold URLs: of what was made, of what is related, of where to go next.
_URLS = ("location", "content-location", "link", "refresh")


@requirement("SEC-R20", phase=SUMMARY)
async def test_the_refresh_token_in_the_url_is_not_repeated(responses: Responses) -> None:
    """The refresh token in the URL comes back in no header and in no error, and a new one in no
    URL of a header.
    """
    refreshes = [exchange for exchange in responses.all() if len(in_the_url(exchange)) >= _SHORTEST]
    if not refreshes:
        raise NotTested("the run saw no GET refresh")
    cite(refreshes[-1])
    for exchange in refreshes:
        given = in_the_url(exchange)
        name = next((name for name, value in exchange.headers if given in unquote(value)), "")
        if name:
            raise Finding(
                "answers that do not repeat the URL's refresh token",
                f"it stands in {name}",
                exchange,
            )
        if not exchange.ok and given in unquote(exchange.text):
            raise Finding(
                "errors that do not repeat the URL's refresh token",
                f"{exchange.status} with it",
                exchange,
            )
    for exchange in granted(responses):
        new = Grant.of(exchange).refresh_token
        for name, value in exchange.headers:
            if len(new) >= _SHORTEST and name.lower() in _URLS and new in unquote(value):
                raise Finding(
                    "a new refresh token in no URL, which is kept in logs",
                    f"it stands in {name}",
                    exchange,
                )


# --- Refresh tokens of the whole run -----------------------------------------------------------

_FEWEST = 8  # refresh tokens of which something can be said
# ASVS and RFC 6749 10.10 ask for 128 against guessing; that much can be seen in a few dozen with
# some slop
_BITS = 96


def secret_of(refresh_token: str) -> str:
    """The part of a refresh token that is not its user's id."""
    return refresh_token.rpartition(".")[2]


def bits(secrets: list[str]) -> float:
    """How much differs from one secret to the next: for each place, as many bits as the characters
    seen there show.
    """
    columns = zip_longest(*secrets, fillvalue="")
    return sum(math.log2(len(set(column))) for column in columns)


@requirement("SEC-I17", phase=SUMMARY)
async def test_refresh_tokens_cannot_be_guessed(responses: Responses) -> None:
    """The run's refresh tokens have enough random bits, and none was given to two users."""
    owners: dict[str, str] = {}
    for exchange in granted(responses):
        grant = Grant.of(exchange)
        if grant.refresh_token and owners.setdefault(grant.refresh_token, grant.user) != grant.user:
            raise Finding(
                "a refresh token of each user's own",
                "one that another user was given, too",
                exchange,
            )
    if claims_of(next(iter(owners), "")):
        raise NotApplicable(
            "the refresh tokens are JWTs: it is their signature that cannot be guessed"
        )
    secrets = [secret_of(token) for token in owners]
    if len(secrets) < _FEWEST:
        raise NotTested(f"only {len(secrets)} refresh tokens were issued")
    # So few tokens show only a part of what could stand in a place.
    seen = recalled("bits in refresh tokens", lambda: round(bits(secrets), 3))
    seen /= min(1.0, math.log2(len(secrets)) / 5)
    if seen < 0.8 * _BITS:
        raise Finding(
            f"refresh tokens of {_BITS} bits or more",
            f"about {seen:.0f} bits in {len(secrets)} of them",
            None,
        )


@requirement("SEC-R19", phase=SUMMARY)
async def test_how_old_a_refresh_token_may_be(responses: Responses, judge: Judge) -> None:
    """How long after its issue a refresh token was still good in this run is written down."""
    issued: dict[str, float] = {}
    oldest, shown = -1.0, None
    for exchange in granted(responses):
        grant = Grant.of(exchange)
        now = numeric_date(grant.claims, "iat")
        if now is not None:
            used = members(exchange.request_body).get("refreshToken") or in_the_url(exchange)
            if used in issued and now - issued[used] > oldest:
                oldest, shown = now - issued[used], exchange
            issued.setdefault(grant.refresh_token, now)
    if shown is None:
        raise NotTested("the run saw no refresh")
    judge.cite(shown)
    judge.note(f"a refresh token was still good {oldest / 3600:.1f} h after its issue")
