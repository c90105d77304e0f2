"""The target of a rehearsal: the embedded server, with just what a target file gives.

A run sends the same to any two servers that satisfy the specification and give it the same: the
same accounts, API keys and ways to an expired token. So what a run would send is counted by letting
it go through against the embedded server; the target itself is asked nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rolecall.embedded import embedded_target
from rolecall.errors import UsageError
from rolecall.target import ApiKeyOptions, ExpiryOptions, Target
from rolecall.token_bank import TokenBank
from rolecall.tokens import TOKEN_PATH


@contextmanager
def stand_in(target: Target, roles: Sequence[str]) -> Iterator[Target]:
    """The embedded server in the shape of a target, as long as the block lasts.

    Raises:
        EmbeddedServerFailed: it does not start.
    """
    with (
        embedded_target(roles) as server,
        tempfile.TemporaryDirectory(prefix="rolecall-bank-") as bank,
    ):
        accounts = {
            name: account for name, account in server.accounts.items() if name in target.accounts
        }
        yield replace(
            server,
            accounts=accounts,
            concurrency=target.concurrency,
            api_keys=_keys(target, server),
            expiry=_expiry(target, server, Path(bank)),
        )


def assumptions(target: Target, roles: Sequence[str]) -> Iterator[str]:
    """What a rehearsal takes for granted of a target, a sentence each."""
    yield "the target satisfies the specification, has every operation and answers each request"
    others = [name for name in target.accounts if name not in (*roles, f"{roles[0]}2")]
    if others:
        yield f"[accounts.{'], [accounts.'.join(others)}] are not counted"
    is_by_the_clock = _is_by_the_clock(target)
    if is_by_the_clock and not target.expiry.clock_url:
        yield "expired tokens are counted as if they were had by moving a clock"
    elif target.expiry.bank and not is_by_the_clock:
        yield "the token bank has nothing yet whose time has passed"


def _keys(target: Target, server: Target) -> ApiKeyOptions:
    """Keys as the target has them: made by the admin, ready, or none."""
    wanted = target.api_keys
    ready = {role: _ready_key(server, role) for role in wanted.tokens}
    path = server.api_keys.create_path if wanted.create_path else ""
    acts_as = wanted.acts_as if wanted.acts_as in server.accounts else ""
    return replace(server.api_keys, create_path=path, tokens=ready, acts_as=acts_as)


def _ready_key(server: Target, role: str) -> str:
    """A key of one scope, made before the rehearsal begins."""
    admin = list(server.accounts.values())[-1]
    granted = _post(server, TOKEN_PATH, {"email": admin.email, "password": admin.password})
    made = _post(
        server, server.api_keys.create_path, {"name": role, "scopes": [role]}, granted["token"]
    )
    key: str = made["token"]
    return key


def _post(server: Target, path: str, body: object, token: str = "") -> Any:
    """What the embedded server answers."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(  # noqa: S310  # a server of our own
        server.base_url + path, json.dumps(body).encode(), headers, method="POST"
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return json.load(answer)


def _expiry(target: Target, server: Target, bank: Path) -> ExpiryOptions:
    """The ways to an expired token; those that rest on time passed or on a program of the target's
    are stood in for by the clock.
    """
    wanted = target.expiry
    return replace(
        server.expiry,
        clock_url=server.expiry.clock_url if _is_by_the_clock(target) else "",
        signing_key=server.expiry.signing_key if wanted.signing_key else "",
        bank=bank if wanted.bank else None,
    )


def _is_by_the_clock(target: Target) -> bool:
    expiry = target.expiry
    return bool(expiry.clock_url or expiry.command or expiry.wait) or _has_due_tokens(target)


def _has_due_tokens(target: Target) -> bool:
    """Whether the bank has tokens whose time has passed."""
    if not target.expiry.bank:
        return False
    try:
        deposits = TokenBank.of(target.expiry, target.base_url).deposits()
    except UsageError:  # the run goes on without it, and says so
        return False
    return any(deposit.expires < time.time() for deposit in deposits)
