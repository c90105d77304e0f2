"""Users for a load run are made through the API, and can log in."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rolecall.errors import Unreachable, UsageError
from rolecall.loadgen import provisioning
from rolecall.loadgen.provisioning import NoUsers, make_users, sessions_coexist
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.failure import Failure
from rolecall.reference.server import Running, running
from rolecall.reference.settings import Settings
from rolecall.reference.switches import instead_of
from rolecall.reference.target import target_file as text_of
from rolecall.target import Target, parse_target
from tests.reference.asking import QUICK
from tests.support import miniatures
from tests.support.command import ROLES, target_file, target_text
from tests.support.load_runs import load
from tests.support.load_servers import sound
from tests.support.miniatures import (
    Answer,
    Connection,
    Miniature,
    Received,
    always,
    in_turn,
    json_response,
    response,
)

SECRET = "password-of-admin-7Hq2"  # of the target file of `target_text`
HIDDEN = "<password-[0-9]>"


@pytest.fixture(name="server")
def _server() -> Iterator[Running]:
    """A reference server of one's own."""
    with running(Settings(scrypt_n=QUICK)) as one:
        yield one


def target_of(one: Running, more: str = "") -> Target:
    """The server's target file, with lines of one's own."""
    return parse_target(text_of(one.server, one.base_url) + more, ROLES, source="tests")


def log_in(one: Running, email: str, password: str) -> dict[str, str]:
    """What a log-in is answered."""
    answer = httpx.post(
        f"{one.base_url}/v2/auth/token", json={"email": email, "password": password}
    )
    assert answer.status_code == 200
    document: dict[str, str] = answer.json()
    return document


def test_two_hundred_users(server: Running) -> None:
    """Two hundred users are made, fifty of each role; each logs in with its own password, as the
    user that was made.
    """
    accounts = make_users(target_of(server), 200)

    assert Counter(account.role for account in accounts) == dict.fromkeys(ROLES, 50)
    assert (
        len({account.email for account in accounts})
        == len({account.password for account in accounts})
        == 200
    )
    for account in accounts[::37]:
        grant = log_in(server, account.email, account.password)
        assert (grant["user"], grant["scope"]) == (account.user, account.role)


def test_a_target_may_make_users_elsewhere(server: Running) -> None:
    """The target file's own path and body are used."""
    more = (
        '\n[operations.create-user]\npath = "/v2/users?x={name}"\nbody = { email = "{email}", '
        'password = "{password}", givenName = "{name}", nickname = "x" }\n'
    )

    (account,) = make_users(target_of(server, more), 1)

    assert server.server.resources.stored("users", account.user)["nickname"] == "x"


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (response(302, location=f"https://x.example/{SECRET}?a=b"), Unreachable, f"/{HIDDEN}\\)"),
        (response(200, b"<p>", content_type="text/html"), Unreachable, "200 with a web page"),
        (
            response(403, f"<title>{SECRET}</title>".encode(), content_type="text/html"),
            UsageError,
            f"the answer is a web page \\({HIDDEN}\\)",
        ),
    ],
    ids=["a redirect", "a page", "a firewall"],
)
def test_who_answers_before_the_api(answer: bytes, error: type[Exception], says: str) -> None:
    """A redirect, or a page for a browser, is told as by `certify`; no password is repeated."""
    with Miniature(always(answer)) as server:
        target = parse_target(target_text(server.url), ROLES, source="tests")
        with pytest.raises(error, match=says):
            make_users(target, 1)


def test_a_target_that_makes_no_users(server: Running) -> None:
    """Where users are made elsewhere or not at all, or the admin cannot log in, it is said; no
    password is repeated.
    """
    target = target_of(server)
    with pytest.raises(NoUsers, match="POST /v2/nowhere was answered 404"):
        make_users(target_of(server, '\n[operations.create-user]\npath = "/v2/nowhere"\n'), 1)
    server.server.store.set_password(server.accounts["admin"].id, "2$00$00")
    with pytest.raises(UsageError, match=r"\[accounts\.admin\].* is refused \(401\)") as raised:
        make_users(target, 1)
    assert target.accounts["admin"].password not in str(raised.value)


def test_a_target_that_is_not_there() -> None:
    """An address without a server is one sentence."""
    with running(Settings(scrypt_n=QUICK)) as one:
        target = target_of(one)

    with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        make_users(target, 1)


def test_whether_sessions_live_side_by_side(server: Running) -> None:
    """A server that leaves sessions alone is told from one where a log-in ends the others."""
    assert sessions_coexist(target_of(server))

    login = server.server.tokens.login

    @instead_of(server.server.tokens.login)
    async def ends_others(body: Any) -> Any:
        account = server.server.tokens.account(body["email"])
        assert account is not None
        server.server.store.forget_refresh_tokens(account.id)
        return await login(body)

    assert not sessions_coexist(target_of(server))


