"""Users for a load run are made through the API, and can log in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from rolecall.errors import Unreachable
from rolecall.load.users import NoUsers, make_users, sessions_coexist
from rolecall.reference.server import Running, running
from rolecall.reference.settings import Settings
from rolecall.reference.switches import instead_of
from rolecall.reference.target import target_file
from rolecall.target import Target, parse_target
from tests.command import ROLES
from tests.reference.asking import QUICK


@pytest.fixture(name="server")
def _server() -> Iterator[Running]:
    """A reference server of one's own."""
    with running(Settings(scrypt_n=QUICK)) as one:
        yield one


def target_of(one: Running, more: str = "") -> Target:
    """The server's target file, with lines of one's own."""
    return parse_target(target_file(one.server, one.base_url) + more, ROLES, source="tests")


def log_in(one: Running, email: str, password: str) -> dict[str, str]:
    """What a log-in is answered."""
    answer = httpx.post(f"{one.base_url}/v2/auth/token", json={"email": email, "password": password})
    assert answer.status_code == 200
    document: dict[str, str] = answer.json()
    return document


def test_two_hundred_users(server: Running) -> None:
    """Two hundred users are made, fifty of each role; each logs in with its own password, as the user that was made."""
    accounts = make_users(target_of(server), 200)

    assert Counter(account.role for account in accounts) == dict.fromkeys(ROLES, 50)
    assert len({account.email for account in accounts}) == len({account.password for account in accounts}) == 200
    for account in accounts[::37]:
        grant = log_in(server, account.email, account.password)
        assert (grant["user"], grant["scope"]) == (account.user, account.role)


def test_users_of_chosen_roles(server: Running) -> None:
    """The roles asked for are given in turn."""
    accounts = make_users(target_of(server), 3, ("agent", "bot"))

    assert [account.role for account in accounts] == ["agent", "bot", "agent"]


def test_a_target_may_make_users_elsewhere(server: Running) -> None:
    """The target file's own path and body are used."""
    more = '\n[operations.create-user]\npath = "/v2/users?x={name}"\nbody = { email = "{email}", password = "{password}", nickname = "x" }\n'

    (account,) = make_users(target_of(server, more), 1)

    assert server.server.resources.stored("users", account.user)["nickname"] == "x"


def test_a_target_that_makes_no_users(server: Running) -> None:
    """Where users are made elsewhere or not at all, or the admin cannot log in, it is said; no password is repeated."""
    target = target_of(server)
    with pytest.raises(NoUsers, match="POST /v2/nowhere was answered 404"):
        make_users(target_of(server, '\n[operations.create-user]\npath = "/v2/nowhere"\n'), 1)
    server.server.store.set_password(server.accounts["admin"].id, "2$00$00")
    with pytest.raises(NoUsers, match="answered 401") as raised:
        make_users(target, 1)
    assert target.accounts["admin"].password not in str(raised.value)


def test_a_target_that_is_not_there() -> None:
    """Nobody at the address is one sentence."""
    with running(Settings(scrypt_n=QUICK)) as one:
        target = target_of(one)

    with pytest.raises(Unreachable, match="cannot be reached: ConnectError"):
        make_users(target, 1)


def test_whether_sessions_live_side_by_side(server: Running) -> None:
    """A server that leaves sessions alone is told from one where a log-in ends the others."""
    assert sessions_coexist(target_of(server))

    login = server.server.tokens.login

    @instead_of(server.server.tokens.login)
    async def ends_others(body: object) -> object:
        account = server.server.tokens.account(body["email"])  # type: ignore[index]  # a test's own log-in
        assert account is not None
        server.server.store.forget_refresh_tokens(account.id)
        return await login(body)  # type: ignore[arg-type]  # as above

    assert not sessions_coexist(target_of(server))
