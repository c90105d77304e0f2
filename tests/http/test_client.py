"""The client of the suite against real sockets: pace, patience, repetition, redirects, limits.

Longer than 400 lines because its tests share one miniature server and one client.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from rolecall.bounds import BODY_LIMIT
from rolecall.errors import Unreachable
from rolecall.evidence import Evidence, Exchange
from rolecall.http import pacing
from rolecall.http.client import Client
from rolecall.outcomes import NotTested, TransientFailure
from rolecall.redaction import Secrets
from rolecall.target import ExpiryOptions
from tests.support import miniatures
from tests.support.certificates import Certificates
from tests.support.clients import get, post, talk, target
from tests.support.gates import OpenGate, read_only
from tests.support.miniatures import (
    Connection,
    Miniature,
    Received,
    always,
    in_turn,
    json_response,
    response,
)
from tests.support.timelines import busiest

OK = always(json_response({"fine": True}))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA of our own and a certificate of this machine."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


class TestWhatIsSent:
    """The request on the wire is what the test wrote and nothing else."""

    def test_request_and_response_arrive_as_they_were_written(self) -> None:
        """Method, path, query, headers and body reach the server, and status, headers and body come
        back into the exchange.
        """
        with Miniature(always(json_response({"id": "1"}, 201, x_trace="abc"))) as server:
            exchange = talk(
                server.url,
                lambda client: client.send(
                    "POST",
                    "/v2/users?limit=1",
                    caller="admin",
                    token="abcdef",
                    json={"näme": "ü"},
                    attack="SOME-id",
                ),
            )

        (received,) = server.received
        assert (received.method, received.path) == ("POST", "/v2/users?limit=1")
        assert b'{"n\\u00e4me":"\\u00fc"}' == received.body
        assert received.headers["authorization"] == "Bearer abcdef"
        assert {
            "accept",
            "user-agent",
            "authorization",
            "content-type",
            "content-length",
            "host",
        } == set(received.headers)
        assert (exchange.status, exchange.json, exchange.header("X-Trace")) == (
            201,
            {"id": "1"},
            "abc",
        )
        assert exchange.finished > exchange.started

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize(
        "path", ["/v2/users", "/v2/auth/token", "/v2/auth/token?x=1", "/v2/auth/tokens"]
    )
    def test_read_only_is_kept_whatever_a_test_asks_for(self, method: str, path: str) -> None:
        """With --read-only nothing leaves that may write, except the POST of a log-in; reads are
        sent as ever.
        """

        async def conversation(it: Client) -> None:
            assert (await it.send("GET", path)).ok
            if method == "POST" and path in ("/v2/auth/token", "/v2/auth/token?x=1"):
                assert (await it.send(method, path, json={})).ok
            else:
                with pytest.raises(NotTested, match=f"--read-only: {method}"):
                    await it.send(method, path, json={})

        async def main(url: str) -> None:
            it = Client(target(url), Evidence(), Secrets(), read_only(url))
            await conversation(it)
            await it.close()

        with Miniature(OK) as server:
            asyncio.run(main(server.url))

        assert {request.method for request in server.received} <= {"GET", "POST"}

    def test_no_cookie_is_sent_back(self) -> None:
        """A session cookie does not authenticate the next caller: what a token may not do must not
        be done by a cookie.
        """
        with Miniature(
            always(json_response({}, set_cookie="session=of-the-admin; Path=/"))
        ) as server:

            async def twice(it: Client) -> None:
                await it.send("GET", "/v2/users")
                await it.send("GET", "/v2/users")

            talk(server.url, twice)

        assert len(server.received) == 2
        assert not any("cookie" in request.headers for request in server.received)

    def test_proxies_of_the_environment_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy in the environment does not get to see the tokens of a target."""
        with Miniature(OK) as proxy, Miniature(OK) as server:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            get(server.url)

        assert (len(server.received), proxy.connections) == (1, 0)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(self, status: int) -> None:
        """A redirect is the answer; nothing is sent to where it points."""
        with (
            Miniature(OK) as elsewhere,
            Miniature(miniatures.redirecting(status, elsewhere.url)) as server,
        ):
            answers = get(server.url), post(server.url)

        assert [status, status] == [answer.status for answer in answers]
        assert elsewhere.url in answers[0].header("location")
        assert (len(server.received), elsewhere.connections) == (2, 0)

    @pytest.mark.parametrize(
        "token", ["tökén-of-no-ascii", "token\ud800", "token with\nnewline", "token\x00zero"]
    )
    def test_a_token_that_no_header_can_hold(self, token: str) -> None:
        """A token of strange characters, as a faulty server may issue, is sent or troubles its own
        request, and breaks nothing.
        """
        with Miniature(OK) as server:

            async def conversation(it: Client) -> Exchange:
                try:
                    await it.send("GET", "/v2/users", token=token)
                except TransientFailure as trouble:
                    assert "cannot be sent as HTTP" in str(trouble)
                return await it.send("GET", "/v2/users", token="a good one")

            assert talk(server.url, conversation).ok

    @pytest.mark.parametrize(
        "path",
        [
            f"/v2/users/{'x' * 70_000}",
            f"/v2/users/{'x' * 1_000_000}",
            "/v2/users?" + "\u00fc" * 40_000,
        ],
    )
    def test_a_url_that_is_too_long(self, path: str) -> None:
        """An id or a link of any length, as a hostile server may give, is trouble of its request,
        in a sentence of bounded length.
        """
        with Miniature(OK) as server:

            async def conversation(client: Client) -> Exchange:
                for attempt in (
                    client.send("GET", path),
                    client.send_raw("GET", path, [], attack="SEC-A11"),
                ):
                    with pytest.raises(
                        TransientFailure, match=r"it was not sent: its URL has [0-9,]+ characters"
                    ) as caught:
                        await attempt
                    assert len(str(caught.value)) < 1000
                return await client.send("GET", "/v2/users")

            assert talk(server.url, conversation).ok

        assert [request.path for request in server.received] == ["/v2/users"]

    def test_a_url_that_is_none(self) -> None:
        """What the HTTP library does not take for a URL is trouble of its request, too, and no
        error of ours.
        """
        with Miniature(OK) as server:

            async def conversation(client: Client) -> None:
                with pytest.raises(TransientFailure, match="it was not sent"):
                    await client.send("GET", f"{server.url}:port/x")

            talk(server.url, conversation)

    @pytest.mark.parametrize("id", ["lone \ud800 half", "line\r\nbreak", "nül\x00", "100%"])
    def test_an_id_that_no_path_can_hold(self, id: str) -> None:
        """An id of strange characters, as a faulty server may give, is asked for in one piece and
        breaks nothing.
        """
        with Miniature(OK) as server:
            assert talk(server.url, lambda client: client.send("GET", f"/v2/users/{id}?limit=1")).ok

        assert re.fullmatch(r"/v2/users/[\w%.]+\?limit=1", server.received[0].path)


