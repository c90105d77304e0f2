"""Users made for a load run, through the API, where many are needed and the target is a throw-away server of our own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from rolecall._httpx import httpx
from rolecall.conformance.fixtures import fill, fill_path
from rolecall.conformance.tables import load_specification
from rolecall.conformance.token_endpoint import PATH
from rolecall.errors import ExitCode, RolecallError, Unreachable
from rolecall.load.accounts import Account
from rolecall.target import Target


class NoUsers(RolecallError):
    """The target makes no users that can log in; the text says what it answered."""

    exit_code = ExitCode.INCONCLUSIVE


def make_users(target: Target, count: int, roles: Sequence[str] = ()) -> list[Account]:
    """Make users with random passwords, by the account of the highest role; 200 take the embedded server a second.

    Args:
        roles: those that the users get in turn; all roles unless given.

    Raises:
        NoUsers: a user cannot be made.
    """
    tables = load_specification()
    spec = tables.for_target(target.operations, tables.dialect(target.dialect, target.source), target.source)
    operation = spec.operations["create-user"]
    run = secrets.token_hex(4)
    with httpx.Client(base_url=target.base_url, timeout=target.timeout, verify=target.verify_tls) as client:
        admin = _log_in(client, target, spec.roles[-1])
        client.headers["Authorization"] = f"Bearer {admin['token']}"
        accounts = []
        for number, role in enumerate(islice(cycle(roles or spec.roles), count), 1):
            email, password = f"rolecall.load.{run}.{number}@{target.email_domain}", secrets.token_urlsafe(18)
            values = {
                "name": f"rolecall-load-{run}-{number}",
                "email": email,
                "password": password,
                "organization": admin.get("organization"),
            }
            body = {**fill(operation.body, values), "role": role}
            answer = _answer(client, operation.method, fill_path(operation.path, values), body)
            if answer.get("role", role) != role:
                raise NoUsers(f"{target.base_url} made a user of role {role} one of another role")
            accounts.append(Account(email, password, role, str(answer.get("id", ""))))
    return accounts


def sessions_coexist(target: Target) -> bool:
    """Whether a user's log-in leaves the user's other sessions alone, which the specification does not say (SEC-I18-first).

    Raises:
        NoUsers: the first account cannot log in.
    """
    account = next(iter(target.accounts))
    with httpx.Client(base_url=target.base_url, timeout=target.timeout, verify=target.verify_tls) as client:
        first = _log_in(client, target, account)
        _log_in(client, target, account)
        body = {"refreshToken": first["refreshToken"], "clientId": target.accounts[account].email}
        return bool(client.post(PATH, json=body).is_success)


def _log_in(client: httpx.Client, target: Target, name: str) -> dict[str, Any]:
    account = target.accounts[name]
    answer = _answer(client, "POST", PATH, {"email": account.email, "password": account.password})
    if not isinstance(answer.get("token"), str) or not isinstance(answer.get("refreshToken"), str):
        raise NoUsers(f"{client.base_url} gives {account.email} no tokens")
    return answer


def _answer(client: httpx.Client, method: str, path: str, body: Any) -> dict[str, Any]:
    """The object that a request is answered with.

    Raises:
        NoUsers: it is answered with anything else, or not to the end.
        Unreachable: nobody is there.
    """
    try:
        response = client.request(method, path, json=body)
        document = response.json() if response.is_success else None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Unreachable(str(client.base_url), f"cannot be reached: {type(error).__name__}") from None
    except (httpx.HTTPError, ValueError) as error:
        raise NoUsers(f"{client.base_url}: {method} {path} ended in {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise NoUsers(f"{client.base_url}: {method} {path} was answered {response.status_code}")
    return document
