"""The way to a target on real sockets: a proxy's tunnel, and certificates of both sides.

The suite and load have clients of their own: each is asked.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from rolecall.errors import Unreachable, UsageError
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.transport.outgoing import Origin, request
from rolecall.target import parse_target
from rolecall.transit import NoTunnel, Proxy, Transit
from tests.support.certificates import Certificates
from tests.support.clients import get
from tests.support.command import ROLES, rolecall, target_text
from tests.support.miniatures import Miniature, always, json_response, nobody
from tests.support.proxies import tunnelling
from tests.support.servers import certify, serving, target

OK = always(json_response({"fine": True}))
PASSWORD = "Zp7-the-password-of-the-proxy"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA of our own, and a certificate of this machine and its key in one file."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


def of_suite(url: str, transit: Transit) -> int:
    """The status of a request by the suite's client."""
    return get(
        url,
        verify_tls=transit.verify,
        client_cert=transit.certificate,
        client_key=transit.key,
        proxy=transit.proxy,
    ).status


def of_load(url: str, transit: Transit) -> int:
    """The status of a request by load's client."""
    origin = Origin.of(url)
    connection = WireConnection(origin, timeout=5, verify=transit)
    try:
        connection.exchange(request(origin, "GET", "/v2/users"))
        return connection.exchange(request(origin, "GET", "/v2/users")).status
    finally:
        connection.close()


CLIENTS = pytest.mark.parametrize("ask", [of_suite, of_load])
Ask = Callable[[str, Transit], int]


# --- A proxy -----------------------------------------------------------------------------------


@CLIENTS
def test_a_proxy_that_is_not_there_is_named(ask: Ask) -> None:
    """That nobody answers is the proxy's fault, and not the target's."""
    with Miniature(OK) as server, nobody() as url:
        way = Proxy.of(url, "")
        with pytest.raises((Unreachable, Failure)) as caught:
            ask(server.url, Transit(proxy=way))

    assert f"the proxy {url.partition('://')[2]}" in str(caught.value)
    assert server.connections == 0


@CLIENTS
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_through_a_tunnel(secure: bool, ask: Ask, certificates: Certificates) -> None:
    """The target is reached through the proxy's tunnel, and sees the request as it was written; of
    the proxy's credentials it sees nothing.
    """
    tls = certificates.server_context if secure else None
    with Miniature(OK, tls=tls) as server, tunnelling() as proxy:
        way = Proxy.of(f"http://me:a%40b@{proxy.address}", "")

        assert ask(server.url, Transit(str(certificates.ca), proxy=way)) == 200

    host = server.url.partition("://")[2]
    (head,) = proxy.heads
    basic = base64.b64encode(b"me:a@b").decode()
    assert head.startswith(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n")
    assert f"Proxy-Authorization: Basic {basic}\r\n" in head
    assert server.received[0].path == "/v2/users"
    assert server.received[0].headers["host"] == host
    assert "proxy-authorization" not in server.received[0].headers


@CLIENTS
def test_ipv6_through_a_tunnel(ask: Ask) -> None:
    """An IPv6 address is written in brackets to the proxy and to the target."""
    with Miniature(OK, host="::1") as server, tunnelling() as proxy:
        assert ask(server.url, Transit(proxy=Proxy.of(f"http://{proxy.address}", ""))) == 200

    assert proxy.heads[0].startswith("CONNECT [::1]:")
    assert server.received[0].headers["host"].startswith("[::1]:")


@CLIENTS
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 (user or password"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nno", "opens no tunnel: 403"),
        (b"SSH-2.0-OpenSSH\r\n", "does not answer as a proxy does"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n", "before the target was asked"),
        (b"HTTP/1.1 200 OK\r\nX: ", "closed the connection"),
    ],
    ids=["407", "403", "ssh", "too-much", "cut"],
)
def test_a_proxy_that_opens_no_tunnel(answer: bytes, why: str, ask: Ask) -> None:
    """What a proxy refuses is the proxy's doing, and said as that; the target gets nothing, and the
    password is not repeated.
    """
    with Miniature(OK) as server, tunnelling(answer) as proxy:
        way = Proxy.of(f"http://me:{PASSWORD}@{proxy.address}", "")

        with pytest.raises((Unreachable, Failure)) as error:
            ask(server.url, Transit(proxy=way))

    assert f"the proxy {proxy.address}" in str(error.value)
    assert why in str(error.value)
    assert PASSWORD not in str(error.value)
    assert not server.received


