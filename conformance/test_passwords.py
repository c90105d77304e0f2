"""Passwords: no answer of the run holds one, or what was made of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

from rolecall.bounds import SEARCHED
from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.spec.templates import with_query
from rolecall.tokens import Grant
from rolecall.toolkit.marks import SUMMARY, requirement
from rolecall.toolkit.passwords import (
    hash_in_text,
    hashes_in,
    is_of_users,
    passwords_sent,
    spellings,
)
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.world import World


async def look_inside(world: World) -> None:
    """Ask for users where they are parts of something else; where that cannot be asked for, the
    answers of the run have to do.
    """
    with suppress(Inconclusive, NotTested):
        admin = await world.user(world.highest)
        request = await world.request(world.spec.operations["fetch-conversation"], admin)
        await world.send(
            "GET",
            with_query(request.path, "populate=participants.user,organization"),
            admin,
            attack="SEC-I20",
        )


#: What may be a refresh token: as long as none is by chance, and of the letters that one has in a
#: URL (RFC 3986 2.3) or in base64.
_WORD = re.compile(r"[\w.~+/=-]{20,}", re.ASCII)


def with_refresh_tokens(answers: Iterable[Exchange]) -> Iterator[Exchange]:
    """The answers that grant nothing, and hold a refresh token that another one granted."""
    grants = {exchange: Grant.of(exchange) for exchange in answers}
    granted = {grant.refresh_token for grant in grants.values() if grant.refresh_token}
    for exchange, grant in grants.items():
        if not grant.token and not granted.isdisjoint(_WORD.findall(exchange.text)):
            yield exchange


@requirement("SEC-I20", phase=SUMMARY)
async def test_no_answer_holds_a_password(responses: Responses, world: World) -> None:
    """No answer of the run holds a password that was sent, a hash of one, or the refresh token of
    another answer.
    """
    await look_inside(world)
    answers: dict[bytes, Exchange] = {}
    everything = responses.all()
    for exchange in everything:
        if exchange.body and exchange.ok:
            answers.setdefault(exchange.body, exchange)
    if not answers:
        raise NotTested("the run saw no answer with a body")
    cite(next(reversed(answers.values())))

    together = "\n".join(exchange.text for exchange in answers.values())
    for password in passwords_sent(everything, world):
        for text in spellings(password):
            if text in together:
                found = next(exchange for exchange in answers.values() if text in exchange.text)
                raise Finding(
                    "answers without passwords",
                    f"{found.status} with a password that was sent",
                    found,
                )
    for exchange in with_refresh_tokens(answers.values()):
        raise Finding(
            "answers without refresh tokens, but for those that grant one",
            f"{exchange.status} with a refresh token that another answer granted",
            exchange,
        )
    for exchange in answers.values():
        if name := next(hashes_in(exchange.json, of_user=is_of_users(exchange)), ""):
            raise Finding(
                "answers without passwords, or what is kept of them",
                f"{exchange.status} with {name!r}",
                exchange,
            )


@requirement("SEC-I20", phase=SUMMARY)
async def test_no_refusal_holds_the_hash_of_a_password(responses: Responses) -> None:
    """No refusal of the run says, in whatever words, what is kept of a password."""
    refusals = responses.with_status(*range(400, 600))
    if not refusals:
        raise NotTested("the run saw no refusal")
    for exchange in refusals:
        if what := hash_in_text(exchange.text[:SEARCHED]):
            raise Finding(
                "refusals without what is kept of a password",
                f"{exchange.status} with a hash that begins with {what!r}",
                exchange,
            )
