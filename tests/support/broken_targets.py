"""Target files with one thing wrong, by chance: a setting of another kind, an absurd value, a table
that is missing or misspelt, bytes that were lost or came in.
"""

from __future__ import annotations

import copy
import datetime
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

#: A target file with every setting, as a document.
WHOLE: dict[str, Any] = {
    "target": {
        "name": "staging",
        "base_url": "http://127.0.0.1:9",
        "rate_limit": 20,
        "concurrency": 8,
        "timeout": 1.5,
        "verify_tls": True,
        "proxy": "http://me:password-of-the-proxy@127.0.0.1:9",
        "load_allowed": True,
        "attempt_denied_writes": False,
        "email_domain": "example.org",
    },
    "accounts": {
        name: {"email": f"{name}@example.org", "password": f"password-of-{name}-7Hq2"}
        for name in ("guest", "agent", "bot", "admin", "guest2")
    },
    "api_keys": {
        "create_path": "/v2/apikeys",
        "acts_as": "admin",
        "tokens": {"guest": "key-of-the-guest-0123456789"},
    },
    "expiry": {
        "bank": "bank",
        "bank_key_env": "BANK",
        "clock_url": "http://127.0.0.1:9/__clock",
        "signing_key_env": "SIGNING",
        "algorithm": "HS256",
        "command": "./expired-token {role}",
        "wait": 120,
    },
    "dialect": {"expired": [403], "created": [200, 201]},
    "fixtures": {
        "contact": {"id": "599e1fcd9da1c72645c95886", "create": False},
        "fetch-message": {"id": "1", "conversation": "2"},
    },
    "operations": {
        "list-knowledge-items": {"path": "/v2/kbitems"},
        "create-contact": {
            "method": "POST",
            "path": "/v2/contacts",
            "success": [201],
            "body": {"displayName": "{name}", "meta": {"tags": ["a", "{id}"]}},
        },
    },
}
#: What is in the environment.
ENVIRONMENT = {
    "BANK": "a passphrase of many words",
    "SIGNING": "a key that is long enough: 0123456",
}

_ABSURD: tuple[Any, ...] = (
    "",
    " ",
    "\x00",
    "\u202e\x1b[2J",
    "a\nb",
    "x" * 100_000,
    "{",
    "{}{name",
    "{0.__class__}",
    "%s%n",
    "../../etc/passwd",
    "/",
    "//",
    "http://",
    "http://[::1",
    "http://127.0.0.1:99999",
    "http://\u2024",
    "http://xn--\u00fc",
    "file:///etc/passwd",
    "/proc/self/mem",
    "/dev/null",
    "NOT_SET_ANYWHERE",
    "=",
    "A\x00B",
    "'",
    0,
    -1,
    1,
    2**31,
    2**63,
    10**400,
    -(10**30),
    0.0,
    -0.0,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    True,
    False,
    [],
    [[]],
    [0],
    [True],
    [""],
    [999],
    [-1, "x"],
    [{}],
    {},
    {"": 1},
    {"x": {"y": []}},
    datetime.datetime(1979, 5, 27, 7, 32, tzinfo=datetime.UTC),
    datetime.date(1979, 5, 27),
    datetime.time(7, 32),
)


def broken(chance: random.Random) -> bytes:
    """One of them; by chance it may still be a file that is good."""
    return chance.choice((_wrong_value, _wrong_value, _lost, _renamed, _garbled, _deep))(chance)


def _wrong_value(chance: random.Random) -> bytes:
    document = copy.deepcopy(WHOLE)
    table, name = chance.choice(list(_places(document)))
    table[name] = chance.choice(_ABSURD)
    return written(document).encode()


def _lost(chance: random.Random) -> bytes:
    document = copy.deepcopy(WHOLE)
    table, name = chance.choice(list(_places(document)))
    del table[name]
    return written(document).encode()


def _renamed(chance: random.Random) -> bytes:
    document = copy.deepcopy(WHOLE)
    table, name = chance.choice(list(_places(document)))
    table[chance.choice((name[:-1], f"{name}s", name.upper(), "", "\u00e9", "a.b", "\x1b[2J"))] = (
        table.pop(name)
    )
    return written(document).encode()


def _garbled(chance: random.Random) -> bytes:
    data = written(WHOLE).encode()
    for _ in range(chance.randint(1, 4)):
        place, other = chance.randrange(len(data) + 1), bytes([chance.randrange(256)])
        data = chance.choice(
            (
                data[:place] + other + data[place:],
                data[:place] + other + data[place + 1 :],
                data[:place] + data[place + chance.randint(1, 40) :],
                data[:place],
                b"\xff\xfe" + data,
            )
        )
    return data


def _deep(chance: random.Random) -> bytes:
    depth = chance.choice((50, 500, 5_000, 50_000))
    value = chance.choice(
        ("[" * depth + "]" * depth, "{a=" * depth + "1" + "}" * depth, "[" * depth)
    )
    at = chance.choice(("dialect.expired", "target.name", "operations.list-users.body", "x"))
    return f"{at} = {value}\n{written(WHOLE)}".encode()


def _places(table: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every setting and every table, with the table that it stands in."""
    for name, value in list(table.items()):
        yield table, name
        if isinstance(value, dict):
            yield from _places(value)


def written(document: Mapping[str, Any]) -> str:
    """A document as TOML."""
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in document.items())


def _key(name: str) -> str:
    return json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)