@pytest.mark.parametrize(
    "url",
    [
        f"me:{PASSWORD}@host:1",
        f"socks5://me:{PASSWORD}@host:1",
        f"https://me:{PASSWORD}@host:1",
        f"http://me:{PASSWORD}@host:99999",
        f"http://me:{PASSWORD}@",
        f"http://me:{PASSWORD}@host/path",
        f"http://{PASSWORD}/me@host",
        PASSWORD,
    ],
)
def test_what_is_no_proxy(url: str) -> None:
    """What is not the URL of a proxy is a mistake, which does not repeat the password."""
    with pytest.raises(UsageError, match="not the URL of a proxy") as error:
        Proxy.of(url, "staging.toml, [target] proxy")

    assert PASSWORD not in str(error.value)
    assert PASSWORD not in repr(Proxy.of(f"http://me:{PASSWORD}@host:1", ""))


def test_an_answer_comes_in_pieces() -> None:
    """A proxy's answer is waited for to its end, and not for ever."""
    proxy, answer = Proxy("host", 1), b"HTTP/1.0 200 yes\r\nA: b\r\n\r\n"

    assert [proxy.answered(answer[:end]) for end in range(len(answer))] == [False] * len(answer)
    assert proxy.answered(answer)
    with pytest.raises(NoTunnel):
        proxy.answered(b"HTTP/1.1 200" + b"x" * 70_000)


def test_both_commands_go_by_the_target_files_proxy(tmp_path: Path) -> None:
    """Certify and load reach the target through the proxy of the target file alone, though the
    environment names another; its password is in no file of theirs.
    """
    with serving("--scrypt-n", "2") as served, tunnelling() as proxy, tunnelling() as other:
        file = target(
            tmp_path, served.text.replace("[target]\n", '[target]\nproxy_env = "THE_PROXY"\n')
        )
        elsewhere = dict.fromkeys(
            ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), f"http://{other.address}"
        )
        env = {"THE_PROXY": f"http://me:{PASSWORD}@{proxy.address}", **elsewhere}

        certified = certify(file, "ISSUE-status", env=env)
        of_certify = len(proxy.heads)
        loaded = rolecall(
            "load",
            "issuance",
            file,
            "--rate",
            "5",
            "--duration",
            "1s",
            "--out",
            "load",
            cwd=tmp_path,
            env=env,
        )

    assert certified.code == 0, certified.said
    assert loaded.code in (0, 3), loaded.said  # 3: this machine is too slow for the rate
    assert 0 < of_certify < len(proxy.heads)
    assert other.heads == []
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5
    for path in written:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert PASSWORD not in text and basic not in text, path


# --- Certificates ------------------------------------------------------------------------------


@CLIENTS
def test_a_certificate_of_the_client(ask: Ask, certificates: Certificates) -> None:
    """A server that asks for the client's certificate gets that of the target file; without it no
    request is answered.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.server)
    tls.load_verify_locations(certificates.ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    own = str(certificates.server)  # any certificate of this CA will do
    with Miniature(OK, tls=tls) as server:
        assert ask(server.url, Transit(str(certificates.ca), own)) == 200
        assert ask(server.url, Transit(str(certificates.ca), own, own)) == 200
        answered = len(server.received)

        with pytest.raises((Unreachable, Failure)):
            ask(server.url, Transit(str(certificates.ca)))

    assert len(server.received) == answered


# --- What TLS says ------------------------------------------------------------------------------


@CLIENTS
def test_a_ca_that_is_not_known(ask: Ask, certificates: Certificates) -> None:
    """Who meets a certificate of a private CA is told the setting that names such a CA."""
    with (
        Miniature(OK, tls=certificates.server_context) as server,
        pytest.raises(
            (Unreachable, Failure), match=r"not trusted .*; a CA of your own is named by"
        ),
    ):
        ask(server.url, Transit())


def test_a_file_for_tls_keys_that_cannot_be_written(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong SSLKEYLOGFILE is named as such, and no CA bundle is said to be unreadable."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "nowhere" / "keys"))
    extra = f'verify_tls = "{certificates.ca}"'

    with pytest.raises(UsageError) as caught:
        parse_target(target_text("https://127.0.0.1:1", under_target=extra), ROLES, source="t.toml")

    assert caught.value.where == "SSLKEYLOGFILE"
    assert "nowhere/keys for TLS keys cannot be written: No such file" in caught.value.what
