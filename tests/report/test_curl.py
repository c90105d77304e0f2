"""The line to paste: it sends the same request, and no secret is in it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from rolecall.evidence import Exchange
from rolecall.redaction import Secrets
from rolecall.report import curl
from tests.support.exchanges import exchange
from tests.support.miniatures import Miniature, always, json_response

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJfaWQiOiIxIn0.c2lnbmF0dXJlLW9mLXRoZS1hZG1pbg"


def line(it: Exchange, *secrets: str) -> str:
    """The line of an exchange whose secrets are known."""
    known = Secrets()
    for value in secrets:
        known.add(value, "password")
    known.learn(it)
    return curl.command(it, known.redact)


class TestSecrets:
    """A line that is shown, logged and pasted into tickets."""

    @pytest.mark.parametrize("name", ["authorization", "Authorization"])
    @pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "Basic ", "Bearer  ", ""])
    def test_the_token_is_left_out(self, scheme: str, name: str) -> None:
        """Whatever the scheme, or without one, the token becomes $TOKEN."""
        text = line(exchange(request_headers={name: f"{scheme}{TOKEN}"}))

        assert TOKEN not in text
        assert TOKEN.rsplit(".", 1)[1] not in text
        assert "$TOKEN" in text

    @pytest.mark.parametrize(
        "password",
        [
            "it's-a-secret",
            'say "secret" twice',
            "back\\slash-secret",
            "$(rm -rf secret)",
            "plain-secret",
        ],
    )
    def test_a_password_is_left_out(self, password: str) -> None:
        """A password in the body is gone, also one that the quotes of a shell would tear apart."""
        import json

        text = line(
            exchange("POST", request_body=json.dumps({"password": password}).encode()), password
        )

        assert "secret" not in text
        assert "<password-1>" in text

    def test_a_refresh_token_is_left_out(self) -> None:
        """A refresh token in the query is gone."""
        text = line(
            exchange(url="http://target.example/v2/auth/token?refreshToken=the%27refresh%27token")
        )

        assert "the%27" not in text
        assert "refreshToken=<refresh-token-1>" in text


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize(
    "it",
    [
        pytest.param(
            exchange(
                "GET",
                "/v2/users?name=a%20b&limit=1",
                request_headers={"authorization": "Bearer {}"},
            ),
            id="read",
        ),
        pytest.param(
            exchange(
                "PATCH",
                "/v2/users/1",
                request_headers={
                    "Authorization": "bearer {}",
                    "content-type": "application/json",
                    "x-odd": "it's $HOME `here`",
                },
                request_body=b'{"name":"it\'s \\"quoted\\" $HOME"}',
            ),
            id="write",
        ),
        pytest.param(
            exchange("DELETE", "/v2/users/1", request_headers={"authorization": "{}"}),
            id="no scheme",
        ),
        pytest.param(
            exchange("GET", "/v2/auth/token?refreshToken[%24ne]=&x={a,b}[1-3]"),
            id="patterns of curl",
        ),
        pytest.param(exchange("GET", "/v2/users/./me/../../users"), id="dot segments"),
        pytest.param(
            exchange("POST", "/v2/auth/token", request_body=b"@/etc/hostname"),
            id="a body that names a file",
        ),
        pytest.param(
            exchange("GET", "/v2/users", request_headers={"x-empty": ""}), id="an empty header"
        ),
    ],
)
def test_it_sends_the_same_request(it: Exchange) -> None:
    """Pasted into a shell with TOKEN set, the line sends method, path, headers and body of the
    exchange.
    """
    with Miniature(always(json_response({}))) as server:
        headers = {name: value.replace("{}", TOKEN) for name, value in it.request_headers.items()}
        sent = exchange(
            it.method, server.url + it.url, request_headers=headers, request_body=it.request_body
        )
        subprocess.run(
            ["/bin/sh", "-c", f"{line(sent)} --silent --max-time 5 --noproxy '*'"],
            env={"TOKEN": TOKEN, "PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )

    (received,) = server.received
    assert (received.method, received.path, received.body) == (it.method, it.url, it.request_body)
    assert {
        name.lower(): value for name, value in headers.items()
    }.items() <= received.headers.items()


@pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None,
    reason="there is no curl or no bash here",
)
def test_a_body_of_several_lines_is_one_line() -> None:
    """A body with ends of lines, controls and signs of the shell stands in one line, which sends it
    as it was.
    """
    body = '--b\r\nname="it\'s"\r\n\r\n\\n $HOME `x` ü\x1b[2J\u202e\t\r\n--b--'.encode()
    with Miniature(always(json_response({}))) as server:
        text = line(exchange("POST", f"{server.url}/v2/auth/token", request_body=body))
        subprocess.run(
            ["bash", "-c", f"{text} --silent --max-time 5 --noproxy '*'"],
            check=True,
            capture_output=True,
        )

    (received,) = server.received
    assert text.isprintable()
    assert received.body == body