class TestWhatComesBack:
    """Every legal way to send a body is understood; every illegal one ends in time."""

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(response(200, b'{"a": 1}'), id="length"),
            pytest.param(
                response(
                    200,
                    b'5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n',
                    content_length="",
                    transfer_encoding="chunked",
                ),
                id="chunked",
            ),
            pytest.param(
                response(200, gzip.compress(b'{"a": 1}'), content_encoding="gzip"), id="gzip"
            ),
            pytest.param(
                b"HTTP/1.1 100 Continue\r\n\r\n" + response(200, b'{"a": 1}'), id="after 100"
            ),
        ],
    )
    def test_a_body_in_every_wrapping(self, data: bytes) -> None:
        """A body is read by length, chunks or coding, and the connection is used again."""
        with Miniature(always(data)) as server:

            async def twice(it: Client) -> list[Exchange]:
                return [await it.send("GET", "/v2/users") for _ in range(2)]

            answers = talk(server.url, twice)

        assert [answer.json for answer in answers] == [{"a": 1}, {"a": 1}]
        assert server.connections == 1

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param(b"X: a\r\n\t b\r\nContent-Length: 8", id="folded"),
            pytest.param(b"Content-Length: \r\n 8", id="folded length"),
            pytest.param(b"Content-Length: 8\r\ncontent-length: 8", id="twice"),
            pytest.param(b"Content-Length: 8, 8", id="twice in a field"),
        ],
    )
    @pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early\r\nLink: <a>\r\n ; b\r\n\r\n"])
    def test_a_head_of_old(self, fields: bytes, before: bytes) -> None:
        """Folded fields (RFC 9112 5.2) and one length that is said twice (RFC 9110 8.6) are read,
        in whatever pieces they come, and the connection is used again.
        """
        data = before + b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n" + b'{"a": 1}'

        def in_pieces(request: Received, connection: Connection) -> None:
            for at in range(0, len(data), 9):
                connection.send(data[at : at + 9])

        for answer in (always(data), in_pieces):
            with Miniature(answer) as server:

                async def twice(it: Client) -> list[Exchange]:
                    return [await it.send("GET", "/v2/users") for _ in range(2)]

                answers = talk(server.url, twice)

            assert [got.json for got in answers] == [{"a": 1}, {"a": 1}]
            assert server.connections == 1

    def test_two_lengths(self) -> None:
        """Two lengths that differ are not HTTP: nobody knows which one is meant."""
        with (
            Miniature(
                always(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 9\r\n\r\n")
            ) as server,
            pytest.raises(Unreachable, match="is not HTTP"),
        ):
            get(server.url)

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(
                response(
                    200,
                    b'8\r\n{"a": 1}\r\n0\r\ncontent-encoding: br\r\nx: y\r\n\r\n',
                    content_length="",
                    transfer_encoding="chunked",
                ),
                id="trailer fields",
            ),
            pytest.param(
                response(
                    200, gzip.compress(b'{"a"') + gzip.compress(b": 1}"), content_encoding="x-gzip"
                ),
                id="gzip of two members",
            ),
            pytest.param(
                response(200, b'{"a": 1}', content_length="", transfer_encoding="identity"),
                id="no chunks, to the end",
            ),
            pytest.param(
                response(
                    200, gzip.compress(b'{"a": 1}'), content_length="", transfer_encoding="gzip"
                ),
                id="gzip as transfer coding",
            ),
            pytest.param(response(200, b'{"a": 1}', content_encoding="identity, "), id="no coding"),
        ],
    )
    def test_a_body_in_a_rare_wrapping(self, data: bytes) -> None:
        """What HTTP allows besides is understood, too, and a trailer field is not a header field
        (RFC 9110 6.5.1, RFC 9112 6.3).
        """

        def answer(request: Received, connection: Connection) -> None:
            connection.send(data)
            connection.cut()

        with Miniature(answer) as server:
            exchange = get(server.url)

        assert exchange.json == {"a": 1}
        assert not exchange.header("x")

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (
                response(200, gzip.compress(b'{"a": 1}')[:-9], content_encoding="gzip"),
                "the compressed data is cut off",
            ),
            (
                response(200, b"whatever", content_encoding="br"),
                "the body is encoded with br, which is not read here",
            ),
            (
                response(200, b"whatever", content_encoding="gzip, deflate"),
                "the body is encoded more than once",
            ),
            (
                response(200, b"0\r\n\r\n", content_length="", transfer_encoding="chunked,"),
                "its Transfer-Encoding is written in a way",
            ),
        ],
        ids=["cut off", "br", "stacked", "an empty last element"],
    )
    def test_a_body_that_cannot_be_read(self, data: bytes, says: str) -> None:
        """A body that cannot be decoded to its end is trouble with a sentence, is asked for once,
        and leaves its head in the evidence.
        """
        with Miniature(in_turn(always(data), OK)) as server:

            async def conversation(client: Client) -> Exchange:
                with pytest.raises(
                    TransientFailure, match=f"{says}.* the answer had begun with status 200"
                ):
                    await client.send("GET", "/v2/users")
                return client._evidence.exchanges[0]

            exchange = talk(server.url, conversation)

        assert (exchange.status, exchange.begun, exchange.ok) == (0, 200, False)
        assert exchange.headers
        assert len(server.received) == 2  # the second asks whether anybody is there

    def test_http_1_0(self) -> None:
        """A server that ends every body by closing the connection is read to the end, again and
        again.
        """

        def old(request: Received, connection: Connection) -> None:
            connection.send(b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"a": ')
            connection.send(b"1}")
            connection.cut()

        with Miniature(old) as server:

            async def twice(it: Client) -> list[Exchange]:
                return [await it.send("GET", "/v2/users") for _ in range(2)]

            answers = talk(server.url, twice)

        assert [(answer.json, answer.http_version) for answer in answers] == [
            ({"a": 1}, "HTTP/1.0")
        ] * 2

    def test_no_content(self) -> None:
        """An answer without a body is complete."""
        with Miniature(always(response(204, content_length=""))) as server:
            answer = get(server.url)

        assert (answer.status, answer.body, answer.json, answer.document) == (204, b"", None, {})

    @pytest.mark.parametrize("method", ["DELETE", "PATCH", "GET"])
    def test_null(self, method: str) -> None:
        """The JSON text null is a whole answer, as some servers send when a thing is gone."""
        with Miniature(always(json_response(None))) as server:
            exchange = talk(
                server.url, lambda client: client.send(method, "/v2/users/1", repeatable=True)
            )

        assert (exchange.status, exchange.body, exchange.json) == (200, b"null", None)
        assert len(server.received) == 1

    def test_a_torn_body(self) -> None:
        """A success that says that it is JSON, and is not, says nothing."""
        torn = response(200, b'{"a": ', content_type="application/JSON")
        with (
            Miniature(always(torn)) as server,
            pytest.raises(TransientFailure, match="a body that is JSON"),
        ):
            get(server.url)

    def test_what_came_of_a_broken_answer(self) -> None:
        """Of an answer that breaks off the evidence has the status, the header fields and the body
        so far; its secrets are known.

        Half a secret is none: what it begins like stands in other texts, too, and must not be taken
        for it there.
        """

        def broken(request: Received, connection: Connection) -> None:
            body = b'{"token": "abcdefghijklmnop", "refreshToken": "qrstuvwxyz0123456789'
            connection.send(response(200, body, content_length="400", x_trace="abc"))
            connection.cut()

        with Miniature(in_turn(broken, OK)) as server:

            async def conversation(client: Client) -> tuple[Exchange, str]:
                with pytest.raises(TransientFailure):
                    await client.send("POST", "/v2/auth/token", json={})
                exchange = client._evidence.exchanges[0]
                assert not client.secrets.found_in("qrstuvwxyz0123456789")
                return exchange, client.secrets.redact(exchange.text)

            exchange, text = talk(server.url, conversation)

        assert (exchange.status, exchange.begun, exchange.header("x-trace")) == (0, 200, "abc")
        assert text == '{"token": "<token-1>", "refreshToken": '

    def test_what_came_within_the_time(self) -> None:
        """An answer that does not come to its end in time leaves its beginning as well."""
        with Miniature(in_turn(miniatures.endless, OK)) as server:

            async def conversation(client: Client) -> Exchange:
                with pytest.raises(TransientFailure, match="had begun with status 200"):
                    await client.send("GET", "/v2/users")
                return client._evidence.exchanges[0]

            exchange = talk(server.url, conversation, timeout=0.4)

        assert exchange.begun == 200
        assert exchange.body.startswith(b"[[")

    def test_a_body_larger_than_the_limit(self) -> None:
        """A body beyond the limit is given up and reported, and the rest takes no memory."""
        with Miniature(in_turn(miniatures.huge, OK)) as server:

            async def conversation(it: Client) -> Exchange:
                with pytest.raises(
                    TransientFailure,
                    match=f"-> the (body|answer) is larger than {BODY_LIMIT:,} bytes",
                ):
                    await it.send("POST", "/v2/users", json={})
                return await it.send("POST", "/v2/users", json={})

            assert talk(server.url, conversation).ok

    @pytest.mark.parametrize(
        "answer", [miniatures.endless, miniatures.silent], ids=["trickle", "silence"]
    )
    def test_an_answer_that_does_not_come_to_an_end(self, answer: miniatures.Answer) -> None:
        """The timeout is for the whole answer: a server that sends one byte now and then does not
        hold up the run.
        """
        with Miniature(in_turn(answer, OK)) as server:

            async def conversation(it: Client) -> Exchange:
                with pytest.raises(TransientFailure, match="no complete answer within"):
                    await it.send("GET", "/v2/users")
                return await it.send("GET", "/v2/users")

            before = time.monotonic()
            assert talk(server.url, conversation, timeout=0.4).ok

        assert time.monotonic() - before < 2

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"this is no HTTP\r\n\r\n", id="no HTTP"),
            pytest.param(
                response(200, b"\x1f\x8b not gzip", content_encoding="gzip"), id="no gzip"
            ),
            pytest.param(
                b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40000 + b"\r\n", id="endless header"
            ),
            pytest.param(
                response(200, b"zz\r\n", content_length="", transfer_encoding="chunked"),
                id="no chunks",
            ),
        ],
    )
    def test_an_answer_that_is_none(self, data: bytes) -> None:
        """Bytes that are no HTTP are trouble with a sentence, not an exception of a library."""
        with (
            Miniature(in_turn(always(data), OK)) as server,
            pytest.raises(
                TransientFailure,
                match=r"POST /v2/users as nobody -> the (answer|body|header fields)",
            ),
        ):
            talk(server.url, lambda client: client.send("POST", "/v2/users", json={}))

    @pytest.mark.parametrize(
        "extra",
        [json_response({"id": "of somebody else"}), b"garbage", b"\r\n\r\nHTTP/1.1 200"],
        ids=["answer", "garbage", "half"],
    )
    @pytest.mark.parametrize("together", [True, False])
    def test_more_than_one_answer(self, extra: bytes, together: bool) -> None:
        """What a server sends beyond its answer is not taken for an answer, and the connection is
        not used again.
        """
        said = threading.Semaphore(0)

        def chatty(request: Received, connection: Connection) -> None:
            answer = json_response({"path": request.path})
            if together:
                connection.send(answer + extra)
            else:
                connection.send(answer)
                connection.wait(0.02)
                connection.send(extra)
            said.release()

        with Miniature(chatty) as server:

            async def conversation(it: Client) -> list[Exchange]:
                answers = []
                for number in range(3):
                    answers.append(await it.send("GET", f"/v2/users/{number}"))
                    await asyncio.to_thread(said.acquire, timeout=60)
                return answers

            answers = talk(server.url, conversation)

        assert [answer.json for answer in answers] == [
            {"path": f"/v2/users/{number}"} for number in range(3)
        ]
        assert server.connections == 3

    @pytest.mark.parametrize("status", [204, 304])
    @pytest.mark.parametrize(
        "fields",
        [{}, {"content_length": "12"}, {"transfer_encoding": "chunked"}],
        ids=["unannounced", "with a length", "in chunks"],
    )
    @pytest.mark.parametrize("delay", [0.0, 0.03])
    def test_a_body_behind_no_content(
        self, status: int, fields: dict[str, str], delay: float
    ) -> None:
        """A body that comes with a 204 or 304, or a moment later, belongs to no answer: it spoils
        no request after it (RFC 9112 6.3).
        """
        # Longer than 40 lines because a server, its run and what came of it stand together.
        late = threading.Event()

        def answer(request: Received, connection: Connection) -> None:
            if request.method == "POST":
                connection.send(json_response({"id": request.path}, 201))
                return
            connection.send(response(status, b"", **({"content_length": ""} | fields)))
            if "content_length" not in fields and "transfer_encoding" not in fields:
                late.wait(1)  # until the next request has been written
            connection.wait(delay)
            connection.send(
                b"c\r\nnobody's HT\r\n0\r\n\r\n"
                if "transfer_encoding" in fields
                else b"nobody's HTT"
            )

        with Miniature(answer) as server:

            async def conversation(client: Client) -> list[Exchange]:
                answers = []
                for number in range(4):
                    late.clear()
                    await client.send("DELETE", f"/v2/users/{number}")
                    sending = asyncio.create_task(
                        client.send("POST", f"/v2/users/{number}", json={})
                    )
                    await asyncio.sleep(0.01)
                    late.set()
                    answers.append(await sending)
                return answers

            answers = talk(server.url, conversation)

        assert [exchange.json for exchange in answers] == [
            {"id": f"/v2/users/{number}"} for number in range(4)
        ]
        assert [request.method for request in server.received] == [
            "DELETE",
            "POST",
        ] * 4  # and each of them once

    @pytest.mark.parametrize(
        "begin",
        [
            b"HTTP/1.1 200 OK\r\nX-Long: ",
            b"HTTP/1.1 200 ",
            response(200, content_length="", transfer_encoding="chunked") + b"1;x=",
        ],
    )
    def test_a_line_without_end(self, begin: bytes) -> None:
        """A header, a reason or a chunk's extension that does not end is given up long before the
        timeout, and fills no memory.
        """

        def flood(request: Received, connection: Connection) -> None:
            connection.send(begin)
            while connection.wait(0):
                connection.send(b"x" * 65536)

        with Miniature(in_turn(flood, OK)) as server:
            before = time.monotonic()
            with pytest.raises(TransientFailure, match=r"longer|larger"):
                post(server.url, timeout=30.0)

        assert time.monotonic() - before < 5

    def test_a_small_body_that_unfolds(self) -> None:
        """A compressed body is measured by what it unfolds to."""
        bomb = gzip.compress(bytes(64 * 1024 * 1024))
        with (
            Miniature(in_turn(always(response(200, bomb, content_encoding="gzip")), OK)) as server,
            pytest.raises(TransientFailure, match="larger than"),
        ):
            post(server.url)

    def test_ipv6(self) -> None:
        """An IPv6 address in the target file is connected to, and named in the Host header as RFC
        3986 writes it.
        """
        with Miniature(OK, host="::1") as server:
            assert get(server.url).ok

        assert server.received[0].headers["host"] == server.url.removeprefix("http://")


