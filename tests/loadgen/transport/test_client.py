"""A connection under load: what arrives, what stays open, and every way to fail.

Longer than 400 lines because every way in which a connection fails has a test.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import itertools
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.exceptions import InvalidSwitchError

from rolecall.errors import UsageError
from rolecall.loadgen.generator_limits import of_the_generator
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.transport.outgoing import Origin, request
from rolecall.loadgen.transport.wire import Response
from tests.support import miniatures
from tests.support.certificates import Certificates
from tests.support.miniatures import Miniature, Received, always, in_turn, response
from tests.support.servers import ROOT

OK = always(response(200, b"fine"))
TIMEOUT = 10.0  # seconds; nothing here takes so long
SHORT = 0.3  # seconds, where the timeout is what is looked at


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA of our own and a certificate of 127.0.0.1."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def connection(
    url: str, *, timeout: float = TIMEOUT, verify: bool | str = True
) -> Iterator[WireConnection]:
    """A connection to this server, closed at the end."""
    with closing(WireConnection(Origin.of(url), timeout=timeout, verify=verify)) as it:
        yield it


def get(url: str, path: str = "/v2/users") -> bytes:
    """A GET."""
    return request(Origin.of(url), "GET", path)


def post(url: str, body: bytes) -> bytes:
    """A POST."""
    return request(
        Origin.of(url), "POST", "/v2/auth/token", {"content-type": "application/json"}, body
    )


def answered(answer: miniatures.Answer, *, method: str = "GET") -> Response:
    """What a connection makes of a server's answer."""
    with Miniature(answer) as server, connection(server.url) as it:
        return it.exchange(request(Origin.of(server.url), method, "/"))


def failed(it: WireConnection, message: bytes) -> Failure:
    """The failure of an exchange."""
    with pytest.raises(Failure) as caught:
        it.exchange(message)
    assert it.received >= it.sent
    return caught.value


def failure(answer: miniatures.Answer, *, timeout: float = TIMEOUT) -> Failure:
    """The failure of an exchange on a new connection, after which the next one succeeds."""
    with Miniature(in_turn(answer, OK)) as server, connection(server.url, timeout=timeout) as it:
        result = failed(it, get(server.url))
        assert 200 == it.exchange(get(server.url)).status
    assert 2 == server.connections == len(server.received)
    return result


