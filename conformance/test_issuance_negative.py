"""Issuance under attack: no body but the right e-mail and password gets a token."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

from rolecall.evidence import Exchange
from rolecall.outcomes import Finding
from rolecall.pausing import in_thread
from rolecall.target import Account
from rolecall.tokens import TOKEN_PATH, Caller
from rolecall.toolkit.expectations import expect_no_crash, expect_no_grant, expect_no_more_than
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import attackable, throwaway_admin
from rolecall.toolkit.world import World

WRONG = "rolecall-is-not-this"

# --- Who is there -------------------------------------------------------------------------------

#: What differs from answer to answer for every caller: digits, and longer hexadecimal numbers.
_VARIES = re.compile(r"[0-9a-fA-F]{8}[0-9a-fA-F-]*|\d+")
_HEADERS_OF_THE_WAY = (
    "date",
    "connection",
    "keep-alive",
    "age",
    "content-length",
    "transfer-encoding",
    "set-cookie",
)


def face(exchange: Exchange, email: str) -> tuple[int, list[str], str]:
    """An answer as somebody sees it who looks for differences: its status, its headers and its text
    less the e-mail.
    """
    names = sorted({name.lower() for name, _ in exchange.headers} - set(_HEADERS_OF_THE_WAY))
    return exchange.status, names, _VARIES.sub("#", exchange.text.replace(email, "@"))


@requirement("SEC-I03")
async def test_an_unknown_email_sounds_like_a_wrong_password(world: World, judge: Judge) -> None:
    """Whether an e-mail is known cannot be told from the answer to a wrong password."""
    account = (await attackable(world)).account
    stranger = f"rolecall.nobody.{world.run_id}@{world.target.email_domain}"

    known = await world.tokens.post(
        {"email": account.email, "password": WRONG}, caller="nobody", attack="SEC-I03"
    )
    unknown = await world.tokens.post(
        {"email": stranger, "password": WRONG}, caller="nobody", attack="SEC-I03"
    )

    judge.cite(known, unknown)
    for what, right, given in zip(
        ("status", "headers", "body"),
        face(known, account.email),
        face(unknown, stranger),
        strict=True,
    ):
        if given != right:
            raise Finding(
                f"the same {what} for a known e-mail and an unknown one",
                f"{right} and {given}",
                unknown,
            )


# --- Operators where texts belong --------------------------------------------------------------

#: Seconds that the script among the operators sleeps, if somebody runs it; the longer ones, one
#: after the other, tell it from an answer that is slow by chance.
_SLEEP, _LONGER = 2.0, (3.0, 2.5)
_SCRIPT = f"sleep({_SLEEP * 1000:g}) || true"
#: What a database would understand, where a text belongs; "{email}" and "{password}" are the right
#: ones.
OPERATORS: dict[str, dict[str, Any]] = {
    "email-not-null": {"email": {"$ne": None}, "password": "{password}"},
    "email-above-nothing": {"email": {"$gt": ""}, "password": "{password}"},
    "email-any-beginning": {"email": {"$regex": "^"}, "password": "{password}"},
    "email-one-of": {"email": {"$in": ["{email}"]}, "password": "{password}"},
    "email-script": {"email": {"$where": _SCRIPT}, "password": "{password}"},
    "password-not-null": {"email": "{email}", "password": {"$ne": None}},
    "password-above-nothing": {"email": "{email}", "password": {"$gt": ""}},
    "password-any-beginning": {"email": "{email}", "password": {"$regex": "^"}},
    "password-one-of": {"email": "{email}", "password": {"$in": ["{password}", WRONG]}},
    "password-script": {"email": "{email}", "password": {"$where": _SCRIPT}},
    "both-not-null": {"email": {"$ne": None}, "password": {"$ne": None}},
}


@requirement("SEC-I06")
@each("case", OPERATORS)
async def test_operators_are_no_credentials(case: str, world: World, judge: Judge) -> None:
    """A database condition as e-mail or password gets no token and breaks nothing."""
    user = await attackable(world, guesses=False)
    account, control = user.account, user.caller
    body = world.fill(OPERATORS[case], email=account.email, password=account.password)

    answer = await world.tokens.post(body, caller="nobody", attack="SEC-I06")

    judge.expect_no_token(answer, control.grant.exchange)
    if "$where" in str(body) and await runs_the_script(body, answer, world):
        raise Finding(
            "a refusal at once",
            f"one after {answer.finished - answer.started:.1f} s, as the script says",
            answer,
        )


async def runs_the_script(body: Mapping[str, Any], first: Exchange, world: World) -> bool:
    """Whether each answer takes as long as the script says, and one to a script that does not sleep
    takes less.
    """
    if first.finished - first.started < _SLEEP:
        return False
    for seconds in (0.0, *_LONGER):
        script = f"sleep({seconds * 1000:g}) || true" if seconds else "true"
        asked = json.loads(json.dumps(body).replace(_SCRIPT, script))
        answer = await world.tokens.post(asked, caller="nobody", attack="SEC-I06")
        took = answer.finished - answer.started
        if took < seconds or (not seconds and took >= _SLEEP / 2):
            return False
    return True


@requirement("SEC-I06")
@each("where", ("query", "form"))
async def test_operators_outside_json_are_no_credentials(where: str, world: World) -> None:
    """An operator spelled as a parameter, ``password[$ne]=``, gets no token either."""
    email = (
        (await attackable(world, guesses=False))
        .account.email.replace("+", "%2B")
        .replace("@", "%40")
    )
    parameters = f"email={email}&password[$ne]=x"
    path = f"{TOKEN_PATH}?{parameters}" if where == "query" else TOKEN_PATH
    form = {"content-type": "application/x-www-form-urlencoded"}

    answer = await world.client.send(
        "POST",
        path,
        headers=form if where == "form" else {},
        content=parameters.encode() if where == "form" else b"{}",
        attack="SEC-I06",
    )

    expect_no_grant(answer)


# --- Bodies that can be read in two ways -------------------------------------------------------

#: Members that come twice: the attacker's own e-mail and password, and the victim's e-mail.
TWICE = {
    "victim-then-attacker": ["email", "{victim}", "email", "{email}", "password", "{password}"],
    "attacker-then-victim": ["email", "{email}", "email", "{victim}", "password", "{password}"],
    "wrong-then-right": ["email", "{email}", "password", WRONG, "password", "{password}"],
    "right-then-wrong": ["email", "{email}", "password", "{password}", "password", WRONG],
}


def as_object(words: list[str]) -> bytes:
    """A JSON object of names and values in turn, however often a name comes."""
    pairs = zip(words[::2], words[1::2], strict=True)
    return (
        "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}"
    ).encode()


@requirement("SEC-I08")
@each("case", TWICE)
async def test_members_that_come_twice_open_no_other_account(
    case: str, world: World, judge: Judge
) -> None:
    """A body with two e-mails or passwords gets no token of the other account."""
    victim, user = await throwaway_admin(world), await attackable(world)
    account = user.account
    words = world.fill(
        TWICE[case], email=account.email, password=account.password, victim=victim.email
    )

    answer = await world.client.send("POST", TOKEN_PATH, content=as_object(words), attack="SEC-I08")

    await judge.expect_login_at_most(answer, user)


# --- Bodies that are no JSON object ------------------------------------------------------------

#: The media type, and how the right credentials are written: bodies that are not the JSON object
#: under any reading.
NO_JSON = {
    "form": ("application/x-www-form-urlencoded", "form"),
    "multipart": ("multipart/form-data; boundary=rolecall", "multipart"),
    "xml": ("application/xml", "xml"),
    "json-as-text": ("text/plain", "object"),
    "json-as-form": ("application/x-www-form-urlencoded", "object"),
    "json-as-xml": ("application/xml", "object"),
    "form-as-json": ("application/json", "form"),
    "empty": ("application/json", "nothing"),
    "array": ("application/json", "array"),
    "array-of-pairs": ("application/json", "pairs"),
    "string": ("application/json", "string"),
    "null": ("application/json", "null"),
    "cut-off": ("application/json", "cut-off"),
    "password-nested-1000-deep": ("application/json", "nested"),
}
#: Bodies that a reader may forgive (RFC 8259 8.1, 9: a byte order mark, other notations; RFC 9110
#: 8.3: no type at all).
FORGIVABLE = {
    "no-content-type": (None, "object"),
    "byte-order-mark": ("application/json", "mark"),
    "latin-1": ("application/json", "latin-1"),
    "utf-16": ("application/json; charset=utf-16", "utf-16"),
    "trailing-comma": ("application/json", "comma"),
    "json5": ("application/json", "json5"),
    "comment": ("application/json", "comment"),
}
BODIES = NO_JSON | FORGIVABLE


def written(how: str, account: Account) -> bytes:
    """The right credentials in this notation."""
    email, password = json.dumps(account.email), json.dumps(account.password)
    both = f'"email":{email},"password":{password}'
    escaped = {
        name: re.sub(r"[^\w.-]", lambda m: f"%{ord(m[0]):02X}", value, flags=re.ASCII)
        for name, value in credentials(account)
    }
    form = "&".join(f"{name}={value}" for name, value in escaped.items())
    part = '--rolecall\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    text = {
        "object": f"{{{both}}}",
        "form": form,
        "multipart": "".join(part.format(name, value) for name, value in credentials(account))
        + "--rolecall--\r\n",
        "xml": "<auth>"
        + "".join(f"<{name}>{value}</{name}>" for name, value in credentials(account))
        + "</auth>",
        "nothing": "",
        "array": f"[{{{both}}}]",
        "pairs": f'[["email",{email}],["password",{password}]]',
        "string": json.dumps(f"{{{both}}}"),
        "null": "null",
        "cut-off": f"{{{both}",
        "nested": f'{{"email":{email},"password":{"[" * 1000}{password}{"]" * 1000}}}',
        "latin-1": f'{{{both},"note":"\xe9"}}',
        "mark": f"\ufeff{{{both}}}",
        # in a spelling that no report could redact
        "utf-16": json.dumps({"email": account.email, "password": WRONG}),
        "comma": f"{{{both},}}",
        "json5": f"{{email:{email},password:{password}}}",
        "comment": f"/* rolecall */{{{both}}}",
    }[how]
    return text.encode(how if how in ("latin-1", "utf-16") else "utf-8")


def credentials(account: Account) -> list[tuple[str, str]]:
    """E-mail and password, by name."""
    return [("email", account.email), ("password", account.password)]


@shared_setup
async def ask_strangely(world: World, case: str) -> tuple[Caller, Exchange]:
    """Post the right credentials of a user in a body that is not a plain JSON object; that user,
    and the answer.
    """
    media_type, how = BODIES[case]
    user = await attackable(world, guesses=False)
    content, headers = written(how, user.account), {"content-type": media_type}
    return user.caller, await world.client.send(
        "POST", TOKEN_PATH, headers=headers, content=content, attack="SEC-I09"
    )


@requirement("SEC-I09")
@each("case", NO_JSON)
async def test_what_is_no_json_object_gets_no_token(case: str, world: World, judge: Judge) -> None:
    """Right credentials in anything but a JSON object are refused without a server error."""
    control, answer = await ask_strangely(world, case)

    judge.cite(control.grant.exchange)
    expect_no_grant(answer)


@requirement("SEC-I09")
@each("case", FORGIVABLE)
async def test_what_is_nearly_json_breaks_nothing(case: str, world: World) -> None:
    """A body that is nearly JSON is taken for what it says, or refused without a server error."""
    own, answer = await ask_strangely(world, case)

    expect_no_more_than(own.grant, answer)


@requirement("SEC-I09-no-crash")
@each("case", BODIES)
async def test_no_body_breaks_the_token_endpoint(case: str, world: World) -> None:
    """No body of a log-in causes a server error."""
    _, answer = await ask_strangely(world, case)

    expect_no_crash(answer)


@requirement("SEC-I09-status")
@each("case", NO_JSON)
async def test_what_is_no_json_object_is_called_so(case: str, world: World, judge: Judge) -> None:
    """A body of another type is answered 415, one that is not a JSON object 400 (or 422)."""
    _, answer = await ask_strangely(world, case)

    judge.cite(answer)
    if answer.status not in (400, 415, 422):
        raise Finding("400 or 415", f"{answer.status}", answer)


# --- Large bodies ------------------------------------------------------------------------------

_MEGABYTE = 1024 * 1024
#: Seconds in which a body that is too large should have been refused.
_PROMPT = 5.0
#: How many megabytes, and of what: of a password, or of a member that means nothing. The password
#: is spelled with an escape, so that our own redaction does not take a megabyte for a secret.
LARGE = {"password-of-1-mb": (1, "pass\\u0077ord"), "body-of-2-mb": (2, "padding")}


@requirement("SEC-I10")
@each("case", LARGE)
async def test_a_large_body_is_refused_at_once(case: str, world: World) -> None:
    """A log-in of megabytes is refused with 413 or 400 within seconds."""
    megabytes, member = LARGE[case]
    megabytes *= 10 if world.intrusive else 1
    email = (await attackable(world)).account.email
    content = b'{"email":%b,"%b":"%b"}' % (
        json.dumps(email).encode(),
        member.encode(),
        b"x" * (megabytes * _MEGABYTE),
    )

    answer = await world.client.send("POST", TOKEN_PATH, content=content, attack="SEC-I10")
    # enough as evidence: the rest repeats itself
    answer.request_body = content[:200] + b"... (%d bytes)" % len(content)

    expect_no_grant(answer)
    if answer.status not in (400, 401, 403, 413, 422):
        raise Finding("413 or 400", f"{answer.status}", answer)
    if answer.finished - answer.started > _PROMPT:
        raise Finding(
            f"a refusal within {_PROMPT:g} s",
            f"one after {answer.finished - answer.started:.1f} s",
            answer,
        )


@requirement("SEC-I10")
async def test_a_compressed_body_does_not_burst(world: World, judge: Judge) -> None:
    """A server that reads compressed bodies refuses one that is small as sent and large when
    read.
    """
    account = (await attackable(world, guesses=False)).account
    small = gzip.compress(written("object", account))
    packed = {"content-encoding": "gzip"}

    answer = await world.client.send(
        "POST", TOKEN_PATH, headers=packed, content=small, attack="SEC-I10"
    )

    if answer.ok:
        megabytes = 100 if world.intrusive else 16
        spaces = await in_thread(
            gzip.compress, b" " * (megabytes * _MEGABYTE) + written("object", account)
        )
        answer = await world.client.send(
            "POST", TOKEN_PATH, headers=packed, content=spaces, attack="SEC-I10"
        )
        if answer.ok:
            raise Finding(
                "413 or 400", f"{answer.status} for {megabytes} MB in {len(spaces):,} bytes", answer
            )
    expect_no_grant(answer)
