"""Tokens of absurd lengths, and with strange characters in them: they break nothing."""

from __future__ import annotations

import re

from rolecall.evidence import Exchange, cite, note
from rolecall.outcomes import Finding
from rolecall.toolkit.attacker import TOO_LONG, Attacker
from rolecall.toolkit.expectations import any_of
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.world import World

#: Characters of a token.
LENGTHS = {
    "nothing": 0,
    "one": 1,
    "8-thousand": 8 * 1024,
    "64-thousand": 64 * 1024,
    "million": 1024 * 1024,
}
_AT_ONCE = 5.0  # seconds


async def with_bytes(value: bytes, world: World, attacker: Attacker, attack: str) -> Exchange:
    """The answer at the highest role's own user to an Authorization header of these bytes."""
    protected_request = (await attacker.protected_requests())[0]
    answer = await world.client.send_raw(
        "GET", protected_request.path, [("authorization", value)], caller="nobody", attack=attack
    )
    return cite(answer, "answer")


@requirement("SEC-H07-no-crash")
@each("length", LENGTHS)
async def test_a_token_of_any_length_breaks_nothing(
    length: str, world: World, attacker: Attacker
) -> None:
    """A token of 0 to a million characters is rejected without a server error."""
    answer = await with_bytes(
        b"Bearer " + b"a" * LENGTHS[length], world, attacker, "SEC-H07-no-crash"
    )

    if answer.ok or answer.status >= 500:
        raise Finding("a refusal", f"{answer.status}", answer)
    await world.alive(await world.user(world.highest), answer.finished)


@requirement("SEC-H07")
@each("length", LENGTHS)
async def test_a_token_of_any_length_is_refused_at_once(
    length: str, world: World, attacker: Attacker
) -> None:
    """A token of 0 to a million characters is rejected within five seconds."""
    answer = await with_bytes(b"Bearer " + b"a" * LENGTHS[length], world, attacker, "SEC-H07")

    statuses = (*attacker.unreadable, *TOO_LONG)
    if answer.status and answer.status not in statuses:
        raise Finding(f"one of {', '.join(map(str, statuses))}", f"{answer.status}", answer)
    if answer.finished - answer.started > _AT_ONCE:
        raise Finding(
            f"an answer within {_AT_ONCE:g} s", f"{answer.finished - answer.started:.1f} s", answer
        )


#: What no reader of base64url passes over: its own letters. It may pass over a space, and so over
#: NUL, line breaks and folded lines, which are that to who receives them (RFC 9110 5.5, RFC 9112
#: 5.2).
NOT_PASSED_OVER = re.compile(rb"[A-Za-z0-9_-]")
#: What is put into the middle of a token's signature.
STRANGERS = {
    "control-character": b"\x01",
    "nul": b"\x00",
    "bare-carriage-return": b"\r",
    "bare-line-feed": b"\n",
    "folded-line": b"\r\n ",
    "escaped-line-break": b"%0d%0aX-Rolecall-Injected:%20yes",
    "latin-1": b"\xe9",
    "utf-8": "\N{SNOWMAN}".encode(),
}


@requirement("SEC-H08")
@each("stranger", STRANGERS)
async def test_strange_characters_break_nothing(
    stranger: str, world: World, attacker: Attacker
) -> None:
    """A token with strange characters is rejected, breaks nothing and is in no response header."""
    token = (await world.user(world.highest)).token.encode()
    middle = len(token) - 12
    value = b"Bearer " + token[:middle] + STRANGERS[stranger] + token[middle:]

    answer = await with_bytes(value, world, attacker, "SEC-H08")

    statuses = (*attacker.unreadable, *TOO_LONG)
    if answer.ok and token.count(b".") == 2 and not NOT_PASSED_OVER.search(STRANGERS[stranger]):
        note("what is no base64url is passed over in a signature: see SEC-J15-signature")
    elif answer.status and answer.status not in statuses:
        let_in = ": let in" if answer.ok else ""
        raise Finding(
            f"{any_of(attacker.unreadable)}: not let in",
            f"{answer.status}{let_in}",
            answer,
        )
    claims = token.decode().split(".")[1 if b"." in token else 0]
    for name, text in answer.headers:
        if claims in text or name.lower() == "x-rolecall-injected":
            raise Finding("no header that repeats the token", f"{name}: {text}", answer)
    await world.alive(await world.user(world.highest), answer.finished)