@contextmanager
def raw(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """The URL of a server that handles one connection without reading a request first."""

    def accept() -> None:
        stream, _ = listener.accept()
        with stream:
            serve(stream)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(TIMEOUT)


def cut(request: Received, connection: miniatures.Connection) -> None:
    """Closes the connection instead of answering."""
    connection.cut()


def reset(request: Received, connection: miniatures.Connection) -> None:
    """Resets the connection instead of answering, without an end before."""
    connection.reset()
    connection._stream.close()


def say_goodbye(connection: miniatures.Connection) -> None:
    """End TLS, and wait until the other side has done so, too."""
    stream = connection._stream
    assert isinstance(stream, ssl.SSLSocket)
    stream.unwrap()


def until_it_ends(stream: socket.socket) -> int:
    """Read to the end; how much that was."""
    return sum(map(len, iter(lambda: stream.recv(65536), b"")))


class TestExchange:
    """An exchange that succeeds."""

    def test_request_and_answer_arrive_as_they_were_written(self) -> None:
        """The server gets the request's bytes, the caller the answer's."""
        with (
            Miniature(always(response(201, b'{"a": 1}', x_y="z"))) as server,
            connection(server.url) as it,
        ):
            answer = it.exchange(post(server.url, b'{"b": 2}'))

        (received,) = server.received
        assert ("POST", "/v2/auth/token", b'{"b": 2}') == (
            received.method,
            received.path,
            received.body,
        )
        assert server.url.endswith(received.headers["host"])
        assert (201, b'{"a": 1}', b"z") == (answer.status, answer.body, answer.header(b"x-y"))

    def test_the_connection_is_kept(self) -> None:
        """Many exchanges, one connection; a prepared request may be sent again and again."""
        with Miniature(OK) as server, connection(server.url) as it:
            message = get(server.url)
            for _ in range(50):
                assert b"fine" == it.exchange(message).body

        assert (1, 50) == (server.connections, len(server.received))

    @pytest.mark.parametrize("option", ["close", "Close, foo"])
    def test_the_connection_is_not_kept(self, option: str) -> None:
        """Where the server says that it closes, the next exchange has a new connection."""
        with (
            Miniature(always(response(200, b"fine", connection=option))) as server,
            connection(server.url) as it,
        ):
            for _ in range(3):
                assert b"fine" == it.exchange(get(server.url)).body

        assert 3 == server.connections

    @pytest.mark.parametrize(
        ("data", "body"),
        [
            pytest.param(
                response(
                    200, b"4\r\nfine\r\n0\r\n\r\n", content_length="", transfer_encoding="chunked"
                ),
                b"fine",
                id="chunked",
            ),
            pytest.param(
                response(
                    200,
                    b"2\r\nfi\r\n2;x=y\r\nne\r\n0\r\nx: y\r\n\r\n",
                    content_length="",
                    transfer_encoding="chunked",
                ),
                b"fine",
                id="trailers",
            ),
            pytest.param(
                response(100, content_length="") + response(200, b"fine"),
                b"fine",
                id="100-continue",
            ),
            pytest.param(response(204, content_length=""), b"", id="204"),
            pytest.param(
                response(200, gzip.compress(b"fine"), content_encoding="gzip"), b"fine", id="gzip"
            ),
        ],
    )
    def test_a_body_in_every_wrapping(self, data: bytes, body: bytes) -> None:
        """Whatever says where an answer ends, it is read to there, and the connection is kept."""
        with Miniature(always(data)) as server, connection(server.url) as it:
            for _ in range(3):
                assert body == it.exchange(get(server.url)).body

        assert 1 == server.connections

    def test_a_body_that_ends_with_the_connection(self) -> None:
        """Without a length, the body ends where the connection does."""

        def answer(request: Received, connection: miniatures.Connection) -> None:
            for piece in (b"HTTP/1.0 200 OK\r\n\r\nfi", b"ne"):
                connection.send(piece)
                connection.wait(0.05)
            connection.cut()

        assert b"fine" == answered(answer).body

    def test_head(self) -> None:
        """The answer to HEAD has no body, whatever its length says."""
        with (
            Miniature(always(response(200, content_length="500"))) as server,
            connection(server.url) as it,
        ):
            for _ in range(2):
                assert b"" == it.exchange(request(Origin.of(server.url), "HEAD", "/")).body

        assert 1 == server.connections

    def test_in_pieces(self) -> None:
        """An answer that comes byte by byte is complete when its last byte is there."""

        def answer(request: Received, connection: miniatures.Connection) -> None:
            for byte in response(200, b"fine"):
                connection.send(bytes([byte]))
                connection.wait(0.001)

        assert b"fine" == answered(answer).body

    def test_large_messages(self) -> None:
        """What does not fit into the kernel's buffers goes on when there is room, both ways."""
        body = os.urandom(6_000_000)
        with (
            Miniature(
                lambda request, connection: connection.send(response(200, request.body))
            ) as server,
            connection(server.url) as it,
        ):
            for _ in range(2):
                assert body == it.exchange(post(server.url, body)).body

        assert 1 == server.connections

    def test_an_answer_before_the_request_was_read(self) -> None:
        """Who answers before all was sent is heard, and gets nothing more on this connection."""

        def serve(stream: socket.socket) -> None:
            stream.sendall(response(413, b"too much"))
            time.sleep(0.5)  # the answer is not read; buffers hold less than all of it
            assert until_it_ends(stream) < 30_000_000

        with raw(serve) as url, connection(url) as it:
            assert b"too much" == it.exchange(post(url, b" " * 30_000_000)).body

    def test_moments(self) -> None:
        """The times are those of sending and of the last byte; connecting is before, a failure ends
        when it is known.
        """

        def answer(request: Received, connection: miniatures.Connection) -> None:
            connection.wait(0.2)
            connection.send(response())

        with Miniature(answer) as server, connection(server.url) as it:
            before = time.perf_counter()
            it.exchange(get(server.url))

            assert before < it.sent < it.received - 0.15
            assert it.received <= time.perf_counter()

    def test_ipv6(self) -> None:
        """A server may be named by an IPv6 address."""
        with Miniature(OK, host="::1") as server, connection(server.url) as it:
            assert 200 == it.exchange(get(server.url)).status
        assert server.received[0].headers["host"].startswith("[::1]:")

    def test_by_name(self) -> None:
        """A name is looked up, and the address taken that answers."""
        with (
            Miniature(OK) as server,
            connection(server.url.replace("127.0.0.1", "localhost")) as it,
        ):
            assert 200 == it.exchange(get(server.url)).status


class TestIdle:
    """What happens to a connection between two exchanges."""

    def test_closed_by_the_server(self) -> None:
        """The next exchange quietly gets a new connection."""

        def answer(request: Received, connection: miniatures.Connection) -> None:
            connection.send(response())
            connection.cut()

        with Miniature(answer) as server, connection(server.url) as it:
            for _ in range(3):
                assert 200 == it.exchange(get(server.url)).status
                gevent.sleep(0.2)

        assert 3 == server.connections == len(server.received)

    @pytest.mark.parametrize(
        ("announced", "connections"),
        [("timeout=1, max=100", 2), ("timeout=30", 1), ("max=100", 1), ("timeout=x", 1)],
    )
    def test_what_the_server_announced_is_heeded(self, announced: str, connections: int) -> None:
        """A connection that the server is about to end for being idle is not used any more."""
        answer = response(200, b"fine", **{"keep-alive": announced})
        with Miniature(always(answer)) as server, connection(server.url) as it:
            for pause in (0.6, 0.0, 0.0):
                assert b"fine" == it.exchange(get(server.url)).body
                gevent.sleep(pause)

        assert (connections, 3) == (server.connections, len(server.received))

    @pytest.mark.parametrize("delay", [0.0, 0.05])
    def test_surplus(self, delay: float) -> None:
        """Unrequested bytes are never an answer, whether they come at once or later."""

        def answer(request: Received, connection: miniatures.Connection) -> None:
            surplus = response(200, b"surplus")
            if delay:
                connection.send(response(200, b"fine"))
                connection.wait(delay)
                connection.send(surplus)
            else:
                connection.send(response(200, b"fine") + surplus)

        with Miniature(answer) as server, connection(server.url) as it:
            for _ in range(3):
                assert b"fine" == it.exchange(get(server.url)).body
                gevent.sleep(3 * delay)

        assert 3 == server.connections

    @pytest.mark.parametrize("end", [cut, reset])
    def test_closed_at_the_moment_of_the_next_request(self, end: miniatures.Answer) -> None:
        """A used connection that ends without a byte was closed; the request, which may have been
        heard, is not sent again.
        """
        with (
            Miniature(in_turn(OK, end, OK)) as server,
            connection(server.url) as it,
        ):
            it.exchange(get(server.url))

            assert "closed" == failed(it, get(server.url)).kind
            assert 2 == len(server.received)
            assert 200 == it.exchange(get(server.url)).status

    @pytest.mark.parametrize("said", [b"", response(408, b"too late"), b"reset"])
    @pytest.mark.parametrize("names", [("one", "other"), ("other", "one")])
    def test_ended_while_the_next_request_waits_to_be_sent(
        self, names: tuple[str, str], said: bytes
    ) -> None:
        """What is heard before a request has left, in one go with another connection's answer, is
        no answer to it: it goes elsewhere.

        Which of two connections is heard first depends on which one is older, so both are tried.
        """
        # Longer than 40 lines because it holds the server.
        kept: dict[str, miniatures.Connection] = {}
        ended = threading.Event()

        def answer(request: Received, connection: miniatures.Connection) -> None:
            kept[request.path] = connection
            connection.send(response(200, request.path.encode()))
            if said == b"reset":
                if request.path == "/other":  # only who reads from a connection can reset it
                    assert ended.wait(TIMEOUT)
                    reset(request, connection)
                elif request.path == "/end":
                    ended.set()
            elif request.path == "/end" and said:
                kept["/other"].send(said)
            elif request.path == "/end":
                kept["/other"]._stream.shutdown(socket.SHUT_WR)

        def step() -> Response:
            # As soon as the request is sent, the hub is kept busy until all of it has come.
            callback = gevent.get_hub().loop.run_callback
            callback(callback, time.sleep, 0.2)
            one.exchange(get(server.url, "/end"))
            return other.exchange(get(server.url, "/next"))

        with (
            Miniature(answer) as server,
            connection(server.url) as one,
            connection(server.url) as other,
        ):
            for name in names:
                {"one": one, "other": other}[name].exchange(get(server.url, f"/{name}"))
            assert b"/next" == gevent.spawn(step).get().body

        assert ["/end", "/next"] == [received.path for received in server.received[2:]]
        assert 3 == server.connections

    def test_nothing_is_left_open(self) -> None:
        """A closed connection has no file, after failures either."""
        before = len(list(Path("/proc/self/fd").iterdir()))
        for answer in (OK, reset, miniatures.cut_short, always(b"nonsense")):
            with (
                Miniature(answer) as server,
                connection(server.url) as it,
                contextlib.suppress(Failure),
            ):
                it.exchange(get(server.url))
        with miniatures.nobody() as url, connection(url) as it:
            failed(it, get(url))

        assert before == len(list(Path("/proc/self/fd").iterdir()))


class TestFailures:
    """Every kind of failure; the next exchange succeeds."""

    def test_refused(self) -> None:
        """A port without a server is reported as refused."""
        with miniatures.nobody() as url, connection(url) as it:
            assert "refused" == failed(it, get(url)).kind

    def test_no_such_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An unknown name fails as the resolver says it, which might ask the network."""

        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr("gevent.socket.getaddrinfo", unknown)
        with connection("http://nobody.invalid") as it:
            assert "dns" == failed(it, get("http://nobody.invalid")).kind

    def test_no_files_left(self) -> None:
        """The limit of this machine is not the server's fault."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with miniatures.nobody() as url, connection(url) as it:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                assert "files" == failed(it, get(url)).kind
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_reset(self) -> None:
        """A reset instead of an answer is reported as such."""
        assert "reset" == failure(reset).kind

    def test_reset_in_the_middle(self) -> None:
        """A reset in the middle of an answer, also on a used connection."""

        def answer(request: Received, connection: miniatures.Connection) -> None:
            connection.send(response(200, b"fi", content_length="4"))
            connection.wait(0.2)
            reset(request, connection)

        assert "reset" == failure(answer).kind
        with Miniature(in_turn(OK, answer)) as server, connection(server.url) as it:
            it.exchange(get(server.url))
            assert "reset" == failed(it, get(server.url)).kind

    def test_closed(self) -> None:
        """A connection that is closed in the middle of an answer is reported as closed."""
        assert "closed" == failure(cut).kind

    def test_closed_in_the_middle(self) -> None:
        """The end in the middle of an answer."""
        assert "closed" == failure(miniatures.cut_short).kind

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="ssh"),
            pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", id="length"),
            pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", id="line-feeds"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n", id="chunk"
            ),
        ],
    )
    def test_garbage(self, data: bytes) -> None:
        """An answer that is not HTTP is refused when it is seen, not at the timeout."""
        assert "garbage" == failure(always(data)).kind

    def test_a_coding_that_was_not_asked_for(self) -> None:
        """A coding that is not understood here is told from garbage, and one that grows beyond all
        measure is too large.
        """
        assert "coding" == failure(always(response(200, b"fine", content_encoding="br"))).kind
        bomb = gzip.compress(bytes(100_000_000))
        assert "too-large" == failure(always(response(200, bomb, content_encoding="gzip"))).kind

    def test_what_is_not_understood_is_no_statement(self) -> None:
        """Answers in an unknown coding make a run invalid, and do not accuse the server."""
        quiet = {
            "dispatch_lag_ms": {"p99": 0.1},
            "service_ms": {"p50": 1.0},
            "workers": [],
            "own_failures": {},
            "errors": {"coding": 3, "500": 1},
        }

        assert [why.partition(":")[0] for why in of_the_generator(quiet)] == [
            "3 answers were in a content coding that is not read here (gzip and deflate are)"
        ]

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.EMFILE, "files"),
            (errno.EADDRNOTAVAIL, "ports"),
            (errno.ENOBUFS, "memory"),
            (errno.ECONNREFUSED, "refused"),
        ],
    )
    def test_what_this_machine_is_out_of(
        self, number: int, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files, ports and memory are told from each other, and from a server that refuses."""

        def fails(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("rolecall.loadgen.transport.reach._open", fails)
        with connection("http://127.0.0.1:1") as it:
            assert failed(it, get("http://127.0.0.1:1")).kind == kind

    def test_memory_that_runs_out_in_an_exchange(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It ends the exchange, not the client, and is no word of the server."""

        def fails(*_: object) -> None:
            raise MemoryError

        with Miniature(OK) as server, connection(server.url) as it:
            monkeypatch.setattr(it, "_connect", fails)
            assert failed(it, get(server.url)).kind == "memory"
            monkeypatch.undo()
            assert it.exchange(get(server.url)).status == 200

    def test_some_files_are_left_to_others(self) -> None:
        """Before the last file is gone, this machine's limit is said: what was measured is still to
        be written.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with Miniature(OK) as server, connection(server.url) as it:
            it.exchange(get(server.url))
            it.close()
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard)
            )
            try:
                assert "files" == failed(it, get(server.url)).kind
                with (Path("/proc/self/status")).open("rb"):
                    pass
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert 200 == it.exchange(get(server.url)).status

    def test_too_large(self) -> None:
        """A body beyond the limit is not waited for."""
        assert "too-large" == failure(miniatures.huge).kind

    def test_too_large_without_end(self) -> None:
        """A body without a known end is too large as well."""

        def answer(request: Received, connection: miniatures.Connection) -> None:
            connection.send(response(200, content_length=""))
            while connection.wait(0):
                connection.send(b" " * 65536)

        assert "too-large" == failure(answer).kind


@contextmanager
def swallowing() -> Iterator[int]:
    """A port of this machine that answers no SYN any more: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            stream = stack.enter_context(socket.socket())
            stream.setblocking(False)
            stream.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def addresses(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name have these ports of this machine as its addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr("gevent.socket.getaddrinfo", lambda *_, **__: found)


class TestAddresses:
    """A name with several addresses."""

    def test_the_first_swallows_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It has a head start, not the whole timeout; the next connection begins with the address
        that took this one.
        """
        before = len(list(Path("/proc/self/fd").iterdir()))
        with (
            swallowing() as silent,
            Miniature(OK) as server,
            connection("http://several.test", timeout=5) as it,
        ):
            addresses(monkeypatch, silent, int(server.url.rpartition(":")[2]))
            assert 200 == it.exchange(get(server.url)).status
            it.close()
            monkeypatch.setattr("rolecall.loadgen.transport.reach._HEAD_START", TIMEOUT)
            assert 200 == it.exchange(get(server.url)).status
        gevent.sleep(0.01)

        assert before == len(list(Path("/proc/self/fd").iterdir()))

    def test_the_first_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the first address refuses, the next one is tried at once."""
        monkeypatch.setattr("rolecall.loadgen.transport.reach._HEAD_START", TIMEOUT)
        with (
            miniatures.nobody() as url,
            Miniature(OK) as server,
            connection("http://several.test", timeout=5) as it,
        ):
            addresses(
                monkeypatch, *(int(known_url.rpartition(":")[2]) for known_url in (url, server.url))
            )
            assert 200 == it.exchange(get(server.url)).status

    def test_none_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where all refuse, that is the failure; where one of them only keeps silent, the time is
        over at its end.
        """
        with (
            miniatures.nobody() as url,
            swallowing() as silent,
            connection("http://several.test", timeout=SHORT) as it,
        ):
            port = int(url.rpartition(":")[2])
            addresses(monkeypatch, port, port)
            assert "refused" == failed(it, get(url)).kind
            addresses(monkeypatch, port, silent)
            assert "timeout" == failed(it, get(url)).kind


def trickle(data: bytes) -> miniatures.Answer:
    """An answer byte by byte, far too slowly."""

    def answer(request: Received, connection: miniatures.Connection) -> None:
        for byte in data:
            connection.send(bytes([byte]))
            if not connection.wait(0.02):
                return

    return answer


class TestTimeout:
    """The time of an exchange is limited as a whole."""

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(miniatures.silent, id="silence"),
            pytest.param(trickle(response(200, b" " * 1000)), id="trickling-head"),
            pytest.param(
                lambda *it: (
                    it[1].send(response(200, content_length="9999")),
                    trickle(b" " * 9999)(*it),
                ),
                id="trickling-body",
            ),
            pytest.param(miniatures.endless, id="endless"),
        ],
    )
    def test_no_complete_answer(self, answer: miniatures.Answer) -> None:
        """However much keeps coming, the exchange ends soon after its timeout."""
        with Miniature(answer) as server, connection(server.url, timeout=SHORT) as it:
            for _ in range(2):
                before = time.perf_counter()
                assert "timeout" == failed(it, get(server.url)).kind
                assert SHORT <= time.perf_counter() - before < 4 * SHORT

    def test_request_is_not_read(self) -> None:
        """A server that does not read does not hold its client."""
        over = threading.Event()
        with (
            raw(lambda stream: over.wait(TIMEOUT) and None) as url,
            connection(url, timeout=SHORT) as it,
        ):
            assert "timeout" == failed(it, post(url, b" " * 30_000_000)).kind
            over.set()

    def test_handshake(self) -> None:
        """The timeout includes connecting: an endless handshake is not waited for."""
        over = threading.Event()
        with raw(lambda stream: over.wait(TIMEOUT) and None) as url:
            https = url.replace("http:", "https:")
            with connection(https, timeout=SHORT) as it:
                assert "timeout" == failed(it, get(https)).kind
            over.set()

    def test_of_this_process_is_not_one(self) -> None:
        """Answers that came while this process stood still were in time, by whomever they were
        sent; then the server has none left.
        """

        def slowly(request: Received, connection: miniatures.Connection) -> None:
            connection.wait(0.1)
            OK(request, connection)

        with (
            Miniature(in_turn(OK, slowly, miniatures.silent)) as server,
            connection(server.url, timeout=SHORT) as it,
        ):
            it.exchange(get(server.url))
            gevent.spawn_later(0.05, time.sleep, 2 * SHORT)  # as a process that is stopped
            assert it.exchange(get(server.url)).status == 200
            gevent.spawn_later(0.05, time.sleep, 2 * SHORT)
            assert "timeout" == failed(it, get(server.url)).kind

    def test_idle_time_does_not_count(self) -> None:
        """A connection may be idle for longer than an exchange may take."""
        with Miniature(OK) as server, connection(server.url, timeout=SHORT) as it:
            for _ in range(2):
                assert 200 == it.exchange(get(server.url)).status
                gevent.sleep(1.5 * SHORT)

        assert 1 == server.connections

    def test_each_has_its_own(self) -> None:
        """Of two exchanges at the same time, the one whose time is over ends, and the other goes
        on.
        """

        def answer(request: Received, connection: miniatures.Connection) -> None:
            connection.wait(3 * SHORT)
            connection.send(response())

        with (
            Miniature(answer) as server,
            connection(server.url, timeout=SHORT) as hasty,
            connection(server.url) as patient,
        ):
            both: list[gevent.Greenlet[..., Any]] = [
                gevent.spawn(failed, hasty, get(server.url)),
                gevent.spawn(patient.exchange, get(server.url)),
            ]
            gevent.joinall(both, raise_error=True)

        assert "timeout" == both[0].get().kind
        assert 200 == both[1].get().status


class TestTls:
    """HTTPS."""

    def test_with_its_ca(self, certificates: Certificates) -> None:
        """A certificate of the given CA is accepted, and the connection kept, with messages of any
        size.
        """
        body = os.urandom(1_000_000)
        with (
            Miniature(
                lambda request, connection: connection.send(response(200, request.body)),
                tls=certificates.server_context,
            ) as server,
            connection(server.url, verify=str(certificates.ca)) as it,
        ):
            for content in (b"small", body, b"small", b""):
                assert content == it.exchange(post(server.url, content)).body

        assert 1 == server.connections

    def test_not_verified(self, certificates: Certificates) -> None:
        """Any certificate is accepted where verification is off."""
        with (
            Miniature(OK, tls=certificates.server_context) as server,
            connection(server.url, verify=False) as it,
        ):
            assert 200 == it.exchange(get(server.url)).status

    def test_unknown_ca(self, certificates: Certificates) -> None:
        """By default, a certificate of an unknown CA is not; no request is sent."""
        with Miniature(OK, tls=certificates.server_context) as server, connection(server.url) as it:
            result = failed(it, get(server.url))

        assert "tls" == result.kind
        assert "certificate" in str(result)
        assert not server.received

    def test_another_name(self, certificates: Certificates) -> None:
        """A certificate of another host is refused too."""
        with Miniature(OK, tls=certificates.server_context) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            with connection(url, verify=str(certificates.ca)) as it:
                assert "tls" == failed(it, get(url)).kind

    def test_no_tls(self) -> None:
        """A server that does not speak it fails the handshake."""
        with Miniature(OK) as server:
            url = server.url.replace("http:", "https:")
            with connection(url) as it:
                assert "tls" == failed(it, get(url)).kind

    def test_closed_in_the_handshake(self) -> None:
        """A server that hangs up before the handshake is over fails it."""
        with raw(lambda stream: stream.recv(10) and None) as url:
            https = url.replace("http:", "https:")
            with connection(https) as it:
                assert failed(it, get(https)).kind in ("tls", "reset")

    def test_a_body_that_ends_with_the_connection(self, certificates: Certificates) -> None:
        """A body without a length is complete only where TLS ends in order (RFC 9112 9.8)."""

        def cut_off(request: Received, connection: miniatures.Connection) -> None:
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nfine")
            connection.cut()

        def orderly(request: Received, connection: miniatures.Connection) -> None:
            cut_off(request, connection)
            say_goodbye(connection)

        tls = certificates.server_context
        with (
            Miniature(in_turn(orderly, cut_off), tls=tls) as server,
            connection(server.url, verify=False) as it,
        ):
            assert b"fine" == it.exchange(get(server.url)).body
            assert "reset" == failed(it, get(server.url)).kind

    @pytest.mark.skipif(
        shutil.which("openssl") is None, reason="openssl, which can ask for new keys, is not there"
    )
    @pytest.mark.parametrize(
        "pieces",
        [
            ("", "HTTP/1.1 200 OK\nContent-Length: 4\n\nfine"),
            ("HTTP/1.1 200 OK\n", "Content-Length: 0\n\n"),
        ],
    )
    def test_new_keys(self, certificates: Certificates, pieces: tuple[str, str]) -> None:
        """A server that agrees on new keys before its answer, or in the middle of it (RFC 5246
        7.4.1.1), gets what it waits for.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [
            "openssl",
            "s_server",
            "-accept",
            f"127.0.0.1:{port}",
            "-tls1_2",
            "-msg",
            "-crlf",
            "-cert",
            certificates.ca.parent / "server.pem",
        ]
        server = subprocess.Popen(
            list(map(str, words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            next(line for line in server.stdout if "ACCEPT" in line)
            with connection(f"https://127.0.0.1:{port}", timeout=5, verify=False) as it:
                waiting = gevent.spawn(it.exchange, get("https://127.0.0.1"))
                gevent.sleep(0.3)
                for text in (pieces[0], "r\n", pieces[1]):
                    server.stdin.write(text)
                    server.stdin.flush()
                    gevent.sleep(0.3)
                assert 200 == waiting.get().status
        finally:
            server.kill()
            said, _ = server.communicate()
        assert 4 == said.count(", Finished")  # one of each side, twice

    @pytest.mark.parametrize("polite", [True, False])
    def test_closed_when_idle(self, certificates: Certificates, polite: bool) -> None:
        """The next exchange quietly gets a new connection, here too; also if the server waits for
        us to close it.
        """

        def answer(request: Received, connection: miniatures.Connection) -> None:
            connection.send(response())
            connection.cut()
            if polite:
                say_goodbye(connection)

        with (
            Miniature(answer, tls=certificates.server_context) as server,
            connection(server.url, verify=False) as it,
        ):
            for _ in range(3):
                assert 200 == it.exchange(get(server.url)).status
                gevent.sleep(0.2)

        assert 3 == server.connections

    def test_a_bundle_that_is_none(self, tmp_path: Path) -> None:
        """A CA bundle that cannot be read is said before anything is sent."""
        for path in (tmp_path / "missing.pem", ROOT / "README.md"):
            with pytest.raises(UsageError, match="cannot be read"):
                WireConnection(Origin.of("https://127.0.0.1"), timeout=TIMEOUT, verify=str(path))


def test_ctrl_c_while_an_answer_is_read(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in the hub, in the middle of an answer, ends the run, and is not printed."""

    def interrupted(data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rolecall.loadgen.transport.client.whole", interrupted)
    with Miniature(always(response(200))) as server:
        origin = Origin.of(server.url)
        asked = request(origin, "GET", "/v2/users")
        with (
            closing(WireConnection(origin, timeout=5)) as connection,
            pytest.raises(KeyboardInterrupt),
        ):
            connection.exchange(asked)

    assert capfd.readouterr().err == ""


class TestGreenlets:
    """Many connections, and greenlets that are ended from outside."""

    def test_many_at_once(self) -> None:
        """Each greenlet gets the answers to its own requests."""

        def answer(request: Received, connection: miniatures.Connection) -> None:
            connection.wait(0.01)
            connection.send(response(200, request.path.encode()))
            if request.path.endswith("3"):
                connection.cut()

        def client(number: int) -> int:
            with connection(server.url) as it:
                for step in range(10):
                    path = f"/{number}/{step}"
                    assert path.encode() == it.exchange(get(server.url, path)).body
                    if step == 3:
                        gevent.sleep(0.2)  # so that the end is seen before the next request is sent
            return number

        with Miniature(answer) as server:
            clients = [gevent.spawn(client, number) for number in range(100)]
            gevent.joinall(clients, raise_error=True)

        assert list(range(100)) == [client.value for client in clients]
        assert 1000 == len(server.received)
        assert 200 == server.connections

    def test_killed(self) -> None:
        """The answer to a greenlet that was killed is not taken for another one's."""

        def slow(request: Received, connection: miniatures.Connection) -> None:
            connection.wait(0.2)
            connection.send(response(200, request.path.encode()))

        with Miniature(slow) as server, connection(server.url) as it:
            victim = gevent.spawn(it.exchange, get(server.url, "/victim"))
            gevent.sleep(0.1)
            victim.kill()
            assert b"/other" == it.exchange(get(server.url, "/other")).body

        assert 2 == server.connections

    def test_interrupted_by_a_timeout(self) -> None:
        """A timeout of the caller's own ends the exchange, too."""
        with Miniature(in_turn(miniatures.silent, OK)) as server, connection(server.url) as it:
            with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
                it.exchange(get(server.url))
            assert 200 == it.exchange(get(server.url)).status

    def test_closed_by_another(self) -> None:
        """Closing a connection ends the exchange that is under way; it does not hang."""
        with Miniature(miniatures.silent) as server, connection(server.url) as it:
            waiting = gevent.spawn(failed, it, get(server.url))
            gevent.sleep(0.1)
            it.close()
            waiting.join(TIMEOUT)

        assert "closed" == waiting.get().kind

    def test_no_other_switch_is_an_answer(self) -> None:
        """A switch to a waiting greenlet from elsewhere is an error."""
        with Miniature(miniatures.silent) as server, connection(server.url) as it:
            waiting = gevent.spawn(it.exchange, get(server.url))
            gevent.sleep(0.1)
            gevent.get_hub().loop.run_callback(waiting.switch, "nonsense")
            with pytest.raises(InvalidSwitchError):
                waiting.get(timeout=TIMEOUT)


PATCHED = """
from gevent import monkey
monkey.patch_all()
import sys
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.transport.outgoing import Origin, request
plain, secure, ca = sys.argv[1:]
named = plain.replace("127.0.0.1", "localhost")
for url, verify in ((plain, True), (named, True), (secure, ca), (secure, False)):
    origin = Origin.of(url)
    connection = WireConnection(origin, timeout=5, verify=verify)
    for _ in range(3):
        print(connection.exchange(request(origin, "GET", "/")).status)
    connection.close()
try:
    WireConnection(Origin.of(secure), timeout=5).exchange(request(origin, "GET", "/"))
except Failure as failure:
    print(failure.kind)
"""


def test_with_everything_patched(certificates: Certificates) -> None:
    """In a process like Locust's, where gevent has put its own sockets and TLS in place of
    Python's, all is as without.
    """
    with Miniature(OK) as plain, Miniature(OK, tls=certificates.server_context) as secure:
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                PATCHED,
                plain.url,
                secure.url,
                str(certificates.ca),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert "" == done.stderr
    assert [*itertools.repeat("200", 12), "tls"] == done.stdout.split()