class TestPace:
    """The target file's rate limit is kept, and what the target asks for on top of it."""

    def test_the_rate_limit_is_kept(self) -> None:
        """However many requests wait, they arrive no faster than the target file allows."""
        with Miniature(OK) as server:

            async def many(it: Client) -> None:
                await asyncio.gather(
                    *(it.send("GET", f"/v2/users?{number}") for number in range(45))
                )

            talk(server.url, many, rate_limit=30.0, concurrency=8)

        moments = [request.at for request in server.received]
        assert len(moments) == 45
        assert 44 / 30 - 0.05 <= moments[-1] - moments[0] <= 3 * 44 / 30
        assert busiest(moments) <= 30

    def test_no_more_in_flight_than_allowed(self) -> None:
        """Never more requests wait for an answer than the target file's concurrency says."""
        now, most, lock = 0, 0, threading.Lock()

        def slow(request: Received, connection: Connection) -> None:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            connection.wait(0.05)
            with lock:
                now -= 1
            OK(request, connection)

        with Miniature(slow) as server:

            async def many(it: Client) -> None:
                await asyncio.gather(*(it.send("GET", "/v2/users") for _ in range(20)))

            talk(server.url, many, concurrency=3)

        assert most == 3

    @pytest.mark.parametrize(
        "how", ["seconds", "date", "date on a clock that was moved", "nothing"]
    )
    def test_429_is_waited_for(self, how: str) -> None:
        """After a 429 nothing is sent until Retry-After has passed, in seconds or as a date, and
        then the request is sent again.
        """
        until = 0.0

        def throttle(request: Received, connection: Connection) -> None:
            nonlocal until
            now = time.time() + (86400 if "moved" in how else 0)
            whole = int(now + 1)  # a date has no fractions
            until = time.monotonic() + (whole - now if "date" in how else 1.0)
            retry_after = {"seconds": "1", "nothing": ""}.get(how, formatdate(whole, usegmt=True))
            connection.send(
                response(
                    429,
                    retry_after=retry_after,
                    date=formatdate(now, usegmt=True) if "moved" in how else "",
                )
            )

        with Miniature(in_turn(throttle, OK)) as server:
            exchange = post(server.url)

        assert (exchange.status, exchange.attempts) == (200, 2)
        first, second = server.received
        assert first.body == second.body
        # The Date header has whole seconds, too: by a clock that was moved one may wait up to a
        # second longer.
        assert until - 0.05 <= second.at <= until + 1.3

    def test_429_makes_everybody_wait(self) -> None:
        """While one request has been told to wait, the others do not go on trying."""
        with Miniature(in_turn(*[OK] * 20, always(response(429, retry_after="1")), OK)) as server:

            async def conversation(it: Client) -> None:
                await asyncio.gather(*(it.send("GET", "/v2/users") for _ in range(20)))
                first = asyncio.create_task(it.send("GET", "/v2/users?first"))
                await asyncio.sleep(0.2)
                await asyncio.gather(first, *(it.send("GET", "/v2/users") for _ in range(3)))

            talk(server.url, conversation)

        first, *others = (request.at for request in server.received[20:])
        assert len(others) == 4
        assert min(others) - first >= 0.95

    def test_the_rate_that_is_let_through_is_found(self) -> None:
        """A target that lets forty a second through is asked about that often, whatever the target
        file allows.
        """
        lock, allowed = threading.Lock(), 40.0
        tokens, filled, refused = allowed, time.monotonic(), 0

        def bucket(request: Received, connection: Connection) -> None:
            nonlocal tokens, filled, refused
            with lock:
                now = time.monotonic()
                tokens, filled = min(allowed, tokens + allowed * (now - filled)) - 1, now
                let_through = tokens >= 0
                tokens, refused = max(tokens, 0.0), refused + (not let_through)
            connection.send(json_response({}) if let_through else response(429, retry_after="0.5"))

        with Miniature(bucket) as server:

            async def many(it: Client) -> None:
                await asyncio.gather(*(it.send("GET", "/v2/users") for _ in range(120)))

            before = time.monotonic()
            talk(server.url, many)

        # the bucket was full
        assert time.monotonic() - before < 2 * (120 - allowed) / allowed + 1.5
        assert refused < 30

    def test_a_slow_limit_is_not_raised_by_a_429(self) -> None:
        """Slowing down never means to go faster than the target file allows."""
        with Miniature(in_turn(always(response(429, retry_after="0")), OK)) as server:

            async def conversation(it: Client) -> None:
                await asyncio.gather(*(it.send("GET", "/v2/users") for _ in range(2)))

            talk(server.url, conversation, rate_limit=2.0)

        moments = [request.at for request in server.received]
        assert len(moments) == 3
        # a busy machine wakes up late
        assert min(b - a for a, b in itertools.pairwise(moments)) >= 0.35

    def test_one_that_is_always_throttled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A request that is never let through is trouble that names the rate limit, while others
        are, and is not sent for ever.
        """
        monkeypatch.setattr(pacing, "_PATIENCE", 0.0)

        def answer(request: Received, connection: Connection) -> None:
            (always(response(429, retry_after="0")) if request.method == "POST" else OK)(
                request, connection
            )

        with Miniature(answer) as server:

            async def conversation(it: Client) -> str:
                others = asyncio.gather(*(it.send("GET", "/v2/users") for _ in range(40)))
                with pytest.raises(TransientFailure, match="throttled 8 times") as caught:
                    await it.send("POST", "/v2/users", json={})
                await others
                return caught.value.look_at

            assert "rate_limit" in talk(server.url, conversation, rate_limit=40.0)

        assert [request.method for request in server.received].count("POST") == 8

    @pytest.mark.parametrize("retry_after", ["0", "3600"])
    def test_a_target_that_only_throttles(
        self, retry_after: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A target that lets nothing through any more, or asks for an hour's patience, is given up;
        nobody waits a night for it.
        """
        monkeypatch.setattr(pacing, "_PATIENCE", 0.0)
        with Miniature(
            in_turn(*[OK] * 30, always(response(429, retry_after=retry_after)))
        ) as server:

            async def conversation(it: Client) -> None:
                await asyncio.gather(*(it.send("GET", "/v2/users") for _ in range(30)))
                for _ in range(5):
                    with pytest.raises(Unreachable, match="nothing but 429"):
                        await it.send("POST", "/v2/users", json={})

            before = time.monotonic()
            talk(server.url, conversation)

        assert len(server.received) == {"0": 39, "3600": 32}[retry_after]
        assert time.monotonic() - before < 5


