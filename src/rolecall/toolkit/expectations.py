"""What an answer may hold at most: nothing hidden, and no more than its credentials are worth."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import unquote

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, TransientFailure
from rolecall.spec.claims import LIFETIME_TOLERANCE
from rolecall.spec.ids import identifiers
from rolecall.tokens import Grant, user_of
from rolecall.toolkit.things import Fixture


def any_of(statuses: Iterable[int]) -> str:
    """Statuses in words: ``403 or 404``."""
    return " or ".join(map(str, statuses))


def shows(exchange: Exchange, fixture: Fixture) -> bool:
    """Whether an answer shows a thing: its id as an id, or its name anywhere."""
    return fixture.id in identifiers(exchange.json) or (
        bool(fixture.name) and fixture.name in exchange.text
    )


#: Characters of an id that stands in no text by chance.
_TELLING = 16
#: Headers that say where a thing is, or which state of it this is: that is no part of it.
_ABOUT = ("link", "location", "content-location", "etag")
#: What firewalls answer that stand before a server, beside 400 and 403 (ModSecurity's is 406).
_TURNED_AWAY = (406, 418, 451)
#: What may be base64, of either alphabet (RFC 4648 4 and 5).
_BASE64 = re.compile(r"[\w+/-]{16,}", re.ASCII)


def shown_in(exchange: Exchange, fixture: Fixture) -> str:
    """Where an answer shows a thing that it should hide: in its body, or in which header; empty
    where it does not.

    A header shows it that holds its name, and a body that holds the id of a thing that the run has
    made, wherever it stands; a request may have said either itself.
    """
    if shows(exchange, fixture):
        return "its body"
    said = f"{unquote(exchange.url)} {exchange.request_body.decode('utf-8', 'replace')}"
    is_told = len(fixture.id) >= _TELLING and fixture.made_by and fixture.id in exchange.text
    if is_told and fixture.id not in said:
        return "its body, by its id"
    if not fixture.name or fixture.name in said:
        return ""
    for name, value in exchange.headers:
        if name.lower() not in _ABOUT and any(fixture.name in text for text in _read(value)):
            return f"its header {name}"
    return ""


def _read(value: str) -> Iterator[str]:
    """A header's value, and what it stands for where it is percent-encoded or base64."""
    yield value
    yield unquote(value)
    for piece in _BASE64.findall(value):
        whole = piece.translate(str.maketrans("-_", "+/"))
        with suppress(ValueError):
            yield b64decode(whole[: len(whole) - (len(whole) % 4 == 1)] + "==").decode(
                "utf-8", "replace"
            )


def expect_no_crash(exchange: Exchange) -> None:
    """The answer is not a server error; 501 to an unknown method is lawful (RFC 9110 15.6.2)."""
    cite(exchange, "answer")
    if exchange.status >= 500 and exchange.status != 501:
        raise Finding("an answer other than a server error", f"{exchange.status}", exchange)


def expect_hidden(exchange: Exchange, *fixtures: Fixture) -> None:
    """The answer shows nothing of the resource: it is a refusal, a redirect or an unrelated page.

    A success that holds no resource is one too: some servers answer every path that they do not
    know with a page.
    """
    expect_no_crash(exchange)
    expected = "an answer that shows nothing of it"
    for fixture in fixtures:
        if not fixture.id:
            raise Inconclusive(
                f"the id of a {fixture.resource.name}, by which to know it",
                f"PERM-create-{fixture.resource.name}",
            )
        if where := shown_in(exchange, fixture):
            it = "it" if where == "its body" else where
            raise Finding(expected, f"{exchange.status} with {fixture} in {it}", exchange)
    if exchange.ok and any(identifiers(exchange.json)):
        raise Finding(expected, f"{exchange.status} with resources in it", exchange)


def expect_refused(exchange: Exchange, *fixtures: Fixture) -> None:
    """The answer is a client error of any kind, and shows nothing."""
    expect_hidden(exchange, *fixtures)
    if exchange.status < 400:
        raise Finding("a refusal", f"{exchange.status}", exchange)


def expect_one_or_all(answers: Sequence[Exchange]) -> None:
    """Of refreshes sent at once with one refresh token, one succeeds, or all do.

    Raises:
        Finding: some have.
        TransientFailure: some have, but they did not come at once: the target asked for some of
            them to wait.
    """
    good = sum(answer.ok for answer in answers)
    if good in (1, len(answers)):
        return
    if any(answer.attempts > 1 for answer in answers):
        raise TransientFailure(
            f"{len(answers)} refreshes at once: the target asked for some of them to wait",
            "the target's rate limit",
        )
    raise Finding(f"one good answer, or all {len(answers)}", f"{good}", answers[0])


def expect_no_grant(exchange: Exchange) -> None:
    """The answer holds no token, and is not a server error; any refusal will do."""
    expect_no_crash(exchange)
    grant = Grant.of(exchange)
    if grant.token or grant.refresh_token:
        raise Finding("no token", f"{exchange.status} with a token", exchange)


def expect_no_more_than(worth: Grant, exchange: Exchange, *, usual: Grant | None = None) -> None:
    """A refusal, or a token of the same user, scope and lifetime as ``worth``.

    Args:
        worth: what the same credentials got before.
        usual: what a plain request of the same kind got, where its lifetime counts and not that of
            ``worth``.
    """
    expect_no_crash(exchange)
    cite(worth.exchange, "control")
    grant = Grant.of(exchange)
    if not grant.token:
        if exchange.status < 400:
            raise Finding("a refusal, or a token", f"{exchange.status} with neither", exchange)
        return
    for what, right, given in (
        ("user", worth.user, grant.user),
        ("user in its claims", user_of(worth.claims), user_of(grant.claims)),
        ("scope", worth.scope, grant.scope),
        ("scope in its claims", worth.claims.get("scope"), grant.claims.get("scope")),
    ):
        if given != right:
            expected = f"a refusal, or a token with {what} {right!r}"
            raise Finding(expected, f"a token with {what} {given!r}", exchange)
    longest = usual or worth
    if outlives(grant, longest):
        expected = f"a refusal, or a token that lives {_seconds(longest)}"
        raise Finding(
            expected, "it has no end" if grant.lifetime is None else _seconds(grant), exchange
        )


def outlives(grant: Grant, other: Grant) -> bool:
    """Whether a token lives longer than another one, by more than clocks round."""
    return lifetime(grant) > lifetime(other) + LIFETIME_TOLERANCE


def lifetime(grant: Grant) -> float:
    """Seconds from a token's iat to its exp; endless when it does not say."""
    return float("inf") if grant.lifetime is None else grant.lifetime


def _seconds(grant: Grant) -> str:
    """A token's lifetime in words; all digits of whole seconds, also of a month."""
    return f"{lifetime(grant):.15g} s"


def is_turned_away(answer: Exchange) -> bool:
    """Whether a request that departs from the specification on purpose was answered as firewalls
    answer: it went no further.
    """
    return bool(answer.attack) and answer.status in _TURNED_AWAY
