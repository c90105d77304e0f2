"""Carrying the token: in one Authorization: Bearer header, and by nothing else."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from rolecall.evidence import Exchange, cite
from rolecall.http.link import resolved
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.templates import with_query
from rolecall.toolkit.attacker import TOO_LONG, Attacker
from rolecall.toolkit.cookies import cookies_given_to
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import SUMMARY, each, requirement
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.world import World

# --- The scheme ---------------------------------------------------------------------------------

#: Authorization headers that are not "Bearer" and a token.
OTHER_SCHEMES = {
    "basic": "Basic {token}",
    "basic-as-user": "Basic {user}",
    "basic-with-password": "Basic {login}",
    "token": "Token {token}",
    "jwt": "JWT {token}",
    "no-scheme": "{token}",
    "bearer-alone": "Bearer",
    "bearer-and-spaces": "Bearer   ",
    "bearer-and-a-word-for-none": "Bearer undefined",
    "the-example-of-the-page": "Bearer 94c70d470e391bdc16a8d8363b5d4891",
}
#: Of these, those that are near to another: each is tried on what is open to the most.
_ONCE = (
    *("basic-as-user", "token", "jwt", "bearer-and-spaces"),
    *("bearer-and-a-word-for-none", "the-example-of-the-page"),
)


@requirement("SEC-H02")
@each("header", OTHER_SCHEMES)
async def test_other_schemes_are_refused(header: str, world: World, attacker: Attacker) -> None:
    """A good token under another scheme or none, or as user and password of Basic, is rejected, and
    so is Bearer without a token or with a word for none, and a log-in with each request (RFC 7617).
    """
    token, account = (await world.user(world.highest)).token, world.account(world.highest)
    login = b64encode(f"{account.email}:{account.password}".encode()).decode()
    user = b64encode(f"{token}:{token}".encode()).decode()
    world.client.secrets.add(login, "password")
    world.client.secrets.add(user, "token")
    value = OTHER_SCHEMES[header]
    for name, secret in {"token": token, "login": login, "user": user}.items():
        value = value.replace(f"{{{name}}}", secret)
    headers = {"authorization": value}
    protected_requests = await attacker.protected_requests()
    with contextlib.suppress(NotTested):
        protected_requests.append(await attacker.protected_request_of_everybody())
    if header in _ONCE:
        del protected_requests[:-1]

    await attacker.expect_rejected(
        attack="SEC-H02",
        headers=headers,
        protected_requests=protected_requests,
        statuses=attacker.unreadable,
    )


async def with_header(value: str, world: World, attacker: Attacker, attack: str) -> Exchange:
    """The answer to the good token in an Authorization header of this form."""
    token = (await world.user(world.highest)).token
    protected_request = (await attacker.protected_requests())[0]
    headers = {"authorization": value.replace("{token}", token)}
    return await world.perform(protected_request, None, attack=attack, headers=headers)


@requirement("SEC-H03")
@each("scheme", ("bearer", "BEARER"))
async def test_the_scheme_has_no_case(
    scheme: str, world: World, attacker: Attacker, judge: Judge
) -> None:
    """A good token is let in however the letters of the scheme are written."""
    answer = await with_header(f"{scheme} {{token}}", world, attacker, "SEC-H03")

    judge.expect_let_in(answer, f"with the scheme {scheme}")


#: White space that RFC 9110 11.4 does not have between scheme and token, or behind it.
WHITE_SPACE = {
    "two-spaces": "Bearer  {token}",
    "tab": "Bearer\t{token}",
    "space-at-the-end": "Bearer {token} ",
}


@requirement("SEC-H04")
@each("place", WHITE_SPACE)
async def test_what_white_space_does(
    place: str, world: World, attacker: Attacker, judge: Judge
) -> None:
    """Whether a good token with white space around it is accepted is noted."""
    answer = await with_header(WHITE_SPACE[place], world, attacker, "SEC-H04")

    judge.cite(answer)
    judge.note(
        f"a token with {place.replace('-', ' ')} is "
        f"{'let in' if answer.ok else f'refused ({answer.status})'}"
    )


# --- Other places ------------------------------------------------------------------------------


#: The status of a request whose query is longer than the server reads (RFC 9110 15.5.15).
URI_TOO_LONG = 414
#: Parameters in which servers take a token: that of RFC 6750 2.3, and what libraries call it.
PARAMETERS = {
    "access_token": ("access_token", "accessToken", "session_token", "auth", "apikey"),
    "token": ("token", "jwt", "auth_token", "id_token", "bearer", "authorization", "api_key"),
}


@requirement("SEC-H05")
@each("parameter", PARAMETERS)
async def test_a_token_in_the_query_is_not_seen(
    parameter: str, world: World, attacker: Attacker
) -> None:
    """A good token in the query, without an Authorization header, is not let in."""
    names, token = PARAMETERS[parameter], (await world.user(world.highest)).token

    answers = await not_seen_in_query(names, token, attacker)
    if len(names) > 1 and any(answer.status == URI_TOO_LONG for answer in answers):
        answers = [
            answer for name in names for answer in await not_seen_in_query((name,), token, attacker)
        ]

    if long := next((answer for answer in answers if answer.status == URI_TOO_LONG), None):
        raise Inconclusive(
            f"a look at tokens of {len(token):,} characters in the query: {long}",
            "the server's limit of request lines",
        )


async def not_seen_in_query(
    names: tuple[str, ...], token: str, attacker: Attacker
) -> list[Exchange]:
    """The answers where all of these parameters hold the token, none of which lets it in."""
    query = urlencode(dict.fromkeys(names, token))
    protected_requests = [
        replace(protected_request, path=with_query(protected_request.path, query))
        for protected_request in await attacker.protected_requests()
    ]
    return await attacker.expect_rejected(
        attack="SEC-H05",
        protected_requests=protected_requests,
        statuses=(*attacker.unreadable, URI_TOO_LONG),
    )


def reads(attacker: Attacker) -> tuple[str, ...]:
    """The reads that a token is known to open."""
    return ("fetch-user-self", attacker.reserved[0].name)


#: Header fields other than Authorization in which servers of all kinds take a token.
OTHER_FIELDS = (
    *("x-access-token", "x-auth-token", "x-authorization", "x-api-key", "x-token"),
    "x-forwarded-access-token",
)


@requirement("SEC-H05")
async def test_a_token_in_a_cookie_or_another_field_is_not_seen(
    world: World, attacker: Attacker
) -> None:
    """A good token in a cookie or in header fields of other names, or the cookies that came with
    it or with the answer to a request with it, without an Authorization header, are rejected.
    """
    highest = await world.user(world.highest)
    names = ("access_token", "token", "jwt", "Authorization")
    cookie = "; ".join(
        [
            *await cookies_given_to(highest, world, reads(attacker)),
            *(f"{name}={highest.token}" for name in names),
        ]
    )

    answers = await attacker.expect_rejected(
        attack="SEC-H05",
        headers={**dict.fromkeys(OTHER_FIELDS, highest.token), "cookie": cookie},
        statuses=(*attacker.unreadable, *TOO_LONG),
    )

    if long := next((answer for answer in answers if answer.status in TOO_LONG), None):
        raise Inconclusive(
            f"a look at tokens of {len(highest.token):,} characters in other fields: {long}",
            "the server's limit of header fields",
        )


@requirement("SEC-H05")
async def test_a_cookie_gives_no_life_to_a_dead_token(world: World, attacker: Attacker) -> None:
    """A token that another key signed is rejected beside the cookies that a good one was given."""
    highest = await world.user(world.highest)
    given = await cookies_given_to(highest, world, reads(attacker))
    forger = await attacker.forger()
    if not given:
        raise NotApplicable("the target sets no cookies")
    if forger is None:
        raise Inconclusive("a token that is not let in", "SEC-J06")

    await attacker.expect_rejected(
        forger.token, attack="SEC-H05", headers={"cookie": "; ".join(given)}
    )


@requirement("SEC-H05")
@each("form", ("json", "urlencoded"))
async def test_a_token_in_the_body_is_not_seen(form: str, world: World, judge: Judge) -> None:
    """A create with a good token in its body alone is refused and creates nothing."""
    admin = await world.user(world.highest)
    request = await world.request(world.spec.operations["create-knowledge-item"], admin)
    body = {**request.body, "access_token": admin.token, "token": admin.token}

    if form == "json":
        answer = await world.perform(replace(request, body=body), None, attack="SEC-H05")
    else:
        content, headers = (
            urlencode(body).encode(),
            {"content-type": "application/x-www-form-urlencoded"},
        )
        sent = replace(request, body=None)
        answer = await world.perform(sent, None, attack="SEC-H05", content=content, headers=headers)

    judge.expect_no_token(answer)
    await judge.expect_no_effect(request, answer, None)
    await judge.control(request)


# --- What answers say --------------------------------------------------------------------------


@requirement("SEC-H10", phase=SUMMARY)
async def test_a_401_names_the_scheme(
    world: World, attacker: Attacker, responses: Responses
) -> None:
    """Every 401 of the run has a WWW-Authenticate header with the scheme Bearer."""
    await world.perform((await attacker.protected_requests())[0], None, attack="SEC-H10")
    answers = responses.with_status(401)
    if not answers:
        raise NotApplicable("the target never answers 401")

    for answer in answers:
        challenge = ", ".join(
            value for name, value in answer.headers if name.lower() == "www-authenticate"
        )
        if "bearer" not in challenge.lower():
            raise Finding("WWW-Authenticate: Bearer with a 401", challenge or "none", answer)


@requirement("SEC-H11", phase=SUMMARY)
async def test_no_token_is_sent_elsewhere(world: World, responses: Responses) -> None:
    """No answer of the run redirects to another host or to plain HTTP."""
    highest = await world.user(world.highest)
    missing: Inconclusive | None = None
    for operation in world.spec.operations.values():
        if operation.effect == "list" and "?" not in operation.path:
            try:
                request = await world.request(operation, highest)
            except Inconclusive as error:  # nothing can be made there; look at the other answers
                missing = error
                continue
            slashed = replace(request, path=f"{request.path}/")
            cite(await world.perform(slashed, highest, attack="SEC-H11"), "answer")

    for answer in responses.with_status(301, 302, 303, 307, 308):
        here = urlsplit(answer.url)
        there = urlsplit(resolved(answer.url, answer.header("location")) or answer.url)
        if there.hostname != here.hostname or (here.scheme, there.scheme) == ("https", "http"):
            raise Finding(
                "no redirect to another host or to plain HTTP",
                f"{answer.status} to {there.geturl()}",
                answer,
            )
    if missing:
        raise missing


ORIGIN = "https://rolecall.invalid"


@requirement("SEC-H12")
@each("method", ("GET", "OPTIONS"))
async def test_no_web_page_may_use_credentials(
    method: str, world: World, attacker: Attacker
) -> None:
    """The origin of an unknown web page is not allowed to send credentials."""
    highest = await world.user(world.highest)
    protected_request = (await attacker.protected_requests())[0]
    headers = {"origin": ORIGIN}
    if method == "GET":
        answer = await world.perform(protected_request, highest, attack="SEC-H12", headers=headers)
    else:
        asked = {
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization",
        }
        answer = await world.send(
            method, protected_request.path, None, attack="SEC-H12", headers={**headers, **asked}
        )

    cite(answer, "answer")
    allowed, credentials = (
        answer.header(f"access-control-allow-{name}") for name in ("origin", "credentials")
    )
    if allowed == ORIGIN and credentials.lower() == "true":
        raise Finding("no credentials for any origin", f"{ORIGIN} may send them", answer)