class TestSendingAgain:
    """Only what is safe to repeat is repeated."""

    @pytest.mark.parametrize("status", [408, 421, 425, 502, 503, 504])
    def test_a_read_is_tried_again(self, status: int) -> None:
        """A GET that met a server in trouble is sent again, and the good answer counts."""
        with Miniature(in_turn(always(response(status)), always(response(status)), OK)) as server:
            exchange = get(server.url)

        assert (exchange.status, exchange.attempts, len(server.received)) == (200, 3, 3)

    @pytest.mark.parametrize("status", [421, 425])
    def test_what_was_sent_back_is_sent_again(self, status: int) -> None:
        """A POST that was not done, as the status says, is sent again."""
        with Miniature(in_turn(always(response(status)), OK)) as server:
            assert post(server.url).status == 200

        assert len(server.received) == 2

    def test_a_create_that_timed_out_is_not_tried_again(self) -> None:
        """A POST that met a 408 of some gateway may have been carried out: it says nothing."""
        with (
            Miniature(in_turn(always(response(408)), OK)) as server,
            pytest.raises(TransientFailure, match="408"),
        ):
            post(server.url)

        assert len(server.received) == 1

    def test_500_is_an_answer(self) -> None:
        """A 500 says something of the server, and is not asked away."""
        with Miniature(in_turn(always(response(500)), OK)) as server:
            assert get(server.url).status == 500

    def test_trouble_that_stays_is_trouble(self) -> None:
        """A GET that is answered 503 every time is given up after a few tries at the target's rate;
        it says nothing.
        """
        with (
            Miniature(always(response(503))) as server,
            pytest.raises(TransientFailure, match="503"),
        ):
            get(server.url, rate_limit=4.0)

        assert len(server.received) == 4
        moments = [request.at for request in server.received]
        assert moments[-1] - moments[0] >= 0.7

    def test_503_asks_for_patience(self) -> None:
        """Retry-After is kept with a 503 as well."""
        with Miniature(in_turn(always(response(503, retry_after="1")), OK)) as server:
            assert get(server.url).ok

        assert server.received[1].at - server.received[0].at >= 0.95

    def test_times_are_those_of_the_last_try(self) -> None:
        """How long an answer took is counted from the request that was answered: patience that was
        asked for is nobody's slowness.
        """
        before = time.time()
        with Miniature(
            in_turn(
                always(response(503, retry_after="1")), always(response(429, retry_after="1")), OK
            )
        ) as server:
            exchange = get(server.url)

        assert exchange.attempts == 3
        assert exchange.finished - exchange.started < 0.9
        assert exchange.at - before > 1.9

    def test_a_create_is_not_tried_again(self) -> None:
        """A POST that met a 503 may have been carried out: it is not sent twice."""
        with (
            Miniature(in_turn(always(response(503)), OK)) as server,
            pytest.raises(TransientFailure, match="503"),
        ):
            post(server.url)

        assert len(server.received) == 1

    @pytest.mark.parametrize(
        "answer",
        [miniatures.reset, miniatures.cut_short, lambda request, connection: connection.cut()],
    )
    def test_a_broken_connection(self, answer: miniatures.Answer) -> None:
        """A connection that breaks under a GET is tried again; under a POST it is trouble, and
        nothing is sent a second time.
        """
        with Miniature(in_turn(answer, OK)) as server:
            assert get(server.url).ok
        assert len(server.received) == 2

        with Miniature(in_turn(answer, OK)) as server, pytest.raises(TransientFailure):
            post(server.url)
        # the GET asks whether anybody is there
        assert [request.method for request in server.received] == ["POST", "GET"]
        assert "authorization" not in server.received[1].headers

    def test_a_post_that_is_harmless(self) -> None:
        """A POST that its test declares repeatable, such as a login, is sent again."""
        with Miniature(in_turn(miniatures.reset, always(response(503)), OK)) as server:
            assert talk(
                server.url,
                lambda client: client.send("POST", "/v2/auth/token", json={}, repeatable=True),
            ).ok

        assert len(server.received) == 3

    def test_a_get_that_is_not(self) -> None:
        """A GET that uses something up, such as a refresh, is not sent again."""
        with Miniature(in_turn(miniatures.reset, OK)) as server, pytest.raises(TransientFailure):
            talk(
                server.url,
                lambda client: client.send(
                    "GET", "/v2/auth/token?refreshToken=used-up", repeatable=False
                ),
            )

        assert [request.path for request in server.received] == [
            "/v2/auth/token?refreshToken=used-up",
            "/v2/auth/token",
        ]

    def test_an_idle_connection_that_was_closed(self) -> None:
        """A POST on a kept connection that the server has closed meanwhile gets a new one, and
        arrives once.
        """

        def closing(request: Received, connection: Connection) -> None:
            OK(request, connection)
            connection.cut()

        with Miniature(closing) as server:

            async def conversation(it: Client) -> list[bool]:
                answers = []
                for _ in range(3):
                    answers.append((await it.send("POST", "/v2/users", json={})).ok)
                    await asyncio.sleep(0.05)
                return answers

            assert talk(server.url, conversation) == [True] * 3

        assert 3 == len(server.received) == server.connections