@pytest.mark.parametrize("kind", ["files", "ports", "memory"])
def test_what_this_machine_lacks_is_said(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no connection can be opened before the load, for want of a file, a port or memory, that
    is said with what helps, and not that the server did not answer.
    """

    def lacking(*_: Any) -> Any:
        raise Failure(kind, "none left")

    monkeypatch.setattr(WireConnection, "exchange", lacking)
    with pytest.raises(NoUsers, match=f"^the generator was out of {kind}: "):
        sessions_coexist(parse_target(target_text("http://127.0.0.1:9"), ROLES, source="tests"))


def test_a_server_that_closes_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a connection is closed a moment after its answer, and unsaid (RFC 9112 9.5), no request
    is lost: each has a connection of its own.
    """
    monkeypatch.setattr(provisioning, "_PAUSE", 0.0)

    def closing(request: Received, connection: Connection) -> None:
        connection.send(json_response({"token": "a.b.c", "refreshToken": "d"}))
        connection.wait(0.1)
        connection.cut()

    with Miniature(closing) as server:
        assert sessions_coexist(parse_target(target_text(server.url), ROLES, source="tests"))
    assert len(server.received) == 3


TOKENS = always(json_response({"token": "a.b.c", "refreshToken": "d"}))
GRANTED, REFUSED = TOKENS, always(response(401))
#: What says nothing of whether sessions coexist.
TROUBLE = {
    "429": always(response(429, retry_after="0")),
    "503": always(response(503)),
    "302": always(response(302, location="http://127.0.0.1:9/")),
    "reset": miniatures.reset,
    "closed": miniatures.cut_short,
    "silence": miniatures.silent,
    "garbage": always(b"garbage\r\n\r\n"),
    "bomb": always(response(200, gzip.compress(bytes(50_000_000)), content_encoding="gzip")),
    "br": always(response(200, b"x", content_encoding="br")),
}


def asked(refresh: Answer, log_in: Answer = TOKENS) -> tuple[bool | None, list[str]]:
    """Whether sessions coexist on a server that answers log-ins and refreshes in these ways; and
    what it was asked.
    """

    def answer(request: Received, connection: Connection) -> None:
        (refresh if "refreshToken" in json.loads(request.body) else log_in)(request, connection)

    with Miniature(answer) as server:
        found = sessions_coexist(
            parse_target(
                target_text(server.url, under_target="timeout = 1.0"), ROLES, source="tests"
            )
        )
        return found, [
            "refresh" if b"refreshToken" in received.body else "log-in"
            for received in server.received
        ]


@pytest.fixture(name="_at_once")
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before the same is asked again, whoever asks for one."""
    monkeypatch.setattr(provisioning, "_PAUSE", 0.0)
    monkeypatch.setattr(provisioning, "_LONGEST_PAUSE", 0.0)


@pytest.mark.usefixtures("_at_once")
class TestWhatSaysNothing:
    """A server that is not up to it just now says nothing of its sessions, and never breaks the
    command.
    """

    @pytest.mark.parametrize("name", TROUBLE)
    def test_a_refresh_is_asked_for_again(self, name: str) -> None:
        """With a session of its own; the first answer that decides does."""
        for decides, expected in ((GRANTED, True), (REFUSED, False)):
            found, requests = asked(in_turn(TROUBLE[name], TROUBLE[name], decides))

            assert (found, requests) == (expected, ["log-in", "log-in", "refresh"] * 3)

    @pytest.mark.parametrize("name", TROUBLE)
    def test_a_refresh_that_never_decides(self, name: str) -> None:
        """It is not known, which is neither yes nor no."""
        assert asked(TROUBLE[name]) == (None, ["log-in", "log-in", "refresh"] * 3)

    @pytest.mark.parametrize("name", ["429", "503", "reset", "garbage"])
    def test_a_log_in_is_tried_again(self, name: str) -> None:
        """One that is not answered now may be later; where it never is, that is said."""
        assert asked(GRANTED, in_turn(TROUBLE[name], TOKENS))[0] is True
        with pytest.raises(NoUsers, match=r"was (not )?answered"):
            asked(GRANTED, TROUBLE[name])

    def test_a_log_in_that_is_refused(self) -> None:
        """It is not tried again: that locks accounts."""
        received: list[bytes] = []

        def refuse(request: Received, connection: Connection) -> None:
            received.append(request.body)
            connection.send(response(401))

        with pytest.raises(UsageError, match=r"is refused \(401\)"):
            asked(GRANTED, refuse)
        assert len(received) == 1


def test_no_proxy_of_the_environment(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies is not for a target's passwords: none is asked, and none
    breaks the command.
    """
    with Miniature(always(response(502))) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert sessions_coexist(target_of(server))
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
        assert len(make_users(target_of(server), 1)) == 1

    assert proxy.received == []


@pytest.mark.long
def test_a_run_says_what_is_not_known(tmp_path: Path) -> None:
    """After a refresh that is reset, the run takes the careful reading, says so, and goes on."""

    def answer(request: Received, connection: Connection) -> None:
        (miniatures.reset if b"refreshToken" in request.body else sound)(request, connection)

    with Miniature(answer) as server:
        run = load(
            "issuance",
            target_file(tmp_path, target_text(server.url)),
            "--rate",
            "20",
            "--duration",
            "1s",
            cwd=tmp_path,
        )

    assert run.came_to(0), run.said
    assert "whether a log-in ends the user's other sessions is not known" in run.stderr
