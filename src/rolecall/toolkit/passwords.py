"""Finds passwords and their hashes in answers: by what was sent, by names and by forms."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rolecall.evidence import Exchange
from rolecall.toolkit.world import World

_SHORTEST = 8  # characters: what is shorter stands in a text by chance
#: Members that hold a password, or what is kept of one.
_NAMES = re.compile(
    r"_*(pass(word|wd|phrase)?|pwd)s?|(?=.*(pass(word|wd|phrase)?|pwd))(?=.*(hash|digest|salt|crypt)).*",
    re.IGNORECASE,
)
#: Members that may hold a hash of anything at all: one of a password only where a user has it.
_VAGUE = re.compile(r"_*(hash|salt|digest)", re.IGNORECASE)
#: How hashes of passwords begin: PHC strings, crypt(3), LDAP, Django.
_HASH = re.compile(
    r"\$(2[abxy]?|argon2\w*|scrypt|bcrypt\S*|pbkdf2\S*|[156y]|7)\$|(pbkdf2|scrypt|argon2|bcrypt)\w*[$:]|\{S?(SHA|MD5)\w*\}"
)
#: A whole hash of a password anywhere in a text, where words and numbers are more than a member's.
_WHOLE_HASH = re.compile(
    r"(\$2[abxy]?\$\d\d\$)[./\w]{53}|(\$argon2\w+\$)v=\d+\$[\w=,]+\$[\w+/.-]{8,}"
    r"|(\$[56]\$)(?:rounds=\d+\$)?[./\w]{1,16}\$[./\w]{43,86}"
    r"|((?:\$?pbkdf2|\$?scrypt)[\w:-]{0,20}\$)[\w:=,]+\$[\w+/.=$-]{8,}",
    re.ASCII,
)
#: What stands in a password's place and tells nothing of it: one character many times, or words in
#: brackets.
_MASK = re.compile(r"(.)\1*|[<\[(].*[>\])]", re.DOTALL)
_LIKE_A_HASH = re.compile(r"[0-9a-zA-Z+/=_.-]{16,}")


def passwords_sent(responses: Iterable[Exchange], world: World) -> set[str]:
    """The passwords of the target file, and those that were sent and answered with success."""
    found = {account.password for account in world.target.accounts.values()}
    for exchange in responses:
        if exchange.ok and b"password" in exchange.request_body:
            try:
                value = json.loads(exchange.request_body).get("password")
            except (ValueError, RecursionError, AttributeError):
                continue
            found |= {value} if isinstance(value, str) else set()
    # A password that is a word stands in many a text by chance.
    return {password for password in found if len(password) >= _SHORTEST and not password.isalpha()}


def spellings(password: str) -> set[str]:
    """A password as JSON, or HTML within JSON, may spell it."""
    plain = json.dumps(password)[1:-1]
    escaped = "".join(f"\\u{ord(letter):04x}" if letter in "<>&'+" else letter for letter in plain)
    return {password, plain, escaped, html.escape(password)}


def is_of_users(exchange: Exchange) -> bool:
    """Whether an answer is about users: at their resource, or where they log in."""
    return re.search(r"/(users|auth)\b", exchange.url) is not None


def hash_in_text(text: str) -> str:
    """How a password's hash begins that stands in a text; empty where there is none."""
    found = _WHOLE_HASH.search(text)
    return next(filter(None, found.groups()), "") if found else ""


def hashes_in(document: Any, *, of_user: bool) -> Iterator[str]:
    """The members that hold a password or its hash, at any depth of a document."""
    left = [document]
    while left:
        value = left.pop()
        left += (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        )
        for name, text in value.items() if isinstance(value, dict) else ():
            if not isinstance(text, str) or not text or _MASK.fullmatch(text):
                continue
            is_named = _NAMES.fullmatch(name) and len(text) >= _SHORTEST
            is_vague = of_user and _VAGUE.fullmatch(name) and _LIKE_A_HASH.fullmatch(text)
            if is_named or is_vague or _HASH.match(text):
                yield name