class TestDead:
    """A target that is gone is told from one that fails, soon and once."""

    @pytest.fixture(params=["nobody listens", "silence", "broken"])
    def dead(self, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
        """The URL of a target that is dead in its own way, and what is said of it."""
        if request.param == "nobody listens":
            with miniatures.nobody() as url:
                yield url, "cannot be reached: no server listens there"
        else:
            answer = {"silence": miniatures.silent, "broken": miniatures.reset}[request.param]
            with Miniature(answer) as server:
                yield server.url, "gives no usable answer: "

    def test_it_is_told_soon_and_for_all(self, dead: tuple[str, str]) -> None:
        """The first request finds out within seconds; every later one says so at once, without
        another try.
        """
        url, what = dead

        async def conversation(it: Client) -> None:
            before = time.monotonic()
            with pytest.raises(Unreachable) as caught:
                await it.send("GET", "/v2/users")
            assert f"{url} {what}" in str(caught.value)
            assert time.monotonic() - before < 2.5

            before = time.monotonic()
            for _ in range(200):
                with pytest.raises(Unreachable):
                    await it.send("GET", "/v2/users")
            assert time.monotonic() - before < 0.5

        talk(url, conversation, timeout=0.5)

    def test_its_error_does_not_grow(self) -> None:
        """Each refusal to go on is an error of its own: a thousand of them do not make one with a
        thousand frames.
        """

        async def conversation(it: Client) -> int:
            for _ in range(50):
                try:
                    await it.send("GET", "/v2/users")
                except Unreachable as error:
                    frames, trace = 0, error.__traceback__
                    while trace:
                        frames, trace = frames + 1, trace.tb_next
            return frames

        with miniatures.nobody() as url:
            assert talk(url, conversation) < 10

    def test_one_slow_request_kills_nobody(self) -> None:
        """A request without an answer fails alone while the target answers others."""

        def answer(request: Received, connection: Connection) -> None:
            (miniatures.silent if "slow" in request.path else OK)(request, connection)

        with Miniature(answer) as server:

            async def conversation(it: Client) -> Exchange:
                slow = asyncio.create_task(it.send("GET", "/v2/users?slow"))
                await asyncio.gather(*(it.send("GET", "/v2/users") for _ in range(3)))
                with pytest.raises(TransientFailure):
                    await slow
                with pytest.raises(TransientFailure):  # alone, too
                    await it.send("POST", "/v2/users?slow")
                return await it.send("GET", "/v2/users")

            assert talk(server.url, conversation, timeout=0.5).ok

    def test_the_question_whether_anybody_is_there(self) -> None:
        """It is one for all who failed together, a read that was answered before, sent in turn and
        recorded as every request is.
        """

        def answer(request: Received, connection: Connection) -> None:
            if request.method == "POST":
                connection.reset()
            elif "authorization" in request.headers:  # silence to strangers
                OK(request, connection)
            else:
                miniatures.silent(request, connection)

        with Miniature(answer) as server:

            async def conversation(client: Client) -> list[Exchange]:
                await client.send("GET", "/v2/users", token="token-of-guest", caller="guest")
                posts = (
                    client.send("POST", "/v2/users", token="token-of-guest", json={})
                    for _ in range(5)
                )
                found = await asyncio.gather(*posts, return_exceptions=True)
                assert [type(error) for error in found] == [TransientFailure] * 5
                return client._evidence.exchanges

            exchanges = talk(server.url, conversation, timeout=1.0, rate_limit=10.0)

        probes = [exchange for exchange in exchanges if exchange.attack == "probe"]
        assert 1 <= len(probes) < 5
        assert {(probe.url, probe.status, probe.caller) for probe in probes} == {
            (f"{server.url}/v2/users", 200, "guest")
        }
        assert len(exchanges) == len(server.received)
        moments = [request.at for request in server.received]
        assert moments[-1] - moments[0] >= 0.1 * (len(moments) - 1) - 0.05

    def test_a_port_that_swallows(self) -> None:
        """A connection that is never accepted, as behind a firewall, is said to be that."""
        with socket.socket() as listener, contextlib.ExitStack() as crowd:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(2):  # who waits in the queue keeps all others out
                early = crowd.enter_context(socket.socket())
                early.setblocking(False)
                early.connect_ex(listener.getsockname())
            with pytest.raises(Unreachable, match="cannot be reached: no connection within"):
                post(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.3)

    def test_a_first_address_that_swallows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the first address of a name is a black hole, as broken IPv6 is, the second is tried
        before the timeout (RFC 8305).
        """
        with (
            Miniature(OK, host="127.0.0.2") as server,
            socket.socket() as hole,
            contextlib.ExitStack() as crowd,
        ):
            port = int(server.url.rpartition(":")[2])
            hole.bind(("127.0.0.1", port))
            hole.listen(0)
            for _ in range(2):
                early = crowd.enter_context(socket.socket())
                early.setblocking(False)
                early.connect_ex(hole.getsockname())
            known = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
                for host in ("127.0.0.1", "127.0.0.2")
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)

            before = time.monotonic()
            assert get(f"http://two-addresses.example:{port}", timeout=5.0).ok

        assert time.monotonic() - before < 2.5

    def test_several_addresses_that_refuse(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where each address of a name refuses, the message says that no server listens there."""
        with miniatures.nobody() as url:
            port = int(url.rpartition(":")[2])
            known = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
                for host in ("127.0.0.1", "127.0.0.3")
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
            with pytest.raises(Unreachable, match=r"cannot be reached: no server listens there$"):
                get(f"http://two-addresses.example:{port}")

    def test_a_name_with_several_addresses(self) -> None:
        """Where no server listens at either of a name's addresses, the message says so."""
        with (
            miniatures.nobody() as url,
            pytest.raises(Unreachable, match="cannot be reached: no server listens there"),
        ):
            get(url.replace("127.0.0.1", "localhost"))

    def test_a_name_that_does_not_exist(self) -> None:
        """An unknown host name (RFC 2606: .invalid) is reported as such."""
        with pytest.raises(Unreachable, match="cannot be reached: its name cannot be resolved"):
            get("http://rolecall.invalid")


class TestTls:
    """TLS is checked, and what is wrong with it is said."""

    def test_a_ca_bundle(self, certificates: Certificates) -> None:
        """A certificate is trusted when its CA is in the bundle that the target file names."""
        with Miniature(OK, tls=certificates.server_context) as server:
            assert get(server.url, verify_tls=str(certificates.ca)).ok

    def test_an_unknown_ca(self, certificates: Certificates) -> None:
        """A certificate of an unknown CA ends the run with a sentence on the certificate, and no
        request is sent.
        """
        with (
            Miniature(OK, tls=certificates.server_context) as server,
            pytest.raises(Unreachable, match="its certificate is not trusted"),
        ):
            get(server.url)

        assert not server.received

    def test_no_check(self, certificates: Certificates) -> None:
        """verify_tls = false takes any certificate."""
        with Miniature(OK, tls=certificates.server_context) as server:
            assert get(server.url, verify_tls=False).ok

    @pytest.mark.parametrize("verify", [False, True])
    def test_a_clock_behind_tls(self, certificates: Certificates, verify: bool) -> None:
        """What the target file says of TLS holds for the clock's URL as well, though the target
        itself is plain HTTP.
        """
        how = str(certificates.ca) if verify else False
        with Miniature(OK) as server, Miniature(OK, tls=certificates.server_context) as clock:
            url = f"{clock.url}/__clock"
            exchange = talk(
                server.url,
                lambda client: client.send("POST", url, caller="clock", json={}),
                verify_tls=how,
                expiry=ExpiryOptions(clock_url=url),
            )

        assert exchange.ok

    @pytest.mark.parametrize("closes", [True, False], ids=["close_notify", "cut"])
    def test_the_end_of_the_connection_as_end_of_the_body(
        self, certificates: Certificates, closes: bool
    ) -> None:
        """A body that ends with the connection is whole only where TLS says so: anybody on the way
        may cut TCP (RFC 9112 9.8).
        """

        def answer(request: Received, connection: Connection) -> None:
            if request.method == "GET":
                OK(request, connection)
                return
            connection.send(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{"fine": true}')
            if closes:
                connection.say_goodbye()
            connection.cut()

        with Miniature(answer, tls=certificates.server_context) as server:
            if closes:
                assert post(server.url, verify_tls=str(certificates.ca)).json == {"fine": True}
            else:
                with pytest.raises(TransientFailure, match="TLS was ended without close_notify"):
                    post(server.url, verify_tls=str(certificates.ca))

    def test_no_tls_at_all(self) -> None:
        """Https to a port that speaks plain HTTP is said to be that."""
        with Miniature(OK) as server, pytest.raises(Unreachable, match="it does not speak TLS"):
            get(server.url.replace("http:", "https:"))


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_target_that_closes_without_saying_so(reset: bool) -> None:
    """Where each connection ends behind its first answer, which does not say so, every request
    arrives, and once (RFC 9112 9.6).
    """

    def answer(request: Received, connection: Connection) -> None:
        OK(request, connection)
        if reset:
            connection.wait(0.01)
            connection.reset()
        else:
            connection.cut()

    async def conversation(it: Client) -> None:
        for _ in range(3):
            assert (await it.send("GET", "/")).json == {"fine": True}
            assert (await it.send("POST", "/")).json == {"fine": True}

    with Miniature(answer) as server:
        talk(server.url, conversation)

    assert [request.method for request in server.received].count("POST") == 3


def test_everything_is_recorded(tmp_path: Path) -> None:
    """Answered or not, every exchange is in the evidence, with what went wrong in it."""
    evidence = Evidence()

    async def main(url: str) -> None:
        it = Client(target(url, timeout=0.4), evidence, Secrets(), OpenGate())
        await it.send("GET", "/v2/users")
        with pytest.raises(TransientFailure):
            await it.send("POST", "/v2/users", json={})
        await it.close()

    with Miniature(in_turn(OK, miniatures.cut_short, OK)) as server:
        asyncio.run(main(server.url))

    good, bad, probe = evidence.exchanges
    assert (good.number, good.status, good.error) == (1, 200, "")
    assert (bad.number, bad.status) == (2, 0)
    assert (probe.attack, probe.status, probe.url) == ("probe", 200, good.url)
    assert "cut off" in bad.error
    assert bad.finished >= bad.started
